"""Five real calls through a queue, recorded from an Asterisk 22.10.1, read as the driver reads them."""

import itertools
import random
from collections.abc import Iterable, Iterator

import pytest

from ctid.model.facts import CallServed, Fact
from ctid.model.instant import Instant
from ctid_asterisk.lists import Lists
from ctid_asterisk.session import AmiSession, Credentials
from ctid_asterisk.session import Fact as WireEvent
from ctid_asterisk.wire import Message
from helpers.ami_words import lists, member_item, message
from replay.wire import Floor, recorded

WIRE = recorded("five-queue-calls")
NOW = Instant(1795409466.0)
CALLS = [f"lab.17954094{end}" for end in ("66.9", "72.11", "77.13", "83.15", "88.17")]


def staffed() -> Lists:
    """What the lists told before: the queue and its one member."""
    member = member_item(MemberName="Agent 1001", LastCall="1795409368")
    return lists(queues=(message("QueueParams", Queue="support", Strategy="ringall"), member))


def events(pieces: Iterable[bytes]) -> Iterator[Message]:
    """The events of the wire, through the session, however it is cut."""
    session = AmiSession(Credentials("ctid", "s", plain=True))
    session.start(0.0)
    for piece in pieces:
        for out in session.receive(piece, 0.0):
            if isinstance(out, WireEvent):
                yield out.message


def cut(size: int) -> Iterator[bytes]:
    """The wire in pieces of one size."""
    return (WIRE[at : at + size] for at in range(0, len(WIRE), size))


def replay(pieces: Iterable[bytes]) -> tuple[Floor, list[Fact]]:
    """The floor after it all, and every fact that was told."""
    floor = Floor(staffed(), NOW)
    facts = [fact for event in events(pieces) for fact in floor.hear(event, NOW)]
    return floor, facts


@pytest.fixture(scope="module")
def told() -> tuple[Floor, list[Fact]]:
    """The wire read in one piece."""
    return replay([WIRE])


def test_five_calls_come_and_go(told: tuple[Floor, list[Fact]]) -> None:
    """Each waits, rings, is talked in and ends, under the id of its first channel; nothing is left.

    The agent's channel ends before the caller's: for that moment he is alone with the PBX.
    """
    floor, _ = told
    assert floor.calls() == CALLS
    for number in range(5):
        states = ["initiated", "queued", "alerting", "connected", "initiated", "ended"]
        assert floor.call("7000", number) == states
    assert floor.store.calls == {}


def test_the_agent_is_offered_each_and_busy_with_it(told: tuple[Floor, list[Fact]]) -> None:
    """Between the calls she is ready, and no state comes in between."""
    floor, _ = told
    assert floor.agent("1001") == ["ready", *["offered", "busy", "ready"] * 5]


def test_the_phones_follow(told: tuple[Floor, list[Fact]]) -> None:
    """Device states are told by the PBX itself."""
    floor, _ = told
    assert floor.device("3001") == ["in_use", "idle"] * 5
    assert floor.device("1001") == ["in_use", "idle"] * 5


def test_the_figures_are_the_queues_own(told: tuple[Floor, list[Fact]]) -> None:
    """Each call is told as served with what AgentComplete says, and the member's counter follows."""
    floor, facts = told
    wire = [event for event in events([WIRE]) if event.name == "AgentComplete"]
    expected = [(float(e.get("HoldTime")), float(e.get("TalkTime")), e.get("Reason")) for e in wire]
    assert [(f.hold_s, f.talk_s, f.by) for f in facts if isinstance(f, CallServed)] == expected
    served = floor.occurrences("call_served")
    assert [(it.call, it.queue, it.agent, it.by) for it in served] == [
        (call, "support", "1001", "caller") for call in CALLS
    ]
    assert [(it.figures["hold_s"], it.figures["talk_s"]) for it in served] == [e[:2] for e in expected]
    (membership,) = floor.store.agents[next(iter(floor.store.agents))].queues
    assert (membership.calls_taken, membership.last_call_at) == (7, 1795409491.0)


def test_the_queue_is_empty_afterwards(told: tuple[Floor, list[Fact]]) -> None:
    """Nobody waits, and its one member is ready."""
    floor, _ = told
    (queue,) = floor.store.queues.values()
    assert (queue.waiting, {str(k): v for k, v in queue.agents.items()}) == ((), {"ready": 1})


def test_updates_are_numbered_without_a_hole(told: tuple[Floor, list[Fact]]) -> None:
    """Whoever follows can see that nothing is missing."""
    floor, _ = told
    assert [update.seq for update in floor.updates] == list(range(1, len(floor.updates) + 1))


@pytest.mark.parametrize("size", [1, 2, 3, 61, 4096])
def test_the_pieces_do_not_matter(told: tuple[Floor, list[Fact]], size: int) -> None:
    """However the bytes are cut, the facts and the floor are the same."""
    floor, facts = replay(cut(size))
    assert facts == told[1]
    assert floor.updates == told[0].updates


@pytest.mark.parametrize("seed", range(5))
def test_random_pieces_do_not_matter(told: tuple[Floor, list[Fact]], seed: int) -> None:
    """Nor do pieces of all sizes in one."""
    chance = random.Random(seed)  # noqa: S311 - a test's dice
    edges = sorted({0, len(WIRE), *chance.sample(range(len(WIRE)), 300)})
    pieces = [WIRE[start:end] for start, end in itertools.pairwise(edges)]
    floor, facts = replay(pieces)
    assert facts == told[1]
    assert floor.updates == told[0].updates


def test_the_wire_heard_twice_ends_the_same(told: tuple[Floor, list[Fact]]) -> None:
    """Hearing all of it again adds the same five calls and no other, and leaves the same floor."""
    floor, _ = replay([WIRE, WIRE.partition(b"\r\n")[2]])
    assert floor.calls() == [*CALLS, *CALLS]
    assert (floor.store.calls, floor.store.agents) == ({}, told[0].store.agents)
