import pytest

from ctid.model.capabilities import Capability
from ctid.model.commands import EndSupervision, StartSupervision, TakeOver
from ctid.model.errors import SupervisionRefused
from ctid.model.words import Mode, Purpose
from ctid.supervision.requests import ChangeRequest, StartRequest, Via
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
    """The client was refused and has no session's id: she must not go on listening unknown to him."""
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
        await desk.service.change(SOFIA, session.id, ChangeRequest(mode=Mode.TAKEOVER))
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
