"""The test's side of a phone: the process that it lives in, its state, and what a person could do with it."""

import asyncio
import base64
import itertools
import os
import signal
import sys
import time
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Self

import msgspec
import numpy as np

from ctid.tasks import TaskOwner
from lab import phone_wire as wire
from lab import tones
from lab.errors import PhoneError
from lab.tones import Heard

PATIENCE = 10.0
"""Seconds after which a phone's answer, or a state that must come, is given up."""
LAB_FOLDER = Path(__file__).resolve().parent.parent


class PhoneProcess:
    """One process of phones and the conversation with it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, tasks: TaskOwner) -> None:
        self._process = process
        self._log = log
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[wire.Done | wire.HeardSamples]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.phones: dict[str, Phone] = {}
        self._reader = tasks.spawn(f"phones {process.pid}", self._read())

    @classmethod
    async def start(cls, log: Path, tasks: TaskOwner) -> Self:
        """Start a process and wait until it takes requests. Raises `PhoneError` where it does not."""
        parts = ("-m", "lab.phone_process", str(log.with_suffix(".pjsip")), str(os.getpid()))
        command = (sys.executable, *parts)
        with log.open("wb") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=errors,
                cwd=LAB_FOLDER,
                limit=64 * 1024 * 1024,
                start_new_session=True,
            )
        started = cls(process, log, tasks)
        await asyncio.wait_for(started._ready, PATIENCE)
        return started

    async def _read(self) -> None:
        stdout = self._process.stdout
        assert stdout is not None
        while line := await stdout.readline():
            self._receive(wire.MESSAGES.decode(line))
        code = await self._process.wait()
        gone = PhoneError(f"the phone process {self._process.pid} ended with {code}; its log: {self._log}")
        for waiting in self._waiting.values():
            if not waiting.done():
                waiting.set_exception(gone)
        if not self._ready.done():
            self._ready.set_exception(gone)
        for phone in self.phones.values():
            phone.lost(gone)

    def _receive(self, message: wire.AnyMessage) -> None:
        if isinstance(message, wire.Ready):
            self._ready.set_result(None)
        elif isinstance(message, wire.Done | wire.HeardSamples):
            waiting = self._waiting.pop(message.id)
            if not waiting.done():
                waiting.set_result(message)
        elif message.phone in self.phones:
            self.phones[message.phone].receive(message)

    @property
    def is_alive(self) -> bool:
        """Whether the process still serves."""
        return not self._reader.done()

    def next_id(self) -> int:
        """The id of the next request."""
        return next(self._ids)

    async def ask(self, request: wire.AnyRequest) -> wire.Done | wire.HeardSamples:
        """Send a request and wait for its reply. Raises `PhoneError` where the phone refuses or is gone."""
        stdin = self._process.stdin
        assert stdin is not None
        if not self.is_alive:
            raise PhoneError(f"the process of phone {request.phone} has ended; its log: {self._log}")
        future: asyncio.Future[wire.Done | wire.HeardSamples] = asyncio.get_running_loop().create_future()
        self._waiting[request.id] = future
        stdin.write(msgspec.json.encode(request) + b"\n")
        try:
            reply = await asyncio.wait_for(future, PATIENCE)
        except TimeoutError:
            raise PhoneError(f"phone {request.phone} did not carry out {request} in {PATIENCE} s") from None
        if isinstance(reply, wire.Done) and reply.error:
            raise PhoneError(f"phone {request.phone}: {reply.error}")
        return reply

    async def close(self) -> int:
        """End the process in order; returns its exit code, negative for a signal."""
        stdin = self._process.stdin
        assert stdin is not None
        stdin.close()
        try:
            return await asyncio.wait_for(self._process.wait(), PATIENCE)
        except TimeoutError:
            self._process.kill()
            return await self._process.wait()

    async def kill(self) -> None:
        """End the process with SIGKILL."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
        await self._process.wait()
        await asyncio.wait([self._reader])


