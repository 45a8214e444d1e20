from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ctid.state.invariants import violations
from helpers.desk import Desk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk at which agent 1001 talks with a customer; the state's invariants hold at the end."""
    async with Desk(tmp_path) as desk:
        yield desk
        assert violations(desk.hub.store) == []
