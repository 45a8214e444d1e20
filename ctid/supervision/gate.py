"""The one gate before every session, every switch of its mode and every call that it follows to. Pure.

It knows rights, protected agents, periods and quotas, and nothing of the PBX: who stands behind it carries
out what was admitted, and tells what came of it by `saw`.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Protocol

from ctid.model.entities import Supervision
from ctid.model.errors import SupervisionRefused
from ctid.model.ids import AgentId
from ctid.model.instant import Instant
from ctid.model.users import Right
from ctid.model.words import NoticeKind, Scope
from ctid.supervision import law as rules
from ctid.supervision.law import Admission, Law, Plan
from ctid.supervision.periods import Calendar
from ctid.supervision.rights import ALL, RIGHT_OF_MODE, Rights, Staff
from ctid.supervision.tally import Tally


class AuditStep(Protocol):
    """What a session did, as the audit tells it."""

    @property
    def event(self) -> str:
        """The state that it came into."""
        ...

    @property
    def supervision(self) -> Supervision:
        """The session as it was then."""
        ...


class Gate:
    """Admits or refuses. `notices` are how agents are told that they are listened to, by team.

    Whatever is not in `notices` is told by `notice`.
    """

    def __init__(
        self,
        *,
        rights: Rights | None = None,
        staff: Staff | None = None,
        law: Law | None = None,
        calendar: Calendar | None = None,
        notices: Mapping[str, NoticeKind] = MappingProxyType({}),
        notice: NoticeKind = NoticeKind.MQTT,
    ) -> None:
        self.rights = rights or Rights()
        self.staff = staff or Staff()
        self.law = law or Law()
        self.calendar = calendar or Calendar()
        self.tally = Tally(self.law.max_session_s)
        self._notices = notices
        self._notice = notice

    def admit(self, plan: Plan, now: Instant) -> Admission:
        """Let somebody supervise: start, switch the mode, or follow to another call or agent.

        Raises:
            SupervisionRefused: `agent_protected`, `outside_period`, `quota_reached`.
            Forbidden: the user has not the right; the detail names it, and the team.
        """
        if plan.agent in self.staff.protected:
            raise SupervisionRefused(
                "agent_protected",
                f"agent {plan.agent} represents the staff ([[agent]] protected): nobody may monitor her",
            )
        whom = f"agent {plan.agent}" if plan.agent is not None else "this call"
        self.rights.require(
            plan.user, RIGHT_OF_MODE[plan.mode], plan.team, f"the mode {plan.mode!s} with {whom}"
        )
        if plan.is_supervisor:
            what = f"to monitor {whom}, who is a supervisor herself,"
            self.rights.require(plan.user, Right.SUPERVISORS, plan.team, what)
        untils = [Instant(now + self.law.max_session_s)] if self.law.max_session_s else []
        warnings: tuple[str, ...] = ()
        if not rules.is_exempt(plan):
            period = rules.end_of_period(self.law, self.calendar, plan.team, now)
            quota, warnings = rules.check_quotas(self.law, self.calendar, self.tally, plan, now)
            untils += [until for until in (period, quota) if until is not None]
        if plan.session is not None and plan.agent is not None:
            self.tally.hold(plan.session, plan.agent, now)
        return Admission(
            warnings=warnings,
            until=min(untils, default=None),
            calls_limit=(self.law.calls_per_follow or None) if plan.scope is Scope.AGENT else None,
            notice=self.notice_of(plan.team),
        )

    def saw(self, _old: Supervision | None, new: Supervision) -> None:
        """Count what a session did."""
        self.tally.saw(new)

    def seed(self, steps: Iterable[AuditStep]) -> None:
        """Count what sessions did before this start, as the audit has it, oldest first."""
        for step in steps:
            self.tally.saw(step.supervision)

    def notice_of(self, team: str) -> NoticeKind:
        """How the agents of a team are told that they are listened to."""
        return self._notices.get(team, self._notice)

    def teams(self) -> list[str]:
        """The teams that the configuration speaks of, in the order of their ids."""
        named = {*self.staff.teams.values(), *self._notices, *(p.team for p in self.calendar.periods)}
        return sorted(named - {"", ALL})

    def warnings(self, agent: AgentId, now: Instant) -> tuple[str, ...]:
        """What to warn of: how much an agent has been listened to already."""
        listened_s = self.tally.listened_s(agent, self.calendar.week(now), now)
        sessions = self.tally.sessions(agent, self.calendar.day(now), now)
        return rules.usage_warnings(self.law, agent, listened_s, sessions)
