"""A supervisor's desk: service and follower on a hub that runs, and a PBX that does as it is told."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pytest
from msgspec.structs import replace

from ctid.audit import Audit, Entry
from ctid.audit.chain import payload_of
from ctid.audit.files import Files
from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import (
    Command,
    EndSupervision,
    FollowSupervision,
    GiveNotice,
    HandBack,
    KeepSupervision,
    StartSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, NotFound, SupervisionRefused
from ctid.model.facts import Fact, SupervisionChanged
from ctid.model.ids import LegId, PbxId, SupervisionId
from ctid.model.instant import Instant, dec_hook
from ctid.model.users import User, UserRole
from ctid.model.words import Hear, Mode, Purpose, Scope, SupervisionEnd, SupervisionState
from ctid.state.changes import Update
from ctid.state.store import Store
from ctid.supervision.follower import Follower
from ctid.supervision.gate import Gate
from ctid.supervision.law import Admission, Plan
from ctid.supervision.planning import Phone, Planner, Policy
from ctid.supervision.recorder import Recorder
from ctid.supervision.requests import ChangeRequest, ModeAsked, StartRequest, Via
from ctid.supervision.service import SupervisionService
from ctid.supervision.turns import Turns
from ctid.tasks import TaskOwner
from helpers.fakes import FakeClock, FakeConnection
from helpers.floor import BASE, PROFILES, Floor

LAB = PbxId("lab")
SOFIA = User(name="sofia", role=UserRole.SUPERVISOR, phones=frozenset({"desk", "second", "away"}))
PAUL = User(name="paul", role=UserRole.SUPERVISOR, phones=frozenset({"paul's"}))
ROOT = User(name="root", role=UserRole.ADMIN)
PHONES = {
    "desk": Phone(pbx=LAB, address="PJSIP/2001"),
    "second": Phone(pbx=LAB, address="PJSIP/2002"),
    "paul's": Phone(pbx=LAB, address="PJSIP/2003"),
    "away": Phone(pbx=PbxId("other"), address="PJSIP/2001"),
}
WITHIN_S = 5.0


def listen(
    agent: str | None = "1001", *, call: str | None = None, phone: str = "desk", **more: Any
) -> StartRequest:
    """A request to listen, by a phone; `more` are other fields of it."""
    return StartRequest(via=Via(phone=phone), agent=agent, call=call, **({"purpose": Purpose.QUALITY} | more))


def follow(agent: str = "1001", *, phone: str = "desk", **more: Any) -> StartRequest:
    """A request to follow an agent."""
    return listen(agent, phone=phone, scope=Scope.AGENT, **more)


def arm(agent: str = "1001", *, phone: str = "desk", **more: Any) -> StartRequest:
    """A request for an agent's next call."""
    return listen(agent, phone=phone, scope=Scope.NEXT, **more)


class Script(Floor):
    """A floor of its own, whose facts wait to be handed to a hub."""

    def __init__(self) -> None:
        super().__init__(Store(PROFILES))
        self.facts: list[Fact] = []

    def tell(self, *facts: Fact) -> list[Update]:
        """Apply facts here, and keep them."""
        self.facts += facts
        return super().tell(*facts)


