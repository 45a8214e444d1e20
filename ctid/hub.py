"""The one consumer of facts, the one door for commands, the fan-out of updates."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress

import structlog

from ctid.model.commands import Command
from ctid.model.entities import Entity
from ctid.model.errors import PbxUnavailable
from ctid.model.facts import Fact, Snapshot
from ctid.model.ids import PbxId
from ctid.ports import Clock, Connection
from ctid.state.changes import Change, Update
from ctid.state.store import Store

log = structlog.get_logger(__name__)

BATCHES_WAITING = 1000
"""Batches of facts that may wait for the hub; past that the drivers wait, and their sockets with them."""

UPDATES_WAITING = 4096
"""Updates that may wait for one subscriber; past that it is slow, and loses its subscription."""

UPDATES_AT_ONCE = 256
"""Updates told before the readers get a turn."""


class SlowSubscriber(Exception):
    """This subscriber did not keep up and was dropped; subscribe again for a new snapshot."""


class Subscription:
    """A snapshot of all entities, and every update after it; used once."""

    def __init__(
        self, name: str, seq: int, entities: tuple[Entity, ...], waiting: int, kinds: frozenset[str] | None
    ) -> None:
        self.name = name
        self._kinds = kinds
        self.seq = seq
        """The number of the last update that the snapshot holds."""
        self.entities = entities
        self._updates: asyncio.Queue[Update] = asyncio.Queue(waiting)
        self._dropped = False

    def offer(self, update: Update) -> bool:
        """Take an update without waiting; false when there is no more room."""
        if update.seq <= self.seq:
            return True  # in the snapshot already
        kind = update.kind if isinstance(update, Change) else update.name
        if self._kinds is not None and kind not in self._kinds:
            return True
        try:
            self._updates.put_nowait(update)
        except asyncio.QueueFull:
            self._dropped = True
            return False
        return True

    async def next(self) -> Update:
        """Wait for the next update.

        Raises:
            SlowSubscriber: what was kept is read, and what followed was not kept.
        """
        if self._dropped and self._updates.empty():
            raise SlowSubscriber(self.name)
        return await self._updates.get()

    def ready(self) -> Update | None:
        """The next update if it is there by now, and none if it has to be waited for."""
        return None if self._updates.empty() else self._updates.get_nowait()

    async def __aiter__(self) -> AsyncIterator[Update]:
        """Iterate over the updates for ever, or until `SlowSubscriber`."""
        while True:
            yield await self.next()


class Hub:
    """Owns the store. Everything runs in one event loop; `run` is its only writer."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.store = store
        self._clock = clock
        self._facts: asyncio.Queue[Sequence[Fact]] = asyncio.Queue(BATCHES_WAITING)
        self._subscriptions: set[Subscription] = set()
        self._connections: dict[PbxId, Connection] = {}
        self._awaited: dict[asyncio.Future[None], Callable[[], bool]] = {}
        self.turns = 0
        """How often the consumer came round; a watchdog sees by it that the hub lives."""

    async def feed(self, facts: Sequence[Fact]) -> None:
        """Hand in facts, in their order; waits while the hub is behind."""
        await self._facts.put(facts)

    def attach(self, pbx: PbxId, connection: Connection | None) -> None:
        """Say which connection carries the commands for a PBX; none while its link is down."""
        if connection is None:
            self._connections.pop(pbx, None)
        else:
            self._connections[pbx] = connection

    def connection(self, pbx: PbxId) -> Connection:
        """The connection that carries the commands for a PBX.

        Raises:
            PbxUnavailable: its link is down.
        """
        connection = self._connections.get(pbx)
        if connection is None:
            link = self.store.pbxs.get(pbx)
            reason = link.reason if link and link.reason else "not connected yet"
            raise PbxUnavailable(f"the link to the PBX {pbx!r} is down ({reason}); try again when it is back")
        return connection

    async def execute(self, pbx: PbxId, command: Command) -> None:
        """Have a PBX carry out a command; returns once it is in force. Raises `CtidError`."""
        await self.connection(pbx).execute(command)

    def subscribe(
        self, name: str, waiting: int = UPDATES_WAITING, kinds: frozenset[str] | None = None
    ) -> Subscription:
        """Take a snapshot and follow what comes after it, with nothing lost between the two.

        With `kinds`, only the changes of those kinds of entities follow, and the occurrences of those names.
        """
        subscription = Subscription(name, self.store.seq, tuple(self.store.entities()), waiting, kinds)
        self._subscriptions.add(subscription)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; idempotent."""
        self._subscriptions.discard(subscription)

    async def until(self, holds: Callable[[], bool], within_s: float) -> bool:
        """Wait until something holds of the store; false when it does not within the time."""
        if holds():
            return True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._awaited[future] = holds
        try:
            async with asyncio.timeout(within_s):
                await future
        except TimeoutError:
            return False
        finally:
            del self._awaited[future]
        return True

    async def run(self) -> None:
        """Consume facts and let the time pass, for ever."""
        while True:
            self.turns += 1
            due = self.store.next_deadline()
            wait = 1.0 if due is None else min(max(due - self._clock.now(), 0.0), 1.0)
            batch: Sequence[Fact] = ()
            with suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    batch = await self._facts.get()
            for fact in batch:
                await self._tell(self.store.apply(fact))
                if isinstance(fact, Snapshot):
                    self._log_drift()
            await self._tell(self.store.on_time(self._clock.now()))
            for future, holds in self._awaited.items():
                if not future.done() and holds():
                    future.set_result(None)

    def _log_drift(self) -> None:
        for pbx, reason, drift in self.store.take_drifts():
            log.warning(
                "state drifted, and the PBX is believed",
                pbx=pbx,
                reason=reason,
                drift=drift.name,
                id=drift.id,
                believed=drift.believed,
                found=drift.found,
            )

    async def _tell(self, updates: Sequence[Update]) -> None:
        for number, update in enumerate(updates, 1):
            for subscription in [s for s in self._subscriptions if not s.offer(update)]:
                log.warning("slow subscriber dropped", subscriber=subscription.name, seq=update.seq)
                self._subscriptions.discard(subscription)
            if number % UPDATES_AT_ONCE == 0:
                await asyncio.sleep(0)  # a snapshot of a large PBX: let the readers read
