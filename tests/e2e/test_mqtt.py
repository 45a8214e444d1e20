import asyncio
import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest

from ctid.config import MqttConfig
from ctid.config_secrets import Secret
from ctid.events.topics import EVENT_EXPIRY_S
from ctid.model.ids import AgentId
from ctid.publish import connection, own_tree
from e2e.publishing import (
    PROCESS,
    TOPICS,
    Broker,
    Floor,
    appears,
    reading,
    retained,
    split,
    tree_is_truth,
    until,
)
from lab.root import ensure_root

pytestmark = pytest.mark.lab


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
