"""Moves events between the backlog in memory and the outbox on disk, in a thread of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import structlog

from ctid.publish.backlog import Backlog
from ctid.publish.outbox import Outbox, OutboxError

log = structlog.get_logger(__name__)

RETRY_S = 1.0
"""After the disk refused: a disk that is full stays so for a while."""
TRIES = 3
"""How often what is on disk is asked for before it is given up: the events behind it wait."""

_Result = TypeVar("_Result")


class Spool:
    """Owns the outbox, and the backlog, whose positions begin at `first`.

    `first` must be above every earlier run's. `on_change` is called when events became ready, or
    `degraded` changed. With a disk that refuses, the backlog lives in memory alone.
    """

    def __init__(self, path: Path, first: int, on_change: Callable[[], None]) -> None:
        self.backlog = Backlog(first=first)
        self.degraded = ""
        """Why events are not safe on disk while the broker is away; empty while they are."""
        self._outbox = Outbox(path)
        self._on_change = on_change
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        self._work = asyncio.Event()
        self._is_open = False
        self._told = False
        self._refusals = 0
        self._is_full = False

    def wake(self) -> None:
        """Look again: the backlog changed."""
        self._work.set()

    def told_dropped(self) -> None:
        """The event that tells of drops has arrived."""
        self.backlog.said()
        self._told = True
        self._work.set()

    async def open(self) -> None:
        """Take over what an earlier run could not deliver; done before the first event is sent."""
        try:
            await self._open()
        except OutboxError as error:
            self._refused(error)

    async def run(self) -> None:
        """Move events, for ever."""
        while True:
            try:
                await self._move()
            except OutboxError as error:
                self._refused(error)
                await asyncio.sleep(RETRY_S)
            else:
                self._accepted()
                await self._work.wait()
                self._work.clear()

    async def close(self) -> None:
        """Put what is left on disk, and close it."""
        self.backlog.go_offline()
        try:
            await self._move()
        except OutboxError as error:
            if self.backlog.waiting:
                log.warning("events lost at the stop", count=self.backlog.waiting, reason=str(error))
        finally:
            await self._on_disk(self._outbox.close)
            self._thread.shutdown(wait=False)

    async def _move(self) -> None:
        await self._open()
        moved = True
        while moved:
            moved, refusal = False, None
            # Each by itself: a disk too full to be written can still be read.
            for step in (self._tidy, self._write, self._read):
                try:
                    moved = await step() or moved
                except OutboxError as error:
                    refusal = error
            if refusal is not None:
                raise refusal

    async def _open(self) -> None:
        if not self._is_open:
            self.backlog.adopt(*await self._on_disk(self._outbox.open))
            self._is_open = True

    async def _tidy(self) -> bool:
        backlog = self.backlog
        delivered, backlog.delivered = backlog.delivered, []
        overrun, backlog.overrun = backlog.overrun, []
        done = False
        try:
            if overrun:
                if not self._is_full:
                    log.warning("outbox full, oldest events dropped", count=len(overrun))
                self._is_full = True
                await self._on_disk(lambda: self._outbox.delete(overrun, dropped=len(overrun)))
            if delivered:
                await self._on_disk(lambda: self._outbox.delete(delivered))
            if self._told:
                await self._on_disk(self._outbox.told_dropped)
                self._told = False
            done = True
        finally:
            if not done:  # refused, or cancelled before the disk's turn came: deleted at the next one
                backlog.delivered = [*overrun, *delivered, *backlog.delivered]
        return False

    async def _write(self) -> bool:
        events = list(self.backlog.to_write())
        if not events:
            return False
        try:
            await self._on_disk(lambda: self._outbox.append(events))
        except OutboxError:
            self.backlog.not_written()
            raise
        self.backlog.written()
        return True

    async def _read(self) -> bool:
        positions = list(self.backlog.to_read())
        if not positions:
            return False
        try:
            events = await self._on_disk(lambda: self._outbox.read(positions))
        except OutboxError as error:
            await self._not_read(str(error))
            raise
        self._refusals = 0
        self._is_full = False
        self.backlog.read(events)
        self._on_change()
        return True

    async def _not_read(self, reason: str) -> None:
        self._refusals += 1
        if self._refusals < TRIES:
            self.backlog.not_read()
            return
        self._refusals = 0
        self.backlog.unreadable()
        self._is_open = False
        await self._on_disk(lambda: self._outbox.set_aside(reason))

    def _refused(self, error: OutboxError) -> None:
        if not self.degraded:
            log.error("outbox refuses events, they wait in memory", reason=str(error))
        self.degraded = str(error)
        self._on_change()

    def _accepted(self) -> None:
        if self.degraded:
            log.info("outbox takes events again")
            self.degraded = ""
            self._on_change()

    async def _on_disk(self, function: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function)
