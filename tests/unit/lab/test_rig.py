from pathlib import Path

import pytest

from lab import rig
from lab.config import RigOptions
from lab.ports import free_ports
from lab.rig import Rig
from lab.root import Root


@pytest.mark.parametrize(
    ("named", "environment", "asked"),
    [
        (None, None, None),
        (None, "", None),
        (None, "bullseye", "bullseye"),
        ("forky", "bullseye", "forky"),
    ],
)
def test_the_suite_of_a_rig(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: str | None,
    environment: str | None,
    asked: str | None,
) -> None:
    """The environment names the suite of each rig that is not told one."""
    roots: list[str | None] = []

    def ensure_root(suite: str | None = None) -> Root:
        roots.append(suite)
        return Root(tmp_path, "none")

    monkeypatch.setattr(rig, "ensure_root", ensure_root)
    monkeypatch.delenv("CTID_LAB_SUITE", raising=False)
    if environment is not None:
        monkeypatch.setenv("CTID_LAB_SUITE", environment)
    made = Rig(tmp_path, free_ports(), RigOptions(suite=named))
    assert made.root is made.root
    assert roots == [asked]
