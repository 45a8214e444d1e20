"""Races of what an agent is: paused by several, on a call and paused, in and out of queues meanwhile."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from ctid.model.commands import LogInAgent, PauseAgent
from ctid.model.errors import AgentRefused, PbxRefused
from ctid.model.ids import AgentId
from ctid.model.users import User, UserRole
from ctid.model.words import AgentState, Mode, Purpose
from ctid.supervision.requests import StartRequest, Via
from ctid.supervision.target import find_target
from helpers.agent_desk import POLICY, WORK, WORK_S, AgentDesk
from helpers.ami_words import Channel, caller, dialled, member_event, member_item, message
from helpers.patience import until
from races.wired import Wired

ANNA = User(name="anna", role=UserRole.SUPERVISOR)
ALICE, EMMA = AgentId("1001"), AgentId("1005")


@pytest.fixture
async def desk() -> AsyncIterator[AgentDesk]:
    """Agents under command, whose after-call work is enforced by a pause."""
    async with AgentDesk(replace(POLICY, work_reason=WORK)) as desk:
        desk.tasks.spawn("enforcer", desk.enforcer.run())
        yield desk


async def paused(desk: AgentDesk, **queues: str | None) -> None:
    """Wait until 1001 is paused so."""
    await until(lambda: desk.of() == queues, what=f"{queues}")


def customer() -> Channel:
    """A customer's channel."""
    return caller("PJSIP/3001-00000001", "1.1", "7000", state="6", queue="support")


def phone() -> Channel:
    """The agent's phone."""
    return dialled("PJSIP/1001-00000002", "1.2", "1.1")


def talk(wire: Wired) -> tuple[Channel, Channel]:
    """1001 joins `support`, a customer calls, they talk."""
    near, far = customer(), phone()
    wire.hear(member_event("QueueMemberAdded"))
    wire.appears(near)
    wire.joins(near)
    wire.serves(near, far)
    return near, far


def ring(wire: Wired) -> tuple[Channel, Channel]:
    """1001 joins `support`, and her phone rings for a customer."""
    near, far = customer(), phone()
    wire.hear(member_event("QueueMemberAdded"))
    wire.appears(near)
    wire.joins(near)
    wire.appears(far)
    wire.queue_tells("AgentCalled", near, far)
    wire.dials(near, far)
    wire.gets(far, "5")
    assert wire.agent().state is AgentState.OFFERED
    return near, far


# On a call and paused ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["pause", "call"])
def test_on_call_takes_priority_over_paused(wire: Wired, first: str) -> None:
    """Whichever came first, she is busy while she talks; the pause is what follows, with its reason."""
    lunch = member_event("QueueMemberPause", Paused="1", PausedReason="lunch", Status="2", InCall="1")
    if first == "pause":
        wire.hear(member_event("QueueMemberPause", Paused="1", PausedReason="lunch"))
        assert wire.agent().state is AgentState.NOT_READY
    near, far = customer(), phone()
    if first == "call":
        near, far = talk(wire)
    else:
        wire.appears(near)
        wire.joins(near)
        wire.serves(near, far)
    wire.hear(lunch)
    agent = wire.agent()
    assert (agent.state, agent.pending, agent.pending_reason) == (
        AgentState.BUSY,
        AgentState.NOT_READY,
        "lunch",
    )
    wire.hangs_up(far, near)
    wire.wait(10)
    assert (wire.agent().state, wire.agent().reason) == (AgentState.NOT_READY, "lunch")


def test_a_pause_in_a_call_takes_nothing_of_the_call_from_her(wire: Wired) -> None:
    """Paused while she talks, she can still be listened to, and hold and retrieve."""
    near, far = talk(wire)
    wire.hear(member_event("QueueMemberPause", Paused="1", PausedReason="lunch"))
    asked = StartRequest(agent=ALICE, mode=Mode.LISTEN, via=Via(phone="2001"), purpose=Purpose.QUALITY)
    _, _, party = find_target(wire.store, asked)
    assert party is not None
    assert party.leg == far.unique
    wire.hear(message("Hold", far.block()))
    wire.hear(message("Unhold", far.block()))
    wire.hangs_up(near, far)
    assert wire.agent().call is None


def test_the_hangup_of_her_call_logs_nobody_out(wire: Wired) -> None:
    """The end of a call is an end of the call alone: she is a member as before."""
    near, far = talk(wire)
    wire.hangs_up(far)
    assert wire.agent().state is AgentState.WORKING_AFTER_CALL
    wire.hangs_up(near)
    wire.wait(10)
    assert [m.state for m in wire.agent().queues] == [AgentState.READY]


# Pauses by several ------------------------------------------------------------------------------------


async def test_the_end_of_after_call_work_leaves_her_break(desk: AgentDesk) -> None:
    """Two hold her, the work and a break given meanwhile: the work's end takes its own pause alone."""
    await desk.work()
    await paused(desk, support=WORK, sales=WORK)
    await desk.service.pause(ANNA, ALICE, None, "lunch")
    await desk.wait(WORK_S + 1)
    await paused(desk, support="lunch", sales="lunch")
    assert desk.agent().after_call_work is None
    assert ("ResumeAgent", "support") not in desk.asked()


