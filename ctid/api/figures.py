"""Figures of the queues and agents, and the moments behind each of them."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime
from math import isfinite
from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from ctid.api.context import ApiContext
from ctid.history.entries import KINDS, Entry
from ctid.history.figures import Figures, Selection
from ctid.model.errors import Forbidden, InvalidRequest
from ctid.model.instant import Instant, from_rfc3339
from ctid.model.users import User, UserRole
from ctid.model.words import LeaveReason

_MOST_IDS = 2**63
_BY = ("caller", "agent", "transfer", *(str(reason) for reason in LeaveReason))


class GetFigures(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A period, and of what."""

    since: Annotated[str, Meta(description="A date-time (RFC 3339); the last midnight where ctid runs.")] = ""
    until: Annotated[str, Meta(description="A date-time (RFC 3339), itself not in the period; now.")] = ""
    queue: Annotated[str, Meta(description="A queue's id: its moments alone.")] = ""
    agent: Annotated[str, Meta(description="An agent's id: moments that she has a part in alone.")] = ""


class ListMoments(GetFigures, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which moments; all filters are combined."""

    kind: Annotated[str, Meta(description=f"One of {', '.join(sorted(KINDS))}.")] = ""
    by: Annotated[
        str, Meta(description=f"Who ended a served call, or why a caller left: {', '.join(_BY)}.")
    ] = ""
    limit: Annotated[int, Meta(ge=1, le=500, description="The most items to answer with.")] = 100
    cursor: Annotated[str, Meta(description="The `next` of the page before; opaque.")] = ""


class MomentPage(Struct, frozen=True, kw_only=True):
    """Moments in the order of time."""

    items: tuple[Entry, ...]
    next: str | None
    """The `cursor` of the next page; none on the last one."""


async def get_figures(context: ApiContext, user: User, request: GetFigures) -> Figures:
    """Tell the figures of a period; a principal is told the queues' totals alone, and nobody by name."""
    if user.role is not UserRole.PRINCIPAL:
        return await context.history.figures(_selection(context, request))
    if request.agent:
        raise Forbidden("figures of one agent are not for the role principal: leave `agent` out")
    return replace(await context.history.figures(_selection(context, request)), agents=())


async def list_moments(context: ApiContext, _user: User, request: ListMoments) -> MomentPage:
    """List the moments behind a figure."""
    if request.kind and request.kind not in KINDS:
        raise InvalidRequest(f"kind must be one of {', '.join(sorted(KINDS))}", field="kind")
    if request.by and request.by not in _BY:
        raise InvalidRequest(f"by must be one of {', '.join(_BY)}", field="by")
    selection = _selection(context, request, kind=request.kind, by=request.by)
    items, after = await context.history.moments(selection, _read(request.cursor), request.limit)
    return MomentPage(items=tuple(items), next=_write(after) if after is not None else None)


def _selection(context: ApiContext, request: GetFigures, kind: str = "", by: str = "") -> Selection:
    now = context.now()
    since = instant_of("since", request.since) if request.since else midnight(now)
    until = instant_of("until", request.until) if request.until else now
    if until < since:
        raise InvalidRequest("until is before since", field="until")
    return Selection(since=since, until=until, queue=request.queue, agent=request.agent, kind=kind, by=by)


def midnight(now: Instant) -> Instant:
    """The beginning of the day in this machine's zone."""
    local = datetime.fromtimestamp(now, UTC).astimezone()
    return Instant(local.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None).timestamp())


def instant_of(field: str, text: str) -> Instant:
    """Read a date-time of a query. Raises InvalidRequest: it is none."""
    try:
        # In a query a plus sign that was not escaped is a blank.
        return from_rfc3339(text.replace(" ", "+"))
    except ValueError as error:
        raise InvalidRequest(
            f"{field} must be a date-time such as 2026-03-01T08:00:00Z", field=field
        ) from error


def _write(after: tuple[float, int]) -> str:
    return urlsafe_b64encode(f"at:{after[0]!r}:{after[1]}".encode()).decode("ascii").rstrip("=")


def _read(cursor: str) -> tuple[float, int] | None:
    if not cursor:
        return None
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
        name, at, ident = text.split(":")
        place = float(at), int(ident)
        if name == "at" and isfinite(place[0]) and abs(place[1]) < _MOST_IDS:
            return place
    except (binascii.Error, ValueError) as error:
        raise _not_ours() from error
    raise _not_ours()


def _not_ours() -> InvalidRequest:
    return InvalidRequest("cursor is not the `next` of a page; leave it out to begin anew", field="cursor")
