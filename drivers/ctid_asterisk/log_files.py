"""Reading the queue log from the disk, rotated files included. Blocks: it is run in a thread."""

import bz2
import errno
import gzip
import lzma
import os
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import zip_longest
from pathlib import Path
from typing import BinaryIO, cast

from msgspec import Struct

from ctid_asterisk.fields import birth
from ctid_asterisk.queue_log import Line, parse, whole

LINES_AT_ONCE = 50_000
"""Lines that one reading holds; the reader asks again for what follows."""
LIFE_S = 24 * 3600.0
"""How far back the beginning of a call is looked for."""
UNKNOWN_LIFE_S = 6 * 3600.0
"""The same for a call whose unique id does not tell when it began."""
DISORDER_S = 2.0
"""Threads take the time before they write: a line may be so much older than the one before it."""
LISTINGS = 5
"""How often the folder is listed anew when the log is rotated meanwhile."""

_PACKED = frozenset({".gz", ".bz2", ".xz"})


class Reading(Struct, frozen=True, kw_only=True):
    """What was read. Of each leg that has a line from `since` on, `lines` has the earlier ones as well."""

    lines: tuple[Line, ...]
    reaches: float | None
    """The time of the oldest line that reads, in seconds since the epoch; none for a log that has none."""
    until: float
    """All before this time is in `lines`."""
    more: bool
    """There was more than one reading holds."""
    unread: int


class _File:
    """One file of the log, open.

    `first` is its first line, or empty; `begins` the time of the first one that reads, or 0 where none does.
    """

    def __init__(self, path: Path, source: BinaryIO, *, packed: bool) -> None:
        self.path = path
        self.source = source
        self.packed = packed
        self.first = source.readline()
        line = _line(self.first)
        self.begins = line.at if line is not None else self._next_time() or 0
        self.size = path.stat().st_size

    def lines_from(self, since: float) -> Iterator[Line | None]:
        """The whole lines from a time on; none for one that cannot be read."""
        self.source.seek(0 if self.packed else self._offset(since))
        for raw in self.source:
            if not raw.endswith(b"\n"):
                return  # it is being written at this moment
            line = _line(raw)
            if line is None or line.at >= since:
                yield line

    def _offset(self, since: float) -> int:
        """The beginning of a line before which all are older than `since`."""
        low, high = 0, os.fstat(self.source.fileno()).st_size
        while high - low > 4096:
            middle = (low + high) // 2
            at = self._time_after(middle)
            if at is None or at >= since - DISORDER_S:
                high = middle
            else:
                low = middle
        if low == 0:
            return 0
        self.source.seek(low)
        self.source.readline()
        return self.source.tell()

    def _time_after(self, offset: int) -> int | None:
        self.source.seek(offset)
        self.source.readline()  # the rest of a line
        return self._next_time()

    def _next_time(self) -> int | None:
        for raw in self.source:
            line = _line(raw)
            if line is not None:
                return line.at
        return None


def read(path: Path, since: float, limit: int = LINES_AT_ONCE) -> Reading:
    """Read the log at `path`, and what it was rotated to, from a time on (seconds since the epoch).

    Raises:
        OSError: it is not there, may not be read, or a rotated file is being packed, or is damaged.
    """
    try:
        return _read(path, since, limit)
    except (EOFError, zlib.error, lzma.LZMAError) as error:
        reason = f"a packed file beside it is half written or damaged: {error}"
        raise OSError(errno.EIO, reason, str(path)) from error


