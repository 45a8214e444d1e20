import sqlite3
from pathlib import Path

import pytest
from msgspec.structs import replace

from ctid.history import schema
from ctid.history.entries import Entry
from ctid.history.ledger import Ledger, LedgerUnavailable
from ctid.history.rows import COLUMNS, entry_of_row
from ctid.history.words import Closed, Count, GapCause, GapState
from ctid.model.ids import AgentId, QueueId
from ctid.model.instant import Instant
from helpers.floor import BASE
from helpers.moments import PBX, entry, line

ALL = (BASE - 1000.0, BASE + 1000.0)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A new ledger."""
    return Ledger(tmp_path)


def kept(ledger: Ledger) -> list[tuple[Entry, int, bool]]:
    """Every row in the order of time: the entry, its ordinal, whether it is confirmed."""
    query = f"SELECT {COLUMNS}, ordinal FROM moments ORDER BY at, id"  # noqa: S608 - a constant
    found = ledger.read(lambda connection: connection.execute(query).fetchall())
    rows = [(entry_of_row(row[:-1]), row[-1]) for row in found]
    return [(row.entry, ordinal, row.confirmed) for row, ordinal in rows]


def at(seconds: float) -> Instant:
    """A time of the tests."""
    return Instant(BASE + seconds)


def test_what_goes_in_comes_out(ledger: Ledger) -> None:
    """A moment is read as it was written, also by the next run."""
    told = replace(
        entry("call_served", 1.25, agent="1001", by="agent"), hold_s=2.0, talk_s=30.5, position=None
    )
    ledger.add([told], {})
    ledger.close()
    assert kept(Ledger(ledger.path.parent)) == [(told, 1, False)]


def test_an_event_heard_twice(ledger: Ledger) -> None:
    """The same event is one row; the same moment later is another, numbered by time whichever came first."""
    first, second = (entry("offer_missed", when, agent="1001") for when in (1.2, 9.2))
    ledger.add([second, first, second], {})
    ledger.add([first], {})
    assert kept(ledger) == [(first, 1, False), (second, 2, False)]


def test_an_event_after_its_line(ledger: Ledger) -> None:
    """The event of a line that was read already is that row, which has the event's time then."""
    ledger.fill(PBX, [line("offer_missed", 1.0, agent="1001"), line("offer_missed", 2.0, agent="1001")], ALL)
    ledger.add([entry("offer_missed", 2.4, agent="1001")], {})
    assert [(row.at, ordinal, confirmed) for row, ordinal, confirmed in kept(ledger)] == [
        (at(1.0), 1, False),
        (at(2.4), 2, True),
    ]
    ledger.add([entry("offer_missed", 2.4, agent="1001")], {})
    assert len(kept(ledger)) == 2


def test_two_events_after_their_lines(ledger: Ledger) -> None:
    """An event that came after the second of the next one's line does not take it for good."""
    log = [line("offer_missed", second, agent="1001") for second in (9.0, 10.0)]
    ledger.fill(PBX, log, (BASE - 60, BASE + 11))
    ledger.add([entry("offer_missed", when, agent="1001") for when in (10.01, 10.51)], {})
    ledger.fill(PBX, log, (BASE - 60, BASE + 40))
    assert [(row.at, ordinal) for row, ordinal, _ in kept(ledger)] == [(at(10.01), 1), (at(10.51), 2)]


def test_the_same_leg_again_across_a_gap(ledger: Ledger) -> None:
    """A caller who joins again after a gap, and is missed each second, is told as often as the log tells."""
    log = [line("offer_missed", second, agent="1001") for second in (38.4, 39.4, 85.0, 85.4, 86.0)]
    ledger.fill(PBX, log[:2], (BASE - 60, BASE + 43))
    ledger.fill(PBX, log, (BASE - 20, BASE + 86))
    ledger.add([entry("offer_missed", when, agent="1001") for when in (85.41, 85.01, 86.0)], {})
    ledger.fill(PBX, log, (BASE - 20, BASE + 90))
    assert [(row.at, ordinal) for row, ordinal, _ in kept(ledger)] == [
        (at(38.0), 1),
        (at(39.0), 2),
        (at(85.01), 3),
        (at(85.41), 4),
        (at(86.0), 5),
    ]


def test_a_half_across_two_gaps(ledger: Ledger) -> None:
    """Of a caller whom the log knows by a Local half, what events told and what is read is each told once."""
    log = [
        line(at=1.0, leg="5.2"),
        line("offer_missed", 30.0, "5.2", "1001"),
        line("offer_missed", 200.0, "5.2", "1001"),
        line("caller_answered", 400.0, "5.2", "1001"),
    ]
    ledger.add([entry(at=1.1, leg="5.1")], {})
    ledger.fill(PBX, log[:2], (BASE - 50, BASE + 40))
    ledger.fill(PBX, log[:3], (BASE + 150, BASE + 220))
    ledger.add([entry("caller_answered", 400.2, "5.1", "1001")], {})
    ledger.fill(PBX, log, (BASE + 350, BASE + 410))
    assert [(row.kind, row.leg, row.source) for row, _, _ in kept(ledger)] == [
        ("caller_queued", "5.1", "event"),
        ("offer_missed", "5.1", "log"),
        ("offer_missed", "5.1", "log"),
        ("caller_answered", "5.1", "event"),
    ]


