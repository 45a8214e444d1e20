"""What the served floor answers, for the OpenAPI document: `make examples` writes its examples anew."""

import asyncio
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from structlog.testing import capture_logs

import ctid.api
from api.support import (
    CALL,
    CUSTOMER,
    HAND,
    NOW,
    PBX,
    SESSION,
    SHEET,
    Floor,
    Reply,
    member,
)
from ctid.api import errors
from ctid.api.answers import FILE
from ctid.api.auth import CSRF_HEADER
from ctid.api.context import Limits
from ctid.api.dispatch import refusal
from ctid.api.operations import BASE, OPERATIONS, Operation
from ctid.calls.index import IndexUnavailable
from ctid.coaching.kept import CoachingUnavailable
from ctid.help.kept import HelpUnavailable
from ctid.history.ledger import LedgerUnavailable
from ctid.identity.kept import IdentityRefused, IdentityUnavailable
from ctid.identity.passwords import Busy
from ctid.model.errors import (
    AgentPartlyDone,
    AgentRefused,
    AuditUnavailable,
    AuthFailed,
    AuthLocked,
    CallRefused,
    CtidError,
    HelpRefused,
    NotFound,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    SheetRefused,
    SupervisionRefused,
)
from ctid.model.facts import LegChanged, MemberChanged
from ctid.model.ids import LegId, QueueId
from ctid.model.instant import Instant
from ctid.model.users import UserRole
from ctid.rates import Rate
from ctid.webhooks.words import WebhooksUnavailable

PATH = Path(ctid.api.__file__).parent / FILE
WAITING = "lab.200.1"
IDS = {
    "webhooks": "crm",
    "agents": "1001",
    "calls": CALL,
    "devices": "PJSIP_1001",
    "help": HAND,
    "pbxs": PBX,
    "queues": "support",
    "sheets": SHEET,
    "supervisions": SESSION,
    "tokens": "wallboard",
    "users": "anna",
}
"""By the first segment of a path: whose id is there on the floor."""
REQUESTS: dict[str, dict[str, Any]] = {
    "agents.extend_after_call_work": {"id": "1003", "seconds": 60},
    "agents.end_after_call_work": {"id": "1003"},
    "agents.list": {"team": "red", "limit": 20},
    "calls.create": {"agent": "1002", "number": "80003001"},
    "calls.list": {"queue": "support"},
    "calls.prioritize": {"id": WAITING, "position": 1},
    "calls.transfer": {"id": CALL, "to": "1002"},
    "draw.get": {"team": "red"},
    "figures.get": {"since": "2026-05-28T06:00:00Z", "until": "2026-05-28T18:00:00Z", "queue": "support"},
    "figures.calls": {"kind": "caller_abandoned", "limit": 20},
    "subjects.export": {"kind": "agent", "id": "1001"},
    "subjects.erase": {"kind": "agent", "id": "1001", "dry_run": True},
    "users.create": {
        "name": "anna",
        "role": "supervisor",
        "teams": ["red"],
        "phones": ["2001"],
        "password": "correct horse battery",
    },
    "supervisions.sheet": {"id": SESSION, "grades": {"greeting": 4}, "text": "Let him finish his sentence."},
}
"""Where the operation's own example, with an id of `IDS`, is not the one to show."""
_FIRST = (UserRole.SUPERVISOR, UserRole.ADMIN, UserRole.AGENT, UserRole.VIEWER, UserRole.INTEGRATOR)
ROLES = {"agents.sessions": UserRole.AGENT}
"""Who asks, where it is not the first of those who may."""
BEFORE: dict[str, tuple[str, ...]] = {
    "recordings.list": ("calls.record",),
    "session.password": ("users.create",),
    "tokens.revoke": ("tokens.create",),
    "users.list": ("users.create",),
    "users.update": ("users.create",),
    "users.password": ("users.create",),
    "users.remove": ("users.create",),
    "audit.list": ("subjects.export",),
    "audit.verify": ("subjects.export",),
    "sheets.versions": ("sheets.update",),
}
"""What is done first, so that there is something to see."""
BY_COOKIE = frozenset({"session.password"})
"""What only somebody who has logged in can ask for."""
_RANDOM = {
    '"token":"[^"]+"': '"token":"ctid_an-example-that-nobody-knows"',
    '"csrf":"[^"]+"': '"csrf":"an-example-that-nobody-knows"',
    '"id":"[0-9a-f]{12}"': '"id":"0123456789ab"',
    r'"([ch])[0-9a-f]{12}"': r'"\g<1>0123456789ab"',
    '"seed": ?"[0-9a-f]+"': '"seed":"8c5f1d2a90b34e67"',
}


def parameters_of(operation: Operation) -> dict[str, Any]:
    """The parameters of an operation's example, also those in its path."""
    if operation.name in REQUESTS:
        return REQUESTS[operation.name]
    own = dict(operation.example or {})
    return {"id": IDS[operation.path.split("/")[1]], **own} if operation.path_params else own


