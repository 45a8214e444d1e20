"""`ctid explain`, `ghosts` and `reconcile` in a terminal and as JSON."""

from collections.abc import Callable
from typing import Any

import pytest

from ctid.cli import main
from ctid.cli.exits import Exit

from .conftest import AGENT, AT, STATUS, FakeCtid, Run, problem

RunJson = Callable[..., tuple[int, Any]]
STORY: dict[str, Any] = {
    "agent": {**AGENT, "state": "not_ready", "reason": "lunch", "confirmed_at": AT, "suspect": "a doubt"},
    "steps": [
        {
            "at": "2026-03-01T07:59:58.125Z",
            "fact": "member_changed",
            "source": "QueueMemberPause",
            "about": "member of support",
            "changed": {"paused": True, "reason": "lunch", "offered": None},
            "state": "not_ready",
            "reason": "lunch",
            "turned": True,
        },
        {
            "at": "2026-03-01T07:59:59.000Z",
            "fact": "time",
            "source": "",
            "about": "",
            "changed": {},
            "state": "ready",
            "reason": "",
            "turned": False,
        },
    ],
}
DRIFT = {"name": "leg.held", "id": "100.2", "believed": False, "found": True}


def _reconciled(*drift: Any) -> tuple[int, dict[str, Any]]:
    return 200, {"pbx": "main", "synchronized_at": AT, "drift": list(drift), "drift_total": len(drift)}


