"""What no Asterisk should say, and some have: each line was found by the fuzz or by its like."""

import pytest

from ctid.model.facts import LegChanged, Snapshot
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, QueueId, safe_id
from ctid.model.instant import Instant, to_rfc3339
from ctid.model.words import Registration, SnapshotReason
from ctid_asterisk import fields, members, roster
from ctid_asterisk.channel import Channel
from ctid_asterisk.channels import Channels
from ctid_asterisk.contacts import Contacts
from ctid_asterisk.departures import Departure, Departures
from ctid_asterisk.members import Members
from ctid_asterisk.normalize import Normalizer, UnreadableError
from ctid_asterisk.outs import Credentials, Dead, Ready, Send
from ctid_asterisk.resync import Resync
from ctid_asterisk.roster import Roster
from ctid_asterisk.rtcp import Reports
from ctid_asterisk.session import AmiSession
from ctid_asterisk.wire import MAX_LEGIBLE, AmiReader, Message
from helpers.ami_words import PBX, caller, lists, member_event, message

NOW = Instant(1000.0)
KEY = ("support", "PJSIP/1001")
NEVER_NUMBERS = ["", "x", "1e3", "nan", "inf", "-inf", "1_0", " 5", "\u0663", "9" * 16, "9" * 5000]


@pytest.mark.parametrize("text", [*NEVER_NUMBERS, "1.5"])
def test_a_whole_number_is_one_that_json_and_a_database_can_hold(text: str) -> None:
    """At most 15 digits of ASCII: 5000 of them would cost Python itself an error, 19 the publisher."""
    with pytest.raises(ValueError, match="whole number"):
        fields.whole(text)
    assert (fields.whole("-7"), fields.whole("9" * 15)) == (-7, 10**15 - 1)


@pytest.mark.parametrize("text", NEVER_NUMBERS)
def test_a_number_is_finite(text: str) -> None:
    """What is neither infinite nor none at all can be rounded and written."""
    with pytest.raises(ValueError, match="number"):
        fields.number(text)
    assert (fields.number("-1.25"), fields.number("3.")) == (-1.25, 3.0)


@pytest.mark.parametrize(
    ("text", "number"), [("12", 12), ("", None), ("-1", None), ("\u00b2", None), ("9" * 16, None)]
)
def test_a_number_that_can_be_done_without_is_none(text: str, number: int | None) -> None:
    """Round trips and penalties are left out where they are none."""
    assert fields.natural(text) == number


@pytest.mark.parametrize("seconds", [-1.0, 253402300800.0, float("nan"), float("inf")])
def test_a_time_can_be_written(seconds: float) -> None:
    """From 1970 to the year 9999."""
    with pytest.raises(ValueError, match="no time"):
        fields.instant(seconds)
    assert to_rfc3339(fields.instant(253402300799.0)).startswith("9999-12-31")


@pytest.mark.parametrize("stamp", ["nan", "inf", "1e308", "253402300800"])
def test_an_event_of_no_time_is_not_read(stamp: str) -> None:
    """Its time would come up in every document of the call."""
    near = caller("PJSIP/3001-1", "1.1", "7000")
    with pytest.raises(UnreadableError, match="Newchannel: ValueError"):
        Normalizer(PBX).receive(message("Newchannel", near.block(), Timestamp=stamp), NOW)


@pytest.mark.parametrize("duration", ["1_0:00:00", "00:00:\u0663", "9999999999999999:0:0"])
def test_an_age_that_is_no_number_costs_the_lists(duration: str) -> None:
    """What Python alone would take for one."""
    resync = Resync(Normalizer(PBX), tuple)
    resync.begin()
    with pytest.raises(UnreadableError, match="a list: ValueError"):
        resync.load(lists(caller("PJSIP/3001-1", "1.1", "7000").item(duration=duration)), NOW)


def test_a_channel_without_a_unique_id_is_none() -> None:
    """It would be taken for the caller of whoever has none."""
    near = caller("PJSIP/3001-1", "", "7000")
    with pytest.raises(UnreadableError, match="without a unique id"):
        Normalizer(PBX).receive(message("Newchannel", near.block()), NOW)


def test_a_hangup_without_a_cause_is_still_one() -> None:
    """The leg ends; a cause that is no number is none."""
    normalizer, near = Normalizer(PBX), caller("PJSIP/3001-1", "1.1", "7000")
    normalizer.receive(message("Newchannel", near.block()), NOW)
    (ended,) = normalizer.receive(message("Hangup", near.block(), Cause="sixteen"), NOW)
    assert (type(ended).__name__, ended.cause) == ("LegEnded", 0)  # type: ignore[union-attr]  # the name says it


