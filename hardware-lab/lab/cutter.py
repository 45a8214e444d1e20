"""A TCP relay on loopback that a test can cut, stall and restore, as a network would."""

import selectors
import socket
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from lab.errors import LabError

CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER (socket(7)) with no time to linger: closing sends RST, and what was not sent is lost."""
PATIENCE = 5.0


class Pipe:
    """One direction of a connection: what came from `source` and `sink` has not taken yet."""

    def __init__(self, source: socket.socket, sink: socket.socket) -> None:
        self.source = source
        self.sink = sink
        self.waiting = b""
        self.is_over = False
        """Whether the source has said its last word."""
        self.is_shut = False
        """Whether the sink was told so."""


class Connection:
    """A client's connection and the one to the target that it is joined with."""

    def __init__(self, client: socket.socket, target: socket.socket) -> None:
        self.sockets = (client, target)
        self.pipes = (Pipe(client, target), Pipe(target, client))

    def close(self, *, reset: bool = False) -> None:
        """Close both ends; `reset`: with RST instead of FIN."""
        for end in self.sockets:
            if reset:
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            end.close()


class Cutter:
    """Relays TCP from 127.0.0.1:`port` to 127.0.0.1:`target`; a context manager with a thread of its own.

    Its port is chosen at once, so that a configuration can name it before anything runs. While it relays
    nothing is lost, doubled or put in another order, and one side's end of writing is passed on. `told` is
    called, in that thread, with each piece that was passed on to a client.
    """

    def __init__(self, target: int = 0, told: Callable[[bytes], None] | None = None) -> None:
        self.target = target
        self._told = told
        self._listener: socket.socket | None = self._listen(0)
        self.port: int = self._listener.getsockname()[1]
        self._connections: list[Connection] = []
        self._is_stalled = False
        self._stop_after = b""
        self.stopped = threading.Event()
        """Set once what `stop_after` waits for has passed."""
        self._is_closing = False
        self._passed = 0
        self._lock = threading.Lock()
        self._wake_here, self._wake_there = socket.socketpair()
        self._wake_there.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="cutter", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_closing = True
        self._wake()
        self._thread.join(PATIENCE)
        with self._lock:
            self._drop(reset=True, refuse=True)
        self._wake_here.close()
        self._wake_there.close()
        if self._thread.is_alive():
            raise LabError("the relay did not end")

    @property
    def connections(self) -> int:
        """How many connections it relays, stalled ones included."""
        with self._lock:
            return len(self._connections)

    @property
    def passed(self) -> int:
        """How many bytes it has passed on, both ways together."""
        with self._lock:
            return self._passed

    def cut(self, *, reset: bool = True, refuse: bool = True) -> None:
        """Break every connection: with RST, or in order (FIN) where `reset` is false.

        `refuse`: nobody can connect until `restore`; else a new connection is relayed at once.
        """
        with self._lock:
            self._drop(reset=reset, refuse=refuse)
        self._wake()

    def stall(self) -> None:
        """Pass nothing on until `restore`, and take nothing: both sides' buffers fill up, no error comes.

        New connections are accepted, and stall as well.
        """
        with self._lock:
            self._is_stalled = True
        self._wake()

    def stop_after(self, words: bytes) -> None:
        """Pass on the next piece that a client sends with these words in it, and stall then, at once.

        A program that is to be killed between two of its steps is where it is to be then.
        """
        with self._lock:
            self.stopped.clear()
            self._stop_after = words

    def restore(self) -> None:
        """Relay as before: what was stalled goes on whole; after `cut`, new connections are taken."""
        with self._lock:
            self._is_stalled = False
            self._stop_after = b""
            if self._listener is None:
                self._listener = self._listen(self.port)
        self._wake()

    @staticmethod
    def _listen(port: int) -> socket.socket:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        listener.setblocking(False)
        return listener

    def _wake(self) -> None:
        self._wake_here.send(b".")

    def _drop(self, *, reset: bool, refuse: bool) -> None:
        if refuse and self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in self._connections:
            connection.close(reset=reset)
        self._connections.clear()

    def _run(self) -> None:
        while not self._is_closing:
            # A fresh selector each time: sockets come and go by other threads' doing.
            with selectors.DefaultSelector() as selector:
                with self._lock:
                    self._register(selector)
                ready = {key.fd for key, _ in selector.select()}
                with self._lock:
                    self._serve(ready)

    def _register(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._wake_there, selectors.EVENT_READ)
        if self._listener is not None:
            selector.register(self._listener, selectors.EVENT_READ)
        if self._is_stalled:
            return
        for connection in self._connections:
            wanted = dict.fromkeys(connection.sockets, 0)
            for pipe in connection.pipes:
                if pipe.waiting:
                    wanted[pipe.sink] |= selectors.EVENT_WRITE
                elif not pipe.is_over:
                    wanted[pipe.source] |= selectors.EVENT_READ
            for end, events in wanted.items():
                if events:
                    selector.register(end, events)

    def _serve(self, ready: set[int]) -> None:
        """Do what is to be done; a socket that another thread closed meanwhile is in no list any more."""
        if self._wake_there.fileno() in ready:
            self._wake_there.recv(CHUNK)
        if self._listener is not None and self._listener.fileno() in ready:
            self._accept(self._listener)
        if self._is_stalled:
            return
        for connection in list(self._connections):
            if not {end.fileno() for end in connection.sockets} & ready:
                continue
            try:
                for pipe in connection.pipes:
                    self._pump(pipe, from_client=pipe is connection.pipes[0])
                    if self._is_stalled:
                        return
            except OSError:
                # One side broke it off: so does the other.
                connection.close(reset=True)
                self._connections.remove(connection)
                continue
            if all(pipe.is_shut for pipe in connection.pipes):
                connection.close()
                self._connections.remove(connection)

    def _accept(self, listener: socket.socket) -> None:
        try:
            client, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return  # who wanted in has gone again
        target = socket.socket()
        try:
            target.connect(("127.0.0.1", self.target))
        except ConnectionRefusedError:
            # As where there is nobody behind a router: the client learns it by its connection's end.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            client.close()
            target.close()
            return
        for end in (client, target):
            end.setblocking(False)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as both programs' own sockets
        self._connections.append(Connection(client, target))

    def _pump(self, pipe: Pipe, *, from_client: bool) -> None:
        try:
            if not pipe.waiting and not pipe.is_over:
                pipe.waiting = pipe.source.recv(CHUNK)
                pipe.is_over = not pipe.waiting
            if pipe.waiting:
                sent = pipe.sink.send(pipe.waiting)
                self._passed += sent
                words = self._stop_after
                if words and from_client and words in pipe.waiting[:sent]:
                    self._stop_after = b""
                    self._is_stalled = True
                    self.stopped.set()
                if self._told is not None and not from_client:
                    self._told(pipe.waiting[:sent])
                pipe.waiting = pipe.waiting[sent:]
        except BlockingIOError:
            return
        if pipe.is_over and not pipe.is_shut:
            pipe.is_shut = True
            pipe.sink.shutdown(socket.SHUT_WR)
