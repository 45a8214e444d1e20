"""Several supervisors in one call: one leads, and she alone may be heard."""

import asyncio

import pytest

from ctid.model.commands import EndSupervision, KeepSupervision, SwitchSupervision
from ctid.model.entities import Supervision
from ctid.model.errors import PbxTimeout, SupervisionRefused
from ctid.model.users import User
from ctid.model.words import Mode
from ctid.supervision import service
from ctid.supervision.requests import ChangeRequest, ModeAsked
from helpers.desk import PAUL, ROOT, SOFIA, Desk, follow, listen, refused_of, to
from helpers.patience import until

LEAD = ChangeRequest(lead=True)


async def _two(desk: Desk, mode: Mode = Mode.LISTEN) -> tuple[Supervision, Supervision]:
    """Sofia leads in this mode, and Paul listens."""
    first = await desk.service.start(SOFIA, listen(mode=mode))
    desk.clock.at += 1.0
    second = await desk.service.start(PAUL, listen(phone="paul's"))
    assert (first.lead, second.lead) == (True, False)
    return first, second


async def _refused(desk: Desk, session: Supervision, asked: ChangeRequest, user: User) -> str:
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(user, session.id, asked)
    return refused.value.code


def _heard(desk: Desk) -> list[str]:
    return [session.supervisor for session in desk.sessions.values() if session.mode is not Mode.LISTEN]


async def test_who_comes_second_listens(desk: Desk) -> None:
    """In another mode she is refused, and told who leads."""
    await _two(desk)
    refused = await refused_of(desk, listen(phone="second", mode=Mode.WHISPER))
    assert refused.code == "supervision.not_leading"
    assert "sofia leads this call" in refused.detail


async def test_who_does_not_lead_is_not_heard(desk: Desk) -> None:
    """In no mode; what she hears is her own affair."""
    _, second = await _two(desk)
    for wanted in (Mode.WHISPER, Mode.BARGE, Mode.TAKEOVER):
        assert await _refused(desk, second, to(wanted), PAUL) == "supervision.not_leading"
    assert desk.pbx.sent(SwitchSupervision) == []
    assert (await desk.service.change(PAUL, second.id, ChangeRequest(muted=True))).muted


async def test_the_lead_is_taken_from_one_who_listens(desk: Desk) -> None:
    """With what she wants it for; both are told, both are audited, and the other may take it back."""
    first, second = await _two(desk)
    taken = await desk.service.change(PAUL, second.id, ChangeRequest(lead=True, mode=ModeAsked.BARGE))
    assert (taken.lead, taken.mode) == (True, Mode.BARGE)
    assert not desk.sessions[first.id].lead
    requested = [entry for entry in desk.entries() if entry.event == "requested"]
    assert [(entry.by, entry.detail) for entry in requested[-2:]] == [("paul", "lead"), ("paul", "")]
    assert await _refused(desk, first, LEAD, SOFIA) == "supervision.not_leading"
    await desk.service.change(PAUL, second.id, to(Mode.LISTEN))
    assert (await desk.service.change(SOFIA, first.id, LEAD)).lead
    await until(lambda: not desk.sessions[second.id].lead)


async def test_who_leads_already_leads_on(desk: Desk) -> None:
    """Nothing is sent."""
    first, _ = await _two(desk)
    assert await desk.service.change(SOFIA, first.id, LEAD) == first
    assert desk.pbx.sent(KeepSupervision) == []


async def test_an_admin_takes_the_lead_from_one_who_is_heard(desk: Desk) -> None:
    """Who led listens first: at no time are two heard. Muted she stays."""
    first, second = await _two(desk, Mode.WHISPER)
    await desk.service.change(SOFIA, first.id, ChangeRequest(muted=True))
    taken = await desk.service.change(ROOT, second.id, ChangeRequest(lead=True, mode=ModeAsked.WHISPER))
    assert (taken.lead, taken.mode) == (True, Mode.WHISPER)
    known = desk.sessions[first.id]
    assert (known.lead, known.mode, known.muted) == (False, Mode.LISTEN, True)
    assert [command.mode for command in desk.pbx.sent(SwitchSupervision)][-2:] == [Mode.LISTEN, Mode.WHISPER]


async def test_nobody_takes_the_lead_from_who_has_the_customer(desk: Desk) -> None:
    """She cannot be made to listen: there is nobody else for him."""
    first, second = await _two(desk)
    await desk.service.change(SOFIA, first.id, to(Mode.TAKEOVER))
    assert await _refused(desk, second, LEAD, ROOT) == "supervision.not_leading"
    assert desk.sessions[first.id].lead


