"""Calls through queues: answered, missed, given up, led on; the PBX's own truth after each step."""

import pytest

from e2e.scenes import Scene
from helpers.patience import until

pytestmark = pytest.mark.lab

SUPPORT = "connected inbound support: 3001 customer, 1001 agent"
RINGING = "alerting inbound support: 3001 customer queued, 1001 agent alerting"


async def test_queue_customer_hangs_up(scene: Scene) -> None:
    """A customer waits, an agent answers, and has after-call work once he has hung up."""
    caller, agent = await scene.open("3001", "1001")
    await caller.dial("7000")
    await agent.wait_state("ringing")
    await scene.settled(RINGING, a1001="offered")
    call = scene.only_call()
    await agent.answer()
    await scene.hear(agent, caller)
    await scene.settled(SUPPORT, a1001="busy")
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.over(a1001="working_after_call", calls=[call], moments="queued answered served")


async def test_queue_agent_hangs_up(scene: Scene) -> None:
    """The agent hangs up first; a queue without after-call work makes her ready at once."""
    caller, agent = await scene.open("3001", "1005")
    await scene.talk(caller, "7001", agent)
    await scene.settled("connected inbound sales: 3001 customer, 1005 agent", a1005="busy")
    await agent.hangup()
    await caller.wait_state("idle")
    await scene.expect_states("1005", "ready", "offered", "busy", "ready")
    await scene.over(a1005="ready", moments="queued answered served")


async def test_queue_abandoned_in_line(scene: Scene) -> None:
    """The second in line gives up, then the first: positions follow, and both count as abandoned."""
    first, second, third = await scene.open("3001", "3002", "3003")
    await first.dial("7001")
    await scene.settled("queued inbound sales: 3001 customer queued")
    await second.dial("7001")
    await third.dial("7001")
    await scene.settled(*(f"queued inbound sales: {number} customer queued" for number in (3001, 3002, 3003)))
    await second.hangup()
    await scene.settled(*(f"queued inbound sales: {number} customer queued" for number in (3001, 3003)))
    await first.hangup()
    await scene.settled("queued inbound sales: 3003 customer queued")
    await third.hangup()
    await scene.over(moments="queued queued queued abandoned abandoned abandoned")


async def test_queue_abandoned_while_ringing(scene: Scene) -> None:
    """The caller gives up while an agent's phone rings: she is free, and has missed nothing."""
    caller, agent = await scene.open("3001", "1001")
    await caller.dial("7000")
    await agent.wait_state("ringing")
    await scene.settled(RINGING, a1001="offered")
    await caller.hangup()
    await agent.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "ready")
    await scene.over(a1001="ready", moments="queued abandoned")


async def test_queue_declined_then_answered(scene: Scene) -> None:
    """An agent who declines has missed a call, and is offered it again."""
    caller, agent = await scene.open("3001", "1001")
    await caller.dial("7000")
    await agent.decline()
    await scene.moment("offer_missed")
    await agent.wait_state("ringing")
    await scene.settled(RINGING, a1001="offered")
    await agent.answer()
    await scene.settled(SUPPORT, a1001="busy")
    await caller.hangup()
    states = ["ready", "offered", "ready", "offered", "busy", "working_after_call"]
    await scene.expect_states("1001", *states)
    await scene.over(moments="queued missed answered served")


async def test_queue_next_member(scene: Scene) -> None:
    """One member is busy, the other has the call in the next round."""
    caller, one, two = await scene.open("3001", "1001", "1002")
    await caller.dial("7000")
    await until(lambda: "ringing" in (one.state, two.state))
    first, second = (one, two) if one.state == "ringing" else (two, one)
    await first.busy()
    await scene.moment("offer_missed")
    await until(lambda: "ringing" in (one.state, two.state))
    if first.state == "ringing":
        await first.busy()
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled(f"connected inbound support: 3001 customer, {second.number} agent")
    await caller.hangup()
    await scene.over()


async def test_queue_local_member(scene: Scene) -> None:
    """FreePBX's member, a Local channel that stays: no half of it is told, her hold is."""
    caller, agent = await scene.open("3001", "1007")
    await caller.dial("7002")
    await agent.wait_state("ringing")
    await scene.settled("alerting inbound desk: 3001 customer queued, 1007 agent alerting", a1007="offered")
    await agent.answer()
    await scene.hear(agent, caller)
    await scene.settled("connected inbound desk: 3001 customer, 1007 agent", a1007="busy")
    await agent.hold()
    await scene.settled("held inbound desk: 3001 customer, 1007 agent held", a1007="busy")
    await agent.unhold()
    await scene.settled("connected inbound desk: 3001 customer, 1007 agent", a1007="busy")
    await caller.hangup()
    await scene.expect_states("1007", "ready", "offered", "busy", "ready")
    await scene.over(a1007="ready", moments="queued answered served")


async def test_queue_local_optimised(scene: Scene) -> None:
    """A Local member that Asterisk optimises away is the same call before and after."""
    caller, agent = await scene.open("3001", "1006")
    await caller.dial("7004")
    await agent.wait_state("ringing")
    await scene.settled("alerting inbound local: 3001 customer queued, 1006 agent alerting", a1006="offered")
    call = scene.only_call()
    await agent.answer()
    await scene.hear(agent, caller)
    await until(lambda: not any(fields[0].startswith("Local/") for fields in scene.rig.channels()))
    await scene.settled("connected inbound local: 3001 customer, 1006 agent", a1006="busy")
    await agent.hangup()
    await caller.wait_state("idle")
    await scene.expect_states("1006", "ready", "offered", "busy", "ready")
    await scene.over(a1006="ready", calls=[call], moments="queued answered served")


