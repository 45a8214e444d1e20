"""What ctid answers, and the parts of what it is asked.

Written by `make client` from the table of operations: change that, not this file.
"""

from typing import Any

from msgspec import UNSET, Struct, UnsetType

from ctid.client.opening import Open
from ctid.model.instant import Instant


class LinkState(Open):
    """Of the link to a PBX."""

    CONNECTED = "connected"
    DOWN = "down"


class Capability(Open):
    """An ability a driver may lack; a command that needs it is then refused before anything is sent."""

    SUPERVISE = "supervise"
    """Listen, whisper and barge, switched live."""
    TAKE_OVER = "take_over"
    PIN = "pin"
    """Ask whoever answers a supervisor's phone for a PIN."""
    HAND_BACK = "hand_back"
    HEAR_CUSTOMER = "hear_customer"
    """Hear the customer alone, whatever the mode."""
    NOTICE_TONE = "notice_tone"
    """Sound a tone that the agent alone hears."""
    AGENT_COMMANDS = "agent_commands"
    """Log agents in and out of queues, pause and resume them."""
    CALL_COMMANDS = "call_commands"
    """Hang up and transfer calls, and keep with them that they are private."""
    PRIORITIZE = "prioritize"
    """Move up who waits in a queue."""
    RECORD = "record"
    """Keep the audio of a call."""
    MESSAGE = "message"
    """Send a text to a phone."""
    DIAL = "dial"
    """Call a number on an agent's behalf."""


class WebhookState(Open):
    """How a webhook stands."""

    OK = "ok"
    FAILING = "failing"
    """Its receiver does not take letters now; they wait, and are tried again."""
    DISABLED = "disabled"
    """Its receiver has answered 410: it gets none until somebody retries, or its URL is another."""


class AgentState(Open):
    """CSTA agent states; `offered`, `busy_other` and `unknown` are ctid's."""

    LOGGED_OUT = "logged_out"
    NOT_READY = "not_ready"
    READY = "ready"
    OFFERED = "offered"
    """A call rings at the agent."""
    BUSY = "busy"
    """On a call of a queue, held included."""
    BUSY_OTHER = "busy_other"
    """On a call that is not from a queue."""
    WORKING_AFTER_CALL = "working_after_call"
    UNKNOWN = "unknown"


class CallState(Open):
    """Where a call as a whole stands."""

    INITIATED = "initiated"
    """One party, alone with the PBX: dialling, or in a voice menu."""
    QUEUED = "queued"
    ALERTING = "alerting"
    CONNECTED = "connected"
    HELD = "held"
    ENDED = "ended"


class Direction(Open):
    """Of a call, as the call centre sees it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class Role(Open):
    """Who a party is in a call."""

    CUSTOMER = "customer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    OTHER = "other"


class PartyState(Open):
    """CSTA local connection states of one party of a call."""

    INITIATED = "initiated"
    QUEUED = "queued"
    ALERTING = "alerting"
    CONNECTED = "connected"
    HELD = "held"


class Recording(Open):
    """Whether the PBX keeps the audio of a call, or of one leg."""

    OFF = "off"
    ON = "on"
    PAUSED = "paused"
    """It goes on, and keeps silence until it is resumed."""


class DeviceState(Open):
    """What a phone is doing."""

    IDLE = "idle"
    RINGING = "ringing"
    IN_USE = "in_use"
    HELD = "held"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class Registration(Open):
    """Whether a phone has told the PBX where it is, and whether it answers there (RFC 3261, section 10)."""

    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    UNREACHABLE = "unreachable"
    """It registered, and does not answer any more."""
    UNKNOWN = "unknown"


class GapCause(Open):
    """Why ctid did not see it."""

    AWAY = "away"
    """ctid did not run."""
    LINK_DOWN = "link_down"
    OVERRUN = "overrun"
    """The ledger did not keep up with the events."""
    LEDGER = "ledger"
    """The ledger could not be written for longer than the memory holds."""


class GapState(Open):
    """What became of a time that ctid did not see."""

    OPEN = "open"
    """It has not been filled yet."""
    FILLED = "filled"
    """The PBX's log told all of it."""
    PARTLY = "partly"
    """Something of it is known; `detail` says what is not."""
    UNKNOWN = "unknown"
    """Nothing of it is known."""


class SupervisionState(Open):
    """Where a supervision session stands; which follows which is in `ctid.model.lifecycle`."""

    REQUESTED = "requested"
    """Armed: her phone rings when the agent's next call begins."""
    RINGING = "ringing"
    """The supervisor's phone rings."""
    ACTIVE = "active"
    """She is in a call."""
    SWITCHING = "switching"
    """Who hears whom is being changed."""
    WAITING = "waiting"
    """Her phone is up and in no call; a quiet tone tells her that the line is there."""
    ENDED = "ended"


