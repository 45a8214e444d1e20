"""Sessions on a PBX in memory, of which every step is made to fail, and before which everything happens."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest

from ctid.tasks import TaskOwner
from helpers.patience import until
from helpers.stage_play import CODES, FAULTS, Play, attempt, is_sound_in_the_end, play, soon
from helpers.stage_scenarios import (
    HAPPENINGS,
    SCENARIOS,
    Scenario,
    named,
    steps_of,
)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


async def given_all(it: Play, given: list[Scenario]) -> None:
    """Go through what comes before."""
    for step in given:
        await step(it)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("given", "scenario"), SCENARIOS, ids=named)
async def test_any_step_may_fail(given: list[Scenario], scenario: Scenario, fault: str) -> None:
    """Whichever step fails in whichever way: a known code or success, and all is sound."""
    for number in await steps_of(given, scenario):
        async with play() as it:
            await given_all(it, given)
            it.pbx.faults[number] = FAULTS[fault]
            assert await attempt(scenario(it)) in CODES, it.pbx.steps[number]
            await is_sound_in_the_end(it)


@pytest.mark.parametrize("what", HAPPENINGS, ids=named)
@pytest.mark.parametrize(("given", "scenario"), SCENARIOS, ids=named)
async def test_anything_may_happen_before_any_step(
    given: list[Scenario], scenario: Scenario, what: Callable[[Play], None]
) -> None:
    """Call, customer, supervisor or snoop may end at any moment: a known code or none, and all is sound."""
    for number in await steps_of(given, scenario):
        async with play() as it:
            await given_all(it, given)
            it.pbx.before[number] = partial(what, it)
            assert await attempt(scenario(it)) in CODES, it.pbx.steps[number]
            await is_sound_in_the_end(it)


@pytest.mark.parametrize(("given", "scenario"), SCENARIOS, ids=named)
async def test_the_event_socket_may_end_before_any_step(given: list[Scenario], scenario: Scenario) -> None:
    """Without events no step is waited for in vain; the next finds the session whole, or none."""
    for number in await steps_of(given, scenario):
        async with play() as it:
            await given_all(it, given)
            it.pbx.before[number] = it.pbx.cut
            assert await attempt(scenario(it)) in CODES, it.pbx.steps[number]
            assert it.wrong == [], it.pbx.steps[number]
            known = it.stage.supervisions()
        async with play(it.pbx) as again:
            await again.stage.recover(known)
            await again.was_right()
            if again.told:
                await again.is_sound()
            assert again.pbx.ours() == set()


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize(("given", "scenario"), SCENARIOS, ids=named)
async def test_whatever_was_cut_off_is_taken_up_or_cleared_away(
    given: list[Scenario], scenario: Scenario, moment: str
) -> None:
    """A daemon killed before or after any step finds its session whole, or clears it away."""
    for number in await steps_of(given, scenario):
        async with play() as killed:
            await given_all(killed, given)
            dead = range(number + 1, number + 100)
            killed.pbx.faults = dict.fromkeys(dead, FAULTS["not reached"])
            killed.pbx.faults[number] = FAULTS["answer lost" if moment == "after" else "not reached"]
            await attempt(scenario(killed))
            assert killed.wrong == [], killed.pbx.steps[number]
        async with play(killed.pbx) as again:
            await again.stage.recover()
            await again.was_right()
            if again.told:
                await again.is_sound()
            assert again.pbx.ours() == set(), again.pbx.steps[number]


@pytest.mark.parametrize(("given", "scenario"), SCENARIOS, ids=named)
async def test_whatever_is_cancelled_is_undone_or_done(given: list[Scenario], scenario: Scenario) -> None:
    """A client that goes away while the PBX does not answer is a failure like any other."""
    for number in await steps_of(given, scenario):
        async with play() as it:
            await given_all(it, given)
            owner = TaskOwner()
            it.pbx.hangs = number
            task = owner.spawn("scenario", scenario(it))
            await until(lambda: len(it.pbx.steps) > number)  # noqa: B023 - of this turn
            await it.pbx.drained()
            task.cancel()
            it.pbx.given_up.set()
            await owner.close()
            await is_sound_in_the_end(it)
