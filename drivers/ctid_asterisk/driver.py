"""The Asterisk driver: sockets, timers and tasks around the pure rooms."""

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from typing import Any, assert_never

import msgspec
import structlog

from ctid.capture import Capture
from ctid.clock import SystemClock
from ctid.model.capabilities import Capability
from ctid.model.commands import (
    AgentCommand,
    CallCommand,
    Command,
)
from ctid.model.errors import (
    CtidError,
    LinkError,
    LinkRefused,
    PbxRefused,
    PbxTimeout,
    PbxUnavailable,
)
from ctid.model.facts import Fact, KeyPressed, LinkUp, SupervisionChanged
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason, SupervisionState
from ctid.ports import CaptureOrder, Clock, MemberName, Recollection, Replayed
from ctid.tasks import TaskOwner
from ctid_asterisk import actions, versions
from ctid_asterisk.actions import Action
from ctid_asterisk.agent_commands import AgentCommands
from ctid_asterisk.ari import Ari
from ctid_asterisk.call_commands import CallCommands
from ctid_asterisk.normalize import REPORTS, VARIABLES, Normalizer, UnreadableError
from ctid_asterisk.recall import read_counters, recall
from ctid_asterisk.recording import Recording, Tap, record
from ctid_asterisk.replaying import replay
from ctid_asterisk.resync import Resync
from ctid_asterisk.roster import EVENT as MEMBER_EVENT
from ctid_asterisk.roster import Roster
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
from ctid_asterisk.snapshots import Snapshots
from ctid_asterisk.spy_events import EVENTS as SPY_EVENTS
from ctid_asterisk.spying import NOTICE
from ctid_asterisk.supervising import Supervising
from ctid_asterisk.wire import EncodeError, Message

log = structlog.get_logger(__name__)

CONNECT_S = 5.0
READ_BYTES = 256 * 1024
RECEIVE_BUFFER = 4 * 1024 * 1024
"""Asterisk ends a session whose reader is slow for a tenth of a second; the kernel bridges our pauses."""
BATCHES = 200
ARI_FIRST_S = 3.0
"""How long the first snapshot waits for ARI, so that it can hold the sessions found there."""
UNREADABLE_S = 5.0
"""After an event that could not be read: a snapshot makes up for it, and not more often than this."""
RELOAD_S = 0.2
"""A reload of everything tells one event a module: the lists are taken after the last of a burst."""

NOISE = frozenset(
    {
        "VarSet", "Newexten", "NewAccountCode", "DialState", "ConfbridgeTalking", "Registry",
        "BridgeCreate", "BridgeDestroy", "HangupRequest", "SoftHangupRequest", "MusicOnHoldStart",
        "MusicOnHoldStop", "ExtensionStatus", "PresenceStatus", "Cdr", "CEL", "TestEvent", "DTMFBegin",
        "DTMFEnd", "ChallengeSent", "SuccessfulAuth", "ChannelTalkingStart", "ChannelTalkingStop",
    }
)  # fmt: skip
"""Events that nothing here reads, filtered where they are made; of `VarSet` some variables pass."""


def _excluded(settings: Settings) -> frozenset[str]:
    if not settings.filter_at_source:
        return frozenset()
    return NOISE if settings.quality else NOISE | REPORTS


def _calling_ari(settings: Settings) -> Ari | None:
    """ARI without its event socket, by which calls are made; none where it is not configured."""
    ari = settings.ari
    return Ari(ari.url, ari.username, ari.password, ari.app) if ari is not None else None


class AsteriskDriver:
    """One Asterisk, as the configuration describes it."""

    kind = "asterisk"

    def __init__(self, pbx: PbxId, settings: Mapping[str, Any], clock: Clock | None = None) -> None:
        self.pbx = pbx
        self._settings = read_settings(settings)
        self._clock = clock or SystemClock()

    async def connect(self) -> "AsteriskConnection":
        """Make a connection; see `ctid.ports.Driver`."""
        return await _opened(AsteriskConnection(self.pbx, self._settings, self._clock))

    async def record(self, order: CaptureOrder) -> Recording:
        """Record what the PBX sends; see `ctid.ports.RecordingDriver`."""
        return await record(self.pbx, order, self._clock, self._connect_tapped)

    async def _connect_tapped(self, tap: Tap) -> "AsteriskConnection":
        # Without ARI: its application has one owner, which is the daemon.
        settings = msgspec.structs.replace(self._settings, ari=None)
        return await _opened(AsteriskConnection(self.pbx, settings, self._clock, tap))

    @staticmethod
    def replay(capture: Capture) -> Iterator[Replayed]:
        """Read a capture; see `ctid.ports.ReplayingFactory`."""
        return replay(capture)


