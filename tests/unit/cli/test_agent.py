from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ctid.cli import agent as agent_command
from ctid.cli.exits import Exit
from ctid.model.instant import Instant, to_rfc3339

from .conftest import AGENT, AT, FakeCtid, Run, problem

RunJson = Callable[..., tuple[int, Any]]

NOW = Instant(1_780_000_000.0)
PAUSED = {
    **AGENT,
    "state": "not_ready",
    "reason": "lunch",
    "call": None,
    "queues": [
        {"queue": "support", "state": "not_ready", "paused": True, "paused_reason": "lunch", "missed": 2},
        {"queue": "sales", "state": "not_ready", "missed": 1},
    ],
}


def answer(agent: Any, *, unconfirmed: bool = False) -> tuple[int, Any]:
    """What ctid answers to a command."""
    return 200, {"agent": agent, "unconfirmed": unconfirmed}


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["login", "1001"], "login", {}),
        (
            ["login", "1001", "--queue", "support", "--queue", "sales"],
            "login",
            {"queues": ["support", "sales"]},
        ),
        (["logout", "1001", "--queue", "sales"], "logout", {"queues": ["sales"]}),
        (["pause", "1001", "--reason", "lunch"], "pause", {"reason": "lunch", "when": "now"}),
        (["pause", "1001", "--after-call"], "pause", {"reason": "", "when": "after_call"}),
        (["resume", "1001"], "resume", {}),
        (["end-work", "1001"], "end-after-call-work", {}),
        (["extend-work", "1001"], "extend-after-call-work", {"seconds": 60.0}),
        (["extend-work", "1001", "--seconds", "90"], "extend-after-call-work", {"seconds": 90.0}),
    ],
)
def test_command(
    server: FakeCtid, run: Run, run_json: RunJson, arguments: list[str], path: str, body: Any
) -> None:
    """A command is one request, and what comes back is shown: as a line, or as the document."""
    server.answers[f"POST /agents/1001/{path}"] = answer(PAUSED)
    code, out, _ = run("agent", *arguments)
    assert (code, server.asked) == (Exit.OK, [("POST", f"/agents/1001/{path}", body)])
    assert out.strip() == "1001 Alice: ‖ not ready: lunch; in support‖ sales"
    assert run_json("agent", *arguments) == (0, {"agent": PAUSED, "unconfirmed": False})


def test_what_follows_is_shown(server: FakeCtid, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much after-call work is left, what comes then, and that the state does not show it yet."""
    monkeypatch.setattr(agent_command, "time", SimpleNamespace(time=lambda: NOW))
    work = {"queue": "support", "since": AT, "ends_at": to_rfc3339(Instant(NOW + 75.5))}
    agent = {
        **AGENT,
        "state": "working_after_call",
        "after_call_work": work,
        "pending": "not_ready",
        "pending_reason": "lunch",
    }
    server.answers["POST /agents/1001/pause"] = answer(agent, unconfirmed=True)
    _, out, _ = run("agent", "pause", "1001", "--reason", "lunch")
    assert "1001 Alice: ◑ after call, 1:15 left, then ‖ not ready: lunch; in support" in out
    assert "the state does not show it yet: see `ctid agents`" in out


def test_refusal(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """A refusal is told on standard error with its code."""
    detail = "done in sales; not in support (static)"
    server.answers["POST /agents/1001/logout"] = problem(502, "agent.partly_done", detail)
    code, out, err = run("agent", "logout", "1001")
    assert (code, out) == (Exit.REFUSED, "")
    assert f"{detail} [agent.partly_done]" in err
    assert run_json("agent", "logout", "1001")[1]["code"] == "agent.partly_done"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "required: WHAT"),
        (["sleep", "1001"], "invalid choice: 'sleep'"),
        (["pause"], "required: AGENT"),
        (["extend-work", "1001", "--seconds", "soon"], "invalid float value"),
        (["end-work", "1001", "--queue", "support"], "unrecognized arguments: --queue"),
    ],
)
def test_usage(run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    """A command line that is wrong says what, and ends with 2."""
    with pytest.raises(SystemExit) as ended:
        run("agent", *arguments)
    assert ended.value.code == Exit.USAGE
    assert told in capsys.readouterr().err


def test_help_teaches(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The help names every command, and shows how each is used."""
    with pytest.raises(SystemExit):
        run("agent", "--help")
    text = capsys.readouterr().out
    for command in ("login", "logout", "pause", "resume", "end-work", "extend-work"):
        assert f"ctid agent {command} " in text
        assert f"\n    {command} " in text


def test_the_list_tells_all(server: FakeCtid, run: Run) -> None:
    """`agents` shows reason, what follows, missed calls, and what makes her state suspect."""
    agent = {
        **PAUSED,
        "pending": "ready",
        "suspect": "the PBX lists no call",
    }
    server.answers["GET /agents"] = (200, {"items": [agent], "next": None, "seq": 1})
    _, out, _ = run("agents")
    head, row = out.splitlines()
    for title in ("STATE", "SINCE", "NEXT", "MISSED", "SUSPECT"):
        assert title in head
    for text in ("‖ not ready: lunch", "then ○ ready", " 3 ", "the PBX lists no call", "support‖ sales"):
        assert text in row
