import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Self

import pytest
from msgspec.structs import replace

from ctid.audit.subjects import Subject, SubjectKind
from ctid.history import filling, keeper
from ctid.history.entries import Entry
from ctid.history.figures import Selection
from ctid.history.filling import counted
from ctid.history.keeper import Keeper
from ctid.history.ledger import Ledger
from ctid.history.words import Count, Gap, GapCause, GapState
from ctid.hub import Hub
from ctid.model.errors import PbxTimeout
from ctid.model.facts import CallerQueued, CallServed, LinkDown, LinkUp, OfferMissed, QueueMoment, Snapshot
from ctid.model.ids import AgentId, LegId, QueueId
from ctid.model.instant import Instant
from ctid.ports import Counters, MemberCounters, MemberName, QueueCounters, Recollection
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from helpers.fakes import FakeClock, FakeConnection
from helpers.floor import BASE
from helpers.moments import PBX
from helpers.patience import until

EVER = Selection(since=Instant(0), until=Instant(BASE + 1e6))
SALES = QueueId("sales")


def at(seconds: float) -> Instant:
    """A time of the tests."""
    return Instant(BASE + seconds)


def queued(seconds: float, leg: str) -> CallerQueued:
    """A caller who came."""
    return CallerQueued(pbx=PBX, at=at(seconds), queue=SALES, leg=LegId(leg), position=1)


def served(seconds: float, leg: str, agent: str = "1001") -> CallServed:
    """A caller who was served."""
    return CallServed(
        pbx=PBX,
        at=at(seconds),
        queue=SALES,
        agent=AgentId(agent),
        leg=LegId(leg),
        hold_s=1.0,
        talk_s=2.0,
        by="agent",
    )


def counters(seconds: float, number: int, unserved: int = 0) -> Counters:
    """What the PBX counts."""
    return Counters(
        at=at(seconds),
        queues=(QueueCounters(queue=SALES, served=number, unserved=unserved),),
        members=(MemberCounters(queue=SALES, agent=AgentId("1001"), served=number),),
    )


class Recalling(FakeConnection):
    """A connection whose PBX has a log, `written`, or, with a `reason`, none."""

    def __init__(self, clock: FakeClock, written: list[QueueMoment]) -> None:
        super().__init__()
        self.clock = clock
        self.written = written
        self.reason = ""
        self.refusals = 0
        self.begins = at(-100_000)
        self.counters: Counters | None = None
        self.asked: list[tuple[Instant, Sequence[MemberName]]] = []
        self.nameless: tuple[str, ...] = ()
        self.unread = 0
        self.parts = 1

    async def recall(self, since: Instant, remembered: Sequence[MemberName] = ()) -> Recollection:
        """Tell what is written, in `parts`."""
        self.asked.append((since, remembered))
        if self.refusals:
            self.refusals -= 1
            raise PbxTimeout("no answer")
        if self.reason:
            return Recollection(since=None, reason=self.reason, counters=self.counters)
        until_ = at(self.clock.now() - BASE)
        self.parts -= 1
        return Recollection(
            since=max(since, self.begins),
            until=until_,
            more=self.parts > 0,
            moments=tuple(self.written),
            nameless=self.nameless,
            unread=self.unread,
            names=(MemberName(queue=SALES, name="Anna", agent=AgentId("1001")),),
            counters=self.counters,
        )


