"""Reconciling a real Asterisk while calls go on: no difference, no fact delayed, what was lost comes back."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from ctid.model.facts import (
    DeviceChanged,
    DeviceInfo,
    Fact,
    Leg,
    LegChanged,
    LegEnded,
    Member,
    MemberChanged,
    MemberRemoved,
    QueueInfo,
    Snapshot,
)
from ctid.model.ids import PbxId
from ctid.model.words import SnapshotReason
from ctid.tasks import TaskOwner
from ctid_asterisk.driver import AsteriskConnection, AsteriskDriver
from helpers.patience import until
from lab.phones import Phones
from lab.rig import Rig

pytestmark = pytest.mark.lab

RECONCILES = 50

Thing = Leg | Member | DeviceInfo | QueueInfo


class Book:
    """All that the facts told so far, and in what each snapshot but the first differed from it."""

    def __init__(self, connection: AsteriskConnection) -> None:
        self.connection = connection
        self.told: dict[tuple[str, ...], Thing] = {}
        self.snapshots: list[Snapshot] = []
        self.differences: list[str] = []
        self.facts = 0
        self.lags: list[float] = []
        """How long after Asterisk's own stamp each fact came out, in seconds."""

    async def read(self) -> None:
        """Take the facts until the connection ends."""
        async for batch in self.connection.facts():
            for fact in batch:
                self._take(fact)

    def _take(self, fact: Fact) -> None:
        match fact:
            case LegChanged():
                self.told["leg", fact.leg.id] = fact.leg
            case LegEnded():
                del self.told["leg", fact.leg]
            case MemberChanged():
                self.told["member", fact.member.queue, fact.member.agent] = fact.member
            case MemberRemoved():
                del self.told["member", fact.queue, fact.agent]
            case DeviceChanged():
                self.told["device", fact.device.id] = fact.device
            case Snapshot():
                self._compare(fact)
                return
            case _:
                return
        self.facts += 1
        self.lags.append(time.time() - fact.at)

    def _compare(self, snapshot: Snapshot) -> None:
        listed: dict[tuple[str, ...], Thing] = {("leg", leg.id): leg for leg in snapshot.legs}
        listed |= {("member", member.queue, member.agent): member for member in snapshot.members}
        listed |= {("device", device.id): device for device in snapshot.devices}
        listed |= {("queue", queue.id): queue for queue in snapshot.queues}
        if self.snapshots:
            for key in self.told.keys() | listed.keys():
                one, other = self.told.get(key), listed.get(key)
                if one != other:
                    self.differences.append(f"{'/'.join(key)}: told {one}, listed {other}")
        self.snapshots.append(snapshot)
        self.told = listed

    def leg(self, device: str) -> Leg | None:
        """The leg of a phone, if it has one."""
        legs = [thing for thing in self.told.values() if isinstance(thing, Leg) and thing.device == device]
        return legs[0] if legs else None

    def member(self, queue: str, agent: str) -> Member:
        """A membership."""
        thing = self.told["member", queue, agent]
        assert isinstance(thing, Member)
        return thing


@asynccontextmanager
async def book_of(rig: Rig) -> AsyncIterator[Book]:
    """A connection of its own, and the book of what it tells."""
    settings = {"port": rig.ports.ami, "username": "ctid", "secret": "ctid-lab"}
    book = Book(await AsteriskDriver(PbxId("lab"), settings).connect())
    owner = TaskOwner()
    owner.spawn("book", book.read())
    try:
        await until(lambda: bool(book.snapshots), what="the first snapshot")
        yield book
    finally:
        await book.connection.close()
        await owner.close()


async def in_state(book: Book, device: str, holds: Callable[[Leg], bool]) -> None:
    """Wait until a phone's leg is as wanted."""

    def so() -> bool:
        leg = book.leg(device)
        return leg is not None and holds(leg)

    await until(so, what=f"the leg of {device}")


async def busy_floor(book: Book, phones: Phones, done: Callable[[], bool]) -> int:
    """Calls that ring, talk, are held, transferred, abandoned, until enough; returns how many rounds."""
    first, second, third, customer, impatient = await phones.open("1001", "1005", "1007", "3001", "3002")
    rounds = 0
    while not done():
        rounds += 1
        await customer.dial("7000")
        await first.wait_state("ringing")
        await first.answer()
        await impatient.dial("7002")
        await third.wait_state("ringing")
        await in_state(book, "1001", lambda leg: leg.conversation is not None)
        await first.hold()
        await in_state(book, "1001", lambda leg: leg.held)
        await first.unhold()
        await in_state(book, "1001", lambda leg: not leg.held)
        await third.answer()
        await in_state(book, "1007", lambda leg: leg.conversation is not None)
        await first.transfer("7001")
        await second.wait_state("ringing")
        await second.answer()
        await in_state(book, "1005", lambda leg: leg.conversation is not None)
        await impatient.hangup()
        await customer.hangup()
        await until(lambda: not any(key[0] == "leg" for key in book.told), what="all calls are over")
    return rounds


