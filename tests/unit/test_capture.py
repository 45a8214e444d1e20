import errno
import gzip
import lzma
import os
import stat
from pathlib import Path

import msgspec
import pytest

from ctid.capture import FORMAT, LONGEST_LINE, Capture, CaptureError, CaptureFile, Record, message_record
from helpers.captures import header, heard, written

RECORDS = [heard(float(t), "Event: Hold", f"Uniqueid: 1795417440.{t}") for t in range(50)]
NAMES = ["calls.capture", "calls.capture.xz", "calls.capture.gz"]


def read(path: Path) -> tuple[list[Record], Capture]:
    """All records of a file, and what is known of it after them."""
    capture = Capture(path)
    return list(capture.records()), capture


@pytest.mark.parametrize("name", NAMES)
def test_what_is_written_is_read(tmp_path: Path, name: str) -> None:
    """With any compression, header, records and the reason of the end come back; nobody else may read it."""
    path = written(tmp_path / name, RECORDS, "the time was over", pbx="main", scrubbed=False)
    records, capture = read(path)
    assert records == RECORDS
    assert (capture.end, capture.cut) == ("the time was over", "")
    assert (capture.header.pbx, capture.header.scrubbed, capture.header.driver) == ("main", False, "asterisk")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_extension_says_how_it_is_compressed(tmp_path: Path) -> None:
    """Any tool for that compression reads it."""
    plain, xz, gz = (written(tmp_path / name, RECORDS) for name in NAMES)
    assert lzma.decompress(xz.read_bytes()) == plain.read_bytes() == gzip.decompress(gz.read_bytes())


@pytest.mark.parametrize("name", NAMES)
def test_a_killed_writer_leaves_a_readable_beginning(tmp_path: Path, name: str) -> None:
    """What was flushed is read, and that the end is missing is told; a cut in a stream costs that stream."""
    path = tmp_path / name
    file = CaptureFile(path, header())
    sizes = []
    for record in RECORDS:
        file.add(record)
        file.flush()
        sizes.append(file.written)
    data = path.read_bytes()
    file.close()
    assert len(data) == sizes[-1]
    for at in (sizes[10], sizes[10] + 3, sizes[40] - 1):
        path.write_bytes(data[:at])
        records, capture = read(path)
        whole = sum(size <= at for size in sizes)
        assert records == RECORDS[: len(records)]
        assert whole <= len(records) <= whole + 1
        assert capture.cut.startswith("its end is missing")


@pytest.mark.parametrize("name", ["calls.capture.xz", "calls.capture.gz"])
def test_damage_in_the_middle_is_told(tmp_path: Path, name: str) -> None:
    """What stands before it is read."""
    path = written(tmp_path / name, RECORDS[:1])
    with path.open("ab") as file:
        file.write(b"\xfd7zXZ\0 no more" if name.endswith(".xz") else b"\x1f\x8b no more")
    capture = Capture(path)
    assert list(capture.records()) == RECORDS[:1]
    path.write_bytes(path.read_bytes()[:20] + b"damaged" * 20)
    with pytest.raises(CaptureError, match="is no capture"):
        Capture(path)


@pytest.mark.parametrize(
    "line", [b"{", b'{"t":1}', b'{"t":1,"at":1,"in64":"\xc3\xa9"}', b'{"t":1,"at":1,"in64":"!"}']
)
def test_a_line_that_is_no_record_ends_it(tmp_path: Path, line: bytes) -> None:
    """It is named by its number; what comes after it is not guessed at."""
    path = written(tmp_path / "x", RECORDS[:2], None)
    path.write_bytes(path.read_bytes() + line + b"\n" + msgspec.json.encode(RECORDS[2]) + b"\n")
    records, capture = read(path)
    assert records == RECORDS[:2]
    assert capture.cut.startswith("line 4 is no record")


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path) -> None:
    """It is given up at a bound."""
    path = written(tmp_path / "x", RECORDS[:1], None)
    with path.open("ab") as file:
        file.write(b"x" * (LONGEST_LINE + 1_000_000))
    _, capture = read(path)
    assert "a line of more than" in capture.cut


