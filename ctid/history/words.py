"""What the ledger says of itself: gaps, and how far it is behind. Pure data."""

from enum import StrEnum

from msgspec import Struct

from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.instant import Instant


class GapState(StrEnum):
    """What became of a time that ctid did not see."""

    OPEN = "open"
    """It has not been filled yet."""
    FILLED = "filled"
    """The PBX's log told all of it."""
    PARTLY = "partly"
    """Something of it is known; `detail` says what is not."""
    UNKNOWN = "unknown"
    """Nothing of it is known."""


class GapCause(StrEnum):
    """Why ctid did not see it."""

    AWAY = "away"
    """ctid did not run."""
    LINK_DOWN = "link_down"
    OVERRUN = "overrun"
    """The ledger did not keep up with the events."""
    LEDGER = "ledger"
    """The ledger could not be written for longer than the memory holds."""


class Count(Struct, frozen=True, kw_only=True):
    """How many callers the PBX's own counters say that a gap had; an agent's, or (none) a queue's."""

    queue: QueueId
    agent: AgentId | None = None
    served: int
    unserved: int | None = None
    """Callers who left unserved; the PBX does not count them for an agent."""


class Gap(Struct, frozen=True, kw_only=True):
    """A time that ctid did not see as it passed."""

    pbx: PbxId
    began_at: Instant
    ended_at: Instant | None
    """None while it goes on, or has not been looked into."""
    cause: GapCause
    state: GapState
    detail: str = ""
    """What is not known of it, and what would cure it."""
    found: int = 0
    """How many moments the log told of it that had not been seen."""
    counts: tuple[Count, ...] = ()
    """With no log to read: what the PBX's counters tell, without details."""


class Closed(Struct, frozen=True, kw_only=True):
    """What became of the gap of that row."""

    row: int
    state: GapState
    detail: str
    found: int
    counts: tuple[Count, ...] = ()


class LedgerStatus(Struct, frozen=True, kw_only=True):
    """How the ledger is."""

    behind: bool = False
    """It cannot be written now: figures lack what is newest."""
    reason: str = ""
    """Why it is behind, and the cure."""
    since: Instant | None = None
    """Since when it is behind."""
    waiting: int = 0
    """Moments that are in the memory alone."""
    dropped: int = 0
    """Moments that the memory had no room for since ctid started; they are a gap until the log is read."""
    gaps_open: int = 0
    """Gaps that are being filled, or wait for their PBX."""


class Remembered(Struct, frozen=True, kw_only=True):
    """What the ledger keeps of a PBX between two runs."""

    began_at: Instant
    """When the ledger of this PBX begins."""
    complete_until: Instant
    """All before this is in the ledger, or in a gap."""
    counters: bytes = b""
    names: bytes = b""
