"""Races forced on a real Asterisk: its lists cut off or held back at a word, while calls begin and end."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Self

import pytest

from bench.ami import Tap
from ctid import link
from ctid.clock import SystemClock
from ctid.hub import Hub
from ctid.link import keep_linked
from ctid.model.entities import Agent
from ctid.model.errors import LinkError
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.words import AgentState, CallState, LinkState, SnapshotReason
from ctid.state.invariants import violations
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from ctid_asterisk.driver import AsteriskDriver
from helpers.patience import until
from lab.phone_client import Phone
from lab.phones import Phones
from lab.rig import Rig

pytestmark = pytest.mark.lab

LAB = PbxId("lab")
LATE_S = 10.0
WORDS = (
    "Event: QueueMember\r\n",
    "Event: CoreShowChannel\r\n",
    "Event: DeviceStateListComplete",
    "CTIDFENCE",
)
"""In the midst of the first list, of the second, at the end of a third, and before the fence is whole."""


class Gate:
    """A relay before AMI that waits for the PBX to say a word, and acts there; an async context manager."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._tasks = TaskOwner()
        self._server: asyncio.Server | None = None
        self._word = b""
        self._cuts = False
        self._open = asyncio.Event()
        self._open.set()
        self.heard = 0
        """How often a word came that was waited for."""
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        await self._tasks.close()

    def cut_at(self, word: str) -> None:
        """Break the connection off right after the next time the PBX says this, and let nobody in."""
        self._word, self._cuts = word.encode(), True

    def hold_at(self, word: str) -> None:
        """Pass nothing more on after the next time the PBX says this."""
        self._word, self._cuts = word.encode(), False

    def open(self) -> None:
        """Pass on what is held, and let new connections in."""
        self._open.set()

    async def was_heard(self) -> None:
        """Wait until the word was said."""
        await until(lambda: self.heard == 1, LATE_S, f"the PBX says {self._word!r}")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._open.wait()
        there, back = await asyncio.open_connection("127.0.0.1", self._target)
        over = asyncio.Event()
        self._tasks.spawn("to the pbx", self._pass(reader, back, over))
        self._tasks.spawn("from the pbx", self._listen(there, writer, over))
        await over.wait()
        for end in (writer, back):
            end.transport.abort()

    @staticmethod
    async def _pass(source: asyncio.StreamReader, sink: asyncio.StreamWriter, over: asyncio.Event) -> None:
        try:
            while data := await source.read(65_536):
                sink.write(data)
        except ConnectionError:
            pass  # whoever broke it off has ended it for both
        over.set()

    async def _listen(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, over: asyncio.Event
    ) -> None:
        tail = b""
        try:
            while data := await source.read(65_536):
                found = (tail + data).find(self._word) if self._word else -1
                if found >= 0:
                    here = found + len(self._word) - len(tail)
                    self._word = b""
                    self.heard += 1
                    self._open.clear()
                    sink.write(data[:here])
                    if self._cuts:
                        await sink.drain()
                        break
                    await self._open.wait()
                    data = data[here:]
                tail = data[-64:]
                sink.write(data)
        except ConnectionError:
            pass  # the same
        over.set()


class Desk:
    """What ctid knows by way of the gate."""

    def __init__(self, hub: Hub, gate: Gate) -> None:
        self.hub = hub
        self.gate = gate

    def agent(self, number: str = "1001") -> Agent | None:
        """An agent, as far as she is known."""
        return self.hub.store.agents.get(AgentId(number))

    def is_synchronized(self) -> bool:
        """Whether the link stands and all that is known is of now."""
        pbx = self.hub.store.pbxs.get(LAB)
        stale: list[str] = [agent.id for agent in self.hub.store.agents.values() if agent.stale]
        stale += [call.id for call in self.hub.store.calls.values() if call.stale]
        return (
            pbx is not None
            and pbx.state is LinkState.CONNECTED
            and pbx.synchronized_at is not None
            and not stale
        )

    def is_down(self) -> bool:
        """Whether the link is known to be lost."""
        pbx = self.hub.store.pbxs.get(LAB)
        return pbx is not None and pbx.state is LinkState.DOWN

    def state(self, number: str = "1001") -> AgentState | None:
        """The state of an agent, as far as she is known."""
        agent = self.agent(number)
        return agent.state if agent is not None else None

    async def agrees(self) -> None:
        """Assert that the PBX's lists find nothing else than what is known."""
        await self.hub.connection(LAB).resync(SnapshotReason.REQUEST)
        assert self.hub.store.drifts.total() == 0, self.hub.store.last_drift

    def talks(self) -> list[tuple[CallState, list[str]]]:
        """Each call with its state and the phones that are in it."""
        return [
            (call.state, sorted(str(party.device) for party in call.parties))
            for call in self.hub.store.calls.values()
        ]

    async def shows(self, holds: Callable[[], bool], what: str) -> None:
        """Wait until the state is as wanted, and fresh."""
        await until(lambda: self.is_synchronized() and holds(), LATE_S, f"{what}; calls: {self.talks()}")


