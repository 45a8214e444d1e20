"""Events a second from the hub to a real mosquitto, beside aiomqtt awaiting one publication after the other.

ctid: facts of real queue calls go through hub, state and publisher, which encodes, keeps order, and publishes
events and retained documents at QoS 1. aiomqtt: the same events, encoded beforehand. In turns, on one broker.
"""

import asyncio
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import aiomqtt

from bench.figures import Report, Row, ratio_of
from bench.ingest import Ctid
from bench.recording import load, repeat
from ctid.clock import SystemClock
from ctid.config import MqttConfig
from ctid.events.documents import Documents
from ctid.events.telling import cloud_event, events_of
from ctid.events.topics import Topics
from ctid.hub import Hub
from ctid.publish.mqtt import MqttPublisher
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from lab.rig import Rig

PAIRS = 7
EVENTS = 15_000
"""Of the wire, for one sample; they make fewer facts, and those more updates."""
WAITING = 500
"""Events that may wait for the broker before more facts are fed."""
PATIENCE = 30.0


class Floor:
    """The facts of real queue calls, and the events that come of them."""

    def __init__(self) -> None:
        replay = repeat(load(), EVENTS)
        taker, store = Ctid(replay.greeting), Store()
        documents, topics = Documents("bench", "bench", numbers_in_full=False), Topics("beside", "bench")
        self.batches = [taker.read(data, now) for data, now in replay.reads]
        self.events = [
            (topics.event(event.name), cloud_event(event, documents))
            for batch in self.batches
            for fact in batch
            for update in store.apply(fact)
            for event in events_of(update, documents)
        ]
        """Topic and payload."""
        self.seq = store.seq


async def by_ctid(port: int, floor: Floor, site: str, state: Path) -> tuple[float, float]:
    """Events, and publications of any kind, a second: until the last event has arrived."""
    clock = SystemClock()
    hub = Hub(Store(), clock)
    config = MqttConfig(url=f"mqtt://127.0.0.1:{port}")
    publisher = MqttPublisher(hub, config, site, "bench", state, clock)
    owner = TaskOwner()
    owner.spawn("hub", hub.run())
    running = owner.spawn("publisher", publisher.run())
    try:
        await _until(lambda: bool(publisher.status()["connected"]), publisher)
        began, before = time.perf_counter(), publisher.status()["published"]
        for batch in floor.batches:
            await hub.feed(batch)
            await asyncio.sleep(0)  # feeding alone would not let the hub, nor its readers, take a turn
            await _until(lambda: publisher.status()["waiting"] < WAITING, publisher)
        await _until(lambda: hub.store.seq == floor.seq and not publisher.status()["waiting"], publisher)
        took = time.perf_counter() - began
        published = publisher.status()["published"] - before
        assert publisher.status()["dropped"] == 0
        assert published >= len(floor.events), publisher.status()
    finally:
        running.cancel()
        await owner.close()
    return len(floor.events) / took, published / took


async def _until(holds: Callable[[], bool], publisher: MqttPublisher) -> None:
    deadline = time.perf_counter() + PATIENCE
    while not holds():
        assert time.perf_counter() < deadline, publisher.status()
        await asyncio.sleep(0.001)


async def by_aiomqtt(port: int, events: Sequence[tuple[str, bytes]]) -> float:
    """Events a second, each awaited before the next."""
    async with aiomqtt.Client("127.0.0.1", port) as client:
        began = time.perf_counter()
        for topic, payload in events:
            await client.publish(topic, payload, qos=1)
        return len(events) / (time.perf_counter() - began)


async def _measure(port: int) -> Report:
    report = Report(name="mqtt", about="events to a real mosquitto on loopback at QoS 1, all acknowledged")
    floor = Floor()
    ours: list[tuple[float, float]] = []
    theirs: list[float] = []
    for index in range(PAIRS):
        with tempfile.TemporaryDirectory(prefix="ctid-bench-") as folder:
            ours.append(await by_ctid(port, floor, f"bench{index}", Path(folder)))
        theirs.append(await by_aiomqtt(port, floor.events))
    events, published = zip(*ours, strict=True)
    rows = [
        Row("ctid, from fact to acknowledgement", "events/s", events),
        Row("ctid, counting retained documents too", "messages/s", published),
        Row("aiomqtt, awaiting one at a time", "events/s", tuple(theirs)),
    ]
    report.rows += rows
    report.ratios.append(ratio_of("ctid / aiomqtt, events", rows[0], rows[2]))
    size = sum(len(payload) for _, payload in floor.events) / len(floor.events)
    report.notes.append(f"{len(floor.events)} events a sample, {size:.0f} bytes each")
    return report


def run() -> Report:
    """Measure; some 40 s."""
    with Rig.for_tests() as rig:
        return asyncio.run(_measure(rig.ports.mqtt))
