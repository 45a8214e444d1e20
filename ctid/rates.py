"""How often somebody may ask: a bucket of tokens for each key. Pure: the time is an argument."""

from msgspec import Struct


class Rate(Struct, frozen=True):
    """`burst` at once, and after that `per_s` a second; both above zero."""

    per_s: float
    burst: int


COMMANDS = Rate(10.0, 20)
"""Of one user. A person clicks a few times a second; a console sends a handful at once when it opens."""
READS = Rate(100.0, 200)
"""Of one user. A wallboard reads a dozen lists a second; when all its screens reload, ten times that."""
FAILURES = Rate(1.0, 20)
"""Of one peer address that bears no good token."""

MOST_KEYS = 4096
"""Of one set of buckets. Beyond it the one that was used longest ago is forgotten, and is full again."""

_ROUNDING_S = 1e-9


class Buckets:
    """A bucket for each key, full at first; kept is when each will be full again (GCRA, ITU-T I.371)."""

    def __init__(self, rate: Rate, most: int = MOST_KEYS) -> None:
        self._interval = 1.0 / rate.per_s
        self._slack = (rate.burst - 1) * self._interval
        self._most = most
        self._full_at: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, key: str, now: float) -> float:
        """Take one token; returns 0.0, or after how many seconds there is one again, and takes none.

        `now` is in seconds of a clock that never goes back.
        """
        full_at = max(self._full_at.pop(key, now), now)
        wait = full_at - now - self._slack
        if wait <= _ROUNDING_S:
            full_at += self._interval
            wait = 0.0
        self._full_at[key] = full_at  # at the end: the first is the one that was used longest ago
        if len(self._full_at) > self._most:
            del self._full_at[next(iter(self._full_at))]
        return wait
