"""What stands around every request: whom it comes from, which page asked, how the answer is packed."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from ctid.api.compress import LEAST, accepts_gzip, gzipped
from ctid.api.context import Web
from ctid.api.errors import ProxyRequired
from ctid.api.operations import BASE
from ctid.api.proxies import is_local

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

TAG = web.ResponseKey("tag", str)
"""The entity tag that an answer gets once it is compressed."""
_PACKED = (
    "application/json",
    "application/problem+json",
    "text/html",
    "text/css",
    "text/javascript",
    "text/plain",
)


class Around:
    """The middlewares, the outermost first, and the headers that every answer bears."""

    def __init__(self, listener: Web) -> None:
        self._web = listener

    @web.middleware
    async def proxied(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Take the client's address and scheme from the proxies that are trusted."""
        peer = request.remote or ""
        origin = self._web.proxies.origin(
            peer,
            request.scheme,
            request.headers.getall("X-Forwarded-For", ()),
            request.headers.getall("X-Forwarded-Proto", ()),
        )
        if origin == (peer, request.scheme):
            return await handler(request)
        return await handler(request.clone(remote=origin.peer, scheme=origin.scheme))

    @web.middleware
    async def packed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Compress what is worth it, for clients that take it; streams never are."""
        response = await handler(request)
        # What is no whole body by now is a stream, and its own file's matter.
        if type(response) is not web.Response or response.content_type not in _PACKED:
            return response
        body = response.body
        response.headers.add("Vary", "Accept-Encoding")
        accepted = accepts_gzip(",".join(request.headers.getall("Accept-Encoding", ())))
        if not isinstance(body, bytes) or len(body) < LEAST or not accepted:
            return response
        response.body = await gzipped(body)
        response.headers["Content-Encoding"] = "gzip"
        if TAG in response:
            response.headers["ETag"] = response[TAG]
        return response

    @web.middleware
    async def asked(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Answer browsers that ask before they ask."""
        if request.method == "OPTIONS" and request.path.startswith(f"{BASE}/"):
            method = request.headers.get("Access-Control-Request-Method")
            allowed = self._web.origins.preflight(request.headers.get("Origin"), method)
            if allowed is not None:
                return web.Response(status=204, headers=allowed)
        return await handler(request)

    @web.middleware
    async def closed(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse those who would send a token in clear, by the address that the connection has."""
        peername = request.get_extra_info("peername")
        peer = peername[0] if isinstance(peername, tuple) else ""
        if self._web.proxies_only and not (is_local(peer) or self._web.proxies.trusts(peer)):
            raise ProxyRequired("this address takes requests from its TLS proxy alone; ask there, by https")
        return await handler(request)

    async def headers(self, request: web.Request, response: web.StreamResponse) -> None:
        """The headers of every answer, streams included."""
        response.headers["Server"] = "ctid"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.headers.setdefault("Cache-Control", "no-store")
        if self._web.origins and request.path.startswith(f"{BASE}/"):
            response.headers.add("Vary", "Origin")
            response.headers.update(self._web.origins.headers(request.headers.get("Origin")))
