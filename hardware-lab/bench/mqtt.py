"""Messages a second to a real mosquitto at QoS 1: of ctid, of its publisher alone, and of clients alone.

ctid: facts of real queue calls go through hub, state and publisher, which encodes, keeps order, and publishes
events and retained documents. The publisher: the updates that come of these facts, made beforehand. The
clients: retained messages of 300 bytes, ready to be sent; ctid's connection and gmqtt tell what MQTT 5 can
beside them. In turns, on one broker; all acknowledged.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import gmqtt
import uvloop
from gmqtt.storage import PersistentStorage

from bench.figures import Report, Row, ratio_of
from bench.ingest import Ctid
from bench.recording import load, repeat
from ctid.clock import SystemClock
from ctid.config import MqttConfig
from ctid.events.documents import Documents
from ctid.events.telling import cloud_event, events_of
from ctid.events.topics import Topics
from ctid.hub import Hub
from ctid.publish.connection import Connection
from ctid.publish.mqtt import MqttPublisher
from ctid.publish.packets import About, Connect, Publish
from ctid.state.changes import Update
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from lab.rig import Rig

PAIRS = 7
EVENTS = 15_000
"""Of the wire, for one sample; they make fewer facts, and those more updates."""
WAITING = 500
"""Events that may wait for the broker before more facts are fed."""
TOLD_AT_ONCE = 20
MESSAGES = 20_000
"""Of a client by itself, for one sample; the slow ones send fewer."""
PAYLOAD = bytes(300)
BESIDE = About(
    expiry_s=3600,
    content_type="application/json",
    text=True,
    user=(("schema", "ctid.agent/1"), ("boot_id", "0" * 32), ("seq", "123456")),
)
PATIENCE = 30.0


class Floor:
    """The facts of real queue calls, and the events that come of them."""

    def __init__(self) -> None:
        replay = repeat(load(), EVENTS)
        taker, store = Ctid(replay.greeting), Store()
        documents, topics = Documents("bench", "bench", numbers_in_full=False), Topics("beside", "bench")
        self.batches = [taker.read(data, now) for data, now in replay.reads]
        self.updates = [update for batch in self.batches for fact in batch for update in store.apply(fact)]
        self.events = [
            (topics.event(event.name), cloud_event(event, documents))
            for update in self.updates
            for event in events_of(update, documents)
        ]
        """Topic and payload."""
        self.seq = store.seq


class _Telling(Hub):
    """A hub that is given updates instead of facts."""

    async def tell(self, updates: Sequence[Update]) -> None:
        """Tell its readers."""
        await self._tell(updates)


async def by_ctid(port: int, floor: Floor, site: str, state: Path) -> tuple[float, float]:
    """Events, and publications of any kind, a second: until the last event has arrived."""
    hub = Hub(Store(), SystemClock())
    async with _publishing(hub, port, site, state) as publisher:
        running = TaskOwner()
        running.spawn("hub", hub.run())
        began, before = time.perf_counter(), publisher.status()["published"]
        for batch in floor.batches:
            await hub.feed(batch)
            await asyncio.sleep(0)  # feeding alone would not let the hub, nor its readers, take a turn
            await _until(lambda: publisher.status()["waiting"] < WAITING, publisher)
        await _until(lambda: hub.store.seq == floor.seq and not publisher.status()["waiting"], publisher)
        took = time.perf_counter() - began
        published = publisher.status()["published"] - before
        assert published >= len(floor.events), publisher.status()
        await running.close()
    return len(floor.events) / took, published / took


async def by_publisher(port: int, floor: Floor, site: str, state: Path) -> tuple[float, float]:
    """Publications of updates that are there, until the last has arrived: a second, and a CPU second."""
    hub = _Telling(Store(), SystemClock())
    async with _publishing(hub, port, site, state) as publisher:
        began, busy, before = time.perf_counter(), time.process_time(), publisher.status()["published"]
        for at in range(0, len(floor.updates), TOLD_AT_ONCE):
            await hub.tell(floor.updates[at : at + TOLD_AT_ONCE])
            await asyncio.sleep(0)
            await _until(lambda: publisher.status()["waiting"] < WAITING, publisher)
        await _until(
            lambda: (
                publisher.status()["published"] - before >= len(floor.events)
                and not publisher.status()["waiting"]
            ),
            publisher,
        )
        took, worked = time.perf_counter() - began, time.process_time() - busy
        published = publisher.status()["published"] - before
        return published / took, published / worked


@asynccontextmanager
async def _publishing(hub: Hub, port: int, site: str, state: Path) -> AsyncIterator[MqttPublisher]:
    config = MqttConfig(url=f"mqtt://127.0.0.1:{port}")
    publisher = MqttPublisher(hub, config, site, "bench", state, SystemClock())
    owner = TaskOwner()
    owner.spawn("publisher", publisher.run())
    try:
        await _until(lambda: bool(publisher.status()["connected"]), publisher)
        yield publisher
        assert publisher.status()["dropped"] == 0
    finally:
        await owner.close()


async def _until(holds: Callable[[], bool], publisher: MqttPublisher) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not holds():
        assert time.perf_counter() < deadline, publisher.status()
        await asyncio.sleep(0.001)


async def by_connection(port: int) -> float:
    """The connection of ctid by itself."""
    loop = asyncio.get_running_loop()
    moved, settled = asyncio.Event(), 0

    def count(*_: Any) -> None:
        nonlocal settled
        settled += 1

    hello = Connect(version="5", client="bench", keep_alive_s=60)
    connection = Connection(hello, heard=lambda _: None, settled=count, moved=moved.set)
    await connection.open("127.0.0.1", port, None)
    began, sent = loop.time(), 0
    while settled < MESSAGES:
        moved.clear()
        while connection.room and sent < MESSAGES:
            connection.publish(
                Publish(topic=_topic(sent), payload=PAYLOAD, qos=1, retain=True, about=BESIDE), None
            )
            sent += 1
        connection.flush()
        await moved.wait()
    rate = MESSAGES / (loop.time() - began)
    await connection.close()
    return rate


async def by_aiomqtt(port: int, at_once: int) -> float:
    """aiomqtt: each awaited, so many at a time."""
    count = MESSAGES // (2 if at_once > 1 else 8)
    async with aiomqtt.Client("127.0.0.1", port, max_inflight_messages=at_once) as client:
        client.pending_calls_threshold = 2 * at_once
        numbers = iter(range(count))

        async def publish() -> None:
            for number in numbers:
                await client.publish(_topic(number), PAYLOAD, qos=1, retain=True)

        began = time.perf_counter()
        await asyncio.gather(*[publish() for _ in range(at_once)])
        return count / (time.perf_counter() - began)


class _Counting(PersistentStorage):  # type: ignore[misc]  # it has no types
    """Where gmqtt keeps what is not acknowledged; the only place at which it tells that something is."""

    def __init__(self, removed: Callable[[], None]) -> None:
        super().__init__()
        self._removed = removed

    def remove_message_by_mid(self, mid: int) -> None:
        super().remove_message_by_mid(mid)
        self._removed()


async def by_gmqtt(port: int, at_once: int) -> float:
    """gmqtt: one more for each acknowledgement."""
    done = asyncio.get_running_loop().create_future()
    sent = acknowledged = 0

    def publish() -> None:
        nonlocal sent
        beside = {"message_expiry_interval": BESIDE.expiry_s, "content_type": BESIDE.content_type}
        client.publish(_topic(sent), PAYLOAD, qos=1, retain=True, user_property=list(BESIDE.user), **beside)
        sent += 1

    def one_more() -> None:
        nonlocal acknowledged
        acknowledged += 1
        if sent < MESSAGES:
            publish()
        elif acknowledged == MESSAGES:
            done.set_result(None)

    client = gmqtt.Client("bench-gmqtt", persistent_storage=_Counting(one_more))
    await client.connect("127.0.0.1", port, version=5)
    began = time.perf_counter()
    for _ in range(at_once):
        publish()
    await done
    rate = MESSAGES / (time.perf_counter() - began)
    client.stop_reconnect()
    await client.disconnect()
    return rate


def _topic(number: int) -> str:
    return f"ctid/bench/agents/{1000 + number % 100}"


async def _measure(port: int) -> Report:
    report = Report(name="mqtt", about="messages to a real mosquitto on loopback at QoS 1, all acknowledged")
    floor = Floor()
    columns: dict[str, list[float]] = {}
    for index in range(PAIRS):
        with tempfile.TemporaryDirectory(prefix="ctid-bench-") as folder:
            whole, publisher = Path(folder) / "whole", Path(folder) / "publisher"
            whole.mkdir()
            publisher.mkdir()
            events, messages = await by_ctid(port, floor, f"whole{index}", whole)
            told, worked = await by_publisher(port, floor, f"publisher{index}", publisher)
            taken = {
                "ctid, from fact to acknowledgement, events": events,
                "the same, with the retained documents": messages,
                "its publisher, from update to acknowledgement": told,
                "the same, in a second of its own CPU": worked,
            }
        taken |= {
            "300 bytes: ctid's connection": await by_connection(port),
            "300 bytes: gmqtt, 98 at a time": await by_gmqtt(port, 98),
            "300 bytes: aiomqtt, 20 at a time": await by_aiomqtt(port, 20),
            "300 bytes: aiomqtt, one at a time": await by_aiomqtt(port, 1),
        }
        for what, rate in taken.items():
            columns.setdefault(what, []).append(rate)
    rows = {what: Row(what, "messages/s", tuple(column)) for what, column in columns.items()}
    report.rows += rows.values()
    ours = rows["300 bytes: ctid's connection"]
    for what, row in rows.items():
        if what.startswith("300 bytes: ") and row is not ours:
            report.ratios.append(
                ratio_of(f"ctid's connection / {what.removeprefix('300 bytes: ')}", ours, row)
            )
    size = sum(len(payload) for _, payload in floor.events) / len(floor.events)
    report.notes.append(f"{len(floor.events)} events a sample of ctid, {size:.0f} bytes each")
    report.notes.append("aim: 20,000 messages a second at QoS 1")
    return report


def run() -> Report:
    """Measure; some 40 s."""
    with Rig.for_tests() as rig:
        return uvloop.run(_measure(rig.ports.mqtt))
