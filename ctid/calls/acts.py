"""What every act on a call or an agent goes through: its turn, its command, its telling."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from weakref import WeakValueDictionary

import structlog
from msgspec.structs import replace

from ctid.calls.words import Act, ActDone
from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import CallCommand
from ctid.model.errors import CtidError, PbxUnavailable
from ctid.model.ids import AgentId, CallId, PbxId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.ports import Clock

log = structlog.get_logger(__name__)

SETTLE_S = 2.0
"""By then what the PBX has done has come back as a fact."""

_T = TypeVar("_T")

Tell = Callable[[ActDone], Awaitable[None]]

_PERSONAL = frozenset({"number", "to"})
"""Particulars that may be a caller's number: the log has none in full."""


async def tell_nobody(_: ActDone) -> None:
    """The act stands in ctid's log alone."""


class Acts:
    """The one place where acts are told: to `tell`, those refused too, and in ctid's log."""

    def __init__(self, hub: Hub, clock: Clock, tell: Tell = tell_nobody) -> None:
        self._hub = hub
        self._clock = clock
        self._tell = tell
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    def turn(self, ident: CallId | AgentId) -> asyncio.Lock:
        """The lock of whom acts are done with: one after the other."""
        return self._turns.setdefault(ident, asyncio.Lock())

    def begun(
        self,
        user: User,
        act: Act,
        *,
        pbx: PbxId | None,
        call: CallId | None = None,
        agent: AgentId | None = None,
        **particulars: str,
    ) -> ActDone:
        """What is going to be told of an act; particulars that are empty are left out."""
        return ActDone(
            at=Instant(self._clock.now()),
            act=act,
            by=user.name,
            pbx=pbx,
            call=call,
            agent=agent,
            particulars={name: value for name, value in particulars.items() if value},
        )

    async def take(self, done: ActDone, step: Awaitable[_T]) -> _T:
        """Take a step, and tell of it, or of its refusal, which is raised."""
        try:
            answer = await step
        except CtidError as error:
            log.warning(
                "act refused",
                act=done.act,
                by=done.by,
                call=done.call,
                agent=done.agent,
                code=error.code,
                reason=error.detail,
            )
            await self._tell(replace(done, refused=error.code))
            raise
        shown = {name: value for name, value in done.particulars.items() if name not in _PERSONAL}
        log.info("acted", act=done.act, by=done.by, call=done.call, agent=done.agent, **shown)
        await self._tell(done)
        return answer

    def require(self, pbx: PbxId, ability: Capability) -> None:
        """Check that a PBX can do something, before anything is done.

        Raises:
            PbxUnavailable: its link is down, or it cannot.
        """
        if ability not in self._hub.connection(pbx).capabilities:
            raise PbxUnavailable(
                f"the PBX {pbx!r}, or ctid's user there, does not allow this ({ability}): ctid's log says at "
                "the login what is missing, manager.ctid.conf what the user needs"
            )

    async def execute(self, pbx: PbxId, ability: Capability, command: CallCommand) -> None:
        """Have a PBX carry out a command, if it can. Raises CtidError."""
        self.require(pbx, ability)
        await self._hub.execute(pbx, command)
