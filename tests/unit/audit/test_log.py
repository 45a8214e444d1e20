import asyncio
import hashlib
import os
import stat
from pathlib import Path
from typing import Any

import pytest
import structlog
from msgspec.structs import replace

from ctid.audit import Anchor, Audit, Entry, log
from ctid.audit.chain import GENESIS
from ctid.audit.entries import Selection
from ctid.audit.files import Files, day_of
from ctid.audit.verifying import Verification
from ctid.model.entities import Supervision
from ctid.model.errors import AuditUnavailable
from ctid.model.ids import AgentId, CallId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Purpose, SupervisionState
from ctid.tasks import TaskOwner
from helpers.desk import listen, read_audit
from helpers.fakes import FakeClock
from helpers.floor import BASE
from helpers.patience import until

DAY_S = 86_400.0
TODAY = "2026-01-01"


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _entry(event: str, *, by: str = "", agent: str = "1001", note: str = "l'été\nfin") -> Entry:
    session = Supervision(
        id=SupervisionId("s1"),
        pbx=PbxId("lab"),
        state=SupervisionState.ACTIVE,
        mode=Mode.LISTEN,
        since=BASE,
        started_at=BASE,
        supervisor="sofia",
        phone="desk",
        agent=AgentId(agent),
        call=CallId("lab.c1"),
        purpose=Purpose.TRAINING,
        note=note,
    )
    return Entry(at=BASE, event=event, supervision=session, by=by, detail="why")


def _audit(folder: Path, at: float = BASE) -> Audit:
    return Audit(folder, FakeClock(at))


def _today(folder: Path) -> Path:
    return folder / "audit" / f"{TODAY}.jsonl"


def _verified(folder: Path, anchor: str = "") -> Verification:
    return Files(folder / "audit").verify(anchor)


def _events(folder: Path) -> list[str]:
    return [record.event for record in Files(folder / "audit").records()]


def _abouts(folder: Path, event: str) -> list[dict[str, Any]]:
    records = Files(folder / "audit").records()
    return [(record.payload or {})["about"] for record in records if record.event == event]


def _broken(*_: object) -> int:
    raise OSError(5, "Input/output error")


async def test_an_entry_is_a_line_that_can_be_read_again(tmp_path: Path) -> None:
    """Who, whom, when, why: nothing is lost, and a line break in a note does not break the line."""
    await _audit(tmp_path).write(_entry("requested"))
    text = _today(tmp_path).read_text("utf-8")
    assert text.count("\n") == 1
    assert '"at":"2026-01-01T00:00:00.000Z"' in text
    assert read_audit(tmp_path / "audit") == [_entry("requested")]


async def test_entries_are_appended_in_their_order(tmp_path: Path) -> None:
    """Also those written at the same time, and those of a daemon before: one chain."""
    events = [f"event {number}" for number in range(20)]
    await _audit(tmp_path).write(_entry("before"))
    audit = _audit(tmp_path)
    await asyncio.gather(*(audit.write(_entry(event)) for event in events))
    assert _events(tmp_path) == ["before", *events]
    found = _verified(tmp_path)
    assert (found.ok, found.records, found.last) == (True, 21, 21)
    assert await audit.verification() == found


async def test_the_files_are_not_for_everybody(tmp_path: Path) -> None:
    """Who listened to whom can be read by the daemon's user and group alone."""
    audit = _audit(tmp_path)
    await audit.write(_entry("requested"))
    for path in (audit.path, *audit.path.iterdir()):
        assert stat.S_IMODE(path.stat().st_mode) & 0o027 == 0, path


