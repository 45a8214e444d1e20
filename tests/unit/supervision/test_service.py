import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ctid.audit import Entry
from ctid.model.capabilities import Capability
from ctid.model.commands import Command, EndSupervision, StartSupervision, SwitchSupervision, TakeOver
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, Forbidden, NotFound, PbxRefused, PbxTimeout, SupervisionRefused
from ctid.model.facts import CallerAbandoned, SupervisionChanged
from ctid.model.ids import AgentId, CallId, LegId, QueueId, SupervisionId
from ctid.model.users import Right, User, UserRole
from ctid.model.words import Mode, NoticeKind, Purpose, Scope, SupervisionEnd, SupervisionState
from ctid.state.invariants import violations
from ctid.supervision import service
from ctid.supervision.gate import Gate
from ctid.supervision.law import Law
from ctid.supervision.requests import ChangeRequest, StartRequest, Via
from ctid.supervision.rights import ALL, Grant, Rights, Staff
from ctid.supervision.service import PHONE_KEYS, Policy
from helpers.desk import LAB, PAUL, ROOT, SOFIA, Desk, listen
from helpers.floor import BASE
from helpers.gates import NO_LAW
from helpers.patience import until

SHORT_S = 0.05


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    """A desk at which agent 1001 talks with a customer; the state's invariants hold at the end."""
    async with Desk(tmp_path) as desk:
        yield desk
        assert violations(desk.hub.store) == []


def _mode(mode: Mode) -> ChangeRequest:
    return ChangeRequest(mode=mode)


async def _refused(desk: Desk, request: StartRequest, user: User = SOFIA) -> CtidError:
    """Have a request refused before anything is sent, and see that the audit says who asked for what."""
    commands, journal = list(desk.pbx.commands), list(desk.journal)
    with pytest.raises(CtidError) as refused:
        await desk.service.start(user, request)
    assert desk.pbx.commands == commands
    assert desk.journal.count("audit refused") == journal.count("audit refused") + 1
    entry = next(entry for entry in reversed(desk.entries()) if entry.event == "refused")
    assert (entry.supervision, entry.request) == (None, request)
    assert (entry.by, entry.detail) == (user.name, refused.value.code)
    return refused.value


def _audited(desk: Desk) -> list[tuple[Entry, Supervision]]:
    """The entries of sessions that there were."""
    return [(entry, entry.supervision) for entry in desk.entries() if entry.supervision is not None]


# Starting ---------------------------------------------------------------------------------------------


async def test_a_session_starts_and_is_told_as_it_is(desk: Desk) -> None:
    """The answer is the session of the state, active, with who, whom, why and by what phone."""
    request = StartRequest(
        via=Via(phone="desk"), purpose=Purpose.TRAINING, agent="1001", mode=Mode.WHISPER, note="week 3"
    )
    session = await desk.service.start(SOFIA, request)
    assert desk.sessions == {session.id: session}
    assert replace(session, confirmed_at=None) == Supervision(
        id=session.id,
        pbx=LAB,
        state=SupervisionState.ACTIVE,
        mode=Mode.WHISPER,
        since=BASE,
        started_at=BASE,
        supervisor="sofia",
        phone="desk",
        agent=session.agent,
        call=session.call,
        purpose=Purpose.TRAINING,
        note="week 3",
    )
    assert (session.agent, session.call) == ("1001", "lab.c1")
    assert desk.hub.store.calls[session.call or CallId("")].supervisions == (session.id,)


async def test_the_command_names_the_agents_leg_and_the_phones_address(desk: Desk) -> None:
    """The phone's name becomes its address here, and her keys do nothing unless they are allowed."""
    await desk.service.start(SOFIA, listen())
    (command,) = desk.pbx.commands
    assert isinstance(command, StartSupervision)
    assert (command.target, command.address, command.ring_s, command.keys) == ("a1", "PJSIP/2001", 20.0, {})
    assert command.supervision.state is SupervisionState.RINGING


