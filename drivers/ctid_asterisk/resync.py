"""Snapshots without races, and without stopping the facts. Pure.

Asterisk's lists are ahead of its events, and a fence says when the events have caught up: a global variable
set after the lists, whose event comes back in the order of all others.

The first snapshot: the events that come while the lists are taken are kept, then read on top of the lists
without being told, up to the fence. There what is known is told as one `Snapshot`; moments, which no
snapshot holds, are told after it.

Those after it: events go on being told. The lists make a second state, which at the fence is compared with
the live one, for all that no event has touched meanwhile: there both are of the same time. What differs is
looked at once more, in new lists; what differs again is mended in the live state, of which the `Snapshot`
is told. What lists do not tell is thereby kept as the events told it, and so are all times.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import get_args

from ctid.model.entities import Supervision
from ctid.model.facts import Fact, Moment
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason
from ctid_asterisk.compare import Difference, compare, touched_by
from ctid_asterisk.lists import Lists, load, snapshot
from ctid_asterisk.mend import mend, take_untold
from ctid_asterisk.normalize import REPORTS, Normalizer, UnreadableError
from ctid_asterisk.session import fence_token
from ctid_asterisk.wire import Message

_MOMENTS = get_args(Moment)

TOMBSTONES = 10_000
"""How many hung up channels are remembered, so that no list brings one of them back."""


class Resync:
    """What stands between the wire's events and the facts; it begins with the first snapshot pending."""

    def __init__(
        self, normalizer: Normalizer, supervisions: Callable[[], Sequence[Supervision] | None]
    ) -> None:
        self.state = normalizer
        """What is known, by the lists and the events since."""
        self._supervisions = supervisions
        self._reason = SnapshotReason.CONNECTED
        self._fence: str | None = None
        self._kept: list[tuple[Message, Instant]] | None = []
        self._moments: list[Fact] = []
        self._lists: Lists | None = None
        self._second: Normalizer | None = None
        self._touched: set[Hashable] = set()
        self._suspected: frozenset[Difference] | None = None
        self._ended: dict[str, None] = {}
        self.pending = True
        """The first snapshot is being taken, and no fact is told."""
        self.taking = True
        """Lists are being taken, or the fence is awaited."""

    def begin(self, reason: SnapshotReason = SnapshotReason.CONNECTED) -> None:
        """The lists are about to be asked for: what happens from here on is not to be judged by them."""
        self._reason = reason
        self._fence = None
        self._second = self._lists = None
        self._touched = set()
        self._suspected = None
        self.taking = True
        if self.pending and self._kept is None:
            self._kept = []

    def reloaded(self) -> None:
        """The PBX has read its configuration: what differs in the snapshot under way may come from that."""
        if self.taking and not self.pending:
            self._reason = SnapshotReason.RELOADED

    def load(self, lists: Lists, now: Instant) -> list[UnreadableError]:
        """The lists are there.

        Returns the events that could not be read while they were taken, for the first snapshot: each of
        them is due a new one.

        Raises:
            UnreadableError: a list cannot be read.
        """
        if not self.pending:
            second = Normalizer(self.state.pbx)
            load(second, lists, now)
            self._second, self._lists = second, lists
            return []
        load(self.state, lists, now)
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
        """Take an event; returns what to tell, which is nothing until the first snapshot is whole.

        Raises:
            UnreadableError: the event is not of its form.
        """
        if not self.pending:
            return self._receive_live(message, now)
        if self._kept is not None:
            self._kept.append((message, now))
        elif self._fence is not None and fence_token(message) == self._fence:
            return self.finish(now)
        else:
            self._read_silently(message, now)
        return []

    def _receive_live(self, message: Message, now: Instant) -> list[Fact]:
        if message.name == "Hangup":
            self._bury(message.legible.get("uniqueid", ""))
        if self.taking:
            if self._fence is not None and fence_token(message) == self._fence:
                return self.finish(now)
            if message.name not in REPORTS:  # these say of a channel nothing that a list does
                self._touched.update(touched_by(message))
        return self.state.receive(message, now)

    def _bury(self, unique: str) -> None:
        self._ended[unique] = None
        if len(self._ended) > TOMBSTONES:
            del self._ended[next(iter(self._ended))]

    def finish(self, now: Instant) -> list[Fact]:
        """The fence has come, or is awaited no longer: tell the snapshot.

        Nothing is told while `again` is set: the lists are to be taken once more.
        """
        self._fence = None
        if self.pending:
            moments, self._moments = self._moments, []
            self.pending = self.taking = False
            return [snapshot(self.state, now, self._supervisions(), self._reason), *moments]
        second, lists = self._second, self._lists
        self._second = self._lists = None
        self.taking = False
        facts: list[Fact] = []
        if second is not None and lists is not None:
            found = compare(self.state, second, lists, self._touched, self._ended)
            if found and self._suspected is None:
                self._suspected = found
                return []
            facts = take_untold(self.state, second, lists, self._touched, now)
            mend(self.state, second, found & (self._suspected or found), now)
            self.state.sweep(now)
        self._suspected = None
        return [*facts, snapshot(self.state, now, self._supervisions(), self._reason)]

    @property
    def again(self) -> bool:
        """Something differed: only what differs in a second look as well is believed."""
        return not self.taking and self._suspected is not None

    def look_again(self) -> None:
        """The lists are about to be asked for a second time."""
        self._touched = set()
        self.taking = True

    def give_up(self) -> None:
        """The lists were not to be had: what is known stays as the events tell it."""
        if not self.pending:
            self._fence = None
            self._second = self._lists = self._suspected = None
            self.taking = False

    def _read_silently(self, message: Message, at: Instant) -> None:
        self._moments += [fact for fact in self.state.receive(message, at) if isinstance(fact, _MOMENTS)]
