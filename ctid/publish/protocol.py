"""Which version of MQTT the next connection speaks."""

from typing import Literal

Version = Literal["5", "3.1.1"]

CLOSED_UNANSWERED = 2
"""Times that a broker hangs up without a word before the other version is tried."""


class ProtocolChoice:
    """MQTT 5 first, 3.1.1 where the broker will not have it; or the one that is configured.

    A broker of 3.1.1 answers MQTT 5 by a refusal (MQTT 3.1.1, 3.2.2.3), or just hangs up.
    """

    def __init__(self, configured: Literal["auto", "5", "3.1.1"]) -> None:
        self.version: Version = "3.1.1" if configured == "3.1.1" else "5"
        self._is_free = configured == "auto"
        self._closed = 0

    def connected(self) -> None:
        """The broker accepted it."""
        self._closed = 0

    def refused(self) -> bool:
        """The broker refused this version; true when there is another one to try at once."""
        if not self._is_free or self.version == "3.1.1":
            return False
        self.version = "3.1.1"
        return True

    def failed(self, *, closed_unanswered: bool) -> None:
        """The connection failed in another way: by the broker hanging up on CONNECT, or not."""
        self._closed = self._closed + 1 if closed_unanswered else 0
        if self._is_free and self._closed >= CLOSED_UNANSWERED:
            self._closed = 0
            self.version = "3.1.1" if self.version == "5" else "5"
