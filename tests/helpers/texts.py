"""Every text that a request may hold, by the table of operations."""

import json
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from ctid.api.operations import OPERATIONS, Operation


def paths_of_texts(info: inspect.Type, path: str = "") -> Iterator[str]:
    """The path of each text that a request may hold; an element of a list as its first."""
    match info:
        case inspect.Metadata():
            yield from paths_of_texts(info.type, path)
        case inspect.UnionType():
            for option in info.types:
                yield from paths_of_texts(option, path)
        case inspect.StructType():
            for field in info.fields:
                yield from paths_of_texts(field.type, f"{path}.{field.encode_name}".removeprefix("."))
        case inspect.ListType() | inspect.VarTupleType():
            yield from paths_of_texts(info.item_type, f"{path}[0]")
        case inspect.DictType():
            yield from paths_of_texts(info.value_type, f"{path}.x")
        case inspect.StrType():
            yield path
        case inspect.IntType() | inspect.FloatType() | inspect.BoolType() | inspect.NoneType():
            pass
        case inspect.EnumType() | inspect.LiteralType():
            pass
        case _:
            raise AssertionError(f"{path} is of a kind that is not known here: {info}")


def with_text(operation: Operation, path: str, text: str) -> dict[str, Any]:
    """A good request of an operation, but for the text at `path`."""
    params: dict[str, Any] = dict.fromkeys(operation.path_params, "x") | json.loads(
        json.dumps(dict(operation.example or {}))
    )
    *outer, last = path.removesuffix("[0]").split(".")
    inner = params
    for name in outer:
        inner = inner.setdefault(name, {})
    inner[last] = [text] if path.endswith("[0]") else text
    return params


TEXTS = [
    (operation, path)
    for operation in OPERATIONS.values()
    for path in paths_of_texts(inspect.type_info(operation.params))
]
"""Each with its operation, as a path such as `via.phone` or `queues[0]`."""
