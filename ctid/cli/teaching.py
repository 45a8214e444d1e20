"""What `ctid api OPERATION --help` tells of an operation, from the table and the request's struct alone."""

import textwrap
from typing import Any

from msgspec import NODEFAULT, Struct, inspect

from ctid.api.openapi import refusals
from ctid.api.operations import BASE, Idempotency, Operation
from ctid.cli.values import words_of
from ctid.describing import attribute_docs

WIDTH = 100
_AGAIN = {
    Idempotency.SAFE: "changes nothing",
    Idempotency.IDEMPOTENT: "may be asked again: twice does no more than once",
    Idempotency.BY_KEY: "done again when asked again, but for the same --key",
}


def lesson(operation: Operation) -> str:
    """All that somebody needs to ask for an operation, as text of `WIDTH` columns."""
    parts = [f"{operation.command_line}\n", _filled(f"{operation.summary}. {operation.description}"), ""]
    fields = _fields(operation.params)
    if fields:
        parts += ["parameters:", *(_parameter(operation.params, field) for field in fields), ""]
    topic = operation.topic.replace("{client}", "<you>")
    key = ', "key": …' if operation.is_command else ""
    parts += [
        _line("example", " ".join(["ctid api", operation.name, *_example(operation)])),
        _line("HTTP", f"{operation.method} {BASE}{operation.path}"),
        _line("WebSocket", f'{{"id": 1, "operation": "{operation.name}", "params": {{…}}{key}}}'),
        _line("MQTT", f'<base>/<site>/{topic}  {{"id": 1, "params": {{…}}{key}}}'),
        _line("roles", ", ".join(sorted(operation.roles))),
        _line("again", _AGAIN[operation.idempotency]),
        _line("refusals", ", ".join(dict.fromkeys(code for code, _ in refusals(operation)))),
    ]
    return "\n".join(parts)


def _example(operation: Operation) -> list[str]:
    """The table's own example, and a mark for what it leaves to the path."""
    example = dict(operation.example or {})
    needed = [f"{name}=…" for name in operation.path_params if name not in example]
    return [*needed, *words_of(example)]


def _fields(kind: type[Struct]) -> tuple[inspect.Field, ...]:
    told = inspect.type_info(kind)
    return told.fields if isinstance(told, inspect.StructType) else ()


def _parameter(kind: type[Struct], field: inspect.Field) -> str:
    notes = attribute_docs(kind).get(field.name, "") or _note(field.type)
    default = "needed" if field.required else _default(field)
    told = "; ".join(part for part in (form(field.type), default) if part)
    text = f"{told}. {notes}".rstrip() if notes else told
    return textwrap.fill(
        text, WIDTH, initial_indent=f"  {field.encode_name:<10} ", subsequent_indent=" " * 13
    )


def _default(field: inspect.Field) -> str:
    default = field.default
    if default is NODEFAULT or default is None or default in ("", ()):
        return ""
    return f"default: {words_of({'': default})[0][1:]}"


def form(kind: inspect.Type) -> str:
    """The form of a value, in words."""
    match kind:
        case inspect.Metadata():
            told = form(kind.type)
        case inspect.UnionType():
            told = " or ".join(form(option) for option in kind.types)
        case inspect.NoneType():
            told = "null"
        case inspect.BoolType():
            told = "true or false"
        case inspect.IntType() | inspect.FloatType():
            told = _number(kind)
        case inspect.EnumType():
            told = "one of " + ", ".join(str(member.value) for member in kind.cls)
        case inspect.VarTupleType() | inspect.ListType():
            told = f"list of {form(kind.item_type)}"
        case inspect.DictType():
            told = f"object of {form(kind.value_type)}"
        case inspect.StructType():
            told = "object of " + ", ".join(field.encode_name for field in kind.fields)
        case _:
            told = "text"
    return told


def _number(kind: inspect.IntType | inspect.FloatType) -> str:
    name = "whole number" if isinstance(kind, inspect.IntType) else "number"
    bounds: list[tuple[str, Any]] = [
        ("above", kind.gt),
        ("from", kind.ge),
        ("below", kind.lt),
        ("to", kind.le),
    ]
    return " ".join([name, *(f"{word} {bound:g}" for word, bound in bounds if bound is not None)])


def _note(kind: inspect.Type) -> str:
    """What a field's own annotation says of it."""
    for option in kind.types if isinstance(kind, inspect.UnionType) else (kind,):
        if isinstance(option, inspect.Metadata):
            found = (option.extra_json_schema or {}).get("description", "")
            return str(found) or _note(option.type)
    return ""


def _filled(text: str) -> str:
    return textwrap.fill(text, WIDTH)


def _line(name: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=f"{name + ':':<11}", subsequent_indent=" " * 11)
