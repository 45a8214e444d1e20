import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctid import __version__
from ctid.cli import lists, main
from ctid.cli.exits import WORDS, Exit
from ctid.config import load
from ctid.identity.tokens import token_hash

from .conftest import AGENT, CALL, PBX, QUEUE, SESSION, SNAPSHOT, STATUS, FakeCtid, Run, problem

RunJson = Callable[..., tuple[int, Any]]


def page(*items: Any, after: str | None = None) -> tuple[int, dict[str, Any]]:
    """A page of a list."""
    return 200, {"items": list(items), "next": after, "seq": 7}


def test_status(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """`status` tells version, links and broker; with --json it is the document itself."""
    server.answers["GET /status"] = (200, STATUS)
    code, out, _ = run("status")
    assert code == Exit.OK
    assert "ctid 0.1.0, site lab, up 1:00:00" in out
    assert "pbx main: ● connected" in out
    assert "broker ● connected  published 12" in out
    assert out.rstrip().endswith("ready")
    assert run_json("status") == (0, STATUS)
    assert server.headers[0]["Authorization"] == "Bearer t0ken"


def test_status_tells_of_tokens(server: FakeCtid, run: Run) -> None:
    """`status` names the tokens that expire soon, and those that have."""
    tokens = [
        {"name": "gone\x1b[2J", "expires_at": "2020-01-01T00:00:00.000Z"},
        {"name": "anna", "expires_at": "2099-01-01T00:00:00.000Z"},
    ]
    server.answers["GET /status"] = (200, STATUS | {"tokens": tokens})
    _, out, _ = run("status")
    assert "the token of anna expires at 2099-01-01T00:00:00.000Z" in out
    assert "EXPIRED at 2020-01-01T00:00:00.000Z" in out
    assert "\x1b" not in out


def test_status_in_trouble(server: FakeCtid, run: Run) -> None:
    """`status` says in words what is missing, and that there is no broker."""
    down = {**PBX, "state": "down", "reason": "connection refused"}
    server.answers["GET /status"] = (
        200,
        {**STATUS, "ready": False, "missing": ["pbx main: the link is down"], "pbxs": [down], "broker": None},
    )
    _, out, _ = run("status")
    assert "! DOWN" in out
    assert "(connection refused)" in out
    assert "broker none configured" in out
    assert "NOT READY: pbx main: the link is down" in out


@pytest.mark.parametrize(
    ("command", "item", "shown"),
    [
        ("agents", AGENT, ["1001", "Alice", "blue", "on a call", "main.1", "support"]),
        ("queues", QUEUE, ["Support", "1"]),
        ("calls", CALL, ["main.1", "connected", "support", "0612 Zoé", "1001", "inbound", "by 1"]),
        ("supervisions", SESSION, ["s1", "anna", "listen", "2001", "quality"]),
    ],
)
def test_list(
    server: FakeCtid, run: Run, run_json: RunJson, command: str, item: Any, shown: list[str]
) -> None:
    """A list is a table with a head; with --json it is the items as they came; an empty one says so."""
    server.answers[f"GET /{command}"] = page(item)
    code, out, _ = run(command)
    assert code == Exit.OK
    assert [text for text in shown if text not in out] == []
    assert run_json(command) == (0, {"items": [item], "seq": 7})
    server.answers[f"GET /{command}"] = page()
    assert run(command)[1].strip() == f"no {command}"


def test_pages(server: FakeCtid, run_json: RunJson) -> None:
    """A list is read to its last page."""
    server.answers["GET /agents?limit=500"] = page(AGENT, after="c+1")
    server.answers["GET /agents?limit=500&cursor=c"] = page({**AGENT, "id": "1002"})
    _, document = run_json("agents")
    assert [item["id"] for item in document["items"]] == ["1001", "1002"]
    assert server.asked[1][1] == "/agents?limit=500&cursor=c%2B1"


def test_filters(server: FakeCtid, run: Run) -> None:
    """Filters go to ctid, which does the filtering."""
    server.answers["GET /agents"] = page()
    run("agents", "--state", "ready", "--team", "blue & co")
    assert server.asked[0][1] == "/agents?limit=500&state=ready&team=blue+%26+co"


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (problem(401, "auth.required", "no token"), Exit.AUTH),
        (problem(403, "auth.forbidden", "not yours"), Exit.AUTH),
        (problem(409, "supervision.no_live_call", "no call"), Exit.REFUSED),
        (problem(500, "internal", "oh"), Exit.REFUSED),
        ((200, "<html>another program</html>"), Exit.UNREACHABLE),
    ],
)
def test_refusals(server: FakeCtid, run: Run, run_json: RunJson, answer: Any, code: Exit) -> None:
    """Each kind of refusal has its exit code; the text bears the problem's code, --json is the problem."""
    server.answers["GET /status"] = answer
    given, out, err = run("status")
    assert (given, out) == (code, "")
    assert err.startswith("ctid: ")
    _, document = run_json("status")
    if isinstance(answer[1], dict):
        assert answer[1]["code"] in err
        assert document == answer[1]
    else:
        assert document["code"] == "unreachable"


