"""Puts what is outgoing on a connection, as fast as the broker takes it, and says what became of it."""

import asyncio

import structlog

from ctid.publish import dressing
from ctid.publish.connection import Connection
from ctid.publish.outgoing import Message, Outgoing
from ctid.publish.packets import NOTHING, Publish
from ctid.publish.wire import TooLong

log = structlog.get_logger(__name__)

AT_ONCE = 64
"""Publications written before others get the loop."""


class Sender:
    """Sends over one connection after the other; counts over all of them.

    `published` are publications that the broker took; `refused` those that it did not, or could not take.
    """

    def __init__(self, outgoing: Outgoing) -> None:
        self.published = 0
        self.refused = 0
        self._outgoing = outgoing
        self._is_refusing = False

    async def run(self, connection: Connection) -> None:
        """Send over this connection, for ever; `over` follows."""
        wake = self._outgoing.wake
        while True:
            # Cleared first: what comes while this sends is seen in the next turn.
            wake.clear()
            if self._send(connection) == AT_ONCE:
                await asyncio.sleep(0)
            else:
                await wake.wait()

    def settled(self, message: Message, code: int, words: str) -> None:
        """The broker answered."""
        self._outgoing.sent(message, arrived=True)
        if code < 0x80:
            self.published += 1
        else:
            self._refuse(message.topic, f"code {code:#04x} {words}".rstrip())

    def over(self, connection: Connection) -> None:
        """The connection is no more: what has not arrived is sent again over the next one."""
        for message in connection.unsettled():
            self._outgoing.sent(message, arrived=False)
        self._is_refusing = False

    def _send(self, connection: Connection) -> int:
        is_five = connection.version == "5"
        count = 0
        while count < AT_ONCE and connection.room and (message := self._outgoing.next()) is not None:
            count += 1
            about = NOTHING
            if is_five:
                dress = dressing.of_document if message.retained else dressing.of_event
                about = dress(message.payload)
            publication = Publish(
                topic=message.topic, payload=message.payload, qos=1, retain=message.retained, about=about
            )
            try:
                connection.publish(publication, message)
            except (TooLong, ValueError) as error:
                self._outgoing.sent(message, arrived=True)
                self._refuse(message.topic, str(error))
        connection.flush()
        return count

    def _refuse(self, topic: str, reason: str) -> None:
        if not self._is_refusing:
            log.error("broker refuses publications", topic=topic, reason=reason)
        self._is_refusing = True
        self.refused += 1
