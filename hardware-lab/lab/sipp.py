"""Many calls at once by SIPp: bounded bursts of callers and callees without audio, which end themselves.

async with Crew(rig, ("1003", "1004"), offers) as crew:
    count = await call(rig, callings, rate=6.0)

What each caller and each callee does is planned beforehand, line by line: a seed makes the same plan again.
"""

import asyncio
import csv
import random
import signal
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from lab import processes
from lab.config import TEMPLATES
from lab.errors import LabError
from lab.ports import free_port
from lab.processes import Identity
from lab.rig import Rig
from lab.root import ensure_root
from lab.roster import CUSTOMERS, password

SCENARIOS = TEMPLATES.parent / "sipp"
REGISTER_SECONDS = 10
LEAVE_SECONDS = 15.0
POLL_SECONDS = 0.05
CALM_S = 120.0
"""A registration outlives what it is for by so much; it is taken back at the end."""

Range = tuple[float, float]
"""Seconds, least and most; each call draws its own."""


class Calling(msgspec.Struct, frozen=True, kw_only=True):
    """One call: who calls which number, and hangs up `stays_s` after the PBX's answer, unless it is over.

    Where the PBX tells meanwhile who she is connected with (re-INVITE), the time begins anew.
    """

    caller: str
    number: str
    stays_s: float


class Offer(msgspec.Struct, frozen=True, kw_only=True):
    """What a callee does with a call that rings at her: takes it after `ring_s`, or `declines` it (603) then.

    `stays_s` after she has taken it she hangs up, unless it is over; or, where `holds_s` is not 0, has it on
    hold (re-INVITE, sendonly) for so long, and hangs up then. Who is to let it ring declines after minutes.
    """

    ring_s: float
    stays_s: float = 0.0
    holds_s: float = 0.0
    declines: bool = False


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A burst: so many `calls` of `callers` to `number`, `rate` a second, at most `at_once` at a time.

    A caller hangs up `caller_stays_s` after the PBX has answered, the callee `callee_stays_s` after she has:
    who comes first is the side that hangs up, and a caller whom nobody has served by then has abandoned.
    After `seconds` what still goes on is broken off. `callees` are registered at the beginning, and
    unregistered at the end; nobody else may be registered as one of them. The times are drawn by `seed`.
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
    seed: int = 1

    def callings(self) -> list[Calling]:
        """The callers' plan; they call in turn."""
        dice = random.Random(f"callers {self.seed}")  # noqa: S311  # a play, not a secret
        return [
            Calling(
                caller=self.callers[place % len(self.callers)],
                number=self.number,
                stays_s=dice.uniform(*self.caller_stays_s),
            )
            for place in range(self.calls)
        ]

    def offers(self) -> list[Offer]:
        """The callees' plan; it begins anew where more calls ring than it has lines."""
        dice = random.Random(f"callees {self.seed}")  # noqa: S311  # a play, not a secret
        return [
            Offer(ring_s=dice.uniform(*self.ring_s), stays_s=dice.uniform(*self.callee_stays_s))
            for _ in range(2 * self.calls)
        ]


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


def caller_lines(callings: Iterable[Calling]) -> str:
    """The callers' injection file: number, credentials, whom she calls, and how many ms she stays."""
    return _lines((*_account(c.caller), c.number, _ms(c.stays_s)) for c in callings)


def offer_lines(offers: Iterable[Offer]) -> str:
    """The callees' injection file: ms of ringing, whether she declines, ms on hold, and ms before that."""
    return _lines((_ms(o.ring_s), str(int(o.declines)), _ms(o.holds_s), _ms(o.stays_s)) for o in offers)


def account_lines(numbers: Iterable[str]) -> str:
    """The registrations' injection file: number and credentials."""
    return _lines(_account(number) for number in numbers)


def _lines(rows: Iterable[Sequence[str]]) -> str:
    return "SEQUENTIAL\n" + "".join(";".join(row) + ";\n" for row in rows)


def _account(number: str) -> tuple[str, str]:
    return number, f"[authentication username={number} password={password(number)}]"


def _ms(seconds: float) -> str:
    return str(round(1000 * seconds))


class _Program:
    """One run of SIPp below `folder`, with the port that it has."""

    def __init__(self, rig: Rig, folder: Path, name: str, port: int, *options: str) -> None:
        self.name = name
        self._log = folder / f"{name}.out"
        self._statistics = folder / f"{name}.stat"
        media = str(free_port())
        # Not the rig's: which Asterisk is loaded says nothing of what loads it, and older ones end late.
        root = ensure_root()
        command = [
            *root.command("sipp"),
            f"127.0.0.1:{rig.ports.sip}",
            *("-i", "127.0.0.1", "-p", str(port), "-bind_local"),
            *("-mi", "127.0.0.1", "-mp", media, "-ci", "127.0.0.1", "-cp", str(free_port())),
            *("-trace_stat", "-stf", str(self._statistics), "-fd", "1"),
            *("-trace_err", "-error_file", str(folder / f"{name}.errors")),
            *("-nostdin", "-skip_rlimit", *options),
        ]
        environment = {**root.environment(), "TERM": "dumb"}
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


