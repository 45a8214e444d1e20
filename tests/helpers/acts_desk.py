"""Calls under command: the services on a hub that runs, and a PBX that does as told, and tells facts."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from ctid.calls.acts import Acts
from ctid.calls.index import RecordingIndex
from ctid.calls.outreach import OutreachService
from ctid.calls.policy import CallPolicy
from ctid.calls.protector import Protector
from ctid.calls.recordings import Recordings
from ctid.calls.service import CallService
from ctid.calls.words import ActDone
from ctid.hub import Hub
from ctid.model.commands import (
    CallCommand,
    Command,
    DialForAgent,
    FlagCall,
    HangUpLegs,
    PauseRecording,
    PrioritizeCaller,
    SendMessage,
    StartRecording,
    StopRecording,
    TransferCall,
)
from ctid.model.entities import Call
from ctid.model.errors import CtidError
from ctid.model.facts import Fact, Leg, LegChanged, LegEnded
from ctid.model.ids import CallId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import LegState, Recording
from ctid.state.changes import Update
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from helpers.fakes import FakeClock, FakeConnection
from helpers.floor import BASE, PROFILES, Floor

LAB = PbxId("lab")
SOFIA = User(name="sofia", role=UserRole.SUPERVISOR)
POLICY = CallPolicy(prefixes=("01", "8000"), queue_numbers={QueueId("sales"): "7001"})
WITHIN_S = 5.0


async def fed(hub: Hub, facts: Sequence[Fact]) -> None:
    """Hand facts to a hub that runs, and wait until they are in its store."""
    turns = hub.turns
    await hub.feed(facts)
    async with asyncio.timeout(WITHIN_S):
        while hub.turns == turns:  # noqa: ASYNC110 - a turn of the hub has no event
            await asyncio.sleep(0)


class ActedPbx(FakeConnection):
    """Carries out commands of calls by the facts that a PBX would tell; the legs are those of a hub's store.

    `fails` has errors by a command's type, `mute` the types that it does nothing for and says it did.
    """

    def __init__(self, hub: Hub, pbx: PbxId = LAB) -> None:
        super().__init__()
        self._hub = hub
        self._pbx = pbx
        self.fails: dict[type[Command], CtidError] = {}
        self.mute: set[type[Command]] = set()

    async def execute(self, command: Command) -> None:
        """Carry out a command of calls."""
        self.commands.append(command)
        if type(command) in self.fails:
            raise self.fails[type(command)]
        if type(command) not in self.mute:
            assert isinstance(command, CallCommand)
            await fed(self._hub, self._facts(command))

    def asked(self, kind: type[Command]) -> int:
        """How often a command was asked for."""
        return sum(isinstance(command, kind) for command in self.commands)

    def _facts(self, command: CallCommand) -> list[Fact]:
        facts: list[Fact] = []
        match command:
            case HangUpLegs(legs=legs):
                facts += [LegEnded(pbx=self._pbx, at=BASE, leg=leg) for leg in legs]
            case TransferCall(leg=leg, agent=agent):
                if agent is not None:
                    facts.append(LegEnded(pbx=self._pbx, at=BASE, leg=agent))
                facts += self._changed(leg, conversation=None, position=None)
            case PrioritizeCaller(leg=leg, position=position):
                facts += self._changed(leg, position=position)
            case StartRecording(leg=leg):
                facts += self._changed(leg, recording=Recording.ON)
            case StopRecording(legs=legs):
                facts += self._changed(*legs, recording=Recording.OFF)
            case PauseRecording(legs=legs, paused=paused):
                known = self._hub.store.rows[self._pbx].legs
                kept = [leg for leg in legs if known[leg].recording is not Recording.OFF]
                facts += self._changed(*kept, recording=Recording.PAUSED if paused else Recording.ON)
            case FlagCall(legs=legs, flag=flag):
                facts += self._changed(*legs, **{flag: True})
            case DialForAgent():
                rung = Leg(
                    id=command.leg,
                    call=command.leg,
                    created_at=BASE,
                    incoming=False,
                    state=LegState.ALERTING,
                    device=command.device,
                )
                facts.append(LegChanged(pbx=self._pbx, at=BASE, leg=rung))
            case SendMessage():
                pass
        return facts

    def _changed(self, *legs: LegId, **changed: object) -> list[Fact]:
        known = self._hub.store.rows[self._pbx].legs
        return [
            LegChanged(pbx=self._pbx, at=BASE, leg=replace(known[leg], **changed))
            for leg in legs
            if leg in known
        ]


class Script(Floor):
    """A floor of its own, whose facts wait to be handed to a hub."""

    def __init__(self) -> None:
        super().__init__(Store(PROFILES))
        self.facts: list[Fact] = []

    def tell(self, *facts: Fact) -> list[Update]:
        """Apply facts here, and keep them."""
        self.facts += facts
        return super().tell(*facts)


class ActsDesk:
    """Agent 1001 of `support` talks with c1, 1002 is free, and c2 and c3 wait in `sales`.

    `told` are the acts as they were told; `broker` says whether it is connected.
    """

    def __init__(self, directory: Path, policy: CallPolicy = POLICY) -> None:
        self.clock = FakeClock()
        self.hub = Hub(Store(PROFILES), self.clock)
        self.tasks = TaskOwner()
        self.pbx = ActedPbx(self.hub)
        self.told: list[ActDone] = []
        self.broker = True
        self.script = Script()
        self.index = RecordingIndex(directory)
        self.recordings = Recordings(self.hub, self.index, 180)
        acts = Acts(self.hub, self.clock, self._tell)
        self.calls = CallService(self.hub, acts, policy, self.recordings, self.clock)
        self.outreach = OutreachService(self.hub, acts, policy, self.clock, lambda: self.broker)

    async def __aenter__(self) -> Self:
        self.tasks.spawn("hub", self.hub.run())
        self.tasks.spawn("recordings", self.recordings.run())
        self.tasks.spawn("protection", Protector(self.hub).run())
        self.hub.attach(LAB, self.pbx)
        self.script.link_up()
        for agent in ("1001", "1002"):
            self.script.agent_joins(agent, "support")
        self.script.agent_serves("1001", "support", "c1", "a1")
        self.script.customer_joins("c2", "sales", 1)
        self.script.customer_joins("c3", "sales", 2)
        await self.hand_over()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.tasks.close()

    async def _tell(self, done: ActDone) -> None:
        self.told.append(done)

    async def hand_over(self) -> None:
        """Hand what the script has told to the hub, and wait until it is in the store."""
        facts, self.script.facts = self.script.facts, []
        await self.feed(*facts)

    async def feed(self, *facts: Fact) -> None:
        """Hand facts to the hub, and wait until they are in the store."""
        await fed(self.hub, facts)

    async def leg(self, ident: str, **changed: object) -> None:
        """Tell that a leg, as the store has it, is other than it was."""
        known = self.hub.store.rows[LAB].legs[LegId(ident)]
        await self.feed(LegChanged(pbx=LAB, at=Instant(self.clock.at), leg=replace(known, **changed)))

    def call(self, key: str = "c1") -> Call:
        """The call of a key."""
        return self.hub.store.calls[call_id(key)]

    def acts(self) -> Sequence[tuple[str, str]]:
        """What was told: act, and the code of its refusal."""
        return [(done.act, done.refused) for done in self.told]


def call_id(key: str = "c1") -> CallId:
    """The id of the call of a key."""
    return CallId(f"lab.{key}")
