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
