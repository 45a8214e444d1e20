"""The letters that wait for one receiver: which goes next, and what a failure holds up. Pure.

Letters about one subject go one after the other, in their order; those of other subjects do not wait for
them. A letter's failure is first taken for the receiver's: all wait, and then the next subject is tried. Only
a letter that fails again although another arrived in between is taken to be at fault itself, and holds up
its own subject alone.
"""

from collections import deque
from heapq import heappop, heappush

from msgspec import Struct

from ctid.webhooks.verdict import wait_after

MOST_WAITING = 10_000
"""Letters that may wait for one receiver; a busy floor of twelve agents makes as many in an hour."""
IN_FLIGHT = 4
"""Letters on their way to one receiver at a time, each of another subject."""


class Letter(Struct, gc=False):
    """An event that is to arrive. `position` counts up over restarts, `kept_at` is in seconds of UTC."""

    position: int
    subject: str
    kept_at: float
    tries: int = 0
    faults: int = 0
    """How often it failed although others arrived."""
    failed_at: int | None = None
    """How many letters had arrived when it last failed."""
    epoch: int = 0


class Line:
    """The letters of one receiver. Times are in seconds of a clock that never goes back."""

    def __init__(self, most: int = MOST_WAITING, in_flight: int = IN_FLIGHT) -> None:
        self.failures = 0
        """In a row, since a letter last arrived; those of letters that are at fault themselves are none."""
        self._most = most
        self._in_flight = in_flight
        self._letters: dict[int, Letter] = {}
        self._subjects: dict[str, deque[Letter]] = {}
        self._ready: list[int] = []
        """Each the first of its subject, but for those that have been removed meanwhile."""
        self._tried: deque[int] = deque()
        """Such as have failed since a letter last arrived."""
        self._later: list[tuple[float, int]] = []
        """Such as are at fault, and when they are due."""
        self._flying: set[int] = set()
        self._arrived = 0
        self._epoch = 0
        self._not_before = 0.0
        self._asked_until = 0.0

    def __len__(self) -> int:
        return len(self._letters)

    def add(self, letter: Letter) -> list[int]:
        """Take a letter in, behind all others of its subject; returns the positions of those it pushed out.

        Beyond the bound the oldest go that are not on their way.
        """
        queue = self._subjects.setdefault(letter.subject, deque())
        queue.append(letter)
        self._letters[letter.position] = letter
        if len(queue) == 1:
            heappush(self._ready, letter.position)
        if len(self._letters) <= self._most:
            return []
        oldest = next(position for position in self._letters if position not in self._flying)
        self.remove(oldest)
        return [oldest]

    def take(self, now: float) -> Letter | None:
        """Have the next letter on its way; `delivered`, `failed` or `remove` follows."""
        while self._later and self._later[0][0] <= now:
            heappush(self._ready, heappop(self._later)[1])
        if self._is_full() or now < self._opens_at():
            return None
        while self._ready or self._tried:
            position = heappop(self._ready) if self._ready else self._tried.popleft()
            letter = self._letters.get(position)
            if letter is not None:
                self._flying.add(position)
                letter.epoch = self._epoch
                return letter
        return None

    def wait(self, now: float) -> float | None:
        """After how many seconds `take` may give what it does not give now; none: not by time alone."""
        if self._is_full():
            return None
        opens = [self._opens_at()] if self._ready or self._tried else []
        due = [max(self._later[0][0], self._opens_at())] if self._later else []
        return max(min([*opens, *due]) - now, 0.0) if opens or due else None

    def delivered(self, letter: Letter) -> None:
        """It has arrived."""
        self._arrived += 1
        self.failures = 0
        self.remove(letter.position)
        for position in self._tried:
            heappush(self._ready, position)
        self._tried.clear()

    def failed(self, letter: Letter, now: float, chance: float, asked_s: float = 0.0) -> None:
        """It has not arrived, and is to be tried again; the receiver asks for a rest of `asked_s`.

        `chance` is in [0, 1).
        """
        at_fault = letter.failed_at is not None and letter.failed_at < self._arrived
        letter.tries += 1
        letter.failed_at = self._arrived
        self._asked_until = max(self._asked_until, now + asked_s if asked_s else 0.0)
        self._flying.discard(letter.position)
        if letter.position not in self._letters:
            return
        if at_fault:
            letter.faults += 1
            heappush(self._later, (now + wait_after(letter.faults, chance), letter.position))
            return
        self._tried.append(letter.position)
        if letter.epoch == self._epoch:  # else it went out before the last failure, which has been counted
            self._epoch += 1
            self.failures += 1
            self._not_before = now + wait_after(self.failures, chance)

    def remove(self, position: int) -> None:
        """Forget a letter; idempotent."""
        letter = self._letters.pop(position, None)
        self._flying.discard(position)
        if letter is None:
            return
        queue = self._subjects[letter.subject]
        was_first = queue[0] is letter
        queue.remove(letter)
        if not queue:
            del self._subjects[letter.subject]
        elif was_first:
            heappush(self._ready, queue[0].position)

    def clear(self) -> int:
        """Forget all of them, and that any failed; returns how many they were."""
        count = len(self._letters)
        for emptied in (self._letters, self._subjects, self._flying, self._ready, self._tried, self._later):
            emptied.clear()
        self.failures = 0
        self._asked_until = 0.0
        return count

    def _is_full(self) -> bool:
        return len(self._flying) >= (1 if self.failures else self._in_flight)

    def _opens_at(self) -> float:
        return max(self._not_before if self.failures else 0.0, self._asked_until)
