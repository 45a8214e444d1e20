from collections.abc import AsyncIterator

import pytest

from api.support import Floor


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    """A populated floor."""
    async with Floor() as running:
        await running.populate()
        yield running
