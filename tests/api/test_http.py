import asyncio
import json
import socket
from typing import Any

import pytest

from api.support import (
    CALL,
    DEADLINE_S,
    NOW,
    PBX,
    SESSION,
    Floor,
    eventually,
    raising,
    token_of,
)
from ctid.api.context import Limits
from ctid.api.operations import OPERATIONS, Operation
from ctid.model.errors import (
    AuditUnavailable,
    CtidError,
    InvalidRequest,
    NotFound,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    SupervisionRefused,
)
from ctid.model.facts import LinkDown, LinkUp
from ctid.model.users import UserRole
from ctid.model.words import Hear
from ctid.rates import Rate
from ctid.supervision.requests import ChangeRequest

START = {"agent": "1001", "via": {"phone": "2001"}, "purpose": "training"}
JSON = {"Content-Type": "application/json"}


def assert_problem(reply: Any, status: int, code: str, field: str | None = None) -> None:
    """The reply is a whole problem document with this code."""
    assert reply.headers["Content-Type"].split(";")[0] == "application/problem+json"
    problem = reply.json
    assert (reply.status, problem["status"], problem["code"]) == (status, status, code), problem
    assert problem.get("field") == field
    assert problem["title"]
    assert problem["detail"]
    assert problem["type"] == f"/api/v1/docs#problem-{code}"
    assert set(problem) <= {"type", "title", "status", "detail", "code", "field"}


async def test_status(floor: Floor) -> None:
    """The status tells version, boot, links and broker, with times in RFC 3339 with milliseconds."""
    status = (await floor.get("/status")).json
    assert (status["version"], status["site"], status["ready"]) == ("9.9.9", "test", True)
    assert status["started_at"] == "2026-05-28T20:26:40.250Z"
    assert [link["state"] for link in status["pbxs"]] == ["connected"]
    assert status["broker"] == {"connected": True, "published": 7, "dropped": 1}
    assert status["seq"] == floor.hub.store.seq


@pytest.mark.parametrize(
    ("path", "ids"),
    [
        ("/agents", ["1001", "1002", "1003", "1004"]),
        ("/agents?queue=sales", ["1003", "1004"]),
        ("/agents?team=red", ["1001"]),
        ("/agents?state=not_ready&queue=sales", ["1004"]),
        ("/agents?team=green", []),
        ("/queues", ["sales", "support"]),
        ("/devices?state=idle", ["PJSIP_1001", "PJSIP_1002", "PJSIP_2001"]),
        ("/calls", [CALL]),
        ("/calls?queue=support&state=connected&agent=1001", [CALL]),
        ("/calls?agent=1002", []),
        ("/supervisions", []),
    ],
)
async def test_lists(floor: Floor, path: str, ids: list[str]) -> None:
    """Lists hold what matches every filter, in the order of ids, with the state's seq."""
    page = (await floor.get(path)).json
    assert [item["id"] for item in page["items"]] == ids
    assert (page["next"], page["seq"]) == (None, floor.hub.store.seq)


async def test_pages_hold_everything_once_while_the_list_changes(floor: Floor) -> None:
    """Whoever follows `next` sees each agent that is there all the while exactly once."""
    seen, cursor = [], ""
    for number in range(4):
        page = (await floor.get(f"/agents?limit=1&cursor={cursor}")).json
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if number == 1:
            await floor.pause("1000", "newcomer before the cursor")
    assert seen == ["1001", "1002", "1003", "1004"]
    assert cursor is None


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/agents?limit=0", "limit"),
        ("/agents?limit=501", "limit"),
        ("/agents?limit=many", "limit"),
        ("/agents?limit=1&limit=2", "limit"),
        ("/agents?state=asleep", "state"),
        ("/agents?state=null", "state"),
        ("/agents?shoe=42", "shoe"),
        ("/agents?cursor=!!", "cursor"),
        ("/agents?cursor=%C3%A9", "cursor"),
        ("/agents?cursor=eHg", "cursor"),
        ("/agents/1001?id=1002", "id"),
        ("/status?verbose=1", "verbose"),
    ],
)
async def test_query_refused_by_field(floor: Floor, path: str, field: str) -> None:
    """What is wrong with a query is told by the name of its field."""
    assert_problem(await floor.get(path), 422, "request.invalid", field)


