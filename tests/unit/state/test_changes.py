import pytest
from msgspec.structs import replace

from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.state.changes import Change, alike
from helpers.floor import BASE, Floor


def test_a_change_tells_of_the_entity_as_it_is_or_as_it_last_was(floor: Floor) -> None:
    """`entity` and `kind` need no look at whether it came, changed or went."""
    link = floor.store.pbxs[PbxId("lab")]
    came = Change(seq=1, at=BASE, old=None, new=link)
    went = Change(seq=2, at=BASE, old=link, new=None)
    assert (came.entity, came.kind) == (link, "pbx")
    assert (went.entity, went.kind) == (link, "pbx")


def test_a_change_of_nothing_is_a_defect() -> None:
    """Neither old nor new: whoever made it hears of it at once."""
    with pytest.raises(AssertionError, match="tells of an entity"):
        _ = Change(seq=1, at=BASE, old=None, new=None).kind


def test_two_sights_are_alike_but_for_when_they_were_confirmed(floor: Floor) -> None:
    """A view that hides what changed must not tell that something did."""
    floor.agent_joins("1001", "support")
    one = floor.agent("1001")
    other = replace(one, confirmed_at=Instant(BASE + 5))
    assert one != other
    assert alike(one, other)
    assert not alike(one, replace(other, reason="lunch"))
    assert not alike(one, None)
    assert alike(None, None)
    link = floor.store.pbxs[floor.pbx]
    assert alike(link, link)
    assert not alike(link, one)
