import pytest

from ctid.model.facts import (
    CallerAbandoned,
    CallServed,
    DeviceInfo,
    LegChanged,
    LegEnded,
    OfferMissed,
)
from ctid.model.ids import DeviceId, LegId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LegState
from ctid_asterisk.wire import AmiReader, Message
from helpers.ami_words import (
    PBX,
    Channel,
    Line,
    caller,
    dialled,
    lists,
    member_event,
    message,
)
from helpers.queue_call import ALICE, GRACE, LOCAL, SUPPORT, agent, customer, served, staffed


class TestQueueCall:
    """A call through a queue, from the first ring to the last hangup."""

    def test_the_caller_waits_in_the_queue(self) -> None:
        """He is told with his queue, his place and since when he waits."""
        line, near = staffed(), customer()
        line.appears(near)
        leg = line.legs["1.1"]
        assert (leg.call, leg.device, leg.number, leg.dialled) == ("1.1", "3001", "3001", "7000")
        assert (leg.incoming, leg.state) == (True, LegState.INITIATED)
        line.gets(near, "6")
        line.joins(near, position=2)
        leg = line.legs["1.1"]
        assert (leg.state, leg.queue, leg.position, leg.queued_at) == (LegState.CONNECTED, SUPPORT, 2, 1004.0)

    def test_the_agent_is_offered_the_caller(self) -> None:
        """From AgentCalled on, the member is told with the caller's leg, and her own leg rings."""
        line, near, far = staffed(), customer(), agent()
        line.appears(near, far)
        line.queue_tells("AgentCalled", near, far)
        line.gets(far, "5")
        assert line.members[ALICE].offered == "1.1"
        assert (line.legs["1.4"].state, line.legs["1.4"].incoming) == (LegState.ALERTING, False)

    def test_they_talk(self) -> None:
        """Bridged, both are connected in one conversation, nobody waits, and the member serves."""
        line, *_ = served()
        assert {leg.conversation for leg in line.legs.values()} == {"b1"}
        assert {leg.state for leg in line.legs.values()} == {LegState.CONNECTED}
        assert line.legs["1.1"].position is None
        assert (line.members[ALICE].offered, line.members[ALICE].serving) == (None, "1.1")

    def test_the_agents_answer_is_no_connection_before_the_bridge(self) -> None:
        """Her phone is up and the caller still hears it ring: her leg is alerting."""
        line, near, far = staffed(), customer(), agent()
        line.appears(near, far)
        line.dials(near, far)
        line.gets(far, "6")
        assert line.legs["1.4"].state is LegState.ALERTING

    def test_alone_in_the_bridge_she_is_not_connected_yet(self) -> None:
        """The first to enter hears nobody until the second does."""
        line, near, far = staffed(), customer(), agent()
        line.appears(near, far)
        line.dials(near, far)
        line.gets(far, "6")
        line.enters("b1", far)
        assert (line.legs["1.4"].state, line.legs["1.4"].conversation) == (LegState.ALERTING, None)
        line.enters("b1", near)
        assert (line.legs["1.4"].state, line.legs["1.4"].conversation) == (LegState.CONNECTED, "b1")
        line.leaves("b1", near)
        assert (line.legs["1.4"].state, line.legs["1.4"].conversation) == (LegState.CONNECTED, "b1")

    def test_the_end_frees_the_member_when_her_channel_does(self) -> None:
        """AgentComplete gives the figures; the hangup of the dialled channel ends her part and its time."""
        line, near, far = served()
        line.queue_tells("AgentComplete", near, far, HoldTime="2", TalkTime="7", Reason="caller")
        figures = line.moments[-1]
        assert isinstance(figures, CallServed)
        assert (figures.queue, figures.agent, figures.leg) == (SUPPORT, "1001", "1.1")
        assert (figures.hold_s, figures.talk_s, figures.by) == (2.0, 7.0, "caller")
        assert line.members[ALICE].serving == "1.1"
        line.leaves("b1", near, far)
        line.hangs_up(far)
        assert (line.members[ALICE].serving, line.members[ALICE].last_call_at) == (None, line.now)
        line.hangs_up(near, cause="")
        assert line.legs == {}
        assert line.causes == {"1.4": 16, "1.1": 0}

    def test_figures_without_a_channel_are_the_served_callers(self) -> None:
        """AgentComplete may come without its channel blocks."""
        line, *_ = served()
        figures = {"Queue": "support", "Interface": "PJSIP/1001", "HoldTime": "1", "TalkTime": "2"}
        line.hear(message("AgentComplete", Reason="agent", **figures))
        line.hear(message("AgentComplete", Reason="agent", **{**figures, "Interface": "PJSIP/1009"}))
        assert [moment.leg for moment in line.moments if isinstance(moment, CallServed)] == ["1.1", ""]

    def test_the_caller_who_hangs_up_first_frees_her_as_well(self) -> None:
        """His channel may end before hers."""
        line, near, far = served()
        line.hangs_up(near)
        assert line.members[ALICE].serving is None
        ended = line.now
        line.hangs_up(far)
        assert line.members[ALICE].last_call_at == ended


