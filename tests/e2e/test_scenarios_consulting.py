"""Attended transfers: a second call that becomes one with the first, or does not."""

import pytest

from e2e.scenes import Scene
from lab.phone_client import Phone

pytestmark = pytest.mark.lab

HELD = "held inbound support: 3001 customer, 1001 agent held"
SUPPORT = "connected inbound support: 3001 customer, 1001 agent"
RINGS = "alerting internal -: 1001 agent initiated, 1005 agent alerting"
CONSULTS = "connected internal -: 1001 agent, 1005 agent"
PASSED_ON = "connected inbound support: 3001 customer, 1005 agent"


async def consulting(scene: Scene, number: str = "7000") -> tuple[Phone, Phone, Phone, str]:
    """The customer is on hold, and his agent talks with another; gives the three, and the first call's id."""
    caller, second = await scene.open("3001", "1005")
    (first,) = await scene.open("1001", lines=2)
    await scene.talk(caller, number, first)
    call = scene.only_call()
    await first.hold()
    await scene.settled(HELD, a1001="busy")
    await first.dial("1005", line=2)
    await second.wait_state("ringing")
    await scene.settled(HELD, RINGS, a1001="busy", a1005="offered")
    await second.answer()
    await scene.hear(second, first)
    await scene.settled(HELD, CONSULTS, a1001="busy", a1005="busy_other")
    return caller, first, second, call


async def test_attended_completed(scene: Scene) -> None:
    """The consultation ends in the customer's call, which keeps its id."""
    caller, first, second, call = await consulting(scene)
    await first.join()
    await scene.hear(second, caller)
    await scene.settled(PASSED_ON, a1001="working_after_call", a1005="busy_other")
    scene.merged(into=call, count=2)
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.expect_states("1005", "ready", "offered", "busy_other", "ready")
    scene.transferred(("attended", "1005"))
    await scene.over(moments="queued answered served", a1005="ready")


async def test_attended_abandoned(scene: Scene) -> None:
    """The agent takes her customer back: two calls, and the second ended for itself."""
    caller, first, _, call = await consulting(scene)
    await first.hangup(line=2)
    await scene.settled(HELD, a1001="busy", a1005="ready")
    await first.unhold()
    await scene.hear(caller, first)
    await scene.settled(SUPPORT, a1001="busy")
    others = [ended["merged_into"] for ended in scene.watched.ended().values()]
    scene.expect("merged", others, [None])
    scene.expect("the call", scene.only_call(), call)
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    scene.transferred()
    await scene.over(moments="queued answered served")


async def test_attended_while_ringing(scene: Scene) -> None:
    """The agent lets go while the other still rings, who then answers the customer."""
    caller, second = await scene.open("3001", "1005")
    (first,) = await scene.open("1001", lines=2)
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    await first.hold()
    await first.dial("1005", line=2)
    await second.wait_state("ringing")
    await scene.settled(HELD, RINGS, a1001="busy", a1005="offered")
    await first.join()
    await scene.settled(
        "alerting inbound support: 3001 customer, 1005 agent alerting",
        a1001="working_after_call",
        a1005="offered",
    )
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled(PASSED_ON, a1005="busy_other")
    scene.merged(into=call, count=2)
    await caller.hangup()
    scene.transferred(("attended", "1005"))
    await scene.over(moments="queued answered served", a1005="ready")


async def test_attended_into_a_waiting_queue(scene: Scene) -> None:
    """The agent waits in another queue herself, and leaves her place to the customer."""
    (caller,) = await scene.open("3001")
    (first,) = await scene.open("1001", lines=2)
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    await first.hold()
    await first.dial("7001", line=2)
    await scene.settled(HELD, "queued outbound sales: 1001 agent queued", a1001="busy")
    await first.join()
    await scene.settled("queued inbound sales: 3001 customer queued", a1001="working_after_call")
    (second,) = await scene.open("1005")
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled("connected inbound sales: 3001 customer, 1005 agent", a1005="busy")
    scene.merged(into=call, count=2)
    await caller.hangup()
    scene.transferred(("attended", "7001"))
    await scene.over(moments="queued answered served queued answered served", a1005="ready")


