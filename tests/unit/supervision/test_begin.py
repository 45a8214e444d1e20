import asyncio

import pytest
from msgspec.structs import replace

from ctid.model.commands import StartSupervision
from ctid.model.entities import Supervision
from ctid.model.errors import SupervisionRefused
from ctid.model.ids import CallId
from ctid.model.users import User, UserRole
from ctid.model.words import Mode, Purpose, SupervisionState
from ctid.supervision import service
from ctid.supervision.requests import StartRequest, Via
from helpers.desk import LAB, PAUL, ROOT, SOFIA, Desk, listen, refused_of
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
