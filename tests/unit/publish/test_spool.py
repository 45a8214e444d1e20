import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from ctid.publish import spool as module
from ctid.publish.spool import Spool
from ctid.tasks import TaskOwner


@asynccontextmanager
async def running(path: Path, first: int = 1) -> AsyncIterator[Spool]:
    """A spool that runs, and is closed in order."""
    spool = Spool(path, first, lambda: None)
    await spool.open()
    owner = TaskOwner()
    owner.spawn("spool", spool.run())
    try:
        yield spool
    finally:
        await owner.close()
        await spool.close()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - what is waited for is in another thread, and has no event
            await asyncio.sleep(0.002)


def put(spool: Spool, count: int) -> None:
    """Put events in."""
    for _ in range(count):
        spool.backlog.put("t", b"payload")
    spool.wake()


async def receive(spool: Spool, count: int) -> list[int]:
    """Take and deliver `count` events; returns their positions."""
    found: list[int] = []
    while len(found) < count:
        await until(lambda: spool.backlog.peek() is not None)
        event = spool.backlog.take()
        spool.backlog.arrived(event)
        spool.wake()
        found.append(event.position)
    return found


async def test_outage_goes_through_the_disk(tmp_path: Path) -> None:
    """Events of an outage are on disk soon, come back in order, and leave nothing there."""
    async with running(tmp_path / "o.db") as spool:
        put(spool, 1200)
        await until(lambda: spool.backlog.on_disk == 1200)
        spool.backlog.online = True
        put(spool, 10)
        assert await receive(spool, 1210) == list(range(1, 1211))
        await until(lambda: not spool.backlog.delivered)
    async with running(tmp_path / "o.db") as again:
        assert again.backlog.waiting == 0


async def test_undelivered_events_survive_the_stop(tmp_path: Path) -> None:
    """What is in memory or on its way at the stop is delivered by the next run, before its own."""
    async with running(tmp_path / "o.db") as spool:
        spool.backlog.online = True
        put(spool, 5)
        await receive(spool, 2)
        spool.backlog.peek()
        spool.backlog.take()
    async with running(tmp_path / "o.db", first=100) as again:
        put(again, 1)
        again.backlog.online = True
        again.wake()
        assert await receive(again, 4) == [3, 4, 5, 100]


async def test_refusing_disk_is_said_and_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a disk that refuses the spool is degraded, and events stay in memory until it takes them."""
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    folder = tmp_path / "later"
    async with running(folder / "o.db") as spool:
        assert "unable to open" in spool.degraded
        put(spool, 3)
        spool.backlog.online = True
        assert await receive(spool, 3) == [1, 2, 3]
        spool.backlog.go_offline()
        put(spool, 2)
        folder.mkdir()
        await until(lambda: spool.backlog.on_disk == 2)
        await until(lambda: not spool.degraded)


async def test_unreadable_disk_does_not_hold_up_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Events that cannot be read are counted as dropped after a few tries, and new ones go on."""
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    async with running(tmp_path / "o.db") as spool:
        put(spool, 4)
        await until(lambda: spool.backlog.on_disk == 4)
        await spool._on_disk(lambda: spool._outbox._opened().execute("DROP TABLE event"))
        spool.backlog.online = True
        put(spool, 1)
        assert await receive(spool, 1) == [5]
        assert spool.backlog.dropped == 4
        await until(lambda: not spool.degraded)
        assert (tmp_path / "o.db.damaged").exists()
