"""The audit's files: one for each UTC day, and `head`, which says where the log was last known to end."""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from ctid.audit.chain import GENESIS, Link, Record, decode, encode
from ctid.audit.verifying import Finding, Line, Verification, verify

MODE = 0o640
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_HEAD = re.compile(rb"([0-9]{20}) ([0-9a-f]{64})\n")


class Torn(Struct, frozen=True, kw_only=True):
    """A line whose end was never written, and where it was put."""

    file: str
    bytes: int
    sha256: str
    aside: str


class Extent(Struct, frozen=True, kw_only=True):
    """What there was of a log at one moment: where it ended, and the size of each day's file in bytes."""

    head: Link | None
    sizes: dict[str, int]


def day_of(at: float) -> str:
    """The UTC day of a time, as a file is named after it."""
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d}"


def midnight_after(at: float) -> float:
    """When the next UTC day begins."""
    return (at // 86_400 + 1) * 86_400


class Files:
    """The files of one audit. Every method raises OSError; those that write return once it is on the disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._head = folder / "head"

    def days(self) -> list[Path]:
        """The day's files, in the order of the chain."""
        return sorted(
            path for path in self.folder.iterdir() if path.suffix == ".jsonl" and _DAY.fullmatch(path.stem)
        )

    # Reading --------------------------------------------------------------------------------------

    def lines(self, path: Path, size: int | None = None) -> Iterator[Line]:
        """The lines of a day; of the first `size` bytes alone where that is given."""
        read = 0
        with path.open("rb") as file:
            for number, data in enumerate(file, 1):
                if size is not None and read >= size:
                    return
                read += len(data)
                yield Line(place=f"{path.name}:{number}", data=data)

    def extent(self) -> Extent:
        """What is there now."""
        return Extent(head=self.head(), sizes={path.name: path.stat().st_size for path in self.days()})

    def records(self, *, since: float = 0.0, after: int = 0) -> Iterator[Record]:
        """The records that can be read, in their order, from the day of a time on, past a number.

        What cannot be read is passed over: verifying is what tells it.
        """
        days = [path for path in self.days() if path.stem >= day_of(max(since, 0.0))]
        later = 0
        for number, path in enumerate(days[1:], 1):
            first = self.first(path)
            if first is None or first.seq > after:
                break
            later = number
        for path in days[later:]:
            yield from (record for record in self.records_of(path) if record.seq > after)

    def records_of(self, path: Path) -> Iterator[Record]:
        """The records of a day that can be read."""
        for line in self.lines(path):
            record = _read(line.data)
            if record is not None:
                yield record

    def first(self, path: Path) -> Record | None:
        """The first record of a day, if it can be read."""
        with path.open("rb") as file:
            return _read(file.readline())

    def last(self) -> Record | None:
        """The last record of all that can be read."""
        for path in reversed(self.days()):
            found = None
            for found in self.records_of(path):  # noqa: B007 - the last record is wanted, after the loop
                pass
            if found is not None:
                return found
        return None

    def head(self) -> Link | None:
        """Where the log was last known to end; none when that cannot be told."""
        try:
            match = _HEAD.fullmatch(self._head.read_bytes())
        except FileNotFoundError:
            return None
        return Link(seq=int(match[1]), hash=match[2].decode()) if match else None

    def verify(self, anchor: str = "", extent: Extent | None = None) -> Verification:
        """Read what is there, and say what is not as it was written; `anchor`: a hash kept elsewhere."""
        extent = extent or self.extent()
        head = extent.head
        days = [path for path in self.days() if path.name in extent.sizes]
        lines = (line for path in days for line in self.lines(path, extent.sizes[path.name]))
        found = verify(lines, head=head, anchor=anchor)
        if head is None and found.records:
            problem = "it is missing or cannot be read: whether the log was cut short cannot be told"
            findings = (*found.findings, Finding(record=None, place=self._head.name, problem=problem))
            return replace(found, ok=False, findings=findings)
        return found

    # Writing --------------------------------------------------------------------------------------

    def append(self, day: str, data: bytes) -> None:
        """Append whole lines to a day's file; of what fitted in part only, nothing stays."""
        path = self.folder / f"{day}.jsonl"
        is_new = not path.exists()
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            before = os.fstat(file).st_size
            if os.write(file, data) != len(data):
                os.ftruncate(file, before)  # a torn line would spoil the next one
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(file)
        finally:
            os.close(file)
        if is_new:
            self._sync_folder()

    def set_head(self, head: Link) -> None:
        """Note where the log ends, in place: always as many bytes, so that no crash leaves half of it.

        It is not synchronized: after a crash it may be behind the log, which is no fault.
        """
        file = os.open(self._head, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE)
        try:
            os.pwrite(file, f"{head.seq:020d} {head.hash}\n".encode(), 0)
        finally:
            os.close(file)

    def rewrite(self, path: Path, change: Callable[[Record], Record]) -> None:
        """Change records of a day in place of the old ones; lines that cannot be read stay as they are."""
        beside = path.with_suffix(".new")
        with open(beside, "wb", opener=_opener) as file:
            for line in self.lines(path):
                record = _read(line.data)
                file.write(line.data if record is None else encode(change(record)))
            file.flush()
            os.fsync(file.fileno())
        beside.replace(path)
        self._sync_folder()

    def remove(self, days: Iterable[Path]) -> None:
        """Take whole days out, with what was put aside of them."""
        for path in days:
            for aside in self.folder.glob(f"{path.stem}.torn-*"):
                aside.unlink()
            path.unlink()
        self._sync_folder()

    def put_torn_aside(self) -> Torn | None:
        """Put aside the last line, where a crash left only a part of it."""
        days = self.days()
        if not days:
            return None
        path = days[-1]
        data = path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole == len(data):
            return None
        rest = data[whole:]
        aside = self.folder / f"{path.stem}.torn-{whole}"
        with open(aside, "wb", opener=_opener) as file:
            file.write(rest)
            file.flush()
            os.fsync(file.fileno())
        os.truncate(path, whole)
        self._sync_folder()
        digest = hashlib.sha256(rest).hexdigest()
        return Torn(file=path.name, bytes=len(rest), sha256=digest, aside=aside.name)

    def _sync_folder(self) -> None:
        folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def chain_end(last: Record | None, head: Link | None) -> tuple[Link, str]:
    """Where to go on, and what is wrong with where the log ends; empty when nothing is."""
    end = last.link if last is not None else Link(seq=0, hash=GENESIS)
    if head is None or head.seq < end.seq or head == end:
        return end, ""
    if head.seq == end.seq:
        return end, "its last record is not the one that was last known to end it"
    problem = f"it ends with record {end.seq}, and was last known to end with {head.seq}"
    return head, problem


def _read(line: bytes) -> Record | None:
    try:
        return decode(line)
    except ValueError:
        return None


def _opener(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, MODE)
