"""What a session is to do next, by the state: follow, end, take or give the lead, give notice. Pure."""

from msgspec import Struct

from ctid.model.entities import Call, Party, Supervision
from ctid.model.ids import CallId
from ctid.model.instant import Instant
from ctid.model.protection import is_protected
from ctid.model.words import Mode, NoticeState, Role, Scope, SupervisionEnd, SupervisionState
from ctid.state.store import Store
from ctid.supervision.lead import lead_due
from ctid.supervision.target import agent_party, conversation_of


class Follow(Struct, frozen=True, kw_only=True):
    """Go to this agent's leg, in this call."""

    call: Call
    party: Party


class Lead(Struct, frozen=True, kw_only=True):
    """Lead in its call from now on, or no longer."""

    lead: bool


class Notify(Struct, frozen=True, kw_only=True):
    """Tell the agent that she is listened to."""


class End(Struct, frozen=True, kw_only=True):
    """It is over, for this reason."""

    reason: SupervisionEnd


Step = Follow | Lead | Notify | End


def next_step(
    session: Supervision, store: Store, now: Instant, armed_in: CallId | None = None
) -> Step | None:
    """What a session is to do now; none: nothing.

    `armed_in` is the call in which the agent was when a session was armed: it is not her next one.
    """
    if session.mode is Mode.TAKEOVER:
        return _with_customer(session, store)
    if session.until is not None and now >= session.until:
        return End(reason=SupervisionEnd.TIME_UP)
    match session.state:
        case SupervisionState.ACTIVE:
            return _in_call(session, store)
        case SupervisionState.REQUESTED:
            return _by_agent(session, store, armed_in)
        case SupervisionState.WAITING:
            follows_agent = session.scope is Scope.AGENT
            return _by_agent(session, store, None) if follows_agent else _by_call(session, store)
        case _:
            return None


def _over() -> End:
    return End(reason=SupervisionEnd.CALL_ENDED)


def _with_customer(session: Supervision, store: Store) -> End | None:
    """A call that was taken over is hers, whatever the time, until the customer has gone."""
    call = store.calls.get(session.call) if session.call is not None else None
    if call is not None and any(party.role is not Role.SUPERVISOR for party in call.parties):
        return None
    return _over() if session.state is SupervisionState.ACTIVE else None


def _in_call(session: Supervision, store: Store) -> Lead | Notify | End | None:
    call = store.calls.get(session.call) if session.call is not None else None
    if call is None:
        # Who follows an agent is told by the PBX's driver that it waits.
        return None if session.scope is Scope.AGENT else _over()
    if is_protected(call):
        return End(reason=SupervisionEnd.FORBIDDEN)
    due = lead_due(session, store)
    if session.lead is not due:
        return Lead(lead=due)
    return Notify() if session.notice_state is NoticeState.DUE else None


def _by_call(session: Supervision, store: Store) -> Follow | End | None:
    call = store.calls.get(session.call) if session.call is not None else None
    if call is None:
        return _over()
    if is_protected(call):
        return End(reason=SupervisionEnd.FORBIDDEN)
    party = agent_party(call, None)
    return Follow(call=call, party=party) if party is not None else None


def _by_agent(session: Supervision, store: Store, armed_in: CallId | None) -> Follow | End | None:
    found = conversation_of(store, session.agent) if session.agent is not None else None
    done = session.calls_limit is not None and session.calls >= session.calls_limit
    if found is None:
        return End(reason=SupervisionEnd.CALLS_DONE) if done else None
    call, party = found
    if call.id == armed_in or is_protected(call):
        return None
    if done and call.id != session.call:
        return End(reason=SupervisionEnd.CALLS_DONE)
    return Follow(call=call, party=party)
