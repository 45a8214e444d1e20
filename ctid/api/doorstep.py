"""What comes before any handler: connections that say nothing, bytes that are no HTTP, and expectations."""

import asyncio
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from ctid.api.dispatch import refusal
from ctid.api.errors import MalformedRequest
from ctid.model.errors import CtidError
from ctid.rates import Buckets, Rate

log = structlog.get_logger(__name__)

KEEPALIVE_S = 75.0
"""For so long a connection may rest after an answer."""
LINGERING_S = 2.0
"""For so long the rest of a body is read after an answer, so that its sender sees that (RFC 9112, 9.6)."""
_TOLD = Rate(1 / 60, 1)
"""How often the log tells of bytes from the same peer that are no HTTP."""


class Runner(web.AppRunner):
    """aiohttp's own, with a doorstep: `head_s` is how long the head of a connection's first request may take.

    aiohttp would wait for it as long as for a next request, answer what is no HTTP in plain text, and log it
    with a traceback and the bytes, which may hold a token.
    """

    def __init__(self, application: web.Application, head_s: float, **options: Any) -> None:
        # No operation takes a body that is encoded, and to decode what is refused is a bomb's wish.
        options |= {"auto_decompress": False}
        options |= {"keepalive_timeout": KEEPALIVE_S, "lingering_time": LINGERING_S}
        super().__init__(application, **options)
        self._head_s = head_s
        self._told = Buckets(_TOLD)

    async def _make_server(self) -> web.Server:
        plain = await super()._make_server()
        return _Server(self._head_s, self._told, plain, self._kwargs)


class _Server(web.Server):
    def __init__(self, head_s: float, told: Buckets, plain: web.Server, options: dict[str, Any]) -> None:
        super().__init__(self._handled, request_factory=plain.request_factory)
        self._handler = plain.request_handler
        self._head_s = head_s
        self._told = told
        self._options = options

    def __call__(self) -> web.RequestHandler:
        loop = asyncio.get_running_loop()
        return _Connection(self, self._head_s, self._told, loop=loop, **self._options)

    async def _handled(self, request: web.BaseRequest) -> web.StreamResponse:
        if isinstance(request.protocol, _Connection):
            request.protocol.heard()
        try:
            return await self._handler(request)
        except web.HTTPExpectationFailed as refused:  # which comes before any middleware
            return _problem(MalformedRequest("the header `Expect` can be 100-continue alone"), refused.status)


class _Connection(web.RequestHandler):
    def __init__(self, server: _Server, head_s: float, told: Buckets, **options: Any) -> None:
        super().__init__(server, **options)
        self._head_s = head_s
        self._told = told
        self._patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._patience = asyncio.get_running_loop().call_later(self._head_s, self.force_close)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.heard()
        super().connection_lost(exc)

    def heard(self) -> None:
        """A whole head has come."""
        if self._patience is not None:
            self._patience.cancel()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what did not come to any handler, or what a handler died of."""
        if isinstance(exc, HttpProcessingError):
            fault = type(exc).__name__
            if not self._told.take(request.remote or "", asyncio.get_running_loop().time()):
                log.warning("this is no HTTP", peer=request.remote, fault=fault)
            error: CtidError = MalformedRequest(f"this cannot be read as HTTP: {fault}")
            error.status = status
        else:
            super().handle_error(request, status, exc, message)  # which logs it
            error = CtidError("ctid failed at this; its log has the particulars")
        response = web.Response(
            status=status, body=refusal(error).body, content_type="application/problem+json"
        )
        response.headers["Server"] = "ctid"
        response.force_close()
        return response


def _problem(error: CtidError, status: int) -> web.Response:
    """The last answer of a connection."""
    error.status = status
    response = web.Response(status=status, body=refusal(error).body, content_type="application/problem+json")
    response.headers["Server"] = "ctid"
    response.force_close()
    return response
