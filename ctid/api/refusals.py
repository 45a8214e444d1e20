"""Every refusal of somebody in the log: who, what, by which carrier and from where; never a secret."""

from contextvars import ContextVar

import structlog

from ctid.model.errors import AuthRequired, CtidError
from ctid.model.ids import is_safe_id

log = structlog.get_logger(__name__)

NOBODY = "unknown"
_LONGEST_NAME = 64
_UNKNOWN_ORIGIN = ("", "")
# Of the request under way in this task, and in those that it starts.
_origin: ContextVar[tuple[str, str]] = ContextVar("origin", default=_UNKNOWN_ORIGIN)


def came_by(carrier: str, peer: str) -> None:
    """Note where the request of this task came from; `peer` is an address, or the client's name on a bus."""
    _origin.set((carrier, peer))


def tell(error: CtidError, principal: str, operation: str) -> None:
    """Log a refusal of 401 or 403. `principal` is who asks, or claims to."""
    carrier, peer = _origin.get()
    # Whoever could not show who she is may have put anything into the request.
    about = {} if isinstance(error, AuthRequired) else {"reason": error.detail}
    log.warning(
        "refused", code=error.code, user=principal, operation=operation, carrier=carrier, peer=peer, **about
    )


def is_refusal(error: CtidError) -> bool:
    """Whether an error says that somebody may not."""
    return error.status in (401, 403)


def claimed(name: str) -> str:
    """The name that somebody claims, as far as it could be one: what is longer may be anything."""
    return name if len(name) <= _LONGEST_NAME and is_safe_id(name) else NOBODY
