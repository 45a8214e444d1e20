"""What the API is given by the composition root."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from msgspec import Struct

from ctid.agents.service import CommandedAgent, Queues
from ctid.api.origins import Origins
from ctid.api.proxies import Proxies
from ctid.api.tags import Expected
from ctid.api.tls import Certificate
from ctid.api.views import Sight
from ctid.audit import Audit
from ctid.audit.retention import Retention
from ctid.audit.subjects import Subjects
from ctid.calls.index import Selection as RecordingSelection
from ctid.calls.words import CommandedCall, QueueTarget, RecordingAction, RecordingEntry, SentMessage
from ctid.coaching.sheets import Grades, Sheet
from ctid.history.entries import Entry
from ctid.history.figures import Figures, Selection
from ctid.history.words import LedgerStatus
from ctid.hub import UPDATES_WAITING, Hub
from ctid.identity.oidc import Oidc
from ctid.identity.service import Identity
from ctid.model.entities import Help, Supervision
from ctid.model.errors import NotFound
from ctid.model.ids import AgentId, CallId, HelpId, PbxId, SheetId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.model.words import CallFlag, Carrier, Mode, Origin
from ctid.ports import Clock
from ctid.rates import COMMANDS, FAILURES, READS, Rate
from ctid.supervision.gate import Gate
from ctid.supervision.requests import ChangeRequest, StartRequest, Via
from ctid.webhooks.words import DeadLetter, Retried, Tested, WebhookStatus


class Supervisions(Protocol):
    """What starts, changes and ends sessions; each raises `CtidError` and then leaves nothing behind."""

    async def start(
        self,
        user: User,
        request: StartRequest,
        *,
        origin: Origin = Origin.SUPERVISOR,
        help: HelpId | None = None,  # noqa: A002 - as the session's field is called
    ) -> Supervision:
        """Start a session; returns once the supervisor is in the call."""
        ...

    async def change(
        self,
        user: User,
        ident: SupervisionId,
        request: ChangeRequest,
        check: Callable[[Supervision], None] | None = None,
    ) -> Supervision:
        """Change a session's mode; returns once it is in force. `check` refuses it as it is by then."""
        ...

    async def end(self, user: User, ident: SupervisionId) -> Supervision:
        """End a session; returns the ended document."""
        ...


class Agents(Protocol):
    """What commands agents; each raises `CtidError`, and answers once the command is in force."""

    async def login(self, user: User, ident: AgentId, queues: Queues) -> CommandedAgent:
        """Make her a member of queues."""
        ...

    async def logout(self, user: User, ident: AgentId, queues: Queues) -> CommandedAgent:
        """End her memberships."""
        ...

    async def pause(self, user: User, ident: AgentId, queues: Queues, reason: str) -> CommandedAgent:
        """Have queues offer her no more calls."""
        ...

    async def resume(self, user: User, ident: AgentId, queues: Queues) -> CommandedAgent:
        """End her pauses."""
        ...

    async def end_after_call_work(self, user: User, ident: AgentId) -> CommandedAgent:
        """End her after-call work."""
        ...

    async def extend_after_call_work(self, user: User, ident: AgentId, seconds: float) -> CommandedAgent:
        """Let her after-call work end later."""
        ...


class Calls(Protocol):
    """What acts on calls; each raises `CtidError`, and answers once the act is in force."""

    async def hang_up(self, user: User, ident: CallId, party: str | None) -> CommandedCall:
        """Hang up a call, or one party of it."""
        ...

    async def transfer(self, user: User, ident: CallId, to: str | QueueTarget) -> CommandedCall:
        """Send the customer on, and release the agent."""
        ...

    async def prioritize(self, user: User, ident: CallId, position: int) -> CommandedCall:
        """Move a waiting call up."""
        ...

    async def record(self, user: User, ident: CallId, action: RecordingAction, basis: str) -> CommandedCall:
        """Start, stop, pause or resume a recording."""
        ...

    async def flag(self, user: User, ident: CallId, flag: CallFlag) -> CommandedCall:
        """Protect a call from being listened to and recorded."""
        ...

    async def recordings(self, selection: RecordingSelection) -> list[RecordingEntry]:
        """Recordings of the index, the newest first."""
        ...


class Outreach(Protocol):
    """What reaches agents; each raises `CtidError`."""

    async def dial(self, user: User, ident: AgentId, number: str) -> CommandedCall:
        """Call a number with her phone; returns once it rings."""
        ...

    async def message(self, user: User, ident: AgentId, text: str) -> SentMessage:
        """Send her a text."""
        ...


class Hands(Protocol):
    """What raises hands and has them claimed; each raises `CtidError`."""

    async def ask(self, user: User, ident: AgentId, text: str, by: Carrier) -> Help:
        """Raise an agent's hand."""
        ...

    async def withdraw(self, user: User, ident: HelpId) -> Help:
        """Take a hand down; returns it as it ended."""
        ...

    async def claim(self, user: User, ident: HelpId, via: Via, mode: Mode) -> Supervision:
        """Take a hand; returns the session once the supervisor is in the call."""
        ...


