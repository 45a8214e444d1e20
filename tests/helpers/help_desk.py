"""Raised hands at a desk: the room on a hub that runs, beside the supervision service and its played PBX."""

import asyncio
from pathlib import Path
from types import TracebackType
from typing import Self

from ctid.help.kept import Kept
from ctid.help.service import HelpService
from ctid.model.entities import Help
from ctid.model.ids import AgentId, HelpId
from ctid.model.users import User, UserRole
from ctid.model.words import Carrier
from ctid.tasks import TaskOwner
from helpers.desk import Desk
from helpers.patience import until

ANNA = User(name="anna", role=UserRole.AGENT, agent=AgentId("1001"))
EXPIRES_S = 300.0


class HelpDesk(Desk):
    """A desk with the room of the raised hands, which can be ended and begun anew as by a restart."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.directory = directory
        self._room = TaskOwner()
        self.hands = self._made()

    def _made(self) -> HelpService:
        return HelpService(self.hub, self.service, Kept(self.directory), self.clock, EXPIRES_S)

    async def __aenter__(self) -> Self:
        """Start everything, the first snapshot included."""
        await super().__aenter__()
        self.script.snapshot()
        await self.told()
        await self.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop everything."""
        await self._room.close()
        await super().__aexit__(kind, error, trace)

    async def begin(self) -> None:
        """Begin the room, and wait until it follows."""
        self._room.spawn("help", self.hands.run())
        await until(lambda: any(one.name == "help" for one in self.hub._subscriptions))

    async def end(self) -> None:
        """End the room, as a restart does; what the store has of it goes as well."""
        await self._room.close()
        self.hub.store.helps.clear()
        self._room = TaskOwner()
        self.hands = self._made()

    async def raised(self, text: str = "", agent: str = "1001") -> Help:
        """Let an agent raise her hand."""
        return await self.hands.ask(ANNA, AgentId(agent), text, Carrier.API)

    def hand(self, ident: HelpId) -> Help | None:
        """A raised hand as the state has it."""
        return self.hub.store.helps.get(ident)

    async def wait(self, seconds: float) -> None:
        """Let the time pass, in seconds, and the room see it."""
        self.clock.at += seconds
        self.script.wait(seconds)
        await self.told()
        await self.hands._judge()
        await asyncio.sleep(0)
