"""Races of lists with events: what happens while the PBX is asked what there is."""

import pytest

from ctid.model.facts import LegEnded, OfferMissed, Snapshot
from ctid.model.words import AgentState, CallState, LinkState
from ctid_asterisk import actions
from helpers.ami_server import answer, listing
from helpers.ami_words import PBX, Channel, caller, dialled, member_event, member_item, message, queue_entry
from races.wired import Wired

KINDS = [
    "Newstate",
    "NewCallerid",
    "NewConnectedLine",
    "Hold",
    "Unhold",
    "BridgeEnter",
    "BridgeLeave",
    "DialBegin",
    "DialEnd",
    "QueueCallerJoin",
    "QueueCallerLeave",
    "ConfbridgeJoin",
]


def customer(state: str = "4") -> Channel:
    """A customer's channel."""
    return caller("PJSIP/3001-00000001", "1.1", "7000", state=state, queue="support")


def phone(state: str = "5") -> Channel:
    """The agent's phone, which the queue rings for that customer."""
    return dialled("PJSIP/1001-00000002", "1.2", "1.1", state=state, application="AppQueue")


def queued(wire: Wired) -> Channel:
    """A customer waits and an agent is free: as the lists of a new connection show it."""
    near = customer("6")
    wire.drops()
    wire.links()
    wire.synchronizes(near.item(), queues=(member_item(), queue_entry(near, "support", 1, 5)))
    return near


def test_an_enumeration_that_the_link_cut_off_is_discarded(wire: Wired) -> None:
    """The half that came is nothing, answers no later question, and the next connection's list is whole."""
    wire.hear(member_event("QueueMemberAdded"))
    whole = listing("QueueStatusComplete", member_item(Paused="1"), member_item(Interface="PJSIP/1002"))
    wire.pbx.says["QueueStatus"] = lambda fields: whole(fields)[:-90]
    wire.resync.begin()
    wire._obey(wire.session.send(actions.queue_status(), wire.now)[1])
    wire.drops()
    assert not wire.agent().queues[0].paused
    assert wire.agent().stale
    assert list(wire.store.agents) == ["1001"]
    wire.links()
    assert wire.session.pending == 0
    wire.synchronizes(queues=(member_item(),))
    assert (wire.agent().stale, wire.agent().state) == (False, AgentState.READY)
    assert wire.store.pbxs[PBX].state is LinkState.CONNECTED


def test_a_late_enumeration_is_not_taken_for_the_next_one(wire: Wired) -> None:
    """The rest of a list that was given up is nobody's, and does not mix with the list that is awaited."""
    late = listing("QueueStatusComplete", member_item(Interface="PJSIP/1009"))
    wire.pbx.says["QueueStatus"] = lambda _: ""
    ident, outs = wire.session.send(actions.queue_status(), wire.now)
    wire._obey(outs)
    wire._obey(wire.session.on_time(wire.now + actions.queue_status().deadline_s))
    wire.pbx.says["QueueStatus"] = lambda _: ""
    awaited, outs = wire.session.send(actions.queue_status(), wire.now)
    wire._obey(outs)
    ours = listing("QueueStatusComplete", member_item())({"actionid": awaited})
    begun, end, rest = ours.partition("\r\n\r\n")
    wire.receives((begun + end + late({"actionid": ident}) + rest).encode())
    assert [item.get("location") for item in wire._replies[awaited].items] == ["PJSIP/1001"]


def test_who_is_not_in_the_enumeration_is_logged_out(wire: Wired) -> None:
    """No list names her: the queues that she was in are none of hers any more."""
    wire.hear(member_event("QueueMemberAdded"))
    wire.drops()
    wire.links()
    wire.synchronizes(queues=(member_item(Interface="PJSIP/1002"),))
    assert (wire.agent().state, wire.agent().queues) == (AgentState.LOGGED_OUT, ())


