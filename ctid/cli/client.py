"""The command line's side of the HTTP API and of its event socket."""

from collections.abc import AsyncGenerator, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from ctid.model.instant import dec_hook

DEFAULT_URL = "http://127.0.0.1:8080"
BASE = "/api/v1"
ANSWER_S = 10.0
"""An answer about the state comes in milliseconds."""
ACT_S = 180.0
"""Starting a supervision waits until her phone is picked up; the daemon bounds the ringing."""
PAGE = 500
HEARTBEAT_S = 10.0
GOODBYE_S = 0.5
"""How long the end of the socket may take: who presses Ctrl-C does not wait for a server that hangs."""

_Entity = TypeVar("_Entity")


class Problem(Exception):
    """ctid refused: its problem document (RFC 9457)."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)
        self.status = int(document.get("status", 500))
        self.code = str(document.get("code", "internal"))
        super().__init__(str(document.get("detail") or document.get("title") or self.code))


class Unreachable(Exception):
    """No ctid answers at the URL, or what answers there is not ctid."""


class BadUrl(ValueError):
    """What was given as ctid's URL is none; the text names the cure."""


def checked_url(text: str) -> str:
    """The URL without a slash at its end.

    Raises:
        BadUrl: it is no http or https URL with a host.
    """
    try:
        url = URL(text)
        usable = url.scheme in ("http", "https") and bool(url.host) and url.port is not None
    except ValueError:
        usable = False
    if not usable:
        raise BadUrl(f"{text!r} is no URL of ctid: write it as {DEFAULT_URL} (CTID_URL, or --url)")
    return text.rstrip("/")


class Client:
    """One session with one ctid; an async context manager. Raises BadUrl."""

    def __init__(self, url: str, token: str | None) -> None:
        self.url = checked_url(url)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(headers=self._headers)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session().close()

    async def get(self, path: str, **params: str) -> dict[str, Any]:
        """GET a document below `/api/v1`; raises `Problem` or `Unreachable`."""
        return await self._request("GET", path, ANSWER_S, params=params)

    async def items(self, path: str, **params: str) -> tuple[list[dict[str, Any]], int]:
        """GET a whole list, page after page; returns its items and the sequence number of the last page."""
        items: list[dict[str, Any]] = []
        asked = {"limit": str(PAGE), **params}
        while True:
            page = await self.get(path, **asked)
            items += page["items"]
            if not page.get("next"):
                return items, int(page["seq"])
            asked["cursor"] = page["next"]

    async def act(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """POST, PATCH or DELETE; returns once it is in force; raises `Problem` or `Unreachable`."""
        return await self._request(method, path, ACT_S, json=body)

    async def events(self, **params: str) -> AsyncGenerator[dict[str, Any], None]:
        """The messages of the event socket: the snapshot first; ends when the socket does.

        Raises:
            Problem: the upgrade was refused.
            Unreachable: no ctid answers, or it went away in the middle of a message.
        """
        url = URL(self.url + BASE + "/events", encoded=True).with_query(params)
        try:
            patience = aiohttp.ClientWSTimeout(ws_close=GOODBYE_S)
            async with self._session().ws_connect(
                url, heartbeat=HEARTBEAT_S, max_msg_size=0, timeout=patience
            ) as socket:
                async for message in socket:
                    if message.type is not aiohttp.WSMsgType.TEXT:
                        return
                    yield msgspec.json.decode(message.data)
        except aiohttp.WSServerHandshakeError as error:
            # The socket's refusal comes without its document: a plain request is refused alike, with it.
            await self.get("/status")
            raise Unreachable(
                f"what answers at {self.url} is not ctid (no event socket: {error.status})"
            ) from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error

    async def _request(self, method: str, path: str, wait_s: float, **options: Any) -> dict[str, Any]:
        url = URL(self.url + BASE + path, encoded=True)
        timeout = aiohttp.ClientTimeout(total=wait_s)
        try:
            async with self._session().request(method, url, timeout=timeout, **options) as answer:
                body = await answer.read()
                status, kind = answer.status, answer.content_type
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._unreachable(error) from error
        try:
            document = msgspec.json.decode(body) if body else {}
        except msgspec.DecodeError as error:
            raise Unreachable(f"what answers at {self.url} is not ctid ({status} {kind})") from error
        if status >= 400 or not isinstance(document, dict):
            raise Problem({"status": status, **(document if isinstance(document, dict) else {})})
        return document

    def _unreachable(self, error: Exception) -> Unreachable:
        reason = (
            "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
        )
        return Unreachable(
            f"ctid does not answer at {self.url} ({reason}); see `systemctl status ctid`, or set --url"
        )

    def _session(self) -> aiohttp.ClientSession:
        assert self._http is not None, "the client is used as a context manager"  # noqa: S101 - the class's contract
        return self._http


def segment(ident: str) -> str:
    """An id as one segment of a path."""
    return quote(ident, safe="")


def as_entity(kind: type[_Entity], document: Mapping[str, Any]) -> _Entity:
    """Read an entity's document; a field that this version does not know is passed over.

    Raises:
        Problem: it is in a form that this version cannot read.
    """
    try:
        return msgspec.convert(document, kind, dec_hook=dec_hook)
    except msgspec.ValidationError as error:
        detail = f"ctid and this command are of different versions: {error}"
        raise Problem({"status": 500, "code": "client.version", "detail": detail}) from error