def _read(path: Path, since: float, limit: int) -> Reading:
    now = time.time()
    with ExitStack() as stack:
        files = _open(path, since, stack)
        found: list[Line] = []
        unread, follows = 0, None
        for file in files:
            for line in file.lines_from(since):
                if line is None:
                    unread += 1
                elif len(found) > limit and line.at > found[-1].at:
                    follows = line
                    break
                else:
                    found.append(line)
            if follows is not None:
                break
        until = now
        if follows is not None:
            # Of its last second there may be more than was read, unless it is all that was read.
            until = float(found[-1].at if found[-1].at > max(found[0].at, since) else follows.at)
            found = [line for line in found if line.at < until]
        begins = [file.begins for file in files if file.begins]
        early = _early(files, found, since)
        return Reading(
            lines=(*early, *found),
            reaches=float(begins[0]) if begins else None,
            until=until,
            more=follows is not None,
            unread=unread,
        )


def _early(files: list[_File], found: list[Line], since: float) -> list[Line]:
    """The lines before `since` of the legs that have some after it."""
    legs = {line.leg for line in found if _born(line.leg, since) < since}
    early: list[Line] = []
    reached = since
    while legs:
        wanted, oldest = whole([*early, *found], legs, lambda leg: _born(leg, since))
        oldest = max(oldest, since - LIFE_S)
        if oldest >= reached and wanted == legs:
            return early
        legs, reached = wanted, min(oldest, reached)
        early = []
        for file in files:
            for line in file.lines_from(reached):
                if line is None:
                    continue
                if line.at >= since + DISORDER_S:
                    break
                # A caller who talks through a wanted leg is wanted as well: his line names it.
                if line.at < since and (line.leg in legs or whole([line], legs, lambda _: 0.0)[0] != legs):
                    early.append(line)
    return early


def _born(leg: str, since: float) -> float:
    seconds, _ = birth(leg)
    return float(seconds) if seconds else since - UNKNOWN_LIFE_S


def _open(path: Path, since: float, stack: ExitStack) -> list[_File]:
    """Open the log and its predecessors that reach into the time, the oldest first."""
    for _ in range(LISTINGS):
        listed = _list(path, since)
        with ExitStack() as opened:
            files = [file for name, _ in listed if (file := _open_one(name, opened)) is not None]
            if _list(path, since) != listed:
                continue  # it was rotated between the listing and the opening
            if not any(file.path == path for file in files):
                raise FileNotFoundError(2, os.strerror(2), str(path))
            stack.push(opened.pop_all())
            return _ordered(files, since)
    raise OSError(11, "it is being rotated all the while", str(path))


def _list(path: Path, since: float) -> list[tuple[Path, int]]:
    """The log and what it was rotated to since then, with their inodes."""
    prefixes = (f"{path.name}.", f"{path.name}-")
    listed = []
    with os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name != path.name and not entry.name.startswith(prefixes):
                continue
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            if entry.name == path.name or status.st_mtime >= since - LIFE_S:
                listed.append((path.parent / entry.name, status.st_ino))
    return sorted(listed)


def _open_one(path: Path, stack: ExitStack) -> _File | None:
    try:
        source = stack.enter_context(_opened(path))
        return _File(path, source, packed=path.suffix in _PACKED)
    except FileNotFoundError:
        return None


def _opened(path: Path) -> BinaryIO:
    match path.suffix:
        case ".gz":
            return cast("BinaryIO", gzip.open(path, "rb"))
        case ".bz2":
            return cast("BinaryIO", bz2.open(path, "rb"))
        case ".xz":
            return cast("BinaryIO", lzma.open(path, "rb"))
        case _:
            return path.open("rb")


def _ordered(files: list[_File], since: float) -> list[_File]:
    """The files in the order of their beginnings; of copies of one file (by copytruncate) the longest."""
    unique: dict[bytes, _File] = {}
    for file in files:
        other = unique.get(file.first)
        if other is None or (not file.packed and file.size >= other.size):
            unique[file.first] = file
    ordered = sorted((file for file in unique.values() if file.first), key=lambda file: file.begins)
    followed = zip_longest(ordered, ordered[1:])
    return [file for file, after in followed if after is None or after.begins >= since - LIFE_S]


def _line(raw: bytes) -> Line | None:
    return parse(raw.decode("utf-8", "surrogateescape").rstrip("\n"))
