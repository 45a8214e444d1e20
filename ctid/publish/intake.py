"""Commands that clients publish: what one asks, by whom, and where the answer goes. Knows no MQTT client.

A client publishes on `…/command/<client>/<operation>` and is answered on `…/reply/<client>` or, by MQTT 5, on
the response topic below it that it names. What the documents say is the carrier's. A broker does not tell who
published: its access list must let nobody but the user `<client>` write there.
"""

import asyncio
from collections import Counter
from typing import Protocol

import structlog
from msgspec import Struct

from ctid.events.topics import Topics
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

AT_ONCE = 16
"""Commands of one client that may be under way; as many as of one WebSocket."""
AT_ONCE_OF_ALL = 128
"""The same, of all clients together."""
REPLIES_WAITING = 256


class Command(Struct, frozen=True, kw_only=True):
    """A command as it came. `response_topic` and `correlation` are MQTT 5's (4.10), empty without."""

    topic: str
    payload: bytes
    response_topic: str = ""
    correlation: bytes = b""
    retained: bool = False
    """It was published to be kept by the broker, or comes from there."""


class Reply(Struct, frozen=True, kw_only=True):
    """What is to be published, once and not retained."""

    topic: str
    payload: bytes
    correlation: bytes = b""


class CommandCarrier(Protocol):
    """What carries commands out with the rights of a client, and words every answer.

    `client` and `operation` are levels of the topic. It never raises what a client causes.
    """

    async def carry_out(self, client: str, operation: str, payload: bytes) -> bytes:
        """Carry a command out; returns the reply's document."""
        ...

    def refuse(self, operation: str, payload: bytes, why: str) -> bytes:
        """The reply to a command that may not come in this way."""
        ...

    def refuse_one_more(self, operation: str, payload: bytes, why: str) -> bytes:
        """The reply to a command that comes while too many are under way."""
        ...


class Intake:
    """Takes commands in, and lays their answers into `replies`: one for each command, good or refused."""

    def __init__(self, topics: Topics, carrier: CommandCarrier) -> None:
        self.filter = f"{topics.root}/command/+/+"
        self.replies: asyncio.Queue[Reply] = asyncio.Queue(REPLIES_WAITING)
        self._commands = f"{topics.root}/command/"
        self._answers = f"{topics.root}/reply/"
        self._carrier = carrier
        self._tasks = TaskOwner()
        self._under_way: Counter[str] = Counter()

    def is_command(self, topic: str) -> bool:
        """Whether a publication is for this intake."""
        return topic.startswith(self._commands)

    def take(self, command: Command) -> None:
        """Have a command carried out; its answer comes into `replies`. The topic matches `filter`."""
        client, operation = command.topic.removeprefix(self._commands).split("/")
        reply_to = f"{self._answers}{client}"
        payload = command.payload
        if command.retained:
            # It would be carried out anew at each connection, and by whoever connects under our name.
            why = "a command must not be retained: clear its topic with an empty retained message"
            document = self._carrier.refuse(operation, payload, why)
        elif not _is_own(command.response_topic, reply_to):
            why = f"the response topic must be {reply_to}, or below it"
            document = self._carrier.refuse(operation, payload, why)
        elif self._under_way[client] >= AT_ONCE or self._under_way.total() >= AT_ONCE_OF_ALL:
            why = f"{self._under_way[client]} commands of {client} are under way; wait for an answer"
            document = self._carrier.refuse_one_more(operation, payload, why)
            reply_to = command.response_topic or reply_to
        else:
            self._under_way[client] += 1
            reply_to = command.response_topic or reply_to
            self._tasks.spawn("mqtt command", self._carried_out(client, operation, command, reply_to))
            return
        self._lay(reply_to, document, command.correlation)

    async def run(self) -> None:
        """Wait for ever; raises what a command died of, and ends those under way when it is cancelled."""
        try:
            await self._tasks.wait_failed()
        finally:
            await self._tasks.close()

    async def _carried_out(self, client: str, operation: str, command: Command, reply_to: str) -> None:
        try:
            document = await self._carrier.carry_out(client, operation, command.payload)
            self._lay(reply_to, document, command.correlation)
        finally:
            self._under_way[client] -= 1
            if not self._under_way[client]:
                del self._under_way[client]

    def _lay(self, topic: str, document: bytes, correlation: bytes) -> None:
        if self.replies.full():
            log.warning("an answer to a command is lost: the broker takes none", topic=topic)
            return
        self.replies.put_nowait(Reply(topic=topic, payload=document, correlation=correlation))


def _is_own(wanted: str, own: str) -> bool:
    """Whether an answer may go there: ctid may publish where a client may not, so only to the client's own.

    Empty is good: nothing else was wanted.
    """
    return wanted in ("", own) or (
        wanted.startswith(f"{own}/") and not any(sign in wanted for sign in "+#\0")
    )
