import re
import xml.etree.ElementTree as ET

import pytest

from lab import sipp
from lab.config import fill
from lab.errors import LabError

STATISTICS = """\
StartTime;LastResetTime;TotalCallCreated;SuccessfulCall(P);SuccessfulCall(C);FailedCall(P);FailedCall(C);
2026-11-23 11:14:10;11:14:10;4;0;1;0;0;
2026-11-23 11:14:10;11:14:12;12;1;11;0;1;
"""


def test_the_last_row_counts() -> None:
    """Totals are the cumulative columns of the last row; without a row there is no count."""
    assert sipp.parse_count(STATISTICS) == sipp.Count(made=12, good=11, failed=1)
    with pytest.raises(LabError, match="no statistics"):
        sipp.parse_count(STATISTICS.splitlines()[0])


def test_credentials_and_target_are_injected() -> None:
    """Each number has its own password, and is taken in turn."""
    assert sipp.lines_of(("3001", "3002"), "7001").splitlines() == [
        "SEQUENTIAL",
        "3001;[authentication username=3001 password=pw3001];7001;",
        "3002;[authentication username=3002 password=pw3002];7001;",
    ]


def test_waits_are_drawn_evenly_between_least_and_most() -> None:
    """Every wait is as probable as any other, from the least to the most, and listens all the while."""
    text = sipp.draw("it", 20, (1.0, 4.5), 6, ("INVITE", 3), ("BYE", 2))
    chances = [float(chance) for chance in re.findall(r'chance="([\d.]+)"', text)]
    left = 1.0
    for chance in chances:
        assert left * chance == pytest.approx(1 / sipp.DRAWS, abs=1e-3)
        left -= left * chance
    assert chances[-1] == 1.0
    waits = [int(wait) for wait in re.findall(r'"BYE" timeout="(\d+)"', text)]
    assert waits == [1000, 1500, 2000, 2500, 3000, 3500, 4000, 4500]
    assert text.count('request="INVITE" optional="true"') == sipp.DRAWS
    labels = re.findall(r'label id="(\d+)"', text)
    assert labels == re.findall(r'nop next="(\d+)"', text) == [str(20 + place) for place in range(8)]


@pytest.mark.parametrize("name", ["caller", "callee", "register"])
def test_scenarios_are_whole(name: str) -> None:
    """Each scenario is XML, and every label that is gone to is there once."""
    drawn = {
        "stay": sipp.draw("a", 20, (1.0, 2.0), 6, ("INVITE", 3), ("BYE", 2)),
        "ring": sipp.draw("b", 40, (0.1, 0.2), 7, ("CANCEL", 5)),
    }
    text = fill((sipp.SCENARIOS / f"{name}.xml").read_text(), drawn)
    root = ET.fromstring(text)  # noqa: S314  # the lab's own file
    labels = [label.get("id") for label in root.iter("label")]
    assert len(labels) == len(set(labels))
    targets = {element.get(key) for element in root for key in ("next", "ontimeout")} - {None}
    assert targets <= set(labels)
