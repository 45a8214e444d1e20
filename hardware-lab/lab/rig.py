"""One rig: Asterisk, the broker, and what else is plugged in, from start to end."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from lab import config, processes
from lab.errors import LabError, StartError
from lab.ports import Ports, free_ports, require_free
from lab.processes import Identity
from lab.root import Root, ensure_root

READY_SECONDS = 20.0
STATE_FILE = "rig.json"
TEMPORARY = "ctid-lab-"


class Service(msgspec.Struct, frozen=True):
    """A program of the rig: how it is started and how one sees that it is ready.

    `ready` is polled; it must not block for long and must not raise while the program is starting.
    """

    name: str
    argv: list[str]
    ready: Callable[[], bool]
    environment: Mapping[str, str] = {}
    log: str = ""
    """The file, below the log folder, whose tail explains a failed start; default: `<name>.out`."""


class RigState(msgspec.Struct):
    """What is kept on disk about a rig that runs, so that another process can end it."""

    ports: Ports
    options: config.RigOptions
    processes: dict[str, Identity] = {}
    owner: Identity | None = None
    """The test runner, without whom nobody wants the rig; None for a rig that outlives its starter."""


def answers(port: int) -> bool:
    """Whether something accepts TCP connections on 127.0.0.1:`port`."""
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Rig:
    """A rig below the folder `base`, on `ports`.

    `leashed`: its programs die with the thread that starts them (for tests); else they outlive the caller.
    `services` are made once Asterisk and the broker are ready, and started one after the other.
    """

    def __init__(
        self,
        base: Path,
        ports: Ports,
        options: config.RigOptions | None = None,
        *,
        leashed: bool = False,
        services: tuple[Callable[["Rig"], Service], ...] = (),
    ) -> None:
        self.base = base
        self.ports = ports
        self.options = options or config.RigOptions()
        self.paths = config.RigPaths(base)
        self._leashed = leashed
        self._makers = services
        self._root: Root | None = None
        self._services: dict[str, Service] = {}
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._state = RigState(ports, self.options)
        self._temporary = False

    @classmethod
    def for_tests(
        cls,
        *,
        direct_media: bool = False,
        persist: bool = False,
        suite: str | None = None,
        scenarios: bool = False,
        ari: bool = True,
        services: tuple[Callable[["Rig"], Service], ...] = (),
    ) -> Self:
        """A rig on free ports in a temporary folder, which dies with the calling thread."""
        options = config.RigOptions(
            direct_media=direct_media, persist=persist, suite=suite, scenarios=scenarios, ari=ari
        )
        _sweep()
        base = Path(tempfile.mkdtemp(prefix=TEMPORARY))
        rig = cls(base, free_ports(), options, leashed=True, services=services)
        rig._temporary = True
        rig._state.owner = processes.identify(os.getpid())
        return rig

    @classmethod
    def attach(cls, base: Path) -> Self | None:
        """The rig that another process started below `base`, to look at or to stop, or None."""
        state = load_state(base)
        if state is None:
            return None
        rig = cls(base, state.ports, state.options)
        rig._state = state
        return rig

    @property
    def root(self) -> Root:
        """The root that the programs run from; built or fetched from the cache at the first use.

        `CTID_LAB_SUITE` names the suite of every rig whose options name none.
        """
        if self._root is None:
            self._root = ensure_root(self.options.suite or os.environ.get("CTID_LAB_SUITE") or None)
        return self._root

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Write the configuration, start everything, return when all of it is ready.

        Raises `PortTakenError`, `RootError`, or `StartError` with the tail of the log; then nothing is left
        running.
        """
        require_free(self.ports)
        config.write(self.root, self.paths, self.ports, self.options)
        try:
            self._launch([self._asterisk(), self._broker()])
            for make in self._makers:
                self._launch([make(self)])
        except BaseException:
            self.stop()
            raise

    def _asterisk(self) -> Service:
        return Service(
            name="asterisk",
            argv=[*self.root.command("asterisk"), "-f", "-C", str(self.paths.asterisk_conf)],
            ready=self._asterisk_ready,
            environment=self.root.environment(),
            log="full",
        )

    def _broker(self) -> Service:
        return Service(
            name="mosquitto",
            argv=[*self.root.command("mosquitto"), "-c", str(self.paths.broker_conf)],
            ready=lambda: answers(self.ports.mqtt),
        )

    def _asterisk_ready(self) -> bool:
        # The console's socket is there before the modules are; the two TCP ports come with them.
        if (
            not (self.paths.run / "asterisk.ctl").exists()
            or not answers(self.ports.ami)
            or (self.options.ari and not answers(self.ports.ari))
        ):
            return False
        return "fully booted" in self._console("core waitfullybooted").stdout

    def _launch(self, services: list[Service]) -> None:
        for service in services:
            child, identity = processes.start(
                service.argv,
                base=self.base,
                log=self.paths.log / f"{service.name}.out",
                environment=service.environment,
                leashed=self._leashed,
            )
            self._services[service.name] = service
            self._children[service.name] = child
            self._state.processes[service.name] = identity
            self._save()
        for service in services:
            self._await_ready(service)

    def _await_ready(self, service: Service) -> None:
        child = self._children[service.name]
        processes.wait_until(lambda: child.poll() is not None or service.ready(), READY_SECONDS)
        if child.poll() is None and service.ready():
            return
        fate = "was not ready in time" if child.returncode is None else f"ended with {child.returncode}"
        logs = [self.paths.log / f"{service.name}.out"]
        if service.log:
            logs.append(self.paths.log / service.log)
        told = "\n".join(f"{log}:\n{processes.tail(log)}" for log in logs)
        raise StartError(f"{service.name} {fate}.\n{told}")

    def _save(self) -> None:
        path = self.base / STATE_FILE
        fresh = path.with_suffix(".new")
        fresh.write_bytes(msgspec.json.format(msgspec.json.encode(self._state)))
        fresh.replace(path)

    def stop(self) -> None:
        """End every program of the rig and remove a temporary folder; idempotent.

        A test rig's folder is kept where `CTID_LAB_KEEP` is set, for its logs.
        """
        known = list(self._state.processes.values())
        processes.end(self.base, known)
        for child in self._children.values():
            child.wait(timeout=1)
        # Init reaps those of another starter: a moment's patience, and no list of processes shows them.
        processes.wait_until(lambda: not any(processes.read_stat(identity.pid) for identity in known), 2.0)
        self._children.clear()
        self._services.clear()
        self._state.processes.clear()
        (self.base / STATE_FILE).unlink(missing_ok=True)
        if self._temporary and not os.environ.get("CTID_LAB_KEEP"):
            shutil.rmtree(self.base, ignore_errors=True)

    def identity(self, name: str) -> Identity:
        """The process of a program of the rig. Raises `LabError` for an unknown name."""
        if name not in self._state.processes:
            raise LabError(f"the rig has no program {name}; it has {', '.join(self._state.processes)}")
        return self._state.processes[name]

    def is_alive(self, name: str) -> bool:
        """Whether a program of the rig runs."""
        child = self._children.get(name)
        if child is not None:
            return child.poll() is None  # which also takes leave of a dead child
        return processes.is_alive(self.identity(name))

    def is_whole(self) -> bool:
        """Whether every program of the rig runs."""
        return bool(self._state.processes) and all(self.is_alive(name) for name in self._state.processes)

    def kill(self, name: str) -> None:
        """End a program of the rig with SIGKILL, with all that it started, and return when it is gone."""
        identity = self.identity(name)
        for member in processes.session_members(identity):
            processes.signal_process(member, signal.SIGKILL)
        if not self.wait(lambda: not self.is_alive(name), 5.0):
            raise LabError(f"{name} (pid {identity.pid}) outlived SIGKILL")

    def restart(self, name: str) -> None:
        """End a program of the rig, if it runs, and start it again as it was; returns when it is ready."""
        if name not in self._services:
            raise LabError(f"{name} was started by another process, which alone can restart it")
        identity = self.identity(name)
        processes.signal_process(identity, signal.SIGTERM)
        if not self.wait(lambda: not self.is_alive(name), processes.TERM_SECONDS):
            self.kill(name)
        self._launch([self._services[name]])

    def kill_asterisk(self) -> None:
        """Kill Asterisk as a crash would (SIGKILL)."""
        self.kill("asterisk")

    def restart_asterisk(self) -> None:
        """Start Asterisk again with the same configuration and database; if it runs it is ended first."""
        self.restart("asterisk")

    def _console(self, command: str) -> subprocess.CompletedProcess[str]:
        argv = [*self.root.command("asterisk"), "-C", str(self.paths.asterisk_conf), "-rx", command]
        return subprocess.run(argv, capture_output=True, text=True, timeout=15, check=False)

    def asterisk_cli(self, command: str) -> str:
        """What Asterisk's console prints for `command`; takes 20 ms. Raises `LabError` without an answer."""
        ended = self._console(command)
        if ended.returncode != 0:
            raise LabError(
                f"asterisk -rx {command!r} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
            )
        return ended.stdout

    def channels(self) -> list[list[str]]:
        """The channels that Asterisk has now: one list of fields each, the channel's name first.

        Fields as `core show channels concise` has them: name, context, extension, priority, state,
        application, data, caller number, account, peer account, AMA flags, duration in s, bridge id,
        unique id.
        """
        lines = self.asterisk_cli("core show channels concise").splitlines()
        return [line.split("!") for line in lines if "!" in line]

    def wait(self, condition: Callable[[], bool], seconds: float = 5.0) -> bool:
        """Poll `condition` (blocking) until it holds: True; or `seconds` have passed: False."""
        return processes.wait_until(condition, seconds)

    def table(self) -> str:
        """What runs where, a line each."""
        ports = self.ports
        places = {
            "asterisk": f"on 127.0.0.1: SIP {ports.sip}/udp, AMI {ports.ami}, ARI {ports.ari}",
            "mosquitto": f"mqtt://127.0.0.1:{ports.mqtt}",
            "ctid": f"http://127.0.0.1:{ports.http}",
        }
        lines = []
        for name, identity in self._state.processes.items():
            fate = "pid" if self.is_alive(name) else "dead, was"
            lines.append(f"{name:<10} {fate} {identity.pid:<8} {places.get(name, '')}".rstrip())
        return "\n".join(lines)


def load_state(base: Path) -> RigState | None:
    """The state of the rig below `base`, or None where none was started.

    Raises `LabError` for a file that is none of this lab's making.
    """
    path = base / STATE_FILE
    if not path.exists():
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=RigState)
    except msgspec.MsgspecError as error:
        raise LabError(f"{path} is not a rig's state ({error}): remove it and try again") from error


def _sweep() -> None:
    """Remove the folders, and end what may still run, of test rigs whose test runner was killed."""
    for path in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*/{STATE_FILE}"):
        state = load_state(path.parent)
        if state is not None and state.owner is not None and not processes.is_alive(state.owner):
            processes.end(path.parent, list(state.processes.values()))
            shutil.rmtree(path.parent)
