"""A connection to an MQTT broker: the socket and the timers about a `Wire`."""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import Any, TypeVar, cast

from ctid.publish import reasons
from ctid.publish.packets import GOODBYE, Connack, Connect, Disconnect, Malformed, Publish
from ctid.publish.protocol import Version
from ctid.publish.wire import Overdue, Settled, Wire

_Answer = TypeVar("_Answer")

CONNECT_S = 5.0
"""For the TCP connection, and again for the broker's answer."""
ANSWER_S = 10.0
"""A broker that owes an answer for longer is taken for dead."""
WINDOW = 100
"""Publications on their way at a time, where the broker takes as many.

More are hardly faster, and what is new waits behind all of them: after an outage documents behind events.
"""
LOOKS = 4
"""How often it is looked at what the broker owes, in the time that it has."""
CLOSE_S = 1.0
"""For the last bytes of an orderly end."""


class BrokerLost(Exception):
    """There is no connection, or no more; the message says why, and names the cure where there is one.

    `reached` is false where nobody listens there. `unanswered`: the broker hung up on CONNECT without a word.
    `version_refused`: it does not speak this version of MQTT.
    """

    def __init__(
        self, reason: str, *, reached: bool = True, unanswered: bool = False, version_refused: bool = False
    ) -> None:
        super().__init__(reason)
        self.reached = reached
        self.unanswered = unanswered
        self.version_refused = version_refused


