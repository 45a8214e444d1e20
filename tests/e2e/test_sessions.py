"""What a session does on a real Asterisk beyond one call: by tones, and by what her phone went through."""

import asyncio
import time
from functools import partial
from itertools import pairwise

import pytest

from e2e.floor import Floor
from helpers.patience import until
from lab import tones
from lab.phone_client import Phone

pytestmark = pytest.mark.lab

SUP = "2001"
QUIET_HZ = 425
NOTICE_HZ = 1400


async def _session(floor: Floor, session: str) -> dict[str, object]:
    return dict(await floor.api.get(f"/supervisions/{session}"))


async def _is(floor: Floor, session: str, **fields: object) -> None:
    """Wait until a session says so."""

    async def says() -> bool:
        answer = await floor.api.call("GET", f"/supervisions/{session}")
        return answer.status == 200 and all(answer.body[key] == value for key, value in fields.items())

    await until(says, what=f"{session} is {fields}")


async def _patch(floor: Floor, session: str, **body: object) -> dict[str, object]:
    answer = await floor.api.call("PATCH", f"/supervisions/{session}", body)
    assert answer.status == 200, answer
    return dict(answer.body)


async def _hears_tone(phone: Phone, hertz: float, since: float) -> bool:
    """Whether a phone has heard a tone of this frequency, for some 40 ms, since a time."""
    heard = await phone.heard(since)
    if len(heard.times) < tones.WINDOW_FRAMES:
        return False
    return bool((tones.levels(heard.samples, [hertz])[:, 0] >= tones.THRESHOLD).sum() >= 2)


def _rings(phone: Phone) -> int:
    states = [state for _, state in phone.history]
    return sum(now == "ringing" and before != "ringing" for before, now in pairwise(["idle", *states]))


async def _next_call(floor: Floor, customer: Phone, agent: Phone) -> None:
    await until(lambda: floor.agent_is(agent.number, "ready"), what="the agent is ready", within=15.0)
    await customer.dial("7001")
    await agent.answer()


async def test_follow_the_agent_over_three_calls(floor: Floor) -> None:
    """One ring of her phone: between the calls she hears the quiet tone, and after the third it ends."""
    customer, agent, supervisor = await floor.phones.open("3001", "1005", SUP)
    await supervisor.auto_answer(0.0)
    await until(lambda: floor.agent_is("1005", "ready"), what="the agent is ready")
    answer = await floor.api.supervise(agent="1005", scope="agent", calls=3)
    assert answer.status == 201, answer
    assert (answer.body["state"], answer.body["call"]) == ("waiting", None), answer
    session = str(answer.body["id"])
    for number in (1, 2, 3):
        hears = partial(_hears_tone, supervisor, QUIET_HZ, time.monotonic())
        await until(hears, what="the quiet tone", within=7.0)
        await _next_call(floor, customer, agent)
        await _is(floor, session, state="active", calls=number)
        listening = {agent: {"3001"}, customer: {"1005"}, supervisor: {"3001", "1005"}}
        await floor.hear(listening)
        await _patch(floor, session, mode="whisper")
        await floor.hear(listening | {agent: {"3001", SUP}})
        await customer.hangup()
    await supervisor.wait_state("idle")
    assert _rings(supervisor) == 1
    await until(lambda: not floor.ours(), what="nothing is left")


async def test_armed_for_the_next_call(floor: Floor) -> None:
    """Her phone is quiet until the agent's next call begins, and is in that one alone."""
    customer, agent = await floor.talk("1005", "7001")
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    answer = await floor.api.supervise(agent="1005", scope="next", mode="whisper")
    assert (answer.status, answer.body["state"]) == (201, "requested"), answer
    session = str(answer.body["id"])
    await floor.hear({agent: {"3001"}, customer: {"1005"}})
    assert _rings(supervisor) == 0
    await customer.hangup()
    await _next_call(floor, customer, agent)
    await _is(floor, session, state="active", mode="whisper")
    await floor.hear({agent: {"3001", SUP}, customer: {"1005"}, supervisor: {"3001", "1005"}})
    await customer.hangup()
    await supervisor.wait_state("idle")
    assert _rings(supervisor) == 1
    await until(lambda: not floor.ours(), what="nothing is left")
    answer = await floor.api.supervise(agent="1005", scope="next")
    ended = await floor.api.end(str(answer.body["id"]))
    assert (ended.status, ended.body["end"]) == (200, "released")


async def test_through_an_attended_transfer(floor: Floor) -> None:
    """The call goes to a colleague who was asked first: she hears it on, beside the new agent."""
    (agent,) = await floor.phones.open("1005", lines=2)
    customer, supervisor = await floor.phones.open("3001", SUP)
    await supervisor.auto_answer(0.0)
    await until(lambda: floor.agent_is("1005", "ready"), what="the agent is ready")
    await customer.dial("7001")
    await agent.answer()
    await until(lambda: floor.call_is("1005", "connected"), what="the call is connected")
    (colleague,) = await floor.phones.open("1004")
    await colleague.auto_answer(0.0)
    session = await floor.begin(agent="1005", mode="whisper")
    await agent.hold()
    await agent.dial("1004", line=2)
    await colleague.wait_state("connected")
    await agent.join()
    await _is(floor, session, state="active", agent="1004")
    await floor.hear({colleague: {"3001"}, customer: {"1004"}, supervisor: {"3001", "1004"}})
    await _patch(floor, session, mode="whisper")
    await floor.hear({colleague: {"3001", SUP}, customer: {"1004"}})
    assert _rings(supervisor) == 1
    await customer.hangup()
    await supervisor.wait_state("idle")


