"""Comparing two states, and mending the one by the other."""

from collections.abc import Hashable

import pytest

from ctid.model.facts import DeviceChanged, Fact, Leg, LegChanged, Member, MemberChanged, Snapshot
from ctid.model.ids import DeviceId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LegState, Registration
from ctid_asterisk.compare import Difference, compare, touched_by
from ctid_asterisk.lists import Lists, load, snapshot
from ctid_asterisk.mend import mend, take_untold
from ctid_asterisk.normalize import Normalizer
from ctid_asterisk.wire import Message
from helpers.ami_words import PBX, Channel, caller, dialled, member_event, member_item, message, queue_entry

NOW = Instant(1_800_000_000.0)
LATER = Instant(NOW + 100)
KEY = ("support", "PJSIP/1001")
PARAMS = message("QueueParams", Queue="support", Strategy="linear")
NOBODY: frozenset[Hashable] = frozenset()


def customer(unique: str = "1800000000.1", state: str = "6") -> Channel:
    """A customer's channel."""
    return caller(f"PJSIP/3001-{unique[-1]:0>8}", unique, "7000", state=state)


def device(name: str, state: str = "NOT_INUSE") -> Message:
    """An item of DeviceStateList."""
    return message("DeviceStateChange", Device=name, State=state)


def contact(endpoint: str, status: str, usec: str = "0") -> Message:
    """An item of PJSIPShowContacts."""
    fields = {
        "Endpoint": endpoint,
        "Status": status,
        "RoundtripUsec": usec,
        "Uri": f"sip:{endpoint}@127.0.0.1",
    }
    return message("ContactList", **fields)


def bridge(unique: str, technology: str = "simple_bridge", creator: str = "", name: str = "") -> Message:
    """An item of BridgeList."""
    kind = "basic" if technology == "simple_bridge" else "base"
    fields = {
        "BridgeTechnology": technology,
        "BridgeCreator": creator,
        "BridgeName": name,
        "BridgeType": kind,
    }
    return message("BridgeListItem", BridgeUniqueid=unique, **fields)


def listed(*channels: Channel, **more: tuple[Message, ...] | None) -> Lists:
    """Whole lists: what is not named is empty."""
    fields: dict[str, tuple[Message, ...] | None] = dict.fromkeys(
        ("queues", "devices", "holds", "bridges", "parked", "contacts"), ()
    )
    return Lists(channels=[channel.item() for channel in channels], **{**fields, **more})


class Two:
    """A live state that the first lists made, and the lists of a while later."""

    def __init__(self, before: Lists, after: Lists, *events: Message) -> None:
        self.live = Normalizer(PBX)
        load(self.live, before, NOW)
        snapshot(self.live, NOW, ())
        for event in events:
            self.live.receive(event, NOW)
        self.lists = after
        self.second = Normalizer(PBX)
        load(self.second, after, LATER)

    def differ(self, touched: frozenset[Hashable] = NOBODY) -> set[tuple[str, str]]:
        """What differs, by key and field."""
        found = compare(self.live, self.second, self.lists, touched, ())
        return {(key if isinstance(key, str) else key[1], what) for _, key, what in found}

    def mended(self) -> Snapshot:
        """The live state after all of it is mended; nothing differs any more."""
        mend(self.live, self.second, compare(self.live, self.second, self.lists, NOBODY, ()), LATER)
        assert self.differ() == set()
        return snapshot(self.live, LATER, ())

    def untold(self, touched: frozenset[Hashable] = NOBODY) -> list[Fact]:
        """The facts of what no event tells."""
        return take_untold(self.live, self.second, self.lists, touched, LATER)


def only_leg(told: Snapshot) -> Leg:
    """The one leg there is."""
    (leg,) = told.legs
    return leg


def only_member(told: Snapshot) -> Member:
    """The one member there is."""
    (member,) = told.members
    return member


