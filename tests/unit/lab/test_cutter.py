import socket
import threading
from collections.abc import Iterator

import pytest

from lab.cutter import Cutter
from lab.processes import wait_until

SECONDS = 5.0


class Echo:
    """A server on loopback that sends back what it gets, and ends a connection when its client does."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self.broken: list[OSError] = []
        self._accepting = threading.Thread(target=self._accept)
        self._accepting.start()

    def _accept(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            if self._listener.gettimeout() == 0:
                connection.close()
                return
            thread = threading.Thread(target=self._serve, args=(connection,))
            thread.start()
            self._threads.append(thread)

    def _serve(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65_536):
                    connection.sendall(data)
            except OSError as error:
                self.broken.append(error)

    def close(self) -> None:
        """End the server; its clients have gone."""
        self._listener.settimeout(0)
        socket.create_connection(("127.0.0.1", self.port)).close()
        self._accepting.join(SECONDS)
        for thread in self._threads:
            thread.join(SECONDS)
            assert not thread.is_alive()
        self._listener.close()


@pytest.fixture
def echo() -> Iterator[Echo]:
    """An echoing server."""
    server = Echo()
    yield server
    server.close()


@pytest.fixture
def cutter(echo: Echo) -> Iterator[Cutter]:
    """A relay to it."""
    with Cutter(echo.port) as relay:
        yield relay


def connected(relay: Cutter) -> socket.socket:
    """A client of the relay."""
    client = socket.create_connection(("127.0.0.1", relay.port), timeout=SECONDS)
    client.settimeout(SECONDS)
    return client


def received(client: socket.socket, length: int) -> bytes:
    """So many bytes."""
    got = b""
    while len(got) < length:
        data = client.recv(65_536)
        assert data, "the connection ended"
        got += data
    return got


def test_everything_is_passed_on_in_order(cutter: Cutter) -> None:
    """Two megabytes go through both ways whole, and the end of one side's words reaches the other."""
    said = bytes(range(256)) * 8192
    with connected(cutter) as client:
        sending = threading.Thread(target=client.sendall, args=(said,))
        sending.start()
        assert received(client, len(said)) == said
        sending.join(SECONDS)
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
    assert wait_until(lambda: cutter.connections == 0, SECONDS)
    assert cutter.passed == 2 * len(said)


@pytest.mark.parametrize("reset", [True, False])
def test_a_cut_breaks_both_sides_and_refuses_until_restored(
    echo: Echo, cutter: Cutter, *, reset: bool
) -> None:
    """RST is an error to both sides, FIN an end; nobody gets in till `restore`, on the same port."""
    with connected(cutter) as client:
        client.sendall(b"one")
        assert received(client, 3) == b"one"
        cutter.cut(reset=reset)
        if reset:
            with pytest.raises(ConnectionResetError):
                client.recv(1)
            assert wait_until(lambda: len(echo.broken) == 1, SECONDS)
        else:
            assert client.recv(1) == b""
    with pytest.raises(ConnectionRefusedError):
        connected(cutter)
    cutter.restore()
    with connected(cutter) as again:
        again.sendall(b"two")
        assert received(again, 3) == b"two"


def test_a_cut_that_does_not_refuse(cutter: Cutter) -> None:
    """A flap: the connection is gone, and the next one works at once."""
    with connected(cutter) as client:
        client.sendall(b"one")
        assert received(client, 3) == b"one"
        cutter.cut(refuse=False)
        with connected(cutter) as again:
            again.sendall(b"two")
            assert received(again, 3) == b"two"


def test_a_stall_is_silent_and_loses_nothing(cutter: Cutter) -> None:
    """While stalled nothing comes and no error either; restored, all that was sent arrives, in order."""
    with connected(cutter) as client:
        client.sendall(b"one")
        assert received(client, 3) == b"one"
        cutter.stall()
        client.sendall(b"two")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        with connected(cutter) as late:
            late.sendall(b"late")
            assert wait_until(lambda: cutter.connections == 2, SECONDS)
            client.settimeout(SECONDS)
            client.sendall(b"three")
            cutter.restore()
            assert received(client, 8) == b"twothree"
            assert received(late, 4) == b"late"


def test_where_nobody_listens_the_client_is_reset() -> None:
    """A target that is not there ends the client's connection, and the relay goes on."""
    with socket.create_server(("127.0.0.1", 0)) as placeholder:
        port = placeholder.getsockname()[1]
    with Cutter(port) as relay:
        for _ in range(2):
            # The kernel may tell of the reset at the connecting already.
            with pytest.raises(ConnectionResetError), connected(relay) as client:
                client.recv(1)


def test_the_port_is_known_before_it_runs() -> None:
    """A relay has its port from the start, and its target may come later."""
    relay = Cutter()
    assert relay.port
    assert relay.target == 0
    with relay:
        assert relay.connections == 0
