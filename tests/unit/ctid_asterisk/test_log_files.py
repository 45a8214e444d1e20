import bz2
import gzip
import lzma
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from ctid_asterisk import log_files
from ctid_asterisk.log_files import read

NOON = 1_767_265_200


def text(first: int, last: int, step: int = 1) -> str:
    """One caller a second, each with an id of its own second."""
    return "".join(f"{at}|{at}.1|sales|NONE|ENTERQUEUE||x|1\n" for at in range(first, last, step))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The path of the log; as Asterisk's folder, it has other files too."""
    (tmp_path / "full").write_text("other\n")
    (tmp_path / "queue_logger").write_text("other\n")
    return tmp_path / "queue_log"


@pytest.mark.parametrize("since", [NOON + offset for offset in (-1, 0, 1, 777, 9_998, 9_999, 20_000)])
def test_from_a_time_on(log: Path, since: int) -> None:
    """Every line from that second on, and none before it, wherever in a large file it is."""
    log.write_text(text(NOON, NOON + 10_000))
    found = read(log, since)
    assert [line.at for line in found.lines] == list(range(max(since, NOON), NOON + 10_000))
    assert (found.reaches, found.more, found.unread) == (NOON, False, 0)


def test_threads_write_in_disorder(log: Path) -> None:
    """A line that is a second older than the one before it is not lost."""
    lines = text(NOON, NOON + 2000).splitlines(keepends=True)
    for index in range(0, 2000, 2):
        lines[index], lines[index + 1] = lines[index + 1], lines[index]
    log.write_text("".join(lines))
    for since in range(NOON + 990, NOON + 1010):
        assert sorted(line.at for line in read(log, since).lines) == list(range(since, NOON + 2000))


def test_a_cut_last_line(log: Path) -> None:
    """A line that is being written is left for the next reading."""
    log.write_text(text(NOON, NOON + 2) + f"{NOON + 2}|1.1|sales|NONE|ENTERQ")
    assert len(read(log, NOON).lines) == 2


def test_lines_that_are_none(log: Path) -> None:
    """What is no line is counted and passed over, also where the search for the time lands on it."""
    log.write_bytes(
        text(NOON, NOON + 500).encode() + b"\xff rubbish \n" * 2000 + text(NOON + 500, NOON + 600).encode()
    )
    found = read(log, NOON + 550)
    assert [line.at for line in found.lines][-50:] == list(range(NOON + 550, NOON + 600))
    assert [line.at for line in found.lines] == list(range(NOON + 550, NOON + 600))


def test_an_empty_log(log: Path) -> None:
    """It is there, and tells nothing yet."""
    log.touch()
    found = read(log, NOON)
    assert (found.lines, found.reaches) == ((), None)


def _packer(opener: Callable[..., object]) -> Callable[[Path, str], None]:
    def write(path: Path, content: str) -> None:
        with opener(path, "wt") as file:  # type: ignore[attr-defined]
            file.write(content)

    return write


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("queue_log.0", Path.write_text),
        ("queue_log.1", Path.write_text),
        ("queue_log-20260101", Path.write_text),
        ("queue_log.1767265200", Path.write_text),
        ("queue_log.2.gz", _packer(gzip.open)),
        ("queue_log.2.bz2", _packer(bz2.open)),
        ("queue_log-20260101.xz", _packer(lzma.open)),
    ],
)
def test_rotated(log: Path, name: str, write: Callable[[Path, str], None]) -> None:
    """What the log was rotated to is read before it, packed or not."""
    write(log.parent / name, text(NOON, NOON + 100))
    log.write_text(text(NOON + 100, NOON + 200))
    found = read(log, NOON + 50)
    assert [line.at for line in found.lines] == list(range(NOON + 50, NOON + 200))
    assert found.reaches == NOON