class Room:
    """A hub, a PBX with a log, and the keeper between the two."""

    def __init__(self, directory: Path, clock: FakeClock, pbx: Recalling) -> None:
        self.clock = clock
        self.pbx = pbx
        self.hub = Hub(Store(), clock)
        self.ledger = Ledger(directory)
        self.keeper = Keeper(self.hub, self.ledger, clock, keep_days=400)
        self._tasks = TaskOwner()

    async def __aenter__(self) -> Self:
        self._tasks.spawn("hub", self.hub.run())
        self._tasks.spawn("keeper", self.keeper.run())
        await asyncio.sleep(0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._tasks.close()

    async def link_up(self) -> None:
        """The link stands, and its snapshot is told."""
        self.hub.attach(PBX, self.pbx)
        now = Instant(self.clock.now())
        up = LinkUp(pbx=PBX, at=now, driver="fake", version="1")
        snapshot = Snapshot(pbx=PBX, at=now, legs=(), members=(), queues=(), devices=(), supervisions=())
        await self.hub.feed([up, snapshot])

    async def link_down(self) -> None:
        """The link is lost."""
        self.hub.attach(PBX, None)
        await self.hub.feed([LinkDown(pbx=PBX, at=Instant(self.clock.now()), driver="fake", reason="gone")])

    async def tell(self, *moments: QueueMoment) -> None:
        """Tell moments, and write them down in the PBX's log."""
        self.pbx.written += moments
        await self.hub.feed(moments)

    async def settled(self) -> None:
        """Wait until the gap is dealt with and nothing is in the memory alone."""
        asked = len(self.pbx.asked)

        def quiet() -> bool:
            status = self.keeper.status()
            return bool(self.pbx.asked) and not status.gaps_open and not status.waiting

        await asyncio.sleep(0.02)
        await until(quiet, what=f"the ledger is settled (asked {asked} times)")

    async def rows(self) -> list[Entry]:
        """All rows."""
        page, _ = await self.keeper.moments(EVER, None, 1000)
        return page

    async def gaps(self) -> tuple[Gap, ...]:
        """All gaps."""
        return (await self.keeper.figures(EVER)).gaps


Rooms = Callable[[], Room]


@pytest.fixture
def clock() -> FakeClock:
    """The clock of PBX and ctid."""
    return FakeClock()


@pytest.fixture
def pbx(clock: FakeClock) -> Recalling:
    """A PBX with an empty log."""
    return Recalling(clock, [])


@pytest.fixture
def rooms(tmp_path: Path, clock: FakeClock, pbx: Recalling, monkeypatch: pytest.MonkeyPatch) -> Rooms:
    """Makes a keeper on the same ledger and PBX, as a new run of ctid does; impatient."""
    monkeypatch.setattr(filling, "SETTLE_S", 0.02)
    monkeypatch.setattr(keeper, "COMMIT_S", 0.01)
    monkeypatch.setattr(keeper, "AGAIN_S", 0.02)
    monkeypatch.setattr(keeper, "BEATS_S", 0.05)
    return lambda: Room(tmp_path, clock, pbx)


async def test_a_new_ledger_begins_with_the_day(rooms: Rooms, pbx: Recalling) -> None:
    """What the log has of this day is in it, what events tell as well, each once, and there is no gap."""
    pbx.written.append(queued(-1, "1.1"))
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        await room.tell(
            queued(0.2, "1.2"),
            OfferMissed(pbx=PBX, at=at(1), queue=SALES, agent=AgentId("1001"), leg=LegId("1.2"), ring_s=3.0),
        )
        await until(lambda: not room.keeper.status().waiting)
        await asyncio.sleep(0.05)
        assert [(row.leg, row.kind, row.source) for row in await room.rows()] == [
            ("1.1", "caller_queued", "log"),
            ("1.2", "caller_queued", "event"),
            ("1.2", "offer_missed", "event"),
        ]
        assert await room.gaps() == ()


async def test_what_came_while_ctid_was_away(rooms: Rooms, clock: FakeClock, pbx: Recalling) -> None:
    """The next run asks from before what was complete on, and tells the gap as filled."""
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        clock.at += 30
        await asyncio.sleep(0.1)  # a beat: complete up to now, but for what may be under way
    pbx.written.append(queued(40, "1.1"))
    clock.at += 30
    pbx.asked.clear()
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        (gap,) = await room.gaps()
        assert (gap.cause, gap.state, gap.found, gap.ended_at) == (
            GapCause.AWAY,
            GapState.FILLED,
            1,
            at(60),
        )
        assert gap.began_at == at(25)
        since, names = pbx.asked[0]
        assert since == at(25 - filling.OVERLAP_S)
        assert [name.name for name in names] == ["Anna"]
        assert [row.source for row in await room.rows()] == ["log"]


async def test_link_down_and_up(rooms: Rooms, clock: FakeClock, pbx: Recalling) -> None:
    """A lost link is a gap of its own cause; a PBX that gives no answer leaves it open until it is back."""
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        await room.link_down()
        clock.at += 10
        pbx.written.append(queued(5, "1.1"))
        pbx.refusals = 1
        pbx.asked.clear()
        await room.link_up()
        await room.settled()
        assert [gap.state for gap in await room.gaps()] == [GapState.OPEN]
        await room.link_down()
        await asyncio.sleep(0.02)
        await room.link_up()
        await until(lambda: len(pbx.asked) >= 2)
        await room.settled()
        (gap,) = await room.gaps()
        assert (gap.cause, gap.state, gap.found) == (GapCause.LINK_DOWN, GapState.FILLED, 1)


async def test_later_snapshots_ask_for_nothing(rooms: Rooms, pbx: Recalling) -> None:
    """A snapshot on a standing link is no end of a gap."""
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        asked = len(pbx.asked)
        now = at(3)
        await room.hub.feed(
            [Snapshot(pbx=PBX, at=now, legs=(), members=(), queues=(), devices=(), supervisions=())]
        )
        await asyncio.sleep(0.05)
        assert len(pbx.asked) == asked


async def test_slow_subscriber(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the keeper was dropped for is filled from the log."""
    monkeypatch.setattr(keeper, "WAITING", 3)
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        many = [queued(second, f"{second}.1") for second in range(20)]
        room.clock.at += 30
        await room.tell(*many)

        async def whole() -> bool:
            return len(await room.rows()) == 20

        await until(whole)
        await room.settled()
        assert [gap.cause for gap in await room.gaps()] == [GapCause.OVERRUN]


async def test_ledger_that_cannot_be_written(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that it is behind, and why; what the memory has no room for is a gap then."""
    monkeypatch.setattr(keeper, "PENDING", 5)
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        room.clock.at += 30
        good = room.ledger.path
        room.ledger.close()
        room.ledger.path = good / "nowhere"
        await room.tell(*[queued(second, f"{second}.1") for second in range(8)])
        await until(lambda: room.keeper.status().behind)
        await until(lambda: room.keeper.status().dropped == 3)
        status = room.keeper.status()
        assert (status.waiting, status.since) == (5, at(30))
        assert "unable to open" in status.reason
        room.ledger.path = good

        async def whole() -> bool:
            return not room.keeper.status().behind and len(await room.rows()) == 8

        await until(whole)
        await room.settled()
        assert [gap.cause for gap in await room.gaps()] == [GapCause.LEDGER]


async def test_fill_waits_for_the_ledger(rooms: Rooms, pbx: Recalling) -> None:
    """A ledger that cannot be used when the link comes up is tried until it can."""
    room = rooms()
    good = room.ledger.path
    room.ledger.path = good / "nowhere"
    async with room:
        await room.link_up()
        await until(lambda: room.keeper.status().behind)
        assert room.keeper.status().gaps_open == 1
        room.ledger.path = good
        await until(lambda: len(pbx.asked) >= 2)
        await room.settled()
        await until(lambda: not room.keeper.status().behind)


async def test_what_is_in_the_memory_is_written_at_the_end(
    rooms: Rooms, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who stops ctid loses nothing."""
    monkeypatch.setattr(keeper, "COMMIT_S", 60.0)
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        await room.hub.feed([queued(1, "1.1")])
        await until(lambda: room.keeper.status().waiting == 1)
    async with rooms() as room:
        assert [row.leg for row in await room.rows()] == ["1.1"]


async def test_a_ledger_that_cannot_be_written_at_the_end(rooms: Rooms) -> None:
    """Stopping goes on; what is not in the ledger is told, and filled by the next run."""
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        room.ledger.close()
        good, room.ledger.path = room.ledger.path, room.ledger.path / "nowhere"
        await room.tell(queued(1, "1.1"))
        await until(lambda: room.keeper.status().waiting == 1)
    room.clock.at += 30
    async with rooms() as room:
        assert room.ledger.path == good
        await room.link_up()
        await until(lambda: room.keeper.status().gaps_open == 1)
        await room.settled()
        assert [row.leg for row in await room.rows()] == ["1.1"]


async def test_log_in_parts(rooms: Rooms, pbx: Recalling) -> None:
    """A log that is more than one answer holds is asked for part by part."""
    pbx.parts = 3
    async with rooms() as room:
        await room.link_up()
        await room.settled()
    assert len(pbx.asked) == 4, "three parts, and the second look"


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        ("begins", "does not reach back"),
        ("unread", "2 lines of the log cannot be read"),
        ("nameless", "Anna"),
    ],
)
async def test_what_the_log_does_not_tell(
    rooms: Rooms, clock: FakeClock, pbx: Recalling, trouble: str, said: str
) -> None:
    """A log that does not reach back, or cannot be read or understood in part, fills a gap in part."""
    async with rooms() as room:
        await room.link_up()
        await room.settled()
    clock.at += 100
    if trouble == "begins":
        pbx.begins = at(50)
    elif trouble == "unread":
        pbx.unread = 2
    else:
        pbx.nameless = ("Anna",)
        pbx.written.append(served(60, "1.1", agent=""))
    pbx.asked.clear()
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        (gap,) = await room.gaps()
        assert gap.state is GapState.PARTLY
        assert said in gap.detail


async def test_a_log_that_is_another_pbx_s(rooms: Rooms, clock: FakeClock) -> None:
    """Events that the log does not have make its gap doubtful; they are kept."""
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        await room.hub.feed([queued(10, "1.1")])
        await until(lambda: not room.keeper.status().waiting)
        await room.link_down()
        clock.at += 30
        await room.link_up()
        await asyncio.sleep(0.02)
        await room.settled()
        (gap,) = await room.gaps()
        assert "is it this PBX's log?" in gap.detail
        assert len(await room.rows()) == 1


async def test_without_a_log(rooms: Rooms, clock: FakeClock, pbx: Recalling) -> None:
    """The counters before and after tell how many, less what was seen; counters that fell tell nothing."""
    pbx.reason, pbx.counters = "no log here", counters(0, 3, 1)
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        await room.hub.feed([served(5, "1.1")])
        await until(lambda: not room.keeper.status().waiting)
        await asyncio.sleep(0.05)
    clock.at += 100
    pbx.counters = counters(100, 6, 2)
    pbx.asked.clear()
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        (gap,) = await room.gaps()
        assert (gap.state, gap.detail) == (
            GapState.PARTLY,
            "only counted, by the PBX's counters: no log here",
        )
        assert gap.counts == (
            Count(queue=SALES, served=2, unserved=1),
            Count(queue=SALES, agent=AgentId("1001"), served=2),
        )
        await room.link_down()
        clock.at += 100
        pbx.counters = counters(200, 0)
        pbx.asked.clear()
        await room.link_up()
        await room.settled()
        gap = (await room.gaps())[-1]
        assert (gap.state, gap.counts) == (GapState.UNKNOWN, ())
        assert "started anew" in gap.detail
        await room.link_down()
        clock.at += 100
        pbx.counters = None
        pbx.asked.clear()
        await room.link_up()
        await room.settled()
        gap = (await room.gaps())[-1]
        assert (gap.state, gap.counts) == (GapState.UNKNOWN, ())


def test_counted_a_queue_that_is_new() -> None:
    """A queue that was not there before is counted from zero; what did not rise is not told."""
    before = Counters(at=at(0))
    assert counted(before, counters(1, 0), {}) == ()
    assert counted(before, counters(1, 2), {(SALES, ""): (1, 0)}) == (
        Count(queue=SALES, served=1, unserved=0),
        Count(queue=SALES, agent=AgentId("1001"), served=2),
    )
    assert counted(before, counters(1, 2), {(SALES, ""): (3, 0)}) is None


async def test_the_log_is_compared_though_there_is_no_gap(
    rooms: Rooms, pbx: Recalling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the events did not tell, the log does later; a PBX that does not answer is asked again."""
    monkeypatch.setattr(keeper, "CHECK_S", 0.05)
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        pbx.written.append(queued(1, "1.1"))
        pbx.refusals = 1
        room.clock.at += 30

        async def there() -> bool:
            return len(await room.rows()) == 1

        await until(there)
        pbx.reason = "no log any more"
        asked = len(pbx.asked)
        await until(lambda: len(pbx.asked) > asked + 1)
        assert await room.gaps() == ()
        good = room.ledger.path
        room.ledger.close()
        room.ledger.path = good / "nowhere"
        await until(lambda: room.keeper.status().behind)
        room.ledger.path = good
        await until(lambda: not room.keeper.status().behind)


async def test_a_caller_of_an_unknown_id(rooms: Rooms, clock: FakeClock, pbx: Recalling) -> None:
    """Who waited since before under an id that events do not know counts, and the gap says what is not."""
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        clock.at += 30
        await asyncio.sleep(0.1)  # a beat: complete up to now, but for what may be under way
    pbx.written += [queued(-500, "1.2"), served(40, "1.2")]
    clock.at += 30
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        assert [(row.kind, row.leg) for row in await room.rows()] == [("call_served", "1.2")]
        (gap,) = await room.gaps()
        assert (gap.state, gap.found) == (GapState.PARTLY, 1)
        assert "to which caller's earlier ones" in gap.detail


async def test_what_is_kept_is_counted_and_purged(rooms: Rooms, pbx: Recalling) -> None:
    """A dry run counts what is older, a purge takes it out; the keeper says for how long it is kept."""
    pbx.written.append(queued(-1, "1.1"))
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        assert (room.keeper.name, room.keeper.keep_days) == ("history", 400)
        for before, dry_run, count, left in ((0, True, 0, 1), (BASE, True, 1, 1), (BASE, False, 1, 0)):
            found = await room.keeper.purge(Instant(before), by="root", dry_run=dry_run)
            assert (found, len(await room.rows())) == (count, left)


async def test_what_is_kept_about_an_agent(rooms: Rooms, monkeypatch: pytest.MonkeyPatch) -> None:
    """She is told each moment that she has a part in; it stays, and the reason is told. No number is kept."""
    monkeypatch.setattr(keeper, "EXPORTED_AT_ONCE", 1)
    agent, number = (Subject(kind=SubjectKind(kind), id="1001") for kind in ("agent", "number"))
    async with rooms() as room:
        await room.link_up()
        await room.settled()
        missed = Entry(
            pbx=PBX, kind="offer_missed", queue=QueueId("q"), leg=LegId("1"), agent=AgentId("1001"), at=at(0)
        )
        room.ledger.add([missed, replace(missed, at=at(-1)), replace(missed, agent=AgentId("2"))], {})
        room.clock.at = BASE + 1
        told = await room.keeper.export(agent)
        assert [(item["kind"], item["agent"]) for item in told] == [("offer_missed", "1001")] * 2
        assert await room.keeper.export(number) == []
        erasure = await room.keeper.erase(agent, by="root", dry_run=False)
        assert (erasure.erased, erasure.kept) == (0, 2)
        assert "[history] keep_days" in erasure.reason
        assert (await room.keeper.erase(number, by="root", dry_run=False)).reason == ""
