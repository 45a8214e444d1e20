"""What each role may read and write on a real mosquitto with the access list that is shipped."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import pytest

from ctid.api import asyncapi
from ctid.model.users import SUPERVISING_ROLES, UserRole
from ctid.publish.access import BusClient, readable
from e2e.mosquitto import ROLES, shipped_broker
from e2e.publishing import Broker

pytestmark = pytest.mark.lab

SITE = "ctid/main"
COMMANDS = "command/"


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Broker]:
    """A broker with the shipped files, which knows a user of each role."""
    broker = shipped_broker(tmp_path)
    broker.start()
    yield broker
    broker.kill()


@asynccontextmanager
async def connected(broker: Broker, user: str) -> AsyncIterator[aiomqtt.Client]:
    """A client that logs in as a user."""
    version = aiomqtt.ProtocolVersion.V5
    async with aiomqtt.Client(
        "127.0.0.1", broker.port, username=user, password=user, protocol=version
    ) as client:
        yield client


def topics() -> list[str]:
    """A topic of each channel of the bus, by the document that describes it, for a client of each role."""
    addresses = [channel["address"] for channel in asyncapi.document("1.0")["channels"].values()]
    found = []
    for address in addresses:
        path = address.split("/", 2)[2]
        for client in ROLES if "{client}" in path else ("",):
            named = path.replace("{client}", client)
            found.append("/".join("1001" if level.startswith("{") else level for level in named.split("/")))
    assert len(found) > 60
    return sorted({*found, "agents/1002"})


def _may_read(role: str, path: str) -> bool:
    client = BusClient(name=role, role=UserRole(role), agent="1001" if role == UserRole.AGENT else "")
    return any(aiomqtt.Topic(path).matches(pattern) for pattern in readable(client))


async def _told(client: aiomqtt.Client, until: str) -> set[str]:
    found: set[str] = set()
    async with asyncio.timeout(10):
        async for message in client.messages:
            if message.topic.value == until:
                return found
            found.add(message.topic.value.removeprefix(f"{SITE}/"))
    raise AssertionError


@pytest.mark.parametrize("role", ROLES)
async def test_reading(guarded: Broker, role: str) -> None:
    """Of everything that there is on the bus a client is sent what its role may read, and nothing else."""
    paths = [path for path in topics() if not path.startswith(COMMANDS)]
    last = f"{SITE}/reply/{role}/last"
    async with connected(guarded, "ctid") as daemon, connected(guarded, role) as client:
        await client.subscribe("#", qos=1)
        for path in paths:
            await daemon.publish(f"{SITE}/{path}", b"live", qos=1)
        await daemon.publish(last, b"", qos=1)
        live = await _told(client, last)
        for path in paths:
            await daemon.publish(f"{SITE}/{path}", b"kept", qos=1, retain=True)
        async with connected(guarded, role) as late:
            await late.subscribe("#", qos=1)
            await daemon.publish(f"{last}/again", b"", qos=1)
            kept = await _told(late, f"{last}/again") - {f"reply/{role}/last"}
    expected = {path for path in paths if _may_read(role, path)}
    assert live == expected
    assert kept == expected
    assert ("supervisions/1001" in live) is (UserRole(role) in SUPERVISING_ROLES)
    assert not any(path.startswith("reply/") and not path.startswith(f"reply/{role}") for path in live)


@pytest.mark.parametrize("role", ROLES)
async def test_writing(guarded: Broker, role: str) -> None:
    """A client may write its own commands; every other topic is refused, and nobody is told anything."""
    async with connected(guarded, "ctid") as daemon, connected(guarded, role) as client:
        await daemon.subscribe(f"{SITE}/#", qos=1)
        refused = set()
        for path in topics():
            try:
                await client.publish(f"{SITE}/{path}", b"forged", qos=1)
            except aiomqtt.MqttError:
                refused.add(path)
        await daemon.publish(f"{SITE}/last", b"", qos=1)
        arrived = await _told(daemon, f"{SITE}/last")
        assert arrived == {path for path in topics() if path.startswith(f"{COMMANDS}{role}/")}
        assert arrived


async def test_strangers(guarded: Broker) -> None:
    """Nobody connects without a name, or with a wrong password."""
    for user, password in ((None, None), ("admin", "guess"), ("nobody", "nobody")):
        with pytest.raises(aiomqtt.MqttError):
            async with aiomqtt.Client("127.0.0.1", guarded.port, username=user, password=password):
                pass