@pytest.mark.parametrize(
    ("suffix", "pack"), [(".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_a_packed_file_that_is_half_written(log: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    """It is told as one that cannot be read now, by its name."""
    packed = pack(text(NOON, NOON + 5000).encode())
    (log.parent / f"queue_log.1{suffix}").write_bytes(packed[: len(packed) // 2])
    log.write_text(text(NOON + 5000, NOON + 5100))
    with pytest.raises(OSError, match="half written or damaged"):
        read(log, NOON)


def test_rotated_several_times(log: Path) -> None:
    """The files follow each other by their times, not by their names; what is too old is not opened."""
    for number, name in enumerate(["queue_log.1", "queue_log.0", "queue_log.10", "queue_log.2"]):
        (log.parent / name).write_text(text(NOON + number * 10, NOON + number * 10 + 10))
    ancient = log.parent / "queue_log.99"
    ancient.write_bytes(b"not to be opened")
    os.utime(ancient, (0, 0))
    log.write_text(text(NOON + 40, NOON + 50))
    (log.parent / "queue_log.77").touch()
    assert [line.at for line in read(log, NOON).lines] == list(range(NOON, NOON + 50))


def test_a_file_that_ended_long_before(log: Path) -> None:
    """A predecessor that ended a day before the time is passed over; what follows it is not."""
    (log.parent / "queue_log.1").write_text(text(NOON, NOON + 10))
    (log.parent / "queue_log.0").write_text(text(NOON + 200, NOON + 210))
    log.write_text(text(NOON + 400_000, NOON + 400_010))
    found = read(log, NOON + 400_005)
    assert (len(found.lines), found.reaches) == (5, NOON + 200)


def test_copied_and_truncated(log: Path) -> None:
    """While logrotate copies the log before it truncates it, no line counts twice."""
    log.write_text(text(NOON, NOON + 100))
    (log.parent / "queue_log.1").write_text(text(NOON, NOON + 60))
    assert len(read(log, NOON).lines) == 100


def test_rotated_meanwhile(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rotation between listing and opening has it all looked at again."""
    log.write_text(text(NOON, NOON + 10))
    original = log_files._open_one
    rotated: list[Path] = []

    def open_one(path: Path, stack: object) -> object:
        if not rotated:
            rotated.append(path)
            log.rename(log.parent / "queue_log.0")
            log.write_text(text(NOON + 10, NOON + 20))
        return original(path, stack)  # type: ignore[arg-type]

    monkeypatch.setattr(log_files, "_open_one", open_one)
    assert [line.at for line in read(log, NOON).lines] == list(range(NOON, NOON + 20))


def test_rotated_without_end(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that never keeps still is told, not read wrongly."""
    log.write_text(text(NOON, NOON + 10))
    listings = iter(range(1000))
    monkeypatch.setattr(log_files, "_list", lambda path, _: [(path, next(listings))])
    with pytest.raises(OSError, match="rotated all the while"):
        read(log, NOON)


def test_files_that_vanish(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A predecessor that is deleted while it is listed or opened is none; the log itself must be there."""
    log.write_text(text(NOON, NOON + 10))
    gone = log.parent / "queue_log.0"
    gone.symlink_to(log.parent / "nowhere")
    assert len(read(log, NOON).lines) == 10
    original = log_files._list
    monkeypatch.setattr(log_files, "_list", lambda path, since: [*original(path, since), (gone, 1)])
    assert len(read(log, NOON).lines) == 10
    log.unlink()
    with pytest.raises(FileNotFoundError):
        read(log, NOON)


def test_beginnings_of_calls_that_go_on(log: Path) -> None:
    """Of a call that has a line from the time on, the lines before it are there too; of others not."""
    log.write_text(
        f"{NOON}|{NOON}.1|sales|NONE|ENTERQUEUE||x|1\n"
        f"{NOON + 1}|{NOON + 1}.1|sales|NONE|ENTERQUEUE||x|1\n"
        f"{NOON + 2}|chosen|sales|NONE|ENTERQUEUE||x|1\n"
        "no line\n" + text(NOON + 3, NOON + 1000) + f"{NOON + 1000}|{NOON}.1|sales|NONE|ABANDON|1|1|9\n"
        f"{NOON + 1001}|chosen|sales|NONE|ABANDON|1|1|9\n"
    )
    found = read(log, NOON + 1000)
    assert [(line.at - NOON, line.event) for line in found.lines] == [
        (0, "ENTERQUEUE"),
        (2, "ENTERQUEUE"),
        (1000, "ABANDON"),
        (1001, "ABANDON"),
    ]


def test_the_caller_behind_a_leg_is_whole_too(log: Path) -> None:
    """A leg that is the half of a Local channel brings the caller who talks through it."""
    log.write_text(
        f"{NOON}|{NOON}.1|desk|NONE|ENTERQUEUE||x|1\n"
        f"{NOON + 100}|{NOON}.1|desk|Grace|CONNECT|1|{NOON + 100}.7|0\n"
        + text(NOON + 101, NOON + 200)
        + f"{NOON + 200}|{NOON + 100}.8|sales|NONE|ENTERQUEUE||x|1\n"
    )
    found = read(log, NOON + 200)
    assert [line.at - NOON for line in found.lines] == [0, 100, 200]


def test_more_than_one_reading_holds(log: Path) -> None:
    """It ends at a full second, says that there is more, and the next goes on from there without a hole."""
    log.write_text("".join(line * 2 for line in text(NOON, NOON + 50).splitlines(keepends=True)))
    ats: list[int] = []
    since, more = float(NOON), True
    while more:
        found = read(log, since, limit=15)
        ats += [line.at for line in found.lines if line.at >= since]
        since, more = found.until, found.more
    assert ats == sorted([*range(NOON, NOON + 50)] * 2)


def test_one_second_of_more_than_a_reading(log: Path) -> None:
    """A second that is more than a reading holds is read whole."""
    log.write_text(text(NOON, NOON + 1) * 40 + text(NOON + 1, NOON + 3))
    found = read(log, NOON, limit=5)
    assert (len(found.lines), found.more, found.until) == (40, True, NOON + 1)


def test_a_spoilt_first_line(log: Path) -> None:
    """The log reaches back to the first line that reads, not to the beginning of time."""
    log.write_text("spoilt\n" + text(NOON, NOON + 10))
    found = read(log, NOON + 5)
    assert (found.reaches, len(found.lines)) == (NOON, 5)
    log.write_text("spoilt\n")
    assert read(log, NOON).reaches is None


def test_a_line_of_no_time(log: Path) -> None:
    """A line whose time nobody can write is counted, and passed over."""
    log.write_text(
        text(NOON, NOON + 5) + "9" * 400 + "|1.1|sales|NONE|ABANDON|1|1|1\n" + text(NOON + 5, NOON + 9)
    )
    found = read(log, NOON)
    assert (len(found.lines), found.unread) == (9, 1)
