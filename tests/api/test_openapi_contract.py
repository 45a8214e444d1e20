"""The OpenAPI document against a served floor: a quick look; the long one is on the lab."""

from pathlib import Path

from api.support import Floor, token_of
from contract.asking import ENDLESS, ask
from ctid.api import openapi
from ctid.api.context import Limits
from ctid.rates import Rate

WIDE = Rate(100_000.0, 100_000)
"""Whoever asks so often is one user, from one address."""


async def test_every_operation_does_as_the_document_says(tmp_path: Path) -> None:
    """What it allows is accepted, what it does not is refused, and all answers are as it promises."""
    async with Floor(Limits(commands=WIDE, reads=WIDE, failures=WIDE)) as floor:
        await floor.populate()
        await floor.supervise()
        await floor.raise_hand()
        await floor.coach()
        admin = token_of("admin")
        asked = await ask(
            floor.url, admin, admin, tmp_path, examples=1, within_s=100, phases="examples,coverage"
        )
    document = openapi.document("1")
    assert asked.operations == sum(len(path) for path in document["paths"].values()) - len(ENDLESS)
    assert asked.cases > 20 * asked.operations
