"""What befalls members of queues in their calls: paused, removed, unplugged, reloaded, pooled."""

import pytest

from e2e.scenes import Scene
from helpers.patience import until

pytestmark = pytest.mark.lab

SUPPORT = "connected inbound support: 3001 customer, 1001 agent"


async def test_member_paused_in_a_call(scene: Scene) -> None:
    """The pause is pending until call and after-call work are over. A new reason is told while it goes on."""
    caller, agent = await scene.open("3001", "1001")
    await scene.talk(caller, "7000", agent)
    pause = {"Action": "QueuePause", "Queue": "support", "Interface": "PJSIP/1001"}
    await scene.ami(**pause, Paused="true", Reason="lunch")
    await scene.settled(SUPPORT, a1001="busy")
    shown = await scene.api.get("/agents/1001")
    scene.expect("pending", (shown["pending"], shown["pending_reason"]), ("not_ready", "lunch"))
    await caller.hangup()
    await scene.settled(a1001="working_after_call")
    done = await scene.api.call("POST", "/agents/1001/end-after-call-work", {})
    assert done.status == 200, done
    await scene.settled(a1001="not_ready")
    scene.expect("reason", scene.watched.entities["agent", "1001"]["reason"], "lunch")
    await scene.ami(**pause, Paused="true", Reason="meeting")
    await scene.settled(a1001="not_ready")
    scene.expect("reason", scene.watched.entities["agent", "1001"]["reason"], "meeting")
    await scene.ami(**pause, Paused="false")
    states = ["ready", "offered", "busy", "working_after_call", "not_ready", "ready"]
    await scene.expect_states("1001", *states)
    await scene.over(a1001="ready", moments="queued answered served")


async def test_member_removed_in_a_call(scene: Scene) -> None:
    """A dynamic member joins paused, takes a call, and is removed in it: she is busy until it is over."""
    caller, agent = await scene.open("3001", "3010")
    member = {"Queue": "sales", "Interface": "PJSIP/3010"}
    await scene.ami(Action="QueueAdd", **member, MemberName="3010", Paused="true", Reason="training")
    await until(lambda: ("agent", "3010") in scene.watched.entities)
    await scene.settled(a3010="not_ready")
    await scene.ami(Action="QueuePenalty", **member, Penalty="3")
    await scene.ami(Action="QueuePause", **member, Paused="false")
    await scene.settled(a3010="ready")
    await scene.talk(caller, "7001", agent)
    await scene.settled("connected inbound sales: 3001 customer, 3010 agent", a3010="busy")
    await scene.ami(Action="QueueRemove", **member)
    await scene.settled("connected inbound sales: 3001 customer, 3010 agent", a3010="busy")
    await caller.hangup()
    await scene.expect_states("3010", "not_ready", "ready", "offered", "busy", "logged_out")
    await scene.over(a3010="logged_out")


async def test_member_unplugged_in_a_call(scene: Scene) -> None:
    """Her phone vanishes without a word: the call goes on until the customer hangs up."""
    (caller,) = await scene.open("3001")
    (agent,) = await scene.open("1001", alone=True)
    await scene.talk(caller, "7000", agent)
    await scene.settled(SUPPORT, a1001="busy")
    await agent.drop()
    await scene.settled(SUPPORT, a1001="busy")
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.over(moments="queued answered served")


@pytest.mark.parametrize("command", ["queue reload all", "module reload app_queue", "core reload"])
async def test_reload_in_a_call(scene: Scene, command: str) -> None:
    """The PBX reads its configuration: nothing is told twice, and nothing is lost."""
    caller, agent, waiting = await scene.open("3001", "1001", "3002")
    await scene.talk(caller, "7000", agent)
    await waiting.dial("7000")
    queued = "queued inbound support: 3002 customer queued"
    await scene.settled(SUPPORT, queued, a1001="busy")
    scene.rig.asterisk_cli(command)
    await scene.settled(SUPPORT, queued, a1001="busy")
    await waiting.hangup()
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.over(moments="queued answered served queued abandoned")


async def test_pool_agent(scene: Scene) -> None:
    """An agent who logs in by a standing call: idle in it she is in no call; she is brought a caller."""
    caller, agent = await scene.open("3001", "1006")
    since = scene.wire
    await agent.dial("*40")
    await scene.event("Event: AgentLogin", since)
    # The pool takes its time until it offers her calls.
    await until(lambda: "(Not in use)" in scene.rig.asterisk_cli("queue show pool"), within=8.0)
    await scene.settled(a1006="ready")
    await caller.dial("7008")
    await scene.hear(agent, caller)
    await scene.settled("connected inbound pool: 3001 customer, 1006 agent", a1006="busy")
    await caller.hangup()
    await scene.hear(agent)
    await scene.settled(a1006="ready")
    await agent.hangup()
    await scene.over(a1006="ready", moments="queued answered served")


async def test_pool_agent_hangs_up(scene: Scene) -> None:
    """By hanging up in a call she logs out as well."""
    caller, agent = await scene.open("3001", "1006")
    since = scene.wire
    await agent.dial("*40")
    await scene.event("Event: AgentLogin", since)
    await until(lambda: "(Not in use)" in scene.rig.asterisk_cli("queue show pool"), within=8.0)
    await caller.dial("7008")
    await scene.hear(agent, caller)
    await scene.settled("connected inbound pool: 3001 customer, 1006 agent", a1006="busy")
    await agent.hangup()
    await caller.wait_state("idle")
    await scene.over(a1006="ready", moments="queued answered served")