async def test_an_entry_is_on_the_disk_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash right after it does not lose it: the data are synchronized before the answer."""
    synced: list[bytes] = []
    audit = _audit(tmp_path)
    monkeypatch.setattr(os, "fdatasync", lambda _: synced.append(_today(tmp_path).read_bytes()))
    await audit.write(_entry("requested"))
    assert synced == [_today(tmp_path).read_bytes()]


async def test_each_day_has_its_file(tmp_path: Path) -> None:
    """In UTC; a clock that is set back appends to the newest file, so that their order is the chain's."""
    clock = FakeClock(BASE - 1)
    audit = Audit(tmp_path, clock)
    for at in (BASE - 1, BASE, BASE - 5):
        clock.at = at
        await audit.write(_entry(f"at {at - BASE:g}"))
    assert [path.stem for path in Files(audit.path).days()] == ["2025-12-31", TODAY]
    assert _events(tmp_path) == ["at -1", "at 0", "at -5"]
    assert _verified(tmp_path).ok


# What goes wrong --------------------------------------------------------------------------------------


async def test_a_directory_that_is_gone_is_told_with_the_cure(tmp_path: Path) -> None:
    """The text names the folder and the reason."""
    audit = _audit(tmp_path / "gone")
    with pytest.raises(AuditUnavailable, match=r"gone/audit cannot be written \(No such file") as told:
        await audit.write(_entry("requested"))
    assert told.value.code == "audit.unavailable"


async def test_a_full_disk_is_an_audit_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of which only a part fitted is taken back: the chain goes on, and no file stays open."""
    audit = _audit(tmp_path)
    await audit.write(_entry("before"))
    descriptors, write = _open_files(), os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: write(file, line[:10]))
        with pytest.raises(AuditUnavailable, match="No space left on device"):
            await audit.write(_entry("torn"))
    assert _open_files() == descriptors
    await audit.write(_entry("after"))
    assert _events(tmp_path) == ["before", "after"]
    assert _verified(tmp_path).ok


async def test_the_audit_works_again_once_it_can(tmp_path: Path) -> None:
    """A failure is of its entry, not of those after it."""
    audit = _audit(tmp_path / "state")
    with pytest.raises(AuditUnavailable):
        await audit.write(_entry("lost"))
    (tmp_path / "state").mkdir()
    await audit.write(_entry("kept"))
    assert _events(tmp_path / "state") == ["kept"]


async def test_a_write_that_is_given_up_makes_no_second_end(tmp_path: Path) -> None:
    """Whoever waits for it may be cancelled; the thread that writes goes on, and the next waits for it."""
    audit = _audit(tmp_path)
    await audit.write(_entry("first"))
    for number in range(10):
        tasks = TaskOwner()
        tasks.spawn("given up", audit.write(_entry(f"given up {number}")))
        await asyncio.sleep(0)
        await tasks.close()
        await audit.write(_entry(f"after {number}"))
    assert _verified(tmp_path).ok


async def test_a_torn_line_is_told_and_set_aside(tmp_path: Path) -> None:
    """What a crash left of a line is kept beside the log, a record tells of it, and the chain goes on."""
    await _audit(tmp_path).write(_entry("before"))
    with _today(tmp_path).open("ab") as file:
        file.write(b'{"torn')
    assert not _verified(tmp_path).ok
    await _audit(tmp_path).write(_entry("after"))
    assert _events(tmp_path) == ["before", "torn", "after"]
    (told,) = _abouts(tmp_path, "torn")
    aside = tmp_path / "audit" / told["aside"]
    assert aside.read_bytes() == b'{"torn'
    assert (told["bytes"], told["sha256"]) == (6, hashlib.sha256(b'{"torn').hexdigest())
    assert _verified(tmp_path).ok


async def test_what_was_torn_is_told_when_it_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that is full at that moment does not lose it."""
    await _audit(tmp_path).write(_entry("before"))
    with _today(tmp_path).open("ab") as file:
        file.write(b"torn")
    audit, write = _audit(tmp_path), os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: write(file, line[:10]))
        with pytest.raises(AuditUnavailable):
            await audit.write(_entry("lost"))
    await audit.write(_entry("after"))
    assert _events(tmp_path) == ["before", "torn", "after"]