@asynccontextmanager
async def linked(rig: Rig, gate: Gate) -> AsyncIterator[Desk]:
    """The daemon's loop from here on, through the gate; the state's invariants hold at the end."""
    clock = SystemClock()
    hub, owner = Hub(Store(), clock), TaskOwner()
    settings = {"port": gate.port, "username": "ctid", "secret": "ctid-lab"}
    owner.spawn("hub", hub.run())
    owner.spawn("link", keep_linked(AsteriskDriver(LAB, settings, clock), hub, clock))
    try:
        yield Desk(hub, gate)
    finally:
        await owner.close()
    assert violations(hub.store) == []
    assert {call.id for call in hub.store.calls.values()} <= {f"lab.{leg[-1]}" for leg in rig.channels()}


@pytest.fixture
async def gate(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Gate]:
    """A gate before the rig's AMI, through which the way back is short."""
    monkeypatch.setattr(link, "LONGEST_WAIT_S", 0.2)
    async with Gate(rig.ports.ami) as opened:
        yield opened


async def talk(rig: Rig, phones: Phones) -> tuple[Phone, Phone]:
    """A customer of `support` talks with 1001."""
    customer, agent = await phones.open("3001", "1001")
    await customer.dial("7000")
    await agent.answer()
    await until(lambda: len([leg for leg in rig.channels() if leg[12]]) == 2, what="the two are bridged")
    return customer, agent


TALKING = [(CallState.CONNECTED, ["1001", "3001"])]


@pytest.mark.parametrize("word", WORDS)
async def test_a_first_enumeration_that_is_cut_off_is_begun_anew(
    rig: Rig, phones: Phones, gate: Gate, word: str
) -> None:
    """Wherever it is cut, nothing of it is shown; the next connection has the call and every member."""
    customer, _ = await talk(rig, phones)
    gate.cut_at(word)
    async with linked(rig, gate) as desk:
        await gate.was_heard()
        await until(desk.is_down, what="the link is down")
        assert desk.hub.store.agents == {}
        assert desk.talks() == []
        gate.open()
        await desk.shows(lambda: desk.talks() == TALKING, "the call is there")
        assert len(desk.hub.store.agents) == 8
        assert desk.state() is AgentState.BUSY
        await customer.hangup()
        await desk.shows(lambda: desk.talks() == [], "it is over")


@pytest.mark.parametrize("word", WORDS)
async def test_a_call_that_ends_while_a_cut_reconcile_is_away(
    rig: Rig, phones: Phones, gate: Gate, word: str
) -> None:
    """A reconcile is cut off, whoever asked is told; the call ends unseen, and is over at the reconnect."""
    customer, _ = await talk(rig, phones)
    async with linked(rig, gate) as desk:
        await desk.shows(lambda: desk.talks() == TALKING, "the call is there")
        gate.cut_at(word)
        with pytest.raises(LinkError):
            await desk.hub.connection(LAB).resync(SnapshotReason.REQUEST)
        await until(desk.is_down, what="the link is down")
        assert all(call.stale for call in desk.hub.store.calls.values())
        await customer.hangup()
        await until(lambda: rig.channels() == [], what="nothing goes on at the PBX")
        assert desk.talks() == TALKING
        gate.open()
        await desk.shows(lambda: desk.talks() == [], "it is over")
        agent = desk.agent()
        assert agent is not None
        assert agent.call is None
        await desk.agrees()


