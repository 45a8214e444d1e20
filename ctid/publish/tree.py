"""The retained tree as it is to be, and what of it the broker has not been told yet."""

from typing import NamedTuple

from ctid.events.topics import Topics
from ctid.model.entities import Entity, Pbx
from ctid.model.instant import Instant
from ctid.state.changes import Change

SYNCHRONIZED_FOR_S = 0.2
"""A PBX's snapshot reaches the tree as many updates, its link's first; the last is in by then."""


class Version(NamedTuple):
    """An entity as the update `seq` left it."""

    entity: Entity
    seq: int
    at: Instant


class Due(NamedTuple):
    """A topic whose retained document is to be written; `version` is none when it is to be removed.

    `after` is the position of the last event that is to be told before it.
    """

    topic: str
    version: Version | None
    after: int


class RetainedTree:
    """Keeps one document a topic: of several that wait to be written, only the newest is.

    Topics that an earlier run left at the broker are its `leftovers`. One goes once the PBX it tells of
    has been heard and did not name it, so that a restart of ctid does not make agents vanish and return.
    """

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._truth: dict[str, Version] = {}
        self._due: dict[str, int] = {}
        self._synchronized: dict[str, float] = {}
        self.leftovers: dict[str, str | None] = {}

    @property
    def waiting(self) -> int:
        """How many topics are due."""
        return len(self._due)

    def replace(self, entities: tuple[Entity, ...], seq: int, at: Instant, *, after: int, now: float) -> None:
        """Take a snapshot: what it does not have is gone, what it has is written anew."""
        gone = set(self._truth)
        for entity in entities:
            topic = self._put(Version(entity, seq, at), now)
            self._due[topic] = after
            gone.discard(topic)
        for topic in gone:
            self._remove(topic, after)

    def apply(self, change: Change, *, after: int, now: float) -> None:
        """Take in a change. `after` is the position of its last event, `now` monotonic seconds."""
        if change.new is None:
            self._remove(self._topics.entity(change.entity), after)
        else:
            topic = self._put(Version(change.new, change.seq, change.at), now)
            self._due.setdefault(topic, after)

    def rewrite(self) -> None:
        """Have everything written: the broker may have lost it. Removals that wait stay so."""
        for topic in self._truth:
            self._due.setdefault(topic, 0)

    def found(self, topic: str, pbx: str | None) -> None:
        """The broker has a document there, of an entity of `pbx` if that is known."""
        if topic not in self._truth and topic not in self._due:
            self.leftovers[topic] = pbx

    def settle(self, now: float, *, everything: bool) -> None:
        """Have leftovers removed: of PBXs that have been heard, or `everything`. `now` as in `apply`."""
        for topic, pbx in list(self.leftovers.items()):
            heard = self._synchronized.get(pbx) if pbx is not None else None
            if everything or (heard is not None and now - heard >= SYNCHRONIZED_FOR_S):
                self._remove(topic, 0)

    def peek(self) -> Due | None:
        """What is to be written next."""
        topic = next(iter(self._due), None)
        return None if topic is None else Due(topic, self._truth.get(topic), self._due[topic])

    def take(self, due: Due) -> None:
        """It is being written."""
        del self._due[due.topic]

    def put_back(self, due: Due) -> None:
        """It was not written after all."""
        if due.topic in self._truth or due.version is None:
            self._due.setdefault(due.topic, due.after)

    def _put(self, version: Version, now: float) -> str:
        entity = version.entity
        topic = self._topics.entity(entity)
        self._truth[topic] = version
        self.leftovers.pop(topic, None)
        if isinstance(entity, Pbx) and entity.synchronized_at is not None:
            self._synchronized.setdefault(entity.id, now)
        return topic

    def _remove(self, topic: str, after: int) -> None:
        self._truth.pop(topic, None)
        self.leftovers.pop(topic, None)
        # To the end: the last word about an entity is an event, and the topic is emptied after it.
        self._due.pop(topic, None)
        self._due[topic] = after
