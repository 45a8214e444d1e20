from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ctid.model.capabilities import Capability
from ctid.model.commands import Command, EndSupervision, HandBack, StartSupervision, TakeOver
from ctid.model.entities import Supervision
from ctid.model.errors import PbxTimeout, SupervisionRefused
from ctid.model.ids import AgentId
from ctid.model.words import Hear, Mode, Purpose, SupervisionEnd, SupervisionState
from ctid.supervision import service
from ctid.supervision.planning import Policy
from ctid.supervision.requests import ChangeRequest, ModeAsked, StartRequest, Via
from helpers.desk import SOFIA, Desk, audited, listen, refused_of, to

SHORT_S = 0.05


async def test_a_take_over_names_whom_to_keep_and_whom_to_release(desk: Desk) -> None:
    """The customer's leg and the agent's; after it there is no other mode."""
    session = await desk.service.start(SOFIA, listen())
    taken = await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    assert taken.mode is Mode.TAKEOVER
    command = desk.pbx.commands[-1]
    assert isinstance(command, TakeOver)
    assert (command.supervision, command.customer, command.agent) == (session.id, "c1", "a1")
    with pytest.raises(SupervisionRefused, match="the agent has left") as refused:
        await desk.service.change(SOFIA, session.id, to(Mode.LISTEN))
    assert refused.value.code == "supervision.mode_not_possible"


async def test_a_take_over_at_the_start_listens_first(desk: Desk) -> None:
    """One request, two steps: she is in the call before the agent leaves it; both are audited."""
    request = StartRequest(via=Via(phone="desk"), purpose=Purpose.EMERGENCY, agent="1001", mode=Mode.TAKEOVER)
    session = await desk.service.start(SOFIA, request)
    assert session.mode is Mode.TAKEOVER
    start, take = desk.pbx.commands
    assert isinstance(start, StartSupervision)
    assert start.supervision.mode is Mode.LISTEN
    assert isinstance(take, TakeOver)
    requested = [supervision.mode for entry, supervision in audited(desk) if entry.event == "requested"]
    assert requested == [Mode.TAKEOVER, Mode.TAKEOVER]


async def test_a_take_over_that_fails_keeps_the_sessions_truth(desk: Desk) -> None:
    """The refusal reaches the client, and the session goes on in the mode that it really has."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.fails[TakeOver] = SupervisionRefused("takeover_failed", "the customer is with the agent")
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    assert refused.value.code == "supervision.takeover_failed"
    assert desk.sessions == {session.id: session}
    assert desk.entries()[-1].detail == "supervision.takeover_failed"


async def test_a_take_over_that_fails_at_the_start_leaves_nothing_behind(desk: Desk) -> None:
    """The client was refused and has no session's id: she must not go on listening unknown to it."""
    request = StartRequest(via=Via(phone="desk"), purpose=Purpose.EMERGENCY, agent="1001", mode=Mode.TAKEOVER)
    desk.pbx.fails[TakeOver] = SupervisionRefused("takeover_failed", "the customer is with the agent")
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.start(SOFIA, request)
    assert refused.value.code == "supervision.takeover_failed"
    assert desk.sessions == {}


async def test_a_pbx_that_cannot_hand_over_keeps_the_session(desk: Desk) -> None:
    """Where only listening is possible, a take-over is refused, and she listens on."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.capabilities = frozenset({Capability.SUPERVISE})
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    assert refused.value.code == "supervision.mode_not_possible"
    assert desk.hub.store.supervisions[session.id].mode is Mode.LISTEN


async def test_a_conference_is_not_taken_over(desk: Desk) -> None:
    """Nothing is sent when it is not said who would stay."""
    session = await desk.service.start(SOFIA, listen())
    desk.script.put_leg("c2", call="c1", incoming=False)
    desk.script.connected("c1", "a1", "c2")
    await desk.told()
    request = StartRequest(
        via=Via(phone="second"), purpose=Purpose.EMERGENCY, agent="1001", mode=Mode.TAKEOVER
    )
    assert (await refused_of(desk, request)).code == "supervision.mode_not_possible"
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    assert refused.value.code == "supervision.mode_not_possible"
    assert len(desk.pbx.commands) == 1


async def test_a_call_that_is_over_is_not_taken_over(desk: Desk) -> None:
    """The session is still there for a moment, and its call is not."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.mute.add(EndSupervision)
    desk.script.call_over("1001", "support", "c1", "a1")
    await desk.told()
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    assert refused.value.code == "supervision.call_ended"


async def test_who_heard_one_side_and_was_muted_can_take_over(desk: Desk) -> None:
    """A take-over is what she asks for: she hears the customer, and he her."""
    session = await desk.service.start(SOFIA, listen(hear=Hear.AGENT))
    await desk.service.change(SOFIA, session.id, ChangeRequest(muted=True))
    taken = await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    assert (taken.mode, taken.hear, taken.muted) == (Mode.TAKEOVER, Hear.BOTH, False)
    assert await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER)) == taken
    assert len(desk.pbx.sent(TakeOver)) == 1
    with pytest.raises(SupervisionRefused, match="ask for 'handback'"):
        await desk.service.change(SOFIA, session.id, ChangeRequest(muted=True))


