"""Every message that is documented is seen on a broker: in the suites, or here if only a fault shows it."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from ctid.audit import Anchor
from ctid.model.facts import DeviceInfo, LinkUp, QueueInfo, Snapshot
from ctid.model.ids import DeviceId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, SnapshotReason
from ctid.state import store
from e2e import bus
from e2e.test_mqtt import PBX, Broker, Floor, member
from helpers.patience import until

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


def test_every_documented_message_was_seen() -> None:
    """In a session that ran all the suites, nothing is documented as told that nobody ever saw."""
    lacking = sorted((bus.SUITES - bus.SESSION.ran) | (bus.SUITES & bus.SESSION.partial))
    if lacking:
        pytest.skip(f"only a session with the whole of these can tell: {', '.join(lacking)}")
    told = {name for name in bus.SESSION.rules.documented if not name.startswith(("command.", "reply."))}
    unseen = sorted(told - bus.SESSION.seen.keys())
    assert not unseen, "\n".join(["documented, and never seen:", *unseen])
