"""Supervision without ARI, by ChanSpy alone: what is special to that way, by tones on a real Asterisk.

What both ways have in common is proved for both in `test_supervision`. The driver is commanded here without
the daemon around it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from unittest.mock import ANY

import numpy as np
import pytest
from msgspec.structs import replace

from ctid.model.capabilities import Capability
from ctid.model.commands import GiveNotice, HandBack
from ctid.model.errors import SupervisionRefused
from ctid.model.ids import AgentId
from ctid.model.words import Hear, Mode, SupervisionEnd, SupervisionState
from e2e.conftest import leave_quiet
from e2e.direct import Direct, direct
from e2e.floor import EVERYONE_TALKS
from helpers.patience import until
from lab import tones
from lab.phone_client import Phone
from lab.phones import Phones
from lab.rig import Rig

pytestmark = pytest.mark.lab

SUP = "2001"
BEEP_HZ = 700.0
"""Of the sound `beep` that Asterisk comes with."""


@pytest.fixture(scope="module")
def bare_rig() -> Iterator[Rig]:
    """A rig without ARI and without the daemon; one for the module."""
    with Rig.for_tests(ari=False) as running:
        yield running


@pytest.fixture
async def phones(bare_rig: Rig) -> AsyncIterator[Phones]:
    """Its phones; afterwards no channel is left."""
    async with Phones(bare_rig.ports.sip) as opened:
        yield opened
    leave_quiet(bare_rig)


@pytest.fixture
async def desk(bare_rig: Rig, phones: Phones) -> AsyncIterator[Direct]:  # noqa: ARG001 - they outlive it
    """The driver, connected to it."""
    async with direct(bare_rig) as opened:
        yield opened


async def _talk(phones: Phones, agent: str = "1001", customer: str = "3001") -> tuple[Phone, Phone]:
    caller, callee = await phones.open(customer, agent)
    await caller.dial(agent)
    await callee.answer()
    await _hear(phones, {callee: {customer}, caller: {agent}})
    return caller, callee


async def _hear(phones: Phones, picture: dict[Phone, set[str]]) -> None:
    for phone, heard in picture.items():
        await phones.hears_exactly(phone, heard, within=EVERYONE_TALKS)


async def _supervisor(phones: Phones, number: str = SUP) -> Phone:
    supervisor, *_ = await phones.open(number)
    await supervisor.auto_answer(0.0)
    return supervisor


async def test_capabilities(desk: Direct) -> None:
    """All but hearing the customer alone can be asked for; that is refused by name, and nothing rings."""
    able = desk.connection.capabilities
    assert {Capability.SUPERVISE, Capability.TAKE_OVER, Capability.HAND_BACK, Capability.NOTICE_TONE} <= able
    assert Capability.HEAR_CUSTOMER not in able


async def test_her_keys_are_undone(desk: Direct, phones: Phones) -> None:
    """In listen, whatever she presses, nobody ever hears her, each key is told, and she hears on."""
    customer, agent = await _talk(phones)
    supervisor = await _supervisor(phones)
    session = await desk.start()
    await _hear(phones, {supervisor: {"1001", "3001"}, agent: {"3001"}, customer: {"1001"}})
    began = time.monotonic()
    for key in "456*0#56":
        await supervisor.dtmf(key)
    await until(lambda: len(desk.keys) == 8, what=f"all keys are told: {desk.keys}")
    assert "".join(desk.keys) == "456*0#56"
    await _hear(phones, {supervisor: {"1001", "3001"}, agent: {"3001"}, customer: {"1001"}})
    for phone in (agent, customer):
        line = await phones.timeline(phone, SUP, began)
        assert line.first_heard() is None, f"{phone} heard the supervisor"
    assert desk.sessions[session].mode is Mode.LISTEN
    # ChanSpy is in the mode that the session has: the next switch is right as well.
    await desk.switch(session, Mode.WHISPER)
    await _hear(phones, {supervisor: {"1001", "3001"}, agent: {"3001", SUP}, customer: {"1001"}})
    await desk.end(session)
    await customer.hangup()


async def test_her_keys_are_undone_while_she_whispers(desk: Direct, phones: Phones) -> None:
    """Whispering, she presses 6: the customer hears nothing of her, and the agent hears her again."""
    customer, agent = await _talk(phones)
    supervisor = await _supervisor(phones)
    session = await desk.start(Mode.WHISPER)
    whisper = {supervisor: {"1001", "3001"}, agent: {"3001", SUP}, customer: {"1001"}}
    await _hear(phones, whisper)
    began = time.monotonic()
    for key in "6464*6":
        await supervisor.dtmf(key)
    await until(lambda: len(desk.keys) == 6, what=f"all keys are told: {desk.keys}")
    await _hear(phones, whisper)
    line = await phones.timeline(customer, SUP, began)
    assert line.first_heard() is None, "the customer heard the supervisor"
    await desk.end(session)
    await customer.hangup()


async def test_hear_the_agent_alone(desk: Direct, phones: Phones) -> None:
    """She hears the agent and not the customer, in each mode, and both again; the customer alone: refused."""
    customer, agent = await _talk(phones)
    supervisor = await _supervisor(phones)
    session = await desk.start()
    for mode, hers in ((Mode.LISTEN, set[str]()), (Mode.WHISPER, {SUP})):
        await desk.switch(session, mode, hear=Hear.AGENT)
        await _hear(phones, {supervisor: {"1001"}, agent: {"3001"} | hers, customer: {"1001"}})
    with pytest.raises(SupervisionRefused, match="hear_customer"):
        await desk.switch(session, Mode.LISTEN, hear=Hear.CUSTOMER)
    await desk.switch(session, Mode.WHISPER)
    await _hear(phones, {supervisor: {"1001", "3001"}, agent: {"3001", SUP}, customer: {"1001"}})
    await desk.end(session)
    await customer.hangup()


async def test_push_to_talk(desk: Direct, phones: Phones) -> None:
    """Muted, nobody hears her in whatever mode; unmuted, those of the mode do."""
    customer, agent = await _talk(phones)
    supervisor = await _supervisor(phones)
    session = await desk.start(Mode.BARGE)
    for muted in (False, True, False):
        await desk.switch(session, Mode.BARGE, muted=muted)
        hers = set[str]() if muted else {SUP}
        await _hear(phones, {agent: {"3001"} | hers, customer: {"1001"} | hers, supervisor: {"1001", "3001"}})
    await desk.switch(session, Mode.WHISPER, muted=True)
    await _hear(phones, {agent: {"3001"}, customer: {"1001"}})
    await desk.end(session)
    await customer.hangup()


async def test_follows_from_call_to_call(desk: Direct, phones: Phones) -> None:
    """Her phone rings once for three calls and two agents, and between them nobody."""
    supervisor = await _supervisor(phones)
    session = await desk.start(agent=None)
    await desk.is_in(session, SupervisionState.WAITING)
    agents = await phones.open("1001", "1002")
    customers = await phones.open("3001", "3002", "3003")
    for number, customer in enumerate(customers):
        agent = agents[number % 2]
        await customer.dial(agent.number)
        await agent.answer()
        await desk.side(session, agent.number, calls=number + 1)
        await desk.switch(session, Mode.WHISPER if number else Mode.LISTEN)
        whispered = {SUP} if number else set[str]()
        await _hear(
            phones,
            {
                supervisor: {agent.number, customer.number},
                agent: {customer.number} | whispered,
                customer: {agent.number},
            },
        )
        await customer.hangup()
        await desk.is_in(session, SupervisionState.WAITING)
    await _hear(phones, {supervisor: set()})
    assert [state for _, state in supervisor.history].count("connected") == 1
    await desk.end(session)
    await supervisor.wait_state("idle")


async def test_barge_after_the_customer_changes(desk: Direct, phones: Phones) -> None:
    """Barging, she is heard by whom the agent is joined with after a transfer as well."""
    customer, agent = await _talk(phones)
    supervisor = await _supervisor(phones)
    other, *_ = await phones.open("1002")
    session = await desk.start(Mode.BARGE)
    await _hear(phones, {agent: {"3001", SUP}, customer: {"1001", SUP}, supervisor: {"1001", "3001"}})
    await customer.transfer("1002")
    await other.answer()
    await customer.wait_state("idle")
    await _hear(phones, {agent: {"1002", SUP}, other: {"1001", SUP}, supervisor: {"1001", "1002"}})
    await desk.switch(session, Mode.WHISPER)
    await _hear(phones, {agent: {"1002", SUP}, other: {"1001"}})
    await desk.end(session)
    await other.hangup()


async def test_whisper_while_the_agent_rings_out(desk: Direct, phones: Phones) -> None:
    """The agent calls a customer; she whispers before he answers, and after."""
    customer, agent = await phones.open("3001", "1001")
    supervisor = await _supervisor(phones)
    await agent.start_dialing("80003001")
    await customer.wait_state("ringing")
    session = await desk.start(Mode.WHISPER)
    await customer.answer()
    await _hear(phones, {agent: {"3001", SUP}, customer: {"1001"}, supervisor: {"1001", "3001"}})
    await desk.end(session)
    await customer.hangup()


async def test_notice_tone(desk: Direct, phones: Phones) -> None:
    """The agent hears the tone; the customer does not, nor the supervisor who listens."""
    customer, agent = await _talk(phones)
    supervisor = await _supervisor(phones)
    session = await desk.start()
    await _hear(phones, {supervisor: {"1001", "3001"}})
    began = time.monotonic()
    await desk.connection.execute(GiveNotice(target=await desk.leg_of("1001")))
    assert await _beeped(agent, began)
    assert not await _beeped(customer, began)
    assert not await _beeped(supervisor, began)
    await _hear(phones, {supervisor: {"1001", "3001"}, agent: {"3001"}, customer: {"1001"}})
    await desk.end(session)
    await customer.hangup()


async def _beeped(phone: Phone, since: float) -> bool:
    """Whether a phone heard the beep for two frames in a row."""
    heard = await phone.heard(since)
    loud = tones.levels(heard.samples, [BEEP_HZ])[:, 0] >= tones.THRESHOLD
    return bool(np.any(loud[:-1] & loud[1:]))


async def test_takeover_and_hand_back(desk: Direct, phones: Phones) -> None:
    """The agent is released, the customer kept; handed back, he is with the agent, and her phone is free."""
    customer, agent = await _talk(phones)
    supervisor = await _supervisor(phones)
    session = await desk.start(Mode.WHISPER)
    await desk.take_over(session, "3001", "1001")
    await agent.wait_state("idle")
    await _hear(phones, {customer: {SUP}, supervisor: {"3001"}})
    with pytest.raises(SupervisionRefused) as refused:
        await desk.connection.execute(
            HandBack(supervision=session, agent=AgentId("1001"), address="PJSIP/1008", ring_s=2.0)
        )
    assert refused.value.code == "supervision.agent_no_answer"
    await _hear(phones, {customer: {SUP}, supervisor: {"3001"}})
    await agent.auto_answer(0.3)
    await desk.connection.execute(
        HandBack(supervision=session, agent=AgentId("1001"), address="PJSIP/1001", ring_s=3.0)
    )
    await _hear(phones, {customer: {"1001"}, agent: {"3001"}})
    await supervisor.wait_state("idle")
    assert desk.sessions[session].end is SupervisionEnd.HANDED_BACK
    await customer.hangup()


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
async def test_a_new_connection_takes_up_sessions(bare_rig: Rig, phones: Phones, mode: Mode) -> None:
    """Ctid dies and starts anew: who hears whom stays, and the session is known and can be switched."""
    customer, agent = await _talk(phones)
    supervisor = await _supervisor(phones)
    async with direct(bare_rig) as first:
        session = await first.start(mode)
        kept = first.sessions[session]
    heard = {Mode.LISTEN: set[str](), Mode.WHISPER: {"1001"}, Mode.BARGE: {"1001", "3001"}}
    picture = {
        agent: {"3001"} | ({SUP} if "1001" in heard[mode] else set()),
        customer: {"1001"} | ({SUP} if "3001" in heard[mode] else set()),
        supervisor: {"1001", "3001"},
    }
    await _hear(phones, picture)
    async with direct(bare_rig) as second:
        assert second.sessions == {session: replace(kept, since=ANY, started_at=ANY)}, (
            "times are kept to the millisecond"
        )
        await _hear(phones, picture)
        await second.switch(session, Mode.WHISPER)
        await second.switch(session, Mode.BARGE)
        await _hear(phones, {agent: {"3001", SUP}, customer: {"1001", SUP}})
        await second.take_over(session, "3001", "1001")
        await _hear(phones, {customer: {SUP}, supervisor: {"3001"}})
    async with direct(bare_rig) as third:
        assert third.sessions[session].mode is Mode.TAKEOVER
        await _hear(phones, {customer: {SUP}, supervisor: {"3001"}})
        await third.end(session)
        await asyncio.gather(customer.wait_state("idle"), supervisor.wait_state("idle"))
