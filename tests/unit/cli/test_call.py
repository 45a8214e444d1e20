from collections.abc import Callable
from typing import Any

import pytest

from ctid.cli.exits import Exit

from .conftest import AT, CALL, FakeCtid, Run, problem

RunJson = Callable[..., tuple[int, Any]]


def answer(*, unconfirmed: bool = False, **changed: Any) -> tuple[int, Any]:
    """What ctid answers to an act."""
    return 200, {"call": {**CALL, **changed}, "unconfirmed": unconfirmed}


@pytest.mark.parametrize(
    ("arguments", "path", "body"),
    [
        (["hangup", "main.1"], "hangup", {}),
        (["hangup", "main.1", "--party", "1.2"], "hangup", {"party": "1.2"}),
        (["transfer", "main.1", "1002"], "transfer", {"to": "1002"}),
        (["transfer", "main.1", "--queue", "sales"], "transfer", {"to": {"queue": "sales"}}),
        (["up", "main.1"], "priority", {"position": 1}),
        (["up", "main.1", "--position", "3"], "priority", {"position": 3}),
        (
            ["record", "main.1", "start", "--basis", "training"],
            "recording",
            {"action": "start", "basis": "training"},
        ),
        (["record", "main.1", "pause"], "recording", {"action": "pause", "basis": ""}),
        (["private", "main.1"], "private", {}),
        (["objected", "main.1"], "objected", {}),
    ],
)
def test_act(
    server: FakeCtid, run: Run, run_json: RunJson, arguments: list[str], path: str, body: Any
) -> None:
    """An act is one request, and the call is shown as it is then: as a line, or as the document."""
    told = answer(recording="paused", private=True, objected=True)
    server.answers[f"POST /calls/main.1/{path}"] = told
    code, out, _ = run("call", *arguments)
    assert (code, server.asked) == (Exit.OK, [("POST", f"/calls/main.1/{path}", body)])
    assert out.strip() == "main.1: ● connected, recording paused, private, customer objects"
    assert run_json("call", *arguments) == (0, told[1])


def test_unconfirmed(server: FakeCtid, run: Run) -> None:
    """The state does not show it yet: that is said."""
    server.answers["POST /calls/main.1/hangup"] = answer(unconfirmed=True)
    assert "the state does not show it yet: see `ctid calls`" in run("call", "hangup", "main.1")[1]


def test_dial(server: FakeCtid, run: Run) -> None:
    """The call is shown; a refusal is told with its code."""
    server.answers["POST /calls"] = answer(state="alerting")
    code, out, _ = run("dial", "1001", "80003001")
    assert server.asked == [("POST", "/calls", {"agent": "1001", "number": "80003001"})]
    assert (code, out.strip()) == (Exit.OK, "main.1: ◔ ringing")
    server.answers["POST /calls"] = problem(409, "agent.not_free", "1001 is busy")
    code, _, err = run("dial", "1001", "80003001")
    assert (code, "1001 is busy [agent.not_free]" in err) == (Exit.REFUSED, True)


@pytest.mark.parametrize(
    ("sip", "mqtt", "reason", "line"),
    [
        (True, True, "", "1001: sent to her phone and by the broker"),
        (True, False, "no broker", "1001: sent to her phone\nno broker"),
        (False, True, "no phone", "1001: sent by the broker\nno phone"),
    ],
)
def test_message(server: FakeCtid, run: Run, *, sip: bool, mqtt: bool, reason: str, line: str) -> None:
    """By which ways it went, and why not by the other."""
    document = {"agent": "1001", "sip": sip, "mqtt": mqtt, "reason": reason}
    server.answers["POST /agents/1001/message"] = (200, document)
    code, out, _ = run("message", "1001", "line 2 first")
    assert server.asked == [("POST", "/agents/1001/message", {"text": "line 2 first"})]
    assert (code, out.strip()) == (Exit.OK, line)


def test_recordings(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """One row each, those that go on marked; none is said in words."""
    entry = {
        "id": 7,
        "call": "main.1",
        "leg": "2",
        "pbx": "main",
        "agent": "1001",
        "queue": "support",
        "by": "anna",
        "basis": "training",
        "file": "main.1-x.wav",
        "started_at": AT,
        "stopped_at": "2026-03-01T08:01:15.000Z",
    }
    page = {"items": [{**entry, "id": 8, "agent": None, "stopped_at": None}, entry], "next": None}
    server.answers["GET /recordings"] = (200, page)
    code, out, _ = run("recordings", "--agent", "1001")
    assert server.asked[0][1] == "/recordings?agent=1001"
    head, going, over = out.splitlines()
    assert (code, "BASIS" in head, " …" in going) == (Exit.OK, True, True)
    for text in ("7", "1:15", "main.1", "1001", "support", "anna", "training", "main.1-x.wav"):
        assert text in over
    assert run_json("recordings") == (0, page)
    server.answers["GET /recordings"] = (200, {"items": [], "next": None})
    assert run("recordings")[1].strip() == "no recordings"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["call"], "required: WHAT"),
        (["call", "transfer", "main.1"], "one of the arguments NUMBER --queue is required"),
        (["call", "record", "main.1", "louder"], "invalid choice: 'louder'"),
        (["dial", "1001"], "required: NUMBER"),
    ],
)
def test_usage(run: Run, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str) -> None:
    """A command line that is wrong says what, and ends with 2."""
    with pytest.raises(SystemExit) as ended:
        run(*arguments)
    assert ended.value.code == Exit.USAGE
    assert told in capsys.readouterr().err


def test_help_teaches(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """The help shows how each is used."""
    with pytest.raises(SystemExit):
        run("call", "--help")
    text = capsys.readouterr().out
    for command in ("hangup", "transfer", "up", "record", "private", "objected"):
        assert f"ctid call {command} " in text
