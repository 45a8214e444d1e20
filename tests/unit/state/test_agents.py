from itertools import groupby

import pytest

from ctid.model.entities import Agent
from ctid.model.facts import Leg
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, DeviceState, LegState, SnapshotReason
from ctid.state.agents import DEVICE_UNAVAILABLE, Activity
from ctid.state.changes import Change
from ctid.state.profile import AgentProfile, Profiles
from ctid.state.store import Store
from helpers.floor import BASE, Floor


def test_an_agent_is_found_as_a_member_and_has_the_configured_name(floor: Floor) -> None:
    """The configuration names and teams her; whom it does not know has the PBX's name, or her id."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support", name="Berta")
    floor.agent_joins("1003", "support", name="")
    names = {agent.id: (agent.name, agent.team) for agent in floor.store.agents.values()}
    assert names == {"1001": ("Anna", "north"), "1002": ("Berta", ""), "1003": ("1003", "")}


@pytest.mark.parametrize(
    ("told", "state", "reason"),
    [
        ({}, AgentState.READY, ""),
        ({"paused": True, "reason": "lunch"}, AgentState.NOT_READY, "lunch"),
        ({"paused": True}, AgentState.NOT_READY, ""),
        ({"device_state": DeviceState.UNAVAILABLE}, AgentState.NOT_READY, DEVICE_UNAVAILABLE),
        ({"device_state": DeviceState.UNKNOWN}, AgentState.UNKNOWN, ""),
        ({"paused": True, "reason": "lunch", "offered": LegId("c1")}, AgentState.OFFERED, ""),
    ],
)
def test_a_member_without_a_call_has_the_state_that_the_queue_tells(
    floor: Floor, told: dict[str, object], state: AgentState, reason: str
) -> None:
    """Offered is above paused, which is above what her phone does."""
    floor.agent_joins("1001", "support", **told)
    agent = floor.agent("1001")
    assert (agent.state, agent.reason) == (state, reason)
    assert agent.queues[0].paused is bool(told.get("paused", False))


def test_an_agent_who_leaves_her_last_queue_is_logged_out(floor: Floor) -> None:
    """She stays known, with no queue."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1001", "sales")
    floor.agent_leaves("1001", "support")
    assert [membership.queue for membership in floor.agent("1001").queues] == ["sales"]
    floor.wait(3)
    floor.agent_leaves("1001", "sales")
    agent = floor.agent("1001")
    assert (agent.state, agent.queues, agent.since) == (AgentState.LOGGED_OUT, (), BASE + 3)
    assert (agent.name, agent.device) == ("Anna", "1001")


def test_a_logged_out_agent_keeps_the_name_that_the_pbx_gave(floor: Floor) -> None:
    """The name is known from the time when she was a member."""
    floor.agent_joins("1002", "sales", name="Berta")
    floor.agent_leaves("1002", "sales")
    assert floor.agent("1002").name == "Berta"


def test_leaving_a_queue_that_nobody_joined_is_a_logged_out_agent(floor: Floor) -> None:
    """A removal that comes first makes her known, and harms nothing."""
    floor.agent_leaves("1009", "support")
    assert floor.agent("1009").state is AgentState.LOGGED_OUT
    assert floor.agent("1009").device is None


def test_the_states_of_a_queue_call(floor: Floor) -> None:
    """Ready, offered, busy, busy on hold, working after call, ready: with the call, and since when."""
    floor.agent_joins("1001", "support")
    seen = []

    def look() -> None:
        agent = floor.agent("1001")
        seen.append((agent.state, agent.call, agent.since - BASE))

    floor.customer_joins("c1", "support")
    look()
    floor.wait(1)
    floor.agent_offered("1001", "support", "c1", "a1")
    look()
    floor.wait(2)
    floor.agent_answers("1001", "support", "c1", "a1")
    look()
    floor.wait(3)
    floor.holds("a1")
    look()
    floor.wait(4)
    floor.call_over("1001", "support", "c1", "a1")
    look()
    floor.wait(10)
    look()
    assert seen == [
        (AgentState.READY, None, 0),
        (AgentState.OFFERED, "lab.c1", 1),
        (AgentState.BUSY, "lab.c1", 3),
        (AgentState.BUSY, "lab.c1", 3),
        (AgentState.WORKING_AFTER_CALL, None, 10),
        (AgentState.READY, None, 20),
    ]
    assert floor.agent("1001").queues[0].calls_taken == 1


