"""What scopes hold."""

import pytest

from ctid.identity.scopes import covers, unknown

NAMES = ("calls.get", "calls.hang_up", "agents.pause")


@pytest.mark.parametrize(
    ("scopes", "name", "changes", "may"),
    [
        (("calls.get",), "calls.get", False, True),
        (("calls.get",), "calls.list", False, False),
        (("calls.*",), "calls.hang_up", True, True),
        (("calls.*",), "agents.pause", True, False),
        (("read",), "agents.list", False, True),
        (("read",), "agents.pause", True, False),
        (("agents.pause", "read"), "agents.pause", True, True),
        (("events",), "events", False, True),
        (("read",), "events", False, True),
        (("calls.*",), "events", False, False),
        ((), "calls.get", False, False),
    ],
)
def test_covers(scopes: tuple[str, ...], name: str, changes: bool, may: bool) -> None:  # noqa: FBT001 - a column of the table
    """An operation is held by its name, its room, or as one that changes nothing."""
    assert covers(scopes, name, changes=changes) is may


def test_unknown() -> None:
    """The first scope that holds nothing is told."""
    assert unknown(("calls.*", "agents.pause", "read", "events"), NAMES) is None
    assert unknown(("read", "cals.*", "x"), NAMES) == "cals.*"
    assert unknown(("calls.dance",), NAMES) == "calls.dance"
