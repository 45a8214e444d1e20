"""Retained documents: a header that says which run of ctid wrote it, then the entity's own fields."""

from typing import Any

import msgspec
from msgspec import Struct

from ctid.audit import Anchor
from ctid.masking import masked, masked_occurrence
from ctid.model.entities import Call, Entity, Help, Supervision
from ctid.model.instant import Instant, enc_hook
from ctid.state.changes import Occurrence

_encoder = msgspec.json.Encoder(enc_hook=enc_hook)


class Documents:
    """Writes documents of one run of ctid at a site; `boot_id` names the run.

    Unless `numbers_in_full`, the numbers and names of callers are masked. What a supervisor noted about
    a session is never written, nor what an agent said when she raised a hand, nor which sessions are on a
    call: the bus has more readers than those who may know who is listened to. Sessions and raised hands have
    topics of their own, which the broker's ACL guards.
    """

    def __init__(self, site: str, boot_id: str, *, numbers_in_full: bool) -> None:
        self.site = site
        self.boot_id = boot_id
        self._full = numbers_in_full

    def header(self, schema: str, seq: int, at: Instant) -> dict[str, Any]:
        """The fields that every document begins with; `schema` as `agent/1`."""
        return {"schema": f"ctid.{schema}", "boot_id": self.boot_id, "seq": seq, "at": at}

    def fields(self, entity: Entity) -> dict[str, Any]:
        """The entity's own fields, as JSON has them."""
        shown = entity if self._full else masked(entity)
        fields: dict[str, Any] = msgspec.to_builtins(shown, enc_hook=enc_hook)
        if isinstance(entity, Supervision):
            del fields["note"]
        elif isinstance(entity, Help):
            del fields["text"]
        elif isinstance(entity, Call):
            del fields["supervisions"]
        return fields

    def occurrence(self, occurrence: Occurrence) -> Occurrence:
        """An occurrence as the bus may tell it."""
        return occurrence if self._full else masked_occurrence(occurrence)

    def whole(self, entity: Entity, seq: int, at: Instant) -> dict[str, Any]:
        """Header and fields of an entity, flat, under the schema `ctid.<kind>/1`."""
        return {**self.header(f"{entity.kind}/1", seq, at), **self.fields(entity)}

    def entity(self, entity: Entity, seq: int, at: Instant) -> bytes:
        """The retained document of an entity that is as the update `seq` left it."""
        return encode(self.whole(entity, seq, at))

    def anchor(self, anchor: Anchor, seq: int) -> dict[str, Any]:
        """Where the audit ended: the number of its last `record`, and the hash of that."""
        return {**self.header("audit/1", seq, anchor.at), "record": anchor.record, "hash": anchor.hash}

    def standing(self, name: str, document: Struct, seq: int, at: Instant) -> bytes:
        """A document that stands while ctid runs, under the schema `ctid.<name>/1`."""
        return encode(
            {**self.header(f"{name}/1", seq, at), **msgspec.to_builtins(document, enc_hook=enc_hook)}
        )

    def status(self, state: str, seq: int, at: Instant, **more: Any) -> bytes:
        """The document of the status topic; `state` is `online` or `offline`."""
        return encode({**self.header("status/1", seq, at), "state": state, "site": self.site, **more})


def encode(document: dict[str, Any]) -> bytes:
    """JSON in UTF-8, times as RFC 3339."""
    return _encoder.encode(document)


def owner_of(document: bytes) -> str | None:
    """The PBX that a retained document tells of, or none when it is not one that ctid writes."""
    found = _decode(document)
    pbx = found.get("id") if found.get("schema") == "ctid.pbx/1" else found.get("pbx")
    return pbx if isinstance(pbx, str) else None


def state_of(document: bytes) -> str | None:
    """The state that a document of the status topic tells, or none when it is not one."""
    state = _decode(document).get("state")
    return state if isinstance(state, str) else None


def _decode(document: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(document)
    except msgspec.DecodeError:
        return {}
    return found if isinstance(found, dict) else {}
