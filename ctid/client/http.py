"""Requests over HTTP that are tried again where that is safe, and what their answers mean."""

import asyncio
import random
import ssl
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import aiohttp
import msgspec
from yarl import URL

from ctid.client.errors import BadUrl, Refused, Unreachable, Unreadable
from ctid.client.patience import Waits
from ctid.model.instant import dec_hook, enc_hook

BASE = "/api/v1"
DEFAULT_URL = "http://127.0.0.1:8080"
KEY = "Idempotency-Key"
BOOT = "Ctid-Boot-Id"
ANSWER_S = 10.0
"""An answer about the state comes in milliseconds."""
ACT_S = 180.0
"""Starting a supervision waits until her phone is picked up; the daemon bounds the ringing."""
OTHER_BOOT = "request.other_boot"
LIMITED = 429
UPGRADE_REQUIRED = 426
_GATEWAY = (502, 503, 504)
"""What a proxy answers for a ctid that it cannot reach."""

_Result = TypeVar("_Result")


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


def segment(ident: str) -> str:
    """An id as one segment of a path."""
    return quote(ident, safe="")


def given(**parameters: Any) -> dict[str, Any]:
    """The parameters that are to be sent: those that are not None."""
    return {name: value for name, value in parameters.items() if value is not None}


class Lost(Exception):
    """An attempt came to nothing, and may be made again; `sent`: ctid may have got the request."""

    def __init__(self, detail: str, *, sent: bool = False) -> None:
        self.sent = sent
        super().__init__(detail)