def test_a_missed_offer_leaves_her_ready(floor: Floor) -> None:
    """Her phone stops ringing, and nothing of the call stays with her."""
    floor.agent_joins("1001", "support")
    floor.customer_joins("c1", "support")
    floor.agent_offered("1001", "support", "c1", "a1")
    floor.hangs_up("a1")
    assert floor.agent("1001").state is AgentState.OFFERED, "the queue has not let go yet"
    floor.put_member("1001", "support", offered=None)
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.READY, None)


def test_an_agent_without_a_leg_of_her_own_is_in_her_callers_call(floor: Floor) -> None:
    """The queue says whom it connected her to, also where her phone's leg is not known as hers."""
    floor.agent_joins("1001", "support", device=None)
    floor.customer_joins("c1", "support")
    floor.put_member("1001", "support", offered=LegId("c1"))
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.OFFERED, "lab.c1")
    floor.put_member("1001", "support", offered=None, serving=LegId("c1"))
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.BUSY, "lab.c1")
    floor.put_leg("c1", call="k2")
    assert floor.agent("1001").call == "lab.k2", "her caller's call is hers, under its new id"
    floor.hangs_up("c1")
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.BUSY, None)
    floor.agent_done("1001", "support")
    assert floor.agent("1001").state is AgentState.WORKING_AFTER_CALL


def test_a_caller_told_after_the_member_is_found(floor: Floor) -> None:
    """The queue's word may be ahead of the leg that it speaks of."""
    floor.agent_joins("1001", "support", serving=LegId("c1"), in_call=True)
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.BUSY, None)
    floor.customer_dials("c1")
    assert floor.agent("1001").call == "lab.c1"


def test_a_call_that_is_from_no_queue_makes_her_busy_other(floor: Floor) -> None:
    """Her own call, and one straight to her, are seen as such from the dialling to the end."""
    floor.agent_joins("1001", "support")
    floor.put_leg("a1", call="a1", incoming=True, device=DeviceId("1001"), dialled="0698765432")
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.BUSY_OTHER, "lab.a1")
    floor.hangs_up("a1")
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.READY, None)


def test_a_direct_call_that_rings_is_an_offer(floor: Floor) -> None:
    """Her phone rings: she is offered a call, although no queue says so."""
    floor.agent_joins("1001", "support")
    floor.customer_dials("c1", dialled="1001")
    floor.rings("a1", "c1", "1001")
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.OFFERED, "lab.c1")


def test_a_queue_that_believes_her_in_a_call_is_heard_only_while_she_talks(floor: Floor) -> None:
    """`in_call` tells whose call she talks in, and nothing when her legs say that she talks no more."""
    floor.agent_joins("1001", "support", in_call=True)
    assert floor.agent("1001").state is AgentState.READY
    floor.customer_dials("c1")
    floor.rings("a1", "c1", "1001")
    floor.connected("c1", "a1")
    assert floor.agent("1001").state is AgentState.BUSY


def test_busy_in_one_queue_is_busy(floor: Floor) -> None:
    """She serves a caller of one queue: in the other she is busy with a call that is not its own."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1001", "sales")
    floor.agent_serves("1001", "support", "c1", "a1")
    agent = floor.agent("1001")
    assert {membership.queue: membership.state for membership in agent.queues} == {
        "support": AgentState.BUSY,
        "sales": AgentState.BUSY_OTHER,
    }
    assert agent.state is AgentState.BUSY


def test_a_pause_in_one_queue_leaves_her_ready_in_the_other(floor: Floor) -> None:
    """Not ready is what she is when she is paused in all of them."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1001", "sales")
    floor.agent_pauses("1001", "support", "lunch")
    assert (floor.agent("1001").state, floor.agent("1001").reason) == (AgentState.READY, "")
    floor.wait(2)
    floor.agent_pauses("1001", "sales", "lunch")
    agent = floor.agent("1001")
    assert (agent.state, agent.reason, agent.since) == (AgentState.NOT_READY, "lunch", BASE + 2)


