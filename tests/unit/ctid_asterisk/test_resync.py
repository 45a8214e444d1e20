import pytest

from ctid.model.entities import Supervision
from ctid.model.facts import Fact, LegChanged, LegEnded, OfferMissed, Snapshot
from ctid.model.instant import Instant
from ctid.model.words import LegState, SnapshotReason
from ctid_asterisk import resync as rooms
from ctid_asterisk.normalize import Normalizer, UnreadableError
from ctid_asterisk.resync import Resync
from ctid_asterisk.wire import Message
from helpers.ami_words import PBX, Channel, caller, lists, message, queue_entry

NOW = Instant(1000.0)


def fence(value: str = "f1", channel: str = "none") -> Message:
    """The fence's event."""
    return message("VarSet", Channel=channel, Variable="CTIDFENCE", Value=value)


def event(kind: str, channel: Channel, **fields: str) -> Message:
    """An event of a channel."""
    return message(kind, channel.block(), **fields)


def customer(unique: str = "1.1", state: str = "4") -> Channel:
    """A customer's channel."""
    return caller(f"PJSIP/3001-0000000{unique[-1]}", unique, "7000", state=state)


def pending() -> Resync:
    """A snapshot is being taken; the lists are asked for."""
    resync = Resync(Normalizer(PBX), tuple)
    resync.begin()
    return resync


def hear(resync: Resync, *events: Message) -> list[Fact]:
    """All that the events told."""
    return [fact for event in events for fact in resync.receive(event, NOW)]


def snapshot(facts: list[Fact]) -> Snapshot:
    """The snapshot that comes first."""
    assert isinstance(facts[0], Snapshot)
    return facts[0]


def test_nothing_is_told_before_the_fence() -> None:
    """Events before the lists and after them are read and not told, up to the fence of this time."""
    resync = pending()
    near = customer()
    assert hear(resync, event("Newchannel", near)) == []
    resync.load(lists(customer(state="6").item()), NOW)
    resync.expect("f1")
    assert hear(resync, fence("f0"), fence("f1", channel="PJSIP/1-1"), event("Newstate", near)) == []
    assert resync.pending
    facts = hear(resync, fence())
    assert [leg.id for leg in snapshot(facts).legs] == ["1.1"]
    assert facts[1:] == []
    assert not resync.pending


def test_after_it_events_are_told_as_they_come() -> None:
    """Once caught up, each event tells its facts, and another fence tells nothing."""
    resync = pending()
    resync.load(lists(), NOW)
    resync.expect("f1")
    hear(resync, fence())
    (fact,) = hear(resync, event("Newchannel", customer()), fence())
    assert isinstance(fact, LegChanged)


class TestListsAheadOfEvents:
    """The lists show what the wire is yet to tell."""

    def test_a_channel_the_list_did_not_have_and_whose_end_comes(self) -> None:
        """It hung up before the list was taken: its whole life goes by silently."""
        resync, gone = pending(), customer()
        resync.load(lists(), NOW)
        resync.expect("f1")
        life = event("Newchannel", gone), event("Newstate", gone), event("Hangup", gone, Cause="16")
        assert snapshot(hear(resync, *life, fence())).legs == ()

    def test_an_end_without_a_beginning(self) -> None:
        """The hangup of a channel that neither the list nor an event had is nothing."""
        resync = pending()
        resync.load(lists(), NOW)
        resync.expect("f1")
        assert snapshot(hear(resync, event("Hangup", customer(), Cause="16"), fence())).legs == ()

    def test_a_channel_that_the_list_had_first(self) -> None:
        """Its Newchannel and its Ringing, older than the list, take nothing back."""
        resync, near = pending(), customer()
        hear(resync, event("Newchannel", near))
        resync.load(lists(customer(state="6").item()), NOW)
        resync.expect("f1")
        near.state = "5"
        (leg,) = snapshot(hear(resync, event("Newstate", near), fence())).legs
        assert leg.state is LegState.CONNECTED

    def test_a_channel_that_ends_after_the_list(self) -> None:
        """The list had it, and it is gone by the fence."""
        resync, near = pending(), customer(state="6")
        resync.load(lists(near.item()), NOW)
        resync.expect("f1")
        assert snapshot(hear(resync, event("Hangup", near, Cause="16"), fence())).legs == ()

    def test_a_bridge_that_the_list_had_first(self) -> None:
        """Entering it again is nothing; leaving an earlier one does not empty it."""
        resync, near = pending(), customer(state="6")
        near.bridge = "b2"
        resync.load(lists(near.item()), NOW)
        resync.expect("f1")
        late = [
            event("BridgeEnter", near, BridgeUniqueid="b2", BridgeTechnology="simple_bridge"),
            event("BridgeLeave", near, BridgeUniqueid="b1"),
        ]
        (leg,) = snapshot(hear(resync, *late, fence())).legs
        assert leg.conversation == "b2"


