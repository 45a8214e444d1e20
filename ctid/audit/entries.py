"""What a record of the audit says, and which records somebody asks for. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ctid.audit.chain import Record, payload_of
from ctid.model.entities import Supervision
from ctid.model.instant import Instant

_LONG_NUMBER = 7


class Entry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Who did what to whom.

    `event` of a session is `requested` or `refused`, and `by` who asked; or, with no `by`, the state that it
    has come to, `key` or `notice`. `request` stands for the session while there is none: any Struct, and
    plain data when it is read again. `detail` is a refusal's code, what beside the session was asked for, the
    key, or what became of the notice. What is about no session names `agent` and `call` itself, and has its
    particulars in `about`. What people write belongs under the keys `note`, `text` or `comment`, wherever
    these are: such texts can be erased by themselves.
    """

    at: Instant
    event: str
    supervision: Supervision | None = None
    request: Any = None
    by: str = ""
    detail: str = ""
    agent: str = ""
    call: str = ""
    about: dict[str, Any] = {}


class Step(Struct, frozen=True, kw_only=True):
    """What a session did, as the PBX told it: its state is the `event`."""

    event: str
    supervision: Supervision


class Item(Struct, frozen=True, kw_only=True):
    """A record of the audit as its readers see it."""

    seq: int
    """Its number; there are no holes but before the first, where the log was purged."""
    at: Instant
    """When it was written."""
    event: str
    """`requested`, `refused`, `key`, `notice` and the states of sessions; `unattributed` of spying that ctid
    did not start; `login`, `token_created` and others of identity; `audit_read`, `erased`, `purged`,
    `anchor`, `started` and others of the audit itself."""
    by: str
    """Whose token asked for it; empty where the PBX or ctid itself did it."""
    agent: str
    call: str
    supervision: str
    """The session's id."""
    detail: str
    payload: dict[str, Any] | None
    """All that it says; none where it was erased."""
    hash: str


class Selection(Struct, frozen=True, kw_only=True):
    """Which records; filters that are not empty are combined, `until` is not in the period."""

    since: float = 0.0
    until: float = float("inf")
    agent: str = ""
    by: str = ""
    """Who asked, or the supervisor of the session."""
    event: str = ""


def item_of(record: Record) -> Item:
    """A record for its readers."""
    payload = payload_of(record)
    said: Mapping[str, Any] = payload or {}
    session = _part(said, "supervision")
    return Item(
        seq=record.seq,
        at=record.at,
        event=record.event,
        by=_text(said.get("by")),
        agent=next(iter(agents_of(said)), ""),
        call=_text(said.get("call") or session.get("call") or _part(said, "request").get("call")),
        supervision=_text(session.get("id")),
        detail=_text(said.get("detail")),
        payload=payload,
        hash=record.hash,
    )


def agents_of(said: Mapping[str, Any]) -> list[str]:
    """The agents whom a payload is about."""
    named = [
        said.get("agent"),
        *(_part(said, part).get("agent") for part in ("supervision", "request", "about")),
    ]
    return list(dict.fromkeys(name for name in named if isinstance(name, str) and name))


def wants(selection: Selection, record: Record) -> bool:
    """Whether a record is one of those asked for."""
    said = record.payload or {}
    if selection.event and record.event != selection.event:
        return False
    if not selection.since <= record.at < selection.until:
        return False
    if selection.by and selection.by not in (said.get("by"), _part(said, "supervision").get("supervisor")):
        return False
    return not selection.agent or selection.agent in agents_of(said)


def mentions(text: str, number: str) -> bool:
    """Whether a text has a telephone number in it, however its digits are grouped.

    Of long numbers the last nine digits decide, so that +33 6 … and 06 … are one: erring means to find more.
    A short one, such as an extension, must stand by itself.
    """
    digits = _digits(number)
    if len(digits) < _LONG_NUMBER:
        return bool(digits) and re.search(rf"(?<![0-9]){digits}(?![0-9])", text) is not None
    return digits[-9:] in _digits(text)


def _digits(text: str) -> str:
    return "".join(character for character in text if character.isascii() and character.isdigit())


def _part(said: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = said.get(name)
    return part if isinstance(part, dict) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""