def test_unreachable(run: Run, run_json: RunJson) -> None:
    """Where nothing answers, the exit code is 4 and the text names the URL and the cure."""
    code, _, err = run("status", "--url", "http://127.0.0.1:1")
    assert code == Exit.UNREACHABLE
    assert "http://127.0.0.1:1" in err
    assert "systemctl status ctid" in err
    assert run_json("--url", "http://127.0.0.1:1", "watch")[1]["code"] == "unreachable"


def test_token_file(server: FakeCtid, run: Run, tmp_path: Path) -> None:
    """A token file goes before CTID_TOKEN; one that cannot be read, or is no token, is a usage error."""
    server.answers["GET /status"] = (200, STATUS)
    file = tmp_path / "token"
    file.write_text("fr0mfile\n")
    run("--token-file", str(file), "status")
    assert server.headers[0]["Authorization"] == "Bearer fr0mfile"
    file.write_text("two words\r\nX-Injected: 1")
    assert run("status", "--token-file", str(file))[0] == Exit.USAGE
    assert run("status", "--token-file", str(tmp_path / "gone"))[0] == Exit.USAGE


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong command line ends with 2, and --help lists every exit code."""
    for argv in (
        ["nonsense"],
        [],
        ["supervise", "1001"],
        ["supervise", "1001", "--phone", "p", "--purpose", "fun"],
        ["supervise", "1001", "--phone", "p", "--purpose", "quality", "--scope", "ever"],
        ["switch", "s1", "shout"],
    ):
        with pytest.raises(SystemExit) as ended:
            main(argv)
        assert ended.value.code == Exit.USAGE
    capsys.readouterr()
    for argv in (["--help"], ["supervise", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(argv)
        assert ended.value.code == Exit.OK
        out = capsys.readouterr().out
        assert [words for words in WORDS.values() if words not in out] == []
    assert set(WORDS) == set(Exit)


def test_defect(server: FakeCtid, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect ends with 70 and its traceback."""

    async def broken(*_: object) -> Exit:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(lists, "status", broken)
    code, _, err = run("status")
    assert code == Exit.INTERNAL
    assert "ZeroDivisionError" in err
    assert server.asked == []


