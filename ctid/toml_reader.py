"""From the plain values of a TOML document to frozen Structs, with every mistake told, not the first only.

Pure. A mistake is told with its path; the line is added by who has the text.
"""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from enum import StrEnum
from pathlib import Path as FilePath
from typing import Any, TypeVar, get_args, get_origin

import msgspec
from msgspec import NODEFAULT, Struct

from ctid.model.instant import Instant
from ctid.toml_lines import Path

_Struct = TypeVar("_Struct", bound=Struct)


class Mistake(Struct, frozen=True, kw_only=True):
    """One thing that is wrong: where, what, and the cure."""

    path: Path
    problem: str
    cure: str = ""


class _WrongError(Exception):
    """This value has no reading; the mistake has been noted."""


def dotted(path: Path) -> str:
    """Write a path for a person: `pbx[0].ari.url`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def nearest(word: str, known: Iterable[str]) -> str:
    """A cure for a word that nobody knows: the nearest one that is known, or all of them."""
    words = sorted(known)
    near = difflib.get_close_matches(word, words, n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(map(repr, words)) or 'none'}"


def read(kind: type[_Struct], value: object, mistakes: list[Mistake], path: Path = ()) -> _Struct | None:
    """Read `value` as `kind`; none when it, or anything in it, is wrong, and `mistakes` says what."""
    try:
        result: _Struct = _struct(kind, value, path, mistakes)
    except _WrongError:
        return None
    return result


def _fail(mistakes: list[Mistake], path: Path, problem: str, cure: str = "") -> typing.NoReturn:
    mistakes.append(Mistake(path=path, problem=problem, cure=cure))
    raise _WrongError


def _struct(kind: type[_Struct], value: object, path: Path, mistakes: list[Mistake]) -> _Struct:
    if not isinstance(value, Mapping):
        _fail(mistakes, path, f"must be a table, and is {_word(value)}", _table_cure(path))
    fields = {field.encode_name: field for field in msgspec.structs.fields(kind)}
    before = len(mistakes)
    for key in value:
        if key not in fields:
            problem, cure = f"unknown key {key!r}", nearest(key, fields)
            mistakes.append(Mistake(path=(*path, key), problem=problem, cure=cure))
    found: dict[str, Any] = {}
    for name, field in fields.items():
        if name in value:
            try:
                found[field.name] = _any(field.type, value[name], (*path, name), mistakes)
            except _WrongError:
                continue
        elif field.default is NODEFAULT and field.default_factory is NODEFAULT:
            mistakes.append(
                Mistake(path=path, problem=f"the key {name!r} is missing", cure=f"add {name} = …")
            )
    if len(mistakes) > before:
        raise _WrongError
    return kind(**found)


def _any(kind: Any, value: object, path: Path, mistakes: list[Mistake]) -> Any:
    if isinstance(kind, types.UnionType):  # an optional table or value: TOML has no null, so it is the rest
        (kind,) = (part for part in get_args(kind) if part is not types.NoneType)
    origin = get_origin(kind)
    if origin is tuple:
        return _tuple(get_args(kind)[0], value, path, mistakes)
    if origin is dict:
        return _table(value, path, mistakes)
    if origin is typing.Literal:
        return _one_of(get_args(kind), value, path, mistakes)
    if issubclass(kind, Struct):
        return _struct(kind, value, path, mistakes)
    if issubclass(kind, StrEnum):
        return kind(_one_of([str(member) for member in kind], value, path, mistakes))
    return _scalar(kind, value, path, mistakes)


def _table(value: object, path: Path, mistakes: list[Mistake]) -> dict[str, Any]:
    """A table whose keys are another's to judge."""
    if isinstance(value, dict):
        return value
    return _fail(mistakes, path, f"must be a table, and is {_word(value)}", _table_cure(path))


def _tuple(element: Any, value: object, path: Path, mistakes: list[Mistake]) -> tuple[Any, ...]:
    tables = isinstance(element, type) and issubclass(element, Struct)
    if not isinstance(value, list):
        cure = f"write [[{path[-1]}]] with two brackets" if tables and isinstance(value, Mapping) else ""
        _fail(
            mistakes,
            path,
            f"must be {'an array of tables' if tables else 'an array'}, and is {_word(value)}",
            cure,
        )
    found = []
    for index, item in enumerate(value):
        try:
            found.append(_any(element, item, (*path, index), mistakes))
        except _WrongError:
            continue
    if len(found) < len(value):
        raise _WrongError
    return tuple(found)


def _one_of(words: typing.Sequence[Any], value: object, path: Path, mistakes: list[Mistake]) -> Any:
    if value in words:
        return value
    return _fail(mistakes, path, f"{value!r} is not possible here", nearest(str(value), map(str, words)))


_EXPECTED = {
    str: "a string in quotes",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Instant: "a date, or a date-time with its offset, without quotes",
    FilePath: "a path in quotes",
}


def _scalar(kind: Any, value: object, path: Path, mistakes: list[Mistake]) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is FilePath and isinstance(value, str):
        return FilePath(value)
    if kind is float and is_number:
        return value
    if kind is int and is_number and isinstance(value, int):
        return value
    if kind is bool and isinstance(value, bool):
        return value
    if kind is Instant and isinstance(value, date):
        return _instant(value, path, mistakes)
    if issubclass(kind, str) and isinstance(value, str):
        return kind(value)
    expected = _EXPECTED.get(kind, _EXPECTED[str])
    return _fail(mistakes, path, f"must be {expected}, and is {_word(value)}", _quote_cure(kind, value, path))


def _instant(value: date, path: Path, mistakes: list[Mistake]) -> Instant:
    """A date is its first moment in UTC."""
    if not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    elif value.tzinfo is None:
        _fail(mistakes, path, "names no offset from UTC", f"end it with Z: {path[-1]} = {value.isoformat()}Z")
    return Instant(value.timestamp())


def _quote_cure(kind: Any, value: object, path: Path) -> str:
    """A likely slip: quotes too many, or too few."""
    if kind is Instant:
        return f"such as {path[-1]} = 2027-01-31T00:00:00Z"
    if kind is bool and value in ("true", "false"):
        return f"leave out the quotes: {path[-1]} = {value}"
    if kind in (int, float) and isinstance(value, str) and value.replace(".", "", 1).isdigit():
        return f"leave out the quotes: {path[-1]} = {value}"
    if (
        isinstance(kind, type)
        and issubclass(kind, str)
        and isinstance(value, int)
        and not isinstance(value, bool)
    ):
        name = path[-1] if isinstance(path[-1], str) else path[-2]
        return f'put it in quotes: {name} = "{value}"'
    return ""


def _table_cure(path: Path) -> str:
    return f"write [{dotted(path)}] and its keys below it" if path and isinstance(path[-1], str) else ""


_WORDS: tuple[tuple[type, str], ...] = (
    (bool, "the truth value {}"),
    (str, "a string"),
    (int, "the whole number {}"),
    (float, "the number {}"),
    (list, "an array"),
    (dict, "a table"),
)


def _word(value: object) -> str:
    """What a value is, in words; bool stands before int, which it is a kind of."""
    for kind, words in _WORDS:
        if isinstance(value, kind):
            return words.format(str(value).lower())
    return f"a {type(value).__name__}"
