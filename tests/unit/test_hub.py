import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from ctid.hub import BATCHES_WAITING, UPDATES_AT_ONCE, Hub, SlowSubscriber, Subscription
from ctid.model.commands import EndSupervision
from ctid.model.errors import PbxUnavailable
from ctid.model.facts import CallerAbandoned, Leg, LegChanged, LegEnded, LinkDown
from ctid.model.ids import CallId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import AgentState
from ctid.state.changes import Change, Occurrence, Update
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from helpers.fakes import FakeClock, FakeConnection
from helpers.floor import BASE, PROFILES, Floor

LAB = PbxId("lab")
WITHIN_S = 5.0


@pytest.fixture
def clock() -> FakeClock:
    """A clock that the test sets."""
    return FakeClock()


@pytest.fixture
async def hub(store: Store, clock: FakeClock) -> AsyncIterator[Hub]:
    """A hub whose consumer runs."""
    hub, tasks = Hub(store, clock), TaskOwner()
    tasks.spawn("hub", hub.run())
    yield hub
    await tasks.close()


def _call_comes(key: str) -> LegChanged:
    script = Floor(Store(PROFILES))
    script.customer_dials(key)
    return LegChanged(pbx=LAB, at=BASE, leg=script.legs[key])


async def _read(subscription: Subscription, count: int) -> list[Update]:
    async with asyncio.timeout(WITHIN_S):
        return [await subscription.next() for _ in range(count)]


# Facts in, updates out --------------------------------------------------------------------------------


async def test_facts_become_updates_in_their_order(hub: Hub) -> None:
    """A batch, and the one after it, come out numbered one by one."""
    subscription = hub.subscribe("reader")
    await hub.feed([_call_comes("c1"), _call_comes("c2")])
    await hub.feed([_call_comes("c3")])
    updates = await _read(subscription, 3)
    assert [update.seq for update in updates] == [1, 2, 3]
    assert [update.entity.id for update in updates if isinstance(update, Change)] == [
        "lab.c1",
        "lab.c2",
        "lab.c3",
    ]


async def test_a_subscription_starts_with_a_snapshot_and_misses_nothing(hub: Hub) -> None:
    """The snapshot holds what its number says, and the next update is the next number."""
    await hub.feed([_call_comes("c1")])
    assert await hub.until(lambda: hub.store.seq == 1, WITHIN_S)
    subscription = hub.subscribe("reader")
    assert [entity.id for entity in subscription.entities] == ["lab.c1"]
    assert subscription.seq == 1
    await hub.feed([_call_comes("c2")])
    (update,) = await _read(subscription, 1)
    assert update.seq == 2


async def test_a_subscription_can_be_iterated_over(hub: Hub) -> None:
    """`async for` gives the updates for as long as one looks."""
    subscription = hub.subscribe("reader")
    await hub.feed([_call_comes("c1"), _call_comes("c2")])
    seen = []
    async with asyncio.timeout(WITHIN_S):
        async for update in subscription:
            seen.append(update.seq)
            if len(seen) == 2:
                break
    assert seen == [1, 2]


async def test_a_subscription_to_some_kinds_is_told_of_those_alone(hub: Hub) -> None:
    """Others, and occurrences, are passed over, and fill none of its room."""
    calls = hub.subscribe("calls", waiting=2, kinds=frozenset({"call"}))
    script = Floor(Store(PROFILES))
    script.agent_joins("1001", "support")
    script.customer_joins("c1", "support")
    abandoned = CallerAbandoned(
        pbx=LAB, at=BASE, queue=QueueId("support"), leg=LegId("c1"), position=1, wait_s=9.0
    )
    everything = hub.subscribe("everything")
    await hub.feed([script.truth(), abandoned, _call_comes("c2")])
    updates = await _read(calls, 2)
    assert [update.entity.id for update in updates if isinstance(update, Change)] == ["lab.c1", "lab.c2"]
    told = await _read(everything, hub.store.seq)
    assert any(isinstance(update, Occurrence) for update in told)


async def test_readers_have_a_turn_while_a_large_snapshot_is_told(hub: Hub, store: Store) -> None:
    """Nobody who reads as fast as he can is dropped for it, and who comes in the middle misses nothing."""
    reader = hub.subscribe("reader", waiting=UPDATES_AT_ONCE)
    late: list[Subscription] = []
    calls = 3 * UPDATES_AT_ONCE
    script = Floor(Store(PROFILES))
    for number in range(calls):
        ident = f"c{number}"
        script.legs[ident] = Leg(id=LegId(ident), call=ident, created_at=BASE, incoming=True)
    await hub.feed([script.truth()])
    seen: list[int] = []
    async with asyncio.timeout(WITHIN_S):
        while len(seen) < calls:
            seen.append((await reader.next()).seq)
            if not late:
                late.append(hub.subscribe("late"))
    assert seen == list(range(1, calls + 1))
    assert (late[0].seq, len(late[0].entities)) == (calls, calls), "all was in the store already"
    await hub.feed([LegEnded(pbx=LAB, at=BASE, leg=LegId("c0"))])
    (update, _) = await _read(late[0], 2)
    assert update.seq == calls + 1
    assert store.seq == calls + 2


async def test_whoever_unsubscribed_is_told_nothing(hub: Hub) -> None:
    """And may say so twice."""
    gone, here = hub.subscribe("gone"), hub.subscribe("here")
    hub.unsubscribe(gone)
    hub.unsubscribe(gone)
    await hub.feed([_call_comes("c1")])
    await _read(here, 1)
    assert gone._updates.empty()


