import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.model.addresses import fault_of_phone, outside_number


@pytest.mark.parametrize("address", ["PJSIP/2001", "SIP/anna-desk", "DAHDI/1", "IAX2/remote_1", "user/2001"])
def test_one_phone(address: str) -> None:
    """A technology and a name are a phone."""
    assert fault_of_phone(address) == ""


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("PJSIP/2001&PJSIP/0033612345678", "more than one"),
        ("PJSIP/2001&Local/1@x", "more than one"),
        ("Local/2001@from-internal", "dialplan"),
        ("LOCAL/2001", "dialplan"),
        ("PJSIP/0033612345678@trunk", "trunk"),
        ("SIP/trunk/0033612345678", "trunk"),
        ("", "technology"),
        ("PJSIP", "technology"),
        ("PJSIP/", "technology"),
        ("/2001", "technology"),
        *((f"PJSIP/20{odd}01", "technology") for odd in ",|()${}; \r\n\0\t!:=\u0660"),
        ("PJSIP/2001\n", "technology"),
        ("PJSIP/" + "2" * 65, "technology"),
    ],
)
def test_what_is_no_phone(address: str, words: str) -> None:
    """What would ring anybody else is told for what it is."""
    assert words in fault_of_phone(address)


@given(st.text() | st.from_regex(r"[A-Za-z]{1,8}/.{0,20}"))
def test_a_phone_holds_nothing_that_a_dialler_reads(address: str) -> None:
    """Whatever passes has one slash and none of the characters that mean something to what dials."""
    if not fault_of_phone(address):
        assert address.count("/") == 1
        assert not set(address) & set("&,|()${};@ \r\n\0\t")
        assert not address.lower().startswith("local/")


def test_a_number_outside() -> None:
    """Is told apart from a phone, and is one number behind one trunk."""
    assert outside_number("PJSIP/+33612345678@trunk") == "+33612345678"
    for other in ("PJSIP/2001", "PJSIP/06@trunk&PJSIP/2001", "Local/0612345678@x/n", "PJSIP/06123@trunk,b"):
        assert outside_number(other) is None
