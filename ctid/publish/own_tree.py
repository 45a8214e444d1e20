"""What a broker tells ctid of ctid's own topics: what earlier runs left there, and wills that come late."""

import asyncio

import structlog

from ctid.events.documents import owner_of, state_of
from ctid.events.topics import Topics
from ctid.publish.connection import Connection
from ctid.publish.outgoing import Outgoing
from ctid.publish.packets import Publish

log = structlog.get_logger(__name__)

SWEEP_S = 5.0
"""How long a broker may take to tell what an earlier run left there."""
LEFTOVERS_S = 10.0
"""After the start: what no PBX has named by then goes, even where a PBX was not heard."""
LEFTOVERS_TURN_S = 0.05


class OwnTree:
    """Reads back the retained tree at each connection, and has what is no more removed.

    ctid's own publications come back as well, as a broker of 3.1.1 cannot leave them out, and a leftover is
    ctid's own: only what is retained from before counts, and no document is ever taken for state.
    """

    def __init__(self, outgoing: Outgoing, topics: Topics) -> None:
        self._outgoing = outgoing
        self._topics = topics
        self._leftovers_until = _monotonic() + LEFTOVERS_S
        self._swept = asyncio.Event()
        self._fence: bytes | None = None

    async def subscribe(self, connection: Connection) -> bool:
        """Ask for the tree that is there; false when ctid may not read it. Raises BrokerLost."""
        self._swept.clear()
        self._fence = None
        topics = (*self._topics.entities, self._topics.status)
        codes = await connection.subscribe([(topic, 0) for topic in topics])
        refused = [topic for topic, code in zip(topics, codes, strict=True) if code >= 0x80]
        if refused:
            log.error("broker does not let ctid read its own topics: leftovers stay there", topics=refused)
        return not refused

    def fence(self, status: bytes) -> None:
        """This status is published now: when it comes back, all that was retained has come before it."""
        self._fence = status

    def received(self, message: Publish) -> None:
        """Something came from below the own topics."""
        if message.topic != self._topics.status:
            if message.retain and message.payload:
                self._outgoing.tree.found(message.topic, owner_of(message.payload))
        elif message.payload == self._fence:
            self._swept.set()
        elif not message.retain and self._fence is not None and state_of(message.payload) == "offline":
            # An earlier connection's last will may arrive late; ctid is there all the same.
            self._outgoing.status_due = True
            self._outgoing.wake.set()

    async def sweep(self, connection: Connection, *, readable: bool) -> None:
        """Have leftovers removed, once it is known that they are. Raises BrokerLost."""
        if readable:
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._swept.wait()
            except TimeoutError:
                log.warning("broker is slow to tell what it retains")
        await connection.unsubscribe(self._topics.entities)
        tree = self._outgoing.tree
        while tree.leftovers:
            tree.settle(_monotonic(), everything=_monotonic() > self._leftovers_until)
            self._outgoing.wake.set()
            await asyncio.sleep(LEFTOVERS_TURN_S)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
