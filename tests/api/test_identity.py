"""Tokens, users and sessions, over a real server."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import structlog

from api.support import Floor, Reply, token_of
from ctid.api.bus import BusCarrier
from ctid.api.context import Limits
from ctid.identity.lockout import NAME

PASSWORD = "correct horse battery"
SAME = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    """A populated floor whose sockets look at the clock often."""
    async with Floor(Limits(heartbeat_s=0.05)) as running:
        await running.populate()
        yield running


async def act(floor: Floor, method: str, path: str, body: Any = None, **options: Any) -> Reply:
    """Ask as an admin, unless told otherwise."""
    return await floor.request(method, f"/api/v1{path}", options.pop("role", "admin"), json=body, **options)


async def add_anna(floor: Floor, **fields: Any) -> None:
    """Let there be a supervisor with a password."""
    body = {"name": "anna", "role": "supervisor", "teams": ["red"], "password": PASSWORD} | fields
    made = await act(floor, "POST", "/users", body)
    assert made.status == 201, made.text


async def log_in(floor: Floor, name: str = "anna", password: str = PASSWORD, **options: Any) -> Reply:
    """Log in."""
    body = {"name": name, "password": password}
    return await act(floor, "POST", "/session", body, role=None, **options)


def cookie_of(reply: Reply) -> dict[str, str]:
    """The cookie of a login, as a browser sends it back."""
    return {"Cookie": reply.headers["Set-Cookie"].partition(";")[0]}


async def audited(floor: Floor) -> list[tuple[str, str, Any]]:
    """What the audit tells of identity: event, who did it, and about what."""
    items = (await act(floor, "GET", "/audit?limit=500")).json["items"]
    return [
        (item["event"], item["by"], item["payload"].get("about"))
        for item in items
        if item["event"] != "audit_read"
    ]


async def on_bus(floor: Floor, client: str) -> tuple[int, Any]:
    """Raise a hand by MQTT; the status, and the problem."""
    reply = json.loads(
        await BusCarrier(floor.door).carry_out(client, "agents.help", b'{"params": {"id": "1001"}}')
    )
    return reply["status"], reply.get("problem")


# Tokens -----------------------------------------------------------------------------------------------


async def test_a_token_is_good_at_once_and_no_more_once_revoked(floor: Floor) -> None:
    """It works over HTTP, socket and bus; revoked, all of them refuse, and the socket is closed."""
    made = await act(floor, "POST", "/tokens", {"name": "wall", "role": "viewer"})
    assert made.status == 201
    bearer = {"Authorization": f"Bearer {made.json['token']}"}
    assert (await act(floor, "GET", "/agents", role=None, headers=bearer)).status == 200
    assert (await on_bus(floor, "wall"))[0] == 403
    socket = await floor.http.ws_connect("/api/v1/events", headers=bearer)
    listed = (await act(floor, "GET", "/tokens")).json["items"]
    (wall,) = [token for token in listed if token["name"] == "wall"]
    assert wall["last_used_at"] is not None
    assert made.json["token"] not in json.dumps(listed)
    assert sum(token["configured"] for token in listed) == len(listed) - 1
    revoked = await act(floor, "DELETE", "/tokens/wall")
    assert (revoked.status, revoked.json["id"]) == (200, made.json["info"]["id"])
    while not socket.closed:
        await socket.receive(timeout=10)
    assert socket.close_code == 4401
    assert (await act(floor, "GET", "/agents", role=None, headers=bearer)).json["code"] == "auth.required"
    assert (await on_bus(floor, "wall"))[0] == 401
    events = [event for event, by, about in await audited(floor) if about and about.get("token") == "wall"]
    assert events == ["token_created", "token_revoked"]


@pytest.mark.parametrize(
    ("scopes", "path", "status"),
    [
        (["read"], "/agents", 200),
        (["agents.*"], "/agents", 200),
        (["agents.list"], "/agents", 200),
        (["calls.*"], "/agents", 403),
        (["calls.*"], "/session", 200),
        (["calls.*"], "/events", 403),
        (["events"], "/events", 426),
    ],
)
async def test_scopes_over_http(floor: Floor, scopes: list[str], path: str, status: int) -> None:
    """A token does of its role what its scopes hold; who it is, it may always ask."""
    made = await act(floor, "POST", "/tokens", {"name": "t", "role": "supervisor", "scopes": scopes})
    bearer = {"Authorization": f"Bearer {made.json['token']}"}
    assert (await act(floor, "GET", path, role=None, headers=bearer)).status == status


async def test_scopes_over_socket_and_bus(floor: Floor) -> None:
    """The same scopes hold for whatever carries a command."""
    body = {"name": "t", "role": "supervisor", "teams": ["*"], "scopes": ["read", "agents.pause"]}
    made = await act(floor, "POST", "/tokens", body)
    bearer = {"Authorization": f"Bearer {made.json['token']}"}
    socket = await floor.http.ws_connect("/api/v1/events", headers=bearer)
    for operation, status in (("agents.resume", 403), ("agents.pause", 200)):
        await socket.send_json(
            {"id": operation, "operation": operation, "params": {"id": "1003", "reason": "lunch"}}
            if status == 200
            else {"id": operation, "operation": operation, "params": {"id": "1004"}}
        )
        while (message := json.loads(await socket.receive_str(timeout=10)))["type"] != "reply":
            pass
        assert message["status"] == status
    await socket.close()
    status, problem = await on_bus(floor, "t")
    assert (status, "not in the scopes of t" in problem["detail"]) == (403, True)


async def test_who_is_narrowed_gives_no_more(floor: Floor) -> None:
    """An admin's token with scopes makes tokens with those at most, and neither users nor passwords."""
    body = {"name": "maker", "role": "admin", "scopes": ["tokens.*", "users.*", "read"]}
    made = await act(floor, "POST", "/tokens", body)
    bearer = {"Authorization": f"Bearer {made.json['token']}"}
    for scopes, status in (([], 403), (["calls.*"], 403), (["read"], 201)):
        body = {"name": "child", "role": "admin", "scopes": scopes}
        assert (await act(floor, "POST", "/tokens", body, role=None, headers=bearer)).status == status
    body = {"name": "eve", "role": "admin", "password": PASSWORD}
    assert (await act(floor, "POST", "/users", body, role=None, headers=bearer)).status == 403


