"""After-call work: how long, since when, until when, and what ends it."""

import pytest

from ctid.model.facts import AfterCallWorkSet, Member
from ctid.model.ids import AgentId, DeviceId, LegId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import AgentState
from ctid.state.after_call import length_s, work_after
from ctid.state.profile import AgentProfile, Profiles, QueueProfile
from ctid.state.store import Store
from helpers.floor import BASE, PROFILES, Floor

AGENT = AgentId("1001")


def _works(floor: Floor) -> None:
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.call_over("1001", "support", "c1", "a1")
    assert floor.agent("1001").state is AgentState.WORKING_AFTER_CALL


def _set(floor: Floor, ends_at: float | None) -> None:
    end = None if ends_at is None else Instant(ends_at)
    floor.tell(AfterCallWorkSet(pbx=floor.pbx, at=floor.now, agent=AGENT, ends_at=end))


def test_it_ends_by_the_time_alone(floor: Floor) -> None:
    """No PBX tells its end: until then nothing changes, then she is ready, and no deadline is left."""
    _works(floor)
    work = floor.agent("1001").after_call_work
    assert work is not None
    assert (work.queue, work.since, work.ends_at) == ("support", BASE, BASE + 10)
    assert floor.store.next_deadline() == BASE + 10
    assert floor.wait(9.999) == []
    assert floor.wait(0.001) != []
    assert (floor.agent("1001").state, floor.agent("1001").after_call_work) == (AgentState.READY, None)
    assert floor.store.next_deadline() is None


def test_it_is_the_agents_and_holds_in_all_of_her_queues(floor: Floor) -> None:
    """A queue that knows nothing of the call would offer her the next one."""
    floor.agent_joins("1001", "sales")
    _works(floor)
    assert {m.state for m in floor.agent("1001").queues} == {AgentState.WORKING_AFTER_CALL}
    assert floor.queue("sales").agents == {AgentState.WORKING_AFTER_CALL: 1}


def test_it_is_ended_by_hand(floor: Floor) -> None:
    """She is ready at once; ending it twice, or what is not, changes nothing."""
    _works(floor)
    floor.wait(3)
    _set(floor, None)
    assert floor.agent("1001").state is AgentState.READY
    assert floor.agent("1001").since == BASE + 3
    _set(floor, None)
    _set(floor, BASE + 60)
    assert floor.agent("1001").state is AgentState.READY


def test_it_is_extended(floor: Floor) -> None:
    """It ends at the new time, and not before."""
    _works(floor)
    _set(floor, BASE + 30)
    floor.wait(29)
    assert floor.agent("1001").state is AgentState.WORKING_AFTER_CALL
    floor.wait(1)
    assert floor.agent("1001").state is AgentState.READY


def test_another_call_of_a_queue_ends_it(floor: Floor) -> None:
    """What follows that call begins anew."""
    _works(floor)
    floor.wait(3)
    floor.agent_serves("1001", "support", "c2", "a2")
    assert floor.agent("1001").after_call_work is None
    floor.wait(60)
    floor.call_over("1001", "support", "c2", "a2")
    work = floor.agent("1001").after_call_work
    assert work is not None
    assert work.ends_at == BASE + 73


def test_a_private_call_hides_it_and_does_not_end_it(floor: Floor) -> None:
    """She is on the call; what is left of her work comes back after it."""
    _works(floor)
    floor.put_leg("a2", call="a2", incoming=True, device=DeviceId("1001"), dialled="0698765432")
    assert floor.agent("1001").state is AgentState.BUSY_OTHER
    floor.wait(3)
    floor.hangs_up("a2")
    assert floor.agent("1001").state is AgentState.WORKING_AFTER_CALL
    floor.wait(7)
    assert floor.agent("1001").state is AgentState.READY


def test_who_leaves_all_of_her_queues_has_none(floor: Floor) -> None:
    """Logged out is logged out; no deadline is left behind."""
    _works(floor)
    floor.agent_leaves("1001", "support")
    assert (floor.agent("1001").state, floor.agent("1001").after_call_work) == (AgentState.LOGGED_OUT, None)
    assert floor.store.next_deadline() is None


