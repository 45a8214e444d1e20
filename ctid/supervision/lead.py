"""Who leads where several supervisors are in one call: only she may be heard, or take over. Pure."""

from ctid.model.entities import Supervision
from ctid.model.ids import CallId, SupervisionId
from ctid.model.words import Mode, Scope, SupervisionState
from ctid.state.store import Store


def in_call(store: Store, call: CallId | None) -> list[Supervision]:
    """The sessions in a call, who took it over first, then the eldest; none in no call."""
    sessions = [
        s for s in store.supervisions.values() if call is not None and s.call == call and not _away(s)
    ]
    return sorted(sessions, key=lambda s: (s.mode is not Mode.TAKEOVER, s.started_at, s.id))


def leader_of(store: Store, call: CallId | None) -> Supervision | None:
    """The session that leads in a call, or none; of two, as where calls were joined, the first."""
    return next((session for session in in_call(store, call) if session.lead), None)


def leads(store: Store, call: CallId, ident: SupervisionId) -> bool:
    """Whether this session would lead in that call: nobody else does."""
    leader = leader_of(store, call)
    return leader is None or leader.id == ident


def lead_due(session: Supervision, store: Store) -> bool:
    """Whether a session that is in a call is to lead there: nobody does, and of those who are up it is first.

    False as well for one that leads where another does.
    """
    leader = leader_of(store, session.call)
    if leader is not None:
        return leader.id == session.id
    up = (s for s in in_call(store, session.call) if s.state is SupervisionState.ACTIVE)
    return next((first.id == session.id for first in up), False)


def _away(session: Supervision) -> bool:
    """Whether she has gone on with the agent: her last call is not hers any more."""
    return session.state is SupervisionState.WAITING and session.scope is Scope.AGENT
