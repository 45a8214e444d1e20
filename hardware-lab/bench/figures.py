"""Samples into figures: medians, spreads and ratios, as a table and as JSON; and what they were taken on."""

import gc
import os
import platform
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

LOW, HIGH = 0.1, 0.9
"""The shares of the samples below the two ends of a spread."""


class Row(Struct, frozen=True):
    """One thing that was measured: its samples, in `unit`, in the order they were taken.

    `worst` is the greatest for times and counts, the least where `unit` is a rate (`…/s`).
    """

    what: str
    unit: str
    samples: tuple[float, ...]

    @property
    def median(self) -> float:
        """The middle sample. Raises StatisticsError where there is none."""
        return statistics.median(self.samples)

    @property
    def worst(self) -> float:
        """The sample that one would rather not show."""
        return min(self.samples) if self.unit.endswith("/s") else max(self.samples)

    def quantile(self, share: float) -> float:
        """The sample below which `share` of them are, 0 to 1; no interpolation."""
        ordered = sorted(self.samples)
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Ratio(Struct, frozen=True):
    """The ratio of two rows' medians, and the spread of the ratios of the pairs as they were taken."""

    what: str
    value: float
    low: float
    high: float
    aim: str = ""


class Report(Struct, kw_only=True):
    """What one bench found."""

    name: str
    about: str
    rows: list[Row] = []
    ratios: list[Ratio] = []
    notes: list[str] = []


def ratio_of(what: str, over: Row, under: Row, aim: str = "") -> Ratio:
    """Compare two rows whose samples were taken in pairs."""
    pairs = Row(what, "", tuple(a / b for a, b in zip(over.samples, under.samples, strict=True)))
    return Ratio(what, over.median / under.median, pairs.quantile(LOW), pairs.quantile(HIGH), aim)


def alternate(count: int, *measures: Callable[[], float]) -> list[tuple[float, ...]]:
    """Take `count` samples of each measure, A B A B; one column a measure."""
    columns: list[list[float]] = [[] for _ in measures]
    for _ in range(count):
        for column, measure in zip(columns, measures, strict=True):
            gc.collect()
            column.append(measure())
    return [tuple(column) for column in columns]


def table(report: Report) -> str:
    """The report as text, a line for each figure."""
    names = [*(row.what for row in report.rows), *(ratio.what for ratio in report.ratios)]
    width = max(map(len, names), default=0)
    lines = [f"{report.name}: {report.about}", ""]
    heads = ("median", f"{LOW:.0%}", f"{HIGH:.0%}", "worst", "n")
    lines.append(f"  {'':{width}}  {heads[0]:>9} {heads[1]:>9} {heads[2]:>9} {heads[3]:>9} {heads[4]:>4}")
    for row in report.rows:
        values = (row.median, row.quantile(LOW), row.quantile(HIGH), row.worst)
        told = " ".join(f"{number(value):>9}" for value in values)
        lines.append(f"  {row.what:{width}}  {told} {len(row.samples):>4} {row.unit}")
    for ratio in report.ratios:
        spread = f"pairs {ratio.low:.2f} to {ratio.high:.2f}"
        lines.append(f"  {ratio.what:{width}}  {ratio.value:>9.2f} {spread}{_aim(ratio)}")
    lines += [f"  {note}" for note in report.notes]
    return "\n".join(lines)


def number(value: float) -> str:
    """A figure in as many digits as it deserves."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _aim(ratio: Ratio) -> str:
    return f" (aim: {ratio.aim})" if ratio.aim else ""


def document(reports: Sequence[Report], machine: dict[str, str], at: str) -> dict[str, object]:
    """All that was found, with every sample, for JSON. `at` is when, RFC 3339."""
    return {
        "at": at,
        "machine": machine,
        "reports": [
            {
                "name": report.name,
                "about": report.about,
                "rows": [
                    {
                        "what": row.what,
                        "unit": row.unit,
                        "median": row.median,
                        "worst": row.worst,
                        "samples": row.samples,
                    }
                    for row in report.rows
                ],
                "ratios": report.ratios,
                "notes": report.notes,
            }
            for report in reports
        ],
    }


def machine() -> dict[str, str]:
    """What this runs on, and how busy it is: load averages of 1, 5 and 15 minutes."""
    models = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": str(os.cpu_count()),
        "python": platform.python_version(),
        "system": platform.system(),
        "load": " ".join(f"{load:.1f}" for load in os.getloadavg()),
    }
