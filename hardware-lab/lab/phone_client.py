"""One phone as a test sees it: its state, and what a person could do with it."""

import asyncio
import base64
import time
import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np

from lab import phone_wire as wire
from lab import tones
from lab.errors import PhoneError
from lab.phone_host import PATIENCE, PhoneProcess
from lab.tones import Heard


class Line:
    """One line of a phone.

    `state`: `idle`, `dialing`, `early` (the other rings), `ringing` (a call comes in), `connected`,
    `held` (by us). `history` has each state with its monotonic second; `code` and `reason` are the last SIP
    status of the last call on it, `remote` is the other's URI.
    """

    def __init__(self) -> None:
        self.state = "idle"
        self.code = 0
        self.reason = ""
        self.remote = ""
        self.history: list[tuple[float, str]] = []

    def receive(self, message: wire.CallState) -> None:
        """Take the new state."""
        self.state, self.code, self.reason = message.state, message.code, message.reason
        self.remote = message.remote
        self.history.append((message.at, message.state))


class Phone:
    """One phone: what a person with a handset can do, and what state the handset is in.

    It has `lines`, from 1; a call comes in on the first that is free, and with none free its caller hears
    busy (486). `state`, `code`, `reason`, `remote` and `history` are those of line 1. Lines do not hold each
    other by themselves: with two connected, the phone speaks to both and hears both, and they do not hear
    each other. All methods raise `PhoneError`.
    """

    def __init__(self, number: str, process: PhoneProcess, lines: int = 1) -> None:
        self.number = number
        self.lines: dict[int, Line] = {line: Line() for line in range(1, lines + 1)}
        self.registered = False
        self.registration_code = 0
        self.digits = ""
        self.transfers: list[int] = []
        self.messages: list[wire.Text] = []
        self._process = process
        self._changed = asyncio.Event()
        self._gone: PhoneError | None = None

    def __repr__(self) -> str:
        told = ", ".join(f"{line.state} {line.code or ''}" for line in self.lines.values())
        return f"<phone {self.number} {told}>"

    @property
    def state(self) -> str:
        """The state of line 1."""
        return self.lines[1].state

    @property
    def code(self) -> int:
        """The last SIP status on line 1."""
        return self.lines[1].code

    @property
    def reason(self) -> str:
        """The words of `code`."""
        return self.lines[1].reason

    @property
    def remote(self) -> str:
        """The other's URI on line 1."""
        return self.lines[1].remote

    @property
    def history(self) -> list[tuple[float, str]]:
        """The states of line 1, each with its monotonic second."""
        return self.lines[1].history

    def receive(self, message: wire.PhoneEvent) -> None:
        """Take an event of the phone's process."""
        match message:
            case wire.Registration():
                self.registered, self.registration_code = message.active, message.code
            case wire.CallState():
                self.lines[message.line].receive(message)
            case wire.Digit():
                self.digits += message.digit
            case wire.TransferState():
                self.transfers.append(message.code)
            case wire.Text():
                self.messages.append(message)
        self._changed.set()

    def lost(self, error: PhoneError) -> None:
        """The phone's process is gone."""
        self._gone = error
        self.registered = False
        for line in self.lines.values():
            line.state = "idle"
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
                told = {number: line.history for number, line in self.lines.items()}
                raise PhoneError(f"{self} was not {what} within {within} s; {told}", self.code) from None

    async def wait_state(self, *states: str, within: float = PATIENCE, line: int = 1) -> None:
        """Wait until a line of the phone is in one of `states`."""
        await self.until(lambda: self.lines[line].state in states, " or ".join(states), within)

    async def ask(
        self, kind: Callable[..., wire.AnyRequest], **fields: object
    ) -> wire.Done | wire.HeardSamples:
        """Have the phone's process carry out a request of this kind and give its reply."""
        return await self._process.ask(kind(id=self._process.next_id(), phone=self.number, **fields))

    async def dial(self, number: str, *, within: float = PATIENCE, line: int = 1) -> None:
        """Call `number`; returns when it rings there or is answered. A refusal raises with its SIP `code`."""
        mine = self.lines[line]
        before = len(mine.history)

        def came() -> bool:
            return any(state in ("early", "connected", "idle") for _, state in mine.history[before:])

        await self.ask(wire.Dial, number=number, line=line)
        await self.until(came, f"through to {number}", within)
        if mine.state == "idle":
            raise PhoneError(f"{self.number} dialed {number}: {mine.code} {mine.reason}", mine.code)

    async def start_dialing(self, number: str, *, line: int = 1) -> None:
        """Call `number` and return at once."""
        await self.ask(wire.Dial, number=number, line=line)

    async def answer(self, *, within: float = PATIENCE, line: int = 1) -> None:
        """Wait until a line rings, answer, and wait until the call is up."""
        await self.wait_state("ringing", "connected", within=within, line=line)
        if self.lines[line].state == "ringing":
            await self.ask(wire.Answer, code=200, line=line)
        await self.wait_state("connected", within=within, line=line)

    async def decline(self, code: int = 603, *, within: float = PATIENCE, line: int = 1) -> None:
        """Wait until a line rings and refuse the call with a SIP status."""
        await self.wait_state("ringing", within=within, line=line)
        await self.ask(wire.Answer, code=code, line=line)
        await self.wait_state("idle", within=within, line=line)

    async def busy(self, *, within: float = PATIENCE, line: int = 1) -> None:
        """Wait until a line rings and answer busy (486)."""
        await self.decline(486, within=within, line=line)

    async def divert(self, number: str, *, within: float = PATIENCE, line: int = 1) -> None:
        """Wait until a line rings and send the call on to `number` (302 with a Contact)."""
        await self.wait_state("ringing", within=within, line=line)
        await self.ask(wire.Answer, code=302, contact=number, line=line)
        await self.wait_state("idle", within=within, line=line)

    async def auto_answer(self, after: float | None = 0.0) -> None:
        """Answer each call by itself after this many seconds of ringing; None: no more."""
        await self.ask(wire.AutoAnswer, after=after)

    async def hangup(self, *, within: float = PATIENCE, line: int = 1) -> None:
        """End the call on a line; nothing where there is none."""
        await self.ask(wire.Hangup, line=line)
        await self.wait_state("idle", within=within, line=line)

    async def hold(self, *, line: int = 1) -> None:
        """Hold the call on a line."""
        await self.ask(wire.Hold, on=True, line=line)
        await self.wait_state("held", line=line)

    async def unhold(self, *, line: int = 1) -> None:
        """Take the held call of a line back."""
        await self.ask(wire.Hold, on=False, line=line)
        await self.wait_state("connected", line=line)

    async def transfer(self, number: str, *, within: float = PATIENCE, line: int = 1) -> None:
        """Transfer the other side blindly to `number` (REFER); returns when this phone is out of the call."""
        before = len(self.transfers)
        await self.ask(wire.Transfer, number=number, line=line)
        await self._rid(before, (line,), within)

    async def refused_transfer(self, number: str, *, within: float = PATIENCE, line: int = 1) -> int:
        """Try to transfer to `number`, and return the SIP status with which it was refused."""
        before = len(self.transfers)
        await self.ask(wire.Transfer, number=number, line=line)
        await self.until(lambda: any(code >= 300 for code in self.transfers[before:]), "refused", within)
        return self.transfers[-1]

    async def join(self, line: int = 1, onto: int = 2, *, within: float = PATIENCE) -> None:
        """Attended transfer: connect the other side of `line` with that of `onto` (REFER with Replaces).

        Returns when this phone is out of both calls. The call of `onto` may still ring there.
        """
        before = len(self.transfers)
        await self.ask(wire.Join, line=line, onto=onto)
        await self._rid(before, (line, onto), within)

    async def _rid(self, before: int, lines: tuple[int, ...], within: float) -> None:
        def over() -> bool:
            return all(self.lines[line].state == "idle" for line in lines)

        def is_told() -> bool:
            return any(code >= 200 for code in self.transfers[before:])

        await self.until(lambda: over() or is_told(), "rid of the call", within)
        told = self.transfers[before:]
        if not over() and told[-1] >= 300:
            raise PhoneError(f"{self.number} transferred in vain: {told[-1]}", told[-1])
        for line in lines:
            await self.hangup(within=within, line=line)

    async def dtmf(self, digits: str, *, line: int = 1) -> None:
        """Press keys (RFC 4733 events); returns when they are under way."""
        await self.ask(wire.Dtmf, digits=digits, line=line)

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

    @property
    def is_gone(self) -> bool:
        """Its process has ended without a word: the registrar believes it to be there."""
        return self._gone is not None

    async def drop(self) -> None:
        """Vanish as when the cable is pulled: no BYE, no unregistration.

        Kills the phone's process, and with it the other phones in it (see `Phones.open`: `alone`).
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
