"""The story of an agent: which facts led to her state, in the PBX's own time and words."""

from msgspec.structs import replace

from ctid.model.facts import MemberChanged
from ctid.model.ids import AgentId
from ctid.model.words import AgentState, DeviceState
from ctid.state.story import LINES_KEPT, Step
from helpers.floor import BASE, Floor


def _steps(floor: Floor, agent: str = "1001") -> list[Step]:
    return floor.store.stories[AgentId(agent)].steps()


def test_it_tells_what_each_fact_changed_and_made_of_her(floor: Floor) -> None:
    """Of a row that was told before, the difference alone; never a caller's number or name."""
    floor.agent_joins("1001", "support")
    floor.wait(2)
    floor.members["1001", "support"] = replace(floor.members["1001", "support"], paused=True, reason="lunch")
    floor.tell(
        MemberChanged(
            pbx=floor.pbx, at=floor.now, source="QueueMemberPause", member=floor.members["1001", "support"]
        )
    )
    first, second = _steps(floor)
    assert (first.about, first.state, first.turned, first.source) == (
        "member of support",
        AgentState.READY,
        True,
        "",
    )
    assert first.changed["device_state"] == DeviceState.IDLE
    assert (second.at, second.fact, second.source) == (BASE + 2, "member_changed", "QueueMemberPause")
    assert second.changed == {"paused": True, "reason": "lunch"}
    assert (second.state, second.reason, second.turned) == (AgentState.NOT_READY, "lunch", True)


def test_a_whole_call_can_be_read(floor: Floor) -> None:
    """Offered, her phone rings, answered, over, after-call work by the time."""
    floor.agent_joins("1001", "support")
    floor.agent_serves("1001", "support", "c1", "a1")
    floor.call_over("1001", "support", "c1", "a1")
    floor.wait(10)
    steps = _steps(floor)
    assert [step.state for step in steps if step.turned] == [
        AgentState.READY,
        AgentState.OFFERED,
        AgentState.BUSY,
        AgentState.WORKING_AFTER_CALL,
        AgentState.READY,
    ]
    assert steps[-1].fact == "time"
    assert ("leg a1", {"ended": True}) in [(step.about, step.changed) for step in steps]
    assert {"offered": None} in [
        {"offered": step.changed["offered"]} for step in steps if "offered" in step.changed
    ]
    assert not any({"number", "name", "dialled"} & step.changed.keys() for step in steps)


def test_a_snapshot_is_told_when_it_turned_her_state(floor: Floor) -> None:
    """By its name; what carries nothing of hers and turns nothing is left out."""
    floor.agent_joins("1001", "support")
    count = len(_steps(floor))
    floor.snapshot()
    assert len(_steps(floor)) == count
    floor.snapshot(members=())
    last = _steps(floor)[-1]
    assert (last.fact, last.about, last.changed, last.state) == ("snapshot", "", {}, AgentState.LOGGED_OUT)


def test_what_her_phone_does_is_told_by_her_queues_alone(floor: Floor) -> None:
    """A phone's own state bears on nobody: what her queues make of it does."""
    floor.agent_joins("1001", "support")
    count = len(_steps(floor))
    floor.phone("1001", DeviceState.IN_USE)
    assert len(_steps(floor)) == count


def test_it_is_bounded(floor: Floor) -> None:
    """The last lines are kept."""
    floor.agent_joins("1001", "support")
    for number in range(2 * LINES_KEPT):
        floor.put_member("1001", "support", penalty=number)
    steps = _steps(floor)
    assert len(steps) == LINES_KEPT
    assert steps[-1].changed == {"penalty": 2 * LINES_KEPT - 1}
