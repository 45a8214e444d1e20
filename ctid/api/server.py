"""The API's server: HTTP, WebSocket and server-sent events on one address, in the daemon's own loop."""

import structlog
from aiohttp import web

from ctid.api.door import Door
from ctid.api.doorstep import Runner
from ctid.api.expiry import warn_daily
from ctid.api.feed import Feed
from ctid.api.follower import Followers
from ctid.api.http import HttpCarrier
from ctid.api.sse import EventStreams
from ctid.api.websocket import Sockets
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)


class ApiServer:
    """Serves the API from `start` to `close`; used once."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._tasks = TaskOwner()
        self._runner: web.AppRunner | None = None
        self._sockets: Sockets | None = None
        self._streams: EventStreams | None = None

    async def start(self) -> None:
        """Listen; returns when requests are taken.

        Raises:
            OSError: the address cannot be bound.
        """
        context = self._door.context
        feed = Feed(context.hub, context.limits.ring)
        self._tasks.spawn("api/feed", feed.run())
        self._tasks.spawn("api/tokens", warn_daily(context.identity.directory, context.clock))
        followers = Followers(self._door, feed)
        self._sockets = Sockets(self._door, followers)
        self._streams = EventStreams(self._door, followers)
        carrier = HttpCarrier(self._door, self._sockets, self._streams)
        certificate = context.web.certificate
        if certificate is not None:
            self._tasks.spawn("api/certificate", certificate.watch())
        # An access log would write every address asked for, ids and all; the metrics count instead.
        self._runner = Runner(
            carrier.application(),
            context.limits.head_s,
            access_log=None,
            shutdown_timeout=context.limits.shutdown_s,
            handle_signals=False,
        )
        try:
            await self._runner.setup()
            host, _, port = context.listen.rpartition(":")
            tls = certificate.server_context if certificate is not None else None
            await web.TCPSite(self._runner, host.strip("[]"), int(port), ssl_context=tls).start()
        except OSError:
            await self.close()
            raise
        log.info("api listening", address="{}:{}".format(*self.address), tls=certificate is not None)

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that are listened on, once started."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the server has not been started")
        host, port = self._runner.addresses[0][:2]
        return host, port

    def reload(self) -> None:
        """Read the certificate anew, where there is one."""
        if self._door.context.web.certificate is not None:
            self._door.context.web.certificate.reload()

    async def wait_failed(self) -> None:
        """Wait for ever; raise what the server's own task died of."""
        await self._tasks.wait_failed()

    async def close(self) -> None:
        """Stop: no new requests, a goodbye to every socket and stream; idempotent."""
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
        if self._sockets is not None:
            await self._sockets.close()
        if self._streams is not None:
            await self._streams.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._tasks.close()
