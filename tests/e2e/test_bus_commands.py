"""Commands by MQTT on a real broker, with the access list that is shipped: who may publish as whom."""

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from api.support import CALL, Floor
from ctid.api.bus import BusCarrier
from ctid.clock import SystemClock
from ctid.config import MqttConfig
from ctid.config_secrets import Secret
from ctid.model.ids import AgentId
from ctid.publish.mqtt import MqttPublisher
from ctid.tasks import TaskOwner
from e2e.publishing import Broker
from helpers.patience import until
from lab.config import CHECKOUT

pytestmark = pytest.mark.lab

ANNA, PAUL = "a supervisor", "a viewer"
"""Users of the broker, by the names of their tokens."""
USERS = ("ctid", ANNA, PAUL)
COMMAND = f"ctid/lab/command/{ANNA}"
REPLY = f"ctid/lab/reply/{ANNA}"
PAUSE = f"{COMMAND}/agents.pause"


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
    """A floor with its API, and the publisher on that broker that takes commands for it."""

    def __init__(self, broker: Broker, folder: Path, floor: Floor, protocol: Any = "auto") -> None:
        self.broker = broker
        self.floor = floor
        config = MqttConfig(
            url=broker.url, username="ctid", password=Secret("ctid"), commands=True, protocol=protocol
        )
        self.publisher = MqttPublisher(floor.hub, config, "lab", "boot", folder, SystemClock())
        self.publisher.serve(BusCarrier(floor.door))

    async def connected(self) -> None:
        """Wait until the broker is there, and the tree on it."""
        await until(lambda: bool(self.publisher.status()["connected"]), within=10.0, what="connected")

    @property
    def is_five(self) -> bool:
        """Whether ctid and the broker speak MQTT 5."""
        return bool(self.publisher.status()["protocol"] == "5")

    def client(
        self, user: str, protocol: aiomqtt.ProtocolVersion = aiomqtt.ProtocolVersion.V5
    ) -> aiomqtt.Client:
        """A client that logs in as a user."""
        return aiomqtt.Client("127.0.0.1", self.broker.port, username=user, password=user, protocol=protocol)

    def carried(self) -> dict[tuple[str, int], int]:
        """How many commands came by the bus, by operation and status."""
        counts = self.floor.door.requests.counts
        return {(name, status): times for (by, name, status), times in counts.items() if by == "mqtt"}


@pytest.fixture(params=["5", "3.1.1"])
async def desk(guarded: Broker, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Desk]:
    """A desk that is connected, by either version of MQTT."""
    state = tmp_path / "state"
    state.mkdir()
    owner = TaskOwner()
    async with Floor() as floor:
        await floor.populate()
        desk = Desk(guarded, state, floor, request.param)
        owner.spawn("publisher", desk.publisher.run())
        await desk.connected()
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


def pause_of(floor: Floor) -> tuple[bool, str]:
    """Whether 1001 is paused in her queue, and why."""
    (queue,) = floor.hub.store.agents[AgentId("1001")].queues
    return queue.paused, queue.paused_reason


def document_of(message: aiomqtt.Message) -> Any:
    """What a message says."""
    return json.loads(bytes(message.payload))


async def test_a_command_and_its_answer(desk: Desk) -> None:
    """Carried out with the rights of whom the broker let publish; answered where she asked, to her alone."""
    async with desk.client(ANNA) as anna, desk.client(PAUL) as paul:
        await anna.subscribe(f"{REPLY}/#", qos=1)
        await paul.subscribe("ctid/lab/reply/#", qos=1)
        body = json.dumps({"id": 7, "params": {"id": "1001", "reason": "lunch"}})
        told = properties(ResponseTopic=f"{REPLY}/a", CorrelationData=b"\x00\x07")
        await anna.publish(PAUSE, body, qos=1, properties=told)
        reply = await reply_of(anna)
        answer = document_of(reply)
        assert (answer["schema"], answer["id"], answer["status"]) == ("ctid.reply/1", 7, 200)
        assert answer["result"]["agent"]["id"] == "1001"
        assert not reply.retain
        if desk.is_five:
            assert reply.topic.value == f"{REPLY}/a"
            assert getattr(reply.properties, "CorrelationData", b"") == b"\x00\x07"
        else:
            assert reply.topic.value == REPLY
        assert pause_of(desk.floor) == (True, "lunch")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.3):
                await anext(aiter(paul.messages))


async def test_a_client_of_the_older_version(desk: Desk) -> None:
    """It pairs the answer by the id, and has all that the other has."""
    async with desk.client(ANNA, aiomqtt.ProtocolVersion.V311) as anna:
        await anna.subscribe(REPLY, qos=1)
        await anna.publish(f"{COMMAND}/calls.get", json.dumps({"id": "x", "params": {"id": CALL}}), qos=1)
        answer = document_of(await reply_of(anna))
        assert (answer["id"], answer["status"], answer["result"]["id"]) == ("x", 200, CALL)


