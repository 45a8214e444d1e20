from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from ctid.api.operations import OPERATIONS
from ctid.cli.values import BadWord, params_of, words_of


class Inner(Struct):
    """A field's fields."""

    phone: str | None = None
    ring_s: float = 1.0


class Request(Struct):
    """One of each form."""

    text: str = ""
    maybe: str | None = None
    whole: int = 0
    number: float | None = None
    flag: bool = False
    items: tuple[str, ...] | None = None
    grades: dict[str, int | None] = {}
    via: Inner | None = None
    to: str | Inner = ""


@pytest.mark.parametrize(
    ("words", "params"),
    [
        ([], {}),
        (["text=7", "maybe=null"], {"text": "7", "maybe": None}),
        (["text=null", "maybe=true"], {"text": "null", "maybe": "true"}),
        (["text=", "maybe=a=b"], {"text": "", "maybe": "a=b"}),
        (["whole=7", "number=-1.5", "flag=true"], {"whole": 7, "number": -1.5, "flag": True}),
        (["number=3"], {"number": 3}),
        (["whole=7.5", "number=fast", "flag=yes"], {"whole": "7.5", "number": "fast", "flag": "yes"}),
        (["items=a", "items=b"], {"items": ["a", "b"]}),
        (["grades.greeting=5", "grades.closing=null"], {"grades": {"greeting": 5, "closing": None}}),
        (["via.phone=2001", "via.ring_s=2"], {"via": {"phone": "2001", "ring_s": 2}}),
        (["to=1002"], {"to": "1002"}),
        (["to.phone=1"], {"to": {"phone": "1"}}),
        (["shoe=1", "shoes.left=1"], {"shoe": "1", "shoes": {"left": "1"}}),
    ],
)
def test_words_become_what_the_struct_has(words: list[str], params: dict[str, Any]) -> None:
    """A value is of the field's form where it can be; what cannot be stays text, for ctid to refuse."""
    assert params_of(Request, words) == params


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["text"], "write name=value"),
        (["=x"], "write name=value"),
        (["via.=x"], "write name=value"),
        (["text=a", "text=b"], "text is given twice"),
        (["to=1", "to.phone=1"], "to has a value"),
        (["via.phone=1", "via=2"], "via is given twice"),
        (["items.a=1", "items=b"], "in two forms"),
    ],
)
def test_words_that_do_not_go_together(words: list[str], told: str) -> None:
    """They are refused with what is wrong."""
    with pytest.raises(BadWord, match=told):
        params_of(Request, words)


TEXTS = st.text(max_size=10).filter(lambda text: text not in ("null", "true", "false"))
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "text": TEXTS,
        "maybe": TEXTS | st.none(),
        "whole": st.integers(-(10**14), 10**14),
        "flag": st.booleans(),
        "items": st.lists(st.text(max_size=5), min_size=1, max_size=3),
        "via": st.fixed_dictionaries({"phone": TEXTS | st.none()}),
        "grades": st.dictionaries(
            st.text("abc", min_size=1), st.integers(1, 5) | st.none(), min_size=1, max_size=3
        ),
    },
)


@given(REQUESTS)
def test_what_is_said_is_read_again(params: dict[str, Any]) -> None:
    """Words of parameters are these parameters."""
    assert params_of(Request, words_of(params)) == params


def test_the_table_s_examples_can_be_said() -> None:
    """Each one, without a word of JSON."""
    for operation in OPERATIONS.values():
        example = dict(operation.example or {})
        assert params_of(operation.params, words_of(example)) == example
