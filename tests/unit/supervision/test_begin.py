import asyncio

import pytest
from msgspec.structs import replace

from ctid.model.capabilities import Capability
from ctid.model.commands import StartSupervision
from ctid.model.entities import Supervision
from ctid.model.errors import Forbidden, SupervisionRefused
from ctid.model.ids import AgentId, CallId, HelpId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import Hear, Mode, NoticeKind, Origin, Purpose, Scope, SupervisionState
from ctid.supervision import service
from ctid.supervision.law import Admission, Plan
from ctid.supervision.requests import ChangeRequest, StartRequest, Via
from ctid.supervision.rights import Staff
from helpers.desk import LAB, PAUL, ROOT, SOFIA, Desk, arm, follow, listen, refused_of
from helpers.floor import BASE
from helpers.patience import until

SHORT_S = 0.05


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
        calls=1,
        purpose=Purpose.TRAINING,
        note="week 3",
    )
    assert (session.agent, session.call) == ("1001", "lab.c1")
    assert desk.hub.store.calls[session.call or CallId("")].supervisions == (session.id,)


async def test_the_command_names_the_agents_leg_and_the_phones_address(desk: Desk) -> None:
    """The phone's name becomes its address here."""
    await desk.service.start(SOFIA, listen())
    (command,) = desk.pbx.commands
    assert isinstance(command, StartSupervision)
    assert (command.target, command.address, command.ring_s) == ("a1", "PJSIP/2001", 20.0)
    assert command.supervision.state is SupervisionState.RINGING


async def test_an_admin_may_use_any_phone(desk: Desk) -> None:
    """The phones of a token bind supervisors."""
    session = await desk.service.start(ROOT, listen(phone="paul's"))
    assert (session.supervisor, session.phone) == ("root", "paul's")


@pytest.mark.parametrize("via", [Via(), Via(browser=True), Via(phone="desk", browser=True)])
async def test_without_a_phone_it_is_refused(desk: Desk, via: Via) -> None:
    """The field is named, and how to do it."""
    request = StartRequest(via=via, purpose=Purpose.QUALITY, agent="1001")
    refused = await refused_of(desk, request)
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
    refused = await refused_of(desk, listen(phone=phone), user)
    assert (refused.code, refused.status) == ("supervision.phone_not_allowed", 403)
    assert told in refused.detail


async def test_a_phone_of_another_pbx_is_refused(desk: Desk) -> None:
    """It cannot be put into a call of this one."""
    assert (await refused_of(desk, listen(phone="away"))).code == "supervision.phone_not_allowed"
    assert desk.other.commands == []


async def test_whom_and_what_cannot_be_listened_to_is_refused(desk: Desk) -> None:
    """Unknown, without a call, or named twice: each with its code."""
    for request, code in (
        (listen("9999"), "agent.unknown"),
        (listen(None, call="lab.c9"), "call.unknown"),
        (listen("1002"), "supervision.no_live_call"),
        (listen("1001", call="lab.c1"), "request.invalid"),
    ):
        assert (await refused_of(desk, request)).code == code


async def test_a_pbx_that_is_down_is_refused_before_its_state_is_looked_at(desk: Desk) -> None:
    """Nobody is told `no_live_call` of a state that is stale."""
    desk.hub.attach(LAB, None)
    for agent in ("1001", "1002", "9999"):
        assert (await refused_of(desk, listen(agent))).code == "pbx.link_down"


async def test_a_pbx_that_cannot_supervise_is_refused(desk: Desk) -> None:
    """Without the ability nothing is sent."""
    desk.pbx.capabilities = frozenset()
    assert (await refused_of(desk, listen())).code == "pbx.link_down"


async def test_a_phone_is_in_one_session_at_a_time(desk: Desk) -> None:
    """While it rings, and while it is in a session; free again after its end."""
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    first = asyncio.gather(desk.service.start(SOFIA, listen()))
    await until(lambda: bool(desk.sessions))
    assert (await refused_of(desk, listen())).code == "supervision.already_active"
    desk.pbx.rings.set_result(None)
    (session,) = await first
    assert (await refused_of(desk, listen(), ROOT)).code == "supervision.already_active"
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


# Later calls ------------------------------------------------------------------------------------------


async def test_a_session_follows_an_agent_from_her_call_on(desk: Desk) -> None:
    """Bounded by what was asked and by what the gate allows, whichever is less."""
    desk.gate.admission = Admission(until=Instant(BASE + 90.0), calls_limit=2, notice=NoticeKind.MQTT)
    session = await desk.service.start(SOFIA, follow(calls=5, minutes=1, mode=Mode.WHISPER, hear=Hear.AGENT))
    assert (session.state, session.scope, session.call) == (SupervisionState.ACTIVE, Scope.AGENT, "lab.c1")
    assert (session.calls, session.calls_limit, session.until) == (1, 2, BASE + 60.0)
    assert (session.mode, session.hear, session.notice) == (Mode.WHISPER, Hear.AGENT, NoticeKind.MQTT)
    desk.gate.admission = Admission(until=Instant(BASE + 30.0))
    second = await desk.service.start(SOFIA, follow("1002", phone="second", calls=5, minutes=1))
    assert (second.calls_limit, second.until) == (5, BASE + 30.0)


async def test_a_session_waits_for_an_agent_who_has_no_call(desk: Desk) -> None:
    """Her phone rings at once, and is in no call."""
    session = await desk.service.start(SOFIA, follow("1002"))
    assert (session.state, session.agent, session.call) == (SupervisionState.WAITING, "1002", None)
    assert (session.calls, session.calls_limit, session.until) == (0, None, None)
    (command,) = desk.pbx.commands
    assert isinstance(command, StartSupervision)
    assert command.target is None


