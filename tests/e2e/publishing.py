"""A publisher on a floor of facts, a broker of its own, and who reads there."""

import asyncio
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiomqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ctid.clock import SystemClock
from ctid.config import MqttConfig
from ctid.events.documents import Documents
from ctid.events.topics import Topics
from ctid.hub import Hub
from ctid.model.facts import Fact, Leg, LegChanged, LegEnded, LinkUp, Member, MemberChanged, Snapshot
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LegState
from ctid.publish.mqtt import MqttPublisher
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from lab import processes
from lab.ports import free_ports
from lab.root import ensure_root

PBX = PbxId("pbx1")
SUPPORT = QueueId("support")
TOPICS = Topics("ctid", "lab")
PROCESS = Path(__file__).with_name("mqtt_publisher_process.py")


class Broker:
    """A mosquitto of the lab's root on a free port, which dies with the test."""

    def __init__(
        self, folder: Path, *, persist: bool = False, versions: str = "3, 4, 5", more: tuple[str, ...] = ()
    ) -> None:
        self.port = free_ports().mqtt
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._folder = folder
        self._log = folder / "mosquitto.out"
        self._conf = folder / "mosquitto.conf"
        lines = [
            f"listener {self.port} 127.0.0.1",
            f"accept_protocol_versions {versions}",
            "allow_anonymous true",
            f"persistence {str(persist).lower()}",
            f"persistence_location {folder}/",
            "autosave_on_changes true",
            "autosave_interval 1",
            "max_queued_messages 100000",
            "user root",
            *more,
        ]
        self._conf.write_text("\n".join(lines) + "\n")
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        root = ensure_root()
        command = [*root.command("mosquitto"), "-c", str(self._conf)]
        self._child, _ = processes.start(
            command, base=self._folder, log=self._log, environment=root.environment(), leashed=True
        )
        is_up = processes.wait_until(self._answers, 10.0)
        assert is_up, processes.tail(self._log)

    def _answers(self) -> bool:
        return "mosquitto version" in self._log.read_text() and _accepts(self.port)

    def send(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self._child is not None
        os.kill(self._child.pid, number)

    def kill(self) -> None:
        """Kill it as a crash would; idempotent."""
        if self._child is not None:
            self.send(signal.SIGKILL)
            self._child.wait(timeout=5)
            self._child = None


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Floor:
    """A hub that tests feed, with the publisher that follows it."""

    def __init__(
        self, broker: Broker, state: Path, boot_id: str = "boot-1", config: MqttConfig | None = None
    ) -> None:
        self.clock = SystemClock()
        self.hub = Hub(Store(), self.clock)
        config = config or MqttConfig(url=broker.url)
        self.publisher = MqttPublisher(self.hub, config, "lab", boot_id, state, self.clock)
        self.documents = Documents("lab", boot_id, numbers_in_full=False)
        self._owner = TaskOwner()

    async def __aenter__(self) -> Self:
        self._owner.spawn("hub", self.hub.run())
        self._owner.spawn("publisher", self.publisher.run())
        await until(lambda: bool(self.hub._subscriptions))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._owner.close()

    @property
    def status(self) -> dict[str, Any]:
        """The publisher's."""
        return self.publisher.status()

    async def feed(self, *facts: Fact) -> None:
        """Hand facts to the hub."""
        await self.hub.feed(facts)

    async def open(self, *agents: str) -> None:
        """Have the PBX connect with these agents."""
        at = Instant(self.clock.now())
        members = tuple(member(agent) for agent in agents)
        snapshot = Snapshot(pbx=PBX, at=at, legs=(), members=members, queues=(), devices=(), supervisions=())
        await self.feed(LinkUp(pbx=PBX, at=at, driver="test", version="1"), snapshot)
        await until(lambda: PBX in self.hub.store.pbxs and len(self.hub.store.agents) == len(agents))

    async def pause(self, agent: str, reason: str) -> None:
        """Have an agent pause."""
        changed = member(agent, paused=True, reason=reason)
        await self.feed(MemberChanged(pbx=PBX, at=Instant(self.clock.now()), member=changed))

    async def call(self, ident: str) -> None:
        """Have a caller wait in the queue."""
        at = Instant(self.clock.now())
        leg = Leg(
            id=LegId(ident),
            call=ident,
            created_at=at,
            incoming=True,
            state=LegState.CONNECTED,
            number="0612345678",
            queue=SUPPORT,
            position=1,
            queued_at=at,
            dialled="7000",
        )
        await self.feed(LegChanged(pbx=PBX, at=at, leg=leg))

    async def hang_up(self, ident: str) -> None:
        """End a call."""
        await self.feed(LegEnded(pbx=PBX, at=Instant(self.clock.now()), leg=LegId(ident)))

    async def settled(self) -> None:
        """Wait until the hub has eaten, and the broker has all of it."""
        await until(lambda: self.status["connected"] and not self.status["waiting"], 20.0)

    def truth(self) -> dict[str, dict[str, Any]]:
        """What is to be retained: each entity's fields by topic."""
        entities = self.hub.store.entities()
        documents = {
            TOPICS.entity(each): json.loads(self.documents.entity(each, 0, Instant(0))) for each in entities
        }
        return split(documents)[1]


def member(agent: str, *, paused: bool = False, reason: str = "") -> Member:
    """An agent of the queue."""
    return Member(
        queue=SUPPORT,
        agent=AgentId(agent),
        name=f"Agent {agent}",
        device=DeviceId(f"PJSIP_{agent}"),
        device_state=DeviceState.IDLE,
        paused=paused,
        reason=reason,
    )


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    """Wait for a condition."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.005)


async def retained(broker: Broker) -> dict[str, dict[str, Any]]:
    """What the broker retains below the site now, by topic."""
    found = {}
    async with aiomqtt.Client("127.0.0.1", broker.port, timeout=5) as client:
        await client.subscribe([("ctid/lab/#", 0), ("fence", 0)])
        await client.publish("fence", b"")
        async for message in client.messages:
            if message.topic.value == "fence":
                break
            if message.retain:
                found[message.topic.value] = _json(message.payload)
    return found


def _json(payload: bytes) -> dict[str, Any]:
    try:
        document: dict[str, Any] = json.loads(payload)
    except json.JSONDecodeError:
        return {}
    return document


def split(tree: dict[str, dict[str, Any]]) -> tuple[dict[str, Any], dict[str, dict[str, Any]], set[str]]:
    """The status, the entities' own fields, and the boot ids of the documents."""
    status = tree.pop(TOPICS.status, {"state": "none"})
    boots = {document.pop("boot_id", "none") for document in tree.values()}
    for document in tree.values():
        for name in ("schema", "seq", "at"):
            document.pop(name, None)
    return status, tree, boots


async def tree_is_truth(broker: Broker, floor: Floor, seconds: float = 5.0) -> None:
    """Wait until what is retained equals the store, document for document."""
    deadline = time.monotonic() + seconds
    while True:
        status, entities, boots = split(await retained(broker))
        truth = floor.truth()
        if entities == truth and boots <= {floor.documents.boot_id} and status["state"] == "online":
            return
        if time.monotonic() > deadline:
            assert entities == truth
            assert boots == {floor.documents.boot_id}
            assert status["state"] == "online"
        await asyncio.sleep(0.02)


async def appears(broker: Broker, topic: str) -> None:
    """Wait until something is retained at `topic`."""
    deadline = time.monotonic() + 10
    while topic not in await retained(broker):
        assert time.monotonic() < deadline, f"nothing appeared at {topic}"


class Reader:
    """A subscriber with a session that the broker keeps, and whatever it heard in order."""

    def __init__(self, broker: Broker, topic: str) -> None:
        self.messages: list[aiomqtt.Message] = []
        self.subscribed = asyncio.Event()
        self._broker = broker
        self._topic = topic

    async def run(self) -> None:
        """Read for ever, reconnecting at once."""
        keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        keep.SessionExpiryInterval = 3600
        while True:
            try:
                async with aiomqtt.Client(
                    "127.0.0.1",
                    self._broker.port,
                    identifier="reader",
                    protocol=aiomqtt.ProtocolVersion.V5,
                    clean_start=False,
                    properties=keep,
                    timeout=2,
                ) as client:
                    await client.subscribe(self._topic, qos=1)
                    self.subscribed.set()
                    async for message in client.messages:
                        self.messages.append(message)
            except aiomqtt.MqttError:
                await asyncio.sleep(0.02)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Events, each once (QoS 1 may repeat), in the order of their first arrival."""
        found: dict[str, dict[str, Any]] = {}
        for message in self.messages:
            event = json.loads(message.payload)
            found.setdefault(event["id"], event)
        return list(found.values())

    def seqs(self) -> list[int]:
        """The numbers of the events' updates, each once, in order."""
        return list(dict.fromkeys(event["seq"] for event in self.events))


@asynccontextmanager
async def reading(broker: Broker, topic: str = "ctid/lab/events/#") -> AsyncIterator[Reader]:
    """A reader that is subscribed."""
    owner = TaskOwner()
    reader = Reader(broker, topic)
    owner.spawn("reader", reader.run())
    await asyncio.wait_for(reader.subscribed.wait(), 5)
    try:
        yield reader
    finally:
        await owner.close()
