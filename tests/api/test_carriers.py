"""Every operation gives the same answer whatever carries it."""

import re
from typing import Any

import pytest
from openapi_spec_validator import validate

from api.support import CALL, HAND, SESSION, SHEET, Floor
from ctid.agents.service import AgentService
from ctid.api.context import Agents, Calls, Coaching, Hands, Outreach, Supervisions
from ctid.api.operations import OPERATIONS, Operation
from ctid.calls.outreach import OutreachService
from ctid.calls.service import CallService
from ctid.coaching.service import CoachingService
from ctid.help.service import HelpService
from ctid.model.users import UserRole
from ctid.supervision.service import SupervisionService

START = {"agent": "1001", "via": {"phone": "2001"}, "purpose": "quality", "note": "hm"}
CLAIM = {"id": HAND, "via": {"phone": "2001"}, "mode": "whisper"}

# Of each operation: good requests, and requests that are refused.
REQUESTS: dict[str, list[dict[str, Any]]] = {
    "status.get": [{}, {"shoe": 1}],
    "agents.list": [{}, {"limit": 1}, {"team": "red", "state": "busy"}, {"limit": 0}, {"state": "?"}],
    "agents.get": [{"id": "1001"}, {"id": "none"}],
    "agents.login": [{"id": "1001", "queues": ["sales"]}, {"id": "1009"}, {"id": "1001"}, {"id": "none"}],
    "agents.logout": [{"id": "1003"}, {"id": "1009", "queues": ["sales"]}, {"id": "1003", "queues": "sales"}],
    "agents.pause": [
        {"id": "1001", "reason": "lunch", "when": "after_call"},
        {"id": "1003", "queues": ["sales"], "reason": "training"},
        {"id": "1003", "queues": ["support"], "reason": "lunch"},
        {"id": "1003", "reason": "nap"},
        {"id": "1003", "reason": "lunch", "when": "?"},
        {"id": "1009", "reason": "lunch"},
    ],
    "agents.resume": [{"id": "1004"}, {"id": "1003", "queues": ["none"]}, {"id": "1003", "queues": []}],
    "agents.end_after_call_work": [{"id": "1002"}, {"id": "none"}],
    "agents.extend_after_call_work": [{"id": "1002", "seconds": 60}, {"id": "1002", "seconds": 0}],
    "agents.story": [{"id": "1001"}, {"id": "none"}],
    "agents.sessions": [{"id": "1001"}, {"id": "none"}, {"id": "1001", "cursor": "?"}],
    "periods.get": [{}, {"team": "red"}],
    "draw.get": [{"team": "none"}, {}],
    "agents.help": [
        {"id": "1002", "text": "angry"},
        {"id": "1001"},
        {"id": "none"},
        {"id": "1001", "text": "x" * 201},
    ],
    "help.list": [{}, {"state": "open", "team": "red"}, {"agent": "1002"}, {"state": "?"}],
    "help.get": [{"id": HAND}, {"id": "none"}],
    "help.withdraw": [{"id": HAND}, {"id": "none"}],
    "help.claim": [CLAIM, CLAIM | {"mode": "?"}, CLAIM | {"id": "none"}, {"id": HAND}],
    "supervisions.sheet": [
        {"id": SESSION, "grades": {"greeting": 5}, "text": "calm"},
        {"id": SESSION, "grades": {"greeting": 6}},
        {"id": SESSION, "grades": {"warmth": 1}},
        {"id": SESSION},
        {"id": "none", "text": "calm"},
    ],
    "sheets.list": [{}, {"agent": "1001"}, {"agent": "1002"}, {"cursor": "?"}],
    "sheets.get": [{"id": SHEET}, {"id": "none"}],
    "sheets.versions": [{"id": SHEET}, {"id": "none"}],
    "sheets.update": [
        {"id": SHEET, "text": "better"},
        {"id": SHEET, "grades": {"warmth": 1}},
        {"id": "none"},
    ],
    "sheets.comment": [
        {"id": SHEET, "text": "thanks"},
        {"id": "none", "text": "thanks"},
        {"id": SHEET, "text": ""},
    ],
    "ghosts.list": [{}, {"which": "?"}],
    "pbxs.reconcile": [{"id": "lab"}, {"id": "none"}],
    "queues.list": [{}, {"limit": 1}, {"cursor": "?"}],
    "queues.get": [{"id": "support"}, {"id": "none"}],
    "devices.list": [{}, {"state": "idle"}],
    "devices.get": [{"id": "PJSIP_1001"}, {"id": "none"}],
    "calls.list": [{}, {"agent": "1001"}, {"queue": "sales"}],
    "calls.get": [{"id": CALL}, {"id": "none"}],
    "calls.create": [
        {"agent": "1002", "number": "80003001"},
        {"agent": "1002", "number": "0033"},
        {"agent": "1001", "number": "80003001"},
        {"agent": "none", "number": "1&2"},
    ],
    "calls.hang_up": [
        {"id": CALL},
        {"id": CALL, "party": "100.2"},
        {"id": "none"},
        {"id": CALL, "party": "x"},
    ],
    "calls.transfer": [
        {"id": CALL, "to": "1002"},
        {"id": CALL, "to": {"queue": "none"}},
        {"id": CALL, "to": "0033"},
        {"id": CALL, "to": ["1"]},
    ],
    "calls.prioritize": [{"id": CALL}, {"id": "none", "position": 2}, {"id": CALL, "position": 0}],
    "calls.record": [
        {"id": CALL, "action": "start", "basis": "training"},
        {"id": CALL, "action": "pause"},
        {"id": CALL, "action": "?"},
    ],
    "calls.private": [{"id": CALL}, {"id": "none"}],
    "calls.objected": [{"id": CALL}, {"id": CALL, "why": "x"}],
    "agents.message": [
        {"id": "1002", "text": "line 2"},
        {"id": "none", "text": "x"},
        {"id": "1002", "text": ""},
    ],
    "recordings.list": [{}, {"agent": "1001", "limit": 1}, {"cursor": "?"}],
    "figures.get": [{}, {"queue": "support", "agent": "1001"}, {"since": "yesterday"}],
    "figures.calls": [{"limit": 2}, {"kind": "?"}, {"cursor": "?"}],
    "audit.list": [{}, {"agent": "1001", "limit": 1}, {"since": "yesterday"}, {"cursor": "?"}],
    "audit.verify": [{}, {"anchor": "0" * 64}, {"anchor": "?"}],
    "retention.purge": [{"dry_run": True}, {}, {"dry_run": "yes"}],
    "subjects.export": [
        {"kind": "number", "id": "0612345678"},
        {"kind": "number", "id": "x"},
        {"kind": "x", "id": "1"},
    ],
    "subjects.erase": [{"kind": "number", "id": "0612345678"}, {"kind": "agent", "id": "1001"}],
    "supervisions.list": [{}, {"state": "active"}],
    "supervisions.get": [{"id": SESSION}, {"id": "none"}],
    "supervisions.create": [START, {}, START | {"mode": "?"}, START | {"via": {"phone": 1}}],
    "supervisions.update": [
        {"id": SESSION, "mode": "barge"},
        {"id": "none", "mode": "barge"},
        {"id": SESSION, "mode": "?"},
    ],
    "supervisions.delete": [{"id": SESSION}, {"id": "none"}],
}