async def test_refused_enumeration_lists_its_values(floor: Floor) -> None:
    """A wrong value of an enumeration is answered with the right ones."""
    detail = (await floor.get("/agents?state=asleep")).json["detail"]
    assert "logged_out, not_ready, ready" in detail


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b"\xff", 400, None),
        (b'{"note": "\xff"}', 400, None),
        (b"[" * 30_000, 400, None),
        (b"{}", 422, "via"),
        (json.dumps(START | {"mode": "shout"}).encode(), 422, "mode"),
        (json.dumps(START | {"via": {"phone": 2001}}).encode(), 422, "via.phone"),
        (json.dumps(START | {"via": {"number": "06"}}).encode(), 422, "via.number"),
        (json.dumps(START | {"colour": "red"}).encode(), 422, "colour"),
        (json.dumps(START | {"note": "x" * 201}).encode(), 422, "note"),
        (json.dumps(START | {"x" * 5000: 1}).encode(), 422, "x" * 64 + "…"),
    ],
)
async def test_body_refused(floor: Floor, body: bytes, status: int, field: str | None) -> None:
    """What is no JSON object is 400, what is no request is 422 with the path of its field."""
    reply = await floor.request("POST", "/api/v1/supervisions", data=body, headers=JSON)
    assert_problem(reply, status, "request.invalid", field)
    assert floor.supervisions.asked == []


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
    ],
)
async def test_only_json_is_taken(floor: Floor, headers: dict[str, str]) -> None:
    """A body that is declared to be anything but plain JSON is 415."""
    reply = await floor.request(
        "POST", "/api/v1/supervisions", data=json.dumps(START).encode(), headers=headers
    )
    assert_problem(reply, 415, "request.media_type")


async def test_charset_of_json_is_no_matter(floor: Floor) -> None:
    """JSON with a charset parameter is JSON."""
    headers = {"Content-Type": "application/json; charset=utf-8"}
    reply = await floor.request(
        "POST", "/api/v1/supervisions", data=json.dumps(START).encode(), headers=headers
    )
    assert reply.status == 201


async def test_body_limit(floor: Floor) -> None:
    """A body of more than 64 KiB is 413, whether its length is declared or not."""

    async def chunks() -> Any:
        for _ in range(70):
            yield b" " * 1024

    declared = await floor.request("POST", "/api/v1/supervisions", data=b" " * 70_000, headers=JSON)
    assert_problem(declared, 413, "request.too_large")
    streamed = await floor.request("POST", "/api/v1/supervisions", data=chunks(), headers=JSON)
    assert_problem(streamed, 413, "request.too_large")


async def test_slow_body() -> None:
    """A body that does not arrive in time is 408."""
    async with Floor(Limits(body_s=0.1)) as floor:
        reader, writer = await asyncio.open_connection(*floor.server.address)
        head = (
            "POST /api/v1/supervisions HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
            f"Authorization: Bearer {token_of('admin')}\r\nContent-Length: 10\r\n\r\n{{"
        )
        writer.write(head.encode())
        async with asyncio.timeout(DEADLINE_S):
            line = await reader.readline()
        writer.close()
        await writer.wait_closed()
    assert b" 408 " in line


async def test_body_of_a_get_is_ignored(floor: Floor) -> None:
    """A GET means its address alone."""
    reply = await floor.request("GET", "/api/v1/status", data=b"{nonsense", headers=JSON)
    assert reply.status == 200


async def test_head(floor: Floor) -> None:
    """HEAD answers as GET does, without the body."""
    reply = await floor.request("HEAD", "/api/v1/agents")
    assert (reply.status, reply.text) == (200, "")
    assert int(reply.headers["Content-Length"]) > 0


async def test_unknown_path_and_method(floor: Floor) -> None:
    """An unknown path and a wrong method are problem documents; the latter lists what is allowed."""
    assert_problem(await floor.get("/nothing"), 404, "request.path_unknown")
    assert_problem(await floor.request("GET", "/elsewhere", None), 404, "request.path_unknown")
    reply = await floor.request("PUT", "/api/v1/supervisions/x")
    assert_problem(reply, 405, "request.method_not_allowed")
    assert reply.headers["Allow"] == "DELETE, GET, HEAD, PATCH"


@pytest.mark.parametrize("kind", ["agent", "queue", "device", "call", "supervision"])
async def test_unknown_id(floor: Floor, kind: str) -> None:
    """An id that is not there is 404 with the kind's own code."""
    assert_problem(await floor.get(f"/{kind}s/no.such~one"), 404, f"{kind}.unknown")


