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
