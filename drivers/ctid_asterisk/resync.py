"""Snapshots without races. Pure.

Asterisk's lists are ahead of its events. So the events that come while the lists are taken are kept,
then read on top of the lists without being told, up to a fence: a global variable set after the lists,
whose event comes back in the order of all others. There the wire has caught up with the lists, and what
is known is told as one `Snapshot`; moments, which no snapshot holds, are told after it.
"""

from collections.abc import Callable, Sequence
from typing import get_args

from ctid.model.entities import Supervision
from ctid.model.facts import Fact, Moment
from ctid.model.instant import Instant
from ctid_asterisk.normalize import Lists, Normalizer, UnreadableError
from ctid_asterisk.session import fence_token
from ctid_asterisk.wire import Message

_MOMENTS = get_args(Moment)


class Resync:
    """What stands between the wire's events and the facts; it begins with a snapshot pending."""

    def __init__(
        self, normalizer: Normalizer, supervisions: Callable[[], Sequence[Supervision] | None]
    ) -> None:
        self._normalizer = normalizer
        self._supervisions = supervisions
        self._kept: list[tuple[Message, Instant]] | None = []
        self._fence: str | None = None
        self._moments: list[Fact] = []
        self.pending = True
        """A snapshot is being taken, and no fact is told."""

    def begin(self) -> None:
        """The lists are about to be asked for: keep the events from here on."""
        self.pending = True
        self._fence = None
        if self._kept is None:
            self._kept = []

    def load(self, lists: Lists, now: Instant) -> list[UnreadableError]:
        """The lists are there: read them, and the events that came meanwhile on top of them.

        Returns the events that could not be read: each of them is due a new snapshot.

        Raises:
            UnreadableError: a list cannot be read.
        """
        self._normalizer.load(lists, now)
        kept, self._kept = self._kept or [], None
        unreadable = []
        for message, at in kept:
            try:
                self._read_silently(message, at)
            except UnreadableError as error:
                unreadable.append(error)
        return unreadable

    def expect(self, fence: str) -> None:
        """The fence that is about to be set."""
        self._fence = fence

    def receive(self, message: Message, now: Instant) -> list[Fact]:
        """Take an event; returns what to tell, which is nothing until a pending snapshot is whole."""
        if not self.pending:
            return self._normalizer.receive(message, now)
        if self._kept is not None:
            self._kept.append((message, now))
        elif self._fence is not None and fence_token(message) == self._fence:
            return self.finish(now)
        else:
            self._read_silently(message, now)
        return []

    def finish(self, now: Instant) -> list[Fact]:
        """Tell the snapshot, without the fence if it has not come."""
        moments, self._moments = self._moments, []
        self.pending = False
        self._fence = None
        return [self._normalizer.snapshot(now, self._supervisions()), *moments]

    def _read_silently(self, message: Message, at: Instant) -> None:
        self._moments += [
            fact for fact in self._normalizer.receive(message, at) if isinstance(fact, _MOMENTS)
        ]
