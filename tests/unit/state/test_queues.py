from msgspec.structs import replace

from ctid.model.facts import QueueInfo
from ctid.model.ids import DeviceId, QueueId
from ctid.model.words import AgentState, LegState
from helpers.floor import BASE, Floor


def test_positions_are_counted_afresh(floor: Floor) -> None:
    """A PBX tells a new position only to the caller: who is behind moves up when another is served."""
    floor.customer_joins("c1", "support", position=1)
    floor.wait(3)
    floor.customer_joins("c2", "support", position=2)
    floor.wait(4)
    floor.customer_joins("c3", "support", position=3)
    floor.hangs_up("c1")
    waiting = [
        (caller.call, caller.position, caller.since - BASE) for caller in floor.queue("support").waiting
    ]
    assert waiting == [("lab.c2", 1, 3), ("lab.c3", 2, 7)]


def test_a_newcomer_stands_where_the_pbx_puts_her(floor: Floor) -> None:
    """Of higher priority she is ahead of those who wait, who all stand one place further back."""
    floor.customer_joins("c1", "support", position=1)
    floor.customer_joins("c2", "support", position=2)
    floor.wait(1)
    floor.customer_joins("c3", "support", position=2)
    assert [caller.call for caller in floor.queue("support").waiting] == ["lab.c1", "lab.c3", "lab.c2"]


def test_a_newcomer_is_behind_those_who_moved_up(floor: Floor) -> None:
    """Their positions were told when they joined: the third of then is the first of now, and before her."""
    for place in (1, 2, 3):
        floor.customer_joins(f"c{place}", "support", position=place)
    floor.hangs_up("c1", "c2")
    floor.customer_joins("c4", "support", position=2)
    floor.put_leg("c3", name="Rosa")
    assert [caller.call for caller in floor.queue("support").waiting] == ["lab.c3", "lab.c4"]


def test_a_caller_whose_position_is_told_anew_moves(floor: Floor) -> None:
    """Served out of turn, or put back: the new position counts."""
    for place in (1, 2, 3):
        floor.customer_joins(f"c{place}", "support", position=place)
    floor.put_leg("c3", position=1)
    assert [caller.call for caller in floor.queue("support").waiting] == ["lab.c3", "lab.c1", "lab.c2"]


def test_the_positions_of_a_snapshot_are_of_one_moment(floor: Floor) -> None:
    """In whatever order the callers are listed, they stand by their positions."""
    for place in (1, 2, 3):
        floor.customer_joins(f"c{place}", "support", position=place)
    floor.legs["c1"] = replace(floor.legs["c1"], position=3)
    floor.legs["c3"] = replace(floor.legs["c3"], position=1)
    floor.snapshot()
    assert [caller.call for caller in floor.queue("support").waiting] == ["lab.c3", "lab.c2", "lab.c1"]


def test_a_caller_who_is_served_waits_no_more(floor: Floor) -> None:
    """The queue's picture follows the call: waiting, then served."""
    floor.agent_joins("1001", "support")
    floor.customer_joins("c1", "support")
    floor.wait(2)
    floor.agent_offered("1001", "support", "c1", "a1")
    assert [caller.call for caller in floor.queue("support").waiting] == ["lab.c1"], "rung, not yet served"
    floor.agent_answers("1001", "support", "c1", "a1")
    queue = floor.queue("support")
    assert (queue.waiting, queue.since) == ((), BASE + 2)


def test_members_are_counted_by_their_state_in_this_queue(floor: Floor) -> None:
    """Paused in one queue is not ready there alone; states that nobody has are left out."""
    floor.agent_joins("1001", "support")
    floor.agent_joins("1002", "support")
    floor.agent_joins("1001", "sales")
    floor.agent_pauses("1001", "support", "lunch")
    assert floor.queue("support").agents == {AgentState.READY: 1, AgentState.NOT_READY: 1}
    assert floor.queue("sales").agents == {AgentState.READY: 1}
    floor.agent_leaves("1002", "support")
    assert floor.queue("support").agents == {AgentState.NOT_READY: 1}


def test_a_queue_has_the_configured_name_and_the_pbx_s_strategy(floor: Floor) -> None:
    """A queue that the configuration does not know is named by its id."""
    floor.queues = {name: QueueInfo(id=QueueId(name), strategy="rrmemory") for name in ("support", "sales")}
    floor.snapshot()
    assert (floor.queue("support").name, floor.queue("sales").name) == ("Support", "sales")
    assert floor.queue("sales").strategy == "rrmemory"


def test_a_queue_that_nothing_tells_of_goes(floor: Floor) -> None:
    """Without a member, a caller or a word of the PBX it is no more; a configured one stays, empty."""
    for queue in ("support", "sales"):
        floor.agent_joins("1001", queue)
        floor.agent_leaves("1001", queue)
    assert list(floor.store.queues) == ["support"]
    assert floor.queue("support").agents == {}


def test_a_caller_in_a_queue_that_nobody_knows_makes_it(floor: Floor) -> None:
    """A queue without members is seen as soon as someone waits in it, and goes with the last of them."""
    floor.customer_joins("c1", "night")
    assert [caller.position for caller in floor.queue("night").waiting] == [1]
    floor.hangs_up("c1")
    assert QueueId("night") not in floor.store.queues


def test_a_caller_who_changes_queues_leaves_the_first(floor: Floor) -> None:
    """An overflow moves the caller: in one queue at a time."""
    floor.agent_joins("1001", "sales")
    floor.customer_joins("c1", "support")
    floor.customer_joins("c1", "sales")
    assert floor.queue("support").waiting == ()
    assert [caller.call for caller in floor.queue("sales").waiting] == ["lab.c1"]


def test_the_wait_begins_with_the_call_where_the_pbx_does_not_tell(floor: Floor) -> None:
    """A caller whose joining was not seen has waited since the call came in, at the most."""
    floor.customer_dials("c1")
    floor.wait(9)
    floor.put_leg("c1", queue=QueueId("support"), position=1)
    assert floor.queue("support").waiting[0].since == BASE
    floor.customer_dials("c2")
    floor.wait(5)
    floor.customer_joins("c2", "support", position=2)
    assert floor.queue("support").waiting[1].since == BASE + 14, "when it is told, that counts"


def test_a_queue_told_without_a_change_keeps_its_since(floor: Floor) -> None:
    """What does not show in the queue does not touch it."""
    floor.agent_joins("1001", "support")
    floor.wait(5)
    floor.put_member("1001", "support", calls_taken=3)
    assert floor.queue("support").since == BASE
    floor.put_leg(
        "a1", call="a1", incoming=True, device=DeviceId("1001"), state=LegState.CONNECTED, dialled="9000"
    )
    assert floor.queue("support").since == BASE + 5
    assert floor.queue("support").agents == {AgentState.BUSY_OTHER: 1}
