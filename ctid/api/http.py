"""Operations over HTTP (RFC 9110), and what probes and browsers ask for beside them."""

import asyncio
import math
from functools import partial
from typing import Any

from aiohttp import web

from ctid.api import metrics, openapi
from ctid.api.around import TAG, Around, Handler
from ctid.api.asking import user_of
from ctid.api.auth import challenge
from ctid.api.conditional import expected_of, tag_of
from ctid.api.decoding import json_object, query_params
from ctid.api.dispatch import refusal
from ctid.api.door import Door
from ctid.api.errors import (
    BodyTooLarge,
    MalformedRequest,
    MethodNotAllowed,
    NotReady,
    PathUnknown,
    RequestTimeout,
    UnsupportedMediaType,
)
from ctid.api.login import Logins
from ctid.api.operations import BASE, OPERATIONS, Operation
from ctid.api.pages import pages
from ctid.api.replays import BOOT, HEADER, REPLAYED, Answer, check_boot, key_of
from ctid.api.shelf import shelf
from ctid.api.sse import EventStreams
from ctid.api.status import missing_links
from ctid.api.tags import IF_MATCH, IF_NONE_MATCH, Tag, known
from ctid.api.websocket import Sockets
from ctid.model.errors import AuthRequired, CtidError, InvalidRequest

CARRIER = "http"
_OPERATION = web.RequestKey("operation", str)
_NO_OPERATION = "none"
_JSON = "application/json"
_PROBLEM = "application/problem+json"

