"""Races within a call: events that come before, after, twice, or of what was given another name."""

from collections.abc import Callable

import pytest

from ctid.model.facts import CallerAbandoned, CallerAnswered, CallerLeft, CallServed, LegEnded
from ctid.model.words import AgentState, CallState, LeaveReason
from ctid_asterisk.wire import Message
from helpers.ami_words import Channel, dialled, message
from races.wired import Wired, phone

SUPERVISOR, SNOOP = "ctid-ctid.s1-phone-1000.1", "ctid-ctid.s1-listen-1000.2"


def originated(device: str = "1001") -> Channel:
    """A phone that the PBX rings for somebody who asked it to."""
    return dialled(f"PJSIP/{device}-00000005", "1.5", "1.5", application="AppDial2")


def reply(channel: Channel, response: str = "Success") -> Message:
    """What the PBX tells everybody of an Originate, past all other events."""
    of = {"Channel": channel.name, "Uniqueid": channel.unique, "ActionID": "another-client-1"}
    return message("OriginateResponse", Response=response, Reason="4" if response == "Success" else "5", **of)


# Originate --------------------------------------------------------------------------------------------


def test_a_hangup_before_the_reply_to_originate(staffed: Wired) -> None:
    """The phone declines at once: the reply that comes after its end brings no call."""
    near = originated()
    staffed.appears(near)
    staffed.gets(near, "5")
    assert staffed.agent().state is AgentState.OFFERED
    staffed.hangs_up(near, cause="21")
    assert staffed.hear(reply(near, "Failure")) == []
    assert (staffed.agent().state, staffed.store.calls) == (AgentState.READY, {})


def test_a_good_reply_to_originate_of_a_channel_that_hung_up_is_no_call(staffed: Wired) -> None:
    """Success is told of a channel that is gone already: its end was the last word."""
    near = originated()
    staffed.appears(near)
    staffed.gets(near, "6")
    staffed.hangs_up(near)
    assert staffed.hear(reply(near)) == []
    assert (staffed.agent().state, staffed.store.calls) == (AgentState.READY, {})


def test_a_bridge_before_the_reply_to_originate_is_told_at_once(staffed: Wired) -> None:
    """Who talks is known by the bridge; the reply adds nothing, before it or after it."""
    near, far = originated(), dialled("PJSIP/3001-00000006", "1.6", "1.5")
    staffed.appears(near)
    staffed.gets(near, "6")
    staffed.appears(far)
    staffed.dials(near, far)
    staffed.gets(far, "6")
    staffed.enters("b1", far, near)
    call = staffed.call("1.5")
    assert call is not None
    assert (call.state, staffed.agent().state) == (CallState.CONNECTED, AgentState.BUSY_OTHER)
    assert staffed.hear(reply(near)) == []


def test_a_queue_before_the_reply_to_originate_is_told_at_once(staffed: Wired) -> None:
    """A call that was originated into a queue waits there, whatever is said of the origination."""
    near = originated("3001")
    staffed.appears(near)
    staffed.gets(near, "6")
    staffed.joins(near)
    assert staffed.waiting() == ["1.5"]
    assert staffed.hear(reply(near)) == []
    assert staffed.waiting() == ["1.5"]


# Ends -------------------------------------------------------------------------------------------------


AFTER_THE_END: dict[str, Callable[[Channel, Channel], Message]] = {
    "Newstate": lambda near, _: message("Newstate", near.block()),
    "NewCallerid": lambda near, _: message("NewCallerid", near.block()),
    "NewConnectedLine": lambda near, _: message("NewConnectedLine", near.block()),
    "Rename": lambda near, _: message("Rename", near.block(), Newname="PJSIP/3001-0000000f"),
    "Hold": lambda near, _: message("Hold", near.block()),
    "Unhold": lambda near, _: message("Unhold", near.block()),
    "BridgeEnter": lambda near, _: message("BridgeEnter", near.block(), BridgeUniqueid="b1"),
    "BridgeLeave": lambda near, _: message("BridgeLeave", near.block(), BridgeUniqueid="b1"),
    "DialBegin": lambda near, far: message("DialBegin", near.block(), far.block("Dest")),
    "DialEnd": lambda near, far: message("DialEnd", near.block(), far.block("Dest"), DialStatus="CANCEL"),
    "Hangup": lambda near, _: message("Hangup", near.block(), Cause="16"),
    "HangupRequest": lambda near, _: message("HangupRequest", near.block()),
    "ConfbridgeLeave": lambda near, _: message("ConfbridgeLeave", near.block(), Conference="1"),
    "QueueCallerLeave": lambda near, _: message(
        "QueueCallerLeave", near.block(), Queue="support", Position="1"
    ),
    "VarSet": lambda near, _: message("VarSet", near.block(), Variable="QUEUESTATUS", Value="CONTINUE"),
}


@pytest.mark.parametrize("kind", AFTER_THE_END)
def test_no_event_after_the_hangup_brings_the_call_back(
    talking: tuple[Wired, Channel, Channel], kind: str
) -> None:
    """Whatever is told of channels that ended, whichever of the two it names: nothing is there again."""
    wire, near, far = talking
    wire.hangs_up(far, near)
    state = wire.agent().state
    wire.hear(AFTER_THE_END[kind](near, far))
    wire.hear(AFTER_THE_END[kind](far, near))
    assert (wire.store.calls, wire.agent().state, wire.agent().call) == ({}, state, None)
    assert wire.waiting() == []


def test_the_cause_is_told_with_the_end_and_not_after_it(staffed: Wired) -> None:
    """Why a call failed is in the fact of its end: nobody has to wait for it once the call is gone."""
    near = originated()
    staffed.appears(near)
    (end,) = staffed.hear(message("Hangup", near.block(), Cause="17"))
    assert isinstance(end, LegEnded)
    assert end.cause == 17