class TestChannels:
    """Who is there, in what state, and where."""

    def test_alike(self) -> None:
        """The same lists a while later differ in nothing, and times stay."""
        near, far = customer(), customer("1800000000.2")
        near.bridge = far.bridge = "b1"
        two = Two(listed(near, far, bridges=(bridge("b1"),)), listed(near, far, bridges=(bridge("b1"),)))
        assert two.differ() == set()
        assert two.untold() == []
        assert [leg.created_at for leg in two.mended().legs] == [NOW - 10, NOW - 10]

    def test_gone(self) -> None:
        """What was offered to its member, or served by her, is over as well."""
        near, far = customer(), dialled("PJSIP/1001-00000002", "1800000000.2", "1800000000.1", state="6")
        near.application, near.data, far.application = "Queue", "support", "AppQueue"
        near.bridge = far.bridge = "b1"
        members = (PARAMS, member_item(InCall="1"))
        two = Two(listed(near, far, queues=members), listed(queues=members))
        assert only_member(snapshot(two.live, NOW, ())).serving == near.unique
        assert two.differ() == {(near.unique, "gone"), (far.unique, "gone")}
        told = two.mended()
        assert (told.legs, only_member(told).serving, only_member(told).in_call) == ((), None, False)

    def test_unknown(self) -> None:
        """It is where the list has it, with whom it is dialled for; a pair is one again."""
        near, far = customer(), dialled("PJSIP/1001-00000002", "1800000000.2", "1800000000.1", state="6")
        near.application, near.data, far.application = "Queue", "support", "AppQueue"
        members = (PARAMS, member_item())
        two = Two(listed(queues=members), listed(near, far, queues=members))
        assert two.differ() == {(near.unique, "unknown"), (far.unique, "unknown")}
        assert only_member(two.mended()).offered == near.unique
        near.bridge = far.bridge = "b1"
        two = Two(listed(queues=members), listed(near, far, queues=members))
        told = two.mended()
        assert only_member(told).serving == near.unique
        assert {leg.conversation for leg in told.legs} == {"b1"}

    def test_a_local_pair(self) -> None:
        """Each half alone, and both."""
        name = "Local/1007@from-queue-00000001"
        one, two_ = Channel(f"{name};1", "1800000000.1"), Channel(f"{name};2", "1800000000.2")
        assert Two(listed(), listed(one, two_)).mended().legs == ()
        pair = Two(listed(one), listed(one, two_))
        pair.mended()
        assert pair.live.channels.twin(one.unique) == two_.unique
        unpaired = Two(listed(one, two_), listed(one, two_))
        unpaired.live.channels.remove(two_.unique)
        assert unpaired.differ() == {(one.unique, "twin"), (two_.unique, "unknown")}
        unpaired.mended()
        assert unpaired.live.channels.twin(two_.unique) == one.unique

    def test_one_that_went_meanwhile(self) -> None:
        """What is no more is not mended."""
        near = customer(state="4")
        two = Two(listed(), listed(near))
        mend(two.live, two.second, [Difference("channel", near.unique, "state")], LATER)
        assert two.differ() == {(near.unique, "unknown")}
        other = Two(listed(near), listed(near))
        mend(other.live, other.second, [Difference("channel", near.unique, "twin")], LATER)
        assert other.differ() == set()

    def test_answered(self) -> None:
        """Since when, no list tells: since it was found. An answered one is never unanswered again."""
        two = Two(listed(customer(state="4")), listed(customer()))
        assert two.differ() == {(customer().unique, "state")}
        leg = only_leg(two.mended())
        assert (leg.state, leg.connected_at) == (LegState.CONNECTED, LATER)
        assert Two(listed(customer()), listed(customer(state="4"))).differ() == set()

    @pytest.mark.parametrize(("before", "after"), [("", "b1"), ("b1", ""), ("b1", "b2")])
    def test_where_it_is(self, before: str, after: str) -> None:
        """In a bridge, in another, in none."""
        one, other = customer(), customer()
        one.bridge, other.bridge = before, after
        two = Two(listed(one), listed(other))
        assert two.differ() == {(one.unique, "bridge")}
        assert two.differ(frozenset({"b1", "b2", after})) == set()
        assert only_leg(two.mended()).conversation == (after or None)

    def test_who_is_moving_is_not_where_the_list_has_him(self) -> None:
        """A Local pair stands aside: he has left the one bridge, and not entered the other yet."""
        near, later = customer(), customer()
        near.bridge = "b1"
        two = Two(listed(near), listed(later))
        two.live.channels.by_id[near.unique].moving = True
        assert two.differ() == set()

    def test_another_name(self) -> None:
        """A masquerade."""
        other = customer()
        other.name = "PJSIP/3002-00000009"
        two = Two(listed(customer()), listed(other))
        assert two.differ() == {(other.unique, "name")}
        assert only_leg(two.mended()).device == "3002"

    def test_waiting(self) -> None:
        """He waits, in another queue, or no longer; of what he waited for is kept what no list tells."""
        near = customer()
        entry = queue_entry(near, "support", 1, 5)
        begins = Two(listed(near, queues=(PARAMS,)), listed(near, queues=(PARAMS, entry)))
        assert begins.differ() == {(near.unique, "queue")}
        leg = only_leg(begins.mended())
        assert (leg.queue, leg.position, leg.queued_at) == ("support", 1, LATER - 5)
        ends = Two(listed(near, queues=(PARAMS, entry)), listed(near, queues=(PARAMS,)))
        leg = only_leg(ends.mended())
        assert (leg.queue, leg.position, leg.queued_at) == ("support", None, NOW - 5)
        sales = queue_entry(near, "sales", 1, 2)
        leg = only_leg(Two(listed(near, queues=(entry,)), listed(near, queues=(sales,))).mended())
        assert (leg.queue, leg.position) == ("sales", 1)

    def test_parked_and_in_a_room(self) -> None:
        """Where each is kept; a list that was not given says nothing of it."""
        near = customer()
        near.bridge = "b1"
        parked = message("ParkedCall", ParkeeUniqueid=near.unique, ParkingSpace="701")
        lot = bridge("b1", "holding_bridge")
        two = Two(listed(near, bridges=(lot,)), listed(near, bridges=(lot,), parked=(parked,)))
        assert two.differ() == {(near.unique, "parked")}
        leg = only_leg(two.mended())
        assert (leg.parked, leg.conversation) == ("701", None)
        room = bridge("b1", "softmix", "ConfBridge", "7100")
        two = Two(listed(near, bridges=(bridge("b1"),)), listed(near, bridges=(room,)))
        assert two.differ() == {(near.unique, "conference")}
        assert only_leg(two.mended()).conference == "7100"
        without = listed(near, bridges=None, parked=None, queues=None)
        assert Two(listed(near, bridges=(room,), parked=(parked,)), without).differ() == set()