def test_moments_are_kept_and_told_after_the_snapshot() -> None:
    """No snapshot holds a missed call: those of before and after the lists follow it in their order."""
    resync = pending()

    def misses(seconds: int) -> Message:
        of = {"Queue": "support", "Interface": "PJSIP/1001", "DestUniqueid": "9.9"}
        return event("AgentRingNoAnswer", customer(), RingTime=f"{seconds}000", **of)

    hear(resync, misses(1))
    resync.load(lists(), NOW)
    resync.expect("f1")
    facts = hear(resync, misses(2), fence())
    snapshot(facts)
    assert [fact.ring_s for fact in facts[1:] if isinstance(fact, OfferMissed)] == [1, 2]
    resync.begin()
    resync.load(lists(), NOW)
    assert len(resync.finish(NOW)) == 1


def test_the_first_lists_can_be_asked_for_again() -> None:
    """Before it is whole, a second try keeps the events from there on."""
    resync, near = pending(), customer(state="6")
    resync.load(lists(), NOW)
    resync.begin()
    assert hear(resync, event("Newchannel", near)) == []
    resync.load(lists(near.item()), NOW)
    resync.expect("f2")
    assert len(snapshot(hear(resync, fence("f2"))).legs) == 1


def test_an_event_that_cannot_be_read_does_not_cost_the_snapshot() -> None:
    """Those kept while the lists were taken are named, and the ones around them are read."""
    resync, near, other = pending(), customer(), customer("2.2")
    hear(resync, event("Newchannel", near), message("Newchannel"), event("Newchannel", other))
    assert [error.name for error in resync.load(lists(), NOW)] == ["Newchannel"]
    resync.expect("f1")
    with pytest.raises(UnreadableError, match="Newstate: ValueError"):
        hear(resync, event("Newstate", near, Timestamp="noon"))
    assert {leg.id for leg in snapshot(hear(resync, fence())).legs} >= {"2.2"}
    with pytest.raises(UnreadableError, match="Newchannel: KeyError"):
        hear(resync, message("Newchannel"))
    other.state = "6"
    assert [type(fact) for fact in hear(resync, event("Newstate", other))] == [LegChanged]


def test_lists_that_cannot_be_read_are_no_snapshot() -> None:
    """An item that is not of its form: what is known could not be vouched for."""
    with pytest.raises(UnreadableError, match="a list: KeyError"):
        pending().load(lists(message("CoreShowChannel")), NOW)


@pytest.mark.parametrize("known", [None, ()])
def test_a_snapshot_says_whether_the_sessions_are_known(known: tuple[Supervision, ...] | None) -> None:
    """None at all, and none that can be seen, are two things."""
    resync = Resync(Normalizer(PBX), lambda: known)
    resync.load(lists(), NOW)
    assert snapshot(resync.finish(NOW)).supervisions == known


def test_without_a_fence_the_snapshot_is_told_all_the_same() -> None:
    """Whoever waited for it long enough finishes; a fence that comes later is nothing."""
    resync = pending()
    resync.load(lists(customer(state="6").item()), NOW)
    resync.expect("f1")
    assert len(snapshot(resync.finish(NOW)).legs) == 1
    assert not resync.pending
    assert hear(resync, fence()) == []


def live(*channels: Channel) -> Resync:
    """A link whose first snapshot held these channels."""
    resync = pending()
    resync.load(lists(*[channel.item() for channel in channels]), NOW)
    resync.expect("f1")
    snapshot(hear(resync, fence()))
    return resync


