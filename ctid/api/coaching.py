"""Coaching sheets by the API: the requests, handed to the room."""

from typing import Annotated

from msgspec import Meta, Struct

from ctid.api.context import ApiContext
from ctid.api.listing import ById
from ctid.api.paging import ListRequest, cursor_of, place_of
from ctid.coaching.sheets import BEST, LONGEST_COMMENT, LONGEST_TEXT, Sheet
from ctid.model.ids import SheetId, SupervisionId
from ctid.model.users import User

_Grades = Annotated[
    dict[str, Annotated[int, Meta(ge=1, le=BEST)] | None],
    Meta(description="By a criterion's id of the grid: 1 to 5; null is not graded."),
]
_Text = Annotated[str, Meta(max_length=LONGEST_TEXT)]


class WriteSheet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The session, and what is noted about it."""

    id: str
    agent: (
        Annotated[str, Meta(description="Whom it is about, where the session followed several.")] | None
    ) = None
    grades: _Grades = {}
    text: _Text = ""


class UpdateSheet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is other than before."""

    id: str
    grades: _Grades = {}
    text: _Text | None = None


class CommentSheet(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the agent answers."""

    id: str
    text: Annotated[str, Meta(min_length=1, max_length=LONGEST_COMMENT)]


class ListSheets(ListRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which sheets."""

    agent: Annotated[str, Meta(description="An agent's id; sheets about her.")] | None = None


class SheetPage(Struct, frozen=True, kw_only=True):
    """Sheets, the newest first."""

    items: tuple[Sheet, ...]
    next: str | None
    """The `cursor` of the next page; none on the last one."""


class SheetVersions(Struct, frozen=True, kw_only=True):
    """What the author wrote and the agent answered, step by step."""

    items: tuple[Sheet, ...]


async def write_sheet(context: ApiContext, user: User, request: WriteSheet) -> Sheet:
    """Write a sheet."""
    return await context.coaching.write(
        user, SupervisionId(request.id), request.agent, request.grades, request.text
    )


async def list_sheets(context: ApiContext, user: User, request: ListSheets) -> SheetPage:
    """List the sheets that she may read."""
    after = place_of(request.cursor)
    found = await context.coaching.sheets(user, request.agent, after, request.limit + 1)
    items = tuple(found[: request.limit])
    more = len(found) > len(items)
    return SheetPage(items=items, next=cursor_of(items[-1].written_at, items[-1].id) if more else None)


async def get_sheet(context: ApiContext, user: User, request: ById) -> Sheet:
    """Get one sheet."""
    return await context.coaching.sheet(user, SheetId(request.id))


async def get_versions(context: ApiContext, user: User, request: ById) -> SheetVersions:
    """Get all of its versions."""
    return SheetVersions(items=tuple(await context.coaching.versions(user, SheetId(request.id))))


async def update_sheet(context: ApiContext, user: User, request: UpdateSheet) -> Sheet:
    """Mend a sheet."""
    return await context.coaching.mend(user, SheetId(request.id), request.grades, request.text)


async def comment_sheet(context: ApiContext, user: User, request: CommentSheet) -> Sheet:
    """Answer a sheet."""
    return await context.coaching.comment(user, SheetId(request.id), request.text)
