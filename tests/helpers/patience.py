"""Waiting for a condition, with a deadline."""

import asyncio
import time
from collections.abc import Awaitable, Callable

SOONEST_S, LATEST_S = 0.001, 0.02
"""How long to wait before looking again: at first, when most is there at once, and in the end."""


async def until(holds: Callable[[], Awaitable[bool] | bool], within: float = 5.0, what: str = "") -> float:
    """Wait until something holds, and return how long it took in seconds.

    Raises:
        AssertionError: it did not hold within `within` seconds.
    """
    began = time.monotonic()
    pause = SOONEST_S
    while True:
        answer = holds()
        if answer if isinstance(answer, bool) else await answer:
            return time.monotonic() - began
        assert time.monotonic() - began < within, f"not within {within} s: {what or holds}"
        await asyncio.sleep(pause)
        pause = min(2 * pause, LATEST_S)
