from ctid.model.ids import QueueId
from ctid.model.instant import Instant
from ctid.model.words import LegState
from ctid_asterisk.channels import Channel, Channels, session_of

START = Instant(1000.0)


def known(*names: tuple[str, str]) -> Channels:
    """Channels by (name, unique id), all of the call `1.1`."""
    channels = Channels()
    for name, unique in names:
        channels.add(Channel(unique, name, "1.1", START, incoming=unique == "1.1"))
    return channels


def local_call() -> Channels:
    """A caller and a phone, joined by a Local pair through two bridges."""
    channels = known(
        ("PJSIP/3001-1", "1.1"), ("Local/7@q-1;1", "1.2"), ("Local/7@q-1;2", "1.3"), ("PJSIP/7-2", "1.4")
    )
    channels.pair("1.2", "1.3")
    channels.enter("1.1", "near")
    channels.enter("1.2", "near")
    channels.enter("1.3", "far")
    channels.enter("1.4", "far")
    return channels


def conversation(channels: Channels, unique: str) -> str | None:
    """Which conversation a channel is told to be in."""
    leg = channels.leg(channels.by_id[unique])
    assert leg is not None
    return leg.conversation


def test_a_channel_alone_has_no_conversation() -> None:
    """Before it is in a bridge, a channel hears nobody."""
    assert conversation(known(("PJSIP/3001-1", "1.1")), "1.1") is None


def test_two_in_a_bridge_hear_each_other() -> None:
    """Without Local pairs the bridge is the conversation."""
    channels = known(("PJSIP/3001-1", "1.1"), ("PJSIP/7-2", "1.4"))
    channels.enter("1.1", "b1")
    assert set(channels.enter("1.4", "b1")) == {"1.1", "1.4"}
    assert conversation(channels, "1.1") == conversation(channels, "1.4") == "b1"


def test_a_local_pair_joins_two_bridges_and_is_no_leg() -> None:
    """Caller and phone are in one conversation; the halves of the pair are told as nothing."""
    channels = local_call()
    assert conversation(channels, "1.1") == conversation(channels, "1.4") == "near"
    assert channels.leg(channels.by_id["1.2"]) is None
    assert channels.leg(channels.by_id["1.3"]) is None


def test_a_chain_of_two_pairs_is_one_conversation() -> None:
    """A Local channel that dials a Local channel still ends in one conversation."""
    channels = local_call()
    for name, unique in (("Local/8@q-2;1", "1.5"), ("Local/8@q-2;2", "1.6"), ("PJSIP/8-3", "1.7")):
        channels.add(Channel(unique, name, "1.1", START, incoming=False))
    channels.enter("1.5", "far")
    channels.enter("1.6", "third")
    channels.enter("1.7", "third")
    assert conversation(channels, "1.7") == "third"
    touched = channels.pair("1.5", "1.6")
    assert {"1.1", "1.4", "1.7"} <= set(touched)
    assert conversation(channels, "1.1") == conversation(channels, "1.7") == "near"


def test_the_last_half_that_hangs_up_parts_the_conversation() -> None:
    """A pair of which one half is gone joins nothing any more."""
    channels = local_call()
    assert set(channels.remove("1.2")) == {"1.1", "1.2", "1.3", "1.4"}
    assert conversation(channels, "1.1") == "near"
    assert conversation(channels, "1.4") == "far"
    assert channels.remove("1.3")
    assert "1.3" not in channels.by_id


def test_a_pair_of_which_one_half_is_in_no_bridge_joins_nothing() -> None:
    """While the far phone rings, the caller's bridge stands alone."""
    channels = local_call()
    channels.leave("1.3")
    assert conversation(channels, "1.1") == "near"


def test_moving_to_another_bridge_leaves_the_first() -> None:
    """A channel is in one bridge at a time, and those it left are touched as well."""
    channels = known(("PJSIP/3001-1", "1.1"), ("PJSIP/7-2", "1.4"))
    channels.enter("1.1", "b1")
    channels.enter("1.4", "b1")
    assert set(channels.enter("1.4", "b2")) == {"1.1", "1.4"}
    assert conversation(channels, "1.1") == "b1"
    assert conversation(channels, "1.4") == "b2"
    channels.enter("1.4", "b2")
    assert conversation(channels, "1.4") == "b2"