def test_another_reason_for_the_pause_is_a_new_state(floor: Floor) -> None:
    """`since` is of the state and its reason; the same pause told again does not move it."""
    floor.agent_joins("1001", "support")
    floor.agent_pauses("1001", "support", "lunch")
    floor.wait(5)
    floor.put_member("1001", "support", penalty=3)
    assert floor.agent("1001").since == BASE
    floor.agent_pauses("1001", "support", "training")
    assert floor.agent("1001").since == BASE + 5


def test_a_pause_during_the_call_shows_after_the_after_call_work(floor: Floor) -> None:
    """Busy and after-call work are above not ready."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.agent_pauses("1001", "support", "lunch")
    agent = floor.agent("1001")
    assert (agent.state, agent.pending, agent.pending_reason) == (
        AgentState.BUSY,
        AgentState.NOT_READY,
        "lunch",
    )
    floor.call_over("1001", "support", "c1", "a1")
    agent = floor.agent("1001")
    assert (agent.state, agent.pending) == (AgentState.WORKING_AFTER_CALL, AgentState.NOT_READY)
    floor.wait(10)
    assert floor.agent("1001").pending is None
    assert (floor.agent("1001").state, floor.agent("1001").reason) == (AgentState.NOT_READY, "lunch")


def test_the_call_that_is_not_on_hold_is_the_one_she_is_in(floor: Floor) -> None:
    """Of two calls of her phone the active one counts, in whatever order they are told."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.holds("a1")
    floor.put_leg("a2", call="a2", incoming=True, device=DeviceId("1001"), dialled="1002")
    assert floor.agent("1001").call == "lab.a2"
    floor.holds("a2")
    floor.retrieves("a1")
    assert floor.agent("1001").call == "lab.c1"


def _leg(ident: str, **told: bool | str | LegState) -> Leg:
    return Leg(id=LegId(ident), call=ident, created_at=BASE, **{"incoming": False, **told})  # type: ignore[arg-type] # of many fields


def test_a_ringing_call_does_not_hide_the_one_she_talks_in() -> None:
    """Talking is further on than ringing, in either order of the legs."""
    ringing, talking = _leg("r", state=LegState.ALERTING), _leg("t", conversation="b")
    for legs in ((ringing, talking), (talking, ringing)):
        activity = Activity(legs)
        assert (activity.talking, activity.alerting, activity.leg) == (True, True, talking)


def test_a_held_call_does_not_hide_the_active_one() -> None:
    """Of two conversations the one that is not on hold is hers, in either order of the legs."""
    held, active = _leg("h", conversation="b1", held=True), _leg("t", conversation="b2")
    for legs in ((held, active), (active, held)):
        assert Activity(legs).leg is active


def test_a_leg_that_only_exists_is_no_activity() -> None:
    """A leg that the PBX has not begun to ring says nothing of her."""
    activity = Activity([_leg("n")])
    assert (activity.talking, activity.alerting, activity.leg) == (False, False, None)


def test_a_phone_that_changes_hands_is_the_new_agents(floor: Floor) -> None:
    """The live call, the phone and both agents follow when another agent signs on at the same phone."""
    floor.phone("1001", DeviceState.IN_USE)
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.agent_joins("1002", "sales", device=DeviceId("1001"))
    assert floor.party("c1", "a1").agent == "1002"
    assert floor.device("1001").agent == "1002"
    assert floor.agent("1002").call == "lab.c1"
    floor.agent_done("1001", "support")
    assert floor.agent("1001").call is None
    floor.hangs_up("c1", "a1")
    assert floor.agent("1002").call is None


def test_an_agent_whose_phone_was_taken_is_in_its_calls_no_more(floor: Floor) -> None:
    """At once, and not only when something else of her is told."""
    floor.agent_joins("1001", "support")
    floor.put_leg("a1", call="a1", incoming=True, device=DeviceId("1001"), dialled="0698765432")
    assert floor.agent("1001").state is AgentState.BUSY_OTHER
    floor.agent_joins("1002", "sales", device=DeviceId("1001"))
    assert (floor.agent("1001").state, floor.agent("1001").call) == (AgentState.READY, None)
    assert (floor.agent("1002").state, floor.agent("1002").call) == (AgentState.BUSY_OTHER, "lab.a1")