def test_explain(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """Her state, since when and whether it is doubted; then each step with the PBX's time and words."""
    server.answers["GET /agents/1001/story"] = (200, STORY)
    code, out, _ = run("explain", "agent", "1001")
    assert code == Exit.OK
    for text in (
        "1001 Alice",
        "SUSPECT: a doubt",
        "07:59:58.125",
        "QueueMemberPause",
        "member of support",
        "paused=True reason=lunch offered=-",
        "→ not_ready (lunch)",
        "time",
    ):
        assert text in out
    assert run_json("explain", "agent", "1001") == (0, STORY)


LONG = {
    "at": "2026-03-01T08:00:01.250Z",
    "fact": "leg_changed",
    "source": "QueueMemberRinginuse",
    "about": "leg 1795419158.17",
    "changed": {f"key_{number}": f"a value {number}" for number in range(20)},
    "state": "working_after_call",
    "reason": "",
    "turned": True,
}


@pytest.mark.parametrize("columns", ["80", "120", None])
def test_explain_where_it_is_narrow(
    server: FakeCtid,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    columns: str | None,
) -> None:
    """What was told gives way alone: when, what and the state after it are whole; in a pipe as well."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns is not None:
        monkeypatch.setenv("COLUMNS", columns)
    paused = {**STORY["steps"][0], "reason": "a reason that is rather long, as some are"}
    server.answers["GET /agents/1001/story"] = (200, {**STORY, "steps": [paused, LONG]})
    assert main(["explain", "agent", "1001"]) == Exit.OK
    out = capsys.readouterr().out
    lines = out.splitlines()
    assert max(map(len, lines)) <= int(columns or 160)
    head = " ".join(lines[lines.index(next(line for line in lines if line.startswith("UTC"))) :][:2])
    assert all(title in head for title in ("UTC", "EVENT", "OF", "TOLD", "STATE"))
    long = next(line for line in lines if line.startswith("08:00:01.250  QueueMemberRinginuse  "))
    assert "→ working_after_call" in long
    assert any(line.startswith("07:59:58.125  QueueMemberPause ") and "→ not_ready" in line for line in lines)
    assert len(lines) < 25
    for text in ("member of support", "key_0=a", "key_19=a", "leg 1795419158.17", "rather"):
        assert text in out, out


def test_explain_quotes_the_id(server: FakeCtid, run: Run) -> None:
    """An id with a slash or a question mark is one segment of the path."""
    server.answers["GET /agents/a%2Fb%3F/story"] = (200, STORY)
    assert run("explain", "agent", "a/b?")[0] == Exit.OK


def test_explain_nothing(server: FakeCtid, run: Run) -> None:
    """Who has no story yet, and who is not known."""
    server.answers["GET /agents/1001/story"] = (200, {"agent": AGENT, "steps": []})
    assert "nothing has been told of her since ctid started" in run("explain", "agent", "1001")[1]
    server.answers["GET /agents/9/story"] = problem(404, "agent.unknown", "no agent has the id '9'")
    code, _, err = run("explain", "agent", "9")
    assert (code, "agent.unknown" in err) == (Exit.REFUSED, True)


def test_ghosts(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """The PBX is asked again first; what that mended is told, and what is doubted still."""
    ghost = {
        "kind": "device",
        "id": "1001",
        "pbx": "main",
        "reason": "in_use, and in no call",
        "since": AT,
        "confirmed_at": AT,
    }
    server.answers["GET /status"] = (200, STATUS)
    server.answers["POST /pbxs/main/reconcile"] = _reconciled(DRIFT)
    server.answers["GET /ghosts"] = (200, {"ghosts": [ghost], "seq": 7})
    code, out, _ = run("ghosts")
    assert code == Exit.OK
    assert ("mended just now" in out, "leg.held" in out, "in_use, and in no call" in out) == (True,) * 3
    _, document = run_json("ghosts")
    assert document["ghosts"] == [ghost]
    assert document["reconciled"] == [_reconciled(DRIFT)[1]]
    server.asked.clear()
    server.answers["GET /ghosts"] = (200, {"ghosts": [], "seq": 7})
    assert "no ghosts" in run("ghosts", "--no-reconcile")[1]
    assert [asked[1] for asked in server.asked] == ["/ghosts"]


def test_reconcile(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """One PBX, or all that the status names; no drift is said in words."""
    server.answers["GET /status"] = (200, STATUS)
    server.answers["POST /pbxs/main/reconcile"] = _reconciled()
    assert "no drift" in run("reconcile")[1]
    server.answers["POST /pbxs/main/reconcile"] = _reconciled(DRIFT)
    code, out, _ = run("reconcile", "main")
    assert (code, "leg.held" in out, "False" in out) == (Exit.OK, True, True)
    assert run_json("reconcile", "main")[1] == {"reconciled": [_reconciled(DRIFT)[1]]}


def test_ghosts_without_a_link(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """A PBX that cannot be asked is told with the option that does without; another refusal is not."""
    server.answers["GET /status"] = (200, STATUS)
    server.answers["POST /pbxs/main/reconcile"] = problem(503, "pbx.link_down", "the link is down")
    code, out, err = run("ghosts")
    assert (code, out) == (Exit.REFUSED, "")
    assert "the link is down; `ctid ghosts --no-reconcile` lists" in err
    assert err.endswith("[pbx.link_down]\n")
    assert "--no-reconcile" in run_json("ghosts")[1]["detail"]
    server.answers["POST /pbxs/main/reconcile"] = problem(403, "auth.forbidden", "not yours")
    code, _, err = run("ghosts")
    assert (code, "--no-reconcile" in err) == (Exit.AUTH, False)


def test_ghosts_are_in_order(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """By kind, then by id."""
    names = [("device", "1001"), ("agent", "1002"), ("device", "1000"), ("agent", "1001")]
    ghosts = [{"kind": kind, "id": ident, "reason": "stale", "since": AT} for kind, ident in names]
    server.answers["GET /ghosts"] = (200, {"ghosts": ghosts, "seq": 7})
    shown = [tuple(line.split()[:2]) for line in run("ghosts", "--no-reconcile")[1].splitlines()[1:]]
    assert shown == sorted(names)
    document = run_json("ghosts", "--no-reconcile")[1]
    assert [(ghost["kind"], ghost["id"]) for ghost in document["ghosts"]] == sorted(names)
