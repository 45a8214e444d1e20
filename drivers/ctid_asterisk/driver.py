"""The Asterisk driver: sockets, timers and tasks around the pure rooms."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import Any, assert_never

import structlog

from ctid.clock import SystemClock
from ctid.model.capabilities import Capability
from ctid.model.commands import Command, EndSupervision, StartSupervision, SwitchSupervision, TakeOver
from ctid.model.entities import Supervision
from ctid.model.errors import (
    CtidError,
    LinkError,
    LinkRefused,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
    SupervisionRefused,
)
from ctid.model.facts import Fact, LinkUp
from ctid.model.ids import PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.ports import Clock
from ctid.tasks import TaskOwner
from ctid_asterisk import actions
from ctid_asterisk.actions import Action
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.normalize import Lists, Normalizer, UnreadableError
from ctid_asterisk.resync import Resync
from ctid_asterisk.session import (
    FENCE_VARIABLE,
    AmiSession,
    Credentials,
    Dead,
    Failed,
    Out,
    Ready,
    Reply,
    Send,
)
from ctid_asterisk.session import (
    Fact as WireEvent,
)
from ctid_asterisk.settings import Settings, read_settings
from ctid_asterisk.supervise import Stage
from ctid_asterisk.wire import EncodeError, Message

log = structlog.get_logger(__name__)

CONNECT_S = 5.0
READ_BYTES = 256 * 1024
RECEIVE_BUFFER = 4 * 1024 * 1024
"""Asterisk ends a session whose reader is slow for a tenth of a second; the kernel bridges our pauses."""
BATCHES = 200
ARI_FIRST_S = 3.0
"""How long the first snapshot waits for ARI, so that it can hold the sessions found there."""
ARI_AGAIN_S = 2.0
ARI_REPLACED_S = 30.0
"""After another program took the application's name."""
UNREADABLE_S = 5.0
"""After an event that could not be read: a snapshot makes up for it, and not more often than this."""
FENCE_S = 2.0
RELOAD_S = 0.2
"""A reload of everything tells one event a module: the lists are taken after the last of a burst."""

NOISE = frozenset(
    {
        "VarSet", "Newexten", "RTCPSent", "RTCPReceived", "NewAccountCode", "DialState",
        "BridgeCreate", "BridgeDestroy", "HangupRequest", "SoftHangupRequest", "MusicOnHoldStart",
        "MusicOnHoldStop", "ExtensionStatus", "PresenceStatus", "Cdr", "CEL", "TestEvent", "DTMFBegin",
        "DTMFEnd", "ChallengeSent", "SuccessfulAuth", "ChannelTalkingStart", "ChannelTalkingStop",
    }
)  # fmt: skip
"""Events that nothing here reads, filtered where they are made."""


class AsteriskDriver:
    """One Asterisk, as the configuration describes it."""

    kind = "asterisk"

    def __init__(self, pbx: PbxId, settings: Mapping[str, Any], clock: Clock | None = None) -> None:
        self.pbx = pbx
        self._settings = read_settings(settings)
        self._clock = clock or SystemClock()

    async def connect(self) -> "AsteriskConnection":
        """Make a connection; see `ctid.ports.Driver`."""
        connection = AsteriskConnection(self.pbx, self._settings, self._clock)
        try:
            await connection.open()
        except BaseException:
            await connection.close()
            raise
        return connection


