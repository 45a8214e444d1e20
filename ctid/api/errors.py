"""Refusals that come from the carrying of a request, before or beside any operation."""

from typing import ClassVar

from ctid.model.errors import CtidError, Forbidden, InvalidRequest


class MalformedRequest(InvalidRequest):
    """What was sent is not a JSON object at all."""

    status = 400


class CrossSite(Forbidden):
    """A request with a session's cookie that does not show that a page of ctid's own sent it."""

    code = "auth.cross_site"
    title = "Not from a page of ctid's own"


class RequestTimeout(CtidError):
    """The body did not arrive in time."""

    code = "request.timeout"
    status = 408
    title: ClassVar[str] = "The request did not arrive in time"


class BodyTooLarge(CtidError):
    """The body is larger than any operation needs."""

    code = "request.too_large"
    status = 413
    title: ClassVar[str] = "The request is too large"


class UnsupportedMediaType(CtidError):
    """The body is declared to be something other than JSON."""

    code = "request.media_type"
    status = 415
    title: ClassVar[str] = "The body must be JSON"


class PathUnknown(CtidError):
    """Nothing is served at this path."""

    code = "request.path_unknown"
    status = 404
    title: ClassVar[str] = "Nothing is here"


class MethodNotAllowed(CtidError):
    """The path exists, and not with this method."""

    code = "request.method_not_allowed"
    status = 405
    title: ClassVar[str] = "The method is not allowed here"


class OperationUnknown(CtidError):
    """A socket, or a topic, asked for an operation that is not in the table."""

    code = "request.operation_unknown"
    status = 404
    title: ClassVar[str] = "No such operation"


class UpgradeRequired(CtidError):
    """The path only speaks WebSocket."""

    code = "request.upgrade_required"
    status = 426
    title: ClassVar[str] = "A WebSocket is required here"


class TooManyRequests(CtidError):
    """One socket has too many operations under way."""

    code = "request.too_many"
    status = 429
    title: ClassVar[str] = "Too many requests are under way"


class RateLimited(CtidError):
    """A user, or a peer, asks too often; nothing was done. `retry_after_s`: when to come back, in seconds."""

    code = "request.rate_limited"
    status = 429
    title: ClassVar[str] = "Too many requests"

    def __init__(self, detail: str, retry_after_s: float) -> None:
        super().__init__(f"{detail}; come back in {max(retry_after_s, 0.01):.2f} s")
        self.retry_after_s = retry_after_s


class KeyReused(CtidError):
    """An idempotency key came again, with another request."""

    code = "request.key_reused"
    status = 422
    title: ClassVar[str] = "The idempotency key was used for another request"


class OtherBoot(CtidError):
    """A command was meant for a run of ctid that is over; nothing was done."""

    code = "request.other_boot"
    status = 412
    title: ClassVar[str] = "ctid has begun anew since"


class ReplyTooLarge(CtidError):
    """The answer is larger than its carrier takes."""

    code = "reply.too_large"
    status = 413
    title: ClassVar[str] = "The answer is too large for this carrier"


class NotReady(CtidError):
    """A required link is not up, or its first snapshot is not done."""

    code = "status.not_ready"
    status = 503
    title: ClassVar[str] = "Not ready"


class PreconditionFailed(CtidError):
    """What was to be changed is not as the client knew it; nothing was done (RFC 9110 section 13.1.1)."""

    code = "request.precondition_failed"
    status = 412
    title: ClassVar[str] = "It has changed meanwhile"


class ProxyRequired(CtidError):
    """A token would cross the network as it is: this listener takes requests from its TLS proxy alone."""

    code = "request.proxy_required"
    status = 403
    title: ClassVar[str] = "Come by the TLS proxy"
