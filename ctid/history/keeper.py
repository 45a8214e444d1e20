"""The room that keeps the ledger: follows the hub, and fills from each PBX's own log what it did not see."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec
import structlog

from ctid.audit.subjects import Erasure, Subject, SubjectKind
from ctid.history import figures as made
from ctid.history.entries import Entry, entry_of
from ctid.history.filling import Filling
from ctid.history.ledger import Ledger, LedgerUnavailable
from ctid.history.words import GapCause, LedgerStatus
from ctid.hub import Hub, SlowSubscriber
from ctid.model.entities import Pbx
from ctid.model.errors import CtidError
from ctid.model.ids import PbxId
from ctid.model.instant import Instant, enc_hook
from ctid.model.words import LinkState
from ctid.ports import Clock
from ctid.state.changes import Change, Update
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

EXPORTED_AT_ONCE = 1000
COMMIT_S = 0.25
"""Moments of so long are committed together."""
AGAIN_S = 2.0
"""After the ledger could not be written."""
PENDING = 20_000
"""Moments that the memory holds while the ledger cannot be written: a busy day's."""
WAITING = 65_536
"""Updates that may wait for the keeper: it only takes them out."""
BEATS_S = 10.0
"""How often it is noted that nothing is missing up to now, also when nothing happens."""
UNSURE_S = 5.0
"""What happened so lately may be under way: it is not yet noted as complete."""
CHECK_S = 900.0
"""How often the ledger is compared with the PBX's log, though no gap is known."""

_Result = TypeVar("_Result")