class Mode(Open):
    """Who hears the supervisor."""

    LISTEN = "listen"
    """Nobody."""
    WHISPER = "whisper"
    """The agent alone."""
    BARGE = "barge"
    """Agent and customer."""
    TAKEOVER = "takeover"
    """The customer: the agent has been released."""


class Scope(Open):
    """What a session follows."""

    CALL = "call"
    """One call, to whichever agent it goes."""
    NEXT = "next"
    """The agent's next call, and that one alone."""
    AGENT = "agent"
    """The agent's calls, one after the other; her phone stays up between them."""


class Hear(Open):
    """Whom the supervisor hears."""

    BOTH = "both"
    AGENT = "agent"
    CUSTOMER = "customer"


class Origin(Open):
    """At whose wish a session began."""

    SUPERVISOR = "supervisor"
    AGENT_REQUEST = "agent_request"
    """The agent raised a hand."""


class NoticeKind(Open):
    """How an agent is told that she is listened to."""

    NONE = "none"
    TONE = "tone"
    """In her ear, and not in the customer's."""
    MESSAGE = "message"
    """A text on her phone."""
    MQTT = "mqtt"
    """On the bus alone, for a lamp or a screen."""


class NoticeState(Open):
    """Whether an agent has been told that she is listened to."""

    NOT_DUE = "not_due"
    DUE = "due"
    GIVEN = "given"
    FAILED = "failed"


class Purpose(Open):
    """Why a supervisor listens; the law asks for it to be said."""

    QUALITY = "quality"
    TRAINING = "training"
    EVALUATION = "evaluation"
    ASSISTANCE = "assistance"
    EMERGENCY = "emergency"


class SupervisionEnd(Open):
    """Why a supervision session ended."""

    RELEASED = "released"
    """By a request."""
    SUPERVISOR_HUNG_UP = "supervisor_hung_up"
    CALL_ENDED = "call_ended"
    FAILED = "failed"
    """It never began; the request that asked for it was told why."""
    LOST = "lost"
    """The PBX no longer knows it."""
    CALLS_DONE = "calls_done"
    """It has followed the agent through as many calls as it was to."""
    TIME_UP = "time_up"
    FORBIDDEN = "forbidden"
    """A rule holds by now: the call is private, the customer objects, the agent who has it is protected."""
    HANDED_BACK = "handed_back"
    """The customer is with the agent again."""


class HelpState(Open):
    """Where a raised hand stands."""

    OPEN = "open"
    """Nobody has taken it yet."""
    CLAIMED = "claimed"
    """A supervisor has taken it: her phone rings, or she is in the call."""
    ENDED = "ended"


class Carrier(Open):
    """By what a request came."""

    API = "api"
    MQTT = "mqtt"
    FEATURE_CODE = "feature_code"
    """Dialled, or pressed in a call."""


class HelpEnd(Open):
    """Why a raised hand is down again."""

    ANSWERED = "answered"
    """A supervisor was in the call, and has left it."""
    WITHDRAWN = "withdrawn"
    """By the agent herself, or by a supervisor."""
    EXPIRED = "expired"
    """Nobody took it in time."""
    CALL_ENDED = "call_ended"
    """The call that it was about is over for her."""


class SubjectKind(Open):
    """By what a person is known here."""

    AGENT = "agent"
    NUMBER = "number"
    """A telephone number: a customer's, who is kept nowhere but in what people wrote."""


class UserRole(Open):
    """The roles a token can have."""

    VIEWER = "viewer"
    """Sees the floor, callers' numbers masked."""
    INTEGRATOR = "integrator"
    """A tool that reads the state, callers' numbers masked."""
    SUPERVISOR = "supervisor"
    """Sees the floor and supervises calls by the phones she is allowed."""
    ADMIN = "admin"
    AGENT = "agent"
    """Sees what concerns herself: her state, the sessions about her, her coaching sheets."""
    PRINCIPAL = "principal"
    """Whoever ordered a campaign: sees figures, and nobody by name."""


class When(Open):
    """From when on a pause is to hold."""

    NOW = "now"
    """The PBX offers her no more calls; one that rings at her, or that she is in, goes on."""
    AFTER_CALL = "after_call"
    """The same to a PBX: her state is `not_ready` when the call is over, and `pending` says so until then."""


class RecordingAction(Open):
    """What is to become of a call's recording."""

    START = "start"
    STOP = "stop"
    PAUSE = "pause"
    """It goes on, and keeps silence: while a card's number is told."""
    RESUME = "resume"


