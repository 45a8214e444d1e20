"""The words of the domain: CSTA's (ECMA-269) where it has one, and what ctid adds to them."""

from enum import StrEnum


class AgentState(StrEnum):
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


class CallState(StrEnum):
    """Where a call as a whole stands."""

    INITIATED = "initiated"
    """One party, alone with the PBX: dialling, or in a voice menu."""
    QUEUED = "queued"
    ALERTING = "alerting"
    CONNECTED = "connected"
    HELD = "held"
    ENDED = "ended"


class PartyState(StrEnum):
    """CSTA local connection states of one party of a call."""

    INITIATED = "initiated"
    QUEUED = "queued"
    ALERTING = "alerting"
    CONNECTED = "connected"
    HELD = "held"


class LegState(StrEnum):
    """What the PBX itself says of one leg, hold and queueing apart."""

    INITIATED = "initiated"
    ALERTING = "alerting"
    CONNECTED = "connected"


class Role(StrEnum):
    """Who a party is in a call."""

    CUSTOMER = "customer"
    AGENT = "agent"
    SUPERVISOR = "supervisor"
    OTHER = "other"


class Direction(StrEnum):
    """Of a call, as the call centre sees it."""

    INBOUND = "inbound"
    OUTBOUND = "outbound"
    INTERNAL = "internal"


class DeviceState(StrEnum):
    """What a phone is doing."""

    IDLE = "idle"
    RINGING = "ringing"
    IN_USE = "in_use"
    HELD = "held"
    BUSY = "busy"
    UNAVAILABLE = "unavailable"
    UNKNOWN = "unknown"


class Registration(StrEnum):
    """Whether a phone has told the PBX where it is, and whether it answers there (RFC 3261, section 10)."""

    REGISTERED = "registered"
    UNREGISTERED = "unregistered"
    UNREACHABLE = "unreachable"
    """It registered, and does not answer any more."""
    UNKNOWN = "unknown"


class TransferKind(StrEnum):
    """How a call was transferred."""

    BLIND = "blind"
    """The new party was not spoken to first (CSTA single step transfer)."""
    ATTENDED = "attended"
    """The new party was consulted first (CSTA transfer)."""


class LeaveReason(StrEnum):
    """Why a caller left a queue without an agent and without hanging up."""

    TIMEOUT = "timeout"
    EMPTY = "empty"
    """Nobody was there to serve the queue, or nobody was any more."""
    FULL = "full"
    KEY = "key"
    """The caller pressed a key that leads out."""
    WITHDRAWN = "withdrawn"
    """Somebody took the call out of the queue."""
    OTHER = "other"


class SnapshotReason(StrEnum):
    """Why a snapshot was taken."""

    CONNECTED = "connected"
    """The link is new; what differs has happened while it was down."""
    RELOADED = "reloaded"
    """The PBX read its configuration, which changes things without telling."""
    TIMER = "timer"
    REQUEST = "request"
    UNREADABLE = "unreadable"
    """Something that the PBX told could not be read."""


class LinkState(StrEnum):
    """Of the link to a PBX."""

    CONNECTED = "connected"
    DOWN = "down"


class Mode(StrEnum):
    """Who hears the supervisor."""

    LISTEN = "listen"
    """Nobody."""
    WHISPER = "whisper"
    """The agent alone."""
    BARGE = "barge"
    """Agent and customer."""
    TAKEOVER = "takeover"
    """The customer: the agent has been released."""


class Hear(StrEnum):
    """Whom the supervisor hears."""

    BOTH = "both"
    AGENT = "agent"
    CUSTOMER = "customer"


class SupervisionState(StrEnum):
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


class Origin(StrEnum):
    """At whose wish a session began."""

    SUPERVISOR = "supervisor"
    AGENT_REQUEST = "agent_request"
    """The agent raised a hand."""


class NoticeKind(StrEnum):
    """How an agent is told that she is listened to."""

    NONE = "none"
    TONE = "tone"
    """In her ear, and not in the customer's."""
    MESSAGE = "message"
    """A text on her phone."""
    MQTT = "mqtt"
    """On the bus alone, for a lamp or a screen."""


class NoticeState(StrEnum):
    """Whether an agent has been told that she is listened to."""

    NOT_DUE = "not_due"
    DUE = "due"
    GIVEN = "given"
    FAILED = "failed"


class SupervisionEnd(StrEnum):
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


class Recording(StrEnum):
    """Whether the PBX keeps the audio of a call, or of one leg."""

    OFF = "off"
    ON = "on"
    PAUSED = "paused"
    """It goes on, and keeps silence until it is resumed."""


class CallFlag(StrEnum):
    """What protects a call from being listened to and recorded; once set, it holds for that call."""

    PRIVATE = "private"
    """The agent, or a supervisor, has said that it is private."""
    OBJECTED = "objected"
    """The customer objects to being listened to or recorded."""


class Scope(StrEnum):
    """What a session follows."""

    CALL = "call"
    """One call, to whichever agent it goes."""
    NEXT = "next"
    """The agent's next call, and that one alone."""
    AGENT = "agent"
    """The agent's calls, one after the other; her phone stays up between them."""


class Purpose(StrEnum):
    """Why a supervisor listens; the law asks for it to be said."""

    QUALITY = "quality"
    TRAINING = "training"
    EVALUATION = "evaluation"
    ASSISTANCE = "assistance"
    EMERGENCY = "emergency"


class HelpState(StrEnum):
    """Where a raised hand stands."""

    OPEN = "open"
    """Nobody has taken it yet."""
    CLAIMED = "claimed"
    """A supervisor has taken it: her phone rings, or she is in the call."""
    ENDED = "ended"


class Carrier(StrEnum):
    """By what a request came."""

    API = "api"
    MQTT = "mqtt"
    FEATURE_CODE = "feature_code"
    """Dialled, or pressed in a call."""


class HelpEnd(StrEnum):
    """Why a raised hand is down again."""

    ANSWERED = "answered"
    """A supervisor was in the call, and has left it."""
    WITHDRAWN = "withdrawn"
    """By the agent herself, or by a supervisor."""
    EXPIRED = "expired"
    """Nobody took it in time."""
    CALL_ENDED = "call_ended"
    """The call that it was about is over for her."""
