"""The composition root: builds the rooms from the configuration, starts them, stops them in reverse order."""

import asyncio
import errno
import fcntl
import os
import pwd
import signal
import socket
import uuid
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import structlog

from ctid import __version__, link, vitals
from ctid.agents.commander import Commander
from ctid.agents.enforcer import Enforcer
from ctid.agents.policy import Placement
from ctid.agents.policy import Policy as AgentPolicy
from ctid.agents.service import AgentService
from ctid.api.bus import BusCarrier
from ctid.api.context import ApiContext, Limits, Web
from ctid.api.door import Door
from ctid.api.origins import Origins
from ctid.api.proxies import Proxies
from ctid.api.server import ApiServer
from ctid.api.tls import BadCertificate, Certificate
from ctid.app_identity import identity_of, oidc_of
from ctid.audit import Audit
from ctid.audit.retention import AuditDays, Retention
from ctid.audit.subjects import AuditReader, Subjects
from ctid.audit.watch import Watch
from ctid.calls.acts import Acts
from ctid.calls.audited import audited
from ctid.calls.index import RecordingIndex
from ctid.calls.outreach import OutreachService
from ctid.calls.policy import CallPolicy
from ctid.calls.protector import Protector
from ctid.calls.recordings import Recordings
from ctid.calls.service import CallService
from ctid.clock import SystemClock
from ctid.coaching.accounting import SheetsAccount
from ctid.coaching.kept import Kept as KeptSheets
from ctid.coaching.service import CoachingService
from ctid.coaching.service import Rules as CoachingRules
from ctid.config import Config, HttpConfig, PbxConfig
from ctid.config_law import NoZone, gate_of, law_warnings
from ctid.help.accounting import HandsAccount
from ctid.help.kept import Kept as KeptHands
from ctid.help.service import HelpService
from ctid.history.keeper import Keeper
from ctid.history.ledger import Ledger
from ctid.hosts import is_loopback
from ctid.hub import Hub
from ctid.identity.kept import IdentityUnavailable
from ctid.identity.oidc import Oidc
from ctid.identity.service import Identity
from ctid.model.errors import AuditUnavailable
from ctid.model.ids import AgentId, DeviceId, PbxId, QueueId, safe_id
from ctid.model.instant import Instant
from ctid.model.web import network_of
from ctid.ports import Clock, Driver, DriverFactory, SettingsError
from ctid.publish.mqtt import MqttPublisher
from ctid.rates import Rate
from ctid.reconcile import Reconciler
from ctid.sdnotify import Notifier
from ctid.state.profile import AgentProfile, Profiles, QueueProfile
from ctid.state.store import Store
from ctid.supervision.follower import Follower
from ctid.supervision.gate import Gate
from ctid.supervision.notices import Notices
from ctid.supervision.planning import Phone, Planner, Policy
from ctid.supervision.published import published
from ctid.supervision.recorder import Recorder
from ctid.supervision.service import SupervisionService
from ctid.supervision.turns import Turns
from ctid.tasks import TaskOwner
from ctid.toml_reader import nearest
from ctid.webhooks.accounting import LettersAccount
from ctid.webhooks.service import Webhooks

log = structlog.get_logger(__name__)

DRIVERS = "ctid.drivers"
"""The entry-point group in which drivers are found."""
STOP_S = 5.0
"""What each room may take to stop, in seconds; systemd kills what is left after its own time."""


class CannotStart(Exception):
    """The machine does not let ctid start: the text says what, and the cure."""


class RoomEnded(Exception):
    """A task that is to run for ever ended without an error; that is a defect."""


def find_driver(name: str) -> DriverFactory:
    """Load the driver of that name.

    Raises:
        SettingsError: there is none; the text names those there are.
    """
    found = {entry.name: entry for entry in entry_points(group=DRIVERS)}
    if name not in found:
        raise SettingsError("driver", f"there is no driver {name!r} installed; {nearest(name, found)}")
    factory: DriverFactory = found[name].load()
    return factory


