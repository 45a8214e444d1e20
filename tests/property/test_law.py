"""Quotas hold whatever is asked in whatever order; periods follow the clock through its changes."""

from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.errors import SupervisionRefused
from ctid.model.ids import AgentId, CallId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import Mode, Origin, Purpose, Scope, SupervisionState
from ctid.supervision.gate import Gate
from ctid.supervision.law import Law, Plan
from ctid.supervision.periods import Calendar, Period

PARIS = ZoneInfo("Europe/Paris")
ALICE = AgentId("1001")
LAW = Law(max_session_s=1800, agent_minutes_per_week=60, agent_sessions_per_day=3, periods_required=False)
START = datetime(2026, 3, 23, tzinfo=PARIS).timestamp()
"""The Monday of the week with the day of 23 hours."""


class Site:
    """Supervisors who ask, and a PBX that does what was admitted, and ends it in time."""

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        self.now = START
        self.live: dict[SupervisionId, tuple[Supervision, float]] = {}
        self.spells: list[tuple[float, float]] = []
        self.begun: list[float] = []

    def passes(self, seconds: float) -> None:
        """Time passes: what has reached its `until` ends then."""
        self.now += seconds
        for ident, (session, until) in sorted(self.live.items(), key=lambda item: item[1][1]):
            if until <= self.now:
                self.ends(ident, session, until)

    def asks(self, number: int) -> None:
        """Somebody asks, and is in the call at once, or is refused."""
        ident = SupervisionId(f"s{number}")
        plan = Plan(
            user=User(name="sofia", role=UserRole.SUPERVISOR, teams=frozenset({"*"})),
            agent=ALICE,
            team="",
            is_supervisor=False,
            call=CallId("lab.1"),
            mode=Mode.LISTEN,
            purpose=Purpose.QUALITY,
            origin=Origin.SUPERVISOR,
            scope=Scope.CALL,
            session=ident,
        )
        try:
            until = self.gate.admit(plan, Instant(self.now)).until
        except SupervisionRefused as refused:
            if refused.code != "supervision.quota_reached":
                raise
            return
        assert until is not None
        self.sees(ident, "ringing")
        self.live[ident] = (self.sees(ident, "active"), until)
        self.begun.append(self.now)

    def leaves(self, number: int) -> None:
        """One of those who listen leaves."""
        if self.live:
            ident = sorted(self.live)[number % len(self.live)]
            self.ends(ident, self.live[ident][0], self.now)

    def ends(self, ident: SupervisionId, session: Supervision, at: float) -> None:
        """A session ends."""
        del self.live[ident]
        self.spells.append((session.since, at))
        ended = replace(session, state=SupervisionState.ENDED, since=Instant(at), ended_at=Instant(at))
        self.gate.saw(session, ended)

    def sees(self, ident: SupervisionId, state: str) -> Supervision:
        """The gate is told of a session."""
        fields: dict[str, Any] = {"since": Instant(self.now), "started_at": Instant(self.now)}
        session = Supervision(
            id=ident,
            pbx=PbxId("lab"),
            state=SupervisionState(state),
            mode=Mode.LISTEN,
            supervisor="sofia",
            phone="desk",
            agent=ALICE,
            call=CallId("lab.1"),
            purpose=Purpose.QUALITY,
            **fields,
        )
        self.gate.saw(None, session)
        return session

    def heard_s(self, begins: float, ends: float) -> float:
        """For how long Alice was heard by anybody between two times, to the second, by brute force."""
        spells = [*self.spells, *((session.since, self.now) for session, _ in self.live.values())]
        edges = sorted({begins, ends, *(min(max(t, begins), ends) for spell in spells for t in spell)})
        pieces = pairwise(edges)
        return sum(b - a for a, b in pieces if any(since <= a and b <= until for since, until in spells))


_ACTS = st.one_of(
    st.tuples(st.just("passes"), st.integers(1, 4000)),
    st.tuples(st.just("passes"), st.integers(20_000, 90_000)),
    st.tuples(st.just("asks"), st.just(0)),
    st.tuples(st.just("leaves"), st.integers(0, 5)),
)


@settings(max_examples=200, deadline=None)
@given(st.lists(_ACTS, max_size=60), st.integers(1, 40), st.integers(1, 4))
def test_no_quota_is_ever_exceeded(acts: list[tuple[str, int]], minutes: int, per_day: int) -> None:
    """Minutes a week and sessions a day, with several supervisors at once, over the day of 23 hours."""
    calendar = Calendar((), PARIS)
    law = replace(LAW, agent_minutes_per_week=minutes, agent_sessions_per_day=per_day)
    site = Site(Gate(law=law, calendar=calendar))
    for number, (act, value) in enumerate(acts):
        if act == "passes":
            site.passes(value)
        elif act == "asks":
            site.asks(number)
        else:
            site.leaves(value)
        now = Instant(site.now)
        day, week = calendar.day(now), calendar.week(now)
        heard = site.heard_s(week.begins, week.ends)
        assert heard <= minutes * 60 + 1e-3
        assert abs(site.gate.tally.listened_s(ALICE, week, now) - heard) < 1e-3
        assert sum(at >= day.begins for at in site.begun) <= per_day


_MINUTES = st.integers(0, 1440)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["Europe/Paris", "America/Havana", "Australia/Lord_Howe", "America/St_Johns", "UTC"]),
    st.sampled_from(
        [date(2026, 3, 8), date(2026, 3, 29), date(2026, 4, 5), date(2026, 10, 25), date(2026, 11, 1)]
    ),
    st.lists(st.tuples(_MINUTES, _MINUTES).map(sorted).filter(lambda p: p[0] < p[1]), max_size=3),
    st.integers(0, 27 * 60),
)
def test_periods_follow_the_clock(zone_name: str, day: date, spans: list[list[int]], after: int) -> None:
    """Who is in a period sees its time on the clock; who sees it for the first time is in a period.

    Also on days of 23, 23.5, 24.5 and 25 hours.
    """
    zone = ZoneInfo(zone_name)
    periods = [Period(team="north", begins=a, ends=b, dates=frozenset({day})) for a, b in spans]
    calendar = Calendar(periods, zone)
    midnight = calendar.day(
        Instant(datetime.combine(day, datetime.min.time(), zone).timestamp() + 7200)
    ).begins
    now = Instant(midnight + 60 * after)
    wall = datetime.fromtimestamp(now, zone)
    shown = wall.date() == day and any(a <= wall.hour * 60 + wall.minute < b for a, b in spans)
    until = calendar.until("north", now)
    repeated = datetime.fromtimestamp(now - 3600, zone).utcoffset() != wall.utcoffset() or any(
        datetime.fromtimestamp(now + shift, zone).utcoffset() != wall.utcoffset()
        for shift in (-1800, 1800, 3600)
    )
    if not repeated:
        assert (until is not None) is shown
    if until is not None:
        assert until > now
        assert calendar.until("north", Instant(until - 0.5)) == until
        assert calendar.until("north", until) is None
    windows = calendar.windows("north", day - timedelta(days=1), 3)
    assert all(a.ends < b.begins for a, b in pairwise(windows))
    assert all(window.begins < window.ends for window in windows)
    assert sum(w.ends - w.begins for w in windows) <= calendar.day(midnight).ends - midnight
