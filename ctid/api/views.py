"""What each role sees of an entity, over HTTP and WebSocket."""

from msgspec import UNSET, UnsetType

from ctid.masking import masked_call, masked_occurrence
from ctid.model.entities import Call, Entity, Supervision
from ctid.model.ids import SupervisionId
from ctid.model.users import UserRole
from ctid.state.changes import Occurrence

ALL_ROLES = frozenset({UserRole.VIEWER, UserRole.INTEGRATOR, UserRole.SUPERVISOR, UserRole.ADMIN})
"""Those who see the floor."""
SUPERVISING_ROLES = frozenset({UserRole.SUPERVISOR, UserRole.ADMIN})
"""Those who see whole numbers, and who listens to whom."""


class UnsupervisedCall(Call, frozen=True, kw_only=True):
    """A call as those see it who may not know who listens: without the key `supervisions`."""

    # Left out rather than empty: an empty list would claim that nobody listens.
    supervisions: tuple[SupervisionId, ...] | UnsetType = UNSET  # type: ignore[assignment]  # widened, so that the key can be absent


def visible(role: UserRole, entity: Entity) -> Entity | None:
    """The entity as `role` may see it, or none."""
    if isinstance(entity, Call):
        return visible_call(role, entity)
    if isinstance(entity, Supervision) and role not in SUPERVISING_ROLES:
        return None
    return entity


def visible_occurrence(role: UserRole, occurrence: Occurrence) -> Occurrence | None:
    """The occurrence as `role` may see it: without supervising, numbers masked, and none of who listens."""
    if role in SUPERVISING_ROLES:
        return occurrence
    return None if occurrence.supervision is not None else masked_occurrence(occurrence)


def visible_call(role: UserRole, call: Call) -> Call:
    """The call as `role` may see it: numbers masked, and who listens left out, unless it supervises."""
    if role in SUPERVISING_ROLES:
        return call
    hidden = masked_call(call)
    shown = {name: getattr(hidden, name) for name in Call.__struct_fields__ if name != "supervisions"}
    return UnsupervisedCall(**shown)