def make_driver(pbx: PbxConfig) -> Driver:
    """Build the driver of a PBX; does no I/O.

    Raises:
        SettingsError: there is no such driver, or it does not accept its settings.
    """
    return find_driver(pbx.driver)(PbxId(pbx.id), pbx.settings)


def profiles(config: Config) -> Profiles:
    """What the state needs to know of people, queues and phones."""
    work = config.after_call_work
    lengths = {team.id: team.after_call_work_s for team in config.teams}
    return Profiles(
        agents={
            AgentId(agent.id): AgentProfile(
                name=agent.name,
                team=agent.team,
                after_call_work_s=lengths.get(agent.team, 0.0),
                pbx=PbxId(config.pbx[0].id) if config.pbx else None,
            )
            for agent in config.agents
        },
        queues={
            QueueId(queue.id): QueueProfile(name=queue.name, wrapup_s=queue.wrapup_s)
            for queue in config.queues
        },
        phones=frozenset(device for phone in config.phones for device in _devices(phone.address)),
        after_call_work_s=work.default_s,
        after_call_work_reason=work.reason if work.enforce else "",
    )


def agent_policy(config: Config) -> AgentPolicy:
    """What holds for commands to agents."""
    work = config.after_call_work
    return AgentPolicy(
        pbx=PbxId(config.pbx[0].id),
        placements={
            AgentId(agent.id): Placement(
                name=agent.name,
                team=agent.team,
                address=agent.address or None,
                queues=tuple([QueueId(queue) for queue in agent.queues]),
            )
            for agent in config.agents
        },
        pause_reasons=config.agent_rules.pause_reasons,
        work_reason=work.reason if work.enforce else "",
    )


def call_policy(config: Config) -> CallPolicy:
    """What holds for acts on calls."""
    calls, recording = config.calls, config.recording
    return CallPolicy(
        context=calls.context,
        prefixes=calls.allowed_prefixes,
        ring_s=calls.ring_s,
        sender=calls.message_from,
        queue_numbers={QueueId(queue.id): queue.number for queue in config.queues if queue.number},
        addresses={AgentId(agent.id): agent.address for agent in config.agents if agent.address},
        directory=recording.directory,
        format=recording.format,
    )


def _devices(address: str) -> Iterator[DeviceId]:
    """The ids under which a driver may know the phone at an address: with its technology, and without."""
    yield DeviceId(safe_id(address))
    yield DeviceId(safe_id(address.partition("/")[2] or address))


@contextmanager
def state_directory(path: Path) -> Iterator[None]:
    """Make the state directory if need be, closed to others, and hold it for this daemon alone.

    Two daemons with one configuration would take the broker's connection from each other, so the second
    one must notice before it does anything.

    Raises:
        CannotStart: it cannot be written, or another ctid holds it.
    """
    try:
        path.mkdir(mode=0o750, parents=True, exist_ok=True)
        lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
    except OSError as error:
        cure = f"make it writable for the user {_user()}, or set state_directory"
        raise CannotStart(f"the state directory {path} cannot be used ({error.strerror}); {cure}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            cure = "end that one, or set another state_directory and site"
            raise CannotStart(f"another ctid runs with the state directory {path}; {cure}") from error
        yield
    finally:
        os.close(lock)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


async def run(config: Config, *, clock: Clock | None = None, notifier: Notifier | None = None) -> None:
    """Run the daemon until SIGTERM or SIGINT, then stop the rooms in reverse order.

    Raises:
        CannotStart: the machine does not let it start: a taken port, a state directory it may not write.
        SettingsError: a driver does not accept its settings.
        Exception: a task died of it; it has been logged, and every room has been stopped.
    """
    rooms = _Rooms(config, clock or SystemClock(), [make_driver(pbx) for pbx in config.pbx])
    notifier = notifier or Notifier()
    until = asyncio.timeout(None)
    async with AsyncExitStack() as stack:
        stack.enter_context(state_directory(config.state_directory))
        stack.callback(log.info, "stopped")
        try:
            async with until:
                stack.enter_context(_on_signals(until))
                await rooms.start(stack, notifier)
                await rooms.tasks.wait_failed()
        except TimeoutError:
            if not until.expired():
                raise
        finally:
            notifier.send(STOPPING="1", STATUS="stopping")


@contextmanager
def _on_signals(until: asyncio.Timeout) -> Iterator[None]:
    """Let SIGTERM and SIGINT end a timeout scope; within it a second one changes nothing."""
    loop = asyncio.get_running_loop()

    def end(name: str) -> None:
        log.info("stopping", signal=name)
        if not until.expired():
            until.reschedule(loop.time())

    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, end, number.name)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