class ModeAsked(Open):
    """What a session can be switched to: the modes, and from a take-over back."""

    LISTEN = "listen"
    WHISPER = "whisper"
    BARGE = "barge"
    TAKEOVER = "takeover"
    HANDBACK = "handback"
    """The customer is returned to the agent, and the session ends."""


class Pbx(Struct, frozen=True, kw_only=True):
    """The link to one PBX."""

    id: str
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


class WebhookStatus(Struct, frozen=True, kw_only=True):
    """One webhook. `delivered` and `dropped` count since ctid's start."""

    name: str
    host: str
    """Where it sends to, without the path, which may be a secret."""
    state: WebhookState
    since: Instant
    """When it came into that state, or ctid's start."""
    delivered: int
    waiting: int
    dead: int
    """Letters that were given up and are still kept."""
    dropped: int
    """Events that were not kept: too many waited, or the webhook is disabled."""
    last_error: str
    """Why a letter last did not arrive; empty while none has failed since the start."""
    last_error_at: Instant | None = None
    degraded: str
    """Why events are not safe on disk, and so wait in memory; empty while they are."""


class LedgerStatus(Struct, frozen=True, kw_only=True):
    """How the ledger is."""

    behind: bool = False
    """It cannot be written now: figures lack what is newest."""
    reason: str = ""
    """Why it is behind, and the cure."""
    since: Instant | None = None
    """Since when it is behind."""
    waiting: int = 0
    """Moments that are in the memory alone."""
    dropped: int = 0
    """Moments that the memory had no room for since ctid started; they are a gap until the log is read."""
    gaps_open: int = 0
    """Gaps that are being filled, or wait for their PBX."""


class CertificateStatus(Struct, frozen=True, kw_only=True):
    """The certificate that clients are shown."""

    expires_at: Instant
    loaded_at: Instant
    """When it was read."""
    problem: str
    """Why the files, as they are now, could not be used, so that the one before is still shown; or empty."""


class ExpiringToken(Struct, frozen=True, kw_only=True):
    """A token that is good for less than 14 days, or no more."""

    name: str
    expires_at: Instant


class Status(Struct, frozen=True, kw_only=True):
    """What runs here, since when, and how its links are."""

    version: str
    site: str
    boot_id: str
    """Another one after each start of ctid; `seq` starts anew with it."""
    started_at: Instant
    at: Instant
    seq: int
    """The number of the last update of the state."""
    ready: bool
    missing: tuple[str, ...]
    """What readiness waits for, in words; empty when `ready`."""
    pbxs: tuple[Pbx, ...]
    capabilities: dict[str, tuple[Capability, ...]]
    """What can be asked of each PBX now; nothing while its link is down."""
    broker: dict[str, Any] | None = None
    """None when no MQTT broker is configured. `connected`, `since`, `reason` (why not), `protocol`; since
    the start `published` and `dropped`; `outbox` (events on disk), `waiting` (not arrived yet),
    `degraded`.
    """
    webhooks: tuple[WebhookStatus, ...]
    history: LedgerStatus
    tls: CertificateStatus | None = None
    """The certificate of this API; none when it speaks no TLS itself."""
    tokens: tuple[ExpiringToken, ...]
    """Those that expire within 14 days, or have: all for an admin, one's own for the others."""


class Ghost(Struct, frozen=True, kw_only=True):
    """An entity that the PBX does not bear out, and why it is doubted."""

    kind: str
    id: str
    pbx: str
    reason: str
    """What its PBX's lists contradict; `stale` while its link is down."""
    since: Instant
    confirmed_at: Instant | None = None


class Ghosts(Struct, frozen=True, kw_only=True):
    """All of them, links in the order of their ids."""

    ghosts: tuple[Ghost, ...]
    seq: int


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that was other than ctid had been told."""

    name: str
    """Such as `leg.held`; `leg.ghost` was believed in by ctid alone, `leg.unknown` was unknown to it."""
    id: str
    believed: Any
    found: Any


class Reconciled(Struct, frozen=True, kw_only=True):
    """What a snapshot found and mended."""

    pbx: str
    synchronized_at: Instant | None = None
    drift: tuple[Difference, ...]
    drift_total: int
    """Since ctid started."""


class Waiting(Struct, frozen=True, kw_only=True):
    """A caller who waits in a queue; position 1 is served first."""

    call: str
    position: int
    since: Instant


class Queue(Struct, frozen=True, kw_only=True):
    """A queue, who waits in it and how its members stand."""

    id: str
    pbx: str
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


class QueuePage(Struct, frozen=True, kw_only=True):
    """Queues in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Queue, ...]
    next: str | None = None
    seq: int