@pytest.mark.parametrize(
    ("policy", "user", "allowed"),
    [
        (Policy(phone_keys=True, ring_s=7.0), SOFIA, True),
        (Policy(phone_keys=True, phone_keys_roles=frozenset({UserRole.ADMIN})), SOFIA, False),
        (Policy(phone_keys=True, phone_keys_roles=frozenset({UserRole.ADMIN})), ROOT, True),
        (Policy(phone_keys=False), ROOT, False),
    ],
)
async def test_her_keys_switch_only_where_policy_and_role_allow_it(
    tmp_path: Path, policy: Policy, user: User, *, allowed: bool
) -> None:
    """The switch in the configuration, and the role, are both needed."""
    async with Desk(tmp_path, policy) as desk:
        await desk.service.start(user, listen())
        (command,) = desk.pbx.commands
        assert isinstance(command, StartSupervision)
        assert command.keys == (PHONE_KEYS if allowed else {})
        assert command.ring_s == policy.ring_s


async def test_an_admin_may_use_any_phone(desk: Desk) -> None:
    """The phones of a token bind supervisors."""
    session = await desk.service.start(ROOT, listen(phone="paul's"))
    assert (session.supervisor, session.phone) == ("root", "paul's")


@pytest.mark.parametrize("scope", [Scope.NEXT, Scope.AGENT])
async def test_a_scope_that_is_not_there_is_refused(desk: Desk, scope: Scope) -> None:
    """Rather than taken for another."""
    request = StartRequest(via=Via(phone="desk"), purpose=Purpose.QUALITY, agent="1001", scope=scope)
    assert (await _refused(desk, request)).code == "supervision.scope_not_supported"


@pytest.mark.parametrize("via", [Via(), Via(browser=True), Via(phone="desk", browser=True)])
async def test_without_a_phone_it_is_refused(desk: Desk, via: Via) -> None:
    """The field is named, and how to do it."""
    request = StartRequest(via=via, purpose=Purpose.QUALITY, agent="1001")
    refused = await _refused(desk, request)
    assert (refused.code, refused.field) == ("request.invalid", "via.phone")


@pytest.mark.parametrize(
    ("user", "phone", "told"),
    [
        (PAUL, "desk", "these phones: paul's; not 'desk'"),
        (SOFIA, "PJSIP/2001", "these phones: away, desk, second; not"),
        (ROOT, "nobody's", "these phones: away, desk, paul's, second; not"),
        (User(name="new", role=UserRole.SUPERVISOR), "desk", "these phones: none; not"),
    ],
)
async def test_a_phone_that_is_not_hers_is_refused(desk: Desk, user: User, phone: str, told: str) -> None:
    """Somebody else's, and one that is a dial string; the text says which she may use."""
    refused = await _refused(desk, listen(phone=phone), user)
    assert (refused.code, refused.status) == ("supervision.phone_not_allowed", 403)
    assert told in refused.detail


async def test_a_phone_of_another_pbx_is_refused(desk: Desk) -> None:
    """It cannot be put into a call of this one."""
    assert (await _refused(desk, listen(phone="away"))).code == "supervision.phone_not_allowed"
    assert desk.other.commands == []


async def test_whom_and_what_cannot_be_listened_to_is_refused(desk: Desk) -> None:
    """Unknown, without a call, or named twice: each with its code."""
    for request, code in (
        (listen("9999"), "agent.unknown"),
        (listen(None, call="lab.c9"), "call.unknown"),
        (listen("1002"), "supervision.no_live_call"),
        (listen("1001", call="lab.c1"), "request.invalid"),
    ):
        assert (await _refused(desk, request)).code == code


async def test_a_pbx_that_is_down_is_refused_before_its_state_is_looked_at(desk: Desk) -> None:
    """Nobody is told `no_live_call` of a state that is stale."""
    desk.hub.attach(LAB, None)
    for agent in ("1001", "1002", "9999"):
        assert (await _refused(desk, listen(agent))).code == "pbx.link_down"


async def test_a_pbx_that_cannot_supervise_is_refused(desk: Desk) -> None:
    """Without the ability nothing is sent."""
    desk.pbx.capabilities = frozenset()
    assert (await _refused(desk, listen())).code == "pbx.link_down"


async def test_a_phone_is_in_one_session_at_a_time(desk: Desk) -> None:
    """While it rings, and while it is in a session; free again after its end."""
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    first = asyncio.gather(desk.service.start(SOFIA, listen()))
    await until(lambda: bool(desk.sessions))
    assert (await _refused(desk, listen())).code == "supervision.already_active"
    desk.pbx.rings.set_result(None)
    (session,) = await first
    assert (await _refused(desk, listen(), ROOT)).code == "supervision.already_active"
    other = await desk.service.start(SOFIA, listen(phone="second"))
    await desk.service.end(SOFIA, session.id)
    assert (await desk.service.start(SOFIA, listen())).phone == "desk"
    assert other.id in desk.sessions


