"""Calls that are neither recorded nor listened to."""

import pytest
from msgspec.structs import replace

from ctid.model.errors import CallRefused
from ctid.model.protection import check_unprotected, is_protected
from helpers.floor import Floor


@pytest.mark.parametrize("flag", ["private", "objected"])
def test_a_flag_protects(floor: Floor, flag: str) -> None:
    """And the refusal says which it is."""
    floor.link_up()
    floor.put_leg("a1", call="c1", incoming=True)
    call = floor.call("c1")
    check_unprotected(call)
    assert not is_protected(call)
    flagged = replace(call, **{flag: True})
    assert is_protected(flagged)
    with pytest.raises(CallRefused) as refused:
        check_unprotected(flagged)
    assert refused.value.code == f"call.{flag}"