# The page of the API and its parts come from here, talk to here, and run nothing inline.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class HttpCarrier:
    """The routes of the server."""

    def __init__(
        self,
        door: Door,
        sockets: Sockets,
        streams: EventStreams,
    ) -> None:
        self._door = door
        self._context = door.context
        self._gate = door.gate
        self._dispatcher = door.dispatcher
        self._sockets = sockets
        self._streams = streams
        self._requests = door.requests
        self._openapi = openapi.encoded_document(door.context.version)
        self._pages = {**pages(), **shelf(door.context.version)}

    def application(self) -> web.Application:
        """The application with every route."""
        around = Around(self._context.web)
        application = web.Application(
            client_max_size=self._context.limits.body_bytes,
            middlewares=[around.packed, around.proxied, self._problems, around.closed, around.asked],
        )
        application.on_response_prepare.append(around.headers)
        application.on_response_prepare.append(self._name_boot)
        router = application.router
        for operation in OPERATIONS.values():
            handler = partial(self._operate, operation)
            path = BASE + operation.path
            if operation.method == "GET":
                router.add_get(path, handler)
            else:
                router.add_route(operation.method, path, handler)
        Logins(self._door, self._body).add_to(router)
        router.add_get(f"{BASE}/events", self._events, allow_head=False)
        router.add_get(f"{BASE}/events/stream", self._event_stream, allow_head=False)
        router.add_get(f"{BASE}/openapi.json", self._serve_openapi)
        for name in self._pages:
            router.add_get(f"{BASE}/{name}", partial(self._serve_page, name))
        router.add_get("/healthz", self._healthz)
        router.add_get("/readyz", self._readyz)
        router.add_get("/metrics", self._metrics)
        router.add_get("/", self._root)
        return application

    # Operations -----------------------------------------------------------------------------------

    async def _operate(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        request[_OPERATION] = operation.name
        user = user_of(self._gate, request)
        self._gate.admit(user, command=operation.is_command)  # before the body is read
        key = key_of(request.headers.getall(HEADER, ()), HEADER)
        if operation.is_command:
            check_boot(request.headers.get(BOOT), self._context.boot_id)
        params = await self._params(operation, request)
        expected = expected_of(operation, request.headers.getall(IF_MATCH, ()))
        answer = await self._dispatcher.dispatch(operation, user, params, key, expected=expected)
        tag = tag_of(operation, answer.body) if answer.status == operation.status else None
        if tag is None:
            return self._response(request, answer)
        return self._tagged(request, operation, answer, tag)

    async def _params(self, operation: Operation, request: web.Request) -> dict[str, Any]:
        params = query_params(operation.params, request.query.items())
        if operation.has_body:
            if params:
                name = next(iter(params))
                raise InvalidRequest(f"{name} belongs into the body, not into the address", field=name)
            params = json_object(await self._body(request))
        for name in operation.path_params:
            if name in params:
                raise InvalidRequest(f"{name} is in the path already; leave it out here", field=name)
            params[name] = request.match_info[name]
        return params

    async def _body(self, request: web.Request) -> bytes:
        """Read a JSON body.

        Raises:
            CtidError: it is no JSON by its headers, too large, too slow, or none at all.
        """
        encoding = request.headers.get("Content-Encoding", "identity")
        if request.body_exists and (request.content_type != _JSON or encoding.lower() != "identity"):
            given = request.headers.get("Content-Type", "nothing")
            raise UnsupportedMediaType(
                f"send `Content-Type: {_JSON}`, without Content-Encoding; this was {given}, {encoding}"
            )
        try:
            async with asyncio.timeout(self._context.limits.body_s):
                body = await request.read()
        except TimeoutError as error:
            raise RequestTimeout(f"the body was not whole after {self._context.limits.body_s:g} s") from error
        except web.HTTPRequestEntityTooLarge as error:
            raise BodyTooLarge(f"at most {self._context.limits.body_bytes} bytes are taken") from error
        if not body:
            raise MalformedRequest(f"there is no body; send a JSON object with `Content-Type: {_JSON}`")
        return body

    def _response(self, request: web.Request, answer: Answer) -> web.Response:
        operation = request.get(_OPERATION, _NO_OPERATION)
        self._requests.count(CARRIER, operation, answer.status)
        response = web.Response(
            status=answer.status, body=answer.body, content_type=_PROBLEM if answer.code else _JSON
        )
        if answer.status == AuthRequired.status:
            given = "Authorization" in request.headers or "Sec-WebSocket-Protocol" in request.headers
            response.headers["WWW-Authenticate"] = challenge(token_given=given)
        if answer.retry_after_s is not None:
            response.headers["Retry-After"] = str(math.ceil(answer.retry_after_s))
        if answer.replayed:
            response.headers[REPLAYED] = "true"
        return response

    def _tagged(self, request: web.Request, operation: Operation, answer: Answer, tag: Tag) -> web.Response:
        """An answer with its entity tag, or word that the client has it already (RFC 9110 section 15.4.5)."""
        held = known(tag, request.headers.getall(IF_NONE_MATCH, ()))
        if held is not None and not operation.is_command:
            self._requests.count(CARRIER, operation.name, web.HTTPNotModified.status_code)
            response = web.Response(status=web.HTTPNotModified.status_code, headers={"ETag": str(held)})
            response.headers.add("Vary", "Accept-Encoding")
        else:
            response = self._response(request, answer)
            response.headers["ETag"] = str(tag)
            response[TAG] = str(tag.zipped())
        # Another user's answer, or this one's without asking, must not be taken for it.
        response.headers["Cache-Control"] = "private, no-cache"
        response.headers.add("Vary", "Authorization, Cookie")
        return response

    @web.middleware
    async def _problems(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Make every refusal a problem document, also those of routing."""
        try:
            return await handler(request)
        except CtidError as error:
            return self._response(request, refusal(error))
        except web.HTTPNotFound:
            unknown = PathUnknown(f"nothing is at {request.path[:200]!r}; see {BASE}/docs")
            return self._response(request, refusal(unknown))
        except web.HTTPMethodNotAllowed as refused:
            allowed = ", ".join(sorted(refused.allowed_methods))
            not_allowed = MethodNotAllowed(f"{request.method[:20]} is not for this path; it knows {allowed}")
            response = self._response(request, refusal(not_allowed))
            response.headers["Allow"] = allowed
            return response

    # Beside the operations ------------------------------------------------------------------------

    async def _events(self, request: web.Request) -> web.StreamResponse:
        request[_OPERATION] = "events"
        return await self._sockets.handle(request)

    async def _event_stream(self, request: web.Request) -> web.StreamResponse:
        request[_OPERATION] = "events"
        return await self._streams.handle(request)

    async def _healthz(self, _request: web.Request) -> web.Response:
        return web.Response(body=b'{"status":"alive"}', content_type=_JSON)

    async def _readyz(self, _request: web.Request) -> web.Response:
        missing = missing_links(self._context)
        if missing:
            raise NotReady("; ".join(missing))
        return web.Response(body=b'{"status":"ready"}', content_type=_JSON)

    async def _metrics(self, _request: web.Request) -> web.Response:
        text = metrics.render(self._context, self._requests, len(self._sockets), len(self._streams))
        return web.Response(body=text.encode(), headers={"Content-Type": metrics.CONTENT_TYPE})

    async def _serve_openapi(self, _request: web.Request) -> web.Response:
        return web.Response(body=self._openapi, content_type=_JSON)

    async def _serve_page(self, name: str, _request: web.Request) -> web.Response:
        page = self._pages[name]
        return web.Response(
            body=page.body,
            content_type=page.media_type,
            charset="utf-8",
            headers={"Content-Security-Policy": _PAGE_POLICY},
        )

    async def _name_boot(self, _request: web.Request, response: web.StreamResponse) -> None:
        response.headers[BOOT] = self._context.boot_id

    async def _root(self, _request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": f"{BASE}/docs"})
