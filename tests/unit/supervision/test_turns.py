import asyncio

import pytest

from ctid.model.ids import CallId, SupervisionId
from ctid.supervision.turns import Turns
from ctid.tasks import TaskOwner
from helpers.floor import Floor

S1, S2, S3 = SupervisionId("s1"), SupervisionId("s2"), SupervisionId("s3")
CALL = CallId("lab.c1")
WITHIN_S = 5.0


@pytest.fixture
def turns(floor: Floor) -> Turns:
    """On a floor on which somebody dials."""
    floor.customer_dials("c1")
    return Turns(floor.store)


class Actors:
    """Tasks that each act on some sessions, and note when they may; each stays until it is let go."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self.acting: list[str] = []
        self.go: dict[str, asyncio.Event] = {}

    async def act(self, name: str, *sessions: SupervisionId) -> None:
        """Act once alone, and until let go."""
        self.go[name] = asyncio.Event()
        async with self._turns.alone(*sessions):
            self.acting.append(name)
            await self.go[name].wait()
        self.acting.remove(name)


async def _settles() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_after_the_other(turns: Turns) -> None:
    """Who comes second waits for the first, if it is about the same session."""
    actors = Actors(turns)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        for name, sessions in (("first", [S1]), ("second", [S1]), ("other", [S2])):
            group.create_task(actors.act(name, *sessions))
        await _settles()
        assert actors.acting == ["first", "other"]
        actors.go["first"].set()
        await _settles()
        assert actors.acting == ["other", "second"]
        for go in actors.go.values():
            go.set()


async def test_two_who_want_the_same_two_do_not_wait_for_each_other(turns: Turns) -> None:
    """In whichever order they name them; one named twice is one."""
    actors = Actors(turns)
    async with asyncio.timeout(WITHIN_S), asyncio.TaskGroup() as group:
        group.create_task(actors.act("up", S1, S2, S1))
        group.create_task(actors.act("down", S2, S1))
        await _settles()
        assert actors.acting == ["up"]
        for go in actors.go.values():
            go.set()


async def test_who_gives_up_waiting_keeps_nobody_out(turns: Turns) -> None:
    """A client that hangs up amid its request leaves nothing held."""
    actors, tasks = Actors(turns), TaskOwner()
    async with asyncio.timeout(WITHIN_S):
        tasks.spawn("first", actors.act("first", S1))
        await _settles()
        tasks.spawn("second", actors.act("second", S1, S2))
        await _settles()
        await tasks.close()
        async with turns.alone(S1, S2):
            pass


def test_one_leads_at_a_time(turns: Turns, floor: Floor) -> None:
    """From the decision on, before the state tells it; and then by the state."""
    assert turns.can_lead(CALL, S1)
    turns.lead(CALL, S1)
    assert turns.can_lead(CALL, S1)
    assert not turns.can_lead(CALL, S2)
    turns.led(CALL, S2)
    assert not turns.can_lead(CALL, S2)
    floor.supervisor("s1", "c1")
    turns.led(CALL, S1)
    assert not turns.can_lead(CALL, S2)
    floor.supervisor_leaves("s1")
    assert turns.can_lead(CALL, S2)
    turns.led(None, S2)


def test_an_armed_session_begins_or_is_withdrawn(turns: Turns) -> None:
    """Whoever comes first; where it came to nothing it can be decided anew."""
    assert turns.settle(S1)
    assert not turns.settle(S1)
    turns.unsettle(S1)
    assert turns.settle(S1)


def test_an_armed_session_knows_the_call_it_was_armed_in(turns: Turns) -> None:
    """Until it ended; none where the agent was in none."""
    turns.arm(S1, CALL)
    turns.arm(S2, None)
    assert [turns.armed_in(session) for session in (S1, S2, S3)] == [CALL, None, None]
    turns.settle(S1)
    turns.forget(S1)
    turns.forget(S3)
    assert turns.armed_in(S1) is None
    assert turns.settle(S1)