def test_leaving_twice_and_unknown_channels_do_no_harm() -> None:
    """Events may come again, or of channels that nobody knows."""
    channels = known(("PJSIP/3001-1", "1.1"))
    assert channels.leave("1.1") == ["1.1"]
    assert channels.leave("9.9") == ["9.9"]
    assert channels.remove("9.9") == ["9.9"]


class TestFarEnd:
    """The channel that stands for the agent in the customer's own bridge."""

    def test_it_is_the_agents_own_channel(self) -> None:
        """In one bridge the agent is reached directly."""
        channels = known(("PJSIP/3001-1", "1.1"), ("PJSIP/7-2", "1.4"))
        channels.enter("1.1", "b1")
        channels.enter("1.4", "b1")
        assert channels.far_end("1.1", "1.4") == "1.4"

    def test_it_is_the_near_half_of_a_pair(self) -> None:
        """Behind a Local pair, the half in the customer's bridge holds his place."""
        assert local_call().far_end("1.1", "1.4") == "1.2"

    def test_there_is_none_between_two_who_do_not_talk(self) -> None:
        """No bridge, another bridge, or a channel that is gone."""
        channels = local_call()
        channels.add(Channel("2.1", "PJSIP/9-9", "2.1", START, incoming=False))
        channels.add(Channel("2.2", "PJSIP/9-8", "2.1", START, incoming=False))
        channels.enter("2.1", "other")
        assert channels.far_end("1.1", "2.1") is None
        assert channels.far_end("2.2", "1.4") is None
        assert channels.far_end("9.9", "1.4") is None


class TestOurs:
    """The supervisor's channel."""

    PHONE = "ctid-s1a2-phone-1000.1"

    def test_an_id_of_ours_names_its_session(self) -> None:
        """The session is read from the id."""
        assert session_of(self.PHONE) == "s1a2"

    def test_her_leg_is_hidden_until_she_shares_a_bridge_with_a_party(self) -> None:
        """With a snoop channel alone she is told as nothing; with the customer she is a party of his call."""
        channels = known(("PJSIP/3001-1", "1.1"))
        channels.add(Channel(self.PHONE, "PJSIP/2001-5", self.PHONE, START, incoming=False))
        channels.add(Channel("ctid-s1a2-listen-1000.2", "Snoop/1.4-0", "x", START, incoming=False))
        her = channels.by_id[self.PHONE]
        assert channels.leg(her) is None
        channels.enter(self.PHONE, "ctid-s1a2")
        channels.enter("ctid-s1a2-listen-1000.2", "ctid-s1a2")
        assert channels.leg(her) is None
        channels.enter("1.1", "ctid-s1a2")
        leg = channels.leg(her)
        assert leg is not None
        assert (leg.call, leg.supervision, leg.conversation) == ("1.1", "s1a2", "ctid-s1a2")


def test_who_was_dialled_for_a_caller_rings_until_they_meet() -> None:
    """An agent who answered and is alone in the bridge is alerting; once they have met she is connected."""
    channels = known(("PJSIP/3001-1", "1.1"), ("PJSIP/1001-1", "1.4"))
    channel = channels.by_id["1.4"]
    channel.state, channel.for_caller = LegState.CONNECTED, True

    def told() -> tuple[LegState, str | None]:
        leg = channels.leg(channel)
        assert leg is not None
        return leg.state, leg.conversation

    assert told() == (LegState.ALERTING, None)
    channels.enter("1.4", "b1")
    assert told() == (LegState.ALERTING, None)
    channels.enter("1.1", "b1")
    assert told() == (LegState.CONNECTED, "b1")
    channels.leave("1.4")
    assert told() == (LegState.CONNECTED, None)


