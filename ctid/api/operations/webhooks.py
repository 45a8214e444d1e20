"""Operations: webhooks, for admins."""

from ctid.api import webhooks
from ctid.api.listing import ById
from ctid.api.operations.operation import Idempotency, Operation, refused
from ctid.webhooks.words import DeadLetters, Retried, Tested

_KNOWN = refused(404, "webhook.unknown")
_KEPT = (*_KNOWN, *refused(503, "webhooks.unavailable"))

TABLE = (
    Operation(
        name="webhooks.list",
        summary="Webhooks",
        description="How each webhook of the configuration stands: what waits, what is dead, and why.",
        method="GET",
        path="/webhooks",
        idempotency=Idempotency.SAFE,
        params=webhooks.ListWebhooks,
        result=webhooks.WebhookList,
        roles=webhooks.ROLES,
        handler=webhooks.list_webhooks,
    ),
    Operation(
        name="webhooks.dead",
        summary="The dead letters of a webhook",
        description=(
            "Events that its receiver refused, or did not take within a day; those that were given up first, "
            "first. What they say is not shown. While `next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/webhooks/{id}/dead",
        idempotency=Idempotency.SAFE,
        params=webhooks.ListDead,
        result=DeadLetters,
        roles=webhooks.ROLES,
        handler=webhooks.list_dead,
        refusals=_KEPT,
        example={"id": "crm"},
    ),
    Operation(
        name="webhooks.retry",
        summary="Send dead letters again",
        description=(
            "All, or those of `events`, wait again behind what waits already, with their ids. A webhook that "
            "is disabled since its receiver answered 410 is enabled."
        ),
        method="POST",
        path="/webhooks/{id}/retry",
        idempotency=Idempotency.IDEMPOTENT,
        params=webhooks.RetryDead,
        result=Retried,
        roles=webhooks.ROLES,
        handler=webhooks.retry_dead,
        refusals=_KEPT,
        example={},
    ),
    Operation(
        name="webhooks.test",
        summary="Send a test event",
        description=(
            "An event `ctid.webhook.test` that says nothing is sent at once, whatever waits, and what was "
            "answered is told. It is not tried again."
        ),
        method="POST",
        path="/webhooks/{id}/test",
        idempotency=Idempotency.BY_KEY,
        params=ById,
        result=Tested,
        roles=webhooks.ROLES,
        handler=webhooks.try_webhook,
        refusals=_KNOWN,
        example={},
    ),
)