class Connection(asyncio.Protocol):
    """One connection: `open` it, and it is there until `lost` has the reason why it is no more.

    `heard` is called with each publication that comes. `settled` is called once for each that was sent:
    with its token, the broker's code (a refusal from 0x80 on) and its words. `moved` is called when there
    may be `room` again. What one of them raises ends the connection, and is raised by `lost`.
    """

    def __init__(
        self,
        told: Connect,
        *,
        heard: Callable[[Publish], None],
        settled: Callable[[Any, int, str], None],
        moved: Callable[[], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._wire = Wire(told, window=WINDOW, answer_s=ANSWER_S)
        self._heard = heard
        self._settled = settled
        self._moved = moved
        self._transport: asyncio.Transport | None = None
        self._said: list[bytes] = []
        self._is_full = False
        self._is_tls = False
        self._timer: asyncio.TimerHandle | None = None
        self._welcome: asyncio.Future[Connack] = self._loop.create_future()
        self._waiting: list[asyncio.Future[None]] = []
        self.lost: asyncio.Future[str] = self._loop.create_future()
        self._closed = asyncio.Event()

    @property
    def version(self) -> Version:
        """The version of MQTT that is spoken."""
        return self._wire.version

    @property
    def room(self) -> int:
        """How many publications may be sent now."""
        return 0 if self._is_full else self._wire.room

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None) -> None:
        """Connect, and be welcome.

        Raises:
            BrokerLost: it cannot be reached, or refuses.
        """
        self._is_tls = tls is not None
        try:
            hello = self._wire.connect(self._loop.time())
            async with asyncio.timeout(CONNECT_S):
                await self._loop.create_connection(lambda: self, host, port, ssl=tls)
        except TimeoutError as error:
            raise BrokerLost(f"no connection within {CONNECT_S:g} s", reached=False) from error
        except OSError as error:  # before ValueError, as a refused certificate is both
            raise BrokerLost(reasons.of_failure(error), reached=isinstance(error, ssl.SSLError)) from error
        except ValueError as error:
            raise BrokerLost(f"MQTT cannot carry a name, the password or the will: {error}") from error
        self._write(hello)
        try:
            async with asyncio.timeout(CONNECT_S):
                answer = await self._either(self._welcome)
        except TimeoutError as error:
            raise BrokerLost(f"no answer to CONNECT within {CONNECT_S:g} s") from error
        except BrokerLost as error:
            raise BrokerLost(str(error), unanswered=True) from error
        if answer.code:
            raise BrokerLost(
                reasons.of_refusal(answer.code, answer.reason),
                version_refused=reasons.is_version(answer.code),
            )
        if not answer.retains or not answer.maximum_qos:
            raise BrokerLost("the broker retains nothing, or knows no QoS 1: ctid needs one that does")
        self._look()

    def publish(self, message: Publish, token: Any) -> None:
        """Send a publication at QoS 1 with the next `flush`; there must be `room`.

        Raises:
            TooLong: the broker would hang up on it; it is not sent.
            ValueError: MQTT cannot carry it; the same.
        """
        self._said.append(self._wire.publish(message, token, self._loop.time()))

    def flush(self) -> None:
        """Write what `publish` took, at once."""
        if self._said:
            self._write(b"".join(self._said))
            self._said.clear()

    async def deliver(self, message: Publish) -> int:
        """Send a publication before any that waits for room; returns the broker's code.

        Raises:
            BrokerLost: the connection is no more; whether it arrived is not known.
            TooLong: as `publish`.
        """
        while not self.room:
            waiter: asyncio.Future[None] = self._loop.create_future()
            self._waiting.append(waiter)
            await self._either(waiter)
        answer: asyncio.Future[Settled] = self._loop.create_future()
        self.publish(message, answer)
        self.flush()
        return (await self._either(answer)).codes[0]

    async def subscribe(
        self, filters: Iterable[tuple[str, int]], *, no_local: bool = False, as_published: bool = False
    ) -> tuple[int, ...]:
        """Ask for filters, each up to its QoS, as `Wire.subscribe` does; returns the broker's codes.

        Raises:
            BrokerLost: the connection is no more.
        """
        answer: asyncio.Future[Settled] = self._loop.create_future()
        self._write(
            self._wire.subscribe(
                filters, answer, self._loop.time(), no_local=no_local, as_published=as_published
            )
        )
        return (await self._either(answer)).codes

    async def unsubscribe(self, filters: Iterable[str]) -> None:
        """Ask for filters no more. Raises BrokerLost."""
        answer: asyncio.Future[Settled] = self._loop.create_future()
        self._write(self._wire.unsubscribe(filters, answer, self._loop.time()))
        await self._either(answer)

    async def close(self) -> None:
        """End it in order, so that the broker forgets the will. Idempotent."""
        if self._transport is not None and not self.lost.done():
            self._write(GOODBYE)
            self._transport.close()
            try:
                async with asyncio.timeout(CLOSE_S):
                    await self._closed.wait()
            except TimeoutError:
                pass  # a mute broker; `abort` hangs up on it
        self.abort("closed")

    def abort(self, reason: str = "hung up") -> None:
        """Hang up, whatever the broker does; it will tell the will. Idempotent."""
        self._end(reason)
        if self._transport is not None:
            self._transport.abort()

    def unsettled(self) -> list[Any]:
        """The tokens of what the broker has not answered, in their order."""
        return [token for token in self._wire.unsettled() if not isinstance(token, asyncio.Future)]

    # What asyncio calls ---------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The socket is there, and so is TLS."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """The broker said something."""
        if self.lost.done():
            return
        try:
            heard = self._wire.receive(data)
        except Malformed as error:
            self.abort(f"what the broker says is no MQTT: {error}")
            return
        for each in heard:
            if isinstance(each, Settled):
                self._settle(each)
            elif isinstance(each, Publish):
                self._heard(each)
            elif isinstance(each, Connack):
                self._welcome.set_result(each)
            elif isinstance(each, Disconnect):
                self.abort(reasons.of_refusal(each.code, each.reason))
                return
        answers = self._wire.answers()
        if answers:
            self._write(answers)
        self._have_moved()

    def pause_writing(self) -> None:
        """The socket takes no more for now."""
        self._is_full = True

    def resume_writing(self) -> None:
        """It does again."""
        self._is_full = False
        self._have_moved()

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._closed.set()
        if exc is not None and not isinstance(exc, OSError) and not self.lost.done():
            self.lost.set_exception(exc)  # of one of the callbacks: a mistake of ctid's own
            return
        reason = "connection lost" if exc is None else reasons.of_failure(exc)
        if not self._welcome.done() and not isinstance(exc, ssl.SSLError):
            reason = f"{reason}: {reasons.of_silence(is_tls=self._is_tls)}"
        self._end(reason)

    # Within ---------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)

    def _settle(self, settled: Settled) -> None:
        token = settled.token
        if not isinstance(token, asyncio.Future):
            self._settled(token, settled.codes[0], settled.reason)
        elif not token.done():
            token.set_result(settled)

    def _have_moved(self) -> None:
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)
        self._waiting.clear()
        self._moved()

    async def _either(self, answer: asyncio.Future[_Answer]) -> _Answer:
        waited: tuple[asyncio.Future[Any], ...] = (answer, self.lost)
        await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
        if not answer.done():
            answer.cancel()
            raise BrokerLost(self.lost.result())
        return answer.result()

    def _look(self) -> None:
        try:
            self._write(self._wire.on_time(self._loop.time()))
        except Overdue as error:
            self.abort(str(error))
            return
        self._timer = self._loop.call_later(ANSWER_S / LOOKS, self._look)

    def _end(self, reason: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if not self.lost.done():
            self.lost.set_result(reason)