class Phone:
    """One phone: what a person with a handset can do, and what state the handset is in.

    `state`: `idle`, `dialing`, `early` (the other rings), `ringing` (a call comes in), `connected`,
    `held` (by us). `history` has each state with its monotonic second; `code` and `reason` are the last SIP
    status of the last call.
    All methods raise `PhoneError`.
    """

    def __init__(self, number: str, process: PhoneProcess) -> None:
        self.number = number
        self.state = "idle"
        self.code = 0
        self.reason = ""
        self.remote = ""
        self.registered = False
        self.registration_code = 0
        self.digits = ""
        self.history: list[tuple[float, str]] = []
        self.transfers: list[int] = []
        self._process = process
        self._changed = asyncio.Event()
        self._gone: PhoneError | None = None

    def __repr__(self) -> str:
        return f"<phone {self.number} {self.state} {self.code or ''}>"

    def receive(self, message: wire.Registration | wire.CallState | wire.Digit | wire.TransferState) -> None:
        """Take an event of the phone's process."""
        match message:
            case wire.Registration():
                self.registered, self.registration_code = message.active, message.code
            case wire.CallState():
                self.state, self.code, self.reason = message.state, message.code, message.reason
                self.remote = message.remote
                self.history.append((message.at, message.state))
            case wire.Digit():
                self.digits += message.digit
            case wire.TransferState():
                self.transfers.append(message.code)
        self._changed.set()

    def lost(self, error: PhoneError) -> None:
        """The phone's process is gone."""
        self._gone = error
        self.state, self.registered = "idle", False
        self._changed.set()

    async def until(self, condition: Callable[[], bool], what: str, within: float = PATIENCE) -> None:
        """Wait until `condition`, which looks at this phone, holds; `what` names it in the error."""
        deadline = time.monotonic() + within
        while not condition():
            if self._gone is not None:
                raise self._gone
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), deadline - time.monotonic())
            except TimeoutError:
                raise PhoneError(
                    f"{self} was not {what} within {within} s; {self.history}", self.code
                ) from None

    async def wait_state(self, *states: str, within: float = PATIENCE) -> None:
        """Wait until the phone is in one of `states`."""
        await self.until(lambda: self.state in states, " or ".join(states), within)

    async def ask(
        self, kind: Callable[..., wire.AnyRequest], **fields: object
    ) -> wire.Done | wire.HeardSamples:
        """Have the phone's process carry out a request of this kind and give its reply."""
        return await self._process.ask(kind(id=self._process.next_id(), phone=self.number, **fields))

    async def dial(self, number: str, *, within: float = PATIENCE) -> None:
        """Call `number`; returns when it rings there or is answered. A refusal raises with its SIP `code`."""
        before = len(self.history)

        def came() -> bool:
            return any(state in ("early", "connected", "idle") for _, state in self.history[before:])

        await self.ask(wire.Dial, number=number)
        await self.until(came, f"through to {number}", within)
        if self.state == "idle":
            raise PhoneError(f"{self.number} dialed {number}: {self.code} {self.reason}", self.code)

    async def start_dialing(self, number: str) -> None:
        """Call `number` and return at once."""
        await self.ask(wire.Dial, number=number)

    async def answer(self, *, within: float = PATIENCE) -> None:
        """Wait until the phone rings, answer, and wait until the call is up."""
        await self.wait_state("ringing", "connected", within=within)
        if self.state == "ringing":
            await self.ask(wire.Answer, code=200)
        await self.wait_state("connected", within=within)

    async def decline(self, code: int = 603, *, within: float = PATIENCE) -> None:
        """Wait until the phone rings and refuse the call with a SIP status."""
        await self.wait_state("ringing", within=within)
        await self.ask(wire.Answer, code=code)
        await self.wait_state("idle", within=within)

    async def busy(self, *, within: float = PATIENCE) -> None:
        """Wait until the phone rings and answer busy (486)."""
        await self.decline(486, within=within)

    async def auto_answer(self, after: float | None = 0.0) -> None:
        """Answer each call by itself after this many seconds of ringing; None: no more."""
        await self.ask(wire.AutoAnswer, after=after)

    async def hangup(self, *, within: float = PATIENCE) -> None:
        """End the call; nothing where there is none."""
        await self.ask(wire.Hangup)
        await self.wait_state("idle", within=within)

    async def hold(self) -> None:
        """Hold the call."""
        await self.ask(wire.Hold, on=True)
        await self.wait_state("held")

    async def unhold(self) -> None:
        """Take the held call back."""
        await self.ask(wire.Hold, on=False)
        await self.wait_state("connected")

    async def transfer(self, number: str, *, within: float = PATIENCE) -> None:
        """Transfer the other side blindly to `number` (REFER); returns when this phone is out of the call."""
        before = len(self.transfers)

        def rid() -> bool:
            return self.state == "idle" or any(200 <= code < 300 for code in self.transfers[before:])

        await self.ask(wire.Transfer, number=number)
        await self.until(rid, "rid of the call", within)
        if self.state != "idle":
            await self.hangup(within=within)

    async def dtmf(self, digits: str) -> None:
        """Press keys (RFC 4733 events); returns when they are under way."""
        await self.ask(wire.Dtmf, digits=digits)

    async def tone(self, on: bool = True) -> None:  # noqa: FBT001, FBT002  # reads as a switch
        """Say the phone's tone, or nothing."""
        await self.say(tones.tone_frame(tones.TONES[self.number]) if on else b"")

    async def play(self, path: Path, *, once: bool = False) -> None:
        """Say a WAV file (16-bit, any rate, first channel) in a loop, or `once`."""
        await self.say(read_wav(path), once=once)

    async def say(self, samples: bytes, *, once: bool = False) -> None:
        """Say 16-bit samples at 8 kHz, whole frames of 160, in a loop, or `once`; none is silence."""
        await self.ask(wire.Speak, samples=base64.b64encode(samples), once=once)

    async def register(self) -> None:
        """Register (again)."""
        await self.ask(wire.Register, on=True)
        await self.until(lambda: self.registered, "registered")

    async def unregister(self) -> None:
        """Take the registration back."""
        await self.ask(wire.Register, on=False)
        await self.until(lambda: not self.registered, "unregistered")

    async def drop(self) -> None:
        """Vanish as when the cable is pulled: no BYE, no unregistration.

        Kills the phone's process, and with it the other phones in it (see `Phones.per_process`).
        """
        await self._process.kill()

    async def heard(self, since: float) -> Heard:
        """All that was heard after the monotonic second `since`, at most two minutes."""
        reply = await self.ask(wire.Listen, since=since)
        assert isinstance(reply, wire.HeardSamples)
        return tones.decode(reply.times, base64.b64decode(reply.samples))


def read_wav(path: Path) -> bytes:
    """A WAV file as whole frames of 160 16-bit samples at 8 kHz; its first channel, resampled linearly.

    Raises `PhoneError` where the samples are not 16 bits wide.
    """
    with wave.open(str(path)) as file:
        if file.getsampwidth() != 2:
            raise PhoneError(f"{path} has {8 * file.getsampwidth()} bits a sample; 16 are needed")
        channels, rate = file.getnchannels(), file.getframerate()
        data = np.frombuffer(file.readframes(file.getnframes()), dtype="<i2")[::channels].astype(np.float64)
    length = int(len(data) * tones.RATE / rate)
    samples = np.interp(np.arange(length) * rate / tones.RATE, np.arange(len(data)), data)
    padded = np.pad(samples, (0, -length % tones.FRAME))
    return padded.round().astype("<i2").tobytes()
