"""How what is told is known: the story of an agent, what the PBX does not bear out, and asking it again."""

from typing import Any

from msgspec import Struct

from ctid.api.context import ApiContext
from ctid.api.listing import ById
from ctid.api.views import check_own
from ctid.model.entities import Agent, Call, Device, Entity
from ctid.model.errors import NotFound
from ctid.model.ids import AgentId, PbxId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.state.drift import Drift
from ctid.state.story import Step


class AgentStory(Struct, frozen=True, kw_only=True):
    """An agent, and the last facts that bore on her, oldest first."""

    agent: Agent
    steps: list[Step]


class GhostsRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing is asked."""


class Ghost(Struct, frozen=True, kw_only=True):
    """An entity that the PBX does not bear out, and why it is doubted."""

    kind: str
    id: str
    pbx: PbxId
    reason: str
    """What its PBX's lists contradict; `stale` while its link is down."""
    since: Instant
    confirmed_at: Instant | None


class Ghosts(Struct, frozen=True, kw_only=True):
    """All of them, links in the order of their ids."""

    ghosts: list[Ghost]
    seq: int


class ReconcileRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which PBX."""

    id: str


class Difference(Struct, frozen=True, kw_only=True):
    """One thing that was other than ctid had been told."""

    name: str
    """Such as `leg.held`; `leg.ghost` was believed in by ctid alone, `leg.unknown` was unknown to it."""
    id: str
    believed: Any
    found: Any


class Reconciled(Struct, frozen=True, kw_only=True):
    """What a snapshot found and mended."""

    pbx: PbxId
    synchronized_at: Instant | None
    drift: list[Difference]
    drift_total: int
    """Since ctid started."""


async def get_story(context: ApiContext, user: User, request: ById) -> AgentStory:
    """Tell an agent's story."""
    check_own(user, request.id, "the story")
    ident = AgentId(request.id)
    agent = context.hub.store.agents.get(ident)
    if agent is None:
        raise NotFound("agent", request.id)
    return AgentStory(agent=agent, steps=context.hub.store.stories[ident].steps())


async def list_ghosts(context: ApiContext, _user: User, _request: GhostsRequest) -> Ghosts:
    """List what is suspect or stale."""
    store = context.hub.store
    doubted = [ghost for entity in store.entities() if (ghost := _ghost(entity)) is not None]
    return Ghosts(ghosts=doubted, seq=store.seq)


def _ghost(entity: Entity) -> Ghost | None:
    if not isinstance(entity, Agent | Device | Call):
        return None
    reason = entity.suspect or ("stale" if entity.stale else "")
    if not reason:
        return None
    return Ghost(
        kind=entity.kind,
        id=entity.id,
        pbx=entity.pbx,
        reason=reason,
        since=entity.since,
        confirmed_at=entity.confirmed_at,
    )


async def reconcile(context: ApiContext, _user: User, request: ReconcileRequest) -> Reconciled:
    """Take a snapshot, and tell what differed."""
    pbx = PbxId(request.id)
    await context.reconciler.reconcile(pbx)
    store = context.hub.store
    link = store.pbxs[pbx]
    return Reconciled(
        pbx=pbx,
        synchronized_at=link.synchronized_at,
        drift=[_difference(drift) for drift in store.last_drift.get(pbx, ())],
        drift_total=link.drift,
    )


def _difference(drift: Drift) -> Difference:
    return Difference(name=drift.name, id=drift.id, believed=drift.believed, found=drift.found)
