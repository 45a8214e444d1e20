"""What the law bounds: when an agent may be listened to, how long, how often. Pure.

The defaults are a reading of the French rules: the CNIL, "L'écoute et l'enregistrement des appels sur le lieu
de travail" (occasional, proportionate, periods known in advance), and the délibération 2014-474 (NS-57).
"""

from msgspec import Struct

from ctid.model.errors import SupervisionRefused
from ctid.model.ids import AgentId, CallId, SupervisionId
from ctid.model.instant import Instant, to_rfc3339
from ctid.model.users import User
from ctid.model.words import Mode, NoticeKind, Origin, Purpose, Scope
from ctid.supervision.periods import Calendar
from ctid.supervision.tally import Tally

EMERGENCY = "a purpose of emergency with a note, and what the agent asked for herself, are bound by neither"


class Law(Struct, frozen=True, kw_only=True):
    """The bounds of a site; 0 is no bound."""

    max_session_s: float = 1800.0
    """The longest session, in seconds."""
    agent_minutes_per_week: float = 60.0
    """For how long an agent may be listened to from Monday to Sunday."""
    warn_minutes_per_week: float = 45.0
    """From so many minutes on the supervisor is warned."""
    agent_sessions_per_day: int = 3
    calls_per_follow: int = 3
    """After so many calls a session that follows an agent ends."""
    periods_required: bool = True
    """Whether agents may be listened to only in the listening periods of their team."""


class Plan(Struct, frozen=True, kw_only=True):
    """What somebody wants to do: listen to an agent, in a call or her next one, in a mode.

    `team` is the agent's. `session` is the one that asks, a new one with its new id: what it has used up
    itself does not stand in its way.
    """

    user: User
    agent: AgentId | None
    team: str
    is_supervisor: bool
    """Whether the agent is a supervisor herself."""
    call: CallId | None
    mode: Mode
    purpose: Purpose
    origin: Origin
    scope: Scope
    note: str = ""
    session: SupervisionId | None = None


class Admission(Struct, frozen=True, kw_only=True):
    """It may be done; of several that one session is given, the earliest `until` holds."""

    warnings: tuple[str, ...] = ()
    until: Instant | None = None
    """When it has to end: its longest time, the end of the period, or of what the agent's week has left."""
    calls_limit: int | None = None
    notice: NoticeKind = NoticeKind.NONE


def is_exempt(plan: Plan) -> bool:
    """Whether neither periods nor quotas bind: the agent asked for it, or it is an explained emergency."""
    asked_for = plan.origin is Origin.AGENT_REQUEST and plan.purpose is Purpose.ASSISTANCE
    return asked_for or (plan.purpose is Purpose.EMERGENCY and bool(plan.note.strip()))


def end_of_period(law: Law, calendar: Calendar, team: str, now: Instant) -> Instant | None:
    """When the listening period that it is ends; none where none is needed.

    Raises:
        SupervisionRefused: `outside_period`.
    """
    if not law.periods_required:
        return None
    until = calendar.until(team, now)
    if until is None:
        begins = calendar.next(team, now)
        when = f"the next one begins {to_rfc3339(begins)}" if begins else "no next one is configured"
        whose = f"the team {team!r}" if team else "agents of no team"
        raise SupervisionRefused(
            "outside_period",
            f"it is no listening period of {whose}; {when} (GET /api/v1/periods); {EMERGENCY}",
        )
    return until


def check_quotas(
    law: Law, calendar: Calendar, tally: Tally, plan: Plan, now: Instant
) -> tuple[Instant | None, tuple[str, ...]]:
    """See that an agent may be listened to once more; until when her week lasts, and what to warn of.

    Raises:
        SupervisionRefused: `quota_reached`; the detail says what was used, and when it frees.
    """
    if plan.agent is None:
        return None, ()
    day, week = calendar.day(now), calendar.week(now)
    sessions = tally.sessions(plan.agent, day, now, plan.session)
    if law.agent_sessions_per_day and sessions >= law.agent_sessions_per_day:
        raise SupervisionRefused(
            "quota_reached",
            f"agent {plan.agent} has had {sessions} of {law.agent_sessions_per_day} sessions today; "
            f"that is free again {to_rfc3339(day.ends)}; {EMERGENCY}",
        )
    listened_s = tally.listened_s(plan.agent, week, now)
    left_s = law.agent_minutes_per_week * 60 - listened_s
    if law.agent_minutes_per_week and left_s <= 0:
        raise SupervisionRefused(
            "quota_reached",
            f"agent {plan.agent} has been listened to {_minutes(listened_s)} of "
            f"{law.agent_minutes_per_week:g} minutes this week, none is left; that is free again "
            f"{to_rfc3339(week.ends)}; {EMERGENCY}",
        )
    until = Instant(now + left_s) if law.agent_minutes_per_week else None
    return until, usage_warnings(law, plan.agent, listened_s, sessions + 1)


def usage_warnings(law: Law, agent: AgentId, listened_s: float, sessions: int) -> tuple[str, ...]:
    """What a supervisor is to know of an agent who was listened to so long this week, so often today."""
    found = []
    if law.warn_minutes_per_week and listened_s >= law.warn_minutes_per_week * 60:
        of = f" of {law.agent_minutes_per_week:g}" if law.agent_minutes_per_week else ""
        found.append(f"agent {agent} has been listened to {_minutes(listened_s)}{of} minutes this week")
    if law.agent_sessions_per_day and sessions >= law.agent_sessions_per_day:
        found.append(f"agent {agent} has had {sessions} of {law.agent_sessions_per_day} sessions today")
    return tuple(found)


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.1f}"
