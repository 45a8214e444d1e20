"""`python -m lab demo`: a call centre at work on a real PBX, ctid beside it, a supervisor's tour of it."""

import asyncio
import signal
import sys
import time
from pathlib import Path

from msgspec import Struct
from rich.console import Console

from ctid.cli.documents import get, listed
from ctid.client import Client, Refused, Unreachable
from ctid.client.http import segment
from ctid.model.words import Mode
from ctid.tasks import TaskOwner
from lab import daemon, home, pictures, roster, speech, tones, trial
from lab.config import RigOptions
from lab.errors import LabError
from lab.life import Life
from lab.phones import Phones
from lab.ports import Ports
from lab.rig import Rig
from lab.stage import Stage
from lab.stage_socket import open_to_others, remote_stage

CUSTOMERS = roster.CUSTOMERS[:8]
CAST = (*(agent.number for agent in roster.AGENTS), trial.SUPERVISOR, *CUSTOMERS)
PER_PROCESS = 3
"""pjsua2 holds four calls in a process: each phone has its call, and one more may knock."""
TOUR = (Mode.LISTEN, Mode.WHISPER, Mode.BARGE, Mode.TAKEOVER)
SAID = {
    Mode.LISTEN: "She hears both; nobody hears her.",
    Mode.WHISPER: "The agent hears her; the customer does not.",
    Mode.BARGE: "All three hear each other.",
    Mode.TAKEOVER: "The customer is hers; the agent is free again.",
}
TELL_SECONDS = 30.0
WATCH_SECONDS = 1.0
INTERRUPTED = 130


class DemoOptions(Struct, frozen=True):
    """How the demo is played: for so many minutes after the phones are there (0: the tour alone)."""

    minutes: float = 10.0
    seed: int = 1
    speech: bool = True


def run(folder: Path, ports: Ports, options: DemoOptions) -> int:
    """Play the demo in the rig of `folder`; started here it ends with the demo, running already it stays.

    Returns 0; 1 where a picture of the tour was wrong; 130 where it was stopped before the tour was over.
    Raises `LabError`.
    """
    with home.only_one(folder):
        other = home.running_demo(folder)
        if other is not None:
            raise LabError(f"a demo runs in {folder} already, pid {other.pid}: end it by `lab down`")
        rig = home.find_whole(folder)
        own = rig is None
        if rig is None:
            # Its programs die with this thread: a demo that is killed leaves nothing running.
            rig = home.start(folder, ports, RigOptions(), leashed=True)
        home.announce_demo(folder)
    try:
        return asyncio.run(Demo(rig, options).play())
    finally:
        with home.only_one(folder):
            if own:
                home.stop(rig)
            else:
                (folder / home.DEMO_FILE).unlink(missing_ok=True)
        print("the demo has ended" + ("" if own else "; the lab, which was up before, stays up"), flush=True)


def console() -> Console:
    """Where the demo prints; wide enough for its tables where no terminal says how wide."""
    return Console(width=None if sys.stdout.isatty() else 120, highlight=False, soft_wrap=True)


