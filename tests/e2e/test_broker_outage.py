"""The broker is killed under load: what is retained after its return, and what events come, in order."""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import aiomqtt
import msgspec
import pytest
from msgspec import Raw
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ctid.publish.connection import WINDOW
from ctid.tasks import TaskOwner
from helpers.api_client import Api
from helpers.patience import until
from lab import daemon, sipp
from lab.rig import Rig

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

OUTAGE_S = float(os.environ.get("CTID_OUTAGE_S", "30"))
BEFORE_S, AFTER_S = 4.0, 6.0
WITHIN_S = 5.0
"""For the tree to be true again, on a machine that has other things to do; how long it took is printed."""
CALLS_PER_S = 20
ROOT = "ctid/lab/"
KINDS = {"agents": "admin", "queues": "admin", "devices": "admin", "calls": "viewer"}
"""Folders that the API lists as well, and as whom: supervisors see a call's sessions, which the bus hides."""
HEADER = {"schema", "boot_id", "seq", "at"}

Fields = dict[str, Raw]


class Reader:
    """A subscriber with a session that the broker keeps, and the events that it was sent, with repeats."""

    def __init__(self, port: int) -> None:
        self.events: list[dict[str, Any]] = []
        self.is_there = asyncio.Event()
        self._port = port

    async def run(self) -> None:
        """Read for ever, back as soon as the broker is."""
        keep = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho has no types here
        keep.SessionExpiryInterval = 3600
        version = aiomqtt.ProtocolVersion.V5
        while True:
            try:
                async with aiomqtt.Client(
                    "127.0.0.1",
                    self._port,
                    identifier="reader",
                    protocol=version,
                    clean_start=False,
                    properties=keep,
                    timeout=2,
                ) as client:
                    await client.subscribe(f"{ROOT}events/#", qos=1)
                    self.is_there.set()
                    async for message in client.messages:
                        assert not message.retain
                        self.events.append(json.loads(bytes(message.payload)))
            except aiomqtt.MqttError:
                await asyncio.sleep(0.02)


@pytest.fixture
async def loaded() -> AsyncIterator[Rig]:
    """A rig with the daemon, whose broker keeps what it has over its end."""
    with Rig.for_tests(persist=True, services=(daemon.maker(),)) as rig:
        yield rig


async def retained(port: int) -> dict[str, Fields]:
    """What a client that comes now is told of entities, by path, with each field as it was written."""
    found: dict[str, Fields] = {}
    async with aiomqtt.Client("127.0.0.1", port, timeout=5) as client:
        await client.subscribe([*((f"{ROOT}{kind}/+", 0) for kind in KINDS), ("fence", 0)])
        await client.publish("fence", b"")
        async for message in client.messages:
            if message.topic.value == "fence":
                return found
            if message.retain:
                document = msgspec.json.decode(bytes(message.payload), type=Fields)
                found[message.topic.value.removeprefix(ROOT)] = document
    raise AssertionError


class _Page(msgspec.Struct):
    items: list[Fields]
    next: str | None = None


async def shown(apis: dict[str, Api]) -> dict[str, Fields]:
    """What the API lists, by the path that it has on the bus."""
    found: dict[str, Fields] = {}
    for kind, role in KINDS.items():
        api, cursor = apis[role], ""
        while True:
            url = f"{api.url}/api/v1/{kind}?limit=200{cursor}"
            async with api._http.get(url) as answer:
                assert answer.status == 200, await answer.text()
                page = msgspec.json.decode(await answer.read(), type=_Page)
            for item in page.items:
                found[f"{kind}/{msgspec.json.decode(item['id'])}"] = item
            if not page.next:
                break
            cursor = f"&cursor={page.next}"
    return found


def _apart(bus: Fields | None, api: Fields) -> str:
    """In what a document differs, byte for byte, from the fields that the API shows; empty: in nothing.

    An entity that is as it was is not told anew when the PBX confirms it: `confirmed_at` may be older.
    """
    if bus is None:
        return "missing"
    names = ((set(bus) - HEADER) | set(api)) - {"confirmed_at"}
    apart = [name for name in sorted(names) if bytes(bus.get(name, b"")) != bytes(api.get(name, b""))]
    return ", ".join(f"{name} {bytes(bus.get(name, b''))!r} {bytes(api.get(name, b''))!r}" for name in apart)


async def differences(port: int, apis: dict[str, Api]) -> list[str]:
    """The paths at which the bus told otherwise than the API did both before and after it."""
    before, told, after = await shown(apis), await retained(port), await shown(apis)
    steady = {path for path, item in before.items() if path in after and _alike(item, after[path])}
    wrong = [f"{path}: {_apart(told.get(path), before[path])}" for path in steady]
    wrong += [f"{path}: gone" for path in told if path not in before and path not in after]
    return sorted(each for each in wrong if not each.endswith(": "))


