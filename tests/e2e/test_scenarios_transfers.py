"""Blind transfers: whose call it is, who is free and when, and that it stays one call."""

import pytest

from e2e.scenes import Scene

pytestmark = pytest.mark.lab

SUPPORT = "connected inbound support: 3001 customer, 1001 agent"


async def test_transfer_blind_to_a_phone(scene: Scene) -> None:
    """The first agent is free at the transfer; the second has a call that no queue gave her."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7000", first)
    await scene.settled(SUPPORT, a1001="busy")
    call = scene.only_call()
    await first.transfer("1005")
    await second.wait_state("ringing")
    await scene.settled(
        "alerting inbound support: 3001 customer, 1005 agent alerting",
        a1001="working_after_call",
        a1005="offered",
    )
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled("connected inbound support: 3001 customer, 1005 agent", a1005="busy_other")
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.expect_states("1005", "ready", "offered", "busy_other", "ready")
    scene.transferred(("blind", "1005"))
    await scene.over(calls=[call], moments="queued answered served", a1005="ready")


async def test_transfer_blind_to_a_queue(scene: Scene) -> None:
    """The customer waits again, in another queue; its agent is busy with him as with any of its calls."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    await first.transfer("7001")
    await second.wait_state("ringing")
    await scene.settled(
        "alerting inbound sales: 3001 customer queued, 1005 agent alerting",
        a1001="working_after_call",
        a1005="offered",
    )
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled("connected inbound sales: 3001 customer, 1005 agent", a1005="busy")
    await second.hangup()
    await caller.wait_state("idle")
    await scene.expect_states("1005", "ready", "offered", "busy", "ready")
    scene.transferred(("blind", "7001"))
    await scene.over(calls=[call], moments="queued answered served queued answered served", a1005="ready")


async def test_transfer_blind_refused(scene: Scene) -> None:
    """A transfer to nowhere changes nothing, and is not told as one."""
    caller, agent = await scene.open("3001", "1001")
    await scene.talk(caller, "7000", agent)
    await scene.settled(SUPPORT, a1001="busy")
    assert await agent.refused_transfer("5999") >= 400
    await scene.hear(agent, caller)
    await scene.settled(SUPPORT, a1001="busy")
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    scene.transferred()
    await scene.over(moments="queued answered served")


async def test_transfer_blind_declined(scene: Scene) -> None:
    """The second agent declines: the customer is lost, and nobody has after-call work for it twice."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    await first.transfer("1005")
    await second.decline()
    await caller.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.expect_states("1005", "ready", "offered", "ready")
    scene.transferred(("blind", "1005"))
    await scene.over(calls=[call], moments="queued answered served", a1005="ready")


async def test_transfer_blind_by_the_customer(scene: Scene) -> None:
    """The customer leaves his agent with another: both are agents now, and no queue's."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    await caller.transfer("1005")
    await second.wait_state("ringing")
    await scene.settled(
        "alerting inbound support: 1001 agent, 1005 agent alerting", a1001="busy_other", a1005="offered"
    )
    await second.answer()
    await scene.hear(second, first)
    await scene.settled(
        "connected inbound support: 1001 agent, 1005 agent", a1001="busy_other", a1005="busy_other"
    )
    await first.hangup()
    await second.wait_state("idle")
    scene.transferred(("blind", "1005"))
    await scene.over(calls=[call], moments="queued answered served", a1005="ready")


async def test_transfer_blind_by_a_local_member(scene: Scene) -> None:
    """A FreePBX member sends her caller into another queue, where he waits as himself."""
    caller, first, second = await scene.open("3001", "1007", "1001")
    await scene.talk(caller, "7002", first)
    call = scene.only_call()
    await first.transfer("7000")
    await second.wait_state("ringing")
    await scene.settled(
        "alerting inbound support: 3001 customer queued, 1001 agent alerting", a1007="ready", a1001="offered"
    )
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled(SUPPORT, a1001="busy", a1007="ready")
    await caller.hangup()
    await scene.expect_states("1007", "ready", "offered", "busy", "ready")
    scene.transferred(("blind", "7000"))
    await scene.over(calls=[call], a1007="ready")


async def test_transfer_blind_by_an_optimised_member(scene: Scene) -> None:
    """A Local member who was optimised away holds, takes back and transfers as any other."""
    caller, first, second = await scene.open("3001", "1006", "1001")
    await scene.talk(caller, "7004", first)
    call = scene.only_call()
    await first.hold()
    await scene.settled("held inbound local: 3001 customer, 1006 agent held", a1006="busy")
    await first.unhold()
    await scene.settled("connected inbound local: 3001 customer, 1006 agent", a1006="busy")
    await first.transfer("1001")
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled(
        "connected inbound local: 3001 customer, 1001 agent", a1006="ready", a1001="busy_other"
    )
    await caller.hangup()
    await scene.expect_states("1006", "ready", "offered", "busy", "ready")
    await scene.expect_states("1001", "ready", "offered", "busy_other", "ready")
    scene.transferred(("blind", "1001"))
    await scene.over(calls=[call], a1001="ready")


async def test_transfer_blind_by_keys(scene: Scene) -> None:
    """A feature code transfers as a phone's own button does."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7007", first)
    call = scene.only_call()
    await scene.keys(first, "##", "1005")
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled(
        "connected inbound support: 3001 customer, 1005 agent",
        a1001="working_after_call",
        a1005="busy_other",
    )
    await caller.hangup()
    scene.transferred(("blind", "1005"))
    await scene.over(calls=[call], moments="queued answered served", a1005="ready")