def test_an_event_after_its_nameless_line(ledger: Ledger) -> None:
    """The event says whose the line was."""
    ledger.fill(PBX, [line("offer_missed", 1.0)], ALL)
    told = entry("offer_missed", 1.4, agent="1001")
    ledger.add([told], {})
    assert kept(ledger) == [(told, 1, True)]


def test_fill(ledger: Ledger) -> None:
    """The log adds what is missing, confirms what is there, and replaces what it knows better."""
    ledger.add([entry(at=1.2), entry("caller_abandoned", 5.1)], {})
    log = [line(at=1.0), line("offer_missed", 3.0, agent="1001"), line("caller_left", 5.0)]
    plan = ledger.fill(PBX, log, ALL)
    assert [row.entry for row in plan.insert] == [log[1], log[2]]
    assert (len(plan.mark), len(plan.drop)) == (1, 1)
    assert kept(ledger) == [(entry(at=1.2), 1, True), (log[1], 1, False), (log[2], 1, False)]
    assert ledger.fill(PBX, log, ALL).insert == ()


def test_fill_with_many_legs(ledger: Ledger) -> None:
    """More legs than fit into one question are all compared, also those from before the time covered."""
    log = [line(at=-5000.0, leg=f"{number}.1") for number in range(1200)]
    ledger.fill(PBX, log, ALL)
    assert ledger.fill(PBX, log, ALL).insert == ()


def test_gaps(ledger: Ledger) -> None:
    """An open gap is the same until it is closed; it is told with what was counted."""
    gap = ledger.open_gap(PBX, at(0), GapCause.AWAY)
    assert ledger.open_gap(PBX, at(5), GapCause.LINK_DOWN) == gap
    (told,) = ledger.gaps(at(100), at(101))
    assert (told.began_at, told.ended_at, told.state, told.cause) == (
        at(0),
        None,
        GapState.OPEN,
        GapCause.AWAY,
    )
    counts = [
        Count(queue=QueueId("q"), served=2, unserved=1),
        Count(queue=QueueId("q"), agent=AgentId("1001"), served=2),
    ]
    closed = Closed(row=gap, state=GapState.PARTLY, detail="why", found=3, counts=tuple(counts))
    ledger.remember(PBX, until=at(9), began_at=at(0), counters=b"", names=b"", closed=closed)
    assert ledger.gaps(at(9), at(20)) == []
    (told,) = ledger.gaps(at(8), at(20))
    assert (told.ended_at, told.state, told.detail, told.found) == (at(9), GapState.PARTLY, "why", 3)
    assert told.counts == tuple(counts)
    assert ledger.open_gap(PBX, at(10), GapCause.OVERRUN) != gap


def test_what_is_known_of_a_pbx(ledger: Ledger) -> None:
    """Until when all is known only ever grows, and begins where the ledger does."""
    assert ledger.remembered(PBX) is None
    ledger.add([], {PBX: at(3)})
    assert ledger.remembered(PBX) is None, "nothing is complete before it was begun"
    ledger.remember(PBX, until=at(5), began_at=at(1), counters=b"c", names=b"n")
    ledger.add([], {PBX: at(7)})
    ledger.remember(PBX, until=at(6), began_at=at(2), counters=b"d", names=b"m")
    known = ledger.remembered(PBX)
    assert known is not None
    assert (known.began_at, known.complete_until, known.counters, known.names) == (at(1), at(7), b"d", b"m")


def test_told_since(ledger: Ledger) -> None:
    """Counted as Asterisk's counters do: who left by a key is not unserved."""
    ledger.add(
        [
            entry("call_served", 1, agent="1001", leg="1.1"),
            entry("call_served", 9, agent="1001", leg="1.2"),
            entry("caller_abandoned", 9, leg="1.3"),
            entry("caller_left", 9, leg="1.4", by="timeout"),
            entry("caller_left", 9, leg="1.5", by="key"),
        ],
        {},
    )
    assert ledger.told_since(PBX, at(5)) == {("support", ""): (1, 2), ("support", "1001"): (1, 0)}


def test_purge(ledger: Ledger) -> None:
    """What is older goes, gaps and their counts with it, and the ledger begins later."""
    ledger.remember(PBX, until=at(50), began_at=at(0), counters=b"", names=b"")
    ledger.add([entry(at=1.0), entry(at=20.0, leg="1.2")], {})
    gap = ledger.open_gap(PBX, at(0), GapCause.AWAY)
    count = Count(queue=QueueId("q"), served=1)
    closed = Closed(row=gap, state=GapState.PARTLY, detail="", found=0, counts=(count,))
    ledger.remember(PBX, until=at(2), began_at=at(0), counters=b"", names=b"", closed=closed)
    assert ledger.purge(at(10)) == 1
    assert [row.at for row, _, _ in kept(ledger)] == [at(20)]
    assert ledger.gaps(at(0), at(100)) == []
    known = ledger.remembered(PBX)
    assert known is not None
    assert known.began_at == at(10)