async def test_one_whom_the_pbx_does_not_silence_keeps_the_lead(desk: Desk) -> None:
    """The other is refused, and is not heard."""
    first, second = await _two(desk, Mode.BARGE)
    desk.pbx.fails[SwitchSupervision] = PbxTimeout("no answer")
    with pytest.raises(PbxTimeout):
        await desk.service.change(ROOT, second.id, ChangeRequest(lead=True, mode=ModeAsked.BARGE))
    assert (desk.sessions[first.id].lead, desk.sessions[second.id].lead) == (True, False)
    assert _heard(desk) == ["sofia"]


async def test_two_who_begin_at_once_do_not_both_lead(desk: Desk) -> None:
    """The second is refused to be heard before the state tells of the first."""
    outcomes = await asyncio.gather(
        desk.service.start(SOFIA, listen(mode=Mode.BARGE)),
        desk.service.start(PAUL, listen(phone="paul's", mode=Mode.BARGE)),
        desk.service.start(ROOT, listen(phone="second")),
        return_exceptions=True,
    )
    assert [getattr(outcome, "code", getattr(outcome, "lead", None)) for outcome in outcomes] == [
        True,
        "supervision.not_leading",
        False,
    ]
    assert _heard(desk) == ["sofia"]


async def test_two_who_want_the_lead_at_once_do_not_both_have_it(desk: Desk) -> None:
    """The first gets it; the second finds that it is not the one she knew."""
    first = await desk.service.start(SOFIA, listen())
    second = await desk.service.start(PAUL, listen(phone="paul's"))
    third = await desk.service.start(ROOT, listen(phone="second"))
    asked = ChangeRequest(lead=True, mode=ModeAsked.WHISPER)
    outcomes = await asyncio.gather(
        desk.service.change(PAUL, second.id, asked),
        desk.service.change(ROOT, third.id, asked),
        desk.service.change(SOFIA, first.id, to(Mode.BARGE)),
        return_exceptions=True,
    )
    assert [getattr(outcome, "code", "done") for outcome in outcomes] == [
        "done",
        "supervision.not_leading",
        "supervision.not_leading",
    ]
    assert _heard(desk) == ["paul"]
    assert [session.lead for session in desk.sessions.values()] == [False, True, False]


async def test_the_eldest_leads_after_the_leader_has_gone(desk: Desk) -> None:
    """By herself, audited, and she may be heard from then on."""
    first, second = await _two(desk)
    desk.clock.at += 1.0
    third = await desk.service.start(ROOT, listen(phone="second"))
    await desk.service.end(SOFIA, first.id)
    await until(lambda: desk.sessions[second.id].lead)
    assert not desk.sessions[third.id].lead
    await until(lambda: desk.told_of(second)[-1:] == ["active"] and len(desk.told_of(second)) == 4)
    assert (await desk.service.change(PAUL, second.id, to(Mode.BARGE))).mode is Mode.BARGE
    assert len(desk.pbx.sent(KeepSupervision)) == 1


async def test_one_leads_where_two_calls_become_one(desk: Desk) -> None:
    """The elder goes on; the other is heard no more, and leads no more."""
    first = await desk.service.start(SOFIA, listen(mode=Mode.BARGE))
    await desk.serves("1002", "c2", "a2")
    desk.clock.at += 1.0
    second = await desk.service.start(PAUL, listen("1002", phone="paul's", mode=Mode.BARGE))
    assert (first.lead, second.lead) == (True, True)
    for leg in ("c2", "a2"):
        desk.script.put_leg(leg, call="c1", conversation="b-c1")
    await desk.told()
    await until(lambda: not desk.sessions[second.id].lead)
    known = desk.sessions[second.id]
    assert (known.call, known.mode) == ("lab.c1", Mode.LISTEN)
    assert desk.sessions[first.id].mode is Mode.BARGE
    assert desk.pbx.sent(EndSupervision) == []


async def test_a_lead_that_the_pbx_does_not_keep_is_not_had(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It says yes, and the state does not: the request fails, and the lead is free for another."""
    monkeypatch.setattr(service, "SETTLE_S", 0.05)
    first, second = await _two(desk)
    await desk.pbx.tells(first, lead=False)
    await until(lambda: desk.sessions[first.id].lead)  # the follower gives it back to the eldest
    desk.pbx.mute.add(KeepSupervision)
    with pytest.raises(PbxTimeout):
        await desk.service.change(PAUL, second.id, LEAD)
    desk.pbx.mute.clear()
    assert (await desk.service.change(PAUL, second.id, LEAD)).lead


async def test_a_session_in_no_call_takes_no_lead(desk: Desk) -> None:
    """It leads where it comes to, if nobody does."""
    session = await desk.service.start(SOFIA, follow("1002"))
    await desk.pbx.tells(session, lead=False)
    assert await _refused(desk, session, LEAD, SOFIA) == "supervision.not_leading"
