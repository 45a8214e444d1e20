"""What is published of the law to whom it protects: the listening periods, and how agents are told. Pure."""

from msgspec import Struct

from ctid.model.words import NoticeKind
from ctid.supervision.gate import Gate
from ctid.supervision.law import Law
from ctid.supervision.periods import Period
from ctid.supervision.rights import ALL

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


class PeriodRule(Struct, frozen=True, kw_only=True):
    """On these days of the week and dates, from a time of the clock to another, such as `09:00`."""

    days: tuple[str, ...]
    dates: tuple[str, ...]
    begins: str
    ends: str


class TeamPeriods(Struct, frozen=True, kw_only=True):
    """When the agents of a team may be listened to, and how they are told that they are."""

    team: str
    """`*`: of every team, and of whoever is in none."""
    periods: tuple[PeriodRule, ...]
    notice: NoticeKind


class Periods(Struct, frozen=True, kw_only=True):
    """The rules of a site; on MQTT the same are retained at `…/periods`."""

    timezone: str
    law: Law
    teams: tuple[TeamPeriods, ...]


def published(gate: Gate) -> Periods:
    """The rules that a gate keeps, teams in the order of their ids."""
    return Periods(
        timezone=str(gate.calendar.zone),
        law=gate.law,
        teams=tuple(
            [
                TeamPeriods(
                    team=team,
                    periods=tuple([_rule(period) for period in gate.calendar.of(team)]),
                    notice=gate.notice_of(team),
                )
                for team in (ALL, *gate.teams())
            ]
        ),
    )


def _rule(period: Period) -> PeriodRule:
    return PeriodRule(
        days=tuple([DAYS[day] for day in sorted(period.days)]),
        dates=tuple([day.isoformat() for day in sorted(period.dates)]),
        begins=_clock(period.begins),
        ends=_clock(period.ends),
    )


def _clock(minutes: int) -> str:
    return f"{minutes // 60:02}:{minutes % 60:02}"