async def test_a_session_is_armed_without_a_ring(desk: Desk) -> None:
    """Nothing is sent; its phone is reserved, and it leads in no call."""
    session = await desk.service.start(SOFIA, arm(mode=Mode.BARGE, note="next"))
    assert (session.state, session.agent, session.call) == (SupervisionState.REQUESTED, "1001", None)
    assert (session.mode, session.calls, session.lead) == (Mode.BARGE, 0, True)
    assert desk.pbx.commands == []
    assert desk.sessions == {session.id: session}
    assert desk.hub.store.calls[CallId("lab.c1")].supervisions == ()
    assert (await refused_of(desk, listen())).code == "supervision.already_active"


@pytest.mark.parametrize("scope", [Scope.NEXT, Scope.AGENT])
async def test_only_an_agent_has_later_calls(desk: Desk, scope: Scope) -> None:
    """A call has none."""
    refused = await refused_of(desk, listen(None, call="lab.c1", scope=scope))
    assert (refused.code, refused.field) == ("request.invalid", "agent")


@pytest.mark.parametrize("scope", [Scope.NEXT, Scope.CALL])
async def test_only_who_follows_an_agent_counts_calls(desk: Desk, scope: Scope) -> None:
    """A bound that would bind nothing is refused rather than forgotten."""
    refused = await refused_of(desk, listen(scope=scope, calls=2))
    assert (refused.code, refused.field) == ("request.invalid", "calls")


@pytest.mark.parametrize("scope", [Scope.NEXT, Scope.AGENT])
async def test_only_a_call_that_goes_on_is_taken_over(desk: Desk, scope: Scope) -> None:
    """Nobody takes a customer from an agent unseen."""
    refused = await refused_of(desk, listen(scope=scope, mode=Mode.TAKEOVER))
    assert (refused.code, refused.field) == ("request.invalid", "mode")


@pytest.mark.parametrize("scope", [Scope.NEXT, Scope.AGENT])
async def test_a_phone_of_another_pbx_cannot_wait_here(desk: Desk, scope: Scope) -> None:
    """The agent's PBX counts where there is no call."""
    refused = await refused_of(desk, listen("1002", phone="away", scope=scope))
    assert refused.code == "supervision.phone_not_allowed"


async def test_whom_she_hears_is_the_pbxs_ability(desk: Desk) -> None:
    """One that cannot let her hear the customer alone refuses it, and lets her hear the agent."""
    desk.pbx.capabilities = frozenset({Capability.SUPERVISE})
    refused = await refused_of(desk, listen(hear=Hear.CUSTOMER))
    assert refused.code == "supervision.mode_not_possible"
    assert (await desk.service.start(SOFIA, listen(hear=Hear.AGENT))).hear is Hear.AGENT


async def test_who_takes_over_hears_the_customer(desk: Desk) -> None:
    """To ask for one side with it is no request."""
    refused = await refused_of(desk, listen(mode=Mode.TAKEOVER, hear=Hear.AGENT))
    assert (refused.code, refused.field) == ("request.invalid", "hear")


# The gate ---------------------------------------------------------------------------------------------


async def test_the_gate_is_asked_for_what_is_wanted(desk: Desk) -> None:
    """With who, whom, of what team, how, why, and the session's own id."""
    session = await desk.service.start(
        SOFIA,
        listen(mode=Mode.WHISPER, note="week 3", purpose=Purpose.TRAINING),
        origin=Origin.AGENT_REQUEST,
        help=HelpId("h1"),
    )
    assert (session.origin, session.help) == (Origin.AGENT_REQUEST, "h1")
    assert desk.gate.asked == [
        Plan(
            session=session.id,
            user=SOFIA,
            agent=AgentId("1001"),
            team="north",
            is_supervisor=False,
            call=CallId("lab.c1"),
            mode=Mode.WHISPER,
            scope=Scope.CALL,
            purpose=Purpose.TRAINING,
            origin=Origin.AGENT_REQUEST,
            note="week 3",
        )
    ]
    desk.gate.staff = Staff(supervisors=frozenset({AgentId("1001")}))
    await desk.service.start(SOFIA, arm("1001", phone="second"))
    asked = desk.gate.asked[-1]
    assert (asked.call, asked.scope, asked.is_supervisor) == (None, Scope.NEXT, True)
    await desk.service.change(SOFIA, session.id, ChangeRequest(muted=True))
    assert desk.gate.asked[-1].is_supervisor


@pytest.mark.parametrize("scope", list(Scope))
async def test_whom_the_gate_refuses_hears_nothing(desk: Desk, scope: Scope) -> None:
    """Nothing rings, nothing is armed, and the refusal is audited; the lead of the call is free."""
    desk.gate.refuses = lambda plan: Forbidden("no right") if plan.user is SOFIA else None
    assert (await refused_of(desk, listen(scope=scope))).code == "auth.forbidden"
    assert desk.sessions == {}
    desk.gate.refuses = lambda _: None
    assert (await desk.service.start(PAUL, listen(phone="paul's", mode=Mode.BARGE))).lead


async def test_a_warning_is_audited(desk: Desk) -> None:
    """What she was warned of stands with what she asked for."""
    desk.gate.admission = Admission(warnings=("45 of 60 minutes", "the third today"))
    await desk.service.start(SOFIA, listen())
    assert desk.entries()[0].detail == "45 of 60 minutes; the third today"
