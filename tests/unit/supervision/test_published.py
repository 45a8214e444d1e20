from datetime import date

from ctid.model.ids import AgentId
from ctid.model.words import NoticeKind
from ctid.supervision.gate import Gate
from ctid.supervision.periods import Calendar, Period
from ctid.supervision.published import PeriodRule, TeamPeriods, published
from ctid.supervision.rights import Staff


def test_every_team_reads_its_rules() -> None:
    """Its periods and those of everybody, its notice, the bounds, and by which clock."""
    lunch = Period(team="*", begins=720, ends=1440, dates=frozenset({date(2026, 3, 2)}))
    morning = Period(team="north", begins=545, ends=600, days=frozenset({4, 0}))
    gate = Gate(
        staff=Staff(teams={AgentId("1001"): "south"}),
        calendar=Calendar([lunch, morning]),
        notices={"north": NoticeKind.TONE},
    )
    rules = published(gate)
    everybody = PeriodRule(days=(), dates=("2026-03-02",), begins="12:00", ends="24:00")
    own = PeriodRule(days=("mon", "fri"), dates=(), begins="09:05", ends="10:00")
    assert (rules.timezone, rules.law) == ("UTC", gate.law)
    assert rules.teams == (
        TeamPeriods(team="*", periods=(everybody,), notice=NoticeKind.MQTT),
        TeamPeriods(team="north", periods=(everybody, own), notice=NoticeKind.TONE),
        TeamPeriods(team="south", periods=(everybody,), notice=NoticeKind.MQTT),
    )