class Quality(Struct, frozen=True, kw_only=True):
    """How the audio of one leg travels, by the reports of both its ends (RTCP, RFC 3550 section 6.4).

    `loss` is the share of packets lost, 0 to 1, of the worse direction in the last interval; `jitter_ms`
    the worse direction's; `round_trip_ms` none while no report tells it. `mos` is an estimate, 1 to 4.5,
    by the E-model of ITU-T G.107 from loss, codec and delay.
    """

    loss: float
    jitter_ms: float
    round_trip_ms: float | None = None
    mos: float


class Party(Struct, frozen=True, kw_only=True):
    """One party of a call."""

    leg: str
    role: Role
    state: PartyState
    since: Instant
    number: str = ""
    name: str = ""
    device: str | None = None
    agent: str | None = None
    parked: str = ""
    """Where the PBX keeps her parked; her state is `held` meanwhile."""
    conference: str = ""
    """The room in which she is with others."""
    quality: Quality | None = None
    """How her audio travels, by the last reports."""


class Call(Struct, frozen=True, kw_only=True):
    """A call and its parties; a supervisor who listens is in `supervisions`, not a party."""

    id: str
    pbx: str
    state: CallState
    since: Instant
    started_at: Instant
    confirmed_at: Instant | None = None
    stale: bool = False
    suspect: str = ""
    direction: Direction = Direction.INBOUND
    queue: str | None = None
    dialled: str = ""
    answered_at: Instant | None = None
    """When two parties were first connected."""
    ended_at: Instant | None = None
    parties: tuple[Party, ...] = ()
    supervisions: tuple[str, ...] | UnsetType = UNSET
    aliases: tuple[str, ...] = ()
    """The unique ids under which other records know this call."""
    merged_into: str | None = None
    recording: Recording = Recording.OFF
    private: bool = False
    """It is not to be listened to or recorded: the agent, or a supervisor, has said so, for good."""
    objected: bool = False
    """The same, because the customer objects."""


class CallPage(Struct, frozen=True, kw_only=True):
    """Live calls in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Call, ...]
    next: str | None = None
    seq: int


class Device(Struct, frozen=True, kw_only=True):
    """A phone: what it does, and whether the PBX can reach it."""

    id: str
    pbx: str
    state: DeviceState
    since: Instant
    confirmed_at: Instant | None = None
    stale: bool = False
    suspect: str = ""
    registration: Registration = Registration.UNKNOWN
    round_trip_ms: float | None = None
    """Of the PBX's last probe of the phone."""
    agent: str | None = None


class DevicePage(Struct, frozen=True, kw_only=True):
    """Devices in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Device, ...]
    next: str | None = None
    seq: int


class QueueFigures(Struct, frozen=True, kw_only=True):
    """A queue's figures in a period. A caller who comes through two queues is offered in both."""

    pbx: str
    queue: str
    offered: int
    answered: int
    abandoned: int
    left: dict[str, int]
    missed: int
    served: int
    hold_s: float
    wait_s: float
    talk_s: float
    answer_rate: float | None = None
    abandonment_rate: float | None = None
    mean_hold_s: float | None = None
    mean_talk_s: float | None = None


class AgentFigures(Struct, frozen=True, kw_only=True):
    """An agent's figures in a period, in all of the queues that were asked for."""

    pbx: str
    agent: str
    offered: int
    answered: int
    missed: int
    served: int
    ring_s: float
    talk_s: float
    answer_rate: float | None = None
    mean_talk_s: float | None = None


class Count(Struct, frozen=True, kw_only=True):
    """How many callers the PBX's own counters say that a gap had; an agent's, or (none) a queue's."""

    queue: str
    agent: str | None = None
    served: int
    unserved: int | None = None
    """Callers who left unserved; the PBX does not count them for an agent."""


class Gap(Struct, frozen=True, kw_only=True):
    """A time that ctid did not see as it passed."""

    pbx: str
    began_at: Instant
    ended_at: Instant | None = None
    """None while it goes on, or has not been looked into."""
    cause: GapCause
    state: GapState
    detail: str = ""
    """What is not known of it, and what would cure it."""
    found: int = 0
    """How many moments the log told of it that had not been seen."""
    counts: tuple[Count, ...] = ()
    """With no log to read: what the PBX's counters tell, without details."""


class Figures(Struct, frozen=True, kw_only=True):
    """Figures of a period, and what is not known of it."""

    since: Instant
    until: Instant
    began_at: Instant | None = None
    """When the ledger begins; what was before is in no figure."""
    complete: bool
    """The ledger has all of the period: no gap in it but those that the PBX's log has filled."""
    queues: tuple[QueueFigures, ...]
    agents: tuple[AgentFigures, ...]
    gaps: tuple[Gap, ...]
    """The times in the period that ctid did not see, and what became of them."""
    formulas: dict[str, str]
    """What each figure is, by its name."""