class TestOffersThatCameToNothing:
    """Ringing that nobody answered."""

    def offered(self) -> tuple[Line, Channel, Channel]:
        """A customer who waits, and rings at Alice."""
        line, near, far = staffed(), customer(state="6"), agent()
        line.appears(near, far)
        line.joins(near)
        line.queue_tells("AgentCalled", near, far)
        line.dials(near, far)
        line.gets(far, "5")
        assert line.members[ALICE].offered == "1.1"
        return line, near, far

    def test_ring_no_answer(self) -> None:
        """The miss is told with its ringing in seconds, and the caller still waits."""
        line, near, far = self.offered()
        line.dial_ends(near, far, "NOANSWER")
        assert line.members[ALICE].offered is None
        line.queue_tells("AgentRingNoAnswer", near, far, RingTime="15500")
        missed = line.moments[-1]
        assert isinstance(missed, OfferMissed)
        assert (missed.agent, missed.leg, missed.ring_s) == ("1001", "1.1", 15.5)
        assert line.legs["1.1"].position == 1

    def test_ring_no_answer_alone_ends_the_offer(self) -> None:
        """Whichever of the two events comes first ends it."""
        line, near, far = self.offered()
        line.queue_tells("AgentRingNoAnswer", near, far, RingTime="1000")
        assert line.members[ALICE].offered is None
        assert line.hear(message("DialEnd", far.block("Dest"), DialStatus="CANCEL")) == []

    def test_abandoned(self) -> None:
        """The caller hangs up: the offer ends, and the abandon is told with his place and wait."""
        line, near, far = self.offered()
        line.dial_ends(near, far, "CANCEL")
        line.hear(message("QueueCallerAbandon", near.block(), Queue="support", Position="1", HoldTime="4"))
        line.hangs_up(far, cause="0")
        line.leaves_queue(near)
        assert line.legs["1.1"].position is None
        line.hangs_up(near)
        abandoned = line.moments[-1]
        assert isinstance(abandoned, CallerAbandoned)
        assert (abandoned.queue, abandoned.leg, abandoned.position, abandoned.wait_s) == (
            "support",
            "1.1",
            1,
            4.0,
        )
        assert line.members[ALICE].offered is None
        assert line.legs == {}

    def test_agent_dump(self) -> None:
        """She answered and was gone before the bridge: the offer is over, the caller waits."""
        line, near, far = self.offered()
        line.queue_tells("AgentDump", near, far)
        assert line.members[ALICE].offered is None

    def test_the_dialled_channel_that_ends_ends_the_offer(self) -> None:
        """No queue event is needed for it."""
        line, _, far = self.offered()
        line.hangs_up(far)
        assert line.members[ALICE].offered is None

    def test_the_caller_who_ends_ends_the_offer(self) -> None:
        """Nor for a caller whose channel is gone."""
        line, near, _ = self.offered()
        line.hangs_up(near)
        assert line.members[ALICE].offered is None


