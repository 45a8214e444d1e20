"""The fuzz's runner: `python -m fuzz.fuzz --frames 1000000` mutates a million frames, on all cores.

A round is made of the seed and its own number, so that both together bring a failure back. The store outlives
the rounds, as a daemon's does, and after each round everything that can grow must be as at the beginning.
"""

import argparse
import gc
import multiprocessing
import os
import re
import resource
import secrets
import sys
import tempfile
import time
import traceback
import tracemalloc
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fuzz import captures, plans, tables
from fuzz.frames import END
from fuzz.plans import Plan
from fuzz.rig import Broken, Rig
from fuzz.steps import Answer, Connected, Heard, Look, Step

GROWTH_BYTES = 64 * 1024
"""How much more may be allocated after rounds that were played before than was before them."""
GROWTH_ROUNDS = 30
MINIMISE_S = 30.0
CAPTURE_EVERY = 8
"""Rounds after which a mutated capture is replayed as well."""
BOUNDS = {
    "AmiSession._reader._verdicts": 1024,
    "Resync._ended": 10_000,
    "Resync.state.channels._standing": 1000,
    "Resync.state.members.pool": 1000,
    "Roster._known": 1000,
    "Store.queues": 1,  # the one of the configuration
    "Store.agents": 1000,
    "Store.rows[lab].members": 1000,
    "Store.rows[lab].agent_of": 16_000,
    "Store.drifts": 100,
}
"""What is kept beyond the channels and queues there are, and up to how many entries; stories go by agents."""


class Grown(AssertionError):
    """Something is still remembered of what is no more."""


class Failure(NamedTuple):
    """A round that failed, what of, and where the smallest plan that fails alike is."""

    number: int
    what: str
    trace: str
    path: str


class Report(NamedTuple):
    """What some rounds came to."""

    rounds: int
    frames: int
    mutated: int
    tally: Counter[str]
    failures: list[Failure]
    rss_first: int
    """Resident kB after a tenth of the rounds, and after all of them."""
    rss_last: int


class Daemon:
    """A rig, and what it remembers of a PBX in which nothing is."""

    def __init__(self, *, check_every: int = 24) -> None:
        self.rig = Rig(check_every=check_every)
        self.rig.play([Connected(plans.empty())], plans.empty())
        self._base = tables.of(self.rig)

    def play(self, plan: Plan) -> None:
        """Play a round, at whose end everything is over. Raises Grown, and whatever is wrong."""
        self.rig.play(plan.steps, plan.home)
        found = {
            name: size
            for name, size in tables.of(self.rig).items()
            if size > BOUNDS.get(name, self._base.get(name, 0)) and not name.startswith("Store.stories")
        }
        if found:
            raise Grown(str(found))


def run(seed: int, frames: int, *, first: int = 0, stride: int = 1, wires: Path | None = None) -> Report:
    """Play rounds `first`, `first + stride` and so on until so many frames were mutated."""
    daemon, failures, tally = Daemon(), list[Failure](), Counter[str]()
    number, mutated, sent, rounds, rss = first, 0, 0, 0, 0
    while mutated < frames and len(failures) < 5:
        plan = plans.make(seed, number, wires)
        try:
            daemon.play(plan)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is what is looked for
            failures.append(_failure(seed, number, plan, error))
            tally.update(daemon.rig.tally)
            sent += daemon.rig.frames
            daemon = Daemon()
        mutated += plan.mutated
        if rounds % CAPTURE_EVERY == 0:
            try:
                replayed, changed, troubles = captures.run(seed, number)
            except Exception as error:  # noqa: BLE001 - the same
                failures.append(
                    Failure(number, f"capture: {_mark(error)}", _trace(error), "none: see fuzz.captures")
                )
            else:
                sent, mutated = sent + replayed, mutated + changed
                tally.update(troubles)
        rounds += 1
        number += stride
        if not rss and mutated >= frames / 10:
            rss = _rss_kb()
    tally.update(daemon.rig.tally)
    return Report(rounds, sent + daemon.rig.frames, mutated, tally, failures, rss, _rss_kb())


def growth(seed: int, rounds: int, wires: Path | None = None) -> int:
    """Bytes by which a daemon grows in rounds that it has played twice before; caches are not counted."""
    daemon = Daemon()
    made = [plans.make(seed, number, wires) for number in range(rounds)]
    sizes = []
    tracemalloc.start()
    for _ in range(3):
        for plan in made:
            daemon.play(plan)
        daemon.rig.tally.clear()
        tables.clear_caches()
        gc.collect()
        sizes.append(tracemalloc.get_traced_memory()[0])
    tracemalloc.stop()
    return sizes[2] - sizes[1]


def _rss_kb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


# Failures ---------------------------------------------------------------------------------------------


def _failure(seed: int, number: int, plan: Plan, error: Exception) -> Failure:
    mark = _mark(error)
    alone = _fails(plan, mark)
    smallest = _minimised(plan, mark) if alone else plan
    folder = Path(tempfile.mkdtemp(prefix="ctid-fuzz-"))
    wire = b"".join(step.data for step in smallest.steps if isinstance(step, Heard))
    (folder / "wire.bin").write_bytes(wire)
    steps = "\n".join(f"{step!r}," for step in smallest.steps)
    note = "" if alone else "# it fails after the rounds before it alone\n"
    (folder / "plan.txt").write_text(
        f"{note}# seed {seed}, round {number}: {mark}\n{steps}\nhome={smallest.home!r}\n"
    )
    return Failure(number, mark, _trace(error), str(folder))


