from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ctid.model.commands import Command, StartSupervision
from ctid.model.errors import CtidError, PbxRefused
from ctid.model.words import Mode, SupervisionEnd
from helpers.desk import ROOT, SOFIA, Desk, audited, by_rule, listen, to
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