class Entry(Struct, frozen=True, kw_only=True):
    """One moment of a caller in a queue, as the ledger keeps it: ids and lengths, no number and no name.

    `agent` is empty where none is concerned, or where the log names somebody who is not known. Lengths
    are in seconds; those that a kind does not have are none.
    """

    pbx: str
    kind: str
    queue: str
    leg: str
    agent: str = ""
    at: Instant
    source: str = "event"
    by: str = ""
    """Who ended a served call (`caller`, `agent`, `transfer`), or why a caller left (`timeout`, `key` …)."""
    position: int | None = None
    hold_s: float | None = None
    ring_s: float | None = None
    wait_s: float | None = None
    talk_s: float | None = None


class MomentPage(Struct, frozen=True, kw_only=True):
    """Moments in the order of time."""

    items: tuple[Entry, ...]
    next: str | None = None
    """The `cursor` of the next page; none on the last one."""


class AfterCallWork(Struct, frozen=True, kw_only=True):
    """What an agent does for a call that is over, until `ends_at`; `queue` brought the call."""

    queue: str
    since: Instant
    ends_at: Instant


class Membership(Struct, frozen=True, kw_only=True):
    """An agent in one queue."""

    queue: str
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


class Agent(Struct, frozen=True, kw_only=True):
    """A person who takes calls, found as a member of queues."""

    id: str
    pbx: str
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
    device: str | None = None
    call: str | None = None
    """The call she is talking in or that rings at her, whichever is further on."""
    after_call_work: AfterCallWork | None = None
    monitored: bool = False
    """A supervisor hears her now, and she is to know: what a lamp on her desk shows."""
    queues: tuple[Membership, ...] = ()


class AgentPage(Struct, frozen=True, kw_only=True):
    """Agents in the order of their ids."""

    items: tuple[Agent, ...]
    next: str | None = None
    """The `cursor` of the next page; none on the last one."""
    seq: int
    """The number of the last update that the items hold; follow on with `after` at the events."""


class CommandedAgent(Struct, frozen=True, kw_only=True):
    """The agent once a command is in force."""

    agent: Agent
    unconfirmed: bool = False
    """The PBX has carried it out, and the state does not show it after 2 s: look at her again."""


class SentMessage(Struct, frozen=True, kw_only=True):
    """By which ways a text went to an agent."""

    agent: str
    sip: bool
    """A SIP MESSAGE is on its way to her phone; whether it showed it nobody tells."""
    mqtt: bool
    """The event `agent.message` goes to the broker, which is connected."""
    reason: str = ""
    """Why one of the ways was not taken."""


class Step(Struct, frozen=True, kw_only=True):
    """A line for a reader, and whether her state or its reason turned into another by it (`turned`).

    `fact` is its name in ctid's words, `time` when only the time passed; `source` the vendor's name of
    the event. `about` names the row that it carried, `changed` what it told that the line before did
    not.
    """

    at: Instant
    fact: str
    source: str
    about: str
    changed: dict[str, Any]
    state: AgentState
    reason: str
    turned: bool


class AgentStory(Struct, frozen=True, kw_only=True):
    """An agent, and the last facts that bore on her, oldest first."""

    agent: Agent
    steps: tuple[Step, ...]


class CommandedCall(Struct, frozen=True, kw_only=True):
    """The call once an act is in force; one that is over by it is `ended`."""

    call: Call
    unconfirmed: bool = False
    """The PBX has carried it out, and the state does not show it after 2 s: look at the call again."""


class RecordingEntry(Struct, frozen=True, kw_only=True):
    """A recording that ctid had the PBX make, as the index keeps it: the audio is the PBX's alone."""

    id: int
    call: str
    leg: str
    """The agent's, with whose leaving it ends."""
    pbx: str
    agent: str | None = None
    queue: str | None = None
    by: str
    basis: str
    """Why it may be made, as its maker said."""
    file: str
    """On the PBX; a name without a path is in its monitor folder."""
    started_at: Instant
    stopped_at: Instant | None = None


class RecordingPage(Struct, frozen=True, kw_only=True):
    """Recordings, the newest first."""

    items: tuple[RecordingEntry, ...]
    next: str | None = None
    """The `cursor` of the next page; none on the last one."""


class Supervision(Struct, frozen=True, kw_only=True):
    """A supervisor's session in a live call."""

    id: str
    pbx: str
    state: SupervisionState
    mode: Mode
    since: Instant
    """When it entered its present state and mode."""
    started_at: Instant
    supervisor: str
    """The authenticated name of who asked for it."""
    phone: str
    """The name, in the configuration, of the phone she uses."""
    agent: str | None = None
    call: str | None = None
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
    help: str | None = None
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


