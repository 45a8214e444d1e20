"""The OpenAPI document against ctid on the real Asterisk, as each role that matters to it."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from contract.asking import ENDLESS, LEFT_OUT, WITHOUT_TOKEN, ask
from ctid.api import openapi
from ctid.tasks import TaskOwner
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.patience import until
from lab import daemon
from lab.errors import PhoneError
from lab.phone_client import Phone
from lab.rig import Rig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(1800)]

EXAMPLES = int(os.environ.get("CTID_CONTRACT_EXAMPLES", "3"))
"""Of an operation, in a phase that draws them; more for a longer look."""
WITHIN_S = 240.0 + 20.0 * EXAMPLES


@pytest.fixture(scope="module")
def asked_rig() -> Iterator[Rig]:
    """A rig of its own: what is asked of it leaves its queues and its audit in no order."""
    with Rig.for_tests(services=(daemon.maker(ring_s=1.0),)) as running:
        yield running


@pytest.fixture
async def asked_floor(asked_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it."""
    async with floor_of(asked_rig, leave_quiet) as opened:
        yield opened


async def call_again(caller: Phone) -> None:
    """Have a customer call whenever what is asked has ended his call, for ever."""
    while True:
        try:
            await caller.dial("7000")
            await caller.wait_state("idle", within=WITHIN_S)
        except PhoneError:  # what was asked left nobody in the queue, or cut him off while it rang
            await asyncio.sleep(0.2)


async def talking(floor: Floor) -> bool:
    """Whether a call is connected."""
    return any(call["state"] == "connected" for call in (await floor.api.get("/calls"))["items"])


async def is_quiet(floor: Floor) -> bool:
    """Whether no call and no session is known."""
    return (
        not (await floor.api.get("/calls"))["items"] and not (await floor.api.get("/supervisions"))["items"]
    )


@pytest.mark.parametrize("role", ["admin", "viewer"])
async def test_every_operation_does_as_the_document_says(
    asked_floor: Floor, role: str, tmp_path: Path
) -> None:
    """What it allows is accepted, what it does not is refused, and all answers are as it promises.

    With calls that come and go, phones that answer, and commands that the PBX carries out or refuses; ctid
    does not fail, and in the end it knows no call, as the PBX does not.
    """
    rig, tokens = asked_floor.rig, daemon.tokens_of(asked_floor.rig)
    caller, *others = await asked_floor.phones.open("3001", "1001", "1002", "2001")
    for phone in others:
        await phone.auto_answer(0.1)
    always = TaskOwner()
    always.spawn("the customer", call_again(caller))
    try:
        await until(lambda: talking(asked_floor), within=20.0, what="a call goes on")
        asked = await ask(
            daemon.url_of(rig),
            tokens[role],
            tokens["admin"],
            tmp_path,
            examples=EXAMPLES,
            within_s=WITHIN_S,
            left_out=(*LEFT_OUT, *WITHOUT_TOKEN),
        )
    finally:
        await always.close()
    await caller.hangup()
    document = openapi.document("1")
    assert asked.operations == sum(len(path) for path in document["paths"].values()) - len(ENDLESS)
    assert asked.cases > 20 * asked.operations
    await until(lambda: is_quiet(asked_floor), within=20.0, what="no call is known")
    log = (rig.paths.log / "ctid.out").read_text()
    assert "failed unexpectedly" not in log
    assert "Traceback" not in log
