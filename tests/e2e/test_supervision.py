"""Supervision on a real Asterisk: who hears whom in each mode and after each switch, by tones.

Both ways: by ARI's snoop channels, and by ChanSpy on an Asterisk without ARI.
"""

import asyncio
import time

import pytest

from e2e.conftest import BOTH_WAYS
from e2e.floor import Floor
from helpers.patience import until

pytestmark = pytest.mark.lab
both_ways = pytest.mark.parametrize("floor", BOTH_WAYS, indirect=True)

SUP = "2001"


async def _every_mode(floor: Floor, agent: str, number: str) -> None:
    customer, talker = await floor.talk(agent, number)
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    call = (await floor.api.get(f"/agents/{agent}"))["call"]
    session = await floor.begin(agent=agent)

    both = {"3001", agent}
    listen = {talker: {"3001"}, customer: {agent}, supervisor: both}
    pictures = {
        "whisper": {talker: {"3001", SUP}, customer: {agent}, supervisor: both},
        "barge": {talker: {"3001", SUP}, customer: {agent, SUP}, supervisor: both},
        "listen": listen,
    }
    await floor.hear(listen)
    for mode in ("whisper", "barge", "listen", "barge", "whisper", "listen"):
        answer = await floor.api.switch(session, mode)
        assert (answer.status, answer.body["mode"]) == (200, mode), answer
        await floor.hear(pictures[mode])

    answer = await floor.api.switch(session, "takeover")
    assert (answer.status, answer.body["mode"]) == (200, "takeover"), answer
    await talker.wait_state("idle")
    await floor.hear({customer: {SUP}, supervisor: {"3001"}})
    assert not await floor.agent_is(agent, "busy")
    kept = await floor.api.get(f"/calls/{call}")
    assert kept["state"] == "connected"
    assert {party["role"] for party in kept["parties"]} == {"customer", "supervisor"}
    assert (await floor.api.switch(session, "listen")).code == "supervision.mode_not_possible"
    await customer.hangup()
    await until(lambda: not floor.ours(), what="the session ended with its call")
    await supervisor.wait_state("idle")


@both_ways
@pytest.mark.parametrize(("agent", "number"), [("1001", "7000"), ("1007", "7002")], ids=["phone", "local"])
async def test_modes_and_switches(floor: Floor, agent: str, number: str) -> None:
    """In each mode, after each switch and after a take-over, each hears whom it should, and nobody else."""
    await _every_mode(floor, agent, number)


async def test_modes_and_switches_with_direct_media(direct_floor: Floor) -> None:
    """The same where the phones exchange their media directly, and Asterisk has to fetch it back."""
    await _every_mode(direct_floor, "1001", "7000")


@both_ways
async def test_direct_and_outbound_calls(floor: Floor) -> None:
    """A call that came by no queue, and one that the agent made, are supervised and taken over as well."""
    customer, agent, supervisor = await floor.phones.open("3001", "1002", SUP)
    await supervisor.auto_answer(0.0)
    for caller, callee, number in ((customer, agent, "1002"), (agent, customer, "80003001")):
        await caller.dial(number)
        await callee.answer()
        await until(lambda: floor.call_is("1002", "connected"), what="connected")
        session = await floor.begin(agent="1002", mode="whisper")
        await floor.hear({agent: {"3001", SUP}, customer: {"1002"}, supervisor: {"3001", "1002"}})
        assert (await floor.api.switch(session, "takeover")).status == 200
        await floor.hear({customer: {SUP}, supervisor: {"3001"}})
        await agent.wait_state("idle")
        assert (await floor.api.end(session)).status == 200
        await customer.wait_state("idle")
        await until(lambda: not floor.rig.channels(), what="the PBX is quiet")


