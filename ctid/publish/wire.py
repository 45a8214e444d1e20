"""What a client says and hears on one MQTT connection: numbers, what is owed, and when to ping. Pure.

Times are seconds of one clock, which the caller reads.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from msgspec import Struct

from ctid.publish import packets
from ctid.publish.packets import (
    Ack,
    Connack,
    Connect,
    Disconnect,
    Granted,
    Malformed,
    Oversize,
    Pong,
    Publish,
)
from ctid.publish.reading import Reader

_HIGHEST = 0xFFFF
"""Of the numbers that packets have (MQTT 5.0, 2.2.1)."""


class Overdue(Exception):
    """The broker owes an answer for too long; the message says which."""


class TooLong(Exception):
    """A publication is longer than what the broker takes; the message says how long both are."""


class _Owed(NamedTuple):
    """What an answer is owed to; `codes`: as many as it has to have, 0 for a publication's."""

    token: Any
    since: float
    codes: int = 0


_END = -1
"""Of the `codes` of an answer to the end of filters: any."""


class Settled(Struct, frozen=True, gc=False):
    """The broker answered what `token` stands for: by one code, or by one for each filter.

    Codes from 0x80 on are refusals (2.4).
    """

    token: Any
    codes: tuple[int, ...]
    reason: str = ""


Heard = Connack | Publish | Settled | Disconnect | Oversize


class Wire:
    """One connection. At most `window` publications are on their way, or as many as the broker takes.

    `answer_s` is how long the broker may owe an answer. Nothing but `connect` may be said before it is
    `welcome`.
    """

    def __init__(self, told: Connect, *, window: int, answer_s: float) -> None:
        self.version = told.version
        self.room = 0
        """How many publications may be sent now."""
        self._told = told
        self._reader = Reader(told.version)
        self._window = window
        self._answer_s = answer_s
        self._keep_alive_s = float(told.keep_alive_s)
        self._longest: int | None = None
        self._owed: dict[int, _Owed] = {}
        self._number = 0
        self._is_welcome = False
        self._said_at = 0.0
        self._pinged_at: float | None = None
        self._answers = bytearray()

    def connect(self, now: float) -> bytes:
        """The first thing to be said. Raises ValueError for what MQTT cannot carry, such as a long name."""
        self._said_at = now
        return packets.connect(self._told)

    def publish(self, message: Publish, token: Any, now: float) -> bytes:
        """A publication at QoS 1, of which `Settled` tells by the token; there must be `room`.

        Raises:
            TooLong: the broker would hang up on it; nothing is owed.
            ValueError: MQTT cannot carry it.
        """
        number = self._next()
        data = packets.publish(message, self.version, number)
        if self._longest is not None and len(data) > self._longest:
            raise TooLong(f"{len(data)} bytes, and the broker takes {self._longest}")
        self.room -= 1
        return self._owe(number, _Owed(token, now), data)

    def subscribe(
        self,
        filters: Iterable[tuple[str, int]],
        token: Any,
        now: float,
        *,
        no_local: bool = False,
        as_published: bool = False,
    ) -> bytes:
        """Ask for filters, each up to its QoS, and one at least.

        `no_local`: not for what this client publishes; `as_published`: with the retain flag that it was
        published with. As far as MQTT 5 goes.
        """
        number, filters = self._next(), tuple(filters)
        data = packets.subscribe(number, filters, self.version, no_local=no_local, as_published=as_published)
        return self._owe(number, _Owed(token, now, len(filters)), data)

    def unsubscribe(self, filters: Iterable[str], token: Any, now: float) -> bytes:
        """Ask for filters no more."""
        number = self._next()
        return self._owe(number, _Owed(token, now, _END), packets.unsubscribe(number, filters, self.version))

    def receive(self, data: bytes) -> list[Heard]:
        """Take in what came; `answers` may have something to say after it.

        Raises:
            Malformed: it is not MQTT, or answers what was not asked; the connection is of no more use.
        """
        heard: list[Heard] = []
        for packet in self._reader.feed(data):
            if not self._is_welcome and not isinstance(packet, Connack | Disconnect):
                raise Malformed("the broker does not begin with CONNACK")
            match packet:
                case Ack():
                    heard.append(Settled(self._settle(packet.packet, 0), (packet.code,), packet.reason))
                    self.room += 1
                case Publish() | Oversize():
                    if packet.packet:
                        self._answers += packets.puback(packet.packet)
                    heard.append(packet)
                case Granted():
                    expected = _END if packet.is_end else len(packet.codes)
                    heard.append(Settled(self._settle(packet.packet, expected), packet.codes))
                case Pong():
                    self._pinged_at = None
                case Connack():
                    self._welcome(packet)
                    heard.append(packet)
                case _:
                    heard.append(packet)
        return heard

    def answers(self) -> bytes:
        """What is to be said to what came; empty when there is nothing."""
        said = bytes(self._answers)
        self._answers.clear()
        return said

    def on_time(self, now: float) -> bytes:
        """A ping if one is due, else nothing. Call it a few times in `answer_s`.

        Raises:
            Overdue: the broker is to be taken for dead.
        """
        since = next(iter(self._owed.values())).since if self._owed else now
        if now - since > self._answer_s:
            raise Overdue(f"the broker acknowledges nothing for {self._answer_s:g} s")
        if self._pinged_at is not None:
            if now - self._pinged_at > self._answer_s:
                raise Overdue(f"the broker answers no ping for {self._answer_s:g} s")
        elif self._keep_alive_s and now - self._said_at >= self._keep_alive_s / 2:
            self._said_at = self._pinged_at = now
            return packets.PING
        return b""

    def unsettled(self) -> list[Any]:
        """The tokens of what the broker has not answered, in their order."""
        return [owed.token for owed in self._owed.values()]

    def _welcome(self, packet: Connack) -> None:
        if self._is_welcome or not packet.receive_maximum:
            raise Malformed("a second CONNACK, or one that lets nothing be sent")
        self._is_welcome = True
        if packet.code == 0:
            self.room = min(self._window, packet.receive_maximum)
            self._longest = packet.longest
        if packet.keep_alive_s is not None:
            self._keep_alive_s = packet.keep_alive_s

    def _next(self) -> int:
        while True:
            self._number = self._number % _HIGHEST + 1
            if self._number not in self._owed:
                return self._number

    def _owe(self, number: int, owed: _Owed, data: bytes) -> bytes:
        self._owed[number] = owed
        self._said_at = owed.since
        return data

    def _settle(self, number: int, codes: int) -> Any:
        owed = self._owed.pop(number, None)
        if owed is None or owed.codes != codes:
            raise Malformed(f"an answer to packet {number}, which did not ask for that")
        return owed.token