async def test_names_are_one_space(floor: Floor) -> None:
    """A name stands once among tokens of both kinds and users, for rights and the bus go by it."""
    await act(floor, "POST", "/tokens", {"name": "t", "role": "viewer"})
    for path, body in (
        ("/tokens", {"name": "t", "role": "viewer"}),
        ("/users", {"name": "t", "role": "viewer", "password": PASSWORD}),
    ):
        refused = await act(floor, "POST", path, body)
        assert (refused.status, refused.json["code"]) == (409, "identity.name_taken")
    assert (await act(floor, "DELETE", "/tokens/a%20viewer")).status in (409, 422)
    assert (await act(floor, "DELETE", "/tokens/nobody")).json["code"] == "token.unknown"


async def test_a_token_that_expires(floor: Floor) -> None:
    """From then on it is refused, and told as such; a socket that it opened is closed."""
    body = {"name": "t", "role": "viewer", "expires": "2026-05-29T00:00:00Z"}
    made = await act(floor, "POST", "/tokens", body)
    bearer = {"Authorization": f"Bearer {made.json['token']}"}
    socket = await floor.http.ws_connect("/api/v1/events", headers=bearer)
    told = (await act(floor, "GET", "/status")).json["tokens"]
    assert [token["name"] for token in told] == ["t"]
    floor.clock.time += 86_400
    while not socket.closed:
        await socket.receive(timeout=10)
    assert socket.close_code == 4401
    late = await act(floor, "GET", "/agents", role=None, headers=bearer)
    assert (late.status, late.json["code"]) == (401, "auth.expired")


# Sessions ---------------------------------------------------------------------------------------------


