"""What the core asks of its neighbours, with the obligations of each."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Protocol

from ctid.model.capabilities import Capability
from ctid.model.commands import Command
from ctid.model.facts import Fact
from ctid.model.ids import PbxId


class Connection(Protocol):
    """One connection to one PBX, used once.

    The facts start with `LinkUp`, then a `Snapshot`; they keep the order of the wire, and each batch
    is what one reading of the wire gave. They end when the connection does: by the iterator's end after
    `close`, or by `LinkError`.
    """

    capabilities: frozenset[Capability]

    def facts(self) -> AsyncIterator[Sequence[Fact]]:
        """Iterate over batches of facts; called once."""
        ...

    async def execute(self, command: Command) -> None:
        """Carry out a command; return once it is in force.

        On any failure nothing half done stays behind on the PBX.

        Raises:
            CtidError: it was refused, or failed; the state is what the facts say.
        """
        ...

    async def resync(self) -> None:
        """Take a new snapshot; it comes out of `facts`."""
        ...

    async def close(self) -> None:
        """End the connection; idempotent."""
        ...


class Driver(Protocol):
    """A PBX that ctid can connect to, as the configuration describes it."""

    pbx: PbxId
    kind: str

    async def connect(self) -> Connection:
        """Make a connection: logged in, and ready for commands.

        Raises:
            LinkRefused: the PBX refused the login.
            LinkError: it could not be reached or does not answer; nothing is left behind.
        """
        ...


class DriverFactory(Protocol):
    """What an entry point of the group `ctid.drivers` names: makes a driver from its settings."""

    kind: str

    def __call__(self, pbx: PbxId, settings: Mapping[str, Any]) -> Driver:
        """Build a driver; does no I/O.

        `settings` are the keys of `[[pbx]]` that are the driver's own, secrets already read.

        Raises:
            SettingsError: a key is unknown, missing or of the wrong type.
        """
        ...


class SettingsError(Exception):
    """A driver's settings are wrong: `path` within them, and what to do."""

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}" if path else message)
        self.path = path
        self.message = message


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> float:
        """Return UTC as seconds since the epoch."""
        ...
