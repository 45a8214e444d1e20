"""What a request bears to show who asks: bearer tokens (RFC 6750) and the session's cookie (RFC 6265bis)."""

from collections.abc import Iterable, Mapping
from urllib.parse import urlsplit

from ctid.api.origins import is_own
from ctid.hosts import is_loopback

SUBPROTOCOL = "ctid.v1"
"""The WebSocket subprotocol a browser offers beside the one that bears its token."""
_BEARER_PROTOCOL = "ctid.bearer."
COOKIE = "__Host-ctid"
"""A browser takes it over TLS alone, for this very host, and shows it to no script."""
LOCAL_COOKIE = "ctid-local"
"""Its name where a browser asks a loopback name without TLS: it takes none of the prefix `__Host-` there."""
CSRF_HEADER = "X-CTID-CSRF"


def bearer_of_header(header: str | None) -> str | None:
    """The token of an `Authorization` header (RFC 6750 section 2.1), or none.

    The scheme's name is not case-sensitive (RFC 9110 section 11.1).
    """
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def bearer_of_subprotocols(offered: Iterable[str]) -> str | None:
    """The token of a `ctid.bearer.<token>` subprotocol, or none: browsers cannot set headers on a socket."""
    for protocol in offered:
        if protocol.startswith(_BEARER_PROTOCOL):
            return protocol.removeprefix(_BEARER_PROTOCOL) or None
    return None


def chosen_subprotocol(offered: Iterable[str]) -> str | None:
    """The subprotocol to answer with (RFC 6455 section 4.2.2): a browser fails the socket without one.

    The one that bears the token is echoed only when the client offered nothing else.
    """
    protocols = list(offered)
    if SUBPROTOCOL in protocols:
        return SUBPROTOCOL
    return next((protocol for protocol in protocols if protocol.startswith(_BEARER_PROTOCOL)), None)


def challenge(*, token_given: bool) -> str:
    """The `WWW-Authenticate` header of a 401 (RFC 6750 section 3)."""
    return 'Bearer realm="ctid", error="invalid_token"' if token_given else 'Bearer realm="ctid"'


def is_local(host: str) -> bool:
    """Whether a `Host` header names the loopback: what goes there crosses no network."""
    return is_loopback(_host_of(f"//{host}"))


def session_of_cookies(cookies: Mapping[str, str], host: str) -> str | None:
    """The value of the session's cookie, or none; the one without protection counts on the loopback alone."""
    return cookies.get(COOKIE) or (cookies.get(LOCAL_COOKIE) if is_local(host) else None) or None


def is_same_origin(headers: Mapping[str, str], scheme: str, host: str) -> bool:
    """Whether a browser says that a page of this very server asks: by Sec-Fetch-Site, else by Origin.

    No page can set or change either. A request without both is no browser's of today.
    """
    site = headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    origin = headers.get("Origin")
    return origin is not None and is_own(origin, scheme, host)


def _host_of(url: str) -> str:
    """The host of a URL; empty where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