class SupervisionPage(Struct, frozen=True, kw_only=True):
    """Live sessions in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Supervision, ...]
    next: str | None = None
    seq: int


class WarnedSupervision(Struct, frozen=True, kw_only=True):
    """A session, and what is to be known of how much its agent is listened to."""

    id: str
    pbx: str
    state: SupervisionState
    mode: Mode
    since: Instant
    """When it entered its present state and mode."""
    started_at: Instant
    supervisor: str
    """The authenticated name of who asked for it."""
    phone: str
    """The name, in the configuration, of the phone she uses."""
    agent: str | None = None
    call: str | None = None
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
    help: str | None = None
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
    warnings: tuple[str, ...] = ()


class Help(Struct, frozen=True, kw_only=True):
    """A raised hand: an agent asks a supervisor for help. ctid owns it, no PBX confirms it."""

    id: str
    pbx: str
    agent: str
    team: str = ""
    call: str | None = None
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
    supervision: str | None = None
    """The session that it led to, once that has begun."""
    expires_at: Instant
    """When it ends by itself unless somebody takes it."""
    ended_at: Instant | None = None
    end: HelpEnd | None = None
    ended_by: str = ""
    """The authenticated name of who withdrew it; empty where it ended by itself."""


class HelpPage(Struct, frozen=True, kw_only=True):
    """Raised hands in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Help, ...]
    next: str | None = None
    seq: int


class Grade(Struct, frozen=True, kw_only=True):
    """A criterion as it was when the sheet was written, and its grade, 1 to 5; none: not graded."""

    id: str
    label: str
    grade: int | None = None


class Comment(Struct, frozen=True, kw_only=True):
    """What the agent answers to the version that she read."""

    text: str
    at: Instant
    version: int


class Sheet(Struct, frozen=True, kw_only=True):
    """What a supervisor noted about an agent after a session, or in it."""

    id: str
    pbx: str
    supervision: str
    agent: str
    team: str
    """The agent's, at that time."""
    call: str | None = None
    purpose: Purpose
    author: str
    """The authenticated name of the supervisor whose session it was."""
    session_at: Instant
    """When the session began to be in a call of this agent's."""
    written_at: Instant
    changed_at: Instant
    version: int
    """Of what the author wrote, from 1."""
    editable_until: Instant
    grades: tuple[Grade, ...]
    """All of the grid, in its order."""
    text: str = ""
    comment: Comment | None = None


class SheetPage(Struct, frozen=True, kw_only=True):
    """Sheets, the newest first."""

    items: tuple[Sheet, ...]
    next: str | None = None
    """The `cursor` of the next page; none on the last one."""


class SheetVersions(Struct, frozen=True, kw_only=True):
    """What the author wrote and the agent answered, step by step."""

    items: tuple[Sheet, ...]


class SessionAbout(Struct, frozen=True, kw_only=True):
    """One session in which an agent was listened to, or is. What the supervisor noted is not in it."""

    id: str
    supervisor: str
    purpose: Purpose
    origin: Origin
    began_at: Instant
    """When it first was in a call of hers."""
    ended_at: Instant | None = None
    """When it ended, or went on to another agent; none while it goes on."""
    modes: tuple[Mode, ...]
    """The modes that were in force with her, in the order of their first use."""
    notice: NoticeKind
    notice_state: NoticeState
    """Whether she was told."""
    end: SupervisionEnd | None = None


class SessionsPage(Struct, frozen=True, kw_only=True):
    """Sessions about an agent, the newest first."""

    items: tuple[SessionAbout, ...]
    next: str | None = None
    """The `cursor` of the next page; none on the last one."""


class Law(Struct, frozen=True, kw_only=True):
    """The bounds of a site; 0 is no bound."""

    max_session_s: float = 1800.0
    """The longest session, in seconds."""
    agent_minutes_per_week: float = 60.0
    """For how long an agent may be listened to from Monday to Sunday."""
    warn_minutes_per_week: float = 45.0
    """From so many minutes on the supervisor is warned."""
    agent_sessions_per_day: int = 3
    calls_per_follow: int = 3
    """After so many calls a session that follows an agent ends."""
    periods_required: bool = True
    """Whether agents may be listened to only in the listening periods of their team."""


class PeriodRule(Struct, frozen=True, kw_only=True):
    """On these days of the week and dates, from a time of the clock to another, such as `09:00`."""

    days: tuple[str, ...]
    dates: tuple[str, ...]
    begins: str
    ends: str