def _trace(error: Exception) -> str:
    return "".join(traceback.format_exception(error)[-6:])


def _mark(error: Exception) -> str:
    """What failures of the same cause have in common: the error's kind, and the line of ours it came from."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if "fuzz" not in Path(f.filename).parts]
    ours = [frame for frame in frames if "ctid" in frame.filename]
    where = f"{Path(ours[-1].filename).name}:{ours[-1].lineno}" if ours else "the state"
    kind = type(error).__name__
    text = re.sub(r"[0-9][0-9a-z.]*", "", str(error))[:80]  # which call it was is no matter
    return f"{kind}: {text}" if isinstance(error, Broken | Grown) and not ours else f"{kind} at {where}"


def _fails(plan: Plan, mark: str) -> bool:
    try:
        Daemon(check_every=1).play(plan)
    except Exception as error:  # noqa: BLE001 - compared below
        return _mark(error) == mark
    return False


def _minimised(plan: Plan, mark: str) -> Plan:
    until = time.monotonic() + MINIMISE_S

    end = plan.steps[-3:] if plan.quiet else plan.steps[-1:]

    def fails(steps: Sequence[Step]) -> bool:
        return time.monotonic() < until and _fails(plan._replace(steps=(*steps, *end)), mark)

    steps = reduced(list(plan.steps[: -len(end)]), fails)
    blocks = [block for step in steps for block in _blocks(step)]
    steps = reduced(blocks, fails) if fails(blocks) else steps
    for at, step in enumerate(steps):
        for simpler in _simpler(step):
            if fails([*steps[:at], simpler, *steps[at + 1 :]]):
                steps[at] = simpler
                break
    return plan._replace(steps=(*steps, *end))


def _blocks(step: Step) -> list[Step]:
    if not isinstance(step, Heard):
        return [step]
    parts = step.data.split(END)
    return [Heard(part) for part in [*(part + END for part in parts[:-1]), parts[-1]] if part]


def _simpler(step: Step) -> list[Step]:
    match step:
        case Look():
            bare = step._replace(answers={}, again={}, heard=())
            fewer = [
                step._replace(answers={**step.answers, name: Answer()}, again={**step.again, name: Answer()})
                for name in step.answers
            ]
            return [bare, step._replace(heard=()), *fewer]
        case Connected():
            return [step._replace(look=look) for look in _simpler(step.look) if isinstance(look, Look)]
        case _:
            return []


def reduced(steps: list[Step], fails: Callable[[Sequence[Step]], bool]) -> list[Step]:
    """Leave out what it fails without, from large pieces to single ones."""
    size = max(len(steps) // 2, 1)
    while True:
        at = 0
        while at < len(steps):
            fewer = steps[:at] + steps[at + size :]
            if fails(fewer):
                steps = fewer
            else:
                at += size
        if size == 1:
            return steps
        size //= 2


# The command ------------------------------------------------------------------------------------------


def main() -> int:
    """Run, and say what came of it; 1 when something failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=100_000, help="frames to mutate")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(10**6))
    parser.add_argument("--round", type=int, help="play this round alone")
    parser.add_argument("--wires", type=Path, help="a folder of more recorded wires (*.txt)")
    asked = parser.parse_args()
    if asked.round is not None:
        Daemon(check_every=1).play(plans.make(asked.seed, asked.round, asked.wires))
        sys.stdout.write(f"seed {asked.seed}, round {asked.round}: passed\n")
        return 0
    began = time.monotonic()
    cores = os.cpu_count() or 1
    jobs = [(asked.seed, -(-asked.frames // cores), at, cores, asked.wires) for at in range(cores)]
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        reports = pool.starmap(_part, jobs)
        failed = any(report.failures for report in reports)
        grown = 0 if failed else pool.apply(growth, (asked.seed, GROWTH_ROUNDS, asked.wires))
    took = time.monotonic() - began
    _say(asked.seed, reports, grown, took)
    return 1 if grown > GROWTH_BYTES or any(report.failures for report in reports) else 0


def _part(seed: int, frames: int, first: int, stride: int, wires: Path | None) -> Report:
    return run(seed, frames, first=first, stride=stride, wires=wires)


def _say(seed: int, reports: Sequence[Report], grown: int, took: float) -> None:
    tally = sum((report.tally for report in reports), Counter[str]())
    mutated, frames = sum(report.mutated for report in reports), sum(report.frames for report in reports)
    rounds = sum(report.rounds for report in reports)
    rss = ", ".join(f"{r.rss_first / 1024:.0f} to {r.rss_last / 1024:.0f} MB" for r in reports)
    lines = [
        f"seed {seed}: {mutated:,} mutated frames of {frames:,} in {rounds:,} rounds, {took:.0f} s",
        "  " + ", ".join(f"{count:,} {what}" for what, count in tally.most_common()),
        f"  resident, from a tenth of the rounds to the end: {rss}",
        f"  {grown:,} bytes more when the same rounds come again",
    ]
    for failure in (failure for report in reports for failure in report.failures):
        lines.append(f"FAILED seed {seed} round {failure.number}: {failure.what}; the plan: {failure.path}")
        lines.append(failure.trace)
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    sys.exit(main())
