"""Operations for clients of the MQTT bus, who are known by the topic that they publish on."""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw

from ctid.api import refusals
from ctid.api.decoding import json_object, message_of
from ctid.api.dispatch import encoded, refusal
from ctid.api.door import Door
from ctid.api.errors import BodyTooLarge, MalformedRequest, ReplyTooLarge, TooManyRequests
from ctid.api.operations import OPERATIONS, Operation, operation_named
from ctid.api.replays import Answer, key_of
from ctid.events.commanding import CommandDocument, ReplyDocument
from ctid.model.errors import CtidError, InvalidRequest
from ctid.model.users import User
from ctid.model.words import Carrier

CARRIER = "mqtt"
LONGEST_ID = 128
LARGEST_REPLY = 256 * 1024
"""Of what an operation answers, in bytes: brokers and clients cut the connection of who sends too much."""


class BusCarrier:
    """Carries out operations with the rights of the token of a client's name; takes and answers documents.

    Never raises what a client causes. A command is a `CommandDocument`; its reply is a
    `ReplyDocument`, whose problem is the one that HTTP answers to the same refusal.
    """

    def __init__(self, door: Door) -> None:
        self._door = door

    async def carry_out(self, client: str, operation: str, payload: bytes) -> bytes:
        """Carry one out; returns the reply."""
        document: Mapping[str, Any] = {}
        try:
            user, found = self._admitted(client, operation)
            document = self._document(payload)
            command = _command(document)
            key = key_of([] if command.key is None else [command.key], "key")
        except CtidError as error:
            return self._refused(operation, payload, error)
        answer = await self._door.dispatcher.dispatch(found, user, command.params, key, carrier=Carrier.MQTT)
        if len(answer.body) > LARGEST_REPLY:
            answer = refusal(_too_large(found, len(answer.body)))
        return self._replied(found.name, command.id, answer)

    def refuse(self, operation: str, payload: bytes, why: str) -> bytes:
        """The reply to a command that may not come in this way."""
        return self._refused(operation, payload, MalformedRequest(why))

    def refuse_one_more(self, operation: str, payload: bytes, why: str) -> bytes:
        """The reply to a command that comes while too many are under way."""
        return self._refused(operation, payload, TooManyRequests(why))

    def _admitted(self, client: str, operation: str) -> tuple[User, Operation]:
        refusals.came_by(CARRIER, client)
        user = self._door.gate.named(client, operation)
        found = operation_named(operation)
        self._door.gate.admit(user, command=found.is_command)
        return user, found

    def _document(self, payload: bytes) -> Mapping[str, Any]:
        most = self._door.context.limits.body_bytes
        if len(payload) > most:
            raise BodyTooLarge(f"at most {most} bytes are taken")
        return json_object(payload)

    def _refused(self, operation: str, payload: bytes, error: CtidError) -> bytes:
        try:
            ident = self._document(payload).get("id")
        except CtidError:
            ident = None  # it cannot be read, and the reply says why, or what was wrong before that
        is_id = _is_id(ident)
        name = operation if operation in OPERATIONS else "none"
        return self._replied(name, ident if is_id else None, refusal(error))

    def _replied(self, name: str, ident: int | str | None, answer: Answer) -> bytes:
        self._door.requests.count(CARRIER, name, answer.status)
        body = Raw(answer.body)
        if answer.code:
            reply = ReplyDocument(status=answer.status, id=ident, problem=body, replayed=answer.replayed)
        else:
            reply = ReplyDocument(status=answer.status, id=ident, result=body, replayed=answer.replayed)
        return encoded(reply)


def _command(document: Mapping[str, Any]) -> CommandDocument:
    command = message_of(CommandDocument, document)
    if command.id is not None and not _is_id(command.id):
        raise InvalidRequest(f"an id has at most {LONGEST_ID} characters", field="id")
    return command


def _is_id(found: Any) -> bool:
    if isinstance(found, str):
        return len(found) <= LONGEST_ID
    return isinstance(found, int) and not isinstance(found, bool)


def _too_large(operation: Operation, size: int) -> ReplyTooLarge:
    cure = (
        "it was carried out; read what came of it over HTTP"
        if operation.is_command
        else ("ask for less, by `limit` or a filter, or over HTTP")
    )
    return ReplyTooLarge(f"the answer has {size} bytes, and the bus carries {LARGEST_REPLY}: {cure}")
