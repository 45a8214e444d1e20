"""Many calls at once by SIPp: bounded bursts of callers and callees without audio, which end themselves."""

import asyncio
import csv
import signal
from pathlib import Path

import msgspec

from lab import processes
from lab.config import TEMPLATES, fill
from lab.errors import LabError
from lab.ports import free_port
from lab.processes import Identity
from lab.rig import Rig
from lab.roster import CUSTOMERS, password

SCENARIOS = TEMPLATES.parent / "sipp"
REGISTER_SECONDS = 10
LEAVE_SECONDS = 15.0
POLL_SECONDS = 0.05
DRAWS = 8
"""How many different times a random wait may take."""

Range = tuple[float, float]
"""Seconds, least and most; each call draws its own."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A burst: so many `calls` of `callers` to `number`, `rate` a second, at most `at_once` at a time.

    A caller hangs up `caller_stays_s` after the PBX has answered, the callee `callee_stays_s` after she has:
    who comes first is the side that hangs up, and a caller whom nobody has served by then has abandoned.
    After `seconds` what still goes on is broken off. `callees` are registered at the beginning, and
    unregistered at the end; nobody else may be registered as one of them.
    """

    calls: int = 20
    rate: float = 4.0
    at_once: int = 6
    number: str = "7001"
    callers: tuple[str, ...] = CUSTOMERS[:10]
    callees: tuple[str, ...] = ("1003", "1004", "1005", "1006")
    ring_s: Range = (0.1, 0.8)
    caller_stays_s: Range = (1.0, 6.0)
    callee_stays_s: Range = (0.5, 4.0)
    seconds: float = 60.0


class Count(msgspec.Struct, frozen=True):
    """What SIPp counted of one side: a call is good where each message came as it should."""

    made: int
    good: int
    failed: int


class Outcome(msgspec.Struct, frozen=True):
    """How a burst went. Each ring at a callee counts there, also one that was cancelled."""

    callers: Count
    callees: Count


def parse_count(text: str) -> Count:
    """Parse SIPp's statistics (`-trace_stat`): the last row. Raises `LabError` where there is none."""
    rows = list(csv.DictReader(text.splitlines(), delimiter=";"))
    if not rows:
        raise LabError("sipp left no statistics")
    last = rows[-1]
    made = int(last["TotalCallCreated"])
    return Count(made, int(last["SuccessfulCall(C)"]), int(last["FailedCall(C)"]))


def draw(name: str, label: int, range_s: Range, over: int, *hear: tuple[str, int]) -> str:
    """Elements of a scenario that wait for a random time, and then go on at the label `over`.

    `hear`: requests that may come meanwhile, each with the label that it leads to. SIPp's own random pause
    cannot listen, so one of `DRAWS` equal waits is drawn; the labels from `label` on are used for them.
    """
    least, most = range_s
    lines = [f"  <!-- {name}: one of these waits -->"]
    lines += [f'  <nop next="{label + place}" chance="{1 / (DRAWS - place):.4f}"/>' for place in range(DRAWS)]
    for place in range(DRAWS):
        wait = round(1000 * (least + (most - least) * place / (DRAWS - 1)))
        lines.append(f'  <label id="{label + place}"/>')
        for index, (request, target) in enumerate(hear, 1):
            optional = "" if index == len(hear) else ' optional="true"'
            timed = f'timeout="{wait}" ontimeout="{over}"'
            lines.append(f'  <recv request="{request}"{optional} {timed} next="{target}"/>')
    return "\n".join(lines)


def lines_of(numbers: tuple[str, ...], target: str = "") -> str:
    """An injection file: number, credentials, and whom she calls, a line each, taken in turn."""
    lines = [f"{n};[authentication username={n} password={password(n)}];{target};\n" for n in numbers]
    return "SEQUENTIAL\n" + "".join(lines)


