"""The JSON Schemas of what is told: of each document and of each event's data, by name and version."""

from inspect import getdoc
from types import MappingProxyType

from msgspec import Struct

from ctid.describing import Schema, schemas
from ctid.events.catalogue import EVENTS, CloudEvent, Event
from ctid.events.structs import ENTITY_DOCUMENTS, STANDING, AuditDocument, Header, StatusDocument, schema_of
from ctid.events.topics import FOLDERS

DIALECT = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE = "ctid.event/1"
"""The schema of what an event is wrapped in; CloudEvents have no `schema` of their own."""

_FIXED: dict[str, type[Header]] = {"status": StatusDocument, "audit": AuditDocument, **STANDING}
RETAINED: MappingProxyType[str, type[Header]] = MappingProxyType(
    _FIXED | {f"{FOLDERS[kind]}/{{id}}": document for kind, document in ENTITY_DOCUMENTS.items()}
)
"""Every document that is retained, by its topic below the site."""

TOLD: MappingProxyType[str, type[Struct]] = MappingProxyType(
    {schema_of(kind): kind for kind in (*RETAINED.values(), *[event.data for event in EVENTS.values()])}
    | {ENVELOPE: CloudEvent}
)
"""Every struct that goes out, by the name and version of its schema."""


def published() -> dict[str, Schema]:
    """The schema of each of them, whole in itself, by name and version."""
    return {name: _whole(name, kind) for name, kind in sorted(TOLD.items())}


def index() -> dict[str, dict[str, dict[str, str]]]:
    """What is told where: of each retained topic and of each type of events the name of its schema."""
    events = {
        f"ctid.{event.name}": {
            "topic": f"events/{event.name}",
            "schema": schema_of(event.data),
            "description": event.when,
        }
        for event in EVENTS.values()
    }
    documents = {
        topic: {"schema": schema_of(kind), "description": getdoc(kind) or ""}
        for topic, kind in RETAINED.items()
    }
    return {"documents": documents, "events": events}


def components(ref_template: str) -> dict[str, Schema]:
    """The schemas of all of them, and of all that they hold, by the names of the structs."""
    found = schemas((), TOLD.values(), ref_template)
    del found[Header.__name__]
    _open_data(found[CloudEvent.__name__])
    return found


def envelope(event: Event, schema: Schema, data: Schema) -> Schema:
    """The schema of one type of events: that of `CloudEvent`, for this type and its data."""
    properties = schema["properties"] | {"type": {"const": f"ctid.{event.name}"}, "data": data}
    return schema | {"title": f"ctid.{event.name}", "description": event.when, "properties": properties}


def _whole(name: str, kind: type[Struct]) -> Schema:
    held = schemas((), [kind], "#/$defs/{name}")
    schema = held.pop(kind.__name__)
    if kind is CloudEvent:
        del held[Header.__name__]
        _open_data(schema)
    described: Schema = {"$schema": DIALECT, "$id": f"urn:{name.replace('.', ':', 1).replace('/', ':')}"}
    return described | schema | ({"$defs": held} if held else {})


def _open_data(schema: Schema) -> None:
    schema["properties"]["data"] = {
        "type": "object",
        "description": "The document whose `schema` it names.",
        "properties": {"schema": {"type": "string"}},
        "required": ["schema"],
    }
