"""500 clients of the event stream at 20 changes a second: what each is told, how late, and at what cost.

A change is a pause by AMI. The delay runs from the AMI event's line at a bare connection beside ctid to the
message at each client. The clients are sockets of this one process, which reads no more of a message than it
needs; what they cost is not ctid's, but it is on the same cores.
"""

import asyncio
import re
import time
from pathlib import Path

from bench.ami import Tap
from bench.figures import Report, Row
from lab import daemon
from lab.rig import Rig

CLIENTS = 500
ROUNDS = 400
"""Pauses, each with a reason of its own, so that each is a change."""
EVERY_S = 0.05
PATIENCE_S = 30.0
AGENTS = ("1001", "1002", "1003", "1004")
_NUMBERED = re.compile(rb'"kind":"agent".*?"reason":"round-(\d+)"', re.DOTALL)
_PAUSED = re.compile(rb"Event: QueueMemberPause\r\n(?:[^\r\n]+\r\n)*?PausedReason: round-(\d+)\r\n")
_TEXT, _PING = 0x81, 0x89
_TICKS_S = 100
"""Clock ticks a second in /proc (USER_HZ, on every Linux of today)."""


class Client(asyncio.Protocol):
    """A client of the events (RFC 6455): it notes when it is told of each round."""

    def __init__(self, token: str, ready: asyncio.Semaphore) -> None:
        self._token = token
        self._ready = ready
        self._buffer = b""
        self._shaken = False
        self.told: dict[int, float] = {}
        self.changes = 0
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Shake hands."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(
            b"GET /api/v1/events?kind=agent,queue HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            b"Authorization: Bearer " + self._token.encode() + b"\r\n\r\n"
        )

    def connection_lost(self, _error: Exception | None) -> None:
        """Note it."""
        self.closed = True

    def data_received(self, data: bytes) -> None:
        """Take the frames that are whole; a server's are not masked."""
        now = time.perf_counter()
        self._buffer += data
        if not self._shaken:
            head, end, self._buffer = self._buffer.partition(b"\r\n\r\n")
            if not end:
                self._buffer = head
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._shaken = True
        start = 0
        while (frame := _frame(self._buffer, start)) is not None:
            kind, payload, start = frame
            if kind == _TEXT:
                self._take(payload, now)
            elif kind == _PING:
                self.transport.write(bytes((0x8A, 0x80, 0, 0, 0, 0)))
        self._buffer = self._buffer[start:]

    def _take(self, payload: bytes, now: float) -> None:
        if payload.startswith(b'{"type":"snapshot"'):
            self._ready.release()
        elif payload.startswith(b'{"type":"change"'):
            self.changes += 1
            if found := _NUMBERED.search(payload):
                self.told[int(found[1])] = now


def _frame(data: bytes, start: int) -> tuple[int, bytes, int] | None:
    """The frame that begins at a place: its first byte, its payload, and where it ends; none if not whole."""
    if len(data) < start + 2:
        return None
    length, head = data[start + 1], start + 2
    if length >= 126:
        size = 2 if length == 126 else 8
        length = int.from_bytes(data[head : head + size])
        head += size
    if len(data) < head + length:
        return None
    return data[start], data[head : head + length], head + length


class Stamped(Tap):
    """A bare AMI connection that notes when each round's event arrives."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.at: dict[int, float] = {}

    async def _read(self, reader: asyncio.StreamReader) -> None:
        unread = 0
        while data := await reader.read(65536):
            now = time.perf_counter()
            self._wire += data
            self._more.set()
            for found in _PAUSED.finditer(self._wire, unread):
                self.at.setdefault(int(found[1]), now)
                unread = found.end()


def cpu_s(pid: int) -> float:
    """The CPU time that a process has had, in seconds (proc_pid_stat(5))."""
    text = Path(f"/proc/{pid}/stat").read_text()
    fields = text[text.rindex(")") + 2 :].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_S


async def _measure(rig: Rig) -> Report:
    about = f"{CLIENTS} WebSockets, {1 / EVERY_S:g} changes a second"
    report = Report(name="sockets", about=about)
    token, ready = daemon.tokens_of(rig)["supervisor"], asyncio.Semaphore(0)
    loop = asyncio.get_running_loop()
    pid = rig.identity("ctid").pid
    async with Stamped(rig.ports.ami) as tap:
        clients = []
        for _ in range(CLIENTS):
            made = await loop.create_connection(lambda: Client(token, ready), "127.0.0.1", rig.ports.http)
            clients.append(made[1])
        async with asyncio.timeout(PATIENCE_S):
            for _ in range(CLIENTS):
                await ready.acquire()
        began, used, ours = time.perf_counter(), cpu_s(pid), time.process_time()
        for number in range(ROUNDS):
            agent = AGENTS[number % len(AGENTS)]
            tap.send(
                Action="QueuePause",
                Interface=f"PJSIP/{agent}",
                Queue="support",
                Paused="true",
                Reason=f"round-{number}",
            )
            await asyncio.sleep(EVERY_S - (time.perf_counter() - began) % EVERY_S)
        async with asyncio.timeout(PATIENCE_S):
            while not all(len(client.told) == ROUNDS for client in clients):  # noqa: ASYNC110 - they tell nobody
                await asyncio.sleep(0.05)
        took, used = time.perf_counter() - began, cpu_s(pid) - used
        ours = time.process_time() - ours
    lost = sum(ROUNDS - len(client.told) for client in clients) + sum(client.closed for client in clients)
    delays = tuple(
        (client.told[number] - tap.at[number]) * 1000 for client in clients for number in range(ROUNDS)
    )
    changes = sum(client.changes for client in clients)
    row = Row("from the AMI line to the message at a client", "ms", delays)
    report.rows.append(row)
    last = tuple(
        (max(client.told[number] for client in clients) - tap.at[number]) * 1000 for number in range(ROUNDS)
    )
    report.rows.append(Row("to the last of the clients", "ms", last))
    report.notes += [
        f"99 % of the messages within {row.quantile(0.99):.1f} ms",
        f"{changes:,} messages, {changes / took:,.0f} a second; lost, and connections closed: {lost}",
        f"CPU: ctid {used / took:.0%} of a core, {used / changes * 1e6:.0f} µs a message",
        f"CPU of the clients: {ours / took:.0%} of a core",
    ]
    for client in clients:
        client.transport.abort()
    return report


def run() -> Report:
    """Measure; some 30 s."""
    with Rig.for_tests(services=(daemon.maker(),)) as rig:
        return asyncio.run(_measure(rig))
