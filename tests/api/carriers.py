"""The four ways to ask for an operation, each as a client of it does: bytes or words in, a document out."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from functools import cache
from typing import Any

from api.support import DEADLINE_S, Floor, token_of
from ctid.api.bus import BusCarrier
from ctid.api.operations import Operation
from ctid.cli import _parser
from ctid.cli.exits import Exit
from ctid.cli.output import Output
from ctid.cli.values import params_of, words_of
from ctid.client import Client, Refused
from ctid.events.topics import Topics
from ctid.publish.intake import Command, Intake

TOPICS = Topics("ctid", "test")
parser = cache(_parser)
Answered = tuple[int, dict[str, Any], bool]
"""The status, the document, and whether it is one that its key got before."""
CarryOver = Callable[[Floor, Operation, str, dict[str, Any], str | None], Awaitable[Answered]]


class Kept(Output):
    """Keeps what it would print; standard output is where the served floor logs."""

    def __init__(self, *, as_json: bool) -> None:
        super().__init__(as_json=as_json)
        self.printed: list[Any] = []

    def document(self, document: Any) -> None:
        """Keep a document."""
        self.printed.append(document)


async def over_http(
    floor: Floor, operation: Operation, role: str, params: dict[str, Any], key: str | None = None
) -> Answered:
    """Carry a request as HTTP does."""
    rest = dict(params)
    path = "/api/v1" + operation.path
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", rest.pop(name))
    options: dict[str, Any] = {"json": rest} if operation.has_body else {"params": rest}
    headers = {"Idempotency-Key": key} if key else {}
    reply = await floor.request(operation.method, path, role, headers=headers, **options)
    return reply.status, reply.json, reply.headers.get("Idempotency-Replayed") == "true"


async def over_websocket(
    floor: Floor, operation: Operation, role: str, params: dict[str, Any], key: str | None = None
) -> Answered:
    """Carry a request as a WebSocket does."""
    events = await floor.events(role=role)
    asked = {"id": "mine", "operation": operation.name, "params": params} | ({"key": key} if key else {})
    await events.socket.send_json(asked)
    reply = await events.until("reply")
    await events.socket.close()
    return _replied(reply)


async def over_mqtt(
    floor: Floor, operation: Operation, role: str, params: dict[str, Any], key: str | None = None
) -> Answered:
    """Carry a request as a client of the bus does; the broker alone is left out."""
    intake = Intake(TOPICS, BusCarrier(floor.door))
    topic = f"{TOPICS.root}/{operation.topic.replace('{client}', f'a {role}')}"
    asked = {"id": "mine", "params": params} | ({"key": key} if key else {})
    intake.take(Command(topic=topic, payload=json.dumps(asked).encode()))
    async with asyncio.timeout(DEADLINE_S):
        reply = await intake.replies.get()
    assert reply.topic == f"{TOPICS.root}/reply/a {role}"
    document = json.loads(reply.payload)
    assert document.pop("schema") == "ctid.reply/1"
    return _replied(document)


async def over_command_line(
    floor: Floor, operation: Operation, role: str, params: dict[str, Any], key: str | None = None
) -> Answered:
    """Carry a request as `ctid api` does, up to what main() makes of a refusal."""
    words = words_of(params)
    how = words if params_of(operation.params, words) == params else ["--json-params", json.dumps(params)]
    arguments = parser().parse_args(["api", operation.name, *how, "--json", *(["--key", key] if key else [])])
    output = Kept(as_json=True)
    assert arguments.local(output, arguments) is None
    async with Client(floor.url, token_of(role), patience_s=0) as client:
        try:
            assert await arguments.remote(client, output, arguments) is Exit.OK
        except Refused as problem:
            return problem.status, problem.document, False
    (document,) = output.printed
    return operation.status, document, False


def _replied(reply: Any) -> Answered:
    assert reply["id"] == "mine"
    assert ("problem" in reply) is (reply["status"] >= 400)
    assert ("result" in reply) is (reply["status"] < 400)
    return reply["status"], reply.get("problem", reply.get("result")), reply.get("replayed", False)


CARRIERS: tuple[CarryOver, ...] = (over_http, over_websocket, over_mqtt, over_command_line)
