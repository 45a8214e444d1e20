"""The event stream over WebSocket (RFC 6455), which carries operations as well."""

import asyncio
from typing import Any

import structlog
from aiohttp import WSCloseCode, WSMsgType, web
from msgspec import Raw, Struct

from ctid.api.asking import offered_subprotocols, user_of
from ctid.api.auth import chosen_subprotocol
from ctid.api.decoding import json_object, message_of, query_params
from ctid.api.dispatch import encoded, refusal
from ctid.api.door import Door
from ctid.api.errors import MalformedRequest, TooManyRequests, UpgradeRequired
from ctid.api.follower import Follower, Followers
from ctid.api.operations import Operation, operation_named
from ctid.api.outgoing import unsent
from ctid.api.replays import Answer, key_of
from ctid.api.stream import CLOSE_EXPIRED, CLOSE_SLOW, EXPIRED, TOO_SLOW, ReplyMessage, StreamRequest
from ctid.hub import SlowSubscriber
from ctid.model.errors import CtidError
from ctid.model.users import User
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

UNHURRIED = 16 * 1024
"""Bytes that may wait for a client before its time to take a message is measured."""

CARRIER = "websocket"


class OperationMessage(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A client's request; the reply bears the same `id`, and replies come as they are ready."""

    id: int | str
    operation: str
    params: dict[str, Any] = {}
    key: str | None = None
    """As the header `Idempotency-Key` of HTTP, and the same ones: an `id` is this socket's alone."""


class Sockets:
    """All event sockets of the server."""

    def __init__(self, door: Door, followers: Followers) -> None:
        self.context = door.context
        self.gate = door.gate
        self.dispatcher = door.dispatcher
        self._followers = followers
        self.requests = door.requests
        # Operations outlive the socket that asked for them, as they outlive an HTTP connection.
        self.tasks = TaskOwner()
        self._open: set[Socket] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one client from its handshake to its end.

        Raises:
            CtidError: refused before the handshake: the token, the query, or no WebSocket at all.
        """
        offered = offered_subprotocols(request.headers)
        user = user_of(self.gate, request)
        self.gate.admit_follower(user)
        query = message_of(StreamRequest, query_params(StreamRequest, request.query.items()))
        query.filter()
        chosen = chosen_subprotocol(offered)
        limits = self.context.limits
        ws = web.WebSocketResponse(
            heartbeat=limits.heartbeat_s,
            timeout=limits.close_s,
            # Never the offered ones as they are: what matches none is logged, and one is a token.
            protocols=(chosen,) if chosen else tuple(offered),
            compress=False,
            max_msg_size=limits.body_bytes,
        )
        if not ws.can_prepare(request).ok:
            raise UpgradeRequired("ask with `Upgrade: websocket` (RFC 6455 section 4.1)")
        await ws.prepare(request)
        transport = request.transport
        if transport is None:
            return ws
        follower = self._followers.begin(f"websocket/{user.name}", user, query)
        socket = Socket(self, ws, user, follower, transport)
        self._open.add(socket)
        try:
            await socket.serve()
        finally:
            follower.close()
            self._open.discard(socket)
        return ws

    async def close(self) -> None:
        """Say goodbye to every client, and end what they asked for."""
        goodbyes = [socket.close(WSCloseCode.GOING_AWAY, "ctid stops") for socket in list(self._open)]
        await asyncio.gather(*goodbyes)
        await self.tasks.close()


class Socket:
    """One client."""

    def __init__(
        self,
        sockets: Sockets,
        ws: web.WebSocketResponse,
        user: User,
        follower: Follower,
        transport: asyncio.Transport,
    ) -> None:
        self._sockets = sockets
        self._context = sockets.context
        self._ws = ws
        self._user = user
        self._follower = follower
        self._transport = transport
        self._in_flight = 0

    async def serve(self) -> None:
        """Tell the updates and carry out operations until either side ends it."""
        name, tasks = f"websocket/{self._user.name}", self._sockets.tasks
        outwards = [tasks.spawn(f"{name}/pump", self._pump()), tasks.spawn(f"{name}/expiry", self._expire())]
        try:
            while True:
                message = await self._ws.receive()
                if message.type is WSMsgType.TEXT:
                    await self._received(message.data)
                elif message.type is WSMsgType.BINARY:
                    await self._reply(
                        None, refusal(MalformedRequest("send text messages, each a JSON object"))
                    )
                else:
                    return
        finally:
            for task in outwards:
                task.cancel()

    async def _expire(self) -> None:
        """Close the socket when what its client showed is good no more."""
        await self._follower.until_ended()
        log.info("websocket closed: its token or session is over", user=self._user.name)
        await self.close(CLOSE_EXPIRED, EXPIRED)

    # Outwards -------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        code, reason = int(WSCloseCode.INTERNAL_ERROR), "ctid failed; see its log"
        try:
            async for told in self._follower.messages():
                await self._send(told.body)
        except SlowSubscriber:
            code, reason = CLOSE_SLOW, TOO_SLOW
            log.warning("slow websocket client closed", user=self._user.name)
        except ConnectionResetError:
            code, reason = int(WSCloseCode.GOING_AWAY), "the connection is lost"
        finally:
            await self.close(code, reason)

    async def _send(self, document: bytes) -> None:
        """Send a message; one that is not taken in time closes the socket.

        Nothing here is cancelled while it waits for the client: the connection's one waiter would stay
        cancelled, and stop whoever waits for it next (aiohttp `BaseProtocol._drain_helper`).
        """
        if unsent(self._transport) + len(document) < UNHURRIED:
            await self._ws.send_frame(document, WSMsgType.TEXT)  # it waits for nobody
            return
        overdue = asyncio.get_running_loop().call_later(self._context.limits.send_s, self._overdue)
        try:
            await self._ws.send_frame(document, WSMsgType.TEXT)
        finally:
            overdue.cancel()

    def _overdue(self) -> None:
        log.warning("slow websocket client closed", user=self._user.name)
        self._sockets.tasks.spawn(f"websocket/{self._user.name}/close", self.close(CLOSE_SLOW, TOO_SLOW))

    async def close(self, code: int, reason: str) -> None:
        """Close in good form, or by cutting the connection when the client does not take part; idempotent."""
        if self._ws.closed:
            return
        transport = self._transport
        cut = asyncio.get_running_loop().call_later(self._context.limits.close_s, transport.abort)
        try:
            await self._ws.close(code=code, message=reason.encode())
        finally:
            cut.cancel()
            # What was not taken by now would keep the connection for as long as the client likes.
            if unsent(transport):
                transport.abort()

    # Inwards --------------------------------------------------------------------------------------

    async def _received(self, text: str) -> None:
        ident: int | str | None = None
        name = "none"
        try:
            document = json_object(text)
            given = document.get("id")
            if isinstance(given, int | str) and not isinstance(given, bool):
                ident = given
            message = message_of(OperationMessage, document)
            key = key_of([] if message.key is None else [message.key], "key")
            operation = operation_named(message.operation)
            name = operation.name
            self._sockets.gate.recheck(self._user, name)
            self._sockets.gate.admit(self._user, command=operation.is_command)
            if self._in_flight >= self._context.limits.in_flight:
                raise TooManyRequests(f"{self._in_flight} operations are under way here; wait for a reply")
        except CtidError as error:
            self._sockets.requests.count(CARRIER, name, error.status)
            await self._reply(ident, refusal(error))
            return
        self._in_flight += 1
        self._sockets.tasks.spawn(
            f"websocket/{self._user.name}/{operation.name}",
            self._operate(ident, operation, message.params, key),
        )

    async def _operate(
        self, ident: int | str | None, operation: Operation, params: dict[str, Any], key: str | None
    ) -> None:
        try:
            answer = await self._sockets.dispatcher.dispatch(operation, self._user, params, key)
        finally:
            self._in_flight -= 1
        self._sockets.requests.count(CARRIER, operation.name, answer.status)
        await self._reply(ident, answer)

    async def _reply(self, ident: int | str | None, answer: Answer) -> None:
        body = Raw(answer.body)
        reply = ReplyMessage(
            id=ident,
            status=answer.status,
            result=None if answer.code else body,
            problem=body if answer.code else None,
            replayed=answer.replayed,
        )
        if self._ws.closed:
            return
        try:
            await self._send(encoded(reply))
        except ConnectionResetError:
            log.info("the client left before its reply", user=self._user.name)
