"""A floor of facts behind a real server on a free port, and clients of it."""

import asyncio
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from shutil import rmtree
from tempfile import gettempdir
from typing import Any, Self
from uuid import uuid4

import aiohttp
from argon2 import PasswordHasher
from msgspec import Struct
from msgspec.structs import replace

from api.history import KeptInMemory
from ctid.agents.commander import Commander
from ctid.agents.policy import Placement
from ctid.agents.policy import Policy as AgentPolicy
from ctid.agents.service import AgentService
from ctid.api.context import ApiContext, Limits, Web
from ctid.api.door import Door
from ctid.api.operations import OPERATIONS
from ctid.api.server import ApiServer
from ctid.audit import Audit
from ctid.audit.retention import AuditDays, Retention
from ctid.audit.subjects import AuditReader, Subjects
from ctid.calls.acts import Acts
from ctid.calls.index import RecordingIndex
from ctid.calls.outreach import OutreachService
from ctid.calls.policy import CallPolicy
from ctid.calls.recordings import Recordings
from ctid.calls.service import CallService
from ctid.coaching import sheets
from ctid.coaching.kept import Kept as KeptSheets
from ctid.coaching.service import CoachingService, Rules
from ctid.coaching.sheets import Criterion
from ctid.help.kept import Kept as KeptHands
from ctid.help.service import HelpService
from ctid.hub import Hub
from ctid.identity.directory import Directory
from ctid.identity.kept import Kept as KeptIdentity
from ctid.identity.oidc import Oidc
from ctid.identity.passwords import Passwords
from ctid.identity.registry import Known
from ctid.identity.service import Identity
from ctid.identity.tokens import token_hash
from ctid.model.commands import CallCommand, Command, LogInAgent, LogOutAgent, PauseAgent, ResumeAgent
from ctid.model.entities import Help, Supervision
from ctid.model.errors import CtidError, NotFound
from ctid.model.facts import (
    DeviceInfo,
    Fact,
    HelpChanged,
    Leg,
    LegChanged,
    LinkUp,
    Member,
    MemberChanged,
    MemberRemoved,
    QueueInfo,
    Snapshot,
    SupervisionChanged,
)
from ctid.model.ids import AgentId, CallId, DeviceId, HelpId, LegId, PbxId, QueueId, SheetId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import (
    Carrier,
    DeviceState,
    HelpState,
    LegState,
    Mode,
    Origin,
    Purpose,
    SupervisionEnd,
    SupervisionState,
)
from ctid.state.profile import AgentProfile, Profiles
from ctid.state.store import Store
from ctid.supervision.gate import Gate
from ctid.supervision.law import Law
from ctid.supervision.requests import ChangeRequest, ModeAsked, StartRequest
from ctid.supervision.rights import Rights, Staff
from ctid.tasks import TaskOwner
from ctid.webhooks.words import DeadLetter, Retried, Tested, WebhookState, WebhookStatus
from helpers.acts_desk import ActedPbx
from helpers.fakes import FakeConnection

PBX = PbxId("lab")
CALL_POLICY = CallPolicy(prefixes=("01", "8000"))
BOOT = "0123456789abcdef"
NOW = Instant(1_780_000_000.25)
CALL = CallId("lab.100.1")
SESSION = SupervisionId("s1")
HAND = HelpId("h1")
SHEET = SheetId("c1")
DEADLINE_S = 10.0
EXPIRES_S, EDIT_S = 300.0, 3600.0
QUICK = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
"""Hashes that a test need not wait for."""
GRID = (Criterion(id="greeting", label="Greeting"), Criterion(id="closing"))
AGENT_POLICY = AgentPolicy(
    pbx=PBX,
    placements={AgentId("1009"): Placement(name="Xue", queues=(QueueId("sales"),))},
    pause_reasons=("lunch", "training"),
)
"""1009 is in no queue yet, and belongs into `sales`; two reasons of a pause are allowed."""


class Token(Struct, frozen=True, kw_only=True):
    """A token as the configuration would tell it."""

    name: str
    role: UserRole
    sha256: str
    phones: tuple[str, ...] = ()
    expires: Instant | None = None
    teams: tuple[str, ...] = ()
    agent: str = ""
    scopes: tuple[str, ...] = ()


def token_of(role: str) -> str:
    """The token of a role in these tests."""
    return f"ctid_test-{role}"


