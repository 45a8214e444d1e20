"""`name=value` words of a command line into an operation's parameters, as its struct has them. Pure.

`via.phone=2001` is a field of a field, `queues=support queues=sales` a list, `grades.greeting=null` a null.
A value that is not of the field's form stays the text that it is: ctid itself says what is wrong with it.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct, inspect

_LITERALS = {"true": True, "false": False, "null": None}
_INTEGER = re.compile(r"-?[0-9]{1,15}")
_NUMBER = re.compile(r"-?[0-9]{1,15}(\.[0-9]{1,15})?")


class BadWord(ValueError):
    """A word that is no `name=value`, or does not go with those before it; the text names the cure."""


def params_of(kind: type[Struct], words: Iterable[str]) -> dict[str, Any]:
    """Take words as the parameters of `kind`.

    Raises:
        BadWord: one has no `=` or no name, or gives what another gave already.
    """
    params: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        path = name.split(".")
        if not equals or not all(path):
            raise BadWord(f"{word!r} is no parameter: write name=value")
        _put(params, path, text, inspect.type_info(kind), word)
    return params


def _put(into: dict[str, Any], path: list[str], text: str, kind: inspect.Type, word: str) -> None:
    for depth, name in enumerate(path):
        kind = _inner(kind, name)
        if depth < len(path) - 1:
            into = into.setdefault(name, {})
            if not isinstance(into, dict):
                raise BadWord(
                    f"{word!r} goes into what is no object: {'.'.join(path[: depth + 1])} has a value"
                )
    name = path[-1]
    item = _item(kind)
    if item is not None:
        given = into.setdefault(name, [])
        if not isinstance(given, list):
            raise BadWord(f"{word!r} is given twice, in two forms")
        given.append(_value(item, text))
    elif name in into:
        raise BadWord(f"{name} is given twice: {word!r}")
    else:
        into[name] = _value(kind, text)


def _value(kind: inspect.Type, text: str) -> Any:
    """The value that a text stands for, of the forms that `kind` may have."""
    forms = _forms(kind)
    is_text = any(isinstance(form, inspect.StrType | inspect.EnumType | inspect.AnyType) for form in forms)
    if text == "null" and any(isinstance(form, inspect.NoneType) for form in forms):
        return None
    if text in _LITERALS and any(isinstance(form, inspect.BoolType) for form in forms):
        return _LITERALS[text]
    if not is_text:
        if _INTEGER.fullmatch(text) and any(
            isinstance(f, inspect.IntType | inspect.FloatType) for f in forms
        ):
            return int(text)
        if _NUMBER.fullmatch(text) and any(isinstance(form, inspect.FloatType) for form in forms):
            return float(text)
    return text


def _inner(kind: inspect.Type, name: str) -> inspect.Type:
    """The type of a field, or of an object's value; of what has none, anything."""
    for form in _forms(kind):
        if isinstance(form, inspect.StructType):
            for field in form.fields:
                if field.encode_name == name:
                    return field.type
        if isinstance(form, inspect.DictType):
            return form.value_type
    return inspect.AnyType()


def _item(kind: inspect.Type) -> inspect.Type | None:
    """The type of a list's items; none: it is no list."""
    for form in _forms(kind):
        if isinstance(form, inspect.VarTupleType | inspect.ListType):
            return form.item_type
    return None


def _forms(kind: inspect.Type) -> tuple[inspect.Type, ...]:
    if isinstance(kind, inspect.Metadata):
        return _forms(kind.type)
    if isinstance(kind, inspect.UnionType):
        return tuple(form for option in kind.types for form in _forms(option))
    return (kind,)


def words_of(params: Mapping[str, Any], under: str = "") -> list[str]:
    """The words that say such parameters, but for what they cannot say: an empty list, an empty object."""
    words: list[str] = []
    for name, value in params.items():
        if isinstance(value, Mapping):
            words += words_of(value, f"{under}{name}.")
        else:
            listed = value if isinstance(value, list | tuple) else [value]
            words += [f"{under}{name}={_text(item)}" for item in listed]
    return words


def _text(value: Any) -> str:
    return next((text for text, literal in _LITERALS.items() if value is literal), str(value))
