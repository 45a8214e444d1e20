"""Facts: what a driver says happened on its PBX, in the past tense and in no vendor's words.

Most facts set state rather than tell a difference: a `LegChanged` carries the whole leg, so that
hearing one twice, or after a snapshot that was ahead of it, does no harm. `at` is UTC, the PBX's own
clock where the wire tells it. Local channel pairs, and the legs by which ctid itself listens, are
never told as legs.
"""

from typing import ClassVar

from msgspec import Struct

from ctid.model.entities import Help, Supervision
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, QueueId, SheetId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.quality import Quality
from ctid.model.words import (
    DeviceState,
    LeaveReason,
    LegState,
    Recording,
    Registration,
    SnapshotReason,
    TransferKind,
)


class Leg(Struct, frozen=True, kw_only=True, gc=False):
    """One party's connection to the PBX."""

    id: LegId
    call: str
    """The PBX's key of the call; legs with the same key are one call."""
    created_at: Instant
    incoming: bool
    """The party called the PBX (true), or the PBX called the party."""
    state: LegState = LegState.INITIATED
    connected_at: Instant | None = None
    held: bool = False
    """The party at this leg has put the call on hold."""
    conversation: str | None = None
    """Legs with the same value hear each other."""
    device: DeviceId | None = None
    number: str = ""
    name: str = ""
    dialled: str = ""
    queue: QueueId | None = None
    """The queue this leg waits in or was served by."""
    position: int | None = None
    """Its place in that queue while it waits, from 1; none once it left."""
    queued_at: Instant | None = None
    parked: str = ""
    """Where the PBX keeps the party parked, such as `701`; empty while it does not."""
    conference: str = ""
    """The name of the conference room the party is in."""
    supervision: SupervisionId | None = None
    """The session whose supervisor this is; only after a take-over is she a party."""
    recording: Recording = Recording.OFF
    private: bool = False
    """The PBX keeps with this leg that its call is private."""
    objected: bool = False
    """The PBX keeps with this leg that the customer objects to being listened to or recorded."""


class Member(Struct, frozen=True, kw_only=True, gc=False):
    """An agent's membership of one queue."""

    queue: QueueId
    agent: AgentId
    name: str
    device: DeviceId | None = None
    device_state: DeviceState = DeviceState.UNKNOWN
    paused: bool = False
    reason: str = ""
    in_call: bool = False
    """The queue believes that its last call to this member goes on."""
    offered: LegId | None = None
    """The caller's leg that is being offered to this member."""
    serving: LegId | None = None
    """The caller's leg that this member was connected to by the queue."""
    penalty: int = 0
    calls_taken: int = 0
    last_call_at: Instant | None = None
    paused_at: Instant | None = None
    """When the pause that goes on began, as far as the PBX tells it."""
    logged_in_at: Instant | None = None
    """When she joined the queue, as far as the PBX tells it."""
    wrapup_s: float = 0.0
    """The member's own after-call work; 0 leaves it to the queue's."""


class QueueInfo(Struct, frozen=True, kw_only=True, gc=False):
    """A queue as the PBX configures it."""

    id: QueueId
    strategy: str = ""


class DeviceInfo(Struct, frozen=True, kw_only=True, gc=False):
    """A phone's state, and whether the PBX can reach it. `round_trip_ms` is that of the last probe."""

    id: DeviceId
    state: DeviceState
    registration: Registration = Registration.UNKNOWN
    round_trip_ms: float | None = None


