"""A supervisor's desk: the service on a hub that runs, and a PBX that carries out what it is told."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec
from msgspec.structs import replace

from ctid.audit import Audit, Entry
from ctid.audit.chain import payload_of
from ctid.audit.files import Files
from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import (
    Command,
    EndSupervision,
    StartSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, NotFound
from ctid.model.facts import Fact, SupervisionChanged
from ctid.model.ids import PbxId, SupervisionId
from ctid.model.instant import dec_hook
from ctid.model.users import User, UserRole
from ctid.model.words import Mode, Purpose, SupervisionEnd, SupervisionState
from ctid.state.changes import Update
from ctid.state.store import Store
from ctid.supervision.gate import Gate
from ctid.supervision.requests import StartRequest, Via
from ctid.supervision.service import Phone, Policy, SupervisionService
from ctid.tasks import TaskOwner
from helpers.fakes import FakeClock, FakeConnection
from helpers.floor import BASE, PROFILES, Floor
from helpers.gates import open_gate

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


def listen(agent: str | None = "1001", *, call: str | None = None, phone: str = "desk") -> StartRequest:
    """A request to listen, by a phone."""
    return StartRequest(via=Via(phone=phone), purpose=Purpose.QUALITY, agent=agent, call=call)


class Script(Floor):
    """A floor of its own, whose facts wait to be handed to a hub."""

    def __init__(self) -> None:
        super().__init__(Store(PROFILES))
        self.facts: list[Fact] = []

    def tell(self, *facts: Fact) -> list[Update]:
        """Apply facts here, and keep them."""
        self.facts += facts
        return super().tell(*facts)


class Desk:
    """Agent 1001 talks with customer c1; `journal` has audits and commands as they came, by name."""

    def __init__(self, directory: Path, policy: Policy | None = None, gate: Gate | None = None) -> None:
        self.clock = FakeClock()
        self.hub = Hub(Store(PROFILES), self.clock)
        self.tasks = TaskOwner()
        self.journal: list[str] = []
        self.audit = JournalAudit(directory, self.journal)
        self.gate = gate or open_gate()
        self.service = SupervisionService(
            self.hub, PHONES, policy or Policy(), self.audit, self.clock, self.gate
        )
        self.script = Script()
        self.pbx = PlayedPbx(self)
        self.other = FakeConnection()

    async def __aenter__(self) -> Self:
        """Start the hub and the service, and let the call begin."""
        self.tasks.spawn("hub", self.hub.run())
        self.tasks.spawn("supervision", self.service.run())
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

    @property
    def sessions(self) -> dict[SupervisionId, Supervision]:
        """The sessions that the state has."""
        return self.hub.store.supervisions

    def entries(self) -> list[Entry]:
        """What the audit holds."""
        return read_audit(self.audit.path)


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
        self.rings: asyncio.Future[None] | None = None
        """Awaited while a phone rings, if there is one."""

    async def _do(self, command: Command) -> None:
        self._desk.journal.append(f"command {type(command).__name__}")
        if type(command) in self.fails:
            raise self.fails[type(command)]
        if type(command) in self.mute:
            return
        match command:
            case StartSupervision():
                await self.tells(command.supervision)
                if self.rings is not None:
                    await self.rings
                await self.tells(command.supervision, state=SupervisionState.ACTIVE)
            case SwitchSupervision():
                await self.tells(self._session(command.supervision), mode=command.mode)
            case TakeOver():
                await self.tells(self._session(command.supervision), mode=Mode.TAKEOVER)
            case EndSupervision():
                await self.ends(command.supervision, command.reason)

    def _session(self, ident: SupervisionId) -> Supervision:
        session = self._desk.sessions.get(ident)
        if session is None:
            raise NotFound("supervision", ident)
        return session

    async def tells(self, session: Supervision, **changed: object) -> None:
        """Tell a session as it is now."""
        changed = {"since": session.since} | changed
        await self._desk.feed(SupervisionChanged(pbx=LAB, at=BASE, supervision=replace(session, **changed)))

    async def ends(self, ident: SupervisionId, reason: SupervisionEnd) -> None:
        """Tell that a session ended. Raises NotFound: it is not there."""
        session = self._session(ident)
        await self.tells(session, state=SupervisionState.ENDED, end=reason, ended_at=BASE)


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
