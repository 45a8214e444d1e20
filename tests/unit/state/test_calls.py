import pytest

from ctid.model.facts import QualityMeasured
from ctid.model.ids import DeviceId, LegId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.quality import Quality
from ctid.model.words import CallState, Direction, LegState, PartyState, Recording, Role
from ctid.state.changes import Update
from helpers.floor import BASE, Floor, ended


def test_a_queue_call_goes_through_its_states_in_order(floor: Floor) -> None:
    """Queued, alerting, connected, held, connected, ended: each since the moment it began."""
    floor.agent_joins("1001", "support")
    seen = []

    def look() -> None:
        call = floor.call("c1")
        seen.append((call.state, call.since - BASE))

    floor.customer_dials("c1")
    look()
    floor.wait(1)
    floor.customer_joins("c1", "support")
    look()
    floor.wait(2)
    floor.agent_offered("1001", "support", "c1", "a1")
    look()
    floor.wait(3)
    floor.agent_answers("1001", "support", "c1", "a1")
    look()
    floor.wait(4)
    floor.holds("a1")
    look()
    floor.wait(5)
    floor.retrieves("a1")
    look()
    assert seen == [
        (CallState.INITIATED, 0),
        (CallState.QUEUED, 1),
        (CallState.ALERTING, 3),
        (CallState.CONNECTED, 6),
        (CallState.HELD, 10),
        (CallState.CONNECTED, 15),
    ]
    assert floor.call("c1").started_at == BASE
    assert floor.call("c1").answered_at == BASE + 6


def test_a_call_ends_with_a_last_document(floor: Floor) -> None:
    """The end of the last leg tells the call as ended, with the time, and then that it went."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.supervisor("s1", "c1")
    floor.wait(7)
    floor.supervisor_leaves("s1")
    (call,) = ended(floor.call_over("1001", "support", "c1", "a1"), "call")
    assert (call.state, call.ended_at, call.since) == (CallState.ENDED, BASE + 7, BASE + 7)
    assert (call.merged_into, call.supervisions) == (None, ())
    assert floor.store.calls == {}


def test_the_parties_have_their_roles(floor: Floor) -> None:
    """Who called is the customer, the member of a queue is the agent, and each has the own number."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    customer, agent = floor.call("c1").parties
    assert (customer.leg, customer.role, customer.number) == ("c1", Role.CUSTOMER, "0612345678")
    assert (agent.leg, agent.role, agent.agent, agent.device) == ("a1", Role.AGENT, "1001", "1001")
    assert floor.call("c1").queue == "support"
    assert floor.call("c1").direction is Direction.INBOUND


def test_a_stranger_is_other_until_the_call_is_a_call_centres(floor: Floor) -> None:
    """A caller who is in no queue and talks to no agent is of role other, and a customer once he is."""
    floor.customer_dials("c1")
    assert floor.party("c1", "c1").role is Role.OTHER
    floor.customer_joins("c1", "support")
    assert floor.party("c1", "c1").role is Role.CUSTOMER


def test_a_customer_stays_one_when_the_agent_leaves(floor: Floor) -> None:
    """After a direct call to an agent was transferred to a stranger, the customer is still the customer."""
    floor.agent_joins("1001", "support")
    floor.customer_dials("c1", dialled="1001")
    floor.rings("a1", "c1", "1001")
    floor.connected("c1", "a1")
    floor.hangs_up("a1")
    assert floor.party("c1", "c1").role is Role.CUSTOMER


def test_a_supervisors_phone_is_never_a_customer(floor: Floor) -> None:
    """A configured phone that calls an agent is of role other, and the call is internal."""
    floor.agent_joins("1001", "support")
    floor.put_leg("p1", call="p1", incoming=True, device=DeviceId("2001"), dialled="1001")
    floor.rings("a1", "p1", "1001")
    assert floor.party("p1", "p1").role is Role.OTHER
    assert floor.call("p1").direction is Direction.INTERNAL


