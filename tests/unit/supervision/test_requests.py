from typing import Any

import msgspec
import pytest

from ctid.model.words import Mode, Purpose, Scope
from ctid.supervision.requests import ChangeRequest, StartRequest, Via


def _start(**other: Any) -> dict[str, Any]:
    return {"agent": "1001", "via": {"phone": "desk"}, "purpose": "quality"} | other


def test_a_request_needs_no_more_than_whom_by_what_and_why() -> None:
    """Listening to this one call is what one gets by default."""
    request = msgspec.convert(_start(), StartRequest)
    assert request == StartRequest(via=Via(phone="desk"), purpose=Purpose.QUALITY, agent="1001")
    assert (request.mode, request.scope, request.call, request.note) == (Mode.LISTEN, Scope.CALL, None, "")


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        (_start(agnet="1001"), "unknown field `agnet`"),
        (_start(via={"phone": "desk", "dial": "PJSIP/1"}), r"unknown field `dial`.*via"),
        (_start(mode="shout"), r"Invalid enum value 'shout'.*mode"),
        (_start(purpose="curiosity"), r"Invalid enum value 'curiosity'.*purpose"),
        (_start(note="x" * 201), r"length <= 200.*note"),
        ({"agent": "1001", "via": {}}, "missing required field `purpose`"),
        ({"agent": "1001", "purpose": "quality"}, "missing required field `via`"),
        (_start(agent=1001), r"Expected `str \| null`.*agent"),
    ],
)
def test_what_is_not_of_the_form_is_refused_by_name(request_: dict[str, Any], told: str) -> None:
    """Unknown, missing and wrong fields are named with their path."""
    with pytest.raises(msgspec.ValidationError, match=told):
        msgspec.convert(request_, StartRequest)


def test_a_note_of_two_hundred_characters_is_allowed() -> None:
    """The bound is the one that is documented."""
    assert len(msgspec.convert(_start(note="é" * 200), StartRequest).note) == 200


def test_a_change_names_a_mode_and_nothing_else() -> None:
    """There is no default: whoever switches says to what."""
    assert msgspec.convert({"mode": "whisper"}, ChangeRequest).mode is Mode.WHISPER
    for wrong in ({}, {"mode": "whisper", "scope": "call"}):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, ChangeRequest)
