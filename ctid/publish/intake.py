"""Commands that clients publish: what one asks, by whom, and where the answer goes. Knows no MQTT client.

A client publishes on `…/command/<client>/<operation>` the document `{"id": …, "params": {…}}`, both optional,
and is answered on `…/reply/<client>` or, by MQTT 5, on the response topic below it that it names. A broker
does not tell who published: its access list must let nobody but the user `<client>` write there.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, Protocol

import msgspec
import structlog
from msgspec import Raw, Struct

from ctid.events.commanding import CommandDocument, ReplyDocument
from ctid.events.topics import Topics
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

LONGEST_BYTES = 16 * 1024
"""Of a command; no operation needs more."""
LONGEST_ID = 128
AT_ONCE = 32
"""Commands that may be under way, of all clients together."""
REPLIES_WAITING = 256


class Command(Struct, frozen=True, kw_only=True):
    """A command as it came. `response_topic` and `correlation` are MQTT 5's (4.10), empty without."""

    topic: str
    payload: bytes
    response_topic: str = ""
    correlation: bytes = b""


class Reply(Struct, frozen=True, kw_only=True):
    """What is to be published, once and not retained."""

    topic: str
    payload: bytes
    correlation: bytes = b""


class Outcome(Protocol):
    """What came of an operation."""

    @property
    def status(self) -> int:
        """HTTP's."""
        ...

    @property
    def body(self) -> bytes:
        """A JSON document; from the status 400 on a problem's."""
        ...


class _Refusal(Struct, frozen=True, kw_only=True):
    """An outcome without any operation."""

    status: int
    body: bytes


CarryOut = Callable[[str, str, Mapping[str, Any]], Awaitable[Outcome]]
"""Carries out an operation with the rights of a client, by its name; never raises what a client causes."""


class Intake:
    """Takes commands in for the operations that it is given, and lays their answers into `replies`.

    Whatever is not one of them is answered with `request.operation_unknown`, as over the API. While too many
    are under way, one more is logged and dropped.
    """

    def __init__(self, topics: Topics, operations: Collection[str], carry_out: CarryOut) -> None:
        self.filter = f"{topics.root}/command/+/+"
        self.replies: asyncio.Queue[Reply] = asyncio.Queue(REPLIES_WAITING)
        self._commands = f"{topics.root}/command/"
        self._answers = f"{topics.root}/reply/"
        self._operations = frozenset(operations)
        self._carry_out = carry_out
        self._tasks = TaskOwner()
        self._under_way = 0

    def is_command(self, topic: str) -> bool:
        """Whether a publication is for this intake."""
        return topic.startswith(self._commands)

    def take(self, command: Command) -> None:
        """Have a command carried out; its answer comes into `replies`."""
        if self._under_way >= AT_ONCE:
            log.warning("too many commands under way, one is dropped", topic=command.topic)
            return
        self._under_way += 1
        self._tasks.spawn("mqtt command", self._answered(command))

    async def run(self) -> None:
        """Wait for ever; raises what a command died of, and ends those under way when it is cancelled."""
        try:
            await self._tasks.wait_failed()
        finally:
            await self._tasks.close()

    async def _answered(self, command: Command) -> None:
        try:
            client, operation = command.topic.removeprefix(self._commands).split("/")
            reply_to, refusal = self._reply_to(client, command.response_topic)
            ident, params, mistake = _read(command.payload)
            refusal = refusal or mistake
            outcome: Outcome
            if not refusal and operation not in self._operations:
                listed = ", ".join(sorted(self._operations))
                outcome = _refused(404, "request.operation_unknown", f"by MQTT there are: {listed}")
            elif refusal:
                outcome = _refused(400, "request.invalid", refusal)
            else:
                outcome = await self._carry_out(client, operation, params)
            body = Raw(outcome.body)
            answer = (
                ReplyDocument(status=outcome.status, id=ident, problem=body)
                if outcome.status >= 400
                else ReplyDocument(status=outcome.status, id=ident, result=body)
            )
            self._lay(
                Reply(topic=reply_to, payload=msgspec.json.encode(answer), correlation=command.correlation)
            )
        finally:
            self._under_way -= 1

    def _reply_to(self, client: str, wanted: str) -> tuple[str, str]:
        """Where the answer goes, and what is wrong with where it was to go.

        ctid may publish where a client may not: an answer never leaves the client's own topics.
        """
        own = f"{self._answers}{client}"
        if not wanted or wanted == own:
            return own, ""
        if not wanted.startswith(f"{own}/") or any(sign in wanted for sign in "+#\0"):
            return own, f"the response topic must be {own}, or below it"
        return wanted, ""

    def _lay(self, reply: Reply) -> None:
        if self.replies.full():
            log.warning("an answer to a command is lost: the broker takes none", topic=reply.topic)
            return
        self.replies.put_nowait(reply)


def _read(payload: bytes) -> tuple[int | str | None, Mapping[str, Any], str]:
    """A command's id and parameters, and what is wrong with it."""
    if len(payload) > LONGEST_BYTES:
        return None, {}, f"a command has at most {LONGEST_BYTES} bytes"
    try:
        body = msgspec.json.decode(payload or b"{}", type=CommandDocument)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return None, {}, f'a command is a JSON object such as {{"id": 1, "params": {{}}}}: {error}'
    if isinstance(body.id, str) and len(body.id) > LONGEST_ID:
        return None, {}, f"an id has at most {LONGEST_ID} characters"
    return body.id, body.params, ""


def _refused(status: int, code: str, detail: str) -> _Refusal:
    problem = {"title": "The command cannot be read", "status": status, "code": code, "detail": detail}
    return _Refusal(status=status, body=msgspec.json.encode(problem))
