from typing import Any

import pytest

from published.compare import Way, api_breaks, breaks, index_breaks

OLD: dict[str, Any] = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 9, "format": "date-time"},
        "state": {"$ref": "#/$defs/State"},
        "count": {"type": "integer", "minimum": 1, "maximum": 5},
        "call": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "parts": {"type": "array", "items": {"type": "integer"}},
        "by": {"type": "object", "additionalProperties": {"type": "integer"}},
        "kind": {"const": "a"},
        "more": {},
    },
    "required": ["id", "state"],
    "$defs": {"State": {"title": "State", "enum": ["idle", "busy"]}},
}


def changed(name: str, schema: object = None, **others: Any) -> dict[str, Any]:
    """The schema with another property, or (none) without it; `others` are keys of its own."""
    properties = dict(OLD["properties"])
    if schema is None:
        del properties[name]
    else:
        properties[name] = schema
    return OLD | {"properties": properties} | others


def states(*members: str) -> dict[str, Any]:
    """The schema with other states."""
    return OLD | {"$defs": {"State": {"title": "State", "enum": list(members)}}}


ANY: dict[str, Any] = {}
LONGER = {"type": "string", "minLength": 2, "maxLength": 9, "format": "date-time"}
LOOSER = {"type": "string", "minLength": 1, "maxLength": 99, "format": "date-time"}

BREAKS_WHO_HEARS = {
    "a field is gone": (changed("more"), "$.more: is gone"),
    "a field may be missing": (OLD | {"required": ["id"]}, "$.state: may be missing now"),
    "another type": (changed("count", {"type": "string"}), "$.count: may be string now"),
    "a wider type": (changed("id", {"type": ["string", "null"]}), "$.id: may be null now"),
    "any type": (changed("count", ANY), "$.count: may be any now"),
    "no null any more is fine, but no string": (
        changed("call", {"type": "null"}),
        "$.call: is no string any more",
    ),
    "a member is gone": (states("idle"), "$.state: 'busy' is no member any more"),
    "no closed list any more": (changed("state", {"type": "string"}), "$.state: was one of"),
    "another constant": (changed("kind", {"const": "b"}), "$.kind: 'a' is no member any more"),
    "other items": (
        changed("parts", {"type": "array", "items": {"type": "number"}}),
        "$.parts[items]: may be number",
    ),
    "any items": (changed("parts", {"type": "array"}), "$.parts[items]: may be any now"),
    "other values": (
        changed("by", {"type": "object", "additionalProperties": {"type": "string"}}),
        "$.by[additionalProperties]: may be string",
    ),
    "a higher bound": (
        changed("count", {"type": "integer", "minimum": 1, "maximum": 9}),
        "$.count: maximum was 5",
    ),
    "a lower bound": (
        changed("count", {"type": "integer", "minimum": 0, "maximum": 5}),
        "$.count: minimum was 1",
    ),
    "another form": (changed("id", LONGER | {"format": "date"}), "$.id: format was date-time"),
    "nothing": (changed("id", {"anyOf": []}), "$.id: is nothing any more"),
}
BREAKS_WHO_ASKS = {
    "a field is gone": (changed("more"), "$.more: is gone"),
    "a field is required": (OLD | {"required": ["id", "state", "count"]}, "$.count: is required now"),
    "a new field is required": (
        changed("new", {"type": "string"}, required=["id", "state", "new"]),
        "$.new: is required now",
    ),
    "a narrower type": (changed("call", {"type": "string"}), "$.call: may be no null any more"),
    "another type": (changed("count", {"type": "string"}), "$.count: may be no integer any more"),
    "a type where any would do": (changed("more", {"type": "string"}), "$.more: may be no any any more"),
    "a member is gone": (states("idle"), "$.state: 'busy' is no member any more"),
    "a closed list": (changed("id", {"enum": ["a"]}), "$.id: any value would do"),
    "a longer text": (changed("id", LONGER), "$.id: minLength was 1, and is 2"),
    "a shorter text": (changed("id", LOOSER | {"maxLength": 3}), "$.id: maxLength was 9, and is 3"),
    "a pattern": (changed("id", OLD["properties"]["id"] | {"pattern": "^a"}), "$.id: pattern was None"),
    "bound items": (
        changed("more", {"type": "any", "items": {"type": "string"}}),
        "$.more[items]: is bound now",
    ),
}


@pytest.mark.parametrize("what", BREAKS_WHO_HEARS)
def test_what_breaks_who_hears(what: str) -> None:
    """What is told may not say less, nor anything of another kind."""
    new, told = BREAKS_WHO_HEARS[what]
    assert any(told in text for text in breaks(OLD, new, Way.TOLD)), breaks(OLD, new, Way.TOLD)