class TeamPeriods(Struct, frozen=True, kw_only=True):
    """When the agents of a team may be listened to, and how they are told that they are."""

    team: str
    """`*`: of every team, and of whoever is in none."""
    periods: tuple[PeriodRule, ...]
    notice: NoticeKind


class Window(Struct, frozen=True, kw_only=True):
    """A stretch of time; `ends` is no part of it."""

    begins: Instant
    ends: Instant


class PeriodsNow(Struct, frozen=True, kw_only=True):
    """The rules, and what they come to in the next seven days."""

    timezone: str
    law: Law
    teams: tuple[TeamPeriods, ...]
    at: Instant
    windows: dict[str, tuple[Window, ...]]
    """By team: from today's midnight on, by the site's clock and its changes."""


class Drawn(Struct, frozen=True, kw_only=True):
    """Who is to be listened to, by lot."""

    agent: str
    among: tuple[str, ...]
    """Whom law and rights let you listen to now; drawn is one of the half that was listened to least."""
    seed: str
    """It is in ctid's log: the draw can be done again with it."""


class Item(Struct, frozen=True, kw_only=True):
    """A record of the audit as its readers see it."""

    seq: int
    """Its number; there are no holes but before the first, where the log was purged."""
    at: Instant
    """When it was written."""
    event: str
    """`requested`, `refused`, `key`, `notice` and the states of sessions; `unattributed` of spying that
    ctid did not start; `login`, `token_created` and others of identity; `audit_read`, `erased`,
    `purged`, `anchor`, `started` and others of the audit itself.
    """
    by: str
    """Whose token asked for it; empty where the PBX or ctid itself did it."""
    agent: str
    call: str
    supervision: str
    """The session's id."""
    detail: str
    payload: dict[str, Any] | None = None
    """All that it says; none where it was erased."""
    hash: str


class AuditPage(Struct, frozen=True, kw_only=True):
    """Records in the order in which they were written."""

    items: tuple[Item, ...]
    next: str | None = None
    """The `cursor` of the next page; none on the last one."""


class Finding(Struct, frozen=True, kw_only=True):
    """Something that is not as it was written."""

    record: int | None = None
    """The number of the record that it is about, where one can be named."""
    place: str
    """The file and the line."""
    problem: str


class Verification(Struct, frozen=True, kw_only=True):
    """What reading the whole log came to."""

    ok: bool
    records: int
    first: int | None = None
    """The number of the first record that is kept."""
    last: int | None = None
    last_hash: str
    last_at: Instant | None = None
    anchor: int | None = None
    """The number of the record that the newest anchor within the log names."""
    erased: int
    """Of how many records something was erased, as later records say."""
    purged_to: int
    """Up to which record the log was purged, as a later record says; 0: never."""
    findings: tuple[Finding, ...]
    """At most a hundred of them."""


class ClassReport(Struct, frozen=True, kw_only=True):
    """What the purge of one class came to."""

    name: str
    keep_days: int
    before: Instant
    """What is older goes."""
    purged: int | None = None
    """How many items were, or in a dry run would be, taken out; none when it failed."""
    problem: str
    """What went wrong; empty when nothing did."""


class PurgeReport(Struct, frozen=True, kw_only=True):
    """What a purge came to."""

    at: Instant
    dry_run: bool
    classes: tuple[ClassReport, ...]


class Subject(Struct, frozen=True, kw_only=True):
    """A person."""

    kind: SubjectKind
    id: str


class SubjectDocument(Struct, frozen=True, kw_only=True):
    """All that is kept about somebody, by class."""

    subject: Subject
    at: Instant
    classes: dict[str, tuple[dict[str, Any], ...]]


class Erasure(Struct, frozen=True, kw_only=True):
    """What became of one class of what is kept about somebody."""

    name: str
    erased: int
    """Items of which something was, or in a dry run would be, erased."""
    kept: int
    """Items that stay."""
    reason: str
    """Why they stay; empty when none does."""


class ErasureReport(Struct, frozen=True, kw_only=True):
    """What was erased of somebody, and what the law has to be kept."""

    subject: Subject
    at: Instant
    dry_run: bool
    classes: tuple[Erasure, ...]


class SessionNow(Struct, frozen=True, kw_only=True):
    """Who asks, and what she may do."""

    name: str
    role: UserRole
    teams: tuple[str, ...]
    """Her own teams."""
    rights: dict[str, tuple[str, ...]]
    """What she is granted, and over which teams; `*` is every one."""
    phones: tuple[str, ...]
    agent: str | None = None
    """Who she is among the agents."""
    scopes: tuple[str, ...]
    """What of her role's operations her token may do; none: all of them."""
    csrf: str | None = None
    """With a session's cookie: the value of the header `X-CTID-CSRF`."""
    expires_at: Instant | None = None
    """When her session or her token ends at the latest."""