_BEARERS = [
    Token(
        name=f"a {role}",
        role=role,
        sha256=token_hash(token_of(role)),
        phones=("2001",),
        teams=("*",) if role is UserRole.SUPERVISOR else (),
        agent="1001" if role is UserRole.AGENT else "",
    )
    for role in UserRole
]
TOKENS = (
    *_BEARERS,
    Token(
        name="a stranger",
        role=UserRole.SUPERVISOR,
        sha256=token_hash(token_of("stranger")),
        teams=("blue",),
    ),
)
"""One of each role, and the stranger: a supervisor of the team blue alone."""


async def eventually(holds: Callable[[], object]) -> None:
    """Wait until something holds, for a bounded time."""
    async with asyncio.timeout(DEADLINE_S):
        while not holds():  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(0.001)


class ManualClock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.time = float(NOW)

    def now(self) -> float:
        """The time it was set to."""
        return self.time


def leg(ident: str, **fields: Any) -> Leg:
    """A leg of the one call, connected."""
    known: dict[str, Any] = {
        "call": "100.1",
        "created_at": NOW,
        "incoming": True,
        "state": LegState.CONNECTED,
        "conversation": "bridge",
    }
    return Leg(id=LegId(ident), **(known | fields))


CUSTOMER = leg("100.1", number="0612345678", name="Ada", dialled="7000", queue=QueueId("support"))
AGENT = leg("100.2", incoming=False, device=DeviceId("PJSIP_1001"), number="1001")


def member(agent: str, queue: str = "support", **fields: Any) -> Member:
    """An idle member of a queue."""
    return Member(
        queue=QueueId(queue),
        agent=AgentId(agent),
        name=f"Agent {agent}",
        device=DeviceId(f"PJSIP_{agent}"),
        device_state=DeviceState.IDLE,
        **fields,
    )


def session_of(user: str, **fields: Any) -> Supervision:
    """An active session in the one call."""
    known: dict[str, Any] = {
        "id": SESSION,
        "pbx": PBX,
        "state": SupervisionState.ACTIVE,
        "mode": "listen",
        "since": NOW,
        "started_at": NOW,
        "supervisor": user,
        "phone": "2001",
        "agent": AgentId("1001"),
        "call": CALL,
        "purpose": Purpose.TRAINING,
    }
    return Supervision(**(known | fields))


class FakeSupervisions:
    """Sessions that do as they are told at once, or refuse with the error that was set."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.refusal: Exception | None = None
        self.asked: list[tuple[str, User, Struct | None]] = []
        self._ended = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def start(
        self,
        user: User,
        request: StartRequest,
        *,
        origin: Origin = Origin.SUPERVISOR,
        help: HelpId | None = None,  # noqa: A002 - the field's name
    ) -> Supervision:
        """Start the one session; the one after an end has an id of its own, as an id never comes back."""
        self.asked.append(("start", user, request))
        await self._refuse()
        started = session_of(
            user.name,
            id=SupervisionId(f"{SESSION}-{self._ended}") if self._ended else SESSION,
            mode=request.mode,
            note=request.note,
            purpose=request.purpose,
            origin=origin,
            help=help,
        )
        await self._told(started)
        return started

    async def change(
        self,
        user: User,
        ident: SupervisionId,
        request: ChangeRequest,
        check: Callable[[Supervision], None] | None = None,
    ) -> Supervision:
        """Switch the one session."""
        self.asked.append(("change", user, request))
        await self._refuse()
        if check is not None:
            check(self._known(ident))
        if request.mode is ModeAsked.HANDBACK:
            return await self._end(ident)
        asked = {name: getattr(request, name) for name in ("hear", "muted", "lead")}
        asked["mode"] = Mode(request.mode) if request.mode is not None else None
        changed = replace(
            self._known(ident), **{name: value for name, value in asked.items() if value is not None}
        )
        await self._told(changed)
        return changed

    async def end(self, user: User, ident: SupervisionId) -> Supervision:
        """End the one session."""
        self.asked.append(("end", user, None))
        await self._refuse()
        return await self._end(ident)

    async def _end(self, ident: SupervisionId) -> Supervision:
        self._ended += 1
        ended = replace(
            self._known(ident),
            state=SupervisionState.ENDED,
            end=SupervisionEnd.RELEASED,
            ended_at=NOW,
        )
        await self._told(ended)
        return ended

    async def _refuse(self) -> None:
        await self.gate.wait()
        if self.refusal is not None:
            raise self.refusal

    def _known(self, ident: SupervisionId) -> Supervision:
        session = self._hub.store.supervisions.get(ident)
        if session is None:
            raise NotFound("supervision", ident)
        return session

    async def _told(self, session: Supervision) -> None:
        await self._hub.feed([SupervisionChanged(pbx=PBX, at=NOW, supervision=session)])
        assert await self._hub.until(self._hub._facts.empty, DEADLINE_S)


class FakeReconciler:
    """Has the PBX list what the test set, or refuses with the error that was set."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.refusal: Exception | None = None
        self.lists: Snapshot | None = None

    async def reconcile(self, pbx: PbxId) -> None:
        """Tell the snapshot."""
        if pbx != PBX:
            raise NotFound("pbx", pbx)
        if self.refusal is not None:
            raise self.refusal
        if self.lists is not None:
            await self._hub.feed([self.lists])
        assert await self._hub.until(self._hub._facts.empty, DEADLINE_S)


