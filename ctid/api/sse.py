"""The event stream as server-sent events (WHATWG HTML section 9.2), for curl and for browsers."""

import asyncio

import structlog
from aiohttp import WSCloseCode, web

from ctid.api.asking import user_of
from ctid.api.decoding import message_of, query_params
from ctid.api.dispatch import encoded
from ctid.api.door import Door
from ctid.api.follower import Follower, Followers, Told
from ctid.api.outgoing import unsent
from ctid.api.stream import (
    CLOSE_EXPIRED,
    CLOSE_SLOW,
    EXPIRED,
    TOO_SLOW,
    ClosedMessage,
    HeartbeatMessage,
    StreamRequest,
)
from ctid.hub import SlowSubscriber
from ctid.model.errors import InvalidRequest
from ctid.model.users import User
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

LAST_EVENT_ID = "Last-Event-ID"
CONTENT_TYPE = "text/event-stream"
_RETRY = b"retry: 1000\n\n"
_HEARTBEAT = str(HeartbeatMessage.__struct_config__.tag)


def resumed(query: StreamRequest, last_event_id: str) -> StreamRequest:
    """The request of a client that says which event it had last: `<boot_id>.<seq>`, or nothing.

    A browser repeats the address that it began with, so the header goes before what stands there.

    Raises:
        InvalidRequest: the id is none of this stream.
    """
    if not last_event_id:
        return query
    boot_id, _, seq = last_event_id.rpartition(".")
    if not boot_id or not (seq.isascii() and seq.isdigit() and len(seq) <= 15):
        raise InvalidRequest(
            f"{LAST_EVENT_ID} must be the id of an event of this stream", field=LAST_EVENT_ID
        )
    return StreamRequest(
        kind=query.kind,
        team=query.team,
        queue=query.queue,
        id=query.id,
        after=int(seq),
        boot_id=boot_id,
    )


def block(told: Told, boot_id: str) -> bytes:
    """A message as an event; a heartbeat is a comment with an id, which no listener is told of."""
    ident = f"id: {boot_id}.{told.seq}\n".encode()
    if told.type == _HEARTBEAT:
        return b": heartbeat\n" + ident + b"\n"
    # JSON of one line: what would end a line is escaped within it (RFC 8259 section 7).
    return ident + f"event: {told.type}\n".encode() + b"data: " + told.body + b"\n\n"


class EventStreams:
    """All clients of server-sent events."""

    def __init__(self, door: Door, followers: Followers) -> None:
        self.context = door.context
        self.tasks = TaskOwner()
        self._gate = door.gate
        self._followers = followers
        self._open: set[EventStream] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one client until either side ends it; raises `CtidError` before the first byte."""
        user = user_of(self._gate, request)
        self._gate.admit_follower(user)
        query = message_of(StreamRequest, query_params(StreamRequest, request.query.items()))
        query = resumed(query, request.headers.get(LAST_EVENT_ID, ""))
        query.filter()
        response = web.StreamResponse(
            # Proxies would keep events back to send more at once; nginx asks by this header.
            headers={"Content-Type": CONTENT_TYPE, "X-Accel-Buffering": "no"}
        )
        await response.prepare(request)
        transport = request.transport
        if transport is None:
            return response
        follower = self._followers.begin(f"sse/{user.name}", user, query)
        stream = EventStream(self, response, user, follower, transport)
        self._open.add(stream)
        try:
            await stream.serve()
        finally:
            follower.close()
            self._open.discard(stream)
        return response

    async def close(self) -> None:
        """Say goodbye to every client."""
        goodbye = int(WSCloseCode.GOING_AWAY), "ctid stops"
        await asyncio.gather(*[stream.close(*goodbye) for stream in list(self._open)])
        await self.tasks.close()


class EventStream:
    """One client."""

    def __init__(
        self,
        streams: EventStreams,
        response: web.StreamResponse,
        user: User,
        follower: Follower,
        transport: asyncio.Transport,
    ) -> None:
        self._streams = streams
        self._limits = streams.context.limits
        self._response = response
        self._user = user
        self._follower = follower
        self._transport = transport
        self._ending = False
        self._ended = asyncio.Event()

    async def serve(self) -> None:
        """Tell the updates until either side ends it."""
        name, tasks = f"sse/{self._user.name}", self._streams.tasks
        outwards = [tasks.spawn(f"{name}/pump", self._pump()), tasks.spawn(f"{name}/expiry", self._expire())]
        try:
            await self._ended.wait()
        finally:
            for task in outwards:
                task.cancel()
            await asyncio.wait(outwards)

    async def _pump(self) -> None:
        boot_id = self._streams.context.boot_id
        code, reason = int(WSCloseCode.INTERNAL_ERROR), "ctid failed; see its log"
        try:
            await self._send(_RETRY)
            async for told in self._follower.messages():
                await self._send(block(told, boot_id))
        except SlowSubscriber:
            code, reason = CLOSE_SLOW, TOO_SLOW
            log.warning("slow client of server-sent events closed", user=self._user.name)
        except ConnectionResetError:
            code, reason = int(WSCloseCode.GOING_AWAY), "the connection is lost"
        finally:
            await self.close(code, reason)

    async def _expire(self) -> None:
        await self._follower.until_ended()
        log.info("server-sent events closed: the token or session is over", user=self._user.name)
        await self.close(CLOSE_EXPIRED, EXPIRED)

    async def _send(self, data: bytes) -> None:
        """Send bytes; a client that does not take them in time is cut off.

        Nothing here is cancelled while it waits for the client; see `Socket._send`.
        """
        if self._ending:
            return
        overdue = asyncio.get_running_loop().call_later(self._limits.send_s, self._overdue)
        try:
            await self._response.write(data)
        finally:
            overdue.cancel()

    def _overdue(self) -> None:
        log.warning("slow client of server-sent events cut off", user=self._user.name)
        self._transport.abort()

    async def close(self, code: int, reason: str) -> None:
        """Say why and end the stream; the connection is cut when the client does not take even that."""
        if self._ending:
            return
        self._ending = True
        cut = asyncio.get_running_loop().call_later(self._limits.close_s, self._transport.abort)
        body = encoded(ClosedMessage(code=code, reason=reason))
        try:
            await self._response.write(b"event: closed\ndata: " + body + b"\n\n")
            await self._response.write_eof()
        except ConnectionResetError:
            log.debug("the client left before the goodbye", user=self._user.name)
        finally:
            cut.cancel()
            self._ended.set()
            if unsent(self._transport):
                self._transport.abort()
