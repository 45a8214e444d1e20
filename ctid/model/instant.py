"""Points in time as facts and entities carry them, and their one form on every wire."""

from datetime import UTC, datetime
from typing import Any


class Instant(float):
    """Seconds since the Unix epoch, UTC. Subtracting two gives seconds."""

    __slots__ = ()


def to_rfc3339(instant: float) -> str:
    """Write an instant as RFC 3339 in UTC with milliseconds, such as `2026-03-01T08:00:00.250Z`."""
    return datetime.fromtimestamp(round(instant, 3), UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def from_rfc3339(text: str) -> Instant:
    """Read an RFC 3339 date-time.

    Raises:
        ValueError: it is no date-time, names no offset from UTC, or cannot be written in the years 1 to 9999.
    """
    when = datetime.fromisoformat(text)
    if when.tzinfo is None:
        raise ValueError(f"{text!r} names no offset from UTC: end it with Z")
    instant = Instant(when.timestamp())
    to_rfc3339(instant)
    return instant


def enc_hook(value: Any) -> Any:
    """Encode what msgspec does not know by itself: `Instant`, as RFC 3339."""
    if isinstance(value, Instant):
        return to_rfc3339(value)
    raise NotImplementedError(f"no wire form for {type(value).__name__}")


def dec_hook(kind: type, value: Any) -> Any:
    """Decode what `enc_hook` encodes."""
    if kind is Instant:
        return from_rfc3339(value)
    raise NotImplementedError(f"no wire form for {kind.__name__}")


def schema_hook(kind: type) -> dict[str, Any]:
    """JSON Schema of what `enc_hook` encodes."""
    if kind is Instant:
        return {"type": "string", "format": "date-time"}
    raise NotImplementedError(f"no schema for {kind.__name__}")
