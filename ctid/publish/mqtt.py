"""Publishes the floor on an MQTT broker: a retained tree that is the truth, and events in their order.

The only file that imports the MQTT client.
"""

import asyncio
import socket
import ssl
from collections.abc import Collection, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

import aiomqtt
import paho.mqtt.client as paho
import structlog
from msgspec import Struct
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from ctid.audit import Anchor
from ctid.config import MqttConfig
from ctid.events.documents import Documents, owner_of, state_of
from ctid.events.topics import Topics
from ctid.hub import Hub
from ctid.link import Backoff
from ctid.model.instant import to_rfc3339
from ctid.ports import Clock
from ctid.publish.intake import CarryOut, Command, Intake
from ctid.publish.outgoing import Outgoing
from ctid.publish.protocol import ProtocolChoice
from ctid.publish.spool import Spool
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

WINDOW = 20
"""Publications on their way at a time: paho's own limit, and what brokers take by default."""
CONNECT_S = 5.0
"""For the TCP connection, and again for the broker's answer."""
ACK_S = 10.0
"""A broker that owes an acknowledgement for longer is taken for dead."""
KEEP_ALIVE_S = 15
SWEEP_S = 5.0
"""How long a broker may take to tell what an earlier run left there."""
LEFTOVERS_S = 10.0
"""After the start: what no PBX has named by then goes, even where a PBX was not heard."""
LEFTOVERS_TURN_S = 0.05
DRAIN_S = 1.0
"""At the stop, for what is still to be said; what is not goes to the outbox."""
STEADY_S = 5.0
"""A connection that stood for so long starts the reconnect waits afresh."""
EVENT_EXPIRY_S = 3600
"""A broker keeps an event for absent readers for so long (MQTT 5.0, 3.3.2.3.3)."""
REPLY_EXPIRY_S = 60
"""Whoever asked has given up by then."""


