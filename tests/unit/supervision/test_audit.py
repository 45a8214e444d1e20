import asyncio
import os
import stat
from pathlib import Path

import pytest

from ctid.model.entities import Supervision
from ctid.model.errors import AuditUnavailable
from ctid.model.ids import AgentId, CallId, PbxId, SupervisionId
from ctid.model.words import Mode, Purpose, SupervisionState
from ctid.supervision.audit import FILE, Audit, Entry
from helpers.desk import listen, read_audit
from helpers.floor import BASE


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _entry(event: str) -> Entry:
    session = Supervision(
        id=SupervisionId("s1"),
        pbx=PbxId("lab"),
        state=SupervisionState.ACTIVE,
        mode=Mode.LISTEN,
        since=BASE,
        started_at=BASE,
        supervisor="sofia",
        phone="desk",
        agent=AgentId("1001"),
        call=CallId("lab.c1"),
        purpose=Purpose.TRAINING,
        note="l'été\nfin",
    )
    return Entry(at=BASE, event=event, supervision=session, by="sofia", detail="why")


async def test_an_entry_is_a_line_that_can_be_read_again(tmp_path: Path) -> None:
    """Who, whom, when, why: nothing is lost, and a line break in a note does not break the line."""
    await Audit(tmp_path).write(_entry("requested"))
    text = (tmp_path / FILE).read_text("utf-8")
    assert text.count("\n") == 1
    assert '"at":"2026-01-01T00:00:00.000Z"' in text
    assert read_audit(tmp_path / FILE) == [_entry("requested")]


async def test_entries_are_appended_in_their_order(tmp_path: Path) -> None:
    """Also those written at the same time, and those of a daemon before."""
    events = [f"event {number}" for number in range(20)]
    await Audit(tmp_path).write(_entry("before"))
    audit = Audit(tmp_path)
    await asyncio.gather(*(audit.write(_entry(event)) for event in events))
    assert [entry.event for entry in read_audit(audit.path)] == ["before", *events]


async def test_the_file_is_not_for_everybody(tmp_path: Path) -> None:
    """Who listened to whom can be read by the daemon's user and group alone."""
    audit = Audit(tmp_path)
    await audit.write(_entry("requested"))
    assert stat.S_IMODE(audit.path.stat().st_mode) & 0o137 == 0


async def test_an_entry_is_on_the_disk_when_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash right after it does not lose it: the data are synchronized before the answer."""
    synced: list[bytes] = []
    audit = Audit(tmp_path)

    def fdatasync(_: int) -> None:
        synced.append(audit.path.read_bytes())

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    await audit.write(_entry("requested"))
    assert synced == [audit.path.read_bytes()]


async def test_a_directory_that_is_gone_is_told_with_the_cure(tmp_path: Path) -> None:
    """The text names the file and the reason."""
    audit = Audit(tmp_path / "gone")
    with pytest.raises(AuditUnavailable, match=r"audit\.jsonl cannot be written \(No such file") as told:
        await audit.write(_entry("requested"))
    assert told.value.code == "audit.unavailable"


async def test_a_full_disk_is_an_audit_that_failed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of which only a part fitted is taken back: the next is not spoilt, and no file stays open."""
    audit = Audit(tmp_path)
    await audit.write(_entry("before"))
    descriptors, write = _open_files(), os.write
    with monkeypatch.context() as full:
        full.setattr(os, "write", lambda file, line: write(file, line[:10]))
        with pytest.raises(AuditUnavailable, match="No space left on device"):
            await audit.write(_entry("torn"))
    assert _open_files() == descriptors
    await audit.write(_entry("after"))
    assert [entry.event for entry in read_audit(audit.path)] == ["before", "after"]


async def test_a_request_that_began_no_session_is_an_entry(tmp_path: Path) -> None:
    """It stands in the session's place."""
    entry = Entry(
        at=BASE, event="refused", supervision=None, request=listen("9999"), by="sofia", detail="why"
    )
    await Audit(tmp_path).write(entry)
    assert read_audit(tmp_path / FILE) == [entry]


async def test_the_audit_works_again_once_it_can(tmp_path: Path) -> None:
    """A failure is of its entry, not of those after it."""
    audit = Audit(tmp_path / "state")
    with pytest.raises(AuditUnavailable):
        await audit.write(_entry("lost"))
    (tmp_path / "state").mkdir()
    await audit.write(_entry("kept"))
    assert [entry.event for entry in read_audit(audit.path)] == ["kept"]


async def test_what_was_never_told_as_ended_is_found(tmp_path: Path) -> None:
    """Of a ctid that was killed, the sessions that went on are known; spoilt lines are skipped."""
    audit = Audit(tmp_path)
    assert await audit.unfinished() == {}
    for event in ("requested", "ringing", "active"):
        await audit.write(_entry(event))
    with (tmp_path / FILE).open("ab") as file:
        file.write(b"{spoilt\n")
    assert list(await audit.unfinished()) == ["s1"]
    await audit.write(_entry("ended"))
    assert await audit.unfinished() == {}


async def test_an_audit_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    """It says which file."""
    (tmp_path / FILE).mkdir()
    with pytest.raises(AuditUnavailable, match="cannot be read"):
        await Audit(tmp_path).unfinished()
