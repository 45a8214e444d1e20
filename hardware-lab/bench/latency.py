"""From an event's last byte on AMI's socket to its message at a subscriber, at 20 calls a second.

Real calls on a real Asterisk: callers into a queue, some served, some who give up. ctid and a bare relay
(`bench.bare_relay`) run side by side, each behind a relay that notes when bytes pass; one subscriber of one
broker hears both. An event counts where both told it: of a caller's leg that entered a queue, gave up,
was connected with an agent, or was served.
"""

import json
import re
import sys
import time
from collections.abc import Callable
from itertools import accumulate

import uvloop

from bench.bare_relay import TOPIC
from bench.figures import Report, Row, ratio_of
from ctid.publish.connection import Connection
from ctid.publish.packets import Connect, Publish
from lab import daemon, sipp
from lab.cutter import Cutter
from lab.rig import Rig, Service

ROUNDS = 5
CALLS_PER_S = 20
CALLS = 300
"""In a round."""
TELLS = {
    "QueueCallerJoin": "queue.caller_queued",
    "QueueCallerAbandon": "queue.caller_abandoned",
    "AgentConnect": "queue.caller_answered",
    "AgentComplete": "queue.call_served",
}
"""Which event of ctid tells which of AMI, about the same caller's leg."""

Key = tuple[str, str]
"""AMI's name of an event, and the unique id of the caller's leg."""

_EVENT = re.compile(rb"^Event: ([A-Za-z]+)\r\n(.*?)\r\n\r\n", re.DOTALL | re.MULTILINE)
_LEG = re.compile(rb"^Uniqueid: ([0-9.]+)$", re.MULTILINE)


class Stamps:
    """When bytes passed on to a program, in pieces."""

    def __init__(self) -> None:
        self._pieces: list[tuple[float, bytes]] = []

    def add(self, data: bytes) -> None:
        """A piece has passed."""
        self._pieces.append((time.monotonic(), data))

    def events(self) -> dict[Key, float]:
        """When the last byte of each event passed that is in `TELLS` (monotonic, s)."""
        whole = b"".join(data for _, data in self._pieces)
        ends = list(accumulate(len(data) for _, data in self._pieces))
        found: dict[Key, float] = {}
        piece = 0
        for event in _EVENT.finditer(whole):
            name, leg = event[1].decode(), _LEG.search(event[2].replace(b"\r\n", b"\n"))
            while ends[piece] < event.end():
                piece += 1
            if name in TELLS and leg is not None:
                found[name, leg[1].decode()] = self._pieces[piece][0]
        return found


class Subscriber:
    """Hears both of the broker, and notes when; what it heard is read afterwards."""

    def __init__(self) -> None:
        self._heard: list[tuple[float, Publish]] = []

    def hear(self, message: Publish) -> None:
        """A message came."""
        self._heard.append((time.monotonic(), message))

    def events(self, root: str) -> dict[Key, float]:
        """When each event was heard, of ctid (below its root) or of the relay."""
        names = {told: name for name, told in TELLS.items()}
        found: dict[Key, float] = {}
        for at, message in self._heard:
            path, _, name = message.topic.rpartition("/")
            if path != root:
                continue
            if path == TOPIC and name in TELLS:
                found.setdefault((name, json.loads(message.payload).get("Uniqueid", "")), at)
            elif name in names:
                found.setdefault((names[name], json.loads(message.payload)["data"]["leg"]), at)
        return found


async def _round(rig: Rig) -> Subscriber:
    subscriber = Subscriber()
    hello = Connect(version="5", client="bench-subscriber", keep_alive_s=60)
    connection = Connection(hello, heard=subscriber.hear, settled=lambda *_: None, moved=lambda: None)
    await connection.open("127.0.0.1", rig.ports.mqtt, None)
    try:
        await connection.subscribe([("ctid/lab/events/+", 1), (f"{TOPIC}/+", 1)])
        load = sipp.Load(
            calls=CALLS,
            rate=CALLS_PER_S,
            at_once=100,
            caller_stays_s=(0.4, 1.5),
            callee_stays_s=(0.1, 0.4),
            ring_s=(0.05, 0.2),
            seconds=CALLS / CALLS_PER_S + 20,
        )
        outcome = await sipp.burst(rig, load)
        assert outcome.callers.made >= 0.9 * CALLS, outcome
    finally:
        await connection.close()
    return subscriber


def _relay(beside: Cutter) -> Callable[[Rig], Service]:
    """What `Rig` takes among its services: the bare relay, which reaches AMI through `beside`."""

    def make(rig: Rig) -> Service:
        beside.target = rig.ports.ami
        argv = [sys.executable, "-m", "bench.bare_relay", str(beside.port), str(rig.ports.mqtt)]
        environment = {"PYTHONPATH": daemon.PYTHON_PATH}
        return Service(
            name="relay", argv=argv, ready=lambda: beside.connections == 1, environment=environment
        )

    return make


def run() -> Report:
    """Measure; some 150 s."""
    report = Report(
        name="latency",
        about=f"from AMI's socket to a subscriber of a real mosquitto, at {CALLS_PER_S} calls a second",
    )
    columns: dict[str, list[float]] = {}
    for _ in range(ROUNDS):
        to_ctid, to_relay = Stamps(), Stamps()
        with (
            Cutter(told=to_ctid.add) as through,
            Cutter(told=to_relay.add) as beside,
            Rig.for_tests(services=(daemon.maker(through=through), _relay(beside))) as rig,
        ):
            heard = uvloop.run(_round(rig))
        told = {who: heard.events(root) for who, root in (("ctid", "ctid/lab/events"), ("relay", TOPIC))}
        passed = {"ctid": to_ctid.events(), "relay": to_relay.events()}
        both = [key for key in passed["relay"] if all(key in it for it in (*told.values(), passed["ctid"]))]
        assert len(both) > CALLS, (len(both), {who: len(it) for who, it in told.items()})
        for who in ("ctid", "relay"):
            samples = sorted(1000 * (told[who][key] - passed[who][key]) for key in both)
            for share, name in ((0.5, "p50"), (0.99, "p99")):
                columns.setdefault(f"{who}, {name}", []).append(samples[int(share * len(samples))])
        report.notes.append(f"{len(both)} events in a round that both told")
    rows = {name: Row(name, "ms", tuple(column)) for name, column in columns.items()}
    report.rows += rows.values()
    for name, aim in (("p50", ""), ("p99", "3 at most")):
        report.ratios.append(
            ratio_of(f"{name}, ctid / bare relay", rows[f"ctid, {name}"], rows[f"relay, {name}"], aim)
        )
    return report
