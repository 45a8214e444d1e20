"""JSON Schemas (draft 2020-12) of the API's documents."""

import inspect as python_inspect
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from ctid.api.constraints import constrain
from ctid.describing import Schema, attribute_docs, schemas
from ctid.model.entities import ENTITIES, Call
from ctid.model.instant import schema_hook
from ctid.model.users import SUPERVISING_ROLES

REF = "#/components/schemas/"


def ref(kind: type) -> Schema:
    """The reference to a component."""
    return {"$ref": REF + kind.__name__}


def components(requests: Iterable[type[Struct]], results: Iterable[type[Struct]]) -> dict[str, Schema]:
    """The schemas of structs and of all they hold, by name: see `ctid.describing.schemas`.

    The texts of a request are as the decoder demands them.
    """
    template = REF + "{name}"
    requests, results = tuple(requests), tuple(results)
    described = schemas(requests, results, template)
    for name in schemas(requests, (), template).keys() - schemas((), results, template).keys():
        for field, schema in described[name].get("properties", {}).items():
            constrain(field, schema)
    _supervisions_are_for_some(described)
    return described


def message_components(messages: Iterable[type[Struct]]) -> dict[str, Schema]:
    """The schemas of stream messages, whose entities are of any kind."""
    any_entity: Schema = {"oneOf": [ref(kind) for kind in ENTITIES]}
    described: dict[str, Schema] = {}
    for kind in messages:
        config = kind.__struct_config__
        properties: dict[str, Schema] = {"type": {"const": config.tag}}
        notes = attribute_docs(kind)
        for field in msgspec.structs.fields(kind):
            if field.name == "entities":
                schema: Schema = {
                    "type": "object",
                    "additionalProperties": {"type": "array", "items": any_entity},
                }
            elif field.name == "entity":
                schema = {"oneOf": [*any_entity["oneOf"], {"type": "null"}]}
            elif field.name in ("result", "problem"):
                schema = ref_problem() if field.name == "problem" else {"type": "object"}
            else:
                schema = msgspec.json.schema(field.type, schema_hook=schema_hook)
            if field.name in notes:
                schema = schema | {"description": notes[field.name]}
            properties[field.encode_name] = schema
        required = [name for name in properties if name not in ("result", "problem")]
        described[kind.__name__] = {
            "type": "object",
            "title": kind.__name__,
            "description": python_inspect.getdoc(kind) or "",
            "properties": properties,
            "required": required,
        }
    return described


def ref_problem() -> Schema:
    """The reference to the problem document."""
    return {"$ref": REF + "Problem"}


def _supervisions_are_for_some(described: dict[str, Schema]) -> None:
    call = described.get(Call.__name__)
    if call is None:
        return
    call["required"].remove("supervisions")
    roles = " and ".join(sorted(SUPERVISING_ROLES))
    call["properties"]["supervisions"]["description"] = f"Ids of the sessions in it; only for {roles}."
