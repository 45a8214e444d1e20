from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest

from ctid.model.instant import Instant, to_rfc3339
from ctid.supervision.periods import Calendar, Period, Window, clock_shows

PARIS = ZoneInfo("Europe/Paris")
EVERY_DAY = frozenset(range(7))
SPRING, AUTUMN = date(2026, 3, 29), date(2026, 10, 25)
"""The days of 23 and of 25 hours in Paris: 02:00 becomes 03:00, and 03:00 becomes 02:00."""


def period(begins: float, ends: float, team: str = "north", days: frozenset[int] = EVERY_DAY) -> Period:
    """A period in hours of every day."""
    return Period(team=team, begins=int(begins * 60), ends=int(ends * 60), days=days)


def at(text: str) -> Instant:
    """A time in Paris, such as `2026-03-02 09:00`; `+0100` may say which of two."""
    when = datetime.fromisoformat(text)
    return Instant((when if when.tzinfo else when.replace(tzinfo=PARIS)).timestamp())


def told(windows: list[Window]) -> list[tuple[str, str]]:
    """Windows in UTC."""
    return [(to_rfc3339(window.begins)[11:16], to_rfc3339(window.ends)[11:16]) for window in windows]


def test_a_period_is_by_the_clock_of_the_zone() -> None:
    """09:00 in Paris is 08:00 UTC in winter, 07:00 in summer; its end is no part of it."""
    calendar = Calendar([period(9, 12)], PARIS)
    assert told(calendar.windows("north", date(2026, 1, 5), 1)) == [("08:00", "11:00")]
    assert told(calendar.windows("north", date(2026, 7, 6), 1)) == [("07:00", "10:00")]
    assert calendar.until("north", at("2026-01-05 09:00")) == at("2026-01-05 12:00")
    assert calendar.until("north", Instant(at("2026-01-05 12:00") - 0.001)) == at("2026-01-05 12:00")
    assert calendar.until("north", at("2026-01-05 12:00")) is None
    assert calendar.until("north", Instant(at("2026-01-05 09:00") - 0.001)) is None


def test_days_and_dates() -> None:
    """A day of the week, a date, and either of them; every other day has none."""
    monday_and_new_year = Period(
        team="north", begins=540, ends=600, days=frozenset({0}), dates=frozenset({date(2026, 1, 1)})
    )
    calendar = Calendar([monday_and_new_year], PARIS)
    days = [day for day in range(1, 15) if calendar.windows("north", date(2026, 1, day), 1)]
    assert days == [1, 5, 12]


def test_a_period_is_of_its_team_or_of_all() -> None:
    """Another team's does not count; `*` is everybody's, those of no team too."""
    calendar = Calendar([period(9, 10), period(14, 15, team="*")], PARIS)
    day = date(2026, 1, 5)
    assert told(calendar.windows("north", day, 1)) == [("08:00", "09:00"), ("13:00", "14:00")]
    assert told(calendar.windows("south", day, 1)) == told(calendar.windows("", day, 1))
    assert told(calendar.windows("south", day, 1)) == [("13:00", "14:00")]


def test_periods_that_meet_are_one() -> None:
    """Also over midnight; one within another adds nothing."""
    calendar = Calendar([period(9, 12), period(12, 14), period(10, 11), period(22, 24), period(0, 1)], PARIS)
    assert calendar.until("north", at("2026-01-05 09:30")) == at("2026-01-05 14:00")
    assert calendar.until("north", at("2026-01-05 22:30")) == at("2026-01-06 01:00")
    assert calendar.until("north", at("2026-01-06 00:30")) == at("2026-01-06 01:00")


def test_the_day_of_23_hours() -> None:
    """A time that the clock leaps over is that of the leap: what lies in the leap does not happen."""
    assert told(Calendar([period(2, 3)], PARIS).windows("north", SPRING, 1)) == []
    assert told(Calendar([period(2.5, 3.5)], PARIS).windows("north", SPRING, 1)) == [("01:00", "01:30")]
    assert told(Calendar([period(1, 4)], PARIS).windows("north", SPRING, 1)) == [("00:00", "02:00")]
    (whole,) = Calendar([period(0, 24)], PARIS).windows("north", SPRING, 1)
    assert whole.ends - whole.begins == 23 * 3600


def test_the_day_of_25_hours() -> None:
    """A time that the clock shows twice is the first one."""
    calendar = Calendar([period(2, 2.5)], PARIS)
    assert told(calendar.windows("north", AUTUMN, 1)) == [("00:00", "00:30")]
    assert calendar.until("north", at("2026-10-25T02:15+0200")) is not None
    assert calendar.until("north", at("2026-10-25T02:15+0100")) is None
    (whole,) = Calendar([period(0, 24)], PARIS).windows("north", AUTUMN, 1)
    assert whole.ends - whole.begins == 25 * 3600


def test_the_leap_is_found_to_the_second() -> None:
    """Also where it is at midnight."""
    for minutes in (120, 121, 150, 179):
        assert clock_shows(SPRING, minutes, PARIS) == at("2026-03-29T03:00+0200")
    assert clock_shows(SPRING, 180, PARIS) == at("2026-03-29T03:00+0200")
    havana = ZoneInfo("America/Havana")
    assert to_rfc3339(clock_shows(date(2026, 3, 8), 0, havana)) == "2026-03-08T05:00:00.000Z"


def test_a_window_in_which_the_clock_goes_back_over_midnight_stays_open() -> None:
    """In St. John's 00:01 became 23:01 of the day before, while the new day's window had begun."""
    calendar = Calendar([period(0, 0.5)], ZoneInfo("America/St_Johns"))
    (window,) = calendar.windows("north", date(2010, 11, 7), 1)
    assert window.ends - window.begins == 1.5 * 3600
    assert calendar.today(Instant(window.begins + 1800)) == date(2010, 11, 6)
    assert calendar.until("north", Instant(window.begins + 1800)) == window.ends


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        ("2026-01-05 08:00", "2026-01-05 09:00"),
        ("2026-01-05 09:00", "2026-01-12 09:00"),
        ("2026-01-06 08:00", "2026-01-12 09:00"),
    ],
)
def test_the_next_one(now: str, begins: str) -> None:
    """It begins after now."""
    assert Calendar([period(9, 10, days=frozenset({0}))], PARIS).next("north", at(now)) == at(begins)


def test_there_may_be_no_next_one() -> None:
    """None at all, or farther away than is looked."""
    assert Calendar().next("north", at("2026-01-05 08:00")) is None
    far = Period(team="north", begins=0, ends=1, dates=frozenset({date(2027, 1, 5)}))
    assert Calendar([far], PARIS).next("north", at("2026-01-05 08:00")) is None


def test_days_and_weeks_are_those_of_the_zone() -> None:
    """A week begins on Monday at midnight there, and has an hour less with the day of 23."""
    calendar = Calendar((), PARIS)
    now = at("2026-03-29 12:00")
    assert (calendar.day(now).begins, calendar.day(now).ends) == (
        at("2026-03-29 00:00"),
        at("2026-03-30 00:00"),
    )
    week = calendar.week(now)
    assert (week.begins, week.ends) == (at("2026-03-23 00:00"), at("2026-03-30 00:00"))
    assert week.ends - week.begins == (7 * 24 - 1) * 3600
    assert Calendar().zone is UTC
