"""Events that wait to be delivered: their order, their bounds, and which of them belong on disk.

Pure: what is to be read from or written to the disk is asked for, and done by another (`spool`).
"""

from collections import deque
from collections.abc import Sequence

from msgspec import Struct

IN_MEMORY = 1000
"""Events that may wait in memory while the broker is there; what comes on top goes to disk."""
FEW = 200
"""With fewer than this at hand, more are fetched."""
BATCH = 500
"""Events written or read at a time."""
WITHOUT_DISK = 5
"""How many times `IN_MEMORY` may wait in memory when the disk does not take them."""
ON_DISK = 100_000
"""Events kept on disk; a busy floor of twelve agents makes as many in a working day."""


class Queued(Struct, frozen=True, gc=False):
    """An event on its way; `position` counts up over restarts."""

    position: int
    topic: str
    payload: bytes


class Backlog:
    """Delivers events in the order of their positions, each at least once; positions begin at `first`.

    While the broker is there and fast, events stay in memory. They belong on disk as soon as it is not
    (`online` is false), or as more wait than memory is to hold. At the bounds the oldest are dropped
    and counted: `dropped` since the start, `unsaid` those that no event has told of yet.
    """

    def __init__(
        self,
        *,
        first: int = 1,
        in_memory: int = IN_MEMORY,
        on_disk: int = ON_DISK,
    ) -> None:
        self.online = False
        self.dropped = 0
        self.unsaid = 0
        self.delivered: list[int] = []
        """Positions on disk that may be deleted: their events have arrived."""
        self.overrun: list[int] = []
        """Positions on disk that are to be deleted to keep the bound."""
        self._in_memory = in_memory
        self._few = min(FEW, in_memory)
        self._on_disk = on_disk
        self._stored: deque[int] = deque()
        self._last = first - 1
        self._ready: deque[Queued] = deque()
        self._incoming: deque[Queued] = deque()
        self._inflight: dict[int, Queued] = {}
        self._kept: set[int] = set()
        self._writing: list[Queued] = []
        self._reading: list[int] = []
        self._saying = 0

    def put(self, topic: str, payload: bytes) -> int:
        """Take an event in; returns its position."""
        self._last += 1
        event = Queued(self._last, topic, payload)
        if self._is_spilling():
            self._incoming.append(event)
            self._trim_memory()
        else:
            self._ready.append(event)
        return self._last

    def lose(self, count: int) -> None:
        """Count events that never came here."""
        self.dropped += count
        self.unsaid += count

    @property
    def position(self) -> int:
        """The position of the last event."""
        return self._last

    @property
    def is_saying(self) -> bool:
        """Whether an event that tells of drops is on its way."""
        return self._saying > 0

    @property
    def is_behind(self) -> bool:
        """Whether events wait that memory alone does not hold, or hardly."""
        return bool(self._stored or self._reading or self._incoming) or len(self._ready) > self._few

    @property
    def waiting(self) -> int:
        """How many events have not arrived yet."""
        held = len(self._ready) + len(self._inflight) + len(self._incoming)
        return held + len(self._stored) + len(self._writing) + len(self._reading)

    @property
    def on_disk(self) -> int:
        """How many events are on disk and have not arrived yet."""
        return len(self._stored) + len(self._kept)

    # Delivery -------------------------------------------------------------------------------------

    def peek(self) -> Queued | None:
        """The event to be sent next; none when none is at hand."""
        self._refill()
        return self._ready[0] if self._ready else None

    def take(self) -> Queued:
        """Have the event of `peek` on its way."""
        event = self._ready.popleft()
        self._inflight[event.position] = event
        return event

    def arrived(self, event: Queued) -> None:
        """The broker has it; a second word of that, or one from before `go_offline`, does nothing."""
        if self._inflight.pop(event.position, None) is not None and event.position in self._kept:
            self._kept.discard(event.position)
            self.delivered.append(event.position)

    def say_dropped(self) -> int:
        """How many dropped events to tell of now; `said` or `go_offline` follows."""
        self._saying, self.unsaid = self.unsaid, 0
        return self._saying

    def said(self) -> None:
        """What `say_dropped` gave has been told."""
        self._saying = 0

    def go_offline(self) -> None:
        """The broker is away: what has not arrived is sent again, when it is back, in its order."""
        self.online = False
        self.unsaid, self._saying = self.unsaid + self._saying, 0
        again = [*self._inflight.values(), *self._ready]
        self._inflight.clear()
        self._ready.clear()
        self._store(sorted([*self._kept, *self._reading]))
        self._reading = []
        self._hold([event for event in again if event.position not in self._kept])
        self._kept.clear()

    # The disk's side ------------------------------------------------------------------------------

    def adopt(self, stored: Sequence[int], unsaid: int) -> None:
        """The disk holds these positions, ascending, of an earlier run, and a count of drops untold."""
        self._store(list(stored))
        self._last = max(self._last, *stored[-1:], 0)
        self.unsaid += unsaid

    def to_write(self) -> Sequence[Queued]:
        """Events that belong on disk; `written` or `not_written` follows. Empty when there are none."""
        if self._incoming and not (self.online and self._is_next_in_memory()):
            while self._incoming and len(self._writing) < BATCH:
                self._writing.append(self._incoming.popleft())
        return self._writing

    def written(self) -> None:
        """They are on disk."""
        self._store([event.position for event in self._writing])
        self._writing = []
        over = len(self._stored) - self._on_disk
        if over > 0:
            self.overrun += [self._stored.popleft() for _ in range(over)]
            self.lose(over)

    def not_written(self) -> None:
        """The disk refused them: they stay in memory, within its bound."""
        refused, self._writing = self._writing, []
        self._hold(refused)

    def to_read(self) -> Sequence[int]:
        """Positions to be read from the disk now; `read` or `unreadable` follows."""
        if self.online and len(self._ready) < self._few and self._stored and not self._is_next_in_memory():
            bound = self._incoming[0].position if self._incoming else None
            while self._stored and len(self._reading) < BATCH:
                if bound is not None and self._stored[0] > bound:
                    break
                self._reading.append(self._stored.popleft())
        return self._reading

    def read(self, events: Sequence[Queued]) -> None:
        """These were read. After `go_offline` they are to be read again."""
        if not self._reading:
            return
        self._kept.update(event.position for event in events)
        self._ready.extend(events)
        missing = len(self._reading) - len(events)
        self._reading = []
        if missing:
            self.lose(missing)

    def not_read(self) -> None:
        """The disk refused: they are to be read again."""
        positions, self._reading = self._reading, []
        self._store(positions)

    def unreadable(self) -> None:
        """The disk lost what it was given: all of it is counted as dropped."""
        self.lose(len(self._reading) + len(self._stored))
        self._reading = []
        self._stored.clear()

    # Within ---------------------------------------------------------------------------------------

    def _is_spilling(self) -> bool:
        waits = self._stored or self._reading or self._incoming or self._writing
        return not self.online or bool(waits) or len(self._ready) >= self._in_memory

    def _is_next_in_memory(self) -> bool:
        """Whether the next event after those at hand is in memory, and may go without the disk."""
        if not self._incoming or self._writing or self._reading or len(self._ready) >= self._few:
            return False
        return not self._stored or self._incoming[0].position < self._stored[0]

    def _refill(self) -> None:
        while self.online and self._is_next_in_memory():
            self._ready.append(self._incoming.popleft())

    def _store(self, positions: list[int]) -> None:
        if positions and self._stored and positions[0] < self._stored[-1]:
            self._stored = deque(sorted([*self._stored, *positions]))
        else:
            self._stored.extend(positions)

    def _hold(self, events: list[Queued]) -> None:
        self._incoming = deque(sorted([*events, *self._incoming], key=_position))
        self._trim_memory()

    def _trim_memory(self) -> None:
        over = len(self._incoming) + len(self._writing) - WITHOUT_DISK * self._in_memory
        for _ in range(over):
            self._incoming.popleft()
        if over > 0:
            self.lose(over)


def _position(event: Queued) -> int:
    return event.position