@pytest.mark.parametrize("known", [True, False])
def test_a_login_out_of_step_with_the_pbx_is_found(wire: Wired, *, known: bool) -> None:
    """An event of hers was lost, in or out: the next reconcile has it as the PBX does, and counts it."""
    if known:
        wire.hear(member_event("QueueMemberAdded"))
    wire.reconciles(queues=() if known else (member_item(),))
    assert wire.agent().state is (AgentState.LOGGED_OUT if known else AgentState.READY)
    assert wire.store.drifts.total() == 1


def test_a_login_during_the_enumeration_is_not_undone_by_it(wire: Wired) -> None:
    """The list was made before she joined, and is older than the event."""
    wire.drops()
    wire.links()
    wire.hear(member_event("QueueMemberAdded"))
    wire.synchronizes()
    assert wire.agent().state is AgentState.READY
    wire.resync.begin()
    wire.hear(member_event("QueueMemberAdded", Interface="PJSIP/1002", StateInterface="PJSIP/1002"))
    wire.lists(queues=(member_item(),))
    wire.fence()
    assert wire.agent("1002").state is AgentState.READY


def test_a_logout_during_the_enumeration_is_not_undone_by_it(wire: Wired) -> None:
    """The same for who leaves: what she did is newer than the list that has her."""
    wire.drops()
    wire.links()
    wire.hear(member_event("QueueMemberRemoved"))
    wire.synchronizes(queues=(member_item(), member_item(Queue="sales")))
    assert [m.queue for m in wire.agent().queues] == ["sales"]
    wire.resync.begin()
    wire.hear(member_event("QueueMemberRemoved", Queue="sales"))
    wire.lists(queues=(member_item(Queue="sales"),))
    wire.fence()
    assert wire.agent().state is AgentState.LOGGED_OUT


def test_a_pause_older_than_the_list_is_not_the_last_word(wire: Wired) -> None:
    """The lists are ahead: events of before pass by untold, and the last of them agrees with the list."""
    wire.drops()
    wire.links()
    wire.lists(queues=(member_item(Paused="1", PausedReason="lunch"),))
    wire.hear(member_event("QueueMemberStatus", Status="2"))
    wire.hear(member_event("QueueMemberPause", Paused="1", PausedReason="lunch"))
    told = len(wire.facts)
    wire.fence()
    assert [type(fact) for fact in wire.facts[told:]] == [Snapshot]
    assert (wire.agent().state, wire.agent().reason) == (AgentState.NOT_READY, "lunch")


@pytest.mark.parametrize("kind", KINDS)
def test_no_event_during_the_enumeration_brings_a_call_back(wire: Wired, kind: str) -> None:
    """The list is ahead and has it no more: what is told of its channels until their end is of the past."""
    wire.drops()
    wire.links()
    near, far = customer("6"), phone()
    fields = {"BridgeUniqueid": "b1", "DialStatus": "BUSY", "Queue": "support", "Position": "1"}
    event = message(kind, near.block(), far.block("Dest"), Conference="1", **fields)
    wire.hear(event)
    wire.lists()
    wire.hear(event)
    wire.hangs_up(far, near)
    wire.fence()
    assert wire.store.calls == {}
    assert [fact for fact in wire.facts if isinstance(fact, LegEnded)] == []


def test_an_offer_that_ends_during_the_enumeration_is_not_kept(wire: Wired) -> None:
    """Her phone was there before the connection and hangs up before the lists: the offer is over."""
    wire.drops()
    wire.links()
    near, far = customer("6"), phone()
    wire.hear(member_event("QueueMemberAdded"))
    wire.queue_tells("AgentCalled", near, far)
    wire.hangs_up(far)
    wire.synchronizes(near.item(), queues=(member_item(), queue_entry(near, "support", 1, 5)))
    assert (wire.agent().state, wire.agent().call) == (AgentState.READY, None)
    assert wire.waiting() == ["1.1"]


