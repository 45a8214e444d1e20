import asyncio

import pytest
from structlog.testing import capture_logs

from ctid.tasks import TaskOwner

WITHIN_S = 5.0


class Defect(Exception):
    """What a task dies of here."""


async def _dies(of: str) -> None:
    raise Defect(of)


async def _for_ever() -> None:
    await asyncio.get_running_loop().create_future()


async def test_a_task_has_its_name_and_runs() -> None:
    """What is spawned runs by itself, and its good end is nobody's concern."""
    owner, seen = TaskOwner(), []

    async def work() -> None:
        seen.append(1)

    task = owner.spawn("worker", work())
    await task
    assert (task.get_name(), seen) == ("worker", [1])
    await asyncio.sleep(0)
    assert owner._tasks == set()


async def test_the_death_of_a_task_is_logged_and_raised() -> None:
    """Whoever waits for a failure gets the exception itself; the log has the task's name."""
    owner = TaskOwner()
    with capture_logs() as logs:
        owner.spawn("worker", _dies("first"))
        with pytest.raises(Defect, match="first"):
            async with asyncio.timeout(WITHIN_S):
                await owner.wait_failed()
    assert [(entry["event"], entry["task"], entry["log_level"]) for entry in logs] == [
        ("task died", "worker", "critical")
    ]
    assert isinstance(logs[0]["exc_info"], Defect)


async def test_the_first_death_counts_whether_or_not_someone_waited() -> None:
    """A task that died before, and others that die after it, do not change what is raised."""
    owner = TaskOwner()
    with capture_logs() as logs:
        for name in ("first", "second"):
            await asyncio.gather(owner.spawn(name, _dies(name)), return_exceptions=True)
        for _ in range(2):
            with pytest.raises(Defect, match="first"):
                await owner.wait_failed()
    assert [entry["task"] for entry in logs] == ["first", "second"]


async def test_a_cancelled_waiter_does_not_cancel_the_notice() -> None:
    """Another one who waits hears of the death all the same."""
    owner = TaskOwner()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.001):
            await owner.wait_failed()
    with capture_logs():
        owner.spawn("worker", _dies("later"))
        with pytest.raises(Defect, match="later"):
            async with asyncio.timeout(WITHIN_S):
                await owner.wait_failed()


async def test_a_cancelled_task_is_a_normal_end() -> None:
    """Nothing is logged, and nobody is woken."""
    owner = TaskOwner()
    with capture_logs() as logs:
        task = owner.spawn("worker", _for_ever())
        task.cancel()
        await asyncio.wait({task})
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.001):
                await owner.wait_failed()
    assert logs == []


async def test_an_owner_further_in_hands_the_exception_on() -> None:
    """`on_failure` is called with each death, and `wait_failed` is not used then."""
    failures: list[BaseException] = []
    owner = TaskOwner(failures.append)
    with capture_logs() as logs:
        for name in ("first", "second"):
            await asyncio.gather(owner.spawn(name, _dies(name)), return_exceptions=True)
    assert [str(failure) for failure in failures] == ["first", "second"]
    assert len(logs) == 2


async def test_close_cancels_what_runs_and_waits_for_its_end() -> None:
    """Each task has cleaned up when `close` returns; a second `close` has nothing to do."""
    owner, cleaned = TaskOwner(), []

    async def work(name: str) -> None:
        try:
            await _for_ever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    tasks = [owner.spawn(name, work(name)) for name in ("one", "two")]
    await asyncio.sleep(0)
    await owner.close()
    assert sorted(cleaned) == ["one", "two"]
    assert all(task.cancelled() for task in tasks)
    await owner.close()


async def test_a_task_that_dies_while_it_is_closed_is_logged() -> None:
    """The end does not hide a defect."""
    owner = TaskOwner()

    async def work() -> None:
        try:
            await _for_ever()
        finally:
            await _dies("cleaning up")

    owner.spawn("worker", work())
    await asyncio.sleep(0)
    with capture_logs() as logs:
        await owner.close()
    assert [entry["task"] for entry in logs] == ["worker"]
