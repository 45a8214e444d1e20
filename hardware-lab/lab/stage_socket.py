"""The stage of a running demo, for another process: JSON lines over a unix socket in the rig's folder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from ctid.model.words import Mode
from ctid.tasks import TaskOwner
from lab.errors import LabError
from lab.pictures import Picture
from lab.stage import Stage

SOCKET = "demo.sock"
ANSWER_SECONDS = 30.0


class Keep(msgspec.Struct, tag=True, frozen=True):
    """Ask for `Stage.keep`; answered by `Kept`."""

    agent: str
    customer: str


class Look(msgspec.Struct, tag=True, frozen=True):
    """Ask for `Stage.look`; answered by `Seen`."""

    mode: Mode
    agent: str
    customer: str
    since: float | None


class Kept(msgspec.Struct, tag=True, frozen=True):
    """Whether the two are left alone now."""

    kept: bool


class Seen(msgspec.Struct, tag=True, frozen=True):
    """Who hears whom."""

    picture: Picture


class Failed(msgspec.Struct, tag=True, frozen=True):
    """The request could not be carried out."""

    error: str


_REQUESTS: msgspec.json.Decoder[Keep | Look] = msgspec.json.Decoder(Keep | Look)
_ANSWERS: msgspec.json.Decoder[Kept | Seen | Failed] = msgspec.json.Decoder(Kept | Seen | Failed)


@asynccontextmanager
async def open_to_others(stage: Stage, folder: Path, tasks: TaskOwner) -> AsyncIterator[None]:
    """Serve the stage on a socket in `folder`, which only its owner may use; each guest is one of `tasks`."""
    path = folder / SOCKET
    path.unlink(missing_ok=True)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await _answer(stage, line)) + b"\n")
                await writer.drain()
        except ConnectionError:
            return  # whoever asked has left, and wants no answer
        finally:
            writer.close()

    def enter(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.spawn("guest", serve(reader, writer))

    server = await asyncio.start_unix_server(enter, path)
    path.chmod(0o600)
    try:
        yield
    finally:
        server.close()
        path.unlink(missing_ok=True)


async def _answer(stage: Stage, line: bytes) -> Kept | Seen | Failed:
    try:
        request = _REQUESTS.decode(line)
        if isinstance(request, Keep):
            return Kept(await stage.keep(request.agent, request.customer))
        return Seen(await stage.look(request.mode, request.agent, request.customer, request.since))
    except (LabError, msgspec.MsgspecError) as error:
        return Failed(str(error))


class RemoteStage:
    """A `lab.stage.Watcher` at the end of a socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def keep(self, agent: str, customer: str) -> bool:
        """See `Watcher.keep`."""
        answer = await self._ask(Keep(agent, customer))
        assert isinstance(answer, Kept)
        return answer.kept

    async def look(self, mode: Mode, agent: str, customer: str, since: float | None) -> Picture:
        """See `Watcher.look`."""
        answer = await self._ask(Look(mode, agent, customer, since))
        assert isinstance(answer, Seen)
        return answer.picture

    async def _ask(self, request: Keep | Look) -> Kept | Seen:
        self._writer.write(msgspec.json.encode(request) + b"\n")
        try:
            line = await asyncio.wait_for(self._reader.readline(), ANSWER_SECONDS)
        except TimeoutError:
            raise LabError(f"the demo did not answer within {ANSWER_SECONDS:.0f} s") from None
        except ConnectionError as error:
            raise LabError(f"the demo has ended: {error}") from error
        if not line:
            raise LabError("the demo has ended")
        answer = _ANSWERS.decode(line)
        if isinstance(answer, Failed):
            raise LabError(answer.error)
        return answer


@asynccontextmanager
async def remote_stage(folder: Path) -> AsyncIterator[RemoteStage]:
    """The stage of the demo that runs in `folder`. Raises `LabError` where none does."""
    try:
        reader, writer = await asyncio.open_unix_connection(folder / SOCKET)
    except (FileNotFoundError, ConnectionError) as error:
        raise LabError(f"no demo runs in {folder}: start one with `make demo`") from error
    try:
        yield RemoteStage(reader, writer)
    finally:
        writer.close()
