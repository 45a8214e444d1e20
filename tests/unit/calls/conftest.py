from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from helpers.acts_desk import ActsDesk


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[ActsDesk]:
    """Calls under command."""
    async with ActsDesk(tmp_path) as opened:
        yield opened
