"""The captures of the scenarios, each with the calls, agents and moments that it tells.

`make captures` runs the scenarios on the real Asterisk and writes both anew: look at what differs.
"""

from pathlib import Path

import pytest

from helpers.captures import REPLAYS, story

SCENARIOS = REPLAYS / "scenarios"
NAMES = sorted(path.name.removesuffix(".capture.xz") for path in SCENARIOS.glob("*.capture.xz"))


def written(name: str) -> Path:
    """Where stands what a scenario's capture is expected to tell."""
    return SCENARIOS / f"{name}.txt"


def test_each_scenario_has_both() -> None:
    """A capture without its expectation, or the other way round, was forgotten."""
    assert sorted(path.stem for path in SCENARIOS.glob("*.txt")) == NAMES
    assert len(NAMES) > 25


@pytest.mark.parametrize("name", NAMES)
def test_a_scenario_tells_what_is_expected(name: str) -> None:
    """Each line in its order; the invariants hold after every message, and every message is read."""
    assert story(SCENARIOS / f"{name}.capture.xz") == written(name).read_text("utf-8").splitlines()
