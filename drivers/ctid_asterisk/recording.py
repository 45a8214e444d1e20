"""What an Asterisk sends, into a file: the tap on a connection, and the thread that writes.

The tap sits where the bytes come in, and hands them on with the time; they are cut into messages, scrubbed,
compressed and written in a thread of its own, so that no slow disk keeps the connection from being read.
"""

import asyncio
import queue
import re
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog

from ctid import __version__
from ctid.capture import FORMAT, CaptureError, CaptureFile, Header, Record, message_record
from ctid.model.errors import CtidError, LinkError
from ctid.model.facts import Fact
from ctid.model.ids import PbxId
from ctid.model.words import SnapshotReason
from ctid.ports import CaptureOrder, CaptureTotals, Clock
from ctid.tasks import TaskOwner
from ctid_asterisk.actions import FENCE_VARIABLE
from ctid_asterisk.scrub import Scrubber

log = structlog.get_logger(__name__)

MOST_WAITING = 32 * 1024 * 1024
"""Bytes that may wait for the disk: minutes of a busy PBX; past that the capture ends."""
FLUSH_S = 5.0
"""What is in memory alone, and lost by a kill, is at most so old."""
FLUSH_BYTES = 512 * 1024
KEY_BYTES = 32

_EMPTY_LINE = re.compile(rb"\n\r?\n")
_NEVER = frozenset({"Login", "Challenge", "Logoff"})
"""Requests that are not written, nor their answers."""


class Tap(Protocol):
    """Sees what goes over a connection. Neither method may block or raise."""

    def received(self, data: bytes) -> None:
        """Take the next bytes of the peer."""

    def sent(self, data: bytes) -> None:
        """Take a message of ours."""


class Tapped(Protocol):
    """What is asked of the connection that a tap is on; see `ctid.ports.Connection`."""

    def facts(self) -> AsyncIterator[Sequence[Fact]]:
        """Iterate over batches of facts."""

    async def resync(self, reason: SnapshotReason) -> None:
        """Take a new snapshot."""

    async def close(self) -> None:
        """End the connection; idempotent."""


class Blocks:
    """Bytes in any split into messages, without what ends them; the banner is the first."""

    def __init__(self) -> None:
        self._tail = b""
        self._greeted = False

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes, return what they complete."""
        data = self._tail + data
        found = []
        if not self._greeted:
            banner, end, rest = data.partition(b"\n")
            if not end:
                self._tail = data
                return []
            self._greeted = True
            found.append(banner.removesuffix(b"\r"))
            data = rest
        *blocks, self._tail = _EMPTY_LINE.split(data)
        found += [block.lstrip(b"\r\n").removesuffix(b"\r") for block in blocks]
        return [block for block in found if block]


class Recorder:
    """A tap that writes a capture. `on_end` is told, in the writer's thread, why it ended by itself.

    Raises:
        CaptureError: the file cannot be made.
    """

    def __init__(
        self,
        pbx: PbxId,
        order: CaptureOrder,
        clock: Clock,
        on_end: Callable[[str], None],
        most_waiting: int = MOST_WAITING,
    ) -> None:
        self._clock = clock
        self._on_end = on_end
        self._most_waiting = most_waiting
        self._begun = time.monotonic()
        header = Header(
            ctid_capture=FORMAT,
            driver="asterisk",
            pbx=pbx,
            begun_at=clock.now(),
            scrubbed=not order.raw,
            ctid=__version__,
        )
        self._file = CaptureFile(order.path, header)
        self._pages = _Pages(
            None if order.raw else Scrubber(secrets.token_bytes(KEY_BYTES), keep_queues=order.keep_queues)
        )
        self._queue: queue.SimpleQueue[_Piece | str] = queue.SimpleQueue()
        self._waiting = 0
        self._lock = threading.Lock()
        self._over = False
        self._ended = ""
        self._failure: CaptureError | None = None
        self._thread = threading.Thread(target=self._write, name=f"{pbx}/capture", daemon=True)
        self._thread.start()

    @property
    def totals(self) -> CaptureTotals:
        """What is recorded so far."""
        return CaptureTotals(
            messages=self._pages.messages,
            file_bytes=self._file.written,
            seconds=time.monotonic() - self._begun,
        )

    def received(self, data: bytes) -> None:
        """Take the next bytes of the PBX; never waits."""
        self._offer(_Piece(time.monotonic() - self._begun, self._clock.now(), data, received=True))

    def sent(self, data: bytes) -> None:
        """Take a message of ours; only its name, its id and a fence's token are kept."""
        self._offer(_Piece(time.monotonic() - self._begun, self._clock.now(), data, received=False))

    def _offer(self, piece: "_Piece") -> None:
        if self._over:
            return
        with self._lock:
            self._waiting += len(piece.data)
            waiting = self._waiting
        if waiting > self._most_waiting:
            self._over = True
            self._queue.put(f"the disk does not keep up: {waiting} bytes waited to be written")
        else:
            self._queue.put(piece)

    def close(self, reason: str) -> str:
        """Write what waits and the end, which bears the reason it ended for; blocks, idempotent.

        Returns that reason: an earlier one, if it had ended already.

        Raises:
            CaptureError: the end cannot be written.
        """
        self._over = True
        self._queue.put(reason)
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._ended

    def _write(self) -> None:
        """Run in the thread: until a reason to end comes, or the file cannot be written."""
        flushed = time.monotonic()
        try:
            while not self._ended:
                wait = flushed + FLUSH_S - time.monotonic()
                try:
                    item = self._queue.get(timeout=max(wait, 0.0))
                except queue.Empty:
                    item = None
                if isinstance(item, str):
                    self._ended = item
                    self._file.add(self._end(item))
                elif item is not None:
                    with self._lock:
                        self._waiting -= len(item.data)
                    for record in self._pages.records(item):
                        self._file.add(record)
                full = self._file.waiting >= FLUSH_BYTES
                if full or self._ended or time.monotonic() - flushed >= FLUSH_S:
                    self._file.flush()
                    flushed = time.monotonic()
        except CaptureError as error:
            self._failure = error
            self._ended = str(error)
        self._over = True
        try:
            self._file.close()
        except CaptureError as error:
            self._failure = self._failure or error
        self._on_end(self._ended)

    def _end(self, reason: str) -> Record:
        return Record(t=round(time.monotonic() - self._begun, 6), at=self._clock.now(), end=reason)