@pytest.mark.parametrize("ident", ["no%2Fsuch%0Aone", "no%2Fsuch", "1001%001", "%C3%A9", "x" * 129])
async def test_what_is_no_id(floor: Floor, ident: str) -> None:
    """What cannot be an id is told as such, by its field."""
    assert_problem(await floor.get(f"/agents/{ident}"), 422, "request.invalid", "id")


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        (None, 'Bearer realm="ctid"'),
        ("Bearer ", 'Bearer realm="ctid", error="invalid_token"'),
        ("Bearer wrong", 'Bearer realm="ctid", error="invalid_token"'),
        ("Basic Zm9vOmJhcg==", 'Bearer realm="ctid", error="invalid_token"'),
    ],
)
async def test_no_known_token(header: str | None, challenge: str) -> None:
    """Without a known token every operation is 401, with a challenge."""
    headers = {} if header is None else {"Authorization": header}
    async with Floor(Limits(failures=Rate(1.0, len(OPERATIONS)))) as floor:
        for operation in OPERATIONS.values():
            path = "/api/v1" + operation.path.replace("{kind}", "agent").replace("{id}", "x")
            reply = await floor.request(operation.method, path, None, headers=headers)
            assert_problem(reply, 401, "auth.required")
            assert reply.headers["WWW-Authenticate"] == challenge


async def test_scheme_is_not_case_sensitive(floor: Floor) -> None:
    """The scheme may be written in any case."""
    headers = {"Authorization": f"bEARER {token_of('viewer')}"}
    assert (await floor.request("GET", "/api/v1/status", None, headers=headers)).status == 200


OF_AGENTS = (
    *("agents.help", "help.list", "help.get", "help.withdraw"),
    *("sheets.list", "sheets.get", "sheets.versions", "sheets.comment"),
)
OF_EVERYBODY = ("session.get", "session.end", "session.password")


@pytest.mark.parametrize("role", list(UserRole))
@pytest.mark.parametrize("operation", list(OPERATIONS.values()), ids=lambda operation: operation.name)
async def test_rights(floor: Floor, operation: Operation, role: UserRole) -> None:
    """Who sees the floor reads it; supervisor and admin supervise; admin has the audit; others see little."""
    little = {
        UserRole.AGENT: {
            *("agents.get", "agents.story", "agents.sessions", "periods.get"),
            *("calls.private", "calls.objected"),
            *OF_AGENTS,
            *OF_EVERYBODY,
        },
        UserRole.PRINCIPAL: {"figures.get", "agents.sessions", "periods.get", *OF_EVERYBODY},
    }
    if role in little:
        commands = operation.method == "POST" and operation.name.startswith("agents.")
        commands = commands and operation.name != "agents.message"
        may = operation.name in little[role] or (role is UserRole.AGENT and commands)
    else:
        accounts = operation.name.startswith(
            ("audit.", "retention.", "subjects.", "tokens.", "users.", "webhooks.")
        )
        names = ("supervisions.", "ghosts.", "draw.", "recordings.", "help.", "sheets.")
        supervising = operation.name.startswith(names)
        reads = operation.method == "GET" and not supervising and not accounts
        may = reads or role is UserRole.ADMIN or (role is UserRole.SUPERVISOR and not accounts)
        may = (may and operation.name != "sheets.comment") or operation.name in OF_EVERYBODY
    assert (role in operation.roles) is may
    body = operation.example
    if operation.name == "calls.create":
        body = {**(body or {}), "agent": "1002"}  # who is free
    ident = "1001" if role is UserRole.AGENT else "x"
    path = "/api/v1" + operation.path.replace("{kind}", "agent").replace("{id}", ident)
    query = "?team=none" if operation.name == "draw.get" else ""
    reply = await floor.request(operation.method, path + query, role, json=body)
    if may:
        refused = {
            "draw.get": (403, 409),
            "agents.extend_after_call_work": (409,),
            "session.password": (409,),
        }
        assert reply.status in (200, 201, 404, *refused.get(operation.name, ()))
        assert "is for the roles" not in reply.text
    else:
        assert_problem(reply, 403, "auth.forbidden")
        assert " and ".join(sorted(operation.roles)) in reply.json["detail"]
        assert floor.supervisions.asked == []