class Demo:
    """One play in a rig that runs."""

    def __init__(self, rig: Rig, options: DemoOptions) -> None:
        self._rig = rig
        self._options = options
        self._console = console()
        self._over = asyncio.Event()
        self._failure: BaseException | None = None
        self._exit_code = INTERRUPTED
        self._tasks = TaskOwner(self._fail)

    def _fail(self, failure: BaseException) -> None:
        self._failure = self._failure or failure
        self._over.set()

    async def play(self) -> int:
        """Play until the time is over, or SIGINT or SIGTERM; returns the exit code."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self._over.set)
        token = daemon.tokens_of(self._rig)["supervisor"]
        async with (
            Phones(
                self._rig.ports.sip, per_process=PER_PROCESS, folder=self._rig.paths.log / "phones"
            ) as phones,
            Client(daemon.url_of(self._rig), token, patience_s=0) as api,
        ):
            self._tasks.spawn("show", self._show(phones, api))
            self._tasks.spawn("rig", self._watch_rig())
            await self._over.wait()
            await self._tasks.close()
            if isinstance(self._failure, Refused | Unreachable):
                raise LabError(f"ctid refused: {self._failure}") from self._failure
            if self._failure is not None:
                raise self._failure
            await self._clear_stage(api)
        return self._exit_code

    async def _show(self, phones: Phones, api: Client) -> None:
        heard = self._rig.base / "heard" if self._options.speech else None
        if heard is not None:
            heard.mkdir(exist_ok=True)
        stage = Stage(phones, CAST, trial.SUPERVISOR, heard)
        say(f"the lab runs:\n{self._rig.table()}")
        await phones.open(*CAST)
        await phones[trial.SUPERVISOR].auto_answer(0.0)
        if self._options.speech:
            await self._give_voices(phones)
        deadline = time.monotonic() + 60 * self._options.minutes
        life = Life(stage, CUSTOMERS, self._options.seed, self._rig.paths.log / "demo.log")
        life.begin(self._tasks)
        self._tasks.spawn("sessions", self._keep_sessions(stage, api))
        async with open_to_others(stage, self._rig.base, self._tasks):
            say(f"\n{self._where_to_look()}\n")
            self._exit_code = 0 if await self._tour(stage, api) else 1
            while time.monotonic() < deadline:
                left = deadline - time.monotonic()
                say(f"{left / 60:.1f} min left: {life.summary()}")
                await asyncio.sleep(min(TELL_SECONDS, left))
        say(f"the play is over: {life.summary()}")
        self._over.set()

    async def _give_voices(self, phones: Phones) -> None:
        folder = self._rig.base / "speech"
        folder.mkdir(exist_ok=True)
        frequencies = [tones.TONES[number] for number in CAST]
        root = self._rig.root

        async def give(number: str) -> None:
            await phones[number].say(
                await asyncio.to_thread(speech.render, root, number, folder, frequencies)
            )

        await asyncio.gather(*(give(number) for number in CAST))

    async def _watch_rig(self) -> None:
        while self._rig.is_whole():  # noqa: ASYNC110  # other processes, which set no event here
            await asyncio.sleep(WATCH_SECONDS)
        raise LabError(f"the lab broke down under the demo:\n{self._rig.table()}")

    async def _keep_sessions(self, stage: Stage, api: Client) -> None:
        """Leave the parties of each session alone, whoever started it."""
        while True:
            sessions, _ = await listed(api, "/supervisions")
            for session in sessions:
                try:
                    call = await get(api, f"/calls/{segment(session['call'])}")
                except Refused as problem:
                    if problem.status != 404:
                        raise
                    continue  # it has ended since
                numbers = {party.get("agent") or party["number"] for party in call["parties"]}
                stage.prolong(numbers, 3 * WATCH_SECONDS)
            await asyncio.sleep(WATCH_SECONDS)

    async def _tour(self, stage: Stage, api: Client) -> bool:
        right = True
        for mode in TOUR:
            shown = await trial.try_mode(api, stage, mode)
            show(self._console, shown)
            right = right and shown.picture.right
        await trial.leave(api)
        stage.release()
        return right

    async def _clear_stage(self, api: Client) -> None:
        """End the session, and leave nobody paused, where the rig goes on without the demo."""
        try:
            await trial.leave(api)
        except Refused as problem:
            if problem.code != "supervision.unknown":
                raise
        for agent in roster.AGENTS:
            for queue in agent.queues:
                self._rig.asterisk_cli(f"queue unpause member {roster.interface(agent)} queue {queue}")

    def _where_to_look(self) -> str:
        binaries = self._rig.base / "bin"
        voices = "" if not self._options.speech else f"\n  what she heard    {self._rig.base / 'heard'}/*.wav"
        return f"""\
where to look
  the API's page    {daemon.url_of(self._rig)}/api/v1/docs
  the floor, live   {binaries}/ctid watch
  the bus           {binaries}/mosquitto_sub -v -t 'ctid/lab/#'
  the PBX itself    {binaries}/asterisk core show channels
  your shell        . {self._rig.base / daemon.ENV_FILE}; ctid agents
step in, by the phone {trial.SUPERVISOR}, and see what each party hears
  listen            {binaries}/lab try listen
  whisper           {binaries}/lab try whisper
  take over         {binaries}/lab try takeover     (also: barge, leave){voices}"""


def say(text: str) -> None:
    """Print at once, into a pipe as well."""
    print(text, flush=True)


def show(where: Console, shown: trial.Trial) -> None:
    """Print a trial: the picture, and what it took."""
    where.print(f"\n[dim]call {shown.call} · session {shown.session}[/dim]")
    where.print(pictures.table(shown.picture))
    where.print(pictures.told(shown.picture, SAID[shown.picture.mode], shown.asked), markup=False)


async def try_once(folder: Path, what: str) -> int:
    """Step into a call of the demo that runs in `folder`, or `leave` it; 0, or 1 where the picture is wrong.

    Raises:
        LabError: no demo runs, it has no call to step into, or ctid refuses.
    """
    rig = Rig.attach(folder)
    if rig is None:
        raise LabError(f"no demo runs in {folder}: start one with `make demo`")
    token = daemon.tokens_of(rig)["supervisor"]
    async with remote_stage(folder) as stage, Client(daemon.url_of(rig), token, patience_s=0) as api:
        try:
            if what == "leave":
                print("she has left; the call goes on" if await trial.leave(api) else "she is in no call")
                return 0
            shown = await trial.try_mode(api, stage, Mode(what))
        except (Refused, Unreachable) as problem:
            raise LabError(f"ctid refused: {problem}") from problem
    show(console(), shown)
    return 0 if shown.picture.right else 1