class TestReconcile:
    """The snapshots after the first: facts go on, and what differs is looked at twice."""

    def test_facts_go_on(self) -> None:
        """Each event tells its facts at once, and the snapshot is what they told, times and all."""
        near, other = customer(state="6"), customer("2.2")
        resync = live(near)
        resync.begin(SnapshotReason.TIMER)
        (born,) = hear(resync, event("Newchannel", other))
        assert isinstance(born, LegChanged)
        assert resync.load(lists(other.item()), NOW) == []
        assert [type(fact) for fact in hear(resync, event("Hangup", near, Cause="16"))] == [LegEnded]
        resync.expect("f2")
        assert resync.taking
        told = snapshot(resync.receive(fence("f2"), Instant(2000.0)))
        assert told.legs == (born.leg,)
        assert told.reason is SnapshotReason.TIMER
        assert not resync.taking
        assert not resync.again

    def test_what_differs_twice_is_mended(self) -> None:
        """Nothing is told after the first look; the second one settles it."""
        resync = live(customer(state="6"))
        resync.begin(SnapshotReason.REQUEST)
        resync.load(lists(), NOW)
        resync.expect("f2")
        assert hear(resync, fence("f2")) == []
        assert resync.again
        resync.look_again()
        assert not resync.again
        resync.load(lists(), NOW)
        resync.expect("f3")
        assert snapshot(hear(resync, fence("f3"))).legs == ()
        assert not resync.again
        resync.begin()
        assert not resync.again

    def test_what_differs_once_is_left_alone(self) -> None:
        """A list that was a moment ahead of an event is no difference."""
        near, other = customer(state="6"), customer("2.2", state="6")
        resync = live(near)
        resync.begin(SnapshotReason.TIMER)
        resync.load(lists(), NOW)
        resync.expect("f2")
        hear(resync, fence("f2"))
        resync.look_again()
        hear(resync, event("Newchannel", other))
        resync.load(lists(near.item(), other.item()), NOW)
        resync.expect("f3")
        assert [leg.id for leg in snapshot(hear(resync, fence("f3"))).legs] == ["1.1", "2.2"]

    def test_what_an_event_has_touched_is_not_judged(self) -> None:
        """The lists may be older or newer than that event."""
        near = customer(state="6")
        resync = live(near)
        resync.begin(SnapshotReason.TIMER)
        near.bridge = "b1"
        entered = {"BridgeUniqueid": "b1", "BridgeTechnology": "simple_bridge"}
        hear(resync, event("BridgeEnter", near, **entered))
        near.bridge = ""
        resync.load(lists(near.item()), NOW)
        resync.expect("f2")
        (leg,) = snapshot(hear(resync, fence("f2"))).legs
        assert leg.conversation == "b1"

    def test_no_list_brings_a_dead_channel_back(self) -> None:
        """Its end has been told, and it stays ended, however often it is listed."""
        gone = customer(state="6")
        resync = live(gone)
        hear(resync, event("Hangup", gone, Cause="16"))
        resync.begin(SnapshotReason.TIMER)
        resync.load(lists(gone.item()), NOW)
        resync.expect("f2")
        assert snapshot(hear(resync, fence("f2"))).legs == ()

    def test_tombstones_are_bounded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest gives way."""
        monkeypatch.setattr(rooms, "TOMBSTONES", 2)
        resync = live()
        hear(resync, *[event("Hangup", customer(f"{i}.{i}"), Cause="16") for i in range(1, 4)])
        assert list(resync._ended) == ["2.2", "3.3"]

    def test_a_reload_meanwhile_is_the_reason(self) -> None:
        """What differs then is no drift."""
        resync = live()
        resync.reloaded()
        resync.begin(SnapshotReason.TIMER)
        resync.reloaded()
        resync.load(lists(), NOW)
        resync.expect("f2")
        assert snapshot(hear(resync, fence("f2"))).reason is SnapshotReason.RELOADED

    def test_lists_that_were_not_to_be_had(self) -> None:
        """What is known stays, and facts go on."""
        near = customer(state="6")
        resync = live(near)
        resync.begin(SnapshotReason.TIMER)
        resync.give_up()
        assert not resync.taking
        assert [type(fact) for fact in hear(resync, event("Hangup", near, Cause="16"))] == [LegEnded]
        first = pending()
        first.give_up()
        assert first.taking

    def test_a_fence_that_does_not_come(self) -> None:
        """What differs is looked at again, and then the snapshot is told without it."""
        resync = live(customer(state="6"))
        resync.begin(SnapshotReason.TIMER)
        resync.load(lists(), NOW)
        resync.expect("f2")
        assert resync.finish(NOW) == []
        assert resync.again
        resync.look_again()
        resync.load(lists(), NOW)
        assert snapshot(resync.finish(NOW)).legs == ()

    def test_an_end_without_lists(self) -> None:
        """What is known is told, and nothing of it is called in question."""
        resync = live(customer(state="6"))
        assert len(snapshot(resync.finish(NOW)).legs) == 1

    def test_an_unreadable_event_meanwhile(self) -> None:
        """It is raised once, as ever."""
        resync = live()
        resync.begin(SnapshotReason.TIMER)
        with pytest.raises(UnreadableError, match="Newchannel"):
            hear(resync, message("Newchannel"))

    def test_what_asterisk_does_not_tell_is_told_before_the_snapshot(self) -> None:
        """Those who wait move up without an event: that is a fact of its own, and no drift."""
        first, second = customer(), customer("2.2")
        resync = live(first, second)
        for place, caller_ in enumerate((first, second), 1):
            hear(resync, event("QueueCallerJoin", caller_, Queue="support", Position=str(place)))
        hear(resync, event("QueueCallerLeave", first, Queue="support", Position="1"))
        resync.begin(SnapshotReason.TIMER)
        entries = (message("QueueParams", Queue="support"), queue_entry(second, "support", 1, 5))
        facts: list[Fact] = []
        for token in ("f2", "f3"):
            resync.load(lists(first.item(), second.item(), queues=entries), NOW)
            resync.expect(token)
            facts = hear(resync, fence(token))
            resync.look_again()
        moved, told = facts
        assert isinstance(moved, LegChanged)
        assert (moved.leg.id, moved.leg.position) == ("2.2", 1)
        assert isinstance(told, Snapshot)
        assert moved.leg in told.legs

    def test_how_its_audio_travels_touches_no_channel(self) -> None:
        """Reports come for each leg all the time, and would leave nothing to compare."""
        gone = customer(state="6")
        resync = live(gone)
        resync.begin(SnapshotReason.TIMER)
        report = {"RTT": "0.0", "ReportCount": "0"}
        hear(resync, event("RTCPReceived", gone, **report))
        resync.load(lists(), NOW)
        assert resync.finish(NOW) == []
        assert resync.again
