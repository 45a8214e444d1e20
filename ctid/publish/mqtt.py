"""Publishes the floor on an MQTT broker: a retained tree that is the truth, and events in their order."""

import asyncio
from collections.abc import Coroutine, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import structlog
from msgspec import Struct

from ctid.audit import Anchor
from ctid.config import MqttConfig
from ctid.events.documents import Documents
from ctid.hub import Hub
from ctid.link import Backoff
from ctid.model.instant import to_rfc3339
from ctid.ports import Clock
from ctid.publish import dressing
from ctid.publish.connection import CONNECT_S, BrokerLost, Connection
from ctid.publish.home_assistant import topics_and_home
from ctid.publish.intake import Command, CommandCarrier, Intake
from ctid.publish.outgoing import Outgoing
from ctid.publish.own_tree import OwnTree
from ctid.publish.packets import Connect, Publish
from ctid.publish.protocol import ProtocolChoice
from ctid.publish.reasons import of_refusal
from ctid.publish.sender import Sender
from ctid.publish.spool import Spool
from ctid.publish.tls import TlsUnusable, context_of
from ctid.publish.wire import TooLong
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

KEEP_ALIVE_S = 15
DRAIN_S = 1.0
"""At the stop, for what is still to be said; what is not goes to the outbox."""
KNOCK_S = 0.3
"""Between two looks whether a broker listens again: what is retained there is to be true within a second."""
STEADY_S = 5.0
"""A connection that stood for so long starts the reconnect waits afresh."""


