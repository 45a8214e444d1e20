import json
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from ctid.config import MqttConfig
from e2e import bus
from e2e.publishing import Broker, Floor
from helpers.patience import until

pytestmark = pytest.mark.lab

CONFIG = "homeassistant/device/ctid-lab/config"


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that forgets everything when it ends."""
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()


async def retained(broker: Broker, topic: str) -> bytes:
    """What is retained on a topic now; empty: nothing."""
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.subscribe([(topic, 1), ("$SYS/broker/version", 1)])
        found = b""
        async for message in client.messages:
            if message.topic.value == topic:
                found = bytes(message.payload)
            else:
                return found  # the broker tells its own topic last, as it was asked
    raise AssertionError("the broker told nothing")


async def becomes(broker: Broker, topic: str, *, there: bool) -> bytes:
    """Wait until something, or nothing, is retained on a topic."""
    found = b""

    async def is_so() -> bool:
        nonlocal found
        found = await retained(broker, topic)
        return bool(found) is there

    await until(is_so, within=20.0, what=f"{topic} {'has' if there else 'has no'} document")
    return found


async def test_switched_on_and_off(broker: Broker, tmp_path: Path) -> None:
    """On, Home Assistant finds the device, and its totals follow; off again, both are removed."""
    on = MqttConfig(url=broker.url, home_assistant=True)
    async with bus.watching(broker.port, tmp_path):
        async with Floor(broker, tmp_path, config=on) as floor:
            await floor.open("1001", "1002")
            await floor.settled()
            config = json.loads(await becomes(broker, CONFIG, there=True))
            assert "pbx_pbx1" in config["components"]
            assert "queue_support" in config["components"]
            await floor.call("c1")
            await floor.settled()

            async def counted() -> bool:
                told = json.loads(await retained(broker, "ctid/lab/totals") or b"{}")
                return (told.get("calls"), told.get("waiting")) == (1, 1)

            await until(counted, within=5.0, what="the call is counted")
        async with Floor(broker, tmp_path, "boot-2", config=MqttConfig(url=broker.url)) as floor:
            await until(lambda: bool(floor.status["connected"]), within=10.0)
            await becomes(broker, CONFIG, there=False)
            await becomes(broker, "ctid/lab/totals", there=False)