def test_a_supervisor_who_took_over_is_a_party_of_her_own_role(floor: Floor) -> None:
    """After a take-over the call goes on between the customer and the supervisor."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.supervisor("s1", "c1")
    floor.put_leg("p1", call="c1", incoming=False, device=DeviceId("2001"), supervision=SupervisionId("s1"))
    floor.connected("c1", "p1")
    floor.hangs_up("a1")
    floor.agent_done("1001", "support")
    call = floor.call("c1")
    assert [(party.leg, party.role) for party in call.parties] == [
        ("c1", Role.CUSTOMER),
        ("p1", Role.SUPERVISOR),
    ]
    assert call.state is CallState.CONNECTED
    (call,) = ended(floor.hangs_up("c1"), "call")
    assert call.state is CallState.ENDED, "a supervisor alone is no call"
    assert floor.hangs_up("p1") == []


def test_a_supervisors_leg_alone_is_no_call(floor: Floor) -> None:
    """The leg of a supervisor whom nobody has joined makes no call."""
    floor.put_leg("p1", call="p1", incoming=False, supervision=SupervisionId("s1"))
    assert floor.store.calls == {}


@pytest.mark.parametrize(
    ("dialled", "direction"),
    [("0698765432", Direction.OUTBOUND), ("1002", Direction.INTERNAL), ("2001", Direction.INTERNAL)],
)
def test_an_agents_own_call_has_its_direction_from_what_she_dialled(
    floor: Floor, dialled: str, direction: Direction
) -> None:
    """While she is alone in it, the number that she dialled tells whether her call stays inside."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support")
    floor.put_leg("a1", call="a1", incoming=True, device=DeviceId("1001"), dialled=dialled)
    assert floor.call("a1").direction is direction
    assert floor.call("a1").dialled == dialled


def test_an_outbound_call_stays_outbound_when_the_agent_leaves(floor: Floor) -> None:
    """Once two parties were in a call, its direction is settled."""
    floor.agent_joins("1001", "support")
    floor.put_leg("a1", call="a1", incoming=True, device=DeviceId("1001"), dialled="0698765432")
    floor.wait(1)
    floor.put_leg("c1", call="a1", incoming=False, state=LegState.ALERTING, number="0698765432")
    assert floor.call("a1").direction is Direction.OUTBOUND
    assert floor.party("a1", "c1").role is Role.CUSTOMER
    floor.connected("a1", "c1")
    floor.hangs_up("a1")
    floor.put_leg("c1", conversation=None)
    floor.rings("a2", "c1", "1002")
    assert floor.call("a1").direction is Direction.OUTBOUND
    assert floor.call("a1").dialled == "0698765432"


def test_an_unanswered_outbound_call_is_outbound_to_its_end(floor: Floor) -> None:
    """The agent hangs up first: what is then told of the called party does not turn the call round."""
    floor.agent_joins("1001", "support")
    floor.put_leg("a1", call="a1", incoming=True, device=DeviceId("1001"), dialled="0698765432")
    floor.put_leg("c1", call="a1", incoming=False, state=LegState.ALERTING)
    floor.hangs_up("a1")
    floor.put_leg("c1", name="Rosa")
    assert floor.call("a1").direction is Direction.OUTBOUND


def test_an_answered_call_is_alerting_until_the_two_are_connected(floor: Floor) -> None:
    """Between the agent's answer and the bridge the call does not fall back to a former state."""
    floor.agent_joins("1001", "support")
    floor.customer_joins("c1", "support")
    floor.agent_offered("1001", "support", "c1", "a1")
    floor.put_leg("c1", position=None)
    floor.put_leg("a1", state=LegState.CONNECTED, connected_at=floor.now)
    assert floor.call("c1").state is CallState.ALERTING
    floor.hangs_up("a1")
    assert floor.call("c1").state is CallState.INITIATED


def test_a_party_alone_in_a_conversation_is_not_connected(floor: Floor) -> None:
    """One leg in a bridge waits there; nobody hears it."""
    floor.customer_dials("c1")
    floor.connected("c1")
    assert floor.call("c1").state is CallState.INITIATED
    assert floor.call("c1").answered_at is None
    assert floor.party("c1", "c1").state is PartyState.CONNECTED