async def asked(floor: Floor, operation: Operation, params: Mapping[str, Any]) -> Reply:
    """Ask over HTTP, as a role that may."""
    role = ROLES.get(operation.name) or min(operation.roles - {UserRole.PRINCIPAL}, key=_FIRST.index)
    rest, path = dict(params), BASE + operation.path
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", rest.pop(name))
    if operation.name in BY_COOKIE:
        login = REQUESTS["users.create"]
        known = {"name": login["name"], "password": login["password"]}
        begun = await floor.request("POST", f"{BASE}/session", None, json=known)
        cookie = {"Cookie": begun.headers["Set-Cookie"].partition(";")[0], CSRF_HEADER: begun.json["csrf"]}
        cookie["Sec-Fetch-Site"] = "same-origin"
        return await floor.request(operation.method, path, None, json=rest, headers=cookie)
    if operation.has_body:
        return await floor.request(operation.method, path, role, json=rest)
    query = {name: json.dumps(value) if isinstance(value, bool) else value for name, value in rest.items()}
    return await floor.request(operation.method, path, role, params=query)


async def furnished(floor: Floor) -> None:
    """A call with a session, a sheet and a raised hand; one that waits; 1003 works after hers."""
    await floor.populate()
    await floor.supervise()
    await floor.raise_hand()
    await floor.coach()
    waits = replace(CUSTOMER, id=LegId("200.1"), call="200.1", conversation=None, queue=QueueId("sales"))
    await floor.feed(LegChanged(pbx=PBX, at=NOW, leg=replace(waits, position=2)))
    for served in (LegId("300.1"), None):
        works = member("1003", "sales", serving=served, in_call=served is not None, wrapup_s=10.0)
        await floor.feed(MemberChanged(pbx=PBX, at=NOW, member=works))


async def answer_of(operation: Operation) -> Any:
    """The document that a good request gets."""
    async with Floor() as floor:
        await furnished(floor)
        for name in BEFORE.get(operation.name, ()):
            await asked(floor, OPERATIONS[name], parameters_of(OPERATIONS[name]))
        reply = await asked(floor, operation, parameters_of(operation))
    assert reply.status == operation.status, (operation.name, reply.text)
    text = reply.text
    for pattern, instead in _RANDOM.items():
        text = re.sub(pattern, instead, text)
    return json.loads(text)


