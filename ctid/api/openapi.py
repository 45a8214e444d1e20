"""The OpenAPI 3.1 document, generated from the table of operations."""

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

from ctid.api import errors
from ctid.api.answers import Examples
from ctid.api.auth import COOKIE, CSRF_HEADER, LOCAL_COOKIE
from ctid.api.conditional import bears_tag, changes_by_tag
from ctid.api.constraints import judged
from ctid.api.dispatch import Problem, encoded
from ctid.api.identity import Login, SessionNow
from ctid.api.operations import BASE, OPERATIONS, Operation, Refusal
from ctid.api.replays import BOOT, HEADER, REPLAYED
from ctid.api.schemas import components, message_components, ref, ref_problem
from ctid.api.sse import CONTENT_TYPE, LAST_EVENT_ID
from ctid.api.stream import (
    CLOSE_EXPIRED,
    CLOSE_SLOW,
    KINDS,
    ChangeMessage,
    ClosedMessage,
    HeartbeatMessage,
    OccurrenceMessage,
    ReplyMessage,
    ResumedMessage,
    SnapshotMessage,
)
from ctid.api.tags import IF_MATCH, IF_NONE_MATCH
from ctid.describing import Schema
from ctid.model.errors import (
    AuthExpired,
    AuthFailed,
    AuthLocked,
    AuthRequired,
    CtidError,
    Forbidden,
    InvalidRequest,
)

_MESSAGES = (
    SnapshotMessage,
    ResumedMessage,
    ChangeMessage,
    OccurrenceMessage,
    HeartbeatMessage,
    ReplyMessage,
)

_INFO = f"""State and supervision of a call centre, live.

Every request bears a token: `Authorization: Bearer <token>`. Roles: `viewer` and `integrator` read, with
callers' numbers masked; `supervisor` and `admin` read all and supervise. Times are RFC 3339 in UTC with
milliseconds. A field that is not known is refused by its name. A refusal is a problem document (RFC 9457):
decide by its `code`, which does not change; `detail` is for a person. Ids are opaque. No text of a request
may hold a control character, a line break included.

Each user may ask as often as the configuration says, commands less often than reads; beyond that it is 429
`{errors.RateLimited.code}`, with `Retry-After`, and nothing is done. A command that may have to be sent
again bears a key of the client's own in `{HEADER}`: it is carried out once, and whoever sends the same
again within ten minutes, also while the first is under way, gets the first answer, with `{REPLAYED}:
true`. A restart of ctid forgets keys; a refusal that came before anything was tried leaves its key free.
Every answer names its run of ctid in `{BOOT}`; a command that is sent again with that header is refused by a
later run, with 412 `{errors.OtherBoot.code}`: nothing is done twice because ctid was restarted.

What a schema cannot say of a request is in `x-judged` of its operation: fields of which the state, the
configuration or another field decides. A path that is not in this document is 404
`{errors.PathUnknown.code}`; with another method than it has it is 405 `{errors.MethodNotAllowed.code}`, and
`Allow` names those there are, HEAD wherever there is GET."""

_TAGS = {
    "status": "ctid itself: its links, its broker, its ledger.",
    "agents": "Who takes calls: their states, and commands to them.",
    "queues": "Who waits, and how the members stand.",
    "calls": "Live calls, and acts on them.",
    "devices": "Phones, as the PBX knows them.",
    "supervisions": "Listening, whispering, barging in and taking over: one session, switched live.",
    "help": "Raised hands of agents.",
    "sheets": "Coaching sheets about sessions.",
    "webhooks": "Tools that are sent events by POST.",
    "recordings": "The index of recordings that ctid had made; the audio is the PBX's.",
    "figures": "Key figures of a period, and the moments behind each.",
    "ghosts": "What the PBX does not bear out.",
    "pbxs": "The PBXs, and comparing with them.",
    "periods": "When agents may be listened to.",
    "draw": "Whom to listen to, by lot.",
    "audit": "Who did what, in a log that cannot be edited unseen.",
    "retention": "What is kept, and for how long.",
    "subjects": "What is kept about a person: told, and erased.",
    "session": "Who asks, and logging in and out.",
    "tokens": "Tokens: made, listed and revoked.",
    "users": "People who log in.",
    "events": "The stream of changes.",
    "probes": "For monitoring; without a token.",
}