async def test_a_phone_is_free_again_after_a_failure(desk: Desk) -> None:
    """A call that nobody answered does not keep it."""
    desk.pbx.fails[StartSupervision] = SupervisionRefused("phone_no_answer", "it rang for 20 s")
    for _ in range(2):
        with pytest.raises(SupervisionRefused) as refused:
            await desk.service.start(SOFIA, listen())
        assert refused.value.code == "supervision.phone_no_answer"
    desk.pbx.fails.clear()
    assert (await desk.service.start(SOFIA, listen())).state is SupervisionState.ACTIVE


async def test_two_requests_at_once_for_one_phone_start_one_session(desk: Desk) -> None:
    """The second is refused although the first is not told yet: it is still being audited."""
    outcomes = await asyncio.gather(
        desk.service.start(SOFIA, listen()), desk.service.start(SOFIA, listen()), return_exceptions=True
    )
    assert [getattr(outcome, "code", "started") for outcome in outcomes] == [
        "started",
        "supervision.already_active",
    ]


async def test_a_session_that_is_over_at_once_is_told_as_such(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The PBX did it, and the call ended before the state said so."""
    monkeypatch.setattr(service, "SETTLE_S", SHORT_S)
    desk.pbx.mute.add(StartSupervision)
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.start(SOFIA, listen())
    assert refused.value.code == "supervision.call_ended"
    assert desk.sessions == {}


# The audit --------------------------------------------------------------------------------------------


async def test_every_step_is_audited_before_it_is_taken(desk: Desk) -> None:
    """Start and switch; what is seen of the session is audited as it is seen."""
    session = await desk.service.start(SOFIA, listen())
    assert desk.journal[:2] == ["audit requested", "command StartSupervision"]
    await until(lambda: desk.journal.count("audit active") == 1)
    await desk.service.change(SOFIA, session.id, _mode(Mode.BARGE))
    switched = desk.journal.index("command SwitchSupervision")
    assert desk.journal[switched - 1] == "audit requested"
    await until(lambda: desk.journal.count("audit active") == 2)
    await desk.service.end(SOFIA, session.id)
    await until(lambda: "audit ended" in desk.journal)
    told = [(entry.event, supervision.mode, entry.by) for entry, supervision in _audited(desk)]
    assert told == [
        ("requested", Mode.LISTEN, "sofia"),
        ("ringing", Mode.LISTEN, ""),
        ("active", Mode.LISTEN, ""),
        ("requested", Mode.BARGE, "sofia"),
        ("active", Mode.BARGE, ""),
        ("requested", Mode.BARGE, "sofia"),
        ("ended", Mode.BARGE, ""),
    ]
    assert {supervision.id for _, supervision in _audited(desk)} == {session.id}
    assert desk.journal[-3:] == ["audit requested", "command EndSupervision", "audit ended"]


async def test_who_asked_is_audited_where_it_was_not_her(desk: Desk) -> None:
    """An admin who switches somebody's session is named."""
    session = await desk.service.start(SOFIA, listen())
    await desk.service.change(ROOT, session.id, _mode(Mode.WHISPER))
    requested = [(entry.by, s.supervisor) for entry, s in _audited(desk) if entry.event == "requested"]
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
        await desk.service.change(SOFIA, session.id, _mode(Mode.BARGE))
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
    assert desk.pbx.commands[-1] == EndSupervision(supervision=session.id, reason=SupervisionEnd.RELEASED)
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


# Changing ---------------------------------------------------------------------------------------------


async def test_a_switch_is_one_command_and_answers_with_the_truth(desk: Desk) -> None:
    """Listen, whisper, barge, listen: the session keeps its id, and each answer is the state's."""
    session = await desk.service.start(SOFIA, listen())
    for mode in (Mode.WHISPER, Mode.BARGE, Mode.LISTEN):
        changed = await desk.service.change(SOFIA, session.id, _mode(mode))
        assert (changed.id, changed.mode) == (session.id, mode)
        assert desk.sessions[session.id] == changed
        assert desk.pbx.commands[-1] == SwitchSupervision(supervision=session.id, mode=mode)


async def test_a_switch_to_what_it_is_already_does_nothing(desk: Desk) -> None:
    """Asked twice, done once."""
    session = await desk.service.start(SOFIA, listen())
    assert await desk.service.change(SOFIA, session.id, _mode(Mode.LISTEN)) == session
    assert len(desk.pbx.commands) == 1


async def test_a_session_is_its_supervisors_and_the_admins(desk: Desk) -> None:
    """Another supervisor is told whose it is, and can neither switch nor end it."""
    session = await desk.service.start(SOFIA, listen())
    for step in (
        desk.service.change(PAUL, session.id, _mode(Mode.BARGE)),
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
        desk.service.change(SOFIA, SupervisionId("s0"), _mode(Mode.BARGE)),
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
        await desk.service.change(SOFIA, session.id, _mode(Mode.BARGE))
    assert refused.value.code == "supervision.not_active"
    desk.pbx.rings.set_result(None)
    await starting


async def test_a_switch_that_fails_leaves_the_session_as_it_was(desk: Desk) -> None:
    """The state tells what the PBX does, not what was asked."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.fails[SwitchSupervision] = PbxTimeout("no answer")
    with pytest.raises(PbxTimeout):
        await desk.service.change(SOFIA, session.id, _mode(Mode.BARGE))
    assert desk.sessions == {session.id: session}


async def test_a_switch_that_is_not_seen_is_a_timeout(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The PBX said yes, and its facts do not: the client is not told what is not known."""
    monkeypatch.setattr(service, "SETTLE_S", SHORT_S)
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.mute.add(SwitchSupervision)
    with pytest.raises(PbxTimeout) as refused:
        await desk.service.change(SOFIA, session.id, _mode(Mode.BARGE))
    assert refused.value.code == "pbx.timeout"
    assert desk.sessions == {session.id: session}


# Taking over ------------------------------------------------------------------------------------------


async def test_a_take_over_names_whom_to_keep_and_whom_to_release(desk: Desk) -> None:
    """The customer's leg and the agent's; after it there is no other mode."""
    session = await desk.service.start(SOFIA, listen())
    taken = await desk.service.change(SOFIA, session.id, _mode(Mode.TAKEOVER))
    assert taken.mode is Mode.TAKEOVER
    command = desk.pbx.commands[-1]
    assert isinstance(command, TakeOver)
    assert (command.supervision, command.customer, command.agent) == (session.id, "c1", "a1")
    with pytest.raises(SupervisionRefused, match="the agent has left") as refused:
        await desk.service.change(SOFIA, session.id, _mode(Mode.LISTEN))
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
    requested = [supervision.mode for entry, supervision in _audited(desk) if entry.event == "requested"]
    assert requested == [Mode.TAKEOVER, Mode.TAKEOVER]


async def test_a_take_over_that_fails_keeps_the_sessions_truth(desk: Desk) -> None:
    """The refusal reaches the client, and the session goes on in the mode that it really has."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.fails[TakeOver] = SupervisionRefused("takeover_failed", "the customer is with the agent")
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, _mode(Mode.TAKEOVER))
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
    assert (await _refused(desk, request)).code == "supervision.mode_not_possible"
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, _mode(Mode.TAKEOVER))
    assert refused.value.code == "supervision.mode_not_possible"
    assert len(desk.pbx.commands) == 1


async def test_a_call_that_is_over_is_not_taken_over(desk: Desk) -> None:
    """The session is still there for a moment, and its call is not."""
    session = await desk.service.start(SOFIA, listen())
    desk.pbx.mute.add(EndSupervision)
    desk.script.call_over("1001", "support", "c1", "a1")
    await desk.told()
    with pytest.raises(SupervisionRefused) as refused:
        await desk.service.change(SOFIA, session.id, _mode(Mode.TAKEOVER))
    assert refused.value.code == "supervision.call_ended"


# Ending -----------------------------------------------------------------------------------------------


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
    _, last = _audited(desk)[-1]
    assert (last.id, last.end) == (session.id, SupervisionEnd.CALL_ENDED)
    assert desk.pbx.commands[-1] == EndSupervision(supervision=session.id, reason=SupervisionEnd.CALL_ENDED)


async def test_a_session_follows_a_merge_and_ends_with_what_it_followed(desk: Desk) -> None:
    """A call that became part of another has not ended: nobody is thrown out, before that one ends."""
    session = await desk.service.start(SOFIA, listen())
    desk.script.put_leg("c1", call="k2")
    desk.script.put_leg("a1", call="k2")
    await desk.told()
    assert desk.sessions[session.id].call == "lab.k2"
    switched = await desk.service.change(SOFIA, session.id, _mode(Mode.WHISPER))
    assert (switched.call, switched.mode) == ("lab.k2", Mode.WHISPER)
    assert not any(isinstance(command, EndSupervision) for command in desk.pbx.commands)
    desk.script.call_over("1001", "support", "c1", "a1")
    await desk.told()
    await until(lambda: desk.sessions == {})
    assert desk.pbx.commands[-1] == EndSupervision(supervision=session.id, reason=SupervisionEnd.CALL_ENDED)


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


# The gate ---------------------------------------------------------------------------------------------


def _gate(*rights: Right, law: Law = NO_LAW) -> Gate:
    """Supervisors have these rights over everybody; 1002 is protected."""
    grant = Grant(role=UserRole.SUPERVISOR, teams=frozenset({ALL}), rights=frozenset(rights))
    return Gate(rights=Rights([grant]), law=law, staff=Staff(protected=frozenset({AgentId("1002")})))


async def test_what_the_gate_refuses_rings_nobody_and_is_audited(tmp_path: Path) -> None:
    """Without the right nothing is sent to the PBX; the audit has who asked for what."""
    async with Desk(tmp_path, gate=_gate(Right.WHISPER)) as desk:
        refused = await _refused(desk, listen())
        assert refused.code == "auth.forbidden"
        assert "right 'listen'" in refused.detail


async def test_a_mode_that_she_has_no_right_to_is_refused_and_audited(tmp_path: Path) -> None:
    """With only `listen` she stays unheard, whatever she asks for; her keys do nothing either."""
    async with Desk(tmp_path, Policy(phone_keys=True), gate=_gate(Right.LISTEN)) as desk:
        session = await desk.service.start(SOFIA, listen())
        (command,) = desk.pbx.commands
        assert isinstance(command, StartSupervision)
        assert command.keys == {"4": Mode.LISTEN}
        for mode in (Mode.WHISPER, Mode.BARGE, Mode.TAKEOVER):
            with pytest.raises(Forbidden):
                await desk.service.change(SOFIA, session.id, _mode(mode))
            refused = desk.entries()[-1]
            assert (refused.event, refused.by, refused.detail) == ("refused", "sofia", "auth.forbidden")
            assert refused.supervision is not None
            assert refused.supervision.id == session.id
        assert len(desk.pbx.commands) == 1


async def test_a_session_bears_what_it_was_admitted_with(tmp_path: Path) -> None:
    """Until when it may last, and how the agent is told; what it does is counted."""
    law = replace(NO_LAW, max_session_s=600.0, agent_sessions_per_day=1)
    async with Desk(tmp_path, gate=_gate(Right.LISTEN, Right.BARGE, law=law)) as desk:
        session = await desk.service.start(SOFIA, listen())
        assert (session.until, session.calls_limit, session.notice) == (BASE + 600, None, NoticeKind.MQTT)
        changed = await desk.service.change(SOFIA, session.id, _mode(Mode.BARGE))
        assert changed.mode is Mode.BARGE
        await desk.service.end(SOFIA, session.id)
        assert (await _refused(desk, listen())).code == "supervision.quota_reached"


async def test_what_was_before_a_restart_counts(tmp_path: Path) -> None:
    """The audit seeds the gate of the next start."""
    law = replace(NO_LAW, agent_sessions_per_day=1)
    async with Desk(tmp_path, gate=_gate(Right.LISTEN, law=law)) as desk:
        session = await desk.service.start(SOFIA, listen())
        await desk.service.end(SOFIA, session.id)
    again = _gate(Right.LISTEN, law=law)
    again.seed(await desk.audit.steps())
    async with Desk(tmp_path, gate=again) as desk:
        assert (await _refused(desk, listen())).code == "supervision.quota_reached"