@pytest.mark.parametrize(
    "data", [b"", b"Asterisk Call Manager/11.0.0\r\n", b"\0\1\2\n", b'{"a":1}\n', b"\x1f\x8b"]
)
def test_another_file_is_no_capture(tmp_path: Path, data: bytes) -> None:
    """It is told, by name."""
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(CaptureError, match=r"other is no capture of ctid"):
        Capture(path)


def test_a_newer_format_is_told(tmp_path: Path) -> None:
    """Also when its header is not of our form any more."""
    newer = written(tmp_path / "newer", [], ctid_capture=FORMAT + 1)
    changed = tmp_path / "changed"
    changed.write_bytes(b'{"ctid_capture":%d}\n' % (FORMAT + 1))
    for path in (newer, changed):
        with pytest.raises(
            CaptureError, match=rf"is of format {FORMAT + 1}, and this ctid reads up to {FORMAT}"
        ):
            Capture(path)
    changed.write_bytes(b'{"ctid_capture":%d}\n' % FORMAT)
    with pytest.raises(CaptureError, match="is no capture"):
        Capture(changed)


def test_fields_of_a_later_writer_are_passed_over(tmp_path: Path) -> None:
    """A format grows by fields without getting another number."""
    path = tmp_path / "later"
    first = msgspec.json.encode(msgspec.structs.asdict(header()) | {"weather": "fine"})
    path.write_bytes(first + b'\n{"t":1,"at":2,"out":"Ping","weight":3}\n{"t":1,"at":2,"end":"done"}\n')
    assert read(path)[0] == [Record(t=1, at=2, sent="Ping")]


def test_a_missing_file_and_a_folder_are_told(tmp_path: Path) -> None:
    """With the system's reason."""
    for path, reason in ((tmp_path / "none", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(CaptureError, match=reason):
            Capture(path)


def test_bytes_that_are_not_text_are_kept() -> None:
    """A message in Latin-1 comes back byte by byte; a request is no message."""
    assert message_record(0, 0, b"CallerIDName: \xe9ric").message == b"CallerIDName: \xe9ric"
    assert message_record(0, 0, "é".encode()).received == "é"
    assert Record(t=0, at=0, sent="Ping").message is None


def test_a_capture_is_never_overwritten(tmp_path: Path) -> None:
    """The file that is there stays as it is; a folder that is missing is told."""
    path = written(tmp_path / "x", RECORDS)
    before = path.read_bytes()
    with pytest.raises(CaptureError, match="is there already"):
        CaptureFile(path, header())
    assert path.read_bytes() == before
    with pytest.raises(CaptureError, match="No such file or directory"):
        CaptureFile(tmp_path / "none" / "x", header())


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A disk with as many bytes as the list's only element says."""
    room = [1_000_000]
    write = os.write

    def limited(file: int, data: bytes) -> int:
        if not room[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(file, data[: room[0]])
        room[0] -= count
        return count

    monkeypatch.setattr("ctid.capture.os.write", limited)
    return room


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_told_and_what_was_written_stays(tmp_path: Path, full: list[int], name: str) -> None:
    """The half of a stream that still had room is taken back."""
    path = tmp_path / name
    file = CaptureFile(path, header())
    for record in RECORDS[:20]:
        file.add(record)
    file.flush()
    full[0] = 30
    for record in RECORDS[20:]:
        file.add(record)
    with pytest.raises(CaptureError, match=r"calls\..* cannot be written: No space left on device"):
        file.flush()
    file.close()
    assert path.stat().st_size == file.written
    assert read(path)[0] == RECORDS[:20]


def test_a_disk_that_is_full_from_the_beginning_leaves_no_file(tmp_path: Path, full: list[int]) -> None:
    """An empty file would be taken for a capture."""
    full[0] = 0
    with pytest.raises(CaptureError, match="No space left"):
        CaptureFile(tmp_path / "x", header())
    assert not (tmp_path / "x").exists()


def test_a_disk_that_fails_at_the_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the system did not write in the background counts too."""

    def broken(_file: int) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    file = CaptureFile(tmp_path / "x", header())
    file.flush()  # nothing waits
    monkeypatch.setattr("ctid.capture.os.fsync", broken)
    with pytest.raises(CaptureError, match="Input/output error"):
        file.close()