async def test_the_end_of_her_break_leaves_after_call_work(desk: AgentDesk) -> None:
    """Resumed from a break while the work goes on, no queue may offer her a call before its end."""
    await desk.work()
    await paused(desk, support=WORK, sales=WORK)
    await desk.service.pause(ANNA, ALICE, None, "lunch")
    await desk.service.resume(ANNA, ALICE, None)
    await paused(desk, support=WORK, sales=WORK)
    await desk.wait(WORK_S + 1)
    await paused(desk, support=None, sales=None)


async def test_a_break_in_one_queue_is_not_ended_by_work_in_another(desk: AgentDesk) -> None:
    """A pause that began before the call holds where it held, and nowhere else."""
    await desk.service.pause(ANNA, ALICE, ["sales"], "training")
    await desk.work()
    await paused(desk, support=WORK, sales="training")
    await desk.wait(WORK_S + 1)
    await paused(desk, support=None, sales="training")


async def test_two_who_pause_her_at_once_are_one_pause(desk: AgentDesk) -> None:
    """Two consoles, one break: the PBX is asked once for each queue, and one end ends it."""
    both = (desk.service.pause(ANNA, ALICE, None, "lunch") for _ in range(2))
    await asyncio.gather(*both)
    assert desk.asked() == [("PauseAgent", "support"), ("PauseAgent", "sales")]
    await desk.service.resume(ANNA, ALICE, None)
    assert desk.of() == {"support": None, "sales": None}


async def test_a_pause_decided_by_a_state_that_has_changed_is_refused(desk: AgentDesk) -> None:
    """She is taken out of the queue while her pause waits its turn: it is refused, and nothing is sent."""
    turn = desk.commander.turn(ALICE)
    await turn.__aenter__()
    pausing = asyncio.gather(desk.service.pause(ANNA, ALICE, ["sales"], "lunch"), return_exceptions=True)
    desk.script.agent_joins("1002", "sales")
    desk.script.agent_leaves("1001", "sales")
    await desk.told()
    await turn.__aexit__(None, None, None)
    (outcome,) = await pausing
    assert isinstance(outcome, AgentRefused)
    assert outcome.code == "agent.not_a_member"
    assert desk.of() == {"support": None}
    assert desk.asked() == []


async def test_a_pause_that_the_pbx_refuses_is_shown_nowhere(desk: AgentDesk) -> None:
    """What was asked for is no state: only what the PBX tells is."""
    desk.pbx.refuses = {queue: PbxRefused("no member") for queue in ("support", "sales")}
    with pytest.raises(PbxRefused):
        await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert (desk.agent().state, desk.of()) == (AgentState.READY, {"support": None, "sales": None})


# In and out of queues ---------------------------------------------------------------------------------


async def test_a_new_membership_inherits_the_pause(desk: AgentDesk) -> None:
    """Logged in to another queue while paused in all of hers, she is paused there from the first moment."""
    await desk.service.login(ANNA, EMMA, ["support"])
    await desk.service.pause(ANNA, EMMA, None, "lunch")
    await desk.service.login(ANNA, EMMA, ["sales"])
    logins = [command for command in desk.pbx.commands if isinstance(command, LogInAgent)]
    assert [(command.queue, command.paused, command.reason) for command in logins] == [
        ("support", False, ""),
        ("sales", True, "lunch"),
    ]
    assert desk.of(EMMA) == {"support": "lunch", "sales": "lunch"}


async def test_a_new_membership_inherits_after_call_work(desk: AgentDesk) -> None:
    """A queue that she comes into while she works is paused as well, and resumed with the rest."""
    await desk.work()
    await paused(desk, support=WORK, sales=WORK)
    desk.script.agent_joins("1001", "billing")
    await desk.told()
    await paused(desk, support=WORK, sales=WORK, billing=WORK)
    await desk.wait(WORK_S + 1)
    await paused(desk, support=None, sales=None, billing=None)


async def test_a_login_of_who_is_a_member_already_waits_for_no_event(desk: AgentDesk) -> None:
    """No QueueMemberAdded will come: it is answered at once, confirmed, and nothing is sent."""
    done = await desk.service.login(ANNA, ALICE, ["support", "sales"])
    assert (done.unconfirmed, desk.asked()) == (False, [])


async def test_logging_out_forgets_pause_and_work(desk: AgentDesk) -> None:
    """Nothing that she was is left over: she comes back as who has just come."""
    await desk.work()
    await paused(desk, support=WORK, sales=WORK)
    await desk.service.logout(ANNA, ALICE, None)
    assert (desk.agent().after_call_work, desk.agent().pending) == (None, None)
    await desk.service.login(ANNA, ALICE, ["support"])
    await desk.wait(1)
    assert (desk.agent().state, desk.of()) == (AgentState.READY, {"support": None})
    asked = [command for command in desk.pbx.commands if isinstance(command, PauseAgent)]
    assert len(asked) == 2, "those of the work"