async def test_attended_to_a_queues_agent(scene: Scene) -> None:
    """The consultation goes through a queue; for that queue it is over when the customer is there instead."""
    caller, second = await scene.open("3001", "1005")
    (first,) = await scene.open("1001", lines=2)
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    await first.hold()
    await first.dial("7001", line=2)
    await second.answer()
    await scene.hear(second, first)
    await scene.settled(HELD, "connected internal sales: 1001 agent, 1005 agent", a1001="busy", a1005="busy")
    await first.join()
    await scene.hear(second, caller)
    await scene.settled(PASSED_ON, a1001="working_after_call", a1005="busy_other")
    scene.merged(into=call, count=2)
    await caller.hangup()
    await scene.expect_states("1005", "ready", "offered", "busy", "busy_other", "ready")
    await scene.over(a1005="ready")


async def test_attended_by_a_local_member(scene: Scene) -> None:
    """A FreePBX member consults and joins; her two Local halves are never seen."""
    caller, second = await scene.open("3001", "1005")
    (first,) = await scene.open("1007", lines=2)
    await scene.talk(caller, "7002", first)
    call = scene.only_call()
    await first.hold()
    await first.dial("1005", line=2)
    await second.answer()
    await scene.hear(second, first)
    await scene.settled(
        "held inbound desk: 3001 customer, 1007 agent held",
        "connected internal -: 1007 agent, 1005 agent",
        a1007="busy",
        a1005="busy_other",
    )
    await first.join()
    await scene.hear(second, caller)
    await scene.settled(
        "connected inbound desk: 3001 customer, 1005 agent", a1007="ready", a1005="busy_other"
    )
    scene.merged(into=call, count=2)
    await caller.hangup()
    await scene.over(a1007="ready", a1005="ready")


async def test_attended_joins_two_customers(scene: Scene) -> None:
    """An agent connects two customers and leaves them to each other."""
    caller, other = await scene.open("3001", "3004")
    (agent,) = await scene.open("1001", lines=2)
    await scene.talk(caller, "7000", agent)
    call = scene.only_call()
    await agent.hold()
    await agent.dial("80003004", line=2)
    await other.answer()
    await scene.hear(other, agent)
    await scene.settled(HELD, "connected outbound -: 1001 agent, 3004 customer", a1001="busy")
    await agent.join()
    await scene.hear(other, caller)
    await scene.settled("connected inbound support: 3001 customer, 3004 customer", a1001="working_after_call")
    scene.merged(into=call, count=2)
    await other.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.over(moments="queued answered served")


async def test_attended_by_keys(scene: Scene) -> None:
    """The feature code: on one line, completed by hanging up."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7007", first)
    call = scene.only_call()
    await scene.keys(first, "*2", "1005")
    await second.answer()
    await scene.hear(second, first)
    await scene.reconciles()
    await first.hangup()
    await scene.hear(second, caller)
    await scene.settled(PASSED_ON, a1001="working_after_call", a1005="busy_other")
    await caller.hangup()
    scene.transferred(("attended", "1005"))
    await scene.over(calls=[call], moments="queued answered served", a1005="ready")


async def test_attended_by_keys_abandoned(scene: Scene) -> None:
    """The other hangs up: the agent is back with her customer."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7007", first)
    call = scene.only_call()
    await scene.keys(first, "*2", "1005")
    await second.answer()
    await scene.hear(second, first)
    await second.hangup()
    await scene.hear(first, caller)
    await scene.settled(SUPPORT, a1001="busy", a1005="ready")
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    scene.transferred()
    await scene.over(calls=[call], moments="queued answered served", a1001="working_after_call")


async def test_attended_by_keys_while_ringing(scene: Scene) -> None:
    """She hangs up while the other rings, who has the customer when she answers."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7007", first)
    call = scene.only_call()
    await scene.keys(first, "*2", "1005")
    await second.wait_state("ringing")
    await first.hangup()
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled(PASSED_ON, a1001="working_after_call", a1005="busy_other")
    await caller.hangup()
    await scene.over(calls=[call], moments="queued answered served", a1005="ready")


async def test_attended_by_keys_threeway(scene: Scene) -> None:
    """All three talk, until the agent leaves the two."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7007", first)
    call = scene.only_call()
    await scene.keys(first, "*2", "1005")
    await second.answer()
    await scene.hear(second, first)
    await first.dtmf("*3")
    await scene.hear(second, first, caller)
    await scene.settled("connected inbound support: 3001 customer, 1001 agent, 1005 agent", a1001="busy")
    await first.hangup()
    await scene.hear(second, caller)
    await scene.settled(PASSED_ON, a1001="working_after_call", a1005="busy_other")
    await caller.hangup()
    await scene.over(calls=[call], a1005="ready")