async def test_what_happens_between_two_lists_is_in_the_snapshot(
    rig: Rig, phones: Phones, gate: Gate
) -> None:
    """The queues' list is made, the channels' is not: one hangs up, one calls, one pauses, one joins."""
    customer, agent = await talk(rig, phones)
    (other,) = await phones.open("3002")
    gate.hold_at("Event: QueueStatusComplete")
    async with linked(rig, gate) as desk:
        await gate.was_heard()
        await customer.hangup()
        await agent.wait_state("idle")
        await other.dial("7001")
        await until(lambda: "PJSIP/3002" in rig.asterisk_cli("queue show sales"), what="she waits")
        rig.asterisk_cli("queue pause member PJSIP/1003 queue support reason lunch")
        rig.asterisk_cli("queue add member PJSIP/3010 to support")
        assert desk.hub.store.agents == {}
        gate.open()
        await desk.shows(lambda: desk.talks() == [(CallState.QUEUED, ["3002"])], "she waits")
        known = {m.queue: m.paused_reason for m in getattr(desk.agent("1003"), "queues", ())}
        assert known == {"support": "lunch", "sales": ""}
        assert [getattr(desk.agent(one), "call", "") for one in ("1001", "3010")] == [None, None]
        waiting = desk.hub.store.queues[QueueId("sales")].waiting
        assert [one.call for one in waiting] == list(desk.hub.store.calls)
        rig.asterisk_cli("queue remove member PJSIP/3010 from support")
        rig.asterisk_cli("queue unpause member PJSIP/1003 queue support")
        await other.hangup()
        await desk.shows(lambda: desk.talks() == [], "she gave up")
        await desk.agrees()


async def test_events_that_wait_behind_a_held_list_are_not_lost(rig: Rig, phones: Phones, gate: Gate) -> None:
    """A reconcile's list is held within itself while the call ends: no list that is older takes it back."""
    customer, agent = await talk(rig, phones)
    async with linked(rig, gate) as desk:
        await desk.shows(lambda: desk.talks() == TALKING, "the call is there")
        gate.hold_at("Event: CoreShowChannel\r\n")
        owner = TaskOwner()
        taken = asyncio.Event()

        async def reconcile() -> None:
            await desk.hub.connection(LAB).resync(SnapshotReason.REQUEST)
            taken.set()

        owner.spawn("reconcile", reconcile())
        await gate.was_heard()
        await customer.hangup()
        await agent.wait_state("idle")
        await until(lambda: rig.channels() == [], what="nothing goes on at the PBX")
        gate.open()
        await until(taken.is_set, LATE_S, "the reconcile is taken")
        await desk.shows(lambda: desk.talks() == [], "it is over")
        assert desk.hub.store.drifts.total() == 0
        await owner.close()


async def test_an_originate_that_is_declined_leaves_no_call(rig: Rig, phones: Phones, gate: Gate) -> None:
    """Another program rings an agent, who declines: whatever comes first of end and reply, she is free."""
    (agent,) = await phones.open("1001")
    async with linked(rig, gate) as desk, Tap(rig.ports.ami) as tap:
        await desk.shows(lambda: desk.state() is AgentState.READY, "she is ready")
        tap.send(
            Action="Originate", Channel="PJSIP/1001", Application="Echo", Async="true", ActionID="elsewhere-1"
        )
        await agent.wait_state("ringing")
        await desk.shows(lambda: desk.state() is AgentState.OFFERED, "it rings")
        await agent.decline()
        await tap.until(b"Event: OriginateResponse")
        await desk.shows(lambda: desk.talks() == [], "no call is left")
        assert desk.state() is AgentState.READY
        await desk.agrees()


@pytest.mark.parametrize("answers", [True, False])
async def test_a_membership_removed_while_it_rings(
    rig: Rig, phones: Phones, gate: Gate, *, answers: bool
) -> None:
    """The queue rings on at a phone that is no member's any more: she answers or not, and is logged out."""
    customer, agent = await phones.open("3001", "3010")
    rig.asterisk_cli("queue add member PJSIP/3010 to sales")
    async with linked(rig, gate) as desk:
        await desk.shows(lambda: desk.state("3010") is AgentState.READY, "ready")
        await customer.dial("7001")
        await agent.wait_state("ringing")
        await desk.shows(lambda: desk.state("3010") is AgentState.OFFERED, "offered")
        rig.asterisk_cli("queue remove member PJSIP/3010 from sales")
        await until(lambda: getattr(desk.agent("3010"), "queues", None) == (), what="no member")
        if answers:
            await agent.answer()
            await desk.shows(lambda: desk.talks() == [(CallState.CONNECTED, ["3001", "3010"])], "they talk")
        else:
            await agent.decline()
            await desk.shows(lambda: desk.talks() == [(CallState.QUEUED, ["3001"])], "he waits on")
        await desk.agrees()
        await customer.hangup()
        await desk.shows(lambda: desk.talks() == [], "it is over")
        shown = desk.agent("3010")
        assert shown is not None
        assert (shown.state, shown.call) == (AgentState.LOGGED_OUT, None)
