"""A gate that lets everybody through, for tests of what stands behind it."""

from ctid.model.users import Right, UserRole
from ctid.model.words import NoticeKind
from ctid.supervision.gate import Gate
from ctid.supervision.law import Law
from ctid.supervision.rights import ALL, Grant, Rights

NO_LAW = Law(
    max_session_s=0,
    agent_minutes_per_week=0,
    warn_minutes_per_week=0,
    agent_sessions_per_day=0,
    calls_per_follow=0,
    periods_required=False,
)
"""No bound at all."""


def everybody() -> Rights:
    """Every right over every team, for every role."""
    return Rights(Grant(role=role, teams=frozenset({ALL}), rights=frozenset(Right)) for role in UserRole)


def open_gate() -> Gate:
    """No rule."""
    return Gate(rights=everybody(), law=NO_LAW, notice=NoticeKind.NONE)
