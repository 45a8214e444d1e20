"""How many events a second ctid takes from AMI's bytes to its state, beside panoramisk's parse and dispatch.

ctid: bytes, session, normalizer, store, wired as in its driver and hub. panoramisk: its protocol's
`data_received`, and a manager with one callback for every event, in both forms that its examples show: a
function (examples/event_listener.py), and a coroutine (examples/event_listener_modern.py), for which it makes
a task an event. All get the same reads in turns, in one process. Times are the process's own (CPU seconds),
so that what else runs on the machine counts little.
"""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from panoramisk import Manager
from panoramisk.ami_protocol import AMIProtocol

from bench.figures import Report, Row, alternate, ratio_of
from bench.record import record
from bench.recording import Recording, Replay, load, name_of, repeat
from ctid.model.facts import Fact
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.state.changes import Occurrence, Update
from ctid.state.store import Store
from ctid_asterisk.lists import Lists
from ctid_asterisk.normalize import VARIABLES, Normalizer
from ctid_asterisk.resync import Resync
from ctid_asterisk.session import FENCE_VARIABLE, AmiSession, Credentials
from ctid_asterisk.session import Fact as WireEvent
from ctid_asterisk.wire import AmiReader, Message
from lab.rig import Rig

EVENTS = 20_000
"""In one sample, at least."""
PAIRS = 9
ALSO = frozenset({"VarSet", "Reload", "Shutdown", "FullyBooted"})
"""What the driver reads besides what the normalizer does."""


class Ctid:
    """ctid's way from bytes to state, without the sockets and the tasks."""

    def __init__(self, greeting: bytes) -> None:
        normalizer = Normalizer(PbxId("bench"))
        self.wanted = normalizer.wanted | ALSO
        self.store = Store()
        self.served = 0
        self.ended = 0
        self._resync = Resync(normalizer, lambda: ())
        self._session = AmiSession(
            Credentials("ctid", "secret", plain=True),
            wanted=self.wanted,
            variables=VARIABLES | {FENCE_VARIABLE},
        )
        self._session.start(0.0)
        for answer in (
            greeting,
            b"Response: Success\r\n\r\nEvent: FullyBooted\r\n\r\n",
            b"Response: Success\r\nActionID: ctid-2\r\nAsteriskVersion: 22.10.1\r\n\r\n",
        ):
            self._session.receive(answer, 0.0)
        assert self._session.ready
        self._resync.load(Lists([], [], [], []), Instant(0.0))
        for fact in self._resync.finish(Instant(0.0)):
            self.store.apply(fact)

    def read(self, data: bytes, now: float) -> list[Fact]:
        """Take in what the socket gave; returns the facts that it tells, as the driver hands them on."""
        at = Instant(now)
        facts: list[Fact] = []
        for out in self._session.receive(data, now):
            assert isinstance(out, WireEvent)
            facts += self._resync.receive(out.message, at)
        return facts

    def take(self, replay: Replay) -> None:
        """Take in every read, to the state."""
        for data, now in replay.reads:
            for fact in self.read(data, now):
                self._count(self.store.apply(fact))
            self._count(self.store.on_time(now))

    def _count(self, updates: list[Update]) -> None:
        for update in updates:
            if isinstance(update, Occurrence):
                self.served += update.name == "call_served"
            else:
                self.ended += update.new is None and update.kind == "call"

    @property
    def skipped(self) -> int:
        """Events that were not read."""
        return self._session.skipped


class _Transport(asyncio.Transport):
    """A connection that goes nowhere."""

    def write(self, data: Any) -> None:
        pass

    def close(self) -> None:
        pass


class Panoramisk:
    """panoramisk's way from bytes to one callback, a function's or, if `tasks`, a coroutine's."""

    def __init__(self, greeting: bytes, *, tasks: bool = False) -> None:
        self.events = 0
        self._loop = asyncio.new_event_loop()
        self._manager = Manager(loop=self._loop)
        self._tasks = tasks
        self._manager.register_event("*", self._in_task if tasks else self._on_event)
        protocol, transport = AMIProtocol(), _Transport()
        protocol.connection_made(transport)
        connected = self._loop.create_future()
        connected.set_result((transport, protocol))
        self._manager.connection_made(connected)
        self._protocol = protocol
        # Its buffer ends a block at an empty line, and the banner has none.
        protocol.data_received(greeting + b"\r\n")

    def _on_event(self, manager: Manager, message: Any) -> None:
        del manager, message
        self.events += 1

    async def _in_task(self, manager: Manager, message: Any) -> None:
        self._on_event(manager, message)

    def take(self, replay: Replay) -> None:
        """Take in every read; the tasks of one have run before the next comes."""
        if self._tasks:
            self._loop.run_until_complete(self._take_with_tasks(replay))
            return
        for data, _ in replay.reads:
            self._protocol.data_received(data)

    async def _take_with_tasks(self, replay: Replay) -> None:
        for data, _ in replay.reads:
            self._protocol.data_received(data)
            await asyncio.sleep(0)

    def close(self) -> None:
        """Let go of its event loop."""
        self._manager.close()
        self._loop.close()