async def test_a_customer_who_was_taken_over_after_all_is_not_hung_up_on(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PBX moved him and the answer was lost: the request fails, and he stays with her."""
    monkeypatch.setattr(service, "SETTLE_S", SHORT_S)

    async def taken_in_silence(command: Command) -> None:
        await desk.pbx._do(command)
        if isinstance(command, TakeOver):
            raise PbxTimeout("no answer")

    desk.pbx._answer = taken_in_silence
    request = listen(mode=Mode.TAKEOVER, purpose=Purpose.EMERGENCY)
    with capture_logs() as logs, pytest.raises(PbxTimeout):
        await desk.service.start(SOFIA, request)
    (session,) = desk.sessions.values()
    assert session.mode is Mode.TAKEOVER
    assert [(entry["event"], entry["code"]) for entry in logs if "code" in entry] == [
        ("not ended", "supervision.mode_not_possible")
    ]


async def test_a_take_over_at_the_start_that_cannot_be_ended_tells_why_it_failed(desk: Desk) -> None:
    """Not that the end of it failed as well."""
    desk.pbx.fails[TakeOver] = SupervisionRefused("takeover_failed", "the customer is with the agent")
    desk.pbx.fails[EndSupervision] = PbxTimeout("no answer")
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.start(SOFIA, listen(mode=Mode.TAKEOVER))
    assert refused.value.code == "supervision.takeover_failed"


# Handing back -----------------------------------------------------------------------------------------


async def _taken(desk: Desk) -> Supervision:
    """A session that has taken the customer over; the agent is free again."""
    session = await desk.service.start(SOFIA, listen())
    taken = await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    desk.script.put_leg("p1", call="c1", incoming=False, supervision=session.id)
    desk.script.connected("c1", "p1")
    desk.script.hangs_up("a1")
    desk.script.agent_done("1001", "support")
    await desk.told()
    return taken


BACK = ChangeRequest(mode=ModeAsked.HANDBACK)


async def test_a_customer_is_handed_back(tmp_path: Path) -> None:
    """The agent is rung at her address of the configuration; the session is answered as it ended."""
    policy = Policy(ring_s=9.0, addresses={AgentId("1001"): "PJSIP/1001"})
    async with Desk(tmp_path, policy) as desk:
        session = await _taken(desk)
        ended = await desk.service.change(SOFIA, session.id, BACK)
        assert (ended.state, ended.end) == (SupervisionState.ENDED, SupervisionEnd.HANDED_BACK)
        assert desk.pbx.commands[-1] == HandBack(
            supervision=session.id, agent=AgentId("1001"), address="PJSIP/1001", ring_s=9.0
        )
        requested = [entry for entry in desk.entries() if entry.event == "requested"]
        assert (requested[-1].by, requested[-1].detail) == ("sofia", "handback")


async def test_an_agent_whom_only_the_pbx_knows_is_left_to_it(desk: Desk) -> None:
    """Without an address there is none in the command."""
    session = await _taken(desk)
    await desk.service.change(SOFIA, session.id, BACK)
    assert [command.address for command in desk.pbx.sent(HandBack)] == [None]


async def test_a_hand_back_that_fails_leaves_him_with_her(desk: Desk) -> None:
    """She is told why, and the session goes on."""
    session = await _taken(desk)
    desk.pbx.fails[HandBack] = SupervisionRefused("agent_no_answer", "she did not answer")
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, BACK)
    assert refused.value.code == "supervision.agent_no_answer"
    assert desk.sessions[session.id].mode is Mode.TAKEOVER
    assert desk.entries()[-1].detail == "supervision.agent_no_answer"


async def test_only_who_was_taken_over_is_handed_back(desk: Desk) -> None:
    """There is nobody to hand back else."""
    session = await desk.service.start(SOFIA, listen())
    with pytest.raises(SupervisionRefused, match="only a call that was taken over") as refused:
        await desk.service.change(SOFIA, session.id, BACK)
    assert refused.value.code == "supervision.mode_not_possible"


async def test_a_pbx_that_cannot_hand_back_says_so(desk: Desk) -> None:
    """Before anything is sent."""
    session = await _taken(desk)
    desk.pbx.capabilities = frozenset(Capability) - {Capability.HAND_BACK}
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, BACK)
    assert refused.value.code == "supervision.mode_not_possible"
    assert desk.pbx.sent(HandBack) == []


@pytest.mark.parametrize("how", ["talks", "rings", "logged out"])
async def test_an_agent_who_is_not_free_takes_nobody_back(desk: Desk, how: str) -> None:
    """She talks, her phone rings, or she has gone: he stays where he is."""
    session = await _taken(desk)
    if how == "talks":
        desk.script.agent_serves("1001", "support", "c9", "a9")
    elif how == "rings":
        desk.script.customer_joins("c9", "support")
        desk.script.agent_offered("1001", "support", "c9", "a9")
    else:
        desk.script.agent_leaves("1001", "support")
    await desk.told()
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, BACK)
    assert refused.value.code == "supervision.agent_not_free"
    assert desk.pbx.sent(HandBack) == []
