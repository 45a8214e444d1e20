"""A PBX played by the test: a clock, a driver and a connection that do what they are told."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from ctid.model.capabilities import Capability
from ctid.model.commands import Command
from ctid.model.facts import Fact
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason
from ctid.ports import Connection, MemberName, Recollection
from helpers.floor import BASE


class FakeClock:
    """A clock that stands until it is set."""

    def __init__(self, at: float = BASE) -> None:
        self.at = at

    def now(self) -> float:
        """Return UTC as seconds since the epoch."""
        return self.at


Answer = Callable[[Command], Awaitable[None]]


class FakeConnection:
    """Tells `batches`, then ends by `lost`, or plainly; keeps the commands, and has `answer` do them."""

    def __init__(
        self,
        batches: Sequence[Sequence[Fact]] = (),
        *,
        lost: Exception | None = None,
        answer: Answer | None = None,
        capabilities: frozenset[Capability] = frozenset(Capability),
    ) -> None:
        self.capabilities = capabilities
        self.commands: list[Command] = []
        self.closed = 0
        self._batches = batches
        self._lost = lost
        self._answer = answer

    async def facts(self) -> AsyncIterator[Sequence[Fact]]:
        """Iterate over the batches."""
        for batch in self._batches:
            yield batch
        if self._lost is not None:
            raise self._lost

    async def execute(self, command: Command) -> None:
        """Keep a command, and answer it."""
        self.commands.append(command)
        if self._answer is not None:
            await self._answer(command)

    async def resync(self, reason: SnapshotReason) -> None:
        """Nothing to take: the facts are written down."""

    async def recall(self, since: Instant, remembered: Sequence[MemberName] = ()) -> Recollection:
        """Remember nothing."""
        del since, remembered
        return Recollection(since=None, reason="played by a test")

    async def close(self) -> None:
        """Count how often it was closed."""
        self.closed += 1


class FakeDriver:
    """Its attempts to connect end as the script says, one after the other; then it fails as no driver may."""

    kind = "fake"

    def __init__(self, *script: Connection | Exception) -> None:
        self.pbx = PbxId("lab")
        self._script = list(script)

    async def connect(self) -> Connection:
        """Play the next line of the script. Raises ScriptEnded: there is none."""
        if not self._script:
            raise ScriptEnded
        line = self._script.pop(0)
        if isinstance(line, Exception):
            raise line
        return line


class ScriptEnded(Exception):
    """The script is over; an error that nobody expects, so that whoever keeps trying stops."""
