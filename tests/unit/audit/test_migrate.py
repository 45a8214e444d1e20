"""The log of before there was a chain."""

import hashlib
import json
from pathlib import Path

import structlog

from ctid.audit import Audit, Entry
from ctid.audit.entries import Selection
from ctid.audit.files import Files
from helpers.fakes import FakeClock
from helpers.floor import BASE

AFTER = Entry(at=BASE, event="after")


def _old(at: str, event: object = "active") -> bytes:
    return json.dumps({"at": at, "event": event, "supervision": None, "by": "sofia", "detail": ""}).encode()


OLD = b"\n".join(
    [_old("2025-12-30T10:00:00.000Z"), b"{spoilt", _old("2025-12-31T10:00:00.000Z", "ended"), b""]
)


async def _start(folder: Path) -> Audit:
    audit = Audit(folder, FakeClock())
    await audit.write(AFTER)
    return audit


def _events(folder: Path) -> list[str]:
    return [record.event for record in Files(folder / "audit").records()]


async def test_an_old_audit_is_taken_over(tmp_path: Path) -> None:
    """Each entry under its day, also what cannot be read; the first record tells of the file that was."""
    old = tmp_path / "audit.jsonl"
    old.write_bytes(OLD)
    audit = await _start(tmp_path)
    assert _events(tmp_path) == ["migrated", "active", "unreadable", "ended", "after"]
    first, active, unreadable, *_ = await audit.items(Selection(), after=0, upto=9, limit=9)
    digest = hashlib.sha256(OLD).hexdigest()
    told = {"file": "audit.jsonl", "sha256": digest, "entries": 3, "unreadable": 1}
    assert (first.payload or {})["about"] == told
    assert active.by == "sofia"
    assert (unreadable.payload or {})["about"] == {"text": "{spoilt"}
    assert [path.stem for path in Files(audit.path).days()] == ["2025-12-30", "2026-01-01"]
    assert not old.exists()
    assert Files(audit.path).verify().ok


async def test_an_old_audit_is_taken_over_once(tmp_path: Path) -> None:
    """A crash before the old file was gone, or before the new ones were there, changes nothing of it."""
    old = tmp_path / "audit.jsonl"
    old.write_bytes(OLD)
    (tmp_path / "audit.new").mkdir()
    (tmp_path / "audit.new" / "left").write_bytes(b"x")
    await _start(tmp_path)
    old.write_bytes(OLD)
    await _start(tmp_path)
    assert not old.exists()
    assert _events(tmp_path)[-3:] == ["ended", "after", "after"]
    old.write_bytes(_old("2026-01-01T10:00:00.000Z"))
    with structlog.testing.capture_logs() as logs:
        audit = await _start(tmp_path)
    assert old.exists()
    assert [entry["event"] for entry in logs] == ["an audit of before the chain is left where it is"]
    assert Files(audit.path).verify().ok


async def test_an_old_audit_without_entries(tmp_path: Path) -> None:
    """An empty one, and one of lines that are no entries, are taken over as that."""
    (tmp_path / "audit.jsonl").touch()
    await _start(tmp_path)
    assert _events(tmp_path) == ["migrated", "after"]
    other = tmp_path / "other"
    other.mkdir()
    (other / "audit.jsonl").write_bytes(_old("2026-01-01T10:00:00.000Z", 7))
    await _start(other)
    assert _events(other) == ["migrated", "unreadable", "after"]
