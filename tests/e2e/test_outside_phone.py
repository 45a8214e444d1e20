"""A supervisor's phone that may be in anybody's hands: nothing is heard before the PIN is entered."""

import asyncio

import pytest

from e2e.floor import Floor
from helpers.patience import until
from lab.daemon import OUTSIDE_PHONE, PIN

pytestmark = pytest.mark.lab

VIA = {"phone": OUTSIDE_PHONE}


async def test_nothing_is_heard_before_the_pin(floor: Floor) -> None:
    """A wrong one changes nothing; with the right one she is in the call."""
    customer, agent = await floor.talk()
    mobile, *_ = await floor.phones.open("2003")
    asking = asyncio.ensure_future(floor.api.supervise(agent="1001", via=VIA))  # noqa: TID251 - a client, in a test
    await mobile.answer()
    await mobile.dtmf("0815")
    await floor.hear({mobile: set(), agent: {"3001"}, customer: {"1001"}})
    assert not asking.done()
    await mobile.dtmf(PIN)
    answer = await asking
    assert (answer.status, answer.body["phone"]) == (201, OUTSIDE_PHONE), answer
    await floor.hear({mobile: {"3001", "1001"}, agent: {"3001"}, customer: {"1001"}})


async def test_three_wrong_pins(floor: Floor) -> None:
    """End it; she has heard nothing, and the call goes on."""
    customer, agent = await floor.talk()
    mobile, *_ = await floor.phones.open("2003")
    asking = asyncio.ensure_future(floor.api.supervise(agent="1001", via=VIA))  # noqa: TID251 - a client, in a test
    await mobile.answer()
    await mobile.dtmf("081508150815")
    await floor.refused(await asking, 409, "supervision.pin_wrong")
    await mobile.wait_state("idle")
    await floor.hear({agent: {"3001"}, customer: {"1001"}})


async def test_whoever_answers_hangs_up(floor: Floor) -> None:
    """The request is told so at once."""
    await floor.talk()
    mobile, *_ = await floor.phones.open("2003")
    asking = asyncio.ensure_future(floor.api.supervise(agent="1001", via=VIA))  # noqa: TID251 - a client, in a test
    await mobile.answer()
    await mobile.hangup()
    await floor.refused(await asking, 409, "supervision.ended")
    await until(lambda: not floor.ours(), what="nothing is left")
