"""The filling of one gap from the PBX's own log, or, where there is none to read, from its counters."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

import msgspec
import structlog
from msgspec import Struct

from ctid.history.entries import BY_AGENTS, entries_of
from ctid.history.ledger import Ledger
from ctid.history.match import Plan
from ctid.history.words import Closed, Count, GapCause, GapState, Remembered
from ctid.hub import Hub
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.instant import Instant, dec_hook, enc_hook
from ctid.ports import Counters, MemberName, Recollection

log = structlog.get_logger(__name__)

OVERLAP_S = 60.0
"""So much before the gap the log is read again: a link can be dead for a while before that is noticed."""
SETTLE_S = 3.0
"""After so long the log is compared once more: by then the events of what was just read have come."""

_Result_co = TypeVar("_Result_co", covariant=True)


class InThread(Protocol):
    """Does blocking work in the ledger's thread."""

    def __call__(self, work: Callable[[], _Result_co]) -> Awaitable[_Result_co]:
        """Do it, and return what it returns."""
        ...


class _Found(Struct):
    """What the readings of the log for one gap have told."""

    moments: int = 0
    doubtful: int = 0
    unread: int = 0
    nameless: int = 0
    """Moments of which the log does not say whose they were."""
    strange: int = 0
    """Moments of callers whom events know by other ids, which are not known."""
    names: tuple[str, ...] = ()


class Filling:
    """Fills the gap before a PBX's present link.

    `flush` writes what events have told so far, so that the log is compared with all of it; `midnight` is
    where a new ledger begins.
    """

    def __init__(
        self,
        hub: Hub,
        ledger: Ledger,
        in_thread: InThread,
        flush: Callable[[], Awaitable[None]],
        midnight: Callable[[], Instant],
    ) -> None:
        self._hub = hub
        self._ledger = ledger
        self._in_thread = in_thread
        self._flush = flush
        self._midnight = midnight

    async def run(self, pbx: PbxId, cause: GapCause) -> None:
        """Fill, and note what became of it.

        Raises:
            LedgerUnavailable: nothing is lost; to be tried again.
            PbxUnavailable, PbxTimeout, PbxRefused: the gap stays open.
        """
        before = await self._in_thread(lambda: self._ledger.remembered(pbx))
        if before is None:
            await self._begin(pbx)
            return
        began = before.complete_until
        gap = await self._in_thread(lambda: self._ledger.open_gap(pbx, began, cause))
        told = await self._read(pbx, began, before)
        found = _Found()
        if told.since is None:
            ended = told.counters.at if told.counters is not None else began
            state, detail, counts = await self._count(pbx, before, told)
        else:
            ended = await self._take_twice(pbx, began, before, told, found)
            state, detail = _judged(began, told, found)
            counts = ()
        closed = Closed(row=gap, state=state, detail=detail, found=found.moments, counts=counts)
        await self._remember(pbx, began, ended, told, before, closed)
        say = log.info if state is GapState.FILLED else log.warning
        seconds = round(ended - began, 1)
        say("gap", pbx=pbx, cause=cause, state=state, found=found.moments, seconds=seconds, detail=detail)

    async def check(self, pbx: PbxId, since: Instant) -> Instant | None:
        """Compare the ledger with the log of a time without a gap; returns until when, or none without a log.

        What differs is mended, and told: ctid missed or misread it. Raises as `run` does.
        """
        before = await self._in_thread(lambda: self._ledger.remembered(pbx))
        if before is None:
            return None
        told = await self._read(pbx, since, before)
        if told.since is None:
            return None
        found = _Found()
        until = await self._take(pbx, before, told, found)
        if found.moments or found.doubtful:
            # An event may have been under way.
            until = max(until, await self._take_again(pbx, since, before, found))
        if found.moments or found.doubtful:
            log.warning(
                "the ledger differed from the log", pbx=pbx, mended=found.moments, doubtful=found.doubtful
            )
        await self._remember(pbx, since, before.complete_until, told, before)
        return until

    async def _begin(self, pbx: PbxId) -> None:
        """Begin the ledger of a PBX: with what its log has of this day, or now."""
        midnight = self._midnight()
        none = Remembered(began_at=midnight, complete_until=midnight)
        told = await self._read(pbx, midnight, none)
        found = _Found()
        if told.since is None:
            began = ended = told.counters.at if told.counters is not None else midnight
        else:
            began = max(told.since, midnight)
            ended = await self._take_twice(pbx, midnight, none, told, found)
        await self._remember(pbx, began, ended, told, none)
        log.info("the ledger begins", pbx=pbx, found=found.moments, reason=told.reason)

    async def _read(self, pbx: PbxId, since: Instant, before: Remembered) -> Recollection:
        since = Instant(since - OVERLAP_S)
        return await self._hub.connection(pbx).recall(since, _names(before))

    async def _take_twice(
        self, pbx: PbxId, began: Instant, before: Remembered, told: Recollection, found: _Found
    ) -> Instant:
        """Compare, and once more when what was under way has come; returns until when the log was read."""
        ended = await self._take(pbx, before, told, found)
        return max(ended, await self._take_again(pbx, began, before, found))

    async def _take_again(self, pbx: PbxId, since: Instant, before: Remembered, found: _Found) -> Instant:
        await asyncio.sleep(SETTLE_S)
        again = await self._read(pbx, since, before)
        return await self._take(pbx, before, again, found)

    async def _take(self, pbx: PbxId, before: Remembered, told: Recollection, found: _Found) -> Instant:
        """Compare one reading, and those that follow it while there is more, with the ledger.

        Returns until when the log was read; 0 without a log.
        """
        if told.since is not None:
            # It tells of all that was read before; without a log that stands.
            found.doubtful = found.unread = 0
        until = Instant(0)
        while told.since is not None and told.until is not None:
            await self._flush()
            plan = await self._compare(pbx, told, (float(told.since), float(told.until)))
            found.moments += len(plan.insert) - len(plan.drop)
            found.doubtful += len(plan.doubtful)
            found.unread += told.unread
            nameless = sum(row.entry.kind in BY_AGENTS and not row.entry.agent for row in plan.insert)
            found.nameless += nameless
            found.strange += plan.strange
            if nameless:
                found.names = told.nameless
            until = told.until
            if not told.more:
                break
            told = await self._hub.connection(pbx).recall(until, _names(before))
        return until

    async def _compare(self, pbx: PbxId, told: Recollection, covered: tuple[float, float]) -> Plan:
        entries = entries_of(told)
        plan = await self._in_thread(lambda: self._ledger.fill(pbx, entries, covered, told.strange))
        for row in plan.doubtful:
            kind, queue, leg, agent = row.entry.key
            log.warning("the log lacks what was told", pbx=pbx, kind=kind, queue=queue, leg=leg, agent=agent)
        return plan

    async def _count(
        self, pbx: PbxId, before: Remembered, told: Recollection
    ) -> tuple[GapState, str, tuple[Count, ...]]:
        """What the PBX's counters tell of the gap: how many, and nothing else."""
        await self._flush()
        if not before.counters or told.counters is None:
            return GapState.UNKNOWN, f"{told.reason}; there are no counters of before either", ()
        earlier = _counters(before.counters)
        seen = await self._in_thread(lambda: self._ledger.told_since(pbx, earlier.at))
        counts = counted(earlier, told.counters, seen)
        if counts is None:
            return GapState.UNKNOWN, f"{told.reason}; the PBX's counters started anew meanwhile", ()
        return GapState.PARTLY, f"only counted, by the PBX's counters: {told.reason}", counts

    async def _remember(
        self,
        pbx: PbxId,
        began: Instant,
        until: Instant,
        told: Recollection,
        before: Remembered,
        closed: Closed | None = None,
    ) -> None:
        counters = before.counters
        if told.counters is not None:
            counters = msgspec.json.encode(told.counters, enc_hook=enc_hook)
        known = {(name.queue, name.name, name.agent): name for name in (*_names(before), *told.names)}
        names = msgspec.json.encode(tuple(known.values()))
        await self._in_thread(
            lambda: self._ledger.remember(
                pbx, until=until, began_at=began, counters=counters, names=names, closed=closed
            )
        )


