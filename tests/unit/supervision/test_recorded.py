from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ctid.model.commands import Command, EndSupervision, StartSupervision
from ctid.model.errors import CtidError, PbxRefused
from ctid.model.ids import SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Hear, Mode, NoticeState, Scope, SupervisionEnd, SupervisionState
from helpers.desk import LAB, PAUL, ROOT, SOFIA, Desk, arm, audited, by_rule, listen, to
from helpers.floor import BASE
from helpers.patience import until

SHORT_S = 0.05


async def test_every_step_is_audited_before_it_is_taken(desk: Desk) -> None:
    """Start and switch; what is seen of the session is audited as it is seen."""
    session = await desk.service.start(SOFIA, listen())
    assert desk.journal[:2] == ["audit requested", "command StartSupervision"]
    await until(lambda: desk.journal.count("audit active") == 1)
    await desk.service.change(SOFIA, session.id, to(Mode.BARGE))
    switched = desk.journal.index("command SwitchSupervision")
    assert desk.journal[switched - 1] == "audit requested"
    await until(lambda: desk.journal.count("audit active") == 2)
    await desk.service.end(SOFIA, session.id)
    await until(lambda: "audit ended" in desk.journal)
    told = [(entry.event, supervision.mode, entry.by) for entry, supervision in audited(desk)]
    assert told == [
        ("requested", Mode.LISTEN, "sofia"),
        ("ringing", Mode.LISTEN, ""),
        ("active", Mode.LISTEN, ""),
        ("requested", Mode.BARGE, "sofia"),
        ("active", Mode.BARGE, ""),
        ("requested", Mode.BARGE, "sofia"),
        ("ended", Mode.BARGE, ""),
    ]
    assert {supervision.id for _, supervision in audited(desk)} == {session.id}
    assert desk.journal[-3:] == ["audit requested", "command EndSupervision", "audit ended"]


async def test_who_asked_is_audited_where_it_was_not_her(desk: Desk) -> None:
    """An admin who switches somebody's session is named."""
    session = await desk.service.start(SOFIA, listen())
    await desk.service.change(ROOT, session.id, to(Mode.WHISPER))
    requested = [(entry.by, s.supervisor) for entry, s in audited(desk) if entry.event == "requested"]
    assert requested == [("sofia", "sofia"), ("root", "sofia")]


async def test_a_lost_link_is_no_step_of_a_session(desk: Desk) -> None:
    """The session is stale, and fresh again: its audit says nothing of either."""
    session = await desk.service.start(SOFIA, listen())
    await until(lambda: "audit active" in desk.journal)
    desk.script.sessions[session.id] = session
    desk.script.link_down()
    await desk.told()
    assert desk.sessions[session.id].stale
    desk.script.link_up()
    desk.script.snapshot()
    await desk.told()
    assert desk.sessions == {session.id: session}
    await desk.service.end(SOFIA, session.id)
    await until(lambda: "audit ended" in desk.journal)
    assert [entry.event for entry in desk.entries()] == [
        "requested",
        "ringing",
        "active",
        "requested",
        "ended",
    ]


async def test_what_the_pbx_refused_is_audited_with_its_code(desk: Desk) -> None:
    """The request, and that it came to nothing."""
    desk.pbx.fails[StartSupervision] = PbxRefused("no such endpoint")
    with pytest.raises(PbxRefused):
        await desk.service.start(SOFIA, listen())
    assert [(entry.event, entry.detail) for entry in desk.entries()] == [
        ("requested", ""),
        ("refused", "pbx.refused"),
    ]


async def test_without_an_audit_nobody_is_listened_to(tmp_path: Path) -> None:
    """The request is refused, and the PBX hears nothing of it."""
    async with Desk(tmp_path / "gone") as desk:
        with pytest.raises(CtidError) as refused:
            await desk.service.start(SOFIA, listen())
        assert refused.value.code == "audit.unavailable"
        assert desk.pbx.commands == []
        assert desk.sessions == {}


async def test_without_an_audit_nothing_is_switched(desk: Desk) -> None:
    """A session goes on as it was audited."""
    session = await desk.service.start(SOFIA, listen())
    await until(lambda: "audit active" in desk.journal)
    desk.audit.path = desk.audit.path / "gone"
    with pytest.raises(CtidError) as refused:
        await desk.service.change(SOFIA, session.id, to(Mode.BARGE))
    assert refused.value.code == "audit.unavailable"
    assert desk.sessions[session.id].mode is Mode.LISTEN
    assert len(desk.pbx.commands) == 1


async def test_a_session_that_cannot_be_audited_any_more_is_ended(desk: Desk) -> None:
    """What the PBX tells of it cannot be written down: it ends by rule, and the log says so loudly."""
    session = await desk.service.start(SOFIA, listen())
    await until(lambda: "audit active" in desk.journal)
    desk.audit.path = desk.audit.path / "gone"
    with capture_logs() as logs:
        await desk.pbx.tells(session, mode=Mode.WHISPER)
        await until(lambda: desk.sessions == {})
        await until(lambda: len([entry for entry in logs if entry["event"] == "audit failed"]) == 2)
    assert desk.pbx.commands[-1] == by_rule(session, SupervisionEnd.RELEASED)
    assert {entry["log_level"] for entry in logs} == {"critical"}