class _Program:
    """One run of SIPp below `folder`, with the port that it has."""

    def __init__(self, rig: Rig, folder: Path, name: str, port: int, *options: str) -> None:
        self.name = name
        self._log = folder / f"{name}.out"
        self._statistics = folder / f"{name}.stat"
        media = str(free_port())
        command = [
            *rig.root.command("sipp"),
            f"127.0.0.1:{rig.ports.sip}",
            *("-i", "127.0.0.1", "-p", str(port), "-bind_local"),
            *("-mi", "127.0.0.1", "-min_rtp_port", media, "-ci", "127.0.0.1", "-cp", str(free_port())),
            *("-trace_stat", "-stf", str(self._statistics), "-fd", "1"),
            *("-trace_err", "-error_file", str(folder / f"{name}.errors")),
            *("-nostdin", "-skip_rlimit", *options),
        ]
        environment = {**rig.root.environment(), "TERM": "dumb"}
        self._child, self._identity = processes.start(
            command, base=rig.base, log=self._log, environment=environment, leashed=True
        )

    @property
    def identity(self) -> Identity:
        """The process."""
        return self._identity

    async def over(self, within: float) -> int:
        """Wait until it has ended; its exit code. Raises `LabError` where it does not end in time."""
        deadline = asyncio.get_running_loop().time() + within
        while (code := self._child.poll()) is None:
            if asyncio.get_running_loop().time() >= deadline:
                raise LabError(f"sipp ({self.name}) did not end in {within} s:\n{processes.tail(self._log)}")
            await asyncio.sleep(POLL_SECONDS)
        return code

    def tell(self, number: signal.Signals) -> None:
        """Send it a signal; nothing where it has ended."""
        processes.signal_process(self._identity, number)

    def end(self) -> None:
        """End it, whatever it does."""
        self.tell(signal.SIGKILL)
        self._child.wait()

    def count(self) -> Count:
        """What it counted; it has ended."""
        if not self._statistics.exists():
            raise LabError(f"sipp ({self.name}) left no statistics:\n{processes.tail(self._log)}")
        return parse_count(self._statistics.read_text())


async def burst(rig: Rig, load: Load) -> Outcome:
    """Make the calls of `load`, and return when all of them are over and the callees unregistered.

    SIPp's own logs stay below `sipp` in the rig's folder.
    Raises `LabError` where a callee is refused by the registrar, or SIPp does not end.
    """
    number = 1 + sum(1 for _ in (rig.base / "sipp").glob("*")) if (rig.base / "sipp").exists() else 1
    folder = rig.base / "sipp" / str(number)
    folder.mkdir(parents=True)
    _write(folder, load)
    port = free_port()
    await _register(rig, folder, load, port, on=True)
    callees = _Program(rig, folder, "callees", port, "-sf", str(folder / "callee.xml"), "-aa",
                       "-timeout", f"{load.seconds + LEAVE_SECONDS:.0f}s")  # fmt: skip
    programs = [callees]
    try:
        callers = _Program(rig, folder, "callers", free_port(), "-sf", str(folder / "caller.xml"), "-aa",
                           "-inf", str(folder / "callers.csv"), "-m", str(load.calls),
                           "-r", f"{load.rate * 10:.0f}", "-rp", "10s", "-l", str(load.at_once),
                           "-timeout", f"{load.seconds:.0f}s")  # fmt: skip
        programs.append(callers)
        await callers.over(load.seconds + LEAVE_SECONDS)
        callees.tell(signal.SIGUSR1)  # goes when its last call is over
        await callees.over(LEAVE_SECONDS)
    finally:
        for program in programs:
            program.end()
    await _register(rig, folder, load, port, on=False)
    return Outcome(callers.count(), callees.count())


def _write(folder: Path, load: Load) -> None:
    for name, range_s in (("caller", load.caller_stays_s), ("callee", load.callee_stays_s)):
        values = {
            "stay": draw("the call", 20, range_s, 6, ("INVITE", 3), ("BYE", 2)),
            "ring": draw("the ringing", 40, load.ring_s, 7, ("CANCEL", 5)),
        }
        (folder / f"{name}.xml").write_text(fill((SCENARIOS / f"{name}.xml").read_text(), values))
    (folder / "callers.csv").write_text(lines_of(load.callers, load.number))
    (folder / "callees.csv").write_text(lines_of(load.callees))


async def _register(rig: Rig, folder: Path, load: Load, port: int, *, on: bool) -> None:
    expires = str(round(load.seconds) + 120) if on else "0"
    program = _Program(rig, folder, "register" if on else "unregister", port,
                       "-sf", str(SCENARIOS / "register.xml"), "-inf", str(folder / "callees.csv"),
                       "-key", "expires", expires, "-m", str(len(load.callees)), "-l", "1",
                       "-timeout", f"{REGISTER_SECONDS}s")  # fmt: skip
    try:
        code = await program.over(REGISTER_SECONDS + LEAVE_SECONDS)
    finally:
        program.end()
    if code != 0:
        raise LabError(f"the registrar refused {', '.join(load.callees)}; see {folder}")
