"""Calls that no queue brings, and what a phone does with one or two of them."""

import pytest

from e2e.scenes import Scene

pytestmark = pytest.mark.lab

SUPPORT = "connected inbound support: 3001 customer, 1001 agent"
HELD = "held inbound support: 3001 customer, 1001 agent held"


async def test_hold_by_either_and_both(scene: Scene) -> None:
    """Who holds is told of the one who does; both may."""
    caller, agent = await scene.open("3001", "1001")
    await scene.talk(caller, "7000", agent)
    await agent.hold()
    await scene.settled(HELD, a1001="busy")
    await agent.unhold()
    await scene.settled(SUPPORT, a1001="busy")
    await caller.hold()
    await scene.settled("held inbound support: 3001 customer held, 1001 agent", a1001="busy")
    await agent.hold()
    await scene.settled("held inbound support: 3001 customer held, 1001 agent held", a1001="busy")
    await caller.unhold()
    await scene.settled(HELD, a1001="busy")
    await agent.unhold()
    await scene.hear(agent, caller)
    await scene.settled(SUPPORT, a1001="busy")
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.over(moments="queued answered served")


async def test_direct_inbound(scene: Scene) -> None:
    """A customer who has an agent's own number: no queue's call, no after-call work."""
    caller, agent = await scene.open("3001", "1001")
    await caller.dial("1001")
    await scene.settled("alerting inbound -: 3001 customer initiated, 1001 agent alerting", a1001="offered")
    await agent.answer()
    await scene.hear(agent, caller)
    await scene.settled("connected inbound -: 3001 customer, 1001 agent", a1001="busy_other")
    await agent.hangup()
    await caller.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "busy_other", "ready")
    await scene.over(a1001="ready", moments="")


async def test_direct_declined(scene: Scene) -> None:
    """She declines: nobody missed a queue's call."""
    caller, agent = await scene.open("3001", "1001")
    await caller.start_dialing("1001")
    await agent.decline()
    await caller.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "ready")
    await scene.over(a1001="ready", moments="")


async def test_direct_given_up(scene: Scene) -> None:
    """Nobody answers, and the caller gives up."""
    caller, agent = await scene.open("3001", "1001")
    await caller.dial("1001")
    await scene.settled("alerting inbound -: 3001 customer initiated, 1001 agent alerting", a1001="offered")
    await caller.hangup()
    await agent.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "ready")
    await scene.over(a1001="ready", moments="")


async def test_internal(scene: Scene) -> None:
    """Agents among themselves: busy, and no customer."""
    one, two = await scene.open("1001", "1002")
    await one.dial("1002")
    await scene.settled(
        "alerting internal -: 1001 agent initiated, 1002 agent alerting", a1001="busy_other", a1002="offered"
    )
    await two.answer()
    await scene.hear(two, one)
    await scene.settled(
        "connected internal -: 1001 agent, 1002 agent", a1001="busy_other", a1002="busy_other"
    )
    await one.hold()
    await scene.settled(
        "held internal -: 1001 agent held, 1002 agent", a1001="busy_other", a1002="busy_other"
    )
    await one.unhold()
    await one.hangup()
    await two.wait_state("idle")
    await scene.expect_states("1002", "ready", "offered", "busy_other", "ready")
    await scene.over(a1001="ready", a1002="ready", moments="")


async def test_outbound_answered(scene: Scene) -> None:
    """An agent calls a customer, who answers and hangs up."""
    agent, customer = await scene.open("1001", "3004")
    await agent.start_dialing("80003004")
    await customer.wait_state("ringing")
    await scene.settled(
        "alerting outbound -: 1001 agent initiated, 3004 customer alerting", a1001="busy_other"
    )
    await customer.answer()
    await scene.hear(agent, customer)
    await scene.settled("connected outbound -: 1001 agent, 3004 customer", a1001="busy_other")
    await customer.hangup()
    await scene.expect_states("1001", "ready", "busy_other", "ready")
    await scene.over(a1001="ready", moments="")


async def test_outbound_failed(scene: Scene) -> None:
    """Busy, given up, not there: three calls that nobody answered."""
    agent, customer = await scene.open("1001", "3004")
    await agent.start_dialing("80003004")
    await customer.busy()
    await agent.wait_state("idle")
    await scene.settled(a1001="ready")
    await agent.start_dialing("80003004")
    await customer.wait_state("ringing")
    await scene.settled(
        "alerting outbound -: 1001 agent initiated, 3004 customer alerting", a1001="busy_other"
    )
    await agent.hangup()
    await customer.wait_state("idle")
    await scene.settled(a1001="ready")
    known = len(agent.history)
    await agent.start_dialing("80003009")
    await agent.until(lambda: len(agent.history) > known and agent.state == "idle", "refused")
    await scene.settled(a1001="ready")
    scene.expect("answered", [call["answered_at"] for call in scene.watched.ended().values()], [None] * 3)
    await scene.over(a1001="ready", moments="")