def test_every_operation_is_tried() -> None:
    """The requests of this file cover the whole table."""
    assert set(REQUESTS) == set(OPERATIONS)


def test_the_services_fit() -> None:
    """The services are what the API asks for."""
    fitting: type[Supervisions] = SupervisionService
    assert fitting is SupervisionService
    commanding: type[Agents] = AgentService
    assert commanding is AgentService
    acting: type[Calls] = CallService
    assert acting is CallService
    reaching: type[Outreach] = OutreachService
    assert reaching is OutreachService
    helping: type[Hands] = HelpService
    assert helping is HelpService
    coaching: type[Coaching] = CoachingService
    assert coaching is CoachingService


async def over_http(floor: Floor, operation: Operation, role: str, params: dict[str, Any]) -> Any:
    """Carry a request as HTTP does."""
    rest = dict(params)
    path = "/api/v1" + operation.path
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", rest.pop(name))
    options: dict[str, Any] = {"json": rest} if operation.has_body else {"params": rest}
    reply = await floor.request(operation.method, path, role, **options)
    return reply.status, without_time(reply.json)


async def over_websocket(floor: Floor, operation: Operation, role: str, params: dict[str, Any]) -> Any:
    """Carry a request as a WebSocket does."""
    events = await floor.events(role=role)
    reply = await events.call(operation.name, params, "mine")
    await events.socket.close()
    assert reply["id"] == "mine"
    assert ("problem" in reply) is (reply["status"] >= 400)
    return reply["status"], without_time(reply.get("problem", reply.get("result")))


def without_time(document: Any) -> Any:
    """The document without the state's number, which goes on between two requests, and a new one's id."""
    return {
        key: value
        for key, value in document.items()
        if key != "seq" and not (key == "id" and re.fullmatch("[ch][0-9a-f]{12}", value))
    }


@pytest.mark.parametrize("role", list(UserRole))
@pytest.mark.parametrize("name", list(OPERATIONS))
async def test_same_answer(name: str, role: UserRole) -> None:
    """HTTP and WebSocket give the same status and document, good or refused, for each role."""
    operation = OPERATIONS[name]
    for params in REQUESTS[name]:
        answers = []
        for carry in (over_http, over_websocket):
            async with Floor() as floor:
                await floor.populate()
                await floor.supervise()
                await floor.raise_hand()
                await floor.coach()
                answers.append(await carry(floor, operation, role, params))
        assert answers[0] == answers[1]
        status, document = answers[0]
        promised = {code for code, _ in _refusals(operation)} if status >= 400 else {None}
        assert document.get("code") in promised


def _refusals(operation: Operation) -> tuple[tuple[str, int], ...]:
    from ctid.api.openapi import refusals  # noqa: PLC0415 - used by one helper

    return refusals(operation)


async def test_document_is_valid_and_whole(floor: Floor) -> None:
    """The OpenAPI document is valid 3.1, needs no token, and holds every operation."""
    reply = await floor.get("/openapi.json", None)
    assert reply.status == 200
    document = reply.json
    validate(document)
    told = {
        described["operationId"]: (method.upper(), path)
        for path, methods in document["paths"].items()
        for method, described in methods.items()
    }
    for operation in OPERATIONS.values():
        assert told[operation.name] == (operation.method, "/api/v1" + operation.path)
    assert {"events", "healthz", "readyz", "metrics"} <= set(told)