def test_a_logout_in_a_call_shows_when_the_call_is_over(wire: Wired) -> None:
    """She talks on, and is busy; then she is logged out with no call, and no work after it."""
    near, far = talk(wire)
    wire.hear(member_event("QueueMemberRemoved"))
    assert (wire.agent().state, wire.agent().call) == (AgentState.BUSY, "lab.1.1")
    wire.hangs_up(far, near)
    agent = wire.agent()
    assert (agent.state, agent.call, agent.after_call_work) == (AgentState.LOGGED_OUT, None, None)


@pytest.mark.parametrize("answers", [True, False])
def test_a_membership_removed_while_it_rings(wire: Wired, *, answers: bool) -> None:
    """Her phone rings on, as it does at the PBX; she answers or not, and is logged out when it is over."""
    near, far = ring(wire)
    wire.hear(member_event("QueueMemberRemoved"))
    assert wire.agent().queues == ()
    if answers:
        wire.gets(far, "6")
        wire.dial_ends(near, far)
        wire.leaves_queue(near)
        wire.queue_tells("AgentConnect", near, far)
        wire.enters("b1", far, near)
        call = wire.call("1.1")
        assert call is not None
        assert "1001" in [party.agent for party in call.parties]
        wire.hangs_up(far, near)
    else:
        wire.queue_tells("AgentRingNoAnswer", near, far, RingTime="15000")
        wire.hangs_up(far)
        assert wire.waiting() == ["1.1"]
    agent = wire.agent()
    assert (agent.state, agent.call, agent.queues) == (AgentState.LOGGED_OUT, None, ())


def test_a_membership_that_comes_back_while_it_rings_has_the_offer(wire: Wired) -> None:
    """Out and in again before she has answered: what rings for her is still hers, and its end frees her."""
    near, far = ring(wire)
    wire.hear(member_event("QueueMemberRemoved"))
    wire.hear(member_event("QueueMemberAdded", Status="6"))
    assert (wire.agent().state, wire.agent().call) == (AgentState.OFFERED, "lab.1.1")
    wire.queue_tells("AgentRingNoAnswer", near, far, RingTime="15000")
    wire.hangs_up(far)
    assert wire.agent().state is AgentState.READY


def test_a_phone_that_is_unplugged_in_a_call_frees_nobody_before_its_end(wire: Wired) -> None:
    """Her registration goes: the call is what it was; once it is over she cannot be reached."""
    near, far = talk(wire)
    wire.hear(member_event(Status="5", InCall="1"))
    assert (wire.agent().state, wire.agent().call) == (AgentState.BUSY, "lab.1.1")
    wire.hangs_up(near, far)
    wire.wait(10)
    assert (wire.agent().state, wire.agent().reason) == (AgentState.NOT_READY, "device_unavailable")


def test_a_queue_that_goes_on_believing_in_a_call_is_not_believed(wire: Wired) -> None:
    """`InCall` of an older block comes after her channel's end: her legs say that she talks no more."""
    near, far = talk(wire)
    wire.hangs_up(far, near)
    wire.wait(10)
    wire.hear(member_event(InCall="1"))
    assert wire.agent().state is AgentState.READY


def test_another_status_in_after_call_work_ends_it_in_no_queue(wire: Wired) -> None:
    """Member events of her other queues, with a last call of long ago, take nothing of her time."""
    wire.hear(member_event("QueueMemberAdded", Queue="sales"))
    near, far = talk(wire)
    wire.hangs_up(far, near)
    work = wire.agent().after_call_work
    wire.hear(member_event(LastCall="0"))
    wire.hear(member_event(Queue="sales", LastCall="1767225000"))
    assert work is not None
    assert wire.agent().after_call_work == work
    assert {m.state for m in wire.agent().queues} == {AgentState.WORKING_AFTER_CALL}


def test_a_pool_agent_whose_login_is_broken_off_is_not_left_standing(wire: Wired) -> None:
    """Her standing call ends before AgentLogoff is told, or without it: no call is left of it."""
    pool = {"Interface": "Local/1006@agent-pool", "StateInterface": "Agent:1006", "Queue": "pool"}
    wire.hear(member_event("QueueMemberAdded", **pool, Status="5"))
    standing = caller("PJSIP/1006-00000004", "1.4", "*40")
    wire.appears(standing)
    wire.gets(standing, "6")
    wire.hear(message("AgentLogin", standing.block(), Agent="1006"))
    assert wire.store.calls == {}
    wire.hangs_up(standing)
    wire.hear(message("AgentLogoff", Agent="1006", Logintime="4"))
    assert wire.store.calls == {}
    assert (wire.agent("1006").call, wire.agent("1006").device) == (None, "1006")


def test_her_friendly_name_hides_no_membership(wire: Wired) -> None:
    """Events say MemberName and Interface, lists say Name and Location: one member, and no drift."""
    wire.hear(member_event("QueueMemberAdded", MemberName="Alice Martin"))
    wire.reconciles(queues=(member_item(MemberName="Alice Martin"),))
    assert list(wire.store.agents) == ["1001"]
    assert wire.store.drifts.total() == 0
