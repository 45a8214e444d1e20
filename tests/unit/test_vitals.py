import asyncio
from collections.abc import Callable

import pytest

from ctid import vitals
from ctid.hub import Hub
from ctid.model.facts import LinkDown, LinkUp, Snapshot
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.sdnotify import Notifier
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from ctid.vitals import keep_notified, missing, status_line

ONE, TWO = PbxId("one"), PbxId("two")


class FakeClock:
    """Time as a test sets it."""

    def __init__(self) -> None:
        self.time = 100.0

    def now(self) -> float:
        """Return the time."""
        return self.time


class Recorder(Notifier):
    """A notifier that keeps what is sent."""

    def __init__(self, watchdog_s: float | None = None) -> None:
        super().__init__({})
        self.watchdog_s = watchdog_s
        self.sent: list[dict[str, str]] = []

    def send(self, **fields: str) -> None:
        """Keep the fields."""
        self.sent.append(fields)

    def count(self, name: str) -> int:
        """How often a field was sent."""
        return sum(name in fields for fields in self.sent)


def up(store: Store, pbx: PbxId, *, snapshot: bool) -> None:
    """Bring a link up, with its snapshot or without."""
    at = Instant(1)
    store.apply(LinkUp(pbx=pbx, at=at, driver="fake", version="1"))
    if snapshot:
        store.apply(Snapshot(pbx=pbx, at=at, legs=(), members=(), queues=(), devices=(), supervisions=()))


def down(store: Store, pbx: PbxId) -> None:
    """Take a link down."""
    store.apply(LinkDown(pbx=pbx, at=Instant(2), driver="fake", reason="refused"))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most five seconds."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - the condition is another task's doing, without an event
            await asyncio.sleep(0.001)


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Look often: what is tested is what is seen, not how soon."""
    monkeypatch.setattr(vitals, "LOOK_S", 0.001)
    monkeypatch.setattr(vitals, "LATER_LOOK_S", 0.001)


def test_missing() -> None:
    """A PBX is missing until it is connected and its snapshot taken, and again once its link is lost."""
    store = Store()
    assert missing(store, [ONE]) == {ONE: "not connected yet"}
    up(store, ONE, snapshot=False)
    assert missing(store, [ONE]) == {ONE: "taking the first snapshot"}
    up(store, ONE, snapshot=True)
    assert missing(store, [ONE]) == {}
    assert status_line(store, [ONE]) == "linked to one; 0 agents, 0 queues, 0 calls"
    down(store, ONE)
    assert status_line(store, [ONE, TWO]).startswith(
        "no link to one (refused); no link to two (not connected yet);"
    )


async def test_ready_after_snapshots() -> None:
    """READY=1 is sent once, when every PBX has given its snapshot; STATUS= follows what happens later."""
    hub, clock, notifier, tasks = Hub(Store(), FakeClock()), FakeClock(), Recorder(), TaskOwner()
    try:
        tasks.spawn("vitals", keep_notified(hub, notifier, [ONE, TWO], clock.now))
        up(hub.store, ONE, snapshot=True)
        up(hub.store, TWO, snapshot=False)
        await until(lambda: any("taking the first" in fields.get("STATUS", "") for fields in notifier.sent))
        assert notifier.count("READY") == 0
        up(hub.store, TWO, snapshot=True)
        await until(lambda: notifier.count("READY") == 1)
        down(hub.store, ONE)
        await until(lambda: "no link to one (refused)" in notifier.sent[-1].get("STATUS", ""))
        assert notifier.count("READY") == 1
    finally:
        await tasks.close()


async def test_ready_after_grace() -> None:
    """A PBX that is down holds READY=1 up for the grace and no longer, and STATUS= names it."""
    hub, clock, notifier, tasks = Hub(Store(), FakeClock()), FakeClock(), Recorder(), TaskOwner()
    try:
        tasks.spawn("vitals", keep_notified(hub, notifier, [ONE], clock.now, grace_s=10))
        await until(lambda: notifier.count("STATUS") == 1)
        clock.time += 9.9
        await asyncio.sleep(0.01)
        assert notifier.count("READY") == 0
        clock.time += 0.2
        await until(lambda: notifier.count("READY") == 1)
        assert "no link to one (not connected yet)" in notifier.sent[0]["STATUS"]
    finally:
        await tasks.close()


async def test_watchdog_follows_the_hub() -> None:
    """A sign of life is sent twice a period while the hub turns, and none once it hangs."""
    hub, clock, notifier, tasks = Hub(Store(), FakeClock()), FakeClock(), Recorder(0.2), TaskOwner()
    try:
        tasks.spawn("vitals", keep_notified(hub, notifier, [ONE], clock.now))
        await until(lambda: notifier.count("WATCHDOG") == 1)
        hub.turns += 1
        clock.time += 0.11
        await until(lambda: notifier.count("WATCHDOG") == 2)
        looks = 0

        def looked() -> float:
            nonlocal looks
            looks += 1
            return clock.time

        clock.time += 10  # a long time, in which the hub does not turn
        tasks.spawn("again", keep_notified(hub, Recorder(), [ONE], looked))
        await until(lambda: looks > 20)
        assert notifier.count("WATCHDOG") == 2
    finally:
        await tasks.close()