class _Piece:
    """Some bytes, and when they went over the wire."""

    __slots__ = ("at", "data", "received", "t")

    def __init__(self, t: float, at: float, data: bytes, *, received: bool) -> None:
        self.t = round(t, 6)
        self.at = round(at, 6)
        self.data = data
        self.received = received


class _Pages:
    """Pieces into records: without the login, and scrubbed when there is a scrubber."""

    def __init__(self, scrubber: Scrubber | None) -> None:
        self.messages = 0
        self._scrubber = scrubber
        self._blocks = Blocks()
        self._secret: set[str] = set()

    def records(self, piece: _Piece) -> list[Record]:
        """Make the records of a piece."""
        return self._received(piece) if piece.received else self._sent(piece)

    def _received(self, piece: _Piece) -> list[Record]:
        found = []
        for block in self._blocks.feed(piece.data):
            if block[:9].lower() == b"response:" and _value(block, b"ActionID") in self._secret:
                continue
            self.messages += 1
            shown = block if self._scrubber is None else self._scrubber.block(block)
            found.append(message_record(piece.t, piece.at, shown))
        return found

    def _sent(self, piece: _Piece) -> list[Record]:
        name, ident = _value(piece.data, b"Action"), _value(piece.data, b"ActionID")
        if name in _NEVER:
            self._secret.add(ident)
            return []
        fence = ""
        if name == "Setvar" and _value(piece.data, b"Variable") == FENCE_VARIABLE:
            fence = _value(piece.data, b"Value")
        return [Record(t=piece.t, at=piece.at, sent=name, id=ident, fence=fence)]


def _value(block: bytes, key: bytes) -> str:
    _, found, rest = (b"\n" + block).partition(b"\n" + key + b": ")
    return rest.partition(b"\n")[0].removesuffix(b"\r").decode("utf-8", "replace") if found else ""


class Recording:
    """A capture that goes on; see `ctid.ports.Recording`."""

    def __init__(self, pbx: PbxId, order: CaptureOrder, clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._ended: asyncio.Future[str] = self._loop.create_future()
        self._tasks = TaskOwner(self._failed)
        self._connection: Tapped | None = None
        self._order = order
        self.recorder = Recorder(pbx, order, clock, self._told)

    @property
    def totals(self) -> CaptureTotals:
        """What is recorded so far."""
        return self.recorder.totals

    def follow(self, connection: Tapped) -> None:
        """Keep a connection read that the tap is on, and have snapshots taken as the daemon does."""
        self._connection = connection
        self._tasks.spawn("capture/facts", self._drain(connection))
        if self._order.reconcile_s:
            self._tasks.spawn("capture/reconcile", self._reconcile(connection, self._order.reconcile_s))

    async def ended(self) -> str:
        """Wait until it ends by itself; returns why."""
        return await asyncio.shield(self._ended)

    async def snapshot(self) -> None:
        """Have a snapshot taken now; see `ctid.ports.Recording`."""
        if self._connection is None:
            raise LinkError("not connected yet")
        await self._connection.resync(SnapshotReason.REQUEST)

    async def close(self, reason: str) -> str:
        """End it; see `ctid.ports.Recording`."""
        await self._tasks.close()
        if self._connection is not None:
            await self._connection.close()
        return await asyncio.to_thread(self.recorder.close, reason)

    async def _drain(self, connection: Tapped) -> None:
        try:
            async for _ in connection.facts():
                pass  # the tap has kept what they were made of; they are read for the link's own end
        except LinkError as error:
            self._end(f"the link was lost: {error}")

    async def _reconcile(self, connection: Tapped, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            try:
                await connection.resync(SnapshotReason.TIMER)
            except LinkError:
                return  # the facts end with the reason
            except CtidError as error:
                log.warning("no snapshot", reason=error.detail)

    def _told(self, reason: str) -> None:
        self._loop.call_soon_threadsafe(self._end, reason)

    def _end(self, reason: str) -> None:
        if not self._ended.done():
            self._ended.set_result(reason)

    def _failed(self, error: BaseException) -> None:
        if not self._ended.done():
            self._ended.set_exception(error)
            self._ended.exception()  # nobody waits for it when it is being closed


Opened = Callable[[Tap], Coroutine[Any, Any, Tapped]]


async def record(pbx: PbxId, order: CaptureOrder, clock: Clock, opened: Opened) -> Recording:
    """Begin a capture on the connection that `opened` makes, with the tap on it; see `ctid.ports`."""
    recording = Recording(pbx, order, clock)
    try:
        recording.follow(await opened(recording.recorder))
    except BaseException:
        await recording.close("the link could not be made")
        order.path.unlink(missing_ok=True)
        raise
    return recording
