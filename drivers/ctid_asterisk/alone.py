"""Supervision by AMI alone: what stands in for ARI's link where none is configured."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Protocol

import structlog

from ctid.model.capabilities import Capability
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, PbxUnavailable
from ctid.model.facts import KeyPressed, SupervisionChanged
from ctid.model.ids import PbxId, SupervisionId
from ctid.ports import Clock
from ctid_asterisk.channels import Channels
from ctid_asterisk.chanspy import Spies
from ctid_asterisk.parts import Ami
from ctid_asterisk.settings import Settings
from ctid_asterisk.spy_events import SpyEvents
from ctid_asterisk.spy_handover import SpyHandover
from ctid_asterisk.spy_parts import SpyParts
from ctid_asterisk.spy_steps import Act, SpySteps
from ctid_asterisk.spying import receives_keys
from ctid_asterisk.wire import Message

log = structlog.get_logger(__name__)


_ABLE = frozenset({Capability.SUPERVISE, Capability.TAKE_OVER, Capability.HAND_BACK, Capability.NOTICE_TONE})
"""All but hearing the customer alone; a PIN is asked for where keys are seen."""


class Shared(Ami, Protocol):
    """What both ways have in common, of AMI."""

    async def check_context(self, context: str) -> None:
        """See that a dialplan context is there. Raises PbxRefused."""
        ...


class Alone:
    """Sessions without ARI, on one connection. `ami` carries out what both ways have in common."""

    def __init__(
        self,
        pbx: PbxId,
        settings: Settings,
        clock: Clock,
        *,
        act: Act,
        ami: Shared,
        channels: Callable[[], Channels],
        tell: Callable[[SupervisionChanged | KeyPressed], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._pbx = pbx
        self._ami = ami
        self._channels = channels
        self._watched: dict[asyncio.Future[bool], Callable[[], bool | None]] = {}
        self._parts = SpyParts(SpySteps(act, settings.supervise_context), self, channels)
        self.spies = Spies(settings.username, self._parts, settings.supervise_context, clock, tell)
        self._events = SpyEvents(self.spies, on_failure)
        self.handover = SpyHandover(self.spies, clock, settings.handback_context)
        self.ready = False
        """Somebody can be supervised."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What can be asked of it now."""
        if not self.ready:
            return frozenset()
        return _ABLE if self._parts.live is False else _ABLE | {Capability.PIN}

    def sessions(self) -> Sequence[Supervision] | None:
        """The sessions that are known; none (None) where nobody could look."""
        return self.spies.supervisions() if self.ready else ()

    async def open(self, version: str) -> None:
        """See what ctid's user may do on this Asterisk, and take up the sessions that the PBX holds."""
        steps = self._parts.steps
        try:
            missing = await steps.missing()
            if missing:
                log.warning(
                    "nobody can be supervised: there is no [pbx.ari], and without it ctid's AMI user needs "
                    "more than it has (manager.ctid-no-ari.conf)",
                    pbx=self._pbx,
                    missing=sorted(missing),
                )
                return
            self._parts.live = None if receives_keys(version) else False
            await self.spies.recover()
        except CtidError as error:
            log.warning("nobody can be supervised", pbx=self._pbx, reason=error.detail)
            return
        self.ready = True
        log.info("supervision by AMI alone", pbx=self._pbx, keys=receives_keys(version))

    async def close(self) -> None:
        """End the tasks; the sessions stay on the PBX."""
        await self._events.close()

    def heard(self, message: Message) -> None:
        """An event came, and the driver's state has read it."""
        self._events.receive(message.name, message.legible)
        self.look()

    def lost(self, reason: BaseException) -> None:
        """The link is lost: tell those who wait that nothing more will come."""
        for future in self._watched:
            if not future.done():
                future.set_exception(PbxUnavailable(f"the link to the PBX was lost ({reason})"))
                future.exception()  # the waiter may have given up already

    # For the conductor, see `spy_parts.Link` ------------------------------------------------------

    async def check_context(self, context: str) -> None:
        """See that a dialplan context is there. Raises PbxRefused."""
        await self._ami.check_context(context)

    async def blind_transfer(self, channel: str, session: SupervisionId) -> None:
        """Have the party that `channel` talks with leave for the take-over context."""
        await self._ami.blind_transfer(channel, session)

    async def set_variable(self, channel: str, name: str, value: str) -> None:
        """Set a channel's variable; raises `SupervisionRefused` when the channel is gone."""
        await self._ami.set_variable(channel, name, value)

    async def hang_up(self, channel: str) -> None:
        """Hang a channel up; nothing if it is gone."""
        await self._ami.hang_up(channel)

    def name_of(self, channel: str) -> str:
        """A channel's full name."""
        return self._ami.name_of(channel)

    def are_together(self, first: str, second: str) -> bool:
        """Whether two channels are in one bridge."""
        one, two = (self._channels().by_id.get(channel) for channel in (first, second))
        return one is not None and two is not None and one.bridge is not None and one.bridge == two.bridge

    async def until(self, decided: Callable[[], bool | None], within_s: float) -> bool:
        """Wait until it is decided, looking after each event; false when it is not by then.

        Raises PbxUnavailable: the link is lost meanwhile.
        """
        answer = decided()
        if answer is not None:
            return answer
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._watched[future] = decided
        try:
            async with asyncio.timeout(within_s):
                return await future
        except TimeoutError:
            return False
        finally:
            del self._watched[future]

    def look(self) -> None:
        """Something may be decided now."""
        for future, decided in self._watched.items():
            answer = None if future.done() else decided()
            if answer is not None:
                future.set_result(answer)