class TestMembers:
    """The queues' members."""

    def test_who_comes_and_goes(self) -> None:
        """As in the list."""
        came = Two(listed(queues=(PARAMS,)), listed(queues=(PARAMS, member_item())))
        assert came.differ() == {("PJSIP/1001", "unknown")}
        assert only_member(came.mended()).agent == "1001"
        went = Two(listed(queues=(PARAMS, member_item())), listed(queues=(PARAMS,)))
        assert went.differ() == {("PJSIP/1001", "gone")}
        assert went.mended().members == ()
        mend(came.live, came.second, [Difference("member", KEY, "paused")], LATER)
        del came.live.members.by_key[KEY]
        mend(came.live, came.second, [Difference("member", KEY, "paused")], LATER)
        assert KEY in came.live.members.by_key

    def test_paused(self) -> None:
        """With its reason and its time; what is known of her call stays."""
        paused = member_item(
            Paused="1", PausedReason="lunch", LastPause="1800000050", Penalty="3", Status="2"
        )
        two = Two(listed(queues=(PARAMS, member_item())), listed(queues=(PARAMS, paused)))
        assert {what for _, what in two.differ()} == {"paused", "reason", "penalty", "device_state"}
        assert two.differ(frozenset({KEY})) == two.differ(frozenset({"PJSIP/1001"})) == set()
        member = only_member(two.mended())
        assert (member.paused, member.reason, member.paused_at) == (True, "lunch", Instant(1_800_000_050))
        assert (member.penalty, member.device_state) == (3, DeviceState.IN_USE)

    def test_in_a_call_that_is_over(self) -> None:
        """What the queue does not believe any more, and nothing bears out; not the other way round."""
        two = Two(listed(queues=(PARAMS, member_item(InCall="1"))), listed(queues=(PARAMS, member_item())))
        assert two.differ() == {("PJSIP/1001", "in_call")}
        assert not only_member(two.mended()).in_call
        back = Two(listed(queues=(PARAMS, member_item())), listed(queues=(PARAMS, member_item(InCall="1"))))
        assert back.differ() == set()

    def test_figures_are_told(self) -> None:
        """They grow without an event; nearby times are the same, and do not jitter."""
        before = member_item(LastCall="1800000000", LoginTime="1799999000", CallsTaken="1")
        near = member_item(LastCall="1800000001", LoginTime="1799999001", CallsTaken="2")
        two = Two(listed(queues=(PARAMS, before)), listed(queues=(PARAMS, near)))
        assert two.differ() == set()
        (fact,) = two.untold()
        assert isinstance(fact, MemberChanged)
        member = fact.member
        assert (member.calls_taken, member.last_call_at, member.logged_in_at) == (
            2,
            NOW,
            Instant(1_799_999_000),
        )
        assert two.untold() == []
        later = member_item(LastCall="1800000050", LoginTime="1799999050", CallsTaken="2")
        two = Two(listed(queues=(PARAMS, before)), listed(queues=(PARAMS, later)))
        assert two.untold(frozenset({KEY})) == []
        (fact,) = two.untold()
        assert isinstance(fact, MemberChanged)
        assert (fact.member.last_call_at, fact.member.logged_in_at) == (
            Instant(1_800_000_050),
            Instant(1_799_999_050),
        )

    def test_figures_that_only_one_has(self) -> None:
        """What is known of either is known; of who is not in both nothing is."""
        paused = {"Paused": "1", "PausedReason": "x"}
        one, other = (
            member_item(**paused),
            member_item(**paused, LastPause="1800000000", LastCall="1800000000"),
        )
        known = Two(listed(queues=(PARAMS, one)), listed(queues=(PARAMS, other)))
        (fact,) = known.untold()
        assert isinstance(fact, MemberChanged)
        assert (fact.member.paused_at, fact.member.last_call_at) == (NOW, NOW)
        assert Two(listed(queues=(PARAMS, other)), listed(queues=(PARAMS, one))).untold() == []
        assert Two(listed(queues=(PARAMS,)), listed(queues=(PARAMS, one))).untold() == []

    def test_queues(self) -> None:
        """Their configuration has no event: it is the list's."""
        other = message("QueueParams", Queue="support", Strategy="ringall")
        two = Two(listed(queues=(PARAMS,)), listed(queues=(other,)))
        assert two.differ() == {("", "configuration")}
        assert [queue.strategy for queue in two.mended().queues] == ["ringall"]
        assert Two(listed(queues=(PARAMS,)), listed(queues=None)).differ() == set()


