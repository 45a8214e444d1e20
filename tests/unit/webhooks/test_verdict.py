import pytest
from hypothesis import given
from hypothesis import strategies as some

from ctid.webhooks.verdict import (
    FIRST_WAIT_S,
    GIVE_UP_S,
    LONGEST_ASKED_S,
    LONGEST_WAIT_S,
    Verdict,
    asked_wait,
    gives_up,
    verdict_on,
    wait_after,
)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, Verdict.DELIVERED),
        (204, Verdict.DELIVERED),
        (299, Verdict.DELIVERED),
        (302, Verdict.AGAIN),
        (400, Verdict.REFUSED),
        (401, Verdict.REFUSED),
        (408, Verdict.AGAIN),
        (410, Verdict.GONE),
        (429, Verdict.AGAIN),
        (499, Verdict.REFUSED),
        (500, Verdict.AGAIN),
        (503, Verdict.AGAIN),
    ],
)
def test_verdict(status: int, verdict: Verdict) -> None:
    """What each answer means."""
    assert verdict_on(status) is verdict


@given(some.integers(1, 10_000), some.floats(0, 1, exclude_max=True))
def test_waits_grow_to_a_bound(failures: int, chance: float) -> None:
    """Each wait is at most twice the one before, never above the longest, never below half the first."""
    wait = wait_after(failures, chance)
    assert FIRST_WAIT_S / 2 <= wait <= LONGEST_WAIT_S
    assert wait <= wait_after(failures + 1, chance) <= 2 * wait


def test_waits() -> None:
    """The first ones, without chance."""
    assert [wait_after(failures, 0.0) for failures in (1, 2, 3, 4)] == [1, 2, 4, 8]


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 7 ", 7),
        ("9" * 30, LONGEST_ASKED_S),
        ("-1", 0),
        ("", 0),
        ("soon", 0),
        ("²", 0),
        ("Thu, 01 Jan 1970 00:16:45 GMT", 5),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_ASKED_S),
    ],
)
def test_retry_after(text: str, seconds: float) -> None:
    """Seconds or a date, bounded; what is neither asks for nothing. It is 1000 s after the epoch."""
    assert asked_wait(text, 1000.0) == seconds


def test_giving_up() -> None:
    """A day after it was kept."""
    assert not gives_up(10.0, 9.0 + GIVE_UP_S)
    assert gives_up(10.0, 10.0 + GIVE_UP_S)
