"""What can go wrong between a client and ctid; each says the cure."""

from collections.abc import Mapping
from typing import Any


class ClientError(Exception):
    """Whatever this client raises about its ctid."""


class Refused(ClientError):
    """ctid answered that it will not: its problem document (RFC 9457). Decide by `code`.

    `field` is the part of the request that is wrong, or none; `retry_after_s` the seconds after which the
    request may come again, where ctid says so. The text is the problem's `detail`, which names the cure.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)
        self.status = int(document.get("status", 500))
        self.code = str(document.get("code", "internal"))
        self.detail = str(document.get("detail") or document.get("title") or self.code)
        field = document.get("field")
        self.field = None if field is None else str(field)
        after_s = document.get("retry_after_s")
        self.retry_after_s = None if after_s is None else float(after_s)
        super().__init__(self.detail)


class Unreachable(ClientError):
    """No ctid answers at the URL, or what answers there is not ctid.

    `maybe_done`: a command was sent, its answer was lost, and whether it was carried out is not known.
    """

    def __init__(self, detail: str, *, maybe_done: bool = False) -> None:
        self.maybe_done = maybe_done
        super().__init__(detail)


class Unreadable(ClientError):
    """ctid answered in a form that this version of the client cannot read."""


class BadUrl(ClientError, ValueError):
    """What was given as ctid's URL is none; the text names the cure."""
