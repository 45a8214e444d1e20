"""A stream of changes over several connections as one: what to ask for, and what each message comes to."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Raw, Struct

from ctid.client.errors import Unreadable
from ctid.client.structs import KINDS, Entity, Occurrence
from ctid.model.instant import Instant, dec_hook


class Reason(StrEnum):
    """Why a stream begins with everything."""

    BEGINNING = "beginning"
    """It is the first message."""
    RESTARTED = "restarted"
    """ctid has begun anew: what happened meanwhile is not told, and its numbers start again."""
    MISSED = "missed"
    """More happened while the connection was away than ctid keeps."""


class Reset(Struct, frozen=True, kw_only=True):
    """Everything as it stands: what was known before is to be forgotten."""

    reason: Reason
    seq: int
    boot_id: str
    at: Instant
    entities: tuple[Entity, ...]


class Change(Struct, frozen=True, kw_only=True):
    """An entity came or is other than it was; `entity` is none when it is gone from this stream's view."""

    seq: int
    at: Instant
    kind: str
    id: str
    entity: Entity | None


Item = Reset | Change | Occurrence


class _Message(Struct, frozen=True, kw_only=True):
    """What the messages of a stream have; `type` says which of it is there."""

    type: str
    seq: int | None = None
    boot_id: str = ""
    at: Instant = Instant(0)
    kind: str = ""
    id: str = ""
    entity: Raw = Raw(b"null")
    entities: dict[str, list[Raw]] = {}


_PLURALS = {f"{kind}s": entity for kind, entity in KINDS.items()}
_message = msgspec.json.Decoder(_Message, dec_hook=dec_hook)
_occurrence = msgspec.json.Decoder(Occurrence, dec_hook=dec_hook)
_entities: Mapping[type[Entity], msgspec.json.Decoder[Any]] = {
    entity: msgspec.json.Decoder(entity, dec_hook=dec_hook) for entity in KINDS.values()
}


class Following:
    """Where a client is in the stream. `seq` and `boot_id` are none and empty before the first message.

    Kinds of entities and of messages that this version does not know are passed over.
    """

    def __init__(self) -> None:
        self.seq: int | None = None
        self.boot_id = ""

    def query(self) -> dict[str, Any]:
        """What to ask for, so that nothing is missed and nothing comes twice."""
        return {} if self.seq is None else {"after": self.seq, "boot_id": self.boot_id}

    def take(self, text: str | bytes) -> Item | None:
        """Take a message; returns what it tells, or none.

        Raises:
            Unreadable: it is in a form that this version cannot read.
        """
        try:
            return self._taken(text)
        except msgspec.DecodeError as error:
            raise Unreadable(
                f"ctid's stream and this client are of different versions ({error}); install the client of "
                "its version"
            ) from error

    def _taken(self, text: str | bytes) -> Item | None:
        message = _message.decode(text)
        if message.seq is None:
            return None
        item: Item | None = None
        match message.type:
            case "snapshot":
                item = self._reset(message, message.seq)
                self.boot_id = message.boot_id
            case "change" if message.kind in KINDS:
                item = _change(message, message.seq)
            case "occurrence":
                item = _occurrence.decode(text)
        self.seq = message.seq
        return item

    def _reset(self, message: _Message, seq: int) -> Reset:
        reason = Reason.MISSED
        if self.seq is None:
            reason = Reason.BEGINNING
        elif message.boot_id != self.boot_id:
            reason = Reason.RESTARTED
        entities = [
            _entities[_PLURALS[name]].decode(raw)
            for name, listed in message.entities.items()
            if name in _PLURALS
            for raw in listed
        ]
        return Reset(reason=reason, seq=seq, boot_id=message.boot_id, at=message.at, entities=tuple(entities))


def _change(message: _Message, seq: int) -> Change:
    entity = (
        None if bytes(message.entity) == b"null" else _entities[KINDS[message.kind]].decode(message.entity)
    )
    return Change(seq=seq, at=message.at, kind=message.kind, id=message.id, entity=entity)