class TestDevices:
    """The phones."""

    def test_state_and_presence(self) -> None:
        """As in the list."""
        before = listed(devices=(device("PJSIP/1001"), device("PJSIP/1002")))
        after = listed(devices=(device("PJSIP/1001", "INUSE"), device("PJSIP/1003")))
        two = Two(before, after)
        assert two.differ() == {("1001", "state"), ("1002", "gone"), ("1003", "unknown")}
        assert two.differ(frozenset({"PJSIP/1001", "1002", "SIP/1003"})) == set()
        told = {info.id: info.state for info in two.mended().devices}
        assert told == {"1001": DeviceState.IN_USE, "1003": DeviceState.IDLE}
        assert Two(before, listed(devices=None)).differ() == set()

    def test_registration(self) -> None:
        """A contact that answers is enough; without any, who cannot be reached has not registered."""
        phones = (device("PJSIP/1001"), device("PJSIP/1002", "UNAVAILABLE"), device("IAX2/7", "UNAVAILABLE"))
        nobody = listed(devices=phones)
        both = (contact("1001", "Reachable", "458"), contact("1002", "Unreachable"), contact("", "Reachable"))
        two = Two(nobody, listed(devices=phones, contacts=both))
        assert two.differ() == {("1001", "registration"), ("1002", "registration")}
        told = {info.id: info.registration for info in two.mended().devices}
        assert told == {
            "1001": Registration.REGISTERED,
            "1002": Registration.UNREACHABLE,
            "iax2.7": Registration.UNKNOWN,
        }
        assert two.live.contacts.of(DeviceId("1001"))[0] is Registration.REGISTERED
        # Nobody says that a phone which is idle and has no contact is gone.
        gone = Two(listed(devices=phones, contacts=both), nobody)
        assert gone.differ() == {("1002", "registration")}
        assert {info.registration for info in gone.mended().devices if info.id == "1002"} == {
            Registration.UNREGISTERED
        }
        assert (
            Two(listed(devices=phones, contacts=both), listed(devices=phones, contacts=None)).differ()
            == set()
        )

    def test_a_phone_that_only_a_contact_tells_of(self) -> None:
        """Its state is not known."""
        (info,) = Two(listed(), listed(contacts=(contact("1009", "NonQualified"),))).mended().devices
        assert info.id == "1009"
        assert (info.state, info.registration) == (DeviceState.UNKNOWN, Registration.REGISTERED)

    def test_a_round_trip_is_told(self) -> None:
        """Each probe has its own, and not each is told by an event."""
        phones = (device("PJSIP/1001"),)
        before = listed(devices=phones, contacts=(contact("1001", "Reachable", "400"),))
        after = listed(devices=phones, contacts=(contact("1001", "Reachable", "900"),))
        two = Two(before, after)
        assert two.differ() == set()
        assert two.untold(frozenset({"1001"})) == []
        (fact,) = two.untold()
        assert isinstance(fact, DeviceChanged)
        assert fact.device.round_trip_ms == 0.9
        assert Two(listed(), after).untold() == []


