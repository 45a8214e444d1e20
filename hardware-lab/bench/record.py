"""A fresh wire: queue calls on the rig, with pause, hold, transfer and a caller who gives up, unfiltered."""

import tempfile
from pathlib import Path

from bench.recording import Recording, load
from lab.capturing import capturing
from lab.phone_client import Phone
from lab.phones import Phones
from lab.rig import Rig

CALLS = 6
TALK_S = 0.6


async def record(rig: Rig) -> Recording:
    """Make the calls, and return what AMI told of them, everything; some 15 s.

    Its last call is abandoned, its second transferred to another queue, its third held.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fresh.capture"
        async with (
            capturing(rig.ports, path, everything=True) as recording,
            Phones(rig.ports.sip) as phones,
        ):
            opened = await phones.open("3001", "1001", "1002", "1005")
            await recording.snapshot()
            await make_calls(rig, phones, *opened)
        return load(path)


async def make_calls(
    rig: Rig, phones: Phones, customer: Phone, agent: Phone, other: Phone, second: Phone
) -> None:
    """Have a customer call the queue `support`, whose members `agent` and `other` are; leaves no channel."""
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


async def _talk(phones: Phones, agent: Phone) -> None:
    await phones.hears_exactly(agent, {"3001"}, window=TALK_S)