def told() -> Iterator[CtidError]:
    """Refusals that need a PBX, a disk or a moment that the floor has not: as ctid words them."""
    for kind in ("agent", "call", "device", "help", "pbx", "queue", "sheet", "supervision", "webhook"):
        yield NotFound(kind, "4711")
    sentences = {
        "no_live_call": "agent 1002 is ready: the scope `next` waits for a call",
        "call_ended": "the call has ended",
        "phone_not_allowed": "anna may use these phones: 2001; not '2002'",
        "phone_unreachable": "the phone '2001' is not registered",
        "phone_no_answer": "the phone '2001' was not answered within 20 s",
        "phone_busy": "the phone '2001' is busy",
        "already_active": "the phone '2001' is in a session already: end or switch that one",
        "ended": "the session has ended",
        "mode_not_possible": "a call of this PBX cannot be taken over",
        "takeover_failed": "the PBX did not release the agent; the customer is still with her",
        "not_yours": "it is anna's session",
        "not_active": "her phone has not been answered: wait until it is",
        "not_leading": "anna leads this call: ask for the lead first",
        "agent_not_free": "agent 1001 is busy: hand the customer back when she is free",
        "agent_unreachable": "agent 1001's phone cannot be reached",
        "agent_no_answer": "agent 1001 did not answer; the customer is still with the supervisor",
        "pin_wrong": "the PIN was not entered rightly at the outside phone 'mobile'",
        "agent_protected": "agent 1004 represents the staff ([[agent]] protected): nobody may monitor her",
        "outside_period": "it is no listening period of the team red (GET /api/v1/periods)",
        "quota_reached": "agent 1001 has had 3 of 3 sessions today",
        "nobody_to_draw": "of the team 'red' nobody is logged in whom you may listen to now",
    }
    for reason, sentence in sentences.items():
        yield SupervisionRefused(reason, sentence)
    yield AgentRefused("logged_out", "1009 is in no queue: log her in first")
    yield AgentRefused("not_a_member", "1001 is no member of sales")
    yield AgentRefused("not_free", "1001 is busy: she is rung when she is free")
    yield AgentRefused("not_in_after_call_work", "1002 does no after-call work now: she is ready")
    yield AgentRefused("phone_unreachable", "1002's phone PJSIP_1002 cannot be reached")
    yield AgentPartlyDone(
        "done in support; in sales: pbx.timeout", {"support": "done", "sales": PbxTimeout.code}
    )
    yield CallRefused("ended", "the call has ended")
    yield CallRefused("private", "the call is private: it is not recorded")
    yield CallRefused("objected", "the customer objects: the call is not recorded")
    yield CallRefused("not_recorded", "nothing records this call")
    yield CallRefused("not_waiting", "the call is connected: it waits in no queue")
    yield CallRefused("no_agent", "no agent talks in this call")
    yield CallRefused("not_possible", "the agent talks with 2 parties: it is not clear who is to go on")
    yield CallRefused("number_not_allowed", "0033 is not allowed; numbers may begin with: 01, 8000")
    yield HelpRefused("already_claimed", "anna has it since 2026-05-28T20:26:40.250Z")
    yield SheetRefused("exists", "the session has a sheet already: c0123456789ab")
    yield SheetRefused("closed", "it could be changed until 2026-05-28T20:26:40.250Z")
    yield PbxUnavailable("the link to lab is down: connection refused")
    yield PbxRefused("Interface not found")
    yield PbxTimeout("lab did not answer within 5 s")
    yield AuditUnavailable("the audit cannot be written: no space left on device")
    yield LedgerUnavailable("the ledger cannot be read: disk I/O error")
    yield IndexUnavailable("the index of recordings cannot be written: no space left on device")
    yield HelpUnavailable("the raised hands cannot be read: disk I/O error")
    yield CoachingUnavailable("the sheets cannot be written: no space left on device")
    yield WebhooksUnavailable("the letters of the webhooks cannot be read: disk I/O error")
    yield errors.ProxyRequired("this address takes requests from its TLS proxy alone; ask there, by https")
    yield NotFound("token", "4711")
    yield NotFound("user", "4711")
    yield IdentityRefused("name_taken", "anna is the name of a user already; choose another")
    yield IdentityRefused(
        "configured", "anna is a [[token]] of ctid.toml: take it out there, and restart ctid"
    )
    yield IdentityRefused("no_password", "anna did not log in here with a password")
    yield IdentityUnavailable("identity.db cannot be written: no space left on device")
    yield AuthFailed("name or password is wrong")
    yield AuthLocked(900.0)
    yield Busy("too many log in at this moment; come back in a few seconds")
    yield errors.CrossSite(f"send the header {CSRF_HEADER} with `csrf` of GET /api/v1/session")
    yield errors.OtherBoot(
        "this is another run of ctid, which knows no key of that one: look what is so first"
    )
    yield errors.PreconditionFailed("it has changed meanwhile: look at it again")
    yield errors.RequestTimeout("the body was not whole after 10 s")
    yield CtidError("ctid failed at this; its log has the particulars")


async def refused() -> list[Reply]:
    """Refusals of the floor's own, one of each code that it gives by itself."""
    agents, pause = f"{BASE}/agents", f"{BASE}/agents/1001/pause"
    json_type = {"Content-Type": "application/json"}
    key = {"Idempotency-Key": "1b4e28ba-2fa1-11d2-883f-0016d3cca427"}
    async with Floor(Limits(commands=Rate(0.001, 8)), required=("elsewhere",)) as floor:
        await furnished(floor)
        replies = [
            await floor.request("GET", agents, None),
            await floor.request("GET", f"{agents}?colour=red"),
            await floor.request("GET", f"{agents}//"),
            await floor.request("GET", f"{BASE}/audit"),
            await floor.request("GET", f"{BASE}/events"),
            await floor.request("GET", "/readyz", None),
            await floor.request("POST", pause, data=b"{", headers=json_type),
            await floor.request("POST", pause, data=b"x" * 70_000, headers=json_type),
            await floor.request("POST", pause, data=b"{}", headers={"Content-Type": "text/plain"}),
            await floor.request("POST", pause, json={"reason": "lunch"}, headers=key),
            await floor.request("POST", pause, json={"reason": "training"}, headers=key),
        ]
        replies += [await floor.request("POST", pause, json={"reason": "lunch"}) for _ in range(8)]
        floor.identity.directory.expiries["a supervisor"] = Instant(NOW)
        replies.append(await floor.request("GET", agents))
    return [reply for reply in replies if reply.status >= 400]


async def gathered() -> dict[str, Any]:
    """The whole of the file."""
    operations = list(OPERATIONS.values())
    answers = {operation.name: await answer_of(operation) for operation in operations}
    problems = {}
    for document in [
        *(json.loads(refusal(error).body) for error in told()),
        *(reply.json for reply in await refused()),
    ]:
        problems[f"{document['status']}-{document['code']}"] = document
    requests = {operation.name: parameters_of(operation) for operation in operations}
    return {"requests": requests, "answers": answers, "problems": dict(sorted(problems.items()))}


if __name__ == "__main__":
    with capture_logs():
        found = asyncio.run(gathered())
    PATH.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
