"""The notification protocol of systemd (sd_notify(3)): one datagram to the socket in `$NOTIFY_SOCKET`."""

import os
import socket
from collections.abc import Mapping

import structlog

log = structlog.get_logger(__name__)


class Notifier:
    """Tells the service manager how the daemon stands; without one it says nothing, and does no harm."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        environ = os.environ if environ is None else environ
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._told_failure = False
        self.watchdog_s = _watchdog_s(environ)
        """Seconds within which the manager wants a sign of life; none when it watches nobody here."""

    def send(self, **fields: str) -> None:
        """Send fields such as `READY="1"` or `STATUS="…"` in one datagram; never waits.

        A manager that cannot be reached is logged once: that is no reason to end the daemon, and if it
        minds, its watchdog will.
        """
        if not self._address:
            return
        lines = [f"{name}={value.replace(chr(10), ' ')}" for name, value in fields.items()]
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.setblocking(False)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._told_failure:
                log.warning("service manager not reached", reason=error.strerror)
                self._told_failure = True


def _watchdog_s(environ: Mapping[str, str]) -> float | None:
    """`$WATCHDOG_USEC`, unless `$WATCHDOG_PID` means another process (sd_watchdog_enabled(3))."""
    text = environ.get("WATCHDOG_USEC", "")
    if (
        not text.isdigit()
        or int(text) == 0
        or environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid())
    ):
        return None
    return int(text) / 1e6
