"""The bench's own connection to AMI: it keeps every byte, and sends an action where one is needed."""

import asyncio
from types import TracebackType
from typing import Self

from ctid.tasks import TaskOwner

ANSWER_S = 5.0


class Tap:
    """A connection of the lab's user, who may read everything, as raw bytes; an async context manager."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._wire = bytearray()
        self._tasks = TaskOwner()
        self._more = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._tasks.spawn("ami tap", self._read(reader))
        self.send(Action="Login", Username="lab", Secret="lab")  # noqa: S106 - the lab's
        await self.until(b"Event: FullyBooted")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._tasks.close()
        if self._writer is not None:
            self._writer.close()
            await self._writer.wait_closed()

    @property
    def wire(self) -> bytes:
        """Everything that came since the banner."""
        return bytes(self._wire)

    def send(self, **fields: str) -> None:
        """Send an action, its fields in order."""
        assert self._writer is not None, "inside `async with`"
        self._writer.write("".join(f"{key}: {value}\r\n" for key, value in fields.items()).encode() + b"\r\n")

    async def until(self, text: bytes, since: int = 0) -> None:
        """Wait until `text` comes, after byte `since` of the wire. Raises TimeoutError."""
        async with asyncio.timeout(ANSWER_S):
            while self._wire.find(text, since) < 0:
                self._more.clear()
                await self._more.wait()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while data := await reader.read(65536):
            self._wire += data
            self._more.set()
