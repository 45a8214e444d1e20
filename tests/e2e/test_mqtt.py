import asyncio
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ctid.clock import SystemClock
from ctid.config import MqttConfig
from ctid.config_secrets import Secret
from ctid.events.documents import Documents
from ctid.events.topics import EVENT_EXPIRY_S, Topics
from ctid.hub import Hub
from ctid.model.facts import Fact, Leg, LegChanged, LegEnded, LinkUp, Member, MemberChanged, Snapshot
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LegState
from ctid.publish import connection, own_tree
from ctid.publish.mqtt import MqttPublisher
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from lab import processes
from lab.ports import free_ports
from lab.root import ensure_root

pytestmark = pytest.mark.lab

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


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that forgets everything when it ends."""
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def keeping_broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that keeps what it has over its end."""
    running = Broker(tmp_path, persist=True)
    running.start()
    yield running
    running.kill()


async def test_retained_tree_equals_the_store(broker: Broker, tmp_path: Path) -> None:
    """After the start and after changes, each entity has one document, equal to the store's; a call goes."""
    async with Floor(broker, tmp_path) as floor:
        await floor.open("1001", "1002")
        await tree_is_truth(broker, floor)
        await floor.pause("1001", "lunch")
        await floor.call("c1")
        await until(lambda: len(floor.hub.store.calls) == 1)
        await tree_is_truth(broker, floor)
        tree = await retained(broker)
        assert tree["ctid/lab/calls/pbx1.c1"]["parties"][0]["number"] == "********78"
        assert tree["ctid/lab/agents/1001"]["reason"] == "lunch"
        await floor.hang_up("c1")
        await until(lambda: not floor.hub.store.calls)
        await tree_is_truth(broker, floor)


async def test_last_document_is_told_before_the_topic_is_emptied(broker: Broker, tmp_path: Path) -> None:
    """A call's last event has the whole call, and its topic is emptied after that."""
    async with reading(broker, "ctid/lab/#") as reader, Floor(broker, tmp_path) as floor:
        await floor.open("1001")
        await floor.settled()
        await floor.call("c1")
        await floor.hang_up("c1")
        await until(lambda: not floor.hub.store.calls)
        topic = "ctid/lab/calls/pbx1.c1"
        await until(lambda: any(m.topic.value == topic and not m.payload for m in reader.messages))
        heard = [(m.topic.value, m.payload) for m in reader.messages]
        ended = next(n for n, (name, _) in enumerate(heard) if name == "ctid/lab/events/call.ended")
        emptied = next(n for n, (name, payload) in enumerate(heard) if name == topic and not payload)
        queued = next(n for n, (name, _) in enumerate(heard) if name == "ctid/lab/events/call.queued")
        assert queued < ended < emptied
        data = json.loads(heard[ended][1])["data"]
        assert (data["state"], data["id"]) == ("ended", "pbx1.c1")
        assert not any(m.retain for m in reader.messages if "/events/" in m.topic.value)


async def test_tree_is_true_again_after_the_broker_forgot(broker: Broker, tmp_path: Path) -> None:
    """A broker that comes back with nothing has the whole truth within a second of the reconnect."""
    async with Floor(broker, tmp_path) as floor:
        await floor.open("1001", "1002")
        await floor.call("c1")
        await floor.call("c2")
        await until(lambda: len(floor.hub.store.calls) == 2)
        await tree_is_truth(broker, floor)
        broker.kill()
        await until(lambda: not floor.status["connected"])
        await floor.hang_up("c1")
        await floor.pause("1002", "training")
        await until(lambda: len(floor.hub.store.calls) == 1)
        broker.start()
        await until(lambda: bool(floor.status["connected"]))
        await tree_is_truth(broker, floor, seconds=1.0)


