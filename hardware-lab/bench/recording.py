"""A recorded AMI wire as something to repeat: each time new calls, later by a fixed time. Pure."""

import itertools
import lzma
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from msgspec import Struct

from ctid.capture import Capture
from ctid_asterisk.actions import FENCE_VARIABLE
from lab.config import CHECKOUT

SHIPPED = CHECKOUT / "tests" / "replay" / "five-queue-calls.txt.xz"
READ_BYTES = 64 * 1024
"""What a busy socket gives at a time."""
SPACING_S = 1000
"""Between one repetition and the next; longer than any recording."""
SERIALS = 10_000
"""Names of channels bear a serial number; so much higher is that of the next repetition."""

FENCE = FENCE_VARIABLE.encode()

_EPOCH = re.compile(rb"\b(1[0-9]{9})\b")
"""Unique ids, time stamps and the members' last calls begin with the second since 1970."""
_BRIDGE = re.compile(rb"\b[0-9a-f]{8}(-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\b")
_CHANNEL = re.compile(rb"((?:PJSIP|Local)/[^\s;]+-)([0-9a-f]{8})\b")
_NAME = re.compile(rb"Event: ([^\r\n]*)")
_END = b"\r\n\r\n"


class Recording(Struct, frozen=True):
    """The greeting, and whole events from before the first call to after the last."""

    greeting: bytes
    blocks: tuple[bytes, ...]
    """Each event without the empty line."""

    @property
    def begins(self) -> int:
        """The second since 1970 at which its first channel was made. Raises ValueError: there is none."""
        return min(self._seconds())

    @property
    def lasts(self) -> int:
        """From its first channel to the last second it tells, in seconds."""
        seconds = self._seconds()
        return max(seconds) - min(seconds)

    def _seconds(self) -> list[int]:
        found = [_field(block, b"Uniqueid") for block in self.blocks]
        return [int(ident.partition(b".")[0]) for ident in found if ident is not None and ident[:1].isdigit()]

    def only(self, names: Collection[str]) -> "Recording":
        """As a filter at the source would send it: events of these names."""
        wanted = {name.encode() for name in names}
        return Recording(self.greeting, tuple(block for block in self.blocks if name_of(block) in wanted))


class Read(NamedTuple):
    """What the socket gives at a time, and the time by the wire's own clock (UTC seconds)."""

    data: bytes
    now: float


class Replay(Struct, frozen=True):
    """A recording many times over, cut into reads that know nothing of blocks."""

    greeting: bytes
    reads: tuple[Read, ...]
    events: int
    size: int


def name_of(block: bytes) -> bytes:
    """The name of an event; empty for another block."""
    found = _NAME.match(block)
    return found[1] if found else b""


def load(path: Path = SHIPPED) -> Recording:
    """Read a recording: a wire as it was received, as `.txt.xz`, or the calls of a capture.

    The calls of a capture are the longest stretch of it between two snapshots.
    """
    if path.name.endswith(".txt.xz"):
        return recording_of(lzma.decompress(path.read_bytes()))
    greeting, *blocks = [record.message for record in Capture(path).records() if record.message is not None]
    fences = [index for index, block in enumerate(blocks) if _field(block, b"Variable") == FENCE]
    stretches = (blocks[start + 1 : end] for start, end in itertools.pairwise(fences))
    kept = [block for block in max(stretches, key=len) if name_of(block) and b"\nActionID:" not in block]
    return Recording(greeting + b"\r\n", tuple(kept))


def recording_of(wire: bytes) -> Recording:
    """Take the events out of a wire that begins with the banner, without answers and the login's event."""
    greeting, _, rest = wire.partition(b"\n")
    blocks = [block for block in rest.split(_END) if name_of(block) not in (b"", b"FullyBooted")]
    if blocks and not wire.endswith(_END):
        blocks.pop()  # cut off
    return Recording(greeting + b"\n", tuple(blocks))


def repeat(recording: Recording, events: int) -> Replay:
    """Repeat a recording until it has at least so many events."""
    assert recording.lasts < SPACING_S
    once = b"".join(block + _END for block in recording.blocks)
    times = -(-events // len(recording.blocks))
    parts = [shifted(once, index) for index in range(times)]
    ends, size = [], 0
    for part in parts:
        size += len(part)
        ends.append(size)
    wire, reads, index = b"".join(parts), [], 0
    for at in range(0, size, READ_BYTES):
        while at >= ends[index]:
            index += 1
        share = 1 - (ends[index] - at) / len(parts[index])
        now = recording.begins + index * SPACING_S + share * (recording.lasts + 1)
        reads.append(Read(wire[at : at + READ_BYTES], now))
    return Replay(recording.greeting, tuple(reads), times * len(recording.blocks), size)


def shifted(wire: bytes, index: int) -> bytes:
    """The wire of the same calls `index` repetitions later: other channels, other bridges, another time."""
    later = _EPOCH.sub(lambda found: b"%d" % (int(found[1]) + index * SPACING_S), wire)
    later = _BRIDGE.sub(lambda found: b"%08x" % index + found[1], later)
    return _CHANNEL.sub(lambda found: found[1] + b"%08x" % (int(found[2], 16) + index * SERIALS), later)


def _field(block: bytes, key: bytes) -> bytes | None:
    _, found, rest = block.partition(b"\n" + key + b": ")
    return rest.partition(b"\r")[0] if found else None
