"""A live copy of the floor."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

from ctid.client.changes import Changes
from ctid.client.mirror import Mirror


class Floor(Mirror):
    """The entities as they are now, in a dict of each kind by id: `agents`, `calls`, `queues` and so on.

    An async context manager: it is whole when it is entered. While no ctid is there it keeps what was known
    last, and `trouble` says why. Raises as `Changes`: at its beginning, from `until`, and at its end.
    """

    def __init__(self, changes: Changes) -> None:
        super().__init__()
        self._changes = changes
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    @property
    def trouble(self) -> str:
        """Why it is not live just now; empty while it is."""
        return self._changes.trouble

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._task = loop.create_task(self._follow(), name="ctid.client/floor")
        try:
            await self.until(lambda floor: floor.boot_id)
        except BaseException:  # a cancellation as well: whoever never entered has nothing to leave
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        task = self._task
        failed = task is not None and task.done()
        await self._stop()
        if failed and error is None and task is not None:
            task.result()

    async def until(self, holds: Callable[[Self], object], timeout_s: float | None = None) -> None:
        """Wait until something holds; it is looked at now, and after each change, none left out.

        Raises:
            TimeoutError: it did not within `timeout_s` seconds.
        """
        async with asyncio.timeout(timeout_s):
            while not holds(self):
                moved = self._moved
                if self._task is None:
                    raise RuntimeError("use it as a context manager: `async with`")
                if self._task.done():
                    self._task.result()
                    raise RuntimeError("the floor is closed")
                await moved.wait()

    async def _follow(self) -> None:
        try:
            async for item in self._changes:
                self.apply(item)
                self._tell()
                # Those who wait are woken in the order of the loop: they look before the next change.
                await asyncio.sleep(0)
        finally:
            # The task is done once this has returned.
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    async def _stop(self) -> None:
        await self._changes.aclose()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