class TestDirectCall:
    """A call from phone to phone."""

    def talking(self) -> tuple[Line, Channel, Channel]:
        """3001 talks with 1001."""
        line, near = Line(), customer(exten="1001")
        far = dialled("PJSIP/1001-00000002", "1.4", "1.1")
        line.appears(near, far)
        line.dials(near, far)
        line.gets(far, "5")
        line.gets(far, "6")
        line.dial_ends(near, far)
        line.gets(near, "6")
        line.enters("b1", far, near)
        return line, near, far

    def test_it_has_no_queue(self) -> None:
        """Both legs are in one conversation, and no queue is told."""
        line, *_ = self.talking()
        assert {leg.conversation for leg in line.legs.values()} == {"b1"}
        assert {leg.queue for leg in line.legs.values()} == {None}

    def test_hold_and_unhold(self) -> None:
        """The leg whose phone pressed hold is held, the other is not."""
        line, near, far = self.talking()
        line.hear(message("Hold", far.block(), MusicClass="default"))
        assert (line.legs["1.4"].held, line.legs["1.1"].held) == (True, False)
        assert line.hear(message("Hold", far.block())) == []
        line.hear(message("Unhold", far.block()))
        assert not line.legs["1.4"].held
        assert line.hear(message("Unhold", near.block())) == []

    def test_the_states_never_go_back(self) -> None:
        """Ringing after Up, which the lists were ahead of, changes nothing, nor the time of the answer."""
        line, _, far = self.talking()
        before = line.legs["1.4"]
        assert line.gets(far, "5") == []
        assert line.gets(far, "6") == []
        assert line.legs["1.4"] == before

    def test_an_alerting_phone_that_rings_on_is_not_told_again(self) -> None:
        """Hearing an event twice tells it once."""
        line, far = Line(), dialled("PJSIP/1001-00000002", "1.4", "1.1")
        line.appears(far)
        assert line.gets(far, "5") != []
        assert line.gets(far, "5") == []


class TestTransfer:
    """Calls that move."""

    def test_a_blind_transfer_leaves_the_queue_and_joins_another(self) -> None:
        """The agent is freed, the customer's leg goes on under the same key with whom he is given to."""
        line, near, far = served()
        line.queue_tells("AgentComplete", near, far, HoldTime="2", TalkTime="0", Reason="transfer")
        line.leaves("b1", far, near)
        assert line.legs["1.1"].conversation is None
        line.hangs_up(far)
        assert line.members[ALICE].serving is None
        third = dialled("PJSIP/2001-00000003", "2.1", "1.1")
        line.appears(third)
        line.dials(near, third)
        line.gets(third, "6")
        line.enters("b2", third, near)
        assert {leg.call for leg in line.legs.values()} == {"1.1"}
        assert {leg.conversation for leg in line.legs.values()} == {"b2"}

    def test_calls_that_merge_take_the_older_key(self) -> None:
        """Linkedid changes with no event of its own: the next event of the channel tells."""
        line, near = Line(), customer("5.1")
        line.appears(near)
        near.linked = "1.1"
        line.enters("b1", near)
        assert line.legs["5.1"].call == "1.1"

    def test_a_masquerade_renames(self) -> None:
        """The ids stay; a leg that becomes a part of the inside is no leg any more, and the reverse."""
        line, near = Line(), customer()
        half = Channel(f"{LOCAL}-00000000;1", "1.2", "1.1")
        line.appears(near, half)
        assert set(line.legs) == {"1.1"}
        line.hear(message("Rename", Channel=half.name, Newname="PJSIP/1007-00000009", Uniqueid="1.2"))
        assert line.legs["1.2"].device == "1007"
        line.hear(message("Rename", Channel=near.name, Newname=half.name, Uniqueid="1.1"))
        assert set(line.legs) == {"1.2"}
        assert line.hear(message("Rename", Channel="x", Newname="y", Uniqueid="9.9")) == []
        line.hangs_up(near)
        assert set(line.legs) == {"1.2"}

    def test_a_holding_bridge_is_no_conversation(self) -> None:
        """Those who are parked do not hear each other."""
        line, near, _ = served()
        line.enters("parking", near, technology="holding_bridge")
        assert line.legs["1.1"].conversation is None
        assert line.legs["1.4"].conversation == "b1"

    def test_a_leave_of_a_bridge_it_is_no_longer_in_changes_nothing(self) -> None:
        """A late BridgeLeave does not take the channel out of the next bridge."""
        line, near, _ = served()
        line.enters("b2", near)
        line.leaves("b1", near)
        assert line.legs["1.1"].conversation == "b2"