_EVENTS = f"""A WebSocket: first a `snapshot`, then each `change` and `occurrence` after it.

Authenticate by the `Authorization` header, or, in a browser, by offering the subprotocols `ctid.v1` and
`ctid.bearer.<token>`; never by the address. To resume, give the `seq` of the last message as `after`, with
the `boot_id` of the snapshot: the first message is then `resumed`, or a `snapshot` whose `reason` says why.
A `heartbeat` in silence tells how far the stream is. `seq` grows, with holes where a filter or a role leaves
something out. A client that does not keep up is closed with {CLOSE_SLOW}, and one whose token expires with
{CLOSE_EXPIRED}.

The socket carries every operation as well: send `{{"id": 1, "operation": "agents.get", "params": {{"id":
"1001"}}}}`, and a `reply` with that `id` comes back, `result` or `problem` as over HTTP. The `id` only pairs
the two. A `key` beside it is what `{HEADER}` is over HTTP; an answer that came before has `replayed`."""


_EVENT_STREAM = """The same stream as server-sent events, for `curl -N` and for an `EventSource`.

Each event's `event` is the message's `type`, its `data` the message as over the WebSocket, and its `id` is
`<boot_id>.<seq>`: whoever comes back with it as `{LAST_EVENT_ID}` resumes. In silence there are comments.
The last event is `closed`, with the `code` and the `reason` that a WebSocket is closed with; a client that
takes nothing at all is cut off."""

_SESSION = f"""A session's cookie, `{COOKIE}` or, where a loopback name is asked, `{LOCAL_COOKIE}`.

Whatever changes something with it has to come from a page of the same origin, with the header
`{CSRF_HEADER}`: the value `csrf` of `GET {BASE}/session`."""

_KEY_PARAMETER = {
    "name": HEADER,
    "in": "header",
    "required": False,
    "description": "Carries the command out once, however often it comes with this key.",
    "schema": {"type": "string", "pattern": "^[!-~]{1,128}$"},
}
_RETRY_AFTER = {
    "description": "In so many seconds it may be asked for again.",
    "required": True,
    "schema": {"type": "string", "pattern": "^[0-9]+$"},
}
_CHALLENGE = {
    "description": "How to say who you are (RFC 6750 section 3).",
    "required": True,
    "schema": {"type": "string"},
}
_REPLAYED = {
    "description": "The answer that the key got before; nothing was done this time.",
    "schema": {"type": "string", "const": "true"},
}
_ETAG = {
    "description": "The tag of this answer, as this user sees it (RFC 9110 section 8.8.3).",
    "required": True,
    "schema": {"type": "string"},
}
_IF_NONE_MATCH_PARAMETER = {
    "name": IF_NONE_MATCH,
    "in": "header",
    "required": False,
    "description": "Answers 304, without a body, if the answer still has one of these tags.",
    "schema": {"type": "string"},
}
_IF_MATCH_PARAMETER = {
    "name": IF_MATCH,
    "in": "header",
    "required": False,
    "description": "Changes it only if it still has one of these tags, in quotes.",
    "schema": {"type": "string"},
}
_HEADERS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": _CHALLENGE},
    429: {"Retry-After": _RETRY_AFTER},
}
"""Of refusals, by their status."""


_BOOT_PARAMETER = {
    "name": BOOT,
    "in": "header",
    "required": False,
    "description": "For this run of ctid alone, as answers name it; a later one refuses.",
    "schema": {"type": "string"},
}


@cache
def encoded_document(version: str) -> bytes:
    """The document's JSON; generated once a process, because the table does not change."""
    return encoded(document(version))


def document(version: str) -> dict[str, Any]:
    """Generate the document."""
    operations = OPERATIONS.values()
    examples = Examples.shipped()
    schemas = components(
        requests=[*(operation.params for operation in operations), Login],
        results=[*(operation.result for operation in operations), Problem],
    )
    paths: dict[str, dict[str, Any]] = defaultdict(dict)
    used: set[str] = set()
    for operation in operations:
        described = _operation(operation, schemas, examples)
        paths[BASE + operation.path][operation.method.lower()] = described
        used.add(operation.params.__name__)
    paths[f"{BASE}/session"]["post"] = _login(examples)
    paths[f"{BASE}/events"]["get"] = _events(examples)
    paths[f"{BASE}/events/stream"]["get"] = _event_stream(examples)
    paths.update(_probes(examples))
    schemas |= message_components((*_MESSAGES, ClosedMessage))
    for name in used - _bodies():
        # These are told as parameters; as components they would only repeat that.
        schemas.pop(name, None)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ctid",
            "version": version,
            "summary": "Live call-centre state and supervision, next to a PBX",
            "description": _INFO,
        },
        "servers": [{"url": "/"}],
        "security": [{"bearer": []}, {"session": []}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "paths": dict(paths),
        "components": {
            "schemas": schemas,
            "examples": {name: {"value": problem} for name, problem in examples.problems.items()},
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": COOKIE, "description": _SESSION},
            },
        },
    }


