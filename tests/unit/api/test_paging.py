from base64 import urlsafe_b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.api.paging import ListRequest, page, place_of
from ctid.model.entities import Device
from ctid.model.errors import InvalidRequest
from ctid.model.ids import DeviceId, PbxId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState

idents = st.sets(st.text(min_size=1, max_size=4), max_size=30)


def device(ident: str) -> Device:
    """A device with this id."""
    return Device(id=DeviceId(ident), pbx=PbxId("lab"), state=DeviceState.IDLE, since=Instant(0))


@given(idents, st.integers(1, 7))
def test_pages_join_to_the_list(names: set[str], limit: int) -> None:
    """All pages together are the list in its order, and no page is longer than its limit."""
    devices = [device(name) for name in names]
    seen: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        items, cursor = page(devices, ListRequest(limit=limit, cursor=cursor))
        assert len(items) <= limit
        seen += [item.id for item in items]
    assert seen == sorted(names)


@given(idents, idents, idents, st.integers(1, 3))
def test_what_stays_is_seen_once(stays: set[str], goes: set[str], comes: set[str], limit: int) -> None:
    """Whatever goes and comes between the pages, what is there all the while is seen exactly once."""
    seen: list[str] = []
    items, cursor = page([device(name) for name in stays | goes], ListRequest(limit=limit))
    seen += [item.id for item in items]
    while cursor is not None:
        items, cursor = page(
            [device(name) for name in stays | comes], ListRequest(limit=limit, cursor=cursor)
        )
        seen += [item.id for item in items]
    assert stays <= set(seen)
    assert len(seen) == len(set(seen))


@given(st.text(min_size=1))
def test_foreign_cursors(cursor: str) -> None:
    """A cursor that was not given is refused by field."""
    with pytest.raises(InvalidRequest) as refused:
        page([], ListRequest(cursor=cursor))
    assert refused.value.field == "cursor"


@pytest.mark.parametrize("at", ["nan", "inf", "x"])
def test_places_in_time_that_are_none(at: str) -> None:
    """A cursor whose time is no number that can be compared is refused."""
    cursor = urlsafe_b64encode(f"id:{at}:c1".encode()).decode().rstrip("=")
    with pytest.raises(InvalidRequest, match="cursor"):
        place_of(cursor)
