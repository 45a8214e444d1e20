"""What sessions go through, step by step, and what may happen to them meanwhile."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from ctid.model.words import Hear, Mode, Scope
from helpers.fake_pbx import AGENT, COLLEAGUE, CUSTOMER, NEXT_AGENT, TALKING
from helpers.stage_play import Play, attempt, play

Scenario = Callable[[Play], Coroutine[Any, Any, None]]


async def starting(it: Play) -> None:
    """Begin."""
    await it.start()


async def starting_barge(it: Play) -> None:
    """Begin with barge."""
    await it.start(Mode.BARGE)


async def starting_to_wait(it: Play) -> None:
    """Begin beside an agent who is in no call."""
    await it.start(target=None, scope=Scope.AGENT, call=None)


async def starting_with_pin(it: Play) -> None:
    """Begin at a phone that may be in anybody's hands."""
    it.pbx.pin = "1234"
    await it.start(Mode.WHISPER, pin="1234")


async def to_whisper(it: Play) -> None:
    """From listen to whisper."""
    await it.switch(Mode.WHISPER)


async def to_listen(it: Play) -> None:
    """To listen."""
    await it.switch(Mode.LISTEN)


async def to_one_side(it: Play) -> None:
    """Hear the customer alone."""
    await it.switch(Mode.LISTEN, Hear.CUSTOMER)


async def muting(it: Play) -> None:
    """Say nothing, in barge."""
    await it.switch(Mode.BARGE, muted=True)


async def unmuting(it: Play) -> None:
    """Push to talk, in barge."""
    await it.switch(Mode.BARGE)


async def following_her_call(it: Play) -> None:
    """The agent's call begins: from waiting to whisper."""
    await it.follow(AGENT, Mode.WHISPER, scope=Scope.AGENT, calls=1)


async def following_to_another(it: Play) -> None:
    """To another agent's call, while the first goes on."""
    it.pbx.next_call()
    await it.follow(NEXT_AGENT)


async def following_a_transfer(it: Play) -> None:
    """To the colleague who got the call."""
    it.pbx.transfer()
    await it.pbx.drained()
    await it.follow(COLLEAGUE)


async def keeping(it: Play) -> None:
    """What the core says."""
    await it.keep(note="kept")


async def giving_notice(it: Play) -> None:
    """The tone."""
    await it.give_notice()


async def taking_over(it: Play) -> None:
    """Take over."""
    await it.take_over()


async def handing_back(it: Play) -> None:
    """Hand back; the agent answers."""
    await it.hand_back()


async def handing_back_in_vain(it: Play) -> None:
    """Hand back; the agent does not answer."""
    it.pbx.answers = False
    await it.hand_back()


async def ending(it: Play) -> None:
    """End."""
    await it.end()


SCENARIOS: list[tuple[list[Scenario], Scenario]] = [
    ([], starting),
    ([], starting_barge),
    ([], starting_to_wait),
    ([], starting_with_pin),
    ([starting], to_whisper),
    ([starting_barge], to_listen),
    ([starting], to_one_side),
    ([starting_barge], muting),
    ([starting_barge, muting], unmuting),
    ([starting_barge, muting], to_one_side),
    ([starting_to_wait], to_whisper),
    ([starting_to_wait], following_her_call),
    ([starting], following_to_another),
    ([starting_barge], following_to_another),
    ([starting], following_a_transfer),
    ([starting], keeping),
    ([starting], giving_notice),
    ([starting], taking_over),
    ([starting_barge], taking_over),
    ([starting_barge, muting], taking_over),
    ([starting, taking_over], handing_back),
    ([starting, taking_over], handing_back_in_vain),
    ([starting], ending),
    ([starting_to_wait], ending),
    ([starting, taking_over], ending),
]


def named(value: object) -> str:
    """How a parameter of a table is called."""
    if isinstance(value, list):
        return "_".join(step.__name__ for step in value) or "nothing"
    return str(getattr(value, "__name__", value))


async def steps_of(given: Sequence[Scenario], scenario: Scenario) -> range:
    """The numbers of the scenario's steps when nothing interferes."""
    async with play() as it:
        for step in given:
            await step(it)
        first = len(it.pbx.steps)
        await attempt(scenario(it))
        return range(first, len(it.pbx.steps))


async def number_of(given: Sequence[Scenario], scenario: Scenario, step: str, nth: int = 0) -> int:
    """The number of the scenario's first step of this name, or of a later one."""
    numbers = await steps_of(given, scenario)
    async with play() as it:
        for before in given:
            await before(it)
        await attempt(scenario(it))
        return [number for number in numbers if it.pbx.steps[number] == step][nth]


def the_call_ends(it: Play) -> None:
    """The agent hangs up."""
    it.pbx.destroy(AGENT)


def the_customer_hangs_up(it: Play) -> None:
    """He hangs up, or is lost on the way."""
    it.pbx.destroy(CUSTOMER)


def she_hangs_up(it: Play) -> None:
    """The supervisor hangs up, if her phone is there."""
    it.pbx.destroy(it.phone)


def the_snoop_ends(it: Play) -> None:
    """A snoop channel is lost."""
    for name in [name for name, chan in it.pbx.there.items() if chan.target]:
        it.pbx.destroy(name)


def the_call_is_transferred(it: Play) -> None:
    """The agent leaves the customer to a colleague."""
    if it.pbx.inside(TALKING) == {AGENT, CUSTOMER}:
        it.pbx.transfer()


def the_agents_phone_goes(it: Play) -> None:
    """The phone that is rung for a hand-back is lost, before or after it was answered."""
    for name in [name for name, chan in it.pbx.there.items() if chan.context]:
        it.pbx.destroy(name)


HAPPENINGS = [
    the_call_ends,
    the_customer_hangs_up,
    she_hangs_up,
    the_snoop_ends,
    the_call_is_transferred,
    the_agents_phone_goes,
]