def refusals(operation: Operation) -> tuple[Refusal, ...]:
    """Every code that an operation can answer over HTTP, with its status."""
    common: list[type[CtidError]] = [
        InvalidRequest,
        AuthRequired,
        AuthExpired,
        Forbidden,
        errors.ProxyRequired,
        errors.RateLimited,
        CtidError,
    ]
    if operation.is_command:
        common += [errors.KeyReused, errors.OtherBoot, errors.CrossSite]
    if operation.has_body:
        common += [
            errors.MalformedRequest,
            errors.RequestTimeout,
            errors.BodyTooLarge,
            errors.UnsupportedMediaType,
        ]
    if operation.path_params:
        common.append(errors.PathUnknown)
    return (*((kind.code, kind.status) for kind in common), *operation.refusals)


def _bodies() -> set[str]:
    return {
        operation.params.__name__
        for operation in OPERATIONS.values()
        if operation.has_body and not operation.path_params
    }


def _tag(operation: Operation) -> str:
    return operation.name.partition(".")[0]


def _operation(operation: Operation, schemas: dict[str, Schema], examples: Examples) -> dict[str, Any]:
    request = schemas[operation.params.__name__]
    properties: dict[str, Schema] = request.get("properties", {})
    in_path = operation.path_params
    example = examples.requests.get(operation.name, {})
    described: dict[str, Any] = {
        "operationId": operation.name,
        "tags": [_tag(operation)],
        "summary": operation.summary,
        "description": f"{operation.description}\n\nRoles: {', '.join(sorted(operation.roles))}.",
        "x-roles": sorted(operation.roles),
        "x-idempotency": operation.idempotency,
        "x-mqtt-topic": f"{{base}}/{{site}}/{operation.topic}",
        "x-cli": operation.command_line,
        "parameters": [_path(name, properties[name], example) for name in in_path],
    }
    if why := judged(operation.name, operation.params.__struct_fields__):
        described["x-judged"] = why
    if operation.is_command:
        described["parameters"] += [_KEY_PARAMETER, _BOOT_PARAMETER]
    if bears_tag(operation):
        conditional = _IF_MATCH_PARAMETER if changes_by_tag(operation) else _IF_NONE_MATCH_PARAMETER
        described["parameters"].append(conditional)
    rest = {name: schema for name, schema in properties.items() if name not in in_path}
    if not operation.has_body:
        described["parameters"] += [
            _query(name, schema, required=name in request.get("required", ()))
            for name, schema in rest.items()
        ]
    else:
        body = ref(operation.params)
        if in_path:
            required = [name for name in request.get("required", ()) if name not in in_path]
            body = request | {"title": f"{request['title']}Body", "properties": rest, "required": required}
        asked = {name: value for name, value in example.items() if name not in in_path}
        media = {"schema": body, "example": asked or dict(operation.example or {})}
        described["requestBody"] = {"required": True, "content": {"application/json": media}}
    answer: dict[str, Any] = {"schema": ref(operation.result)}
    if operation.name in examples.answers:
        answer["example"] = examples.answers[operation.name]
    good: dict[str, Any] = {"description": operation.summary, "content": {"application/json": answer}}
    refused = _problems(refusals(operation), examples)
    if operation.is_command:
        for response in (good, *refused.values()):
            response["headers"] = {REPLAYED: _REPLAYED} | response.get("headers", {})
    described["responses"] = {str(operation.status): good}
    if bears_tag(operation):
        good["headers"] = good.get("headers", {}) | {"ETag": _ETAG}
        if not operation.is_command:
            known = {"description": "It is as it was.", "headers": {"ETag": _ETAG}}
            described["responses"]["304"] = known
    described["responses"] |= refused
    return described


def _path(name: str, schema: Schema, example: Mapping[str, Any]) -> dict[str, Any]:
    if "$ref" not in schema:
        schema = schema | {"minLength": 1}  # the path of an empty one is another
    parameter = {"name": name, "in": "path", "required": True, "schema": schema}
    return parameter | ({"example": example[name]} if name in example else {})


def _query(name: str, schema: Schema, *, required: bool) -> dict[str, Any]:
    """A query parameter; an address cannot say null, so that a parameter that may be null is left out."""
    options = [option for option in schema.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) == 1:
        schema = options[0] | {key: value for key, value in schema.items() if key == "description"}
    schema = {key: value for key, value in schema.items() if key != "default" or value not in ("", None)}
    parameter: dict[str, Any] = {"name": name, "in": "query", "required": required}
    if "description" in schema:
        parameter["description"] = schema.pop("description")
    return parameter | {"schema": schema}


def _problems(codes: tuple[Refusal, ...], examples: Examples) -> dict[str, Any]:
    by_status: defaultdict[int, list[str]] = defaultdict(list)
    for code, status in codes:
        if code not in by_status[status]:
            by_status[status].append(code)
    return {str(status): _refused(status, listed, examples) for status, listed in sorted(by_status.items())}


