"""Pages of a list, in the order of ids, with a cursor that stays good while the list changes."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from math import isfinite
from typing import Annotated, TypeVar

from msgspec import Meta, Struct

from ctid.model.entities import Agent, Call, Device, Help, Queue, Supervision
from ctid.model.errors import InvalidRequest

Listed = TypeVar("Listed", Agent, Device, Queue, Call, Supervision, Help)


class ListRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every list can be asked."""

    limit: Annotated[int, Meta(ge=1, le=500, description="The most items to answer with.")] = 100
    cursor: Annotated[str, Meta(description="The `next` of the page before; opaque.")] = ""


def page(entities: Iterable[Listed], request: ListRequest) -> tuple[tuple[Listed, ...], str | None]:
    """Cut one page out of a list; returns its items and the cursor of the next page, or none.

    An entity that is there all the while is on exactly one page, whatever comes and goes meanwhile.

    Raises:
        InvalidRequest: the cursor is not one of this kind of list.
    """
    ordered = sorted(entities, key=lambda entity: entity.id)
    if not request.cursor and len(ordered) <= request.limit:
        return tuple(ordered), None
    after = _read(request.cursor)
    rest = [entity for entity in ordered if entity.id > after]
    items = tuple(rest[: request.limit])
    return items, _write(items[-1].id) if len(rest) > len(items) else None


def cursor_of(at: float, ident: str) -> str:
    """The cursor of a list in the order of time: where its page ends."""
    return _write(f"{at!r}:{ident}")


def place_of(cursor: str) -> tuple[float, str] | None:
    """Where the page before ended; none for the first page. Raises InvalidRequest."""
    at, colon, ident = _read(cursor).partition(":")
    if not cursor:
        return None
    try:
        if colon and isfinite(float(at)):
            return float(at), ident
    except ValueError as error:
        raise _not_ours() from error
    raise _not_ours()


def _write(ident: str) -> str:
    return urlsafe_b64encode(f"id:{ident}".encode()).decode("ascii").rstrip("=")


def _read(cursor: str) -> str:
    if not cursor:
        return ""
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("utf-8")
    except (binascii.Error, UnicodeError) as error:
        raise _not_ours() from error
    if not text.startswith("id:"):
        raise _not_ours()
    return text.removeprefix("id:")


def _not_ours() -> InvalidRequest:
    return InvalidRequest("cursor is not the `next` of a page; leave it out to begin anew", field="cursor")
