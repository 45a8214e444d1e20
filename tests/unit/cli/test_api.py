import json
from collections.abc import Callable
from typing import Any

import pytest

from ctid.api.operations import OPERATIONS
from ctid.cli.exits import Exit
from ctid.cli.teaching import WIDTH, lesson

from .conftest import AGENT, FakeCtid, Run, problem

RunJson = Callable[..., tuple[int, Any]]


def test_all_operations_are_listed(run: Run, run_json: RunJson) -> None:
    """By name with what they do, without asking any ctid."""
    code, out, _ = run("api", "--url", "http://127.0.0.1:1")
    assert code == Exit.OK
    for operation in OPERATIONS.values():
        assert operation.name in out
        assert operation.summary in out
    code, document = run_json("api")
    assert [item["operation"] for item in document["items"]] == list(OPERATIONS)


@pytest.mark.parametrize("name", list(OPERATIONS))
def test_each_is_taught(name: str) -> None:
    """Its parameters, roles, refusals, and how each carrier asks for it, on lines that fit."""
    operation = OPERATIONS[name]
    text = lesson(operation)
    told = " ".join(text.split())
    for field in operation.params.__struct_fields__:
        assert f"\n  {field} " in text
    for said in (
        operation.command_line,
        f"{operation.method} /api/v1{operation.path}",
        f"<base>/<site>/command/<you>/{name}",
        f'"operation": "{name}"',
        *operation.roles,
        *(code for code, _ in operation.refusals),
    ):
        assert said in told
    assert max(len(line) for line in text.splitlines()) <= WIDTH


def test_help(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """After an operation's name it is that operation's; else the command's, with its examples."""
    for words, said in (
        (["agents.pause"], "parameters:"),
        ([], "examples:"),
        (["agents.dance"], "examples:"),
    ):
        with pytest.raises(SystemExit) as ended:
            run("api", *words, "--help")
        assert ended.value.code == 0
        assert said in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "asked"),
    [
        (["agents.get", "id=1001"], ("GET", "/agents/1001", None)),
        (["agents.list", "limit=2", "team=a b"], ("GET", "/agents?limit=2&team=a+b", None)),
        (
            ["agents.pause", "id=10/01", "queues=a", "queues=b", "reason=lunch"],
            ("POST", "/agents/10%2F01/pause", {"queues": ["a", "b"], "reason": "lunch"}),
        ),
        (
            ["agents.pause", "id=1001", "reason=tea", "--json-params", '{"reason": "x", "when": "now"}'],
            ("POST", "/agents/1001/pause", {"reason": "tea", "when": "now"}),
        ),
        (
            ["subjects.erase", "kind=agent", "id=1001", "dry_run=true"],
            ("DELETE", "/subjects/agent/1001?dry_run=true", None),
        ),
        (
            ["supervisions.update", "id=s1", "muted=true", "mode=null"],
            ("PATCH", "/supervisions/s1", {"muted": True, "mode": None}),
        ),
    ],
)
def test_it_is_asked_as_http_has_it(
    server: FakeCtid, run: Run, run_json: RunJson, arguments: list[str], asked: Any
) -> None:
    """One request; the answer is the document, over several lines or on one."""
    server.answers[asked[0]] = (200, AGENT)
    code, out, _ = run("api", *arguments)
    assert (code, server.asked) == (Exit.OK, [asked])
    assert json.loads(out) == AGENT
    assert len(out.splitlines()) > len(AGENT)
    assert run_json("api", *arguments) == (Exit.OK, AGENT)


def test_a_key(server: FakeCtid, run: Run) -> None:
    """It goes with the request; without one each command has its own."""
    server.answers["POST"] = (200, AGENT)
    run("api", "agents.resume", "id=1001", "--key", "k1")
    run("api", "agents.resume", "id=1001")
    given, made = [headers["Idempotency-Key"] for headers in server.headers]
    assert given == "k1"
    assert len(made) > 16


def test_a_terminal_is_told_nothing_to_obey(server: FakeCtid, run: Run) -> None:
    """What JSON lets through and a terminal acts on is escaped; the document is the same."""
    server.answers["GET"] = (200, {"name": "a\x9b31m\u202eb\x1b[0m"})
    _, out, _ = run("api", "agents.get", "id=1001")
    assert out.isascii()
    assert json.loads(out) == {"name": "a\x9b31m\u202eb\x1b[0m"}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["agents.paus"], "there is no operation 'agents.paus'; agents.pause"),
        (["zzz"], "`ctid api` lists them"),
        (["agents.get"], "id is needed, as text: ctid api agents.get id=…"),
        (["agents.get", "id="], "id is needed"),
        (["agents.get", "--json-params", '{"id": 7}'], "id is needed, as text"),
        (["agents.get", "1001"], "write name=value"),
        (["agents.get", "id=1", "--json-params", "[]"], "--json-params is no JSON object"),
    ],
)
def test_mistakes(server: FakeCtid, run: Run, arguments: list[str], told: str) -> None:
    """What cannot be asked is told with the cure, and is not."""
    code, _, err = run("api", *arguments)
    assert (code, server.asked) == (Exit.USAGE, [])
    assert told in err


@pytest.mark.parametrize(
    ("status", "code", "ends"),
    [
        (403, "auth.forbidden", Exit.AUTH),
        (401, "auth.required", Exit.AUTH),
        (404, "agent.unknown", Exit.REFUSED),
        (429, "request.rate_limited", Exit.REFUSED),
    ],
)
def test_a_refusal(server: FakeCtid, run: Run, run_json: RunJson, status: int, code: str, ends: Exit) -> None:
    """It is told with its code, and ends the command as it does the others."""
    server.answers["POST"] = problem(status, code, "no")
    ended, _, err = run("api", "agents.resume", "id=1001")
    assert ended == ends
    assert f"[{code}]" in err
    assert run_json("api", "agents.resume", "id=1001")[1]["code"] == code
