"""The far halves of Local channels, which the queue log names like callers: whose each of them is. Pure.

A queue that reaches a member by a Local channel logs the first half's unique id when she answers. When she
sends her caller into another queue, that one logs the second half as its caller. The log does not say which
id that is: it is made right after the first, and mostly has the next number.
"""

from collections.abc import Collection, Mapping
from typing import NamedTuple

FAR_STEPS = 3
"""How many unique ids after its first half the second half of a Local channel may have."""


def far_halves(unique: str) -> tuple[str, ...]:
    """The unique ids that a Local channel's second half may have, the likeliest first; none for other ids.

    It is made right after the first, and mostly has the next number. Meanwhile other calls may take a number,
    and Asterisk 16 takes some for itself; the second may turn as well.
    """
    head, dot, serial = unique.rpartition(".")
    system, dash, second = head.rpartition("-")
    if not dot or not all(_is_count(part) for part in (serial, second)):
        return ()
    heads = (head, f"{system}{dash}{int(second) + 1}")
    return tuple(f"{made}.{int(serial) + step}" for step in range(1, FAR_STEPS + 1) for made in heads)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 15


def identifies(number: str) -> bool:
    """Whether a caller's number can be one caller's own: not `anonymous`, nor none, nor all noughts."""
    return any(digit in "123456789" for digit in number)


class _Talk(NamedTuple):
    caller: str
    queue: str
    nearest: bool
    """The id is the first after the first half that the log, or a live channel, has."""


class Halves:
    """Whose leg is whose, as far as lines up to now tell.

    `channels` are the names of the channels that live, by unique id. `seen` are the ids that the lines name,
    and `callers` the legs that came with each number, but for those that may be far halves.
    """

    def __init__(
        self, channels: Mapping[str, str], seen: Collection[str], callers: Mapping[str, Collection[str]]
    ) -> None:
        self._channels = channels
        self._named = {name: unique for unique, name in channels.items()}
        self._seen = seen
        self._callers = callers
        self.strange: set[str] = set()
        """Legs that may be the halves of those who talk, and of which it cannot be told."""
        self._behind: dict[str, str] = {}
        """A far half, to the caller who talks through it."""
        self._perhaps: dict[str, _Talk] = {}
        """The same, of ids that may as well be somebody else's."""
        self._numbers: dict[str, str] = {}
        """The number that a caller came with."""
        self._others: set[str] = set()
        """Legs that are known not to be far halves: callers on their own, and what queues dialled."""

    def caller(self, leg: str) -> str:
        """Whose a leg is: a caller's who talks through it, or its own."""
        return self._behind.get(leg, leg)

    def dialled(self, unique: str) -> None:
        """Note the channel of a member who answered."""
        self._others.add(unique)

    def connected(self, caller: str, queue: str, unique: str) -> None:
        """Note that a caller talks through a Local channel, whose first half is `unique`."""
        first = self._channels.get(unique, "")
        half = self._named.get(f"{first.removesuffix(';1')};2") if first else None
        if half is not None:
            self._behind[half] = caller
            return
        halves = far_halves(unique)
        nearest = next((id_ for id_ in halves if id_ in self._seen or id_ in self._channels), None)
        # A channel that lives has a name, which says that it is none of these.
        free = [id_ for id_ in halves if id_ not in self._channels and id_ not in self._others]
        for id_ in free:
            if id_ == halves[0]:
                self._behind[id_] = caller
            else:
                self._perhaps[id_] = _Talk(caller, queue, id_ == nearest)

    def ended(self, caller: str, queue: str) -> None:
        """Note that a caller's conversation in a queue is over: nobody is sent on from it any more."""
        over = [id_ for id_, talk in self._perhaps.items() if (talk.caller, talk.queue) == (caller, queue)]
        for id_ in over:
            del self._perhaps[id_]

    def entered(self, leg: str, number: str) -> None:
        """Recognise who enters a queue: a caller, or one whom another queue's member has sent there.

        Where the id is not the next one it takes more: that nothing else is known of an id so near, and that
        it comes with the number of the caller who talks, and of nobody else.
        """
        talk = self._perhaps.pop(leg, None)
        if talk is not None and self._numbers.get(talk.caller) == number:
            alone = set(self._callers.get(number, ())) <= {talk.caller}
            if talk.nearest and alone and identifies(number):
                self._behind[leg] = talk.caller
            else:
                self.strange.add(leg)
        caller = self.caller(leg)
        self._numbers.setdefault(caller, number)
        if caller == leg:
            self._others.add(leg)
