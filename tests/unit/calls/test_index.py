import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from ctid.calls.index import IndexUnavailable, RecordingIndex, Selection
from ctid.calls.words import RecordingEntry
from ctid.model.ids import AgentId, CallId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from helpers.floor import BASE

ENTRY = RecordingEntry(
    id=0,
    call=CallId("lab.c1"),
    leg=LegId("a1"),
    pbx=PbxId("lab"),
    agent=AgentId("1001"),
    queue=QueueId("support"),
    by="sofia",
    basis="training",
    file="lab.c1.wav",
    started_at=BASE,
)


@pytest.fixture
def index(tmp_path: Path) -> RecordingIndex:
    """An index that is not there yet."""
    return RecordingIndex(tmp_path)


def test_begin_and_end(index: RecordingIndex) -> None:
    """An entry comes back as it was given, over a restart too, and its end once, never before its start."""
    first = index.begin(ENTRY)
    second = index.begin(replace(ENTRY, call=CallId("lab.c2"), agent=None, queue=None))
    index.close()
    assert index.find(Selection()) == [
        replace(ENTRY, id=second, call=CallId("lab.c2"), agent=None, queue=None),
        replace(ENTRY, id=first),
    ]
    assert index.open_calls(PbxId("lab")) == ["lab.c1", "lab.c2"]
    assert index.open_calls(PbxId("other")) == []
    index.end(CallId("lab.c1"), Instant(BASE - 5))
    index.end(CallId("lab.c1"), Instant(BASE + 5))
    assert index.open_calls(PbxId("lab")) == ["lab.c2"]
    assert index.find(Selection(call="lab.c1"))[0].stopped_at == BASE
    index.forget(second)
    assert [entry.id for entry in index.find(Selection())] == [first]


def test_find(index: RecordingIndex) -> None:
    """By each filter, and page by page."""
    for number in range(5):
        index.begin(replace(ENTRY, agent=AgentId(str(number % 2)), by="paul" if number else "sofia"))
    assert len(index.find(Selection(agent="0"))) == 3
    assert len(index.find(Selection(agent="0", by="paul", queue="support"))) == 2
    assert index.find(Selection(queue="none")) == []
    page = index.find(Selection(limit=2))
    rest = index.find(Selection(limit=5, before=page[-1].id))
    assert [entry.id for entry in (*page, *rest)] == [5, 4, 3, 2, 1]


def test_purge(index: RecordingIndex) -> None:
    """What began before a time goes; its ids are not given again."""
    index.begin(ENTRY)
    later = index.begin(replace(ENTRY, started_at=Instant(BASE + 10)))
    assert index.count_before(Instant(BASE + 1)) == 1
    assert index.purge(Instant(BASE + 1)) == 1
    assert [entry.id for entry in index.find(Selection())] == [later]
    index.purge(Instant(BASE + 100))
    assert index.begin(ENTRY) == later + 1


def test_unusable(tmp_path: Path) -> None:
    """A directory that is not there, a file that is none, one of a later ctid: the cure is told."""
    with pytest.raises(IndexUnavailable, match="make room on its disk, and it writable"):
        RecordingIndex(tmp_path / "none").find(Selection())
    (tmp_path / "recordings.db").write_bytes(b"no database at all, in more than a hundred bytes" * 9)
    with pytest.raises(IndexUnavailable, match="move it away"):
        RecordingIndex(tmp_path).begin(ENTRY)
    (tmp_path / "recordings.db").unlink()
    with sqlite3.connect(tmp_path / "recordings.db") as later:
        later.execute("PRAGMA user_version = 9")
    later.close()
    with pytest.raises(IndexUnavailable, match="of a later ctid, version 9"):
        RecordingIndex(tmp_path).find(Selection())
