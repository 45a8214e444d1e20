"""Supervision by the API: the requests that come with an id, handed to the service."""

from ctid.api.context import ApiContext
from ctid.api.law import WarnedSupervision, warned
from ctid.api.listing import ById
from ctid.model.entities import Supervision
from ctid.model.ids import SupervisionId
from ctid.model.users import User
from ctid.supervision.requests import ChangeRequest, StartRequest


class UpdateSupervision(ChangeRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to change: who hears her, whom she hears, whether she is muted, whether she leads."""

    id: str


async def create_supervision(context: ApiContext, user: User, request: StartRequest) -> WarnedSupervision:
    """Start a session."""
    return warned(context, await context.supervisions.start(user, request))


async def update_supervision(context: ApiContext, user: User, request: UpdateSupervision) -> Supervision:
    """Change a session."""
    change = ChangeRequest(mode=request.mode, hear=request.hear, muted=request.muted, lead=request.lead)
    check = context.expected.check if context.expected is not None else None
    return await context.supervisions.change(user, SupervisionId(request.id), change, check)


async def delete_supervision(context: ApiContext, user: User, request: ById) -> Supervision:
    """End a session."""
    return await context.supervisions.end(user, SupervisionId(request.id))
