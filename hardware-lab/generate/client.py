"""Writes `ctid/client/structs.py` and `ctid/client/operations.py` from the table of operations."""

import subprocess
import sys
import textwrap
from collections import defaultdict
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from msgspec import NODEFAULT, Struct, inspect

from ctid.api.operations import OPERATIONS, Operation
from ctid.api.stream import OccurrenceMessage
from ctid.api.views import UnsupervisedCall
from ctid.describing import attribute_docs
from ctid.model.entities import ENTITIES, Call
from ctid.model.instant import Instant

FOLDER = Path(__file__).resolve().parents[2] / "ctid" / "client"
WIDTH = 105
"""Of a docstring's line, its indentation apart."""
WIDEST: dict[type, type] = {Call: UnsupervisedCall}
"""What is told in several forms: the one that fits all of them."""
RENAMED: dict[type, str] = {OccurrenceMessage: "Occurrence"}
_WRITTEN = "\n\nWritten by `make client` from the table of operations: change that, not this file.\n"


class Unwritable(Exception):
    """The table says something that this program has no form for; the text names it."""


def files() -> dict[Path, str]:
    """The text of each file that is made, formatted."""
    operations = list(OPERATIONS.values())
    return {
        FOLDER / "structs.py": _formatted(_structs(operations)),
        FOLDER / "operations.py": _formatted(_operations(operations)),
    }


def _formatted(source: str) -> str:
    """As `make check` wants it, and without the imports that nothing uses."""
    settings = ["--config", str(FOLDER.parents[1] / "pyproject.toml"), "--quiet"]
    settings += ["--stdin-filename", str(FOLDER / "operations.py"), "-"]
    for step in (["check", "--fix-only", "--select", "F401,I001"], ["format"]):
        ruff = [sys.executable, "-m", "ruff", *step, *settings]
        source = subprocess.run(ruff, input=source, capture_output=True, text=True, check=True).stdout
    return source


# Structs ----------------------------------------------------------------------------------------------


def _structs(operations: list[Operation]) -> str:
    answered = [*(operation.result for operation in operations), *ENTITIES, OccurrenceMessage]
    # A parameter's own types alone: the parameters themselves are the arguments of a method.
    asked = [inner for one in operations for field in _fields(one.params) for inner in _named(field.type)]
    results = {kind: None for one in answered for kind in _named(inspect.type_info(one))}
    requests = {kind: None for kind in asked if kind not in results}
    named: dict[str, type] = {}
    for kind in [*results, *requests]:
        if named.setdefault(_name(kind), kind) is not kind:
            raise Unwritable(f"{kind} and {named[_name(kind)]} have the same name; a client could not tell")
    parts = [
        f'"""What ctid answers, and the parts of what it is asked.{_WRITTEN}"""\n',
        "from typing import Any\n",
        "from msgspec import UNSET, Struct, UnsetType\n",
        "from ctid.client.opening import Open",
        "from ctid.model.instant import Instant\n",
    ]
    parts += [_enum(kind) for kind in named.values() if issubclass(kind, Enum)]
    parts += [_struct(kind, request=kind in requests) for kind in named.values() if issubclass(kind, Struct)]
    entities = [_name(kind) for kind in ENTITIES]
    kinds = ", ".join(f'"{kind.kind}": {_name(kind)}' for kind in ENTITIES)
    parts += [f"Entity = {' | '.join(entities)}\n", f"KINDS: dict[str, type[Entity]] = {{{kinds}}}"]
    parts += ['"""The kinds of entities, by the word that a change has for each."""\n']
    return "\n".join(parts)


def _named(info: inspect.Type) -> Iterator[type]:
    """The structs and enums that a type holds, what is needed first."""
    match info:
        case inspect.StructType():
            for field in _fields(info.cls):
                yield from _named(field.type)
            yield info.cls
        case inspect.EnumType():
            yield info.cls
        case inspect.Metadata():
            yield from _named(info.type)
        case inspect.UnionType():
            for option in info.types:
                yield from _named(option)
        case inspect.VarTupleType() | inspect.ListType():
            yield from _named(info.item_type)
        case inspect.DictType():
            yield from _named(info.key_type)
            yield from _named(info.value_type)


def _fields(kind: type[Struct]) -> tuple[inspect.Field, ...]:
    info = inspect.type_info(WIDEST.get(kind, kind))
    if not isinstance(info, inspect.StructType):
        raise Unwritable(f"{kind} is no struct")
    return info.fields


def _name(kind: type) -> str:
    return RENAMED.get(kind, kind.__name__)


