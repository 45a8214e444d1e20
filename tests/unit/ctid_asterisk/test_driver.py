"""The driver against a server that speaks AMI's text on loopback."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ctid.model.capabilities import Capability
from ctid.model.commands import HangUpLegs, PauseAgent
from ctid.model.errors import CtidError, LinkError, LinkRefused, PbxRefused, PbxTimeout, PbxUnavailable
from ctid.model.facts import (
    LegChanged,
    LegEnded,
    LinkUp,
    MemberChanged,
    OfferMissed,
    Snapshot,
)
from ctid.model.ids import AgentId, LegId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason
from ctid.tasks import TaskOwner
from ctid_asterisk import actions
from ctid_asterisk import driver as rooms
from helpers.ami_server import CLOSE, AmiServer, ami_server, answer, block, listing, text_of
from helpers.ami_words import PBX, Channel, caller, member_event, member_item, message
from helpers.driver_play import WITHOUT_ARI, Connected, connected, driver, soon
from helpers.patience import until

AT = Instant(1000.0)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


@pytest.fixture
async def ami() -> AsyncIterator[AmiServer]:
    """A scripted Asterisk."""
    async with ami_server() as server:
        yield server


def customer(state: str = "6") -> Channel:
    """A customer in the queue."""
    return caller("PJSIP/3001-00000001", "1.1", "7000", state=state, queue="support")


class TestLogin:
    """From the connection to the login."""

    async def test_a_refused_login(self, ami: AmiServer) -> None:
        """Trying again would not help, and that is what the error says."""
        ami.says["Login"] = lambda fields: (
            answer("Message: Authentication failed", status="Error")(fields) + CLOSE
        )
        with pytest.raises(LinkRefused, match="Authentication failed"):
            await driver(ami.port).connect()

    async def test_the_secret_is_never_sent(self, ami: AmiServer) -> None:
        """The login is by MD5 challenge."""
        async with connected(ami):
            assert not any("s3cret" in value for fields in ami.asked for value in fields.values())

    async def test_nobody_listens(self, ami: AmiServer) -> None:
        """The error names where nobody is."""
        port = ami.port
        ami.port = 0
        async with ami_server() as gone:
            port = gone.port
        with pytest.raises(LinkError, match=f"127.0.0.1:{port} cannot be reached"):
            await driver(port).connect()

    async def test_nobody_answers(self, ami: AmiServer, monkeypatch: pytest.MonkeyPatch) -> None:
        """A connection that does not come about is given up."""
        monkeypatch.setattr(rooms, "CONNECT_S", 0.02)

        async def never(*_: object, **__: object) -> None:
            await asyncio.Event().wait()

        monkeypatch.setattr(asyncio, "open_connection", never)
        with pytest.raises(LinkError, match="does not answer"):
            await driver(ami.port).connect()

    async def test_it_is_no_asterisk(self, ami: AmiServer) -> None:
        """Something else listens there."""
        ami.greeting = "SSH-2.0-OpenSSH_9.2\r\n"
        with pytest.raises(LinkError, match="not_ami"):
            await driver(ami.port).connect()

    async def test_it_hangs_up_at_once(self, ami: AmiServer) -> None:
        """Too many sessions, or an ACL."""
        ami.says["Challenge"] = lambda _: CLOSE
        with pytest.raises(LinkError, match="eof"):
            await driver(ami.port).connect()

    async def test_certificates_that_are_not_there(self, ami: AmiServer) -> None:
        """A file of certificates that cannot be read is told as a link that cannot be made."""
        with pytest.raises(LinkError, match="No such file"):
            await driver(ami.port, tls=True, tls_ca="/nowhere/ca.pem").connect()

    async def test_tls_to_a_plain_port(self, ami: AmiServer) -> None:
        """What answers is no TLS."""
        with pytest.raises(LinkError):
            await driver(ami.port, tls=True).connect()

    async def test_filters_are_set_at_the_source_unless_switched_off(self, ami: AmiServer) -> None:
        """VarSet and its like are not even sent."""
        async with connected(ami):
            assert ami.count("Filter") > 10
        ami.asked.clear()
        async with connected(ami, filter_at_source=False):
            assert ami.count("Filter") == 0


class TestSnapshot:
    """The first snapshot, and what follows it."""

    async def test_link_then_snapshot_then_live_facts_in_order(self, ami: AmiServer) -> None:
        """The lists make the snapshot; what comes after the fence is told as it comes."""
        near = customer()
        ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", near.item())
        ami.says["QueueStatus"] = listing("QueueStatusComplete", member_item())
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.tell(
                message("BridgeEnter", near.block(), BridgeUniqueid="b1", BridgeTechnology="simple_bridge"),
                message("Hangup", near.block(), Cause="16"),
            )
            await it.has(LegEnded)
            assert [type(fact) for fact in it.facts] == [
                LinkUp,
                Snapshot,
                LegChanged,
                LegEnded,
            ]
            up, snapshot = it.facts[:2]
            assert isinstance(up, LinkUp)
            assert (up.driver, up.version) == ("asterisk", "22.10.1")
            assert isinstance(snapshot, Snapshot)
            assert ([leg.id for leg in snapshot.legs], len(snapshot.members)) == (["1.1"], 1)
            assert it.connection.capabilities == WITHOUT_ARI
        assert it.over == "closed"

    async def test_events_before_the_fence_are_in_the_snapshot(self, ami: AmiServer) -> None:
        """What happened while the lists were taken is read on top of them, and moments are told after it."""
        near = customer("4")
        of = {"Queue": "support", "Interface": "PJSIP/1001", "DestUniqueid": "9.9", "RingTime": "2000"}
        missed = message("AgentRingNoAnswer", near.block(), **of)
        status = ami.says["Status"]
        ami.says["Status"] = lambda fields: (
            text_of(message("Newchannel", near.block())) + text_of(missed) + status(fields)
        )
        async with connected(ami) as it:
            await it.has(OfferMissed)
            assert [type(fact) for fact in it.facts] == [LinkUp, Snapshot, OfferMissed]
            assert len(it.of(Snapshot)[0].legs) == 1

    async def test_dead_in_the_middle_of_a_list(self, ami: AmiServer) -> None:
        """The connection is not made."""
        whole = listing("CoreShowChannelsComplete", customer().item())
        ami.says["CoreShowChannels"] = lambda fields: whole(fields)[:-60] + CLOSE
        with pytest.raises(LinkError, match="no snapshot"):
            await driver(ami.port).connect()

    async def test_a_list_that_is_refused(self, ami: AmiServer) -> None:
        """The AMI user lacks a right: the error says of what."""
        ami.says["CoreShowChannels"] = answer("Message: Permission denied", status="Error")
        with pytest.raises(LinkError, match="list its channels: Permission denied"):
            await driver(ami.port).connect()

    async def test_no_fence_comes_back(self, ami: AmiServer) -> None:
        """A user who may not read `dialplan` has a snapshot all the same, a little later."""
        ami.says["Setvar"] = answer()
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.tell(message("Newchannel", customer("4").block()))
            await it.has(LegChanged)

    async def test_one_resync_for_a_burst_of_reloads(self, ami: AmiServer) -> None:
        """Each module tells its own reload; the lists are taken once, after them."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.tell(*[message("Reload", Module=name, Status="0") for name in ("queues", "pjsip", "cdr")])
            await it.has(Snapshot, 2)
            assert ami.count("QueueStatus") == 2
            ami.tell(message("Reload", Module="queues", Status="0"))
            await it.has(Snapshot, 3)
            assert ami.count("QueueStatus") == 3

    async def test_a_reload_before_it_is_ready_needs_none(self, ami: AmiServer) -> None:
        """The first snapshot is still to come, and holds what the reload changed."""
        ami.says["CoreSettings"] = lambda fields: (
            block("Event: Reload", "Module: queues", "Status: 0") + answer("AsteriskVersion: 22.10.1")(fields)
        )
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.tell(message("Newchannel", customer("4").block()))
            await it.has(LegChanged)
            assert ami.count("QueueStatus") == 1

    async def test_a_reconcile_whose_lists_are_refused_leaves_what_is_known(self, ami: AmiServer) -> None:
        """The link goes on, whoever asked is told why, and the next one is as good as any."""
        ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", customer().item())
        with capture_logs() as logs:
            async with connected(ami) as it:
                await it.has(Snapshot)
                status = ami.says["QueueStatus"]
                ami.says["QueueStatus"] = answer("Message: no", status="Error")
                with pytest.raises(PbxRefused, match="list its queues: no"):
                    await it.connection.resync(SnapshotReason.REQUEST)
                ami.tell(message("Reload", Module="queues", Status="0"))
                await until(lambda: any(entry["event"] == "no snapshot" for entry in logs))
                ami.tell(message("Newchannel", caller("PJSIP/3002-00000002", "2.2", "7000").block()))
                await it.has(LegChanged)
                ami.says["QueueStatus"] = status
                ami.says["CoreShowChannels"] = answer("Message: Permission denied", status="Error")
                with pytest.raises(PbxRefused, match="Permission denied; CoreShowChannels needs `system` or"):
                    await it.connection.resync(SnapshotReason.REQUEST)
                ami.says["CoreShowChannels"] = listing(
                    "CoreShowChannelsComplete",
                    customer().item(),
                    caller("PJSIP/3002-00000002", "2.2", "7000").item(),
                )
                await it.connection.resync(SnapshotReason.TIMER)
                assert [leg.id for leg in it.of(Snapshot)[-1].legs] == ["1.1", "2.2"]
                assert ami.connections == 1

    async def test_facts_are_told_while_lists_are_taken(self, ami: AmiServer) -> None:
        """They come before the snapshot that they are in, and nothing is told twice."""
        near = customer("4")
        async with connected(ami) as it:
            await it.has(Snapshot)
            channels = ami.says["CoreShowChannels"]
            born = text_of(message("Newchannel", near.block()))
            ami.says["CoreShowChannels"] = lambda fields: born + channels(fields)
            await it.connection.resync(SnapshotReason.TIMER)
            await it.has(Snapshot, 2)
            assert [type(fact) for fact in it.facts] == [
                LinkUp,
                Snapshot,
                LegChanged,
                Snapshot,
            ]
            assert it.of(Snapshot)[1].legs == (it.of(LegChanged)[0].leg,)

    async def test_requests_share_a_snapshot(self, ami: AmiServer) -> None:
        """All that come while one is taken share the next; the timer is content with the one under way."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            resync = it.connection.resync
            async with asyncio.TaskGroup() as group:
                for _ in range(5):
                    group.create_task(resync(SnapshotReason.REQUEST))
                await until(lambda: ami.count("QueueStatus") == 2)
                for reason in (SnapshotReason.TIMER, SnapshotReason.REQUEST, SnapshotReason.RELOADED):
                    group.create_task(resync(reason))
            assert ami.count("QueueStatus") == 3
            await it.has(Snapshot, 3)
            reasons = [snapshot.reason for snapshot in it.of(Snapshot)]
            assert reasons == [SnapshotReason.CONNECTED, SnapshotReason.REQUEST, SnapshotReason.RELOADED]

    async def test_whoever_asked_may_go(self, ami: AmiServer) -> None:
        """A request that is cancelled takes no snapshot from others who wait for it."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            owner = TaskOwner()
            going = owner.spawn("going", it.connection.resync(SnapshotReason.REQUEST))
            owner.spawn("staying", it.connection.resync(SnapshotReason.REQUEST))
            await until(lambda: ami.count("QueueStatus") == 2)
            going.cancel()
            await it.has(Snapshot, 2)
            await owner.close()

    async def test_whoever_waits_when_it_is_closed(self, ami: AmiServer) -> None:
        """He learns it, whether his snapshot is under way, is the next one, or was not even begun."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.says["CoreShowChannels"] = lambda _: ""
            owner, ends = TaskOwner(), list[str]()

            async def ask() -> None:
                with pytest.raises(LinkError) as error:
                    await it.connection.resync(SnapshotReason.REQUEST)
                ends.append(str(error.value))

            owner.spawn("first", ask())
            await until(lambda: ami.count("CoreShowChannels") == 2)
            owner.spawn("second", ask())
            await asyncio.sleep(0)
            await it.connection.close()
            await until(lambda: len(ends) == 2)
            await owner.close()

    async def test_a_link_that_is_lost_at_the_fence(self, ami: AmiServer) -> None:
        """There is no snapshot of it, however complete the lists were."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.says["Setvar"] = lambda _: CLOSE
            with pytest.raises(LinkError, match="no snapshot"):
                await it.connection.resync(SnapshotReason.TIMER)
            assert len(it.of(Snapshot)) == 1

    async def test_lists_that_can_be_done_without(self, ami: AmiServer) -> None:
        """Of an absent module nothing is asked again; of a refused one it is said once what is missing."""
        ami.says["ParkedCalls"] = answer("Message: Invalid/unknown command: ParkedCalls.", status="Error")
        ami.says["PJSIPShowContacts"] = answer("Message: Permission denied", status="Error")
        with capture_logs() as logs:
            async with connected(ami) as it:
                await it.has(Snapshot)
                await it.connection.resync(SnapshotReason.REQUEST)
        assert (ami.count("ParkedCalls"), ami.count("PJSIPShowContacts")) == (1, 2)
        said = [entry["event"] for entry in logs if "refuses a list" in entry["event"]]
        assert len(said) == 1
        assert said[0].endswith("denied; PJSIPShowContacts needs `system` among the AMI user's `write`")

    async def test_a_list_that_does_not_come_later(
        self, ami: AmiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is no snapshot, and no end of the link either: the PBX answers what else it is asked."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            soon = replace(actions.core_show_channels(), deadline_s=0.05)
            monkeypatch.setattr(actions, "core_show_channels", lambda: soon)
            ami.says["CoreShowChannels"] = lambda _: ""
            with pytest.raises(PbxTimeout):
                await it.connection.resync(SnapshotReason.REQUEST)
            monkeypatch.undo()
            ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete")
            await it.connection.resync(SnapshotReason.REQUEST)

    async def test_a_list_that_cannot_be_read_later(self, ami: AmiServer) -> None:
        """What is known stays, and whoever asked is told."""
        ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", customer().item())
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", message("CoreShowChannel"))
            with pytest.raises(PbxRefused, match="cannot be read"):
                await it.connection.resync(SnapshotReason.REQUEST)

    async def test_an_action_that_is_not_answered(
        self, ami: AmiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A list that never comes is no snapshot."""
        soon = replace(actions.device_state_list(), deadline_s=0.05)
        monkeypatch.setattr(actions, "device_state_list", lambda: soon)
        ami.says["DeviceStateList"] = lambda _: ""
        with pytest.raises(LinkError, match="no snapshot: the PBX left an action unanswered"):
            await driver(ami.port).connect()


class TestEnd:
    """How a connection ends."""

    async def test_the_end_of_the_stream(self, ami: AmiServer) -> None:
        """It comes out of the facts, after all of them."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.tell(message("Newchannel", customer("4").block()))
            ami.hang_up()
            await until(lambda: isinstance(it.over, LinkError))
            assert isinstance(it.facts[-1], LegChanged)
            assert "eof" in str(it.over)
            with pytest.raises(LinkError, match="no snapshot"):
                await it.connection.resync(SnapshotReason.REQUEST)

    async def test_the_end_in_the_middle_of_an_event(self, ami: AmiServer) -> None:
        """What was cut off is never told."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.tell(text_of(message("Newchannel", customer("4").block()))[:-2])
            ami.hang_up()
            await until(lambda: isinstance(it.over, LinkError))
            assert it.of(LegChanged) == []
            assert "middle of a message" in str(it.over)

    async def test_a_shutdown_is_named(self, ami: AmiServer) -> None:
        """A PBX that is stopped says so."""
        async with connected(ami) as it:
            await it.has(Snapshot)
            ami.tell(message("Shutdown", Shutdown="Cleanly", Restart="False"))
            ami.hang_up()
            await until(lambda: isinstance(it.over, LinkError))
            assert "shutdown" in str(it.over)

    async def test_a_consumer_that_is_behind_still_learns_the_end(
        self, ami: AmiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With the batches full, the last one gives way to the end."""
        monkeypatch.setattr(rooms, "BATCHES", 2)
        connection = await driver(ami.port).connect()
        ami.tell(message("Newchannel", customer("4").block()))
        ami.hang_up()
        await until(lambda: connection._lost is not None or connection._batches.full())
        connection._lose(LinkError("gone"))
        read = Connected(connection)
        await read.read()
        assert isinstance(read.over, LinkError)
        await connection.close()

    async def test_a_reset_connection_is_a_lost_link(
        self, ami: AmiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The kernel's errors are link errors as well."""
        async with connected(ami) as it:
            await it.has(Snapshot)

            async def reset(*_: object) -> bytes:
                raise ConnectionResetError("reset by peer")

            monkeypatch.setattr(asyncio.StreamReader, "read", reset)
            ami.tell(message("Newchannel", customer("4").block()))
            await until(lambda: isinstance(it.over, LinkError))
            assert "reset by peer" in str(it.over)

    async def test_a_mistake_of_ours_is_not_swallowed(
        self, ami: AmiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It ends the connection loudly, with what it was."""
        made = Connected(await driver(ami.port).connect())

        def wrong(*_: object) -> None:
            raise ZeroDivisionError

        monkeypatch.setattr(made.connection._resync, "receive", wrong)
        ami.tell(message("Newchannel", customer().block()))
        with pytest.raises(ZeroDivisionError):
            await made.read()
        await made.connection.close()


@pytest.mark.parametrize(("timed", "warned"), [("Timestamp", 0), ("Other", 1)])
async def test_events_without_a_time_are_warned_of_once(ami: AmiServer, timed: str, warned: int) -> None:
    """With the setting that mends it."""
    fence = ami.says["Setvar"]
    ami.says["Setvar"] = lambda fields: fence(fields).replace("Timestamp", timed)
    with capture_logs() as logs:
        async with connected(ami) as it:
            await it.has(Snapshot)
            await it.connection.resync(SnapshotReason.REQUEST)
            await it.has(Snapshot, 2)
    assert sum("timestampevents = yes" in entry["event"] for entry in logs) == warned


UNREADABLE = "an event could not be read; a snapshot makes up for it"


class TestUnreadable:
    """Events and lists that are not of the form that Asterisk documents."""

    async def test_a_snapshot_makes_up_for_events(self, ami: AmiServer) -> None:
        """The link goes on; each kind is logged once, and a burst costs one snapshot."""
        with capture_logs() as logs:
            async with connected(ami) as it:
                await it.has(Snapshot)
                for _ in range(3):
                    ami.tell(message("Newchannel", Channel="PJSIP/1-1"))
                ami.tell(message("Hangup", customer().block(), Cause="16"), message("Rename"))
                other = caller("PJSIP/3002-00000002", "2.2", "7000", state="6")
                ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", other.item())
                await it.has(Snapshot, 2)
                assert [leg.id for leg in it.of(Snapshot)[1].legs] == ["2.2"]
                assert it.of(Snapshot)[1].reason is SnapshotReason.UNREADABLE
                assert ami.count("QueueStatus") == 3, "what differs is looked at twice"
                ami.tell(message("Newchannel", Channel="PJSIP/1-1"))
                await it.has(Snapshot, 3)
                assert ami.count("QueueStatus") == 4
                assert ami.connections == 1
        told = [entry for entry in logs if entry["event"] == UNREADABLE]
        assert [entry["what"] for entry in told] == [
            "Newchannel: KeyError 'uniqueid'",
            "Rename: KeyError 'uniqueid'",
        ]

    async def test_one_that_comes_while_the_lists_are_taken(self, ami: AmiServer) -> None:
        """The snapshot comes all the same, and another one makes up for the event."""
        status = ami.says["Status"]
        ami.says["Status"] = lambda fields: text_of(message("Newchannel")) + status(fields)
        with capture_logs() as logs:
            async with connected(ami) as it:
                await it.has(Snapshot)
                ami.says["Status"] = status
                await it.has(Snapshot, 2)
        assert sum(entry["event"] == UNREADABLE for entry in logs) == 1

    async def test_a_list_is_no_snapshot(self, ami: AmiServer) -> None:
        """The connection is not made, and the error says of what the list was."""
        item = message("CoreShowChannel", Channel="PJSIP/1-1")
        ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", item)
        with pytest.raises(LinkError, match="no snapshot: a list: KeyError 'uniqueid'"):
            await driver(ami.port).connect()


async def test_what_cannot_be_said_over_ami_is_refused_and_not_sent(ami: AmiServer) -> None:
    """A value that would begin another action never reaches the wire."""
    async with connected(ami) as it:
        asked = len(ami.asked)
        with pytest.raises(CtidError) as refused:
            await it.connection._act(lambda: actions.hangup("1.1\r\nAction: Originate"))
        assert refused.value.code == "pbx.refused"
        await it.connection._act(actions.queue_status)
        assert [fields["action"] for fields in ami.asked[asked:]] == ["QueueStatus"]


async def test_agents_are_commanded(ami: AmiServer) -> None:
    """Without ARI as well; members are known from the lists, and from events."""
    ami.says["QueueStatus"] = listing(
        "QueueStatusComplete", message("QueueParams", Queue="support"), member_item()
    )
    ami.says["QueuePause"] = answer("Message: Interface paused successfully")
    pause = PauseAgent(agent=AgentId("1001"), queue=QueueId("support"), reason="lunch")
    async with connected(ami) as it:
        await it.has(Snapshot)
        await it.connection.execute(pause)
        ami.tell(member_event("QueueMemberPause", Paused="1", PausedReason="lunch"))
        await it.has(MemberChanged)
        await it.connection.execute(pause)
        assert ami.count("QueuePause") == 1


async def test_calls_are_acted_on(ami: AmiServer) -> None:
    """By the channels that the lists told; what the user may not do is no ability, and a snapshot follows."""
    ami.says["ListCommands"] = answer(
        "Hangup: x", "BlindTransfer: x", "Redirect: x", "Getvar: x", "Setvar: x"
    )
    ami.says["Hangup"] = answer("Message: Channel Hungup")
    ami.says["CoreShowChannels"] = listing("CoreShowChannelsComplete", customer().item())
    async with connected(ami) as it:
        await it.has(Snapshot)
        assert it.connection.capabilities == {Capability.AGENT_COMMANDS, Capability.CALL_COMMANDS}
        await it.connection.execute(HangUpLegs(legs=(LegId("1.1"),)))
        assert [fields["channel"] for fields in ami.asked if fields["action"] == "Hangup"] == [
            customer().name
        ]
        await it.connection._look_again()
        await it.has(Snapshot, 2)
    with pytest.raises(PbxUnavailable):
        await it.connection._look_again()


async def test_a_connection_that_is_closed_while_it_logs_in(ami: AmiServer) -> None:
    """A daemon that stops does not leave a connection behind."""
    ami.says["Login"] = lambda _: ""
    owner = TaskOwner()

    async def connect() -> None:
        await driver(ami.port).connect()

    task = owner.spawn("connect", connect())
    await until(lambda: ami.count("Login") == 1)
    task.cancel()
    await owner.close()
    assert task.cancelled()


def test_settings_are_checked_when_the_driver_is_made() -> None:
    """Before anything is connected."""
    assert driver(5038).kind == "asterisk"
    assert driver(5038).pbx == PBX
