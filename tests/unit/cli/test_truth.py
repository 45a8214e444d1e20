"""`ctid explain`, `ghosts` and `reconcile` in a terminal and as JSON."""

from collections.abc import Callable
from typing import Any

from ctid.cli.exits import Exit

from .conftest import AGENT, AT, STATUS, FakeCtid, Run, problem

RunJson = Callable[..., tuple[int, Any]]
STORY = {
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
