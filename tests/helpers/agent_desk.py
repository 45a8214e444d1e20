"""Agents under command: the service on a hub that runs, and a PBX whose queues do what they are told."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from ctid.agents.commander import Commander
from ctid.agents.enforcer import Enforcer
from ctid.agents.policy import Placement, Policy
from ctid.agents.service import AgentService
from ctid.hub import Hub
from ctid.model.commands import Command, LogInAgent, LogOutAgent, PauseAgent, ResumeAgent
from ctid.model.entities import Agent, Membership
from ctid.model.errors import CtidError
from ctid.model.facts import Fact, LinkUp
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.state.changes import Update
from ctid.state.profile import Profiles, QueueProfile
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from helpers.fakes import FakeClock, FakeConnection
from helpers.floor import BASE, Floor
from helpers.patience import until

LAB = PbxId("lab")
WORK = "after_call_work"
WORK_S = 10.0
POLICY = Policy(
    pbx=LAB,
    placements={
        AgentId("1005"): Placement(
            name="Emma",
            team="south",
            address="PJSIP/1005",
            queues=(QueueId("support"), QueueId("sales")),
        )
    },
)
"""1005 is in no queue of the PBX; the configuration gives her two."""


class Script(Floor):
    """A floor of its own, whose facts wait to be handed to a hub."""

    def __init__(self, profiles: Profiles) -> None:
        super().__init__(Store(profiles))
        self.facts: list[Fact] = []

    def tell(self, *facts: Fact) -> list[Update]:
        """Apply facts here, and keep them."""
        self.facts += facts
        return super().tell(*facts)


class PlayedQueues(FakeConnection):
    """A PBX that carries out commands to agents, and tells of it by facts."""

    def __init__(self, desk: "AgentDesk") -> None:
        super().__init__()
        self._desk = desk
        self.refuses: dict[str, CtidError] = {}
        """By queue: what a command there is refused with."""
        self.mute = False
        """Whether it does what it is told and tells nothing of it."""

    async def execute(self, command: Command) -> None:
        """Carry out a command."""
        self.commands.append(command)
        assert isinstance(command, LogInAgent | LogOutAgent | PauseAgent | ResumeAgent)
        if command.queue in self.refuses:
            raise self.refuses[command.queue]
        if self.mute:
            return
        script = self._desk.script
        match command:
            case LogInAgent():
                told = {"name": command.name, "paused": command.paused, "reason": command.reason}
                script.agent_joins(command.agent, command.queue, **told)
            case LogOutAgent():
                script.agent_leaves(command.agent, command.queue)
            case PauseAgent():
                script.agent_pauses(command.agent, command.queue, command.reason)
            case ResumeAgent():
                script.put_member(command.agent, command.queue, paused=False, reason="")
        await self._desk.hand_over()


class AgentDesk:
    """1001 is in `support` and `sales`, 1002 in `support`; a call of `support` gives ten seconds of work."""

    def __init__(self, policy: Policy = POLICY) -> None:
        profiles = Profiles(
            queues={QueueId("support"): QueueProfile(name="Support", wrapup_s=WORK_S)},
            after_call_work_reason=policy.work_reason,
        )
        self.clock = FakeClock()
        self.hub = Hub(Store(profiles), self.clock)
        self.tasks = TaskOwner()
        self.script = Script(profiles)
        self.pbx = PlayedQueues(self)
        self.commander = Commander(self.hub)
        self.service = AgentService(self.hub, self.commander, policy, self.clock)
        self.enforcer = Enforcer(self.hub, self.commander, policy.work_reason, self.clock)

    async def __aenter__(self) -> Self:
        """Start the hub, and let the agents be there."""
        self.tasks.spawn("hub", self.hub.run())
        self.hub.attach(LAB, self.pbx)
        self.script.tell(LinkUp(pbx=LAB, at=BASE, driver="asterisk", version="22"))
        for agent, queue in (("1001", "support"), ("1001", "sales"), ("1002", "support")):
            self.script.agent_joins(agent, queue)
        await self.told()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop what runs."""
        await self.tasks.close()

    async def hand_over(self) -> None:
        """Hand what the script has told to the hub."""
        facts, self.script.facts = self.script.facts, []
        await self.feed(facts)

    async def feed(self, facts: Sequence[Fact]) -> None:
        """Hand in facts."""
        await self.hub.feed(facts)

    async def told(self) -> None:
        """Hand what the script has told to the hub, and wait until it is in the store."""
        turns = self.hub.turns
        await self.hand_over()
        await until(lambda: self.hub.turns > turns)

    async def wait(self, seconds: float) -> None:
        """Let the time pass, in seconds, for the script and for the hub."""
        self.script.wait(seconds)
        self.clock.at += seconds
        await self.told()

    async def work(self, agent: str = "1001", queue: str = "support", call: str = "c1") -> None:
        """Let an agent serve a caller, and then work after the call."""
        self.script.agent_serves(agent, queue, call, f"a-{call}")
        self.script.call_over(agent, queue, call, f"a-{call}")
        await self.told()

    def agent(self, ident: str = "1001") -> Agent:
        """The agent as the state has her."""
        return self.hub.store.agents[AgentId(ident)]

    def of(self, ident: str = "1001") -> dict[str, str | None]:
        """Her queues, each with the reason of her pause there; none where she is not paused."""
        return {m.queue: m.paused_reason if m.paused else None for m in self.agent(ident).queues}

    def membership(self, ident: str, queue: str) -> Membership:
        """One membership."""
        return next(m for m in self.agent(ident).queues if m.queue == queue)

    def asked(self) -> list[tuple[str, str]]:
        """What the PBX was told to do: kind and queue."""
        return [
            (type(command).__name__, command.queue)
            for command in self.pbx.commands
            if isinstance(command, LogInAgent | LogOutAgent | PauseAgent | ResumeAgent)
        ]
