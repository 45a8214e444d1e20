"""The demo's stage: who talks with whom, who is to be left alone, and who hears whom."""

import asyncio
import time
from pathlib import Path
from typing import Protocol

from msgspec.structs import replace

from ctid.model.words import Mode
from lab import pictures, speech, tones
from lab.errors import LabError
from lab.phones import Phones
from lab.pictures import Picture

KEEP_SECONDS = 20.0
"""A call that somebody is about to step into is left alone for so long; a session prolongs it."""
PATIENCE = 6.0
"""By then a picture is stable, on a busy machine as well."""
WINDOW = 0.8
RECORD_SECONDS = 4.0


class Watcher(Protocol):
    """What one needs of a stage to step into its calls and look; here, or at the end of a socket."""

    async def keep(self, agent: str, customer: str) -> bool:
        """Leave these two alone from now on; False where they are not talking quietly with each other."""

    async def look(self, mode: Mode, agent: str, customer: str, since: float | None) -> Picture:
        """Wait until the three hear what they should in `mode`, 6 s at most, and give what they hear.

        `since`: the monotonic second from which a gap in what she hears is looked for; None: do not look.
        """


class Stage:
    """The cast on its phones. `speech_in`: the folder of recordings where they speak; None: tones alone."""

    def __init__(
        self, phones: Phones, cast: tuple[str, ...], supervisor: str, speech_in: Path | None
    ) -> None:
        self.phones = phones
        self.cast = frozenset(cast)
        self.supervisor = supervisor
        self.talking: dict[str, str] = {}
        """Agent -> the customer whom she talks with, on hold included."""
        self.quiet: set[str] = set()
        """Agents who talk, and neither hold nor transfer nor hang up at this moment."""
        self._kept: dict[str, float] = {}
        self._speech_in = speech_in
        self._recordings = 0

    def is_kept(self, number: str) -> bool:
        """Whether this phone is to go on with what it does."""
        return self._kept.get(number, 0.0) > time.monotonic()

    def prolong(self, numbers: set[str], seconds: float) -> None:
        """Leave these phones alone for so long from now on."""
        until = time.monotonic() + seconds
        for number in numbers:
            self._kept[number] = max(until, self._kept.get(number, 0.0))

    def release(self) -> None:
        """Leave nobody alone any more."""
        self._kept.clear()

    async def keep(self, agent: str, customer: str) -> bool:
        """See `Watcher.keep`."""
        if customer not in self.cast or self.talking.get(agent) != customer or agent not in self.quiet:
            return False
        self.prolong({agent, customer}, KEEP_SECONDS)
        return True

    async def look(self, mode: Mode, agent: str, customer: str, since: float | None) -> Picture:
        """See `Watcher.look`. Raises `LabError` for a phone that is not of the cast."""
        for number in (agent, customer):
            if number not in self.cast:
                raise LabError(f"{number} is no phone of the demo: what it hears is not known here")
        self.prolong({agent, customer}, KEEP_SECONDS)
        began = time.monotonic()
        picture = await self._picture(mode, agent, customer, began)
        while not picture.right and time.monotonic() < began + PATIENCE:
            await asyncio.sleep(0.1)
            picture = await self._picture(mode, agent, customer, began)
        gap_s = None if since is None else await self._gap(mode, agent, customer, since)
        return replace(picture, gap_s=gap_s, recording=await self._record(mode, agent, began))

    async def _picture(self, mode: Mode, agent: str, customer: str, began: float) -> Picture:
        since = max(began, time.monotonic() - WINDOW)
        await asyncio.sleep(max(0.0, since + WINDOW - time.monotonic()))
        trio = {"customer": customer, "agent": agent, "supervisor": self.supervisor}
        heard = await asyncio.gather(*(self.phones[number].heard(since) for number in trio.values()))
        whom = pictures.wanted(mode, customer=customer, agent=agent, supervisor=self.supervisor)
        ears = tuple(
            pictures.ear(role, number, whom[number], sound, self.cast)
            for (role, number), sound in zip(trio.items(), heard, strict=True)
        )
        return Picture(mode=mode, customer=customer, agent=agent, supervisor=self.supervisor, ears=ears)

    async def _gap(self, mode: Mode, agent: str, customer: str, since: float) -> float | None:
        if self._speech_in is not None:
            return None  # speech beside a tone blurs it over 20 ms: gaps are measured with tones alone
        hers = self.phones[self.supervisor]
        whom = [customer] if mode is Mode.TAKEOVER else [customer, agent]
        lines = [await self.phones.timeline(hers, number, since) for number in whom]
        return max(line.longest_gap() for line in lines)

    async def _record(self, mode: Mode, agent: str, began: float) -> str:
        if self._speech_in is None:
            return ""
        await asyncio.sleep(max(0.0, began + RECORD_SECONDS - time.monotonic()))
        heard = await self.phones[self.supervisor].heard(began)
        self._recordings += 1
        path = self._speech_in / f"{self._recordings:02}-{mode}-{agent}.wav"
        speech.write_voices(heard.samples, path, [tones.TONES[number] for number in sorted(self.cast)])
        return str(path)
