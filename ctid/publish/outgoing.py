"""What is to be published next: joins the retained tree and the events, knows no MQTT client."""

import asyncio
from typing import Literal, NamedTuple

import structlog
from msgspec import Struct

from ctid.audit import Anchor
from ctid.events.documents import Documents
from ctid.events.telling import anchor_event, cloud_event, dropped_event, events_of
from ctid.events.topics import Topics
from ctid.hub import Hub, SlowSubscriber, Subscription
from ctid.model.instant import Instant
from ctid.ports import Clock
from ctid.publish.backlog import Queued
from ctid.publish.home_assistant import HomeAssistant
from ctid.publish.spool import Spool
from ctid.publish.tree import Due, RetainedTree
from ctid.state.changes import Change, Update

log = structlog.get_logger(__name__)

UPDATES_A_TURN = 64
"""Updates taken in before others get the loop."""


REST_S = 1.0
DOCUMENTS_AN_EVENT = 10
"""While events are behind and documents are due, one publication in so many is an event."""


class Message(NamedTuple):
    """A publication. `retained` ones are documents, the others events."""

    topic: str
    payload: bytes
    retained: bool
    of: Due | Queued | None = None
    """What it delivers; none for the status, the audit's anchor, what Home Assistant is told, and
    the event that tells of drops."""


class Outgoing:
    """Follows the hub and gives out messages, one after the other, by `next`.

    An entity's document comes after the events of the change that made it, and its removal after its
    last event. While events are behind, documents overtake them. `wake` is set when `next` may have
    something.
    """

    def __init__(
        self,
        hub: Hub,
        topics: Topics,
        documents: Documents,
        clock: Clock,
        spool: Spool,
        home: HomeAssistant | None = None,
    ) -> None:
        self.tree = RetainedTree(topics)
        self.wake = asyncio.Event()
        self.seq = hub.store.seq
        self.status_due = False
        """Whether the status is to be said again."""
        self.anchor_due = False
        """Whether the audit's anchor is to be said again; there may be none yet."""
        self.home = home
        self._anchor: Anchor | None = None
        self._hub = hub
        self._topics = topics
        self._documents = documents
        self._clock = clock
        self._spool = spool
        self._backlog = spool.backlog
        self._documents_in_turn = 0

    async def follow(self) -> None:
        """Take in what the hub tells, for ever."""
        missed = False
        while True:
            subscription = self._hub.subscribe("mqtt")
            if missed:
                self._backlog.lose(subscription.seq - self.seq)
            self.seq = subscription.seq
            self.tree.replace(
                subscription.entities,
                self.seq,
                self.now(),
                after=self._backlog.position,
                now=_monotonic(),
            )
            if self.home is not None:
                self.home.replace(subscription.entities)
            self.wake.set()
            try:
                async for update in subscription:
                    self.put(update)
                    if not update.seq % UPDATES_A_TURN:
                        await asyncio.sleep(0)
            except SlowSubscriber:
                missed = True
            except asyncio.CancelledError:
                await self._take_rest(subscription)
                raise
            finally:
                self._hub.unsubscribe(subscription)

    async def _take_rest(self, subscription: Subscription) -> None:
        """At the stop: what the hub has told already is still kept."""
        try:
            # It is all there, unless the hub itself died between counting and telling.
            async with asyncio.timeout(REST_S):
                while self.seq < self._hub.store.seq:
                    self.put(await subscription.next())
        except (SlowSubscriber, TimeoutError):
            self._backlog.lose(self._hub.store.seq - self.seq)

    def put(self, update: Update) -> None:
        """Take in one update."""
        self.seq = update.seq
        for event in events_of(update, self._documents):
            self._backlog.put(self._topics.event(event.name), cloud_event(event, self._documents))
        if isinstance(update, Change):
            self.tree.apply(update, after=self._backlog.position, now=_monotonic())
            if self.home is not None:
                self.home.apply(update)
        self.wake.set()
        self._spool.wake()

    def put_anchor(self, anchor: Anchor) -> None:
        """Take in where the audit ended."""
        event = anchor_event(self._documents, anchor, self.seq)
        self._backlog.put(self._topics.event(event.name), cloud_event(event, self._documents))
        self._anchor, self.anchor_due = anchor, True
        self.wake.set()
        self._spool.wake()

    def next(self) -> Message | None:
        """Choose what is sent next, and have it on its way; `sent` follows."""
        if self.status_due:
            self.status_due = False
            return Message(self._topics.status, self.status("online"), retained=True)
        if self.anchor_due and self._anchor is not None:
            self.anchor_due = False
            document = self._documents.anchor(self._anchor, self.seq)
            return Message(self._topics.audit, document, retained=True)
        if self.home is not None and (told := self.home.next(self.seq, self.now())) is not None:
            return Message(*told, retained=True)
        if self._backlog.unsaid and not self._backlog.is_saying:
            return self._dropped()
        due, event = self.tree.peek(), self._backlog.peek()
        if due is not None and (event is None or self._overtakes(due, event)):
            self.tree.take(due)
            document = self._documents.entity(*due.version) if due.version is not None else b""
            return Message(due.topic, document, retained=True, of=due)
        if event is not None:
            self._backlog.take()
            self._spool.wake()
            return Message(event.topic, event.payload, retained=False, of=event)
        return None

    def _overtakes(self, due: Due, event: Queued) -> bool:
        if not self._backlog.is_behind:
            return due.after < event.position
        # The truth first, but events move on as well.
        self._documents_in_turn = (self._documents_in_turn + 1) % DOCUMENTS_AN_EVENT
        return self._documents_in_turn > 0

    def _dropped(self) -> Message:
        count, total = self._backlog.say_dropped(), self._backlog.dropped
        log.warning("events dropped", count=count, total=total)
        event = dropped_event(self._documents, self.seq, self.now(), count, total)
        payload = cloud_event(event, self._documents)
        return Message(self._topics.event(event.name), payload, retained=False)

    def sent(self, message: Message, *, arrived: bool) -> None:
        """Say what became of a message: it arrived, or it did not and the connection is lost."""
        if isinstance(message.of, Due):
            if not arrived:
                self.tree.put_back(message.of)
        elif not arrived:
            self.status_due = False
        elif isinstance(message.of, Queued):
            self._backlog.arrived(message.of)
            self._spool.wake()
        elif not message.retained:
            self._spool.told_dropped()

    def status(self, state: Literal["online", "offline"], reason: str = "") -> bytes:
        """The document of the status topic."""
        return self._documents.status(
            state,
            self.seq,
            self.now(),
            reason=reason,
            degraded=bool(self._spool.degraded),
            dropped=self._backlog.dropped,
        )

    def standing(self, name: str, document: Struct) -> tuple[str, bytes]:
        """The topic of a document that stands while ctid runs, and what is retained there."""
        return self._topics.standing(name), self._documents.standing(name, document, self.seq, self.now())

    def now(self) -> Instant:
        """The time, as documents have it."""
        return Instant(self._clock.now())


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