async def test_a_session(floor: Floor) -> None:
    """A login gives a cookie that no script sees, and says who she is; a logout ends it."""
    await add_anna(floor, phones=["2001"], agent="1002")
    login = await log_in(floor)
    assert login.status == 201
    said = login.headers["Set-Cookie"]
    assert said.startswith("ctid-local=")
    assert {"HttpOnly", "Path=/", "SameSite=Strict"} <= {part.strip() for part in said.split(";")}
    session = (await act(floor, "GET", "/session", role=None, headers=cookie_of(login))).json
    assert session == login.json
    assert (session["name"], session["role"], session["teams"]) == ("anna", "supervisor", ["red"])
    assert (session["phones"], session["agent"]) == (["2001"], "1002")
    assert session["rights"]["listen"] == ["red"]
    changing = cookie_of(login) | SAME | {"X-CTID-CSRF": session["csrf"]}
    assert (await act(floor, "DELETE", "/session", role=None, headers=changing)).status == 200
    after = await act(floor, "GET", "/session", role=None, headers=cookie_of(login))
    assert (after.status, after.json["code"]) == (401, "auth.required")
    told = [(event, by) for event, by, _ in await audited(floor)]
    assert told == [("user_created", "a admin"), ("login", "anna"), ("logout", "anna")]


async def test_the_cookie_of_another_host_is_secure(floor: Floor) -> None:
    """Whoever asks by another name than the loopback's gets a cookie for TLS alone, and no other is taken."""
    await add_anna(floor)
    login = await log_in(floor, headers={"Host": "ctid.example.org"})
    assert login.headers["Set-Cookie"].startswith("__Host-ctid=")
    assert "Secure" in login.headers["Set-Cookie"]
    secret = cookie_of(login)["Cookie"].partition("=")[2]
    host = {"Host": "ctid.example.org"}
    for name, status in (("__Host-ctid", 200), ("ctid-local", 401)):
        headers = host | {"Cookie": f"{name}={secret}"}
        assert (await act(floor, "GET", "/session", role=None, headers=headers)).status == status


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 403),
        (SAME, 403),
        (SAME | {"X-CTID-CSRF": "wrong"}, 403),
        ({"X-CTID-CSRF": "right"}, 403),
        ({"X-CTID-CSRF": "right", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"X-CTID-CSRF": "right", "Sec-Fetch-Site": "same-site"}, 403),
        ({"X-CTID-CSRF": "right", "Origin": "https://evil.example"}, 403),
        ({"X-CTID-CSRF": "right", "Origin": "null"}, 403),
        ({"X-CTID-CSRF": "right", "Origin": "http://["}, 403),
        (SAME | {"X-CTID-CSRF": "right"}, 200),
        ({"X-CTID-CSRF": "right", "Origin": "self"}, 200),
    ],
)
async def test_cross_site(floor: Floor, headers: dict[str, str], status: int) -> None:
    """With a cookie nothing is changed unless a page of this origin asks, with the value of this session."""
    await add_anna(floor)
    login = await log_in(floor)
    fill = {"right": login.json["csrf"], "self": floor.url}
    sent = {name: fill.get(value, value) for name, value in headers.items()} | cookie_of(login)
    answer = await act(floor, "POST", "/agents/1001/pause", {"reason": "lunch"}, role=None, headers=sent)
    assert answer.status == status
    assert answer.json.get("code", "") == ("auth.cross_site" if status == 403 else "")


async def test_a_socket_with_a_cookie(floor: Floor) -> None:
    """It is of this origin, or refused; it ends with the session."""
    await add_anna(floor)
    login = await log_in(floor)
    for origin, status in ((None, 403), ("https://evil.example", 403)):
        headers = cookie_of(login) | ({"Origin": origin} if origin else {})
        upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
        assert (await act(floor, "GET", "/events", role=None, headers=headers | upgrade)).status == status
    socket = await floor.http.ws_connect("/api/v1/events", headers=cookie_of(login) | {"Origin": floor.url})
    assert json.loads(await socket.receive_str(timeout=10))["type"] == "snapshot"
    assert (await act(floor, "PATCH", "/users/anna", {"disabled": True})).json["sessions"] == 0
    while not socket.closed:
        await socket.receive(timeout=10)
    assert socket.close_code == 4401


