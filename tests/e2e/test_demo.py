"""The demo and the default rig as a user runs them: right pictures, and nothing left behind."""

import signal
import subprocess
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from helpers.lab_command import lab_argv, lab_environment, left_of, run_lab
from lab import processes

pytestmark = [pytest.mark.lab, pytest.mark.timeout(240)]

MODES = ("LISTEN", "WHISPER", "BARGE", "TAKEOVER")


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a rig, in which nothing may run afterwards."""
    yield tmp_path
    run_lab(tmp_path, "down")
    assert left_of(tmp_path) == []


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """A demo that runs, for the test to end; killed where the test does not."""
    running = subprocess.Popen(  # noqa: S603  # our own interpreter
        lab_argv("demo", "--free-ports", *options),
        env=lab_environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.wait()
        assert running.stdout is not None
        running.stdout.close()


def read_until(running: subprocess.Popen[str], words: str) -> str:
    """Read the demo's output up to the line with these words; its end before them fails the test."""
    assert running.stdout is not None
    lines = []
    for line in running.stdout:
        lines.append(line)
        if words in line:
            return "".join(lines)
    raise AssertionError(f"the demo ended without {words!r}: {''.join(lines)}")


def test_tour(folder: Path) -> None:
    """The tour's four pictures are right while people speak, what she heard is recorded, nothing is left."""
    ended = run_lab(folder, "demo", "--minutes", "0", "--free-ports", within=200)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    shown = [line.partition(",")[0] for line in ended.stdout.splitlines() if line.startswith(MODES)]
    assert shown == list(MODES)
    assert ended.stdout.count(" right\n") == 12
    assert left_of(folder) == []
    recordings = sorted((folder / "heard").iterdir())
    assert [path.name.split("-")[1].upper() for path in recordings] == list(MODES)
    for path in recordings:
        with wave.open(str(path)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2") / 32768
        assert np.sqrt(np.mean(sound**2)) > 0.005, f"{path} is silent"


def test_up(folder: Path) -> None:
    """`up` brings up the daemon too, twice is once, with its variables `ctid` works, `down` ends all."""
    first = run_lab(folder, "up", "--free-ports")
    assert first.returncode == 0, first.stderr
    assert "ctid" in first.stdout
    assert "already" in run_lab(folder, "up").stdout
    shell = subprocess.run(  # noqa: S603  # what `up` tells to do
        ["/bin/sh", "-c", f". {folder}/env; ctid status && ctid agents && {folder}/bin/ctid queues"],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert shell.returncode == 0, shell.stdout + shell.stderr
    assert "Alice Martin" in shell.stdout
    assert "Support" in shell.stdout
    assert (folder / "env").stat().st_mode & 0o077 == 0
    assert run_lab(folder, "down").returncode == 0
    assert left_of(folder) == []


def test_try_and_down(folder: Path) -> None:
    """In a demo, `try` steps in and takes over; a second demo is refused; `down` ends the first."""
    assert "no demo runs" in run_lab(folder, "try", "listen").stderr
    with demo(folder, "--minutes", "5", "--tones") as running:
        read_until(running, "min left")
        for mode in ("whisper", "takeover", "listen"):
            tried = run_lab(folder, "try", mode)
            assert tried.returncode == 0, tried.stdout + tried.stderr
            assert tried.stdout.count(" right\n") == 3
            assert mode.upper() in tried.stdout
        assert "she has left" in run_lab(folder, "try", "leave").stdout
        second = run_lab(folder, "demo", "--minutes", "0")
        assert second.returncode == 1
        assert f"pid {running.pid}" in second.stderr
        assert run_lab(folder, "down").returncode == 0
        assert running.wait(5) == 0
    assert left_of(folder) == []


def test_killed_demo(folder: Path) -> None:
    """A demo that is killed takes its programs and phones along, and the next `up` clears what it left."""
    with demo(folder, "--minutes", "5") as running:
        read_until(running, "where to look")
        running.send_signal(signal.SIGKILL)
        running.wait()
        assert processes.wait_until(lambda: left_of(folder) == [], 5.0)
        again = run_lab(folder, "up", "--free-ports")
        assert again.returncode == 0, again.stderr
        assert "cleaning up" in again.stderr
        assert "the lab is up after" in again.stdout