def _alike(one: Fields, other: Fields) -> bool:
    return {name: bytes(value) for name, value in one.items()} == {
        name: bytes(value) for name, value in other.items()
    }


async def calls_go_on(rig: Rig, seconds: float) -> sipp.Outcome:
    """Twenty callers a second into a queue: some are served, most give up soon."""
    load = sipp.Load(
        calls=round(CALLS_PER_S * seconds),
        rate=CALLS_PER_S,
        at_once=200,
        caller_stays_s=(0.4, 1.5),
        callee_stays_s=(0.1, 0.4),
        ring_s=(0.05, 0.2),
        seconds=seconds + 20,
    )
    return await sipp.burst(rig, load)


async def test_an_outage_of_the_broker_under_load(loaded: Rig) -> None:
    """After it the retained tree is soon the API's, and no event is missing, late or told anew.

    Twenty calls a second go on all the while. A subscriber with a session has every event, in order, and
    those that it has twice have one id. One that comes when the calls are over has the floor from what is
    retained alone, byte for byte as the API shows it.
    """
    rig, port, tokens = loaded, loaded.ports.mqtt, daemon.tokens_of(loaded)
    reader, tasks = Reader(port), TaskOwner()
    tasks.spawn("reader", reader.run())
    async with (
        Api(daemon.url_of(rig), tokens["admin"]) as admin,
        Api(daemon.url_of(rig), tokens["viewer"]) as viewer,
    ):
        apis = {"admin": admin, "viewer": viewer}
        await asyncio.wait_for(reader.is_there.wait(), 5)
        database = rig.paths.mosquitto / "mosquitto.db"
        await until(
            lambda: database.exists() and b"ctid/lab/events/#" in database.read_bytes(), 10.0, "session kept"
        )
        whole = asyncio.gather(calls_go_on(rig, BEFORE_S + OUTAGE_S + AFTER_S))
        began = time.monotonic()
        await until(lambda: time.monotonic() - began > BEFORE_S, BEFORE_S + 5, "calls go on")
        rig.kill("mosquitto")
        killed = time.monotonic()
        await until(lambda: time.monotonic() - killed > OUTAGE_S, OUTAGE_S + 5, "the broker is away")
        waiting = (await admin.get("/status"))["broker"]["waiting"]
        rig.restart("mosquitto")
        returned = time.monotonic()
        while wrong := await differences(port, apis):
            assert time.monotonic() - returned < WITHIN_S, wrong
        true_after = time.monotonic() - returned
        (outcome,) = await whole
        status = (await admin.get("/status"))["broker"]

        async def all_told() -> bool:
            broker = (await admin.get("/status"))["broker"]
            return bool(broker["connected"] and not broker["waiting"])

        await until(all_told, 30.0, "everything is told")
        last = await last_seq(port)
        await until(
            lambda: bool(reader.events) and reader.events[-1]["seq"] >= last, 30.0, "everything is heard"
        )
        late, listed = await retained(port), await shown(apis)
    await tasks.close()

    firsts = {event["id"]: event for event in reversed(reader.events)}
    events = [firsts[ident] for ident in dict.fromkeys(event["id"] for event in reader.events)]
    seqs = [event["seq"] for event in events]
    told = Counter(event["id"] for event in reader.events)
    repeats = sum(told.values()) - len(told)
    figures = f"{outcome.callers.made} calls, {len(events)} events, {waiting} waited, {repeats} repeats"
    print(f"\n{OUTAGE_S:g} s away: {figures}, true again after {true_after:.2f} s")  # noqa: T201 - for `-s`
    assert outcome.callers.made >= 0.9 * CALLS_PER_S * (BEFORE_S + OUTAGE_S + AFTER_S)
    assert waiting > 10 * OUTAGE_S
    assert status["dropped"] == 0
    assert {event["bootid"] for event in events} == {events[0]["bootid"]}
    assert seqs == sorted(seqs), "events came out of order"
    assert sorted(set(seqs)) == list(range(seqs[0], last + 1)), "events are missing"
    assert all(event == firsts[event["id"]] for event in reader.events), "an id stands for two events"
    assert repeats <= WINDOW
    assert set(late) == set(listed)
    assert {path: apart for path, item in listed.items() if (apart := _apart(late[path], item))} == {}


async def last_seq(port: int) -> int:
    """The number of the last update that a retained document tells."""
    return max(msgspec.json.decode(document["seq"], type=int) for document in (await retained(port)).values())