class TokenInfo(Struct, frozen=True, kw_only=True):
    """A token, without what it is known by."""

    id: str
    """None has one that is in ctid.toml."""
    name: str
    role: UserRole
    phones: tuple[str, ...]
    teams: tuple[str, ...]
    agent: str
    scopes: tuple[str, ...]
    expires_at: Instant | None = None
    made_at: Instant | None = None
    made_by: str
    last_used_at: Instant | None = None
    """To the minute; none: never, or it is in ctid.toml."""
    configured: bool
    """Whether it is in ctid.toml, and ends only there."""


class TokenList(Struct, frozen=True, kw_only=True):
    """Every token, by name."""

    items: tuple[TokenInfo, ...]


class CreatedToken(Struct, frozen=True, kw_only=True):
    """A token and, this once, its secret."""

    token: str
    """To be sent as `Authorization: Bearer …`; it is kept nowhere."""
    info: TokenInfo


class UserInfo(Struct, frozen=True, kw_only=True):
    """Somebody who logs in, without her password's hash."""

    id: str
    """Her name."""
    role: UserRole
    phones: tuple[str, ...]
    teams: tuple[str, ...]
    agent: str
    has_password: bool
    """Without one, only the OpenID provider lets her in."""
    disabled: bool
    made_at: Instant
    made_by: str
    last_login_at: Instant | None = None
    sessions: int
    """How many are open."""


class UserList(Struct, frozen=True, kw_only=True):
    """Everybody who logs in, by name."""

    items: tuple[UserInfo, ...]


class WebhookList(Struct, frozen=True, kw_only=True):
    """All webhooks, in the order of the configuration."""

    items: tuple[WebhookStatus, ...]


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An event that was given up."""

    id: str
    """The event's own id, as on every other way that it was told."""
    type: str
    subject: str
    kept_at: Instant
    died_at: Instant
    tries: int
    reason: str


class DeadLetters(Struct, frozen=True, kw_only=True):
    """Dead letters, those that died first, first."""

    items: tuple[DeadLetter, ...]
    next: str | None = None
    """The `cursor` of the next page; none on the last one."""


class Retried(Struct, frozen=True, kw_only=True):
    """How many dead letters wait again."""

    retried: int


class Tested(Struct, frozen=True, kw_only=True):
    """What came of a test event. It is not kept, nor tried again."""

    id: str
    """Of the event `ctid.webhook.test`, as its receiver has it in `webhook-id`."""
    delivered: bool
    status: int | None = None
    """HTTP's; none when nothing answered."""
    answer: str
    """The beginning of what was answered."""
    problem: str
    """Why it was not delivered; empty when it was."""


class Occurrence(Struct, frozen=True, kw_only=True):
    """Something happened that no entity's state tells: see `name`."""

    seq: int
    at: Instant
    name: str
    """Of a caller in a queue: `caller_queued`, `caller_answered`, `caller_abandoned`, `caller_left`,
    `offer_missed`, `call_served`. Of a call: `call_transferred`, `call_picked_up`, `call_parked`,
    `call_retrieved`. For those who supervise: `supervision_key`, a supervisor pressed a key of her
    phone; `monitoring_seen`, somebody listens, and not through ctid; `help_asked` by a code of the PBX;
    `sheet_written` about an agent. `state_drifted`: a snapshot differed from what had been told, and was
    believed. `agent_message`: a user has a text for an agent.
    """
    pbx: str
    call: str | None = None
    leg: str | None = None
    """Whose leg it happened to: in a queue the caller's."""
    queue: str | None = None
    agent: str | None = None
    supervision: str | None = None
    by: str
    """Who ended a served call (`caller`, `agent`, `transfer`), why a caller left, how a call was
    transferred, which key was pressed, the kind of a drift, who listens, who a text is from.
    """
    to: str
    """The number a call was transferred to, where it was parked, what drifted, the sheet's id; how somebody
    listens: `spy`, `snoop`.
    """
    text: str
    """What a message to an agent says; empty to viewers."""
    figures: dict[str, float]
    """The numbers of it, with their unit in the name."""


class QueueTarget(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A queue that a call is sent to."""

    queue: str


class Via(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """By what the supervisor hears: a phone that the configuration names, or her browser."""

    phone: str | None = None
    browser: bool = False


Entity = Pbx | Agent | Device | Queue | Call | Supervision | Help

KINDS: dict[str, type[Entity]] = {
    "pbx": Pbx,
    "agent": Agent,
    "device": Device,
    "queue": Queue,
    "call": Call,
    "supervision": Supervision,
    "help": Help,
}
"""The kinds of entities, by the word that a change has for each."""
