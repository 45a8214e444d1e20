import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.model.ids import safe_id


@pytest.mark.parametrize(
    ("text", "ident"),
    [
        ("1001", "1001"),
        ("PJSIP/1001", "PJSIP_1001"),
        ("a+b#c/d", "a_b_c_d"),
        ("1795411005.12", "1795411005.12"),
        ("user@host:5060=x~y-z_w", "user@host:5060=x~y-z_w"),
        ("Zoé\n", "Zo__"),
        ("", "_"),
        ("x" * 200, "x" * 128),
    ],
)
def test_an_id_is_made_safe(text: str, ident: str) -> None:
    """What has a meaning in a topic or a URL becomes an underscore; nothing else is touched."""
    assert safe_id(text) == ident


@given(st.text(max_size=300))
def test_every_text_gives_an_id_that_stays_as_it_is(text: str) -> None:
    """Never empty, at most 128 characters, free of what topics and URLs reserve, and a fixed point."""
    ident = safe_id(text)
    assert 1 <= len(ident) <= 128
    assert not set(ident) & set("+#/ ?%\0")
    assert ident.isascii()
    assert ident.isprintable()
    assert safe_id(ident) == ident
