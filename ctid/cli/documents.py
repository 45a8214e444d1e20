"""Documents as ctid tells them: what the command prints, and reads into the entities of its own version."""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from ctid.client import Client, Unreadable
from ctid.model.instant import dec_hook

PAGE = 500

_Entity = TypeVar("_Entity")


async def get(client: Client, path: str, **params: str) -> dict[str, Any]:
    """GET a document below `/api/v1`; raises as the client does."""
    return await client.http.document("GET", path, query=params)


async def listed(client: Client, path: str, **params: str) -> tuple[list[dict[str, Any]], int]:
    """GET a whole list, page after page; returns its items and the sequence number of the last page."""
    found: list[dict[str, Any]] = []
    asked = {"limit": str(PAGE), **params}
    while True:
        page = await get(client, path, **asked)
        found += page["items"]
        if not page.get("next"):
            return found, int(page["seq"])
        asked["cursor"] = page["next"]


async def act(
    client: Client, method: str, path: str, body: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """POST, PATCH or DELETE; returns once it is in force; raises as the client does."""
    return await client.http.document(method, path, body=body)


def as_entity(kind: type[_Entity], document: Mapping[str, Any]) -> _Entity:
    """Read an entity's document; a field that this version does not know is passed over.

    Raises:
        Unreadable: it is in a form that this version cannot read.
    """
    try:
        return msgspec.convert(document, kind, dec_hook=dec_hook)
    except msgspec.ValidationError as error:
        raise Unreadable(f"ctid and this command are of different versions: {error}") from error
