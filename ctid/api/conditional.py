"""Which answers bear an entity tag, and which operations take conditions (RFC 9110 section 13). Pure."""

from collections.abc import Iterable

import msgspec
from msgspec import Raw, Struct

from ctid.api.operations import Operation
from ctid.api.tags import IF_MATCH, Expected, Tag, digest, tags_of
from ctid.model.entities import Supervision
from ctid.model.errors import InvalidRequest


class _Page(Struct):
    """A list's page but for its `seq`, which grows with everything that happens anywhere."""

    items: Raw
    next: Raw = Raw(b"null")


def tag_of(operation: Operation, body: bytes) -> Tag | None:
    """The tag of an operation's good answer, or none: it does not stand for what is at the address.

    It is made of what this very user was answered. A page's is weak and leaves `seq` out: a client that keeps
    the page may follow on from the older `seq` as well.
    """
    if not bears_tag(operation):
        return None
    fields = operation.result.__struct_fields__
    if "items" not in fields or "seq" not in fields:
        return Tag(digest(body))
    page = msgspec.json.decode(body, type=_Page)
    return Tag(digest(bytes(page.items) + b"\n" + bytes(page.next)), weak=True)


def expected_of(operation: Operation, values: Iterable[str]) -> Expected | None:
    """What `If-Match` says; by strong comparison, so that a weak tag never matches. None: it says nothing.

    Raises:
        InvalidRequest: it is of another form, or this operation changes nothing that has a tag. To ignore it
            would do what the client wanted not to be done.
    """
    values = tuple(values)
    if not values:
        return None
    listed = tags_of(values)
    if listed is None:
        raise InvalidRequest(f"{IF_MATCH} must be * or entity tags in quotes", field=IF_MATCH)
    if not changes_by_tag(operation):
        raise InvalidRequest(f"{operation.name} takes no {IF_MATCH}; leave it out", field=IF_MATCH)
    if isinstance(listed, str):
        return Expected(None)
    return Expected(frozenset(tag.opaque for tag in listed if not tag.weak))


def bears_tag(operation: Operation) -> bool:
    """Whether its good answer has an entity tag."""
    return not operation.is_command or changes_by_tag(operation)


def changes_by_tag(operation: Operation) -> bool:
    """Whether it changes what a GET of the same address answers, and answers that."""
    return operation.method == "PATCH" and operation.result is Supervision
