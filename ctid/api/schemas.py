"""JSON Schemas (draft 2020-12) of the API's documents, with what their docstrings say."""

import ast
import inspect as python_inspect
import textwrap
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from msgspec import Struct, inspect

from ctid.api.views import SUPERVISING_ROLES
from ctid.model.entities import ENTITIES, Call
from ctid.model.instant import schema_hook

REF = "#/components/schemas/"
Schema = dict[str, Any]


def ref(kind: type) -> Schema:
    """The reference to a component."""
    return {"$ref": REF + kind.__name__}


def components(requests: Iterable[type[Struct]], results: Iterable[type[Struct]]) -> dict[str, Schema]:
    """The schemas of structs and of all they hold, by name.

    In a result every field is there, whatever its default is; in a request those with a default may lack.
    """
    answered = _named(results)
    asked = _named(requests)
    _, schemas = msgspec.json.schema_components(
        [*answered.values(), *asked.values()], schema_hook=schema_hook, ref_template=REF + "{name}"
    )
    for name, kind in (asked | answered).items():
        schema = schemas[name]
        if issubclass(kind, Enum):
            _describe_members(schema, kind)
            continue
        for field, text in attribute_docs(kind).items():
            schema["properties"][field].setdefault("description", text)
        if name in answered and issubclass(kind, Struct) and not kind.__struct_config__.omit_defaults:
            schema["required"] = list(schema["properties"])
            for field_schema in schema["properties"].values():
                field_schema.pop("default", None)
    _supervisions_are_for_some(schemas)
    return schemas


def message_components(messages: Iterable[type[Struct]]) -> dict[str, Schema]:
    """The schemas of stream messages, whose entities are of any kind."""
    any_entity: Schema = {"oneOf": [ref(kind) for kind in ENTITIES]}
    schemas: dict[str, Schema] = {}
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
        schemas[kind.__name__] = {
            "type": "object",
            "title": kind.__name__,
            "description": python_inspect.getdoc(kind) or "",
            "properties": properties,
            "required": required,
        }
    return schemas


def ref_problem() -> Schema:
    """The reference to the problem document."""
    return {"$ref": REF + "Problem"}


def attribute_docs(kind: type) -> dict[str, str]:
    """The texts that stand beneath a class's attributes, inherited ones included, as one line each."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        if base.__module__.startswith("ctid."):
            docs.update(_own_docs(base))
    return docs


@cache
def _own_docs(kind: type) -> dict[str, str]:
    tree = ast.parse(textwrap.dedent(python_inspect.getsource(kind))).body[0]
    docs: dict[str, str] = {}
    if not isinstance(tree, ast.ClassDef):
        return docs
    for node, following in zip(tree.body, tree.body[1:], strict=False):
        match node:
            case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
                pass
            case _:
                continue
        match following:
            case ast.Expr(value=ast.Constant(value=str(text))):
                docs[name] = " ".join(text.split())
    return docs


def _describe_members(schema: Schema, kind: type[Enum]) -> None:
    docs = attribute_docs(kind)
    told = [f"`{member.value}`: {docs[member.name]}" for member in kind if member.name in docs]
    schema["description"] = "\n".join([schema.get("description", ""), *told]).strip()


def _supervisions_are_for_some(schemas: dict[str, Schema]) -> None:
    call = schemas.get(Call.__name__)
    if call is None:
        return
    call["required"].remove("supervisions")
    roles = " and ".join(sorted(SUPERVISING_ROLES))
    call["properties"]["supervisions"]["description"] = f"Ids of the sessions in it; only for {roles}."


def _named(kinds: Iterable[type[Struct]]) -> dict[str, type]:
    """Every struct and enum that these hold, by name."""
    found: dict[str, type] = {}
    for kind in kinds:
        for held in _held(inspect.type_info(kind)):
            found[held.__name__] = held
    return found


def _held(info: inspect.Type) -> Iterator[type]:
    match info:
        case inspect.Metadata():
            yield from _held(info.type)
        case inspect.UnionType():
            for option in info.types:
                yield from _held(option)
        case inspect.VarTupleType():
            yield from _held(info.item_type)
        case inspect.DictType():
            yield from _held(info.key_type)
            yield from _held(info.value_type)
        case inspect.EnumType():
            yield info.cls
        case inspect.StructType():
            yield info.cls
            for field in info.fields:
                yield from _held(field.type)
