from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ctid.agents import service
from ctid.model.capabilities import Capability
from ctid.model.commands import LogInAgent, PauseAgent
from ctid.model.errors import (
    AgentPartlyDone,
    AgentRefused,
    CtidError,
    InvalidRequest,
    NotFound,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
)
from ctid.model.ids import AgentId
from ctid.model.users import User, UserRole
from ctid.model.words import AgentState
from ctid.state.invariants import violations
from helpers.agent_desk import LAB, POLICY, WORK, WORK_S, AgentDesk
from helpers.fakes import FakeConnection
from helpers.patience import until

ANNA = User(name="anna", role=UserRole.SUPERVISOR)
ALICE, EMMA = AgentId("1001"), AgentId("1005")
SHORT_S = 0.05


@pytest.fixture
async def desk() -> AsyncIterator[AgentDesk]:
    """A desk; the state's invariants hold at the end."""
    async with AgentDesk() as desk:
        yield desk
        assert violations(desk.hub.store) == []


# Pauses -----------------------------------------------------------------------------------------------


async def test_a_pause_holds_in_all_her_queues(desk: AgentDesk) -> None:
    """A pause of all pauses each of her queues for the reason; the answer is her as the facts show her."""
    answer = await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert not answer.unconfirmed
    assert answer.agent == desk.agent()
    assert (answer.agent.state, answer.agent.reason) == (AgentState.NOT_READY, "lunch")
    assert desk.of() == {"support": "lunch", "sales": "lunch"}
    assert desk.of("1002") == {"support": None}


async def test_a_pause_in_one_queue(desk: AgentDesk) -> None:
    """Only the queue that is named is paused; a queue that is named twice is told once."""
    await desk.service.pause(ANNA, ALICE, ["sales", "sales"], "lunch")
    assert desk.of() == {"support": None, "sales": "lunch"}
    assert desk.asked() == [("PauseAgent", "sales")]
    assert desk.agent().state is AgentState.READY


async def test_what_is_so_already_is_not_sent(desk: AgentDesk) -> None:
    """A pause for the same reason, and the end of no pause, tell the PBX nothing: its log counts them."""
    await desk.service.resume(ANNA, ALICE, None)
    assert desk.asked() == []
    await desk.service.pause(ANNA, ALICE, ["sales"], "lunch")
    await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert desk.asked() == [("PauseAgent", "sales"), ("PauseAgent", "support")]
    await desk.service.resume(ANNA, ALICE, None)
    await desk.service.resume(ANNA, ALICE, None)
    assert desk.asked()[2:] == [("ResumeAgent", "support"), ("ResumeAgent", "sales")]
    assert desk.of() == {"support": None, "sales": None}


async def test_the_reason_changes_while_she_is_paused(desk: AgentDesk) -> None:
    """Paused already, she is paused for another reason."""
    await desk.service.pause(ANNA, ALICE, None, "lunch")
    answer = await desk.service.pause(ANNA, ALICE, None, "training")
    assert (answer.agent.reason, desk.of()) == ("training", {"support": "training", "sales": "training"})


async def test_a_pause_in_a_call_is_pending(desk: AgentDesk) -> None:
    """In a call the pause is in force and shows as what follows; then come after-call work, and the pause."""
    desk.script.agent_serves("1001", "support", "c1", "a1")
    await desk.told()
    answer = await desk.service.pause(ANNA, ALICE, None, "lunch")
    told = answer.agent
    assert not answer.unconfirmed
    assert (told.state, told.pending, told.pending_reason) == (AgentState.BUSY, AgentState.NOT_READY, "lunch")
    desk.script.call_over("1001", "support", "c1", "a1")
    await desk.told()
    assert desk.agent().state is AgentState.WORKING_AFTER_CALL
    await desk.wait(WORK_S)
    assert (desk.agent().state, desk.agent().reason) == (AgentState.NOT_READY, "lunch")


@pytest.mark.parametrize("reason", ["a|b", "a\r\nAction: Command", "x" * 80, "é" * 40, " lunch", "tab\there"])
async def test_unfit_reasons(desk: AgentDesk, reason: str) -> None:
    """A reason that would break the PBX's log or protocol, or be cut there, is refused by its field."""
    with pytest.raises(InvalidRequest, match="reason") as refused:
        await desk.service.pause(ANNA, ALICE, None, reason)
    assert refused.value.field == "reason"
    assert desk.asked() == []


