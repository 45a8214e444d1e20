"""A publisher in a process of its own, for a test to kill: `URL STATE_DIRECTORY BOOT_ID [AGENT ...]`."""

import asyncio
import sys
from pathlib import Path

from ctid.clock import SystemClock
from ctid.config import MqttConfig
from ctid.hub import Hub
from ctid.model.facts import LinkUp, Member, Snapshot
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState
from ctid.publish.mqtt import MqttPublisher
from ctid.state.store import Store
from ctid.tasks import TaskOwner

PBX = PbxId("pbx1")


async def main(url: str, state: Path, boot_id: str, agents: list[str]) -> None:
    """Publish a floor with these agents, until killed."""
    clock = SystemClock()
    hub = Hub(Store(), clock)
    publisher = MqttPublisher(hub, MqttConfig(url=url), "lab", boot_id, state, clock)
    owner = TaskOwner()
    owner.spawn("hub", hub.run())
    owner.spawn("publisher", publisher.run())
    at = Instant(clock.now())
    members = tuple(
        Member(queue=QueueId("support"), agent=AgentId(agent), name=agent, device_state=DeviceState.IDLE)
        for agent in agents
    )
    await hub.feed(
        [
            LinkUp(pbx=PBX, at=at, driver="test", version="1"),
            Snapshot(pbx=PBX, at=at, legs=(), members=members, queues=(), devices=(), supervisions=()),
        ]
    )
    await owner.wait_failed()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:]))
