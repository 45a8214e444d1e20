"""The sessions about an agent, as the audit tells them: what she may read of herself. Pure."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, NoticeKind, NoticeState, Origin, Purpose, SupervisionEnd, SupervisionState
from ctid.supervision.gate import AuditStep

_IN_CALL = {"active", "switching"}


class SessionAbout(Struct, frozen=True, kw_only=True):
    """One session in which an agent was listened to, or is. What the supervisor noted is not in it."""

    id: SupervisionId
    supervisor: str
    purpose: Purpose
    origin: Origin
    began_at: Instant
    """When it first was in a call of hers."""
    ended_at: Instant | None
    """When it ended, or went on to another agent; none while it goes on."""
    modes: tuple[Mode, ...]
    """The modes that were in force with her, in the order of their first use."""
    notice: NoticeKind
    notice_state: NoticeState
    """Whether she was told."""
    end: SupervisionEnd | None


def sessions_about(steps: Iterable[AuditStep], agent: AgentId) -> list[SessionAbout]:
    """The sessions about an agent, the newest first. `steps`: of the audit, oldest first."""
    found: dict[SupervisionId, SessionAbout] = {}
    for step in steps:
        session = step.supervision
        known = found.get(session.id)
        if session.agent == agent and step.event in _IN_CALL:
            found[session.id] = _with_mode(known or _begun(session), session)
        elif known is not None and known.ended_at is None and _leaves(session, agent, step.event):
            found[session.id] = replace(
                known, ended_at=session.ended_at or session.since, end=session.end, **_notice(session, agent)
            )
    return sorted(found.values(), key=lambda about: (about.began_at, about.id), reverse=True)


def _begun(session: Supervision) -> SessionAbout:
    return SessionAbout(
        id=session.id,
        supervisor=session.supervisor,
        purpose=session.purpose,
        origin=session.origin,
        began_at=session.since,
        ended_at=None,
        modes=(),
        notice=session.notice,
        notice_state=session.notice_state,
        end=None,
    )


def _with_mode(about: SessionAbout, session: Supervision) -> SessionAbout:
    modes = about.modes if session.mode in about.modes else (*about.modes, session.mode)
    return replace(
        about, modes=modes, ended_at=None, notice=session.notice, notice_state=session.notice_state
    )


def _leaves(session: Supervision, agent: AgentId, event: str) -> bool:
    return event == SupervisionState.ENDED or (event in _IN_CALL and session.agent != agent)


def _notice(session: Supervision, agent: AgentId) -> dict[str, object]:
    """What the last word on a session says of her notice; of another agent's it says nothing of hers."""
    if session.agent != agent:
        return {}
    return {"notice": session.notice, "notice_state": session.notice_state}
