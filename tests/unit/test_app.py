import asyncio
import os
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import pytest
import structlog
from msgspec.structs import replace

from ctid import app, vitals
from ctid.agents.policy import Placement
from ctid.app import (
    CannotStart,
    RoomEnded,
    agent_policy,
    find_driver,
    make_driver,
    profiles,
    state_directory,
)
from ctid.audit import Audit, Entry
from ctid.cli import main
from ctid.cli.exits import Exit
from ctid.clock import SystemClock
from ctid.config import (
    AfterCallWorkConfig,
    AgentConfig,
    AgentRules,
    Config,
    HttpConfig,
    PbxConfig,
    PhoneConfig,
    QueueConfig,
    TeamConfig,
)
from ctid.model.capabilities import Capability
from ctid.model.commands import Command
from ctid.model.entities import Supervision
from ctid.model.errors import LinkError
from ctid.model.facts import Fact, LinkUp, Snapshot
from ctid.model.ids import AgentId, DeviceId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Purpose, SnapshotReason, SupervisionState
from ctid.ports import MemberName, Recollection, SettingsError
from ctid.sdnotify import Notifier
from ctid.state.profile import AgentProfile
from ctid.tasks import TaskOwner
from helpers.certificates import issue
from helpers.logging_setup import logging_restored


class FakeConnection:
    """A PBX with nothing on it."""

    capabilities = frozenset[Capability]()

    def __init__(self, pbx: PbxId, settings: Mapping[str, Any]) -> None:
        self._pbx = pbx
        self._settings = settings

    async def facts(self) -> AsyncIterator[Sequence[Fact]]:
        """A link and a snapshot, then silence, or what the settings ask for."""
        at = Instant(1.0)
        nothing = Snapshot(pbx=self._pbx, at=at, legs=(), members=(), queues=(), devices=(), supervisions=())
        yield [LinkUp(pbx=self._pbx, at=at, driver="fake", version="1"), nothing]
        if self._settings.get("dies"):
            raise ZeroDivisionError("a defect in the driver")
        await asyncio.get_running_loop().create_future()

    async def execute(self, command: Command) -> None:
        """Carry out nothing."""

    async def resync(self, reason: SnapshotReason) -> None:
        """Take no snapshot."""

    async def recall(self, since: Instant, remembered: Sequence[MemberName] = ()) -> Recollection:
        """Keep no log."""
        return Recollection(since=None, reason=f"a fake keeps no log of {since} and {len(remembered)} names")

    async def close(self) -> None:
        """Note the end."""
        FakeDriver.events.append(f"closed {self._pbx}")


class FakeDriver:
    """A driver without a PBX."""

    kind = "fake"
    events: ClassVar[list[str]] = []

    def __init__(self, pbx: PbxId, settings: Mapping[str, Any]) -> None:
        if "wrong" in settings:
            raise SettingsError("wrong", "must not be there")
        self.pbx = pbx
        self._settings = settings

    async def connect(self) -> FakeConnection:
        """Connect, unless the settings say that the PBX is away."""
        if self._settings.get("away"):
            raise LinkError("connection refused")
        return FakeConnection(self.pbx, self._settings)


class FakeEntry:
    """An entry point of the group of drivers."""

    name = "fake"

    @staticmethod
    def load() -> type[FakeDriver]:
        """Load the driver."""
        return FakeDriver


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    """Leave logging as it was found: the command sets it up."""
    with logging_restored():
        yield


@pytest.fixture(autouse=True)
def fake_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the fake driver installed, and no other."""
    FakeDriver.events.clear()
    monkeypatch.setattr(app, "entry_points", lambda group: [FakeEntry] if group == "ctid.drivers" else [])


@pytest.fixture
def port() -> int:
    """A free port."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        number: int = sock.getsockname()[1]
        return number


@pytest.fixture
def config(tmp_path: Path, port: int) -> Callable[..., Config]:
    """Make a configuration whose PBX has these settings."""

    def make(**settings: Any) -> Config:
        return Config(
            state_directory=tmp_path / "state",
            http=HttpConfig(listen=f"127.0.0.1:{port}"),
            pbx=(PbxConfig(id="main", driver="fake", settings=settings),),
        )

    return make


class Recorder(Notifier):
    """A service manager that keeps what it is told."""

    def __init__(self) -> None:
        super().__init__({})
        self.told: dict[str, str] = {}

    def send(self, **fields: str) -> None:
        """Keep the fields."""
        self.told.update(fields)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition, at most ten seconds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - the condition is another task's doing, without an event
            await asyncio.sleep(0.005)


