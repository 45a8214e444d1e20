from collections.abc import Iterator

import pytest

from ctid.state.invariants import violations
from ctid.state.store import Store
from helpers.floor import PROFILES, Floor


@pytest.fixture
def store() -> Iterator[Store]:
    """A store with the floor's profiles, whose invariants hold when the test is over."""
    store = Store(PROFILES)
    yield store
    assert violations(store) == []


@pytest.fixture
def floor(store: Store) -> Floor:
    """A floor whose link stands, and that nothing else has been told of yet."""
    floor = Floor(store)
    floor.link_up()
    return floor
