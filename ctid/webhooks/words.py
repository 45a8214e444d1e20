"""What is told about webhooks, and their refusals. Pure."""

from enum import StrEnum

from msgspec import Struct

from ctid.model.errors import CtidError
from ctid.model.instant import Instant


class WebhooksUnavailable(CtidError):
    """The file of the letters cannot be read or written; the text names the cure."""

    code = "webhooks.unavailable"
    status = 503
    title = "The letters of the webhooks cannot be kept"


class WebhookState(StrEnum):
    """How a webhook stands."""

    OK = "ok"
    FAILING = "failing"
    """Its receiver does not take letters now; they wait, and are tried again."""
    DISABLED = "disabled"
    """Its receiver has answered 410: it gets none until somebody retries, or its URL is another."""


class WebhookStatus(Struct, frozen=True, kw_only=True):
    """One webhook. `delivered` and `dropped` count since ctid's start."""

    name: str
    host: str
    """Where it sends to, without the path, which may be a secret."""
    state: WebhookState
    since: Instant
    """When it came into that state, or ctid's start."""
    delivered: int
    waiting: int
    dead: int
    """Letters that were given up and are still kept."""
    dropped: int
    """Events that were not kept: too many waited, or the webhook is disabled."""
    last_error: str
    """Why a letter last did not arrive; empty while none has failed since the start."""
    last_error_at: Instant | None
    degraded: str
    """Why events are not safe on disk, and so wait in memory; empty while they are."""


class DeadLetter(Struct, frozen=True, kw_only=True):
    """An event that was given up."""

    id: str
    """The event's own id, as on every other way that it was told."""
    type: str
    subject: str
    kept_at: Instant
    died_at: Instant
    tries: int
    reason: str


class DeadLetters(Struct, frozen=True, kw_only=True):
    """Dead letters, those that died first, first."""

    items: tuple[DeadLetter, ...]
    next: str | None
    """The `cursor` of the next page; none on the last one."""


class Retried(Struct, frozen=True, kw_only=True):
    """How many dead letters wait again."""

    retried: int


class Tested(Struct, frozen=True, kw_only=True):
    """What came of a test event. It is not kept, nor tried again."""

    id: str
    """Of the event `ctid.webhook.test`, as its receiver has it in `webhook-id`."""
    delivered: bool
    status: int | None
    """HTTP's; none when nothing answered."""
    answer: str
    """The beginning of what was answered."""
    problem: str
    """Why it was not delivered; empty when it was."""