async def test_reasons_of_the_configuration() -> None:
    """Where reasons are listed no other is taken, none at all included; ctid's own never is."""
    policy = replace(POLICY, pause_reasons=("lunch", "training"), work_reason=WORK)
    async with AgentDesk(policy) as desk:
        for reason, told in (("", "one of: lunch, training"), ("nap", "one of"), (WORK, "ctid itself")):
            with pytest.raises(InvalidRequest, match=told):
                await desk.service.pause(ANNA, ALICE, None, reason)
        assert desk.asked() == []
        await desk.service.pause(ANNA, ALICE, ["sales"], "training")
        assert desk.of()["sales"] == "training"


async def test_who_cannot_be_paused(desk: AgentDesk) -> None:
    """An unknown agent or queue is 404; an agent in no queue, or not in that one, is 409; nothing is sent."""
    for ident, queues, code, status in (
        ("9", None, "agent.unknown", 404),
        ("1001", ["none"], "queue.unknown", 404),
        ("1002", ["sales"], "agent.not_a_member", 409),
        ("1005", None, "agent.logged_out", 409),
        ("1001", [], "request.invalid", 422),
    ):
        for command in (
            desk.service.pause(ANNA, AgentId(ident), queues, "lunch"),
            desk.service.resume(ANNA, AgentId(ident), queues),
        ):
            with pytest.raises(CtidError) as refused:
                await command
            assert (refused.value.code, refused.value.status) == (code, status)
    assert desk.asked() == []


