"""What a session is to do next, by the state: follow the agent or the call, wait on, or end. Pure."""

from msgspec import Struct

from ctid.model.entities import Call, Party, Supervision
from ctid.model.ids import CallId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Role, Scope, SupervisionEnd, SupervisionState
from ctid.state.store import Store
from ctid.supervision.target import agent_party, conversation_of

_IDLE = frozenset({SupervisionState.REQUESTED, SupervisionState.WAITING})


class Follow(Struct, frozen=True, kw_only=True):
    """Go to this agent's leg, in this call."""

    call: Call
    party: Party


class End(Struct, frozen=True, kw_only=True):
    """It is over, for this reason."""

    reason: SupervisionEnd


def next_step(
    session: Supervision, store: Store, now: Instant, armed_in: CallId | None = None
) -> Follow | End | None:
    """What a session is to do now; none: nothing.

    `armed_in` is the call in which the agent was when a session was armed: it is not her next one.
    """
    if session.until is not None and now >= session.until:
        return End(reason=SupervisionEnd.TIME_UP)
    if session.mode is Mode.TAKEOVER:
        return _with_customer(session, store)
    if session.state is SupervisionState.ACTIVE and session.call is not None:
        # Her side of the call is watched by the PBX's driver, which has her wait when the agent leaves.
        return None if session.call in store.calls or _follows_agent(session) else _over()
    if session.state not in _IDLE:
        return None
    return _by_agent(session, store, armed_in) if _by_her(session) else _by_call(session, store)


def _follows_agent(session: Supervision) -> bool:
    return session.scope is Scope.AGENT


def _by_her(session: Supervision) -> bool:
    return _follows_agent(session) or session.state is SupervisionState.REQUESTED


def _over() -> End:
    return End(reason=SupervisionEnd.CALL_ENDED)


def _with_customer(session: Supervision, store: Store) -> End | None:
    """A call that was taken over is hers until the customer has gone."""
    call = store.calls.get(session.call) if session.call is not None else None
    if call is not None and any(party.role is not Role.SUPERVISOR for party in call.parties):
        return None
    return _over() if session.state is SupervisionState.ACTIVE else None


def _by_call(session: Supervision, store: Store) -> Follow | End | None:
    call = store.calls.get(session.call) if session.call is not None else None
    if call is None:
        return _over()
    party = agent_party(call, None)
    return Follow(call=call, party=party) if party is not None else None


def _by_agent(session: Supervision, store: Store, armed_in: CallId | None) -> Follow | End | None:
    found = conversation_of(store, session.agent) if session.agent is not None else None
    done = session.calls_limit is not None and session.calls >= session.calls_limit
    if found is None:
        return End(reason=SupervisionEnd.CALLS_DONE) if done else None
    call, party = found
    if call.id == armed_in:
        return None
    if done and call.id != session.call:
        return End(reason=SupervisionEnd.CALLS_DONE)
    return Follow(call=call, party=party)