class PlayedQueues(FakeConnection):
    """A PBX whose queues and calls do what they are told, and that tells of it at once."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self._hub = hub
        self.refuses: dict[str, CtidError] = {}
        """By queue: what a command there is refused with."""
        self.acted = ActedPbx(hub, PBX)

    async def execute(self, command: Command) -> None:
        """Carry out a command to an agent, or of a call."""
        if isinstance(command, CallCommand):
            await self.acted.execute(command)
            return
        assert isinstance(command, LogInAgent | LogOutAgent | PauseAgent | ResumeAgent)
        if command.queue in self.refuses:
            raise self.refuses[command.queue]
        members = self._hub.store.rows[PBX].members.get(command.agent, {})
        known = members.get(command.queue) or member(command.agent, command.queue)
        if isinstance(command, LogOutAgent):
            left = MemberRemoved(pbx=PBX, at=NOW, queue=command.queue, agent=command.agent)
            await self._hub.feed([left])
            return
        paused = isinstance(command, PauseAgent) or (isinstance(command, LogInAgent) and command.paused)
        reason = "" if isinstance(command, ResumeAgent) else command.reason
        now = replace(known, paused=paused, reason=reason)
        await self._hub.feed([MemberChanged(pbx=PBX, at=NOW, member=now)])


class FakeWebhooks:
    """One webhook, `crm`, with one dead letter that can be retried once."""

    def __init__(self) -> None:
        self._dead = [
            DeadLetter(
                id=f"{BOOT}-1",
                type="ctid.call.answered",
                subject=f"calls/{CALL}",
                kept_at=NOW,
                died_at=NOW,
                tries=1,
                reason="answered 400 Bad Request",
            )
        ]

    def status(self) -> tuple[WebhookStatus, ...]:
        """How it stands."""
        return (
            WebhookStatus(
                name="crm",
                host="https://crm.example",
                state=WebhookState.OK,
                since=NOW,
                delivered=3,
                waiting=0,
                dead=len(self._dead),
                dropped=0,
                last_error="answered 400 Bad Request",
                last_error_at=NOW,
                degraded="",
            ),
        )

    async def dead(
        self, name: str, after: tuple[float, int] | None, limit: int
    ) -> Sequence[tuple[int, DeadLetter]]:
        """Its dead letters."""
        self._check(name)
        return [] if after else list(enumerate(self._dead, 1))[:limit]

    async def retry(self, name: str, events: Collection[str] | None) -> Retried:
        """Revive those."""
        self._check(name)
        found = [letter for letter in self._dead if events is None or letter.id in events]
        self._dead = [letter for letter in self._dead if letter not in found]
        return Retried(retried=len(found))

    async def test(self, name: str) -> Tested:
        """Deliver."""
        self._check(name)
        return Tested(id=f"{BOOT}-9-test-1", delivered=True, status=204, answer="", problem="")

    def _check(self, name: str) -> None:
        if name != "crm":
            raise NotFound("webhook", name)


class Reply(Struct, frozen=True, kw_only=True):
    """An answer over HTTP."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The document."""
        return json.loads(self.text)


