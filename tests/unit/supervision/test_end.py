import asyncio

import pytest
from structlog.testing import capture_logs

from ctid.model.commands import Command, EndSupervision, StartSupervision
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, NotFound, PbxTimeout
from ctid.model.facts import CallerAbandoned, SupervisionChanged
from ctid.model.ids import CallId, LegId, QueueId, SupervisionId
from ctid.model.words import Mode, Purpose, SupervisionEnd, SupervisionState
from ctid.supervision import service
from helpers.desk import LAB, PAUL, ROOT, SOFIA, Desk, arm, audited, by_rule, listen, to
from helpers.floor import BASE
from helpers.patience import until

SHORT_S = 0.05


async def test_an_end_answers_with_the_last_document(desk: Desk) -> None:
    """Released, with the time; the session is gone, and the call goes on."""
    session = await desk.service.start(SOFIA, listen())
    ended = await desk.service.end(SOFIA, session.id)
    assert (ended.id, ended.state, ended.end, ended.ended_at) == (
        session.id,
        SupervisionState.ENDED,
        SupervisionEnd.RELEASED,
        BASE,
    )
    assert desk.sessions == {}
    assert list(desk.hub.store.calls) == ["lab.c1"]
    assert desk.service._ends == {}


async def test_an_end_answers_with_the_end_though_a_switch_is_told_first(desk: Desk) -> None:
    """A change that was under way when she ended the session is not taken for its end."""
    session = await desk.service.start(SOFIA, listen())

    async def switch_then_end(_: Command) -> None:
        await desk.pbx.tells(session, mode=Mode.WHISPER)
        await desk.pbx.ends(session.id, SupervisionEnd.RELEASED)

    desk.pbx._answer = switch_then_end
    ended = await desk.service.end(SOFIA, session.id)
    assert ended.state is SupervisionState.ENDED


async def test_an_end_is_found_among_other_changes(desk: Desk) -> None:
    """Calls that come and go meanwhile are passed over."""
    session = await desk.service.start(SOFIA, listen())

    async def busy_then_end(_: Command) -> None:
        desk.script.customer_joins("c7", "support")
        await desk.told()
        await desk.pbx.ends(session.id, SupervisionEnd.RELEASED)

    desk.pbx._answer = busy_then_end
    assert (await desk.service.end(SOFIA, session.id)).state is SupervisionState.ENDED


async def test_an_end_that_fails_is_told_and_audited(desk: Desk) -> None:
    """The session is what the facts say: still there."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.fails[EndSupervision] = PbxTimeout("no answer")
    with pytest.raises(PbxTimeout):
        await desk.service.end(SOFIA, session.id)
    assert desk.sessions == {session.id: session}
    assert desk.entries()[-1].detail == "pbx.timeout"
    assert desk.service._ends == {}


async def test_to_stop_listening_is_never_refused(desk: Desk) -> None:
    """Without an audit as well she leaves, and the log says loudly what is missing."""
    session = await desk.service.start(SOFIA, listen())
    await until(lambda: "audit active" in desk.journal)
    desk.audit.path = desk.audit.path / "gone"
    with capture_logs() as logs:
        ended = await desk.service.end(SOFIA, session.id)
    assert ended.state is SupervisionState.ENDED
    assert [(entry["event"], entry["log_level"]) for entry in logs] == [("audit failed", "critical")] * 2


async def test_two_who_end_a_session_are_both_answered(desk: Desk) -> None:
    """At the same time: the PBX ends it once, and each gets its last document or is told that it is gone."""
    session = await desk.service.start(SOFIA, listen())
    outcomes = await asyncio.gather(
        desk.service.end(SOFIA, session.id), desk.service.end(ROOT, session.id), return_exceptions=True
    )
    assert {getattr(o, "state", None) or getattr(o, "code", "") for o in outcomes} <= {
        SupervisionState.ENDED,
        "supervision.unknown",
    }
    assert any(isinstance(outcome, Supervision) for outcome in outcomes)
    assert desk.service._ends == {}


async def test_an_end_that_does_not_come_back_is_a_timeout(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PBX said yes, and no fact followed: the client is not told that it is over."""
    monkeypatch.setattr(service, "SETTLE_S", SHORT_S)
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.mute.add(EndSupervision)
    with pytest.raises(PbxTimeout) as refused:
        await desk.service.end(SOFIA, session.id)
    assert refused.value.code == "pbx.timeout"


async def test_a_session_ends_when_its_call_does(desk: Desk) -> None:
    """By itself, for that reason, and audited so; a session in another call goes on."""
    session = await desk.service.start(SOFIA, listen())
    desk.script.agent_serves("1002", "support", "c2", "a2")
    await desk.told()
    other = await desk.service.start(SOFIA, listen("1002", phone="second"))
    desk.script.call_over("1001", "support", "c1", "a1")
    await desk.told()
    await until(lambda: list(desk.sessions) == [other.id])
    await until(lambda: "audit ended" in desk.journal)
    _, last = audited(desk)[-1]
    assert (last.id, last.end) == (session.id, SupervisionEnd.CALL_ENDED)
    assert desk.pbx.commands[-1] == by_rule(session, SupervisionEnd.CALL_ENDED)


