import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctid.publish.backlog import Queued
from ctid.publish.outbox import Outbox, OutboxError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is."""
    return tmp_path / "outbox.db"


@pytest.fixture
def outbox(path: Path) -> Iterator[Outbox]:
    """An outbox that is open."""
    opened = Outbox(path)
    opened.open()
    yield opened
    opened.close()


def queued(*positions: int) -> list[Queued]:
    """Events at these positions."""
    return [Queued(position, f"t/{position}", b"\x00payload") for position in positions]


def test_events_survive_a_restart(outbox: Outbox, path: Path) -> None:
    """What one run kept, the next one finds, in order, with the count of drops that nobody was told of."""
    outbox.append(queued(3, 5, 9))
    outbox.delete([3], dropped=1)
    outbox.close()
    again = Outbox(path)
    assert again.open() == ([5, 9], 1)
    assert again.read([5, 9]) == queued(5, 9)
    again.told_dropped()
    again.close()
    assert again.open() == ([5, 9], 0)
    again.close()


def test_only_what_is_asked_for_is_read(outbox: Outbox) -> None:
    """Positions between, and positions that are not there, are left out."""
    outbox.append(queued(1, 2, 3, 4))
    assert outbox.read([1, 3, 7]) == queued(1, 3)


def test_writing_twice_does_no_harm(outbox: Outbox) -> None:
    """An event that may have been written before the stop is written again, and is there once."""
    outbox.append(queued(1, 2))
    outbox.append(queued(2, 3))
    assert outbox.read([1, 3]) == queued(1, 3)
    outbox.close()
    assert outbox.open() == ([1, 2, 3], 0)


def test_full_disk_refuses_and_changes_nothing(outbox: Outbox) -> None:
    """When no page is left, a write is refused as a whole, what was there stays, and later writes work."""
    outbox.append(queued(1))
    database = outbox._opened()
    (pages,) = database.execute("PRAGMA page_count").fetchone()
    database.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(OutboxError, match="full"):
        outbox.append([Queued(2, "t", b"x" * 100_000)])
    assert outbox.read([1, 2]) == queued(1)
    database.execute("PRAGMA max_page_count = 100000")
    outbox.append(queued(2))
    assert outbox.read([1, 2]) == queued(1, 2)


def test_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Without a place to write the error is the outbox's own, and every use repeats it."""
    outbox = Outbox(tmp_path / "missing" / "outbox.db")
    with pytest.raises(OutboxError):
        outbox.open()
    with pytest.raises(OutboxError):
        outbox.append(queued(1))


def test_damaged_file_is_set_aside(path: Path) -> None:
    """A file that is no database is kept under another name, and a new one begins."""
    path.write_bytes(b"this is no database, and never was\n" * 100)
    outbox = Outbox(path)
    assert outbox.open() == ([], 0)
    outbox.append(queued(1))
    outbox.close()
    assert path.with_name("outbox.db.damaged").read_bytes().startswith(b"this is no database")
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM event").fetchone() == (1,)
    database.close()
