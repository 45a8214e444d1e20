"""Agents are told that they are listened to: once, and what became of it is on record."""

import asyncio

import pytest
from structlog.testing import capture_logs

from ctid.model.commands import GiveNotice, KeepSupervision, SwitchSupervision
from ctid.model.entities import Supervision
from ctid.model.errors import PbxRefused, PbxTimeout
from ctid.model.ids import LegId
from ctid.model.words import Mode, NoticeKind, NoticeState
from ctid.supervision import follower
from ctid.supervision.law import Admission
from helpers.desk import SOFIA, Desk, arm, audited, follow, listen, to
from helpers.patience import until


@pytest.fixture
def tone(desk: Desk) -> Desk:
    """A desk where agents are told by a tone."""
    desk.gate.admission = Admission(notice=NoticeKind.TONE)
    return desk


async def _told(desk: Desk, session: Supervision, state: NoticeState) -> None:
    await until(lambda: desk.sessions[session.id].notice_state is state, what=f"the notice is {state}")


def _notices(desk: Desk) -> list[tuple[str, NoticeState]]:
    return [(entry.detail, told.notice_state) for entry, told in audited(desk) if entry.event == "notice"]


async def test_a_tone_is_sounded_to_the_agent(tone: Desk) -> None:
    """At her leg alone, once she is listened to; it is kept with the session, and audited once."""
    session = await tone.service.start(SOFIA, listen())
    await _told(tone, session, NoticeState.GIVEN)
    assert tone.pbx.sent(GiveNotice) == [GiveNotice(target=LegId("a1"))]
    assert _notices(tone) == [("given", NoticeState.GIVEN)]
    await tone.service.change(SOFIA, session.id, to(Mode.BARGE))
    await tone.passes(10.0)
    assert len(tone.pbx.sent(GiveNotice)) == 1


async def test_a_lamp_is_lit_by_the_bus(desk: Desk) -> None:
    """The PBX has nothing to do with it but to keep it."""
    desk.gate.admission = Admission(notice=NoticeKind.MQTT)
    session = await desk.service.start(SOFIA, listen())
    await _told(desk, session, NoticeState.GIVEN)
    assert [told.id for told in desk.notifier.told] == [session.id]
    assert desk.pbx.sent(GiveNotice) == []


@pytest.mark.parametrize("how", ["not reached", "refused", "no tone"])
async def test_a_notice_that_did_not_reach_her_has_failed(desk: Desk, how: str) -> None:
    """And is told so: nobody claims that she knows; it is not tried again."""
    desk.gate.admission = Admission(notice=NoticeKind.TONE if how == "no tone" else NoticeKind.MESSAGE)
    desk.pbx.fails[GiveNotice] = PbxRefused("no such leg")
    desk.notifier.reaches = False
    desk.notifier.error = PbxRefused("no such endpoint") if how == "refused" else None
    with capture_logs() as logs:
        session = await desk.service.start(SOFIA, listen())
        await _told(desk, session, NoticeState.FAILED)
    assert _notices(desk) == [("failed", NoticeState.FAILED)]
    assert [entry["event"] for entry in logs] == ([] if how == "not reached" else ["notice not given"])


async def test_an_agent_who_has_just_left_was_not_told(tone: Desk) -> None:
    """There is nobody to sound it to."""
    session = await tone.service.start(SOFIA, follow("1002"))
    call = "lab.c1"
    await tone.pbx.tells(session, state="active", call=call)
    await _told(tone, session, NoticeState.FAILED)
    assert tone.pbx.sent(GiveNotice) == []


async def test_where_none_is_due_none_is_given(desk: Desk) -> None:
    """The law asks for none there."""
    session = await desk.service.start(SOFIA, listen())
    await desk.passes(10.0)
    assert desk.sessions[session.id].notice_state is NoticeState.NOT_DUE
    assert (desk.notifier.told, desk.pbx.sent(KeepSupervision)) == ([], [])


