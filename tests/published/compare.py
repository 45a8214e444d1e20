"""Whether a published schema, or the API's document, changed so that somebody who relies on it would break.

The rules are those of docs/compatibility.md. What is told may say more, and never less or otherwise; what is
asked may ask less, and never more. Enumerations are open: what is told may have further members.
"""

from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any

Schema = Mapping[str, Any]

_LOWER = ("minLength", "minimum", "exclusiveMinimum", "minItems")
"""Bounds that ask more the higher they are."""
_UPPER = ("maxLength", "maximum", "exclusiveMaximum", "maxItems")
"""Bounds that ask more the lower they are."""
_FORMS = ("pattern", "format")
_MERGED = ("anyOf", "oneOf")
_METHODS = ("get", "post", "put", "patch", "delete")


class Way(Enum):
    """Who writes what a schema describes."""

    TOLD = "told"
    ASKED = "asked"


def breaks(old: Schema, new: Schema, way: Way) -> list[str]:
    """What a schema, whole in itself, no longer keeps of what it promised: sentences, with the place."""
    return list(_Comparison(old, new, way).differences(old, new, "$"))


def index_breaks(old: Schema, new: Schema) -> list[str]:
    """The same of two lists of topics and event types, and the schemas of what is told there."""
    found = []
    for table in old.keys() & new.keys():
        for name, was in old[table].items():
            now = new[table].get(name)
            if now is None:
                found.append(f"{table} {name} is gone")
            elif now["schema"] != was["schema"]:
                found.append(f"{table} {name}: its schema was {was['schema']}, and is {now['schema']}")
    return sorted(found)


def api_breaks(old: Schema, new: Schema) -> list[str]:
    """The same of two OpenAPI documents: operations, parameters, bodies, answers, roles."""
    return list(_operations(old, new))


