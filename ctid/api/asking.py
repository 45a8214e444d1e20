"""Who asks over HTTP: the one place that reads a request's credentials, whatever the request is for."""

from aiohttp import web
from multidict import CIMultiDictProxy

from ctid.api.auth import bearer_of_header, bearer_of_subprotocols
from ctid.api.gate import Gate
from ctid.model.errors import AuthRequired
from ctid.model.users import User


def user_of(gate: Gate, request: web.Request) -> User:
    """Tell who asks: by the header `Authorization`, or by a subprotocol of the handshake of a WebSocket.

    Raises:
        AuthRequired, AuthExpired, RateLimited: as the gate says; a token in the address is none.
    """
    token = bearer_of_header(request.headers.get("Authorization"))
    token = token or bearer_of_subprotocols(offered_subprotocols(request.headers))
    if token is None and "token" in request.query:
        raise AuthRequired(
            "a token in an address ends in logs; send it in the Authorization header, or, for a WebSocket, "
            "offer the subprotocols ctid.v1 and ctid.bearer.<token>"
        )
    return gate.authenticate(token, request.remote or "")


def offered_subprotocols(headers: CIMultiDictProxy[str]) -> list[str]:
    """What a client offers to speak over its WebSocket (RFC 6455 section 4.1, item 10)."""
    return [
        protocol.strip()
        for header in headers.getall("Sec-WebSocket-Protocol", ())
        for protocol in header.split(",")
    ]
