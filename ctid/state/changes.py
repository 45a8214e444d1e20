"""What the store tells its readers."""

from msgspec import Struct

from ctid.model.entities import Entity
from ctid.model.ids import AgentId, CallId, PbxId, QueueId
from ctid.model.instant import Instant


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
        """The entity's kind: pbx, agent, device, queue, call or supervision."""
        return self.entity.kind


class Occurrence(Struct, frozen=True, kw_only=True, gc=False):
    """Something happened that no entity's state tells, such as an abandoned call.

    `name` is `caller_abandoned`, `offer_missed` or `call_served`; `figures` are its numbers with their
    unit in the name.
    """

    seq: int
    at: Instant
    name: str
    pbx: PbxId
    call: CallId
    queue: QueueId
    agent: AgentId | None = None
    by: str = ""
    figures: dict[str, float] = {}


Update = Change | Occurrence