class _Rooms:
    """Everything that runs. Construction does no I/O; each room stops when the stack unwinds."""

    def __init__(self, config: Config, clock: Clock, drivers: Sequence[Driver]) -> None:
        self._config = config
        self._clock = clock
        self._drivers = drivers
        self.tasks = TaskOwner()
        self.hub = Hub(Store(profiles(config)), clock)
        self.boot_id = uuid.uuid4().hex

    async def start(self, stack: AsyncExitStack, notifier: Notifier) -> None:
        """Start the rooms in their order; raises `CannotStart`."""
        config, hub = self._config, self.hub
        pbxs = [PbxId(pbx.id) for pbx in config.pbx]
        required = [PbxId(pbx.id) for pbx in config.pbx if pbx.required]
        started_at = Instant(self._clock.now())
        _probe(config.http)
        log.info("starting", version=__version__, boot_id=self.boot_id, site=config.site)
        self._spawn(stack, "hub", hub.run)
        for driver in self._drivers:
            self._spawn(stack, f"link {driver.pbx}", partial(link.keep_linked, driver, hub, self._clock))
        audit = Audit(config.state_directory, self._clock)
        gate = await gate_from(config, audit)
        identity, oidc = await self._identity(stack, audit, gate)
        agents = self._agents(stack)
        publisher = self._publisher(stack, gate, audit)
        self._spawn(stack, "audit", audit.run)
        self._spawn(stack, "audit watch", Watch(hub, audit).run)
        supervisions, follower = self._supervisions(gate, audit, publisher, identity)
        self._spawn(stack, "supervision", follower.run)
        kept_hands, kept_sheets = KeptHands(config.state_directory), KeptSheets(config.state_directory)
        hands = HelpService(hub, supervisions, kept_hands, self._clock, config.help.expires_s)
        self._spawn(stack, "help", hands.run)
        grading = CoachingRules(grid=config.coaching.grid, edit_s=config.coaching.edit_hours * 3600)
        coaching = CoachingService(hub, kept_sheets, grading, gate.rights, self._clock)
        self._spawn(stack, "coaching", coaching.run)
        index = RecordingIndex(config.state_directory)
        recordings = Recordings(hub, index, config.retention.recordings_days)
        self._spawn(stack, "recordings", recordings.run)
        self._spawn(stack, "protection", Protector(hub).run)
        acts, rules = Acts(hub, self._clock, audited(audit)), call_policy(config)
        reconciler = Reconciler(hub, tuple(pbxs), config.reconcile.every_s, self._clock)
        for pbx in pbxs:
            self._spawn(stack, f"reconcile {pbx}", partial(reconciler.run, pbx))
        keeper = Keeper(hub, Ledger(config.state_directory), self._clock, config.history.keep_days)
        self._spawn(stack, "history", keeper.run)
        webhooks = self._webhooks(stack)
        accounts = (
            keeper,
            recordings,
            HandsAccount(kept_hands, config.retention.help_days),
            SheetsAccount(kept_sheets, config.retention.sheets_days),
            LettersAccount(webhooks, config.retention.webhooks_days),
        )
        days = AuditDays(audit, config.retention.audit_days)
        retention = Retention(audit, self._clock, (days, *accounts))
        self._spawn(stack, "retention", retention.run)
        subjects = Subjects(audit, self._clock, (AuditReader(audit), *accounts))
        context = ApiContext(
            hub=hub,
            supervisions=supervisions,
            agents=agents,
            calls=CallService(hub, acts, rules, recordings, self._clock),
            outreach=OutreachService(
                hub,
                acts,
                rules,
                self._clock,
                lambda: publisher is not None and publisher.status()["connected"] is True,
            ),
            reconciler=reconciler,
            history=keeper,
            audit=audit,
            retention=retention,
            subjects=subjects,
            hands=hands,
            coaching=coaching,
            identity=identity,
            oidc=oidc,
            webhooks=webhooks,
            gate=gate,
            clock=self._clock,
            version=__version__,
            boot_id=self.boot_id,
            site=config.site,
            started_at=started_at,
            broker_status=None if publisher is None else publisher.status,
            required=frozenset(required),
            listen=config.http.listen,
            web=_web(config.http, self._clock),
            limits=_limits(config.http),
        )
        now = asyncio.get_running_loop().time
        door = Door(context, now)
        if publisher is not None:
            publisher.serve(BusCarrier(door))
        await self._serve(stack, door)
        watch = partial(vitals.keep_notified, hub, notifier, pbxs, now, vitals.GRACE_S)
        self._spawn(stack, "vitals", watch)

    async def _serve(self, stack: AsyncExitStack, door: Door) -> None:
        """Listen; SIGHUP has the certificate read anew."""
        server, loop = ApiServer(door), asyncio.get_running_loop()
        stack.push_async_callback(server.close)
        with _listening(self._config.http):
            await server.start()
        self._spawn(stack, "api", server.wait_failed)
        loop.add_signal_handler(signal.SIGHUP, server.reload)
        stack.callback(loop.remove_signal_handler, signal.SIGHUP)

    def _agents(self, stack: AsyncExitStack) -> AgentService:
        commander, policy = Commander(self.hub), agent_policy(self._config)
        if policy.work_reason:
            enforcer = Enforcer(self.hub, commander, policy.work_reason, self._clock)
            self._spawn(stack, "after-call work", enforcer.run)
        return AgentService(self.hub, commander, policy, self._clock)

    async def _identity(
        self, stack: AsyncExitStack, audit: Audit, gate: Gate
    ) -> tuple[Identity, Oidc | None]:
        """Who may come in; raises `CannotStart`."""
        identity = identity_of(self._config, audit, gate, self._clock)
        stack.push_async_callback(identity.close)
        try:
            await identity.open()
        except IdentityUnavailable as error:
            raise CannotStart(error.detail) from error
        self._spawn(stack, "identity", identity.run)
        oidc = oidc_of(self._config, self._clock)
        if oidc is not None:
            stack.push_async_callback(oidc.close)
        return identity, oidc

    def _supervisions(
        self, gate: Gate, audit: Audit, publisher: MqttPublisher | None, identity: Identity
    ) -> tuple[SupervisionService, Follower]:
        config, rules = self._config, self._config.supervision
        phones = {
            phone.name: Phone(pbx=PbxId(phone.pbx), address=phone.address, pin=phone.pin)
            for phone in config.phones
        }
        policy = Policy(
            ring_s=rules.ring_s,
            phone_keys=rules.phone_keys,
            phone_keys_roles=frozenset(rules.phone_keys_roles),
            addresses={AgentId(agent.id): agent.address for agent in config.agents if agent.address},
        )
        recorder = Recorder(audit, self._clock)
        notices = Notices(
            self.hub,
            lambda: publisher is not None and bool(publisher.status()["connected"]),
            rules.notice_text,
            config.calls.message_from,
        )
        turns = Turns(self.hub.store)
        planner = Planner(self.hub, phones, policy, gate, turns, self._clock)
        service = SupervisionService(self.hub, planner, turns, policy, recorder, self._clock)
        follower = Follower(
            self.hub,
            service,
            planner,
            turns,
            recorder,
            gate,
            notices,
            lambda name: identity.directory.user(name, self._clock.now()),
            self._clock,
        )
        return service, follower

    def _publisher(self, stack: AsyncExitStack, gate: Gate, audit: Audit) -> MqttPublisher | None:
        config = self._config
        if config.mqtt is None:
            return None
        publisher = MqttPublisher(
            self.hub,
            config.mqtt,
            config.site,
            self.boot_id,
            config.state_directory,
            self._clock,
            standing={"periods": published(gate)},
        )
        self._spawn(stack, "publisher", publisher.run)
        audit.anchored = publisher.anchor
        return publisher

    def _webhooks(self, stack: AsyncExitStack) -> Webhooks:
        config = self._config
        try:
            webhooks = Webhooks(
                self.hub, config.webhooks, config.site, self.boot_id, config.state_directory, self._clock
            )
        except OSError as error:
            cure = "name a file of certificates (PEM) that ctid's user may read"
            raise CannotStart(f"a webhook's tls_ca cannot be used ({error}); {cure}") from error
        self._spawn(stack, "webhooks", webhooks.run)
        return webhooks

    def _spawn(self, stack: AsyncExitStack, name: str, room: Callable[[], Coroutine[Any, Any, None]]) -> None:
        stack.push_async_callback(_stop, self.tasks.spawn(name, _for_ever(name, room)))