async def test_a_session_ends_by_itself(floor: Floor) -> None:
    """Unused for an hour, or after twelve, it is over; used, it lasts."""
    await add_anna(floor)
    idle, used = await log_in(floor), await log_in(floor)
    for _ in range(3):
        floor.clock.time += 1800
        assert (await act(floor, "GET", "/session", role=None, headers=cookie_of(used))).status == 200
    late = await act(floor, "GET", "/session", role=None, headers=cookie_of(idle))
    assert (late.status, late.json["code"]) == (401, "auth.expired")
    statuses = []
    for _ in range(21):
        floor.clock.time += 1800
        reply = await act(floor, "GET", "/session", role=None, headers=cookie_of(used))
        statuses.append(reply.status)
    assert statuses == [200] * 20 + [401]
    await floor.identity.keep_used()
    assert floor.identity.directory.sessions == {}


async def test_a_change_of_password_ends_the_other_sessions(floor: Floor) -> None:
    """Her own change keeps the session that made it, an admin's ends all; the old one is good no more."""
    await add_anna(floor)
    here, there = await log_in(floor), await log_in(floor)
    headers = cookie_of(here) | SAME | {"X-CTID-CSRF": here.json["csrf"]}
    path, new = "/session/password", "another long one"
    wrong = await act(floor, "POST", path, {"old": "wrong", "new": new}, role=None, headers=headers)
    assert (wrong.status, wrong.json["code"]) == (401, "auth.failed")
    short = await act(floor, "POST", path, {"old": PASSWORD, "new": "short"}, role=None, headers=headers)
    assert short.status == 422
    good = await act(floor, "POST", path, {"old": PASSWORD, "new": new}, role=None, headers=headers)
    assert good.status == 200
    statuses = [
        (await act(floor, "GET", "/session", role=None, headers=cookie_of(one))).status
        for one in (here, there)
    ]
    assert statuses == [200, 401]
    assert (await log_in(floor)).status == 401
    assert (await act(floor, "POST", "/users/anna/password", {"password": PASSWORD})).status == 200
    assert (await act(floor, "GET", "/session", role=None, headers=cookie_of(here))).status == 401


async def test_a_user_changes_and_goes(floor: Floor) -> None:
    """What she may do changes at once for her session; removed, she is nobody."""
    await add_anna(floor)
    login = await log_in(floor)
    assert (await act(floor, "PATCH", "/users/anna", {"role": "viewer", "teams": []})).status == 200
    session = (await act(floor, "GET", "/session", role=None, headers=cookie_of(login))).json
    assert (session["role"], session["teams"]) == ("viewer", [])
    assert (await act(floor, "PATCH", "/users/anna", {})).status == 422
    assert (await act(floor, "DELETE", "/users/anna")).status == 200
    assert (await act(floor, "GET", "/users")).json["items"] == []
    assert (await act(floor, "GET", "/session", role=None, headers=cookie_of(login))).status == 401


@pytest.mark.parametrize(
    "password", ["eleven char", "anna12345678", "aaaaaaaaaaaaaaaa", "x" * 257, "annaannaanna"]
)
async def test_bad_passwords(floor: Floor, password: str) -> None:
    """Too short, too long, the name with digits, or one character: refused by its field."""
    body = {"name": "anna", "role": "viewer", "password": password}
    refused = await act(floor, "POST", "/users", body)
    assert (refused.status, refused.json["field"]) == (422, "password")


# Guessing ---------------------------------------------------------------------------------------------


async def test_guessing(floor: Floor) -> None:
    """An unknown name and a wrong password are told alike; then it is later and later; a session goes on."""
    await add_anna(floor)
    login = await log_in(floor)
    secrets = []
    with structlog.testing.capture_logs() as logs:
        replies = []
        for number in range(NAME.free):
            for name in ("anna", "nobody"):
                secrets.append(f"a wrong guess {number} {name}")
                replies.append(await log_in(floor, name, secrets[-1]))
        assert {(reply.status, reply.json["code"], reply.json["detail"]) for reply in replies} == {
            (401, "auth.failed", "name or password is wrong")
        }
        delayed = await log_in(floor, "anna", PASSWORD, headers={"X-Other": "1"})
    # The address has a session of hers, so that it is not her name that is locked there: she gets in.
    assert delayed.status == 201
    other = await log_in(floor, "nobody")
    assert (other.status, other.json["code"]) == (429, "auth.locked")
    assert int(other.headers["Retry-After"]) >= 1
    assert (await act(floor, "GET", "/session", role=None, headers=cookie_of(login))).status == 200
    refused = [line for line in logs if line["event"] == "refused"]
    assert {(line["user"], line["carrier"], line["peer"]) for line in refused} == {
        ("anna", "http", "127.0.0.1"),
        ("nobody", "http", "127.0.0.1"),
    }
    assert not [secret for secret in (*secrets, PASSWORD) if secret in repr(logs)]
    failed = [about["user"] for event, _, about in await audited(floor) if event == "login_failed"]
    assert failed == ["anna", "unknown"] * NAME.free


