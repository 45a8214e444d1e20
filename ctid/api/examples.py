"""Examples of documents, made of their structs: every field has a value of its kind."""

from typing import Any

import msgspec
from msgspec import Struct, inspect

from ctid.model.instant import Instant, to_rfc3339

_WHEN = to_rfc3339(Instant(1_767_258_000.25))
_NAMED: dict[str, Any] = {
    "boot_id": "8d2f6c1e",
    "bootid": "8d2f6c1e",
    "seq": 4711,
    "pbx": "main",
    "driver": "asterisk",
    "agent": "1001",
    "device": "PJSIP_1001",
    "queue": "support",
    "call": "main.1767258000.12",
    "leg": "1767258000.12",
    "team": "north",
    "name": "Alice Martin",
    "number": "********78",
    "dialled": "7000",
    "supervisor": "marie",
    "phone": "desk",
    "suspect": "",
    "stale": False,
    "site": "main",
    "source": "/ctid/main",
    "timezone": "Europe/Paris",
    "begins": "09:00",
    "ends": "18:00",
    "hash": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "parked": "",
    "conference": "",
    "merged_into": None,
    "ended_at": None,
    "end": None,
}
"""What fields of these names have in every document."""
_IDS: dict[str, str] = {
    "pbx": "main",
    "agent": "1001",
    "device": "PJSIP_1001",
    "queue": "support",
    "call": "main.1767258000.12",
    "supervision": "5f0c",
    "help": "7b1a",
}


def example_of(kind: type[Struct], topic: str = "") -> dict[str, Any]:
    """An example of what is told of a struct; `topic` says by its first word whose `id` it has."""
    return _struct(kind, _IDS.get(topic.partition(".")[0], "1001"))


def request_of(kind: type[Struct]) -> dict[str, Any]:
    """An example of what a request must say at least."""
    needed = {field.encode_name for field in msgspec.structs.fields(kind) if field.required}
    return {name: value for name, value in example_of(kind).items() if name in needed}


def _struct(kind: type[Struct], ident: str) -> dict[str, Any]:
    config = kind.__struct_config__
    found: dict[str, Any] = {}
    if config.tag_field is not None and config.tag is not None:
        found[config.tag_field] = config.tag
    for field in msgspec.structs.fields(kind):
        info = inspect.type_info(field.type)
        plain = not isinstance(info, inspect.StructType)
        if field.encode_name == "id":
            found["id"] = 1 if isinstance(info, inspect.IntType) else ident
        elif plain and field.encode_name in _NAMED:
            found[field.encode_name] = _NAMED[field.encode_name]
        elif field.default is not msgspec.UNSET:
            found[field.encode_name] = _value(info, ident)
    return found


def _value(info: inspect.Type, ident: str) -> Any:
    found: Any = None
    match info:
        case inspect.Metadata():
            found = _value(info.type, ident)
        case inspect.UnionType():
            told = [option for option in info.types if not isinstance(option, inspect.NoneType)]
            found = _value(told[0], ident)
        case inspect.StructType():
            found = _struct(info.cls, ident)
        case inspect.EnumType():
            found = msgspec.to_builtins(next(iter(info.cls)))
        case inspect.LiteralType():
            found = info.values[0]
        case inspect.VarTupleType() | inspect.ListType():
            found = [_value(info.item_type, ident)]
        case inspect.DictType():
            found = {_value(info.key_type, ident): _value(info.value_type, ident)}
        case inspect.CustomType(cls=cls) if cls is Instant:
            found = _WHEN
        case _:
            found = _PLAIN.get(type(info))
    return found


_PLAIN: dict[type[inspect.Type], Any] = {
    inspect.StrType: "",
    inspect.BoolType: False,
    inspect.IntType: 1,
    inspect.FloatType: 12.5,
}
