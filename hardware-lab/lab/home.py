"""The default rig and its folder: up, down, and what a user finds there."""

import contextlib
import fcntl
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from lab import daemon, processes, roster
from lab.config import CHECKOUT, RigOptions
from lab.errors import LabError
from lab.ports import Ports
from lab.processes import Identity
from lab.rig import Rig

KEPT = ("log", "heard")
"""What `down` leaves in the folder of the rig, to be read and heard afterwards."""
DEMO_FILE = "demo.json"
DEMO_END_SECONDS = 30.0


def default_folder() -> Path:
    """The folder of the default rig: `CTID_LAB_DIR`, else `.lab` in the checkout."""
    return Path(os.environ.get("CTID_LAB_DIR") or CHECKOUT / ".lab").absolute()


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Keep two that start or end the rig of one folder from doing so at once."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _clear(folder: Path, keep: tuple[str, ...] = ()) -> None:
    for entry in folder.iterdir():
        if entry.name in ("lock", *keep):
            continue
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def _write_wrappers(rig: Rig) -> None:
    """`.lab/bin`: the console, the broker's clients, `ctid` and `lab` of this rig, as plain commands."""
    binaries = rig.base / "bin"
    binaries.mkdir(exist_ok=True)
    console = [*rig.root.command("asterisk"), "-C", str(rig.paths.asterisk_conf)]
    broker = ["-h", "127.0.0.1", "-p", str(rig.ports.mqtt)]
    start = shlex.join(console)
    python = f"PYTHONPATH={shlex.quote(daemon.PYTHON_PATH)} exec {shlex.quote(sys.executable)}"
    env = shlex.quote(str(rig.base / daemon.ENV_FILE))
    scripts = {
        # Words are a console command; without any it is the interactive console.
        "asterisk": f'if [ $# -gt 0 ]; then exec {start} -rx "$*"; fi\nexec {start} -r\n',
        "mosquitto_sub": f'exec {shlex.join([*rig.root.command("mosquitto_sub"), *broker])} "$@"\n',
        "mosquitto_pub": f'exec {shlex.join([*rig.root.command("mosquitto_pub"), *broker])} "$@"\n',
        # As the supervisor of this rig, unless the shell's own variables say otherwise.
        "ctid": f'[ -n "$CTID_URL" ] || . {env}\n{python} -m ctid "$@"\n',
        "lab": f'CTID_LAB_DIR={shlex.quote(str(rig.base))} {python} -m lab "$@"\n',
    }
    for name, script in scripts.items():
        path = binaries / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)


def find_whole(folder: Path) -> Rig | None:
    """The rig of `folder` where all of it runs; what a crash left of one is ended. Hold `only_one`."""
    running = Rig.attach(folder)
    if running is not None:
        if running.is_whole():
            return running
        print("the lab was left half alive: cleaning up", file=sys.stderr)
        running.stop()
    processes.end(folder)
    return None


def start(folder: Path, ports: Ports, options: RigOptions, *, leashed: bool = False) -> Rig:
    """Start a rig with the daemon in `folder`, which is emptied first. Hold `only_one`.

    Raises as `Rig.start`.
    """
    _clear(folder)
    rig = Rig(folder, ports, options, leashed=leashed, services=(daemon.maker(),))
    rig.start()
    daemon.write_env(rig)
    _write_wrappers(rig)
    return rig


def stop(rig: Rig) -> None:
    """End the rig of a folder and remove what is not to be kept. Hold `only_one`."""
    rig.stop()
    _clear(rig.base, keep=KEPT)


def up(folder: Path, ports: Ports, options: RigOptions) -> None:
    """Bring up a rig in `folder`, or say where it runs; cleans what a crash left."""
    with only_one(folder):
        running = find_whole(folder)
        if running is not None:
            demo = running_demo(folder)
            guests = f", and a demo runs in it (pid {demo.pid})" if demo else ""
            print(f"the lab is up already{guests}:\n{running.table()}")
            return
        began = time.monotonic()
        rig = start(folder, ports, options)
        print(f"the lab is up after {time.monotonic() - began:.1f} s:\n{rig.table()}")
        print(f"API page   {daemon.url_of(rig)}/api/v1/docs")
        agents = _span([agent.number for agent in roster.AGENTS])
        others = f"supervisors {_span(roster.SUPERVISORS)}, customers {_span(roster.CUSTOMERS)}"
        print(f"phones     agents {agents}, {others}; SIP password pw<number>; none is registered")
        entries = ", ".join(f"{queue.number} {queue.name}" for queue in roster.QUEUES)
        print(f"numbers    {entries}, {roster.ECHO} echo, 8000<customer> out, *45<0-5> pause, *46 resume")
        print(f"console    {folder}/bin/asterisk core show channels")
        print(f"ctid       . {folder / daemon.ENV_FILE}; ctid status\nlogs       {rig.paths.log}")


def _span(numbers: tuple[str, ...] | list[str]) -> str:
    return f"{numbers[0]}-{numbers[-1]}"


def down(folder: Path) -> None:
    """End the default rig, and a demo in it; harmless where none is up."""
    demo = running_demo(folder)
    if demo is not None:
        # Not under the lock: the demo takes it to end its rig.
        processes.signal_process(demo, signal.SIGTERM)
        if not processes.wait_until(lambda: not processes.is_alive(demo), DEMO_END_SECONDS):
            processes.signal_process(demo, signal.SIGKILL)
        print("the demo has ended")
    with only_one(folder):
        rig = Rig.attach(folder)
        if rig is not None:
            rig.stop()
            print("the lab is down")
        elif demo is None:
            print("no lab is up")
        processes.end(folder)
        _clear(folder, keep=KEPT)


def show_status(folder: Path) -> int:
    """Say what runs where; 0 where all of it runs."""
    rig = Rig.attach(folder)
    if rig is None:
        print("no lab is up")
        return 1
    print(rig.table())
    demo = running_demo(folder)
    if demo is not None:
        print(f"{'demo':<10} pid {demo.pid}")
    return 0 if rig.is_whole() else 1


def running_demo(folder: Path) -> Identity | None:
    """The demo that runs in `folder`, or None. Raises `LabError` for a file that is none of this lab's."""
    path = folder / DEMO_FILE
    if not path.exists():
        return None
    try:
        demo = msgspec.json.decode(path.read_bytes(), type=Identity)
    except msgspec.MsgspecError as error:
        raise LabError(f"{path} does not name a demo ({error}): remove it and try again") from error
    return demo if processes.is_alive(demo) else None


def announce_demo(folder: Path) -> None:
    """Write down that this process is the demo of `folder`. Hold `only_one`."""
    (folder / DEMO_FILE).write_bytes(msgspec.json.encode(processes.identify(os.getpid())))