def compare(label: str, recording: Recording, report: Report, aim: str) -> None:
    """Measure both on a recording, and add the figures."""
    replay = repeat(recording, EVENTS)
    prove(recording, replay)

    def ctid() -> float:
        taker = Ctid(replay.greeting)
        return _rate(replay, lambda: taker.take(replay))

    def panoramisk(*, tasks: bool) -> float:
        taker = Panoramisk(replay.greeting, tasks=tasks)
        try:
            return _rate(replay, lambda: taker.take(replay))
        finally:
            taker.close()

    columns = alternate(PAIRS, ctid, partial(panoramisk, tasks=False), partial(panoramisk, tasks=True))
    names = ("ctid", "panoramisk, function", "panoramisk, coroutine")
    ours, *theirs = (
        Row(f"{label}, {who}", "events/s", column) for who, column in zip(names, columns, strict=True)
    )
    report.rows += [ours, *theirs]
    report.ratios += [
        ratio_of(f"{label}, ctid / {name}", ours, row, aim)
        for name, row in zip(names[1:], theirs, strict=True)
    ]


def _rate(replay: Replay, work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return replay.events / (time.process_time() - began)


def prove(recording: Recording, replay: Replay) -> None:
    """See that both take in every event, and that ctid's state has made calls of them, which have ended."""
    ctid = Ctid(replay.greeting)
    ctid.take(replay)
    wanted = ctid.wanted - {"VarSet"}  # of which it reads its own variable's
    read = sum(name_of(block).decode() in wanted for block in recording.blocks)
    times = replay.events // len(recording.blocks)
    assert ctid.skipped == replay.events - times * read
    assert not ctid.store.calls, ctid.store.calls
    assert ctid.served == times * sum(name_of(block) == b"AgentComplete" for block in recording.blocks)
    assert ctid.ended >= ctid.served
    for tasks in (False, True):
        theirs = Panoramisk(replay.greeting, tasks=tasks)
        theirs.take(replay)
        assert theirs.events == replay.events
        theirs.close()


def stages(recording: Recording, report: Report) -> None:
    """Where ctid's time goes: each row does all that the one before does, and more."""
    replay = repeat(recording, EVENTS)
    wanted = Normalizer(PbxId("bench")).wanted

    def reader(*, everything: bool, fields: bool) -> Callable[[], float]:
        def measure() -> float:
            names = None if everything else wanted | ALSO
            variables = None if everything else frozenset({FENCE_VARIABLE})
            ami = AmiReader(wanted=names, variables=variables)
            ami.feed(replay.greeting)

            def take() -> None:
                for data, _ in replay.reads:
                    for message in ami.feed(data):
                        if fields and isinstance(message, Message):
                            assert message.fields

            return _rate(replay, take)

        return measure

    names = ("cut into blocks, unwanted ones skipped", "the same, wanted ones parsed", "every event parsed")
    columns = alternate(
        PAIRS,
        reader(everything=False, fields=False),
        reader(everything=False, fields=True),
        reader(everything=True, fields=True),
    )
    report.rows += [
        Row(f"ctid's reader alone, {name}", "events/s", c) for name, c in zip(names, columns, strict=True)
    ]


def run() -> Report:
    """Measure on the recording that is shipped, and on one made now on the rig; some 90 s."""
    report = Report(
        name="ingest", about="events from AMI's bytes to the state; panoramisk parses and dispatches"
    )
    with Rig.for_tests() as rig:
        fresh = asyncio.run(record(rig))
    wanted = Normalizer(PbxId("bench")).wanted
    for label, recording in (("five calls", load()), ("fresh calls", fresh)):
        few = recording.only(wanted)
        share = len(few.blocks) / len(recording.blocks)
        report.notes.append(f"{label}: {len(recording.blocks)} events, of which ctid reads {share:.0%}")
        compare(f"{label}, all events", recording, report, "10, at least 4")
        compare(f"{label}, only those ctid reads", few, report, "")
        all_of_ours = next(row for row in report.rows if row.what == f"{label}, all events, ctid")
        read = tuple(sample * share for sample in all_of_ours.samples)
        report.rows.append(Row(f"{label}, all events, ctid, counting what it reads", "events/s", read))
    stages(load(), report)
    return report
