"""The stream of changes: one, whatever befalls the connection."""

import asyncio
import random
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self

import aiohttp

from ctid.client.errors import Refused
from ctid.client.following import Following, Item
from ctid.client.http import LIMITED, Http, Lost, reason_of
from ctid.client.patience import Waits

EVENTS = "/events"
EXPIRED = 4401
"""The code with which ctid closes when the token expires."""
SILENCE_S = 40.0
"""ctid breaks a silence every 15 s: after more than two of those it, or the way to it, is gone."""
GOODBYE_S = 0.5
"""How long the end of the socket may take: who stops listening does not wait for a ctid that hangs."""


class Changes:
    """An endless iterator: a `Reset` with everything first, then each `Change` and `Occurrence` after it.

    It connects again by itself, and goes on where it was; where it cannot, a `Reset` says so, and why.
    `trouble` says why it is not connected just now; it is empty while it is. For one reader at a time, and
    as slow as that one likes: while nobody reads, ctid keeps what is to be told, or a `Reset` follows.

    Iterating raises `Refused` when ctid will not tell (the token has expired, a filter is wrong),
    `Unreadable`, and `Unreachable` after `patience_s` seconds without a ctid, or never when that is none.
    """

    def __init__(self, http: Http, wanted: Mapping[str, Any], patience_s: float | None) -> None:
        self.trouble = "connecting"
        self.message = ""
        """The JSON of what the last item was told by, as it came."""
        self._http = http
        self._wanted = wanted
        self._patience_s = patience_s
        self._following = Following()
        self._waits = Waits(random.random)
        self._alone_since: float | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._ended = asyncio.Event()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Item:
        while not self._ended.is_set():
            try:
                if self._socket is None:
                    self._socket = await self._connected()
                text = await self._heard(self._socket)
                item = self._following.take(text)
            except Lost as lost:
                await self._hang_up()
                await self._wait(str(lost))
                continue
            self.trouble, self._alone_since = "", None
            self._waits.reset()
            if item is not None:
                self.message = text
                return item
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """End it; whoever reads it comes to its end."""
        self._ended.set()
        await self._hang_up()

    async def _hang_up(self) -> None:
        socket, self._socket = self._socket, None
        if socket is not None:
            await socket.close()

    async def _wait(self, reason: str) -> None:
        """Wait before the next attempt, or for the end. Raises Unreachable."""
        now = asyncio.get_running_loop().time()
        if self._alone_since is None:
            self._alone_since = now
        if self._patience_s is not None and now - self._alone_since >= self._patience_s:
            raise self._http.unreachable(reason)
        self.trouble = reason
        with suppress(TimeoutError):
            async with asyncio.timeout(self._waits.next_s()):
                await self._ended.wait()

    async def _connected(self) -> aiohttp.ClientWebSocketResponse:
        """Open a socket that goes on where the last one ended. Raises Lost, Refused, Unreachable."""
        query = {**self._wanted, **self._following.query()}
        patience = aiohttp.ClientWSTimeout(ws_close=GOODBYE_S)
        try:
            async with asyncio.timeout(SILENCE_S):
                return await self._http.session.ws_connect(
                    self._http.address(EVENTS, query), max_msg_size=0, timeout=patience
                )
        except aiohttp.WSServerHandshakeError as error:
            if error.status == LIMITED or error.status >= 500:
                raise Lost(f"there is no stream just now ({error.status})") from error
            # The refusal of a handshake comes without its document.
            await self._http.explain(EVENTS, query)
            raise Lost("a proxy between must let WebSockets through") from error
        except (aiohttp.ClientError, OSError) as error:
            raise Lost(reason_of(error)) from error

    async def _heard(self, socket: aiohttp.ClientWebSocketResponse) -> str:
        """The next message. Raises Lost, Refused."""
        try:
            message = await socket.receive(timeout=SILENCE_S)
        except TimeoutError as error:
            raise Lost(f"nothing was heard for {SILENCE_S:g} s") from error
        if message.type is aiohttp.WSMsgType.TEXT:
            text: str = message.data
            return text
        said = str(message.extra or "ctid closed the connection")
        if socket.close_code == EXPIRED:
            await self._hang_up()
            raise Refused({"status": 401, "code": "auth.expired", "detail": said})
        raise Lost(said)