def test_a_snapshot_in_which_she_has_left_ends_it(floor: Floor) -> None:
    """The same, told by the lists."""
    _works(floor)
    floor.snapshot(members=())
    assert floor.agent("1001").state is AgentState.LOGGED_OUT
    assert floor.store.next_deadline() is None


def test_a_call_that_ended_while_the_link_was_down_is_worked_after_from_its_end(floor: Floor) -> None:
    """The PBX tells when it ended."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.link_down()
    floor.now = Instant(BASE + 8)
    floor.legs.clear()
    floor.members["1001", "support"] = Member(
        queue=QueueId("support"), agent=AGENT, name="", last_call_at=Instant(BASE + 5)
    )
    floor.link_up()
    floor.snapshot()
    work = floor.agent("1001").after_call_work
    assert work is not None
    assert (work.since, work.ends_at) == (BASE + 5, BASE + 15)


def test_an_enforced_pause_is_after_call_work_as_the_pbx_knows_it() -> None:
    """It shows as what it is, also when nobody remembers the work; it is no pause that follows."""
    profiles = Profiles(queues=PROFILES.queues, after_call_work_reason="acw")
    floor = Floor(Store(profiles))
    _works(floor)
    floor.agent_pauses("1001", "support", "acw")
    assert floor.agent("1001").pending is None
    floor.wait(10)
    agent = floor.agent("1001")
    assert (agent.state, agent.after_call_work) == (AgentState.WORKING_AFTER_CALL, None)
    floor.agent_pauses("1001", "support", "lunch")
    assert (floor.agent("1001").state, floor.agent("1001").reason) == (AgentState.NOT_READY, "lunch")


@pytest.mark.parametrize(
    ("queue_s", "team_s", "member_s", "site_s", "expected"),
    [(8, 7, 6, 5, 8), (0, 7, 6, 5, 7), (0, 0, 6, 5, 6), (0, 0, 0, 5, 5), (0, 0, 0, 0, 0)],
)
def test_the_length_is_the_queues_then_the_teams_the_pbxs_and_the_sites(
    queue_s: float, team_s: float, member_s: float, site_s: float, expected: float
) -> None:
    """The first that gives one."""
    profiles = Profiles(
        agents={AGENT: AgentProfile(after_call_work_s=team_s)},
        queues={QueueId("q"): QueueProfile(wrapup_s=queue_s)},
        after_call_work_s=site_s,
    )
    member = Member(queue=QueueId("q"), agent=AGENT, name="", wrapup_s=member_s)
    assert length_s(member, profiles) == expected


NOW = Instant(BASE + 100)
_SITE = Profiles(after_call_work_s=10.0)


def _member(serving: str | None = None, last_call_at: float | None = None) -> Member:
    return Member(
        queue=QueueId("q"),
        agent=AGENT,
        name="",
        serving=None if serving is None else LegId(serving),
        last_call_at=None if last_call_at is None else Instant(last_call_at),
    )


@pytest.mark.parametrize(
    ("old", "new", "ends_at"),
    [
        (_member("c1"), _member(), NOW + 10),
        (_member(), _member(), None),
        (_member("c1"), _member("c2"), None),
        (None, _member(), None),
        (None, _member(last_call_at=NOW - 4), NOW + 6),
        (None, _member(last_call_at=NOW - 10), None),
        (None, _member("c1", NOW - 4), None),
    ],
)
def test_it_begins_when_the_queues_call_is_over(
    old: Member | None, new: Member, ends_at: float | None
) -> None:
    """Who is seen for the first time is at work if her last call was lately enough."""
    work = work_after(old, new, _SITE, NOW, NOW)
    assert (work.ends_at if work else None) == ends_at


@pytest.mark.parametrize("skew", [-3600.0, -5.0, -1.0, 0.0, 1.0, 5.0, 3600.0])
def test_it_lasts_as_long_whatever_the_pbxs_clock_says(skew: float) -> None:
    """Timers run by our clock; a small difference may be the wire's."""
    work = work_after(_member("c1"), _member(), _SITE, Instant(NOW + skew), NOW)
    assert work is not None
    assert abs(work.ends_at - (NOW + 10)) <= 2.0
