import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ctid.api.feed import Feed, Ring
from ctid.hub import Hub
from ctid.model.facts import Fact, LinkDown, LinkUp
from ctid.model.ids import CallId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.state.changes import Occurrence
from ctid.state.store import Store
from ctid.tasks import TaskOwner

NOW = Instant(1_780_000_000)
PBX = PbxId("lab")


class Clock:
    """It stands."""

    def now(self) -> float:
        """The one time."""
        return NOW


def update(seq: int) -> Occurrence:
    """Any update with this number."""
    return Occurrence(seq=seq, at=NOW, name="x", pbx=PBX, call=CallId("1"), queue=QueueId("q"))


@given(st.integers(0, 20), st.integers(1, 10), st.integers(0, 30), st.integers(-5, 60), st.integers(-5, 60))
def test_ring(first: int, capacity: int, count: int, after: int, until: int) -> None:
    """The ring gives exactly the updates between two numbers, or none when it has not all of them."""
    ring = Ring(first, capacity)
    for seq in range(first + 1, first + 1 + count):
        ring.add(update(seq))
    found = ring.between(after, until)
    kept = range(first + 1 + max(count - capacity, 0), first + 1 + count)
    if kept.start - 1 <= after <= until <= first + count:
        assert found is not None
        assert [each.seq for each in found] == list(range(after + 1, until + 1))
    else:
        assert found is None


def test_ring_after_a_hole() -> None:
    """What was before a hole is not given as if nothing were missing."""
    ring = Ring(0, 10)
    for seq in (1, 2, 5, 6):
        ring.add(update(seq))
    assert ring.between(2, 6) is None
    assert [each.seq for each in ring.between(4, 6) or ()] == [5, 6]


def toggles(count: int) -> Sequence[Fact]:
    """Facts that change the link each time."""
    up = LinkUp(pbx=PBX, at=NOW, driver="x", version="1")
    down = LinkDown(pbx=PBX, at=NOW, driver="x", reason="gone")
    return [up if number % 2 == 0 else down for number in range(count)]


async def test_a_feed_that_was_dropped_begins_anew() -> None:
    """A feed that fell behind goes on from a new snapshot, and does not pretend to have what it missed."""
    hub = Hub(Store(), Clock())
    feed = Feed(hub, 100_000)
    owner = TaskOwner()
    try:
        owner.spawn("hub", hub.run())
        await hub.feed(toggles(5000))
        assert await hub.until(lambda: hub.store.seq == 5000, 5.0)
        owner.spawn("feed", feed.run())
        async with asyncio.timeout(5.0):
            assert await feed.between(1, 5000) is None
            assert await feed.between(5000, 5000) == []
            await hub.feed(toggles(2))
            assert await hub.until(lambda: hub.store.seq == 5002, 5.0)
            assert len(await feed.between(5000, 5002) or ()) == 2
    finally:
        await owner.close()
    assert hub._subscriptions == set()
