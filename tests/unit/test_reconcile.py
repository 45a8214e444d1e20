"""When PBXs are reconciled."""

import asyncio
import itertools
import random
from typing import Self

import pytest
from structlog.testing import capture_logs

from ctid import reconcile as rooms
from ctid.clock import SystemClock
from ctid.hub import Hub
from ctid.model.errors import LinkError, NotFound, PbxRefused, PbxTimeout, PbxUnavailable
from ctid.model.facts import LinkUp, Snapshot
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason
from ctid.reconcile import Reconciler
from ctid.state.profile import Profiles
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from helpers.fakes import FakeConnection
from helpers.patience import until

PBX = PbxId("lab")


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rooms, "LEAST_S", 0.05)
    monkeypatch.setattr(rooms, "IN_FORCE_S", 0.2)


class Pbx(FakeConnection):
    """A PBX that gives snapshots, or an error."""

    def __init__(self, hub: Hub) -> None:
        super().__init__()
        self.hub = hub
        self.asked: list[tuple[SnapshotReason, float]] = []
        self.fails: Exception | None = None
        self.silent = False

    async def resync(self, reason: SnapshotReason) -> None:
        """Feed a snapshot."""
        self.asked.append((reason, asyncio.get_running_loop().time()))
        if self.fails is not None:
            raise self.fails
        at = Instant(SystemClock().now())
        told = Snapshot(
            pbx=PBX, at=at, reason=reason, legs=(), members=(), queues=(), devices=(), supervisions=()
        )
        if not self.silent:
            await self.hub.feed([told])


class Site:
    """A hub that runs, a PBX that is connected, and a reconciler."""

    def __init__(self, every_s: float = 0.0) -> None:
        clock = SystemClock()
        self.hub = Hub(Store(Profiles()), clock)
        self.pbx = Pbx(self.hub)
        self.reconciler = Reconciler(self.hub, (PBX,), every_s, clock, random.Random(1))  # noqa: S311 - jitter
        self.owner = TaskOwner()

    async def __aenter__(self) -> Self:
        self.owner.spawn("hub", self.hub.run())
        self.hub.attach(PBX, self.pbx)
        up = LinkUp(pbx=PBX, at=Instant(SystemClock().now()), driver="fake", version="1")
        await self.hub.feed([up])
        await until(lambda: PBX in self.hub.store.pbxs)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.owner.close()

    def start(self) -> None:
        """Let the timer run."""
        self.owner.spawn("reconcile", self.reconciler.run(PBX))


async def test_by_request() -> None:
    """It returns once the snapshot is in force."""
    async with Site() as site:
        await site.reconciler.reconcile(PBX)
        assert site.hub.store.pbxs[PBX].synchronized_at is not None
        assert [reason for reason, _ in site.pbx.asked] == [SnapshotReason.REQUEST]


async def test_what_cannot_be_reconciled() -> None:
    """Each failure is one that a client knows."""
    async with Site() as site:
        with pytest.raises(NotFound):
            await site.reconciler.reconcile(PbxId("other"))
        site.pbx.fails = LinkError("eof")
        with pytest.raises(PbxUnavailable, match="was lost"):
            await site.reconciler.reconcile(PBX)
        site.pbx.fails = PbxRefused("no")
        with pytest.raises(PbxRefused):
            await site.reconciler.reconcile(PBX)
        site.pbx.fails, site.pbx.silent = None, True
        with pytest.raises(PbxTimeout, match="not in force"):
            await site.reconciler.reconcile(PBX)
        site.hub.attach(PBX, None)
        with pytest.raises(PbxUnavailable, match="down"):
            await site.reconciler.reconcile(PBX)


async def test_by_the_timer() -> None:
    """Each wait is its own, within a fifth of what is configured."""
    async with Site(0.2) as site:
        site.start()
        await until(lambda: len(site.pbx.asked) >= 4)
        times = [at for _, at in site.pbx.asked]
        waits = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert all(0.155 < wait < 0.4 for wait in waits), waits
        assert len({round(wait, 3) for wait in waits}) > 1
        assert {reason for reason, _ in site.pbx.asked} == {SnapshotReason.TIMER}


async def test_not_soon_after_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The timer leaves the PBX alone for a while after a request, and after itself."""
    monkeypatch.setattr(rooms, "LEAST_S", 0.3)
    async with Site(0.01) as site:
        site.start()
        await until(lambda: len(site.pbx.asked) >= 2)
        (_, first), (_, second), *_ = site.pbx.asked
        assert second - first >= 0.29
        await site.reconciler.reconcile(PBX)
        await until(lambda: len(site.pbx.asked) >= 4)
        assert site.pbx.asked[3][1] - site.pbx.asked[2][1] >= 0.29


async def test_never() -> None:
    """0 switches the timer off, not the requests."""
    async with Site(0.0) as site:
        site.start()
        await site.reconciler.reconcile(PBX)
        assert len(site.pbx.asked) == 1


async def test_a_failure_is_logged_once_and_tried_again() -> None:
    """While it fails in the same way; then it succeeds, and no failure is left."""
    async with Site(0.01) as site:
        site.pbx.fails = PbxRefused("no queues")
        with capture_logs() as logs:
            site.start()
            await until(lambda: len(site.pbx.asked) >= 3)
        assert [entry["event"] for entry in logs].count("no reconcile") == 1
        assert site.reconciler.failures == {PBX: "no queues"}
        site.pbx.fails = None
        await until(lambda: not site.reconciler.failures)


async def test_a_link_that_is_down_is_left_alone() -> None:
    """A new one begins with a snapshot of its own."""
    hub = Hub(Store(Profiles()), SystemClock())
    owner = TaskOwner()
    with capture_logs() as logs:
        owner.spawn("reconcile", Reconciler(hub, (PBX,), 0.01, SystemClock()).run(PBX))
        await asyncio.sleep(0.1)
    await owner.close()
    assert logs == []
