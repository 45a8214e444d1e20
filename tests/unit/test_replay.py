from ctid.model.entities import Agent
from ctid.model.facts import Fact, LinkUp, Member, QueueInfo, Snapshot
from ctid.model.ids import AgentId, DeviceId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState
from ctid.ports import Replayed
from ctid.replay import play
from ctid.state.changes import Change
from ctid.state.store import Store

PBX = PbxId("main")


def snapshot(at: float, last_call_at: float) -> list[Fact]:
    """An agent with 30 s of after-call work, whose last call ended then."""
    member = Member(
        queue=QueueId("support"),
        agent=AgentId("1001"),
        name="Alice",
        device=DeviceId("1001"),
        device_state=DeviceState.IDLE,
        last_call_at=Instant(last_call_at),
        wrapup_s=30.0,
    )
    up = LinkUp(pbx=PBX, at=Instant(at), driver="asterisk", version="22")
    queues = (QueueInfo(id=QueueId("support")),)
    taken = Snapshot(
        pbx=PBX, at=Instant(at), legs=(), members=(member,), queues=queues, devices=(), supervisions=()
    )
    return [up, taken]


def states(steps: list[Replayed]) -> list[tuple[float, float, str]]:
    """When by the capture, when by the change itself, and what the agent's state was."""
    return [
        (step.t, update.at, str(update.new.state))
        for step, updates in play(steps, Store())
        for update in updates
        if isinstance(update, Change) and isinstance(update.new, Agent)
    ]


def test_after_call_work_ends_by_the_captures_clock() -> None:
    """It comes with the first message after it, and bears its own time."""
    steps = [
        Replayed(t=0.0, at=Instant(1000.0), facts=snapshot(1000.0, 990.0)),
        Replayed(t=19.0, at=Instant(1019.0)),
        Replayed(t=40.0, at=Instant(1040.0)),
    ]
    assert states(steps) == [(0.0, 1000.0, "working_after_call"), (40.0, 1020.0, "ready")]
