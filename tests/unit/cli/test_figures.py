"""`ctid figures` in a terminal and as JSON."""

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from ctid.cli.exits import Exit

from .conftest import AT, FakeCtid, Run, problem

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
    server.answers[f"GET /figures?since={AT}&queue=support"] = (200, FIGURES)
    code, out, _ = run("figures", "--since", AT, "--queue", "support")
    assert code == Exit.OK
    for text in ("support", "75%", "timeout 1", "2:00", "1001", "18:00", "only counted", "4 served, 1 left"):
        assert text in out, out
    assert "\n  support: 4 served, 1 left unserved" in out
    assert "\n  1001: 4 served\n" in out
    assert "\ufffd" not in out
    assert "was filled" not in out
    assert "None" not in out
    assert "to now (away)" in out
    assert "nothing before" not in out
    code, document = run_json("figures", "--since", AT, "--queue", "support")
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
    path = f"GET /figures/calls?since={AT}&kind=call_served&limit=500"
    server.answers[path] = (200, {"items": [MOMENT], "next": "n"})
    server.answers[path + "&cursor=n"] = (200, {"items": [MOMENT | {"hold_s": None}], "next": None})
    code, out, _ = run("figures", "--since", AT, "--calls", "--kind", "call_served")
    assert code == Exit.OK
    assert out.count("1795426305.0") == 2
    for text in ("2026-03-01 08:00:00Z", "call_served", "0:07", "2:05", "log"):
        assert text in out, out
    code, document = run_json("figures", "--since", AT, "--calls", "--kind", "call_served")
    assert (code, len(document["items"])) == (Exit.OK, 2)


def test_no_calls(server: FakeCtid, run: Run) -> None:
    """A figure of nothing opens into nothing."""
    server.answers[f"GET /figures/calls?since={AT}&limit=500"] = (200, {"items": [], "next": None})
    assert "no moments" in run("figures", "--since", AT, "--calls")[1]


@pytest.mark.parametrize("how", [[], ["--calls"]])
@pytest.mark.parametrize("kind", ["queue", "agent"])
def test_who_is_not_known(server: FakeCtid, run: Run, run_json: RunJson, kind: str, how: list[str]) -> None:
    """A filter that finds nothing is no empty floor when nobody has this id; a queue at rest is one."""
    nothing = FIGURES | {"queues": [], "agents": [], "gaps": []}
    server.answers["GET /figures?"] = (200, nothing)
    server.answers["GET /figures/calls?"] = (200, {"items": [], "next": None})
    server.answers[f"GET /{kind}s/a%2Fb"] = problem(404, f"{kind}.unknown", "no such")
    command = ("figures", *how, f"--{kind}", "a/b")
    code, out, err = run(*command)
    assert (code, out) == (Exit.REFUSED, "")
    assert f"nothing is counted of the {kind} 'a/b'" in err
    assert f"`ctid {kind}s` lists those there are [{kind}.unknown]" in err
    assert run_json(*command)[1]["code"] == f"{kind}.unknown"
    server.answers[f"GET /{kind}s/a%2Fb"] = (200, {})
    assert (run(*command)[0], run(*command)[2]) == (Exit.OK, "")
    server.answers[f"GET /{kind}s/a%2Fb"] = problem(500, "internal", "it failed")
    assert "it failed [internal]" in run(*command)[2]


def test_who_is_gone_has_figures(server: FakeCtid, run: Run) -> None:
    """What was counted is told, whether or not the queue is still there."""
    server.answers["GET /figures?"] = (200, FIGURES)
    server.answers["GET /queues/"] = problem(404, "queue.unknown", "no such")
    assert run("figures", "--queue", "support", "--agent", "1001")[0] == Exit.OK


def test_a_kind_is_of_moments(server: FakeCtid, run: Run) -> None:
    """Without `--calls` it would change nothing, so it is refused, before anything is asked."""
    code, out, err = run("figures", "--kind", "call_served")
    assert (code, out, server.asked) == (Exit.USAGE, "", [])
    assert "it goes with --calls" in err


@pytest.fixture
def paris(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The zone of Paris."""
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("paris")
def test_a_date_is_its_midnight_here(server: FakeCtid, run: Run) -> None:
    """In winter and summer time; a date-time goes as it is."""
    server.answers["GET /figures"] = (200, FIGURES)
    run("figures", "--since", "2026-03-01", "--until", "2026-07-01")
    run("figures", "--since", "2026-03-01T08:00:00Z", "--until", "soon")
    assert [path for _, path, _ in server.asked] == [
        "/figures?since=2026-02-28T23:00:00.000Z&until=2026-06-30T22:00:00.000Z",
        "/figures?since=2026-03-01T08:00:00Z&until=soon",
    ]


@pytest.mark.usefixtures("paris")
def test_today_begins_at_midnight_here(server: FakeCtid, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at that of UTC: half past midnight is in a day of which half an hour is over."""
    server.answers["GET /figures"] = (200, FIGURES)
    local = datetime(2026, 11, 23, 0, 30, tzinfo=timezone(timedelta(hours=1))).astimezone(UTC)
    now, localtime = local.timestamp(), time.localtime
    monkeypatch.setattr("ctid.cli.figures.time.localtime", lambda: localtime(now))
    run("figures")
    assert [path for _, path, _ in server.asked] == ["/figures?since=2026-11-22T23:00:00.000Z"]


def test_a_day_that_is_none(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """It is a mistake of the command line."""
    with pytest.raises(SystemExit) as ended:
        run("figures", "--since", "2026-02-30")
    assert ended.value.code == Exit.USAGE
    assert "there is no day 2026-02-30" in capsys.readouterr().err
