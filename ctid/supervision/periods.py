"""The periods in which agents may be listened to, by the clock of the site, through its changes. Pure."""

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, timedelta, tzinfo

from msgspec import Struct

from ctid.model.instant import Instant
from ctid.supervision.rights import ALL

_DAY = timedelta(days=1)
LOOKED_AHEAD_DAYS = 62
"""A period that is farther away is not named as the next one."""


class Period(Struct, frozen=True, kw_only=True):
    """From one time of the day to another, on days of the week or on dates; of a team, or of `ALL`.

    `begins` and `ends` are minutes of the clock after midnight, 0 to 1440; `days` count from Monday, 0.
    """

    team: str
    begins: int
    ends: int
    days: frozenset[int] = frozenset()
    dates: frozenset[date] = frozenset()

    def is_on(self, day: date) -> bool:
        """Whether it is a day of this period."""
        return day.weekday() in self.days or day in self.dates


class Window(Struct, frozen=True, kw_only=True):
    """A stretch of time; `ends` is no part of it."""

    begins: Instant
    ends: Instant


def clock_shows(day: date, minutes: int, zone: tzinfo) -> Instant:
    """When the clock of a zone first shows a time of a day, or a later one.

    A time that the clock leaps over (the day of 23 hours) is the instant of the leap; of one that it shows
    twice (the day of 25) it is the first.
    """
    wall = datetime.combine(day, datetime.min.time()) + timedelta(minutes=minutes)
    at = wall.replace(tzinfo=zone).timestamp()
    if _wall(at, zone) == wall:
        return Instant(at)
    # In the leap: with the offset of after it (PEP 495, fold) the same time lies before it.
    early, late = int(wall.replace(tzinfo=zone, fold=1).timestamp()), int(at)
    while late - early > 1:
        middle = (early + late) // 2
        early, late = (middle, late) if _wall(middle, zone) < wall else (early, middle)
    return Instant(late)


def _wall(at: float, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(at, zone).replace(tzinfo=None)


class Calendar:
    """The periods of a site in its time zone. Days and weeks begin at midnight there, weeks on Monday."""

    def __init__(self, periods: Iterable[Period] = (), zone: tzinfo = UTC) -> None:
        self.periods = tuple(periods)
        self.zone = zone

    def today(self, now: Instant) -> date:
        """The date that it is."""
        return datetime.fromtimestamp(now, self.zone).date()

    def day(self, now: Instant) -> Window:
        """The day that it is: 23, 24 or 25 hours."""
        return self._days(self.today(now), 1)

    def week(self, now: Instant) -> Window:
        """The week that it is."""
        today = self.today(now)
        return self._days(today - today.weekday() * _DAY, 7)

    def _days(self, first: date, count: int) -> Window:
        begins, ends = (clock_shows(day, 0, self.zone) for day in (first, first + count * _DAY))
        return Window(begins=begins, ends=ends)

    def of(self, team: str) -> tuple[Period, ...]:
        """The periods that hold for a team."""
        return tuple([period for period in self.periods if period.team in (ALL, team)])

    def windows(self, team: str, first: date, days: int) -> list[Window]:
        """When a team may be listened to, in so many days from `first` on, in their order; none overlaps."""
        merged: list[Window] = []
        for window in sorted(self._single(team, first, days), key=lambda window: window.begins):
            if merged and window.begins <= merged[-1].ends:
                last = merged.pop()
                merged.append(Window(begins=last.begins, ends=max(last.ends, window.ends)))
            else:
                merged.append(window)
        return merged

    def _single(self, team: str, first: date, days: int) -> Iterator[Window]:
        periods = self.of(team)
        for day in (first + number * _DAY for number in range(days)):
            for period in periods:
                if not period.is_on(day):
                    continue
                begins, ends = (clock_shows(day, m, self.zone) for m in (period.begins, period.ends))
                if begins < ends:
                    yield Window(begins=begins, ends=ends)

    def until(self, team: str, now: Instant) -> Instant | None:
        """When the period that it is for a team ends, as far as tomorrow; none where it is none."""
        # Tomorrow's too: one may go on there, or have begun before the clock went back over midnight.
        windows = self.windows(team, self.today(now), 2)
        return next((window.ends for window in windows if window.begins <= now < window.ends), None)

    def next(self, team: str, now: Instant) -> Instant | None:
        """When the next period of a team begins."""
        today = self.today(now)
        for number in range(LOOKED_AHEAD_DAYS):
            for window in self.windows(team, today + number * _DAY, 1):
                if window.begins > now:
                    return window.begins
        return None
