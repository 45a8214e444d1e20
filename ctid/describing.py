"""JSON Schemas (draft 2020-12) of structs, with what the docstrings in their source say."""

import ast
import inspect as python_inspect
import textwrap
from collections.abc import Iterable, Iterator
from enum import Enum
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET, Struct, inspect

from ctid.model.instant import schema_hook

Schema = dict[str, Any]


def schemas(
    requests: Iterable[type[Struct]], results: Iterable[type[Struct]], ref_template: str
) -> dict[str, Schema]:
    """The schemas of structs and of all they hold, by name; `ref_template` as `#/$defs/{name}`.

    In a result every field is there, whatever its default is, but for one that may be unset; in a request
    those with a default may lack.
    """
    answered = _named(results)
    asked = _named(requests)
    _, found = msgspec.json.schema_components(
        [*answered.values(), *asked.values()], schema_hook=schema_hook, ref_template=ref_template
    )
    for name, kind in (asked | answered).items():
        schema = found[name]
        if issubclass(kind, Enum):
            _describe_members(schema, kind)
            continue
        _describe_fields(schema, kind)
        if name in answered and not kind.__struct_config__.omit_defaults:
            unset = {field.encode_name for field in msgspec.structs.fields(kind) if field.default is UNSET}
            schema["required"] = [field for field in schema["properties"] if field not in unset]
            for field_schema in schema["properties"].values():
                field_schema.pop("default", None)
    return found


def attribute_docs(kind: type) -> dict[str, str]:
    """The texts that stand beneath a class's attributes, inherited ones included, as one line each."""
    docs: dict[str, str] = {}
    for base in reversed(kind.__mro__[:-1]):
        # A struct that is derived from another has its texts there.
        source = base.__dict__.get("SHOWS", base)
        if source.__module__.startswith("ctid."):
            docs.update(_own_docs(source))
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


def _describe_fields(schema: Schema, kind: type[Struct]) -> None:
    if "description" in schema:
        schema["description"] = python_inspect.cleandoc(schema["description"])
    docs = attribute_docs(kind)
    for field in msgspec.structs.fields(kind):
        if field.name in docs:
            schema["properties"][field.encode_name].setdefault("description", docs[field.name])


def _named(kinds: Iterable[type[Struct]]) -> dict[str, Any]:
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
