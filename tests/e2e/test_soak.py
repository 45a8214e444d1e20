"""The soak: what ctid counted of many random calls, though it was cut off and killed, is what the PBX did."""

import os
import random
from collections.abc import AsyncIterator, Iterator

import pytest

from e2e import bus
from e2e.floor import Floor, floor_of
from e2e.soak import Soak
from e2e.soak_plan import plan_of
from lab import daemon
from lab.cutter import Cutter
from lab.rig import Rig

SHORT = 60
CALLS = int(os.environ.get("CTID_SOAK_CALLS") or SHORT)
"""How many calls SIPp makes; `make soak` asks for many."""
_ANY = 1 if CALLS == SHORT else random.SystemRandom().randrange(10**6)
SEED = int(os.environ.get("CTID_SOAK_SEED") or _ANY)
"""What is random: the same in the suite always, and in `make soak` another each time, which it tells."""
PLAN = plan_of(SEED, CALLS)
pytestmark = [pytest.mark.lab, pytest.mark.timeout(PLAN.within_s + 150)]


@pytest.fixture
def cutter() -> Iterator[Cutter]:
    """A relay between ctid and AMI."""
    with Cutter() as relay:
        yield relay


@pytest.fixture
def soaked_rig(cutter: Cutter) -> Iterator[Rig]:
    """A rig of its own, whose daemon is killed, and reaches AMI by the relay."""
    with Rig.for_tests(
        scenarios=True,
        services=(
            bus.watcher,
            daemon.maker(through=cutter),
        ),
    ) as running:
        yield running


@pytest.fixture
async def soaked(soaked_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it."""

    def is_quiet(rig: Rig) -> None:
        assert not rig.channels()

    async with floor_of(soaked_rig, is_quiet) as opened:
        yield opened


def say(line: str) -> None:
    """Tell of the progress; seen at once where pytest captures nothing (`make soak`)."""
    print(line, flush=True)  # noqa: T201 - progress, for who waits for a long run


async def test_figures_equal_the_books(soaked: Floor, cutter: Cutter) -> None:
    """Calls, cuts and kills at random moments: each moment is counted once, and nothing is left of any."""
    say(f"soak: seed {SEED}, {CALLS} calls in {len(PLAN.bursts)} bursts, {len(PLAN.blows)} blows")
    soak = Soak(soaked, cutter, PLAN, say)
    await soak.run()
    problems = await soak.problems()
    again = f"make soak SEED={SEED} CALLS={CALLS}"
    assert not problems, "\n".join([f"{len(problems)} problems; again by `{again}`:", *problems])
    assert soak.counts["reset"], "the line was cut by RST"
    assert soak.counts["order"], "the line was cut in order"
    assert soak.counts["kill"] + soak.counts["kill while cut"], "ctid was killed"
    if PLAN.surely_supervises:
        assert soak.counts["blows under supervision"], "a supervision went on when ctid was cut off or killed"
