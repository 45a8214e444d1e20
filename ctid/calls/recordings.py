"""The room that keeps the index of recordings, and ends its rows as the state tells."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import msgspec
import structlog

from ctid.audit.entries import mentions
from ctid.audit.subjects import Erasure, Subject, SubjectKind
from ctid.calls.index import IndexUnavailable, RecordingIndex, Selection
from ctid.calls.words import RecordingEntry
from ctid.hub import Hub, SlowSubscriber
from ctid.model.entities import Call, Pbx
from ctid.model.ids import CallId
from ctid.model.instant import Instant, enc_hook
from ctid.model.words import Recording
from ctid.state.changes import Change
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

EVERYTHING = 2**62
AGAIN_S = 5.0
"""After the index could not be written."""

_Result = TypeVar("_Result")


class Recordings:
    """Owns the index: nobody else opens it."""

    name = "recordings"

    def __init__(self, hub: Hub, index: RecordingIndex, keep_days: int) -> None:
        self.keep_days = keep_days
        self._hub = hub
        self._index = index
        self._thread = ThreadPoolExecutor(1, "recordings")
        self._over: dict[CallId, Instant] = {}
        self._more = asyncio.Event()

    # What others ask ------------------------------------------------------------------------------

    async def begin(self, recording: RecordingEntry) -> int:
        """Keep a recording that is about to be made; returns its id. Raises IndexUnavailable."""
        return await self._in_thread(partial(self._index.begin, recording))

    async def forget(self, ident: int) -> None:
        """Take out one that was not made after all. Raises IndexUnavailable."""
        await self._in_thread(partial(self._index.forget, ident))

    async def find(self, selection: Selection) -> list[RecordingEntry]:
        """The recordings of a selection, the newest first. Raises IndexUnavailable."""
        return await self._in_thread(partial(self._index.find, selection))

    async def purge(self, before: Instant, *, by: str, dry_run: bool) -> int:
        """Take out what began before a time, or count it; returns how many. Raises IndexUnavailable."""
        del by  # the index names nobody who asks
        return await self._in_thread(
            partial(self._index.count_before if dry_run else self._index.purge, before)
        )

    async def export(self, subject: Subject) -> list[dict[str, Any]]:
        """The recordings of an agent; of a number, those whose basis has it. Raises IndexUnavailable."""
        entries = await self._about(subject)
        return [msgspec.to_builtins(entry, enc_hook=enc_hook) for entry in entries]

    async def erase(self, subject: Subject, *, by: str, dry_run: bool) -> Erasure:
        """Erase a number out of what was written as a basis; that an agent was recorded stays."""
        del by
        entries = await self._about(subject)
        if subject.kind is SubjectKind.AGENT:
            why = "who was recorded, when and why is kept for as long as [retention] recordings_days says"
            return Erasure(name=self.name, erased=0, kept=len(entries), reason=why if entries else "")
        if not dry_run:
            await self._in_thread(partial(self._index.erase_basis, [entry.id for entry in entries]))
        return Erasure(name=self.name, erased=len(entries), kept=0, reason="")

    async def _about(self, subject: Subject) -> list[RecordingEntry]:
        if subject.kind is SubjectKind.AGENT:
            return await self.find(Selection(agent=subject.id, limit=EVERYTHING))
        entries = await self.find(Selection(limit=EVERYTHING))
        return [entry for entry in entries if mentions(entry.basis, subject.id)]

    # Life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Keep the index, for ever."""
        tasks = TaskOwner()
        try:
            tasks.spawn("recordings/follow", self._follow())
            tasks.spawn("recordings/end", self._end())
            await tasks.wait_failed()
        finally:
            await tasks.close()
            await self._in_thread(self._index.close)
            self._thread.shutdown(wait=False)

    async def _in_thread(self, work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _follow(self) -> None:
        while True:
            subscription = self._hub.subscribe("recordings", kinds=frozenset({Call.kind, Pbx.kind}))
            try:
                for entity in subscription.entities:
                    if isinstance(entity, Pbx):
                        await self._look_over(entity)
                async for update in subscription:
                    if not isinstance(update, Change):
                        continue
                    if isinstance(update.new, Pbx):
                        if not isinstance(update.old, Pbx) or _synchronized(update.old, update.new):
                            await self._look_over(update.new)
                    elif isinstance(update.old, Call):
                        self._see(update.old, update.new, update.at)
            except SlowSubscriber:
                log.warning("the index of recordings follows anew: it was too slow")
            finally:
                self._hub.unsubscribe(subscription)

    def _see(self, old: Call, new: object, at: Instant) -> None:
        recorded = isinstance(new, Call) and new.recording is not Recording.OFF
        if old.recording is not Recording.OFF and not recorded:
            self._is_over(old.id, at)

    def _is_over(self, call: CallId, at: Instant) -> None:
        self._over[call] = at
        self._more.set()

    async def _look_over(self, link: Pbx) -> None:
        """End what ended while ctid did not see it; the index has the time of the look then."""
        if link.synchronized_at is None:
            return
        try:
            calls = await self._in_thread(partial(self._index.open_calls, link.id))
        except IndexUnavailable as error:
            log.error("the index of recordings cannot be read", reason=error.detail)  # noqa: TRY400 - a disk's failure, no defect to trace
            return
        for ident in calls:
            call = self._hub.store.calls.get(ident)
            if call is None or call.recording is Recording.OFF:
                self._is_over(ident, Instant(link.synchronized_at))

    async def _end(self) -> None:
        while True:
            await self._more.wait()
            self._more.clear()
            while self._over:
                call, at = next(iter(self._over.items()))
                try:
                    await self._in_thread(partial(self._index.end, call, at))
                except IndexUnavailable as error:
                    log.error("a recording's end is not in the index yet", call=call, reason=error.detail)  # noqa: TRY400 - a disk's failure, no defect to trace
                    await asyncio.sleep(AGAIN_S)
                else:
                    if self._over.get(call) == at:
                        del self._over[call]


def _synchronized(old: Pbx, new: Pbx) -> bool:
    return old.synchronized_at is None and new.synchronized_at is not None