class AsteriskConnection:
    """One connection; see `ctid.ports.Connection`."""

    def __init__(self, pbx: PbxId, settings: Settings, clock: Clock) -> None:
        self.pbx = pbx
        self._settings = settings
        self._clock = clock
        self._tasks = TaskOwner(self._fail)
        self._normalizer = Normalizer(pbx)
        self._resync = Resync(self._normalizer, self._supervisions)
        self._session = AmiSession(
            Credentials(username=settings.username, secret=settings.secret, plain=settings.tls),
            excluded=NOISE if settings.filter_at_source else frozenset(),
            wanted=self._normalizer.wanted | {"VarSet", "Reload", "Shutdown", "FullyBooted"},
            variables=frozenset({FENCE_VARIABLE}),
        )
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[str, asyncio.Future[Reply]] = {}
        self._ready: asyncio.Future[Ready] | None = None
        self._batches: asyncio.Queue[Sequence[Fact] | BaseException] = asyncio.Queue(BATCHES)
        self._lost: BaseException | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._stage: Stage | None = None
        self._last_stage: Stage | None = None
        self._early: list[Fact] | None = []
        """Facts of sessions from before the first snapshot, to be told after it."""
        self._fences = 0
        self._caught_up = asyncio.Event()
        self._resyncing = asyncio.Lock()
        self._resync_due = False
        self._unreadable: set[str] = set()
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What can be asked of it now."""
        able = self._stage is not None
        return frozenset({Capability.SUPERVISE, Capability.TAKE_OVER}) if able else frozenset()

    # Life -----------------------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect and log in. Raises LinkRefused, LinkError."""
        where = f"{self._settings.host}:{self._settings.port}"
        try:
            async with asyncio.timeout(CONNECT_S):
                reader, self._writer = await asyncio.open_connection(
                    self._settings.host, self._settings.port, ssl=self._tls(), limit=READ_BYTES
                )
        except TimeoutError as error:
            raise LinkError(f"AMI at {where} does not answer") from error
        except OSError as error:
            raise LinkError(f"AMI at {where} cannot be reached: {error.strerror or error}") from error
        raw = self._writer.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        self._ready = asyncio.get_running_loop().create_future()
        self._obey(self._session.start(time.monotonic()))
        self._tasks.spawn(f"{self.pbx}/ami", self._read(reader))
        ready = await self._ready
        log.info(
            "ami login",
            pbx=self.pbx,
            asterisk=ready.asterisk_version,
            filtered=ready.filtered,
            note=ready.filter_note,
        )
        up = LinkUp(pbx=self.pbx, at=self._now(), driver="asterisk", version=ready.asterisk_version)
        self._batches.put_nowait([up])
        if self._settings.ari is not None:
            found = asyncio.Event()
            self._tasks.spawn(f"{self.pbx}/ari", self._keep_ari(found))
            try:
                async with asyncio.timeout(ARI_FIRST_S):
                    await found.wait()
            except TimeoutError:
                log.warning("ari is not there yet: the floor is seen, nobody can be supervised", pbx=self.pbx)
        await self.resync()

    def _tls(self) -> ssl.SSLContext | None:
        if not self._settings.tls:
            return None
        return ssl.create_default_context(cafile=self._settings.tls_ca or None)

    async def close(self) -> None:
        """End the connection; idempotent."""
        self._closed = True
        self._lose(LinkError("closed"))
        if self._timer is not None:
            self._timer.cancel()
        await self._tasks.close()
        if self._writer is not None:
            self._writer.close()

    async def facts(self) -> AsyncIterator[Sequence[Fact]]:
        """Iterate over batches of facts; see `ctid.ports.Connection`."""
        while True:
            batch = await self._batches.get()
            if isinstance(batch, BaseException):
                if self._closed:
                    return
                raise batch
            yield batch

    def _fail(self, error: BaseException) -> None:
        """A task of ours died; what it died of comes out of `facts`."""
        self._lose(error)

    def _lose(self, error: BaseException) -> None:
        """Note the first failure, and tell everyone who waits."""
        if self._lost is not None:
            return
        self._lost = error
        if self._ready is not None and not self._ready.done():
            self._ready.set_exception(error)
            self._ready.exception()  # nobody waits for it when open() was cancelled
        for answer in self._answers.values():
            if not answer.done():
                answer.set_exception(PbxUnavailable(f"the link to the PBX was lost ({error})"))
                answer.exception()  # the same
        self._answers.clear()
        if self._batches.full():
            self._batches.get_nowait()  # the snapshot after the reconnect makes up for it
        self._batches.put_nowait(error)

    # The wire -------------------------------------------------------------------------------------

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while self._lost is None:
            try:
                data = await reader.read(READ_BYTES)
            except OSError as error:
                self._lose(LinkError(f"AMI: {error}"))
                return
            outs = (
                self._session.receive(data, time.monotonic()) if data else self._session.eof(time.monotonic())
            )
            facts = self._obey(outs)
            if facts:
                await self._batches.put(facts)

    def _obey(self, outs: Sequence[Out]) -> list[Fact]:
        """Do what the session says; returns the facts that its events told."""
        facts: list[Fact] = []
        for out in outs:
            match out:
                case WireEvent():
                    facts += self._receive(out.message)
                    if not self._resync.pending:
                        self._caught_up.set()
                    if out.message.name == "Reload" and self._session.ready:
                        self._resync_in(RELOAD_S)
                case Send():
                    self._write(out.data)
                case Reply():
                    answer = self._answers.pop(out.action_id, None)
                    if answer is not None and not answer.done():
                        answer.set_result(out)
                case Failed():
                    answer = self._answers.pop(out.action_id, None)
                    if answer is not None and not answer.done():
                        answer.set_exception(_unanswered(out))
                case Ready():
                    if self._ready is not None and not self._ready.done():
                        self._ready.set_result(out)
                case Dead():
                    kind = LinkError if out.retryable else LinkRefused
                    self._lose(kind(f"AMI: {out.reason}{f' ({out.detail})' if out.detail else ''}"))
                case _:
                    assert_never(out)
        self._arm()
        return facts

    def _receive(self, message: Message) -> list[Fact]:
        try:
            return self._resync.receive(message, self._now())
        except UnreadableError as error:
            self._make_up_for(error)
            return []

    def _make_up_for(self, unreadable: UnreadableError) -> None:
        if unreadable.name not in self._unreadable:
            self._unreadable.add(unreadable.name)
            log.warning(
                "an event could not be read; a snapshot makes up for it", pbx=self.pbx, what=str(unreadable)
            )
        self._resync_in(UNREADABLE_S)

    def _write(self, data: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(data)

    def _arm(self) -> None:
        """Have the session woken at its next deadline."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self._session.next_deadline()
        if deadline is not None and self._lost is None:
            wait = max(0.0, deadline - time.monotonic())
            self._timer = asyncio.get_running_loop().call_later(wait, self._on_time)

    def _on_time(self) -> None:
        self._obey(self._session.on_time(time.monotonic()))

    def _now(self) -> Instant:
        return Instant(self._clock.now())

    async def _act(self, build: Callable[[], Action]) -> Reply:
        """Build and send an action and wait for its whole answer.

        Raises:
            PbxRefused: what it names cannot be said to this PBX.
            PbxUnavailable: the link is lost.
            PbxTimeout: no answer.
        """
        try:
            action = build()
        except EncodeError as error:
            raise PbxRefused(f"that cannot be said over AMI: {error}") from error
        if self._lost is not None:
            raise PbxUnavailable(f"the link to the PBX was lost ({self._lost})")
        ident, outs = self._session.send(action, time.monotonic())
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._answers[ident] = answer
        self._obey(outs)
        return await answer

    # The snapshot ---------------------------------------------------------------------------------

    async def resync(self) -> None:
        """Take a new snapshot; it comes out of `facts`. Raises LinkError: the PBX does not give it."""
        async with self._resyncing:
            self._resync.begin()
            try:
                channels, queues, devices, holds = await asyncio.gather(
                    self._act(actions.core_show_channels),
                    self._act(actions.queue_status),
                    self._act(actions.device_state_list),
                    self._act(lambda: actions.status(variables=["CHANNEL(onhold)"])),
                )
            except (PbxUnavailable, PbxTimeout) as error:
                raise LinkError(f"no snapshot: {error.detail}") from error
            for name, reply in (("channels", channels), ("queues", queues), ("devices", devices)):
                if not reply.ok:
                    raise LinkError(f"the PBX refuses to list its {name}: {reply.text}")
            lists = Lists(channels.items, queues.items, devices.items, holds.items)
            try:
                unreadable = self._resync.load(lists, self._now())
            except UnreadableError as error:
                raise LinkError(f"no snapshot: {error}") from error
            for event in unreadable:
                self._make_up_for(event)
            self._fences += 1
            fence = f"{self._now():.0f}-{self._fences}"
            self._resync.expect(fence)
            self._caught_up.clear()
            _, outs = self._session.send_fence(fence, time.monotonic())
            self._obey(outs)
            try:
                async with asyncio.timeout(FENCE_S):
                    await self._caught_up.wait()
            except TimeoutError:
                log.warning("no fence came back: does the AMI user read `dialplan`?", pbx=self.pbx)
                await self._batches.put(self._resync.finish(self._now()))
            early, self._early = self._early, None
            if early:
                await self._batches.put(early)

    def _resync_in(self, seconds: float) -> None:
        """Something may have changed without an event of its own: take a snapshot soon, and once."""
        if not self._resync_due:
            self._resync_due = True
            self._tasks.spawn(f"{self.pbx}/resync", self._resync_later(seconds))

    async def _resync_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._resync_due = False
        try:
            await self.resync()
        except LinkError as error:
            self._lose(error)

    def _supervisions(self) -> Sequence[Supervision] | None:
        """The sessions that are known; while ARI is away, those of before, which go on without us.

        None: ARI has not answered yet, and there may be some.
        """
        if self._settings.ari is None:
            return ()
        return self._last_stage.supervisions() if self._last_stage is not None else None

    # Supervision ----------------------------------------------------------------------------------

    async def _keep_ari(self, found: asyncio.Event) -> None:
        """Keep ARI connected for as long as AMI is; log both edges once."""
        settings = self._settings.ari
        assert settings is not None, "only started with ARI configured"  # noqa: S101 - a mistake of ours
        told = ""
        while True:
            ari = Ari(settings.url, settings.username, settings.password, settings.app)
            stage = Stage(
                ari,
                self._clock,
                self._tell,
                self._blind_transfer,
                self._set_variable,
                self._hang_up,
                self._fail,
            )
            try:
                await ari.open()
                events = self._tasks.spawn(f"{self.pbx}/ari/events", self._follow(stage))
                await stage.recover(self._supervisions() or ())
                late = self._last_stage is None and self._early is None
                self._stage = self._last_stage = stage
                if late:
                    self._resync_in(0.0)  # the first snapshot could not tell which sessions there are
                log.info("ari link up", pbx=self.pbx)
                told = ""
                found.set()
                await asyncio.wait([events])
                reason = "the event socket ended"
            except (AriError, AriLost) as error:
                reason = str(error)
            finally:
                self._stage = None
                await stage.close()
                await ari.close()
            if reason != told:
                log.warning("ari link down: nobody can be supervised", pbx=self.pbx, reason=reason)
                told = reason
            found.set()  # the floor need not wait for it any longer
            await asyncio.sleep(ARI_REPLACED_S if stage.replaced else ARI_AGAIN_S)

    async def _follow(self, stage: Stage) -> None:
        try:
            await stage.run()
        except AriLost as error:
            log.info("ari events end", pbx=self.pbx, reason=str(error))

    def _tell(self, fact: Fact) -> None:
        """Hand on a fact of a session; it goes with what the wire tells."""
        if self._early is not None:
            self._early.append(fact)
            return
        self._tasks.spawn(f"{self.pbx}/tell", self._batches.put([fact]))

    async def _blind_transfer(self, channel: str, session: SupervisionId) -> None:
        # Asterisk accepts a transfer to a context that does not exist, and then drops the customer.
        known = await self._act(lambda: actions.show_dialplan(self._settings.takeover_context))
        if not known.ok or not known.items:
            raise PbxRefused(
                f"the PBX has no dialplan context {self._settings.takeover_context!r}: include ctid's "
                "extensions.ctid.conf in extensions.conf, and reload the dialplan"
            )
        context = self._settings.takeover_context
        reply = await self._act(
            lambda: actions.blind_transfer(self._name(channel), exten=session, context=context)
        )
        if not reply.ok:
            raise PbxRefused(f"the PBX refused to move the customer: {reply.text}")

    async def _set_variable(self, channel: str, name: str, value: str) -> None:
        reply = await self._act(lambda: actions.setvar(name, value, channel=self._name(channel)))
        if not reply.ok:
            raise SupervisionRefused("call_ended", f"the customer is no longer there: {reply.text}")

    async def _hang_up(self, channel: str) -> None:
        """Hang up a channel of ours, or one that is gone already."""
        reply = await self._act(lambda: actions.hangup(self._name(channel)))
        if not reply.ok and reply.text != "No such channel":
            raise PbxRefused(f"the PBX refused to hang up {channel}: {reply.text}")

    def _name(self, unique: str) -> str:
        """A channel's full name: its unique id may have been chosen by somebody, and look like anything."""
        channel = self._normalizer.channels.by_id.get(unique)
        return channel.name if channel is not None else unique

    async def execute(self, command: Command) -> None:
        """Carry out a command; see `ctid.ports.Connection`."""
        stage = self._stage
        if stage is None:
            raise PbxUnavailable(
                "supervision needs Asterisk's ARI, which is not connected: see [pbx.ari] in ctid.toml"
            )
        match command:
            case StartSupervision():
                await stage.start(command)
            case SwitchSupervision():
                await stage.switch(command)
            case TakeOver():
                channels = self._normalizer.channels
                near = channels.far_end(command.customer, command.agent)
                agent = channels.by_id.get(command.agent)
                customer = channels.by_id.get(command.customer)
                if near is None or agent is None or customer is None:
                    raise SupervisionRefused("call_ended", "agent and customer no longer talk")
                back = agent.name.rpartition("-")[0]
                await stage.take_over(command, near, back, customer.queue or "")
            case EndSupervision():
                await stage.end(command)
            case _:
                assert_never(command)


def _unanswered(failed: Failed) -> CtidError:
    if failed.reason == "closed":
        return PbxUnavailable("the link to the PBX was lost before it answered; try again when it is back")
    return PbxTimeout(f"the PBX left an action unanswered ({failed.reason})")
