"""A PIN that is entered by keys."""

import pytest

from ctid_asterisk.pin import TRIES, PinEntry


@pytest.mark.parametrize("keys", ["4711", "08154711", "47*4711", "0#4711"])
def test_the_right_one(keys: str) -> None:
    """After a wrong one as well, and begun anew by a key that is no digit."""
    entry = PinEntry("4711")
    assert [entry.press(key) for key in keys][-1] is True


def test_the_last_wrong_one() -> None:
    """Is told as such; none before it is told as anything."""
    entry = PinEntry("4711")
    answers = [entry.press(key) for key in "0815" * TRIES]
    assert answers == [None] * (4 * TRIES - 1) + [False]
