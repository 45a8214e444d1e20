"""The documents that ctid retains, each a struct that is declared once: what is written, and its JSON Schema.

A document is a header and then fields, flat. An entity's document has the entity's own fields, always all of
them but those that the bus does not tell; it is derived from the entity, so that there is one truth of them.
"""

from collections.abc import Callable
from operator import attrgetter
from types import MappingProxyType
from typing import Any, Literal

import msgspec
from msgspec import Struct

from ctid.model.entities import ENTITIES, Call, Help, Supervision
from ctid.model.instant import Instant
from ctid.model.words import AgentState
from ctid.supervision.published import Periods


class Header(Struct, frozen=True, tag_field="schema", gc=False):
    """What every document begins with; `schema` is the name of its form, and the form's version."""

    boot_id: str
    """Which run of ctid wrote it; `seq` counts anew in each."""
    seq: int
    """The number of the update that it tells, or that was the last one when it was written."""
    at: Instant
    """When that happened, by the PBX's clock where it tells one."""


class StatusDocument(Header, frozen=True, kw_only=True, gc=False, tag="ctid.status/1"):
    """Whether ctid is there. Its last will writes `offline` here."""

    state: Literal["online", "offline"]
    site: str
    version: str
    """Of ctid."""
    degraded: bool
    """Events that the broker does not take are kept in memory alone: the disk does not do its part."""
    dropped: int
    """How many events were not kept for the broker since ctid started."""
    reason: str
    """Why it is offline: `stopped`, or `connection lost`."""


class AuditDocument(Header, frozen=True, kw_only=True, gc=False, tag="ctid.audit/1"):
    """Where the audit ended: what is kept elsewhere of it, so that nobody can shorten it unseen."""

    record: int
    """The number of its last record."""
    hash: str
    """That record's, which holds all those before it."""


def schema_of(kind: type[Struct]) -> str:
    """The name and version that documents of a kind bear, such as `ctid.agent/1`."""
    return str(kind.__struct_config__.tag)


def derive(source: type[Struct], schema: str, hidden: frozenset[str] = frozenset()) -> type[Header]:
    """Declare the document that shows a struct's fields, all of them always, but the `hidden` ones."""
    shown = [(field.name, field.type) for field in msgspec.structs.fields(source) if field.name not in hidden]
    return msgspec.defstruct(  # type: ignore[return-value]  # it says Struct, and the base is Header
        f"{source.__name__}Document",
        shown,
        bases=(Header,),
        module=__name__,
        namespace={"__doc__": source.__doc__, "SHOWS": source},
        tag=schema,
        frozen=True,
        gc=False,
    )


HIDDEN: dict[type[Struct], frozenset[str]] = {
    Supervision: frozenset({"note"}),
    Help: frozenset({"text"}),
    Call: frozenset({"supervisions"}),
}
"""What the bus does not tell of an entity: it has more readers than those who may know it."""

ENTITY_DOCUMENTS = MappingProxyType(
    {kind.kind: derive(kind, f"ctid.{kind.kind}/1", HIDDEN.get(kind, frozenset())) for kind in ENTITIES}
)
"""The retained document of each kind of entity."""


class Totals(Struct, frozen=True, kw_only=True):
    """How many there are on the whole floor; told where Home Assistant is (`[mqtt] home_assistant`)."""

    calls: int
    """Live calls."""
    waiting: int
    """Callers who wait, in all queues."""
    agents: dict[AgentState, int]
    """How many are in each state; states with none are left out."""


STANDING = MappingProxyType(
    {"periods": derive(Periods, "ctid.periods/1"), "totals": derive(Totals, "ctid.totals/1")}
)
"""The documents of the site, each on the topic of its name."""


class Layout:
    """How the document of one struct is filled: its fields are read at one go."""

    def __init__(self, document: type[Header]) -> None:
        self._document: Callable[..., Header] = document
        self._read = attrgetter(*document.__struct_fields__[len(Header.__struct_fields__) :])

    def fill(self, boot_id: str, seq: int, at: Instant, source: Struct) -> Header:
        """The document that shows `source`."""
        fields: tuple[Any, ...] = self._read(source)
        return self._document(boot_id, seq, at, *fields)