class Coaching(Protocol):
    """What keeps the coaching sheets; each raises `CtidError`."""

    async def write(
        self, user: User, ident: SupervisionId, agent: str | None, grades: Grades, text: str
    ) -> Sheet:
        """Write the sheet of a session of hers."""
        ...

    async def mend(self, user: User, ident: SheetId, grades: Grades, text: str | None) -> Sheet:
        """Change a sheet of hers."""
        ...

    async def comment(self, user: User, ident: SheetId, text: str) -> Sheet:
        """Answer a sheet about her."""
        ...

    async def sheet(self, user: User, ident: SheetId) -> Sheet:
        """A sheet that she may read."""
        ...

    async def versions(self, user: User, ident: SheetId) -> Sequence[Sheet]:
        """Every version of it."""
        ...

    async def sheets(
        self, user: User, agent: str | None, after: tuple[float, str] | None, limit: int
    ) -> Sequence[Sheet]:
        """The sheets that she may read, the newest first."""
        ...


class Reconciler(Protocol):
    """What asks a PBX for its lists, and has the state follow them."""

    async def reconcile(self, pbx: PbxId) -> None:
        """Take a snapshot; returns once it is in force. Raises `CtidError`."""
        ...


class History(Protocol):
    """What keeps the ledger. Its figures raise `LedgerUnavailable` while it cannot be read."""

    def status(self) -> LedgerStatus:
        """How the ledger is."""
        ...

    async def figures(self, selection: Selection) -> Figures:
        """The figures of a period."""
        ...

    async def moments(
        self, selection: Selection, after: tuple[float, int] | None, limit: int
    ) -> tuple[list[Entry], tuple[float, int] | None]:
        """A page of the moments behind a figure, and where the next one begins."""
        ...


class WebhookRoom(Protocol):
    """What sends events to webhooks; all but `status` raise `CtidError`."""

    def status(self) -> tuple[WebhookStatus, ...]:
        """How each stands."""
        ...

    async def dead(
        self, name: str, after: tuple[float, int] | None, limit: int
    ) -> Sequence[tuple[int, DeadLetter]]:
        """Dead letters with their positions, after one's death and position."""
        ...

    async def retry(self, name: str, events: Collection[str] | None) -> Retried:
        """Have dead letters wait again."""
        ...

    async def test(self, name: str) -> Tested:
        """Send a test event."""
        ...


class Limits(Struct, frozen=True, kw_only=True):
    """Bounds of one client and of the server; times in seconds."""

    body_bytes: int = 64 * 1024
    head_s: float = 10.0
    """Within this a new connection must bring the head of its first request."""
    body_s: float = 10.0
    """Within this the whole body must arrive."""
    send_s: float = 10.0
    """Within this a socket's client must take a message."""
    close_s: float = 3.0
    """Within this a closing handshake must be over; then the connection is cut."""
    heartbeat_s: float = 15.0
    """After this much silence a socket gets a heartbeat; a WebSocket ping goes out as often."""
    waiting: int = UPDATES_WAITING
    """Updates that may wait for one socket."""
    ring: int = 16_384
    """Updates kept for those who resume."""
    shutdown_s: float = 2.0
    """For answers under way when the server stops."""
    in_flight: int = 16
    """Operations that one socket may have under way."""
    commands: Rate = COMMANDS
    """How often one user may command."""
    reads: Rate = READS
    """How often one user may read."""
    failures: Rate = FAILURES
    """How often one peer may come without a good token before it is told to wait."""


@dataclass(frozen=True, kw_only=True)
class Web:
    """How the listener meets the world."""

    certificate: Certificate | None = None
    """None: it speaks no TLS."""
    proxies: Proxies = field(default_factory=Proxies)
    origins: Origins = field(default_factory=Origins)
    proxies_only: bool = False
    """Whether nobody but this machine and the trusted proxies may ask: others would send tokens in clear."""


@dataclass(frozen=True, kw_only=True)
class ApiContext:
    """All that operations and carriers lean on. `listen` is `host:port`, port 0 for any free one."""

    hub: Hub
    supervisions: Supervisions
    agents: Agents
    calls: Calls
    outreach: Outreach
    reconciler: Reconciler
    history: History
    audit: Audit
    retention: Retention
    subjects: Subjects
    hands: Hands
    coaching: Coaching
    identity: Identity
    webhooks: WebhookRoom
    gate: Gate
    clock: Clock
    version: str
    boot_id: str
    site: str
    started_at: Instant
    broker_status: Callable[[], Mapping[str, Any]] | None = None
    """The publisher's `status`, or none when no broker is configured."""
    oidc: Oidc | None = None
    """The provider whose people may log in; none: there is none."""
    required: frozenset[PbxId] = frozenset()
    """The links without which ctid is not ready."""
    carrier: Carrier = Carrier.API
    """By what the requests come that are carried out with this context."""
    expected: Expected | None = None
    """How the client of this very request expects what it changes to be."""
    listen: str = "127.0.0.1:8080"
    web: Web = field(default_factory=Web)
    limits: Limits = field(default_factory=Limits)

    def now(self) -> Instant:
        """The time, UTC."""
        return Instant(self.clock.now())

    def team_of(self, ident: AgentId) -> str:
        """The team of an agent; empty: she is in none.

        Raises:
            NotFound: neither the state nor the configuration knows her.
        """
        agent = self.hub.store.agents.get(ident)
        team = agent.team if agent is not None else self.gate.staff.teams.get(ident)
        if team is None:
            raise NotFound("agent", ident)
        return team

    def sight(self, user: User) -> Sight:
        """What a user sees of the state."""
        return Sight(user, self.gate.rights, self.hub.store)