async def test_a_failure_that_cannot_be_audited_is_told_for_what_it_is(desk: Desk) -> None:
    """The client learns why the PBX refused; the log learns that the audit failed as well."""

    async def refuse(_: Command) -> None:
        desk.audit.path = desk.audit.path / "gone"
        raise PbxRefused("no such endpoint")

    desk.pbx._answer = refuse
    with capture_logs() as logs, pytest.raises(PbxRefused):
        await desk.service.start(SOFIA, listen())
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("audit failed", "critical")]


async def test_an_audit_that_fails_does_not_hang_up_on_a_customer(desk: Desk) -> None:
    """He was taken over, and has nobody else: that is no listening."""
    session = await desk.service.start(SOFIA, listen())
    await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    await until(lambda: desk.journal.count("audit active") == 2)
    desk.audit.path = desk.audit.path / "gone"
    with capture_logs() as logs:
        await desk.pbx.tells(desk.sessions[session.id], lead=False)
        await until(lambda: bool(logs))
        await desk.passes(1.0)
    assert desk.sessions[session.id].mode is Mode.TAKEOVER
    assert desk.pbx.sent(EndSupervision) == []


async def test_what_is_between_two_states_is_not_told(desk: Desk) -> None:
    """A switch that is under way; what comes of it is, also that all is as it was."""
    session = await desk.service.start(SOFIA, listen())
    await desk.pbx.tells(session, state=SupervisionState.SWITCHING)
    await desk.pbx.tells(session)
    await until(lambda: desk.journal.count("audit active") == 2)
    assert desk.told_of(session) == ["requested", "ringing", "active", "active"]


@pytest.mark.parametrize(
    "changed",
    [
        {"mode": Mode.WHISPER},
        {"hear": Hear.AGENT},
        {"muted": True},
        {"lead": False},
        {"agent": "1002"},
        {"state": SupervisionState.WAITING, "scope": Scope.AGENT, "agent": "1002"},
    ],
)
async def test_each_change_that_matters_is_told_once(desk: Desk, changed: dict[str, object]) -> None:
    """Who hears whom, where, and who leads; the same told again is not."""
    session = await desk.service.start(SOFIA, listen())
    await until(lambda: "audit active" in desk.journal)
    before = len(desk.told_of(session))
    await desk.pbx.tells(session, **changed)
    await until(lambda: len(desk.told_of(session)) > before)
    entry, told = audited(desk)[before]
    assert entry.event == changed.get("state", "active")
    assert [getattr(told, name) for name in changed] == [*changed.values()]


async def test_what_does_not_matter_is_not_told(desk: Desk) -> None:
    """Its limits, and whether a notice was given: that has an entry of its own."""
    session = await desk.service.start(SOFIA, listen())
    await until(lambda: "audit active" in desk.journal)
    await desk.pbx.tells(session, until=Instant(BASE + 900.0), notice_state=NoticeState.GIVEN)
    await desk.service.end(SOFIA, session.id)
    await until(lambda: "audit ended" in desk.journal)
    assert desk.told_of(session) == ["requested", "ringing", "active", "requested", "ended"]


# A restart --------------------------------------------------------------------------------------------


async def test_what_ended_while_ctid_was_away_is_closed(tmp_path: Path) -> None:
    """Once the PBX has been asked: what it still has goes on, the rest was lost; one that was armed too."""
    async with Desk(tmp_path) as before:
        lost = await before.service.start(SOFIA, listen())
        kept = await before.service.start(PAUL, listen(phone="paul's"))
        armed = await before.service.start(SOFIA, arm(phone="second"))
        await until(lambda: before.told_of(armed) == ["requested"] * 2)
        await until(lambda: before.journal.count("audit active") == 2)
        kept = before.sessions[kept.id]
    async with Desk(tmp_path) as desk:
        assert len(desk.entries()) == len(before.entries())
        desk.script.sessions[kept.id] = kept
        desk.script.snapshot()
        await desk.told()
        await until(lambda: desk.journal.count("audit ended") == 2)
        ends = {told.id: told.end for entry, told in audited(desk) if entry.event == "ended"}
        assert ends == {lost.id: SupervisionEnd.LOST, armed.id: SupervisionEnd.LOST}
        assert [*desk.sessions] == [kept.id]
        desk.script.snapshot()
        await desk.told()
        await desk.service.end(PAUL, kept.id)
        await until(lambda: desk.journal.count("audit ended") == 3)


async def test_a_session_that_was_there_before_the_follower_is_told(tmp_path: Path) -> None:
    """It is in the snapshot that the follower begins with."""
    desk = Desk(tmp_path)
    desk.script.link_up()
    desk.script.agent_joins("1001", "support")
    desk.script.agent_serves("1001", "support", "c1", "a1")
    desk.script.supervisor("s1", "c1")
    desk.script.snapshot()
    for fact in desk.script.facts:
        desk.hub.store.apply(fact)
    desk.hub.attach(LAB, desk.pbx)
    desk.tasks.spawn("hub", desk.hub.run())
    desk.tasks.spawn("supervision", desk.follower.run())
    try:
        await until(lambda: "audit active" in desk.journal)
        assert desk.gate.seen == [(None, desk.sessions[SupervisionId("s1")])]
    finally:
        await desk.tasks.close()
