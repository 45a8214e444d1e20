"""Sessions that go on by themselves: to the next call, the next agent, to their end."""

import asyncio

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ctid.model.commands import EndSupervision, FollowSupervision, StartSupervision, TakeOver
from ctid.model.entities import Supervision
from ctid.model.errors import Forbidden, PbxTimeout, SupervisionRefused
from ctid.model.ids import AgentId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Hear, Mode, NoticeKind, Purpose, Scope, SupervisionEnd, SupervisionState
from ctid.supervision import follower
from ctid.supervision.law import Admission
from ctid.supervision.requests import ChangeRequest
from helpers.desk import LAB, PAUL, SOFIA, Desk, arm, audited, by_rule, follow, listen, to
from helpers.floor import BASE
from helpers.patience import until

ENDED = SupervisionState.ENDED


def _known(desk: Desk, session: Supervision) -> Supervision:
    return desk.sessions[session.id]


async def _is(desk: Desk, session: Supervision, **fields: object) -> None:
    def says() -> bool:
        known = desk.sessions.get(session.id)
        return known is not None and all(getattr(known, name) == value for name, value in fields.items())

    await until(says, what=f"{desk.sessions.get(session.id)} is {fields}")


async def _ended(desk: Desk, session: Supervision) -> SupervisionEnd | None:
    """Why a session has ended, as the audit has it."""
    await until(lambda: desk.told_of(session)[-1:] == ["ended"], what=f"{session.id} ended")
    assert session.id not in desk.sessions
    return audited(desk)[-1][1].end


# Following --------------------------------------------------------------------------------------------


async def test_an_agent_is_followed_from_call_to_call(desk: Desk) -> None:
    """Her phone rang once; between the calls she waits; each call counts, and each is audited."""
    session = await desk.service.start(SOFIA, follow(calls=3))
    customers = [("c1", "a1"), ("c2", "a2"), ("c3", "a3")]
    for number, (customer, leg) in enumerate(customers, 1):
        if number > 1:
            await desk.serves("1001", customer, leg)
        await _is(desk, session, state=SupervisionState.ACTIVE, calls=number, call=f"lab.{customer}")
        await desk.hangs_up("1001", customer, leg)
        await desk.passes(60.0)
        if number < 3:
            await _is(desk, session, state=SupervisionState.WAITING)
    assert await _ended(desk, session) is SupervisionEnd.CALLS_DONE
    assert [command.target for command in desk.pbx.sent(FollowSupervision)] == ["a2", "a3"]
    assert len(desk.pbx.sent(StartSupervision)) == 1
    assert desk.pbx.commands[-1] == by_rule(session, SupervisionEnd.CALLS_DONE)
    assert desk.told_of(session) == [
        "requested",
        "ringing",
        "active",
        *("waiting", "active") * 2,
        "waiting",
        "ended",
    ]


async def test_the_next_call_after_the_last_is_not_followed(desk: Desk) -> None:
    """It begins before the state has told the end of the last one: she does not hear it."""
    session = await desk.service.start(SOFIA, follow(calls=1))
    desk.script.hangs_up("a1", "c1")
    desk.script.agent_done("1001", "support")
    desk.script.agent_serves("1001", "support", "c2", "a2")
    await desk.pbx.loses("1001")
    await desk.told()
    assert await _ended(desk, session) is SupervisionEnd.CALLS_DONE
    assert desk.pbx.sent(FollowSupervision) == []


async def test_she_comes_to_the_first_call_as_she_asked_and_to_the_next_as_a_listener(desk: Desk) -> None:
    """Whom she hears, and whether she is muted, stays."""
    session = await desk.service.start(SOFIA, follow("1002", mode=Mode.WHISPER, hear=Hear.AGENT))
    await desk.service.change(SOFIA, session.id, ChangeRequest(muted=True))
    await desk.serves("1002", "c2", "a2")
    await _is(desk, session, state=SupervisionState.ACTIVE, mode=Mode.WHISPER, hear=Hear.AGENT, muted=True)
    await desk.hangs_up("1002", "c2", "a2")
    await desk.passes(60.0)
    await desk.serves("1002", "c3", "a3")
    await _is(desk, session, calls=2, mode=Mode.LISTEN, hear=Hear.AGENT, muted=True)


async def test_back_in_the_same_call_she_is_as_she_was(desk: Desk) -> None:
    """The agent's leg was away for a moment: no new call, and no other mode."""
    session = await desk.service.start(SOFIA, follow(mode=Mode.BARGE))
    await desk.pbx.loses("1001")
    await _is(desk, session, state=SupervisionState.ACTIVE, mode=Mode.BARGE, calls=1)