class MqttPublisher:
    """Publishes until it is cancelled; then says `offline` and keeps undelivered events on disk.

    `standing` are documents that do not change while ctid runs, by their topic below the site; each bears
    the schema `ctid.<topic>/1`. `state_directory` must exist; the outbox is `outbox.db` in it. No failure
    of the broker or the disk ends it: `status` and the log say what is wrong.
    """

    def __init__(
        self,
        hub: Hub,
        config: MqttConfig,
        site: str,
        boot_id: str,
        state_directory: Path,
        clock: Clock,
        standing: Mapping[str, Struct] = MappingProxyType({}),
    ) -> None:
        self._standing = standing
        self._config = config
        documents = Documents(site, boot_id, numbers_in_full=config.numbers == "full")
        self._topics, home = topics_and_home(config, site, documents)
        # Above every earlier run's, whatever became of its outbox.
        first = int(clock.now() * 1e6)
        self._spool = Spool(state_directory / "outbox.db", first, self._spool_changed)
        self._backlog = self._spool.backlog
        self._outgoing = Outgoing(hub, self._topics, documents, clock, self._spool, home)
        self._sender = Sender(self._outgoing)
        self._tasks = TaskOwner()
        self._protocol = ProtocolChoice(config.protocol)
        self._connected = False
        self._stopping = False
        self._since = self._outgoing.now()
        self._reason = "not connected yet"
        self._degraded = False
        self._own: OwnTree | None = None
        self._intake: Intake | None = None

    def serve(self, carrier: CommandCarrier) -> None:
        """Take clients' commands as well, where the configuration says so; before `run` connects."""
        if self._config.commands:
            self._intake = Intake(self._topics, carrier)

    def status(self) -> dict[str, Any]:
        """How the publisher stands: JSON's own types.

        `published`, `refused` (by the broker), `dropped` count since the start; `outbox` are events on disk,
        `waiting` all that have not arrived; `degraded` says why the outbox does not work, `reason` why there
        is no broker.
        """
        return {
            "connected": self._connected,
            "since": to_rfc3339(self._since),
            "reason": self._reason,
            "protocol": self._protocol.version,
            "published": self._sender.published,
            "refused": self._sender.refused,
            "dropped": self._backlog.dropped,
            "outbox": self._backlog.on_disk,
            "waiting": self._backlog.waiting,
            "degraded": self._spool.degraded,
        }

    def anchor(self, anchor: Anchor) -> None:
        """Publish where the audit ended, retained and as an event."""
        self._outgoing.put_anchor(anchor)

    async def run(self) -> None:
        """Publish, for ever."""
        self._own = OwnTree(self._outgoing, self._topics)
        running = [self._tasks.spawn("mqtt intake", self._outgoing.follow())]
        try:
            await self._spool.open()
            running.append(self._tasks.spawn("mqtt outbox", self._spool.run()))
            if self._intake is not None:
                running.append(self._tasks.spawn("mqtt commands", self._intake.run()))
            running.insert(0, self._tasks.spawn("mqtt link", self._keep_connected(self._own)))
            await self._tasks.wait_failed()
        finally:
            # The link first: it says what it still can, while the others work.
            for task in running:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await self._spool.close()

    # The connection -------------------------------------------------------------------------------

    async def _keep_connected(self, own: OwnTree) -> None:
        waits = Backoff()
        told = False
        while True:
            up_at, reached = _monotonic(), True
            try:
                await self._attend(own)
            except (BrokerLost, TlsUnusable) as error:
                told = told and not self._connected
                self._went_down(str(error))
                if not told:
                    log.warning("broker down", url=self._config.url, reason=str(error))
                    told = True
                if isinstance(error, BrokerLost):
                    reached = error.reached
                    if error.version_refused and self._protocol.refused():
                        log.info("broker refuses MQTT 5, trying 3.1.1", url=self._config.url)
                        continue
                    self._protocol.failed(closed_unanswered=error.unanswered)
            if _monotonic() - up_at > CONNECT_S + STEADY_S:
                waits.reset()
            await asyncio.sleep(waits.next() if reached else KNOCK_S)

    async def _attend(self, own: OwnTree) -> None:
        """Publish over one connection until it is lost.

        Raises:
            BrokerLost: it could not be made, or was lost.
            TlsUnusable: the configuration's files do not let it be made.
        """
        url, tls = urlsplit(self._config.url), context_of(self._config)
        connection = Connection(
            self._hello(), heard=self._heard, settled=self._sender.settled, moved=self._outgoing.wake.set
        )
        try:
            await connection.open(url.hostname or "", url.port or (8883 if tls else 1883), tls)
            await self._publish_over(connection, own)
        finally:
            connection.abort()

    def _hello(self) -> Connect:
        will = self._outgoing.status("offline", reason="connection lost")
        return Connect(
            version=self._protocol.version,
            client=self._topics.client,
            keep_alive_s=KEEP_ALIVE_S,
            username=self._config.username,
            password=str(self._config.password),
            will=self._document(self._topics.status, will),
        )

    def _document(self, topic: str, payload: bytes) -> Publish:
        about = dressing.of_document(payload)
        return Publish(topic=topic, payload=payload, qos=1, retain=True, about=about)

    async def _publish_over(self, connection: Connection, own: OwnTree) -> None:
        workers = TaskOwner()
        watch = self._tasks.spawn("mqtt watch", workers.wait_failed())
        try:
            readable = await own.subscribe(connection)
            status = self._outgoing.status("online")
            own.fence(status)
            await self._say(connection, self._topics.status, status)
            for name, document in self._standing.items():
                await self._say(connection, *self._outgoing.standing(name, document))
            self._came_up()
            workers.spawn("mqtt sender", self._sender.run(connection))
            if self._intake is not None:
                await self._take_commands(connection, self._intake)
                workers.spawn("mqtt replies", _until_lost(self._reply(connection, self._intake)))
            workers.spawn("mqtt sweep", _until_lost(own.sweep(connection, readable=readable)))
            await asyncio.wait([connection.lost])  # which a cancellation of this task leaves as it is
            raise BrokerLost(connection.lost.result())
        except asyncio.CancelledError:
            self._stopping = True
            await self._drain(connection)
            raise
        finally:
            watch.cancel()
            await workers.close()
            self._sender.over(connection)
            self._backlog.go_offline()
            if self._stopping and self._connected and not connection.lost.done():
                await self._say_offline(connection)

    async def _say(self, connection: Connection, topic: str, payload: bytes) -> None:
        code = await connection.deliver(self._document(topic, payload))
        if code >= 0x80:
            log.error("broker refuses publications", topic=topic, reason=of_refusal(code, ""))

    # Commands -------------------------------------------------------------------------------------

    async def _take_commands(self, connection: Connection, intake: Intake) -> None:
        # As published: a retained command is to be known for one also when it comes while ctid listens.
        (code,) = await connection.subscribe([(intake.filter, 1)], no_local=True, as_published=True)
        if code >= 0x80:
            log.error("broker does not let ctid read commands: none are taken", topic=intake.filter)

    def _heard(self, message: Publish) -> None:
        intake = self._intake
        if intake is None or not intake.is_command(message.topic):
            if self._own is not None:
                self._own.received(message)
        else:
            intake.take(
                Command(
                    topic=message.topic,
                    payload=message.payload,
                    response_topic=message.about.response_topic,
                    correlation=message.about.correlation,
                    retained=message.retain,
                )
            )

    async def _reply(self, connection: Connection, intake: Intake) -> None:
        while True:
            reply = await intake.replies.get()
            about = dressing.of_reply(reply.correlation)
            try:
                code = await connection.deliver(
                    Publish(topic=reply.topic, payload=reply.payload, qos=1, about=about)
                )
            except TooLong as error:
                log.warning("an answer to a command is lost", topic=reply.topic, reason=str(error))
                continue
            if code >= 0x80:
                log.warning("broker refuses an answer", topic=reply.topic, reason=of_refusal(code, ""))

    # Edges ----------------------------------------------------------------------------------------

    def _came_up(self) -> None:
        self._connected = True
        self._since = self._outgoing.now()
        self._reason = ""
        self._protocol.connected()
        self._outgoing.tree.rewrite()
        self._outgoing.anchor_due = True
        if self._outgoing.home is not None:
            self._outgoing.home.again()
        self._backlog.online = True
        self._spool.wake()
        log.info("broker up", url=self._config.url, protocol=self._protocol.version)

    def _went_down(self, reason: str) -> None:
        if self._connected:
            self._since = self._outgoing.now()
        self._connected = False
        self._reason = reason
        self._spool.wake()

    async def _drain(self, connection: Connection) -> None:
        deadline = _monotonic() + DRAIN_S
        while self._connected and (self._outgoing.tree.waiting or self._backlog.waiting):
            if connection.lost.done() or _monotonic() > deadline:
                return
            await asyncio.sleep(0.005)

    async def _say_offline(self, connection: Connection) -> None:
        """As the last will would, which an orderly end does not send (MQTT 5.0, 3.14.4)."""
        status = self._outgoing.status("offline", reason="stopped")
        try:
            async with asyncio.timeout(DRAIN_S):
                await self._say(connection, self._topics.status, status)
        except (BrokerLost, TimeoutError) as error:
            log.warning("broker did not take the last word", reason=str(error) or "no answer")
            return
        await connection.close()

    def _spool_changed(self) -> None:
        self._outgoing.wake.set()
        if self._degraded != bool(self._spool.degraded):
            self._degraded = not self._degraded
            self._outgoing.status_due = True


async def _until_lost(work: Coroutine[Any, Any, None]) -> None:
    """Let work end with its connection, of which another tells."""
    try:
        await work
    except BrokerLost as error:
        log.debug("ends with the connection", reason=str(error))


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