class TestUntold:
    """What of legs Asterisk changes without an event."""

    def test_places(self) -> None:
        """They move up; not in a queue in which something happens, nor in another one."""
        near = customer()
        first, second = queue_entry(near, "support", 2, 5), queue_entry(near, "support", 1, 5)
        two = Two(listed(near, queues=(PARAMS, first)), listed(near, queues=(PARAMS, second)))
        assert two.untold(frozenset({"support"})) == []
        (fact,) = two.untold()
        assert isinstance(fact, LegChanged)
        assert (fact.leg.position, fact.leg.queued_at) == (1, NOW - 5)
        assert two.untold() == []
        elsewhere = queue_entry(near, "sales", 1, 5)
        assert Two(listed(near, queues=(first,)), listed(near, queues=(elsewhere,))).untold() == []
        assert Two(listed(near, queues=(first,)), listed(near, queues=None)).untold() == []

    def test_the_call_it_belongs_to(self) -> None:
        """Two calls became one: the older is it. A channel that is no leg tells nothing."""
        near, pbx = customer("1800000000.2"), Channel("Local/1@q-00000001;1", "1800000000.3")
        other = customer("1800000000.2")
        other.linked = "1800000000.1"
        two = Two(listed(near, pbx), listed(other, pbx))
        assert two.differ() == set()
        (fact,) = two.untold()
        assert isinstance(fact, LegChanged)
        assert fact.leg.call == "1800000000.1"


def test_what_an_event_is_about() -> None:
    """Channels, bridges, queues, members, devices."""
    enters = message("BridgeEnter", customer().block(), BridgeUniqueid="b1", SwapUniqueid="9.9")
    assert set(touched_by(enters)) == {"1800000000.1", "b1", "9.9"}
    assert set(touched_by(member_event())) == {KEY}
    assert set(touched_by(message("QueueCallerJoin", Queue="support"))) == {"support"}
    assert set(touched_by(message("DeviceStateChange", Device="PJSIP/1"))) == {"PJSIP/1"}
    assert set(touched_by(message("ContactStatus", AOR="1", EndpointName="2"))) == {"1", "2"}
