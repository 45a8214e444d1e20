"""A notice to an agent: a short tone in her ear, by a snoop channel of its own that nobody else hears."""

import asyncio

from ctid.model.errors import PbxUnavailable
from ctid.model.ids import LegId
from ctid.model.words import SupervisionEnd
from ctid.ports import Clock
from ctid_asterisk.ari import Ari, AriError
from ctid_asterisk.parts import JOIN_S, Parts
from ctid_asterisk.refusals import gone, told_as_ctid_errors
from ctid_asterisk.sessions import notice_id

TONE = "tone:1400/300,0/60000"
"""The one by which a recorded line is told (ITU-T E.180, recording tone)."""
TONE_S = 0.4


class Notices:
    """Sounds notices, and knows which of the application's channels are theirs."""

    def __init__(self, ari: Ari, parts: Parts, clock: Clock) -> None:
        self._ari = ari
        self._parts = parts
        self._clock = clock
        self._entered: dict[str, asyncio.Future[None]] = {}

    async def give(self, target: LegId) -> None:
        """Sound the tone in the ear of the party at `target`. Raises CtidError: it was not heard."""
        channel = notice_id(self._ari.app, self._clock.now())
        entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._entered[channel] = entered
        async with told_as_ctid_errors():
            try:
                await self._ari.snoop(str(target), channel, spy="none", whisper="out")
                async with asyncio.timeout(JOIN_S):
                    await entered
                await self._ari.play(channel, channel, TONE)
                await asyncio.sleep(TONE_S)
            except AriError as error:
                if error.status == 404:
                    raise gone(SupervisionEnd.CALL_ENDED) from error
                raise
            finally:
                del self._entered[channel]
                await self._parts.rid(channel)

    def enter(self, channel: str) -> bool:
        """A channel has entered the application: whether it is one that a notice waits for."""
        entered = self._entered.get(channel)
        if entered is None or entered.done():
            return False
        entered.set_result(None)
        return True

    def leave(self, channel: str) -> bool:
        """A channel has ended: whether it is one of a notice."""
        entered = self._entered.get(channel)
        if entered is not None and not entered.done():
            entered.set_exception(gone(SupervisionEnd.CALL_ENDED))
        return entered is not None

    def forsake(self, reason: str) -> None:
        """Tell all who wait that their channel will not come."""
        for entered in self._entered.values():
            if not entered.done():
                entered.set_exception(PbxUnavailable(reason))
                entered.exception()  # who waits may have been ended already
