import pytest

from ctid.model.entities import Supervision
from ctid.model.facts import CallerAbandoned, Fact, LegChanged, LegEnded, Snapshot
from ctid.model.instant import Instant
from ctid.model.words import LegState
from ctid_asterisk.normalize import Normalizer, UnreadableError
from ctid_asterisk.resync import Resync
from ctid_asterisk.wire import Message
from helpers.ami_words import PBX, Channel, caller, lists, message

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
    """No snapshot holds an abandoned call: those of before and after the lists follow it in their order."""
    resync = pending()

    def abandons(position: str) -> Message:
        return event("QueueCallerAbandon", customer(), Queue="support", Position=position, HoldTime="3")

    hear(resync, abandons("1"))
    resync.load(lists(), NOW)
    resync.expect("f1")
    facts = hear(resync, abandons("2"), fence())
    snapshot(facts)
    assert [fact.position for fact in facts[1:] if isinstance(fact, CallerAbandoned)] == [1, 2]
    resync.begin()
    resync.load(lists(), NOW)
    assert len(resync.finish(NOW)) == 1


def test_an_event_that_cannot_be_read_does_not_cost_the_snapshot() -> None:
    """Those kept while the lists were taken are named, and the ones around them are read."""
    resync, near, other = pending(), customer(), customer("2.2")
    hear(resync, event("Newchannel", near), message("Newchannel"), event("Newchannel", other))
    assert [error.name for error in resync.load(lists(), NOW)] == ["Newchannel"]
    resync.expect("f1")
    with pytest.raises(UnreadableError, match="Hangup: ValueError"):
        hear(resync, event("Hangup", near, Cause="sixteen"))
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


def test_a_second_snapshot_keeps_events_from_its_beginning_on() -> None:
    """While the lists are asked for again, facts stop, and what happened meanwhile is in the snapshot."""
    resync, near, other = pending(), customer(state="6"), customer("2.2")
    resync.load(lists(near.item()), NOW)
    resync.expect("f1")
    hear(resync, fence())
    resync.begin()
    resync.begin()
    assert hear(resync, event("Newchannel", other), event("Hangup", near, Cause="16"), fence()) == []
    resync.load(lists(other.item()), NOW)
    resync.expect("f2")
    assert [leg.id for leg in snapshot(hear(resync, fence("f2"))).legs] == ["2.2"]
    (fact,) = hear(resync, event("Hangup", other, Cause="16"))
    assert isinstance(fact, LegEnded)


def test_lists_that_come_unasked_are_read_with_nothing_on_top() -> None:
    """A snapshot that was finished can be loaded again: there are no kept events."""
    resync = pending()
    resync.load(lists(), NOW)
    resync.finish(NOW)
    resync.load(lists(customer(state="6").item()), NOW)
    assert len(snapshot(resync.finish(NOW)).legs) == 1