async def test_the_admin_is_told_of_a_lock(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """The attempt that locks a name is in the log as an error, and in the audit."""
    await add_anna(floor)
    now = [0.0]
    monkeypatch.setattr(floor.identity, "_now", lambda: now[0])
    with structlog.testing.capture_logs() as logs:
        for _ in range(NAME.most):
            now[0] += 100.0
            assert (await log_in(floor, "anna", "wrong guess")).status == 401
    assert [line["user"] for line in logs if line["log_level"] == "error"] == ["anna"]
    locked = await log_in(floor)
    assert (locked.status, locked.json["retry_after_s"]) == (429, 900.0)
    assert [about["user"] for event, _, about in await audited(floor) if event == "locked_out"] == ["anna"]


async def test_a_login_from_another_site(floor: Floor) -> None:
    """A page of another site logs nobody in; a body that is none is refused."""
    await add_anna(floor)
    refused = await log_in(floor, headers={"Origin": "https://evil.example"})
    assert (refused.status, refused.json["code"]) == (403, "auth.cross_site")
    assert (await act(floor, "POST", "/session", {"name": "anna"}, role=None)).status == 422
    assert (await act(floor, "POST", "/session", None, role=None)).status in (400, 415)


# Refusals in the log ----------------------------------------------------------------------------------


async def test_every_refusal_is_logged_without_the_secret(floor: Floor) -> None:
    """Who, what, by which carrier, from where; over HTTP, socket and bus; and no token that was sent."""
    secret = "ctid_a-secret-that-nobody-has"
    with structlog.testing.capture_logs() as logs:
        bearer = {"Authorization": f"Bearer {secret}"}
        await act(floor, "GET", "/agents/1001", role=None, headers=bearer)
        await act(floor, "GET", "/session", role=None, headers={"Cookie": f"ctid-local={secret}"})
        await act(floor, "GET", f"/agents?token={secret}", role=None)
        await act(floor, "GET", "/audit", role="viewer")
        events = await floor.events(role="viewer")
        await events.call("audit.list")
        await events.socket.close()
        await on_bus(floor, "nobody")
        await on_bus(floor, "a viewer")
    refused = [
        (line["user"], line["operation"], line["carrier"], line["peer"], line["code"])
        for line in logs
        if line["event"] == "refused"
    ]
    here = "127.0.0.1"
    assert refused == [
        ("unknown", "GET /api/v1/agents/{id}", "http", here, "auth.required"),
        ("unknown", "GET /api/v1/session", "http", here, "auth.required"),
        ("unknown", "GET /api/v1/agents", "http", here, "auth.required"),
        ("a viewer", "audit.list", "http", here, "auth.forbidden"),
        ("a viewer", "audit.list", "websocket", here, "auth.forbidden"),
        ("nobody", "agents.help", "mqtt", "nobody", "auth.required"),
        ("a viewer", "agents.help", "mqtt", "a viewer", "auth.forbidden"),
    ]
    assert secret not in repr(logs)
    assert token_of("viewer") not in repr(logs)


async def test_a_user_on_the_bus(floor: Floor) -> None:
    """A client of the bus has the rights of the user of its name, while she is not disabled."""
    await add_anna(floor, agent="1001", role="agent")
    assert (await on_bus(floor, "anna"))[0] == 201
    await act(floor, "PATCH", "/users/anna", {"disabled": True})
    assert (await on_bus(floor, "anna"))[0] == 401
