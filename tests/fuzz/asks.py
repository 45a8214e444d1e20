"""Requests that were good before something was done to them: for HTTP, a socket, a command's topic."""

import json
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from random import Random
from typing import Any, NamedTuple
from urllib.parse import quote, quote_from_bytes

from ctid.api.answers import Examples
from ctid.api.operations import BASE, OPERATIONS, Operation
from ctid.api.replays import HEADER

EXAMPLES = Examples.shipped()
_CURSORS = (
    "id:1",
    "id:1:x",
    "id:nan:x",
    "seq:1:1",
    "seq:-1:99999999999999999999",
    "at:nan:1",
    "at:1:99999999999999999999",
)
TEXTS = (
    "", " ", "0", "-1", "1e309", "true", "null", "none", "*", "1001", "lab.100.1", "a/b", "..", "%00", "\0",
    "a\r\nAction: Originate", "\u2028", "\u202e1001", "\ufeff", "\ud800", "\udfff\ud800", "\u65e5\u672c",
    "\U0001f4de" * 50, "x" * 129, "x" * 5000, "' OR 1=1 --", "${jndi:x}", "{}", "[]", "a,b",
    "2026-03-01T08:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2026-02-30T00:00:00Z",
    *(urlsafe_b64encode(place.encode()).decode().rstrip("=") for place in _CURSORS),
)  # fmt: skip
"""What a text may hold, cursors of lists among them whose places are none."""
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, 2**31, 2**53, 2**63, 2**64, -(2**63) - 1, 10**300, 1e308, -0.0),
    *([], {}, [[]], [None], {"": {}}, ["x"] * 500, {"queue": "none"}, {"queue": 1}, {"phone": None}),
)
"""What may stand where something else is due."""
BODIES = (
    b"",
    b" ",
    b"{",
    b"}",
    b"[]",
    b"null",
    b"1",
    b'"x"',
    b"{}{}",
    b'{"a":1,"a":2}',
    b'{"a":NaN}',
    b'{"a":1e999}',
    b'{"a":"\\ud800"}',
    b'{"a":"\xff"}',
    b"\xef\xbb\xbf{}",
    '{"a":1}'.encode("utf-16"),
    b"\x1f\x8b\x08\0",
    b"[" * 20_000,
    b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    b'{"a":"' + b"x" * 70_000 + b'"}',
    b'{"a":' + b"9" * 6_000 + b"}",
    b"\0" * 10,
    b"{'a': 1}",
    b'{"a":1,}',
    b"// x\n{}",
    b"a=1&b=2",
)
"""What may come for a document."""
TYPES = (
    b"",
    b"text/plain",
    b"application/json; charset=utf-16",
    b"application/x-www-form-urlencoded",
    b"*/*",
    b"\xff",
    b"a" * 3000,
)
METHODS = (
    "GET",
    "HEAD",
    "POST",
    "PUT",
    "PATCH",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PROPFIND",
    "QUERY",
)


class Ask(NamedTuple):
    """A request of an operation, and which of its parts are no longer as they were."""

    operation: Operation
    raw: bytes
    method: str
    addressed: bool
    """Path and method are still the operation's."""


def params(random: Random, operation: Operation) -> dict[str, Any]:
    """Good parameters, or what became of them."""
    found = dict(EXAMPLES.requests[operation.name])
    for _ in range(random.choice((0, 1, 1, 2, 4))):
        _mutate(random, found, operation)
    return found


def _mutate(random: Random, found: dict[str, Any], operation: Operation) -> None:
    names = [*operation.params.__struct_fields__, "unknown", "", "__proto__", "\0"]
    name = random.choice([*found, *names])
    match random.randrange(5):
        case 0:
            found.pop(name, None)
        case 1:
            found[name] = random.choice(VALUES)
        case 2 if isinstance(found.get(name), dict):
            found[name] = found[name] | {random.choice(["x", *found[name]]): random.choice(VALUES)}
        case _:
            found[name] = random.choice(TEXTS)