async def test_a_call_is_followed_to_another_agent(desk: Desk) -> None:
    """She listens beside the new one, whom she need not whisper to unasked."""
    session = await desk.service.start(SOFIA, listen(mode=Mode.WHISPER))
    await desk.transfers("1001", "c1", "a1", "1002", "a2")
    await _is(desk, session, state=SupervisionState.ACTIVE, agent="1002", mode=Mode.LISTEN, calls=1)
    assert _known(desk, session).call == "lab.c1"
    assert [command.target for command in desk.pbx.sent(FollowSupervision)] == ["a2"]


async def test_two_who_follow_one_agent_do_not_both_lead(desk: Desk) -> None:
    """Into the same next call at the same time: one of them is heard at most."""
    first = await desk.service.start(SOFIA, arm(mode=Mode.BARGE))
    second = await desk.service.start(PAUL, arm(phone="paul's", mode=Mode.BARGE))
    await desk.hangs_up("1001", "c1", "a1")
    await desk.passes(60.0)
    await desk.serves("1001", "c2", "a2")
    for session in (first, second):
        await _is(desk, session, state=SupervisionState.ACTIVE, call="lab.c2")
    assert sorted((s.lead, s.mode) for s in desk.sessions.values()) == [
        (False, Mode.LISTEN),
        (True, Mode.BARGE),
    ]


async def test_a_step_that_fails_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at once, and not at each event: the PBX is left in peace; she is in the call in the end."""
    monkeypatch.setattr(follower, "SETTLE_S", 0.3)
    session = await desk.service.start(SOFIA, follow("1002"))
    desk.pbx.fails[FollowSupervision] = PbxTimeout("no answer")
    with capture_logs() as logs:
        await desk.serves("1002", "c2", "a2")
        for _ in range(20):
            await desk.passes(0.1)
        await until(lambda: bool(desk.pbx.sent(FollowSupervision)))
        assert len(desk.pbx.sent(FollowSupervision)) == 1
        await until(lambda: len(desk.pbx.sent(FollowSupervision)) == 2)
    assert {entry["code"] for entry in logs if entry["event"] == "step failed"} == {"pbx.timeout"}
    desk.pbx.fails.clear()
    await _is(desk, session, state=SupervisionState.ACTIVE)


async def test_what_she_asked_for_meanwhile_is_not_undone(desk: Desk) -> None:
    """A change while she waits, as the next call begins: she is mute in it, as she wanted."""
    session = await desk.service.start(SOFIA, follow("1002", mode=Mode.WHISPER))
    desk.pbx.waits[FollowSupervision] = asyncio.Event()
    await desk.serves("1002", "c2", "a2")
    await until(lambda: bool(desk.pbx.sent(FollowSupervision)))
    changing = asyncio.gather(desk.service.change(SOFIA, session.id, ChangeRequest(muted=True)))
    desk.pbx.waits[FollowSupervision].set()
    await changing
    known = _known(desk, session)
    assert (known.state, known.mode, known.muted) == (SupervisionState.ACTIVE, Mode.WHISPER, True)


# Armed ------------------------------------------------------------------------------------------------


async def test_an_armed_session_rings_with_the_next_call(desk: Desk) -> None:
    """Not with the one that goes on; in that one alone, in the mode asked for."""
    session = await desk.service.start(SOFIA, arm(mode=Mode.WHISPER))
    await desk.passes(1.0)
    assert desk.pbx.commands == []
    await desk.hangs_up("1001", "c1", "a1")
    await desk.passes(60.0)
    await desk.serves("1001", "c2", "a2")
    await _is(desk, session, state=SupervisionState.ACTIVE, mode=Mode.WHISPER, call="lab.c2", calls=1)
    (command,) = desk.pbx.commands
    assert isinstance(command, StartSupervision)
    assert (command.target, command.supervision.state) == ("a2", SupervisionState.RINGING)
    assert command.supervision.since == desk.clock.at
    await desk.hangs_up("1001", "c2", "a2")
    assert await _ended(desk, session) is SupervisionEnd.CALL_ENDED
    assert desk.told_of(session) == ["requested", "requested", "ringing", "active", "waiting", "ended"]


async def test_an_armed_session_is_not_rung_for_the_call_it_was_armed_in(desk: Desk) -> None:
    """However much happens before the follower has read that it is there."""
    await asyncio.gather(*[desk.passes(0.1) for _ in range(3)], desk.service.start(SOFIA, arm()))
    for _ in range(3):
        await desk.passes(0.1)
    assert desk.pbx.commands == []


async def test_an_armed_session_that_cannot_be_begun_is_armed_still(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PBX refused before her phone rang: it is tried again while the call goes on."""
    monkeypatch.setattr(follower, "SETTLE_S", 0.05)
    session = await desk.service.start(SOFIA, arm("1002"))
    desk.pbx.fails[StartSupervision] = PbxTimeout("no answer")
    with capture_logs():
        await desk.serves("1002", "c2", "a2")
        await until(lambda: len(desk.pbx.sent(StartSupervision)) >= 2)
    assert _known(desk, session).state is SupervisionState.REQUESTED
    desk.pbx.fails.clear()
    await _is(desk, session, state=SupervisionState.ACTIVE)


