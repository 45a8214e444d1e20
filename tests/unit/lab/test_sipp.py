import xml.etree.ElementTree as ET

import msgspec
import pytest

from lab import sipp
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


def test_credentials_target_and_stay_are_injected() -> None:
    """Each call has its caller's own password, its number, and its time in ms, a line each in their order."""
    callings = [
        sipp.Calling(caller="3001", number="7001", stays_s=1.25),
        sipp.Calling(caller="3002", number="7000", stays_s=6.0),
    ]
    assert sipp.caller_lines(callings).splitlines() == [
        "SEQUENTIAL",
        "3001;[authentication username=3001 password=pw3001];7001;1250;",
        "3002;[authentication username=3002 password=pw3002];7000;6000;",
    ]
    assert sipp.account_lines(("1003",)).splitlines()[1:] == [
        "1003;[authentication username=1003 password=pw1003];"
    ]


def test_what_callees_do_is_injected() -> None:
    """Ringing, whether she declines, hold and talk, in the order of the scenario's fields."""
    offers = [sipp.Offer(ring_s=0.5, stays_s=2.0, holds_s=0.75), sipp.Offer(ring_s=0.1, declines=True)]
    assert sipp.offer_lines(offers).splitlines() == ["SEQUENTIAL", "500;0;750;2000;", "100;1;0;0;"]


def test_a_seed_makes_the_same_plan_again() -> None:
    """Times are drawn by the seed, between least and most, and callers call in turn."""
    load = sipp.Load(calls=30, callers=("3001", "3002"), caller_stays_s=(1.0, 6.0), ring_s=(0.1, 0.8))
    callings, offers = load.callings(), load.offers()
    assert (callings, offers) == (load.callings(), load.offers())
    assert callings != msgspec.structs.replace(load, seed=2).callings()
    assert [c.caller for c in callings[:3]] == ["3001", "3002", "3001"]
    assert all(1.0 <= c.stays_s <= 6.0 and c.number == "7001" for c in callings)
    assert len({c.stays_s for c in callings}) > 20
    assert all(0.1 <= o.ring_s <= 0.8 and 0.5 <= o.stays_s <= 4.0 and not o.declines for o in offers)


@pytest.mark.parametrize("name", ["caller", "callee", "register"])
def test_scenarios_are_whole(name: str) -> None:
    """Each scenario is XML, and every label that is gone to is there once."""
    root = ET.fromstring((sipp.SCENARIOS / f"{name}.xml").read_text())  # noqa: S314  # the lab's own file
    labels = [label.get("id") for label in root.iter("label")]
    assert len(labels) == len(set(labels))
    targets = {element.get(key) for element in root for key in ("next", "ontimeout")} - {None}
    assert targets <= set(labels)
