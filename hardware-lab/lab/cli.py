"""The lab's command line: `python -m lab up | down | status | demo | try | root | phone`.

Exit codes: 0 done; 1 another error, `status` of a rig that is not (wholly) up, `demo` or `try` with a wrong
picture; 2 wrong usage; 3 no root; 4 a port is taken; 5 a program did not start; 6 a phone failed; 130 stopped
before it was done.
"""

import argparse
import asyncio
import sys
import time
from pathlib import Path

from ctid.model.words import Mode
from lab import demo, home
from lab.config import RigOptions
from lab.errors import LabError
from lab.phones import Phones
from lab.ports import Ports, free_ports
from lab.rig import Rig
from lab.root import ensure_root


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
    starting.add_argument(
        "--scenarios", action="store_true", help="also the queues of the scenarios: 7003 to 7009"
    )
    starting.add_argument("--suite", help="the distribution suite of the root (default: what apt suggests)")
    starting.add_argument("--free-ports", action="store_true", help="take free ports, not those of the table")
    commands.add_parser("down", help="end the default rig, and a demo in it")
    commands.add_parser("status", help="say what runs where")
    playing = commands.add_parser(
        "demo", help="a call centre at work, and a tour of what a supervisor can do"
    )
    playing.add_argument(
        "--minutes", type=_minutes, default=10.0, help="how long (default: 10); 0 is the tour alone"
    )
    playing.add_argument("--seed", type=int, default=1, help="another number is another day (default: 1)")
    playing.add_argument(
        "--tones", action="store_true", help="no voices: gaps are measured, nothing is recorded"
    )
    playing.add_argument("--free-ports", action="store_true", help="take free ports, not those of the table")
    trying = commands.add_parser("try", help="step into a call of the demo, and see what each party hears")
    trying.add_argument("what", choices=[*(str(mode) for mode in Mode), "leave"])
    building = commands.add_parser("root", help="build the cached root and print its folder")
    building.add_argument("--suite", help="the distribution suite (default: what apt suggests)")
    calling = commands.add_parser("phone", help="be a phone of the default rig, and say whom it hears")
    calling.add_argument("number")
    calling.add_argument("--dial", help="call this number")
    calling.add_argument("--answer-after", type=float, help="answer calls by itself after so many seconds")
    calling.add_argument("--seconds", type=float, default=3600.0, help="how long (default: an hour)")
    return top


def _minutes(text: str) -> float:
    minutes = float(text)
    if not 0 <= minutes <= 24 * 60:
        raise argparse.ArgumentTypeError("minutes are 0 to 1440")
    return minutes


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    given = parser().parse_args(arguments)
    folder = home.default_folder()
    try:
        match given.command:
            case "up":
                options = RigOptions(
                    direct_media=given.direct_media,
                    persist=given.persist,
                    scenarios=given.scenarios,
                    suite=given.suite,
                )
                home.up(folder, free_ports() if given.free_ports else Ports(), options)
            case "down":
                home.down(folder)
            case "status":
                return home.show_status(folder)
            case "demo":
                play = demo.DemoOptions(minutes=given.minutes, seed=given.seed, speech=not given.tones)
                return demo.run(folder, free_ports() if given.free_ports else Ports(), play)
            case "try":
                return asyncio.run(demo.try_once(folder, given.what))
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
