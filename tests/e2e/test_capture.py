"""Captures of the real Asterisk: what is replayed is what was seen live, scrubbed or not."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

import pytest

from ctid.capture import Capture
from ctid.model.facts import Fact
from ctid.model.ids import PbxId
from ctid.state.changes import Change, Update
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from ctid_asterisk.driver import AsteriskConnection, AsteriskDriver
from helpers.captures import messages, updates_of
from helpers.patience import until
from lab import roster
from lab.capturing import capturing
from lab.phones import Phones
from lab.rig import Rig

pytestmark = pytest.mark.lab

Story = dict[tuple[str, str], list[str]]


def story(updates: Iterable[Update]) -> Story:
    """The states that each call, agent and device went through, in their order."""
    told: Story = {}
    for update in updates:
        if isinstance(update, Change) and update.kind in ("call", "agent", "device"):
            states = told.setdefault((update.kind, update.entity.id), [])
            state = str(getattr(update.new, "state", "gone"))
            if states[-1:] != [state]:
                states.append(state)
    return told


async def follow(connection: AsteriskConnection, store: Store, updates: list[Update]) -> None:
    """Keep a store fed."""
    async for facts in connection.facts():
        updates += told_by(facts, store)


def told_by(facts: Iterable[Fact], store: Store) -> list[Update]:
    """What facts change."""
    return [update for fact in facts for update in store.apply(fact)]


async def test_a_capture_is_replayed_as_the_floor_was_seen_live(
    rig: Rig, phones: Phones, tmp_path: Path
) -> None:
    """A raw one and a scrubbed one, made beside a live connection: the same states of everything."""
    customer, agent = await phones.open("3001", "1001")
    store, live, tasks = Store(), list[Update](), TaskOwner()
    settings = {"port": rig.ports.ami, "username": "ctid", "secret": "ctid-lab"}
    connection = await AsteriskDriver(PbxId("lab"), settings).connect()
    raw, scrubbed = tmp_path / "raw.capture.xz", tmp_path / "scrubbed.capture.gz"
    try:
        tasks.spawn("live", follow(connection, store, live))
        async with capturing(rig.ports, raw), capturing(rig.ports, scrubbed, raw=False):
            await customer.dial("7000")
            await agent.answer()
            await phones.hears_exactly(agent, {"3001"}, window=0.3)
            await agent.hold()
            await agent.unhold()
            await customer.hangup()
            await agent.wait_state("idle")
            assert await asyncio.to_thread(rig.wait, lambda: not rig.channels())
        await until(lambda: not store.calls)
    finally:
        await connection.close()
        await tasks.close()
    files = [list(Capture(path).records()) for path in (raw, scrubbed)]
    first, second = (story(updates_of(records)) for records in files)
    seen = story(live)
    assert [state for state in first["agent", "1001"] if state in ("offered", "busy")] == ["offered", "busy"]
    for key in (("agent", "1001"), ("device", "1001"), ("device", "3001")):
        assert first[key] == seen[key]
    calls = {key: states for key, states in seen.items() if key[0] == "call"}
    assert calls
    assert {key: states for key, states in first.items() if key[0] == "call"} == calls
    # Ids of calls stay; those of people are other ones, and so the states alone are compared.
    assert {key: states for key, states in second.items() if key[0] == "call"} == calls
    assert sorted(map(str, second.values())) == sorted(map(str, first.values()))
    text = b"\n".join(messages(files[1])).decode()
    assert not [person.name for person in roster.AGENTS if person.name in text]
    assert not [record for record in files[0] if record.sent in ("Login", "Challenge")]