@both_ways
async def test_her_keys_and_voice_do_nothing_in_listen(floor: Floor) -> None:
    """Whatever she says and whichever key she presses, a listening supervisor is heard by nobody."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001")
    began = time.monotonic()
    for key in "0123456789*#":
        await supervisor.dtmf(key)
    await floor.hear({agent: {"3001"}, customer: {"1001"}, supervisor: {"1001", "3001"}})
    for phone in (agent, customer):
        line = await floor.phones.timeline(phone, SUP, began)
        assert line.first_heard() is None, f"{phone} heard the supervisor"
    assert agent.digits == customer.digits == ""
    assert (await floor.api.get(f"/supervisions/{session}"))["mode"] == "listen"
    ended = await floor.api.end(session)
    assert (ended.status, ended.body["end"]) == (200, "released")
    await floor.hear({agent: {"3001"}, customer: {"1001"}})
    assert not floor.ours()


@both_ways
@pytest.mark.parametrize("who", ["customer", "agent", "supervisor"])
async def test_session_ends_by_itself(floor: Floor, who: str) -> None:
    """Whoever hangs up, the session ends and leaves nothing; without her the others' call goes on."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001", mode="barge")
    await {"customer": customer, "agent": agent, "supervisor": supervisor}[who].hangup()
    await until(lambda: not floor.ours(), what="nothing of the session is left")
    assert (await floor.api.switch(session, "listen")).code == "supervision.unknown"
    if who == "supervisor":
        await floor.hear({agent: {"3001"}, customer: {"1001"}})
    else:
        await supervisor.wait_state("idle")


@both_ways
async def test_refusals_before_anything_rings(floor: Floor) -> None:
    """No call, no such agent, a foreign phone, a wrong body: each has its code, and nothing rings."""
    await floor.phones.open("1001", SUP)
    await floor.refused(await floor.api.supervise(agent="1001"), 409, "supervision.no_live_call")
    await floor.refused(await floor.api.supervise(agent="4711"), 404, "agent.unknown")
    await floor.refused(await floor.api.supervise(call="lab.1.1"), 404, "call.unknown")
    await floor.refused(
        await floor.api.supervise(agent="1001", via={"phone": "3001"}), 403, "supervision.phone_not_allowed"
    )
    await floor.refused(await floor.api.supervise(agent="1001", mode="shout"), 422, "request.invalid")
    await floor.refused(await floor.api.supervise(), 422, "request.invalid")
    assert not floor.rig.channels()


@both_ways
async def test_refusals_of_her_phone(floor: Floor) -> None:
    """Her phone is unregistered, declines, is busy or does not answer: the code says so, the call goes on."""
    customer, agent = await floor.talk()
    await floor.refused(await floor.api.supervise(agent="1001"), 409, "supervision.phone_unreachable")
    supervisor, *_ = await floor.phones.open(SUP)
    await floor.refused(await floor.api.supervise(agent="1001"), 409, "supervision.phone_no_answer")
    for act, code in ((supervisor.decline, "phone_no_answer"), (supervisor.busy, "phone_busy")):
        asking = asyncio.ensure_future(floor.api.supervise(agent="1001"))  # noqa: TID251 - a client, in a test
        await supervisor.wait_state("ringing")
        await act()
        await floor.refused(await asking, 409, f"supervision.{code}")
    await supervisor.wait_state("idle")
    await floor.hear({agent: {"3001"}, customer: {"1001"}})


@both_ways
async def test_call_that_ends_while_her_phone_rings(floor: Floor) -> None:
    """The ringing stops at once, and the request is told that the call ended."""
    customer, _ = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    asking = asyncio.ensure_future(floor.api.supervise(agent="1001"))  # noqa: TID251 - a client, in a test
    await supervisor.wait_state("ringing")
    await customer.hangup()
    await floor.refused(await asking, 409, "supervision.call_ended")
    await supervisor.wait_state("idle")


@both_ways
async def test_failed_takeover_keeps_the_customer(floor: Floor) -> None:
    """Without the take-over's context nothing is moved: agent and customer talk on, she is still there."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001", mode="whisper")
    floor.rig.asterisk_cli("dialplan remove context ctid-takeover")
    try:
        answer = await floor.api.switch(session, "takeover")
        assert answer.status == 502, answer
        assert answer.code == "pbx.refused", answer
        await floor.hear({agent: {"3001", SUP}, customer: {"1001"}, supervisor: {"1001", "3001"}})
        assert (await floor.api.get(f"/supervisions/{session}"))["mode"] == "whisper"
    finally:
        floor.rig.asterisk_cli("dialplan reload")
    assert (await floor.api.switch(session, "takeover")).status == 200
    await floor.hear({customer: {SUP}, supervisor: {"3001"}})
    await supervisor.hangup()
    await customer.wait_state("idle")
