from typing import Any

import msgspec
import pytest

from ctid.model.words import Hear, Mode, Purpose, Scope
from ctid.supervision.requests import ChangeRequest, ModeAsked, StartRequest, Via


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


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        ({"mode": "whisper"}, ChangeRequest(mode=ModeAsked.WHISPER)),
        ({"mode": "handback"}, ChangeRequest(mode=ModeAsked.HANDBACK)),
        ({"hear": "agent", "muted": False}, ChangeRequest(hear=Hear.AGENT, muted=False)),
        ({"lead": True}, ChangeRequest(lead=True)),
    ],
)
def test_a_change_is_what_is_given(given: dict[str, Any], asked: ChangeRequest) -> None:
    """What is left out is not asked for; to be muted no more is."""
    assert msgspec.convert(given, ChangeRequest) == asked


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"mode": "shout"}, r"Invalid enum value 'shout'.*mode"),
        ({"mode": "whisper", "scope": "call"}, "unknown field `scope`"),
        ({"hear": "nobody"}, r"Invalid enum value 'nobody'.*hear"),
        ({"muted": "yes"}, r"Expected `bool \| null`.*muted"),
    ],
)
def test_a_change_of_another_form_is_refused_by_name(given: dict[str, Any], told: str) -> None:
    """The field is named."""
    with pytest.raises(msgspec.ValidationError, match=told):
        msgspec.convert(given, ChangeRequest)


def test_every_mode_can_be_asked_for() -> None:
    """And beside them to hand a customer back."""
    assert {*ModeAsked} == {*Mode, "handback"}


@pytest.mark.parametrize(
    ("bound", "told"),
    [
        ({"calls": 0}, "calls"),
        ({"calls": 101}, "calls"),
        ({"minutes": 0}, "minutes"),
        ({"minutes": 1441}, "minutes"),
    ],
)
def test_the_bounds_of_a_session_are_bounded(bound: dict[str, Any], told: str) -> None:
    """No call, or more than a day, is no bound."""
    with pytest.raises(msgspec.ValidationError, match=told):
        msgspec.convert(_start(scope="agent", **bound), StartRequest)
