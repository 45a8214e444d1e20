"""Races with the link itself: the daemon's loop, driver and hub against an AMI that breaks off at will."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from ctid import link
from ctid.clock import SystemClock
from ctid.hub import Hub
from ctid.link import keep_linked
from ctid.model.commands import PauseAgent
from ctid.model.entities import Agent
from ctid.model.errors import LinkError, PbxUnavailable
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.words import AgentState, LinkState, SnapshotReason
from ctid.ports import Connection
from ctid.state.invariants import violations
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from ctid_asterisk import snapshots
from ctid_asterisk.driver import AsteriskDriver
from helpers.ami_server import CLOSE, AmiServer, ami_server, listing
from helpers.ami_words import PBX, caller, member_event, member_item, message
from helpers.patience import until

ALICE = AgentId("1001")
NEAR = caller("PJSIP/3001-00000001", "1.1", "7000", state="6", queue="support")
LISTS = ("QueueStatus", "CoreShowChannels", "DeviceStateList", "BridgeList", "ParkedCalls")


class Linked:
    """The hub, and the PBX that it is linked with."""

    def __init__(self, hub: Hub, ami: AmiServer) -> None:
        self.hub = hub
        self.ami = ami

    @property
    def is_up(self) -> bool:
        """Whether the link stands, and its first snapshot is in force."""
        pbx = self.hub.store.pbxs.get(PBX)
        return pbx is not None and pbx.state is LinkState.CONNECTED and pbx.synchronized_at is not None

    @property
    def connection(self) -> Connection:
        """The connection of now."""
        return self.hub.connection(PBX)

    def agent(self) -> Agent:
        """1001."""
        return self.hub.store.agents[ALICE]

    async def up(self) -> None:
        """Wait until the link stands and nothing is stale."""
        await until(lambda: self.is_up and not any(a.stale for a in self.hub.store.agents.values()))

    def cut_once(self, action: str) -> Callable[[], int]:
        """Have the connection end within the next answer to an action; returns how often it was asked."""
        whole = self.ami.says[action]
        before = self.ami.count(action)

        def once(fields: dict[str, str]) -> str:
            self.ami.says[action] = whole
            said = whole(fields)
            return said[: len(said) // 2] + CLOSE

        self.ami.says[action] = once
        return lambda: self.ami.count(action) - before


@pytest.fixture
async def ami() -> AsyncIterator[AmiServer]:
    """An Asterisk with one agent and one caller."""
    async with ami_server() as server:
        server.says["QueueStatus"] = listing("QueueStatusComplete", member_item(), member_item(Queue="sales"))
        server.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", NEAR.item())
        yield server


@pytest.fixture
async def linked(ami: AmiServer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Linked]:
    """The loop that keeps the link; the invariants hold at the end."""
    monkeypatch.setattr(link, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(snapshots, "FENCE_S", 0.2)
    clock = SystemClock()
    hub = Hub(Store(), clock)
    driver = AsteriskDriver(PBX, {"port": ami.port, "username": "ctid", "secret": "s3cret"}, clock)
    owner = TaskOwner()
    owner.spawn("hub", hub.run())
    owner.spawn("link", keep_linked(driver, hub, clock))
    yield Linked(hub, ami)
    await owner.close()
    assert violations(hub.store) == []


@pytest.mark.parametrize("action", [*LISTS, "Status", "Agents"])
async def test_a_first_enumeration_that_is_cut_off_is_begun_anew(
    linked: Linked, ami: AmiServer, action: str
) -> None:
    """In whichever list the connection ends: nothing of it is shown, and the next one's whole lists are."""
    asked = linked.cut_once(action)
    await linked.up()
    assert asked() == 2
    assert ami.connections == 2
    assert [m.queue for m in linked.agent().queues] == ["support", "sales"]
    assert list(linked.hub.store.calls) == ["lab.1.1"]


@pytest.mark.parametrize("action", LISTS)
async def test_a_reconcile_that_is_cut_off_blocks_no_later_one(
    linked: Linked, ami: AmiServer, action: str
) -> None:
    """Whoever asked for it is told; what is known goes stale, comes back, and can be reconciled again."""
    await linked.up()
    asked = linked.cut_once(action)
    with pytest.raises(LinkError):
        await linked.connection.resync(SnapshotReason.REQUEST)
    await until(lambda: ami.connections == 2)
    await linked.up()
    assert asked() == 2
    await linked.connection.resync(SnapshotReason.REQUEST)
    assert [m.queue for m in linked.agent().queues] == ["support", "sales"]
    assert linked.hub.store.drifts.total() == 0