class TestLocalMember:
    """A member of the form `Local/1007@from-queue`, with and without /n."""

    def joined(self, interface: str) -> tuple[Line, dict[str, Channel]]:
        """The call as it stands before any optimisation."""
        line, near = Line(), customer()
        line.hear(member_event("QueueMemberAdded", Interface=interface, StateInterface="hint:1007@ext-local"))
        one = dialled(f"{LOCAL}-00000000;1", "1.2", "1.1", application="AppQueue")
        two, phone = (
            Channel(f"{LOCAL}-00000000;2", "1.3", "1.1", state="4"),
            dialled("PJSIP/1007-5", "1.4", "1.1"),
        )
        line.appears(near, one, two)
        line.joins(near)
        pair = {"LocalOneUniqueid": "1.2", "LocalTwoUniqueid": "1.3"}
        line.hear(message("LocalBridge", **pair))
        line.queue_tells("AgentCalled", near, one, interface=interface)
        line.dials(near, one)
        line.appears(phone)
        line.dials(two, phone)
        line.gets(phone, "5")
        assert line.members[GRACE].offered == "1.1"
        line.gets(phone, "6")
        line.leaves_queue(near)
        line.queue_tells("AgentConnect", near, one, interface=interface)
        line.enters("far", phone, two)
        line.enters("near", one, near)
        return line, {"near": near, "one": one, "two": two, "phone": phone}

    def test_the_pair_is_never_told(self) -> None:
        """Caller and phone are one conversation of two legs, and the phone's agent serves him."""
        line, _ = self.joined(f"{LOCAL}/n")
        assert set(line.legs) == {"1.1", "1.4"}
        assert {leg.conversation for leg in line.legs.values()} == {"near"}
        assert line.members[GRACE].serving == "1.1"
        assert line.members[GRACE].device == "1007"

    def test_the_kept_pair_ends_with_the_call(self) -> None:
        """With /n the half that the queue dialled hangs up at the end, and frees her."""
        line, channels = self.joined(f"{LOCAL}/n")
        line.leaves("near", channels["near"], channels["one"])
        assert {leg.conversation for leg in line.legs.values()} == {None, "far"}
        line.hangs_up(channels["one"], channels["two"])
        assert line.members[GRACE].serving is None
        line.hangs_up(channels["near"], channels["phone"])
        assert line.legs == {}

    def test_her_phone_hangs_up_and_the_pair_stays(self) -> None:
        """She transferred the caller: the pair goes on in the call, and she is free."""
        line, channels = self.joined(f"{LOCAL}/n")
        line.leaves("far", channels["phone"])
        line.hangs_up(channels["phone"])
        member = line.members[GRACE]
        assert (member.serving, member.in_call) == (None, False)
        assert member.last_call_at is not None

    def test_another_call_of_her_phone_ends(self) -> None:
        """While one of her calls goes on, the end of another frees her of nothing."""
        line, _ = self.joined(f"{LOCAL}/n")
        second, other = dialled("PJSIP/1007-6", "2.2", "2.1"), caller("PJSIP/3002-1", "2.1", "1007")
        line.appears(other, second)
        line.enters("private", second, other)
        line.leaves("private", second)
        line.hangs_up(second)
        assert line.members[GRACE].serving == "1.1"

    def test_a_phone_that_only_rang_ends_nothing(self) -> None:
        """A second phone of hers that was rung beside the first, and stops ringing, is no end of the call."""
        line, channels = self.joined(f"{LOCAL}/n")
        line.leaves("far", channels["phone"])
        rung = dialled("PJSIP/1007-7", "3.2", "3.1")
        line.appears(rung)
        line.hangs_up(rung)
        assert line.members[GRACE].serving == "1.1"

    def test_the_optimised_pair_hands_the_call_to_the_phone(self) -> None:
        """The phone takes the half's place in the bridge; the pair's hangup does not end her part."""
        line, channels = self.joined(LOCAL)
        line.leaves("far", channels["phone"])
        line.leaves("near", channels["one"])
        line.enters("near", channels["phone"], swap="1.2")
        line.hangs_up(channels["one"])
        line.leaves("far", channels["two"])
        line.hangs_up(channels["two"])
        assert {leg.conversation for leg in line.legs.values()} == {"near"}
        member = line.members[GRACE]
        assert (member.serving, member.in_call, member.last_call_at) == ("1.1", True, None)
        line.hangs_up(channels["phone"])
        assert line.members[GRACE].serving is None

    def test_a_swap_may_come_before_the_leave(self) -> None:
        """Whoever is swapped is out of the bridge, without an event of its own."""
        line, channels = self.joined(LOCAL)
        line.enters("near", channels["phone"], swap="1.2")
        line.hangs_up(channels["one"], channels["two"])
        assert {leg.conversation for leg in line.legs.values()} == {"near"}

    def test_a_pair_of_an_unknown_half_joins_nothing(self) -> None:
        """LocalBridge of channels that are gone does nothing."""
        line, _ = self.joined(LOCAL)
        assert line.hear(message("LocalBridge", LocalOneUniqueid="1.2", LocalTwoUniqueid="9.9")) == []
        assert line.hear(message("LocalBridge", LocalOneUniqueid="9.9", LocalTwoUniqueid="1.3")) == []


