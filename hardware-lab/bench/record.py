"""A fresh wire: queue calls on the rig, with pause, hold, transfer and a caller who gives up, unfiltered."""

import time

from bench.ami import Tap
from bench.recording import Recording, recording_of
from lab.phone_client import Phone
from lab.phones import Phones
from lab.rig import Rig

CALLS = 6
TALK_S = 0.6


async def record(rig: Rig) -> Recording:
    """Make the calls, and return what AMI told of them; some 15 s.

    Its last call is abandoned, its second transferred to another queue, its third held.
    """
    async with Tap(rig.ports.ami) as tap, Phones(rig.ports.sip) as phones:
        customer, agent, other, second = await phones.open("3001", "1001", "1002", "1005")
        begun = len(tap.wire)
        await other.dial("*451")
        await other.wait_state("idle")
        for index in range(CALLS):
            await customer.dial("7000")
            await agent.answer()
            await _talk(phones, agent)
            if index == 1:
                await agent.transfer("7001")
                await second.answer()
                await _talk(phones, second)
            elif index == 2:
                await agent.hold()
                await agent.unhold()
            await customer.hangup()
            await agent.wait_state("idle")
            await second.wait_state("idle")
            if index == CALLS - 2:
                await agent.dial("*452")
                await agent.wait_state("idle")
                break
        await customer.start_dialing("7000")
        await customer.wait_state("connected")
        await customer.hangup()
        await other.dial("*46")
        await other.wait_state("idle")
        assert rig.wait(lambda: not rig.channels()), f"channels are left: {rig.channels()}"
        # The last event of the last channel is there when a question asked after it is answered.
        asked = f"bench-{time.monotonic_ns()}"
        tap.send(Action="Ping", ActionID=asked)
        await tap.until(asked.encode())
        wire = tap.wire
    return recording_of(wire[: wire.index(b"\n") + 1] + wire[begun : wire.rindex(b"Response: ")])


async def _talk(phones: Phones, agent: Phone) -> None:
    await phones.hears_exactly(agent, {"3001"}, window=TALK_S)