def _enum(kind: type[Enum]) -> str:
    notes = attribute_docs(kind)
    lines = [f"class {_name(kind)}(Open):", _docstring(_doc_of(kind)), ""]
    for member in kind:
        lines.append(f"    {member.name} = {_text(member.value)}")
        if member.name in notes:
            lines.append(_docstring(notes[member.name]))
    return "\n".join([*lines, "\n"])


def _struct(kind: type[Struct], *, request: bool) -> str:
    notes = attribute_docs(kind)
    # What a request leaves at its default is not sent: an older ctid may not know it.
    options = "frozen=True, kw_only=True" + (", omit_defaults=True" if request else "")
    lines = [f"class {_name(kind)}(Struct, {options}):", _docstring(_doc_of(kind)), ""]
    for field in _fields(kind):
        if field.name != field.encode_name:
            raise Unwritable(f"{kind.__name__}.{field.name} is called {field.encode_name} on the wire")
        lines.append(f"    {field.name}: {_annotation(field.type)}{_default(field)}")
        if field.name in notes:
            lines.append(_docstring(notes[field.name]))
    return "\n".join([*lines, "\n"])


def _annotation(info: inspect.Type, *, argument: bool = False) -> str:
    """How a type is written: of an answer's field, or, more widely, of a method's argument."""
    match info:
        case inspect.Metadata():
            return _annotation(info.type, argument=argument)
        case inspect.StructType():
            return _name(info.cls)
        case inspect.EnumType():
            return f"{_name(info.cls)} | str" if argument else _name(info.cls)
        case inspect.CustomType(cls=cls) if cls is Instant:
            return "Instant"
        case inspect.UnionType():
            options = [_annotation(option, argument=argument) for option in info.types]
            options.sort(key=lambda option: option == "None")
            return " | ".join(dict.fromkeys(options))
        case inspect.VarTupleType() | inspect.ListType():
            item = _annotation(info.item_type, argument=argument)
            return f"Sequence[{item}]" if argument else f"tuple[{item}, ...]"
        case inspect.DictType():
            key, value = (_annotation(part, argument=argument) for part in (info.key_type, info.value_type))
            return f"{'Mapping' if argument else 'dict'}[{key}, {value}]"
    plain = _PLAIN.get(type(info))
    if plain is None:
        raise Unwritable(f"there is no form for {info}")
    return plain


_PLAIN: dict[type[inspect.Type], str] = {
    inspect.StrType: "str",
    inspect.IntType: "int",
    inspect.FloatType: "float",
    inspect.BoolType: "bool",
    inspect.NoneType: "None",
    inspect.AnyType: "Any",
}


def _default(field: inspect.Field) -> str:
    if field.default_factory is not NODEFAULT:
        return f" = {field.default_factory()!r}"
    if field.default is NODEFAULT:
        if not field.required:
            return " | UnsetType = UNSET"  # msgspec names no default where it is that
        # What may be none is none where an older ctid does not tell it.
        return " = None" if _annotation(field.type).endswith("None") else ""
    if isinstance(field.default, Enum):
        return f" = {_name(type(field.default))}.{field.default.name}"
    return f" = {_text(field.default) if isinstance(field.default, str) else repr(field.default)}"


# Operations -------------------------------------------------------------------------------------------


def _operations(operations: list[Operation]) -> str:
    groups: defaultdict[str, list[Operation]] = defaultdict(list)
    for operation in operations:
        groups[operation.name.partition(".")[0]].append(operation)
    body = [_group(name, listed) for name, listed in sorted(groups.items())]
    every = ["class Operations:", _docstring("Every operation, by what it is about."), ""]
    every.append("    def __init__(self, http: Http) -> None:")
    every += [f"        self.{name} = {_class(name)}(http)" for name in sorted(groups)]
    text = "\n".join([*body, *every, ""])
    head = [
        f'"""The operations of ctid as methods.{_WRITTEN}"""\n',
        "from collections.abc import Mapping, Sequence\n",
        "from ctid.client.http import Http, given, segment",
        "from ctid.client.pages import Pages",
        f"from ctid.client.structs import ({', '.join(sorted(_all_names(operations)))})\n\n",
    ]
    return "\n".join([*head, text])


def _group(name: str, operations: list[Operation]) -> str:
    lines = [f"class {_class(name)}:", _docstring(f"Operations: {name}."), ""]
    lines += ["    def __init__(self, http: Http) -> None:", "        self._http = http", ""]
    return "\n".join([*lines, *(_method(operation) for operation in operations), "\n"])


