"""TLS and client certificates on a real mosquitto with the files that are shipped."""

import shutil
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiomqtt
import msgspec
import pytest

from ctid.config import MqttConfig
from e2e.mosquitto import Authority, shipped_broker
from e2e.publishing import Broker, Floor, until

pytestmark = pytest.mark.lab


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[Broker]:
    """A broker that wants a client certificate, and whose name `localhost` stands in its own."""
    authority = Authority(tmp_path)
    authority.issue("server", "broker", "localhost")
    authority.issue("ctid", "ctid")
    authority.issue("viewer", "viewer")
    authority.issue("old", "ctid", days=-1)
    Authority(tmp_path, "foreign").issue("forged", "ctid")
    broker = shipped_broker(tmp_path, tls=True)
    broker.start()
    yield broker
    broker.kill()


def config_of(broker: Broker, folder: Path, name: str = "ctid") -> MqttConfig:
    """The daemon's configuration with a certificate of the folder."""
    files = {"tls_ca": "ca.crt", "tls_cert": f"{name}.crt", "tls_key": f"{name}.key"}
    return MqttConfig(url=broker.url, **{key: str(folder / file) for key, file in files.items()})  # type: ignore[arg-type]  # all of them are texts


@asynccontextmanager
async def client(broker: Broker, folder: Path, name: str) -> AsyncIterator[aiomqtt.Client]:
    """Another client, with a certificate of the folder."""
    context = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    context.load_cert_chain(folder / f"{name}.crt", folder / f"{name}.key")
    async with aiomqtt.Client("localhost", broker.port, tls_context=context) as connected:
        yield connected


async def test_certificates_instead_of_passwords(secured: Broker, tmp_path: Path) -> None:
    """The common name is the user: ctid publishes as `ctid`, a viewer reads as one and forges nothing."""
    async with Floor(secured, tmp_path, config=config_of(secured, tmp_path)) as floor:
        await floor.open("1001")
        await floor.settled()
        assert floor.status["protocol"] == "5"
        async with client(secured, tmp_path, "viewer") as viewer:
            await viewer.publish("ctid/lab/agents/1001", b"forged", qos=1, retain=True)
            await viewer.subscribe("ctid/lab/agents/1001")
            message = await anext(aiter(viewer.messages))
            assert b'"ctid.agent/1"' in bytes(message.payload)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"tls_cert": "", "tls_key": ""}, "mqtt.tls_cert"),
        ({"tls_ca": "foreign.crt"}, "name the authority's certificate in mqtt.tls_ca"),
        ({"tls_ca": ""}, "mqtt.tls_ca"),
        ({"url": "mqtts://127.0.0.1"}, "it is not for that address"),
        ({"url": "mqtt://localhost"}, "it may want TLS"),
        ({"tls_cert": "forged.crt", "tls_key": "forged.key"}, "mqtt.tls_cert"),
        ({"tls_cert": "old.crt", "tls_key": "old.key"}, "mqtt.tls_cert"),
        ({"tls_cert": "gone.crt"}, "gone.crt"),
        ({"tls_key": "viewer.key"}, "mqtt.tls_cert, mqtt.tls_key"),
    ],
)
async def test_what_is_wrong_is_told_with_its_cure(
    secured: Broker, tmp_path: Path, changes: dict[str, str], words: str
) -> None:
    """Each mistake of certificates is told by the status in words that name what to mend."""
    changed = {
        key: f"{value}:{secured.port}" if key == "url" else str(tmp_path / value) if value else ""
        for key, value in changes.items()
    }
    config = msgspec.structs.replace(config_of(secured, tmp_path), **changed)
    async with Floor(secured, tmp_path, config=config) as floor:
        await until(lambda: floor.status["reason"] != "not connected yet")
        assert words in floor.status["reason"]
        assert not floor.status["connected"]


async def test_server_that_has_expired(tmp_path: Path) -> None:
    """The broker's own certificate is over."""
    authority = Authority(tmp_path)
    authority.issue("server", "broker", "localhost", days=-1)
    authority.issue("ctid", "ctid")
    broker = shipped_broker(tmp_path, tls=True)
    broker.start()
    try:
        async with Floor(broker, tmp_path, config=config_of(broker, tmp_path)) as floor:
            await until(lambda: "it has expired" in floor.status["reason"])
    finally:
        broker.kill()


async def test_a_renewed_certificate_is_taken_at_the_next_connection(secured: Broker, tmp_path: Path) -> None:
    """Files are read anew: no restart after one that had expired is replaced."""
    for end in ("crt", "key"):
        shutil.copy(tmp_path / f"old.{end}", tmp_path / f"mine.{end}")
    async with Floor(secured, tmp_path, config=config_of(secured, tmp_path, "mine")) as floor:
        await until(lambda: "mqtt.tls_cert" in floor.status["reason"])
        for end in ("crt", "key"):
            shutil.copy(tmp_path / f"ctid.{end}", tmp_path / f"mine.{end}")
        await until(lambda: bool(floor.status["connected"]))