def test_who_rings_on_alone_in_a_bridge_still_rings() -> None:
    """A phone that is put into a bridge before it answers has met nobody."""
    channels = known(("PJSIP/1001-1", "1.4"))
    channel = channels.by_id["1.4"]
    channel.state, channel.for_caller = LegState.ALERTING, True
    channels.enter("1.4", "b1")
    leg = channels.leg(channel)
    assert leg is not None
    assert (leg.state, leg.conversation) == (LegState.ALERTING, None)


def test_the_number_of_a_phone_is_its_device() -> None:
    """A dialled phone's caller id may be the queue's: its own number is its device's name, if that is one."""
    channels = known(("PJSIP/1001-1", "1.4"), ("PJSIP/trunk-1", "1.5"))
    for channel in channels.by_id.values():
        channel.number = "7000"
    numbers = [leg.number for leg in map(channels.leg, channels.by_id.values()) if leg is not None]
    assert numbers == ["1001", "7000"]


def test_a_renamed_channel_is_what_its_name_says() -> None:
    """A masquerade can turn a Local half into a phone."""
    channel = Channel("1.4", "Local/7@q-1;1", "1.1", START, incoming=False)
    channel.rename("PJSIP/1001-1")
    assert channel.party


class TestCalls:
    """Which call a channel belongs to."""

    def bridged(self, *linked: tuple[str, str], merges: bool = True) -> Channels:
        """Phones of these unique and linked ids, in one bridge."""
        channels = Channels()
        for number, (unique, call) in enumerate(linked):
            channels.add(Channel(unique, f"PJSIP/{number}-1", call, START, incoming=True))
        for unique, _ in linked:
            channels.enter(unique, "b1", merges=merges)
        return channels

    def calls(self, channels: Channels) -> list[str]:
        """The key of each leg."""
        legs = [channels.leg(channel) for channel in channels.by_id.values()]
        return [leg.call for leg in legs if leg is not None]

    def test_those_who_share_a_bridge_are_the_oldest_call(self) -> None:
        """Without an event that says so, and for good."""
        channels = self.bridged(("5.9", "5.9"), ("5.10", "5.10"), ("6.1", "6.1"))
        assert self.calls(channels) == ["5.9"] * 3
        channels.leave("6.1")
        assert self.calls(channels) == ["5.9"] * 3

    def test_a_later_event_of_before_takes_nothing_back(self) -> None:
        """Its block was made before the merger; one that tells an older call is right."""
        channels = self.bridged(("5.9", "5.9"), ("6.1", "6.1"))
        channels.seen_in(channels.by_id["6.1"], "6.1")
        assert self.calls(channels) == ["5.9"] * 2
        channels.seen_in(channels.by_id["6.1"], "4.1")
        assert channels.by_id["6.1"].linked == "4.1"

    def test_who_is_known_to_be_of_an_older_call_came_to_it_later(self) -> None:
        """The lists are ahead: an event of before they were taken joins no two who never met."""
        channels = Channels()
        for unique, linked in (("2.1", "1.1"), ("3.1", "3.1"), ("4.1", "4.1")):
            channels.add(Channel(unique, f"PJSIP/{unique}", linked, START, incoming=True))
        channels.enter("2.1", "b1")
        channels.enter("4.1", "b1", linked="3.1")
        channels.enter("3.1", "b1", linked="3.1")
        calls = {unique: channel.linked for unique, channel in channels.by_id.items()}
        assert calls == {"2.1": "1.1", "3.1": "3.1", "4.1": "3.1"}

    def test_an_id_that_somebody_chose_is_as_old_as_its_channel(self) -> None:
        """It does not say when it was made; one of a channel that is gone is older than none."""
        channels = self.bridged(("click-to-dial", "click-to-dial"), ("900.1", "900.1"))
        assert self.calls(channels) == ["900.1"] * 2
        channels = self.bridged(("click-to-dial", "click-to-dial"), ("1100.1", "1100.1"))
        assert self.calls(channels) == ["click-to-dial"] * 2
        channels = self.bridged(("1100.1", "gone"), ("1100.2", "1100.2"))
        assert self.calls(channels) == ["1100.2"] * 2

    def test_in_a_room_they_are_one_call_while_they_are_together(self) -> None:
        """It stays the oldest of all who were there; who leaves keeps it until she does something else."""
        channels = self.bridged(("5.9", "5.9"), ("6.1", "6.1"), ("7.1", "7.1"), merges=False)
        assert self.calls(channels) == ["5.9"] * 3
        channels.leave("5.9")
        channels.remove("5.9")
        assert self.calls(channels) == ["5.9"] * 2
        channels.leave("6.1")
        assert self.calls(channels) == ["5.9"] * 2
        channels.enter("6.1", "b2")
        assert self.calls(channels) == ["6.1", "5.9"]

    def test_a_supervisors_channel_gives_no_call_its_key(self) -> None:
        """However old it is, and whatever Asterisk makes the linked id of those it is bridged with."""
        ours = "ctid-s1-phone-3.1"
        channels = self.bridged((ours, ours), ("5.9", "5.9"), merges=False)
        channels.seen_in(channels.by_id["5.9"], ours)
        assert self.calls(channels) == ["5.9"] * 2
        alone = self.bridged(("5.9", ours))
        assert self.calls(alone) == ["5.9"]
        alone.seen_in(alone.by_id["5.9"], "5.8")
        assert self.calls(alone) == ["5.8"]

    def test_a_room_of_ours_alone_has_no_call(self) -> None:
        """Before the customer comes in, nothing is told of it."""
        ours = "ctid-s1-phone-3.1"
        channels = self.bridged((ours, ours), merges=False)
        assert self.calls(channels) == []