def test_figures_after_the_hangup_are_of_the_call_that_ended(
    talking: tuple[Wired, Channel, Channel],
) -> None:
    """AgentComplete comes after both are gone, without their blocks: it names her caller."""
    wire, near, far = talking
    wire.hangs_up(far, near)
    of = {"Queue": "support", "Interface": "PJSIP/1001", "HoldTime": "2", "TalkTime": "9", "Reason": "agent"}
    (served,) = wire.hear(message("AgentComplete", **of))
    assert isinstance(served, CallServed)
    assert (served.leg, served.talk_s) == ("1.1", 9.0)
    assert wire.store.calls == {}


@pytest.mark.parametrize("order", ["abandon first", "leave first"])
def test_a_caller_who_gives_up_is_counted_once_in_any_order(
    queued: tuple[Wired, Channel], order: str
) -> None:
    """QueueCallerAbandon comes before or after QueueCallerLeave, and both before his end."""
    wire, near = queued
    abandon = message(
        "QueueCallerAbandon",
        near.block(),
        Queue="support",
        Position="1",
        OriginalPosition="1",
        HoldTime="7",
    )
    leave = message("QueueCallerLeave", near.block(), Queue="support", Position="1", Count="0")
    end = message("Hangup", near.block(), Cause="16")
    wire.step_s = 0.001
    for event in (abandon, leave) if order == "abandon first" else (leave, abandon):
        wire.hear(event)
    wire.hear(end)
    left = [fact for fact in wire.facts if isinstance(fact, CallerAbandoned | CallerLeft)]
    assert [(type(fact), fact.wait_s) for fact in left] == [(CallerAbandoned, 7.0)]
    assert (wire.waiting(), wire.store.calls) == ([], {})


def test_a_caller_who_overflows_into_another_queue_has_left_the_first_once(
    queued: tuple[Wired, Channel],
) -> None:
    """Timed out and sent on without a hangup, he is no one who gave up, and waits in one queue."""
    wire, near = queued
    of = {"Queue": "support", "Position": "1", "OriginalPosition": "1", "HoldTime": "20"}
    wire.step_s = 0.001
    wire.hear(message("QueueCallerAbandon", near.block(), **of))
    wire.leaves_queue(near)
    wire.hear(message("VarSet", near.block(), Variable="QUEUESTATUS", Value="TIMEOUT"))
    wire.joins(near, "sales")
    left = [fact for fact in wire.facts if isinstance(fact, CallerAbandoned | CallerLeft)]
    assert [getattr(fact, "reason", None) for fact in left] == [LeaveReason.TIMEOUT]
    assert (wire.waiting(), wire.waiting("sales")) == ([], ["1.1"])


def test_the_caller_who_hangs_up_at_the_answer_leaves_nobody_busy(queued: tuple[Wired, Channel]) -> None:
    """Her phone is up and no AgentConnect follows: both are gone, and she is free."""
    wire, near = queued
    far = phone()
    wire.appears(far)
    wire.queue_tells("AgentCalled", near, far)
    wire.dials(near, far)
    wire.gets(far, "5")
    wire.gets(far, "6")
    wire.hangs_up(near, far)
    assert (wire.agent().state, wire.store.calls, wire.waiting()) == (AgentState.READY, {}, [])


def test_of_two_who_answer_at_once_one_has_the_call(queued: tuple[Wired, Channel]) -> None:
    """All ring and two are up before the queue has bridged one: the other is let go, and is free."""
    wire, near = queued
    one, two = phone(), phone("1002", "1.8")
    for far, interface in ((one, "PJSIP/1001"), (two, "PJSIP/1002")):
        wire.appears(far)
        wire.queue_tells("AgentCalled", near, far, interface=interface)
        wire.dials(near, far)
        wire.gets(far, "5")
    wire.gets(one, "6")
    wire.gets(two, "6")
    wire.dial_ends(near, one, "CANCEL")
    wire.hangs_up(one)
    wire.leaves_queue(near)
    wire.queue_tells("AgentConnect", near, two, interface="PJSIP/1002")
    wire.enters("b1", two, near)
    assert (wire.agent("1001").state, wire.agent("1002").state) == (AgentState.READY, AgentState.BUSY)
    answered = [fact for fact in wire.facts if isinstance(fact, CallerAnswered)]
    assert [fact.agent for fact in answered] == ["1002"]


def test_an_agent_who_hangs_up_before_the_bridge_gives_the_caller_back(queued: tuple[Wired, Channel]) -> None:
    """She answered and went while she was told who calls: he waits on, and she is offered nothing."""
    wire, near = queued
    far = phone()
    wire.appears(far)
    wire.queue_tells("AgentCalled", near, far)
    wire.dials(near, far)
    wire.gets(far, "6")
    wire.queue_tells("AgentDump", near, far)
    wire.hangs_up(far)
    assert (wire.agent().state, wire.waiting()) == (AgentState.READY, ["1.1"])


def test_the_end_of_a_call_does_not_wait_for_the_supervisors_leg(
    talking: tuple[Wired, Channel, Channel],
) -> None:
    """Her phone and the snoop channel on the agent outlast the call, and are none of it."""
    wire, near, far = talking
    listener = dialled("PJSIP/2001-00000007", SUPERVISOR, SUPERVISOR, state="6")
    snoop = Channel("Snoop/1.9-00000001", SNOOP, SNOOP, state="6")
    wire.appears(listener, snoop)
    wire.enters("ctid-ctid.s1", listener, snoop)
    wire.hangs_up(far, near)
    assert (wire.agent().state, wire.store.calls) == (AgentState.WORKING_AFTER_CALL, {})
    wire.hangs_up(snoop, listener)
    assert wire.store.calls == {}
