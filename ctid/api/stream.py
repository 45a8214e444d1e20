"""The event stream's messages, and how a client asks for them."""

from typing import Literal

from msgspec import Raw, Struct

from ctid.model.entities import ENTITIES, Entity
from ctid.model.errors import InvalidRequest
from ctid.model.ids import AgentId, CallId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant

OCCURRENCE = "occurrence"
KINDS = (*(entity.kind for entity in ENTITIES), OCCURRENCE)

CLOSE_SLOW = 4408
"""Why a stream is closed (RFC 6455 section 7.4.2: private use): the client did not keep up."""
TOO_SLOW = "too slow: connect again, and read faster or filter more"
CLOSE_EXPIRED = 4401
"""The same: the client's token or session has ended while it was connected."""
EXPIRED = "the token or session is over: connect again with a good one"


Begun = Literal["first", "too_old", "restarted", "ahead"]


class SnapshotMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """The first message: all entities that the filter lets through; what follows comes after `seq`."""

    seq: int
    boot_id: str
    at: Instant
    entities: dict[str, list[Entity]]
    """By kind in the plural; kinds that the filter or the role leaves out have no key."""
    reason: Begun
    """Why this is no `resumed`. `first`: nothing was to be resumed; `too_old`: what followed `after` is kept
    no more; `restarted`: `boot_id` is of another start of ctid; `ahead`: `after` has not been reached."""


class ResumedMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="resumed"):
    """The first message of a stream that goes on after `after`: nothing was missed."""

    after: int
    boot_id: str
    at: Instant


class ChangeMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="change"):
    """An entity came or is other than it was; `entity` is none when it is gone from this stream's view."""

    seq: int
    at: Instant
    kind: str
    id: str
    entity: Entity | None


class OccurrenceMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="occurrence"):
    """Something happened that no entity's state tells: see `name`."""

    seq: int
    at: Instant
    name: str
    """Of a caller in a queue: `caller_queued`, `caller_answered`, `caller_abandoned`, `caller_left`,
    `offer_missed`, `call_served`. Of a call: `call_transferred`, `call_picked_up`, `call_parked`,
    `call_retrieved`. For those who supervise: `supervision_key`, a supervisor pressed a key of her phone;
    `monitoring_seen`, somebody listens, and not through ctid; `help_asked` by a code of the PBX;
    `sheet_written` about an agent. `state_drifted`: a snapshot differed from what had been told, and was
    believed. `agent_message`: a user has a text for an agent."""
    pbx: PbxId
    call: CallId | None
    leg: LegId | None
    """Whose leg it happened to: in a queue the caller's."""
    queue: QueueId | None
    agent: AgentId | None
    supervision: SupervisionId | None
    by: str
    """Who ended a served call (`caller`, `agent`, `transfer`), why a caller left, how a call was transferred,
    which key was pressed, the kind of a drift, who listens, who a text is from."""
    to: str
    """The number a call was transferred to, where it was parked, what drifted, the sheet's id; how somebody
    listens: `spy`, `snoop`."""
    text: str
    """What a message to an agent says; empty to viewers."""
    figures: dict[str, float]
    """The numbers of it, with their unit in the name."""


class HeartbeatMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="heartbeat"):
    """Nothing of this stream's view changed for a while; all up to `seq` has been told."""

    seq: int
    at: Instant


class ReplyMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="reply", omit_defaults=True):
    """The answer to an operation: `result`, or `problem`. `id` is the request's, none when it had none."""

    id: int | str | None
    status: int
    result: Raw | None = None
    problem: Raw | None = None
    replayed: bool = False
    """It is the answer that the request's `key` got before; nothing was done this time."""


class ClosedMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="closed"):
    """The last event of a stream of server-sent events; a WebSocket has a close frame for it."""

    code: int
    """As the close code of a WebSocket."""
    reason: str


Message = SnapshotMessage | ResumedMessage | ChangeMessage | OccurrenceMessage | HeartbeatMessage


class Filter(Struct, frozen=True, kw_only=True):
    """Which updates a client wants; an empty set wants all."""

    kinds: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    queues: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()


class StreamRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a stream; lists are separated by commas."""

    kind: str = ""
    team: str = ""
    queue: str = ""
    id: str = ""
    after: int | None = None
    boot_id: str = ""

    def filter(self) -> Filter:
        """The filter that was asked for.

        Raises:
            InvalidRequest: a kind is unknown, or `after` and `boot_id` are not both there.
        """
        kinds = _listed(self.kind)
        if unknown := kinds.difference(KINDS):
            known = ", ".join(KINDS)
            raise InvalidRequest(f"kind {min(unknown)!r} is not one of {known}", field="kind")
        if (self.after is None) != (not self.boot_id):
            lacks = "after" if self.after is None else "boot_id"
            raise InvalidRequest(f"to resume, give after and boot_id both; {lacks} is missing", field=lacks)
        return Filter(kinds=kinds, teams=_listed(self.team), queues=_listed(self.queue), ids=_listed(self.id))


def _listed(text: str) -> frozenset[str]:
    return frozenset(part for part in text.split(",") if part)
