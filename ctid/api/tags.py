"""Entity tags, and the conditions that are made of them (RFC 9110 sections 8.8.3 and 13.1). Pure."""

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterable
from hashlib import sha256

from msgspec import Struct

from ctid.api.encoding import encoded
from ctid.api.errors import PreconditionFailed
from ctid.model.entities import Entity

IF_MATCH = "If-Match"
IF_NONE_MATCH = "If-None-Match"
ANY = "*"
_ZIPPED = "-gzip"
# The tag's characters are RFC 9110's etagc; a comma may be one of them, so that a list is no split.
_TAG = re.compile(r'\s*(?P<weak>W/)?"(?P<opaque>[\x21\x23-\x7e\x80-\xff]*)"\s*(?:,|$)')


class Tag(Struct, frozen=True):
    """An entity tag. A weak one stands for the same items, a strong one for the same bytes."""

    opaque: str
    weak: bool = False

    def zipped(self) -> "Tag":
        """The tag of the same document, compressed: other bytes."""
        return Tag(self.opaque + _ZIPPED, self.weak)

    def __str__(self) -> str:
        return f'{"W/" if self.weak else ""}"{self.opaque}"'


def digest(data: bytes) -> str:
    """What a tag holds of a document: 144 bits of its SHA-256."""
    return urlsafe_b64encode(sha256(data).digest()[:18]).decode("ascii")


def tags_of(values: Iterable[str]) -> tuple[Tag, ...] | str | None:
    """The tags that a header lists, `*`, or none where it is not there or not of this form."""
    text = ",".join(values).strip()
    if text == ANY:
        return ANY
    tags, place = [], 0
    while place < len(text):
        found = _TAG.match(text, place)
        if found is None:
            return None
        tags.append(Tag(found["opaque"], found["weak"] is not None))
        place = found.end()
    return tuple(tags) or None


def known(tag: Tag, if_none_match: Iterable[str]) -> Tag | None:
    """Which of the tags of `If-None-Match` stands for this document, compressed or not; by weak comparison.

    A header of another form is as good as none: the document is then sent.
    """
    listed = tags_of(if_none_match)
    if listed is None:
        return None
    same = (tag.opaque, tag.zipped().opaque)
    if isinstance(listed, str):
        return tag
    return next((Tag(one.opaque, tag.weak) for one in listed if one.opaque in same), None)


class Expected(Struct, frozen=True):
    """How a client expects what it changes to be: one of these tags, or anything that is there at all."""

    opaque: frozenset[str] | None

    def check(self, entity: Entity) -> None:
        """Raises PreconditionFailed: it is not so."""
        if self.opaque is None:
            return
        tag = Tag(digest(encoded(entity)))
        if self.opaque.isdisjoint((tag.opaque, tag.zipped().opaque)):
            raise PreconditionFailed(
                f"the {entity.kind} {entity.id!r} is not as you knew it, and nothing was done; get it again, "
                f"and decide anew"
            )