@pytest.mark.parametrize(("cut", "record"), [(0, None), (1, 3), (3, 4)])
async def test_an_end_that_is_gone_is_told(tmp_path: Path, cut: int, record: int | None) -> None:
    """Records cut off while ctid was away: the next run says so, and verifying finds it ever after."""
    audit = _audit(tmp_path)
    for number in range(3):
        await audit.write(_entry(f"e{number}"))
    lines = _today(tmp_path).read_bytes().splitlines(keepends=True)
    _today(tmp_path).write_bytes(b"".join(lines[: 3 - cut]))
    await _audit(tmp_path).write(_entry("after"))
    assert ("damaged" in _events(tmp_path)) == bool(cut)
    found = _verified(tmp_path)
    assert [finding.record for finding in found.findings][:1] == ([record] if cut else [])


async def test_a_last_record_that_is_another_is_told(tmp_path: Path) -> None:
    """It is not the one that the noted end is of."""
    audit = _audit(tmp_path)
    await audit.write(_entry("e1"))
    kept = (audit.path / "head").read_bytes()
    (audit.path / "head").write_bytes(kept[:21] + b"0" * 64 + b"\n")
    await _audit(tmp_path).write(_entry("after"))
    (told,) = _abouts(tmp_path, "damaged")
    assert "not the one that was last known" in told["problem"]


async def test_a_head_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """Without it nobody could tell that the end was cut off; the next record notes it anew."""
    audit = _audit(tmp_path)
    await audit.write(_entry("e1"))
    (audit.path / "head").write_bytes(b"?")
    (finding,) = _verified(tmp_path).findings
    assert (finding.place, finding.record) == ("head", None)
    (audit.path / "head").unlink()
    assert not _verified(tmp_path).ok
    await audit.write(_entry("e2"))
    assert _verified(tmp_path).ok


async def test_a_head_that_cannot_be_written_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The record is written all the same; the noted end is behind, which is no fault."""
    audit = _audit(tmp_path)
    await audit.write(_entry("e1"))
    with monkeypatch.context() as broken:
        broken.setattr(os, "pwrite", _broken)
        with structlog.testing.capture_logs() as logs:
            await audit.write(_entry("e2"))
    assert [entry["log_level"] for entry in logs] == ["warning"]
    assert _verified(tmp_path).ok
    await audit.write(_entry("e3"))
    assert _events(tmp_path) == ["e1", "e2", "e3"]
    assert _verified(tmp_path).ok


async def test_an_audit_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """It says where."""
    audit = _audit(tmp_path)
    await audit.write(_entry("e1"))
    _today(tmp_path).unlink()
    _today(tmp_path).mkdir()
    with pytest.raises(AuditUnavailable, match=r"2026-01-01\.jsonl cannot be read"):
        await audit.unfinished()


# Sessions that went on --------------------------------------------------------------------------------


async def test_a_request_that_began_no_session_is_an_entry(tmp_path: Path) -> None:
    """It stands in the session's place."""
    entry = Entry(
        at=BASE, event="refused", supervision=None, request=listen("9999"), by="sofia", detail="why"
    )
    await _audit(tmp_path).write(entry)
    assert read_audit(tmp_path / "audit") == [entry]


async def test_what_was_never_told_as_ended_is_found(tmp_path: Path) -> None:
    """Of a ctid that was killed, the sessions that went on are known; spoilt lines are passed over."""
    audit = _audit(tmp_path)
    assert await audit.unfinished() == {}
    await audit.write(_entry("requested", by="sofia"))
    assert await audit.unfinished() == {}
    for event in ("ringing", "active"):
        await audit.write(_entry(event))
    with _today(tmp_path).open("ab") as file:
        file.write(b"{spoilt\n")
    found = await audit.unfinished()
    assert found == {"s1": _entry("active").supervision}
    await audit.write(_entry("ended"))
    assert await audit.unfinished() == {}


async def test_a_session_of_another_release_is_passed_over(tmp_path: Path) -> None:
    """One that cannot be read is logged, and ends no start of the daemon."""
    audit = _audit(tmp_path)
    session: Any = {"id": "s9", "mode": "a mode of tomorrow"}
    await audit.write(replace(_entry("active"), supervision=session))
    with structlog.testing.capture_logs() as logs:
        assert await audit.unfinished() == {}
    assert [entry["record"] for entry in logs] == [1]