@pytest.mark.parametrize("what", BREAKS_WHO_ASKS)
def test_what_breaks_who_asks(what: str) -> None:
    """What is asked for may not be more, nor of another kind."""
    new, told = BREAKS_WHO_ASKS[what]
    assert any(told in text for text in breaks(OLD, new, Way.ASKED)), breaks(OLD, new, Way.ASKED)


@pytest.mark.parametrize("way", Way)
def test_what_breaks_nobody(way: Way) -> None:
    """The same, other words, a further optional field, a further member of an enumeration."""
    assert breaks(OLD, OLD, way) == []
    assert breaks(OLD, changed("new", {"type": "string"}), way) == []
    assert breaks(OLD, OLD | {"description": "In other words."}, way) == []
    assert breaks(OLD, states("idle", "busy", "held"), way) == []


def test_what_breaks_who_hears_alone() -> None:
    """More may be told always, and within narrower bounds; less may be asked for, within wider ones."""
    required = OLD | {"required": ["id", "state", "count"]}
    assert breaks(OLD, required, Way.TOLD) == []
    assert breaks(OLD, changed("id", LONGER), Way.TOLD) == []
    assert breaks(OLD, changed("call", {"type": "string"}), Way.TOLD) == []
    assert breaks(OLD, changed("id", LOOSER), Way.ASKED) == []
    assert breaks(OLD, changed("count", {"type": ["integer", "null"]}), Way.ASKED) == []
    assert breaks(OLD, OLD | {"required": ["id"]}, Way.ASKED) == []


def test_what_holds_itself() -> None:
    """A schema that refers to itself is compared once."""
    node = {"title": "Node", "type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    root = {"$ref": "#/$defs/Node", "$defs": {"Node": node}}
    assert breaks(root, root, Way.TOLD) == []


def test_the_index() -> None:
    """A type of events stays, and its data keeps its form."""
    old = {"events": {"a": {"schema": "a/1"}, "b": {"schema": "b/1"}}}
    new = {"events": {"b": {"schema": "b/2"}, "c": {"schema": "c/1"}}}
    assert index_breaks(old, new) == ["events a is gone", "events b: its schema was b/1, and is b/2"]
    assert index_breaks(old, old) == []


def operation(**told: Any) -> dict[str, Any]:
    """A document with one operation, `put`, which is as told."""
    content = {"application/json": {"schema": {"type": "object", "properties": {"a": {"type": "string"}}}}}
    first = {
        "operationId": "put",
        "x-roles": ["admin", "viewer"],
        "parameters": [{"in": "query", "name": "id", "schema": {"type": "string"}}],
        "requestBody": {"required": False, "content": content},
        "responses": {"200": {"content": content}, "404": {}},
    }
    return {"paths": {"/x": {"post": first | told}}}


NARROW = {"application/json": {"schema": {"type": "object", "properties": {}}}}
API_BREAKS = {
    "put: POST /x is gone": {"paths": {}},
    "put: the parameter id is gone": operation(parameters=[]),
    "put: the parameter id is required now": operation(
        parameters=[{"in": "query", "name": "id", "required": True, "schema": {"type": "string"}}]
    ),
    "put: id: may be no string any more": operation(
        parameters=[{"in": "query", "name": "id", "schema": {"type": "integer"}}]
    ),
    "put: a body is required now": operation(
        requestBody=operation()["paths"]["/x"]["post"]["requestBody"] | {"required": True}
    ),
    "put: it takes no body any more": operation(requestBody=None),
    "put: body.a: is gone": operation(requestBody={"content": NARROW}),
    "put: body: it is no application/json any more": operation(requestBody={"content": {}}),
    "put: it does not answer 200 any more": operation(responses={}),
    "put: 200.a: is gone": operation(responses={"200": {"content": NARROW}}),
    "put: is not for the role viewer any more": operation(**{"x-roles": ["admin"]}),
}


@pytest.mark.parametrize("told", API_BREAKS)
def test_what_breaks_the_api(told: str) -> None:
    """An operation, a parameter, a body, an answer, a role that is no longer what it was."""
    assert api_breaks(operation(), API_BREAKS[told]) == [told]


def test_what_does_not_break_the_api() -> None:
    """More operations, parameters that may be left out, fewer refusals, more roles."""
    more = operation(
        parameters=[
            {"in": "query", "name": "id", "schema": {"type": "string"}},
            {"in": "query", "name": "limit", "schema": {"type": "integer"}},
        ],
        responses={"200": operation()["paths"]["/x"]["post"]["responses"]["200"]},
        **{"x-roles": ["admin", "viewer", "agent"]},
    )
    more["paths"]["/y"] = {"get": {"responses": {}}}
    assert api_breaks(operation(), more) == []
    without = operation(requestBody=None)
    assert api_breaks(without, operation()) == []
    assert api_breaks(without, operation(requestBody={"required": True, "content": {}})) == [
        "put: a body is required now"
    ]