def test_a_call_that_is_found_connected_was_answered_when_the_last_leg_was(floor: Floor) -> None:
    """A snapshot's legs tell when the two were first connected, and the call's age."""
    floor.customer_dials("c1")
    floor.put_leg("a1", call="c1", incoming=False)
    for leg, age in (("c1", 60.0), ("a1", 50.0)):
        floor.legs[leg] = type(floor.legs[leg])(
            id=LegId(leg),
            call="k1",
            created_at=Instant(BASE - age),
            incoming=leg == "c1",
            state=LegState.CONNECTED,
            connected_at=Instant(BASE - age + 5),
            conversation="b",
        )
    floor.snapshot()
    call = floor.call("k1")
    assert (call.started_at, call.since, call.answered_at) == (BASE - 60, BASE - 60, BASE - 45)


def test_a_held_leg_that_waits_is_held(floor: Floor) -> None:
    """A customer who puts the queue on hold is held, and waits still."""
    floor.customer_joins("c1", "support")
    floor.holds("c1")
    assert floor.party("c1", "c1").state is PartyState.HELD
    assert floor.call("c1").state is CallState.QUEUED
    assert [waiting.call for waiting in floor.queue("support").waiting] == ["lab.c1"]


def test_the_aliases_are_the_unique_ids_that_other_records_know(floor: Floor) -> None:
    """Of each leg that was answered, gone ones included; who only rang is no part of the call's story."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.hangs_up("a1")
    floor.rings("a2", "c1", "1002")
    assert floor.call("c1").aliases == ("c1", "a1")
    floor.connected("c1", "a2")
    assert floor.call("c1").aliases == ("c1", "a1", "a2")


def test_the_queue_is_remembered_after_the_leg_has_left_it(floor: Floor) -> None:
    """A call that was served by a queue still names it after a transfer to nobody's queue."""
    floor.customer_joins("c1", "support")
    floor.put_leg("c1", position=None, queue=None)
    assert floor.call("c1").queue == "support"
    floor.put_leg("c1", queue=QueueId("sales"), position=1)
    assert floor.call("c1").queue == "sales"


def test_a_blind_transfer_keeps_the_call(floor: Floor) -> None:
    """The customer goes from one agent to another under the same id, and is answered once."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "sales")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.wait(20)
    floor.hangs_up("a1")
    floor.agent_done("1001", "support")
    floor.put_leg("c1", conversation=None)
    floor.rings("a2", "c1", "1002")
    floor.wait(3)
    floor.connected("c1", "a2")
    call = floor.call("c1")
    assert [party.agent for party in call.parties] == [None, "1002"]
    assert (call.state, call.answered_at) == (CallState.CONNECTED, BASE)


def test_two_calls_that_become_one_say_so(floor: Floor) -> None:
    """When the last leg moves to another call's key, the emptied call ends as merged into that one."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.put_leg("a2", call="a2", incoming=True, device=DeviceId("1001"), dialled="1002")
    floor.rings("b2", "a2", "1002")
    assert ended(floor.put_leg("a2", call="c1"), "call") == [], "one leg of it is still there"
    (gone,) = ended(floor.put_leg("b2", call="c1"), "call")
    assert (gone.id, gone.merged_into) == ("lab.a2", "lab.c1")
    assert {party.leg for party in floor.call("c1").parties} == {"c1", "a1", "a2", "b2"}


def test_a_supervisors_leg_left_behind_does_not_hide_the_merge(floor: Floor) -> None:
    """A call whose other legs moved is merged, although the supervisor's leg moves a moment later."""
    floor.customer_dials("c1")
    floor.put_leg("p1", call="c1", incoming=False, supervision=SupervisionId("s1"))
    (gone,) = ended(floor.put_leg("c1", call="k2"), "call")
    assert gone.merged_into == "lab.k2"
    assert ended(floor.put_leg("p1", call="k2"), "call") == []
    assert [party.role for party in floor.call("k2").parties] == [Role.CUSTOMER, Role.SUPERVISOR]