# Anchors ----------------------------------------------------------------------------------------------


async def test_anchors_are_written_and_told(tmp_path: Path) -> None:
    """One names the last record; it is told to whoever publishes it, and holds against the log later."""
    told: list[Anchor] = []
    audit = _audit(tmp_path)
    audit.anchored = told.append
    assert await audit.anchor() is None
    await audit.write(_entry("e1"))
    anchor = await audit.anchor()
    assert anchor is not None
    assert told == [anchor]
    await audit.write(_entry("e2"))
    found = _verified(tmp_path, anchor.hash)
    assert (found.ok, found.anchor, anchor.record) == (True, 1, 1)
    assert not _verified(tmp_path, GENESIS).ok


async def test_an_anchor_a_day_and_after_each_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the UTC day; one that cannot be written is tried again."""
    monkeypatch.setattr(log, "LONGEST_SLEEP_S", 0.01)
    clock, tasks = FakeClock(BASE + 3600), TaskOwner()
    await _audit(tmp_path).write(_entry("e1"))
    audit = Audit(tmp_path, clock)
    tasks.spawn("audit", audit.run())
    await until(lambda: _events(tmp_path).count("anchor") == 1)
    clock.at = BASE + DAY_S - 1
    await asyncio.sleep(0.05)
    assert _events(tmp_path).count("anchor") == 1
    good, audit.path = audit.path, tmp_path / "nowhere"
    clock.at = BASE + DAY_S
    with structlog.testing.capture_logs() as logs:
        await until(lambda: bool(logs))
    audit.path = good
    clock.at += 10
    await until(lambda: _events(tmp_path).count("anchor") == 2)
    await tasks.close()
    assert logs[0]["event"] == "audit failed"
    assert _events(tmp_path)[:3] == ["e1", "started", "anchor"]
    assert Files(audit.path).days()[-1].stem == "2026-01-02"


# Reading ----------------------------------------------------------------------------------------------


async def test_records_are_chosen_and_paged(tmp_path: Path) -> None:
    """By agent, who asked, event and time, over the days' files; a page begins past a number."""
    clock = FakeClock(BASE)
    audit = Audit(tmp_path, clock)
    told = [("1001", "sofia"), ("1002", "paul"), ("1001", "paul"), ("1001", "")]
    for number, (agent, by) in enumerate(told):
        clock.at = BASE + number * DAY_S
        await audit.write(_entry("requested" if by else "active", by=by, agent=agent))

    async def found(after: int = 0, upto: int = 99, limit: int = 99, **wanted: Any) -> list[int]:
        items = await audit.items(Selection(**wanted), after=after, upto=upto, limit=limit)
        return [item.seq for item in items]

    assert await found() == [1, 2, 3, 4]
    assert await found(agent="1001") == [1, 3, 4]
    assert await found(by="paul") == [2, 3]
    assert await found(by="sofia") == [1, 2, 3, 4], "as the supervisor of the session as well"
    assert await found(event="active") == [4]
    assert await found(since=BASE + DAY_S, until=BASE + 3 * DAY_S) == [2, 3]
    assert await found(after=1, limit=2) == [2, 3]
    assert await found(after=2, upto=3) == [3]
    assert await audit.end() == 4
    (item,) = await audit.items(Selection(event="active"), after=0, upto=99, limit=1)
    assert (item.agent, item.call, item.supervision, item.detail) == ("1001", "lab.c1", "s1", "why")
    assert (item.payload or {})["supervision"]["note"] == "l'été\nfin"


# Erasing and purging ----------------------------------------------------------------------------------


