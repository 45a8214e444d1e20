"""Decode, authorise, call, encode: the same for every carrier."""

from collections.abc import Awaitable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any

import structlog
from msgspec import Struct

from ctid.api import refusals
from ctid.api.context import ApiContext
from ctid.api.decoding import request_of
from ctid.api.encoding import encoded
from ctid.api.errors import RateLimited
from ctid.api.operations import BASE, Operation
from ctid.api.replays import Answer, Replays
from ctid.api.tags import Expected
from ctid.identity.scopes import covers
from ctid.model.errors import AgentPartlyDone, AuthLocked, CtidError, Forbidden
from ctid.model.users import User
from ctid.model.words import Carrier

__all__ = ["Dispatcher", "Problem", "authorise", "encoded", "refusal"]

log = structlog.get_logger(__name__)


class Problem(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Why a request was refused (RFC 9457)."""

    type: str
    """Where the code is explained, in the page of this API."""
    title: str
    """What kind of refusal it is, in words that do not change."""
    status: int
    detail: str
    """This very refusal, and what to do about it."""
    code: str
    """Stable: decide by this."""
    field: str | None = None
    """The part of the request that is wrong, as a path such as `via.phone`."""
    queues: dict[str, str] | None = None
    """Of what was done in some queues only: `done`, `not_tried`, or the code of what went wrong there."""
    retry_after_s: float | None = None
    """After how many seconds the request may come again."""


def refusal(error: CtidError) -> Answer:
    """The problem document of a refusal; a field is named from the request's root, without `$.`."""
    retry_after_s = round(error.retry_after_s, 3) if isinstance(error, RateLimited | AuthLocked) else None
    problem = Problem(
        type=f"{BASE}/docs#problem-{error.code}",
        title=error.title,
        status=error.status,
        # A header's bytes that are no text come as lone surrogates, which JSON has no form for.
        detail=error.detail.encode(errors="replace").decode(),
        code=error.code,
        field=error.field.removeprefix("$.") if error.field else None,
        queues=dict(error.queues) if isinstance(error, AgentPartlyDone) else None,
        retry_after_s=retry_after_s,
    )
    return Answer(status=error.status, body=encoded(problem), code=error.code, retry_after_s=retry_after_s)


class Dispatcher:
    """Carries out operations for users. Never raises: what goes wrong is in the answer."""

    def __init__(self, context: ApiContext, replays: Replays) -> None:
        self._context = context
        self._replays = replays

    async def dispatch(
        self,
        operation: Operation,
        user: User,
        params: Mapping[str, Any],
        key: str | None = None,
        carrier: Carrier = Carrier.API,
        expected: Expected | None = None,
    ) -> Answer:
        """Carry out one operation with its parameters as decoded from JSON.

        A command with a `key` is carried out once, however often it comes; `expected` is looked at then.
        """
        context = replace(self._context, carrier=carrier, expected=expected)
        step = self._dispatched(context, operation, user, params, key)
        return await self._answered(operation, user, step)

    async def _dispatched(
        self,
        context: ApiContext,
        operation: Operation,
        user: User,
        params: Mapping[str, Any],
        key: str | None,
    ) -> Answer:
        authorise(operation, user)
        request = request_of(operation.params, params)
        if key is None or not operation.is_command:
            return await self._carried_out(context, operation, user, request)
        fingerprint = sha256(operation.name.encode() + b"\n" + encoded(request)).digest()
        return await self._replays.once(
            user.name, key, fingerprint, partial(self._kept, context, operation, user, request)
        )

    async def _kept(self, context: ApiContext, operation: Operation, user: User, request: Struct) -> Answer:
        """A refusal is an answer too, for those who come again with its key."""
        return await self._answered(operation, user, self._carried_out(context, operation, user, request))

    async def _carried_out(
        self, context: ApiContext, operation: Operation, user: User, request: Struct
    ) -> Answer:
        result = await operation.handler(context, user, request)
        return Answer(status=operation.status, body=encoded(result))

    async def _answered(self, operation: Operation, user: User, step: Awaitable[Answer]) -> Answer:
        try:
            return await step
        except CtidError as error:
            if refusals.is_refusal(error):
                refusals.tell(error, user.name, operation.name)
            return refusal(error)
        # The one place where this is right: a fault in one request must not take the state from all
        # others. The client is told 500 and the log has the traceback.
        except Exception:
            log.exception("operation failed unexpectedly", operation=operation.name, user=user.name)
            return refusal(CtidError("ctid failed at this; its log has the particulars"))


def authorise(operation: Operation, user: User) -> None:
    """Check that the user's role, and her token's scopes, let her do this.

    Raises:
        Forbidden: they do not; the detail names the roles that may, or the scope that lacks.
    """
    if user.role not in operation.roles:
        may = " and ".join(sorted(operation.roles))
        raise Forbidden(f"{operation.name} is for the roles {may}; the token of {user.name} is {user.role}'s")
    # Who somebody is, and the end of her session, are in no scope.
    if not user.scopes or operation.name.startswith("session."):
        return
    if not covers(user.scopes, operation.name, changes=operation.is_command):
        scopes = " and ".join(user.scopes)
        raise Forbidden(f"{operation.name} is not in the scopes of {user.name}, which are {scopes}")
