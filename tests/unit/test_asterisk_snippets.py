import re
from pathlib import Path

import pytest

SHIPPED = Path(__file__).parents[2] / "config" / "asterisk"


def classes(file: str, key: str) -> set[str]:
    """The permissions of one kind that a snippet of manager.conf gives."""
    found = re.search(rf"^{key} = (.+)$", (SHIPPED / file).read_text(), re.MULTILINE)
    assert found is not None
    return set(found[1].split(","))


@pytest.mark.parametrize(("key", "more"), [("read", {"dtmf"}), ("write", {"originate"})])
def test_without_ari_the_user_may_one_thing_more(key: str, more: set[str]) -> None:
    """The second snippet takes the first one's line's place: it gives all of it, and one class besides."""
    assert classes("manager.ctid-no-ari.conf", key) == classes("manager.ctid.conf", key) | more
