"""The driver connected to an AMI server that is scripted, and the facts that come out of it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ctid.model.capabilities import Capability
from ctid.model.errors import LinkError
from ctid.model.facts import Fact
from ctid.tasks import TaskOwner
from ctid_asterisk import driver as rooms
from ctid_asterisk import snapshots, supervising
from ctid_asterisk.driver import AsteriskConnection, AsteriskDriver
from helpers.ami_server import AmiServer
from helpers.ami_words import PBX
from helpers.patience import until

WITHOUT_ARI = {
    Capability.AGENT_COMMANDS,
    Capability.CALL_COMMANDS,
    Capability.MESSAGE,
    Capability.PRIORITIZE,
    Capability.RECORD,
}
"""What can be asked of the scripted Asterisk over AMI alone."""


def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not happen is not waited for in seconds."""
    for name, seconds in (
        ("CONNECT_S", 1.0),
        ("ARI_FIRST_S", 0.1),
        ("RELOAD_S", 0.02),
        ("UNREADABLE_S", 0.02),
    ):
        monkeypatch.setattr(rooms, name, seconds)
    monkeypatch.setattr(snapshots, "FENCE_S", 0.1)
    monkeypatch.setattr(supervising, "ARI_AGAIN_S", 0.02)


def driver(port: int, **more: object) -> AsteriskDriver:
    """The driver of the Asterisk at a port."""
    settings = {"port": port, "username": "ctid", "secret": "s3cret", **more}
    return AsteriskDriver(PBX, settings)


class Connected:
    """A connection and the facts that came out of it."""

    def __init__(self, connection: AsteriskConnection) -> None:
        self.connection = connection
        self.facts: list[Fact] = []
        self.over: BaseException | str = ""

    async def read(self) -> None:
        """Take the facts until they end."""
        try:
            async for batch in self.connection.facts():
                self.facts += batch
            self.over = "closed"
        except LinkError as error:
            self.over = error

    def of(self, kind: type[Fact]) -> list[Any]:
        """The facts of one kind."""
        return [fact for fact in self.facts if isinstance(fact, kind)]

    async def has(self, kind: type[Fact], number: int = 1) -> None:
        """Wait for facts of a kind."""
        await until(lambda: len(self.of(kind)) >= number, what=kind.__name__)


@asynccontextmanager
async def connected(server: AmiServer, **more: object) -> AsyncIterator[Connected]:
    """A connection whose facts are read."""
    made = Connected(await driver(server.port, **more).connect())
    async with owned(made):
        yield made


@asynccontextmanager
async def owned(made: Connected) -> AsyncIterator[None]:
    """Its facts are read until the end, when it is closed."""
    owner = TaskOwner()
    owner.spawn("facts", made.read())
    try:
        yield
    finally:
        await made.connection.close()
        await until(lambda: made.over != "", what="the end of the facts")
        await owner.close()