def test_a_supervisor_who_takes_calls_is_not_busy_by_her_session_alone(floor: Floor) -> None:
    """Her leg counts as a call while a customer is in it, and not when she is alone with the PBX."""
    floor.agent_joins("2001", "support", device=DeviceId("2001"))
    session = SupervisionId("s1")
    floor.put_leg(
        "p1", call="c1", incoming=False, conversation="b", device=DeviceId("2001"), supervision=session
    )
    assert (floor.agent("2001").state, floor.agent("2001").call) == (AgentState.READY, None)
    floor.put_leg("c1", call="c1", incoming=True, conversation="b")
    assert (floor.agent("2001").state, floor.agent("2001").call) == (AgentState.BUSY_OTHER, "lab.c1")
    floor.hangs_up("c1")
    assert (floor.agent("2001").state, floor.agent("2001").call) == (AgentState.READY, None)


def test_a_member_told_after_her_call_gives_the_call_its_agent(floor: Floor) -> None:
    """Whose phone it is can be known later than the leg; the call is then told anew."""
    floor.customer_dials("c1", dialled="1001")
    floor.rings("a1", "c1", "1001")
    assert floor.party("c1", "a1").agent is None
    floor.agent_joins("1001", "support")
    assert floor.party("c1", "a1").agent == "1001"
    assert floor.agent("1001").state is AgentState.OFFERED


def test_who_is_taken_out_of_her_queues_in_a_call_is_busy_until_it_ends(floor: Floor) -> None:
    """She is logged out, which shows once she has let the caller go."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.agent_leaves("1001", "support")
    agent = floor.agent("1001")
    assert (agent.state, agent.pending, agent.queues) == (AgentState.BUSY, AgentState.LOGGED_OUT, ())
    floor.hangs_up("c1", "a1")
    agent = floor.agent("1001")
    assert (agent.state, agent.pending, agent.call) == (AgentState.LOGGED_OUT, None, None)


def test_a_pause_in_one_queue_alone_is_not_what_follows_the_call(floor: Floor) -> None:
    """The other queue would offer her the next one."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1001", "sales")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.agent_pauses("1001", "support", "lunch")
    agent = floor.agent("1001")
    assert (agent.state, agent.pending, agent.queues[0].paused_reason) == (AgentState.BUSY, None, "lunch")


def test_missed_calls_are_counted_in_each_queue_until_she_leaves_it(floor: Floor) -> None:
    """Of what rang at her in vain."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1001", "sales")
    for _ in range(2):
        floor.misses("1001", "support", "c1")
    assert {m.queue: m.missed for m in floor.agent("1001").queues} == {"support": 2, "sales": 0}
    floor.snapshot()
    assert floor.agent("1001").queues[0].missed == 2
    floor.agent_leaves("1001", "support")
    floor.agent_joins("1001", "support")
    assert {m.queue: m.missed for m in floor.agent("1001").queues} == {"sales": 0, "support": 0}


def test_an_agent_is_logged_in_since_she_joined_the_first_of_her_queues(floor: Floor) -> None:
    """As far as the PBX tells it."""
    floor.agent_joins("1001", "support")
    assert floor.agent("1001").logged_in_at is None
    floor.agent_joins("1001", "sales", logged_in_at=Instant(BASE - 60))
    floor.put_member("1001", "support", logged_in_at=Instant(BASE - 30))
    assert floor.agent("1001").logged_in_at == BASE - 60


@pytest.mark.parametrize(
    ("paused_at", "since"), [(None, BASE), (Instant(BASE - 40), BASE - 40), (Instant(BASE + 1), BASE)]
)
def test_a_pause_from_before_ctid_came_is_as_old_as_the_pbx_says(
    floor: Floor, paused_at: Instant | None, since: float
) -> None:
    """Of her first sight; a time to come is not believed."""
    floor.agent_joins("1001", "support", paused=True, reason="lunch", paused_at=paused_at)
    assert floor.agent("1001").since == since


def test_a_call_from_before_ctid_came_is_as_old_as_its_leg(floor: Floor) -> None:
    """Who is found talking has talked since she was connected."""
    floor.put_leg("a1", call="a1", incoming=True, device=DeviceId("1001"), connected_at=Instant(BASE - 25))
    floor.agent_joins("1001", "support")
    assert (floor.agent("1001").state, floor.agent("1001").since) == (AgentState.BUSY_OTHER, BASE - 25)


def test_an_agent_whom_the_configuration_names_is_logged_out_until_a_queue_has_her() -> None:
    """She is known from her PBX's first snapshot on, and to no other PBX."""
    profile = AgentProfile(name="Anna", pbx=PbxId("lab"))
    floor = Floor(Store(Profiles(agents={AgentId("1001"): profile})))
    other = Floor(floor.store, pbx="two")
    other.snapshot()
    assert floor.store.agents == {}
    floor.snapshot()
    assert (floor.agent("1001").state, floor.agent("1001").name) == (AgentState.LOGGED_OUT, "Anna")
    floor.agent_joins("1001", "support")
    assert floor.agent("1001").state is AgentState.READY


