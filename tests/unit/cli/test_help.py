"""`ctid hands`, `hand`, `sheets` and `sheet`."""

import time
from typing import Any

import pytest

from ctid.cli.exits import Exit
from ctid.model.instant import Instant, to_rfc3339

from .conftest import AT, SESSION, FakeCtid, Run, problem

SHEET: dict[str, Any] = {
    "id": "c1",
    "pbx": "main",
    "supervision": "s1",
    "agent": "1001",
    "team": "blue",
    "call": None,
    "purpose": "training",
    "author": "anna",
    "session_at": AT,
    "written_at": AT,
    "changed_at": AT,
    "version": 2,
    "editable_until": AT,
    "grades": [
        {"id": "greeting", "label": "Greeting", "grade": 4},
        {"id": "closing", "label": "Closing", "grade": None},
    ],
    "text": "let him finish",
    "comment": {"text": "he had called three times", "at": AT, "version": 1},
}


def hand(**fields: Any) -> dict[str, Any]:
    """A hand that was raised a minute and a bit ago."""
    now = time.time()
    known = {
        "id": "h1",
        "pbx": "main",
        "agent": "1001",
        "team": "blue",
        "state": "open",
        "since": AT,
        "raised_at": to_rfc3339(Instant(now - 65.5)),
        "by": "api",
        "text": "he shouts",
        "expires_at": to_rfc3339(Instant(now + 100.5)),
    }
    return known | fields


def test_hands(server: FakeCtid, run: Run) -> None:
    """Who asks, for how long and why; of one team when it is named; no hand is said in words."""
    server.answers["GET /help"] = 200, {"items": [hand()], "next": None, "seq": 1}
    code, text, _ = run("hands", "--team", "blue")
    assert code == Exit.OK
    assert "h1" in text
    assert "1:05" in text
    assert "he shouts" in text
    assert server.asked == [("GET", "/help?limit=500&team=blue", None)]
    server.answers["GET /help"] = 200, {"items": [], "next": None, "seq": 1}
    assert "no hand is raised" in run("hands")[1]


def test_a_hand_is_raised_and_taken_down(server: FakeCtid, run: Run) -> None:
    """Each is told with what came of it."""
    server.answers["POST /agents/1001/help"] = 201, hand()
    code, text, _ = run("hand", "raise", "1001", "--text", "he shouts")
    assert (code, "is up, for 1:40" in text) == (Exit.OK, True)
    assert server.asked[-1] == ("POST", "/agents/1001/help", {"text": "he shouts"})
    server.answers["POST /agents/1001/help"] = 201, hand(state="claimed", claimed_by="anna")
    assert "anna comes" in run("hand", "raise", "1001")[1]
    server.answers["DELETE /help/h1"] = 200, hand(state="ended", end="withdrawn")
    code, text, _ = run("hand", "lower", "h1")
    assert (code, "is down: withdrawn" in text) == (Exit.OK, True)


def test_a_hand_is_claimed(server: FakeCtid, run: Run) -> None:
    """The session is told, and what to do in it; somebody else's claim is a refusal."""
    server.answers["POST /help/h1/claim"] = 201, SESSION
    code, text, _ = run("hand", "claim", "h1", "--phone", "2001", "--mode", "whisper")
    assert code == Exit.OK
    assert f"ctid leave {SESSION['id']}" in text
    body = {"via": {"phone": "2001"}, "mode": "whisper"}
    assert server.asked == [("POST", "/help/h1/claim", body)]
    server.answers["POST /help/h1/claim"] = problem(409, "help.already_claimed", "anna has taken it")
    code, _, errors = run("hand", "claim", "h1", "--phone", "2001")
    assert (code, "anna has taken it" in errors) == (Exit.REFUSED, True)


def test_sheets(server: FakeCtid, run: Run) -> None:
    """A list goes on to its last page; none is said in words."""
    server.answers["GET /sheets?agent=1001"] = 200, {"items": [SHEET], "next": "more"}
    server.answers["GET /sheets?agent=1001&cursor=more"] = (
        200,
        {"items": [SHEET | {"id": "c2"}], "next": None},
    )
    code, text, _ = run("sheets", "--agent", "1001")
    assert code == Exit.OK
    assert [line.split()[0] for line in text.splitlines()[1:]] == ["c1", "c2"]
    assert "4 -" in text
    assert "answered" in text
    server.answers["GET /sheets"] = 200, {"items": [], "next": None}
    assert "no sheets" in run("sheets")[1]


def test_a_sheet(server: FakeCtid, run: Run) -> None:
    """Written, mended, answered and read, it is shown whole."""
    for key in (
        "POST /supervisions/s1/sheet",
        "PATCH /sheets/c1",
        "POST /sheets/c1/comment",
        "GET /sheets/c1",
    ):
        server.answers[key] = 200, SHEET
    write = ("sheet", "write", "s1", "--grade", "greeting=4", "--grade", "closing=none", "--text", "calm")
    code, text, _ = run(*write, "--agent", "1001")
    assert code == Exit.OK
    assert "let him finish" in text
    assert "1001 answers to version 1: he had called three times" in text
    assert server.asked[-1][2] == {
        "grades": {"greeting": 4, "closing": None},
        "text": "calm",
        "agent": "1001",
    }
    assert run("sheet", "mend", "c1", "--grade", "closing=3")[0] == Exit.OK
    assert server.asked[-1] == ("PATCH", "/sheets/c1", {"grades": {"closing": 3}})
    assert run("sheet", "mend", "c1", "--text", "")[0] == Exit.OK
    assert server.asked[-1] == ("PATCH", "/sheets/c1", {"grades": {}, "text": ""})
    assert run("sheet", "comment", "c1", "thanks")[0] == Exit.OK
    assert server.asked[-1] == ("POST", "/sheets/c1/comment", {"text": "thanks"})
    assert "version 2" in run("sheet", "show", "c1")[1]


def test_an_unfit_sheet(server: FakeCtid, run: Run) -> None:
    """One without a grade or a comment is shown as well; one of another version of ctid is told so."""
    server.answers["GET /sheets/c1"] = 200, SHEET | {"text": "", "comment": None}
    assert "answers" not in run("sheet", "show", "c1")[1]
    server.answers["GET /sheets/c1"] = 200, {"id": "c1"}
    code, _, errors = run("sheet", "show", "c1")
    assert (code, "different versions" in errors) == (Exit.REFUSED, True)


@pytest.mark.parametrize("grade", ["greeting", "greeting=6", "=3", "greeting=²"])
def test_grades(run: Run, capsys: pytest.CaptureFixture[str], grade: str) -> None:
    """What is no grade is a mistake of the command line."""
    with pytest.raises(SystemExit):
        run("sheet", "mend", "c1", "--grade", grade)
    assert "a grade of 1 to 5" in capsys.readouterr().err
