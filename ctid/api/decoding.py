"""From what a client sent to an operation's request; what is wrong is told by field, with the cure."""

import json
import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

import msgspec
from msgspec import Struct, inspect

from ctid.api.errors import MalformedRequest
from ctid.model.errors import InvalidRequest
from ctid.model.ids import is_safe_id

_Request = TypeVar("_Request", bound=Struct)

_AT = re.compile(r" - at `\$(?P<path>[^`]*)`$", re.DOTALL)
_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.*)`", re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]{1,15}")
# What no text of a client may hold, whoever gets it: controls end a line of a PBX's protocol or of a log,
# separators of lines and paragraphs do in some readers, and what turns the direction of writing forges them.
_REFUSED = "\\u0000-\\u001f\\u007f-\\u009f\\u2028\\u2029\\u202a-\\u202e\\u2066-\\u2069"
_CONTROL = re.compile(f"[{_REFUSED}\\ud800-\\udfff]")
TEXT_PATTERN = f"^[^{_REFUSED}]*$"
"""What every text of a request matches (ECMA-262, as JSON Schema has it)."""
ID_PATTERN = "^[A-Za-z0-9_.@:=~-]{0,128}$"
"""What every id does."""
ID_NAMES = frozenset(
    {"id", "agent", "call", "device", "leg", "party", "pbx", "queue", "queues", "supervision"}
)
"""The parameters that are ids, or lists of ids, wherever they stand in a request."""
TIME_NAMES = frozenset({"since", "until"})
"""Those that are date-times."""
_BOOLEANS = {"true": True, "false": False}
# To look at a type anew takes longer than the request; there are as many as operations.
_info = cache(inspect.type_info)
_LONGEST_NAME = 64
"""Of a client's own text in an error; more would only echo an attack."""


def json_object(raw: bytes | str) -> dict[str, Any]:
    """Decode a JSON object.

    Raises:
        MalformedRequest: it is not JSON (RFC 8259), or no object, or nested beyond reason.
        InvalidRequest: a name stands twice in an object: whoever looked at it before may have read the other.
    """
    try:
        msgspec.json.decode(raw)  # stricter: UTF-8 alone, no NaN
        value = json.loads(raw, object_pairs_hook=_pairs, parse_float=_number)
    except (msgspec.DecodeError, ValueError) as error:
        raise MalformedRequest(f"this is not JSON: {error}") from error
    except RecursionError as error:
        raise MalformedRequest("this is nested deeper than any request") from error
    if not isinstance(value, dict):
        raise MalformedRequest("a JSON object is expected, such as {}")
    return value


def _number(text: str) -> float:
    """A number with a point or an exponent; whole ones are integers, as JSON Schema has it."""
    value = float(text)
    return int(value) if value.is_integer() else value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object. Raises InvalidRequest for the first name that stands twice."""
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise InvalidRequest(f"{_short(name)} is given twice; give it once", field=_short(name))
        seen.add(name)
    return dict(pairs)


def query_params(kind: type[Struct], query: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """Take a query string's pairs as the parameters of `kind`: integers and booleans where it has those.

    Raises:
        InvalidRequest: a parameter is given twice.
    """
    integers = {field.encode_name for field in _struct(_info(kind)) if _is_integer(field.type)}
    booleans = {field.encode_name for field in _struct(_info(kind)) if _is_boolean(field.type)}
    params: dict[str, Any] = {}
    for name, text in query:
        if name in params:
            raise InvalidRequest(f"{_short(name)} is given twice; give it once", field=_short(name))
        if name in booleans and text in _BOOLEANS:
            params[name] = _BOOLEANS[text]
        else:
            params[name] = int(text) if name in integers and _INTEGER.fullmatch(text) else text
    return params


def request_of(kind: type[_Request], params: Mapping[str, Any]) -> _Request:
    """Make the request of an operation from its parameters.

    Raises:
        InvalidRequest: a field is unknown, missing or of the wrong form, holds a control character, or is to
            be an id and could not be one; `field` is its path.
    """
    request = message_of(kind, params)
    _check_texts(params)
    return request


def message_of(kind: type[_Request], params: Mapping[str, Any]) -> _Request:
    """Make a message of a carrier's own, whose texts go nowhere else.

    Raises:
        InvalidRequest: a field is unknown, missing or of the wrong form; `field` is its path.
    """
    try:
        return msgspec.convert(params, kind)
    except msgspec.ValidationError as error:
        raise _explained(kind, str(error)) from error


def _check_texts(params: Mapping[str, Any]) -> None:
    """Look at every text of a request that has the right form; raises InvalidRequest."""
    left: list[tuple[str, str, Any]] = [("", "", params)]
    while left:
        path, name, value = left.pop()
        if isinstance(value, Mapping):
            left += [(_joined(path, _short(key)), key, inner) for key, inner in value.items()]
        elif isinstance(value, list):
            left += [(f"{path}[{index}]", name, inner) for index, inner in enumerate(value)]
        elif isinstance(value, str):
            _check_text(path, name, value)


def _check_text(path: str, name: str, value: str) -> None:
    found = _CONTROL.search(value)
    if found:
        raise InvalidRequest(
            f"{path} has the control character U+{ord(found[0]):04X}; write it on one line, without it",
            field=path,
        )
    if name in TIME_NAMES and not value:
        raise InvalidRequest(f"{path} is empty; give a date-time, or leave it out", field=path)
    # An empty one is none, to operations that take none.
    if name in ID_NAMES and value and not is_safe_id(value):
        raise InvalidRequest(
            f"{path} is no id: ids are at most 128 letters, digits and _ . @ : = ~ -", field=path
        )


def _explained(kind: type[Struct], message: str) -> InvalidRequest:
    at = _AT.search(message)
    path = at["path"].lstrip(".") if at else ""
    said = message[: at.start()] if at else message
    here = _type_at(_info(kind), path)
    if found := _UNKNOWN.fullmatch(said):
        known = ", ".join(field.encode_name for field in _struct(here)) or "none"
        field = _joined(path, _short(found["name"]))
        return InvalidRequest(f"there is no field {field}; there are: {known}", field=field)
    if found := _MISSING.fullmatch(said):
        field = _joined(path, found["name"])
        values = _values(_type_at(_info(kind), field))
        return InvalidRequest(f"{field} is missing{f': one of {values}' if values else ''}", field=field)
    if values := _values(here):
        return InvalidRequest(f"{path} must be one of {values}", field=path)
    return InvalidRequest(f"{path or 'the request'}: {said[0].lower()}{said[1:]}", field=path or None)


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…"


def _struct(kind: inspect.Type | None) -> tuple[inspect.Field, ...]:
    for option in _options(kind):
        if isinstance(option, inspect.StructType):
            return option.fields
    return ()


def _values(kind: inspect.Type | None) -> str:
    for option in _options(kind):
        if isinstance(option, inspect.EnumType):
            return ", ".join(str(member.value) for member in option.cls)
    return ""


def _is_integer(kind: inspect.Type) -> bool:
    return any(isinstance(option, inspect.IntType) for option in _options(kind))


def _is_boolean(kind: inspect.Type) -> bool:
    return any(isinstance(option, inspect.BoolType) for option in _options(kind))


def _options(kind: inspect.Type | None) -> tuple[inspect.Type, ...]:
    if isinstance(kind, inspect.Metadata):
        return _options(kind.type)
    if isinstance(kind, inspect.UnionType):
        return kind.types
    return (kind,) if kind is not None else ()


def _type_at(kind: inspect.Type, path: str) -> inspect.Type | None:
    """The type at a dotted path within structs, or none where the path leaves them."""
    found: inspect.Type | None = kind
    for name in path.split(".") if path else ():
        found = next((field.type for field in _struct(found) if field.encode_name == name), None)
    return found
