"""What becomes of a filling whose log is there at one reading, and not at the next."""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest

from ctid.history import filling
from ctid.history.filling import Filling
from ctid.history.ledger import Ledger
from ctid.history.words import Gap, GapCause, GapState
from ctid.hub import Hub
from ctid.model.facts import CallerQueued
from ctid.model.ids import LegId, QueueId
from ctid.model.instant import Instant
from ctid.ports import MemberName, Recollection
from ctid.state.store import Store
from helpers.fakes import FakeClock, FakeConnection
from helpers.floor import BASE
from helpers.moments import PBX, entry

_Result = TypeVar("_Result")
NOW = Instant(BASE + 60)
NO_LOG = Recollection(since=None, reason="it was taken away")


def log_of(*legs: str, unread: int = 0, strange: Sequence[str] = ()) -> Recollection:
    """A log up to now, in which these came."""
    return Recollection(
        since=Instant(BASE - 600),
        until=NOW,
        moments=tuple(
            CallerQueued(pbx=PBX, at=Instant(BASE + 10), queue=QueueId("sales"), leg=LegId(leg), position=1)
            for leg in legs
        ),
        unread=unread,
        strange=frozenset(map(LegId, strange)),
    )


class Telling(FakeConnection):
    """A connection that recalls one answer after the other."""

    def __init__(self, *answers: Recollection) -> None:
        super().__init__()
        self._answers = [*answers]

    async def recall(self, since: Instant, remembered: Sequence[MemberName] = ()) -> Recollection:  # noqa: ARG002
        """Tell the next."""
        return self._answers.pop(0)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    """A ledger that is whole up to the tests' beginning."""
    monkeypatch.setattr(filling, "SETTLE_S", 0.0)
    ledger = Ledger(tmp_path)
    began = Instant(BASE)
    ledger.remember(PBX, until=began, began_at=began, counters=b"", names=b"")
    return ledger


def filler(ledger: Ledger, *answers: Recollection) -> Filling:
    """A filling from a PBX that answers so."""
    hub = Hub(Store(), FakeClock())
    hub.attach(PBX, Telling(*answers))

    async def flush() -> None:
        await asyncio.sleep(0)

    async def in_thread(work: Callable[[], _Result]) -> _Result:
        return await asyncio.to_thread(work)

    return Filling(hub, ledger, in_thread, flush, lambda: Instant(0))


async def filled(ledger: Ledger, *answers: Recollection) -> Gap:
    """Fill the gap up to now from these answers, and tell what became of it."""
    await filler(ledger, *answers).run(PBX, GapCause.AWAY)
    (gap,) = ledger.gaps(Instant(0), Instant(BASE + 1000))
    return gap


async def test_a_check_whose_second_reading_has_no_log(ledger: Ledger) -> None:
    """It was compared up to the first reading, not up to the beginning of time."""
    until = await filler(ledger, log_of("1.1"), NO_LOG).check(PBX, Instant(BASE))
    assert until == NOW


async def test_lines_unread_before_the_log_went_away(ledger: Ledger) -> None:
    """A second reading that has no log does not make the first one whole."""
    gap = await filled(ledger, log_of(unread=2), NO_LOG)
    assert (gap.state, gap.detail) == (GapState.PARTLY, "2 lines of the log cannot be read")
    assert gap.ended_at == NOW


async def test_doubts_before_the_log_went_away(ledger: Ledger) -> None:
    """Nor does it take back that the log lacks what events told."""
    ledger.add([entry(at=20.0)], {})
    gap = await filled(ledger, log_of(), NO_LOG)
    assert (gap.state, "is it this PBX's log?" in gap.detail) == (GapState.PARTLY, True)


async def test_the_second_reading_tells_of_all(ledger: Ledger) -> None:
    """With a log both times, the second says what cannot be read."""
    assert (await filled(ledger, log_of(unread=2), log_of())).state is GapState.FILLED


async def test_a_leg_that_may_be_another_s(ledger: Ledger) -> None:
    """It counts as a caller, once, and the gap says that it is not known."""
    told = log_of("1.1", "1.2", strange=["1.2"])
    gap = await filled(ledger, told, told)
    assert (gap.state, gap.found) == (GapState.PARTLY, 2)
    assert gap.detail.startswith("of 1 moments it is not known to which caller's")
