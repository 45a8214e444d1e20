"""The file of a capture: what a PBX sent, with the time of its arrival, as lines of JSON.

The first line is the `Header`, each other a `Record`; the last record says why the capture ended, so that
a file without it was cut. A file whose name ends in `.xz` or `.gz` is a sequence of whole compressed
streams, each some seconds long: whatever kills the writer, what was written before can be read.
"""

import base64
import gzip
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

FORMAT = 1
"""Raised when a reader of before would read a file wrongly; new fields alone do not raise it."""
LONGEST_LINE = 32 * 1024 * 1024
READ_BYTES = 64 * 1024


class CaptureError(Exception):
    """A file cannot be read as a capture, or not written; the text names the file and says why."""


class Header(Struct, frozen=True, kw_only=True):
    """What a capture is of. `begun_at` is UTC, in seconds since the epoch."""

    ctid_capture: int
    """The number of the format."""
    driver: str
    pbx: str
    begun_at: float
    scrubbed: bool
    """Numbers, names and addresses are pseudonyms; false: the file holds personal data as it was sent."""
    ctid: str
    """The version of ctid that wrote it."""


class Record(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One message in, one request out, or the end.

    `t` is in seconds by a monotonic clock, from the beginning of the capture; `at` is UTC in seconds since
    the epoch, which jumps when the machine's clock is set.
    """

    t: float
    at: float
    received: str | None = msgspec.field(default=None, name="in")
    """A message of the PBX, without what ends it."""
    base64: str | None = msgspec.field(default=None, name="in64")
    """The same, of a message that is not UTF-8."""
    sent: str | None = msgspec.field(default=None, name="out")
    """The name of a request of ours; its arguments are not kept."""
    id: str = ""
    """What its answer bears."""
    fence: str = ""
    """The token of a request that only marks a place in what the PBX sends."""
    end: str | None = None
    """Why the capture ended."""

    @property
    def message(self) -> bytes | None:
        """The message as it was received, or none when this is something else. Raises ValueError."""
        if self.base64 is not None:
            return base64.b64decode(self.base64, validate=True)
        return None if self.received is None else self.received.encode()


def message_record(t: float, at: float, message: bytes) -> Record:
    """Make the record of a message."""
    try:
        return Record(t=t, at=at, received=message.decode())
    except UnicodeDecodeError:
        return Record(t=t, at=at, base64=base64.b64encode(message).decode())


# Writing ----------------------------------------------------------------------------------------------------


def compressor(path: Path) -> Callable[[bytes], bytes]:
    """Return what makes one whole stream of some bytes, by the file's extension."""
    match path.suffix:
        case ".xz":
            return lzma.compress
        case ".gz":
            return lambda data: gzip.compress(data, mtime=0)
        case _:
            return bytes


class CaptureFile:
    """A new capture, readable by its owner alone; blocks, so it belongs into a thread of its own.

    Raises:
        CaptureError: the file is there already, or cannot be made.
    """

    def __init__(self, path: Path, header: Header) -> None:
        self.path = path
        self.written = 0
        """Bytes in the file."""
        self._compress = compressor(path)
        self._plain = bytearray()
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise CaptureError(f"{path} is there already; captures are not overwritten") from error
        except OSError as error:
            raise CaptureError(f"{path} cannot be made: {error.strerror}") from error
        self._plain += msgspec.json.encode(header) + b"\n"
        try:
            self.flush()
        except CaptureError:
            os.close(self._file)
            path.unlink()
            raise

    @property
    def waiting(self) -> int:
        """Bytes of lines that are not in the file yet."""
        return len(self._plain)

    def add(self, record: Record) -> None:
        """Take a record; `flush` writes it."""
        self._plain += msgspec.json.encode(record) + b"\n"

    def flush(self) -> None:
        """Write what waits, whole or not at all.

        Raises:
            CaptureError: it cannot be written; what was written before stays.
        """
        if not self._plain:
            return
        data = memoryview(self._compress(bytes(self._plain)))
        self._plain.clear()
        size = self.written
        try:
            while data:
                count = os.write(self._file, data)
                data = data[count:]
                size += count
        except OSError as error:
            os.ftruncate(self._file, self.written)
            os.lseek(self._file, self.written, os.SEEK_SET)
            raise CaptureError(f"{self.path} cannot be written: {error.strerror}") from error
        self.written = size

    def close(self) -> None:
        """Close the file, once all of it is on the disk. Raises CaptureError: it is not."""
        try:
            os.fsync(self._file)
        except OSError as error:
            raise CaptureError(f"{self.path} cannot be written: {error.strerror}") from error
        finally:
            os.close(self._file)


# Reading ----------------------------------------------------------------------------------------------------


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, /) -> bytes: ...