def _method(operation: Operation) -> str:
    fields = {field.name: field for field in _fields(operation.params)}
    item = _item(operation)
    rest = [
        field
        for field in fields.values()
        if field.name not in operation.path_params and not (item and field.name == "cursor")
    ]
    rest.sort(key=lambda field: not field.required)
    types = {name: _annotation(field.type, argument=True) for name, field in fields.items()}
    in_path = [f"{_argument(name)}: {types[name]}" for name in operation.path_params]
    signature = ["self", *in_path, *(["/"] if in_path else [])]
    signature += ["*", *map(_keyword, rest)] if rest else []
    method = operation.name.partition(".")[2]
    result = _name(operation.result)
    told = f"given({', '.join(f'{field.name}={field.name}' for field in rest)})"
    path = _path(operation)
    if item:
        head = f"    def {method}({', '.join(signature)}) -> Pages[{result}, {item}]:"
        does = f"        return Pages(self._http, {result}, {path}, {told})"
    else:
        head = f"    async def {method}({', '.join(signature)}) -> {result}:"
        part = "body" if operation.has_body else "query"
        carried = f", {part}={told}" if rest or operation.has_body else ""
        does = f'        return await self._http.result({result}, "{operation.method}", {path}{carried})'
    return "\n".join([head, _method_doc(operation, rest), does, ""])


def _keyword(field: inspect.Field) -> str:
    """An optional argument is None where it is left out, and is then not sent at all."""
    annotation = _annotation(field.type, argument=True)
    takes_none = annotation.endswith("None")
    if takes_none and field.default is not None:
        raise Unwritable(f"{field.name} tells null and left out apart; a method's argument cannot")
    if field.required:
        return f"{field.name}: {annotation}"
    return f"{field.name}: {annotation if takes_none else annotation + ' | None'} = None"


def _item(operation: Operation) -> str | None:
    """What a page of this operation lists; none where it answers at once."""
    names = {field.name for field in _fields(operation.result)}
    if not {"items", "next"} <= names or "cursor" not in {field.name for field in _fields(operation.params)}:
        return None
    items = next(field.type for field in _fields(operation.result) if field.name == "items")
    if not isinstance(items, inspect.VarTupleType):
        raise Unwritable(f"the items of {operation.result.__name__} are no tuple of any length")
    return _annotation(items.item_type)


def _method_doc(operation: Operation, rest: list[inspect.Field]) -> str:
    codes = ", ".join(f"`{code}`" for code, _ in operation.refusals)
    paragraphs = [operation.summary.rstrip(".") + ".", operation.description.strip()]
    paragraphs += [f"`{field.name}`: {note}" for field in rest if (note := _note(field.type))]
    if codes:
        paragraphs.append(f"Refused, beside what any operation can be, with {codes}.")
    return _docstring("\n\n".join(filter(None, paragraphs)), indent=8)


def _note(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata():
            described = (info.extra_json_schema or {}).get("description", "")
            return str(described) or _note(info.type)
        case inspect.UnionType():
            return next(filter(None, map(_note, info.types)), "")
    return ""


def _path(operation: Operation) -> str:
    if not operation.path_params:
        return f'"{operation.path}"'
    path = operation.path
    for name in operation.path_params:
        path = path.replace(f"{{{name}}}", f"{{segment({_argument(name)})}}")
    return f'f"{path}"'


def _argument(name: str) -> str:
    return "ident" if name == "id" else name


def _class(group: str) -> str:
    return "".join(part.title() for part in group.split("_")) + "Operations"


def _all_names(operations: list[Operation]) -> set[str]:
    held = [inspect.type_info(kind) for one in operations for kind in (one.result, one.params)]
    return {_name(kind) for info in held for kind in _named(info)}


# Texts ------------------------------------------------------------------------------------------------


def _doc_of(kind: type) -> str:
    return (kind.__doc__ or kind.__name__).strip()


def _docstring(text: str, indent: int = 4) -> str:
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    wrapped = [textwrap.wrap(paragraph, WIDTH - indent, break_long_words=False) for paragraph in paragraphs]
    lines = [line for paragraph in wrapped for line in [*paragraph, ""]][:-1]
    marks = '"""'
    raw = "r" if "\\" in text else ""
    body = [f"{raw}{marks}{lines[0]}", *lines[1:]]
    if len(lines) == 1:
        body[0] += marks
    else:
        body.append(marks)
    return "\n".join(" " * indent + line if line else "" for line in body)


def _text(value: Any) -> str:
    return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'


def main() -> None:
    """Write the files."""
    for path, text in files().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path}")


if __name__ == "__main__":
    main()