class FakeGate(Gate):
    """Admits as `admission` says, or raises what `refuses` answers for a plan; keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.admission = Admission()
        self.refuses: Callable[[Plan], CtidError | None] = lambda _: None
        self.asked: list[Plan] = []
        self.seen: list[tuple[Supervision | None, Supervision]] = []

    def admit(self, plan: Plan, now: Instant) -> Admission:
        """Admit or refuse. Raises CtidError."""
        assert now >= BASE
        self.asked.append(plan)
        refusal = self.refuses(plan)
        if refusal is not None:
            raise refusal
        return self.admission

    def saw(self, _old: Supervision | None, new: Supervision) -> None:
        """Keep what is told."""
        self.seen.append((_old, new))


class FakeNotifier:
    """Tells agents, or (`reaches` is false) does not; an error may be raised instead."""

    def __init__(self) -> None:
        self.reaches = True
        self.error: CtidError | None = None
        self.told: list[Supervision] = []

    async def notify(self, session: Supervision) -> bool:
        """Keep of what session. Raises CtidError: what was set."""
        self.told.append(session)
        if self.error is not None:
            raise self.error
        return self.reaches


class Desk:
    """Agent 1001 talks with customer c1; `journal` has audits and commands as they came, by name."""

    def __init__(self, directory: Path, policy: Policy | None = None, audit: Audit | None = None) -> None:
        self.clock = FakeClock()
        self.hub = Hub(Store(PROFILES), self.clock)
        self.tasks = TaskOwner()
        self.journal: list[str] = []
        self.audit = audit or JournalAudit(directory, self.journal)
        self.gate = FakeGate()
        self.notifier = FakeNotifier()
        self.users = {user.name: user for user in (SOFIA, PAUL, ROOT)}
        self.turns = Turns(self.hub.store)
        policy = policy or Policy()
        self.recorder = Recorder(self.audit, self.clock)
        planner = Planner(self.hub, PHONES, policy, self.gate, self.turns, self.clock)
        self.service = SupervisionService(self.hub, planner, self.turns, policy, self.recorder, self.clock)
        self.follower = Follower(
            self.hub,
            self.service,
            planner,
            self.turns,
            self.recorder,
            self.gate,
            self.notifier,
            self.users.get,
            self.clock,
        )
        self.script = Script()
        self.pbx = PlayedPbx(self)
        self.other = FakeConnection()

    async def __aenter__(self) -> Self:
        """Start hub and follower, and let the call begin."""
        self.tasks.spawn("hub", self.hub.run())
        self.tasks.spawn("supervision", self.follower.run())
        self.hub.attach(LAB, self.pbx)
        self.hub.attach(PbxId("other"), self.other)
        self.script.link_up()
        self.script.agent_joins("1001", "support")
        self.script.agent_joins("1002", "support")
        self.script.agent_serves("1001", "support", "c1", "a1")
        await self.told()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop them."""
        await self.tasks.close()

    async def told(self) -> None:
        """Hand what the script has told to the hub, and wait until it is in the store."""
        facts, self.script.facts = self.script.facts, []
        await self.feed(*facts)

    async def feed(self, *facts: Fact) -> None:
        """Hand facts to the hub, and wait until they are in the store."""
        turns = self.hub.turns
        await self.hub.feed(facts)
        async with asyncio.timeout(WITHIN_S):
            while self.hub.turns == turns:  # noqa: ASYNC110 - a turn of the hub has no event
                await asyncio.sleep(0)

    async def passes(self, seconds: float) -> None:
        """Let so much time pass, and something happen on the floor by which it is noticed."""
        self.clock.at += seconds
        self.script.now = Instant(self.script.now + seconds)
        self.script.agent_pauses("1002", "support", f"at {self.clock.at}")
        await self.told()

    async def serves(self, agent: str, customer: str, leg: str) -> None:
        """An agent has the next call."""
        self.script.agent_serves(agent, "support", customer, leg)
        await self.told()

    async def hangs_up(self, agent: str, customer: str, leg: str) -> None:
        """An agent's call is over; the sessions beside her wait, and it has gone."""
        self.script.call_over(agent, "support", customer, leg)
        await self.pbx.loses(agent)
        await self.told()

    async def transfers(self, agent: str, customer: str, leg: str, to: str, new_leg: str) -> None:
        """An agent passes her call on to another, who was asked first."""
        self.script.rings(new_leg, customer, to)
        self.script.connected(customer, new_leg)
        self.script.hangs_up(leg)
        self.script.agent_done(agent, "support")
        await self.pbx.loses(agent)
        await self.told()

    @property
    def sessions(self) -> dict[SupervisionId, Supervision]:
        """The sessions that the state has."""
        return self.hub.store.supervisions

    def entries(self) -> list[Entry]:
        """What the audit holds."""
        return read_audit(self.audit.path)

    def told_of(self, session: Supervision) -> list[str]:
        """The names of what the audit holds of a session, in their order."""
        return [entry.event for entry, told in audited(self) if told.id == session.id]


class JournalAudit(Audit):
    """The audit on the disk, whose entries are noted in the journal as well."""

    def __init__(self, directory: Path, journal: list[str]) -> None:
        super().__init__(directory)
        self._journal = journal

    async def write(self, entry: Entry) -> None:
        """Write an entry, then note it."""
        await super().write(entry)
        self._journal.append(f"audit {entry.event}")


