"""The one table of events: each type, when it is told, and the struct of its data.

An event of type `ctid.<name>` is told on `…/events/<name>`, as a CloudEvent. Its data is the whole document
of the entity, or a document of the type's own that tells the difference.
"""

from types import MappingProxyType
from typing import Literal

from msgspec import UNSET, Struct, UnsetType, field

from ctid.events.structs import ENTITY_DOCUMENTS, Header, schema_of
from ctid.model.entities import AfterCallWork
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, DeviceState, Direction, Mode


class Event(Struct, frozen=True, kw_only=True):
    """One type of events. `name` is its type without `ctid.`."""

    name: str
    data: type[Header]
    when: str
    """When it is told: a sentence."""

    @property
    def guarded(self) -> bool:
        """Whether it tells who listens to whom, or who asks for help: for those alone who may know it."""
        return self.name.partition(".")[0] in _GUARDED


class CloudEvent(Struct, frozen=True, kw_only=True, gc=False):
    """An event in the JSON format of CloudEvents 1.0, structured mode.

    Extension attributes `seq` and `bootid`: CloudEvents 1.0, 3.1 allows no underscore in their names.
    """

    specversion: Literal["1.0"] = "1.0"
    id: str
    """No two events have the same: whoever hears one twice drops the second."""
    source: str
    """`/ctid/<site>`."""
    type: str
    """`ctid.<name>`."""
    time: Instant
    subject: str
    """What it is about: the topic of that below the site, such as `calls/lab.17`."""
    datacontenttype: Literal["application/json"] = "application/json"
    seq: int
    """The number of the update that it tells; in a run of ctid each number has at least one event."""
    bootid: str
    """The run of ctid that `seq` belongs to."""
    data: Header


_GUARDED = frozenset({"supervision", "help", "monitoring", "sheet"})

# The differences that entities' events tell --------------------------------------------------------


class MembershipDifference(Struct, frozen=True, gc=False):
    """What changed for an agent in one queue."""

    queue: QueueId
    from_: AgentState | None = field(name="from")
    """None: she was not known there."""
    to: AgentState
    reason: str


class AgentStateChanged(Header, frozen=True, kw_only=True, gc=False, tag="ctid.agent.state_changed/1"):
    """An agent's state, or its reason, is another one: hers, or that of one of her queues."""

    id: AgentId
    pbx: PbxId
    name: str
    team: str
    from_: AgentState | None = field(name="from")
    """None: she was not known."""
    to: AgentState
    reason: str
    since: Instant
    stale: bool
    call: CallId | None
    pending: AgentState | None
    pending_reason: str
    after_call_work: AfterCallWork | None
    queues: tuple[MembershipDifference, ...]
    """Only those in which something changed."""


class DeviceStateChanged(Header, frozen=True, kw_only=True, gc=False, tag="ctid.device.state_changed/1"):
    """A phone's state is another one."""

    id: DeviceId
    pbx: PbxId
    from_: DeviceState | None = field(name="from")
    """None: it was not known."""
    to: DeviceState
    since: Instant
    agent: AgentId | None


class QueueChanged(Header, frozen=True, kw_only=True, gc=False, tag="ctid.queue.changed/1"):
    """How a queue stands."""

    id: QueueId
    pbx: PbxId
    name: str
    waiting: int
    """How many callers wait."""
    waiting_before: int | None
    """None: the queue was not known."""
    longest_waiting_since: Instant | None
    agents: dict[AgentState, int]
    """How many members are in each state; states with none are left out."""
    stale: bool


class SupervisionModeChanged(
    Header, frozen=True, kw_only=True, gc=False, tag="ctid.supervision.mode_changed/1"
):
    """A session's mode is another one, and in force."""

    id: SupervisionId
    pbx: PbxId
    supervisor: str
    agent: AgentId | None
    call: CallId | None
    from_: Mode = field(name="from")
    to: Mode
    since: Instant


class _Offer(Header, frozen=True, kw_only=True, gc=False):
    call: CallId
    pbx: PbxId
    queue: QueueId | None
    direction: Direction
    agent: AgentId
    device: DeviceId | None
    """Her phone that rings, or rang."""
    number: str
    """Of whoever is at the other end: the customer, where there is one; masked, unless told in full."""
    name: str
    dialled: str
    waited_s: float | None
    """Seconds since the call came; of one that was spoken in, since it waits in a queue again, or none."""
    pop_url: str | UnsetType = UNSET
    """Only to a webhook that is configured so: the address to open for this call."""


