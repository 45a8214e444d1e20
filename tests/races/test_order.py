"""Races of order: what is told twice, too late, too early, or of what has another name or place meanwhile."""

import pytest

from ctid.model.facts import Leg
from ctid.model.words import AgentState, CallState, LegState
from ctid_asterisk.wire import Message
from helpers.ami_words import Channel, caller, dialled, member_event, member_item, message
from races.wired import Wired, customer, phone

# Twice, and in disorder -------------------------------------------------------------------------------


def test_every_event_heard_twice_makes_the_same_floor() -> None:
    """Facts set state: a whole call each of whose events is told twice has the same course of states."""
    once, twice = _course(Wired(), times=1), _course(Wired(), times=2)
    assert once == twice
    assert once[-1] == {"agent": AgentState.WORKING_AFTER_CALL, "waiting": 0, "calls": []}


def _course(wire: Wired, times: int) -> list[dict[str, object]]:
    """The states that a queue's call goes through."""
    near, far = customer(), phone()
    states: list[dict[str, object]] = []
    hear = wire.hear

    def again(event: Message) -> list[object]:
        for _ in range(times):
            hear(event)
        agent = wire.store.agents.get("1001")  # type: ignore[call-overload]
        calls = [call.state for call in wire.store.calls.values()]
        told = {"agent": agent.state if agent else None, "waiting": len(wire.waiting()), "calls": calls}
        if not states or states[-1] != told:
            states.append(told)
        return []

    wire.hear = again  # type: ignore[method-assign, assignment]
    wire.hear(member_event("QueueMemberAdded"))
    wire.appears(near)
    wire.gets(near, "6")
    wire.joins(near)
    wire.serves(near, far)
    wire.hear(message("Hold", far.block()))
    wire.hear(message("Unhold", far.block()))
    wire.leaves("b1", far, near)
    wire.hangs_up(far, near)
    return states


def test_an_older_state_after_the_answer_takes_nothing_back(talking: tuple[Wired, Channel, Channel]) -> None:
    """Ringing and dialling that are told late leave the two connected."""
    wire, near, far = talking
    wire.gets(far, "5")
    wire.dials(near, far)
    wire.gets(far, "0")
    call = wire.call("1.1")
    assert call is not None
    assert (call.state, wire.agent().state) == (CallState.CONNECTED, AgentState.BUSY)


def test_leaving_a_bridge_after_entering_the_next_leaves_the_conversation(
    talking: tuple[Wired, Channel, Channel],
) -> None:
    """The leave is of the bridge before: they talk on in the one they are in."""
    wire, near, far = talking
    wire.enters("b2", near, far)
    wire.leaves("b1", near, far)
    call = wire.call("1.1")
    assert call is not None
    assert call.state is CallState.CONNECTED


def test_two_calls_of_one_number_are_two_calls(staffed: Wired) -> None:
    """The same customer calls twice at once: the end of the one is none of the other."""
    one, two = customer("1"), caller("PJSIP/3001-00000002", "1.2", "7000", queue="support")
    for position, near in enumerate((one, two), 1):
        staffed.appears(near)
        staffed.joins(near, position=position)
    staffed.hangs_up(one)
    assert (list(staffed.store.calls), staffed.waiting()) == (["lab.1.2"], ["1.2"])


# Names and places -------------------------------------------------------------------------------------


def test_a_channel_renamed_in_a_call_is_the_same_leg(talking: tuple[Wired, Channel, Channel]) -> None:
    """The three names of a masquerade go by: call and agent are the same, with the phone it is now."""
    wire, near, far = talking
    for name in ("PJSIP/1001-0000000f<MASQ>", "PJSIP/1001-000000aa"):
        wire.hear(message("Rename", far.block(), Newname=name))
        far.name = name
    call = wire.call("1.1")
    assert call is not None
    assert (call.state, [party.device for party in call.parties]) == (CallState.CONNECTED, ["3001", "1001"])
    wire.hangs_up(far, near)
    assert (wire.store.calls, wire.agent().call) == ({}, None)


