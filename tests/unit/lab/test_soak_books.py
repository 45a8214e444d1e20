"""The comparison of a soak finds each moment that differs, names its call, and else finds nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest

from e2e import records, soak_books
from e2e.soak_books import Told

LOG = """\
1795426720|1795426720.0|support|NONE|ENTERQUEUE||3001|1
1795426721|1795426720.0|support|Alice Martin|RINGNOANSWER|1000
1795426729|1795426720.0|support|Alice Martin|RINGNOANSWER|7000
1795426732|1795426720.0|support|Alice Martin|CONNECT|12|1795426720.1|1
1795426735|1795426720.0|support|Alice Martin|COMPLETEAGENT|12|3|1
1795426740|1795426740.4|sales|NONE|ENTERQUEUE||3002|1
1795426744|1795426740.4|sales|NONE|ABANDON|1|1|4
"""
LINES = records.parse_queue_log(LOG)
THEIRS = soak_books.of_log(LINES)
WHO = {"1795426720.0": "3001", "1795426740.4": "3002"}


def row(told: Told, **other: Any) -> dict[str, Any]:
    """The row of `GET /figures/calls` that tells a moment of the log."""
    moment = told.moment
    return {
        "at": datetime.fromtimestamp(told.at, UTC).isoformat(),
        "kind": moment.name,
        "queue": moment.queue,
        "leg": moment.leg,
        "agent": moment.agent,
        "by": moment.by,
        "source": "event",
        **{name: moment.lengths.get(name) for name in soak_books.LENGTHS},
        **other,
    }


def record(leg: str, number: str, application: str = "Queue") -> records.CallRecord:
    """A customer's call record."""
    name, at = f"PJSIP/{number}-00000001", "2026-11-23 09:00:00"
    return records.CallRecord(
        number, "7000", "c", name, "", application, "", at, at, at, 9, 9, "ANSWERED", leg, leg, 1
    )


def differ(rows: list[dict[str, Any]]) -> list[str]:
    """Compare the log with these rows."""
    return soak_books.differ(THEIRS, soak_books.of_ledger(rows), WHO)


def test_what_is_alike_is_not_told() -> None:
    """The same moments within a second differ in nothing, in whatever order the rows come."""
    rows = [row(told) for told in THEIRS]
    rows[4] = row(THEIRS[4], talk_s=3.9, hold_s=11.2)
    assert differ(rows[::-1]) == []


def test_each_side_may_lack_a_moment() -> None:
    """A moment of one side alone is told with caller, leg and agent; then both sides' story of that call."""
    rows = [row(told) for told in THEIRS]
    missing, story = differ(rows[:3] + rows[4:])
    assert missing.startswith("caller_answered support, 3001 (1795426720.0), agent 1001: ctid has not")
    assert story.splitlines()[0] == "the call of 3001 (1795426720.0):"
    assert story.count("queue_log 17") == 5
    assert story.count("ctid      17") == 4
    surplus, _ = differ([*rows, row(THEIRS[6])])
    assert surplus.startswith("caller_abandoned sales, 3002 (1795426740.4), agent -: queue_log has not")


def test_lengths_differ_by_more_than_a_second() -> None:
    """Several moments of one kind are compared in the order of time; a length that lacks differs too."""
    rows = [row(told) for told in THEIRS]
    rows[2] = row(THEIRS[2], ring_s=5.9)
    rows[6] = row(THEIRS[6], wait_s=None)
    told = [text for text in differ(rows) if not text.startswith("the call of")]
    assert [text.partition(": ")[2] for text in told] == [
        "wait_s is 4.0 in queue_log, None in ctid (event)",
        "ring_s is 7.0 in queue_log, 5.9 in ctid (event)",
    ]


@pytest.mark.parametrize(("late", "differs"), [(-2.0, 0), (-2.1, 1), (10.0, 0), (10.1, 1), (-3600.0, 1)])
def test_times_differ_by_more_than_events_may(late: float, differs: int) -> None:
    """A moment that agrees in all but when it was differs: an hour earlier counts in another hour."""
    at = datetime.fromtimestamp(THEIRS[4].at + late, UTC).isoformat()
    rows = [row(told) for told in THEIRS]
    rows[4] = row(THEIRS[4], at=at)
    told = [text for text in differ(rows) if not text.startswith("the call of")]
    assert len(told) == differs
    assert all(f"it is {late:+.1f} s in ctid (event)" in text for text in told)


def test_callers_of_the_log_are_those_of_the_call_records() -> None:
    """Who hung up before the queue is in the call records alone; every call that was made has one."""
    rows = [record("1795426720.0", "3001"), record("1795426740.4", "3002"), record("9.9", "3003", "Answer")]
    assert list(soak_books.offers_differ(THEIRS, rows, 3)) == []
    rows[1] = record("1795426740.4", "3002", "Answer")
    found = list(soak_books.offers_differ(THEIRS, rows, 4))
    assert found == [
        "4 calls were made, and 3 have a call record",
        "3002 (1795426740.4) was in a queue by the queue_log, not by the call records",
    ]


@pytest.mark.parametrize(("count", "found"), [(7, 0), (6, 1), (4, 1)])
def test_who_is_in_a_queue_leaves_it(count: int, found: int) -> None:
    """A log that breaks off leaves a caller in a queue."""
    told = list(soak_books.ends_differ(THEIRS[:count]))
    assert len(told) == found
    assert all("1 times more in than out" in text for text in told)
