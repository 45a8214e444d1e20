"""`ctid figures` in a terminal and as JSON."""

from collections.abc import Callable
from typing import Any

from ctid.cli.exits import Exit

from .conftest import AT, FakeCtid, Run

RunJson = Callable[..., tuple[int, Any]]
QUEUE = {
    "pbx": "main",
    "queue": "support",
    "offered": 12,
    "answered": 9,
    "abandoned": 2,
    "left": {"timeout": 1},
    "missed": 3,
    "served": 9,
    "hold_s": 90.0,
    "wait_s": 40.0,
    "talk_s": 1080.0,
    "answer_rate": 0.75,
    "abandonment_rate": 0.1667,
    "mean_hold_s": 10.0,
    "mean_talk_s": 120.0,
}
EMPTY = QUEUE | {
    "queue": "sales",
    "offered": 0,
    "answer_rate": None,
    "mean_hold_s": None,
    "mean_talk_s": None,
}
AGENT = {
    "pbx": "main",
    "agent": "1001",
    "offered": 12,
    "answered": 9,
    "missed": 3,
    "served": 9,
    "ring_s": 60.0,
    "talk_s": 1080.0,
    "answer_rate": 0.75,
    "mean_talk_s": 120.0,
}
GAP = {
    "pbx": "main",
    "began_at": AT,
    "ended_at": AT,
    "cause": "away",
    "state": "partly",
    "detail": "only counted",
    "found": 0,
    "counts": [
        {"queue": "support", "agent": None, "served": 4, "unserved": 1},
        {"queue": "support", "agent": "1001", "served": 4, "unserved": None},
    ],
}
FIGURES = {
    "since": AT,
    "until": AT,
    "began_at": AT,
    "complete": False,
    "queues": [EMPTY, QUEUE],
    "agents": [AGENT],
    "gaps": [GAP, GAP | {"state": "filled", "detail": "was filled"}, GAP | {"ended_at": None, "detail": ""}],
    "formulas": {},
}
MOMENT = {
    "pbx": "main",
    "kind": "call_served",
    "queue": "support",
    "leg": "1795426305.0",
    "agent": "1001",
    "at": AT,
    "source": "log",
    "by": "caller",
    "position": None,
    "hold_s": 7.0,
    "ring_s": None,
    "wait_s": None,
    "talk_s": 125.0,
}


def test_figures(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """Sums and rates by queue and agent, a rate of nothing left out, and what is not known of the time."""
    server.answers["GET /figures?queue=support"] = (200, FIGURES)
    code, out, _ = run("figures", "--queue", "support")
    assert code == Exit.OK
    for text in ("support", "75%", "timeout 1", "2:00", "1001", "18:00", "only counted", "4 served, 1 left"):
        assert text in out, out
    assert "was filled" not in out
    assert "None" not in out
    assert "to now (away)" in out
    assert "nothing before" not in out
    code, document = run_json("figures", "--queue", "support")
    assert (code, document) == (Exit.OK, FIGURES)


def test_no_figures_yet(server: FakeCtid, run: Run) -> None:
    """Without a call, and before the ledger begins, that is what is said."""
    nothing = FIGURES | {"queues": [], "agents": [], "gaps": [], "began_at": None}
    server.answers["GET /figures"] = (200, nothing)
    out = run("figures")[1]
    assert "no calls in any queue" in out
    assert "begins not yet" in out
    server.answers["GET /figures"] = (200, nothing | {"began_at": "2026-03-02T00:00:00.000Z"})
    assert "begins 2026-03-02 00:00:00Z: nothing before is counted" in run("figures")[1]


def test_calls_behind_a_figure(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """All pages of the moments, with the caller's leg and where each is from."""
    path = "GET /figures/calls?kind=call_served&limit=500"
    server.answers[path] = (200, {"items": [MOMENT], "next": "n"})
    server.answers[path + "&cursor=n"] = (200, {"items": [MOMENT | {"hold_s": None}], "next": None})
    code, out, _ = run("figures", "--calls", "--kind", "call_served")
    assert code == Exit.OK
    assert out.count("1795426305.0") == 2
    for text in ("2026-03-01 08:00:00Z", "call_served", "0:07", "2:05", "log"):
        assert text in out, out
    code, document = run_json("figures", "--calls", "--kind", "call_served")
    assert (code, len(document["items"])) == (Exit.OK, 2)


def test_no_calls(server: FakeCtid, run: Run) -> None:
    """A figure of nothing opens into nothing."""
    server.answers["GET /figures/calls?limit=500"] = (200, {"items": [], "next": None})
    assert "no moments" in run("figures", "--calls")[1]