def _limits(http: HttpConfig) -> Limits:
    """The API's bounds: its own, but for how often one may ask."""
    return Limits(
        commands=Rate(http.commands_per_s, http.commands_burst),
        reads=Rate(http.reads_per_s, http.reads_burst),
        failures=Rate(http.failures_per_s, http.failures_burst),
    )


def _web(http: HttpConfig, clock: Clock) -> Web:
    """How the listener meets the world; raises `CannotStart`."""
    certificate = None
    if http.tls_cert:
        try:
            certificate = Certificate(Path(http.tls_cert), Path(http.tls_key), clock)
        except BadCertificate as error:
            raise CannotStart(f"no TLS: {error}") from error
    in_clear = certificate is None and not is_loopback(http.host)
    if in_clear and http.allow_remote:
        cure = "set http.tls_cert and tls_key, or http.trusted_proxies and allow_remote = false"
        log.warning("tokens cross the network in clear", listen=http.listen, cure=cure)
    return Web(
        certificate=certificate,
        proxies=Proxies([network_of(text) for text in http.trusted_proxies]),
        origins=Origins(frozenset(http.cors_origins)),
        proxies_only=in_clear and not http.allow_remote,
    )


def _probe(http: HttpConfig) -> None:
    """See that the port is free before anything else is begun; raises `CannotStart`."""
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    with _listening(http), socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((http.host, http.port))
        sock.listen(1)