class TestPool:
    """An agent whose channel stands."""

    def logged_in(self) -> Channels:
        """1006 waits for callers; her channel is older than theirs."""
        channels = Channels()
        channels.add(Channel("1.1", "PJSIP/1006-1", "1.1", START, incoming=True))
        channels.add(Channel("5.1", "PJSIP/3001-1", "5.1", START, incoming=True))
        assert channels.stand("1.1", standing=True) == ["1.1"]
        return channels

    def test_while_she_waits_she_is_no_leg(self) -> None:
        """Her channel is up and no call."""
        channels = self.logged_in()
        assert channels.leg(channels.by_id["1.1"]) is None

    def test_with_a_caller_she_is_in_his_call(self) -> None:
        """Since he was given to her, also when Asterisk has made hers the linked id of all."""
        channels = self.logged_in()
        channels.joins_call(channels.by_id["1.1"], Instant(2000.0))
        channels.enter("1.1", "b1")
        channels.enter("5.1", "b1")
        channels.relink(channels.by_id["5.1"], "1.1")
        leg = channels.leg(channels.by_id["1.1"])
        assert leg is not None
        assert (leg.call, leg.created_at, leg.incoming) == ("5.1", 2000.0, False)
        channels.joins_call(channels.by_id["1.1"], Instant(2001.0))
        assert channels.by_id["1.1"].created_at == 2000.0
        third = Channel("6.1", "PJSIP/2001-1", "1.1", START, incoming=False)
        channels.add(third)
        told = channels.leg(third)
        assert told is not None
        assert told.call == "5.1"

    def test_who_is_logged_off_is_a_leg_again(self) -> None:
        """And a channel that nobody knows is nothing."""
        channels = self.logged_in()
        assert channels.stand("1.1", standing=False) == ["1.1"]
        assert channels.leg(channels.by_id["1.1"]) is not None
        assert channels.stand("9.9", standing=True) == []
        leg = channels.leg(channels.by_id["1.1"])
        assert leg is not None
        assert leg.call == "1.1"

    def test_who_logs_off_in_a_call_leaves_it_the_callers(self) -> None:
        """Her channel is none of a call's until it ends, and hers is no call's key after it either."""
        channels = self.logged_in()
        channels.enter("1.1", "b1")
        channels.enter("5.1", "b1")
        channels.stand("1.1", standing=False)
        leg = channels.leg(channels.by_id["1.1"])
        assert leg is not None
        assert leg.call == "5.1"
        channels.remove("1.1")
        channels.seen_in(channels.by_id["5.1"], "1.1")
        alone = channels.leg(channels.by_id["5.1"])
        assert alone is not None
        assert alone.call == "5.1"

    def test_not_all_logins_of_a_year_are_remembered(self) -> None:
        """The oldest are forgotten, of whom no call bears the id any more; never one who is still there."""
        channels = Channels()
        for number in range(1100):
            unique = f"{number}.1"
            channels.add(Channel(unique, "PJSIP/1006-1", unique, START, incoming=True))
            channels.stand(unique, standing=True)
            if number:
                channels.remove(unique)
        assert len(channels._standing) == 1000
        assert "0.1" in channels._standing


