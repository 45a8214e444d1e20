import asyncio

import pytest

from ctid.model.capabilities import Capability
from ctid.model.commands import SwitchSupervision
from ctid.model.errors import Forbidden, InvalidRequest, NotFound, PbxTimeout, SupervisionRefused
from ctid.model.ids import SupervisionId
from ctid.model.words import Hear, Mode, SupervisionEnd, SupervisionState
from ctid.supervision import service
from ctid.supervision.requests import ChangeRequest, ModeAsked
from helpers.desk import PAUL, ROOT, SOFIA, Desk, follow, listen, to
from helpers.patience import until

SHORT_S = 0.05


async def test_a_switch_is_one_command_and_answers_with_the_truth(desk: Desk) -> None:
    """Listen, whisper, barge, listen: the session keeps its id, and each answer is the state's."""
    session = await desk.service.start(SOFIA, listen())
    for wanted in (Mode.WHISPER, Mode.BARGE, Mode.LISTEN):
        changed = await desk.service.change(SOFIA, session.id, to(wanted))
        assert (changed.id, changed.mode) == (session.id, wanted)
        assert desk.sessions[session.id] == changed
        assert desk.pbx.commands[-1] == SwitchSupervision(supervision=session.id, mode=wanted)


async def test_a_switch_to_what_it_is_already_does_nothing(desk: Desk) -> None:
    """Asked twice, done once."""
    session = await desk.service.start(SOFIA, listen())
    assert await desk.service.change(SOFIA, session.id, to(Mode.LISTEN)) == session
    assert len(desk.pbx.commands) == 1


async def test_a_session_is_its_supervisors_and_the_admins(desk: Desk) -> None:
    """Another supervisor is told whose it is, and can neither switch nor end it."""
    session = await desk.service.start(SOFIA, listen())
    for step in (
        desk.service.change(PAUL, session.id, to(Mode.BARGE)),
        desk.service.end(PAUL, session.id),
    ):
        with pytest.raises(SupervisionRefused, match="sofia's session") as refused:
            await step
        assert (refused.value.code, refused.value.status) == ("supervision.not_yours", 403)
    assert desk.sessions[session.id].mode is Mode.LISTEN
    assert (await desk.service.end(ROOT, session.id)).end is SupervisionEnd.RELEASED


async def test_an_unknown_session_is_not_found(desk: Desk) -> None:
    """It may have ended: neither a switch nor an end finds it."""
    for step in (
        desk.service.change(SOFIA, SupervisionId("s0"), to(Mode.BARGE)),
        desk.service.end(SOFIA, SupervisionId("s0")),
    ):
        with pytest.raises(NotFound) as refused:
            await step
        assert refused.value.code == "supervision.unknown"


async def test_a_session_that_rings_cannot_be_switched(desk: Desk) -> None:
    """She has not answered: there is nothing to switch, and the same mode is no change."""
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    starting = asyncio.gather(desk.service.start(SOFIA, listen()))
    await until(lambda: bool(desk.sessions))
    (session,) = desk.sessions.values()
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, to(Mode.BARGE))
    assert refused.value.code == "supervision.not_active"
    desk.pbx.rings.set_result(None)
    await starting


async def test_a_switch_that_fails_leaves_the_session_as_it_was(desk: Desk) -> None:
    """The state tells what the PBX does, not what was asked."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.fails[SwitchSupervision] = PbxTimeout("no answer")
    with pytest.raises(PbxTimeout):
        await desk.service.change(SOFIA, session.id, to(Mode.BARGE))
    assert desk.sessions == {session.id: session}


async def test_a_switch_that_is_not_seen_is_a_timeout(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PBX said yes, and its facts do not: the client is not told what is not known."""
    monkeypatch.setattr(service, "SETTLE_S", SHORT_S)
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.mute.add(SwitchSupervision)
    with pytest.raises(PbxTimeout) as refused:
        await desk.service.change(SOFIA, session.id, to(Mode.BARGE))
    assert refused.value.code == "pbx.timeout"
    assert desk.sessions == {session.id: session}


# Whom she hears, and push-to-talk ---------------------------------------------------------------------


async def test_only_what_is_given_changes(desk: Desk) -> None:
    """One side, mute, the mode: each leaves the others as they are."""
    session = await desk.service.start(SOFIA, listen(mode=Mode.WHISPER))
    for asked, stance in (
        (ChangeRequest(hear=Hear.AGENT), (Mode.WHISPER, Hear.AGENT, False)),
        (ChangeRequest(muted=True), (Mode.WHISPER, Hear.AGENT, True)),
        (to(Mode.BARGE), (Mode.BARGE, Hear.AGENT, True)),
        (ChangeRequest(hear=Hear.CUSTOMER, muted=False), (Mode.BARGE, Hear.CUSTOMER, False)),
    ):
        changed = await desk.service.change(SOFIA, session.id, asked)
        assert (changed.mode, changed.hear, changed.muted) == stance
        wanted, hear, muted = stance
        assert desk.pbx.commands[-1] == SwitchSupervision(
            supervision=session.id, mode=wanted, hear=hear, muted=muted
        )


