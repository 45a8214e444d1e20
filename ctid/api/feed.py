"""The recent updates, for those who resume a stream."""

import asyncio
from collections import deque
from collections.abc import Sequence
from itertools import islice

import structlog

from ctid.hub import Hub, SlowSubscriber
from ctid.state.changes import Update

log = structlog.get_logger(__name__)


class Ring:
    """The last updates without a hole, at most `capacity` of them. `seq` is the last one's number."""

    def __init__(self, seq: int, capacity: int) -> None:
        self.seq = seq
        self._updates: deque[Update] = deque(maxlen=capacity)

    def add(self, update: Update) -> None:
        """Take the next update; after a hole the ring begins anew with it."""
        if update.seq != self.seq + 1:
            self._updates.clear()
        self._updates.append(update)
        self.seq = update.seq

    def between(self, after: int, until: int) -> Sequence[Update] | None:
        """The updates with `after < seq <= until`, or none when not all of them are here."""
        oldest = self._updates[0].seq if self._updates else self.seq + 1
        if not oldest - 1 <= after <= until <= self.seq:
            return None
        return list(islice(self._updates, after + 1 - oldest, until + 1 - oldest))


class Feed:
    """Keeps the ring filled from the hub."""

    def __init__(self, hub: Hub, capacity: int) -> None:
        self._hub = hub
        self._capacity = capacity
        self._moved = asyncio.Condition()
        self._ring = Ring(hub.store.seq, capacity)
        self._subscription = hub.subscribe("api/feed")

    async def run(self) -> None:
        """Follow the hub, for ever."""
        try:
            while True:
                try:
                    async for update in self._subscription:
                        self._ring.add(update)
                        await self._tell_waiters()
                except SlowSubscriber:
                    log.warning("the feed of the events was too slow; clients cannot resume across this")
                    self._subscription = self._hub.subscribe("api/feed")
                    self._ring = Ring(self._subscription.seq, self._capacity)
                    await self._tell_waiters()
        finally:
            self._hub.unsubscribe(self._subscription)

    async def _tell_waiters(self) -> None:
        async with self._moved:
            self._moved.notify_all()

    async def between(self, after: int, until: int) -> Sequence[Update] | None:
        """The updates with `after < seq <= until`, or none when they are no longer kept.

        `until` must have happened; this waits for the feed to have seen it.
        """
        async with self._moved:
            await self._moved.wait_for(lambda: self._ring.seq >= until)
        return self._ring.between(after, until)