class Crew:
    """Callees who are registered and do with the calls that ring at them what `offers` say, in turn.

    An async context manager: at its end who still talks does so to the end, nobody is registered any more,
    and `count` is there. `within_s`: by then it is to be over; SIPp ends itself then.
    Raises `LabError` where a callee is refused by the registrar, or SIPp does not end.
    """

    def __init__(
        self, rig: Rig, numbers: tuple[str, ...], offers: Sequence[Offer], within_s: float = 60.0
    ) -> None:
        self.count = Count(0, 0, 0)
        self._rig = rig
        self._numbers = numbers
        self._offers = offers
        self._within_s = within_s
        self._port = free_port()
        self._folder = _folder_of(rig)
        self._program: _Program | None = None

    async def __aenter__(self) -> Self:
        (self._folder / "accounts.csv").write_text(account_lines(self._numbers))
        offers = self._folder / "offers.csv"
        offers.write_text(offer_lines(self._offers))
        await self._register(on=True)
        self._program = _Program(self._rig, self._folder, "callees", self._port,
                                 "-sf", str(SCENARIOS / "callee.xml"), "-inf", str(offers), "-aa",
                                 "-timeout", f"{self._within_s + LEAVE_SECONDS:.0f}s")  # fmt: skip
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._program is not None, "inside `async with`"
        if kind is not None:
            self._program.end()  # what went wrong is to be heard, not what follows from it
            return
        try:
            self._program.tell(signal.SIGUSR1)  # goes when its last call is over
            await self._program.over(LEAVE_SECONDS)
        finally:
            self._program.end()
        await self._register(on=False)
        self.count = self._program.count()

    async def _register(self, *, on: bool) -> None:
        expires = str(round(self._within_s + CALM_S)) if on else "0"
        program = _Program(self._rig, self._folder, "register" if on else "unregister", self._port,
                           "-sf", str(SCENARIOS / "register.xml"),
                           "-inf", str(self._folder / "accounts.csv"),
                           "-key", "expires", expires, "-m", str(len(self._numbers)), "-l", "1",
                           "-timeout", f"{REGISTER_SECONDS}s")  # fmt: skip
        try:
            code = await program.over(REGISTER_SECONDS + LEAVE_SECONDS)
        finally:
            program.end()
        if code != 0:
            raise LabError(f"the registrar refused {', '.join(self._numbers)}; see {self._folder}")


async def call(
    rig: Rig, callings: Sequence[Calling], rate: float, *, at_once: int | None = None, seconds: float = 60.0
) -> Count:
    """Make these calls, `rate` a second, at most `at_once` at a time, and return when all of them are over.

    After `seconds` what still goes on is broken off. Raises `LabError` where SIPp does not end.
    """
    folder = _folder_of(rig)
    lines = folder / "callers.csv"
    lines.write_text(caller_lines(callings))
    program = _Program(rig, folder, "callers", free_port(),
                       "-sf", str(SCENARIOS / "caller.xml"), "-inf", str(lines), "-aa",
                       "-m", str(len(callings)), "-r", f"{rate * 10:.0f}", "-rp", "10s",
                       "-l", str(at_once or len(callings)), "-timeout", f"{seconds:.0f}s")  # fmt: skip
    try:
        await program.over(seconds + LEAVE_SECONDS)
    finally:
        program.end()
    return program.count()


async def burst(rig: Rig, load: Load) -> Outcome:
    """Make the calls of `load`, and return when all of them are over and the callees unregistered.

    SIPp's own logs stay below `sipp` in the rig's folder.
    Raises `LabError` where a callee is refused by the registrar, or SIPp does not end.
    """
    async with Crew(rig, load.callees, load.offers(), load.seconds) as crew:
        callers = await call(rig, load.callings(), load.rate, at_once=load.at_once, seconds=load.seconds)
    return Outcome(callers, crew.count)


def _folder_of(rig: Rig) -> Path:
    """A new folder for a run of SIPp, in the rig's."""
    above = rig.base / "sipp"
    above.mkdir(exist_ok=True)
    folder = above / str(1 + sum(1 for _ in above.iterdir()))
    folder.mkdir()
    return folder