async def test_a_session_follows_a_merge_and_ends_with_what_it_followed(desk: Desk) -> None:
    """A call that became part of another has not ended: nobody is thrown out, before that one ends."""
    session = await desk.service.start(SOFIA, listen())
    desk.script.put_leg("c1", call="k2")
    desk.script.put_leg("a1", call="k2")
    await desk.told()
    assert desk.sessions[session.id].call == "lab.k2"
    switched = await desk.service.change(SOFIA, session.id, to(Mode.WHISPER))
    assert (switched.call, switched.mode) == ("lab.k2", Mode.WHISPER)
    assert not any(isinstance(command, EndSupervision) for command in desk.pbx.commands)
    desk.script.call_over("1001", "support", "c1", "a1")
    await desk.told()
    await until(lambda: desk.sessions == {})
    assert desk.pbx.commands[-1] == by_rule(session, SupervisionEnd.CALL_ENDED)


@pytest.mark.parametrize(
    ("error", "level"),
    [(NotFound("supervision", "s"), "debug"), (PbxTimeout("no answer"), "warning")],
)
async def test_a_rule_that_cannot_be_carried_out_does_not_stop_the_service(
    desk: Desk, error: CtidError, level: str
) -> None:
    """It is logged, as usual if the PBX was quicker, and the next session is served."""
    await desk.service.start(SOFIA, listen())
    desk.pbx.fails[EndSupervision] = error
    with capture_logs() as logs:
        desk.script.call_over("1001", "support", "c1", "a1")
        await desk.told()
        await until(lambda: bool(logs))
    assert [entry["log_level"] for entry in logs] == [level]
    desk.script.agent_serves("1002", "support", "c2", "a2")
    await desk.told()
    assert (await desk.service.start(SOFIA, listen("1002", phone="second"))).agent == "1002"


async def test_what_is_no_change_of_a_session_is_passed_over(desk: Desk) -> None:
    """Moments and other entities are audited by nobody, and end nothing."""
    desk.script.customer_joins("c5", "support")
    desk.script.tell(
        CallerAbandoned(pbx=LAB, at=BASE, queue=QueueId("support"), leg=LegId("c5"), position=1, wait_s=4.0)
    )
    desk.script.hangs_up("c5")
    await desk.told()
    await desk.service.start(SOFIA, listen())
    await until(lambda: "audit active" in desk.journal)
    assert [entry.event for entry in desk.entries()] == ["requested", "ringing", "active"]


async def test_a_session_found_on_the_pbx_can_be_ended(desk: Desk) -> None:
    """After a restart of ctid: it comes with a snapshot, and is its supervisor's still."""
    session = await desk.service.start(SOFIA, listen())
    await desk.feed(
        SupervisionChanged(
            pbx=LAB,
            at=BASE,
            supervision=Supervision(
                id=SupervisionId("s77"),
                pbx=LAB,
                state=SupervisionState.ACTIVE,
                mode=Mode.BARGE,
                since=BASE,
                started_at=BASE,
                supervisor="paul",
                phone="paul's",
                agent=session.agent,
                call=session.call,
                purpose=Purpose.QUALITY,
            ),
        )
    )
    assert desk.hub.store.calls[session.call or CallId("")].supervisions == (session.id, "s77")
    assert (await desk.service.end(PAUL, SupervisionId("s77"))).end is SupervisionEnd.RELEASED


# Armed ------------------------------------------------------------------------------------------------


async def test_an_armed_session_can_be_withdrawn(desk: Desk) -> None:
    """The PBX knows nothing of it, and is not asked; also while its link is down."""
    session = await desk.service.start(SOFIA, arm())
    desk.hub.attach(LAB, None)
    ended = await desk.service.end(SOFIA, session.id)
    assert (ended.state, ended.end) == (SupervisionState.ENDED, SupervisionEnd.RELEASED)
    assert desk.sessions == {}
    assert desk.pbx.commands == []
    assert desk.told_of(session) == ["requested", "requested", "requested", "ended"]


async def test_who_withdraws_as_her_phone_begins_to_ring_stops_it(desk: Desk) -> None:
    """The end reaches the PBX, which has begun by then; nobody listens afterwards."""
    session = await desk.service.start(SOFIA, arm("1002"))
    desk.pbx.waits[StartSupervision] = asyncio.Event()
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    await desk.serves("1002", "c2", "a2")
    await until(lambda: bool(desk.pbx.sent(StartSupervision)))
    ending = asyncio.gather(desk.service.end(SOFIA, session.id))
    await until(lambda: desk.journal.count("audit requested") == 3)
    assert desk.sessions[session.id].state is SupervisionState.REQUESTED
    desk.pbx.waits[StartSupervision].set()
    (ended,) = await ending
    desk.pbx.rings.set_result(None)
    assert ended.end is SupervisionEnd.RELEASED
    assert [type(command) for command in desk.pbx.commands] == [StartSupervision, EndSupervision]
    assert desk.sessions == {}


async def test_who_withdraws_as_her_phone_cannot_be_rung_is_heeded(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PBX refused to begin: the session was armed still, and is withdrawn after all."""
    monkeypatch.setattr(service, "SETTLE_S", SHORT_S)
    session = await desk.service.start(SOFIA, arm("1002"))
    desk.pbx.fails[StartSupervision] = PbxTimeout("no answer")
    desk.pbx.waits[StartSupervision] = asyncio.Event()
    await desk.serves("1002", "c2", "a2")
    await until(lambda: bool(desk.pbx.sent(StartSupervision)))
    ending = asyncio.gather(desk.service.end(SOFIA, session.id))
    await until(lambda: desk.journal.count("audit requested") == 3)
    desk.pbx.waits[StartSupervision].set()
    (ended,) = await ending
    assert ended.end is SupervisionEnd.RELEASED
    assert desk.pbx.sent(EndSupervision) == []
