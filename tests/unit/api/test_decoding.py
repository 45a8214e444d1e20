from enum import StrEnum
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, Struct

from ctid.api.decoding import json_object, query_params, request_of
from ctid.api.errors import MalformedRequest
from ctid.api.operations import OPERATIONS, Operation
from ctid.model.errors import InvalidRequest
from helpers.texts import TEXTS, with_text


class Colour(StrEnum):
    """Two of them."""

    RED = "red"
    BLUE = "blue"


class Inner(Struct, forbid_unknown_fields=True):
    """What is within."""

    colour: Colour


class Request(Struct, forbid_unknown_fields=True):
    """A request with one of everything."""

    inner: Inner | None
    colour: Colour = Colour.RED
    limit: Annotated[int, Meta(ge=1, le=5)] = 1
    most: int | None = None
    names: list[str] = []


@pytest.mark.parametrize(
    ("params", "field", "words"),
    [
        ({}, "inner", "missing"),
        ({"inner": {}}, "inner.colour", "one of red, blue"),
        ({"inner": {"colour": "green"}}, "inner.colour", "one of red, blue"),
        ({"inner": {"colour": "red", "size": 1}}, "inner.size", "there are: colour"),
        ({"inner": None, "colour": 7}, "colour", "one of red, blue"),
        ({"inner": None, "limit": 6}, "limit", "<= 5"),
        ({"inner": None, "limit": "1"}, "limit", "expected `int`"),
        ({"inner": None, "names": [1]}, "names[0]", "expected `str`"),
        ({"inner": None, "a`b": 1}, "a`b", "there are: inner, colour, limit, most, names"),
    ],
)
def test_what_is_wrong(params: dict[str, Any], field: str, words: str) -> None:
    """A refusal names the field by its path, and says what would be right."""
    with pytest.raises(InvalidRequest) as refused:
        request_of(Request, params)
    assert refused.value.field == field
    assert words in refused.value.detail


def test_what_is_right() -> None:
    """A good request is decoded."""
    assert request_of(Request, {"inner": {"colour": "blue"}, "most": 2}).inner == Inner(Colour.BLUE)


def test_query_integers() -> None:
    """In a query, digits are an integer where the field is one, and text elsewhere; null is text."""
    params = query_params(Request, [("limit", "3"), ("most", "4"), ("colour", "5"), ("inner", "null")])
    assert params == {"limit": 3, "most": 4, "colour": "5", "inner": "null"}
    assert query_params(Request, [("limit", "1e1")]) == {"limit": "1e1"}


def test_query_twice() -> None:
    """A parameter that is given twice is refused."""
    with pytest.raises(InvalidRequest) as refused:
        query_params(Request, [("limit", "3"), ("limit", "3")])
    assert refused.value.field == "limit"


@pytest.mark.parametrize(
    "text", ['{"a": 1, "b": {}, "a": 1}', '{"b": [{"a": 1, "a": 2}]}', '{"a":1,"\\u0061":2}']
)
def test_a_name_twice(text: str) -> None:
    """A name that stands twice in an object is refused, however deep and however written."""
    for raw in (text, text.encode()):
        with pytest.raises(InvalidRequest, match="a is given twice") as refused:
            json_object(raw)
        assert (refused.value.field, refused.value.status) == ("a", 422)
    assert json_object('{"a": {"a": [{"a": 1}, {"a": 1}]}}') == {"a": {"a": [{"a": 1}, {"a": 1}]}}


def test_whole_numbers() -> None:
    """1.0 is the integer 1, as JSON Schema has it; what is not whole stays a float."""
    whole = json_object('{"a": 1.0, "b": 1e3, "c": 1.5, "d": -0.0}')
    assert [type(value) for value in whole.values()] == [int, int, float, int]


def is_object_or_refused(raw: bytes | str) -> bool:
    """Whether this is decoded to an object, or refused as malformed."""
    try:
        return isinstance(json_object(raw), dict)
    except MalformedRequest as error:
        return error.status == 400


@given(st.one_of(st.binary(), st.text()))
def test_garbage_is_malformed(raw: bytes | str) -> None:
    """Whatever comes is an object, or is refused as malformed."""
    assert is_object_or_refused(raw)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_NAMES = sorted({name for operation in OPERATIONS.values() for name in operation.params.__struct_fields__})


def test_texts_hold_no_controls() -> None:
    """A control character in any text is refused by the path of its field; what people write is not."""
    for odd in "\r\n\0\t\x1b\x7f\x85\u2028\u2029\u202e\u2066":
        with pytest.raises(InvalidRequest, match=f"U\\+{ord(odd):04X}") as refused:
            request_of(Request, {"inner": None, "names": ["fine", f"a{odd}b"]})
        assert refused.value.field == "names[1]"
    names = ["Zoé « ça va\u00a0? »", "日本", "مرحبا", "👩🏽\u200d💻", "a|b;c"]
    assert request_of(Request, {"inner": None, "names": names}).names == names


def test_there_are_texts() -> None:
    """The texts of all requests are found, within other structs and lists as well."""
    found = {(operation.name, path) for operation, path in TEXTS}
    assert {
        ("supervisions.create", "note"),
        ("supervisions.create", "via.phone"),
        ("agents.pause", "queues[0]"),
        ("calls.get", "id"),
    } <= found


@pytest.mark.parametrize(("operation", "path"), TEXTS, ids=lambda value: getattr(value, "name", value))
@pytest.mark.parametrize("odd", ["\r", "\n", "\0", "\r\nAction: Originate"])
def test_no_text_of_any_request_breaks_a_line(operation: Operation, path: str, odd: str) -> None:
    """Every text of every operation refuses line breaks and NUL, by its own path."""
    with pytest.raises(InvalidRequest) as refused:
        request_of(operation.params, with_text(operation, path, f"a{odd}"))
    assert refused.value.field == path


@pytest.mark.parametrize("ident", ["a b", "a/b", "PJSIP/2001&PJSIP/1", "é", "x" * 129, "${EXTEN}", "a,b"])
def test_ids_are_ids(ident: str) -> None:
    """What could not be an id is refused where an id is meant, in lists too, and an empty filter is none."""
    for operation, path, params in (
        ("agents.get", "id", {"id": ident}),
        ("agents.pause", "queues[1]", {"id": "1001", "queues": ["support", ident]}),
        ("calls.list", "queue", {"queue": ident}),
    ):
        with pytest.raises(InvalidRequest, match="is no id") as refused:
            request_of(OPERATIONS[operation].params, params)
        assert refused.value.field == path
    request_of(OPERATIONS["figures.get"].params, {"queue": ""})


def is_decoded_or_refused(kind: type[Struct], params: dict[str, Any]) -> bool:
    """Whether this is decoded, or refused with a detail that is bounded."""
    try:
        return isinstance(request_of(kind, params), kind)
    except InvalidRequest as error:
        return 0 < len(error.detail) < 1000


@given(
    st.sampled_from(list(OPERATIONS.values())),
    st.dictionaries(st.sampled_from(_NAMES) | st.text(), json_values),
)
def test_any_params_are_decoded_or_refused(operation: Operation, params: dict[str, Any]) -> None:
    """For every operation, parameters of any form are decoded, or refused with a detail."""
    assert is_decoded_or_refused(operation.params, params)
