"""Webhooks by the API: the requests, handed to the room."""

from typing import Annotated

from msgspec import Meta, Struct

from ctid.api.context import ApiContext
from ctid.api.listing import ById
from ctid.api.paging import ListRequest, cursor_of, place_of
from ctid.model.errors import InvalidRequest
from ctid.model.users import User, UserRole
from ctid.webhooks.words import DeadLetters, Retried, Tested, WebhookStatus

ROLES = frozenset({UserRole.ADMIN})


class ListWebhooks(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It has no parameters."""


class WebhookList(Struct, frozen=True, kw_only=True):
    """All webhooks, in the order of the configuration."""

    items: tuple[WebhookStatus, ...]


class ListDead(ListRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The dead letters of one webhook, by its name."""

    id: str


class RetryDead(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which dead letters of one webhook, by its name."""

    id: str
    events: (
        Annotated[
            tuple[str, ...],
            Meta(min_length=1, max_length=500, description="Ids of events; left out: all dead letters."),
        ]
        | None
    ) = None


async def list_webhooks(context: ApiContext, _user: User, _request: ListWebhooks) -> WebhookList:
    """Tell how each stands."""
    return WebhookList(items=context.webhooks.status())


async def list_dead(context: ApiContext, _user: User, request: ListDead) -> DeadLetters:
    """List dead letters."""
    after = _after(request.cursor)
    found = await context.webhooks.dead(request.id, after, request.limit + 1)
    shown = found[: request.limit]
    end = None
    if len(found) > len(shown):
        position, letter = shown[-1]
        end = cursor_of(letter.died_at, str(position))
    return DeadLetters(items=tuple(letter for _, letter in shown), next=end)


def _after(cursor: str) -> tuple[float, int] | None:
    place = place_of(cursor)
    if place is None:
        return None
    if not (place[1].isascii() and place[1].isdigit()):
        raise InvalidRequest("cursor is not the `next` of a page; leave it out to begin anew", field="cursor")
    return place[0], int(place[1])


async def retry_dead(context: ApiContext, _user: User, request: RetryDead) -> Retried:
    """Have dead letters wait again."""
    return await context.webhooks.retry(request.id, request.events)


async def try_webhook(context: ApiContext, _user: User, request: ById) -> Tested:
    """Send a test event."""
    return await context.webhooks.test(request.id)
