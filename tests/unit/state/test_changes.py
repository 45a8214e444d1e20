import pytest

from ctid.model.ids import PbxId
from ctid.state.changes import Change
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
