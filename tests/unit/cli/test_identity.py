"""`ctid token` and `ctid user`."""

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ctid.cli.exits import Exit

from .conftest import FakeCtid, Run, problem

RunJson = Callable[..., tuple[int, Any]]

CONFIG = """state_directory = "{folder}"
[[pbx]]
id = "main"
driver = "asterisk"
username = "x"
secret = "x"
[[phone]]
name = "desk"
pbx = "main"
address = "PJSIP/2001"
[[token]]
name = "old"
role = "admin"
sha256 = "{hash}"
"""
PASSWORD = "correct horse battery"
TOKEN: dict[str, Any] = {
    "id": "ab12",
    "name": "wall",
    "role": "viewer",
    "phones": [],
    "teams": ["red"],
    "agent": "",
    "scopes": ["read"],
    "expires_at": None,
    "made_at": "2026-05-28T20:26:40.250Z",
    "made_by": "root",
    "last_used_at": "2026-05-28T20:27:40.250Z",
    "configured": False,
}


@pytest.fixture
def local(tmp_path: Path, run_json: RunJson) -> Any:
    """Runs commands on the file of this machine; gives exit code and document."""
    config = tmp_path / "ctid.toml"
    config.write_text(CONFIG.format(folder=tmp_path, hash="0" * 64))
    return lambda *words: run_json(*words, "--local", "--config", str(config))


def typed(monkeypatch: pytest.MonkeyPatch, text: str = PASSWORD) -> None:
    """Have a line come on standard input."""
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{text}\n"))


def test_tokens_of_this_machine(local: Any) -> None:
    """Made, listed and revoked without a daemon and without a token; who did it is told."""
    code, made = local("token", "create", "wall", "--role", "viewer", "--scope", "read", "--days", "3")
    assert code == Exit.OK
    assert made["token"].startswith("ctid_")
    assert (made["info"]["name"], made["info"]["scopes"]) == ("wall", ["read"])
    _, listed = local("token", "list")
    assert [(one["name"], one["configured"]) for one in listed["items"]] == [("old", True), ("wall", False)]
    assert listed["items"][1]["made_by"].startswith("local:")
    assert local("token", "create", "wall")[0] == Exit.REFUSED
    assert local("token", "create", "old")[1]["code"] == "identity.name_taken"
    assert local("token", "create", "x", "--scope", "cals.*")[1]["code"] == "request.invalid"
    assert local("token", "create", "x", "--phone", "none")[1]["code"] == "request.invalid"
    assert local("token", "revoke", "old")[1]["code"] == "identity.configured"
    assert local("token", "revoke", "wall")[0] == Exit.OK
    assert local("token", "revoke", "wall")[1]["code"] == "token.unknown"


def test_users_of_this_machine(local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Added with a password from standard input, changed, and taken out."""
    typed(monkeypatch)
    code, anna = local("user", "add", "anna", "--role", "supervisor", "--phone", "desk", "--team", "red")
    assert (code, anna["has_password"], anna["phones"]) == (Exit.OK, True, ["desk"])
    typed(monkeypatch, "short")
    assert local("user", "passwd", "anna")[1]["code"] == "request.invalid"
    typed(monkeypatch, "another long one")
    assert local("user", "passwd", "anna")[0] == Exit.OK
    assert local("user", "add", "olga", "--oidc", "--role", "agent", "--agent", "1001")[0] == Exit.OK
    assert local("user", "add", "olga", "--oidc")[1]["code"] == "identity.name_taken"
    assert local("user", "disable", "anna")[1]["disabled"] is True
    assert local("user", "enable", "anna")[1]["disabled"] is False
    assert [one["id"] for one in local("user", "list")[1]["items"]] == ["anna", "olga"]
    assert local("user", "remove", "anna")[0] == Exit.OK
    assert local("user", "remove", "anna")[1]["code"] == "user.unknown"


def test_another_users_folder(local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is not ctid's user is told how to be: a file of hers would keep the daemon out."""
    mine = os.geteuid()
    monkeypatch.setattr("os.geteuid", lambda: mine + 1)
    code, told = local("token", "list")
    assert code == Exit.CANNOT_START
    assert "sudo -u" in told["detail"]


def test_no_configuration(run: Run, tmp_path: Path) -> None:
    """It has to be there, and so has its state directory."""
    assert run("token", "list", "--local", "--config", str(tmp_path / "gone"))[0] == Exit.CONFIG
    config = tmp_path / "ctid.toml"
    config.write_text(CONFIG.format(folder=tmp_path / "gone", hash="0" * 64))
    assert run("token", "list", "--local", "--config", str(config))[0] == Exit.CANNOT_START


def test_by_the_api(server: FakeCtid, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each command is one request; the secret of a new token is shown, and where it was done."""
    typed(monkeypatch)
    user = {
        "id": "anna",
        "role": "viewer",
        "phones": [],
        "teams": [],
        "agent": "",
        "has_password": True,
        "disabled": False,
        "made_at": TOKEN["made_at"],
        "made_by": "root",
        "last_login_at": None,
        "sessions": 0,
    }
    server.answers["POST /tokens"] = (201, {"token": "ctid_x", "info": TOKEN})
    server.answers["GET /tokens"] = (200, {"items": [TOKEN, TOKEN | {"configured": True, "scopes": []}]})
    server.answers["DELETE /tokens/wall"] = (200, TOKEN)
    server.answers["GET /users"] = (200, {"items": [user]})
    for method, path in (
        ("POST", "/users"),
        ("POST", "/users/anna/password"),
        ("PATCH", "/users/anna"),
        ("DELETE", "/users/anna"),
    ):
        server.answers[f"{method} {path}"] = (200, user)
    code, out, _ = run("token", "create", "wall", "--team", "red", "--scope", "read", "--days", "1")
    assert (code, "ctid_x" in out, f"by the API at {server.url}" in out) == (Exit.OK, True, True)
    body = server.asked[-1][2]
    assert (body["name"], body["teams"], body["scopes"]) == ("wall", ["red"], ["read"])
    assert body["expires"].endswith("Z")
    assert "all of the role" in run("token", "list")[1]
    assert run("token", "revoke", "wall")[0] == Exit.OK
    assert run("user", "add", "anna")[0] == Exit.OK
    assert server.asked[-1][2]["password"] == PASSWORD
    assert "anna" in run("user", "list")[1]
    typed(monkeypatch)
    for words in (("passwd", "anna"), ("disable", "anna"), ("enable", "anna"), ("remove", "anna")):
        assert run("user", *words)[0] == Exit.OK
    server.answers["GET /tokens"] = problem(403, "auth.forbidden", "no")
    assert run("token", "list")[0] == Exit.AUTH


def test_no_daemon(run: Run) -> None:
    """Who reaches none is told of --local."""
    code, _, err = run("--url", "http://127.0.0.1:1", "token", "list")
    assert (code, "--local" in err) == (Exit.UNREACHABLE, True)


def test_a_password_at_the_terminal(local: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for twice, until both are the same."""
    given = iter([PASSWORD, "other", PASSWORD, PASSWORD])
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda _prompt: next(given))
    assert local("user", "add", "anna")[0] == Exit.OK
    assert list(given) == []