async def test_two_supervisors(floor: Floor) -> None:
    """Both hear; one leads and alone may be heard, until the other takes the lead."""
    customer, agent = await floor.talk()
    first, second = await floor.phones.open(SUP, "2002")
    for phone in (first, second):
        await phone.auto_answer(0.0)
    leader = await floor.begin(agent="1001", mode="whisper")
    refused = await floor.api.supervise(agent="1001", via={"phone": "2002"}, mode="whisper")
    assert (refused.status, refused.code) == (409, "supervision.not_leading"), refused
    answer = await floor.api.supervise(agent="1001", via={"phone": "2002"})
    assert (answer.status, answer.body["lead"]) == (201, False), answer
    other = str(answer.body["id"])
    await floor.hear({agent: {"3001", SUP}, customer: {"1001"}, first: {"3001", "1001"}})
    heard_by_second = await floor.phones.hears(second)
    assert {"3001", "1001"} <= heard_by_second
    assert (await floor.api.switch(other, "barge")).code == "supervision.not_leading"
    lead = await floor.api.call("PATCH", f"/supervisions/{other}", {"lead": True})
    assert lead.code == "supervision.not_leading", "the leader is heard just now"
    await _patch(floor, leader, mode="listen")
    await _patch(floor, other, lead=True, mode="barge")
    await floor.hear({agent: {"3001", "2002"}, customer: {"1001", "2002"}, second: {"3001", "1001"}})
    assert (await _session(floor, leader))["lead"] is False
    await floor.api.end(other)
    await _is(floor, leader, lead=True)
    await _patch(floor, leader, mode="whisper")
    await floor.hear({agent: {"3001", SUP}, customer: {"1001"}})


async def test_whom_she_hears_and_push_to_talk(floor: Floor) -> None:
    """One side or both, in any mode; muted she is heard by nobody, whatever the mode."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001", hear="customer")
    await floor.hear({supervisor: {"3001"}, agent: {"3001"}, customer: {"1001"}})
    await _patch(floor, session, hear="agent", mode="whisper")
    await floor.hear({supervisor: {"1001"}, agent: {"3001", SUP}, customer: {"1001"}})
    await _patch(floor, session, hear="both", mode="barge", muted=True)
    await floor.hear({supervisor: {"1001", "3001"}, agent: {"3001"}, customer: {"1001"}})
    assert (await _patch(floor, session, muted=False))["muted"] is False
    await floor.hear({agent: {"3001", SUP}, customer: {"1001", SUP}})
    await _patch(floor, session, muted=True)
    await floor.hear({agent: {"3001"}, customer: {"1001"}})


async def test_handed_back(floor: Floor) -> None:
    """The customer is with the supervisor until the agent answers, then with her; ctid leaves nothing."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001")
    refused = await floor.api.switch(session, "handback")
    assert refused.code == "supervision.mode_not_possible"
    assert (await floor.api.switch(session, "takeover")).status == 200
    await agent.wait_state("idle")
    await until(lambda: floor.agent_is("1001", "working_after_call"), what="after-call work")
    asking = asyncio.ensure_future(floor.api.switch(session, "handback"))  # noqa: TID251 - a client, in a test
    await agent.wait_state("ringing")
    await floor.hear({customer: {SUP}, supervisor: {"3001"}})
    await agent.answer()
    answer = await asking
    assert (answer.status, answer.body["state"], answer.body["end"]) == (200, "ended", "handed_back"), answer
    await floor.hear({customer: {"1001"}, agent: {"3001"}})
    await supervisor.wait_state("idle")
    await until(lambda: not floor.ours(), what="nothing of ctid is left")
    await until(lambda: floor.call_is("1001", "connected"), what="the call is hers again")


async def test_handed_back_in_vain(floor: Floor) -> None:
    """The agent declines: the customer has never left the supervisor."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001", mode="takeover")
    await agent.wait_state("idle")
    await until(lambda: floor.agent_is("1001", "working_after_call"), what="after-call work")
    asking = asyncio.ensure_future(floor.api.switch(session, "handback"))  # noqa: TID251 - a client, in a test
    await agent.wait_state("ringing")
    await agent.decline()
    assert (await asking).code == "supervision.agent_no_answer"
    await floor.hear({customer: {SUP}, supervisor: {"3001"}})
    await _is(floor, session, state="active", mode="takeover")
    await supervisor.hangup()
    await customer.wait_state("idle")


async def test_whisper_while_it_rings_out(floor: Floor) -> None:
    """A call made for the agent: her leg is up, the customer's rings, and she alone hears the supervisor."""
    customer, agent, supervisor = await floor.phones.open("3001", "1002", SUP)
    for phone in (agent, supervisor):
        await phone.auto_answer(0.0)
    floor.rig.asterisk_cli("channel originate PJSIP/1002 extension 80003001@from-internal")
    await customer.wait_state("ringing")
    await until(lambda: floor.call_is("1002", "alerting"), what="it rings out")
    session = await floor.begin(agent="1002", mode="whisper")
    await floor.hear({agent: {SUP}, supervisor: {"1002"}})
    assert (await floor.api.switch(session, "takeover")).code == "supervision.mode_not_possible"
    await customer.answer()
    await floor.hear({agent: {SUP, "3001"}, customer: {"1002"}, supervisor: {"1002", "3001"}})
    await customer.hangup()
    await supervisor.wait_state("idle")
