"""Webhooks on the real PBX: a queue's call pops up at a receiver, also at one that was away meanwhile."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.api_client import Api
from helpers.patience import until
from helpers.receiver import SECRET, Receiver
from lab import daemon
from lab.rig import Rig, Service

pytestmark = pytest.mark.lab

SOON_S = 3.0
"""On a busy machine as well: a screen is to pop up while it rings."""
LATER_S = 15.0
"""A receiver that comes back is found within the waits that a short absence has made."""


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that knows the secret."""
    async with Receiver() as listening:
        yield listening


def table(receiver: Receiver) -> str:
    """The `[[webhook]]` of that receiver."""
    return f"""
[[webhook]]
name = "crm"
url = "{receiver.url}"
events = ["call.*"]
queues = ["support"]
teams = ["north"]
secret = "{SECRET}"
numbers = "full"
pop_url = "https://crm.example/?n={{number}}&a={{agent}}"
"""


@pytest.fixture
async def popping(receiver: Receiver) -> AsyncIterator[Floor]:
    """A floor whose daemon sends to the receiver."""

    def make(rig: Rig) -> Service:
        path = daemon.write_configuration(rig, ring_s=3.0)
        path.write_text(path.read_text() + table(receiver))
        return daemon.service(rig, path)

    with Rig.for_tests(services=(make,)) as rig:
        async with floor_of(rig, leave_quiet) as opened:
            yield opened


def pops(receiver: Receiver, name: str) -> list[dict[str, Any]]:
    """The data of the events of a type that the receiver has taken."""
    return [event["data"] for event in receiver.events if event["type"] == f"ctid.call.{name}"]


async def test_a_queue_call_pops_up(popping: Floor, receiver: Receiver) -> None:
    """While it rings and when she answers: the right agent and customer, signed, each once, in order.

    Then the receiver is away for a call, and ctid is killed meanwhile: nothing of it is lost.
    """
    customer, agent = await popping.phones.open("3002", "1001")
    await until(lambda: popping.agent_is("1001", "ready"), what="1001 is ready")
    await customer.dial("7000")
    await agent.wait_state("ringing")
    await until(lambda: len(pops(receiver, "offered")) == 1, within=SOON_S, what="call.offered")
    await agent.answer()
    await until(lambda: len(pops(receiver, "answered")) == 1, within=SOON_S, what="call.answered")
    call = (await popping.api.get("/calls"))["items"][0]
    for told in (*pops(receiver, "offered"), *pops(receiver, "answered")):
        shown = {key: told[key] for key in ("agent", "number", "queue", "dialled", "call", "device")}
        assert shown == {
            "agent": "1001",
            "number": "3002",
            "queue": "support",
            "dialled": "7000",
            "call": call["id"],
            "device": "1001",
        }
        assert told["pop_url"] == "https://crm.example/?n=3002&a=1001"
        assert told["waited_s"] < 60
    await receiver.stop()
    await customer.hangup()
    await until(lambda: popping.agent_is("1001", "ready"), within=LATER_S, what="after-call work is over")
    admin = daemon.tokens_of(popping.rig)["admin"]
    async with Api(daemon.url_of(popping.rig), admin) as api:

        async def waits() -> bool:
            (hook,) = (await api.get("/webhooks"))["items"]
            return bool(hook["state"] == "failing" and hook["waiting"] > 0)

        await until(waits, what="events wait for the receiver")
    popping.rig.kill("ctid")
    popping.rig.restart("ctid")
    await receiver.start()
    await until(
        lambda: any(event["type"] == "ctid.call.ended" for event in receiver.events),
        within=LATER_S,
        what="the end of the call arrives after all",
    )
    ids = [event["id"] for event in receiver.events]
    assert len(ids) == len(set(ids))
    of_call = [event["seq"] for event in receiver.events if event["subject"] == f"calls/{call['id']}"]
    assert of_call == sorted(of_call)
    assert len(pops(receiver, "offered")) == len(pops(receiver, "answered")) == 1
    assert receiver.forged == []
