import asyncio
from collections.abc import AsyncIterator, Mapping

import pytest
from msgspec.structs import replace

from ctid.agents import enforcer
from ctid.model.errors import PbxRefused, PbxTimeout
from ctid.model.facts import AfterCallWorkSet, LinkUp
from ctid.model.ids import AgentId
from ctid.model.users import User, UserRole
from ctid.model.words import AgentState
from helpers.agent_desk import LAB, POLICY, WORK, WORK_S, AgentDesk
from helpers.floor import BASE
from helpers.patience import until

ANNA = User(name="anna", role=UserRole.SUPERVISOR)
ALICE = AgentId("1001")
BOTH_FREE = {"support": None, "sales": None}
BOTH_PAUSED = {"support": WORK, "sales": WORK}


@pytest.fixture
async def desk() -> AsyncIterator[AgentDesk]:
    """A desk at which after-call work is enforced."""
    async with AgentDesk(replace(POLICY, work_reason=WORK)) as desk:
        desk.tasks.spawn("enforcer", desk.enforcer.run())
        yield desk


async def paused(desk: AgentDesk, queues: Mapping[str, str | None]) -> None:
    """Wait until 1001 is paused so."""
    await until(lambda: desk.of() == queues, what=f"{queues}")


async def test_work_pauses_her_everywhere_and_its_end_resumes_her(desk: AgentDesk) -> None:
    """From the end of the call to the end of the work no queue of hers may offer a call; she is at work."""
    await desk.work()
    await paused(desk, BOTH_PAUSED)
    assert desk.agent().state is AgentState.WORKING_AFTER_CALL
    await desk.wait(WORK_S)
    await paused(desk, BOTH_FREE)
    assert desk.agent().state is AgentState.READY
    assert [name for name, _ in desk.asked()] == ["PauseAgent"] * 2 + ["ResumeAgent"] * 2


async def test_a_pause_by_hand_wins(desk: AgentDesk) -> None:
    """A pause from before the work, and one that is given during it, outlast it."""
    await desk.service.pause(ANNA, ALICE, ["sales"], "training")
    await desk.work()
    await paused(desk, {"support": WORK, "sales": "training"})
    await desk.service.pause(ANNA, ALICE, ["support"], "lunch")
    await desk.wait(WORK_S)
    assert desk.agent().state is AgentState.NOT_READY
    assert desk.of() == {"support": "lunch", "sales": "training"}
    assert ("ResumeAgent", "support") not in desk.asked()


async def test_the_work_is_enforced_again_after_a_pause_by_hand(desk: AgentDesk) -> None:
    """Resumed from a pause of her own while the work goes on, she is at work, and paused for it."""
    await desk.work()
    await paused(desk, BOTH_PAUSED)
    await desk.service.pause(ANNA, ALICE, None, "lunch")
    await desk.service.resume(ANNA, ALICE, None)
    await paused(desk, BOTH_PAUSED)
    assert desk.agent().after_call_work is not None


async def test_ending_and_extending(desk: AgentDesk) -> None:
    """Longer work keeps her paused for longer; ended by hand, she is resumed before the answer comes."""
    await desk.work()
    await paused(desk, BOTH_PAUSED)
    await desk.service.extend_after_call_work(ANNA, ALICE, 20.0)
    await desk.wait(WORK_S + 5.0)
    assert desk.of() == BOTH_PAUSED
    answer = await desk.service.end_after_call_work(ANNA, ALICE)
    assert (answer.agent.state, answer.unconfirmed) == (AgentState.READY, False)
    assert desk.of() == BOTH_FREE


async def test_who_is_resumed_at_the_pbx_is_done(desk: AgentDesk) -> None:
    """A resumption in one queue, by her own phone, ends the work, and the pauses of it everywhere."""
    await desk.work()
    await paused(desk, BOTH_PAUSED)
    desk.script.put_member("1001", "sales", paused=False, reason="")
    await desk.told()
    await paused(desk, BOTH_FREE)
    assert desk.agent().after_call_work is None


async def test_a_queue_that_she_joins_meanwhile(desk: AgentDesk) -> None:
    """A membership that is new during the work is paused as well, and resumed with the others."""
    await desk.work()
    await paused(desk, BOTH_PAUSED)
    desk.script.agent_joins("1001", "desk")
    await desk.told()
    await paused(desk, {**BOTH_PAUSED, "desk": WORK})
    await desk.wait(WORK_S)
    await paused(desk, {**BOTH_FREE, "desk": None})


async def test_what_an_earlier_ctid_left_is_mended() -> None:
    """Paused for the work and not at work, she is resumed as soon as there is an enforcer."""
    async with AgentDesk(replace(POLICY, work_reason=WORK)) as desk:
        desk.script.agent_pauses("1001", "support", WORK)
        desk.script.agent_pauses("1001", "sales", "lunch")
        await desk.told()
        desk.tasks.spawn("enforcer", desk.enforcer.run())
        await paused(desk, {"support": None, "sales": "lunch"})


async def test_while_the_link_is_down_nothing_is_sent(desk: AgentDesk) -> None:
    """Of stale agents nothing is decided; once the link is back, what is then due is done."""
    await desk.work()
    await paused(desk, BOTH_PAUSED)
    desk.script.link_down()
    await desk.told()
    desk.pbx.commands.clear()
    await desk.wait(WORK_S)
    assert desk.asked() == []
    desk.script.tell(LinkUp(pbx=LAB, at=BASE, driver="asterisk", version="22"))
    desk.script.snapshot()
    await desk.told()
    await paused(desk, BOTH_FREE)


async def test_without_a_connection_it_goes_on(desk: AgentDesk) -> None:
    """A link that is lost before the state knows it ends nothing."""
    desk.hub.attach(LAB, None)
    await desk.work()
    await desk.wait(1.0)
    desk.hub.attach(LAB, desk.pbx)
    await desk.wait(WORK_S)
    await desk.work(call="c2")
    await paused(desk, BOTH_PAUSED)


async def test_a_pause_that_fails_is_not_repeated(desk: AgentDesk) -> None:
    """A queue that refuses the pause is left alone until the next work."""
    desk.pbx.refuses["sales"] = PbxRefused("no")
    await desk.work()
    await paused(desk, {"support": WORK, "sales": None})
    await desk.wait(1.0)
    assert desk.asked().count(("PauseAgent", "sales")) == 1
    await desk.wait(WORK_S)
    await paused(desk, BOTH_FREE)


async def test_a_resumption_that_fails_is_tried_again(
    desk: AgentDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody stays paused because of one answer that did not come."""
    monkeypatch.setattr(enforcer, "RETRY_S", 0.01)
    await desk.work()
    await paused(desk, BOTH_PAUSED)
    desk.pbx.refuses["support"] = PbxTimeout("no answer")
    await desk.wait(WORK_S)
    await until(lambda: desk.asked().count(("ResumeAgent", "support")) > 2)
    desk.pbx.refuses.clear()
    await paused(desk, BOTH_FREE)


async def test_work_that_ends_while_its_pause_is_asked_for(desk: AgentDesk) -> None:
    """However short the work is, no pause of it is left."""
    async with desk.commander.turn(ALICE):
        await desk.work()
    await desk.feed([AfterCallWorkSet(pbx=LAB, at=BASE, agent=ALICE, ends_at=None)])
    await until(lambda: desk.agent().after_call_work is None)
    await paused(desk, BOTH_FREE)
    await asyncio.sleep(0)
    assert desk.of() == BOTH_FREE
