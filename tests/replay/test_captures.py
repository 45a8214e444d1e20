"""Every capture here, replayed and compared with what is expected of it.

Beside `<name>.capture.xz` stands `<name>.expected.jsonl`: what `ctid replay --json` prints. `docs/capture.md`
says how the expectation is written anew after a change that was looked at.
"""

import json
from pathlib import Path

import pytest

from ctid.capture import Capture
from ctid.cli import main
from helpers.captures import REPLAYS, replayed
from helpers.logging_setup import logging_restored

NAMES = sorted(path.name.removesuffix(".capture.xz") for path in REPLAYS.glob("*.capture.xz"))


def expected(name: str) -> Path:
    """Where the expectation of a capture stands."""
    return REPLAYS / f"{name}.expected.jsonl"


def test_each_expectation_has_its_capture() -> None:
    """And each capture its expectation; one without the other was forgotten."""
    assert (
        sorted(path.name.removesuffix(".expected.jsonl") for path in REPLAYS.glob("*.expected.jsonl"))
        == NAMES
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_capture_tells_what_is_expected(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each change in its order, and the floor at the end; the first that differs is shown."""
    with logging_restored():
        assert main(["replay", "--json", str(REPLAYS / f"{name}.capture.xz")]) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    wanted = [json.loads(line) for line in expected(name).read_text("utf-8").splitlines()]
    for number, (one, other) in enumerate(zip(told, wanted, strict=False), 1):
        assert one == other, f"{expected(name).name}, line {number}"
    assert len(told) == len(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_the_invariants_hold_after_every_message_of_a_capture(name: str) -> None:
    """Which the helper asserts; and every message could be read."""
    capture = Capture(REPLAYS / f"{name}.capture.xz")
    steps = replayed(capture.records())
    assert (capture.cut, [step.trouble for step, _ in steps if step.trouble]) == ("", [])
    assert any(updates for _, updates in steps)