def test_a_leg_told_twice_changes_nothing(floor: Floor) -> None:
    """A fact sets state: hearing it again gives no update."""
    floor.customer_joins("c1", "support")
    assert floor.put_leg("c1") == []


def test_the_end_of_an_unknown_leg_changes_nothing(floor: Floor) -> None:
    """A leg that ended before it was known gives no update."""
    assert floor.hangs_up("nobody") == []


def test_a_leg_without_a_queue_or_device_is_a_call_as_well(floor: Floor) -> None:
    """A call needs no more than a leg: a stranger who calls a stranger."""
    floor.customer_dials("c1", dialled="9000")
    floor.put_leg("x1", call="c1", incoming=False, state=LegState.ALERTING, number="9000")
    call = floor.call("c1")
    assert (call.queue, call.direction, call.state) == (None, Direction.INBOUND, CallState.ALERTING)
    assert [party.role for party in call.parties] == [Role.OTHER, Role.OTHER]


def test_parties_stand_in_the_order_of_their_age(floor: Floor) -> None:
    """However the facts arrive, who was first in the call is its first party."""
    floor.wait(5)
    floor.put_leg("late", call="k", incoming=False)
    floor.now = BASE
    floor.put_leg("early", call="k", incoming=True)
    assert [party.leg for party in floor.call("k").parties] == ["early", "late"]


def test_a_parked_party_is_held_and_was_not_answered_by_that(floor: Floor) -> None:
    """She is alone with the PBX, which keeps her; nobody has talked to her."""
    floor.customer_dials("c1")
    floor.put_leg("c1", state=LegState.CONNECTED, parked="701")
    call = floor.call("c1")
    assert (call.state, call.parties[0].state, call.parties[0].parked) == (
        CallState.HELD,
        PartyState.HELD,
        "701",
    )
    assert call.answered_at is None
    floor.put_leg("c1", parked="", position=None)
    assert floor.call("c1").state is CallState.INITIATED


def test_how_a_legs_audio_travels_is_told_of_its_party(floor: Floor) -> None:
    """The last reports count, over a snapshot as well; of a leg that is gone nothing is kept."""
    quality = Quality(loss=0.01, jitter_ms=3.0, round_trip_ms=20.0, mos=4.3)

    def report(leg: str) -> list[Update]:
        return floor.tell(QualityMeasured(pbx=floor.pbx, at=floor.now, leg=LegId(leg), quality=quality))

    floor.customer_dials("c1")
    assert report("c9") == []
    report("c1")
    floor.snapshot()
    assert floor.party("c1", "c1").quality == quality
    floor.hangs_up("c1")
    floor.customer_dials("c1")
    assert floor.party("c1", "c1").quality is None


def test_a_flag_stays_with_the_call(floor: Floor) -> None:
    """Also when the leg that told it has left; a leg that goes on in another call takes it along."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    assert (floor.call("c1").private, floor.call("c1").objected) == (False, False)
    floor.put_leg("a1", private=True)
    floor.hangs_up("a1")
    assert (floor.call("c1").private, floor.call("c1").objected) == (True, False)
    floor.put_leg("c1", objected=True)
    floor.customer_dials("c2")
    floor.put_leg("c1", call="c2")
    assert (floor.call("c2").private, floor.call("c2").objected) == (False, True)
    floor.customer_dials("c3")
    assert not floor.call("c3").objected


def test_what_is_recorded_of_a_leg_is_of_the_call(floor: Floor) -> None:
    """On when one leg is, paused when all that are recorded keep silence, off with the leg."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    told = [floor.call("c1").recording]
    for leg, state in (("a1", Recording.PAUSED), ("c1", Recording.ON), ("c1", Recording.OFF)):
        floor.put_leg(leg, recording=state)
        told.append(floor.call("c1").recording)
    floor.hangs_up("a1")
    told.append(floor.call("c1").recording)
    off, on, paused = Recording.OFF, Recording.ON, Recording.PAUSED
    assert told == [off, paused, on, paused, off]
