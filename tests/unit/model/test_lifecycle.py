"""The life of a supervision session."""

from pathlib import Path

from ctid.model.lifecycle import FIRST, TRANSITIONS, drawn, may_follow
from ctid.model.words import SupervisionState


def test_every_state_is_reached_and_left_but_the_last() -> None:
    """Nothing follows the end, and everything else has a way to it."""
    reached = FIRST | {step.new for step in TRANSITIONS}
    left = {step.old for step in TRANSITIONS}
    assert reached == set(SupervisionState)
    assert left == set(SupervisionState) - {SupervisionState.ENDED}


def test_what_may_follow() -> None:
    """Only what the table says, staying where it is, and a first state."""
    assert may_follow(None, SupervisionState.RINGING)
    assert not may_follow(None, SupervisionState.ACTIVE)
    assert may_follow(SupervisionState.ACTIVE, SupervisionState.ACTIVE)
    assert may_follow(SupervisionState.WAITING, SupervisionState.ACTIVE)
    assert not may_follow(SupervisionState.WAITING, SupervisionState.RINGING)
    assert not any(may_follow(SupervisionState.ENDED, new) for new in SupervisionState if new != "ended")


def test_it_is_drawn_from_the_table() -> None:
    """Each transition is an arrow."""
    lines = drawn().splitlines()
    assert len(lines) == 1 + len(FIRST) + len(TRANSITIONS) + 1
    assert "    waiting --> active: the agent's next call, or the next agent of this call" in lines


def test_the_guide_shows_this_drawing() -> None:
    """docs/supervision.md has the diagram as the code draws it."""
    guide = (Path(__file__).parents[3] / "docs" / "supervision.md").read_text("utf-8")
    assert f"```mermaid\n{drawn()}```\n" in guide
