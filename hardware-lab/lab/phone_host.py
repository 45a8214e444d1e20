"""The test's side of a process of phones: starting it, asking it, and passing on what its phones tell."""

import asyncio
import itertools
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, Self

import msgspec

from ctid.tasks import TaskOwner
from lab import phone_wire as wire
from lab.errors import PhoneError

PATIENCE = 10.0
"""Seconds after which a phone's answer, or a state that must come, is given up."""
CALLS = 4
"""Calls that pjsua2 holds in a process."""
LAB_FOLDER = Path(__file__).resolve().parent.parent


class Listener(Protocol):
    """What a phone of the process takes."""

    @property
    def lines(self) -> Mapping[int, object]:
        """What it can have a call on."""

    def receive(self, message: wire.PhoneEvent) -> None:
        """Take an event of the phone."""

    def lost(self, error: PhoneError) -> None:
        """The process is gone."""


class PhoneProcess:
    """One process of phones and the conversation with it."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path, tasks: TaskOwner) -> None:
        self._process = process
        self._log = log
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[wire.Done | wire.HeardSamples]] = {}
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.phones: dict[str, Listener] = {}
        self.alone = False
        """Whether its phone wants no other beside it."""
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

    def has_room(self, lines: int, most: int) -> bool:
        """Whether a phone with so many lines fits in, where at most `most` phones share a process."""
        taken = sum(len(phone.lines) for phone in self.phones.values())
        return self.is_alive and not self.alone and len(self.phones) < most and taken + lines <= CALLS

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
