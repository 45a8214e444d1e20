import pytest

from ctid.agents.reasons import LONGEST_BYTES, fault_of


@pytest.mark.parametrize("reason", ["", "lunch", "déjeuner", "x" * LONGEST_BYTES, "coffee, tea & co"])
def test_fit(reason: str) -> None:
    """A short text that prints is a reason."""
    assert fault_of(reason) == ""


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        ("a\nb", "line break"),
        ("a\rb", "line break"),
        ("a\x00b", "does not print"),
        ("a|b", "separates"),
        (" a", "blank"),
        ("a ", "blank"),
        ("x" * (LONGEST_BYTES + 1), "longer than 79 bytes"),
        ("é" * 40, "longer than 79 bytes"),
    ],
)
def test_unfit(reason: str, told: str) -> None:
    """What a PBX would cut, or its log or protocol take for something else, is told."""
    assert told in fault_of(reason)
