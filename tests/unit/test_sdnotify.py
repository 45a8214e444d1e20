import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from ctid.sdnotify import Notifier


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """A service manager's socket."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(tmp_path / "notify"))
        sock.settimeout(5)
        yield sock


def test_datagram(manager: socket.socket) -> None:
    """The fields of one call arrive in one datagram, a line each, and no value can begin another line."""
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    notifier.send(READY="1", STATUS="all\nREADY=0")
    assert manager.recv(1000) == b"READY=1\nSTATUS=all READY=0"


def test_abstract_socket() -> None:
    """A socket in the abstract namespace, written with @, is reached as well."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0ctid-test-{os.getpid()}")
        sock.settimeout(5)
        Notifier({"NOTIFY_SOCKET": f"@ctid-test-{os.getpid()}"}).send(WATCHDOG="1")
        assert sock.recv(1000) == b"WATCHDOG=1"


def test_no_manager() -> None:
    """Without a manager nothing is sent; one that is gone is logged once, and ends nothing."""
    with capture_logs() as logs:
        Notifier({}).send(READY="1")
        assert logs == []
        gone = Notifier({"NOTIFY_SOCKET": "/nowhere/notify"})
        gone.send(READY="1")
        gone.send(READY="1")
    assert [entry["event"] for entry in logs] == ["service manager not reached"]


@pytest.mark.parametrize(
    ("environ", "period"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "1500000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_period(environ: dict[str, str], period: float | None) -> None:
    """The period is the manager's, in seconds, unless it watches another process or nobody."""
    assert Notifier(environ).watchdog_s == period