async def get(port: int, path: str) -> tuple[int, str]:
    """GET a path of the daemon."""
    async with aiohttp.ClientSession() as http, http.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, await answer.text()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_life(config: Callable[..., Config], port: int, number: signal.Signals) -> None:
    """It starts, is ready with the first snapshot, answers, and a signal stops every room cleanly."""
    manager, owner = Recorder(), TaskOwner()
    daemon = owner.spawn("daemon", app.run(config(), notifier=manager))
    try:
        await until(lambda: "READY" in manager.told)
        assert manager.told["STATUS"].startswith("linked to main")
        assert (await get(port, "/readyz"))[0] == 200
        assert (await get(port, "/api/v1/status"))[0] == 401
        os.kill(os.getpid(), number)
        os.kill(os.getpid(), number)
        await asyncio.wait_for(daemon, 10)
    finally:
        await owner.close()
    assert manager.told["STOPPING"] == "1"
    assert FakeDriver.events == ["closed main"]
    with pytest.raises(aiohttp.ClientError):
        await get(port, "/healthz")


async def test_a_certificate(config: Callable[..., Config], tmp_path: Path, port: int) -> None:
    """With a certificate it speaks TLS, and SIGHUP has it show the one that stands there by then."""
    cert, key = issue(tmp_path, "ctid")
    made = config()
    speaking = replace(made, http=replace(made.http, tls_cert=str(cert), tls_key=str(key)))
    manager, owner = Recorder(), TaskOwner()
    daemon = owner.spawn("daemon", app.run(speaking, notifier=manager))

    async def healthy() -> bool:
        trusted = ssl.create_default_context(cafile=cert)
        try:
            async with (
                aiohttp.ClientSession() as http,
                http.get(f"https://127.0.0.1:{port}/healthz", ssl=trusted) as answer,
            ):
                return answer.status == 200
        except aiohttp.ClientConnectorCertificateError:
            return False

    try:
        await until(lambda: "READY" in manager.told)
        assert await healthy()
        issue(tmp_path, "ctid")
        assert not await healthy()
        os.kill(os.getpid(), signal.SIGHUP)
        async with asyncio.timeout(10):
            while not await healthy():  # noqa: ASYNC110 - the signal's handler tells nobody
                await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(daemon, 10)
    finally:
        await owner.close()


async def test_a_certificate_that_cannot_be_used(config: Callable[..., Config], tmp_path: Path) -> None:
    """It does not start without the TLS that it is to speak, and says what is wrong."""
    _, key = issue(tmp_path, "ctid")
    made = config()
    wrong = replace(made, http=replace(made.http, tls_cert=str(key), tls_key=str(key)))
    with pytest.raises(CannotStart, match=r"no TLS: .*ctid\.key .* cannot be used"):
        await app.run(wrong)


@pytest.mark.parametrize(
    ("fields", "only_proxies", "warned"),
    [
        ({"listen": "127.0.0.1:1"}, False, False),
        ({"listen": "0.0.0.0:1", "trusted_proxies": ("10.0.0.1",)}, True, False),
        ({"listen": "0.0.0.0:1", "allow_remote": True}, False, True),
    ],
)
def test_in_clear(
    fields: dict[str, Any],
    only_proxies: bool,  # noqa: FBT001 - a case's value
    warned: bool,  # noqa: FBT001 - the same
    capsys: pytest.CaptureFixture[str],
) -> None:
    """In clear, on an address that others reach, only proxies may ask; where all may, the log warns."""
    web = app._web(HttpConfig(**fields), SystemClock())
    assert (web.proxies_only, web.certificate) == (only_proxies, None)
    assert ("tokens cross the network in clear" in capsys.readouterr().out) is warned