def _decompressor(magic: bytes) -> Callable[[], _Decompressor] | None:
    if magic.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor
    if magic.startswith(b"\x1f\x8b"):
        return lambda: zlib.decompressobj(wbits=31)
    return None


class Capture:
    """A capture to be read: its header, and `records` once. What is whole is read, whatever follows it.

    Raises:
        CaptureError: the file cannot be read, is no capture, or is of a newer format.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.cut = ""
        """Why the file is not whole, once `records` is done; empty when it is."""
        self.end = ""
        """Why the capture ended, once `records` is done."""
        self._lines = self._read_lines()
        first = next(self._lines, b"")
        try:
            self.header = msgspec.json.decode(first, type=Header)
        except msgspec.MsgspecError as error:
            number = _format_of(first)
            if number is not None and number > FORMAT:
                raise self._newer(number) from error
            raise CaptureError(f"{path} is no capture of ctid") from error
        if self.header.ctid_capture > FORMAT:
            raise self._newer(self.header.ctid_capture)

    def _newer(self, number: int) -> CaptureError:
        return CaptureError(
            f"{self.path} is of format {number}, and this ctid reads up to {FORMAT}: "
            "replay it with the ctid that wrote it, or a later one"
        )

    def records(self) -> Iterator[Record]:
        """Iterate over the records but the end; called once."""
        decoder = msgspec.json.Decoder(Record)
        for number, line in enumerate(self._lines, 2):
            try:
                record = decoder.decode(line)
                _ = record.message
            except (msgspec.MsgspecError, ValueError) as error:
                self.cut = f"line {number} is no record ({error})"
                return
            if record.end is not None:
                self.end = record.end
                return
            yield record
        self.cut = self.cut or "its end is missing: the capture was killed, or the file was cut"

    def _read_lines(self) -> Iterator[bytes]:
        rest: list[bytes] = []
        waiting = 0
        for data in self._read_plain():
            *lines, last = data.split(b"\n")
            if lines:
                yield b"".join([*rest, lines[0]])
                yield from lines[1:]
                rest.clear()
                waiting = 0
            rest.append(last)
            waiting += len(last)
            if waiting > LONGEST_LINE:
                self.cut = f"a line of more than {LONGEST_LINE} bytes"
                return

    def _read_plain(self) -> Iterator[bytes]:
        try:
            with self.path.open("rb") as file:
                data = file.read(READ_BYTES)
                make = _decompressor(data)
                if make is None:
                    while data:
                        yield data
                        data = file.read(READ_BYTES)
                    return
                stream = make()
                while data:
                    yield stream.decompress(data)
                    data = b""
                    if stream.eof:
                        data, stream = stream.unused_data, make()
                    data = data or file.read(READ_BYTES)
        except (lzma.LZMAError, zlib.error) as error:
            self.cut = f"the compressed data is damaged ({error})"
        except OSError as error:
            raise CaptureError(f"{self.path} cannot be read: {error.strerror or error}") from error


class _AnyHeader(Struct):
    ctid_capture: int


def _format_of(line: bytes) -> int | None:
    try:
        return msgspec.json.decode(line, type=_AnyHeader).ctid_capture
    except msgspec.MsgspecError:
        return None