async def test_of_a_suspect_agent_nothing_is_taken_for_granted(
    desk: AgentDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the state may be wrong the PBX is told all of it."""
    doubted = replace(desk.agent(), suspect="the PBX lists other queues")
    monkeypatch.setitem(desk.hub.store.agents, ALICE, doubted)
    await desk.service.resume(ANNA, ALICE, None)
    assert desk.asked() == [("ResumeAgent", "support"), ("ResumeAgent", "sales")]


# In and out -------------------------------------------------------------------------------------------


async def test_login_of_an_agent_whom_only_the_configuration_knows(desk: AgentDesk) -> None:
    """She is put into her queues with her address and name; a second time nothing is sent."""
    answer = await desk.service.login(ANNA, EMMA, None)
    assert (answer.agent.state, answer.agent.name) == (AgentState.READY, "Emma")
    assert desk.of("1005") == {"support": None, "sales": None}
    first = desk.pbx.commands[0]
    assert isinstance(first, LogInAgent)
    assert (first.address, first.name, first.paused) == ("PJSIP/1005", "Emma", False)
    again = await desk.service.login(ANNA, EMMA, ["support"])
    assert again.agent == desk.agent("1005")
    assert len(desk.pbx.commands) == 2


async def test_logout(desk: AgentDesk) -> None:
    """Out of one queue, out of all, and out of those she is not in: each is fine, twice as well."""
    await desk.service.login(ANNA, EMMA, None)
    await desk.service.logout(ANNA, EMMA, ["sales"])
    assert desk.of("1005") == {"support": None}
    for _ in range(2):
        answer = await desk.service.logout(ANNA, EMMA, None)
        assert (answer.agent.state, answer.unconfirmed) == (AgentState.LOGGED_OUT, False)
    assert [name for name, _ in desk.asked()].count("LogOutAgent") == 2


async def test_logout_of_one_who_never_was_there(desk: AgentDesk) -> None:
    """An agent of the configuration alone is logged out, and told as such; one of nowhere is unknown."""
    answer = await desk.service.logout(ANNA, EMMA, None)
    told = answer.agent
    assert (told.id, told.name, told.team, told.state) == ("1005", "Emma", "south", AgentState.LOGGED_OUT)
    with pytest.raises(NotFound):
        await desk.service.logout(ANNA, AgentId("9"), None)


async def test_a_login_inherits_a_pause_that_holds_everywhere(desk: AgentDesk) -> None:
    """Paused in all her queues she is paused in the new one, for the latest reason; else she is not."""
    await desk.service.pause(ANNA, AgentId("1002"), None, "lunch")
    await desk.service.login(ANNA, AgentId("1002"), ["support", "sales"])
    assert desk.of("1002") == {"support": "lunch", "sales": "lunch"}
    await desk.service.login(ANNA, EMMA, ["support"])
    await desk.service.login(ANNA, EMMA, ["sales"])
    assert desk.of("1005") == {"support": None, "sales": None}


async def test_a_login_needs_queues(desk: AgentDesk) -> None:
    """Without a queue named, the configuration must give her some."""
    with pytest.raises(InvalidRequest, match="name the queues") as refused:
        await desk.service.login(ANNA, ALICE, None)
    assert refused.value.field == "queues"
    for ident, queues in (("9", None), ("1005", ["none"])):
        with pytest.raises(NotFound):
            await desk.service.login(ANNA, AgentId(ident), queues)


# What goes wrong --------------------------------------------------------------------------------------


async def test_partly_done(desk: AgentDesk) -> None:
    """What was done in some queues only says in which, and the state has the truth."""
    desk.pbx.refuses["support"] = PbxRefused("no such interface")
    with pytest.raises(AgentPartlyDone, match=r"done in sales; not in support \(no such") as refused:
        await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert refused.value.queues == {"sales": "done", "support": "pbx.refused"}
    await until(lambda: desk.of() == {"support": None, "sales": "lunch"})


async def test_refused_everywhere(desk: AgentDesk) -> None:
    """A refusal in every queue is the PBX's own refusal."""
    desk.pbx.refuses = {"support": PbxRefused("static"), "sales": PbxRefused("other")}
    with pytest.raises(PbxRefused, match="static"):
        await desk.service.logout(ANNA, ALICE, None)


async def test_the_log_tells_what_came_of_a_command(desk: AgentDesk) -> None:
    """Commanded is what was done; what was refused is told as refused, with its code."""
    desk.pbx.refuses["sales"] = PbxRefused("static")
    with capture_logs() as logs, pytest.raises(PbxRefused):
        await desk.service.pause(ANNA, ALICE, ["sales"], "lunch")
    refused = {"operation": "pause", "agent": "1001", "by": "anna", "code": "pbx.refused", "reason": "static"}
    assert logs == [
        {"event": "agent command refused", "log_level": "warning", "queues": ["sales"], **refused}
    ]
    with capture_logs() as logs, pytest.raises(AgentPartlyDone):
        await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert [(entry["event"], entry["queues"]) for entry in logs] == [
        ("agent command refused", {"support": "done", "sales": "pbx.refused"})
    ]
    desk.pbx.refuses.clear()
    with capture_logs() as logs:
        await desk.service.pause(ANNA, ALICE, None, "training")
        await desk.service.pause(ANNA, ALICE, None, "training")
    assert [(entry["event"], entry["queues"]) for entry in logs] == [
        ("agent commanded", ["support", "sales"])
    ]
    desk.hub.attach(LAB, None)
    with capture_logs() as logs, pytest.raises(PbxUnavailable):
        await desk.service.resume(ANNA, ALICE, None)
    assert [(entry["event"], entry["code"]) for entry in logs] == [("agent command refused", "pbx.link_down")]


async def test_a_pbx_that_does_not_answer_is_not_asked_on(desk: AgentDesk) -> None:
    """After a timeout the remaining queues are not tried, and that is told."""
    await desk.service.login(ANNA, EMMA, ["sales", "support"])
    desk.pbx.refuses["support"] = PbxTimeout("no answer")
    desk.pbx.commands.clear()
    with pytest.raises(PbxTimeout):
        await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert desk.asked() == [("PauseAgent", "support")]
    desk.script.agent_joins("1001", "desk")
    desk.script.agent_joins("1001", "late")
    desk.pbx.refuses = {"desk": PbxTimeout("no answer")}
    await desk.told()
    with pytest.raises(AgentPartlyDone, match="not tried in late") as refused:
        await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert refused.value.queues == {
        "support": "done",
        "sales": "done",
        "desk": "pbx.timeout",
        "late": "not_tried",
    }


async def test_without_a_link_or_the_ability(desk: AgentDesk) -> None:
    """A link that is down, and a PBX that takes no such commands, are told as unavailable."""
    desk.hub.attach(LAB, FakeConnection(capabilities=frozenset({Capability.SUPERVISE})))
    with pytest.raises(PbxUnavailable, match="takes no commands to agents"):
        await desk.service.pause(ANNA, ALICE, None, "lunch")
    desk.hub.attach(LAB, None)
    with pytest.raises(PbxUnavailable, match="is down"):
        await desk.service.pause(ANNA, ALICE, None, "lunch")


async def test_unconfirmed(desk: AgentDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the facts do not show it in time, the answer says so, and shows her as she is known."""
    monkeypatch.setattr(service, "SETTLE_S", SHORT_S)
    desk.pbx.mute = True
    answer = await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert answer.unconfirmed
    assert answer.agent.state is AgentState.READY
    for command in (
        desk.service.login(ANNA, EMMA, None),
        desk.service.logout(ANNA, ALICE, None),
    ):
        assert (await command).unconfirmed


async def test_commands_to_one_agent_wait_for_each_other(desk: AgentDesk) -> None:
    """A second command decides by what the first has brought about."""
    async with desk.commander.turn(ALICE):
        desk.tasks.spawn("pause", _discard(desk.service.pause(ANNA, ALICE, None, "lunch")))
        await desk.service.pause(ANNA, AgentId("1002"), None, "lunch")
        assert [c.agent for c in desk.pbx.commands if isinstance(c, PauseAgent)] == ["1002"]
    await desk.service.pause(ANNA, ALICE, None, "training")
    assert desk.of() == {"support": "training", "sales": "training"}


async def _discard(command: object) -> None:
    await command  # type: ignore[misc]


# After-call work --------------------------------------------------------------------------------------


async def test_after_call_work_is_ended_by_hand(desk: AgentDesk) -> None:
    """It is over at once, as a fact; when she does none there is nothing to end."""
    await desk.work()
    assert desk.agent().state is AgentState.WORKING_AFTER_CALL
    for _ in range(2):
        answer = await desk.service.end_after_call_work(ANNA, ALICE)
        assert (answer.agent.state, answer.agent.after_call_work) == (AgentState.READY, None)
        assert not answer.unconfirmed
    assert desk.asked() == []
    with pytest.raises(NotFound):
        await desk.service.end_after_call_work(ANNA, AgentId("9"))


async def test_after_call_work_is_extended(desk: AgentDesk) -> None:
    """Its end moves by that much; the work goes on past its first end, and ends by itself at the new one."""
    await desk.work()
    work = desk.agent().after_call_work
    assert work is not None
    answer = await desk.service.extend_after_call_work(ANNA, ALICE, 5.0)
    assert not answer.unconfirmed
    assert answer.agent.after_call_work == replace(work, ends_at=work.ends_at + 5.0)
    await desk.wait(WORK_S + 1.0)
    assert desk.agent().state is AgentState.WORKING_AFTER_CALL
    await desk.wait(5.0)
    assert desk.agent().state is AgentState.READY


async def test_what_cannot_be_extended(desk: AgentDesk) -> None:
    """No work, no length, and an end beyond an hour are refused."""
    with pytest.raises(AgentRefused) as refused:
        await desk.service.extend_after_call_work(ANNA, ALICE, 5.0)
    assert (refused.value.code, refused.value.status) == ("agent.not_in_after_call_work", 409)
    await desk.work()
    for seconds in (0.0, -5.0, 3600.0):
        with pytest.raises(InvalidRequest):
            await desk.service.extend_after_call_work(ANNA, ALICE, seconds)


async def test_resuming_does_not_end_after_call_work(desk: AgentDesk) -> None:
    """A pause in after-call work ends, and the work goes on."""
    await desk.work()
    await desk.service.pause(ANNA, ALICE, None, "lunch")
    assert desk.agent().pending is AgentState.NOT_READY
    answer = await desk.service.resume(ANNA, ALICE, None)
    assert answer.agent.state is AgentState.WORKING_AFTER_CALL
    assert answer.agent.pending is None


async def test_resuming_ends_enforced_after_call_work() -> None:
    """Where a pause enforces the work, the end of that pause is the end of the work."""
    async with AgentDesk(replace(POLICY, work_reason=WORK)) as desk:
        await desk.work()
        desk.script.agent_pauses("1001", "support", WORK)
        desk.script.agent_pauses("1001", "sales", "lunch")
        await desk.told()
        answer = await desk.service.resume(ANNA, ALICE, ["sales"])
        assert answer.agent.after_call_work is not None
        answer = await desk.service.resume(ANNA, ALICE, ["support"])
        assert (answer.agent.state, answer.agent.after_call_work) == (AgentState.READY, None)
