"""The API's server: HTTP and WebSocket on one address, in the daemon's own loop."""

import structlog
from aiohttp import web

from ctid.api.door import Door
from ctid.api.expiry import warn_daily
from ctid.api.feed import Feed
from ctid.api.http import HttpCarrier
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

    async def start(self) -> None:
        """Listen; returns when requests are taken.

        Raises:
            OSError: the address cannot be bound.
        """
        context = self._door.context
        feed = Feed(context.hub, context.limits.ring)
        self._tasks.spawn("api/feed", feed.run())
        self._tasks.spawn("api/tokens", warn_daily(context.tokens, context.clock))
        self._sockets = Sockets(self._door, feed)
        carrier = HttpCarrier(self._door, self._sockets)
        # An access log would write every address asked for, ids and all; the metrics count instead.
        self._runner = web.AppRunner(
            carrier.application(),
            access_log=None,
            shutdown_timeout=context.limits.shutdown_s,
            handle_signals=False,
        )
        try:
            await self._runner.setup()
            host, _, port = context.listen.rpartition(":")
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError:
            await self.close()
            raise
        log.info("api listening", address="{}:{}".format(*self.address))

    @property
    def address(self) -> tuple[str, int]:
        """The host and port that are listened on, once started."""
        if self._runner is None or not self._runner.addresses:
            raise RuntimeError("the server has not been started")
        host, port = self._runner.addresses[0][:2]
        return host, port

    async def wait_failed(self) -> None:
        """Wait for ever; raise what the server's own task died of."""
        await self._tasks.wait_failed()

    async def close(self) -> None:
        """Stop: no new requests, a goodbye to every socket; idempotent."""
        if self._runner is not None:
            for site in list(self._runner.sites):
                await site.stop()
        if self._sockets is not None:
            await self._sockets.close()
        if self._runner is not None:
            await self._runner.cleanup()
        await self._tasks.close()