async def test_outage_leaves_no_hole(keeping_broker: Broker, tmp_path: Path) -> None:
    """What happened while the broker was dead arrives in order without a hole in seq; what went, is gone."""
    broker = keeping_broker
    async with reading(broker) as reader, Floor(broker, tmp_path) as floor:
        await floor.open("1001", "1002")
        await floor.call("c1")
        await floor.settled()
        await tree_is_truth(broker, floor)
        # What the broker loses of its own is not at stake: it has handed out all, and saved the session.
        await until(lambda: reader.seqs()[-1:] == [floor.hub.store.seq])
        saved = tmp_path / "mosquitto.db"
        await until(lambda: saved.exists() and b"ctid/lab/events/#" in saved.read_bytes())
        broker.kill()
        await until(lambda: not floor.status["connected"])
        for number in range(300):
            await floor.pause("1001", f"reason {number}")
            if number % 3 == 0:
                await floor.call(f"while-away-{number}")
        await floor.hang_up("c1")
        await until(lambda: len(floor.hub.store.calls) == 100)
        await until(lambda: floor.status["outbox"] > 400)
        broker.start()
        await until(lambda: bool(floor.status["connected"]))
        await tree_is_truth(broker, floor, seconds=1.0)
        await floor.settled()
        last = floor.hub.store.seq
        await until(lambda: reader.seqs()[-1:] == [last])
        seqs = reader.seqs()
        assert seqs == list(range(seqs[0], last + 1))
        assert floor.status["dropped"] == 0
        await until(lambda: floor.status["outbox"] == 0)


async def test_slow_broker_gets_the_newest_documents(broker: Broker, tmp_path: Path) -> None:
    """A broker that stops for a while blocks nothing, and then gets the truth and every event in order."""
    async with reading(broker) as reader, Floor(broker, tmp_path) as floor:
        await floor.open("1001", "1002")
        await floor.settled()
        before = floor.status["published"]
        broker.send(signal.SIGSTOP)
        try:
            for number in range(1500):
                await floor.pause("1001", f"reason {number}")
            await until(lambda: floor.hub.store.agents[AgentId("1001")].reason == "reason 1499")
            await until(lambda: floor.status["outbox"] > 0)
            assert floor.status["connected"]
        finally:
            broker.send(signal.SIGCONT)
        await tree_is_truth(broker, floor)
        await floor.settled()
        last = floor.hub.store.seq
        await until(lambda: reader.seqs()[-1:] == [last])
        assert reader.seqs() == list(range(1, last + 1))
        events = floor.status["published"] - before
        assert 1500 <= events < 2000, "documents of one topic were not merged"