class Http:
    """One ctid over HTTP. Opened by `open`, in a running loop, and closed by `close`.

    A request is tried again for `patience_s` seconds while no ctid answers, and when it is told to come
    later. A command bears a key of its own, by which ctid carries it out once however often it comes; where
    its answer was lost and ctid has begun anew since, its keys are forgotten, and it is not tried again.
    """

    def __init__(
        self, url: str, token: str | None, *, patience_s: float, tls: ssl.SSLContext | None = None
    ) -> None:
        self.url = checked_url(url)
        self.patience_s = patience_s
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._tls = tls
        self._open: aiohttp.ClientSession | None = None
        self._boot: str | None = None

    def open(self) -> None:
        """Be ready for requests; nothing is sent."""
        connector = aiohttp.TCPConnector(ssl=self._tls or True)
        self._open = aiohttp.ClientSession(headers=self._headers, connector=connector)

    async def close(self) -> None:
        """Close every connection."""
        await self.session.close()

    @property
    def session(self) -> aiohttp.ClientSession:
        """The connections."""
        if self._open is None:
            raise RuntimeError("use it as a context manager: `async with`")
        return self._open

    def address(self, path: str, query: Mapping[str, Any] | None = None) -> URL:
        """The URL of a path beneath `BASE`; a list is told with commas."""
        url = URL(self.url + BASE + path, encoded=True)
        told = {name: _query_text(value) for name, value in (query or {}).items()}
        return url.update_query(told) if told else url

    async def result(
        self,
        kind: type[_Result],
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> _Result:
        """Carry out an operation.

        Raises:
            Refused: ctid will not.
            Unreachable: no ctid answers.
            Unreadable: the answer is in a form that this version does not know.
        """
        raw = await self.ask(method, path, query=query, body=body)
        return read(kind, raw)

    async def document(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """Carry out an operation; returns its answer, whole, as it came. Raises as `ask`."""
        raw = await self.ask(method, path, query=query, body=body, key=key)
        document: dict[str, Any] = msgspec.json.decode(raw)
        return document

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        body: Mapping[str, Any] | None = None,
        key: str | None = None,
    ) -> bytes:
        """Carry out an operation; returns the JSON of its answer as it came. Raises as `result`.

        `key` is a command's idempotency key where the caller has one; else it gets one of its own.
        """
        loop = asyncio.get_running_loop()
        until, waits = loop.time() + self.patience_s, Waits(random.random)
        command = method != "GET"
        headers = {KEY: key or uuid4().hex} if command else {}
        if command and self._boot is None and self.patience_s > 0:
            await self._learn_boot()
        boot, lost = self._boot, False
        while True:
            try:
                return await self._once(method, self.address(path, query), body, headers)
            except Refused as refused:
                if lost and refused.code == OTHER_BOOT:
                    raise self._doubtful("it has begun anew since") from refused
                after_s = refused.retry_after_s
                if refused.status != LIMITED or after_s is None or loop.time() + after_s > until:
                    raise
                wait_s = after_s
            except Lost as problem:
                if command and problem.sent:
                    lost = True
                    if boot is None:
                        raise self._doubtful(str(problem)) from problem
                    headers[BOOT] = boot
                wait_s = waits.next_s()
                if loop.time() + wait_s > until:
                    if lost:
                        raise self._doubtful(str(problem)) from problem
                    raise self.unreachable(str(problem)) from problem
            await asyncio.sleep(wait_s)

    async def _learn_boot(self) -> None:
        """Learn which run of ctid answers; where it does not answer, the request itself will tell."""
        try:
            async with asyncio.timeout(ANSWER_S), self.session.get(f"{self.url}/healthz") as answer:
                self._boot = answer.headers.get(BOOT)
        except (aiohttp.ClientError, OSError):
            return

    async def _once(
        self, method: str, url: URL, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> bytes:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S if method == "GET" else ACT_S)
        sent: dict[str, Any] = {"headers": dict(headers), "timeout": timeout, "allow_redirects": False}
        if body is not None:
            sent["data"] = msgspec.json.encode(body, enc_hook=enc_hook)
            sent["headers"]["Content-Type"] = "application/json"
        try:
            async with self.session.request(method, url, **sent) as answer:
                raw = await answer.read()
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Lost(reason_of(error), sent=False) from error
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(reason_of(error), sent=True) from error
        self._boot = answer.headers.get(BOOT, self._boot)
        return self._judged(answer, raw)

    def _judged(self, answer: aiohttp.ClientResponse, raw: bytes) -> bytes:
        """The JSON object of an answer. Raises Refused, Lost, Unreachable."""
        try:
            document = msgspec.json.decode(raw or b"{}")
        except msgspec.DecodeError:
            document = None
        if not isinstance(document, dict):
            foreign = f"what answers at {self.url} is not ctid ({answer.status} {answer.content_type})"
            if answer.status in _GATEWAY:
                raise Lost(foreign, sent=True)
            raise Unreachable(f"{foreign}; look at the URL, and at a proxy between")
        if answer.status >= 300:
            raise Refused({"status": answer.status, **document})
        return raw or b"{}"

    async def explain(self, path: str, query: Mapping[str, Any]) -> None:
        """Ask for a WebSocket's address by a plain request, which is refused alike, with the document.

        Raises:
            Refused: so it is, and coming again would not help.
            Lost: nobody answers, or it is to come later.
            Unreachable: what answers is not ctid.
        """
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        asked = self.session.get(
            self.address(path, query), timeout=timeout, headers={"Accept": "application/json"}
        )
        try:
            async with asked as answer:
                if answer.status < 400:
                    return  # what follows may have no end
                raw = await answer.read()
            self._judged(answer, raw)
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(reason_of(error)) from error
        except Refused as refused:
            if refused.status == LIMITED or refused.status >= 500:
                raise Lost(refused.detail) from refused
            if refused.status != UPGRADE_REQUIRED:
                raise

    def unreachable(self, reason: str) -> Unreachable:
        """What is raised where nobody answers."""
        return Unreachable(
            f"ctid does not answer at {self.url} ({reason}); see `systemctl status ctid`, or set --url"
        )

    def _doubtful(self, reason: str) -> Unreachable:
        return Unreachable(
            f"the answer of ctid at {self.url} was lost ({reason}), and whether the command was carried out "
            "is not known; look at the state before you ask again",
            maybe_done=True,
        )


def read(kind: type[_Result], raw: bytes | msgspec.Raw) -> _Result:
    """Read a document; a field that this version does not know is passed over.

    Raises:
        Unreadable: it is in a form that this version cannot read.
    """
    try:
        return msgspec.json.decode(raw, type=kind, dec_hook=dec_hook)
    except msgspec.DecodeError as error:
        raise Unreadable(
            f"ctid and this client are of different versions ({error}); install the client of its version"
        ) from error


def _query_text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        return str(value)
    return ",".join(value)


def reason_of(error: Exception) -> str:
    """What an error of the network says, in a word."""
    return "no answer in time" if isinstance(error, TimeoutError) else str(error) or type(error).__name__
