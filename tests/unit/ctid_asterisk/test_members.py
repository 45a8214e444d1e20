from ctid.model.ids import DeviceId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState
from ctid_asterisk.members import Members
from helpers.ami_words import member_event, member_item

KEY = ("support", "PJSIP/1001")


def members(**changed: str) -> Members:
    """One member, as the event tells it."""
    known = Members()
    read(known, **changed)
    return known


def read(known: Members, **changed: str) -> None:
    """The member's block comes."""
    key, member = known.read(member_event(**changed).fields)
    known.by_key[key] = member


def test_an_event_and_an_item_of_a_list_are_read_alike() -> None:
    """The list's Name and Location are the event's MemberName and Interface."""
    of_event = Members().read(
        member_event(Status="6", Penalty="2", CallsTaken="7", LastCall="1795409491").fields
    )
    of_item = Members().read(
        member_item(Status="6", Penalty="2", CallsTaken="7", LastCall="1795409491").fields
    )
    assert of_event == of_item
    key, member = of_event
    assert key == KEY
    assert (member.agent, member.device, member.name) == ("1001", "1001", "Alice Martin")
    assert (member.device_state, member.penalty, member.calls_taken) == (DeviceState.RINGING, 2, 7)
    assert member.last_call_at == 1795409491.0


def test_the_device_is_the_state_interfaces() -> None:
    """A Local member's phone is the one that its hint watches."""
    _, member = Members().read(
        member_event(Interface="Local/1007@from-queue/n", StateInterface="hint:1007@ext-local").fields
    )
    assert (member.agent, member.device) == ("1007", "1007")
    _, member = Members().read(member_event(Interface="Local/1007@from-queue/n", StateInterface="").fields)
    assert member.device == "1007"


def test_an_old_asterisk_leaves_fields_out() -> None:
    """What a block does not tell has its default, and empty numbers are zero."""
    fields = {"queue": "support", "interface": "Agent:12", "penalty": "", "callstaken": "", "lastcall": ""}
    _, member = Members().read(fields)
    assert (member.agent, member.device, member.device_state) == ("12", None, DeviceState.UNKNOWN)
    assert (member.penalty, member.calls_taken, member.last_call_at, member.wrapup_s) == (0, 0, None, 0.0)


def test_a_pauses_reason_is_kept_while_it_lasts() -> None:
    """The reason belongs to the pause: the one that an unpause carries along is not told."""
    _, member = Members().read(member_event(Paused="1", PausedReason="lunch\tbreak").fields)
    assert (member.paused, member.reason) == (True, "lunch break")
    _, member = Members().read(member_event(Paused="0", PausedReason="back").fields)
    assert (member.paused, member.reason) == (False, "")


def test_the_last_call_never_goes_back() -> None:
    """What we saw end is later than what a block still says, even if the block says nothing."""
    known = members(LastCall="100")
    known.connect(KEY, "1.1", "1.4")
    assert known.serve_over("1.4", Instant(205.5)) == KEY
    read(known, LastCall="100")
    assert known.by_key[KEY].last_call_at == 205.5
    read(known, LastCall="0")
    assert known.by_key[KEY].last_call_at == 205.5
    read(known, LastCall="300")
    assert known.by_key[KEY].last_call_at == 300.0


def test_an_offer_and_a_call_outlive_the_members_blocks() -> None:
    """A status that comes meanwhile does not say whom she is offered or serves, and does not end it."""
    known = members()
    known.offer(KEY, "1.1", "1.4")
    read(known, Status="6")
    assert known.by_key[KEY].offered == "1.1"
    known.connect(KEY, "1.1", "1.4")
    read(known, Status="2", InCall="1")
    assert (known.by_key[KEY].offered, known.by_key[KEY].serving) == (None, "1.1")
    assert known.offers == {}