async def test_pbx_away(config: Callable[..., Config], port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """With its PBX away it starts all the same, is ready after the grace, and says who is missing."""
    monkeypatch.setattr(vitals, "GRACE_S", 0.2)
    manager, owner = Recorder(), TaskOwner()
    daemon = owner.spawn("daemon", app.run(config(away=True), notifier=manager))
    try:
        await until(lambda: "READY" in manager.told and "refused" in manager.told.get("STATUS", ""))
        assert "no link to main (connection refused)" in manager.told["STATUS"]
        assert (await get(port, "/healthz"))[0] == 200
        assert (await get(port, "/readyz"))[0] == 503
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(daemon, 10)
    finally:
        await owner.close()


async def test_task_dies(config: Callable[..., Config], port: int) -> None:
    """A task that dies ends the daemon with its exception, after every room was stopped."""
    manager = Recorder()
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(app.run(config(dies=True), notifier=manager), 10)
    assert manager.told["STOPPING"] == "1"
    assert FakeDriver.events == ["closed main"]
    with pytest.raises(aiohttp.ClientError):
        await get(port, "/healthz")


async def test_room_that_ends() -> None:
    """A task that should run for ever and ends is a defect that ends the daemon."""

    async def short() -> None:
        await asyncio.sleep(0)

    with pytest.raises(RoomEnded, match="'short'"):
        await app._for_ever("short", short)


async def test_task_that_does_not_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A task that will not stop holds the daemon up for a bounded time, and is named in the log."""
    monkeypatch.setattr(app, "STOP_S", 0.05)
    release, owner = asyncio.Event(), TaskOwner()

    async def stubborn() -> None:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue

    task = owner.spawn("stubborn", stubborn())
    await asyncio.sleep(0)
    with structlog.testing.capture_logs() as logs:
        await asyncio.wait_for(app._stop(task), 10)
    assert [(entry["event"], entry["task"]) for entry in logs] == [("task does not stop", "stubborn")]
    release.set()
    await asyncio.wait_for(task, 10)


async def test_address_not_ours(tmp_path: Path) -> None:
    """An address that this machine does not have ends the start, and is named."""
    config = Config(state_directory=tmp_path, http=HttpConfig(listen="192.0.2.1:80"), pbx=())
    with pytest.raises(
        CannotStart, match=r"cannot listen on 192.0.2.1:80 \(Cannot assign requested address\)"
    ):
        await app.run(config, notifier=Recorder())


async def test_port_taken(config: Callable[..., Config], port: int) -> None:
    """A port that another program has ends the start, with the address and how to find the owner."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        with pytest.raises(
            CannotStart, match=f"another program listens on 127.0.0.1:{port}; .*sport = :{port}"
        ):
            await asyncio.wait_for(app.run(config(), notifier=Recorder()), 10)
    assert FakeDriver.events == [], "nothing is begun before the port is known to be free"