async def test_nobody_is_told_before_she_is_listened_to(tone: Desk) -> None:
    """Armed, or waiting, the session hears nobody; with each call she is told anew."""
    session = await tone.service.start(SOFIA, follow("1002"))
    armed = await tone.service.start(SOFIA, arm("1002", phone="second"))
    await tone.passes(10.0)
    assert tone.pbx.sent(GiveNotice) == []
    await tone.serves("1002", "c2", "a2")
    await _told(tone, session, NoticeState.GIVEN)
    await _told(tone, armed, NoticeState.GIVEN)
    await tone.hangs_up("1002", "c2", "a2")
    await tone.passes(60.0)
    await tone.serves("1002", "c3", "a3")
    await until(lambda: len(tone.pbx.sent(GiveNotice)) == 3)
    assert [command.target for command in tone.pbx.sent(GiveNotice)] == ["a2", "a2", "a3"]
    await _told(tone, session, NoticeState.GIVEN)


async def test_the_next_agent_of_a_call_is_told_as_well(tone: Desk) -> None:
    """The first was; she was not."""
    session = await tone.service.start(SOFIA, listen())
    await _told(tone, session, NoticeState.GIVEN)
    await tone.transfers("1001", "c1", "a1", "1002", "a2")
    await until(lambda: len(tone.pbx.sent(GiveNotice)) == 2)
    await _told(tone, session, NoticeState.GIVEN)
    assert tone.pbx.sent(GiveNotice)[1].target == "a2"


async def test_a_notice_that_cannot_be_kept_is_not_given_again(
    tone: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """She heard it: only the keeping is tried again."""
    monkeypatch.setattr(follower, "SETTLE_S", 0.05)
    tone.pbx.fails[KeepSupervision] = PbxTimeout("no answer")
    with capture_logs():
        session = await tone.service.start(SOFIA, listen())
        await until(lambda: len(tone.pbx.sent(KeepSupervision)) == 3)
    tone.pbx.fails.clear()
    await _told(tone, session, NoticeState.GIVEN)
    assert len(tone.pbx.sent(GiveNotice)) == 1
    assert _notices(tone) == [("given", NoticeState.GIVEN)]


async def test_a_switch_need_not_wait_for_a_tone(tone: Desk) -> None:
    """It sounds on meanwhile, and what was switched stays switched."""
    tone.pbx.waits[GiveNotice] = asyncio.Event()
    session = await tone.service.start(SOFIA, listen())
    await until(lambda: bool(tone.pbx.sent(GiveNotice)))
    switched = await tone.service.change(SOFIA, session.id, to(Mode.WHISPER))
    assert switched.notice_state is NoticeState.DUE
    tone.pbx.waits[GiveNotice].set()
    await _told(tone, session, NoticeState.GIVEN)
    assert tone.sessions[session.id].mode is Mode.WHISPER
    assert len(tone.pbx.sent(SwitchSupervision)) == 1


async def test_a_notice_to_an_agent_who_has_left_meanwhile_is_hers_alone(tone: Desk) -> None:
    """What is kept is of the agent who is listened to now."""
    tone.pbx.waits[GiveNotice] = asyncio.Event()
    session = await tone.service.start(SOFIA, listen())
    await until(lambda: bool(tone.pbx.sent(GiveNotice)))
    await tone.pbx.tells(tone.sessions[session.id], agent="1002")
    tone.pbx.waits[GiveNotice].set()
    await until(lambda: len(_notices(tone)) == 2)
    await _told(tone, session, NoticeState.FAILED)  # 1002 has no leg in this call
    assert [told.agent for entry, told in audited(tone) if entry.event == "notice"] == ["1001", "1002"]


async def test_a_notice_of_a_session_that_ended_meanwhile_is_on_record(tone: Desk) -> None:
    """She was told, and has a right to it being known."""
    tone.pbx.waits[GiveNotice] = asyncio.Event()
    session = await tone.service.start(SOFIA, listen())
    await until(lambda: bool(tone.pbx.sent(GiveNotice)))
    await tone.service.end(SOFIA, session.id)
    tone.pbx.waits[GiveNotice].set()
    await until(lambda: bool(_notices(tone)))
    assert _notices(tone) == [("given", NoticeState.GIVEN)]
    assert tone.pbx.sent(KeepSupervision) == []
