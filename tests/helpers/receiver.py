"""A receiver of webhooks on the loopback: verifies each signature, and answers as it is told."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, Self

from aiohttp import web
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
"""The specification's own example."""

Answer = Callable[[dict[str, Any]], web.Response | None]
"""What is answered to an event; none: nothing, until the sender gives up."""


def taken(_event: dict[str, Any]) -> web.Response:
    """The answer to what is welcome."""
    return web.Response(status=204)


class Receiver:
    """Listens on a port of its own, the same after `stop` and `start`; an async context manager.

    An event that is not signed by `secret` is answered 401 and kept in `forged`. `events` are those that were
    answered 2xx; `attempts` the ids of all that came.
    """

    def __init__(self, secret: str = SECRET) -> None:
        self.events: list[dict[str, Any]] = []
        self.attempts: list[str] = []
        self.forged: list[bytes] = []
        self.types: set[str] = set()
        self.answer: Answer = taken
        self._port = 0
        self._secret = secret
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        """Where events are sent."""
        return f"http://127.0.0.1:{self._port}/hook"

    def told(self, key: str) -> list[Any]:
        """A field of each event's data, in the order in which they were taken."""
        return [event["data"].get(key) for event in self.events]

    async def start(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post("/hook", self._post)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        """Listen no more."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.stop()

    async def _post(self, request: web.Request) -> web.Response:
        body = await request.read()
        try:
            event = Webhook(self._secret).verify(body, dict(request.headers))
        except WebhookVerificationError:
            self.forged.append(body)
            return web.Response(status=401)
        assert event == json.loads(body)
        assert event["id"] == request.headers["webhook-id"]
        self.types.add(request.headers["Content-Type"])
        self.attempts.append(event["id"])
        response = self.answer(event)
        if response is None:
            await asyncio.Event().wait()
            raise AssertionError
        if 200 <= response.status < 300:
            self.events.append(event)
        return response
