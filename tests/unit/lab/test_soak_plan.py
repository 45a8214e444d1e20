"""The plan of a soak has all that it is for, and a seed makes it again."""

from collections import Counter

import pytest

from e2e import soak_plan
from e2e.soak_plan import plan_of
from lab import roster


def test_a_seed_makes_the_same_plan_again() -> None:
    """The same seed and number make the same plan; another seed another."""
    assert plan_of(7, 100) == plan_of(7, 100)
    assert plan_of(7, 100) != plan_of(8, 100)
    agent = soak_plan.STAFF[0]
    one, other = (soak_plan.dice_of(plan_of(7, 60), agent) for _ in range(2))
    assert [soak_plan.offer_of(one) for _ in range(9)] == [soak_plan.offer_of(other) for _ in range(9)]


@pytest.mark.parametrize("calls", [60, 500])
def test_bursts_have_all_calls(calls: int) -> None:
    """So many calls, four to eight a second, each burst after the one before it."""
    plan = plan_of(1, calls)
    assert plan.calls == calls
    assert all(4.0 <= burst.rate <= 8.0 for burst in plan.bursts)
    ends = [burst.at_s + len(burst.calls) / burst.rate for burst in plan.bursts]
    assert all(end < burst.at_s for end, burst in zip(ends, plan.bursts[1:], strict=False))
    assert plan.lasts_s == max(ends)
    numbers = Counter(call.number for burst in plan.bursts for call in burst.calls)
    assert set(numbers) == set(soak_plan.NUMBERS)


@pytest.mark.parametrize("seed", range(5))
def test_blows_come_apart_and_of_each_kind(seed: int) -> None:
    """A short plan has a cut of each kind and a kill, a long one kills while the line is cut too."""
    short, long = plan_of(seed, 60), plan_of(seed, 500)
    assert Counter(blow.kind for blow in short.blows) == {"reset": 1, "order": 1, "kill": 1}
    assert {blow.kind for blow in long.blows} == {"reset", "order", "kill", "kill while cut"}
    for plan in (short, long):
        times = [blow.at_s for blow in plan.blows]
        assert times == sorted(times)
        assert times[0] >= soak_plan.CALM_S
        assert times[-1] <= plan.within_s


def test_only_a_long_soak_surely_supervises() -> None:
    """Few blows may all come while nobody talks, and ctid is right all the same."""
    assert not plan_of(1, 60).surely_supervises
    assert plan_of(1, 500).surely_supervises


def test_offers_are_taken_declined_held_and_let_ring() -> None:
    """Agents do each of these, and more often than not they take the call."""
    offers = plan_of(1, 500).offers
    assert len(offers) == 1000
    assert 50 < sum(offer.declines and offer.ring_s < 2 for offer in offers) < 200
    assert 5 < sum(offer.ring_s == soak_plan.FOR_EVER_S for offer in offers) < 80
    assert 50 < sum(offer.holds_s > 0 for offer in offers) < 250
    assert sum(not offer.declines for offer in offers) > 700


def test_nobody_plays_two_parts() -> None:
    """SIPp's numbers and the phones' are apart, and are all of the rig's agents and customers."""
    agents = {agent.number for agent in roster.AGENTS}
    assert {*soak_plan.CREW} | {*soak_plan.STAFF} == agents
    assert not {*soak_plan.CREW} & {*soak_plan.STAFF}
    assert {*soak_plan.CALLERS} | {*soak_plan.VISITORS} == {*roster.CUSTOMERS}
    assert not {*soak_plan.CALLERS} & {*soak_plan.VISITORS}
    assert set(plan_of(1, 60).visits) == {*soak_plan.VISITORS}