def document(random: Random, value: Any) -> bytes:
    """The JSON of something, or what became of it."""
    if random.random() < 0.15:
        return random.choice(BODIES)
    raw = json.dumps(value, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")
    for _ in range(random.choice((0, 0, 0, 1, 3))):
        raw = _torn(random, raw)
    return raw


def _torn(random: Random, raw: bytes) -> bytes:
    at = random.randrange(len(raw) + 1)
    tears: tuple[Callable[[], bytes], ...] = (
        lambda: raw[:at],
        lambda: raw[:at] + raw[at + 1 :],
        lambda: raw[:at] + random.randbytes(random.randrange(1, 5)) + raw[at:],
        lambda: raw[:at] + raw,
    )
    return random.choice(tears)()


def over_http(random: Random, tokens: Mapping[str, str]) -> Ask:
    """A request as bytes; it asks the server to close the connection."""
    operation = random.choice(list(OPERATIONS.values()))
    found = params(random, operation)
    method, addressed = operation.method, True
    if random.random() < 0.05:
        method = random.choice(METHODS)
        addressed = method == operation.method
    path = BASE + operation.path
    for name in operation.path_params:
        text = found.pop(name, "")
        raw = str(text).encode("utf-8", "surrogatepass")
        written = (
            quote_from_bytes(raw, safe="") if random.random() < 0.9 else quote_from_bytes(raw, safe="/.%")
        )
        addressed = addressed and bool(written) and "/" not in written
        path = path.replace(f"{{{name}}}", written)
    if random.random() < 0.05:
        path, addressed = path + random.choice(("/", "//", "/x", "/%2e%2e", ";a=b", "%00")), False
    body = b""
    if operation.has_body and random.random() < 0.97:
        body = document(random, found)
        found = {} if random.random() < 0.95 else found
    query = "&".join(_pair(random, name, value) for name, value in found.items())
    lines = [
        f"{method} {path}{'?' if query else ''}{query} HTTP/1.1".encode("latin-1"),
        *_headers(random, tokens, body),
    ]
    return Ask(operation, b"\r\n".join(lines) + b"\r\n\r\n" + body, method, addressed)


def _pair(random: Random, name: str, value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    raw = text[:2000].encode("utf-8", "surrogatepass")
    pair = f"{quote(name)}={quote_from_bytes(raw)}"
    return (
        pair
        if random.random() < 0.9
        else random.choice((f"{pair}&{pair}", quote(name), f"{pair}%", f"{pair}%ff", f"&&{pair}&="))
    )


def _headers(random: Random, tokens: Mapping[str, str], body: bytes) -> list[bytes]:
    lines = [b"Host: ctid", b"Connection: close"]
    token = random.choice([*tokens.values(), *[tokens["admin"]] * 6, "guessed", None])
    if token is not None:
        lines.append(b"Authorization: Bearer " + token.encode())
    if body:
        kind = b"application/json" if random.random() < 0.95 else random.choice(TYPES)
        lines += [b"Content-Type: " + kind, b"Content-Length: %d" % len(body)]
    if random.random() < 0.2:
        key = random.choice(("k1", "k2", str(random.random()), "", "a b", "x" * 129, "\xe9"))
        lines.append(f"{HEADER}: {key}".encode("latin-1"))
    if random.random() < 0.1:
        lines.append(random.choice(_ODD))
    return lines


_ODD = (
    b"Content-Encoding: gzip",
    b"X-HTTP-Method-Override: DELETE",
    b"Range: bytes=0-0",
    b"If-None-Match: *",
    b'If-Match: "x"',
    b"Accept: text/html",
    b"Accept-Encoding: gzip;q=nan",
    b"Authorization: Basic YTpi",
    b"Cookie: ctid=x; ctid=y",
    b"Origin: null",
    b"X-Forwarded-For: 127.0.0.1, \xff",
    b"Upgrade: h2c",
    b"Expect: 200-ok",
    b"Idempotency-Key: k3",
    b"X: " + b"y" * 8000,
)


def over_socket(random: Random) -> bytes | str:
    """A message to the event stream."""
    operation = random.choice(list(OPERATIONS.values()))
    message: dict[str, Any] = {
        "id": random.choice((1, "mine")),
        "operation": operation.name,
        "params": params(random, operation),
    }
    if random.random() < 0.2:
        message[random.choice(("id", "operation", "params", "key", "x"))] = random.choice((*VALUES, *TEXTS))
    raw = document(random, message)
    if random.random() < 0.05:
        return raw
    return raw.decode("utf-8", "ignore")


def over_mqtt(random: Random) -> tuple[str, bytes]:
    """A command: what stands after `command/<client>/`, and its payload."""
    operation = random.choice(list(OPERATIONS.values()))
    message: dict[str, Any] = {"id": random.choice((1, "mine")), "params": params(random, operation)}
    if random.random() < 0.2:
        message[random.choice(("id", "params", "key", "x"))] = random.choice((*VALUES, *TEXTS))
    name = (
        operation.name if random.random() < 0.95 else random.choice(("", "x", "agents", "\u65e5", "a" * 500))
    )
    return name, document(random, message)