async def test_whom_she_hears_is_what_the_pbx_can(desk: Desk) -> None:
    """A side that it cannot give is refused before anything is sent."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.capabilities = frozenset({Capability.SUPERVISE})
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, ChangeRequest(hear=Hear.CUSTOMER))
    assert refused.value.code == "supervision.mode_not_possible"
    assert desk.pbx.sent(SwitchSupervision) == []


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (ChangeRequest(), "mode"),
        (ChangeRequest(lead=False), "lead"),
        (ChangeRequest(mode=ModeAsked.HANDBACK, muted=True), "mode"),
        (ChangeRequest(mode=ModeAsked.TAKEOVER, hear=Hear.AGENT), "hear"),
        (ChangeRequest(mode=ModeAsked.TAKEOVER, muted=True), "muted"),
    ],
)
async def test_what_cannot_be_meant_is_refused_by_field(desk: Desk, asked: ChangeRequest, field: str) -> None:
    """Nothing, the lead given up, and what a take-over or a hand-back does not go with; it is audited."""
    session = await desk.service.start(SOFIA, listen())
    with pytest.raises(InvalidRequest) as refused:
        await desk.service.change(SOFIA, session.id, asked)
    assert refused.value.field == field
    assert (desk.entries()[-1].event, desk.entries()[-1].detail) == ("refused", "request.invalid")
    assert desk.sessions == {session.id: session}


async def test_a_session_that_waits_can_be_changed(desk: Desk) -> None:
    """So she comes to the agent's next call as she wants to."""
    session = await desk.service.start(SOFIA, follow("1002"))
    changed = await desk.service.change(SOFIA, session.id, to(Mode.WHISPER))
    assert (changed.state, changed.mode) == (SupervisionState.WAITING, Mode.WHISPER)


# The gate ---------------------------------------------------------------------------------------------


async def test_the_gate_is_asked_for_each_mode(desk: Desk) -> None:
    """In the session's own words, and by who asks: an admin's right is not hers."""
    session = await desk.service.start(SOFIA, listen(note="week 3"))
    await desk.service.change(ROOT, session.id, to(Mode.WHISPER))
    asked = desk.gate.asked[-1]
    assert (asked.user, asked.mode, asked.session, asked.team) == (ROOT, Mode.WHISPER, session.id, "north")
    assert (asked.agent, asked.call, asked.note) == ("1001", "lab.c1", "week 3")


async def test_what_the_gate_refuses_is_not_switched(desk: Desk) -> None:
    """Nothing is sent, it is audited, and she listens on."""
    session = await desk.service.start(SOFIA, listen())
    desk.gate.refuses = lambda plan: Forbidden("no right") if plan.mode is not Mode.LISTEN else None
    for wanted in (Mode.WHISPER, Mode.BARGE, Mode.TAKEOVER):
        with pytest.raises(Forbidden):
            await desk.service.change(SOFIA, session.id, to(wanted))
        assert (desk.entries()[-1].event, desk.entries()[-1].detail) == ("refused", "auth.forbidden")
    assert len(desk.pbx.commands) == 1
    assert desk.sessions == {session.id: session}


# Two at once ------------------------------------------------------------------------------------------


async def test_two_changes_at_once_are_both_made(desk: Desk) -> None:
    """The second sees what the first has done: neither undoes the other."""
    session = await desk.service.start(SOFIA, listen())
    await asyncio.gather(
        desk.service.change(SOFIA, session.id, to(Mode.WHISPER)),
        desk.service.change(SOFIA, session.id, ChangeRequest(muted=True)),
        desk.service.change(SOFIA, session.id, ChangeRequest(hear=Hear.AGENT)),
    )
    changed = desk.sessions[session.id]
    assert (changed.mode, changed.hear, changed.muted) == (Mode.WHISPER, Hear.AGENT, True)


async def test_who_comes_second_to_a_session_that_ended_is_told_so(desk: Desk) -> None:
    """It was there as the request came, and is not as its turn comes."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.waits[SwitchSupervision] = asyncio.Event()
    changes = asyncio.gather(
        desk.service.change(SOFIA, session.id, to(Mode.WHISPER)),
        desk.service.change(SOFIA, session.id, to(Mode.BARGE)),
        return_exceptions=True,
    )
    await until(lambda: bool(desk.pbx.sent(SwitchSupervision)))
    await desk.pbx.ends(session.id, SupervisionEnd.SUPERVISOR_HUNG_UP)
    desk.pbx.waits[SwitchSupervision].set()
    assert [getattr(outcome, "code", "") for outcome in await changes] == ["supervision.unknown"] * 2
    assert len(desk.pbx.sent(SwitchSupervision)) == 1
