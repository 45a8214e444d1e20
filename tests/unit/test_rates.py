import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.rates import Buckets, Rate

START = 1000.0


def test_a_burst_and_then_the_rate() -> None:
    """So many at once, then one each interval; who comes early is told to wait, and loses nothing."""
    buckets = Buckets(Rate(10.0, 3))
    assert [buckets.take("a", START) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert buckets.take("a", START) == pytest.approx(0.1)
    assert buckets.take("a", START + 0.04) == pytest.approx(0.06)
    assert buckets.take("a", START + 0.1) == 0.0
    assert buckets.take("a", START + 0.1) == pytest.approx(0.1)
    assert [buckets.take("a", START + 100) for _ in range(3)] == [0.0, 0.0, 0.0]


def test_keys_are_apart() -> None:
    """One who asks too often takes nothing from another."""
    buckets = Buckets(Rate(1.0, 1))
    assert buckets.take("a", START) == 0.0
    assert buckets.take("a", START) > 0.0
    assert buckets.take("b", START) == 0.0


def test_no_more_keys_than_allowed() -> None:
    """However many keys come, a bounded number is kept, and those in use are."""
    buckets = Buckets(Rate(0.001, 1), most=10)
    for number in range(1000):
        buckets.take(f"key {number}", START)
        buckets.take("in use", START)
    assert len(buckets) == 10
    assert buckets.take("in use", START) > 0.0


@given(
    st.floats(min_value=0.1, max_value=1000.0),
    st.integers(min_value=1, max_value=50),
    st.lists(st.floats(min_value=0.0, max_value=0.5), min_size=1, max_size=200),
)
def test_never_more_than_burst_and_rate(per_s: float, burst: int, pauses: list[float]) -> None:
    """From the first to any later moment at most the burst and the rate's share are let through."""
    buckets, now, taken = Buckets(Rate(per_s, burst)), START, 0
    for pause in pauses:
        now += pause
        wait = buckets.take("a", now)
        taken += wait == 0.0
        assert taken <= burst + (now - START) * per_s + 1e-6
        assert 0.0 <= wait <= 1.0 / per_s + 1e-6
