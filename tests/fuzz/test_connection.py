"""Mutated frames through the driver itself, with its socket, its timers and its tasks."""

import asyncio
from random import Random

import pytest

from ctid.model.errors import LinkError
from ctid.state.invariants import violations
from ctid.state.store import Store
from ctid_asterisk import driver as rooms
from ctid_asterisk import snapshots
from ctid_asterisk.driver import AsteriskConnection, AsteriskDriver
from fuzz.frames import render
from fuzz.mutate import Mutator, Pools
from fuzz.seeds import message, scenes
from helpers.ami_server import AmiServer, ami_server, listing
from helpers.patience import until
from replay.wire import PBX

ROUNDS = 12


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the driver waits for in seconds comes at once."""
    monkeypatch.setattr(rooms, "RELOAD_S", 0.01)
    monkeypatch.setattr(rooms, "UNREADABLE_S", 0.01)
    monkeypatch.setattr(snapshots, "FENCE_S", 0.1)


@pytest.mark.parametrize("number", range(ROUNDS))
async def test_a_connection_ends_by_its_own_errors_alone(number: int) -> None:
    """Frames that are mutated, then bytes; what comes out of `facts` is facts, and at last a LinkError."""
    random = Random(f"connection/{number}")  # noqa: S311 - reproducible, no secret
    scene = random.choice(scenes())
    mutator = Mutator(random, Pools([scene]), 0.3)
    told = scene.listing(len(scene.events) // 2)
    store = Store()
    async with ami_server() as ami:
        for action in ("CoreShowChannels", "QueueStatus", "DeviceStateList", "Status", "BridgeList"):
            ami.says[action] = listing(f"{action}Complete", *[message(item) for item in told[action]])
        settings = {"port": ami.port, "username": "ctid", "secret": "s3cret"}
        connection = await AsteriskDriver(PBX, settings).connect()
        reading = asyncio.ensure_future(_read(connection, store))  # noqa: TID251 - the test is its owner
        try:
            await _say(ami, b"".join(render(frame) for frame in mutator.order(scene.events)))
            await _say(ami, b"".join(mutator.bytes_of(scene.events, 0.2)))
            await until(lambda: store.seq > 3 or reading.done(), what="changes")
            ami.hang_up()
            assert isinstance(await asyncio.wait_for(reading, 5.0), LinkError)
        finally:
            await connection.close()
            reading.cancel()
    assert violations(store) == []


async def _read(connection: AsteriskConnection, store: Store) -> LinkError:
    """Take facts until the link is lost; any other error is the test's."""
    try:
        async for batch in connection.facts():
            for fact in batch:
                store.apply(fact)
    except LinkError as error:
        return error
    raise AssertionError("it ended without an error")


async def _say(ami: AmiServer, data: bytes) -> None:
    """Send bytes, however they come to be cut."""
    writer = ami._writer
    assert writer is not None
    for at in range(0, len(data), 7001):
        if writer.is_closing():
            return
        writer.write(data[at : at + 7001])
        await asyncio.sleep(0)
