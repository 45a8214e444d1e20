"""How long to wait before trying again; pure, the chance is an argument."""

from collections.abc import Callable

FIRST_S = 0.1
"""A ctid that restarts is back within a second or two, and is to be met soon."""
LONGEST_S = 5.0
GROWTH = 2.0
JITTER = 0.5
"""Up to this share is taken off each wait, so that clients do not all come back in the same instant."""


class Waits:
    """Waits that grow, each with jitter. `chance` gives a number from 0 to 1, 1 not included."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance
        self._wait_s = FIRST_S

    def next_s(self) -> float:
        """Seconds to wait before the next attempt."""
        wait_s, self._wait_s = self._wait_s, min(self._wait_s * GROWTH, LONGEST_S)
        return wait_s * (1 - JITTER * self._chance())

    def reset(self) -> None:
        """Begin with the shortest again: there was an answer."""
        self._wait_s = FIRST_S