@pytest.mark.parametrize(("linked", "key"), [("a/b;2", "a_b_2"), ("x" * 140 + "-1.2", "x" * 92 + "-1.2")])
def test_the_key_of_a_call_is_fit_for_a_topic(linked: str, key: str) -> None:
    """An application chooses ids as it likes, and the second half of its Local channel ends in `;2`."""
    channels = Channels()
    channel = Channel("1.1", "PJSIP/3001-1", linked, NOW, incoming=True)
    channels.add(channel)
    leg = channels.leg(channel)
    assert leg is not None
    assert leg.call == key == safe_id(key)


def test_bytes_that_are_no_utf_8_leave_as_text() -> None:
    """In whatever field: what is told can be written as JSON."""
    reader = AmiReader()
    reader.feed(b"Asterisk Call Manager/11.0.0\r\n")
    block = b"".join(
        f"{key}: {value}\r\n".encode() for key, value in caller("PJSIP/3001-1", "1.1", "7000").block()
    )
    (heard,) = reader.feed(b"Event: Newchannel\r\n" + block.replace(b"7000", b"70\xff0") + b"\r\n")
    assert isinstance(heard, Message)
    (fact,) = Normalizer(PBX).receive(heard, NOW)
    assert isinstance(fact, LegChanged)
    assert fact.leg.dialled.encode() == "70\N{REPLACEMENT CHARACTER}0".encode()


def test_a_value_of_megabytes_is_not_told_whole() -> None:
    """Every document of the call would carry it, and every cache keep it."""
    near = caller("PJSIP/3001-1", "1.1", "7" * 100_000)
    (fact,) = Normalizer(PBX).receive(message("Newchannel", near.block()), NOW)
    assert isinstance(fact, LegChanged)
    assert len(fact.leg.dialled) == MAX_LEGIBLE


def test_long_names_of_keys_and_events_are_not_remembered() -> None:
    """The reader's and the messages' memories are counted in entries, so each must be small."""
    reader = AmiReader(wanted=frozenset({"Hangup"}))
    reader.feed(b"Asterisk Call Manager/11.0.0\r\n")
    assert reader.feed(b"Event: " + b"x" * 5000 + b"\r\nA: b\r\n\r\n") == []
    assert not reader._verdicts
    assert reader.feed(b"Event: z\r\nA: b\r\n\r\n") == []
    assert [*reader._verdicts] == [b"z\r"]
    key = "K" * 5000
    assert message("Hangup", [(key, "1")]).get(key) == "1"


@pytest.mark.parametrize("lost", ["-1", "256"])
def test_a_share_lost_is_a_share(lost: str) -> None:
    """Of 256; a loss beyond it divides by zero in the E-model."""
    report = {"reportcount": "1", "report0sourcessrc": "0x1", "report0fractionlost": lost}
    with pytest.raises(ValueError, match="share"):
        Reports().read(report, received=False)


def test_what_a_peer_says_of_itself_can_be_written() -> None:
    """The text of a refusal and the version come up in the link's own document."""
    session = AmiSession(Credentials("ctid", "secret", plain=True))
    session.receive(b"Asterisk Call Manager/11.0.0\r\n", 0.0)
    (dead,) = session.receive(b"Response: Error\r\nMessage: no \xff\r\n\r\n", 0.0)
    assert isinstance(dead, Dead)
    assert dead.detail.encode() == "no \N{REPLACEMENT CHARACTER}".encode()
    session = AmiSession(Credentials("ctid", "secret", plain=True))
    session.receive(b"Asterisk Call Manager/11.0.0\r\n", 0.0)
    (asked,) = session.receive(b"Response: Success\r\n\r\nEvent: FullyBooted\r\n\r\n", 0.0)[-1:]
    assert isinstance(asked, Send)
    ident = asked.data.partition(b"ActionID: ")[2].partition(b"\r\n")[0]
    (ready,) = session.receive(
        b"Response: Success\r\nActionID: " + ident + b"\r\nAsteriskVersion: 2\xff\r\n\r\n", 0.0
    )
    assert isinstance(ready, Ready)
    assert ready.asterisk_version.encode()