class _Client(aiomqtt.Client):
    """What aiomqtt leaves out: flow control, refused publications, hanging up on a mute broker."""

    receive_maximum = WINDOW
    """What the broker takes at a time (MQTT 5.0, 3.2.2.3.3)."""
    closed_unanswered = False
    """The broker closed the connection instead of answering to CONNECT."""
    refused = 0
    """Publications that the broker answered with a refusal; 3.1.1 has no such answer."""

    def _on_connect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.ConnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        self.receive_maximum = min(getattr(properties, "ReceiveMaximum", WINDOW), WINDOW)
        super()._on_connect(client, userdata, flags, reason_code, properties)

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: Any,
        flags: paho.DisconnectFlags,
        reason_code: ReasonCode,
        properties: Properties | None = None,
    ) -> None:
        if self._connected.cancelled():
            return
        if not self._connected.done() and self._lock.locked():
            self.closed_unanswered = True
            self._connected.set_exception(aiomqtt.MqttError("closed without an answer to CONNECT"))
        super()._on_disconnect(client, userdata, flags, reason_code, properties)

    def _on_publish(
        self, client: paho.Client, userdata: Any, mid: int, reason_code: ReasonCode, properties: Properties
    ) -> None:
        if reason_code.is_failure:
            if not self.refused:
                log.error("broker refuses publications", reason=str(reason_code))
            self.refused += 1
        super()._on_publish(client, userdata, mid, reason_code, properties)

    async def hang_up(self) -> None:
        """Close the socket whatever the broker does; aiomqtt only waits for it. Idempotent."""
        connection = self._client.socket()
        if not isinstance(connection, socket.socket):
            return
        try:
            connection.shutdown(socket.SHUT_RDWR)
        except OSError as error:
            log.debug("broker connection gone already", reason=str(error))
        # The socket's reader now sees the end, and paho closes; it has no event to wait for.
        for _ in range(100):
            if self._client.socket() is None:
                break
            await asyncio.sleep(0.005)
        if self._disconnected.done():
            self._disconnected.exception()  # marks it as seen: nobody waits for it any more


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
        self._url = urlsplit(config.url)
        self._tls = ssl.create_default_context() if self._url.scheme == "mqtts" else None
        self._topics = Topics(config.base, site)
        self._documents = Documents(site, boot_id, numbers_in_full=config.numbers == "full")
        # Above every earlier run's, whatever became of its outbox.
        first = int(clock.now() * 1e6)
        self._spool = Spool(state_directory / "outbox.db", first, self._spool_changed)
        self._backlog = self._spool.backlog
        self._outgoing = Outgoing(hub, self._topics, self._documents, clock, self._spool)
        self._tasks = TaskOwner()
        self._turn = asyncio.Lock()
        self._protocol = ProtocolChoice(config.protocol)
        self._leftovers_until = 0.0
        self._connected = False
        self._stopping = False
        self._since = self._outgoing.now()
        self._reason = "not connected yet"
        self._published = 0
        self._degraded = False
        self._fence: bytes | None = None
        self._swept = asyncio.Event()
        self._intake: Intake | None = None

    def serve(self, operations: Collection[str], carry_out: CarryOut) -> None:
        """Take clients' commands as well, where the configuration says so; before `run` connects."""
        if self._config.commands:
            self._intake = Intake(self._topics, operations, carry_out)

    def status(self) -> dict[str, Any]:
        """How the publisher stands: JSON's own types.

        `published`, `dropped` count since the start; `outbox` are events on disk, `waiting` all that
        have not arrived; `degraded` says why the outbox does not work, `reason` why there is no broker.
        """
        return {
            "connected": self._connected,
            "since": to_rfc3339(self._since),
            "reason": self._reason,
            "protocol": self._protocol.version,
            "published": self._published,
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
        self._leftovers_until = _monotonic() + LEFTOVERS_S
        running = [self._tasks.spawn("mqtt intake", self._outgoing.follow())]
        try:
            await self._spool.open()
            running.append(self._tasks.spawn("mqtt outbox", self._spool.run()))
            if self._intake is not None:
                running.append(self._tasks.spawn("mqtt commands", self._intake.run()))
            running.insert(0, self._tasks.spawn("mqtt link", self._keep_connected()))
            await self._tasks.wait_failed()
        finally:
            # The link first: it says what it still can, while the others work.
            for task in running:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            await self._spool.close()

    # The connection -------------------------------------------------------------------------------

    async def _keep_connected(self) -> None:
        waits = Backoff()
        told = False
        while True:
            client = self._client()
            up_at = _monotonic()
            try:
                await self._attend(client)
            except aiomqtt.MqttError as error:
                if self._stopping:
                    return
                reason = _why(error)
                told = told and not self._connected
                self._went_down(reason)
                if not told:
                    log.warning("broker down", url=self._config.url, reason=reason)
                    told = True
                if _is_version_refused(error) and self._protocol.refused():
                    log.info("broker refuses MQTT 5, trying 3.1.1", url=self._config.url)
                    continue
                self._protocol.failed(closed_unanswered=client.closed_unanswered)
            if _monotonic() - up_at > CONNECT_S + STEADY_S:
                waits.reset()
            await asyncio.sleep(waits.next())

    def _client(self) -> _Client:
        will = self._outgoing.status("offline", reason="connection lost")
        is_five = self._protocol.version == "5"
        client = _Client(
            self._url.hostname or "",
            self._url.port or (8883 if self._tls else 1883),
            username=self._config.username or None,
            password=str(self._config.password) or None,
            identifier=self._topics.client,
            protocol=aiomqtt.ProtocolVersion.V5 if is_five else aiomqtt.ProtocolVersion.V311,
            clean_session=None if is_five else True,
            clean_start=True if is_five else paho.MQTT_CLEAN_START_FIRST_ONLY,
            will=aiomqtt.Will(self._topics.status, will, qos=1, retain=True),
            timeout=CONNECT_S,
            keepalive=KEEP_ALIVE_S,
            max_inflight_messages=WINDOW,
            tls_context=self._tls,
        )
        client.pending_calls_threshold = 2 * WINDOW
        return client

    async def _attend(self, client: _Client) -> None:
        """Publish over one connection until it is lost.

        Raises:
            MqttError: it could not be made, or was lost.
        """
        try:
            async with client:
                try:
                    await self._publish_over(client)
                except aiomqtt.MqttError:
                    await client.hang_up()
                    raise
        finally:
            await client.hang_up()

    async def _publish_over(self, client: _Client) -> None:
        lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        workers = TaskOwner()
        watch = self._tasks.spawn("mqtt watch", workers.wait_failed())
        self._swept.clear()
        try:
            workers.spawn("mqtt reader", self._read(client, lost))
            readable = await self._subscribe(client)
            self._fence = self._outgoing.status("online")
            await client.publish(self._topics.status, self._fence, qos=1, retain=True, timeout=ACK_S)
            await self._publish_standing(client)
            self._came_up()
            for number in range(client.receive_maximum):
                workers.spawn(f"mqtt sender {number}", self._send(client, lost))
            if self._intake is not None:
                await self._subscribe_to_commands(client, self._intake)
                workers.spawn("mqtt replies", self._reply(client, self._intake, lost))
            workers.spawn("mqtt sweep", self._sweep(client, lost, readable=readable))
            await asyncio.wait([lost])  # which a cancellation of this task leaves as it is
            raise aiomqtt.MqttError(lost.result())
        except asyncio.CancelledError:
            self._stopping = True
            await self._drain(lost)
            raise
        finally:
            watch.cancel()
            await workers.close()
            self._backlog.go_offline()
            if self._stopping and self._fence is not None and not lost.done():
                await self._say_offline(client)

    async def _publish_standing(self, client: _Client) -> None:
        for name, document in self._standing.items():
            topic, payload = self._outgoing.standing(name, document)
            await client.publish(topic, payload, qos=1, retain=True, timeout=ACK_S)

    async def _subscribe(self, client: _Client) -> bool:
        """Ask for the tree that is there; false when the broker does not let us read it."""
        topics = (*self._topics.entities, self._topics.status)
        if self._protocol.version == "5":
            granted = await client.subscribe([(topic, SubscribeOptions(qos=0)) for topic in topics])
        else:
            granted = await client.subscribe([(topic, 0) for topic in topics])
        codes = [code.value if isinstance(code, ReasonCode) else code for code in granted]
        refused = [topic for topic, code in zip(topics, codes, strict=True) if code >= 0x80]
        if refused:
            log.error("broker does not let ctid read its own topics: leftovers stay there", topics=refused)
        return not refused

    async def _subscribe_to_commands(self, client: _Client, intake: Intake) -> None:
        (code,) = await client.subscribe(intake.filter, qos=1)
        if (code.value if isinstance(code, ReasonCode) else code) >= 0x80:
            log.error("broker does not let ctid read commands: none are taken", topic=intake.filter)

    async def _read(self, client: _Client, lost: asyncio.Future[str]) -> None:
        try:
            async for message in client.messages:
                if self._intake is not None and self._intake.is_command(message.topic.value):
                    self._commanded(self._intake, message)
                    continue
                self._received(message.topic.value, message.payload, retained=message.retain)
        except aiomqtt.MqttError as error:
            _lose(lost, _why(error))

    def _received(self, topic: str, payload: bytes, *, retained: bool) -> None:
        if topic != self._topics.status:
            if retained and payload:
                self._outgoing.tree.found(topic, owner_of(payload))
        elif payload == self._fence:
            # The broker handles a connection in order: all that it retained has come before this.
            self._swept.set()
        elif not retained and self._connected and state_of(payload) == "offline":
            # An earlier connection's last will may arrive late; ctid is there all the same.
            self._say_status()

    def _commanded(self, intake: Intake, message: aiomqtt.Message) -> None:
        if message.retain:
            # It would be carried out anew at each connection, and by whoever connects under our name.
            log.warning("a retained command is not carried out", topic=message.topic.value)
            return
        told = message.properties
        intake.take(
            Command(
                topic=message.topic.value,
                payload=bytes(message.payload),
                response_topic=getattr(told, "ResponseTopic", ""),
                correlation=getattr(told, "CorrelationData", b""),
            )
        )

    async def _sweep(self, client: _Client, lost: asyncio.Future[str], *, readable: bool) -> None:
        try:
            if readable:
                try:
                    async with asyncio.timeout(SWEEP_S):
                        await self._swept.wait()
                except TimeoutError:
                    log.warning("broker is slow to tell what it retains")
            await client.unsubscribe(list(self._topics.entities))
        except aiomqtt.MqttError as error:
            _lose(lost, _why(error))
            return
        tree = self._outgoing.tree
        while tree.leftovers:
            tree.settle(_monotonic(), everything=_monotonic() > self._leftovers_until)
            self._outgoing.wake.set()
            await asyncio.sleep(LEFTOVERS_TURN_S)

    # Sending --------------------------------------------------------------------------------------

    async def _send(self, client: _Client, lost: asyncio.Future[str]) -> None:
        outgoing, is_five, expiry = self._outgoing, self._protocol.version == "5", _expiry()
        while True:
            async with self._turn:
                while (message := outgoing.next()) is None:
                    outgoing.wake.clear()
                    await outgoing.wake.wait()
            # No other task runs before this one has written: the order of the turns is the wire's.
            arrived = False
            try:
                await client.publish(
                    message.topic,
                    message.payload,
                    qos=1,
                    retain=message.retained,
                    properties=expiry if is_five and not message.retained else None,
                    timeout=ACK_S,
                )
                arrived = True
            except aiomqtt.MqttError as error:
                _lose(lost, _why(error))
                return
            finally:
                outgoing.sent(message, arrived=arrived)
            self._published += 1

    async def _reply(self, client: _Client, intake: Intake, lost: asyncio.Future[str]) -> None:
        is_five = self._protocol.version == "5"
        while True:
            reply = await intake.replies.get()
            properties = Properties(PacketTypes.PUBLISH) if is_five else None  # type: ignore[no-untyped-call]  # paho has no types here
            if properties is not None:
                properties.MessageExpiryInterval = REPLY_EXPIRY_S
                if reply.correlation:
                    properties.CorrelationData = reply.correlation
            try:
                await client.publish(reply.topic, reply.payload, qos=1, properties=properties, timeout=ACK_S)
            except aiomqtt.MqttError as error:
                _lose(lost, _why(error))
                return

    # Edges ----------------------------------------------------------------------------------------

    def _came_up(self) -> None:
        self._connected = True
        self._since = self._outgoing.now()
        self._reason = ""
        self._protocol.connected()
        self._outgoing.tree.rewrite()
        self._outgoing.anchor_due = True
        self._backlog.online = True
        self._spool.wake()
        log.info("broker up", url=self._config.url, protocol=self._protocol.version)

    def _went_down(self, reason: str) -> None:
        if self._connected:
            self._since = self._outgoing.now()
        self._connected = False
        self._reason = reason
        self._fence = None
        self._spool.wake()

    async def _drain(self, lost: asyncio.Future[str]) -> None:
        deadline = _monotonic() + DRAIN_S
        while self._connected and (self._outgoing.tree.waiting or self._backlog.waiting):
            if lost.done() or _monotonic() > deadline:
                return
            await asyncio.sleep(0.005)

    async def _say_offline(self, client: _Client) -> None:
        """As the last will would, which an orderly end does not send (MQTT 5.0, 3.14.4)."""
        document = self._outgoing.status("offline", reason="stopped")
        try:
            await client.publish(self._topics.status, document, qos=1, retain=True, timeout=DRAIN_S)
        except aiomqtt.MqttError as error:
            log.warning("broker did not take the last word", reason=str(error))
            await client.hang_up()

    def _say_status(self) -> None:
        self._outgoing.status_due = True
        self._outgoing.wake.set()

    def _spool_changed(self) -> None:
        self._outgoing.wake.set()
        if self._degraded != bool(self._spool.degraded):
            self._degraded = not self._degraded
            self._say_status()


def _expiry() -> Properties:
    properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
    properties.MessageExpiryInterval = EVENT_EXPIRY_S
    return properties


def _is_version_refused(error: aiomqtt.MqttError) -> bool:
    # "Unsupported Protocol Version" (MQTT 5.0, 3.2.2.2); paho makes it of 3.1.1's own as well.
    code = error.rc if isinstance(error, aiomqtt.MqttCodeError) else None
    return isinstance(code, ReasonCode) and code.value == 0x84


def _why(error: BaseException) -> str:
    cause = error.__cause__ or error
    code = cause.rc if isinstance(cause, aiomqtt.MqttCodeError) else None
    # "Unspecified error" is what paho says of a connection that just broke.
    broke = isinstance(code, ReasonCode) and code.value == 0x80
    return "connection lost" if broke else str(cause)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()


def _lose(lost: asyncio.Future[str], reason: str) -> None:
    if not lost.done():
        lost.set_result(reason)
