"""`python -m bench`: run the benches, print their tables, write the samples."""

import argparse
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import structlog

from bench import click, figures, ingest, latency, mqtt, sockets, switch, whisper
from bench.figures import Report

BENCHES: dict[str, Callable[[], Report]] = {
    "ingest": ingest.run,
    "click": click.run,
    "switch": switch.run,
    "whisper": whisper.run,
    "mqtt": mqtt.run,
    "latency": latency.run,
    "sockets": sockets.run,
}


def main() -> int:
    """Run what the command line names, all of them by default; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="bench", description="Measure what docs/benchmarks.md claims, on a real Asterisk and broker."
    )
    parser.add_argument("names", nargs="*", metavar="name", help=f"{', '.join(BENCHES)}; default: all")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in BENCHES]
    if unknown:
        parser.error(f"there is no bench {unknown[0]!r}; there are {', '.join(BENCHES)}")
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("warning"))
    machine, at = figures.machine(), datetime.now(UTC).isoformat(timespec="seconds")
    print(at, *(f"{key} {value}" for key, value in machine.items()), sep="  ")
    reports = []
    for name in options.names or BENCHES:
        began = time.monotonic()
        report = BENCHES[name]()
        reports.append(report)
        print(f"\n{figures.table(report)}\n  took {time.monotonic() - began:.0f} s", flush=True)
    if options.json is not None:
        options.json.write_bytes(
            msgspec.json.format(msgspec.json.encode(figures.document(reports, machine, at)))
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
