"""The lab's command line as a user runs it, on a rig in a folder of the test's own."""

import os
import subprocess
import sys
from pathlib import Path

from lab import processes
from lab.config import CHECKOUT
from lab.processes import Identity


def lab_argv(*words: str) -> list[str]:
    """The argument list of a lab command."""
    return [sys.executable, "-m", "lab", *words]


def lab_environment(folder: Path) -> dict[str, str]:
    """The environment in which a lab command works on the rig in `folder`."""
    path = ":".join(str(CHECKOUT / part) for part in ("hardware-lab", "drivers", "."))
    return {**os.environ, "PYTHONPATH": path, "CTID_LAB_DIR": str(folder)}


def run_lab(folder: Path, *words: str, within: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a lab command on the rig in `folder` to its end, in seconds at most `within`."""
    return subprocess.run(  # noqa: S603  # our own interpreter
        lab_argv(*words),
        env=lab_environment(folder),
        capture_output=True,
        text=True,
        timeout=within,
        check=False,
    )


def left_of(folder: Path) -> list[Identity]:
    """Every running process of the rig in `folder`, its phones and its demo: by mark or command line."""
    found = processes.marked(folder)
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            command = (entry / "cmdline").read_bytes()
            identity = processes.identify(int(entry.name)) if str(folder).encode() in command else None
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended while we looked
        if identity is not None and identity not in found and processes.is_alive(identity):
            found.append(identity)
    return found
