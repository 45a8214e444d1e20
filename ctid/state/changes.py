"""What the store tells its readers."""

from msgspec import Struct, structs
from msgspec.structs import replace

from ctid.model.entities import Entity, Help, Pbx
from ctid.model.facts import Moment
from ctid.model.ids import AgentId, CallId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant

UNCONFIRMED = (Pbx, Help)
"""Kinds of entities that no PBX confirms: the link itself, and what ctid alone owns."""


class Change(Struct, frozen=True, kw_only=True, gc=False):
    """An entity came (`old` is none), changed, or went (`new` is none). `seq` has no holes."""

    seq: int
    at: Instant
    old: Entity | None
    new: Entity | None

    @property
    def entity(self) -> Entity:
        """The entity as it is now, or as it last was."""
        entity = self.new or self.old
        assert entity is not None, "a change tells of an entity"  # noqa: S101 - the class's invariant
        return entity

    @property
    def kind(self) -> str:
        """The entity's kind: pbx, agent, device, queue, call, supervision or help."""
        return self.entity.kind


def alike(one: Entity | None, other: Entity | None) -> bool:
    """Whether two sights of an entity tell the same; when it was confirmed is no matter."""
    if one is None or other is None or isinstance(one, UNCONFIRMED) or isinstance(other, UNCONFIRMED):
        return one == other
    return replace(one, confirmed_at=other.confirmed_at) == other


class Occurrence(Struct, frozen=True, kw_only=True, gc=False):
    """Something happened that no entity's state tells, such as an abandoned call.

    `name` is that of the moment (`caller_abandoned`, `call_transferred` and so on), `supervision_key`: a
    supervisor pressed the key `by` in her session `supervision`, `state_drifted`: a snapshot differed from
    what had been told, and was believed, `agent_message`: a user has a text for an agent, or `sheet_written`.
    `call` and `leg` are none of drift and of a message, `queue` of what has to do with none; `by` is who or
    what ended it, who listens, or who the text is from, `to` where a call went, how somebody listens, or
    which sheet was written. `figures` are its numbers with their unit in the name; `text` is what a message
    to an agent says.
    """

    seq: int
    at: Instant
    name: str
    pbx: PbxId
    call: CallId | None = None
    leg: LegId | None = None
    queue: QueueId | None = None
    agent: AgentId | None = None
    supervision: SupervisionId | None = None
    by: str = ""
    to: str = ""
    text: str = ""
    figures: dict[str, float] = {}


Update = Change | Occurrence

_FIGURES = ("position", "hold_s", "ring_s", "wait_s", "talk_s")
_BY = ("by", "reason", "kind")
_TO = ("to", "place", "target", "how")


def occurrence(moment: Moment, seq: int, call: CallId) -> Occurrence:
    """Tell a moment of a call onwards."""
    told = structs.asdict(moment)
    return Occurrence(
        seq=seq,
        at=moment.at,
        name=str(type(moment).__struct_config__.tag),
        pbx=moment.pbx,
        call=call,
        leg=moment.leg,
        queue=told.get("queue"),
        agent=told.get("agent"),
        by=next((str(told[key]) for key in _BY if key in told), ""),
        to=next((str(told[key]) for key in _TO if key in told), ""),
        figures={key: told[key] for key in _FIGURES if key in told},
    )