async def test_events_that_were_cut_off_are_made_up_for(linked: Linked, ami: AmiServer) -> None:
    """The last event stops in its middle: it is not told, and the lists of the next connection hold it."""
    await linked.up()
    ami.says["QueueStatus"] = listing(
        "QueueStatusComplete", member_item(Paused="1"), member_item(Queue="sales", Paused="1")
    )
    paused = member_event("QueueMemberPause", Paused="1")
    ami.tell("".join(f"{key}: {value}\r\n" for key, value in paused.pairs))  # no empty line ends it
    ami.hang_up()
    await until(lambda: ami.connections == 2)
    await linked.up()
    assert linked.agent().state is AgentState.NOT_READY


async def test_a_reconcile_asked_for_while_the_link_goes_down_is_answered(
    linked: Linked, ami: AmiServer
) -> None:
    """Between the end of the connection and the knowledge of it: refused, and nothing breaks."""
    await linked.up()
    connection = linked.connection
    ami.hang_up()
    for _ in range(2):
        with pytest.raises(LinkError):
            await connection.resync(SnapshotReason.REQUEST)
    await until(lambda: ami.connections == 2)
    await linked.up()


async def test_a_command_whose_answer_the_link_lost_is_told_as_such(linked: Linked, ami: AmiServer) -> None:
    """A pause was sent, and the connection ended before its answer: unavailable; the lists have the truth."""
    await linked.up()
    ami.says["QueuePause"] = lambda _: CLOSE
    with pytest.raises(PbxUnavailable):
        await linked.connection.execute(PauseAgent(agent=ALICE, queue=QueueId("support"), reason="lunch"))
    await until(lambda: ami.connections == 2)
    await linked.up()
    assert linked.agent().state is AgentState.READY


async def test_every_connection_logs_in_and_lists_anew(linked: Linked, ami: AmiServer) -> None:
    """Nothing of an earlier connection is taken for granted, however often it breaks off."""
    for number in range(1, 5):
        await until(lambda number=number: ami.connections == number)  # type: ignore[misc]
        await linked.up()
        assert (ami.count("Login"), ami.count("QueueStatus")) == (number, number)
        first = [fields["action"] for fields in ami.asked]
        assert first[0] in {"Challenge", "Login"}
        ami.asked[:] = [fields for fields in ami.asked if fields["action"] in {"Login", "QueueStatus"}]
        ami.hang_up()
    await until(lambda: ami.connections == 5)


async def test_a_call_that_ends_while_the_link_is_down_is_over_at_the_reconnect(
    linked: Linked, ami: AmiServer
) -> None:
    """No event of its end ever comes; a caller who came meanwhile is there."""
    await linked.up()
    new = caller("PJSIP/3002-00000002", "1.2", "7000", state="6", queue="support")
    ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", new.item("00:00:01"))
    ami.hang_up()
    await until(lambda: ami.connections == 2)
    await linked.up()
    await until(lambda: list(linked.hub.store.calls) == ["lab.1.2"])


async def test_a_hangup_between_two_lists_leaves_no_ghost(linked: Linked, ami: AmiServer) -> None:
    """The queues' list has him waiting, the channels' list has not: he hung up between the two."""
    empty = listing("CoreShowChannelsComplete")
    gone = message("Hangup", NEAR.block(), Cause="16")

    def hung_up(fields: dict[str, str]) -> str:
        ami.tell(gone)
        return empty(fields)

    ami.says["CoreShowChannels"] = hung_up
    await linked.up()
    assert linked.hub.store.calls == {}
    assert [queue.waiting for queue in linked.hub.store.queues.values()] == [(), ()]


async def test_two_links_at_once_do_not_mix(linked: Linked) -> None:
    """A second PBX with the same ids loses its link: nothing of the first one is stale."""
    await linked.up()
    other = PbxId("other")
    async with ami_server() as second:
        second.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", NEAR.item())
        owner, clock = TaskOwner(), SystemClock()
        settings = {"port": second.port, "username": "ctid", "secret": "s3cret"}
        owner.spawn("second", keep_linked(AsteriskDriver(other, settings, clock), linked.hub, clock))
        await until(lambda: "other.1.1" in linked.hub.store.calls)
        second.hang_up()
        await until(lambda: second.connections == 2)
        await until(lambda: linked.hub.store.pbxs[other].state is LinkState.CONNECTED)
        await asyncio.sleep(0)
        assert not linked.agent().stale
        assert sorted(linked.hub.store.calls) == ["lab.1.1", "other.1.1"]
        await owner.close()
