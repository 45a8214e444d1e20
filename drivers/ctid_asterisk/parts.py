"""The parts of sessions on the PBX: made by ARI, and cleared away whatever becomes of it."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Protocol

import structlog

from ctid.model.errors import CtidError
from ctid.model.ids import SupervisionId
from ctid.model.words import SupervisionEnd
from ctid.ports import Clock
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.fields import OURS
from ctid_asterisk.refusals import Ended, gone
from ctid_asterisk.sessions import SPY, VARIABLE, WHISPER, Record, Stance, pack, part_of
from ctid_asterisk.stage_session import Session

log = structlog.get_logger(__name__)

JOIN_S = 3.0
"""A channel made or moved by us gets to where it is to be within milliseconds; by then it will not."""

CLEARING_TRIES = 2
"""A step that failed once may do so no more; what is left after that goes with the next start."""

QUIET_TONE = "tone:425/60,0/5000"
"""What a supervisor who waits hears: a blip every five seconds (Asterisk, indications.conf)."""


class Ami(Protocol):
    """AMI's part of supervision. Channels are named by their unique ids."""

    async def blind_transfer(self, channel: str, session: SupervisionId) -> None:
        """Have the party that `channel` talks with leave for the take-over context."""
        ...

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        """Set a channel's variable; raises `SupervisionRefused` when the channel is gone."""
        ...

    async def hang_up(self, channel: str) -> None:
        """Hang a channel up; nothing if it is gone."""
        ...

    def name_of(self, channel: str) -> str:
        """A channel's full name."""
        ...

    async def together(self, first: str, second: str, within_s: float) -> bool:
        """Wait until two channels are in one bridge; false when they are not by then, or one has gone."""
        ...


class Parts:
    """Makes and clears away what sessions consist of."""

    def __init__(self, ari: Ari, ami: Ami, clock: Clock) -> None:
        self.ari = ari
        self.ami = ami
        self._clock = clock

    async def snoop(self, session: Session, target: str, stance: Stance) -> str:
        """Make a snoop channel of this stance on a channel; it is in no bridge yet."""
        snoop = session.names.snoop(stance, self._clock.now())
        joined = session.expect(snoop)
        session.made.add(snoop)
        try:
            await self.ari.snoop(target, snoop, spy=SPY[stance.hear], whisper=WHISPER[stance.mode])
            await self._entered(session, snoop, joined)
        except BaseException as error:
            session.joined.pop(snoop, None)
            await self.clear(session, snoop)
            if (failure := session.failure(error)) is not None:
                raise failure from error
            if isinstance(error, AriError) and error.status == 404:
                raise gone(SupervisionEnd.CALL_ENDED) from error
            raise
        return snoop

    @staticmethod
    async def _entered(session: Session, snoop: str, joined: asyncio.Future[None]) -> None:
        async with asyncio.timeout(JOIN_S):
            await joined
        if snoop in session.left:
            raise Ended(snoop, 0)  # both were told before we came to look

    async def place(self, session: Session, new: str, stance: Stance) -> None:
        """Put a snoop channel of this stance in the place of the one there is.

        For a moment nobody hears anything of her, rather than something wrong. Raises what went wrong; then
        it is not sure any more who hears whom.
        """
        old = session.snoop
        if old is not None:
            session.leaving.add(old)
        if stance.silent:
            await self.ari.mute(session.phone, on=True)
        if old is not None:
            await self.ari.take_out(session.names.bridge, old)
        await self.ari.add(session.names.bridge, new)
        session.snoop = new
        if not stance.silent:
            await self.ari.mute(session.phone, on=False)

    async def keep(self, session: Session, record: Record | None = None) -> None:
        """Write the session's record, or another one, to the PBX, for a ctid that starts anew; at best.

        A failure is logged. Who hears whom does not depend on it: that is in the parts themselves.
        """
        try:
            await self.ari.set_variable(session.phone, VARIABLE, pack(record or session.record))
        except (AriError, AriLost) as error:
            log.warning("session not noted on the PBX", supervision=session.supervision.id, reason=str(error))

    async def clear(self, session: Session, *parts: str) -> None:
        """Clear parts away, each whatever becomes of the others; what fails is tried again at the end."""
        cleared = await asyncio.gather(*[self.cleared(part) for part in parts])
        session.made.difference_update(itertools.compress(parts, cleared))

    async def clear_all(self, session: Session) -> bool:
        """Clear away all that a session has; false when a channel of it may still be there."""
        session.leaving |= session.made
        for _ in range(CLEARING_TRIES):
            await self.clear(session, *session.made)
        for channel in [part for part in session.made if part != session.names.bridge]:
            try:
                await self.ami.hang_up(channel)
            except CtidError as error:
                log.warning("not hung up by AMI either", channel=channel, reason=error.detail)
            else:
                session.made.discard(channel)
        return not session.made - {session.names.bridge}

    async def rid(self, channel: str) -> bool:
        """Hang a channel up that is no part of a session, twice if need be; whether it worked."""
        return await self.cleared(channel) or await self.cleared(channel)

    async def cleared(self, part: str) -> bool:
        """Hang a channel up, or destroy a bridge; whether it worked."""
        is_bridge = part.startswith(OURS) and part_of(part) is None
        return await self.tried(
            "not cleared away", part, self.ari.destroy_bridge if is_bridge else self.ari.hang_up
        )

    async def tried(self, failed: str, part: str, step: Callable[[str], Awaitable[None]]) -> bool:
        """Take a step that the session does not hang on; whether it worked."""
        try:
            await step(part)
        except (AriError, AriLost) as error:
            log.warning(failed, part=part, reason=str(error))
            return False
        return True

    # Waiting ----------------------------------------------------------------------------------------

    async def to_waiting(self, session: Session) -> None:
        """Have her wait, alone in her bridge and mute, with the quiet tone; again if she does already."""
        await self.ari.mute(session.phone, on=True)
        await self.ari.stop_play(session.names.tone)
        # Into the bridge: what is played to a channel itself keeps every later command to it waiting.
        tone = session.names.tone
        await self.tried(
            "no quiet tone while she waits: does Asterisk load chan_bridge_media.so?",
            session.names.bridge,
            lambda bridge: self.ari.play_to_bridge(bridge, tone, QUIET_TONE),
        )

    async def from_waiting(self, session: Session) -> None:
        """Have the tone end: there is somebody to hear again."""
        await self.ari.stop_play(session.names.tone)