def test_a_channel_listed_twice_is_one() -> None:
    """The second takes the place of the first, also in its bridge."""
    channels = Channels()
    for _ in range(2):
        channels.add(Channel("1.1", "PJSIP/3001-1", "1.1", NOW, incoming=True))
    channels.enter("1.1", "b1")
    channels.add(Channel("1.1", "PJSIP/3001-1", "1.1", NOW, incoming=True))
    assert channels.in_bridge("b1") == []


# What is forgotten ------------------------------------------------------------------------------------


def test_what_was_told_of_channels_that_are_gone_is_swept() -> None:
    """A call offered by a channel that nobody knows ends with no event: a snapshot ends it."""
    known = Members()
    key, member = known.read(member_event().fields)
    known.by_key[key] = member
    known.offer(KEY, "1.1", "gone")
    known.offer(KEY, "1.1", "there")
    known.connect(KEY, "1.1", "served")
    known.connect(("left", "PJSIP/1"), "1.1", "stays")
    known.pick_up(None, "nobody", "by", ())
    known.sweep({"there", "stays"}, NOW)
    assert (list(known.offers), list(known.serves)) == (["there"], ["stays"])
    assert not known._picked_up
    assert list(known._last) == list(known._states) == [KEY]


def test_the_longest_logged_in_of_very_many_is_forgotten() -> None:
    """Of the pool's agents, whose log-off may never be told."""
    known = Members()
    for number in range(members._REMEMBERED + 1):
        known.log_in(str(number), DeviceId("1001"))
    assert len(known.pool) == members._REMEMBERED
    assert "Agent:0" not in known.pool


def test_after_call_work_ends_within_a_day() -> None:
    """The end of one that is to last thousands of years cannot be written."""
    _, member = Members().read(member_event(Wrapuptime="253402300800").fields)
    assert member.wrapup_s == 86_400.0


def test_a_pair_that_nobody_knows_does_not_stand_aside_for_ever() -> None:
    """Its end names the same half, if there is an end."""
    channels = Channels()
    channels.add(Channel("1.1", "Local/7@q-1;1", "1.1", NOW, incoming=False))
    channels.begin_move("1.1", "1.2", "1.3")
    channels.begin_move("2.1", "2.2", "2.3")
    channels.sweep()
    assert list(channels._moves) == ["1.1"]


@pytest.mark.parametrize(("left", "answered", "there", "kept"), [
    (True, False, False, True),
    (True, True, False, False),
    (False, False, False, False),
    (False, False, True, True),
])  # fmt: skip
def test_a_departure_that_nothing_explains_is_swept(
    *, left: bool, answered: bool, there: bool, kept: bool
) -> None:
    """Unless its channel is there, or its time is near."""
    departures = Departures(PbxId("lab"))
    departure = Departure(QueueId("support"), LegId("1.1"), 1, None, NOW, None, left, answered)
    departures.add("1.1", departure)
    departures.sweep({"1.1"} if there else set())
    assert bool(departures._open) is kept


def test_addresses_go_with_their_device() -> None:
    """Of a phone that the PBX does not list any more."""
    contacts, phone = Contacts(), DeviceId("1001")
    contacts.put(phone, "sip:a", "Reachable", "")
    contacts.sweep({phone})
    assert contacts.of(phone)[0] is Registration.REGISTERED
    contacts.sweep(())
    assert contacts.of(phone)[0] is Registration.UNKNOWN


def test_a_snapshot_sweeps() -> None:
    """The one after the first: before it the events are behind the lists."""
    resync = Resync(Normalizer(PBX), tuple)
    for token, reason in (("f1", SnapshotReason.CONNECTED), ("f2", SnapshotReason.TIMER)):
        resync.begin(reason)
        resync.load(lists(), NOW)
        resync.expect(token)
        resync.state.members.offer(KEY, "1.1", "gone")
        (told, *_) = resync.receive(message("VarSet", Channel="none", Variable="CTIDFENCE", Value=token), NOW)
        assert isinstance(told, Snapshot)
    assert not resync.state.members.offers


def test_members_of_long_ago_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who left last are remembered, and whoever is a member now."""
    monkeypatch.setattr(roster, "_REMEMBERED", 2)
    known = Roster()
    for number in range(4):
        known.read(member_event("QueueMemberAdded", Interface=f"PJSIP/{number}"))
    known.replace_present([member_event("QueueMember", Interface="PJSIP/0")])
    present = [known.last_known(AgentId(str(number)), QueueId("support")) for number in range(4)]
    assert [found is not None for found in present] == [True, False, True, True]
