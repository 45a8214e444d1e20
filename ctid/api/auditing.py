"""The audit by the API: reading and verifying it, purging what is old, and what is kept about one person."""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Annotated, Any

from msgspec import Meta, Struct

from ctid.api.context import ApiContext
from ctid.api.figures import instant_of
from ctid.audit import Entry
from ctid.audit.entries import Item, Selection
from ctid.audit.retention import PurgeReport
from ctid.audit.subjects import ErasureReport, Subject, SubjectDocument, SubjectKind
from ctid.audit.verifying import Verification
from ctid.model.errors import InvalidRequest
from ctid.model.users import Right, User, UserRole

ROLES = frozenset({UserRole.ADMIN})
"""Those who may know who listened to whom, and when."""

_Id = Annotated[str, Meta(min_length=1, max_length=128)]


class ListAudit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which records; all filters are combined."""

    agent: Annotated[str, Meta(description="An agent's id: records about her alone.")] = ""
    by: Annotated[str, Meta(description="Who asked, or whose session it is.")] = ""
    event: Annotated[str, Meta(description="Such as `refused`, `active` or `unattributed`.")] = ""
    since: Annotated[str, Meta(description="A date-time (RFC 3339); the beginning of all.")] = ""
    until: Annotated[str, Meta(description="A date-time (RFC 3339), itself not in the period; now.")] = ""
    limit: Annotated[int, Meta(ge=1, le=500, description="The most items to answer with.")] = 100
    cursor: Annotated[str, Meta(description="The `next` of the page before; opaque.")] = ""


class AuditPage(Struct, frozen=True, kw_only=True):
    """Records in the order in which they were written."""

    items: tuple[Item, ...]
    next: str | None
    """The `cursor` of the next page; none on the last one."""


class VerifyAudit(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What it is compared with."""

    anchor: Annotated[
        str, Meta(pattern="^([0-9a-f]{64})?$", description="The hash of an anchor that was kept elsewhere.")
    ] = ""


class Purge(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether it is only to be told what would go."""

    dry_run: bool = False


class BySubject(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person."""

    kind: SubjectKind
    id: _Id


class EraseSubject(BySubject, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person, and whether it is only to be told what would go."""

    dry_run: bool = False


async def list_audit(context: ApiContext, user: User, request: ListAudit) -> AuditPage:
    """List records; that they are read is recorded before they are."""
    _check(context, user)
    selection = _selection(request)
    after, upto = _read(request.cursor)
    if not request.cursor:
        upto = await context.audit.end()
    asked = {name: value for name in request.__struct_fields__ if (value := getattr(request, name))}
    await _told(context, user, "audit_read", request.agent, asked)
    found = await context.audit.items(selection, after=after, upto=upto, limit=request.limit + 1)
    items = tuple(found[: request.limit])
    return AuditPage(items=items, next=_write(items[-1].seq, upto) if len(found) > len(items) else None)


async def verify_audit(context: ApiContext, user: User, request: VerifyAudit) -> Verification:
    """Verify the whole log."""
    _check(context, user)
    found = await context.audit.verification(request.anchor)
    await _told(context, user, "audit_verified", "", {"ok": found.ok, "anchor": request.anchor})
    return found


async def purge(context: ApiContext, user: User, request: Purge) -> PurgeReport:
    """Purge every class."""
    return await context.retention.purge(by=user.name, dry_run=request.dry_run)


async def export_subject(context: ApiContext, user: User, request: BySubject) -> SubjectDocument:
    """Tell all that is kept about a person."""
    return await context.subjects.export(user, _subject(request))


async def erase_subject(context: ApiContext, user: User, request: EraseSubject) -> ErasureReport:
    """Erase what may be erased of a person."""
    return await context.subjects.erase(user, _subject(request), dry_run=request.dry_run)


def _check(context: ApiContext, user: User) -> None:
    context.gate.rights.require(user, Right.AUDIT, "", "reading the audit")


def _subject(request: BySubject) -> Subject:
    if request.kind is SubjectKind.NUMBER and not any(map(str.isdigit, request.id)):
        raise InvalidRequest("a telephone number has digits", field="id")
    return Subject(kind=request.kind, id=request.id)


async def _told(context: ApiContext, user: User, event: str, agent: str, about: dict[str, Any]) -> None:
    await context.audit.write(Entry(at=context.now(), event=event, by=user.name, agent=agent, about=about))


def _selection(request: ListAudit) -> Selection:
    since = instant_of("since", request.since) if request.since else 0.0
    until = instant_of("until", request.until) if request.until else float("inf")
    if until < since:
        raise InvalidRequest("until is before since", field="until")
    return Selection(since=since, until=until, agent=request.agent, by=request.by, event=request.event)


def _write(after: int, upto: int) -> str:
    return urlsafe_b64encode(f"seq:{after}:{upto}".encode()).decode("ascii").rstrip("=")


def _read(cursor: str) -> tuple[int, int]:
    if not cursor:
        return 0, 0
    try:
        text = urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)).decode("ascii")
        name, after, upto = text.split(":")
        if name == "seq":
            return int(after), int(upto)
    except (binascii.Error, ValueError) as error:
        raise _not_ours() from error
    raise _not_ours()


def _not_ours() -> InvalidRequest:
    return InvalidRequest("cursor is not the `next` of a page; leave it out to begin anew", field="cursor")
