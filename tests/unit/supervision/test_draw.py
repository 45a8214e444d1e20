from collections import Counter

from ctid.model.ids import AgentId
from ctid.supervision.draw import Candidate, draw


def candidates(**seconds: float) -> list[Candidate]:
    """Agents, and for how long each has been listened to."""
    return [Candidate(agent=AgentId(name), listened_s=length) for name, length in seconds.items()]


def drawn(found: list[Candidate], times: int = 2000) -> Counter[AgentId | None]:
    """How often each is drawn."""
    return Counter(draw(found, str(seed)) for seed in range(times))


def test_nobody_is_drawn_of_nobody() -> None:
    """And one of one."""
    assert draw([], "x") is None
    assert draw(candidates(anna=5), "x") == "anna"


def test_the_half_that_was_listened_to_least_is_drawn_alike() -> None:
    """Nobody of the other half is."""
    counts = drawn(candidates(a=0, b=60, c=120, d=600, e=700))
    assert set(counts) == {"a", "b", "c"}
    assert all(550 < count < 790 for count in counts.values()), counts


def test_those_who_are_even_are_all_in_it() -> None:
    """Nobody is left out for her id."""
    assert set(drawn(candidates(a=0, b=0, c=0, d=0))) == {"a", "b", "c", "d"}


def test_a_draw_can_be_done_again() -> None:
    """With the same seed it is the same agent, whatever the order."""
    found = candidates(a=0, b=0, c=0)
    assert draw(found, "seed") == draw(found[::-1], "seed")