@contextmanager
def _listening(http: HttpConfig) -> Iterator[None]:
    """Tell an address that cannot be listened on as `CannotStart`, with the cure."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            cure = f"`ss -ltnp 'sport = :{http.port}'` names the owner; or set http.listen"
            raise CannotStart(f"another program listens on {http.listen}; {cure}") from error
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise CannotStart(f"cannot listen on {http.listen} ({reason}); set http.listen") from error


async def gate_from(config: Config, audit: Audit) -> Gate:
    """The gate, which has counted what the audit tells of; raises `CannotStart`."""
    try:
        gate = gate_of(config)
        gate.seed(await audit.steps())
    except (NoZone, AuditUnavailable) as error:
        raise CannotStart(str(error)) from error
    for warning in law_warnings(config):
        log.warning("configuration is doubtful", warning=warning)
    return gate


async def _for_ever(name: str, room: Callable[[], Coroutine[Any, Any, None]]) -> None:
    await room()
    raise RoomEnded(f"the task {name!r} ended, which it never should")


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end, within bounds; what it dies of while stopping is raised."""
    if task.done():
        return
    task.cancel()
    await asyncio.wait({task}, timeout=STOP_S)
    if not task.done():
        log.error("task does not stop", task=task.get_name(), waited_s=STOP_S)
    elif not task.cancelled():
        task.result()