def _names(before: Remembered) -> tuple[MemberName, ...]:
    return msgspec.json.decode(before.names, type=tuple[MemberName, ...]) if before.names else ()


def _counters(stored: bytes) -> Counters:
    return msgspec.json.decode(stored, type=Counters, dec_hook=dec_hook)


def _judged(began: Instant, told: Recollection, found: _Found) -> tuple[GapState, str]:
    """What is known of a gap whose log was read."""
    lacking = []
    if told.since is not None and told.since > began:
        lacking.append("the log does not reach back to its beginning: what was rotated away is not known")
    if found.unread:
        lacking.append(f"{found.unread} lines of the log cannot be read")
    if found.nameless:
        names = ", ".join(found.names[:5])
        lacking.append(
            f"of {found.nameless} moments it is not known whose they were: nobody, or several, are {names}"
        )
    if found.strange:
        lacking.append(
            f"of {found.strange} moments it is not known to which caller's earlier ones they belong"
        )
    if found.doubtful:
        lacking.append(
            f"the log does not have {found.doubtful} moments that events told: is it this PBX's log?"
        )
    return (GapState.PARTLY, "; ".join(lacking)) if lacking else (GapState.FILLED, "")


def counted(
    earlier: Counters, later: Counters, seen: Mapping[tuple[str, str], tuple[int, int]]
) -> tuple[Count, ...] | None:
    """What the counters rose by, less what was seen since the earlier ones; none when they began anew.

    `seen` is served and unserved by queue and agent ('' for the queue). It may be off by a call that ended in
    the very second the counters were read.
    """
    queues = {queue.queue: queue for queue in earlier.queues}
    members = {(member.queue, member.agent): member.served for member in earlier.members}
    counts: list[Count] = []
    for queue in later.queues:
        old = queues.get(queue.queue)
        before = (old.served, old.unserved) if old is not None else (0, 0)
        served, unserved = seen.get((queue.queue, ""), (0, 0))
        more = Count(
            queue=queue.queue,
            served=queue.served - before[0] - served,
            unserved=queue.unserved - before[1] - unserved,
        )
        if more.served < 0 or (more.unserved or 0) < 0:
            return None
        counts.append(more)
    for member in later.members:
        rose = member.served - members.get((member.queue, member.agent), 0)
        served, _ = seen.get((member.queue, member.agent), (0, 0))
        if rose - served > 0:
            counts.append(
                Count(queue=QueueId(member.queue), agent=AgentId(member.agent), served=rose - served)
            )
    return tuple(count for count in counts if count.served or count.unserved)
