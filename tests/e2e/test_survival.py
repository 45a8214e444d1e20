"""What survives: Asterisk killed and restarted in a call, ctid killed in a session; then the truth again."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator

import pytest

from e2e import bus
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.api_client import Api
from helpers.desk import read_audit
from helpers.patience import until
from lab import daemon
from lab.rig import Rig

pytestmark = pytest.mark.lab

SUP = "2001"
BACK_S = 2.0
"""After the PBX is back, by then the state is the PBX's own again."""


@pytest.fixture(scope="module")
def mortal_rig() -> Iterator[Rig]:
    """A rig of this module's own: its programs are killed."""
    with Rig.for_tests(
        services=(
            bus.watcher,
            daemon.maker(),
        )
    ) as running:
        yield running


@pytest.fixture
async def mortal(mortal_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it."""
    async with floor_of(mortal_rig, leave_quiet) as opened:
        yield opened


def _members_by_asterisk(rig: Rig) -> dict[str, bool]:
    """Each member's interface, and whether its phone can be reached, by `queue show`."""
    lines = rig.asterisk_cli("queue show").splitlines()
    found = [re.search(r"\((\S+?)(?: from \S+)?\) \(ringinuse", line) for line in lines]
    return {
        match[1]: "(Unavailable)" not in line
        for match, line in zip(found, lines, strict=True)
        if match is not None
    }


async def _equals_asterisk(floor: Floor) -> bool:
    """Whether ctid's calls and agents are those of `core show channels` and `queue show`."""
    agents = (await floor.api.get("/agents"))["items"]
    calls = (await floor.api.get("/calls"))["items"]
    if any(entity["stale"] for entity in agents + calls):
        return False
    legs = {party["leg"] for call in calls for party in call["parties"]}
    channels = floor.rig.channels()
    members = _members_by_asterisk(floor.rig)
    reachable = {re.split(r"[/@]", interface)[1]: able for interface, able in members.items()}
    seen = {agent["id"]: agent["reason"] != "device_unavailable" for agent in agents}
    return legs == {fields[-1] for fields in channels} and seen == reachable


async def test_asterisk_killed_and_restarted(mortal: Floor) -> None:
    """Killed in a call: stale at once, requests refused; back: the PBX's own state, and the floor works."""
    await mortal.talk()
    supervisor, *_ = await mortal.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    await mortal.begin(agent="1001")
    mortal.rig.kill_asterisk()

    async def all_stale() -> bool:
        agents = (await mortal.api.get("/agents"))["items"]
        calls = (await mortal.api.get("/calls"))["items"]
        return all(entity["stale"] for entity in [*agents, *calls]) and bool(calls)

    await until(all_stale, within=2.0, what="everything is stale")
    answer = await mortal.api.supervise(agent="1001")
    assert (answer.status, answer.code) == (503, "pbx.link_down"), answer
    assert (await mortal.api.get("/agents/1001"))["state"] == "busy", "stale values are kept"

    mortal.rig.restart_asterisk()
    await until(lambda: _equals_asterisk(mortal), within=BACK_S, what="the state is the PBX's")
    assert (await mortal.api.get("/supervisions"))["items"] == []
    await mortal.phones.close()


async def test_asterisk_killed_while_her_phone_rings(mortal: Floor) -> None:
    """The request that waits is told that the PBX is gone, and is not left hanging."""
    await mortal.talk()
    supervisor, *_ = await mortal.phones.open(SUP)
    asking = asyncio.ensure_future(mortal.api.supervise(agent="1001"))  # noqa: TID251 - a client, in a test
    await supervisor.wait_state("ringing")
    mortal.rig.kill_asterisk()
    answer = await asking
    assert (answer.status, answer.code) == (503, "pbx.link_down"), answer
    await mortal.phones.close()
    mortal.rig.restart_asterisk()
    await until(lambda: _equals_asterisk(mortal), within=BACK_S, what="the state is the PBX's")


@pytest.mark.parametrize("mode", ["whisper", "takeover"])
async def test_ctid_killed_in_a_session(mortal: Floor, mode: str) -> None:
    """Killed with -9, ctid is missed by nobody's ear, and afterwards knows call and session as before."""
    customer, agent = await mortal.talk()
    supervisor, *_ = await mortal.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await mortal.begin(agent="1001", mode=mode)
    before = await mortal.api.get(f"/supervisions/{session}")
    picture = (
        {agent: {"3001", SUP}, customer: {"1001"}, supervisor: {"3001", "1001"}}
        if mode == "whisper"
        else {customer: {SUP}, supervisor: {"3001"}}
    )
    await mortal.hear(picture)
    mortal.rig.kill("ctid")
    await mortal.hear(picture)
    mortal.rig.restart("ctid")
    after = await mortal.api.get(f"/supervisions/{session}")
    same = ("id", "call", "agent", "supervisor", "phone", "mode", "state", "purpose", "started_at")
    assert {key: after.get(key) for key in same} == {key: before.get(key) for key in same}
    call = await mortal.api.get(f"/calls/{before['call']}")
    assert call["state"] == "connected"
    assert "customer" in {party["role"] for party in call["parties"]}
    assert not any("ctid-" in alias for alias in call["aliases"])
    assert call["supervisions"] == [session]
    if mode == "whisper":
        assert await mortal.agent_is("1001", "busy")
        assert (await mortal.api.switch(session, "barge")).status == 200
        await mortal.hear({agent: {"3001", SUP}, customer: {"1001", SUP}, supervisor: {"3001", "1001"}})
        assert (await mortal.api.switch(session, "takeover")).status == 200
        await mortal.hear({customer: {SUP}, supervisor: {"3001"}})
    await customer.hangup()
    await until(lambda: not mortal.ours(), what="the session ended with its call")


async def test_ctid_killed_while_her_phone_rings(mortal: Floor) -> None:
    """A session that was only ringing is cleared away by the next run: nobody waits for it any more."""
    customer, agent = await mortal.talk()
    supervisor, *_ = await mortal.phones.open(SUP)
    asking = asyncio.ensure_future(mortal.api.supervise(agent="1001"))  # noqa: TID251 - a client, in a test
    await supervisor.wait_state("ringing")
    mortal.rig.kill("ctid")
    await asyncio.gather(asking, return_exceptions=True)
    assert mortal.ours()
    mortal.rig.restart("ctid")
    await until(lambda: not mortal.ours(), what="what was left over is cleared away")
    await supervisor.wait_state("idle")
    await mortal.hear({agent: {"3001"}, customer: {"1001"}})


async def test_session_that_ended_while_ctid_was_away(mortal: Floor) -> None:
    """The next run closes it in the audit: no session there goes on for ever."""
    customer, _ = await mortal.talk()
    supervisor, *_ = await mortal.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await mortal.begin(agent="1001")
    mortal.rig.kill("ctid")
    await supervisor.hangup()
    await customer.hangup()
    mortal.rig.restart("ctid")
    audit = mortal.rig.base / "ctid" / "audit"

    def last() -> tuple[str, str | None]:
        sessions = [(entry.event, entry.supervision) for entry in read_audit(audit)]
        mine = [(event, found.end) for event, found in sessions if found and found.id == session]
        return mine[-1]

    await until(lambda: last() == ("ended", "lost"), what="the audit says that it ended")


@pytest.mark.parametrize("answers", [True, False], ids=["agent there", "agent gone"])
async def test_takeover_without_ctid_gives_the_customer_back(mortal: Floor, answers: bool) -> None:  # noqa: FBT001
    """If ctid dies after moving the customer, the shipped dialplan rings the agent, then tries the queue."""
    customer, agent = await mortal.talk()
    call = (await mortal.api.get("/agents/1001"))["call"]
    leg = next(p["leg"] for p in (await mortal.api.get(f"/calls/{call}"))["parties"] if p["role"] == "agent")
    channel = next(fields[0] for fields in mortal.rig.channels() if fields[-1] == leg)
    caller = next(fields[0] for fields in mortal.rig.channels() if fields[-1] != leg)
    mortal.rig.kill("ctid")
    mortal.rig.asterisk_cli(f"dialplan set chanvar {caller} CTID_AGENT_BACK PJSIP/1001")
    mortal.rig.asterisk_cli(f"dialplan set chanvar {caller} CTID_QUEUE_BACK sales")
    await _ami(
        mortal.rig,
        f"Action: BlindTransfer\r\nChannel: {channel}\r\nContext: ctid-takeover\r\nExten: s0\r\n\r\n",
    )
    await agent.wait_state("ringing")
    if answers:
        await agent.answer()
        await mortal.hear({agent: {"3001"}, customer: {"1001"}})
    else:
        await agent.decline()
        await until(
            lambda: "PJSIP/3001" in mortal.rig.asterisk_cli("queue show sales"), what="she waits again"
        )
    await customer.hangup()
    mortal.rig.restart("ctid")


async def _ami(rig: Rig, action: str) -> None:
    """Send one action as the lab's own AMI user."""
    reader, writer = await asyncio.open_connection("127.0.0.1", rig.ports.ami)
    login = "Action: Login\r\nUsername: lab\r\nSecret: lab\r\nEvents: off\r\n\r\n"
    writer.write((login + action).encode())
    answers = b""
    while answers.count(b"Response: Success") < 2:
        data = await asyncio.wait_for(reader.read(4096), 5)
        assert data, answers
        answers += data
    writer.close()
    await writer.wait_closed()


async def test_stopping_ctid_leaves_the_session(mortal: Floor) -> None:
    """An orderly restart is no reason to drop a session either: it is known before and after."""
    customer, _ = await mortal.talk()
    supervisor, *_ = await mortal.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await mortal.begin(agent="1001")
    mortal.rig.restart("ctid")
    token = daemon.tokens_of(mortal.rig)["supervisor"]
    async with Api(f"http://127.0.0.1:{mortal.rig.ports.http}", token) as api:
        assert (await api.get(f"/supervisions/{session}"))["mode"] == "listen"
        assert (await api.end(session)).body["end"] == "released"
    await customer.hangup()
