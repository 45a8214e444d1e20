"""The entities that ctid publishes. Frozen; equal values mean that nothing changed.

Every time is an `Instant` (UTC). `since` is when the entity entered its present `state`; `confirmed_at`
is when the PBX last told of it, by an event or in a snapshot; it alone moving is no change that is
told. `stale` means that the link to its PBX is down and the values are the last ones known. `suspect`
is empty, or says what the PBX's own lists, twice in a row, do not bear out.
"""

from typing import ClassVar

from msgspec import Struct

from ctid.model.ids import AgentId, CallId, DeviceId, HelpId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.quality import Quality
from ctid.model.words import (
    AgentState,
    CallState,
    Carrier,
    DeviceState,
    Direction,
    Hear,
    HelpEnd,
    HelpState,
    LinkState,
    Mode,
    NoticeKind,
    NoticeState,
    Origin,
    PartyState,
    Purpose,
    Recording,
    Registration,
    Role,
    Scope,
    SupervisionEnd,
    SupervisionState,
)


class Pbx(Struct, frozen=True, kw_only=True, gc=False):
    """The link to one PBX."""

    kind: ClassVar[str] = "pbx"
    id: PbxId
    driver: str
    state: LinkState
    since: Instant
    version: str = ""
    reason: str = ""
    """Why the link is down; empty while it is connected."""
    synchronized_at: Instant | None = None
    """When the last snapshot was taken: all of this PBX that is not stale is confirmed by it."""
    drift: int = 0
    """How many differences snapshots have found since ctid started, and mended."""


class Membership(Struct, frozen=True, kw_only=True, gc=False):
    """An agent in one queue."""

    queue: QueueId
    state: AgentState
    reason: str = ""
    """Of this state; what a pause that shows only later is for, `paused_reason` tells."""
    paused: bool = False
    paused_reason: str = ""
    paused_at: Instant | None = None
    penalty: int = 0
    logged_in_at: Instant | None = None
    calls_taken: int = 0
    """The PBX's own counter; it starts at zero whenever the PBX does."""
    missed: int = 0
    """Calls that rang at her in vain since ctid has known her in this queue."""
    last_call_at: Instant | None = None


class AfterCallWork(Struct, frozen=True, kw_only=True, gc=False):
    """What an agent does for a call that is over, until `ends_at`; `queue` brought the call."""

    queue: QueueId
    since: Instant
    ends_at: Instant


class Agent(Struct, frozen=True, kw_only=True, gc=False):
    """A person who takes calls, found as a member of queues."""

    kind: ClassVar[str] = "agent"
    id: AgentId
    pbx: PbxId
    name: str
    team: str = ""
    state: AgentState
    reason: str = ""
    """Of `not_ready`: the pause's reason, or `device_unavailable`."""
    since: Instant
    confirmed_at: Instant | None = None
    stale: bool = False
    suspect: str = ""
    pending: AgentState | None = None
    """The state that follows this one (CSTA pending agent state), while one is known."""
    pending_reason: str = ""
    logged_in_at: Instant | None = None
    """When she joined the first of her queues, as far as the PBX tells it."""
    device: DeviceId | None = None
    call: CallId | None = None
    """The call she is talking in or that rings at her, whichever is further on."""
    after_call_work: AfterCallWork | None = None
    monitored: bool = False
    """A supervisor hears her now, and she is to know: what a lamp on her desk shows."""
    queues: tuple[Membership, ...] = ()


class Device(Struct, frozen=True, kw_only=True, gc=False):
    """A phone: what it does, and whether the PBX can reach it."""

    kind: ClassVar[str] = "device"
    id: DeviceId
    pbx: PbxId
    state: DeviceState
    since: Instant
    confirmed_at: Instant | None = None
    stale: bool = False
    suspect: str = ""
    registration: Registration = Registration.UNKNOWN
    round_trip_ms: float | None = None
    """Of the PBX's last probe of the phone."""
    agent: AgentId | None = None


class Waiting(Struct, frozen=True, kw_only=True, gc=False):
    """A caller who waits in a queue; position 1 is served first."""

    call: CallId
    position: int
    since: Instant


class Queue(Struct, frozen=True, kw_only=True, gc=False):
    """A queue, who waits in it and how its members stand."""

    kind: ClassVar[str] = "queue"
    id: QueueId
    pbx: PbxId
    name: str
    since: Instant
    """When what is told here last changed."""
    confirmed_at: Instant | None = None
    stale: bool = False
    suspect: str = ""
    strategy: str = ""
    waiting: tuple[Waiting, ...] = ()
    agents: dict[AgentState, int] = {}
    """How many members are in each state; states with none are left out."""