class _Fact(Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    pbx: PbxId
    at: Instant
    source: str = ""


class LinkUp(_Fact, frozen=True, kw_only=True, gc=False, tag="link_up"):
    """The link stands; the facts that follow are not complete before the next `Snapshot`."""

    driver: str
    version: str


class LinkDown(_Fact, frozen=True, kw_only=True, gc=False, tag="link_down"):
    """The link is lost; what was known of this PBX may have changed since."""

    driver: str
    reason: str


class Snapshot(_Fact, frozen=True, kw_only=True, gc=False, tag="snapshot"):
    """Everything the PBX knows now; what is not in it is no more.

    `supervisions` is none while the driver cannot see them: those known stay as they were, stale. For any
    `reason` but `connected` and `reloaded`, every fact of before has been told: what differs then is drift,
    something the PBX did not tell or the driver did not understand.
    """

    reason: SnapshotReason = SnapshotReason.CONNECTED
    legs: tuple[Leg, ...]
    members: tuple[Member, ...]
    queues: tuple[QueueInfo, ...]
    devices: tuple[DeviceInfo, ...]
    supervisions: tuple[Supervision, ...] | None


class LegChanged(_Fact, frozen=True, kw_only=True, gc=False, tag="leg_changed"):
    """A leg came to be, or is other than it was."""

    leg: Leg


class LegEnded(_Fact, frozen=True, kw_only=True, gc=False, tag="leg_ended"):
    """A leg is gone. `cause` is of Q.850, 0 when unknown."""

    leg: LegId
    cause: int = 0


class MemberChanged(_Fact, frozen=True, kw_only=True, gc=False, tag="member_changed"):
    """An agent joined a queue, or the membership is other than it was."""

    member: Member


class MemberRemoved(_Fact, frozen=True, kw_only=True, gc=False, tag="member_removed"):
    """An agent left a queue."""

    queue: QueueId
    agent: AgentId


class DeviceChanged(_Fact, frozen=True, kw_only=True, gc=False, tag="device_changed"):
    """A phone's state is other than it was."""

    device: DeviceInfo


class QualityMeasured(_Fact, frozen=True, kw_only=True, gc=False, tag="quality_measured"):
    """The ends of a leg have reported how its audio travels."""

    leg: LegId
    quality: Quality


class AfterCallWorkSet(_Fact, frozen=True, kw_only=True, gc=False, tag="after_call_work_set"):
    """An agent's after-call work was given another end, or (none) is over. ctid owns it, not the PBX."""

    agent: AgentId
    ends_at: Instant | None


class AgentMessaged(_Fact, frozen=True, kw_only=True, gc=False, tag="agent_messaged"):
    """`by`, a user, has a text for an agent. ctid tells it, not the PBX; it sets no state."""

    agent: AgentId
    text: str
    by: str


class CallerQueued(_Fact, frozen=True, kw_only=True, gc=False, tag="caller_queued"):
    """A caller entered a queue: the queue's offered calls count these."""

    queue: QueueId
    leg: LegId
    position: int


class CallerAnswered(_Fact, frozen=True, kw_only=True, gc=False, tag="caller_answered"):
    """The queue connected a caller with an agent, after `hold_s` of waiting and `ring_s` at this agent."""

    queue: QueueId
    agent: AgentId
    leg: LegId
    hold_s: float
    ring_s: float


class CallerLeft(_Fact, frozen=True, kw_only=True, gc=False, tag="caller_left"):
    """A caller left a queue for elsewhere, neither answered nor hanging up. `wait_s` in seconds."""

    queue: QueueId
    leg: LegId
    reason: LeaveReason
    position: int
    wait_s: float


class CallerAbandoned(_Fact, frozen=True, kw_only=True, gc=False, tag="caller_abandoned"):
    """A caller hung up while waiting. `position` is the one held at the end, `wait_s` in seconds."""

    queue: QueueId
    leg: LegId
    position: int
    wait_s: float


class OfferMissed(_Fact, frozen=True, kw_only=True, gc=False, tag="offer_missed"):
    """A call rang at an agent, who did not take it. `ring_s` in seconds."""

    queue: QueueId
    agent: AgentId
    leg: LegId
    ring_s: float


class CallServed(_Fact, frozen=True, kw_only=True, gc=False, tag="call_served"):
    """The queue's part of a call is over: the agent is done with the caller.

    `hold_s` waited, `talk_s` talked, in seconds, as the PBX counts them; `by` is who ended it:
    `caller`, `agent` or `transfer`.
    """

    queue: QueueId
    agent: AgentId
    leg: LegId
    hold_s: float
    talk_s: float
    by: str


class SupervisionChanged(_Fact, frozen=True, kw_only=True, gc=False, tag="supervision_changed"):
    """A supervision session came to be, is other than it was, or ended (its state says so)."""

    supervision: Supervision


class KeyPressed(_Fact, frozen=True, kw_only=True, gc=False, tag="supervision_key"):
    """A supervisor pressed a key of her phone in her session; on the PBX it has done nothing."""

    supervision: SupervisionId
    key: str


class HelpChanged(_Fact, frozen=True, kw_only=True, gc=False, tag="help_changed"):
    """A hand was raised, is other than it was, or is down (its state says so). ctid owns it, not the PBX."""

    help: Help


class SheetWritten(_Fact, frozen=True, kw_only=True, gc=False, tag="sheet_written"):
    """A coaching sheet about an agent was written or changed. ctid owns it; what it says is told nowhere."""

    sheet: SheetId
    agent: AgentId
    call: CallId | None = None


class CallTransferred(_Fact, frozen=True, kw_only=True, gc=False, tag="call_transferred"):
    """`leg` passed its call on, to the number `to` (empty when the PBX does not say)."""

    leg: LegId
    kind: TransferKind
    to: str = ""


class CallPickedUp(_Fact, frozen=True, kw_only=True, gc=False, tag="call_picked_up"):
    """`leg` took the call that rang at the leg `target`."""

    leg: LegId
    target: LegId


class CallParked(_Fact, frozen=True, kw_only=True, gc=False, tag="call_parked"):
    """The party at `leg` was parked at `place`."""

    leg: LegId
    place: str


class CallRetrieved(_Fact, frozen=True, kw_only=True, gc=False, tag="call_retrieved"):
    """The party at `leg` is no longer parked at `place`; `by` is `retriever`, `timeout` or `caller`."""

    leg: LegId
    place: str
    by: str


class MonitoringSeen(_Fact, frozen=True, kw_only=True, gc=False, tag="monitoring_seen"):
    """Somebody listens to the party at `leg`, and ctid did not start it.

    `by` is the phone or the number of who listens, empty where that is a program; `how` says by which means
    of the PBX: `spy` or `snoop`.
    """

    NAME: ClassVar[str] = "monitoring_seen"
    leg: LegId
    by: str = ""
    how: str


class HelpAsked(_Fact, frozen=True, kw_only=True, gc=False, tag="help_asked"):
    """Whoever is at `leg`, by the phone `device`, asked for help by a code of the PBX."""

    leg: LegId
    device: DeviceId | None


QueueMoment = CallerQueued | CallerAnswered | CallerAbandoned | CallerLeft | OfferMissed | CallServed
"""What a queue's figures are made of; the PBX's own log tells the same ones."""

CallMoment = CallTransferred | CallPickedUp | CallParked | CallRetrieved | MonitoringSeen | HelpAsked

Moment = QueueMoment | CallMoment
"""Facts that set no state of their own, told onwards as they are."""

Fact = (
    LinkUp
    | LinkDown
    | Snapshot
    | LegChanged
    | LegEnded
    | MemberChanged
    | MemberRemoved
    | DeviceChanged
    | QualityMeasured
    | AfterCallWorkSet
    | SupervisionChanged
    | KeyPressed
    | AgentMessaged
    | HelpChanged
    | SheetWritten
    | Moment
)
