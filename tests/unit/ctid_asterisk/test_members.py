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
    fields = {"queue": "support", "interface": "Custom:12", "penalty": "", "callstaken": "", "lastcall": ""}
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
    known.swap("9.9", "9.8", None)
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
    """Another half, and then her phone, that takes a Local channel's place has what that one had."""
    known = members()
    known.offer(KEY, "1.1", "1.2")
    known.swap("1.2", "1.4", None)
    assert known.offers == {"1.4": (KEY, "1.1")}
    known.connect(KEY, "1.1", "1.4")
    known.swap("1.4", "1.5", DeviceId("1001"))
    assert known.serve_over("1.4", Instant(1)) is None
    assert known.serve_over("1.5", Instant(2)) == KEY


def test_somebody_elses_phone_takes_nothing_over() -> None:
    """Whoever else comes into the half's place has been given the caller: she is done with him."""
    known = members()
    known.connect(KEY, "1.1", "1.2")
    known.swap("1.2", "1.4", DeviceId("1002"))
    assert known.serve_over("1.2", Instant(1)) == KEY


def test_what_is_picked_up_is_no_offer_and_no_service() -> None:
    """By the phone that rang, or by the caller and the device behind a Local channel; the rest rings on."""
    known = members()
    read(known, Queue="sales", Interface="Local/1002@q", StateInterface="PJSIP/1002")
    local = ("sales", "Local/1002@q")
    known.offer(KEY, "1.1", "1.4")
    known.offer(local, "2.1", "2.4")
    assert known.pick_up(DeviceId("1001"), "1.4", "3.1", {"1.1"}) == [KEY]
    assert known.connect(KEY, "1.1", "3.1") == KEY
    assert (known.by_key[KEY].offered, known.by_key[KEY].serving, known.by_key[KEY].in_call) == (
        None,
        None,
        True,
    )
    assert known.pick_up(DeviceId("1002"), "2.5", "3.2", {"9.9"}) == []
    assert known.pick_up(DeviceId("1009"), "2.5", "3.2", {"2.1"}) == []
    assert known.pick_up(DeviceId("1002"), "2.5", "3.2", {"2.1"}) == [local]
    known.connect(local, "2.1", "2.4")
    assert known.serves == {}
    assert known.by_key[local].in_call
    assert known.forget("2.4") == local
    assert not known.by_key[local].in_call
    assert known.forget("2.4") is None
    known.connect(local, "2.1", "2.4")
    assert known.by_key[local].serving == "2.1"


def test_another_caller_takes_the_place() -> None:
    """An offer and a call go on with the new one."""
    known = members()
    known.offer(KEY, "1.1", "1.4")
    assert known.becomes("1.1", "5.1") == [KEY]
    assert known.by_key[KEY].offered == "5.1"
    known.connect(KEY, "5.1", "1.4")
    assert known.becomes("5.1", "6.1") == [KEY]
    assert known.by_key[KEY].serving == "6.1"
    assert known.becomes("5.1", "6.1") == []


def test_the_last_caller_is_remembered() -> None:
    """After the call as well; of one who had none there is none."""
    known = members()
    assert known.last_caller(KEY) is None
    known.connect(KEY, "1.1", "1.4")
    known.serve_over("1.4", Instant(1))
    assert known.last_caller(KEY) == "1.1"


def test_an_agent_of_the_pool_has_the_phone_she_logged_in_with() -> None:
    """Until she logs off, in the blocks that come meanwhile as well; others keep theirs."""
    known = members()
    pooled = ("pool", "Local/12@pool")
    read(known, Queue="pool", Interface="Local/12@pool", StateInterface="Agent:12")
    assert known.by_key[pooled].device == "12"
    assert known.log_in("12", DeviceId("1005")) == [pooled]
    read(known, Queue="pool", Interface="Local/12@pool", StateInterface="Agent:12")
    assert known.by_key[pooled].device == "1005"
    assert known.log_in("12", None) == [pooled]
    assert (known.by_key[pooled].device, known.by_key[KEY].device) == ("12", "1001")
    known.remove(pooled)
    assert known.log_in("12", DeviceId("1005")) == []
    known.remove(pooled)


def test_since_when_she_is_paused_and_logged_in() -> None:
    """The pause's time stays on the wire after its end, and an older Asterisk tells no login."""
    known = members(LoginTime="100", LastPause="200", Paused="1")
    assert (known.by_key[KEY].logged_in_at, known.by_key[KEY].paused_at) == (100.0, 200.0)
    read(known, LastPause="200", Paused="0")
    assert (known.by_key[KEY].logged_in_at, known.by_key[KEY].paused_at) == (100.0, None)
    assert members(LoginTime="0").by_key[KEY].logged_in_at is None


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