async def test_mute_broker_is_left(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broker that owes an acknowledgement for too long is left; back, it gets all that happened."""
    monkeypatch.setattr(connection, "ANSWER_S", 0.3)
    monkeypatch.setattr(connection, "CONNECT_S", 0.3)
    async with reading(broker) as reader, Floor(broker, tmp_path) as floor:
        await floor.open("1001")
        await floor.settled()
        broker.send(signal.SIGSTOP)
        try:
            await floor.pause("1001", "mute")
            await until(lambda: not floor.status["connected"])
            await floor.pause("1001", "still mute")
            await until(lambda: "no answer to CONNECT" in floor.status["reason"])
        finally:
            broker.send(signal.SIGCONT)
        await until(lambda: bool(floor.status["connected"]))
        await tree_is_truth(broker, floor)
        last = floor.hub.store.seq
        await until(lambda: reader.seqs()[-1:] == [last])
        assert reader.seqs() == list(range(1, last + 1))


async def test_killed_publisher_is_offline_and_its_leftovers_go(broker: Broker, tmp_path: Path) -> None:
    """After kill -9 the will says `offline`; the next run takes away what is no more, and says `online`."""
    arguments = (str(PROCESS), broker.url, str(tmp_path), "boot-0", "1001", "1009")
    child = await asyncio.create_subprocess_exec(sys.executable, *arguments)
    try:
        await appears(broker, "ctid/lab/agents/1009")
        status, _, boots = split(await retained(broker))
        assert (status["state"], boots) == ("online", {"boot-0"})
    finally:
        child.kill()
        await child.wait()
    deadline = time.monotonic() + 5
    while (status := (await retained(broker))[TOPICS.status])["state"] != "offline":
        assert time.monotonic() < deadline
    assert status["reason"] == "connection lost"
    async with Floor(broker, tmp_path) as floor:
        await until(lambda: bool(floor.status["connected"]))
        early = await retained(broker)
        assert "ctid/lab/agents/1001" in early, "it vanished before the PBX was heard"
        await floor.open("1001")
        await tree_is_truth(broker, floor)


async def test_thousands_of_leftovers_go(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More leftovers than a broker's queues hold are found and removed, even of a PBX that is never heard."""
    monkeypatch.setattr(own_tree, "LEFTOVERS_S", 0.2)
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        for number in range(5000):
            await client.publish(f"ctid/lab/calls/old.{number}", b'{"pbx": "old"}', qos=0, retain=True)
        await client.publish("ctid/lab/agents/9", b"no document", qos=1, retain=True)
        await client.publish("ctid/lab/pbx/old", b'{"schema": "ctid.pbx/1", "id": "old"}', qos=1, retain=True)
    async with Floor(broker, tmp_path) as floor:
        await floor.open("1001")
        await tree_is_truth(broker, floor, seconds=10)


async def test_orderly_stop_says_offline_and_keeps_events(broker: Broker, tmp_path: Path) -> None:
    """A stop says `offline` itself; events that a dead broker missed are delivered by the next run."""
    async with reading(broker) as reader:
        async with Floor(broker, tmp_path) as floor:
            await floor.open("1001")
            await floor.settled()
            last = floor.hub.store.seq
            await until(lambda: reader.seqs()[-1:] == [last])
        status, _, _ = split(await retained(broker))
        assert (status["state"], status["reason"]) == ("offline", "stopped")
        reader.messages.clear()
        state = tmp_path / "state"
        state.mkdir()
        dead = Broker(state)
        async with Floor(dead, state, "boot-2") as floor:
            await floor.open("1001")
        async with Floor(broker, state, "boot-3") as floor:
            await floor.settled()
            await until(lambda: {event["bootid"] for event in reader.events} == {"boot-2"})
            assert reader.seqs() == list(range(1, len(reader.seqs()) + 1))


async def test_late_will_is_put_right(broker: Broker, tmp_path: Path) -> None:
    """When someone else writes `offline` while ctid is there, ctid says `online` again."""
    async with Floor(broker, tmp_path) as floor:
        await floor.open("1001")
        await floor.settled()
        async with aiomqtt.Client("127.0.0.1", broker.port) as client:
            await client.publish(TOPICS.status, b'{"state": "offline"}', qos=1, retain=True)
        await tree_is_truth(broker, floor)


async def test_falls_back_to_older_version(tmp_path: Path) -> None:
    """A broker that refuses MQTT 5 is spoken to in 3.1.1, and has the same tree and events."""
    broker = Broker(tmp_path, versions="3, 4")
    broker.start()
    try:
        async with Floor(broker, tmp_path) as floor:
            await floor.open("1001")
            await until(lambda: bool(floor.status["connected"]))
            assert floor.status["protocol"] == "3.1.1"
            await tree_is_truth(broker, floor)
    finally:
        broker.kill()


async def test_five_alone_is_never_left(tmp_path: Path) -> None:
    """With `protocol = "5"` a broker that refuses it stays refused, and the status says why."""
    broker = Broker(tmp_path, versions="4")
    broker.start()
    try:
        async with Floor(broker, tmp_path, config=MqttConfig(url=broker.url, protocol="5")) as floor:
            await until(lambda: "rotocol version" in floor.status["reason"])
            assert not floor.status["connected"]
            assert floor.status["protocol"] == "5"
    finally:
        broker.kill()


async def test_what_is_told_beside_a_payload(broker: Broker, tmp_path: Path) -> None:
    """On MQTT 5: what it is, that it is text, its schema, run and number; an event's expiry as well."""
    async with reading(broker, "ctid/lab/#") as reader, Floor(broker, tmp_path) as floor:
        await floor.open("1001")
        await floor.settled()
        await until(lambda: any("/agents/" in m.topic.value for m in reader.messages))
        for message in reader.messages:
            told, is_event = message.properties, "/events/" in message.topic.value
            document = json.loads(message.payload)
            header = document["data"] if is_event else document
            boot_id = document["bootid"] if is_event else document["boot_id"]
            user = [("schema", header["schema"]), ("boot_id", boot_id), ("seq", str(document["seq"]))]
            assert getattr(told, "UserProperty", None) == user
            assert getattr(told, "PayloadFormatIndicator", None) == 1
            kind = "application/cloudevents+json" if is_event else "application/json"
            assert getattr(told, "ContentType", None) == kind
            left = getattr(told, "MessageExpiryInterval", None)
            assert (0 < left <= EVENT_EXPIRY_S) if left is not None else not is_event


async def test_a_broker_that_refuses_is_told_of(tmp_path: Path) -> None:
    """An access list that lets ctid write nothing: each refusal is counted, and none taken for an arrival."""
    (tmp_path / "acl").write_text("topic read #\ntopic readwrite fence\n")
    broker = Broker(tmp_path, more=(f"acl_file {tmp_path}/acl",))
    broker.start()
    try:
        async with Floor(broker, tmp_path) as floor:
            await floor.open("1001")
            await until(lambda: floor.status["refused"] > 0)
            await floor.settled()
            assert floor.status["published"] == 0
            assert await retained(broker) == {}
    finally:
        broker.kill()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - the tests name the program


def _certificate(folder: Path) -> tuple[str, ...]:
    """Make a certificate for 127.0.0.1 that vouches for itself; returns the broker's lines for it."""
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=lab"
    where = f"-addext subjectAltName=IP:127.0.0.1 -keyout {folder}/key.pem -out {folder}/cert.pem"
    _run(*command.split(), *where.split())
    return (f"certfile {folder}/cert.pem", f"keyfile {folder}/key.pem")


# paho leaves the socket of a failed handshake to the collector, which closes it with a warning.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <ssl.SSLSocket")
async def test_tls_wants_a_certificate_that_is_trusted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With `mqtts://` the broker's certificate is checked: unknown it is refused, trusted it is taken."""
    broker = Broker(tmp_path, more=_certificate(tmp_path))
    broker.start()
    config = MqttConfig(url=broker.url.replace("mqtt:", "mqtts:"))
    try:
        async with Floor(broker, tmp_path, config=config) as floor:
            await until(lambda: "CERTIFICATE_VERIFY_FAILED" in floor.status["reason"])
        gc.collect()
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        async with Floor(broker, tmp_path, config=config) as floor:
            await floor.open("1001")
            await floor.settled()
            assert floor.status["connected"]
    finally:
        broker.kill()


async def test_password_is_wanted_and_given(tmp_path: Path) -> None:
    """A broker that wants a password refuses a wrong one, which the status says, and takes the right one."""
    passwords = tmp_path / "passwords"
    _run(*ensure_root().command("mosquitto_passwd"), "-b", "-c", str(passwords), "ctid", "right")
    broker = Broker(tmp_path, more=("allow_anonymous false", f"password_file {passwords}"))
    broker.start()
    try:
        for password, word in (("wrong", "ot authorized"), ("right", "")):
            config = MqttConfig(url=broker.url, username="ctid", password=Secret(password))
            async with Floor(broker, tmp_path, config=config) as floor:
                await until(lambda: floor.status["connected"] is not bool(word))  # noqa: B023 - awaited here
                await until(lambda: word in floor.status["reason"])  # noqa: B023 - the same
    finally:
        broker.kill()