class Floor:
    """A hub with one call between customer 0612345678 and agent 1001, and the API before it."""

    def __init__(
        self,
        limits: Limits | None = None,
        required: tuple[str, ...] = ("lab",),
        listen: str = "127.0.0.1:0",
        web: Web | None = None,
        boot_id: str = BOOT,
        oidc: Callable[[], Oidc] | None = None,
        tokens: Sequence[Token] = TOKENS,
    ) -> None:
        profiles = Profiles(
            agents={
                AgentId("1001"): AgentProfile(name="Zoe", team="red"),
                AgentId("1002"): AgentProfile(name="Yan", team="blue"),
            }
        )
        self.clock = ManualClock()
        self.hub = Hub(Store(profiles), self.clock)
        self.supervisions = FakeSupervisions(self.hub)
        self.pbx = PlayedQueues(self.hub)
        self.reconciler = FakeReconciler(self.hub)
        self.history = KeptInMemory()
        self.folder = Path(gettempdir()) / f"ctid-api-{uuid4().hex}"
        self.audit = Audit(self.folder, self.clock)
        kept = KeptHands(self.folder)
        self.hands = HelpService(self.hub, self.supervisions, kept, self.clock, EXPIRES_S)
        self.sheets = KeptSheets(self.folder)
        rules = Rules(grid=GRID, edit_s=EDIT_S)
        self.coaching = CoachingService(self.hub, self.sheets, rules, Rights(), self.clock)
        self.broker: dict[str, Any] = {"connected": True, "published": 7, "dropped": 1}
        self.gate = Gate(
            staff=Staff(teams={AgentId("1009"): ""}, protected=frozenset({AgentId("1004")})),
            law=Law(periods_required=False),
        )
        acts = Acts(self.hub, self.clock)
        self.index = RecordingIndex(Path())
        self.recordings = Recordings(self.hub, self.index, 180)
        self.identity = Identity(
            KeptIdentity(self.folder),
            Directory(tokens),
            self.audit,
            self.clock,
            asyncio.get_running_loop().time,
            known=Known(
                taken=frozenset(token.name for token in tokens),
                phones=frozenset({"2001"}),
                operations=frozenset(OPERATIONS),
            ),
            passwords=Passwords(QUICK),
        )
        self.context = ApiContext(
            hub=self.hub,
            supervisions=self.supervisions,
            agents=AgentService(self.hub, Commander(self.hub), AGENT_POLICY, self.clock),
            calls=CallService(self.hub, acts, CALL_POLICY, self.recordings, self.clock),
            outreach=OutreachService(self.hub, acts, CALL_POLICY, self.clock, lambda: True),
            reconciler=self.reconciler,
            history=self.history,
            audit=self.audit,
            retention=Retention(self.audit, self.clock, (AuditDays(self.audit, 365),)),
            subjects=Subjects(self.audit, self.clock, (AuditReader(self.audit),)),
            hands=self.hands,
            coaching=self.coaching,
            identity=self.identity,
            oidc=oidc() if oidc is not None else None,
            webhooks=FakeWebhooks(),
            gate=self.gate,
            clock=self.clock,
            version="9.9.9",
            boot_id=boot_id,
            site="test",
            started_at=NOW,
            broker_status=lambda: self.broker,
            required=frozenset(PbxId(name) for name in required),
            listen=listen,
            web=web or Web(),
            limits=limits or Limits(),
        )
        self.door = Door(self.context, asyncio.get_running_loop().time)
        self.server = ApiServer(self.door)
        self._tasks = TaskOwner()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self.folder.mkdir()
        self.index.path = self.folder / "recordings.db"
        self._tasks.spawn("hub", self.hub.run())
        self._tasks.spawn("help", self.hands.run())
        self._tasks.spawn("coaching", self.coaching.run())
        self.hub.attach(PBX, self.pbx)
        await self.identity.open()
        await self.server.start()
        host, port = self.server.address
        scheme = "http" if self.context.web.certificate is None else "https"
        self.url = f"{scheme}://{host}:{port}"
        self._http = aiohttp.ClientSession(
            self.url, auto_decompress=False, headers={"Accept-Encoding": "identity"}
        )
        return self

    async def __aexit__(self, *_error: object) -> None:
        assert self._http is not None
        await self._http.close()
        await self.server.close()
        await self._tasks.close()
        if self.context.oidc is not None:
            await self.context.oidc.close()
        await self.identity.close()
        self.recordings._thread.shutdown()
        self.index.close()
        rmtree(self.folder)

    @property
    def subscriptions(self) -> list[str]:
        """Who follows the hub for the API: its feed, and a socket each."""
        rooms = ("help", "coaching")
        return [one.name for one in self.hub._subscriptions if one.name not in rooms]

    @property
    def http(self) -> aiohttp.ClientSession:
        """A client without a token."""
        assert self._http is not None
        return self._http

    async def feed(self, *facts: Fact) -> None:
        """Hand in facts and wait for them to be in the state."""
        await self.hub.feed(facts)
        assert await self.hub.until(self.hub._facts.empty, DEADLINE_S)

    async def populate(self) -> None:
        """The link, its snapshot, two queues, four agents, one call."""
        await self.feed(
            LinkUp(pbx=PBX, at=NOW, driver="asterisk", version="22"),
            Snapshot(
                pbx=PBX,
                at=NOW,
                legs=(CUSTOMER, AGENT),
                members=(
                    member("1001", serving=LegId("100.1"), in_call=True),
                    member("1002"),
                    member("1003", "sales"),
                    member("1004", "sales", paused=True, reason="lunch"),
                ),
                queues=(QueueInfo(id=QueueId("support")), QueueInfo(id=QueueId("sales"))),
                devices=tuple(
                    DeviceInfo(id=DeviceId(f"PJSIP_{name}"), state=DeviceState.IDLE)
                    for name in ("1001", "1002", "2001")
                ),
                supervisions=(),
            ),
        )

    async def supervise(self) -> None:
        """Let there be a session in the call."""
        await self.feed(SupervisionChanged(pbx=PBX, at=NOW, supervision=session_of("a supervisor")))

    async def raise_hand(self) -> None:
        """Let 1001 have raised her hand."""
        hand = Help(
            id=HAND,
            pbx=PBX,
            agent=AgentId("1001"),
            team="red",
            call=CALL,
            state=HelpState.OPEN,
            since=NOW,
            raised_at=NOW,
            by=Carrier.FEATURE_CODE,
            text="he shouts",
            expires_at=Instant(NOW + EXPIRES_S),
        )
        await self.feed(HelpChanged(pbx=PBX, at=NOW, help=hand))

    async def coach(self) -> None:
        """Let the supervisor have written a sheet about 1001."""
        session = sheets.session_of(session_of("a supervisor", id=SupervisionId("s0")), None, "red")
        assert session is not None
        sheet = sheets.written(SHEET, session, GRID, {"greeting": 4}, "well done", now=NOW, edit_s=EDIT_S)
        assert await self.sheets.add(sheet) is None

    async def pause(self, agent: str, reason: str) -> None:
        """One change of one agent, and of her queue."""
        await self.feed(
            MemberChanged(pbx=PBX, at=NOW, member=member(agent, paused=bool(reason), reason=reason))
        )

    async def renumber(self, number: str) -> None:
        """One change of the call."""
        await self.feed(LegChanged(pbx=PBX, at=NOW, leg=replace(CUSTOMER, number=number)))

    async def request(self, method: str, path: str, role: str | None = "supervisor", **options: Any) -> Reply:
        """Ask over HTTP; `path` is taken as it is written, encoding included."""
        headers = dict(options.pop("headers", {}))
        if role is not None:
            headers.setdefault("Authorization", f"Bearer {token_of(role)}")
        options.setdefault("allow_redirects", False)
        async with self.http.request(method, path, headers=headers, **options) as response:
            return Reply(status=response.status, headers=response.headers, text=await response.text())

    async def get(self, path: str, role: str | None = "supervisor") -> Reply:
        """GET beneath the API's base."""
        return await self.request("GET", f"/api/v1{path}", role)

    async def events(self, query: str = "", role: str = "supervisor", **options: Any) -> "Events":
        """Follow the events."""
        headers = {"Authorization": f"Bearer {token_of(role)}"}
        socket = await self.http.ws_connect(f"/api/v1/events{query}", headers=headers, **options)
        return Events(socket)


class Events:
    """A client of the event stream."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket

    async def next(self) -> Any:
        """The next message but heartbeats."""
        while True:
            message = json.loads(await self.socket.receive_str(timeout=DEADLINE_S))
            if message["type"] != "heartbeat":
                return message

    async def until(self, kind: str) -> Any:
        """The next message of a type; the others are skipped."""
        while True:
            message = await self.next()
            if message["type"] == kind:
                return message

    async def call(self, operation: str, params: Any = None, ident: int | str = 1) -> Any:
        """Carry out an operation."""
        request = {"id": ident, "operation": operation}
        await self.socket.send_json(request | ({"params": params} if params is not None else {}))
        return await self.until("reply")

    async def ended(self) -> int | None:
        """Read to the end; the close code."""
        async with asyncio.timeout(DEADLINE_S):
            while not self.socket.closed:
                await self.socket.receive()
        return self.socket.close_code


def raising(error: Exception) -> str:
    """The code that a refusal is expected to have."""
    return error.code if isinstance(error, CtidError) else "internal"