class Keeper:
    """Writes each queue's moments to the ledger, once, and answers for the figures.

    The live state does not wait for it: while the ledger cannot be written, moments stay in the memory up to
    `PENDING`; what has no room is a gap, and is filled from the PBX's log like any other.
    """

    name = "history"

    def __init__(self, hub: Hub, ledger: Ledger, clock: Clock, keep_days: int) -> None:
        self.keep_days = keep_days
        self._hub = hub
        self._ledger = ledger
        self._clock = clock
        self._thread = ThreadPoolExecutor(1, "history")
        self._tasks = TaskOwner()
        self._pending: deque[Entry] = deque()
        self._more = asyncio.Event()
        self._writing = asyncio.Lock()
        self._status = LedgerStatus()
        self._dropped = 0
        self._overflowed: set[PbxId] = set()
        self._live: set[PbxId] = set()
        """PBXs whose events come, and before which there is no gap left to fill."""
        self._linked: set[PbxId] = set()
        self._seen: set[PbxId] = set()
        """PBXs that were linked in this run."""
        self._wanted: dict[PbxId, GapCause] = {}
        self._filling: set[PbxId] = set()

    # What others ask ------------------------------------------------------------------------------

    def status(self) -> LedgerStatus:
        """How the ledger is."""
        status = self._status
        return LedgerStatus(
            behind=status.behind,
            reason=status.reason,
            since=status.since,
            waiting=len(self._pending),
            dropped=self._dropped,
            gaps_open=len(self._filling | self._wanted.keys()),
        )

    async def figures(self, selection: made.Selection) -> made.Figures:
        """The figures of a period. Raises LedgerUnavailable."""
        return await self._in_thread(lambda: made.figures(self._ledger, selection))

    async def moments(
        self, selection: made.Selection, after: tuple[float, int] | None, limit: int
    ) -> tuple[list[Entry], tuple[float, int] | None]:
        """A page of the moments behind a figure; see `figures.moments`. Raises LedgerUnavailable."""
        return await self._in_thread(lambda: made.moments(self._ledger, selection, after, limit))

    # As a class of what is kept (`ctid.audit`) --------------------------------------------------------

    async def purge(self, before: Instant, *, by: str, dry_run: bool) -> int:
        """Take out older moments, or count them; returns how many. Raises LedgerUnavailable."""
        del by  # the ledger names nobody who asks
        work = self._ledger.count if dry_run else self._ledger.purge
        return await self._in_thread(lambda: work(before))

    async def export(self, subject: Subject) -> list[dict[str, Any]]:
        """The moments that an agent has a part in; no number is kept. Raises LedgerUnavailable."""
        if subject.kind is not SubjectKind.AGENT:
            return []
        found: list[dict[str, Any]] = []
        selection = made.Selection(since=Instant(0), until=Instant(self._clock.now()), agent=subject.id)
        after: tuple[float, int] | None = None
        while True:
            page, after = await self.moments(selection, after, EXPORTED_AT_ONCE)
            found += [msgspec.to_builtins(entry, enc_hook=enc_hook) for entry in page]
            if after is None:
                return found

    async def erase(self, subject: Subject, *, by: str, dry_run: bool) -> Erasure:
        """Erase nothing: no text is kept, and the queues' figures are made of what is."""
        del by, dry_run
        kept = len(await self.export(subject))
        reason = "the queues' figures are made of it, for as long as [history] keep_days says" if kept else ""
        return Erasure(name=self.name, erased=0, kept=kept, reason=reason)

    # Life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the ledger, for ever; what is in the memory is written when it is cancelled."""
        try:
            self._tasks.spawn("history/follow", self._follow())
            self._tasks.spawn("history/write", self._write())
            self._tasks.spawn("history/check", self._check())
            await self._tasks.wait_failed()
        finally:
            await self._tasks.close()
            try:
                await self._in_thread(lambda: self._ledger.add(tuple(self._pending), {}))
            except LedgerUnavailable as error:
                log.critical("moments are not in the ledger", count=len(self._pending), reason=error.detail)
            await self._in_thread(self._ledger.close)
            self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    # Following the hub ----------------------------------------------------------------------------

    async def _follow(self) -> None:
        while True:
            subscription = self._hub.subscribe("history", WAITING)
            try:
                for entity in subscription.entities:
                    if isinstance(entity, Pbx):
                        self._linked.discard(entity.id)
                        self._link(entity, GapCause.OVERRUN)
                async for update in subscription:
                    self._take(update)
            except SlowSubscriber:
                continue
            finally:
                self._hub.unsubscribe(subscription)

    def _take(self, update: Update) -> None:
        if isinstance(update, Change):
            if isinstance(update.new, Pbx):
                self._link(update.new, GapCause.LINK_DOWN)
            return
        entry = entry_of(update)
        if entry is None:
            return
        if len(self._pending) >= PENDING:
            self._dropped += 1
            self._overflowed.add(entry.pbx)
            self._live.discard(entry.pbx)
            return
        self._pending.append(entry)
        self._more.set()

    def _link(self, link: Pbx, cause: GapCause) -> None:
        if link.state is not LinkState.CONNECTED or link.synchronized_at is None:
            self._linked.discard(link.id)
            self._live.discard(link.id)
        elif link.id not in self._linked:
            self._linked.add(link.id)
            # The first link of a run ends the time that ctid was away.
            self._want(link.id, cause if link.id in self._seen else GapCause.AWAY)
            self._seen.add(link.id)

    def _want(self, pbx: PbxId, cause: GapCause) -> None:
        self._live.discard(pbx)
        self._wanted[pbx] = cause
        if pbx not in self._filling:
            self._filling.add(pbx)
            self._tasks.spawn(f"history/fill {pbx}", self._fill(pbx))

    # Filling --------------------------------------------------------------------------------------

    async def _fill(self, pbx: PbxId) -> None:
        try:
            while (cause := self._wanted.pop(pbx, None)) is not None:
                try:
                    await self._filler().run(pbx, cause)
                except LedgerUnavailable as error:
                    self._behind(error)
                    self._wanted.setdefault(pbx, cause)
                    await asyncio.sleep(AGAIN_S)
                except CtidError as error:
                    # The link went away meanwhile: its next snapshot asks again.
                    log.info("a gap stays open", pbx=pbx, reason=error.detail)
                else:
                    if pbx in self._linked and pbx not in self._wanted:
                        self._live.add(pbx)
        finally:
            self._filling.discard(pbx)

    async def _check(self) -> None:
        checked: dict[PbxId, Instant] = {}
        while True:
            began = self._clock.now()
            await asyncio.sleep(CHECK_S)
            for pbx in tuple(self._live):
                try:
                    until = await self._filler().check(pbx, checked.get(pbx, Instant(began)))
                except LedgerUnavailable as error:
                    self._behind(error)
                except CtidError as error:
                    log.info("the ledger is not compared with the log", pbx=pbx, reason=error.detail)
                else:
                    if until is not None:
                        checked[pbx] = until

    def _filler(self) -> Filling:
        return Filling(self._hub, self._ledger, self._in_thread, self._flush, self._midnight)

    def _midnight(self) -> Instant:
        """The beginning of the day in this machine's zone: a new ledger begins there."""
        now = datetime.fromtimestamp(self._clock.now(), UTC).astimezone()
        return Instant(now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).timestamp())

    # Writing --------------------------------------------------------------------------------------

    async def _write(self) -> None:
        beat = 0.0
        while True:
            try:
                async with asyncio.timeout(BEATS_S):
                    await self._more.wait()
                await asyncio.sleep(COMMIT_S)
            except TimeoutError:
                beat = 0.0
            self._more.clear()
            now = self._clock.now()
            beats = now - beat >= BEATS_S
            try:
                await self._flush(beat=beats)
            except LedgerUnavailable as error:
                self._behind(error)
                await asyncio.sleep(AGAIN_S)
                self._more.set()
                continue
            beat = now if beats else beat
            self._caught_up()

    async def _flush(self, *, beat: bool = False) -> None:
        """Write what is in the memory. Raises LedgerUnavailable: it stays there."""
        async with self._writing:
            batch = tuple(self._pending)
            until = Instant(self._clock.now() - UNSURE_S)
            complete = dict.fromkeys(self._live, until) if beat else {}
            if not batch and not complete and not self._status.behind:
                return
            await self._in_thread(lambda: self._ledger.add(batch, complete))
            for _ in batch:
                self._pending.popleft()

    def _behind(self, error: LedgerUnavailable) -> None:
        if not self._status.behind:
            log.error("the ledger is behind", reason=error.detail)
            self._status = LedgerStatus(behind=True, reason=error.detail, since=Instant(self._clock.now()))

    def _caught_up(self) -> None:
        if self._status.behind:
            log.info("the ledger is up to date again", dropped=self._dropped)
            self._status = LedgerStatus()
        while self._overflowed:
            self._want(self._overflowed.pop(), GapCause.LEDGER)