async def test_texts_are_erased_in_the_files(tmp_path: Path) -> None:
    """They are nowhere any more, what happened is still there, and the chain says who erased them and why."""
    clock = FakeClock(BASE)
    audit = Audit(tmp_path, clock)
    for number in range(3):
        clock.at = BASE + number * DAY_S
        await audit.write(_entry(f"e{number}", note=f"secret {number}"))
    anchor = await audit.anchor()
    assert anchor is not None
    assert await audit.erase_texts(lambda record: record.seq > 1, why="w", by="root", dry_run=True) == 2
    assert await audit.erase_texts(lambda record: record.seq > 1, why="w", by="root") == 2
    assert await audit.erase_texts(lambda record: record.seq > 1, why="w", by="root") == 0
    kept = b"".join(path.read_bytes() for path in audit.path.iterdir())
    assert [f"secret {number}".encode() in kept for number in range(3)] == [True, False, False]
    assert _abouts(tmp_path, "erased") == [{"records": [2, 3], "why": "w", "parts": "texts"}]
    found = _verified(tmp_path, anchor.hash)
    assert (found.ok, found.erased) == (True, 2)


async def test_an_erasure_is_told_before_it_is_done(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash between the two leaves the texts, in a log that verifies; asked again, it is done."""
    audit = _audit(tmp_path)
    await audit.write(_entry("e1"))
    with monkeypatch.context() as broken:
        broken.setattr(os, "fsync", _broken)
        with pytest.raises(AuditUnavailable):
            await audit.erase_texts(lambda _: True, why="w", by="root")
    assert "l'été" in _today(tmp_path).read_text("utf-8")
    assert _verified(tmp_path).ok
    assert await audit.erase_texts(lambda _: True, why="w", by="root") == 1
    assert "l'été" not in _today(tmp_path).read_text("utf-8")
    assert _verified(tmp_path).ok


async def test_what_cannot_be_read_survives_an_erasure(tmp_path: Path) -> None:
    """It is evidence: a line that is no record stays as it is, and is still found."""
    audit = _audit(tmp_path)
    await audit.write(_entry("e1"))
    with _today(tmp_path).open("ab") as file:
        file.write(b"evidence\n")
    assert await audit.erase_texts(lambda _: True, why="w", by="root") == 1
    assert b"evidence\n" in _today(tmp_path).read_bytes()
    assert not _verified(tmp_path).ok


async def test_old_days_are_purged(tmp_path: Path) -> None:
    """Whole days go, with what was put aside of them; the chain says which records, and still verifies."""
    clock = FakeClock(BASE)
    audit = Audit(tmp_path, clock)
    for number in range(5):
        clock.at = BASE + number * DAY_S
        await audit.write(_entry(f"e{number}"))
    (audit.path / f"{TODAY}.torn-7").write_bytes(b"x")
    before = Instant(BASE + 2.5 * DAY_S)
    assert await audit.purge(Instant(BASE), by="root") == 0
    assert await audit.purge(before, by="root", dry_run=True) == 2
    assert _events(tmp_path) == [f"e{number}" for number in range(5)]
    assert await audit.purge(before, by="root") == 2
    assert _events(tmp_path) == ["e2", "e3", "e4", "purged"]
    assert not list(audit.path.glob("*.torn-*"))
    (told,) = _abouts(tmp_path, "purged")
    assert (told["first"], told["last"], told["days"]) == (1, 2, [day_of(BASE), day_of(BASE + DAY_S)])
    found = _verified(tmp_path)
    assert (found.ok, found.first, found.purged_to) == (True, 3, 2)
    assert await audit.purge(Instant(BASE + 99 * DAY_S), by="root") == 2, "the newest day stays"
    assert _verified(tmp_path).ok
    await _audit(tmp_path, clock.at).write(_entry("after"))
    assert _verified(tmp_path).ok


async def test_nothing_is_purged_that_could_not_be_accounted_for(tmp_path: Path) -> None:
    """Where the first record that is to stay cannot be read, the chain's new beginning could not be told."""
    clock = FakeClock(BASE)
    audit = Audit(tmp_path, clock)
    await audit.write(_entry("e0"))
    clock.at = BASE + DAY_S
    await audit.write(_entry("e1"))
    Files(audit.path).days()[1].write_bytes(b"spoilt\n")
    with pytest.raises(AuditUnavailable, match="first record that is to stay"):
        await audit.purge(Instant(clock.at), by="root")
    assert len(Files(audit.path).days()) == 2