class CallOffered(_Offer, frozen=True, kw_only=True, gc=False, tag="ctid.call.offered/1"):
    """A call rings at an agent: told once for each whom it rings at."""


class CallAnswered(_Offer, frozen=True, kw_only=True, gc=False, tag="ctid.call.answered/1"):
    """An agent has a call: she answered it, picked it up, or it was passed on to her."""


class _Removed(Header, frozen=True, kw_only=True, gc=False):
    id: str


class AgentRemoved(_Removed, frozen=True, kw_only=True, gc=False, tag="ctid.agent.removed/1"):
    """An agent is gone: her retained document goes after this."""


class DeviceRemoved(_Removed, frozen=True, kw_only=True, gc=False, tag="ctid.device.removed/1"):
    """A phone is gone: its retained document goes after this."""


class QueueRemoved(_Removed, frozen=True, kw_only=True, gc=False, tag="ctid.queue.removed/1"):
    """A queue is gone: its retained document goes after this."""


class CallRemoved(_Removed, frozen=True, kw_only=True, gc=False, tag="ctid.call.removed/1"):
    """A call is gone: its retained document goes after this."""


class SupervisionRemoved(_Removed, frozen=True, kw_only=True, gc=False, tag="ctid.supervision.removed/1"):
    """A session is gone: its retained document goes after this."""


class HelpRemoved(_Removed, frozen=True, kw_only=True, gc=False, tag="ctid.help.removed/1"):
    """A raised hand is gone: its retained document goes after this."""


# What happens that no entity's state tells ----------------------------------------------------------


class Happened(Header, frozen=True, kw_only=True, gc=False):
    """What happened, and to whom: what has no part in it is none, or empty."""

    pbx: PbxId
    queue: QueueId | None
    call: CallId | None
    leg: LegId | None
    """Whose leg it happened to: in a queue the caller's."""
    agent: AgentId | None
    by: str
    to: str


