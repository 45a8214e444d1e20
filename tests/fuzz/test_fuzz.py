"""A short fuzz, of the same rounds each time, so that the long one (`make fuzz`) does not rot."""

from fuzz import captures, fuzz, plans
from fuzz.fuzz import Daemon

SEED = 7
ROUNDS = 6
"""Some thousand frames: nothing to find, everything to run."""


def test_mutated_frames_cost_nothing_but_the_link() -> None:
    """Whatever comes: the driver's own errors, the invariants, and nothing remembered of what is over."""
    daemon, mutated = Daemon(), 0
    for number in range(ROUNDS):
        plan = plans.make(SEED, number)
        daemon.play(plan)
        mutated += plan.mutated
    assert daemon.rig.frames > 1000
    assert mutated > 200
    ends = {what.partition(":")[0] for what in daemon.rig.tally}
    assert ends == {"unreadable event", "lost", "refused", "no fence"}


def test_mutated_captures_are_replayed() -> None:
    """To their ends, with the trouble that there was."""
    records, mutated, tally = captures.run(SEED, 0)
    assert records > 400
    assert mutated > 5
    assert sum(tally.values()) > 0


def test_a_round_is_the_same_again() -> None:
    """By seed and number, so that a failure comes back."""
    assert plans.make(SEED, 1) == plans.make(SEED, 1)
    assert plans.make(SEED, 1) != plans.make(SEED, 2)


def test_a_failure_is_cut_to_what_it_takes() -> None:
    """A frame among many that breaks something is found, and nothing but it is left."""
    plan = plans.make(SEED, 0)
    last = plan.steps[-1]
    steps = fuzz.reduced([*plan.steps], lambda fewer: last in fewer)
    assert steps == [last]