async def test_queue_ringall_with_local(scene: Scene) -> None:
    """All ring, also by Local channels; the one who answers has the call, the other is free again."""
    caller, cancelled, agent = await scene.open("3001", "1005", "1008")
    await caller.dial("7005")
    await cancelled.wait_state("ringing")
    await agent.wait_state("ringing")
    await until(lambda: [line.count("alerting") for line in scene.picture()] == [3])
    await scene.agrees()
    await agent.answer()
    await scene.hear(agent, caller)
    await cancelled.wait_state("idle")
    await scene.settled("connected inbound branch: 3001 customer, 1008 agent", a1005="ready", a1008="busy")
    await caller.hangup()
    await scene.expect_states("1005", "ready", "offered", "ready")
    await scene.over(a1005="ready")


async def test_queue_overflow(scene: Scene) -> None:
    """After four seconds in vain the call goes on into a second queue: two offers, one call."""
    caller, agent, second = await scene.open("3001", "1002", "1005")
    await caller.dial("7003")
    await agent.wait_state("ringing")
    await scene.settled("alerting inbound short: 3001 customer queued, 1002 agent alerting", a1002="offered")
    call = scene.only_call()
    await second.wait_state("ringing")
    await scene.settled("alerting inbound sales: 3001 customer queued, 1005 agent alerting", a1002="ready")
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled("connected inbound sales: 3001 customer, 1005 agent", a1005="busy", a1002="ready")
    await caller.hangup()
    await scene.expect_states("1002", "ready", "offered", "ready")
    await scene.expect_moments(("caller_left", "timeout"))
    await scene.over(calls=[call])


async def test_queue_join_empty(scene: Scene) -> None:
    """A caller who is not let in was never offered: no figure counts him."""
    (caller,) = await scene.open("3001")
    await caller.start_dialing("7006")
    await caller.until(lambda: caller.state == "idle" and len(caller.history) > 1, "sent away")
    await scene.over(moments="")


async def test_queue_leave_when_empty(scene: Scene) -> None:
    """The last agent pauses while she rings, and declines: the caller is sent away."""
    caller, agent = await scene.open("3001", "1004")
    await caller.dial("7006")
    await agent.wait_state("ringing")
    await scene.settled("alerting inbound strict: 3001 customer queued, 1004 agent alerting", a1004="offered")
    pause = {"Action": "QueuePause", "Queue": "strict", "Interface": "PJSIP/1004"}
    await scene.ami(**pause, Paused="true", Reason="lunch")
    await scene.settled("alerting inbound strict: 3001 customer queued, 1004 agent alerting", a1004="offered")
    await agent.decline()
    await caller.wait_state("idle")
    await scene.settled(a1004="ready")
    await scene.ami(**pause, Paused="false")
    await scene.over(a1004="ready")


async def test_queue_exit_by_key(scene: Scene) -> None:
    """A key leads out of the queue and into another."""
    (caller,) = await scene.open("3001")
    await caller.dial("7009")
    await scene.settled("queued inbound keys: 3001 customer queued")
    call = scene.only_call()
    await caller.dtmf("1")
    await scene.settled("queued inbound sales: 3001 customer queued")
    await caller.hangup()
    await scene.over(calls=[call], moments="queued left queued abandoned")


async def test_queue_withdrawn(scene: Scene) -> None:
    """Somebody takes a caller out of the queue."""
    (caller,) = await scene.open("3001")
    await caller.dial("7000")
    await scene.settled("queued inbound support: 3001 customer queued")
    channel = scene.channel("3001")
    await scene.ami(Action="QueueWithdrawCaller", Queue="support", Caller=channel, WithdrawInfo="because")
    await caller.wait_state("idle")
    await scene.over(moments="queued left")


async def test_queue_priority(scene: Scene) -> None:
    """The second in line is given a priority and comes first, of which the PBX tells nothing but its list."""
    first, second = await scene.open("3001", "3002")
    await first.dial("7001")
    await scene.settled("queued inbound sales: 3001 customer queued")
    await second.dial("7001")
    waiting = [f"queued inbound sales: {number} customer queued" for number in (3001, 3002)]
    await scene.settled(*waiting)
    channel, fields = scene.channel("3002"), {"Queue": "sales", "Priority": "5", "Immediate": "true"}
    await scene.ami(Action="QueueChangePriorityCaller", Caller=channel, **fields)
    await scene.reconciles()
    await scene.settled(*waiting)
    await first.hangup()
    await scene.settled(waiting[1])
    await second.hangup()
    await scene.over(moments="queued queued abandoned abandoned")


async def test_queue_race_answer_and_hangup(scene: Scene) -> None:
    """The caller hangs up at the moment of the answer: whatever came first, all agree on it."""
    caller, agent = await scene.open("3001", "1005")
    await caller.dial("7001")
    await agent.wait_state("ringing")
    await agent.auto_answer()
    await caller.hangup()
    await agent.wait_state("idle")
    await scene.over(a1005="ready")
