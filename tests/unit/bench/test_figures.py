import json
import statistics
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from bench.__main__ import BENCHES
from bench.figures import Ratio, Report, Row, alternate, document, ratio_of, table
from bench.floor import SUPERVISOR
from bench.switch import AGENT, CUSTOMER, ROUND, NotYet, examine, picture
from lab import tones
from lab.tones import FRAME, RATE, Heard


def test_every_bench_can_be_named() -> None:
    """The command line knows each, and each is something to run."""
    assert list(BENCHES) == ["ingest", "click", "switch", "whisper", "mqtt", "latency", "sockets"]
    assert all(callable(run) for run in BENCHES.values())


def test_a_row_tells_its_middle_its_spread_and_its_worst() -> None:
    """The worst time is the longest, the worst rate the least; no samples are no figure."""
    row = Row("times", "ms", (3.0, 1.0, 2.0, 9.0, 2.5))
    assert (row.median, row.worst, row.quantile(0.1), row.quantile(0.9)) == (2.5, 9.0, 1.0, 9.0)
    assert Row("rate", "events/s", row.samples).worst == 1.0
    with pytest.raises(statistics.StatisticsError):
        _ = Row("none", "ms", ()).median


def test_a_ratio_is_of_medians_and_its_spread_of_pairs() -> None:
    """A machine that slows down for both shows in neither."""
    ratio = ratio_of(
        "a / b", Row("a", "/s", (10.0, 20.0, 40.0)), Row("b", "/s", (5.0, 10.0, 20.0)), "at least 2"
    )
    assert ratio == Ratio("a / b", 2.0, 2.0, 2.0, "at least 2")


def test_measures_are_taken_in_turns() -> None:
    """A B A B, so that what else the machine does meets both."""
    order: list[str] = []

    def measure(name: str) -> float:
        order.append(name)
        return float(len(order))

    columns = alternate(2, lambda: measure("a"), lambda: measure("b"))
    assert (order, columns) == (["a", "b", "a", "b"], [(1.0, 3.0), (2.0, 4.0)])


def test_a_report_is_a_table_and_a_document() -> None:
    """Each figure has a line with its unit; the document holds every sample."""
    rows = [Row("ctid", "ms", (1.0, 2.0, 3.0)), Row("other", "ms", (2.0, 4.0, 6.0))]
    ratios = [ratio_of("ctid / other", rows[0], rows[1], "at most 1.25")]
    report = Report(name="click", about="what", rows=rows, ratios=ratios, notes=["a note"])
    text = table(report)
    assert [line.split()[-1] for line in text.splitlines() if line.startswith("  ctid  ")] == ["ms"]
    assert "0.50 pairs 0.50 to 0.50 (aim: at most 1.25)" in text
    assert text.endswith("a note")
    found = json.loads(msgspec.json.encode(document([report], {"cores": "2"}, "2026-01-01T00:00:00Z")))
    assert found["reports"][0]["rows"][1]["samples"] == [2.0, 4.0, 6.0]
    assert found["reports"][0]["ratios"][0]["value"] == 0.5


def test_the_round_has_every_switch() -> None:
    """Each of the three modes is left for each of the others."""
    pairs = set(pairwise(ROUND))
    assert len(pairs) == 6
    assert ROUND[0] == ROUND[-1] == "listen"


def heard(*speakers: str) -> Heard:
    """Frames from second 100 on; each of `speakers` is whose tones are in a frame, `+` between them."""
    frames = np.zeros((len(speakers), FRAME), dtype=np.float32)
    for index, names in enumerate(speakers):
        for name in filter(None, names.split("+")):
            frames[index] += 0.2 * np.sin(2 * np.pi * tones.TONES[name] * np.arange(FRAME) / RATE)
    return Heard(np.array([100 + 0.02 * index for index in range(len(frames))]), frames)


BOTH = f"{AGENT}+{CUSTOMER}"


def test_what_a_switch_looks_like_is_told_by_frames() -> None:
    """The gap is what she misses; the moment is the last change; who is in neither picture is counted."""
    frames = {
        SUPERVISOR: heard(BOTH, BOTH, "", "", BOTH, BOTH),
        AGENT: heard(CUSTOMER, CUSTOMER, CUSTOMER, *[f"{CUSTOMER}+{SUPERVISOR}"] * 3),
        CUSTOMER: heard(AGENT, f"{AGENT}+{SUPERVISOR}", AGENT, AGENT, AGENT, AGENT),
    }
    seen = examine(frames, picture("listen"), picture("whisper"), began=100.01, request=0.5)
    assert seen.request == 0.5
    assert seen.gap == pytest.approx(0.04)
    assert seen.settled == pytest.approx(0.05)
    assert seen.wrong == {f"{CUSTOMER} hears {SUPERVISOR}": 1}
    assert seen.missed == {f"{SUPERVISOR} hears {AGENT}": 2, f"{SUPERVISOR} hears {CUSTOMER}": 2}


def test_a_switch_that_is_not_heard_is_no_figure() -> None:
    """Who is in the new picture alone must be heard before it counts."""
    frames = {SUPERVISOR: heard(*[BOTH] * 3), AGENT: heard(*[CUSTOMER] * 3), CUSTOMER: heard(*[AGENT] * 3)}
    with pytest.raises(NotYet, match=f"{AGENT} does not hear {SUPERVISOR}"):
        examine(frames, picture("listen"), picture("whisper"), began=100.0, request=0.1)
