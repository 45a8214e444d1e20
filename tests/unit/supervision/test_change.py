import asyncio

import pytest

from ctid.model.commands import SwitchSupervision
from ctid.model.errors import NotFound, PbxTimeout, SupervisionRefused
from ctid.model.ids import SupervisionId
from ctid.model.words import Mode, SupervisionEnd
from ctid.supervision import service
from helpers.desk import PAUL, ROOT, SOFIA, Desk, listen, to
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
