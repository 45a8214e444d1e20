"""Writes the documents: a header that says which run of ctid wrote it, then the entity's own fields."""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from ctid import __version__
from ctid.audit import Anchor
from ctid.events.structs import ENTITY_DOCUMENTS, STANDING, AuditDocument, Header, Layout, StatusDocument
from ctid.masking import masked, masked_call, masked_occurrence
from ctid.model.entities import Call, Entity
from ctid.model.instant import Instant, enc_hook
from ctid.state.changes import Occurrence

_encoder = msgspec.json.Encoder(enc_hook=enc_hook)
_LAYOUTS = {kind: Layout(document) for kind, document in ENTITY_DOCUMENTS.items()}
_STANDING = {name: Layout(document) for name, document in STANDING.items()}


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

    def shown(self, entity: Entity) -> Entity:
        """An entity as the bus may tell it."""
        return entity if self._full else masked(entity)

    def call(self, call: Call) -> Call:
        """A call as the bus may tell it."""
        return call if self._full else masked_call(call)

    def occurrence(self, occurrence: Occurrence) -> Occurrence:
        """An occurrence as the bus may tell it."""
        return occurrence if self._full else masked_occurrence(occurrence)

    def whole(self, entity: Entity, seq: int, at: Instant) -> Header:
        """The document of an entity that is as the update `seq` left it."""
        return _LAYOUTS[entity.kind].fill(self.boot_id, seq, at, self.shown(entity))

    def entity(self, entity: Entity, seq: int, at: Instant) -> bytes:
        """The same, as it is retained."""
        return encode(self.whole(entity, seq, at))

    def anchor(self, anchor: Anchor, seq: int) -> bytes:
        """Where the audit ended, as it is retained."""
        return encode(AuditDocument(self.boot_id, seq, anchor.at, record=anchor.record, hash=anchor.hash))

    def standing(self, name: str, document: Struct, seq: int, at: Instant) -> bytes:
        """A document of the site: one of `STANDING`, by its name."""
        return encode(_STANDING[name].fill(self.boot_id, seq, at, document))

    def status(
        self,
        state: Literal["online", "offline"],
        seq: int,
        at: Instant,
        *,
        reason: str = "",
        degraded: bool = False,
        dropped: int = 0,
    ) -> bytes:
        """The document of the status topic."""
        return encode(
            StatusDocument(
                self.boot_id,
                seq,
                at,
                state=state,
                site=self.site,
                version=__version__,
                degraded=degraded,
                dropped=dropped,
                reason=reason,
            )
        )


def encode(document: Struct) -> bytes:
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