class TestTakeOver:
    """The supervisor's leg."""

    PHONE, SNOOP, BRIDGE = "ctid-s1-phone-1000.1", "ctid-s1-listen-1000.2", "ctid-s1"

    def test_she_is_hidden_until_the_customer_joins_her(self) -> None:
        """While she listens she has no leg; after the take-over she has one in the customer's call."""
        line, near, far = served()
        her = dialled("PJSIP/2001-00000009", self.PHONE, self.PHONE)
        snoop = Channel("Snoop/1.4-00000000", self.SNOOP, self.SNOOP, state="6")
        line.appears(her, snoop)
        line.gets(her, "6")
        line.enters(self.BRIDGE, snoop, her)
        assert set(line.legs) == {"1.1", "1.4"}
        line.leaves("b1", far, near)
        line.hangs_up(far)
        line.enters(self.BRIDGE, near)
        leg = line.legs[self.PHONE]
        assert (leg.supervision, leg.call, leg.device, leg.conversation) == ("s1", "1.1", "2001", self.BRIDGE)
        facts = line.hear(message("BridgeLeave", near.block(), BridgeUniqueid=self.BRIDGE))
        assert LegEnded(pbx=PBX, at=line.now, source="BridgeLeave", leg=LegId(self.PHONE)) in facts
        line.hangs_up(her, snoop)
        assert set(line.legs) == {"1.1"}


class TestStrangers:
    """Events of channels that the lists did not have, and of those they had first."""

    EVENTS = (
        "Newstate",
        "NewCallerid",
        "NewConnectedLine",
        "Hangup",
        "Hold",
        "Unhold",
        "BridgeEnter",
        "BridgeLeave",
    )

    @pytest.mark.parametrize("kind", EVENTS)
    def test_an_event_of_an_unknown_channel_tells_nothing(self, kind: str) -> None:
        """A channel is created by Newchannel or by the lists alone."""
        line = Line()
        more = {"BridgeUniqueid": "b1", "BridgeTechnology": "simple_bridge", "Cause": "16"}
        assert line.hear(message(kind, customer().block(), **more)) == []
        assert line.normalizer.channels.by_id == {}

    def test_queue_events_of_an_unknown_channel_tell_nothing(self) -> None:
        """Nor do those of callers and dialled channels that are gone."""
        line, near, far = Line(), customer(), agent()
        line.joins(near)
        assert line.leaves_queue(near) == []
        line.dials(near, far)
        line.dial_ends(near, far, "BUSY")
        assert (line.legs, line.members) == ({}, {})

    @pytest.mark.parametrize("kind", ["NewCallerid", "NewConnectedLine"])
    def test_a_number_that_comes_later_is_told(self, kind: str) -> None:
        """Whoever a channel turns out to be is told at once, and by either event."""
        line, near = Line(), customer()
        near.number = "<unknown>"
        line.appears(near)
        near.number, near.person = "0612345678", "Jean Petit"
        (fact,) = line.hear(message(kind, near.block()))
        assert isinstance(fact, LegChanged)
        assert (fact.leg.number, fact.leg.name) == ("0612345678", "Jean Petit")

    def test_newchannel_of_a_known_channel_refreshes_it(self) -> None:
        """The lists had it up already: it stays so, and what they did not have is filled in."""
        line, near = Line(), customer(state="6")
        near.number = "<unknown>"
        line.loads(lists(near.item()))
        created = line.legs["1.1"].created_at
        near.state, near.number, near.person = "4", "3001", r"O\'Brien"
        line.appears(near)
        leg = line.legs["1.1"]
        assert (leg.state, leg.number, leg.name, leg.created_at) == (
            LegState.CONNECTED,
            "3001",
            "O'Brien",
            created,
        )

    def test_a_number_once_known_is_kept(self) -> None:
        """An event without the caller's id does not take it away."""
        line, near = Line(), customer()
        line.appears(near)
        near.number = "<unknown>"
        line.gets(near, "6")
        assert line.legs["1.1"].number == "3001"

    def test_an_event_that_nobody_reads_tells_nothing(self) -> None:
        """Asterisk's other events are let by."""
        assert Line().hear(message("Newexten", customer().block())) == []

    def test_leaving_another_queue_keeps_the_place(self) -> None:
        """Who went on to a second queue does not lose the place there by the first one's late event."""
        line, near = Line(), customer(state="6")
        line.appears(near)
        line.joins(near, "sales")
        line.leaves_queue(near, "support")
        assert line.legs["1.1"].position == 1

    def test_the_wires_own_time_is_taken(self) -> None:
        """With timestampevents, facts bear the PBX's clock."""
        line = Line()
        (fact,) = line.hear(message("Newchannel", customer().block(), Timestamp="1795411005.329627"))
        assert fact.at == Instant("1795411005.329627")