@pytest.mark.parametrize("channel", ["PJSIP/1001", "Local/1001@from-internal"])
async def test_click_to_dial(scene: Scene, channel: str) -> None:
    """The PBX rings the agent first, then the customer: one outbound call, by a Local channel or not."""
    agent, customer = await scene.open("1001", "3004")
    to = {"Context": "from-internal", "Exten": "80003004", "Priority": "1", "Async": "true"}
    await scene.ami(Action="Originate", Channel=channel, CallerID='"Customer" <3004>', **to)
    await agent.wait_state("ringing")
    await scene.settled("alerting outbound -: 1001 agent alerting", a1001="offered")
    call = scene.only_call()
    await agent.answer()
    await customer.wait_state("ringing")
    await scene.settled("alerting outbound -: 1001 agent, 3004 customer alerting", a1001="busy_other")
    await customer.answer()
    await scene.hear(agent, customer)
    await scene.settled("connected outbound -: 1001 agent, 3004 customer", a1001="busy_other")
    await customer.hangup()
    await agent.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "busy_other", "ready")
    await scene.over(calls=[call], a1001="ready", moments="")


async def test_click_to_dial_unanswered(scene: Scene) -> None:
    """She does not take it: an offer and nothing else."""
    (agent,) = await scene.open("1001")
    to = {"Context": "from-internal", "Exten": "9000", "Priority": "1", "Async": "true"}
    await scene.ami(Action="Originate", Channel="PJSIP/1001", Timeout="1500", **to)
    await agent.wait_state("ringing")
    await agent.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "ready")
    await scene.over(a1001="ready", moments="")


async def test_diverted_by_302(scene: Scene) -> None:
    """Her phone sends the call on: it rings there, by a Local channel that nobody sees."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await caller.start_dialing("1001")
    await first.divert("1005")
    await second.wait_state("ringing")
    await scene.settled(
        "alerting inbound -: 3001 customer initiated, 1005 agent alerting", a1001="ready", a1005="offered"
    )
    call = scene.only_call()
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled("connected inbound -: 3001 customer, 1005 agent", a1005="busy_other")
    await caller.hangup()
    await scene.over(calls=[call], a1005="ready", moments="")


async def test_diverted_by_302_in_a_queue(scene: Scene) -> None:
    """A queue's call that her phone sends on is answered by another, and counts as the member's."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await caller.dial("7000")
    await first.divert("1005")
    await second.wait_state("ringing")
    await scene.settled(
        "alerting inbound support: 3001 customer queued, 1005 agent alerting", a1005="offered"
    )
    call = scene.only_call()
    await second.answer()
    await scene.hear(second, caller)
    await scene.settled("connected inbound support: 3001 customer, 1005 agent", a1005="busy_other")
    await caller.hangup()
    await scene.over(calls=[call], a1005="ready")


async def test_two_calls_swapped(scene: Scene) -> None:
    """Two lines: she is in the call that she does not hold, and has both."""
    caller, other = await scene.open("3001", "3002")
    (agent,) = await scene.open("1001", lines=2)
    await scene.talk(caller, "7000", agent)
    first = scene.only_call()
    await other.start_dialing("1001")
    await agent.wait_state("ringing", line=2)
    await scene.settled(
        SUPPORT, "alerting inbound -: 3002 customer initiated, 1001 agent alerting", a1001="busy"
    )
    await agent.hold()
    await agent.answer(line=2)
    await scene.hear(agent, other)
    await scene.settled(HELD, "connected inbound -: 3002 customer, 1001 agent", a1001="busy")
    await agent.hold(line=2)
    await agent.unhold()
    await scene.hear(agent, caller)
    await scene.settled(SUPPORT, "held inbound -: 3002 customer, 1001 agent held", a1001="busy")
    scene.expect("her call", (await scene.api.get("/agents/1001"))["call"], first)
    await agent.hold()
    await agent.unhold(line=2)
    await scene.hear(agent, other)
    await caller.hangup()
    await scene.settled("connected inbound -: 3002 customer, 1001 agent", a1001="busy_other")
    await other.hangup()
    await scene.over(moments="queued answered served")


async def test_second_call_hears_busy(scene: Scene) -> None:
    """One line: a second call is refused by the phone, and hers goes on."""
    caller, agent, other = await scene.open("3001", "1001", "3002")
    await scene.talk(caller, "7000", agent)
    await other.start_dialing("1001")
    await other.until(lambda: other.state == "idle" and other.code == 486, "refused")
    await scene.settled(SUPPORT, a1001="busy")
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.over(moments="queued answered served")


async def test_glare(scene: Scene) -> None:
    """Two agents dial each other at the same moment: two calls, and both are dialling."""
    one, two = await scene.open("1001", "1002", lines=2)
    await one.start_dialing("1002", line=2)
    await two.start_dialing("1001", line=2)
    await one.wait_state("ringing")
    await two.wait_state("ringing")
    await scene.settled(
        "alerting internal -: 1001 agent initiated, 1002 agent alerting",
        "alerting internal -: 1002 agent initiated, 1001 agent alerting",
    )
    await one.hangup(line=2)
    await two.hangup(line=2)
    await scene.over(a1001="ready", a1002="ready", moments="")


async def test_echo(scene: Scene) -> None:
    """A call to an application alone."""
    (caller,) = await scene.open("3001")
    await caller.dial("9000")
    await scene.hear(caller, caller)
    await scene.settled("initiated inbound -: 3001 other")
    await caller.hangup()
    await scene.over(moments="")
