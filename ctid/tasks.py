"""The one place that starts asyncio tasks: every task has a name, an owner and a death notice."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class TaskOwner:
    """Owns background tasks and notices their death.

    The first task that ends with an exception makes `wait_failed` raise it, so that the
    composition root can stop the daemon loudly; an owner further in names `on_failure` instead, and
    hands the exception on. A cancelled task is a normal end.
    """

    def __init__(self, on_failure: Callable[[BaseException], None] | None = None) -> None:
        self._on_failure = on_failure
        self._tasks: set[asyncio.Task[None]] = set()
        self._failed: asyncio.Future[None] | None = None

    def spawn(self, name: str, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Start `coroutine` as a named task that this owner keeps alive and watches."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        failure = task.exception()
        if failure is None:
            return
        log.critical("task died", task=task.get_name(), exc_info=failure)
        if self._on_failure is not None:
            self._on_failure(failure)
            return
        future = self._future()
        if not future.done():
            future.set_exception(failure)
            future.exception()  # marks it as seen: the owner may be closing and never wait

    def _future(self) -> asyncio.Future[None]:
        if self._failed is None:
            self._failed = asyncio.get_running_loop().create_future()
        return self._failed

    async def wait_failed(self) -> None:
        """Wait for ever; raise the exception of the first task that dies of one."""
        await asyncio.shield(self._future())

    async def close(self) -> None:
        """Cancel what still runs and wait for its end; idempotent."""
        pending = list(self._tasks)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
