"""Every operation gives the same answer whatever carries it."""

import re
from itertools import product
from typing import Any, Self

import pytest
from openapi_spec_validator import validate

from api.carriers import CARRIERS, CarryOver, over_command_line, over_http
from api.support import CALL, HAND, SESSION, SHEET, Floor
from ctid.agents.service import AgentService
from ctid.api.context import Agents, Calls, Coaching, Hands, Limits, Outreach, Supervisions, WebhookRoom
from ctid.api.openapi import refusals
from ctid.api.operations import OPERATIONS, Operation
from ctid.calls.outreach import OutreachService
from ctid.calls.service import CallService
from ctid.coaching.service import CoachingService
from ctid.help.service import HelpService
from ctid.model.users import UserRole
from ctid.model.words import Carrier
from ctid.rates import Rate
from ctid.supervision.service import SupervisionService
from ctid.webhooks.service import Webhooks

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
    "webhooks.list": [{}, {"shoe": 1}],
    "webhooks.dead": [{"id": "crm"}, {"id": "none"}, {"id": "crm", "cursor": "?"}],
    "webhooks.retry": [
        {"id": "crm"},
        {"id": "crm", "events": ["x"]},
        {"id": "crm", "events": []},
        {"id": "none"},
    ],
    "webhooks.test": [{"id": "crm"}, {"id": "none"}, {"id": "crm", "text": "x"}],
    "subjects.erase": [{"kind": "number", "id": "0612345678"}, {"kind": "agent", "id": "1001"}],
    "supervisions.list": [{}, {"state": "active"}],
    "supervisions.get": [{"id": SESSION}, {"id": "none"}],
    "supervisions.create": [START, {}, START | {"mode": "?"}, START | {"via": {"phone": 1}}],
    "supervisions.update": [
        {"id": SESSION, "mode": "barge"},
        {"id": "none", "mode": "barge"},
        {"id": SESSION, "mode": "?"},
    ],
    "session.get": [{}, {"shoe": 1}],
    "session.end": [{}],
    "session.password": [{"old": "x", "new": "y" * 12}, {"old": "x"}],
    "tokens.list": [{}],
    "tokens.create": [
        {"name": "wallboard", "role": "viewer", "scopes": ["read", "calls.*"]},
        {"name": "wall board", "role": "viewer"},
        {"name": "w", "role": "viewer", "scopes": ["cals.*"]},
        {"name": "w", "role": "viewer", "phones": ["none"]},
        {"name": "w", "role": "agent"},
        {"name": "w", "role": "viewer", "expires": "2001-01-01T00:00:00Z"},
    ],
    "tokens.revoke": [{"id": "none"}],
    "users.list": [{}],
    "users.create": [
        {"name": "anna", "role": "supervisor", "phones": ["2001"], "password": "correct horse battery"},
        {"name": "anna", "role": "supervisor", "password": "short"},
        {"name": "anna", "role": "agent", "agent": "1001"},
    ],
    "users.update": [{"id": "none", "disabled": True}, {"id": "none"}],
    "users.password": [{"id": "none", "password": "correct horse battery"}, {"id": "none"}],
    "users.remove": [{"id": "none"}],
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
    sending: type[WebhookRoom] = Webhooks
    assert sending is Webhooks


MANY = Limits(commands=Rate(1e6, 1_000_000), reads=Rate(1e6, 1_000_000))
"""No user asks too often here."""


def without_time(document: Any) -> Any:
    """The document without what must differ.

    The state's number, which goes on between two requests; a new one's id; by what carrier a hand was raised.
    """
    return {
        key: value
        for key, value in document.items()
        if key not in ("seq", "token", "info")
        and not (key == "id" and re.fullmatch("[ch][0-9a-f]{12}", value))
        and not (key == "by" and value in set(Carrier))
    }


class Stage:
    """One floor for one request after the other, made anew after any that changed it."""

    def __init__(self) -> None:
        self._floor: Floor | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._floor is not None:
            await self._floor.__aexit__()
            self._floor = None

    async def carry(
        self, over: CarryOver, operation: Operation, role: str, params: dict[str, Any]
    ) -> tuple[int, Any]:
        """Carry a request on a floor on which nothing has been done."""
        floor = self._floor = self._floor or await _set_up()
        before = floor.hub.store.seq, await floor.audit.end()
        status, document, replayed = await over(floor, operation, role, params, None)
        assert not replayed
        after = floor.hub.store.seq, await floor.audit.end()
        if after != before or (operation.is_command and status < 400):
            await self.__aexit__()
        return status, without_time(document)


async def _set_up() -> Floor:
    floor = await Floor(limits=MANY).__aenter__()
    await floor.populate()
    await floor.supervise()
    await floor.raise_hand()
    await floor.coach()
    return floor


@pytest.mark.parametrize("name", list(OPERATIONS))
async def test_same_answer(name: str) -> None:
    """Every carrier gives the same status and document, good or refused, for each role."""
    operation = OPERATIONS[name]
    promised = {code for code, _ in refusals(operation)}
    async with Stage() as stage:
        for role, params in product(UserRole, REQUESTS[name]):
            answers = [await stage.carry(over, operation, role, params) for over in CARRIERS]
            assert answers == answers[:1] * len(CARRIERS), (role, params)
            status, document = answers[0]
            assert document.get("code") in (promised if status >= 400 else {None}), (role, params)


async def test_a_key_means_the_same_whatever_carries_it() -> None:
    """What came with a key over one carrier is not done again over another: it gets the same answer."""
    good, other = {"id": "1001", "queues": ["sales"]}, {"id": "1001", "queues": ["support"]}
    operation = OPERATIONS["agents.login"]
    async with Floor() as floor:
        await floor.populate()
        first = await over_http(floor, operation, "admin", good, "k1")
        seq = floor.hub.store.seq
        for over in CARRIERS:
            status, document, replayed = await over(floor, operation, "admin", good, "k1")
            assert (status, document) == first[:2]
            assert replayed or over is over_command_line  # whose output is the document alone
            status, document, _ = await over(floor, operation, "admin", other, "k1")
            assert (status, document["code"]) == (422, "request.key_reused")
        assert floor.hub.store.seq == seq


@pytest.mark.parametrize("over", CARRIERS)
async def test_who_asks_too_often_is_told_so(over: CarryOver) -> None:
    """One user's rate holds over all carriers together, and the refusal says when to come back."""
    hang_up = OPERATIONS["calls.hang_up"]
    slow = Limits(commands=Rate(0.01, 1), reads=Rate(1e6, 1_000_000))
    async with Floor(limits=slow) as floor:
        await floor.populate()
        assert (await over_http(floor, hang_up, "admin", {"id": "none"}, None))[0] == 404
        status, document, _ = await over(floor, hang_up, "admin", {"id": CALL}, None)
        assert (status, document["code"]) == (429, "request.rate_limited")
        assert 90 < document["retry_after_s"] <= 100
        assert CALL in floor.hub.store.calls


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
