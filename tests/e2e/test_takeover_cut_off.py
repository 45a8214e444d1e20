"""A take-over in which ctid is killed between any two steps: the customer is never alone or dropped."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest

from e2e import bus
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.patience import until
from lab import daemon, tones
from lab.cutter import Cutter
from lab.phone_client import Phone
from lab.rig import Rig

pytestmark = pytest.mark.lab

SUP, AGENT = "2001", "1001"
LONGEST_GAP_S = 0.5
"""What the customer may miss as the media changes hands, a first jitter buffer's filling included."""

BY_ARI = (b"/snoop/", b"removeChannel", b"addChannel", b"/mute", b"rtp_statistics")
BY_AMI = (b"CTID_JOIN", b"CTID_AGENT_BACK", b"CTID_QUEUE_BACK", b"ShowDialPlan", b"BlindTransfer")


@pytest.fixture(scope="module")
def relays() -> Iterator[tuple[Cutter, Cutter]]:
    """Between the daemon and Asterisk's AMI and ARI."""
    with Cutter() as ami, Cutter() as ari:
        yield ami, ari


@pytest.fixture(scope="module")
def cut_rig(relays: tuple[Cutter, Cutter]) -> Iterator[Rig]:
    """A rig whose daemon reaches Asterisk by the relays."""
    ami, ari = relays
    with Rig.for_tests(
        services=(
            bus.watcher,
            daemon.maker(through=ami, ari_through=ari),
        )
    ) as running:
        yield running


@pytest.fixture
async def cut_floor(cut_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it."""
    async with floor_of(cut_rig, leave_quiet) as opened:
        yield opened


async def _in_company(floor: Floor, customer: Phone, since: float) -> set[str]:
    """Who the customer hears now; since that time he has heard somebody all the while."""
    now = await floor.phones.hears(customer)
    heard = await customer.heard(since)
    voices = tones.levels(heard.samples, [tones.TONES[AGENT], tones.TONES[SUP]]).max(axis=1)
    gap = tones.Timeline(heard.times, voices).longest_gap()
    assert gap <= LONGEST_GAP_S, f"the customer heard nobody for {gap:.2f} s"
    return now


async def test_killed_between_any_two_steps(cut_floor: Floor, relays: tuple[Cutter, Cutter]) -> None:
    """Agent or supervisor is with him throughout; ctid, back, has the session as the PBX has it, or none."""
    floor = cut_floor
    ami, ari = relays
    fates: dict[bytes, str] = {}
    customer, agent, supervisor = await floor.phones.open("3001", AGENT, SUP)
    await supervisor.auto_answer(0.0)
    for relay, step in [*[(ari, step) for step in BY_ARI], *[(ami, step) for step in BY_AMI]]:
        if customer.state == "idle":
            await until(lambda: floor.agent_is(AGENT, "ready"), what="the agent is ready", within=15.0)
            await customer.dial("7000")
            await agent.answer()
            await until(lambda: floor.call_is(AGENT, "connected"), what="the call is connected")
        session = await floor.begin(agent=AGENT)
        began = time.monotonic()
        relay.stop_after(step)
        asking = asyncio.ensure_future(floor.api.switch(session, "takeover"))  # noqa: TID251 - a client
        await until(relay.stopped.is_set, what=f"{step!r} is sent", within=5.0)
        floor.rig.kill("ctid")
        relay.restore()
        with pytest.raises(aiohttp.ClientError):
            await asking
        await _in_company(floor, customer, began)
        assert customer.state == "connected", step
        floor.rig.restart("ctid")
        company = await _in_company(floor, customer, began)
        taken = agent.state == "idle"
        assert (SUP if taken else AGENT) in company <= {AGENT, SUP}, (step, company)
        items = (await floor.api.get("/supervisions"))["items"]
        if taken:
            assert [item["mode"] for item in items] == ["takeover"], (step, items)
        elif items:
            assert (items[0]["mode"] == "barge") is (SUP in company), (step, items)
        fates[step] = "taken over" if taken else "kept by the agent"
        for item in items:
            assert (await floor.api.end(item["id"])).status == 200
        await supervisor.wait_state("idle")
        if taken:
            await customer.wait_state("idle")
        await until(lambda: not floor.ours(), what="nothing of ctid is left")
    assert fates[b"BlindTransfer"] == "taken over"
    assert all(fate == "kept by the agent" for step, fate in fates.items() if step != b"BlindTransfer")
