"""What a receiver's answer means, and how long to wait after it. Pure: time and chance are arguments."""

from email.utils import parsedate_to_datetime
from enum import StrEnum

FIRST_WAIT_S = 1.0
LONGEST_WAIT_S = 300.0
"""A receiver that was down all night is found again within so long of its return."""
LONGEST_ASKED_S = 3600.0
"""What a receiver may ask for by Retry-After; more would be an outage that nobody sees."""
GIVE_UP_S = 86_400.0
"""A letter older than this is not tried again after it has failed."""

_GONE = 410
_NOT_HIS_FAULT = frozenset({408, 429})
"""Answers of 4xx that do not say that the letter is bad: it was late, or there were too many."""


class Verdict(StrEnum):
    """What becomes of a letter."""

    DELIVERED = "delivered"
    AGAIN = "again"
    REFUSED = "refused"
    """The receiver will never take it."""
    GONE = "gone"
    """The receiver wants no letters any more."""


def verdict_on(status: int) -> Verdict:
    """Judge an HTTP status. A redirect is tried again: it is not followed, and somebody may mend it."""
    if 200 <= status < 300:
        return Verdict.DELIVERED
    if status == _GONE:
        return Verdict.GONE
    if 400 <= status < 500 and status not in _NOT_HIS_FAULT:
        return Verdict.REFUSED
    return Verdict.AGAIN


def wait_after(failures: int, chance: float) -> float:
    """Seconds to wait after so many failures in a row, the first being 1; `chance` is in [0, 1).

    Doubles up to `LONGEST_WAIT_S`, and up to half of it is taken off, so that several senders that were cut
    off together do not come back together.
    """
    doubled = FIRST_WAIT_S * 2.0 ** min(failures - 1, 32)
    return min(doubled, LONGEST_WAIT_S) * (1.0 - chance / 2)


def asked_wait(retry_after: str, now: float) -> float:
    """Seconds that a Retry-After asks for (RFC 9110, 10.2.3); 0 when it is none. `now` is seconds of UTC."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), LONGEST_ASKED_S)
    try:
        when = parsedate_to_datetime(text).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    return min(max(when - now, 0.0), LONGEST_ASKED_S)


def gives_up(kept_at: float, now: float) -> bool:
    """Whether a letter that has just failed is too old to be tried again."""
    return now - kept_at >= GIVE_UP_S
