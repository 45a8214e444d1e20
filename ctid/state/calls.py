"""A call, derived from its legs."""

from collections.abc import Collection, Mapping

from ctid.model.entities import Call, Party
from ctid.model.facts import Leg
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.quality import Quality
from ctid.model.words import CallState, Direction, LegState, PartyState, Recording, Role

_PARTY_STATE = {
    LegState.INITIATED: PartyState.INITIATED,
    LegState.ALERTING: PartyState.ALERTING,
    LegState.CONNECTED: PartyState.CONNECTED,
}


def call_id(pbx: PbxId, key: str) -> CallId:
    """`<pbx>.<first unique id>`."""
    return CallId(f"{pbx}.{key}")


def derive_call(
    pbx: PbxId,
    key: str,
    legs: Collection[Leg],
    old: Call | None,
    *,
    agent_of: Mapping[DeviceId, AgentId],
    phones: Collection[DeviceId],
    supervisions: tuple[SupervisionId, ...],
    quality: Mapping[LegId, Quality],
    suspect: str,
    at: Instant,
    stale: bool,
) -> Call:
    """Derive a call with at least one live leg. `old` gives what its gone legs told."""
    ordered = sorted(legs, key=_age) if len(legs) > 1 else list(legs)
    with_agent = not agent_of.keys().isdisjoint([leg.device for leg in ordered if leg.device is not None])
    # Whom a supervisor has taken over was an agent's customer, also if we never saw the agent.
    with_agent = with_agent or any(leg.supervision is not None for leg in ordered)
    old_parties = {party.leg: party for party in old.parties} if old else {}
    parties = tuple(
        [
            _party(
                leg, old_parties.get(leg.id), agent_of, phones, quality.get(leg.id), at, with_agent=with_agent
            )
            for leg in ordered
        ]
    )
    state = _state(ordered, old)
    queue = old.queue if old else None
    started = old.started_at if old else ordered[0].created_at
    aliases = old.aliases if old else (key,)
    for leg in ordered:
        queue = leg.queue or queue
        # Legs that only rang are no part of the call's story, and a long wait has many of them; a
        # supervisor's leg is ctid's own.
        if leg.state is LegState.CONNECTED and leg.supervision is None and leg.id not in aliases:
            aliases = (*aliases, leg.id)
    answered = old.answered_at if old else None
    spoken = state is CallState.CONNECTED or (
        state is CallState.HELD and not any(leg.parked for leg in ordered)
    )
    if answered is None and spoken:
        answered = max((leg.connected_at for leg in ordered if leg.connected_at is not None), default=at)
    return Call(
        id=old.id if old else call_id(pbx, key),
        pbx=pbx,
        state=state,
        since=old.since if old and old.state == state else at if old else started,
        started_at=started,
        confirmed_at=old.confirmed_at if old else None,
        stale=stale,
        suspect=suspect,
        direction=_direction(parties, ordered[0], old, agent_of, phones),
        queue=queue,
        dialled=(old.dialled if old else "") or ordered[0].dialled,
        answered_at=answered,
        parties=parties,
        supervisions=supervisions,
        aliases=aliases,
        recording=_recording(ordered),
        # A leg that told so may have left the call: it holds all the same.
        private=(old is not None and old.private) or any(leg.private for leg in ordered),
        objected=(old is not None and old.objected) or any(leg.objected for leg in ordered),
    )


def _recording(legs: Collection[Leg]) -> Recording:
    """Audio that is kept of one leg is of the call."""
    found = {leg.recording for leg in legs}
    return next((state for state in (Recording.ON, Recording.PAUSED) if state in found), Recording.OFF)


def _age(leg: Leg) -> float:
    return leg.created_at


def _party(
    leg: Leg,
    old: Party | None,
    agent_of: Mapping[DeviceId, AgentId],
    phones: Collection[DeviceId],
    quality: Quality | None,
    at: Instant,
    *,
    with_agent: bool,
) -> Party:
    agent = agent_of.get(leg.device) if leg.device is not None else None
    if leg.held or leg.parked:
        state = PartyState.HELD
    elif leg.position is not None:
        state = PartyState.QUEUED
    else:
        state = _PARTY_STATE[leg.state]
    if leg.supervision is not None:
        role = Role.SUPERVISOR
    elif agent is not None:
        role = Role.AGENT
    elif leg.device in phones:
        role = Role.OTHER
    elif with_agent or leg.queue is not None or (old is not None and old.role is Role.CUSTOMER):
        role = Role.CUSTOMER
    else:
        role = Role.OTHER
    return Party(
        leg=leg.id,
        role=role,
        state=state,
        since=old.since if old and old.state == state else at if old else leg.created_at,
        number=leg.number,
        name=leg.name,
        device=leg.device,
        agent=agent,
        parked=leg.parked,
        conference=leg.conference,
        quality=quality,
    )


def _state(legs: Collection[Leg], old: Call | None) -> CallState:
    alone: set[str] = set()
    shared: set[str] = set()
    alerting = queued = parked = False
    for leg in legs:
        if leg.conversation is not None:
            (shared if leg.conversation in alone else alone).add(leg.conversation)
        alerting = alerting or leg.state is LegState.ALERTING
        queued = queued or leg.position is not None
        parked = parked or leg.parked != ""
    if shared:
        held = any(leg.held for leg in legs if leg.conversation in shared)
        return CallState.HELD if held else CallState.CONNECTED
    if alerting:
        return CallState.ALERTING
    if parked:
        return CallState.HELD
    if queued:
        return CallState.QUEUED
    if old is not None and old.state is CallState.ALERTING and len(legs) > 1:
        return CallState.ALERTING  # answered, and on the way to being connected
    return CallState.INITIATED


def _direction(
    parties: tuple[Party, ...],
    first: Leg,
    old: Call | None,
    agent_of: Mapping[DeviceId, AgentId],
    phones: Collection[DeviceId],
) -> Direction:
    if old is not None and (len(parties) == 1 or len(old.parties) > 1 or old.answered_at is not None):
        return old.direction  # the first tells it, then the first two; later it is settled
    if parties[0].role not in (Role.AGENT, Role.SUPERVISOR) and first.device not in phones:
        return Direction.INBOUND
    inside = all(party.agent is not None or party.device in phones for party in parties)
    if len(parties) == 1:
        inside = first.dialled in agent_of.values() or first.dialled in phones
    return Direction.INTERNAL if inside else Direction.OUTBOUND
