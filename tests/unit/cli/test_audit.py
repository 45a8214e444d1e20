"""`ctid audit`, `ctid purge` and `ctid subject`."""

import asyncio
import csv
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctid.audit import Audit, Entry
from ctid.cli.exits import Exit
from helpers.fakes import FakeClock
from helpers.floor import BASE

from .conftest import AT, FakeCtid, Run

AMI = 'username = "ctid"\nsecret = "x"\n'
RunJson = Callable[..., tuple[int, Any]]
ITEM = {
    "seq": 1,
    "at": AT,
    "event": "active",
    "by": "",
    "agent": "1001",
    "call": "main.1",
    "supervision": "s1",
    "detail": "",
    "payload": {"supervision": {"supervisor": "anna", "mode": "listen", "note": "=1+1"}},
    "hash": "ab",
}
PAGES = [{"items": [ITEM], "next": "more"}, {"items": [ITEM | {"seq": 2}], "next": None}]
REPORT = {
    "subject": {"kind": "agent", "id": "1001"},
    "at": AT,
    "dry_run": True,
    "classes": [{"name": "audit", "erased": 2, "kept": 5, "reason": "the law"}],
}


@pytest.fixture
def listed(server: FakeCtid) -> FakeCtid:
    """An audit of two pages."""
    server.answers["GET /audit"] = (200, PAGES[0])
    server.answers["GET /audit?limit=500&cursor=more"] = (200, PAGES[1])
    return server


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state directory with three records."""

    async def write() -> None:
        audit = Audit(tmp_path, FakeClock(BASE))
        for number in range(3):
            await audit.write(Entry(at=BASE, event=f"e{number}", about={"note": "n"}))

    asyncio.run(write())
    return tmp_path


def test_the_records_are_listed(listed: FakeCtid, run: Run, run_json: RunJson) -> None:
    """All pages, as a table or as one document."""
    code, out, _ = run("audit", "list")
    assert code == Exit.OK
    assert [line.split()[0] for line in out.splitlines()] == ["RECORD", "1", "2"]
    assert "2026-03-01 08:00:00Z" in out
    code, document = run_json("audit", "list")
    assert [item["seq"] for item in document["items"]] == [1, 2]
    listed.answers["GET /audit"] = (200, {"items": [], "next": None})
    assert run("audit", "list", "--agent", "1002", "--by", "x", "--event", "ended")[1] == "no records\n"


def test_the_records_are_exported(listed: FakeCtid, run: Run) -> None:
    """As CSV that no spreadsheet carries out, or as JSON."""
    del listed
    code, out, _ = run("audit", "export")
    rows = list(csv.DictReader(io.StringIO(out, newline="")))
    assert code == Exit.OK
    assert [(row["seq"], row["supervisor"], row["note"]) for row in rows] == [
        ("1", "anna", "'=1+1"),
        ("2", "anna", "'=1+1"),
    ]
    assert '"seq":2' in run("audit", "export", "--format", "json")[1]


def test_the_files_are_verified(state: Path, run: Run, run_json: RunJson) -> None:
    """Without a daemon; what was changed is named, and the exit code says so."""
    where = ("--directory", str(state))
    code, out, _ = run("audit", "verify", *where)
    assert (code, out.splitlines()[0]) == (Exit.OK, "good: records 1 to 3")
    code, found = run_json("audit", "verify", *where, "--anchor", "0" * 64)
    assert (code, found["ok"]) == (Exit.REFUSED, False)
    assert "no record has the hash" in run("audit", "verify", *where, "--anchor", "0" * 64)[1]
    (day,) = (state / "audit").glob("*.jsonl")
    day.write_bytes(day.read_bytes().replace(b'"e1"', b'"e9"'))
    code, out, _ = run("audit", "verify", *where)
    assert code == Exit.REFUSED
    assert f"record 2 ({day.name}:2): its hash is not that of what it says" in out


def test_the_configuration_says_where(state: Path, tmp_path: Path, run: Run) -> None:
    """One that cannot be read leaves --directory; where there is no audit, that is told."""
    file = tmp_path / "ctid.toml"
    file.write_text(f'state_directory = "{state}"\n[[pbx]]\nid = "main"\ndriver = "asterisk"\n{AMI}')
    assert run("audit", "verify", "--config", str(file))[0] == Exit.OK
    code, _, err = run("audit", "verify", "--config", str(tmp_path / "gone.toml"))
    assert code == Exit.CONFIG
    assert "--directory" in err
    code, _, err = run("audit", "verify", "--directory", str(tmp_path / "gone"))
    assert code == Exit.REFUSED
    assert "cannot be read" in err


def test_the_daemon_verifies(server: FakeCtid, run: Run) -> None:
    """With --remote; what was erased and purged is told."""
    found = {
        "ok": True,
        "records": 2,
        "first": 3,
        "last": 4,
        "last_hash": "ab",
        "erased": 1,
        "purged_to": 2,
        "findings": [],
    }
    server.answers["GET /audit/verification"] = (200, found)
    code, out, _ = run("audit", "verify", "--remote")
    assert code == Exit.OK
    assert out.splitlines()[0] == "good: records 3 to 4, 1 erased in part, those up to 2 purged"
    server.answers["GET /audit/verification"] = (200, found | {"records": 0, "erased": 0, "purged_to": 0})
    assert "good: no records" in run("audit", "verify", "--remote")[1]


def test_purge(server: FakeCtid, run: Run) -> None:
    """What went, or would go, by class; one that failed makes the exit code."""
    kept = {"name": "audit", "keep_days": 365, "before": AT, "purged": 7, "problem": ""}
    for dry_run, word in ((True, "WOULD GO"), (False, "GONE")):
        server.answers["POST /retention/purge"] = (200, {"at": AT, "dry_run": dry_run, "classes": [kept]})
        code, out, _ = run("purge", *(["--dry-run"] if dry_run else []))
        assert code == Exit.OK
        assert word in out.splitlines()[0]
        assert out.splitlines()[1].split() == ["audit", "365", "2026-03-01", "08:00:00Z", "7"]
    failed = {"at": AT, "dry_run": False, "classes": [kept | {"purged": None, "problem": "no disk"}]}
    server.answers["POST /retention/purge"] = (200, failed)
    code, out, _ = run("purge")
    assert code == Exit.REFUSED
    assert "no disk" in out


def test_subject(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """What is kept is printed as JSON; what was erased, and what stays, as a table."""
    server.answers["GET /subjects/agent/1001"] = (200, {"classes": {"audit": []}})
    assert run("subject", "export", "--agent", "1001")[1] == '{"classes":{"audit":[]}}\n'
    server.answers["DELETE /subjects/number/33612345678?dry_run=true"] = (200, REPORT)
    server.answers["DELETE /subjects/agent/1001"] = (200, REPORT | {"dry_run": False})
    code, out, _ = run("subject", "erase", "--number", "+33 6 12 34 56 78", "--dry-run")
    assert code == Exit.OK
    assert "WOULD BE ERASED" in out
    assert out.splitlines()[1].split() == ["audit", "2", "5", "the", "law"]
    assert run_json("subject", "erase", "--agent", "1001")[1]["dry_run"] is False
