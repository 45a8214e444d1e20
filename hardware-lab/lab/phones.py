"""Phones for tests: real SIP user agents that say a tone each and tell whom they hear.

async with Phones(rig.ports.sip) as phones:
    customer, agent = await phones.open("3001", "1001")
    await customer.dial("7000"); await agent.answer()
    assert await phones.hears(agent) == {"3001"}
"""

import asyncio
import contextlib
import itertools
import random
import signal
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Self

from ctid.tasks import TaskOwner
from lab import hearing, tones
from lab import phone_wire as wire
from lab.errors import PhoneError
from lab.phone_client import Phone
from lab.phone_host import CALLS, PhoneProcess
from lab.roster import password
from lab.tones import Heard, Timeline

CODECS = {"ulaw": "PCMU/8000/1", "alaw": "PCMA/8000/1"}


class Phones:
    """All phones of one test, registered at 127.0.0.1:`sip_port`; an async context manager.

    `per_process`: phones in a process, 1 to 4 (pjsua2 holds 4 calls); with 1, `drop` takes no other along.
    `folder`: where the phones' logs go (default: a temporary one, removed when all went well).
    """

    def __init__(self, sip_port: int, *, per_process: int = 1, folder: Path | None = None) -> None:
        self.per_process = per_process
        self._sip_port = sip_port
        self._folder = folder
        self._temporary = contextlib.ExitStack()
        self._tasks = TaskOwner()
        self._processes: list[PhoneProcess] = []
        self._phones: dict[str, Phone] = {}
        # Each phone tries a stretch of its own first; where two processes collide pjsua2 moves on.
        self._rtp = itertools.count(random.SystemRandom().randrange(40_000, 60_000, 100), 20)

    async def __aenter__(self) -> Self:
        if self._folder is None:
            self._folder = Path(
                self._temporary.enter_context(tempfile.TemporaryDirectory(prefix="ctid-phones-"))
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __getitem__(self, number: str) -> Phone:
        return self._phones[number]

    async def close(self) -> None:
        """Hang up, unregister, end the processes. Raises `PhoneError` for one that crashed meanwhile.

        Those that are gone come back for it, or the PBX would go on calling them where they are not.
        """
        gone = [number for number, phone in self._phones.items() if phone.is_gone]
        for number in gone:
            del self._phones[number]
        if gone:
            await self.open(*gone)
        codes = await asyncio.gather(*(process.close() for process in self._processes))
        await self._tasks.close()
        self._processes.clear()
        self._phones.clear()
        self._temporary.close()
        crashed = [code for code in codes if code not in (0, -signal.SIGKILL)]
        if crashed:
            raise PhoneError(f"phone processes ended with {crashed}")

    async def open(
        self,
        *numbers: str,
        answer_after: float | None = None,
        codec: str = "ulaw",
        register: bool = True,
        lines: int = 1,
        alone: bool = False,
    ) -> list[Phone]:
        """Make phones that say their tones, register them, and give them in the order of `numbers`.

        `answer_after`: answer each call by itself after so many seconds.
        `lines`: calls that each holds at once (2: call waiting); a further call hears busy.
        `alone`: each in a process of its own, so that `drop` takes no other along.
        Raises `PhoneError` where the registrar refuses.
        """
        for number in numbers:
            if number in self._phones:
                raise PhoneError(f"{number} is open already")
        await self._house(numbers, lines=lines, alone=alone)
        await asyncio.gather(*(self._open(n, answer_after, CODECS[codec], register) for n in numbers))
        return [self._phones[number] for number in numbers]

    async def _house(self, numbers: tuple[str, ...], *, lines: int, alone: bool) -> None:
        """Give each phone a process with room for it; starts what is missing, all at once."""
        folder = self._folder
        if folder is None:
            raise PhoneError("phones are opened inside `async with Phones(...)`")
        if not 1 <= lines <= CALLS:
            raise PhoneError(f"a phone has 1 to {CALLS} lines, not {lines}")
        each = 1 if alone else max(1, min(self.per_process, CALLS // lines))
        waiting = list(numbers)
        if not alone:
            for process in self._processes:
                while waiting and process.has_room(lines, self.per_process):
                    self._lodge(waiting.pop(0), process, lines)
        groups = [waiting[at : at + each] for at in range(0, len(waiting), each)]
        names = [folder / f"phones-{len(self._processes) + index}.err" for index in range(len(groups))]
        started = await asyncio.gather(*(PhoneProcess.start(name, self._tasks) for name in names))
        self._processes += started
        for process, group in zip(started, groups, strict=True):
            process.alone = alone
            for number in group:
                self._lodge(number, process, lines)

    def _lodge(self, number: str, process: PhoneProcess, lines: int) -> None:
        self._phones[number] = process.phones[number] = Phone(number, process, lines)

    async def _open(self, number: str, answer_after: float | None, codec: str, register: bool) -> Phone:  # noqa: FBT001
        phone = self._phones[number]
        await phone.ask(
            wire.Open,
            sip_port=self._sip_port,
            password=password(number),
            rtp=next(self._rtp),
            codec=codec,
            register=register,
            lines=len(phone.lines),
        )
        await phone.tone()
        if answer_after is not None:
            await phone.auto_answer(answer_after)
        if register:
            await phone.until(lambda: phone.registration_code != 0, "registered")
            if not phone.registered:
                raise PhoneError(f"{number} was refused by the registrar", phone.registration_code)
        return phone

    async def listen(self, phone: Phone, seconds: float = 1.0) -> Heard:
        """What the phone hears during the coming `seconds`."""
        since = time.monotonic()
        await asyncio.sleep(seconds)
        return await phone.heard(since)

    async def levels(self, phone: Phone, seconds: float = 1.0) -> dict[str, float]:
        """The median level in dBFS of each phone's tone in what `phone` hears during the coming `seconds`."""
        return hearing.medians(await self.listen(phone, seconds))

    async def hears(self, phone: Phone, seconds: float = 1.0) -> set[str]:
        """Whose tones `phone` hears during the coming `seconds`, for at least half of that time."""
        shares = hearing.shares(await self.listen(phone, seconds))
        return {number for number, share in shares.items() if share >= 0.5}

    async def hears_exactly(
        self, phone: Phone, expected: Iterable[str], *, within: float = 5.0, window: float = 0.6
    ) -> None:
        """Wait until `phone` hears the tones of `expected` and nobody else's, steadily, over a full `window`.

        Raises `PhoneError` with the levels that it had at the end of `within` seconds.
        """
        wanted = set(expected)
        since = time.monotonic()
        deadline = since + within
        while True:
            await asyncio.sleep(0.1)
            now = time.monotonic()
            heard = await phone.heard(max(since, now - window))
            shares = hearing.shares(heard)
            full = len(heard.times) >= window * 0.9 / tones.FRAME_SECONDS
            if full and hearing.is_picture(shares, wanted):
                return
            if now >= deadline:
                told = hearing.describe(heard)
                raise PhoneError(f"{phone.number} should hear exactly {sorted(wanted)} but {told} ({phone})")

    async def heard_for(self, phone: Phone, since: float) -> dict[str, float]:
        """For how many seconds `phone` heard each tone since a monotonic second; only those that it heard.

        The click of a lost frame may count as up to 80 ms of somebody's tone.
        """
        heard = await phone.heard(since)
        seconds = len(heard.times) * tones.FRAME_SECONDS
        return {number: share * seconds for number, share in hearing.shares(heard).items() if share > 0}

    async def timeline(self, phone: Phone, tone_of: str, since: float) -> Timeline:
        """The level of one phone's tone in what `phone` heard since a monotonic second."""
        heard = await phone.heard(since)
        return Timeline(heard.times, tones.levels(heard.samples, [tones.TONES[tone_of]])[:, 0])
