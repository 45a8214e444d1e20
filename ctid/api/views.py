"""What each user sees: of an entity, of what happened, of figures; over HTTP and WebSocket."""

from msgspec import UNSET, UnsetType
from msgspec.structs import replace

from ctid.masking import masked_call, masked_occurrence
from ctid.model.entities import Agent, Call, Entity, Help, Supervision
from ctid.model.errors import Forbidden
from ctid.model.facts import MonitoringSeen
from ctid.model.ids import AgentId, QueueId, SupervisionId
from ctid.model.users import FLOOR_ROLES, SUPERVISING_ROLES, Right, User, UserRole
from ctid.state.changes import Occurrence
from ctid.state.store import Store
from ctid.supervision.rights import Rights, covers

GUARDED = frozenset({Supervision.kind, Help.kind})
"""The kinds of entities that only `SUPERVISING_ROLES` see, but for an agent's own raised hand."""
GUARDED_OCCURRENCES = frozenset({MonitoringSeen.NAME, "help_asked", "sheet_written"})
"""And what happens that they alone are told."""


class UnsupervisedCall(Call, frozen=True, kw_only=True):
    """A call as those see it who may not know who listens: without the key `supervisions`."""

    # Left out rather than empty: an empty list would claim that nobody listens.
    supervisions: tuple[SupervisionId, ...] | UnsetType = UNSET  # type: ignore[assignment]  # widened, so that the key can be absent


class Sight:
    """What one user sees of the state.

    Callers' numbers are masked unless she has the right `numbers` over a team of the call: its agents', or,
    while it has none, its queue's members'. Who listens to whom is for `SUPERVISING_ROLES`. An agent sees
    herself as an agent and her raised hand, and nothing else; a principal sees nothing of it.
    """

    def __init__(self, user: User, rights: Rights, store: Store) -> None:
        self._user = user
        self._store = store
        self._numbers = rights.over(user, Right.NUMBERS)
        self._sees_floor = user.role in FLOOR_ROLES
        self._supervises = user.role in SUPERVISING_ROLES

    @property
    def alike(self) -> tuple[object, ...]:
        """Equal for those who see the same of everything."""
        return self._user.role, self._numbers, self._user.agent if self._user.role is UserRole.AGENT else None

    def sees_kind(self, kind: str) -> bool:
        """Whether entities of a kind can be in her view at all."""
        if self._user.role is UserRole.AGENT:
            return kind in (Agent.kind, Help.kind)
        return self._sees_floor and (kind not in GUARDED or self._supervises)

    def entity(self, entity: Entity) -> Entity | None:
        """The entity as she may see it, or none."""
        if not self.sees_kind(entity.kind):
            return None
        if not self._sees_floor:
            hers = entity.agent if isinstance(entity, Help) else entity.id
            return entity if hers == self._user.agent else None
        return self.call(entity) if isinstance(entity, Call) else entity

    def occurrence(self, occurrence: Occurrence) -> Occurrence | None:
        """The occurrence as she may see it, or none: with outside numbers masked, or in full."""
        guarded = occurrence.name in GUARDED_OCCURRENCES or occurrence.supervision is not None
        if not self._sees_floor or (guarded and not self._supervises):
            return None
        call = self._store.calls.get(occurrence.call) if occurrence.call is not None else None
        agents = _agents_of(call) if call is not None else ()
        if occurrence.agent is not None:
            agents = (occurrence.agent, *agents)
        full = self._sees_numbers(agents, occurrence.queue or (call.queue if call else None))
        shown = occurrence if full else masked_occurrence(occurrence)
        # What is written to an agent is for her tools and her supervisors.
        hides = shown.text and self._user.role is UserRole.VIEWER
        return replace(shown, text="") if hides else shown

    def call(self, call: Call) -> Call:
        """A call as she may see it, who sees the floor."""
        shown = call if self._sees_numbers(_agents_of(call), call.queue) else masked_call(call)
        if self._supervises:
            return shown
        named = {name: getattr(shown, name) for name in Call.__struct_fields__ if name != "supervisions"}
        return UnsupervisedCall(**named)

    def _sees_numbers(self, agents: tuple[AgentId, ...], queue: QueueId | None) -> bool:
        if not self._numbers or covers(self._numbers, ""):
            return bool(self._numbers)
        known = self._store.agents
        if agents:
            return any(covers(self._numbers, known[agent].team) for agent in agents if agent in known)
        return queue is not None and any(
            covers(self._numbers, agent.team)
            for agent in known.values()
            if any(membership.queue == queue for membership in agent.queues)
        )


def _agents_of(call: Call) -> tuple[AgentId, ...]:
    return tuple([party.agent for party in call.parties if party.agent is not None])


def check_own(user: User, ident: str, what: str) -> None:
    """See that an agent asks about herself; the other roles ask about whom they like.

    Raises:
        Forbidden: it is another agent.
    """
    if user.role is UserRole.AGENT and user.agent != ident:
        raise Forbidden(f"{what} of another agent is not for the role agent: {user.name} is {user.agent}")