async def test_a_session_from_start_to_end(floor: Floor) -> None:
    """POST makes a session, PATCH switches it, GET shows it, DELETE ends it and answers how it ended."""
    made = await floor.request("POST", "/api/v1/supervisions", json=START | {"note": "first day"})
    assert (made.status, made.json["mode"], made.json["note"]) == (201, "listen", "first day")
    path = f"/api/v1/supervisions/{SESSION}"
    switched = await floor.request("PATCH", path, json={"mode": "whisper"})
    assert (switched.status, switched.json["mode"]) == (200, "whisper")
    assert (await floor.get(f"/supervisions/{SESSION}")).json == switched.json
    assert (await floor.get(f"/calls/{CALL}")).json["supervisions"] == [SESSION]
    ended = await floor.request("DELETE", path)
    assert (ended.status, ended.json["state"], ended.json["end"]) == (200, "ended", "released")
    assert_problem(await floor.request("DELETE", path), 404, "supervision.unknown")
    names = [(what, user.name, user.phones) for what, user, _ in floor.supervisions.asked]
    assert names[0] == ("start", "a supervisor", frozenset({"2001"}))


async def test_patch_takes_what_is_to_change_alone(floor: Floor) -> None:
    """A PATCH with the id in its body, something unknown, or a mode in the query is refused by field."""
    path = f"/api/v1/supervisions/{SESSION}"
    scope = await floor.request("PATCH", path, json={"mode": "barge", "scope": "call"})
    assert_problem(scope, 422, "request.invalid", "scope")
    both = await floor.request("PATCH", path, json={"id": "other", "mode": "barge"})
    assert_problem(both, 422, "request.invalid", "id")
    query = await floor.request("PATCH", f"{path}?mode=barge", json={"mode": "barge"})
    assert_problem(query, 422, "request.invalid", "mode")


async def test_patch_hands_on_what_is_given(floor: Floor) -> None:
    """Whom she hears, whether she is muted and who leads reach the service; what is left out does not."""
    await floor.supervise()
    path = f"/api/v1/supervisions/{SESSION}"
    changed = await floor.request("PATCH", path, json={"hear": "customer", "muted": True})
    assert (changed.status, changed.json["hear"], changed.json["muted"]) == (200, "customer", True)
    assert (await floor.request("PATCH", path, json={"lead": True})).status == 200
    assert [asked for _, _, asked in floor.supervisions.asked] == [
        ChangeRequest(hear=Hear.CUSTOMER, muted=True),
        ChangeRequest(lead=True),
    ]


REFUSALS = [
    InvalidRequest("name either an agent or a call", field="$.agent"),
    NotFound("agent", "9"),
    NotFound("call", "9"),
    PbxUnavailable("down"),
    PbxRefused("no"),
    PbxTimeout("late"),
    AuditUnavailable("full"),
    *(
        SupervisionRefused(reason, "not now")
        for reason in (
            "no_live_call",
            "call_ended",
            "phone_not_allowed",
            "phone_unreachable",
            "phone_no_answer",
            "phone_busy",
            "already_active",
            "mode_not_possible",
            "not_leading",
            "takeover_failed",
            "not_active",
        )
    ),
]


@pytest.mark.parametrize("error", REFUSALS, ids=raising)
async def test_refusals_of_the_service(floor: Floor, error: CtidError) -> None:
    """Each refusal of the service comes out with its own code and status, and the document promises it."""
    floor.supervisions.refusal = error
    reply = await floor.request("POST", "/api/v1/supervisions", json=START)
    field = "agent" if error.field else None
    assert_problem(reply, error.status, error.code, field)
    document = (await floor.get("/openapi.json", None)).json
    responses = document["paths"]["/api/v1/supervisions"]["post"]["responses"]
    assert error.code in responses[str(error.status)]["x-codes"]


async def test_a_fault_costs_one_request(floor: Floor) -> None:
    """An unexpected exception is a 500 that tells nothing of it, and the server goes on."""
    floor.supervisions.refusal = ZeroDivisionError("secret inside")
    reply = await floor.request("POST", "/api/v1/supervisions", json=START)
    assert_problem(reply, 500, "internal")
    assert "secret" not in reply.text
    assert (await floor.get("/status")).status == 200


@pytest.mark.parametrize("role", ["viewer", "integrator"])
async def test_masks(floor: Floor, role: str) -> None:
    """Viewer and integrator see a caller's last two digits, no name, and not that anybody listens."""
    await floor.supervise()
    for call in (
        (await floor.get("/calls", role)).json["items"][0],
        (await floor.get(f"/calls/{CALL}", role)).json,
    ):
        customer, agent = call["parties"]
        assert (customer["number"], customer["name"]) == ("********78", "")
        assert agent["number"] == "1001"
        assert "supervisions" not in call
    whole = (await floor.get(f"/calls/{CALL}", "admin")).json
    assert whole["parties"][0]["number"] == "0612345678"
    assert whole["supervisions"] == [SESSION]


