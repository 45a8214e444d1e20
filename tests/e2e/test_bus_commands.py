"""Commands by MQTT on a real broker, with the access list that is shipped: who may publish as whom."""

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ctid.clock import SystemClock
from ctid.config import MqttConfig
from ctid.config_secrets import Secret
from ctid.hub import Hub
from ctid.publish.intake import Outcome
from ctid.publish.mqtt import MqttPublisher
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from e2e.test_mqtt import Broker
from helpers.patience import until
from lab.config import CHECKOUT

pytestmark = pytest.mark.lab

USERS = ("ctid", "anna", "paul")
RAISE = "ctid/lab/command/anna/agents.help"


def _hashed(user: str) -> str:
    """A line of mosquitto's password file: PBKDF2 with SHA-512; the password is the name."""
    salt = os.urandom(12)
    digest = hashlib.pbkdf2_hmac("sha512", user.encode(), salt, 101)
    return f"{user}:$7$101${base64.b64encode(salt).decode()}${base64.b64encode(digest).decode()}"


@pytest.fixture
def guarded(tmp_path: Path) -> Broker:
    """A broker with the shipped access list, which knows three users."""
    passwords = tmp_path / "passwd"
    passwords.write_text("".join(f"{_hashed(user)}\n" for user in USERS))
    passwords.chmod(0o600)
    access = tmp_path / "acl"
    access.write_text((CHECKOUT / "config" / "mosquitto" / "ctid.acl").read_text())
    access.chmod(0o600)
    broker = Broker(
        tmp_path, more=("allow_anonymous false", f"password_file {passwords}", f"acl_file {access}")
    )
    broker.start()
    return broker


class Desk:
    """The publisher on that broker, and the commands that it has carried out."""

    def __init__(self, broker: Broker, folder: Path, protocol: Any = "auto") -> None:
        self.broker = broker
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []
        config = MqttConfig(
            url=broker.url, username="ctid", password=Secret("ctid"), commands=True, protocol=protocol
        )
        clock = SystemClock()
        self.hub = Hub(Store(), clock)
        self.publisher = MqttPublisher(self.hub, config, "lab", "boot", folder, clock)
        self.publisher.serve({"agents.help"}, self._carry_out)

    async def _carry_out(self, client: str, operation: str, params: Mapping[str, Any]) -> Outcome:
        self.asked.append((client, operation, params))
        return _Done()

    def client(
        self, user: str, protocol: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V5
    ) -> aiomqtt.Client:
        """A client that logs in as a user."""
        return aiomqtt.Client("127.0.0.1", self.broker.port, username=user, password=user, protocol=protocol)


class _Done:
    """What the desk answers."""

    status = 201
    body = b'{"id":"h1"}'


@pytest.fixture(params=["5", "3.1.1"])
async def desk(guarded: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """A desk that is connected, by either version of MQTT."""
    state = tmp_path / "state"
    state.mkdir()
    desk, owner = Desk(guarded, state, request.param), TaskOwner()
    owner.spawn("hub", desk.hub.run())
    owner.spawn("publisher", desk.publisher.run())
    await until(lambda: bool(desk.publisher.status()["connected"]), within=10.0, what="connected")
    yield desk
    await owner.close()
    guarded.kill()


def properties(**told: Any) -> Properties:
    """Properties of a publication."""
    made = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
    for name, value in told.items():
        setattr(made, name, value)
    return made


async def reply_of(client: aiomqtt.Client) -> aiomqtt.Message:
    """The next message that a client is sent."""
    async with asyncio.timeout(5):
        return await anext(aiter(client.messages))


async def test_a_command_and_its_answer(desk: Desk) -> None:
    """Carried out for the client whom the broker let publish; answered where she asked, to her alone."""
    async with desk.client("anna") as anna, desk.client("paul") as paul:
        await anna.subscribe("ctid/lab/reply/anna/#", qos=1)
        await paul.subscribe("ctid/lab/reply/#", qos=1)
        body = json.dumps({"id": 7, "params": {"id": "1001", "text": "he shouts"}})
        told = properties(ResponseTopic="ctid/lab/reply/anna/a", CorrelationData=b"\x00\x07")
        await anna.publish(RAISE, body, qos=1, properties=told)
        reply = await reply_of(anna)
        answer = {"schema": "ctid.reply/1", "id": 7, "status": 201, "result": {"id": "h1"}}
        assert json.loads(bytes(reply.payload)) == answer
        assert not reply.retain
        if desk.publisher.status()["protocol"] == "5":
            assert reply.topic.value == "ctid/lab/reply/anna/a"
            assert getattr(reply.properties, "CorrelationData", b"") == b"\x00\x07"
        else:
            assert reply.topic.value == "ctid/lab/reply/anna"
        assert desk.asked == [("anna", "agents.help", {"id": "1001", "text": "he shouts"})]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(aiter(paul.messages))


async def test_nobody_commands_as_another(desk: Desk) -> None:
    """The broker's access list lets a user publish under his own name alone; nothing reaches the daemon."""
    async with desk.client("paul") as paul, desk.client("anna") as anna:
        for topic in (RAISE, "ctid/lab/command/+/agents.help", "ctid/lab/reply/anna", "ctid/lab/help/h1"):
            try:
                await paul.publish(topic, b"{}", qos=1)
            except (aiomqtt.MqttError, ValueError):
                continue  # MQTT 5 brokers may say so; 3.1.1 has no word for it
        await anna.subscribe("ctid/lab/reply/anna", qos=1)
        await anna.publish(RAISE, b'{"id": "mine"}', qos=1)
        reply = await reply_of(anna)  # whatever Paul sent came before it
        assert json.loads(bytes(reply.payload))["id"] == "mine"
    assert [client for client, _, _ in desk.asked] == ["anna"]


async def test_what_is_not_carried_out(desk: Desk) -> None:
    """Another operation, what is no JSON, a foreign response topic."""
    async with desk.client("anna") as anna:
        await anna.subscribe("ctid/lab/reply/anna", qos=1)
        await anna.publish("ctid/lab/command/anna/agents.pause", b"{}", qos=1)
        assert (
            json.loads(bytes((await reply_of(anna)).payload))["problem"]["code"]
            == "request.operation_unknown"
        )
        await anna.publish(RAISE, b"no json", qos=1)
        assert json.loads(bytes((await reply_of(anna)).payload))["problem"]["code"] == "request.invalid"
        if desk.publisher.status()["protocol"] == "5":
            told = properties(ResponseTopic="ctid/lab/agents/1001")
            await anna.publish(RAISE, b"{}", qos=1, properties=told)
            assert json.loads(bytes((await reply_of(anna)).payload))["status"] == 400
    assert desk.asked == []


async def test_a_retained_command(guarded: Broker, tmp_path: Path) -> None:
    """One that waits at the broker when ctid connects is not carried out."""
    desk, owner = Desk(guarded, tmp_path), TaskOwner()
    async with desk.client("anna") as anna:
        await anna.publish(RAISE, b"{}", qos=1, retain=True)
        owner.spawn("hub", desk.hub.run())
        owner.spawn("publisher", desk.publisher.run())
        await until(lambda: bool(desk.publisher.status()["connected"]), within=10.0, what="connected")
        await anna.subscribe("ctid/lab/reply/anna", qos=1)
        await anna.publish(RAISE, b'{"id": 1}', qos=1)
        assert json.loads(bytes((await reply_of(anna)).payload))["id"] == 1
    assert len(desk.asked) == 1
    await owner.close()
    guarded.kill()