class Party(Struct, frozen=True, kw_only=True, gc=False):
    """One party of a call."""

    leg: LegId
    role: Role
    state: PartyState
    since: Instant
    number: str = ""
    name: str = ""
    device: DeviceId | None = None
    agent: AgentId | None = None
    parked: str = ""
    """Where the PBX keeps her parked; her state is `held` meanwhile."""
    conference: str = ""
    """The room in which she is with others."""
    quality: Quality | None = None
    """How her audio travels, by the last reports."""


class Call(Struct, frozen=True, kw_only=True, gc=False):
    """A call and its parties; a supervisor who listens is in `supervisions`, not a party."""

    kind: ClassVar[str] = "call"
    id: CallId
    pbx: PbxId
    state: CallState
    since: Instant
    started_at: Instant
    confirmed_at: Instant | None = None
    stale: bool = False
    suspect: str = ""
    direction: Direction = Direction.INBOUND
    queue: QueueId | None = None
    dialled: str = ""
    answered_at: Instant | None = None
    """When two parties were first connected."""
    ended_at: Instant | None = None
    parties: tuple[Party, ...] = ()
    supervisions: tuple[SupervisionId, ...] = ()
    aliases: tuple[str, ...] = ()
    """The unique ids under which other records know this call."""
    merged_into: CallId | None = None
    recording: Recording = Recording.OFF
    private: bool = False
    """It is not to be listened to or recorded: the agent, or a supervisor, has said so, for good."""
    objected: bool = False
    """The same, because the customer objects."""


class Supervision(Struct, frozen=True, kw_only=True, gc=False):
    """A supervisor's session in a live call."""

    kind: ClassVar[str] = "supervision"
    id: SupervisionId
    pbx: PbxId
    state: SupervisionState
    mode: Mode
    since: Instant
    """When it entered its present state and mode."""
    started_at: Instant
    supervisor: str
    """The authenticated name of who asked for it."""
    phone: str
    """The name, in the configuration, of the phone she uses."""
    agent: AgentId | None
    call: CallId | None
    """The call it is in; none while it is armed, or waits."""
    scope: Scope = Scope.CALL
    hear: Hear = Hear.BOTH
    muted: bool = False
    """Whether the PBX drops what she says, whatever the mode: push-to-talk."""
    lead: bool = True
    """Of several sessions in one call, only the leading one may be heard, or take over."""
    calls: int = 0
    """How many calls it has been in."""
    calls_limit: int | None = None
    until: Instant | None = None
    """When it ends at the latest."""
    origin: Origin = Origin.SUPERVISOR
    help: HelpId | None = None
    """The raised hand that it answers."""
    notice: NoticeKind = NoticeKind.NONE
    notice_state: NoticeState = NoticeState.NOT_DUE
    purpose: Purpose
    note: str = ""
    confirmed_at: Instant | None = None
    stale: bool = False
    suspect: str = ""
    ended_at: Instant | None = None
    end: SupervisionEnd | None = None


class Help(Struct, frozen=True, kw_only=True, gc=False):
    """A raised hand: an agent asks a supervisor for help. ctid owns it, no PBX confirms it."""

    kind: ClassVar[str] = "help"
    id: HelpId
    pbx: PbxId
    agent: AgentId
    team: str = ""
    call: CallId | None = None
    """The conversation she was in; none where she was in none."""
    state: HelpState
    since: Instant
    raised_at: Instant
    by: Carrier
    raised_by: str = ""
    """The authenticated name of who raised it on her behalf; empty where she did herself."""
    text: str = ""
    """What she says about it."""
    claimed_by: str = ""
    """The authenticated name of who has taken it."""
    claimed_at: Instant | None = None
    wait_s: float | None = None
    """From being raised to being taken, in seconds; none while nobody has taken it."""
    supervision: SupervisionId | None = None
    """The session that it led to, once that has begun."""
    expires_at: Instant
    """When it ends by itself unless somebody takes it."""
    ended_at: Instant | None = None
    end: HelpEnd | None = None
    ended_by: str = ""
    """The authenticated name of who withdrew it; empty where it ended by itself."""


Entity = Pbx | Agent | Device | Queue | Call | Supervision | Help
ENTITIES: tuple[type[Entity], ...] = (Pbx, Agent, Device, Queue, Call, Supervision, Help)