async def _opened(connection: "AsteriskConnection") -> "AsteriskConnection":
    try:
        await connection.open()
    except BaseException:
        await connection.close()
        raise
    return connection


class AsteriskConnection:
    """One connection; see `ctid.ports.Connection`."""

    def __init__(self, pbx: PbxId, settings: Settings, clock: Clock, tap: Tap | None = None) -> None:
        self.pbx = pbx
        self._tap = tap
        self._settings = settings
        self._clock = clock
        self._tasks = TaskOwner(self._fail)
        self._normalizer = Normalizer(
            pbx, quality=settings.quality, takeover_context=settings.takeover_context
        )
        self._roster = Roster()
        self._supervising = Supervising(
            pbx,
            settings,
            clock,
            self._tasks,
            act=self._act,
            channels=lambda: self._normalizer.channels,
            address_of=self._roster.address_of,
            tell=self._tell,
            is_told=lambda: self._early is None,
            want_snapshot=lambda: self._resync_in(0.0, SnapshotReason.CONNECTED),
            on_failure=self._fail,
            watches=tap is not None,
        )
        self._resync = Resync(self._normalizer, self._supervising.sessions)
        self._snapshots = Snapshots(
            pbx,
            self._resync,
            self._roster,
            act=self._act,
            set_fence=self._set_fence,
            tell=self._batches_put,
            now=self._now,
            unreadable=self._make_up_for,
            on_failure=self._fail,
        )
        self._agents = AgentCommands(self._act, self._roster)
        self._calls = CallCommands(
            self._act,
            self._roster,
            channels=lambda: self._normalizer.channels,
            ari=_calling_ari(settings),
            look_again=self._look_again,
        )
        self._session = AmiSession(
            Credentials(username=settings.username, secret=settings.secret, plain=settings.tls),
            excluded=_excluded(settings),
            wanted=self._normalizer.wanted
            | {"VarSet", "Reload", "Shutdown", "FullyBooted"}
            | (SPY_EVENTS if settings.ari is None and tap is None else frozenset()),
            variables=VARIABLES | {FENCE_VARIABLE, NOTICE},
        )
        self._writer: asyncio.StreamWriter | None = None
        self._answers: dict[str, asyncio.Future[Reply]] = {}
        self._ready: asyncio.Future[Ready] | None = None
        self._batches: asyncio.Queue[Sequence[Fact] | BaseException] = asyncio.Queue(BATCHES)
        self._lost: BaseException | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._early: list[SupervisionChanged] | None = []
        """Facts of sessions from before the first snapshot, to be told after it."""
        self._due: set[SnapshotReason] = set()
        self._unreadable: set[str] = set()
        self._has_heard = False
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What can be asked of it now."""
        able = {Capability.AGENT_COMMANDS, *self._calls.abilities}
        return self._supervising.capabilities | able

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
        self._supervising.version = ready.asterisk_version
        for warning in versions.warnings(ready.asterisk_version):
            log.warning(warning, pbx=self.pbx)
        if self._tap is None:  # a capture is of a link that commands nothing
            await self._calls.learn()
        up = LinkUp(pbx=self.pbx, at=self._now(), driver="asterisk", version=ready.asterisk_version)
        self._batches.put_nowait([up])
        if self._settings.ari is not None:
            found = asyncio.Event()
            self._tasks.spawn(f"{self.pbx}/ari", self._supervising.keep(found))
            try:
                async with asyncio.timeout(ARI_FIRST_S):
                    await found.wait()
            except TimeoutError:
                log.warning("ari is not there yet: the floor is seen, nobody can be supervised", pbx=self.pbx)
        await self._supervising.open()
        await self._snapshots.take(SnapshotReason.CONNECTED)
        early, self._early = self._early, None
        if early:
            await self._batches.put(early)

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
        await self._snapshots.close()
        await self._supervising.close()
        await self._tasks.close()
        await self._calls.close()
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
        self._supervising.lost(error)
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
            if self._tap is not None:
                self._tap.received(data)
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
                    self._supervising.heard(out.message)
                    self._snapshots.heard()
                    if out.message.name == "Reload" and self._session.ready:
                        self._resync.reloaded()
                        self._resync_in(RELOAD_S, SnapshotReason.RELOADED)
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
        if not self._has_heard and message.name != "FullyBooted":  # which never bears one
            self._has_heard = True
            if not message.get("Timestamp"):
                log.warning(
                    "events bear no time: the time of their arrival is taken instead; "
                    "set timestampevents = yes in [general] of manager.conf",
                    pbx=self.pbx,
                )
        if message.name.startswith(MEMBER_EVENT):
            self._roster.read(message)
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
        self._resync_in(UNREADABLE_S, SnapshotReason.UNREADABLE)

    def _write(self, data: bytes) -> None:
        if self._writer is not None and not self._writer.is_closing():
            if self._tap is not None:
                self._tap.sent(data)
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

    async def resync(self, reason: SnapshotReason) -> None:
        """Take a new snapshot; see `ctid.ports.Connection`."""
        await self._snapshots.take(reason)

    async def _look_again(self) -> None:
        """Have told what no event tells. Raises PbxUnavailable: the link is lost meanwhile."""
        try:
            await self.resync(SnapshotReason.REQUEST)
        except LinkError as error:
            raise PbxUnavailable(f"the link to the PBX was lost ({error})") from error

    def _set_fence(self, token: str) -> None:
        if self._lost is not None:
            raise LinkError(f"no snapshot: the link was lost ({self._lost})")
        _, outs = self._session.send_fence(token, time.monotonic())
        self._obey(outs)

    async def _batches_put(self, facts: Sequence[Fact]) -> None:
        await self._batches.put(facts)

    def _resync_in(self, seconds: float, reason: SnapshotReason) -> None:
        """Something may have changed without an event of its own: take a snapshot soon, and once."""
        if reason not in self._due:
            self._due.add(reason)
            self._tasks.spawn(f"{self.pbx}/resync", self._resync_later(seconds, reason))

    async def _resync_later(self, seconds: float, reason: SnapshotReason) -> None:
        await asyncio.sleep(seconds)
        self._due.discard(reason)
        try:
            await self.resync(reason)
        except LinkError as error:
            self._lose(error)
        except CtidError as error:
            log.warning("no snapshot", pbx=self.pbx, wanted_for=reason, reason=error.detail)

    async def recall(self, since: Instant, remembered: Sequence[MemberName] = ()) -> Recollection:
        """Read from the queue log what was not seen; see `ctid.ports.Connection`."""
        queues = await self._act(actions.queue_status)
        live = self._normalizer
        return await recall(
            self.pbx,
            self._settings,
            since,
            members=dict(live.members.by_key),
            channels={unique: channel.name for unique, channel in live.channels.by_id.items()},
            remembered=remembered,
            counters=read_counters(queues.items, self._now()) if queues.ok else None,
        )

    def _tell(self, fact: SupervisionChanged | KeyPressed) -> None:
        """Hand on a fact of a session; it goes with what the wire tells."""
        if self._early is not None and isinstance(fact, SupervisionChanged):
            if fact.supervision.state is not SupervisionState.ENDED:
                self._early.append(fact)
                return
            # The first snapshot will not have it: what ended it is told before, and nothing else of it later.
            self._early = [early for early in self._early if early.supervision.id != fact.supervision.id]
        self._tasks.spawn(f"{self.pbx}/tell", self._batches.put([fact]))

    async def execute(self, command: Command) -> None:
        """Carry out a command; see `ctid.ports.Connection`."""
        if isinstance(command, AgentCommand):
            await self._agents.execute(command)
        elif isinstance(command, CallCommand):
            await self._calls.execute(command)
        else:
            await self._supervising.execute(command)


def _unanswered(failed: Failed) -> CtidError:
    if failed.reason == "closed":
        return PbxUnavailable("the link to the PBX was lost before it answered; try again when it is back")
    return PbxTimeout(f"the PBX left an action unanswered ({failed.reason})")