class TestBetweenTwoWords:
    """A PBX tells of a call's end one leg after the other; nobody is in another call meanwhile."""

    @pytest.fixture
    def done(self, floor: Floor) -> Floor:
        """The caller has hung up and the queue is done with her, whose leg still is there."""
        floor.agent_joins("1001", "support")
        floor.agent_joins("1001", "sales")
        floor.agent_serves("1001", "support", "c1", "a1")
        floor.wait(5)
        floor.hangs_up("c1")
        floor.agent_done("1001", "support")
        return floor

    @staticmethod
    def states(floor: Floor) -> list[AgentState]:
        """Hers, without repetition."""
        told = [u.entity.state for u in floor.told if isinstance(u, Change) and isinstance(u.entity, Agent)]
        return [state for state, _ in groupby(told)]

    def test_who_is_left_alone_by_a_queues_call_is_busy_until_she_hangs_up(self, done: Floor) -> None:
        """From busy to after-call work, and nothing between."""
        done.put_leg("a1", conversation=None)
        assert done.agent("1001").state is AgentState.BUSY
        done.hangs_up("a1")
        assert self.states(done) == [
            AgentState.READY,
            AgentState.OFFERED,
            AgentState.BUSY,
            AgentState.WORKING_AFTER_CALL,
        ]

    def test_in_her_other_queues_she_was_never_in_their_call(self, done: Floor) -> None:
        """Left alone, she is no more in one of theirs than before."""
        assert {m.queue: m.state for m in done.agent("1001").queues} == {
            "support": AgentState.BUSY,
            "sales": AgentState.BUSY_OTHER,
        }

    def test_whom_somebody_comes_to_is_in_another_call(self, done: Floor) -> None:
        """She is brought together with another: the queue's call is over, and she talks."""
        done.customer_dials("c2")
        done.put_leg("c2", call="c1", state=LegState.CONNECTED, conversation="b-c1")
        assert done.agent("1001").state is AgentState.BUSY_OTHER

    def test_who_hears_another_ring_is_in_another_call(self, done: Floor) -> None:
        """Her customer has passed her on: she waits for whom he sent her to."""
        done.put_leg("a1", conversation=None)
        done.rings("a2", "a1", "1002")
        assert done.agent("1001").state is AgentState.BUSY_OTHER

    def test_who_is_alone_in_a_room_is_there_on_purpose(self, done: Floor) -> None:
        """A conference is no queue's call."""
        done.put_leg("a1", conference="standup")
        assert done.agent("1001").state is AgentState.BUSY_OTHER

    @pytest.mark.parametrize(
        ("reason", "state"),
        [
            (SnapshotReason.TIMER, AgentState.BUSY),
            (SnapshotReason.REQUEST, AgentState.BUSY),
            (SnapshotReason.CONNECTED, AgentState.BUSY_OTHER),
        ],
    )
    def test_a_snapshot_may_fall_between_two_words(
        self, done: Floor, reason: SnapshotReason, state: AgentState
    ) -> None:
        """It changes nothing; after a time of which nothing is known, she is off hook in no queue's call."""
        done.snapshot(reason=reason)
        assert done.agent("1001").state is state
        done.hangs_up("a1")
        assert done.agent("1001").state is AgentState.WORKING_AFTER_CALL


def test_who_has_answered_and_hears_the_other_ring_is_in_a_call(floor: Floor) -> None:
    """Click to dial: she was rung first, and is free for no queue."""
    floor.agent_joins("1001", "support")
    floor.put_leg("a1", call="a1", incoming=False, state=LegState.CONNECTED, device=DeviceId("1001"))
    assert floor.agent("1001").state is AgentState.BUSY_OTHER
