"""Guessing passwords: waits that double, then a lock, by name and by address. Pure: the time is an argument.

An attempt counts as wrong from its beginning, so that many at once are not more than one after the other; a
good one takes that back. While somebody has to wait, nothing is tried and nothing is counted.
"""

from msgspec import Struct

LOCK_S = 900.0
"""How long a lock holds; and after so long without a wrong attempt all is forgotten."""
MOST_KEYS = 4096
"""Of names, and of addresses. Beyond it the one that was tried longest ago is forgotten."""


class Rule(Struct, frozen=True):
    """After `free` wrong attempts each next one waits, 1 s, 2 s, 4 s …; the one of number `most` locks."""

    free: int
    most: int


NAME = Rule(3, 10)
PEER = Rule(10, 20)
"""Of an address: an office, or a proxy, is one for all who are behind it."""


class _Wrong(Struct):
    count: int
    last: float


class Attempt(Struct, frozen=True):
    """What becomes of an attempt: tried when `wait_s` is 0; `locks`: if it is wrong, the lock begins."""

    wait_s: float = 0.0
    locks: bool = False


class Lockout:
    """The wrong attempts. Times are in seconds, of a clock that never goes back."""

    def __init__(self, name: Rule = NAME, peer: Rule = PEER, most_keys: int = MOST_KEYS) -> None:
        self._rules = (name, peer)
        self._most = most_keys
        self._wrong: tuple[dict[str, _Wrong], dict[str, _Wrong]] = ({}, {})

    def attempt(self, name: str, peer: str, now: float, *, known: bool = False) -> Attempt:
        """Begin an attempt.

        `known`: that user has a good session from that address. Others, who guess her name elsewhere, do not
        keep her out then; her address is counted like any.
        """
        keys = (name, peer)
        waits = [self._wait_s(index, key, now) for index, key in enumerate(keys)]
        wait_s = waits[1] if known else max(waits)
        if wait_s > 0:
            return Attempt(wait_s=wait_s)
        counted = [self._count(index, key, now) for index, key in enumerate(keys)]
        return Attempt(
            locks=any(count == rule.most for count, rule in zip(counted, self._rules, strict=True))
        )

    def succeeded(self, name: str, peer: str) -> None:
        """The attempt was good: the name begins anew.

        Its address only loses this one attempt: whoever has one good password must not guess others with it.
        """
        names, peers = self._wrong
        names.pop(name, None)
        wrong = peers.get(peer)
        if wrong is not None:
            wrong.count -= 1

    def _wait_s(self, index: int, key: str, now: float) -> float:
        wrong = self._wrong[index].get(key)
        rule = self._rules[index]
        if wrong is None or wrong.count <= rule.free - 1:
            return 0.0
        pause_s = LOCK_S if wrong.count >= rule.most else 2.0 ** (wrong.count - rule.free)
        return max(wrong.last + min(pause_s, LOCK_S) - now, 0.0)

    def _count(self, index: int, key: str, now: float) -> int:
        kept = self._wrong[index]
        before = kept.pop(key, None)
        count = before.count + 1 if before is not None and now < before.last + LOCK_S else 1
        kept[key] = _Wrong(count, now)  # at the end: the first is the one that was tried longest ago
        if len(kept) > self._most:
            del kept[next(iter(kept))]
        return count