def test_supervise(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """`supervise` finds out whether an agent or a call is meant, and asks for the session in one request."""
    server.answers["GET /agents/1001"] = (200, AGENT)
    server.answers["GET /calls/main.1"] = (200, CALL)
    server.answers["POST /supervisions"] = (201, SESSION)
    arguments = ("--phone", "2001", "--purpose", "quality")
    code, out, _ = run("supervise", "1001", *arguments)
    assert code == Exit.OK
    assert "s1: listen on agent 1001 by phone 2001 (nobody hears you)" in out
    body = {"mode": "listen", "via": {"phone": "2001"}, "purpose": "quality", "note": ""}
    assert server.asked[-1] == ("POST", "/supervisions", {"agent": "1001", **body})
    assert run_json("supervise", "main.1", *arguments, "--mode", "barge", "--note", "n") == (0, SESSION)
    assert server.asked[-1] == (
        "POST",
        "/supervisions",
        {"call": "main.1", **body, "mode": "barge", "note": "n"},
    )


def test_supervise_later_calls(server: FakeCtid, run: Run) -> None:
    """What a session follows, for how long and whom she hears is asked for only where it is said."""
    armed = {**SESSION, "state": "requested", "call": None, "scope": "next", "mode": "whisper"}
    server.answers["GET /agents/1001"] = (200, AGENT)
    server.answers["POST /supervisions"] = (201, armed)
    arguments = ("supervise", "1001", "--phone", "2001", "--purpose", "quality", "--mode", "whisper")
    _, out, _ = run(*arguments, "--scope", "next", "--minutes", "7.5", "--hear", "agent")
    assert "s1: whisper, armed: your phone rings with the next call of agent 1001, phone 2001" in out
    asked = {"scope": "next", "minutes": 7.5, "hear": "agent"}
    assert {name: server.asked[-1][2].get(name) for name in (*asked, "calls")} == {**asked, "calls": None}
    waiting = {**SESSION, "state": "waiting", "call": None, "scope": "agent", "hear": "agent", "lead": False}
    server.answers["POST /supervisions"] = (201, waiting)
    _, out, _ = run(*arguments, "--scope", "agent", "--calls", "3")
    assert "s1: listen, waiting for the next call of agent 1001, phone 2001 (nobody hears you; " in out
    assert "you hear the agent alone; another session leads)" in out
    assert server.asked[-1][2]["calls"] == 3


def test_supervise_unknown(server: FakeCtid, run: Run) -> None:
    """A target that is neither an agent nor a call is refused before anything rings; ids are sent quoted."""
    code, _, err = run("supervise", "a/../b?", "--phone", "2001", "--purpose", "quality")
    assert code == Exit.REFUSED
    assert "agent.unknown" in err
    assert [path for _, path, _ in server.asked] == ["/agents/a%2F..%2Fb%3F", "/calls/a%2F..%2Fb%3F"]


def test_switch_and_leave(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """`switch` and `leave` are one request each, and answer with what is in force."""
    server.answers["PATCH /supervisions/s1"] = (200, {**SESSION, "mode": "whisper"})
    server.answers["DELETE /supervisions/s1"] = (200, {**SESSION, "state": "ended"})
    assert "the agent alone hears you" in run("switch", "s1", "whisper")[1]
    assert server.asked[-1] == ("PATCH", "/supervisions/s1", {"mode": "whisper"})
    for arguments, body in (
        (("--hear", "customer"), {"hear": "customer"}),
        (("--mute",), {"muted": True}),
        (("--unmute", "--lead"), {"muted": False, "lead": True}),
        (("barge", "--unmute"), {"mode": "barge", "muted": False}),
        ((), {}),  # ctid says what is missing
    ):
        run("switch", "s1", *arguments)
        assert server.asked[-1] == ("PATCH", "/supervisions/s1", body)
    server.answers["PATCH /supervisions/s1"] = (200, {**SESSION, "mode": "barge", "muted": True})
    assert "you are muted, nobody hears you" in run("switch", "s1", "--mute")[1]
    ended = {**SESSION, "mode": "takeover", "state": "ended", "end": "handed_back"}
    server.answers["PATCH /supervisions/s1"] = (200, ended)
    assert run("switch", "s1", "handback")[1] == "session s1 ended: handed back\n"
    assert server.asked[-1] == ("PATCH", "/supervisions/s1", {"mode": "handback"})
    assert run_json("leave", "s1")[1]["state"] == "ended"
    assert server.asked[-1][:2] == ("DELETE", "/supervisions/s1")
    assert run("leave", "s1")[1] == "session s1 ended; the call goes on\n"
    server.answers["DELETE /supervisions/s1"] = (200, {**SESSION, "state": "ended", "mode": "takeover"})
    assert run("leave", "s1")[1] == "session s1 ended\n"
    server.answers["DELETE /supervisions/s1"] = (200, {**SESSION, "state": "ended", "call": None})
    assert run("leave", "s1")[1] == "session s1 ended\n"


def test_watch_once(server: FakeCtid, run: Run, run_json: RunJson) -> None:
    """`watch --once` prints one picture and ends; with --json it is the snapshot as it came."""
    server.messages = [SNAPSHOT]
    code, out, _ = run("watch", "--once")
    assert code == Exit.OK
    assert "Alice" in out
    assert "STALE" not in out
    assert run_json("watch", "--once") == (0, SNAPSHOT)


def test_watch_refused(server: FakeCtid, run: Run) -> None:
    """A token that the event socket refuses ends `watch` with the code for it, at once."""
    server.answers["GET /events"] = problem(401, "auth.required", "no")
    server.answers["GET /status"] = problem(401, "auth.required", "no")
    started = time.monotonic()
    assert run("watch")[0] == Exit.AUTH
    assert time.monotonic() - started < 5


def test_token(run: Run, run_json: RunJson, tmp_path: Path) -> None:
    """`token print` makes a token, and a table with its hash that the configuration accepts."""
    _, document = run_json(
        "token", "print", "anna", "--role", "supervisor", "--phone", "desk", "--phone", "home"
    )
    assert token_hash(document["token"]) == document["sha256"]
    assert document["token"] not in document["toml"]
    pbx = '[[pbx]]\nid = "main"\ndriver = "x"\n'
    phones = "".join(
        f'[[phone]]\nname = "{name}"\npbx = "main"\naddress = "PJSIP/1"\n' for name in ("desk", "home")
    )
    (tmp_path / "ctid.toml").write_text(pbx + phones + document["toml"])
    (token,) = load(tmp_path / "ctid.toml").tokens
    assert (token.name, token.role, token.phones) == ("anna", "supervisor", ("desk", "home"))
    assert token.expires is None
    code, out, _ = run("token", "print", "bob")
    assert code == Exit.OK
    assert 'role = "viewer"' in out
    for wrong in (('a"b',), ("bob", "--days", "0"), ("bob", "--days", "soon")):
        with pytest.raises(SystemExit):
            run("token", "print", *wrong)


def test_token_for_some_days(run_json: RunJson, tmp_path: Path) -> None:
    """`token print --days` prints when the token is good no more, as the configuration takes it."""
    before = time.time()
    _, document = run_json("token", "print", "anna", "--days", "90")
    (tmp_path / "ctid.toml").write_text('[[pbx]]\nid = "main"\ndriver = "x"\n' + document["toml"])
    (token,) = load(tmp_path / "ctid.toml").tokens
    assert token.expires is not None
    assert before - 1 <= token.expires - 90 * 86_400 <= time.time()


def test_check_config(run: Run, run_json: RunJson, tmp_path: Path) -> None:
    """`check-config` tells each mistake with its line, the driver's too, and ends with 3."""
    file = tmp_path / "ctid.toml"
    file.write_text('sit = 1\n[[pbx]]\nid = "main"\ndriver = "asterix"\n')
    code, out, err = run("check-config", "--config", str(file))
    assert (code, out) == (Exit.CONFIG, "")
    assert f"{file}:1: sit: unknown key 'sit'; did you mean 'site'?" in err
    file.write_text('[[pbx]]\nid = "main"\ndriver = "no-such"\n')
    code, document = run_json("check-config", "--config", str(file))
    assert code == Exit.CONFIG
    assert (document["mistakes"][0]["line"], document["mistakes"][0]["path"]) == (3, "pbx.0.driver")
    assert run("run", "--config", str(tmp_path / "gone"))[0] == Exit.CONFIG


def test_check_config_takes_the_file_by_itself(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With `--config` or without it, and not both."""
    file = tmp_path / "ctid.toml"
    file.write_text("sit = 1\n")
    assert run("check-config", str(file)) == run("check-config", "--config", str(file))
    assert f"{file}:1: sit" in run("check-config", str(file))[2]
    with pytest.raises(SystemExit) as ended:
        run("check-config", str(file), "--config", str(file))
    assert ended.value.code == Exit.USAGE
    assert "not allowed with" in capsys.readouterr().err


def test_version(run: Run, run_json: RunJson) -> None:
    """`version` tells the version, and needs no ctid that runs."""
    assert run("version")[:2] == (0, f"ctid {__version__}\n")
    assert run_json("version") == (0, {"version": __version__})


def test_json_is_one_line(server: FakeCtid, run: Run) -> None:
    """A JSON answer is one line, however long: a narrow terminal does not cut it."""
    server.answers["GET /agents"] = page(*[{**AGENT, "name": "x" * 400}] * 20)
    _, out, _ = run("agents", "--json")
    assert out.count("\n") == 1
    assert len(json.loads(out)["items"]) == 20
