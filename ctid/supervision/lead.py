"""Who leads where several supervisors are in one call: only she may be heard, or take over. Pure."""

from ctid.model.entities import Supervision
from ctid.model.ids import CallId, SupervisionId
from ctid.model.words import SupervisionState
from ctid.state.store import Store


def in_call(store: Store, call: CallId | None) -> list[Supervision]:
    """The sessions in a call, the eldest first; none in no call."""
    sessions = [s for s in store.supervisions.values() if call is not None and s.call == call]
    return sorted(sessions, key=lambda session: (session.started_at, session.id))


def leader_of(store: Store, call: CallId | None) -> Supervision | None:
    """The session that leads in a call, or none."""
    return next((session for session in in_call(store, call) if session.lead), None)


def leads(store: Store, call: CallId, ident: SupervisionId) -> bool:
    """Whether this session would lead in that call: nobody else does."""
    leader = leader_of(store, call)
    return leader is None or leader.id == ident


def heir_of(store: Store, call: CallId | None) -> Supervision | None:
    """Who is to lead in a call that nobody leads: the eldest session that is up; none if there is none."""
    if leader_of(store, call) is not None:
        return None
    up = (SupervisionState.ACTIVE, SupervisionState.WAITING)
    return next((session for session in in_call(store, call) if session.state in up), None)
