"""The client of ctid: `async with Client(url, token) as client:`, and all that it answers is typed.

It leans on nothing of the daemon. A word, a field, a message or a kind of entity that a newer ctid has and
this version does not know breaks nothing.
"""

import ssl
from collections.abc import Iterable
from types import TracebackType
from typing import Self

from ctid.client.changes import Changes
from ctid.client.errors import BadUrl, ClientError, Refused, Unreachable, Unreadable
from ctid.client.floor import Floor
from ctid.client.following import Change, Item, Reason, Reset
from ctid.client.http import DEFAULT_URL, Http
from ctid.client.operations import Operations
from ctid.client.pages import Pages
from ctid.client.structs import Occurrence

__all__ = [
    "DEFAULT_URL",
    "BadUrl",
    "Change",
    "Changes",
    "Client",
    "ClientError",
    "Floor",
    "Item",
    "Occurrence",
    "Pages",
    "Reason",
    "Refused",
    "Reset",
    "Unreachable",
    "Unreadable",
]

PATIENCE_S = 10.0
"""A ctid that is updated is back within this."""


class Client(Operations):
    """One ctid, an async context manager. Each operation is a method: `client.agents.pause("1001")`.

    A request is tried again for `patience_s` seconds where that is safe; `tls` is needed for a certificate
    that the system does not know. Operations raise `Refused`, `Unreachable` and `Unreadable`.

    Raises:
        BadUrl: the URL is none of ctid's.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        token: str | None = None,
        *,
        patience_s: float = PATIENCE_S,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.http = Http(url, token, patience_s=patience_s, tls=tls)
        """Requests that no method is for, such as of an operation that is newer than this client."""
        self._streams: list[Changes] = []
        super().__init__(self.http)

    @property
    def url(self) -> str:
        """Where its ctid is."""
        return self.http.url

    async def __aenter__(self) -> Self:
        self.http.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams:
            await stream.aclose()
        await self.http.close()

    def changes(
        self,
        *,
        kinds: Iterable[str] = (),
        teams: Iterable[str] = (),
        queues: Iterable[str] = (),
        ids: Iterable[str] = (),
        patience_s: float | None = None,
    ) -> Changes:
        """Everything as it stands, then each change: `async for change in client.changes():`.

        Each filter lets through all when it is left out, and what passes has passed each. `patience_s` is for
        how long it goes on without a ctid before it raises Unreachable; none: for ever.
        """
        filters = {"kind": kinds, "team": teams, "queue": queues, "id": ids}
        wanted = {name: ",".join(words) for name, given in filters.items() if (words := sorted(given))}
        stream = Changes(self.http, wanted, patience_s)
        self._streams.append(stream)
        return stream

    def floor(
        self,
        *,
        kinds: Iterable[str] = (),
        teams: Iterable[str] = (),
        queues: Iterable[str] = (),
        ids: Iterable[str] = (),
        patience_s: float | None = None,
    ) -> Floor:
        """A live copy of what the changes tell: `async with client.floor() as floor:`; filters as theirs."""
        return Floor(self.changes(kinds=kinds, teams=teams, queues=queues, ids=ids, patience_s=patience_s))
