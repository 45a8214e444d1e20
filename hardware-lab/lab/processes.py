"""Starts and ends the programs of a rig, by process ids that cannot be mistaken for others."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import msgspec

from lab.errors import LabError

LEASH = Path(__file__).with_name("leash.py")
TERM_SECONDS = 8.0
KILL_SECONDS = 5.0
POLL_SECONDS = 0.02
MARK = "CTID_LAB_RIG"
"""The variable that every program of a rig, and all that it starts, carries: the rig's folder."""


class Identity(msgspec.Struct, frozen=True):
    """A process: its pid, and its start in clock ticks since boot, which a recycled pid does not share."""

    pid: int
    started: int


class Stat(NamedTuple):
    """What the lab reads from /proc/<pid>/stat (proc_pid_stat(5))."""

    state: str
    session: int
    started: int


def parse_stat(text: str) -> Stat:
    """Parse /proc/<pid>/stat; the command in it may hold blanks and parentheses."""
    fields = text[text.rindex(")") + 2 :].split()
    return Stat(state=fields[0], session=int(fields[3]), started=int(fields[19]))


def read_stat(pid: int) -> Stat | None:
    """The stat of a process, or None where there is none."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def identify(pid: int) -> Identity:
    """The identity of a running process. Raises `LabError` where there is none."""
    stat = read_stat(pid)
    if stat is None:
        raise LabError(f"there is no process {pid}")
    return Identity(pid, stat.started)


def is_alive(identity: Identity) -> bool:
    """Whether exactly this process still runs; a zombie does not."""
    stat = read_stat(identity.pid)
    return stat is not None and stat.started == identity.started and stat.state not in "ZX"


def _running() -> Iterator[tuple[Identity, Stat]]:
    for entry in Path("/proc").iterdir():
        if (
            entry.name.isdigit()
            and (stat := read_stat(int(entry.name))) is not None
            and stat.state not in "ZX"
        ):
            yield Identity(int(entry.name), stat.started), stat


def session_members(leader: Identity) -> list[Identity]:
    """Every running process of the session (setsid(2)) that `leader`, which must run, leads."""
    return (
        [identity for identity, stat in _running() if stat.session == leader.pid] if is_alive(leader) else []
    )


def marked(base: Path) -> list[Identity]:
    """Every running process with the mark of the rig below `base`: its programs and all that they started.

    Finds them where no file tells of them, and never takes a recycled pid for one of them.
    """
    mark = f"{MARK}={base}".encode()
    found = []
    for identity, _ in _running():
        try:
            environment = Path(f"/proc/{identity.pid}/environ").read_bytes()
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue  # another user's process, or one that ended while we looked
        if mark in environment.split(b"\0"):
            found.append(identity)
    return found


def start(
    argv: Sequence[str], *, base: Path, log: Path, environment: Mapping[str, str], leashed: bool
) -> tuple[subprocess.Popen[bytes], Identity]:
    """Start a program of the rig below `base` in a session of its own, its output appended to `log`.

    `leashed`: it is killed when the calling thread ends, however that comes about.
    """
    command = list(argv)
    if leashed:
        command = [sys.executable, "-I", "-S", str(LEASH), str(os.getpid()), *command]
    with log.open("ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **environment, MARK: str(base)},
            start_new_session=True,
        )
    return child, identify(child.pid)  # there even if it has ended: its parent has not waited for it


def signal_process(identity: Identity, number: signal.Signals) -> None:
    """Send a signal to exactly this process; nothing where it has ended."""
    if is_alive(identity):
        try:
            os.kill(identity.pid, number)
        except ProcessLookupError:
            return


def wait_until(condition: Callable[[], bool], seconds: float) -> bool:
    """Poll `condition` until it holds (True) or `seconds` have passed (False)."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_SECONDS)
    return True


def end(base: Path, first: Sequence[Identity] = ()) -> None:
    """End every process of the rig below `base`: SIGTERM, after 8 s SIGKILL; returns when none is left.

    SIGTERM goes to `first`, the programs themselves, which end what they started; what carries the mark and
    still runs then is killed. Raises `LabError` for a process that outlives SIGKILL by 5 s.
    """
    for identity in first:
        signal_process(identity, signal.SIGTERM)
    wait_until(lambda: not any(is_alive(identity) for identity in first), TERM_SECONDS)
    left = [*first, *marked(base)]
    for identity in left:
        signal_process(identity, signal.SIGKILL)
    if not wait_until(lambda: not any(is_alive(identity) for identity in left), KILL_SECONDS):
        pids = ", ".join(str(identity.pid) for identity in left if is_alive(identity))
        raise LabError(f"these processes outlived SIGKILL: {pids}")


def tail(log: Path, lines: int = 15) -> str:
    """The last lines of a log file, for an error message."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else "(no log)"