@pytest.mark.parametrize("content", [b"no database at all, but long enough to be taken for one" * 20])
def test_a_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    """A spoilt file is told with the cure, is left as it is, and a new one in its place is used at once."""
    ledger = Ledger(tmp_path)
    ledger.path.write_bytes(content)
    with pytest.raises(LedgerUnavailable, match=r"not a database.*move it away") as caught:
        ledger.add([entry()], {})
    assert caught.value.code == "history.unavailable"
    assert ledger.path.read_bytes() == content
    ledger.path.unlink()
    ledger.add([entry()], {})
    assert len(kept(ledger)) == 1


def test_a_file_that_cannot_be_made(tmp_path: Path) -> None:
    """A directory that is not there is told with the cure."""
    with pytest.raises(LedgerUnavailable, match=r"unable to open.*writable"):
        Ledger(tmp_path / "nowhere").remembered(PBX)


def test_a_file_that_another_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock is waited for, then told; when it is gone all is well."""
    monkeypatch.setattr("ctid.history.ledger.BUSY_S", 0.05)
    ledger = Ledger(tmp_path)
    ledger.add([entry()], {})
    other = sqlite3.connect(ledger.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerUnavailable, match=r"locked.*fuser"):
        ledger.add([entry(at=5.0)], {})
    other.execute("ROLLBACK")
    other.close()
    ledger.add([entry(at=5.0)], {})
    assert len(kept(ledger)) == 2


def test_a_full_disk(tmp_path: Path) -> None:
    """A disk without room is told; what was there before is there, and nothing of what was half written."""
    ledger = Ledger(tmp_path)
    ledger.add([entry()], {})
    pages = ledger.read(lambda connection: connection.execute("PRAGMA page_count").fetchone()[0])
    assert ledger._connection is not None
    ledger._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LedgerUnavailable, match=r"full.*make room"):
        ledger.add([entry(leg=f"{number}.1") for number in range(2000)], {})
    assert len(kept(ledger)) == 1


def test_an_unknown_trouble(tmp_path: Path) -> None:
    """Any other trouble of the file is told in SQLite's words."""
    ledger = Ledger(tmp_path)

    def no_such_table(connection: sqlite3.Connection) -> None:
        connection.execute("SELECT * FROM nowhere")

    with pytest.raises(LedgerUnavailable, match=r"no such table.*see what is wrong"):
        ledger.read(no_such_table)


def test_a_defect_leaves_nothing_half_done(ledger: Ledger) -> None:
    """An error that is not the file's ends the transaction, and goes on as it is."""
    broken = replace(entry(at=2.0), position="three")

    def defect(_: sqlite3.Connection) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        ledger._write(defect)
    ledger.add([broken], {})
    assert len(kept(ledger)) == 1


def test_tables_of_a_later_version(tmp_path: Path) -> None:
    """A file of a newer ctid is left alone, and the text says what to do."""
    ledger = Ledger(tmp_path)
    ledger.add([], {})
    ledger.close()
    with sqlite3.connect(ledger.path) as connection:
        connection.execute(f"PRAGMA user_version = {len(schema.MIGRATIONS) + 1}")
    connection.close()
    with pytest.raises(LedgerUnavailable, match="of version 2, and this ctid knows 1; install"):
        ledger.add([], {})


def test_tables_are_made_by_an_old_sqlite() -> None:
    """SQLite 3.34 knows each statement: tables and indexes are made, and no column is dropped or renamed."""
    statements = [part.split() for script in schema.MIGRATIONS for part in script.split(";") if part.strip()]
    assert {(verb, what) for verb, what, *_ in statements} == {("CREATE", "TABLE"), ("CREATE", "INDEX")}


def test_migration_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that fails leaves the tables of the version before; a good one brings them on."""
    ledger = Ledger(tmp_path)
    ledger.add([entry()], {})
    ledger.close()
    bad = (*schema.MIGRATIONS, "ALTER TABLE moments ADD COLUMN note TEXT; ALTER TABLE nowhere ADD COLUMN x;")
    monkeypatch.setattr(schema, "MIGRATIONS", bad)
    with pytest.raises(LedgerUnavailable, match="no such table"):
        ledger.add([], {})
    good = (*bad[:-1], "ALTER TABLE moments ADD COLUMN note TEXT;")
    monkeypatch.setattr(schema, "MIGRATIONS", good)
    assert len(kept(ledger)) == 1
    assert ledger.read(lambda connection: connection.execute("PRAGMA user_version").fetchone()) == (2,)