async def test_a_snapshot_is_what_had_been_told(rig: Rig, phones: Phones) -> None:
    """Fifty reconciles in the middle of calls: each snapshot equals what the facts told, times and all."""
    async with book_of(rig) as book:
        taken = 0

        async def keep_reconciling() -> None:
            nonlocal taken
            while taken < RECONCILES:
                await book.connection.resync(SnapshotReason.TIMER)
                taken += 1
                await asyncio.sleep(0.15)

        owner = TaskOwner()
        owner.spawn("reconciling", keep_reconciling())
        rounds = await busy_floor(book, phones, lambda: taken >= RECONCILES)
        await owner.close()
        assert taken == RECONCILES
        assert rounds > 0
        assert len(book.snapshots) > RECONCILES
        assert book.differences == [], "\n".join(book.differences)
        assert sum(bool(snapshot.legs) for snapshot in book.snapshots) > RECONCILES / 2
        lags = sorted(book.lags)
        assert lags[int(len(lags) * 0.99)] < 0.25, "facts wait for a reconcile"


async def test_what_was_lost_comes_back(rig: Rig, phones: Phones) -> None:
    """A driver that missed an end, a beginning and a pause has them after one reconcile."""
    async with book_of(rig) as book:
        caller, callee = await phones.open("3001", "1002")
        state = book.connection._resync.state
        await caller.dial("1002")
        await callee.answer()
        await in_state(book, "1002", lambda leg: leg.conversation is not None)
        lost = book.leg("1002")
        assert lost is not None
        state.channels.remove(lost.id)
        rig.asterisk_cli("queue pause member PJSIP/1003 queue support reason lunch")
        await until(lambda: book.member("support", "1003").paused)
        key = ("support", "PJSIP/1003")
        known = state.members.by_key[key]
        state.members.by_key[key] = type(known)(queue=known.queue, agent=known.agent, name=known.name)
        await book.connection.resync(SnapshotReason.REQUEST)
        await in_state(book, "1002", lambda leg: leg.conversation is not None)
        member = book.member("support", "1003")
        assert (member.paused, member.reason) == (True, "lunch")
        rig.asterisk_cli("queue unpause member PJSIP/1003 queue support")
        await caller.hangup()
        await until(lambda: book.leg("3001") is None)


def pictured(book: Book) -> dict[str, tuple[object, ...]]:
    """What of each phone's leg can be compared between two who learned of it in different ways."""
    legs = {key[1]: thing for key, thing in book.told.items() if isinstance(thing, Leg)}
    together: dict[str | None, set[str]] = {}
    for leg in legs.values():
        together.setdefault(leg.conversation, set()).add(leg.id)
    return {
        str(leg.device): (leg.call, leg.state, leg.parked, leg.conference, sorted(together[leg.conversation]))
        for leg in legs.values()
        if leg.conversation is not None or leg.parked
    }


async def test_whoever_comes_later_sees_the_same(rig: Rig, phones: Phones) -> None:
    """A room, a parking lot, an agent of the pool: lists tell a new connection what events told this one."""
    async with book_of(rig) as book:
        one, two, three, agent, pooled = await phones.open("3001", "3002", "3003", "1001", "1006")
        await one.dial("7100")
        await two.dial("7100")
        await in_state(book, "3001", lambda leg: leg.conference == "7100")
        await in_state(book, "3002", lambda leg: leg.conference == "7100")
        await three.dial("7000")
        await agent.wait_state("ringing")
        await agent.answer()
        await in_state(book, "1001", lambda leg: leg.conversation is not None)
        await agent.transfer("700")
        await in_state(book, "3003", lambda leg: leg.parked != "")
        await pooled.dial("*40")
        await until(lambda: book.leg("1006") is None, what="who stands by in the pool is in no call")
        for _ in range(3):
            await book.connection.resync(SnapshotReason.TIMER)
        assert book.differences == [], "\n".join(book.differences)
        async with book_of(rig) as other:
            assert pictured(other) == pictured(book)
            assert other.leg("1006") is None
        for phone in (one, two, three, pooled):
            await phone.hangup()
        await until(lambda: not any(key[0] == "leg" for key in book.told), what="all calls are over")