async def test_what_is_refused(desk: Desk) -> None:
    """By the state, by the role, by its name, by its form, by its way: as over HTTP, and nothing is done."""
    seq = desk.floor.hub.store.seq
    async with desk.client(ANNA) as anna, desk.client(PAUL) as paul:
        await anna.subscribe(REPLY, qos=1)
        await paul.subscribe(f"ctid/lab/reply/{PAUL}", qos=1)
        body = json.dumps({"id": 1, "params": {"id": "none", "reason": "lunch"}})
        await anna.publish(PAUSE, body, qos=1)
        http = await desk.floor.request("POST", "/api/v1/agents/none/pause", json={"reason": "lunch"})
        problem = document_of(await reply_of(anna))["problem"]
        assert problem == http.json
        assert problem["code"] == "agent.unknown"

        await paul.publish(f"ctid/lab/command/{PAUL}/agents.pause", body, qos=1)
        role = document_of(await reply_of(paul))
        assert (role["id"], role["status"], role["problem"]["code"]) == (1, 403, "auth.forbidden")

        await anna.publish(f"{COMMAND}/agents.dance", b"{}", qos=1)
        assert document_of(await reply_of(anna))["problem"]["code"] == "request.operation_unknown"
        await anna.publish(PAUSE, b"no json", qos=1)
        assert document_of(await reply_of(anna))["problem"]["code"] == "request.invalid"
        if desk.is_five:
            told = properties(ResponseTopic="ctid/lab/agents/1001")
            await anna.publish(PAUSE, body, qos=1, properties=told)
            assert document_of(await reply_of(anna))["status"] == 400
    assert desk.floor.hub.store.seq == seq


async def test_a_key(desk: Desk) -> None:
    """What comes again with its key is not done again, and says so."""
    async with desk.client(ANNA) as anna:
        await anna.subscribe(REPLY, qos=1)
        body = json.dumps({"key": "k1", "params": {"id": "1002", "queues": ["sales"]}})
        await anna.publish(f"{COMMAND}/agents.login", body, qos=1)
        first = document_of(await reply_of(anna))
        seq = desk.floor.hub.store.seq
        await anna.publish(f"{COMMAND}/agents.login", body, qos=1)
        again = document_of(await reply_of(anna))
        assert again == first | {"replayed": True}
        assert desk.floor.hub.store.seq == seq


async def test_nobody_commands_as_another(desk: Desk) -> None:
    """The broker's access list lets a user publish under his own name alone; nothing reaches the daemon."""
    async with desk.client(PAUL) as paul, desk.client(ANNA) as anna:
        for topic in (PAUSE, "ctid/lab/command/+/agents.pause", REPLY, "ctid/lab/help/h1"):
            try:
                await paul.publish(topic, b"{}", qos=1)
            except (aiomqtt.MqttError, ValueError):
                continue  # MQTT 5 brokers may say so; 3.1.1 has no word for it
        await anna.subscribe(REPLY, qos=1)
        await anna.publish(f"{COMMAND}/status.get", b'{"id": "mine"}', qos=1)
        assert document_of(await reply_of(anna))["id"] == "mine"  # whatever Paul sent came before it
    assert desk.carried() == {("status.get", 200): 1}


async def test_a_retained_command(guarded: Broker, tmp_path: Path) -> None:
    """One that waits at the broker, or comes while ctid listens, is refused, and nothing is done."""
    async with Floor() as floor:
        await floor.populate()
        desk, owner = Desk(guarded, tmp_path, floor), TaskOwner()
        async with desk.client(ANNA) as anna:
            await anna.subscribe(REPLY, qos=1)
            body = json.dumps({"id": 1, "params": {"id": "1001", "reason": "lunch"}})
            await anna.publish(PAUSE, body, qos=1, retain=True)
            owner.spawn("publisher", desk.publisher.run())
            await desk.connected()
            assert desk.is_five
            await anna.publish(PAUSE, body.replace("1,", "2,", 1), qos=1, retain=True)
            await anna.publish(PAUSE, b"", qos=1, retain=True)  # which takes it away
            answers = [document_of(await reply_of(anna)) for _ in range(3)]
            assert [answer.get("id") for answer in answers] == [1, 2, None]
            for answer in answers:
                assert answer["problem"]["code"] == "request.invalid"
                assert "must not be retained" in answer["problem"]["detail"]
        assert pause_of(floor) == (False, "")
        await owner.close()
    guarded.kill()