class PlayedPbx(FakeConnection):
    """A PBX that does as told; `fails` has errors by a command's type, `mute` what it only says it does."""

    def __init__(self, desk: Desk) -> None:
        super().__init__(answer=self._do, capabilities=frozenset(Capability))
        self._desk = desk
        self.fails: dict[type[Command], CtidError] = {}
        self.mute: set[type[Command]] = set()
        self._own: dict[SupervisionId, Supervision] = {}
        """The sessions as they are here, before the state has been told."""
        self.rings: asyncio.Future[None] | None = None
        """Awaited while a phone rings, if there is one."""
        self.waits: dict[type[Command], asyncio.Event] = {}
        """Awaited before a command of the type is carried out, if there is one."""

    def sent(self, kind: type[Command]) -> list[Any]:
        """The commands of a type."""
        return [command for command in self.commands if isinstance(command, kind)]

    async def _do(self, command: Command) -> None:
        self._desk.journal.append(f"command {type(command).__name__}")
        if type(command) in self.waits:
            await self.waits[type(command)].wait()
        if type(command) in self.fails:
            raise self.fails[type(command)]
        if type(command) in self.mute:
            return
        match command:
            case StartSupervision():
                await self.tells(command.supervision)
                if self.rings is not None:
                    await self.rings
                await self._comes_in(command)
            case SwitchSupervision():
                session = self._session(command.supervision)
                await self.tells(session, mode=command.mode, hear=command.hear, muted=command.muted)
            case FollowSupervision():
                self._session(command.supervision.id)
                self._check(command.target)
                await self.tells(command.supervision, state=SupervisionState.ACTIVE)
                await self._loses(command.target, command.supervision.id)
            case KeepSupervision():
                own = self._session(command.supervision.id)
                kept = {name: getattr(own, name) for name in ("state", "mode", "hear", "muted", "since")}
                await self.tells(replace(command.supervision, **kept))
            case TakeOver():
                session = self._session(command.supervision)
                self._check(command.customer, command.agent)
                await self.tells(session, mode=Mode.TAKEOVER, hear=Hear.BOTH, muted=False)
            case HandBack():
                await self.ends(command.supervision, SupervisionEnd.HANDED_BACK)
            case EndSupervision():
                taken_over = self._session(command.supervision).mode is Mode.TAKEOVER
                if command.unless_taken_over and taken_over:
                    raise SupervisionRefused("mode_not_possible", "the customer is hers")
                await self.ends(command.supervision, command.reason)
            case GiveNotice():
                pass

    async def _comes_in(self, command: StartSupervision) -> None:
        """She has answered: she is in the call, waits for one, or has come too late."""
        session = self._session(command.supervision.id)  # it may have been ended meanwhile
        if self._is_there(command.target):
            await self.tells(session, state=SupervisionState.ACTIVE)
            await self._loses(command.target, command.supervision.id)
        elif session.scope is Scope.AGENT:
            await self.tells(session, state=SupervisionState.WAITING)
        else:
            await self.ends(session.id, SupervisionEnd.FAILED)
            raise SupervisionRefused("call_ended", "the call ended while the phone rang")

    async def _loses(self, target: LegId | None, session: SupervisionId) -> None:
        """Have her wait if the leg beside which she was put went meanwhile."""
        own = self._own[session]
        if not self._is_there(target) and own.state is SupervisionState.ACTIVE:
            await self.tells(own, state=SupervisionState.WAITING)

    def _is_there(self, leg: LegId | None) -> bool:
        return leg is not None and leg in self._desk.script.legs

    def _check(self, *legs: LegId) -> None:
        if not all(self._is_there(leg) for leg in legs):
            raise SupervisionRefused("call_ended", "a leg of the call is gone")

    def _session(self, ident: SupervisionId) -> Supervision:
        session = self._own.get(ident) or self._desk.sessions.get(ident)
        if session is None or session.state is SupervisionState.ENDED:
            raise NotFound("supervision", ident)
        return session

    async def tells(self, session: Supervision, **changed: object) -> None:
        """Tell a session as it is now."""
        told = self._own[session.id] = replace(session, **changed)
        await self._desk.feed(SupervisionChanged(pbx=LAB, at=BASE, supervision=told))

    async def ends(self, ident: SupervisionId, reason: SupervisionEnd) -> None:
        """Tell that a session ended. Raises NotFound: it is not there."""
        await self.tells(self._session(ident), state=SupervisionState.ENDED, end=reason, ended_at=BASE)

    async def loses(self, agent: str) -> None:
        """Have the supervisors beside an agent wait: her leg is no more."""
        for session in list(self._own.values()):
            beside = session.agent == agent and session.state is SupervisionState.ACTIVE
            if beside and session.mode is not Mode.TAKEOVER:
                await self.tells(session, state=SupervisionState.WAITING)


def to(wanted: Mode) -> ChangeRequest:
    """A request for another mode."""
    return ChangeRequest(mode=ModeAsked(wanted))


def by_rule(session: Supervision, reason: SupervisionEnd) -> EndSupervision:
    """The command that ends a session which nobody asked to end."""
    return EndSupervision(supervision=session.id, reason=reason, unless_taken_over=True)


def audited(desk: Desk) -> list[tuple[Entry, Supervision]]:
    """The entries of sessions that there were."""
    return [(entry, entry.supervision) for entry in desk.entries() if entry.supervision is not None]


async def refused_of(desk: Desk, request: StartRequest, user: User = SOFIA) -> CtidError:
    """Have a request refused before anything is sent, and see that the audit says who asked for what."""
    commands, journal = list(desk.pbx.commands), list(desk.journal)
    with pytest.raises(CtidError) as refused:
        await desk.service.start(user, request)
    assert desk.pbx.commands == commands
    assert desk.journal.count("audit refused") == journal.count("audit refused") + 1
    entry = next(entry for entry in reversed(desk.entries()) if entry.event == "refused")
    assert (entry.supervision, entry.request) == (None, request)
    assert (entry.by, entry.detail) == (user.name, refused.value.code)
    return refused.value


def read_audit(folder: Path) -> list[Entry]:
    """The entries of an audit's folder, which may not be there yet."""
    if not folder.exists():
        return []
    entries = [
        msgspec.convert({"event": record.event, **(payload_of(record) or {})}, Entry, dec_hook=dec_hook)
        for record in Files(folder).records()
    ]
    return [
        replace(entry, request=msgspec.convert(entry.request, StartRequest)) if entry.request else entry
        for entry in entries
    ]