class TestMoving:
    """A Local pair that stands aside."""

    def test_who_does_not_arrive_has_left(self) -> None:
        """An optimisation that fails leaves those out who have left; a channel that is gone is none."""
        channels = local_call()
        channels.begin_move("1.2", "1.3", "1.4")
        channels.by_id["1.4"].leaving = True
        channels.remove("1.3")
        assert "1.4" in channels.end_move("1.2")
        assert channels.by_id["1.4"].bridge is None
        assert not channels.by_id["1.2"].moving
        assert channels.end_move("1.2") == []

    def test_of_an_unknown_source_nothing_is_awaited(self) -> None:
        """Old versions do not name it."""
        channels = local_call()
        channels.begin_move("1.2", "1.3", "")
        assert [unique for unique, channel in channels.by_id.items() if channel.moving] == ["1.2", "1.3"]

    def test_a_bridge_that_is_merged_moves_all_at_once(self) -> None:
        """Into one that is there, and out of one that is not there nobody."""
        channels = known(("PJSIP/3001-1", "1.1"), ("PJSIP/7-2", "1.4"))
        channels.enter("1.1", "b1")
        channels.enter("1.4", "b2")
        assert {"1.1", "1.4"} <= set(channels.merge("b2", "b1"))
        assert conversation(channels, "1.4") == "b1"
        assert channels.merge("b2", "b1") == []


class TestBehind:
    """The party on whose behalf a half acts."""

    def test_through_the_pair(self) -> None:
        """Each half stands for who is beyond the other; it is remembered when they are gone."""
        channels = local_call()
        assert (channels.party_behind("1.3"), channels.party_behind("1.2")) == ("1.1", "1.4")
        assert (channels.party_behind("1.1"), channels.party_behind("9.9")) == ("1.1", "9.9")
        channels.leave("1.1")
        assert channels.party_behind("1.3") == "1.1"

    def test_a_half_that_rings_stands_for_whom_it_is_dialled_for(self) -> None:
        """Before any bridge: a queue behind a queue."""
        channels = local_call()
        for unique in ("1.1", "1.2", "1.3"):
            channels.leave(unique)
        assert channels.party_behind("1.3") == "1.3"
        channels.by_id["1.2"].for_whom = "1.1"
        assert channels.party_behind("1.3") == "1.1"

    def test_through_two_pairs(self) -> None:
        """Whatever is at their end, and nobody when they lead in a circle."""
        channels = local_call()
        for name, unique in (("Local/8@q-2;1", "1.5"), ("Local/8@q-2;2", "1.6")):
            channels.add(Channel(unique, name, "1.1", START, incoming=False))
        channels.pair("1.5", "1.6")
        channels.leave("1.4")
        channels.enter("1.5", "far")
        assert channels.party_behind("1.6") == "1.1"
        channels.leave("1.1")
        channels.by_id["1.6"].stands_for = ""
        channels.enter("1.6", "near")
        assert channels.party_behind("1.6") == "1.6"

    def test_a_party_in_a_circle_of_pairs_stands_for_herself(self) -> None:
        """Two halves of one pair in her bridge and its other lead nowhere."""
        channels = local_call()
        channels.by_id["1.3"].queue = QueueId("sales")
        channels.by_id["1.3"].position = 2
        leg = channels.leg(channels.by_id["1.1"])
        assert leg is not None
        assert (leg.queue, leg.position) == ("sales", 2)
        channels.leave("1.4")
        channels.enter("1.3", "near")
        leg = channels.leg(channels.by_id["1.1"])
        assert leg is not None
        assert leg.queue is None
