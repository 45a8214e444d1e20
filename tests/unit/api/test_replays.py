import asyncio

import pytest

from ctid.api.errors import KeyReused, RateLimited
from ctid.api.replays import KEPT_S, Answer, Replays, key_of
from ctid.model.errors import InvalidRequest


class Desk:
    """Commands that are counted, and that wait for a gate."""

    def __init__(self, most: int = 4096) -> None:
        self.time = 0.0
        self.done = 0
        self.gate = asyncio.Event()
        self.gate.set()
        self.replays = Replays(lambda: self.time, most)

    async def carry_out(self) -> Answer:
        """Carry one out."""
        self.done += 1
        await self.gate.wait()
        return Answer(status=200, body=b"%d" % self.done)

    async def ask(self, key: str = "k", fingerprint: bytes = b"f", user: str = "anna") -> Answer:
        """Ask for one."""
        return await self.replays.once(user, key, fingerprint, self.carry_out)


async def test_the_same_again() -> None:
    """The same key gets the same answer for ten minutes, marked; then it is a new one."""
    desk = Desk()
    assert await desk.ask() == Answer(status=200, body=b"1")
    desk.time = KEPT_S - 1
    assert await desk.ask() == Answer(status=200, body=b"1", replayed=True)
    desk.time = KEPT_S
    assert await desk.ask() == Answer(status=200, body=b"2")


async def test_keys_are_a_users_own() -> None:
    """Another key, or another user's, is another command."""
    desk = Desk()
    await desk.ask()
    assert (await desk.ask("other")).body == b"2"
    assert (await desk.ask(user="bob")).body == b"3"


async def test_another_request_under_the_same_key() -> None:
    """A key that stands for another request is refused, and nothing is done."""
    desk = Desk()
    await desk.ask()
    with pytest.raises(KeyReused, match="give each request its own"):
        await desk.ask(fingerprint=b"g")
    assert desk.done == 1


async def test_while_the_first_is_under_way() -> None:
    """Who comes meanwhile waits for the first; one who stops waiting stops nobody."""
    desk = Desk()
    desk.gate.clear()
    async with asyncio.TaskGroup() as group:
        first = group.create_task(desk.ask())
        await asyncio.sleep(0)
        second, impatient = group.create_task(desk.ask()), group.create_task(desk.ask())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.sleep(0)
        desk.gate.set()
    assert desk.done == 1
    assert (first.result().replayed, second.result().replayed) == (False, True)
    assert first.result().body == second.result().body


async def test_what_was_cut_short_is_forgotten() -> None:
    """A command that was cancelled ends those who wait for it, and its key is free."""
    desk = Desk()
    desk.gate.clear()
    first = asyncio.gather(desk.ask(), desk.ask(), return_exceptions=True)
    await asyncio.sleep(0)
    desk.gate.set()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert await desk.ask() == Answer(status=200, body=b"2")


async def test_bounded() -> None:
    """A user with too many keys is told when to come back; another is not, and no key is forgotten early."""
    desk = Desk(most=2)
    await desk.ask("1")
    desk.time = 1.0
    await desk.ask("2")
    with pytest.raises(RateLimited) as refused:
        await desk.ask("3")
    assert refused.value.retry_after_s == KEPT_S - 1.0
    assert (await desk.ask("1")).replayed
    assert not (await desk.ask("1", user="bob")).replayed
    desk.time = KEPT_S
    assert not (await desk.ask("3")).replayed


def test_keys() -> None:
    """A key is one text of 1 to 128 visible characters."""
    assert key_of([], "key") is None
    assert key_of(['"8e03978e"'], "key") == '"8e03978e"'
    for given in (["a", "a"], [""], ["a b"], ["é"], ["x" * 129], ["a\n"]):
        with pytest.raises(InvalidRequest) as refused:
            key_of(given, "key")
        assert refused.value.field == "key"
