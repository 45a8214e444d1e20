"""A short fuzz of the API, the same each time, so that the long one (`make fuzz-api`) does not rot."""

from random import Random

from fuzz import api, asks

SEED = 7
COUNT = 450


def test_nothing_that_is_asked_breaks_anything() -> None:
    """Whatever comes by whatever carrier: an answer that was promised, and of a refusal no change."""
    tally = api.run(SEED, COUNT)
    for carrier in ("http", "websocket", "mqtt"):
        statuses = {int(name.split()[1]) for name in tally if name.startswith(carrier)}
        assert {200, 403, 404, 422} <= statuses
        assert sum(times for name, times in tally.items() if name.startswith(carrier)) >= COUNT * 0.9
    assert not [name for name in tally if name.endswith(" 500")]


def test_a_request_is_the_same_again() -> None:
    """By its seed, so that a failure comes back."""
    first, again = (Random(1) for _ in range(2))  # noqa: S311 - reproducible, no secret
    assert asks.over_http(first, {"admin": "x"}) == asks.over_http(again, {"admin": "x"})
    assert asks.over_mqtt(first) == asks.over_mqtt(again)
