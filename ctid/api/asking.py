"""Who asks over HTTP: the one place that reads a request's credentials, whatever the request is for."""

import hmac

from aiohttp import web
from multidict import CIMultiDictProxy

from ctid.api import refusals
from ctid.api.auth import (
    CSRF_HEADER,
    bearer_of_header,
    bearer_of_subprotocols,
    is_same_origin,
    session_of_cookies,
)
from ctid.api.errors import CrossSite
from ctid.api.gate import Gate
from ctid.model.errors import AuthRequired, CtidError
from ctid.model.users import User

_SAFE = ("GET", "HEAD")


def user_of(gate: Gate, request: web.Request) -> User:
    """Tell who asks: by `Authorization`, by a subprotocol of a WebSocket, or by a session's cookie.

    A cookie comes with whatever a browser sends here, from any site's page: what changes something with it
    has to bear the session's CSRF value, and a socket has to be of this origin.

    Raises:
        AuthRequired, AuthExpired, RateLimited: as the gate says; a token in the address is none.
        CrossSite: a cookie, and nothing that shows that a page of ctid's own asks.
    """
    is_socket = "Upgrade" in request.headers
    refusals.came_by("websocket" if is_socket else "http", request.remote or "")
    claimed = refusals.NOBODY
    try:
        token = bearer_of_header(request.headers.get("Authorization"))
        token = token or bearer_of_subprotocols(offered_subprotocols(request.headers))
        cookie = session_of_cookies(request.cookies, request.host) if token is None else None
        if cookie is not None:
            user, session = gate.session(cookie, request.remote or "")
            claimed = user.name
            _check_origin(request, session.csrf, is_socket=is_socket)
            return user
        if token is None and "token" in request.query:
            raise AuthRequired(
                "a token in an address ends in logs; send it in the Authorization header, or, for a "
                "WebSocket, offer the subprotocols ctid.v1 and ctid.bearer.<token>"
            )
        return gate.authenticate(token, request.remote or "")
    except CtidError as error:
        if refusals.is_refusal(error):
            refusals.tell(error, claimed, asked_for(request))
        raise


def asked_for(request: web.Request) -> str:
    """What a request is for, without the ids in its path."""
    resource = request.match_info.route.resource
    return f"{request.method} {resource.canonical if resource is not None else 'nothing'}"


def offered_subprotocols(headers: CIMultiDictProxy[str]) -> list[str]:
    """What a client offers to speak over its WebSocket (RFC 6455 section 4.1, item 10)."""
    return [
        protocol.strip()
        for header in headers.getall("Sec-WebSocket-Protocol", ())
        for protocol in header.split(",")
    ]


def _check_origin(request: web.Request, csrf: str, *, is_socket: bool) -> None:
    if request.method in _SAFE and not is_socket:
        return
    if not is_same_origin(request.headers, request.scheme, request.host):
        raise CrossSite("a page of another site sent this with a session's cookie; use a token instead")
    given = request.headers.get(CSRF_HEADER, "")
    if not is_socket and not hmac.compare_digest(given.encode(), csrf.encode()):
        raise CrossSite(f"send the header {CSRF_HEADER} with `csrf` of GET /api/v1/session")
