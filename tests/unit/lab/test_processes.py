import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from lab import processes
from lab.config import RigOptions
from lab.errors import LabError
from lab.ports import Ports
from lab.processes import Identity
from lab.rig import Rig, RigState, load_state

PARENT = [
    sys.executable,
    "-c",
    (
        "import subprocess, sys, time; "
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'], start_new_session=True); "
        "time.sleep(600)"
    ),
]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that a test started; ended and waited for whatever happens."""
    children: list[subprocess.Popen[bytes]] = []
    yield children
    processes.end(tmp_path)
    for child in children:
        child.kill()
        child.wait()


def test_stat_of_a_command_with_blanks_and_parentheses() -> None:
    """State, session and start are read behind the last parenthesis of a hostile command name."""
    after = " ".join(str(number) for number in range(1, 50))
    assert processes.parse_stat(f"42 (a) b) R 1 (x) S {after}") == processes.Stat("S", 3, 19)


def test_a_recycled_pid_is_another_process() -> None:
    """The same pid with another start time is not alive, and no signal reaches it."""
    real = processes.identify(os.getpid())
    assert processes.is_alive(real)
    stranger = Identity(real.pid, real.started - 1)
    assert not processes.is_alive(stranger)
    processes.signal_process(stranger, signal.SIGKILL)
    assert processes.session_members(stranger) == []


def test_end_takes_what_left_the_session(tmp_path: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """A grandchild in a session of its own is ended with its rig, found by the mark that it carries."""
    child, identity = processes.start(
        PARENT, base=tmp_path, log=tmp_path / "log", environment={}, leashed=False
    )
    started.append(child)
    assert processes.wait_until(lambda: len(processes.marked(tmp_path)) == 2, 5.0)
    assert processes.marked(tmp_path / "other") == []
    processes.end(tmp_path, [identity])
    assert child.wait(timeout=5) == -signal.SIGTERM
    assert processes.marked(tmp_path) == []


def test_leashed_program_keeps_its_pid_and_output(
    tmp_path: Path, started: list[subprocess.Popen[bytes]]
) -> None:
    """The leash becomes the program: the pid is the program's, and its output is in the log."""
    log = tmp_path / "log"
    program = [sys.executable, "-c", "import os; print('pid', os.getpid())"]
    child, identity = processes.start(program, base=tmp_path, log=log, environment={}, leashed=True)
    started.append(child)
    assert child.wait(timeout=5) == 0
    assert processes.tail(log) == f"pid {identity.pid}"


def test_state_comes_back_from_disk(tmp_path: Path) -> None:
    """What a rig says about itself is read back whole, and a rig can be attached to by it."""
    state = RigState(Ports(sip=15060), RigOptions(direct_media=True), {"asterisk": Identity(1, 2)})
    assert load_state(tmp_path) is None
    assert Rig.attach(tmp_path) is None
    (tmp_path / "rig.json").write_bytes(msgspec.json.encode(state))
    assert load_state(tmp_path) == state
    rig = Rig.attach(tmp_path)
    assert rig is not None
    assert rig.ports.sip == 15060
    assert rig.options.direct_media
    assert not rig.is_whole()
    assert "dead, was 1" in rig.table()


def test_torn_state_is_refused_with_the_cure(tmp_path: Path) -> None:
    """A state file that cannot be read is named, with what to do."""
    (tmp_path / "rig.json").write_text('{"ports": {"sip": "x"')
    with pytest.raises(LabError, match=r"rig\.json.*remove it"):
        load_state(tmp_path)


def test_unknown_program_is_named(tmp_path: Path) -> None:
    """Asking for a program that the rig does not have tells what it has."""
    with pytest.raises(LabError, match="no program ctid"):
        Rig(tmp_path, Ports()).kill("ctid")
