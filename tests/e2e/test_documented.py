"""Every message that is documented is seen on a broker: in the suites, or here if only a fault shows it."""

import asyncio
import json
import signal
from collections.abc import Iterator
from pathlib import Path

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from ctid.api import asyncapi
from ctid.api.operations import OPERATIONS
from ctid.audit import Anchor
from ctid.model.facts import DeviceInfo, LinkUp, QueueInfo, Snapshot
from ctid.model.ids import DeviceId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, SnapshotReason
from ctid.state import store
from e2e import bus
from e2e.publishing import PBX, Broker, Floor, member
from helpers.patience import until
from lab import daemon
from lab.rig import Rig

pytestmark = pytest.mark.lab

PHONE = DeviceInfo(id=DeviceId("PJSIP_9"), state=DeviceState.IDLE)
PULLED = QueueInfo(id=QueueId("pulled"))


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """A broker that forgets everything when it ends."""
    running = Broker(tmp_path)
    running.start()
    yield running
    running.kill()


async def seen(*names: str) -> None:
    """Wait until events of these types were seen, each as it is documented."""
    faults: list[str] = []

    def all_of_them() -> bool:
        faults.extend(bus.SESSION.check())
        return bool(faults) or all(f"events.{name}" in bus.SESSION.seen for name in names)

    await until(all_of_them, within=10.0, what=f"{names} are seen")
    assert not faults, "\n".join(faults)


async def test_what_a_pbx_has_no_more(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is gone when the link is new is told as gone; what a later list does not bear out, as drift."""
    monkeypatch.setattr(store, "AGENTS_KEPT", 0)
    async with bus.watching(broker.port, tmp_path), Floor(broker, tmp_path) as floor:
        at = Instant(floor.clock.now())
        for agents, queues, devices in ((("1001", "1002"), (PULLED,), (PHONE,)), (("1001",), (), ())):
            snapshot = Snapshot(
                pbx=PBX,
                at=at,
                legs=(),
                members=tuple([member(agent) for agent in agents]),
                queues=queues,
                devices=devices,
                supervisions=(),
            )
            await floor.feed(LinkUp(pbx=PBX, at=at, driver="test", version="1"), snapshot)
        await seen("agent.removed", "device.removed", "queue.removed")
        drifted = Snapshot(
            pbx=PBX,
            at=at,
            reason=SnapshotReason.TIMER,
            legs=(),
            members=(member("1001", paused=True),),
            queues=(),
            devices=(),
            supervisions=(),
        )
        await floor.feed(drifted)
        await seen("state.drifted")


async def test_what_was_not_kept(broker: Broker, tmp_path: Path) -> None:
    """Events that are dropped for a broker that takes none are counted, and told once it does."""
    async with bus.watching(broker.port, tmp_path), Floor(broker, tmp_path) as floor:
        await floor.open("1001")
        await floor.settled()
        floor.publisher._backlog._in_memory = floor.publisher._backlog._on_disk = 5
        broker.send(signal.SIGSTOP)
        try:
            for number in range(200):
                await floor.pause("1001", f"reason {number}")
            await until(lambda: floor.status["dropped"] > 0, what="events are dropped")
        finally:
            broker.send(signal.SIGCONT)
        await seen("publisher.dropped")


async def test_where_the_audit_ended(broker: Broker, tmp_path: Path) -> None:
    """It is told as an event, and retained."""
    async with bus.watching(broker.port, tmp_path), Floor(broker, tmp_path) as floor:
        await floor.open("1001")
        floor.publisher.anchor(Anchor(record=7, hash="ab", at=Instant(floor.clock.now())))
        await seen("audit.anchored")
        assert "audit" in bus.SESSION.seen


@pytest.fixture(scope="module")
def commanded_rig() -> Iterator[Rig]:
    """A rig whose daemon takes commands by MQTT."""
    with Rig.for_tests(services=(bus.watcher, daemon.maker(ring_s=2.0, commands=True))) as running:
        yield running


async def test_each_command_is_answered(commanded_rig: Rig) -> None:
    """To whoever asks as in the documented example; its answer is of the documented form."""
    client = "lab-supervisor"
    messages = asyncapi.document("")["components"]["messages"]
    broker = aiomqtt.Client("127.0.0.1", commanded_rig.ports.mqtt, protocol=aiomqtt.ProtocolVersion.V5)
    async with broker as asking:
        await asking.subscribe(f"ctid/lab/reply/{client}/#", qos=1)
        for name in OPERATIONS:
            (example,) = messages[f"command.{name}"]["examples"]
            told = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho has no types here
            answered_at = f"ctid/lab/reply/{client}/{name}"
            setattr(told, "ResponseTopic", answered_at)  # noqa: B010 - paho knows it at run time alone
            payload = json.dumps(example["payload"])
            await asking.publish(f"ctid/lab/command/{client}/{name}", payload, qos=1, properties=told)
            async with asyncio.timeout(20):
                reply = await anext(aiter(asking.messages))
            assert reply.topic.value == answered_at
            problem = json.loads(bytes(reply.payload)).get("problem", {})
            # Good examples may be refused here, where no such call is; none may be unheard of, or break ctid.
            assert problem.get("code") not in ("request.operation_unknown", "internal"), problem
    faults: list[str] = []

    def all_of_them() -> bool:
        faults.extend(bus.SESSION.check())
        names = [f"{way}.{name}" for way in ("command", "reply") for name in OPERATIONS]
        return bool(faults) or all(name in bus.SESSION.seen for name in names)

    await until(all_of_them, within=10.0, what="every command and every answer is seen")
    assert not faults, "\n".join(faults)


def test_every_documented_message_was_seen() -> None:
    """In a session that ran all the suites, no message is documented that nobody ever saw."""
    lacking = sorted((bus.SUITES - bus.SESSION.ran) | (bus.SUITES & bus.SESSION.partial))
    if lacking:
        pytest.skip(f"only a session with the whole of these can tell: {', '.join(lacking)}")
    unseen = sorted(bus.SESSION.rules.documented - bus.SESSION.seen.keys())
    assert not unseen, "\n".join(["documented, and never seen:", *unseen])