class TestEscapes:
    """Names, which are escaped in channel events alone."""

    def test_a_name_is_unescaped_in_a_channel_event_and_not_in_a_members(self) -> None:
        """The same bytes mean different names by where they stand."""
        line, near = Line(), customer()
        near.person = r"back\\slash O\'Brien"
        line.appears(near)
        line.hear(member_event(MemberName=r"back\\slash O\'Brien"))
        assert line.legs["1.1"].name == r"back\slash O'Brien"
        assert line.members[ALICE].name == r"back\\slash O\'Brien"

    def test_latin_1_comes_through(self) -> None:
        """Bytes that are no UTF-8 are told as U+FFFD, and the rest of the name is whole."""
        reader = AmiReader()
        reader.feed(b"Asterisk Call Manager/11.0.0\r\n")
        block = customer().block()
        lines = [f"{key}: {value}".encode() for key, value in block if key != "CallerIDName"]
        wire = b"\r\n".join([b"Event: Newchannel", *lines, b"CallerIDName: Ren\xe9e Le\\'Roy", b"", b""])
        (event,) = reader.feed(wire)
        assert isinstance(event, Message)
        line = Line()
        line.hear(event)
        assert line.legs["1.1"].name == "Ren\N{REPLACEMENT CHARACTER}e Le'Roy"


class TestMembers:
    """Members who come, change and go."""

    def test_a_member_is_told_when_she_changes_and_not_again(self) -> None:
        """The PBX sends one event a queue and a state: the same twice is one fact."""
        line = staffed()
        assert line.hear(member_event()) == []
        assert line.hear(member_event(Status="2")) != []
        assert line.members[ALICE].device_state is DeviceState.IN_USE

    def test_removed_and_added_again(self) -> None:
        """She leaves the queue, and joins it as she is, with nothing of before but what the PBX counts."""
        line = staffed()
        line.hear(member_event("QueueMemberPause", Paused="1", PausedReason="lunch"))
        assert line.members[ALICE].reason == "lunch"
        line.hear(member_event("QueueMemberRemoved"))
        assert line.members == {}
        line.hear(member_event("QueueMemberAdded"))
        assert (line.members[ALICE].paused, line.members[ALICE].reason) == (False, "")

    def test_removed_while_she_talks(self) -> None:
        """The call goes on and ends with her gone from the queue."""
        line, near, far = served()
        line.hear(member_event("QueueMemberRemoved"))
        line.hangs_up(far, near)
        assert line.members == {}
        assert line.legs == {}

    def test_devices_are_told_by_their_changes(self) -> None:
        """Phones are told; queues, hints and parts of the inside are not, nor a state nobody knows."""
        line = Line()
        phone = message("DeviceStateChange", Device="PJSIP/1001", State="INUSE")
        assert [fact.device for fact in line.hear(phone)] == [  # type: ignore[union-attr]  # the one kind it tells
            DeviceInfo(id=DeviceId("1001"), state=DeviceState.IN_USE)
        ]
        assert line.hear(phone) == []
        for device, state in (("Queue:support_avail", "INUSE"), ("Local/1@q", "INUSE"), ("PJSIP/1", "NEW")):
            assert line.hear(message("DeviceStateChange", Device=device, State=state)) == []
