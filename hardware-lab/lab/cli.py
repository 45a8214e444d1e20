"""The lab's command line: `python -m lab up | down | status | root | phone`.

Exit codes: 0 done; 1 another error, or `status` of a rig that is not (wholly) up; 2 wrong usage; 3 no root;
4 a port is taken; 5 a program did not start; 6 a phone failed.
"""

import argparse
import asyncio
import contextlib
import fcntl
import os
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from lab import handover, processes, roster
from lab.config import CHECKOUT, RigOptions
from lab.errors import LabError
from lab.phones import Phones
from lab.ports import Ports, free_ports
from lab.rig import Rig
from lab.root import ensure_root

KEPT = ("log",)
"""What `down` leaves in the folder of the rig, to be read afterwards."""


def default_folder() -> Path:
    """The folder of the default rig: `CTID_LAB_DIR`, else `.lab` in the checkout."""
    return Path(os.environ.get("CTID_LAB_DIR") or CHECKOUT / ".lab").absolute()


@contextlib.contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Keep two `up` or `down` of one folder from running at once."""
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
    """`.lab/bin`: the console of the rig's Asterisk and the broker's clients, as plain commands."""
    binaries = rig.base / "bin"
    binaries.mkdir(exist_ok=True)
    console = [*rig.root.command("asterisk"), "-C", str(rig.paths.asterisk_conf)]
    broker = ["-h", "127.0.0.1", "-p", str(rig.ports.mqtt)]
    start = shlex.join(console)
    scripts = {
        # Words are a console command; without any it is the interactive console.
        "asterisk": f'if [ $# -gt 0 ]; then exec {start} -rx "$*"; fi\nexec {start} -r\n',
        "mosquitto_sub": f'exec {shlex.join([*rig.root.command("mosquitto_sub"), *broker])} "$@"\n',
        "mosquitto_pub": f'exec {shlex.join([*rig.root.command("mosquitto_pub"), *broker])} "$@"\n',
    }
    for name, script in scripts.items():
        path = binaries / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)


def up(folder: Path, ports: Ports, options: RigOptions) -> None:
    """Bring up a rig in `folder`, or say where it runs; cleans what a crash left."""
    with _only_one(folder):
        running = Rig.attach(folder)
        if running is not None:
            if running.is_whole():
                print(f"the lab is up already:\n{running.table()}")
                return
            print("the lab was left half alive: cleaning up", file=sys.stderr)
            running.stop()
        processes.end(folder)
        _clear(folder)
        began = time.monotonic()
        rig = Rig(folder, ports, options, services=handover.default_services())
        rig.start()
        _write_wrappers(rig)
        env = handover.write_env(rig, handover.tokens_of(rig))
        print(f"the lab is up after {time.monotonic() - began:.1f} s:\n{rig.table()}")
        agents = _span([agent.number for agent in roster.AGENTS])
        others = f"supervisors {_span(roster.SUPERVISORS)}, customers {_span(roster.CUSTOMERS)}"
        print(f"agents     {agents}, {others}; SIP password pw<number>; no phone is registered")
        entries = ", ".join(f"{queue.number} {queue.name}" for queue in roster.QUEUES)
        print(f"numbers    {entries}, {roster.ECHO} echo, 8000<customer> out, *45<0-5> pause, *46 resume")
        print(f"console    {folder}/bin/asterisk core show channels")
        print(f"variables  . {env}\nlogs       {rig.paths.log}")


def _span(numbers: tuple[str, ...] | list[str]) -> str:
    return f"{numbers[0]}-{numbers[-1]}"


def down(folder: Path) -> None:
    """End the default rig; harmless where none is up."""
    with _only_one(folder):
        rig = Rig.attach(folder)
        if rig is None:
            print("no lab is up")
        else:
            rig.stop()
            print("the lab is down")
        processes.end(folder)
        _clear(folder, keep=KEPT)


def show_status(folder: Path) -> int:
    """Say what runs where; 0 where all of it runs."""
    rig = Rig.attach(folder)
    if rig is None:
        print("no lab is up")
        return 1
    print(rig.table())
    return 0 if rig.is_whole() else 1


async def phone(
    folder: Path, number: str, dial: str | None, answer_after: float | None, seconds: float
) -> None:
    """Be a phone of the default rig for a while, and say each second whom it hears."""
    rig = Rig.attach(folder)
    port = rig.ports.sip if rig else Ports().sip
    async with Phones(port) as phones:
        (handset,) = await phones.open(number, answer_after=answer_after)
        print(f"{number} is registered", flush=True)
        if dial:
            await handset.dial(dial)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            heard = await phones.hears(handset, 1.0)
            print(f"{handset.state:<10} hears {', '.join(sorted(heard)) or 'nobody'}", flush=True)
            if dial and handset.state == "idle":
                return


def parser() -> argparse.ArgumentParser:
    """The command line's grammar."""
    top = argparse.ArgumentParser(
        prog="lab", description="A real PBX, a real broker and phones, on loopback."
    )
    commands = top.add_subparsers(dest="command", required=True)
    starting = commands.add_parser("up", help="bring up the default rig; returns when it is ready")
    starting.add_argument("--direct-media", action="store_true", help="phones exchange their media directly")
    starting.add_argument(
        "--persist", action="store_true", help="the broker keeps retained messages over its restart"
    )
    starting.add_argument("--suite", help="the distribution suite of the root (default: what apt suggests)")
    starting.add_argument("--free-ports", action="store_true", help="take free ports, not those of the table")
    commands.add_parser("down", help="end the default rig")
    commands.add_parser("status", help="say what runs where")
    building = commands.add_parser("root", help="build the cached root and print its folder")
    building.add_argument("--suite", help="the distribution suite (default: what apt suggests)")
    calling = commands.add_parser("phone", help="be a phone of the default rig, and say whom it hears")
    calling.add_argument("number")
    calling.add_argument("--dial", help="call this number")
    calling.add_argument("--answer-after", type=float, help="answer calls by itself after so many seconds")
    calling.add_argument("--seconds", type=float, default=3600.0, help="how long (default: an hour)")
    return top


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = parser().parse_args(arguments)
    folder = default_folder()
    try:
        match given.command:
            case "up":
                options = RigOptions(
                    direct_media=given.direct_media, persist=given.persist, suite=given.suite
                )
                up(folder, free_ports() if given.free_ports else Ports(), options)
            case "down":
                down(folder)
            case "status":
                return show_status(folder)
            case "root":
                print(ensure_root(given.suite).path)
            case "phone":
                asyncio.run(phone(folder, given.number, given.dial, given.answer_after, given.seconds))
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0