class QueueCallerQueued(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.queue.caller_queued/1"):
    """A caller entered a queue: the queue's offered calls count these."""

    position: int


class QueueCallerAnswered(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.queue.caller_answered/1"):
    """The queue connected a caller with an agent."""

    hold_s: float
    """For how many seconds the caller waited."""
    ring_s: float
    """For how many seconds it rang at this agent."""


class QueueCallerAbandoned(
    Happened, frozen=True, kw_only=True, gc=False, tag="ctid.queue.caller_abandoned/1"
):
    """A caller hung up while waiting."""

    position: int
    """The one held at the end."""
    wait_s: float


class QueueCallerLeft(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.queue.caller_left/1"):
    """A caller left a queue for elsewhere; `by` says why: `timeout`, `empty`, `full`, `key`, `withdrawn`."""

    position: int
    wait_s: float


class QueueOfferMissed(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.queue.offer_missed/1"):
    """A call rang at an agent, who did not take it."""

    ring_s: float


class QueueCallServed(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.queue.call_served/1"):
    """The queue's part of a call is over; `by` says who ended it: `caller`, `agent` or `transfer`."""

    hold_s: float
    talk_s: float


class CallTransferred(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.call.transferred/1"):
    """A party passed its call on; `by` says how, as `blind` or `attended`, `to` is the number."""


class CallPickedUp(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.call.picked_up/1"):
    """`leg` took the call that rang at the leg `to`."""


class CallParked(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.call.parked/1"):
    """A party was parked at the place `to`."""


class CallRetrieved(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.call.retrieved/1"):
    """A party is no longer parked at the place `to`; `by` is `retriever`, `timeout` or `caller`."""


class MonitoringSeen(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.monitoring.seen/1"):
    """Somebody listens, and not through ctid: `by` is the phone, `to` the means, as `spy` or `snoop`."""


class HelpAsked(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.help.asked/1"):
    """An agent asked for help by a code of the PBX."""


class SupervisionKey(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.supervision.key/1"):
    """A supervisor pressed the key `by` of her phone in her session; on the PBX it has done nothing."""

    supervision: SupervisionId


class AgentMessage(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.agent.message/1"):
    """The user `by` has a text for an agent."""

    text: str


class SheetWritten(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.sheet.written/1"):
    """The coaching sheet `to` about an agent was written or changed."""


class StateDrifted(Happened, frozen=True, kw_only=True, gc=False, tag="ctid.state.drifted/1"):
    """A snapshot differed from what had been told, and was believed: `by` says in what, `to` of whom."""


# Of ctid itself -------------------------------------------------------------------------------------


class PublisherDropped(Header, frozen=True, kw_only=True, gc=False, tag="ctid.publisher.dropped/1"):
    """Events were not kept for a broker that was away for too long, the oldest first."""

    count: int
    """How many since this was last told."""
    total: int
    """How many since ctid started."""


class AuditAnchored(Header, frozen=True, kw_only=True, gc=False, tag="ctid.audit.anchored/1"):
    """Where the audit ended."""

    record: int
    hash: str


class WebhookTest(Header, frozen=True, kw_only=True, gc=False, tag="ctid.webhook.test/1"):
    """It says nothing: somebody tries whether a webhook's receiver hears ctid. It is told there alone."""

    webhook: str


def name_of(data: type[Header]) -> str:
    """The name of the events whose own document this is: `agent.message` of `ctid.agent.message/1`."""
    return schema_of(data).removeprefix("ctid.").rpartition("/")[0]


OCCURRED: MappingProxyType[str, type[Happened]] = MappingProxyType(
    {
        "caller_queued": QueueCallerQueued,
        "caller_answered": QueueCallerAnswered,
        "caller_abandoned": QueueCallerAbandoned,
        "caller_left": QueueCallerLeft,
        "offer_missed": QueueOfferMissed,
        "call_served": QueueCallServed,
        "call_transferred": CallTransferred,
        "call_picked_up": CallPickedUp,
        "call_parked": CallParked,
        "call_retrieved": CallRetrieved,
        "monitoring_seen": MonitoringSeen,
        "help_asked": HelpAsked,
        "supervision_key": SupervisionKey,
        "agent_message": AgentMessage,
        "sheet_written": SheetWritten,
        "state_drifted": StateDrifted,
    }
)
"""The documents of what happens, by the name of the occurrence."""

REMOVED: MappingProxyType[str, type[_Removed]] = MappingProxyType(
    {
        "agent": AgentRemoved,
        "device": DeviceRemoved,
        "queue": QueueRemoved,
        "call": CallRemoved,
        "supervision": SupervisionRemoved,
        "help": HelpRemoved,
    }
)
"""By the kind of entity; the link to a PBX stays as long as ctid runs."""

_WHOLE = {
    "pbx.link_changed": "The link to a PBX is up, or down.",
    "pbx.changed": "Something else about the link is new, such as a snapshot that was taken.",
    "agent.changed": "Something about an agent is new, but no state and no reason.",
    "device.changed": "Something about a phone is new, but not its state: its registration, whose it is.",
    "call.initiated": "A call has one party, alone with the PBX.",
    "call.queued": "A call waits in a queue.",
    "call.alerting": "It rings at somebody.",
    "call.connected": "Two parties talk.",
    "call.held": "Of those who talk, one holds.",
    "call.ended": "A call is over. It is the last document of that call.",
    "call.party_changed": "Something about a call or its parties is new, but not the call's state.",
    "supervision.requested": "A session is armed: it begins with the agent's next call.",
    "supervision.ringing": "The supervisor's phone rings.",
    "supervision.started": "She is in the call.",
    "supervision.followed": "She is in another call of the same agent, or of the same session.",
    "supervision.switching": "Who hears whom is being changed.",
    "supervision.waiting": "Her phone is up and in no call.",
    "supervision.ended": "The session is over. It is its last document.",
    "supervision.changed": "Something about a session is new, but neither its state nor its mode.",
    "help.raised": "An agent raised a hand.",
    "help.claimed": "A supervisor has taken it.",
    "help.reopened": "It is open again: who had taken it could not come.",
    "help.ended": "The hand is down. It is its last document.",
    "help.changed": "Something about a raised hand is new, but not its state.",
}
"""Events whose data is the entity's whole document; the kind is the first word."""

_OWN: tuple[type[Header], ...] = (
    AgentStateChanged,
    DeviceStateChanged,
    QueueChanged,
    SupervisionModeChanged,
    CallOffered,
    CallAnswered,
    *REMOVED.values(),
    *OCCURRED.values(),
    PublisherDropped,
    AuditAnchored,
)

EVENTS = MappingProxyType(
    {
        event.name: event
        for event in (
            *[
                Event(name=name, data=ENTITY_DOCUMENTS[name.partition(".")[0]], when=when)
                for name, when in _WHOLE.items()
            ],
            *[Event(name=name_of(data), data=data, when=data.__doc__ or "") for data in _OWN],
        )
    }
)
"""Every type of events by its name."""
