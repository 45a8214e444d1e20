"""Calls that others take: picked up, parked, brought into a conference."""

import pytest

from e2e.scenes import Scene
from lab.phone_client import Phone

pytestmark = pytest.mark.lab

SUPPORT = "connected inbound support: 3001 customer, 1001 agent"
TAKEN = "connected inbound -: 3001 customer, 1005 agent"


async def ringing(scene: Scene, number: str) -> tuple[Phone, Phone, Phone]:
    """1001 rings, and 1005 is there to take the call."""
    caller, target, taker = await scene.open("3001", "1001", "1005")
    await caller.start_dialing(number)
    await target.wait_state("ringing")
    if number == "7000":
        line = "alerting inbound support: 3001 customer queued, 1001 agent alerting"
    else:
        line = "alerting inbound -: 3001 customer initiated, 1001 agent alerting"
    await scene.settled(line, a1001="offered", a1005="ready")
    return caller, target, taker


async def picked_up(scene: Scene, number: str, code: str, wanted: str) -> tuple[Phone, Phone]:
    """1005 takes what rings at 1001 by a code; gives the caller and her."""
    caller, target, taker = await ringing(scene, number)
    call = scene.only_call()
    await taker.dial(code)
    await scene.hear(taker, caller)
    await target.wait_state("idle")
    await scene.settled(wanted, a1001="ready", a1005="busy_other")
    scene.expect("the call", scene.only_call(), call)
    await scene.expect_moments(("call_picked_up", ""))
    return caller, taker


async def test_pickup_by_group_of_a_queues_call(scene: Scene) -> None:
    """*8 takes the queue's call; the queue has it as its member's who rang."""
    line = "connected inbound support: 3001 customer, 1005 agent"
    caller, _ = await picked_up(scene, "7000", "*8", line)
    await caller.hangup()
    await scene.over(a1005="ready")


async def test_pickup_directed_of_a_queues_call(scene: Scene) -> None:
    """**1001 takes the queue's call."""
    line = "connected inbound support: 3001 customer, 1005 agent"
    caller, _ = await picked_up(scene, "7000", "**1001", line)
    await caller.hangup()
    await scene.over(a1005="ready")


async def test_pickup_by_group_of_a_direct_call(scene: Scene) -> None:
    """*8 takes a call that rings at a colleague, who is free again."""
    caller, _ = await picked_up(scene, "1001", "*8", TAKEN)
    await caller.hangup()
    await scene.expect_states("1001", "ready", "offered", "ready")
    await scene.over(a1001="ready", a1005="ready", moments="")


async def test_pickup_directed_of_a_direct_call(scene: Scene) -> None:
    """**1001 takes it, and the one who took it hangs up."""
    caller, taker = await picked_up(scene, "1001", "**1001", TAKEN)
    await taker.hangup()
    await caller.wait_state("idle")
    await scene.expect_states("1001", "ready", "offered", "ready")
    await scene.over(a1001="ready", a1005="ready", moments="")


async def parked(scene: Scene, lot: str, place: str) -> tuple[Phone, Phone, str]:
    """1001 has parked her customer; gives him, her, and the call's id."""
    caller, first = await scene.open("3001", "1001")
    await scene.talk(caller, "7000", first)
    await scene.settled(SUPPORT, a1001="busy")
    call = scene.only_call()
    await first.transfer(lot)
    await scene.settled(f"held inbound support: 3001 customer held at {place}", a1001="working_after_call")
    return caller, first, call


async def test_park_and_retrieve(scene: Scene) -> None:
    """A parked customer is held, by nobody; who dials his place has him."""
    caller, _, call = await parked(scene, "700", "701")
    (second,) = await scene.open("1005")
    await second.dial("701")
    await scene.hear(second, caller)
    await scene.settled("connected inbound support: 3001 customer, 1005 agent", a1005="busy_other")
    scene.expect("the call", scene.only_call(), call)
    await caller.hangup()
    await scene.expect_moments(("call_parked", ""), ("call_retrieved", "retriever"))
    await scene.over(moments="queued answered served", a1005="ready")


async def test_park_comes_back(scene: Scene) -> None:
    """Nobody takes him: he rings the one who parked him."""
    caller, first, call = await parked(scene, "730", "731")
    await first.wait_state("ringing", within=12)
    await scene.settled("alerting inbound support: 3001 customer, 1001 agent alerting", a1001="offered")
    await first.answer()
    await scene.hear(first, caller)
    await scene.settled(SUPPORT, a1001="busy_other")
    await caller.hangup()
    await scene.expect_moments(("call_parked", ""), ("call_retrieved", "timeout"))
    await scene.over(calls=[call], moments="queued answered served")


async def test_park_given_up(scene: Scene) -> None:
    """He hangs up in the lot."""
    caller, _, call = await parked(scene, "700", "701")
    await caller.hangup()
    await scene.expect_moments(("call_parked", ""), ("call_retrieved", "caller"))
    await scene.over(calls=[call], moments="queued answered served")


async def test_conference_dialled(scene: Scene) -> None:
    """Three dial the same room, one after the other, and are one call, the oldest."""
    one, two, three = await scene.open("1001", "1002", "3001")
    await one.dial("7100")
    await scene.settled("initiated outbound -: 1001 agent in 7100", a1001="busy_other")
    call = scene.only_call()
    await two.dial("7100")
    await scene.hear(two, one)
    await scene.settled("connected internal -: 1001 agent in 7100, 1002 agent in 7100", a1002="busy_other")
    await three.dial("7100")
    await scene.hear(three, one, two)
    await scene.settled("connected internal -: 1001 agent in 7100, 1002 agent in 7100, 3001 customer in 7100")
    scene.merged(into=call, count=3)
    await two.hangup()
    await scene.settled("connected internal -: 1001 agent in 7100, 3001 customer in 7100", a1002="ready")
    await three.hangup()
    await scene.settled("initiated internal -: 1001 agent in 7100", a1001="busy_other")
    await one.hangup()
    await scene.over(a1001="ready", moments="")


async def test_conference_by_redirect(scene: Scene) -> None:
    """A live queue call is brought into a room, and a third dials in."""
    caller, first, second = await scene.open("3001", "1001", "1005")
    await scene.talk(caller, "7000", first)
    call = scene.only_call()
    to = {"Context": "lab-numbers", "Exten": "7100", "Priority": "1"}
    extra = {f"Extra{key}": value for key, value in to.items()}
    channel, other = scene.channel("3001"), scene.channel("1001")
    await scene.ami(Action="Redirect", Channel=channel, ExtraChannel=other, **to, **extra)
    await scene.hear(first, caller)
    await scene.settled("connected inbound support: 3001 customer in 7100, 1001 agent in 7100")
    await second.dial("7100")
    await scene.hear(caller, first, second)
    await scene.settled(
        "connected inbound support: 3001 customer in 7100, 1001 agent in 7100, 1005 agent in 7100",
        a1005="busy_other",
    )
    scene.merged(into=call, count=2)
    await first.hangup()
    await scene.hear(caller, second)
    await scene.settled("connected inbound support: 3001 customer in 7100, 1005 agent in 7100")
    await caller.hangup()
    await scene.settled("initiated inbound support: 1005 agent in 7100", a1005="busy_other")
    await second.hangup()
    await scene.over(a1005="ready")