async def test_alive_and_ready(floor: Floor) -> None:
    """Alive is alive; ready needs every required link up with its snapshot, and says what is missing."""
    assert (await floor.request("GET", "/healthz", None)).status == 200
    assert (await floor.request("GET", "/readyz", None)).status == 200
    await floor.feed(LinkDown(pbx=PBX, at=NOW, driver="asterisk", reason="connection refused"))
    reply = await floor.request("GET", "/readyz", None)
    assert_problem(reply, 503, "status.not_ready")
    assert "pbx lab: the link is down (connection refused)" in reply.json["detail"]
    await floor.feed(LinkUp(pbx=PBX, at=NOW, driver="asterisk", version="22"))
    assert "first snapshot" in (await floor.request("GET", "/readyz", None)).json["detail"]
    assert (await floor.get("/status")).json["missing"] == ["pbx lab: the first snapshot is not done"]


async def test_not_ready_before_the_first_connection() -> None:
    """A required link that was never up is missing."""
    async with Floor(required=("lab", "other")) as floor:
        await floor.populate()
        reply = await floor.request("GET", "/readyz", None)
        assert reply.json["detail"] == "pbx other: not connected yet"


async def test_metrics(floor: Floor) -> None:
    """The figures hold links, agents and calls by state, waiting, updates, subscribers and requests."""
    await floor.get("/agents")
    await floor.get("/agents?shoe=1")
    await floor.request("GET", "/nothing")
    events = await floor.events()
    await events.call("agents.get", {"id": "1001"})
    reply = await floor.request("GET", "/metrics", None)
    lines = reply.text.splitlines()
    for line in (
        'ctid_pbx_up{pbx="lab"} 1',
        'ctid_agents{pbx="lab",state="not_ready"} 1',
        'ctid_agents{pbx="lab",state="ready"} 2',
        'ctid_calls{pbx="lab",state="connected"} 1',
        'ctid_queue_waiting{pbx="lab",queue="support"} 0',
        f"ctid_updates_total {floor.hub.store.seq}",
        "ctid_websocket_subscribers 1",
        'ctid_api_requests_total{carrier="http",operation="agents.list",status="200"} 1',
        'ctid_api_requests_total{carrier="http",operation="agents.list",status="422"} 1',
        'ctid_api_requests_total{carrier="http",operation="none",status="404"} 1',
        'ctid_api_requests_total{carrier="websocket",operation="agents.get",status="200"} 1',
        "ctid_broker_up 1",
        "ctid_broker_published_total 7",
    ):
        assert line in lines
    assert reply.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    await events.socket.close()


async def test_answers_are_not_kept_or_sniffed(floor: Floor) -> None:
    """No answer may be taken from a cache unasked, or guessed at; none names the software beneath."""
    reply = await floor.get("/calls")
    assert reply.headers["Cache-Control"] == "private, no-cache"
    assert (await floor.get("/nowhere")).headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Server"] == "ctid"


async def test_root_leads_to_the_docs(floor: Floor) -> None:
    """The root leads to the page of the API."""
    reply = await floor.request("GET", "/", None)
    assert (reply.status, reply.headers["Location"]) == (302, "/api/v1/docs")


@pytest.mark.parametrize(
    ("path", "media_type"),
    [("docs", "text/html"), ("docs/docs.js", "text/javascript"), ("docs/docs.css", "text/css")],
)
async def test_the_page_of_the_api(floor: Floor, path: str, media_type: str) -> None:
    """The page and its parts need no token, and may load nothing but themselves."""
    reply = await floor.get(f"/{path}", None)
    assert (reply.status, reply.headers["Content-Type"]) == (200, f"{media_type}; charset=utf-8")
    assert reply.headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
    assert "unsafe" not in reply.headers["Content-Security-Policy"]


async def test_a_taken_port_is_an_error() -> None:
    """A port that is taken is told by OSError, and nothing stays behind."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        floor = Floor(listen=f"127.0.0.1:{taken.getsockname()[1]}")
        with pytest.raises(OSError, match="address already in use"):
            await floor.server.start()
        assert len(floor.hub._subscriptions) == 0


async def test_the_server_stops_while_a_request_is_under_way() -> None:
    """Closing the server ends a request that waits for a phone, in bounded time."""
    async with Floor(Limits(shutdown_s=0.1)) as floor:
        floor.supervisions.gate.clear()
        post = floor.request("POST", "/api/v1/supervisions", json=START)
        asked = asyncio.gather(post, return_exceptions=True)
        await eventually(lambda: floor.supervisions.asked)
        async with asyncio.timeout(DEADLINE_S):
            await floor.server.close()
            (result,) = await asked
    assert isinstance(result, Exception)