async def test_a_slow_subscriber_is_dropped_and_the_others_go_on(hub: Hub) -> None:
    """It reads what was kept for it, learns why there is no more, and the log says who it was."""
    slow, quick = hub.subscribe("slow", waiting=2), hub.subscribe("quick")
    with capture_logs() as logs:
        await hub.feed([_call_comes(f"c{number}") for number in range(5)])
        assert [update.seq for update in await _read(quick, 5)] == [1, 2, 3, 4, 5]
    assert [update.seq for update in await _read(slow, 2)] == [1, 2]
    with pytest.raises(SlowSubscriber, match="slow"):
        await slow.next()
    assert [(entry["event"], entry["subscriber"], entry["seq"]) for entry in logs] == [
        ("slow subscriber dropped", "slow", 3)
    ]


async def test_who_feeds_too_fast_waits(store: Store, clock: FakeClock) -> None:
    """The hub keeps a bounded number of batches; past that a driver is held back until it has read one."""
    hub, tasks = Hub(store, clock), TaskOwner()
    for _ in range(BATCHES_WAITING):
        await hub.feed([])
    more = tasks.spawn("driver", hub.feed([_call_comes("c1")]))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not more.done()
    tasks.spawn("hub", hub.run())
    assert await hub.until(lambda: CallId("lab.c1") in store.calls, WITHIN_S)
    await tasks.close()


async def test_time_passes_without_facts(hub: Hub, store: Store, clock: FakeClock) -> None:
    """After-call work ends when the clock says so, though the PBX is silent."""
    script = Floor(Store(PROFILES))
    script.agent_joins("1001", "support")
    script.put_member("1001", "support", last_call_at=BASE)
    await hub.feed([script.truth()])
    assert await hub.until(lambda: bool(store.agents), WITHIN_S)
    (agent,) = store.agents.values()
    assert agent.state is AgentState.WORKING_AFTER_CALL
    subscription = hub.subscribe("reader")
    clock.at = BASE + 10
    turns = hub.turns
    (update, *_) = await _read(subscription, 1)
    assert isinstance(update, Change)
    assert update.at == BASE + 10
    assert store.agents[agent.id].state is AgentState.READY
    assert hub.turns > turns


async def test_a_fact_that_the_store_cannot_take_ends_the_hub(store: Store, clock: FakeClock) -> None:
    """A defect is loud: the consumer dies of it rather than going on with half a truth."""
    hub = Hub(store, clock)
    await hub.feed(["no fact"])  # type: ignore[list-item] # that it is none is what is tested
    with pytest.raises(AttributeError):
        async with asyncio.timeout(WITHIN_S):
            await hub.run()


# Waiting for the state --------------------------------------------------------------------------------


async def test_what_holds_already_is_not_waited_for(store: Store, clock: FakeClock) -> None:
    """Not even a hub that runs is needed."""
    assert await Hub(store, clock).until(lambda: True, 0.0)


async def test_waiting_ends_as_soon_as_it_holds(hub: Hub, store: Store) -> None:
    """Several can wait for different things at once."""
    found: list[str] = []

    async def wait(key: str) -> None:
        assert await hub.until(lambda: CallId(key) in store.calls, WITHIN_S)
        found.append(key)

    tasks = TaskOwner()
    waits = [tasks.spawn(key, wait(key)) for key in ("lab.c2", "lab.c1")]
    await hub.feed([_call_comes("c1")])
    await waits[1]
    assert found == ["lab.c1"]
    await hub.feed([_call_comes("c2")])
    await waits[0]
    assert found == ["lab.c1", "lab.c2"]
    assert hub._awaited == {}


async def test_what_never_holds_is_given_up(hub: Hub) -> None:
    """After its time the wait answers no, and nothing of it is left behind."""
    assert not await hub.until(lambda: False, 0.01)
    assert hub._awaited == {}


# Commands ---------------------------------------------------------------------------------------------


async def test_a_command_goes_to_the_connection_of_its_pbx(hub: Hub) -> None:
    """Each PBX has its own, and the last one attached counts."""
    old, new, other = FakeConnection(), FakeConnection(), FakeConnection()
    hub.attach(LAB, old)
    hub.attach(LAB, new)
    hub.attach(PbxId("other"), other)
    command = EndSupervision(supervision=SupervisionId("s1"))
    await hub.execute(LAB, command)
    assert (old.commands, new.commands, other.commands) == ([], [command], [])


async def test_without_a_link_a_command_is_refused_with_the_reason(hub: Hub, store: Store) -> None:
    """Before the first connection, and with the reason of the loss after it."""
    command = EndSupervision(supervision=SupervisionId("s1"))
    with pytest.raises(PbxUnavailable, match="not connected yet"):
        await hub.execute(LAB, command)
    hub.attach(LAB, FakeConnection())
    hub.attach(LAB, None)
    hub.attach(LAB, None)
    await hub.feed([LinkDown(pbx=LAB, at=Instant(BASE), driver="fake", reason="connection reset")])
    assert await hub.until(lambda: LAB in store.pbxs, WITHIN_S)
    with pytest.raises(PbxUnavailable, match="connection reset") as refused:
        await hub.execute(LAB, command)
    assert refused.value.code == "pbx.link_down"


async def test_a_good_command_changes_no_state(hub: Hub, store: Store) -> None:
    """The truth comes back as a fact, or not at all."""
    await hub.feed([_call_comes("c1")])
    assert await hub.until(lambda: store.seq == 1, WITHIN_S)
    hub.attach(LAB, FakeConnection())
    await hub.execute(LAB, EndSupervision(supervision=SupervisionId("s1")))
    assert store.seq == 1
    assert LegId("c1") in store.rows[LAB].legs