def _refused(status: int, codes: list[str], examples: Examples) -> dict[str, Any]:
    media: dict[str, Any] = {"schema": ref_problem()}
    shown = [code for code in codes if f"{status}-{code}" in examples.problems]
    if shown:
        media["examples"] = {code: {"$ref": f"#/components/examples/{status}-{code}"} for code in shown}
    response: dict[str, Any] = {
        "description": ", ".join(f"`{code}`" for code in codes),
        "x-codes": codes,
        "content": {"application/problem+json": media},
    }
    if status in _HEADERS:
        response["headers"] = _HEADERS[status]
    return response


def _login(examples: Examples) -> dict[str, Any]:
    media = {"schema": ref(Login), "example": {"name": "anna", "password": "correct horse battery"}}
    refused: list[type[CtidError]] = [AuthFailed, AuthLocked, InvalidRequest, CtidError]
    refused += [errors.CrossSite, errors.MalformedRequest, errors.RequestTimeout, errors.BodyTooLarge]
    refused.append(errors.UnsupportedMediaType)
    codes = [(kind.code, kind.status) for kind in refused]
    codes += [("auth.busy", 503), ("identity.unavailable", 503)]
    begun = {"description": "The session begins; its cookie is in the answer's headers."}
    return {
        "operationId": "session.begin",
        "tags": ["session"],
        "summary": "Log in with a password",
        "description": _SESSION,
        "security": [],
        "requestBody": {"required": True, "content": {"application/json": media}},
        "responses": {"201": begun | {"content": {"application/json": {"schema": ref(SessionNow)}}}}
        | _problems(tuple(codes), examples),
    }


_SEQ = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}


def _events(examples: Examples) -> dict[str, Any]:
    def query(name: str, text: str, schema: Schema | None = None) -> dict[str, Any]:
        return {"name": name, "in": "query", "description": text, "schema": schema or {"type": "string"}}

    refused = (InvalidRequest, AuthRequired, AuthExpired, errors.RateLimited, errors.UpgradeRequired)
    return {
        "operationId": "events",
        "tags": ["events"],
        "summary": "The stream of changes (WebSocket)",
        "description": _EVENTS,
        "x-judged": judged("events", ()),
        "x-messages": [ref(kind) for kind in _MESSAGES],
        "parameters": [
            query("kind", f"Kinds, separated by commas: {', '.join(KINDS)}. All when left out."),
            query("team", "Teams, separated by commas: their agents, and what these have to do with."),
            query("queue", "Queues, separated by commas: they, their calls and members, and no other kind."),
            query("id", "Ids, separated by commas."),
            query("after", "Resume after this `seq`; with `boot_id`.", _SEQ),
            query("boot_id", "The `boot_id` that `after` belongs to."),
        ],
        "responses": {"101": {"description": "The stream begins."}}
        | _problems(tuple((kind.code, kind.status) for kind in refused), examples),
    }


def _event_stream(examples: Examples) -> dict[str, Any]:
    """As the WebSocket, but for what only that needs."""
    socket = _events(examples)
    resume = {
        "name": LAST_EVENT_ID,
        "in": "header",
        "required": False,
        "description": "Resume after this event; goes before `after` and `boot_id`.",
        "schema": {"type": "string"},
    }
    refused = (InvalidRequest, AuthRequired, AuthExpired, errors.RateLimited)
    begins = {"description": "The stream begins.", "content": {CONTENT_TYPE: {"schema": {"type": "string"}}}}
    return socket | {
        "operationId": "events.stream",
        "summary": "The stream of changes (server-sent events)",
        "description": _EVENT_STREAM,
        "x-messages": [ref(kind) for kind in (*_MESSAGES, ClosedMessage) if kind is not ReplyMessage],
        "parameters": [*socket["parameters"], resume],
        "responses": {"200": begins}
        | _problems(tuple((kind.code, kind.status) for kind in refused), examples),
    }


def _probes(examples: Examples) -> dict[str, Any]:
    def probe(name: str, summary: str, media_type: str, refused: tuple[Refusal, ...] = ()) -> dict[str, Any]:
        answer = {"description": summary, "content": {media_type: {"schema": {}}}}
        return {
            "get": {
                "operationId": name,
                "tags": ["probes"],
                "summary": summary,
                "security": [],
                "responses": {"200": answer} | _problems(refused, examples),
            }
        }

    not_ready = ((errors.NotReady.code, errors.NotReady.status),)
    return {
        "/healthz": probe("healthz", "ctid is alive", "application/json"),
        "/readyz": probe(
            "readyz",
            "Every required link is up and its first snapshot is done",
            "application/json",
            not_ready,
        ),
        "/metrics": probe("metrics", "Figures for Prometheus", "text/plain"),
    }
