"""How a supervisor stands without ARI: what channel ChanSpy is on, in which mode, and whether she is mute."""

from collections.abc import Callable
from typing import Protocol

import structlog

from ctid.model.errors import CtidError, PbxRefused
from ctid.model.ids import SupervisionId
from ctid.model.words import Hear, Mode
from ctid_asterisk import spying
from ctid_asterisk.channels import Channels
from ctid_asterisk.sessions import Stance
from ctid_asterisk.spy_session import SpySession
from ctid_asterisk.spy_steps import SpySteps
from ctid_asterisk.spying import HARMLESS, KEYS

log = structlog.get_logger(__name__)

TRIES = 2
"""Asterisk has lost a Redirect that came as an application began (asterisk/asterisk#1315)."""
SPY_S = 1.5
"""ChanSpy begins a tenth of a second after she is sent there."""
KEY_S = 1.0
"""A key that her channel receives is told of as the channel next reads audio, every 20 ms."""


class Link(Protocol):
    """What this conductor needs of the link besides its steps. Channels are named by their unique ids."""

    async def check_context(self, context: str) -> None:
        """See that a dialplan context is there. Raises PbxRefused."""
        ...

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

    def are_together(self, first: str, second: str) -> bool:
        """Whether two channels are in one bridge."""
        ...

    async def until(self, decided: Callable[[], bool | None], within_s: float) -> bool:
        """Wait until it is decided, looking after each event; false when it is not by then.

        Raises PbxUnavailable: the link is lost meanwhile.
        """
        ...

    def look(self) -> None:
        """Something else than an event may have decided it."""
        ...


class SpyParts:
    """Puts sessions into a stance. None of it tells of a session, or ends one."""

    def __init__(self, steps: SpySteps, link: Link, channels: Callable[[], Channels]) -> None:
        self.steps = steps
        self.link = link
        self.live: bool | None = False
        """Whether switches are keys that her channel receives; none: that is to be tried out."""
        self._channels = channels

    def is_there(self, channel: str) -> bool:
        """Whether the PBX has told of this channel, and not of its end."""
        return channel in self._channels().by_id

    async def learn_keys(self, session: SpySession) -> None:
        """Find out, once a connection, whether a key that her channel receives is told of."""
        if self.live is not None:
            return
        try:
            await self.press(session, HARMLESS)
        except (TimeoutError, PbxRefused) as error:
            log.warning(
                "switches have a gap, and her keys are not audited: the keys of her channel are not told of; "
                "ctid's AMI user needs the read class dtmf (manager.ctid-no-ari.conf)",
                reason=str(error),
            )
            self.live = False
            session.keys.forget()
        else:
            self.live = True

    async def put(self, session: SpySession, stance: Stance) -> bool:
        """The quickest way to a stance: a key where it can do, or ChanSpy anew. False: the agent has left."""
        same_side = spying.hears_agent_alone(session.options) is (stance.hear is Hear.AGENT)
        restarted = not session.is_live or not same_side
        if stance.mode is Mode.BARGE and session.barged not in (None, self.peer(session)):
            restarted = True  # ChanSpy still speaks to whom the agent talked with before
        if restarted or session.agent_left:
            return await self.place(session, stance)
        if stance.silent:
            await self.steps.mute(session, on=True)
        await self.press(session, KEYS[stance.mode])
        if stance.mode is Mode.BARGE:
            session.barged = self.peer(session)
        await self.unmute(session, stance)
        return True

    async def place(self, session: SpySession, stance: Stance) -> bool:
        """Start ChanSpy, anew where it runs, in a stance. False: the agent has left.

        Raises TimeoutError: ChanSpy does not begin.
        """
        target = str(session.record.target)
        live = bool(self.live) and stance.mode in KEYS
        if stance.silent:
            await self.steps.mute(session, on=True)
        session.options = spying.options(stance, live=live)
        for _ in range(TRIES):
            if session.agent_left:
                return False
            before = session.starts
            await self.steps.spy(session, target, session.options)

            def decided(before: int = before) -> bool | None:
                over = session.lost is not None or session.cause is not None or session.agent_left
                return over or session.starts > before or None

            begun = await self.link.until(decided, SPY_S)
            session.check()
            if begun and session.starts > before:
                break
        else:
            if self._channels().by_id and not self.is_there(target):
                return False
            raise TimeoutError(f"ChanSpy does not begin on {target}")
        session.barged = self.peer(session) if stance.mode is Mode.BARGE else None
        await self.unmute(session, stance)
        return True

    async def unmute(self, session: SpySession, stance: Stance) -> None:
        """Let her be heard, if she is to be, and holds no key: what that does is to be undone first."""
        if not stance.silent and not session.keys.held:
            await self.steps.mute(session, on=False)

    async def press(self, session: SpySession, key: str) -> None:
        """Have her channel receive a key, and wait until it has. Raises TimeoutError: it has not."""
        session.keys.send(key)
        await self.steps.press(session, key)

        def decided() -> bool | None:
            if session.lost is not None or session.cause is not None:
                return False
            return True if not session.keys.waiting else None

        if not await self.link.until(decided, KEY_S):
            session.check()
            raise TimeoutError(f"key {key} was not received")

    def peer(self, session: SpySession) -> str | None:
        """Whom the agent talks with: the other channel in a bridge of two, as ChanSpy sees it.

        Empty: the agent's channel has not been told of yet.
        """
        channels = self._channels()
        agent = channels.by_id.get(str(session.record.target))
        if agent is None:
            return ""
        around = channels.in_bridge(agent.bridge) if agent.bridge is not None else []
        others = [channel.unique for channel in around if channel is not agent]
        return others[0] if len(others) == 1 else None

    async def hung_up(self, channel: str) -> bool:
        """Hang a channel up; whether it worked."""
        try:
            await self.link.hang_up(channel)
        except CtidError as error:
            log.warning("not hung up", channel=channel, reason=error.detail)
            return False
        return True
