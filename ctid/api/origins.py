"""Which web pages may talk to the API: of other origins (WHATWG Fetch section 3.2), and its own. Pure."""

from collections.abc import Mapping

from ctid.api.replays import BOOT, HEADER, REPLAYED
from ctid.api.tags import IF_MATCH, IF_NONE_MATCH
from ctid.model.web import origin_of

METHODS = "GET, HEAD, POST, PATCH, DELETE"
_ASKED = ("Authorization", "Content-Type", HEADER, BOOT, IF_MATCH, IF_NONE_MATCH, "Last-Event-ID")
_SHOWN = ("ETag", "Retry-After", BOOT, REPLAYED, "WWW-Authenticate")
_KEPT_S = 600
"""For how long a browser may keep the answer to a preflight, in seconds."""


def is_own(origin: str, scheme: str, host: str) -> bool:
    """Whether a page's origin is this very server, as the client addressed it: `host` is its header Host.

    What a browser sends by itself, as a cookie, is to count only for such a page: browsers let every page
    open a WebSocket anywhere (RFC 6455 section 10.2).
    """
    own = origin_of(f"{scheme}://{host}")
    return own is not None and origin_of(origin) == own


class Origins:
    """The pages of other origins that may read answers. They bear their token; no cookie counts for them."""

    def __init__(self, allowed: frozenset[str] = frozenset()) -> None:
        self._allowed = allowed

    def __bool__(self) -> bool:
        return bool(self._allowed)

    def headers(self, origin: str | None) -> Mapping[str, str]:
        """What an answer says to a page's browser; nothing to one that is not allowed."""
        if origin is None or origin not in self._allowed:
            return {}
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Expose-Headers": ", ".join(_SHOWN),
        }

    def preflight(self, origin: str | None, method: str | None) -> Mapping[str, str] | None:
        """The answer to a question before a request, or none: it is not one, or not from an allowed page."""
        if method is None or origin is None or origin not in self._allowed:
            return None
        return {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": METHODS,
            "Access-Control-Allow-Headers": ", ".join(_ASKED),
            "Access-Control-Max-Age": str(_KEPT_S),
        }