def test_a_channel_that_is_no_members_ends_nothing() -> None:
    """Of a channel that no queue dialled, there is neither an offer nor a call."""
    known = members()
    assert known.offer_over("9.9") is None
    assert known.serve_over("9.9", Instant(1)) is None
    known.swap("9.9", "9.8")
    assert (known.offers, known.serves) == ({}, {})


def test_events_of_a_queue_with_an_unknown_member_do_no_harm() -> None:
    """An offer to a member who was removed is kept in mind and told of nobody."""
    known = Members()
    assert known.offer(KEY, "1.1", "1.4") == KEY
    assert known.offer_over("1.4") == KEY
    assert known.by_key == {}


def test_a_caller_who_is_gone_frees_those_who_had_him() -> None:
    """All members who were offered the caller, and the one who served him, are free; others are not."""
    known = members()
    other, third = ("sales", "PJSIP/1001"), ("sales", "PJSIP/1002")
    read(known, Queue="sales")
    read(known, Queue="sales", Interface="PJSIP/1002")
    known.connect(KEY, "1.1", "1.4")
    known.offer(other, "1.1", "1.5")
    known.offer(third, "2.1", "2.4")
    known.connect(third, "3.1", "3.4")
    known.offer(third, "2.1", "2.4")
    assert known.over_for("1.1", Instant(300.0)) == [KEY, other]
    assert (known.by_key[KEY].serving, known.by_key[KEY].last_call_at) == (None, 300.0)
    assert known.by_key[other].offered is None
    assert (known.by_key[third].offered, known.by_key[third].serving) == ("2.1", "3.1")
    assert known.over_for("1.1", Instant(301.0)) == []


def test_a_caller_offered_and_served_at_once_is_let_go_of_once() -> None:
    """A member who serves one caller and is offered another keeps the other."""
    known = members()
    known.connect(KEY, "1.1", "1.4")
    known.offer(KEY, "2.1", "2.4")
    assert known.over_for("2.1", Instant(300.0)) == [KEY]
    assert (known.by_key[KEY].serving, known.by_key[KEY].offered) == ("1.1", None)
    known.offer(KEY, "2.1", "2.5")
    assert known.over_for("1.1", Instant(301.0)) == [KEY]
    assert (known.by_key[KEY].serving, known.by_key[KEY].offered) == (None, "2.1")


def test_a_swap_hands_offer_and_call_on() -> None:
    """The phone that takes a Local channel's place has what that one had."""
    known = members()
    known.offer(KEY, "1.1", "1.2")
    known.swap("1.2", "1.4")
    assert known.offers == {"1.4": (KEY, "1.1")}
    known.connect(KEY, "1.1", "1.4")
    known.swap("1.4", "1.5")
    assert known.serve_over("1.4", Instant(1)) is None
    assert known.serve_over("1.5", Instant(2)) == KEY


def test_of_two_calls_the_other_goes_on() -> None:
    """A member in two calls of his queue, as `ringinuse` allows, still serves one when the other is over."""
    known = members()
    known.connect(KEY, "1.1", "1.4")
    known.connect(KEY, "2.1", "2.4")
    assert known.serve_over("2.4", Instant(300.0)) == KEY
    assert (known.by_key[KEY].serving, known.by_key[KEY].in_call) == ("1.1", True)
    assert known.serve_over("1.4", Instant(301.0)) == KEY
    assert (known.by_key[KEY].serving, known.by_key[KEY].in_call) == (None, False)


def test_a_phone_ends_the_calls_of_those_whose_it_is() -> None:
    """A call of a member who was removed meanwhile, or whose phone is another, is left alone."""
    known = members()
    known.connect(KEY, "1.1", "1.4")
    known.connect(("sales", "PJSIP/1009"), "2.1", "2.4")
    assert known.left_by(DeviceId("1002"), Instant(300.0)) == []
    assert known.left_by(DeviceId("1001"), Instant(301.0)) == [KEY]
    assert known.by_key[KEY].serving is None
