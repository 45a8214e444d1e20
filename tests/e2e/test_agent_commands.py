"""Commands to agents on a real Asterisk: what its own console says after each."""

from collections.abc import AsyncIterator

import pytest

from ctid.model.commands import LogInAgent, LogOutAgent, PauseAgent, ResumeAgent
from ctid.model.errors import PbxRefused
from ctid.model.ids import AgentId, PbxId, QueueId
from ctid.model.words import SnapshotReason
from ctid_asterisk.driver import AsteriskConnection, AsteriskDriver
from helpers.patience import until
from lab.rig import Rig

pytestmark = pytest.mark.lab

GRACE, CHLOE = AgentId("1007"), AgentId("1003")
SUPPORT, SALES, DESK = QueueId("support"), QueueId("sales"), QueueId("desk")


@pytest.fixture
async def connection(rig: Rig) -> AsyncIterator[AsteriskConnection]:
    """A connection by the shipped AMI user."""
    settings = {"port": rig.ports.ami, "username": "ctid", "secret": "ctid-lab"}
    made = await AsteriskDriver(PbxId("lab"), settings).connect()
    yield made
    await made.close()


def member(rig: Rig, queue: str, interface: str) -> str:
    """What Asterisk's console says of a member; empty when she is none."""
    lines = rig.asterisk_cli(f"queue show {queue}").splitlines()
    return next((line for line in lines if interface in line), "")


async def test_in_and_out_of_a_queue(rig: Rig, connection: AsteriskConnection) -> None:
    """By the interface that she has in another queue, twice each, and paused with a reason."""
    local = "Local/1007@from-queue/n"
    login = LogInAgent(agent=GRACE, queue=SALES, name="Grace Laurent", penalty=2, paused=True, reason="late")
    for _ in range(2):
        await connection.execute(login)
        shown = member(rig, "sales", local)
        assert "(dynamic)" in shown
        assert "penalty 2" in shown
        assert "paused:late" in shown
        assert "1007@ext-local" in shown, "the hint is the state interface"
    key = ("sales", local)
    await until(lambda: key in connection._resync.state.members.by_key)
    await connection.execute(ResumeAgent(agent=GRACE, queue=SALES))
    await until(lambda: "paused" not in member(rig, "sales", local))
    for _ in range(2):
        await connection.execute(LogOutAgent(agent=GRACE, queue=SALES))
        assert member(rig, "sales", local) == ""
        await connection.resync(SnapshotReason.REQUEST)
    await connection.execute(LogInAgent(agent=GRACE, queue=SALES))
    assert "penalty 2" in member(rig, "sales", local), "hers of before"
    await connection.execute(LogOutAgent(agent=GRACE, queue=SALES))


async def test_pauses(rig: Rig, connection: AsteriskConnection) -> None:
    """With a reason, with another one, and over; in the one queue only."""
    for reason in ("lunch", "training", "training"):
        await connection.execute(PauseAgent(agent=CHLOE, queue=SUPPORT, reason=reason))
        assert f"paused:{reason}" in member(rig, "support", "PJSIP/1003")
    assert "paused" not in member(rig, "sales", "PJSIP/1003")
    await connection.execute(ResumeAgent(agent=CHLOE, queue=SUPPORT))
    await until(lambda: "paused" not in member(rig, "support", "PJSIP/1003"))


async def test_what_is_refused(rig: Rig, connection: AsteriskConnection) -> None:
    """A static member, a queue or a member that is not there, a reason that would break the queue log."""
    with pytest.raises(PbxRefused, match="static member"):
        await connection.execute(LogOutAgent(agent=CHLOE, queue=SUPPORT))
    with pytest.raises(PbxRefused, match="no queue"):
        await connection.execute(LogInAgent(agent=CHLOE, queue=QueueId("nowhere")))
    with pytest.raises(PbxRefused, match="no member"):
        await connection.execute(PauseAgent(agent=CHLOE, queue=DESK, reason="x"))
    for reason in ("a|b", "a\r\nAction: Ping", "x" * 80):
        with pytest.raises(PbxRefused, match="cannot be said"):
            await connection.execute(PauseAgent(agent=CHLOE, queue=SUPPORT, reason=reason))
    assert "paused" not in member(rig, "support", "PJSIP/1003")