def test_a_rename_that_overtakes_its_channel_is_mended_by_a_reconcile(staffed: Wired) -> None:
    """Rename comes past the other events: of a channel not known yet it is lost, until the lists tell."""
    near = customer()
    staffed.hear(message("Rename", near.block(), Newname="PJSIP/3005-00000001"))
    staffed.appears(near)
    near.name = "PJSIP/3005-00000001"
    staffed.reconciles(near.item(), queues=(member_item(), member_item(Interface="PJSIP/1002")))
    call = staffed.call("1.1")
    assert call is not None
    assert [party.device for party in call.parties] == ["3005"]


def test_a_transfer_frees_the_agent_before_the_customers_call_is_over(
    talking: tuple[Wired, Channel, Channel],
) -> None:
    """Her leg ends, his goes on elsewhere: she is shown with no call of his any more."""
    wire, near, far = talking
    wire.hear(
        message(
            "BlindTransfer",
            far.block("Transferer"),
            near.block("Transferee"),
            Result="Success",
            Context="phones",
            Extension="1002",
        )
    )
    wire.leaves("b1", far, near)
    wire.hangs_up(far)
    other = phone("1002", "1.7")
    wire.appears(other)
    wire.dials(near, other)
    wire.gets(other, "6")
    wire.enters("b2", other, near)
    assert (wire.agent("1001").state, wire.agent("1001").call) == (AgentState.WORKING_AFTER_CALL, None)
    assert (wire.agent("1002").state, wire.agent("1002").call) == (AgentState.BUSY_OTHER, "lab.1.1")


@pytest.mark.parametrize("parked", [False, True])
def test_a_customer_who_hangs_up_on_hold_frees_the_agent(
    talking: tuple[Wired, Channel, Channel],
    *,
    parked: bool,
) -> None:
    """On hold by her phone, or kept in the parking lot: his end is the end of the hold as well."""
    wire, near, far = talking
    if parked:
        wire.leaves("b1", far, near)
        place = {"ParkingSpace": "701", "ParkeeUniqueid": near.unique}
        wire.hear(message("ParkedCall", near.block("Parkee"), **place))
        wire.hangs_up(far)
        wire.hear(message("ParkedCallGiveUp", near.block("Parkee"), **place))
        wire.hangs_up(near)
    else:
        wire.hear(message("Hold", far.block()))
        assert wire.agent().call == "lab.1.1"
        wire.hangs_up(near, far)
    assert (wire.agent().state, wire.agent().call) == (AgentState.WORKING_AFTER_CALL, None)
    assert wire.store.calls == {}


def test_entering_the_bridge_again_is_one_conversation(talking: tuple[Wired, Channel, Channel]) -> None:
    """Bridged anew after each hold, they are two parties of one call, answered once."""
    wire, near, far = talking
    before = wire.call("1.1")
    for _ in range(3):
        wire.leaves("b1", far)
        wire.enters("b1", far)
    wire.enters("b1", near)
    after = wire.call("1.1")
    assert before is not None
    assert after is not None
    assert (after.answered_at, len(after.parties)) == (before.answered_at, 2)
    wire.hangs_up(far, near)
    assert wire.store.calls == {}


def test_the_end_of_a_local_half_is_no_end_of_the_call(staffed: Wired) -> None:
    """A call through the dialplan has channels besides those of its parties: their ends say nothing of it."""
    one, two = Channel("Local/3001@out-00000001;1", "1.3"), Channel("Local/3001@out-00000001;2", "1.4", "1.3")
    near, far = customer(), dialled("PJSIP/1001-00000006", "1.6", "1.1")
    staffed.appears(near, one, two, far)
    staffed.hear(message("LocalBridge", one.block("LocalOne"), two.block("LocalTwo")))
    for channel in (near, far):
        staffed.gets(channel, "6")
    staffed.enters("b1", near, far)
    staffed.hangs_up(one, two)
    call = staffed.call("1.1")
    assert call is not None
    assert [party.leg for party in call.parties] == ["1.1", "1.6"]
    legs: dict[str, Leg] = {str(key): leg for key, leg in staffed.store.rows[call.pbx].legs.items()}
    assert {leg.state for leg in legs.values()} == {LegState.CONNECTED}
