"""What others do to a call over AMI: end it, send a leg away, bridge, transfer, park, record."""

import pytest

from e2e.scenes import Scene

pytestmark = pytest.mark.lab

SUPPORT = "connected inbound support: 3001 customer, 1001 agent"


async def test_ami_hangup(scene: Scene) -> None:
    """Somebody ends the agent's leg."""
    caller, agent = await scene.open("3001", "1001")
    await scene.talk(caller, "7000", agent)
    await scene.settled(SUPPORT, a1001="busy")
    await scene.ami(Action="Hangup", Channel=scene.channel("1001"), Cause="16")
    await caller.wait_state("idle")
    await agent.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.over(moments="queued answered served")


async def test_ami_redirect_of_one_leg(scene: Scene) -> None:
    """The customer is sent elsewhere, and the agent is free, though the queue says so late."""
    caller, agent = await scene.open("3001", "1001")
    await scene.talk(caller, "7000", agent)
    call = scene.only_call()
    to = {"Context": "lab-numbers", "Exten": "9000", "Priority": "1"}
    await scene.ami(Action="Redirect", Channel=scene.channel("3001"), **to)
    await agent.wait_state("idle")
    await scene.hear(caller, caller)
    await scene.settled("initiated inbound support: 3001 customer", a1001="working_after_call")
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "busy", "working_after_call")
    await scene.over(calls=[call], moments="queued answered served")


async def test_ami_bridge(scene: Scene) -> None:
    """Of two calls one from each is bridged: those two are one call, the older, and the others are free."""
    caller, first, other, second = await scene.open("3001", "1001", "3002", "1005")
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    await scene.talk(other, "7001", second)
    await scene.settled(
        SUPPORT, "connected inbound sales: 3002 customer, 1005 agent", a1001="busy", a1005="busy"
    )
    one, two = scene.channel("3001"), scene.channel("1005")
    await scene.ami(Action="Bridge", Channel1=one, Channel2=two, Tone="no")
    await scene.hear(second, caller)
    await first.wait_state("idle")
    await other.wait_state("idle")
    await scene.settled("connected inbound support: 3001 customer, 1005 agent", a1001="working_after_call")
    scene.expect("the call", scene.only_call(), call)
    await second.hangup()
    await caller.hangup()
    await scene.over(moments="queued answered served queued answered served", a1005="ready")


async def test_ami_transfers(scene: Scene) -> None:
    """Transfers that the PBX is told to make: attended by its feature code, then blind."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7007", first)
    call = scene.only_call()
    to = {"Exten": "1005", "Context": "from-internal"}
    await scene.ami(Action="Atxfer", Channel=scene.channel("1001"), **to)
    await second.answer()
    await scene.hear(second, first)
    await first.hangup()
    await scene.hear(second, caller)
    await scene.settled(
        "connected inbound support: 3001 customer, 1005 agent", a1001="working_after_call", a1005="busy_other"
    )
    back = {"Exten": "1001", "Context": "from-internal"}
    await scene.ami(Action="BlindTransfer", Channel=scene.channel("1005"), **back)
    await first.answer()
    await scene.hear(first, caller)
    await scene.settled(SUPPORT, a1001="busy_other", a1005="ready")
    await caller.hangup()
    scene.transferred(("attended", "1005"), ("blind", "1001"))
    await scene.over(calls=[call], moments="queued answered served")


async def test_ami_park(scene: Scene) -> None:
    """Somebody parks the customer; the agent is free."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    channel, back = scene.channel("3001"), scene.channel("1001")
    await scene.ami(Action="Park", Channel=channel, TimeoutChannel=back, Timeout="30000")
    await first.wait_state("idle")
    await scene.settled("held inbound support: 3001 customer held at 701", a1001="working_after_call")
    await second.dial("701")
    await scene.hear(second, caller)
    await scene.settled("connected inbound support: 3001 customer, 1005 agent", a1005="busy_other")
    scene.expect("the call", scene.only_call(), call)
    await caller.hangup()
    await scene.over(a1005="ready")


async def test_recorded_muted_and_spied_on(scene: Scene) -> None:
    """Recording, muting and another program's ChanSpy change nothing of the call and its parties."""
    caller, agent, spy = await scene.open("3001", "1001", "2001")
    await scene.talk(caller, "7000", agent)
    await scene.settled(SUPPORT, a1001="busy")
    channel = scene.channel("1001")
    await scene.ami(Action="MixMonitor", Channel=channel, File="scene.wav")
    await scene.ami(Action="MuteAudio", Channel=channel, Direction="in", State="on")
    await scene.settled(SUPPORT, a1001="busy")
    await scene.ami(Action="MuteAudio", Channel=channel, Direction="in", State="off")
    app = {"Application": "ChanSpy", "Data": f"{channel},qE", "Async": "true"}
    await scene.ami(Action="Originate", Channel="PJSIP/2001", **app)
    await spy.answer()
    await scene.hear(spy, agent, caller)
    await scene.settled(SUPPORT, "initiated outbound -: 2001 other", a1001="busy")
    await spy.hangup()
    await scene.ami(Action="StopMixMonitor", Channel=channel)
    await scene.settled(SUPPORT, a1001="busy")
    await caller.hangup()
    await scene.over(moments="queued answered served")


async def test_two_calls_at_once(scene: Scene) -> None:
    """Two queue calls side by side end crosswise: neither touches the other."""
    caller, first, other, second = await scene.open("3001", "1001", "3002", "1005")
    await caller.dial("7000")
    await other.dial("7001")
    await first.answer()
    await second.answer()
    await scene.hear(first, caller)
    await scene.hear(second, other)
    await scene.settled(
        SUPPORT, "connected inbound sales: 3002 customer, 1005 agent", a1001="busy", a1005="busy"
    )
    await second.hangup()
    await other.wait_state("idle")
    await scene.settled(SUPPORT, a1001="busy", a1005="ready")
    await caller.hangup()
    await scene.over(moments="queued answered served queued answered served")