@pytest.mark.parametrize("first", ["agent", "customer"])
def test_a_call_that_is_answered_and_ends_during_the_enumeration_is_not_kept(wire: Wired, first: str) -> None:
    """Lists that are ahead have neither channel; the agent is not left busy with a caller who is gone."""
    wire.drops()
    wire.links()
    near, far = customer("6"), phone()
    wire.lists(queues=(member_item(),))
    wire.queue_tells("AgentCalled", near, far)
    wire.queue_tells("AgentConnect", near, far)
    wire.hangs_up(*((far, near) if first == "agent" else (near, far)))
    wire.fence()
    assert (wire.agent().state, wire.agent().call) == (AgentState.WORKING_AFTER_CALL, None)
    assert wire.store.calls == {}
    wire.wait(10)
    assert wire.agent().state is AgentState.READY


def test_what_rings_is_found_by_the_enumeration_alone(wire: Wired) -> None:
    """No event told of the offer: a new connection sees whom she is offered, and the end of it."""
    near, far = customer("6"), phone()
    wire.drops()
    wire.links()
    queues = (member_item(Status="6"), queue_entry(near, "support", 1, 5))
    wire.synchronizes(near.item(), far.item(), queues=queues)
    assert (wire.agent().state, wire.agent().call) == (AgentState.OFFERED, "lab.1.1")
    wire.hangs_up(far)
    assert wire.agent().state is AgentState.READY


def test_a_missed_call_during_the_enumeration_is_told_once(wire: Wired) -> None:
    """A moment is in no list: it is told after the snapshot, and by no later one again."""
    wire.drops()
    wire.links()
    near, far = customer("6"), phone()
    wire.lists(near.item(), queues=(member_item(), queue_entry(near, "support", 1, 5)))
    wire.queue_tells("AgentRingNoAnswer", near, far, RingTime="2000")
    wire.fence()
    wire.reconciles(near.item(), queues=(member_item(), queue_entry(near, "support", 1, 5)))
    assert len([fact for fact in wire.facts if isinstance(fact, OfferMissed)]) == 1
    assert wire.agent().queues[0].missed == 1


def test_calls_that_end_while_the_link_is_down_end_at_the_reconnect(wire: Wired) -> None:
    """Of two calls one goes on: the other ends once, and no event of it is needed."""
    near = queued(wire)
    other = caller("PJSIP/3002-00000003", "1.3", "7000", state="6", queue="support")
    wire.appears(other)
    wire.joins(other, position=2)
    wire.drops()
    assert all(call.stale for call in wire.store.calls.values())
    wire.wait(30)
    wire.links()
    wire.synchronizes(other.item(), queues=(member_item(), queue_entry(other, "support", 1, 40)))
    assert wire.call(near.unique) is None
    left = wire.call(other.unique)
    assert left is not None
    assert (left.state, left.stale) == (CallState.QUEUED, False)
    assert wire.waiting() == ["1.3"]


def test_after_a_restart_of_the_pbx_nothing_of_before_is_left(wire: Wired) -> None:
    """It tells no end of what it crashed with: its first lists do, and its serials begin anew."""
    near = queued(wire)
    far = phone("0")
    wire.serves(near, far)
    assert wire.agent().state is AgentState.BUSY
    wire.drops()
    wire.wait(20)
    wire.links()
    wire.synchronizes(queues=(member_item(Status="5"),))
    assert wire.store.calls == {}
    assert (wire.agent().state, wire.agent().call) == (AgentState.WORKING_AFTER_CALL, None)
    wire.wait(10)
    assert (wire.agent().state, wire.agent().reason) == (AgentState.NOT_READY, "device_unavailable")
    again = caller("PJSIP/3001-00000001", "2000.1", "7000")
    wire.appears(again)
    assert list(wire.store.calls) == ["lab.2000.1"]


def test_an_action_that_the_lost_link_left_open_answers_nobody_later(wire: Wired) -> None:
    """An answer that comes on the next connection under the same ActionID is a stray, not a reply."""
    wire.pbx.says["Ping"] = lambda _: ""
    ident, outs = wire.session.send(actions.ping(), wire.now)
    wire._obey(outs)
    wire.drops()
    assert ident not in wire._replies
    wire.links()
    strays = wire.session.strays
    wire.receives(answer("Ping: Pong")({"actionid": ident}).encode())
    assert ident not in wire._replies
    assert wire.session.strays == strays + 1
