"""The event stream of one client, whatever carries it: how it begins, what follows, heartbeats in silence."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from weakref import WeakValueDictionary

from msgspec import Struct

from ctid.api.audience import Audience
from ctid.api.context import ApiContext
from ctid.api.dispatch import encoded
from ctid.api.door import Door
from ctid.api.feed import Feed
from ctid.api.stream import Begun, HeartbeatMessage, Message, ResumedMessage, StreamRequest
from ctid.hub import Subscription
from ctid.model.users import User
from ctid.state.changes import Update

KEPT = 1024
"""Updates whose messages are kept for the others who see the same; a client further behind makes its own."""
TURN = 256
"""Updates that are looked at before the others get a turn."""


class Told(Struct, frozen=True):
    """A message as it goes out: its type, how far the stream is with it, and its JSON."""

    type: str
    seq: int
    body: bytes


def _told(message: Message, seq: int) -> Told:
    return Told(str(type(message).__struct_config__.tag), seq, encoded(message))


class Teller:
    """Looks at each update, and encodes it, once for all clients that see the same."""

    def __init__(self, audience: Audience) -> None:
        self.audience = audience
        self._kept: dict[int, Told | None] = {}

    def told(self, update: Update) -> Told | None:
        """The message for an update, or none: it changes nothing that these clients see."""
        if update.seq in self._kept:
            return self._kept[update.seq]
        message = self.audience.told(update)
        told = None if message is None else _told(message, update.seq)
        self._kept[update.seq] = told
        if len(self._kept) > KEPT:
            del self._kept[next(iter(self._kept))]
        return told


class Followers:
    """Begins streams, and lets those who see the same share a teller."""

    def __init__(self, door: Door, feed: Feed) -> None:
        self._context = door.context
        self._feed = feed
        self._tellers: WeakValueDictionary[object, Teller] = WeakValueDictionary()

    def begin(self, name: str, user: User, query: StreamRequest) -> "Follower":
        """Begin a client's stream; raises InvalidRequest for a wrong query. End it with `close`."""
        wanted = query.filter()
        sight = self._context.sight(user)
        alike = (sight.alike, wanted)
        teller = self._tellers.get(alike)
        if teller is None:
            teller = self._tellers[alike] = Teller(Audience(sight, wanted, self._context.hub.store))
        return Follower(self._context, self._feed, teller, name, user, query)


class Follower:
    """One client's stream; used once."""

    def __init__(
        self, context: ApiContext, feed: Feed, teller: Teller, name: str, user: User, query: StreamRequest
    ) -> None:
        self._context = context
        self._feed = feed
        self._teller = teller
        self._user = user
        self._query = query
        self._subscription = context.hub.subscribe(name, context.limits.waiting)

    def close(self) -> None:
        """End the stream; idempotent."""
        self._context.hub.unsubscribe(self._subscription)

    async def messages(self) -> AsyncIterator[Told]:
        """What the client is told, for ever.

        Raises:
            SlowSubscriber: it did not keep up.
        """
        first, missed = await self._first(self._subscription)
        yield first
        for before in missed:
            if (told := self._teller.told(before)) is not None:
                yield told
        subscription, loop = self._subscription, asyncio.get_running_loop()
        heartbeat_s = self._context.limits.heartbeat_s
        seq, due, unseen = subscription.seq, loop.time() + heartbeat_s, 0
        while True:
            update = subscription.ready()
            if update is None:
                update = await _within(subscription, due)
            if update is not None:
                seq = update.seq
                told = self._teller.told(update)
                if told is not None:
                    yield told
                    due = loop.time() + heartbeat_s
                    continue
                unseen += 1
                if unseen % TURN == 0:
                    await asyncio.sleep(0)
            if loop.time() >= due:
                yield _told(HeartbeatMessage(seq=seq, at=self._context.now()), seq)
                due = loop.time() + heartbeat_s

    async def _first(self, subscription: Subscription) -> tuple[Told, Sequence[Update]]:
        """The first message, and the updates that a client who resumes has missed."""
        context, query = self._context, self._query
        reason: Begun = "first"
        if query.after is not None:
            if query.boot_id != context.boot_id:
                reason = "restarted"
            elif query.after > subscription.seq:
                reason = "ahead"
            else:
                missed = await self._feed.between(query.after, subscription.seq)
                if missed is not None:
                    resumed = ResumedMessage(after=query.after, boot_id=context.boot_id, at=context.now())
                    return _told(resumed, query.after), missed
                reason = "too_old"
        snapshot = self._teller.audience.snapshot(
            subscription.entities,
            seq=subscription.seq,
            boot_id=context.boot_id,
            at=context.now(),
            reason=reason,
        )
        return _told(snapshot, subscription.seq), ()

    async def until_ended(self) -> None:
        """Wait until what the client showed is good no more."""
        await self._context.identity.until_ended(self._user, self._context.limits.heartbeat_s)


async def _within(subscription: Subscription, due: float) -> Update | None:
    """The next update, or none when there is none until `due`, by the loop's clock."""
    try:
        async with asyncio.timeout_at(due):
            return await subscription.next()
    except TimeoutError:
        return None
