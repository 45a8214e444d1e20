"""What the core asks of its neighbours, with the obligations of each."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from msgspec import Struct

from ctid.capture import Capture
from ctid.model.capabilities import Capability
from ctid.model.commands import Command
from ctid.model.facts import Fact, QueueMoment
from ctid.model.ids import AgentId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason


class MemberName(Struct, frozen=True, kw_only=True):
    """By what name a queue of a PBX knows an agent: its log names her so."""

    queue: QueueId
    name: str
    agent: AgentId


class QueueCounters(Struct, frozen=True, kw_only=True):
    """How many callers a queue has had served, and how many left it unserved, since the PBX counts."""

    queue: QueueId
    served: int
    unserved: int
    """Who hung up, or left for another reason than a key of the caller's."""


class MemberCounters(Struct, frozen=True, kw_only=True):
    """How many callers of a queue an agent has served since the PBX began to count."""

    queue: QueueId
    agent: AgentId
    served: int


class Counters(Struct, frozen=True, kw_only=True):
    """The PBX's own counters, as they stood at `at`; they start at zero with the PBX, or on command."""

    at: Instant
    queues: tuple[QueueCounters, ...] = ()
    members: tuple[MemberCounters, ...] = ()


class Recollection(Struct, frozen=True, kw_only=True):
    """What a PBX's own log tells of a time that ctid did not see.

    `moments` are in the log's order and whole from `since` to `until`: of each caller's leg that has a moment
    in that time, the earlier ones are here too, so that they can be counted. Times have the log's own
    resolution. The agent's id is empty where the log names somebody whom `nameless` lists. With no log to
    read, `since` is none and `reason` says why, and what would cure it; `counters` are then all there is.
    """

    since: Instant | None
    """From when on the log is there; later than was asked where the log does not reach back that far."""
    until: Instant | None = None
    """All before this time is in `moments`."""
    more: bool = False
    """The log goes on after `until`: ask again from there."""
    moments: tuple[QueueMoment, ...] = ()
    nameless: tuple[str, ...] = ()
    """Names in the log that no agent has, or more than one."""
    strange: frozenset[LegId] = frozenset()
    """Legs in `moments` that may be another's there: the log does not say whether they are one caller."""
    unread: int = 0
    """Lines of the log that could not be read."""
    names: tuple[MemberName, ...] = ()
    """The names that agents have now, to be given to a later `recall`."""
    counters: Counters | None = None
    reason: str = ""


class Connection(Protocol):
    """One connection to one PBX, used once.

    The facts start with `LinkUp`, then a `Snapshot`; they keep the order of the wire, and each batch
    is what one reading of the wire gave. They end when the connection does: by the iterator's end after
    `close`, or by `LinkError`.
    """

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What can be asked of it now."""
        ...

    def facts(self) -> AsyncIterator[Sequence[Fact]]:
        """Iterate over batches of facts; called once."""
        ...

    async def execute(self, command: Command) -> None:
        """Carry out a command; return once it is in force.

        On any failure nothing half done stays behind on the PBX.

        Raises:
            CtidError: it was refused, or failed; the state is what the facts say.
        """
        ...

    async def resync(self, reason: SnapshotReason) -> None:
        """Take a new snapshot; it comes out of `facts`, which go on meanwhile.

        Returns once the snapshot has been told.

        Raises:
            LinkError: the link is lost.
            PbxRefused, PbxTimeout: the PBX does not give it now; the link lives, and what is known stays.
        """
        ...

    async def recall(self, since: Instant, remembered: Sequence[MemberName] = ()) -> Recollection:
        """Read from the PBX's own log what its queues did since a time, to now or as far as one answer goes.

        `remembered` are names that agents had before; those they have now come first.

        Raises:
            PbxUnavailable, PbxTimeout, PbxRefused: the PBX does not answer; ask again when the link is back.
        """
        ...

    async def close(self) -> None:
        """End the connection; idempotent."""
        ...


class Driver(Protocol):
    """A PBX that ctid can connect to, as the configuration describes it."""

    pbx: PbxId
    kind: str

    async def connect(self) -> Connection:
        """Make a connection: logged in, and ready for commands.

        Raises:
            LinkRefused: the PBX refused the login.
            LinkError: it could not be reached or does not answer; nothing is left behind.
        """
        ...


class DriverFactory(Protocol):
    """What an entry point of the group `ctid.drivers` names: makes a driver from its settings."""

    kind: str

    def __call__(self, pbx: PbxId, settings: Mapping[str, Any]) -> Driver:
        """Build a driver; does no I/O.

        `settings` are the keys of `[[pbx]]` that are the driver's own, secrets already read.

        Raises:
            SettingsError: a key is unknown, missing or of the wrong type.
        """
        ...


class CaptureOrder(Struct, frozen=True, kw_only=True):
    """What to capture, and how. `path` must not be there; its extension says how it is compressed.

    Without `raw`, numbers, names and addresses are replaced; queues' names too but with `keep_queues`.
    A snapshot is taken every `reconcile_s` seconds, 0: only when the driver itself wants one.
    """

    path: Path
    raw: bool = False
    keep_queues: bool = False
    reconcile_s: float = 60.0


class CaptureTotals(Struct, frozen=True, kw_only=True):
    """How much a capture holds: messages read, bytes in the file, seconds since it began."""

    messages: int
    file_bytes: int
    seconds: float


class Recording(Protocol):
    """A capture that goes on: every message of the PBX with the time of its arrival, never the login."""

    @property
    def totals(self) -> CaptureTotals:
        """What is recorded so far."""
        ...

    async def ended(self) -> str:
        """Wait until it ends by itself, and return why: the link was lost, or the file cannot be written."""
        ...

    async def snapshot(self) -> None:
        """Have a snapshot taken, and wait for it: all that came before is then in the capture.

        Raises:
            CtidError: the PBX does not give it; LinkError: the link is lost.
        """
        ...

    async def close(self, reason: str) -> str:
        """End it with what there is; returns why it ended, an earlier reason if there was one. Idempotent.

        Raises:
            CaptureError: the last of it cannot be written; the file holds what was written before.
        """
        ...


@runtime_checkable
class RecordingDriver(Protocol):
    """A driver that can also record what its PBX sends, by a connection of its own."""

    async def record(self, order: CaptureOrder) -> Recording:
        """Connect, and record from the first byte on.

        Raises:
            CaptureError: the file is there already, or cannot be made.
            LinkRefused: the PBX refused the login; no file is left.
            LinkError: it could not be reached or does not answer; no file is left.
        """
        ...


class Replayed(Struct, frozen=True, kw_only=True):
    """What one message of a capture told: `t` in seconds since its beginning, the time by the PBX's side."""

    t: float
    at: Instant
    facts: Sequence[Fact] = ()
    trouble: str = ""
    """What of it could not be read; empty otherwise."""


@runtime_checkable
class ReplayingFactory(Protocol):
    """A driver's factory that can also read captures of its own; needs no settings."""

    def replay(self, capture: Capture) -> Iterator[Replayed]:
        """Iterate over a capture by the way that live messages take; the same file gives the same facts."""
        ...


class SettingsError(Exception):
    """A driver's settings are wrong: `path` within them, and what to do."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Return UTC as seconds since the epoch."""
        ...