class _Comparison:
    """Two documents, by whose own definitions references are followed."""

    def __init__(self, old: Schema, new: Schema, way: Way) -> None:
        self._old = old
        self._new = new
        self._way = way
        self._under_way: set[tuple[str, str]] = set()

    def differences(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        """What breaks between two schemas at a place."""
        pair = (old.get("$ref", ""), new.get("$ref", ""))
        if all(pair):
            if pair in self._under_way:
                return
            self._under_way.add(pair)
        olds, news = _options(old, self._old), _options(new, self._new)
        if self._way is Way.TOLD:
            for kind in news.keys() - olds.keys():
                if "any" not in olds:
                    yield f"{at}: may be {kind} now"
            for kind in olds.keys() - news.keys():
                if not news:
                    yield f"{at}: is nothing any more"
                elif kind != "null":
                    yield f"{at}: is no {kind} any more"
        else:
            for kind in olds.keys() - news.keys():
                if "any" not in news:
                    yield f"{at}: may be no {kind} any more"
        for kind in sorted(olds.keys() & news.keys()):
            yield from self._alike(olds[kind], news[kind], at)
        if all(pair):
            self._under_way.discard(pair)

    def _alike(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        """Two schemas of one type."""
        yield from self._members(old, new, at)
        yield from self._bounds(old, new, at)
        yield from self._properties(old, new, at)
        for key in ("items", "additionalProperties", "propertyNames"):
            was, now = old.get(key), new.get(key)
            if isinstance(was, Mapping):
                yield from self.differences(was, now if isinstance(now, Mapping) else {}, f"{at}[{key}]")
            elif isinstance(now, Mapping) and self._way is Way.ASKED and now:
                yield f"{at}[{key}]: is bound now"

    def _members(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        was, now = _values(old), _values(new)
        if was is not None and now is not None:
            yield from (f"{at}: {value!r} is no member any more" for value in sorted(was - now, key=str))
        elif now is not None and self._way is Way.ASKED:
            yield f"{at}: any value would do, and now it is one of {sorted(now, key=str)}"
        elif was is not None and self._way is Way.TOLD:
            yield f"{at}: was one of {sorted(was, key=str)}, and may be anything now"

    def _bounds(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        # What is told may keep within narrower bounds, what is asked within wider ones.
        tight, loose = (new, old) if self._way is Way.ASKED else (old, new)
        for key in _LOWER:
            if key in tight and (key not in loose or loose[key] < tight[key]):
                yield f"{at}: {key} was {old.get(key)}, and is {new.get(key)}"
        for key in _UPPER:
            if key in tight and (key not in loose or loose[key] > tight[key]):
                yield f"{at}: {key} was {old.get(key)}, and is {new.get(key)}"
        for key in _FORMS:
            if key in tight and loose.get(key) != tight[key]:
                yield f"{at}: {key} was {old.get(key)}, and is {new.get(key)}"

    def _properties(self, old: Schema, new: Schema, at: str) -> Iterator[str]:
        was, now = old.get("properties", {}), new.get("properties", {})
        for name in was.keys() - now.keys():
            yield f"{at}.{name}: is gone"
        needed, needs = set(old.get("required", ())), set(new.get("required", ()))
        if self._way is Way.TOLD:
            yield from (f"{at}.{name}: may be missing now" for name in sorted((needed - needs) & now.keys()))
        else:
            yield from (f"{at}.{name}: is required now" for name in sorted(needs - needed))
        for name in sorted(was.keys() & now.keys()):
            yield from self.differences(was[name], now[name], f"{at}.{name}")


def _options(schema: Schema, root: Schema) -> dict[str, Schema]:
    """What a value may be, by its type: references followed, unions laid out."""
    if "$ref" in schema:
        return _options(_at(root, schema["$ref"]), root)
    for key in _MERGED:
        if key in schema:
            found: dict[str, Schema] = {}
            for option in schema[key]:
                found.update(_options(option, root))
            return found
    return {_key(kind, schema): schema for kind in _types(schema)}


def _key(kind: str, schema: Schema) -> str:
    return f"object {schema['title']}" if kind == "object" and "title" in schema else kind


def _types(schema: Schema) -> list[str]:
    told = schema.get("type")
    if isinstance(told, list):
        return told
    if told is not None:
        return [told]
    values = _values(schema)
    if values is not None:
        return sorted({_JSON.get(type(value), "object") for value in values})
    return ["object"] if "properties" in schema else ["any"]


_JSON: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "integer",
    float: "number",
    type(None): "null",
}


def _values(schema: Schema) -> set[Any] | None:
    if "const" in schema:
        return {schema["const"]}
    return set(schema["enum"]) if "enum" in schema else None


def _at(root: Schema, reference: str) -> Schema:
    found: Any = root
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found  # type: ignore[no-any-return]  # a reference leads to a schema


def _operations(old: Schema, new: Schema) -> Iterator[str]:
    for path, item in old["paths"].items():
        for method in item.keys() & set(_METHODS):
            name = item[method].get("operationId", f"{method} {path}")
            other = new["paths"].get(path, {}).get(method)
            if other is None:
                yield f"{name}: {method.upper()} {path} is gone"
                continue
            asked = _Comparison(old, new, Way.ASKED)
            yield from (f"{name}: {text}" for text in _parameters(item[method], other, asked))
            yield from (f"{name}: {text}" for text in _body(item[method], other, asked))
            told = _Comparison(old, new, Way.TOLD)
            yield from (f"{name}: {text}" for text in _answers(item[method], other, told))
            lost = set(item[method].get("x-roles", ())) - set(other.get("x-roles", ()))
            yield from (f"{name}: is not for the role {role} any more" for role in sorted(lost))


def _parameters(old: Schema, new: Schema, compare: _Comparison) -> Iterator[str]:
    was = {(each["in"], each["name"]): each for each in old.get("parameters", ())}
    now = {(each["in"], each["name"]): each for each in new.get("parameters", ())}
    for key in sorted(was.keys() - now.keys()):
        yield f"the parameter {key[1]} is gone"
    for key, each in now.items():
        if each.get("required") and not was.get(key, {}).get("required"):
            yield f"the parameter {key[1]} is required now"
        if key in was:
            yield from compare.differences(was[key]["schema"], each["schema"], key[1])


def _body(old: Schema, new: Schema, compare: _Comparison) -> Iterator[str]:
    was, now = old.get("requestBody"), new.get("requestBody")
    if was is None:
        if now is not None and now.get("required"):
            yield "a body is required now"
        return
    if now is None:
        yield "it takes no body any more"
        return
    if now.get("required") and not was.get("required"):
        yield "a body is required now"
    yield from _contents(was, now, compare, "body")


def _answers(old: Schema, new: Schema, compare: _Comparison) -> Iterator[str]:
    was, now = old["responses"], new["responses"]
    for status in sorted(was):
        if int(status) >= 400:
            # A refusal that no longer comes breaks nobody; the form of one is the same for all.
            continue
        if status not in now:
            yield f"it does not answer {status} any more"
            continue
        yield from _contents(was[status], now[status], compare, status)


def _contents(old: Schema, new: Schema, compare: _Comparison, at: str) -> Iterator[str]:
    for media, content in old.get("content", {}).items():
        other = new.get("content", {}).get(media)
        if other is None:
            yield f"{at}: it is no {media} any more"
        else:
            yield from compare.differences(content.get("schema", {}), other.get("schema", {}), at)