def test_state_directory(tmp_path: Path) -> None:
    """The state directory is made, closed to others; one that cannot be used is told with the cure."""
    with state_directory(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o027 == 0
    (tmp_path / "file").write_text("")
    told = r"file/x cannot be used \(Not a directory\); make it writable for"
    with pytest.raises(CannotStart, match=told), state_directory(tmp_path / "file" / "x"):
        pass


def test_second_daemon(tmp_path: Path) -> None:
    """A second ctid with the same state directory does not start; after the first's end it does."""
    with state_directory(tmp_path):
        told = f"another ctid runs with the state directory {tmp_path}; end that one"
        with pytest.raises(CannotStart, match=told), state_directory(tmp_path):
            pass
    with state_directory(tmp_path):
        assert (tmp_path / "lock").exists()


def test_drivers() -> None:
    """A driver is found by its name; one that is not there, or wrong settings, are told by their key."""
    found: object = find_driver("fake")
    assert found is FakeDriver
    assert make_driver(PbxConfig(id="main", driver="fake")).pbx == "main"
    with pytest.raises(
        SettingsError, match="driver: there is no driver 'fakke' installed; did you mean 'fake'"
    ):
        find_driver("fakke")
    with pytest.raises(SettingsError, match="wrong: must not be there"):
        make_driver(PbxConfig(id="main", driver="fake", settings={"wrong": 1}))


def test_profiles() -> None:
    """Names, teams and after-call work reach the state, and a supervisor's phone by any form of its id."""
    config = Config(
        pbx=(),
        agents=(AgentConfig(id="1001", name="Alice", team="blue"), AgentConfig(id="1002")),
        teams=(TeamConfig(id="blue", after_call_work_s=20),),
        queues=(QueueConfig(id="q", name="Queue", wrapup_s=5),),
        phones=(PhoneConfig(name="desk", pbx="main", address="PJSIP/2001"),),
        after_call_work=AfterCallWorkConfig(default_s=7),
    )
    found = profiles(config)
    assert found.agents[AgentId("1001")] == AgentProfile(name="Alice", team="blue", after_call_work_s=20)
    assert found.agents[AgentId("1002")].after_call_work_s == 0
    assert found.queues[QueueId("q")].wrapup_s == 5
    assert DeviceId("2001") in found.phones
    assert (found.after_call_work_s, found.after_call_work_reason) == (7, "")
    enforced = replace(config, after_call_work=AfterCallWorkConfig(enforce=True))
    assert profiles(enforced).after_call_work_reason == "after_call_work"


def test_agent_policy() -> None:
    """Who can be logged in where, the reasons of pauses, and ctid's own where the work is enforced."""
    config = Config(
        pbx=(PbxConfig(id="main", driver="fake"),),
        agents=(
            AgentConfig(id="1001", name="Alice", address="PJSIP/1001", queues=("q",)),
            AgentConfig(id="2"),
        ),
        agent_rules=AgentRules(pause_reasons=("lunch",)),
    )
    found = agent_policy(config)
    assert (found.pbx, found.pause_reasons, found.work_reason) == ("main", ("lunch",), "")
    assert found.placements == {
        "1001": Placement(name="Alice", address="PJSIP/1001", queues=(QueueId("q"),)),
        "2": Placement(),
    }
    enforced = replace(config, after_call_work=AfterCallWorkConfig(enforce=True))
    assert agent_policy(enforced).work_reason == "after_call_work"


async def test_after_call_work_is_enforced(config: Callable[..., Config]) -> None:
    """Where the configuration asks for it, the enforcer runs among the rooms."""
    manager, owner = Recorder(), TaskOwner()
    enforced = replace(config(), after_call_work=AfterCallWorkConfig(enforce=True))
    daemon = owner.spawn("daemon", app.run(enforced, notifier=manager))
    try:
        await until(lambda: "READY" in manager.told)
        assert "after-call work" in {task.get_name() for task in asyncio.all_tasks()}
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(daemon, 10)
    finally:
        await owner.close()


@pytest.mark.parametrize(
    ("settings", "code", "told"),
    [
        ("dies = true", Exit.INTERNAL, "ZeroDivisionError"),
        ("wrong = 1", Exit.CONFIG, "pbx[0].wrong: must not be there"),
    ],
)
def test_exit_codes(
    tmp_path: Path, port: int, capsys: pytest.CaptureFixture[str], settings: str, code: Exit, told: str
) -> None:
    """`ctid run` ends with 70 and a traceback when a task died, and with 3 for settings a driver refuses."""
    file = tmp_path / "ctid.toml"
    file.write_text(
        f'state_directory = "{tmp_path}/state"\n[http]\nlisten = "127.0.0.1:{port}"\n'
        f'[[pbx]]\nid = "main"\ndriver = "fake"\n{settings}\n'
    )
    assert main(["run", "--config", str(file)]) == code
    assert told in capsys.readouterr().err


def test_cannot_start(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`ctid run` ends with 6 when the machine does not let it start."""
    (tmp_path / "state").write_text("")
    file = tmp_path / "ctid.toml"
    file.write_text(f'state_directory = "{tmp_path}/state"\n[[pbx]]\nid = "main"\ndriver = "fake"\n')
    assert main(["run", "--config", str(file)]) == Exit.CANNOT_START
    assert f"{tmp_path}/state cannot be used" in capsys.readouterr().err


async def test_the_gate_counts_what_the_audit_tells(tmp_path: Path) -> None:
    """Before anything is asked of it; what is doubtful in the configuration is logged."""
    began = Supervision(
        id=SupervisionId("s1"),
        pbx=PbxId("main"),
        state=SupervisionState.ACTIVE,
        mode=Mode.LISTEN,
        since=Instant(100),
        started_at=Instant(100),
        supervisor="anna",
        phone="desk",
        agent=AgentId("1001"),
        call=None,
        purpose=Purpose.QUALITY,
    )
    audit = Audit(tmp_path)
    await audit.write(Entry(at=Instant(100), event="active", supervision=began))
    with structlog.testing.capture_logs() as logs:
        gate = await app.gate_from(Config(pbx=()), audit)
    day = gate.calendar.day(Instant(200))
    assert gate.tally.sessions(AgentId("1001"), day, Instant(200)) == 1
    assert "there is no [[period]]" in logs[-1]["warning"]


async def test_without_the_audit_and_without_its_zone_it_does_not_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was listened to would be forgotten, and no period could be kept."""
    audit = Audit(tmp_path)
    audit.path.write_text("no folder")
    with pytest.raises(CannotStart, match=r"the audit at .*/audit cannot be written \(File exists\)"):
        await app.gate_from(Config(pbx=()), audit)
    monkeypatch.setenv("TZ", "No/Where")
    with pytest.raises(CannotStart, match="time zone No/Where of this machine is not known"):
        await app.gate_from(Config(pbx=()), audit)
