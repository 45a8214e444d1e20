from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.model.entities import ENTITIES, Pbx
from ctid.model.ids import PbxId
from ctid.model.instant import Instant, dec_hook, enc_hook, from_rfc3339, schema_hook, to_rfc3339
from ctid.model.words import LinkState


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "1970-01-01T00:00:00.000Z"),
        (1_767_225_600.25, "2026-01-01T00:00:00.250Z"),
        (1_767_225_599.9996, "2026-01-01T00:00:00.000Z"),
        (1_767_225_600.9994, "2026-01-01T00:00:00.999Z"),
        (-50_232_362_221.0, "0378-03-14T22:02:59.000Z"),
    ],
)
def test_an_instant_is_written_with_milliseconds(seconds: float, text: str) -> None:
    """Rounded to the millisecond, over the second where need be, and never with a comma or an offset."""
    assert to_rfc3339(seconds) == text


@given(st.integers(0, 4_102_444_800_000))
def test_what_is_written_is_read_again(milliseconds: int) -> None:
    """No millisecond is lost on the way through the text."""
    assert round(from_rfc3339(to_rfc3339(milliseconds / 1000)) * 1000) == milliseconds


def test_an_offset_is_read() -> None:
    """Another offset from UTC is the same instant."""
    assert from_rfc3339("2026-01-01T02:00:00+02:00") == from_rfc3339("2026-01-01T00:00:00Z")


@pytest.mark.parametrize("text", ["2026-01-01T00:00:00", "yesterday", ""])
def test_a_time_without_an_offset_is_refused(text: str) -> None:
    """A time that could be anywhere is none."""
    with pytest.raises(ValueError, match=r"offset|isoformat"):
        from_rfc3339(text)


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "9999-12-31T23:59:59.9999Z"]
)
def test_a_time_that_could_not_be_written_is_refused(text: str) -> None:
    """In UTC it would be before the year 1 or after 9999."""
    with pytest.raises(ValueError, match="out of range"):
        from_rfc3339(text)


def test_an_entity_goes_through_json_and_back() -> None:
    """The hooks carry instants inside entities, optional ones as well."""
    link = Pbx(
        id=PbxId("lab"),
        driver="asterisk",
        state=LinkState.CONNECTED,
        since=Instant(1.5),
        synchronized_at=Instant(2.25),
    )
    text = msgspec.json.encode(link, enc_hook=enc_hook)
    assert b'"since":"1970-01-01T00:00:01.500Z"' in text
    assert msgspec.json.decode(text, type=Pbx, dec_hook=dec_hook) == link


def test_a_bad_time_in_json_is_refused_with_its_path() -> None:
    """A client learns which field is wrong."""
    with pytest.raises(msgspec.ValidationError, match=r"\$\.since"):
        msgspec.json.decode(
            b'{"id":"lab","driver":"a","state":"down","since":"soon"}', type=Pbx, dec_hook=dec_hook
        )


def test_every_entity_has_a_schema_in_which_times_are_date_times() -> None:
    """The hooks are enough for the JSON Schema of all that is published."""
    _, components = msgspec.json.schema_components(ENTITIES, schema_hook=schema_hook)
    assert {entity.__name__ for entity in ENTITIES} <= components.keys()
    assert components["Pbx"]["properties"]["since"] == {"type": "string", "format": "date-time"}


@pytest.mark.parametrize(
    "hook", [lambda: enc_hook(object()), lambda: dec_hook(complex, 1), lambda: schema_hook(complex)]
)
def test_what_has_no_wire_form_is_refused(hook: Any) -> None:
    """A type that slipped into an entity is a defect that shows at once."""
    with pytest.raises(NotImplementedError, match=r"no (wire form|schema) for (object|complex)"):
        hook()