async def test_a_phone_that_is_not_answered_ends_an_armed_session(desk: Desk) -> None:
    """It has rung, in vain: it does not ring again with each call."""
    session = await desk.service.start(SOFIA, arm("1002"))
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    await desk.serves("1002", "c2", "a2")
    await _is(desk, session, state=SupervisionState.RINGING)
    await desk.pbx.ends(session.id, SupervisionEnd.FAILED)
    desk.pbx.rings.set_exception(SupervisionRefused("phone_no_answer", "it rang for 20 s"))
    assert await _ended(desk, session) is SupervisionEnd.FAILED
    assert len(desk.pbx.sent(StartSupervision)) == 1


# Limits -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("scope", list(Scope))
async def test_no_session_outlives_its_time(desk: Desk, scope: Scope) -> None:
    """In a call, waiting or armed; nothing else need happen for it to be noticed."""
    agent = "1001" if scope is Scope.CALL else "1002"
    session = await desk.service.start(SOFIA, listen(agent, scope=scope, minutes=1))
    await desk.passes(59.9)
    assert session.id in desk.sessions
    desk.clock.at += 0.1
    assert await _ended(desk, session) is SupervisionEnd.TIME_UP


async def test_a_time_that_cannot_be_enforced_is_not_asked_for_without_end(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PBX does not end it: it is told so every two seconds, and until it does."""
    monkeypatch.setattr(follower, "SETTLE_S", 0.1)
    session = await desk.service.start(SOFIA, listen(minutes=1))
    desk.pbx.fails[EndSupervision] = PbxTimeout("no answer")
    turns = desk.hub.turns
    with capture_logs() as logs:
        await desk.passes(60.0)
        await until(lambda: len(desk.pbx.sent(EndSupervision)) == 3)
    assert len(logs) <= 3
    assert desk.hub.turns - turns < 20
    desk.pbx.fails.clear()
    assert await _ended(desk, session) is SupervisionEnd.TIME_UP


async def test_a_customer_who_was_taken_over_is_not_hung_up_on_for_the_time(desk: Desk) -> None:
    """Nor as an end that was decided before meets the take-over: he has nobody else."""
    session = await desk.service.start(SOFIA, listen(minutes=1))
    await desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER))
    await desk.passes(3600.0)
    await desk.service.end_by_rule(replace(_known(desk, session), mode=Mode.TAKEOVER), SupervisionEnd.LOST)
    assert await _ended(desk, session) is SupervisionEnd.LOST
    assert desk.pbx.sent(EndSupervision) == [
        EndSupervision(supervision=session.id, reason=SupervisionEnd.LOST, unless_taken_over=False)
    ]


async def test_a_time_that_is_up_amid_a_take_over_waits_for_it(desk: Desk) -> None:
    """And then there is nothing to end."""
    session = await desk.service.start(SOFIA, listen(minutes=1))
    desk.pbx.waits[TakeOver] = asyncio.Event()
    taking = asyncio.gather(desk.service.change(SOFIA, session.id, to(Mode.TAKEOVER)))
    await until(lambda: bool(desk.pbx.sent(TakeOver)))
    await desk.passes(60.0)
    desk.pbx.waits[TakeOver].set()
    await taking
    await desk.passes(1.0)
    assert _known(desk, session).mode is Mode.TAKEOVER
    assert desk.pbx.sent(EndSupervision) == []


# The gate ---------------------------------------------------------------------------------------------


async def test_nobody_is_followed_whom_the_gate_refuses(desk: Desk) -> None:
    """The next agent of the call is protected: it ends there, and the audit says why."""
    session = await desk.service.start(SOFIA, listen())
    desk.gate.refuses = lambda plan: (
        SupervisionRefused("agent_protected", "she represents the staff") if plan.agent == "1002" else None
    )
    await desk.transfers("1001", "c1", "a1", "1002", "a2")
    assert await _ended(desk, session) is SupervisionEnd.FORBIDDEN
    assert desk.pbx.sent(FollowSupervision) == []
    refused = next(entry for entry, _ in audited(desk) if entry.event == "refused")
    assert refused.detail == "supervision.agent_protected"
    assert refused.supervision is not None
    assert refused.supervision.agent == "1002"


async def test_an_armed_session_is_refused_as_its_call_begins(desk: Desk) -> None:
    """Its right is looked at then, and not only as it was armed."""
    session = await desk.service.start(SOFIA, arm("1002"))
    desk.gate.refuses = lambda _: Forbidden("the period is over")
    await desk.serves("1002", "c2", "a2")
    assert await _ended(desk, session) is SupervisionEnd.FORBIDDEN
    assert desk.pbx.commands == []


async def test_who_is_no_user_any_more_follows_nobody(desk: Desk) -> None:
    """Her token has expired, or is gone."""
    session = await desk.service.start(SOFIA, follow("1002"))
    del desk.users["sofia"]
    await desk.serves("1002", "c2", "a2")
    assert await _ended(desk, session) is SupervisionEnd.FORBIDDEN
    assert desk.pbx.sent(FollowSupervision) == []


async def test_the_gate_bounds_what_it_lets_follow(desk: Desk) -> None:
    """The earlier end holds, and the new agent is told as her team is."""
    desk.gate.admission = Admission(until=Instant(BASE + 1800.0))
    session = await desk.service.start(SOFIA, follow("1002"))
    desk.gate.admission = Admission(until=Instant(BASE + 600.0), notice=NoticeKind.MQTT)
    await desk.serves("1002", "c2", "a2")
    await _is(desk, session, until=BASE + 600.0, notice=NoticeKind.MQTT)
    asked = desk.gate.asked[-1]
    assert (asked.session, asked.agent, asked.call, asked.user) == (session.id, "1002", "lab.c2", SOFIA)
    desk.gate.admission = Admission(until=Instant(BASE + 9000.0))
    await desk.hangs_up("1002", "c2", "a2")
    await desk.passes(60.0)
    await desk.serves("1002", "c3", "a3")
    await _is(desk, session, calls=2, until=BASE + 600.0, notice=NoticeKind.NONE)


async def test_the_gate_sees_what_sessions_do(desk: Desk) -> None:
    """From the first to the end, each with what it was before."""
    session = await desk.service.start(SOFIA, listen())
    await desk.service.end(SOFIA, session.id)
    states = [(old and old.state, new.state) for old, new in desk.gate.seen]
    assert states == [
        (None, SupervisionState.RINGING),
        (SupervisionState.RINGING, SupervisionState.ACTIVE),
        (SupervisionState.ACTIVE, ENDED),
    ]


# The link ---------------------------------------------------------------------------------------------


async def test_a_session_that_nobody_can_see_is_left_alone(desk: Desk) -> None:
    """What is known of it is old; as the link is back, what has become due is done."""
    session = await desk.service.start(SOFIA, listen(minutes=1))
    desk.script.sessions[session.id] = _known(desk, session)
    desk.script.link_down()
    await desk.told()
    await desk.passes(90.0)
    assert desk.pbx.sent(EndSupervision) == []
    desk.script.link_up()
    desk.script.snapshot()
    await desk.told()
    assert await _ended(desk, session) is SupervisionEnd.TIME_UP


async def test_an_armed_session_outlives_the_link(desk: Desk) -> None:
    """The PBX does not know it, and it rings with the next call all the same."""
    session = await desk.service.start(SOFIA, arm("1002"))
    desk.script.link_down()
    desk.script.link_up()
    desk.script.snapshot()
    desk.script.agent_serves("1002", "support", "c2", "a2")
    await desk.told()
    await _is(desk, session, state=SupervisionState.ACTIVE, call="lab.c2")


async def test_a_session_that_was_found_on_the_pbx_is_followed(desk: Desk) -> None:
    """After a restart of ctid it goes on where it was, and is bound by what it was bound by."""
    found = Supervision(
        id=SupervisionId("s77"),
        pbx=LAB,
        state=SupervisionState.WAITING,
        mode=Mode.LISTEN,
        since=BASE,
        started_at=BASE,
        supervisor="paul",
        phone="paul's",
        agent=AgentId("1001"),
        call=None,
        scope=Scope.AGENT,
        calls=1,
        calls_limit=2,
        purpose=Purpose.QUALITY,
    )
    await desk.pbx.tells(found)
    await _is(desk, found, state=SupervisionState.ACTIVE, calls=2, call="lab.c1")
