"""The index follows the state."""

import pytest
from msgspec.structs import replace

from ctid.audit.subjects import Subject, SubjectKind
from ctid.calls import recordings as room
from ctid.calls.index import IndexUnavailable, Selection
from ctid.calls.words import RecordingEntry
from ctid.model.facts import LinkDown
from ctid.model.ids import AgentId, CallId, LegId
from ctid.model.instant import Instant
from ctid.model.words import Recording
from helpers.acts_desk import LAB, ActsDesk, call_id
from helpers.floor import BASE
from helpers.patience import until

ENTRY = RecordingEntry(
    id=0,
    call=call_id(),
    leg=LegId("a1"),
    pbx=LAB,
    by="sofia",
    basis="training",
    file="x.wav",
    started_at=BASE,
)


async def stopped(desk: ActsDesk, call: CallId = ENTRY.call) -> Instant | None:
    """When the newest recording of a call ended."""
    return (await desk.calls.recordings(Selection(call=call)))[0].stopped_at


@pytest.mark.parametrize("how", ["stopped", "over"])
async def test_an_end_is_noted(desk: ActsDesk, how: str) -> None:
    """When it is told as stopped, and when the agent has gone."""
    await desk.recordings.begin(ENTRY)
    await desk.leg("a1", recording=Recording.ON)
    await desk.leg("a1", recording=Recording.PAUSED)
    assert await stopped(desk) is None
    if how == "stopped":
        await desk.leg("a1", recording=Recording.OFF)
    else:
        desk.script.hangs_up("a1", "c1")
        await desk.hand_over()

    async def is_noted() -> bool:
        return await stopped(desk) is not None

    await until(is_noted)


async def test_what_ended_unseen(desk: ActsDesk) -> None:
    """At the first snapshot what is not recorded any more is over; what still is goes on."""
    await desk.recordings.begin(ENTRY)
    await desk.recordings.begin(replace(ENTRY, call=CallId("lab.gone")))
    await desk.leg("a1", recording=Recording.ON)
    desk.script.legs["a1"] = desk.hub.store.rows[LAB].legs[LegId("a1")]
    desk.script.snapshot()
    await desk.hand_over()

    async def is_noted() -> bool:
        return await stopped(desk, CallId("lab.gone")) is not None

    await until(is_noted)
    assert await stopped(desk) is None


async def test_an_index_that_cannot_be_written(desk: ActsDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end is kept in the memory, and noted once it can be."""
    monkeypatch.setattr(room, "AGAIN_S", 0.01)
    await desk.recordings.begin(ENTRY)
    end = desk.index.end
    failures: list[CallId] = []

    def fails(call: CallId, at: Instant) -> None:
        if len(failures) < 3:
            failures.append(call)
            raise IndexUnavailable("full")
        end(call, at)

    monkeypatch.setattr(desk.index, "end", fails)
    await desk.leg("a1", recording=Recording.ON)
    await desk.leg("a1", recording=Recording.OFF)

    async def is_noted() -> bool:
        return await stopped(desk) is not None

    await until(is_noted)
    assert len(failures) == 3


async def test_an_index_that_cannot_be_read(desk: ActsDesk, monkeypatch: pytest.MonkeyPatch) -> None:
    """At a snapshot: the room goes on, and the next snapshot looks again."""

    def fails(pbx: str) -> list[CallId]:
        raise IndexUnavailable(f"damaged, {pbx}")

    await desk.recordings.begin(ENTRY)
    with monkeypatch.context() as broken:
        broken.setattr(desk.index, "open_calls", fails)
        desk.script.snapshot()
        await desk.hand_over()
        await stopped(desk)  # comes after it in the index's thread
    assert await stopped(desk) is None
    await desk.feed(LinkDown(pbx=LAB, at=BASE, driver="asterisk", reason="cut"))
    desk.script.link_up()
    desk.script.snapshot()
    await desk.hand_over()

    async def is_noted() -> bool:
        return await stopped(desk) is not None

    await until(is_noted)


async def test_old_ones_go(desk: ActsDesk) -> None:
    """What is older than a time is counted, and taken out."""
    assert (desk.recordings.name, desk.recordings.keep_days) == ("recordings", 180)
    await desk.recordings.begin(replace(ENTRY, started_at=Instant(BASE - 10)))
    await desk.recordings.begin(ENTRY)
    for dry_run, left in ((True, 2), (False, 1)):
        assert await desk.recordings.purge(BASE, by="root", dry_run=dry_run) == 1
        assert len(await desk.calls.recordings(Selection())) == left


async def test_what_is_kept_about_somebody(desk: ActsDesk) -> None:
    """An agent's recordings, which stay; a number that somebody wrote, which goes."""
    await desk.recordings.begin(replace(ENTRY, agent=AgentId("1001")))
    await desk.recordings.begin(replace(ENTRY, basis="asked by 06 12 34 56 78"))
    alice = Subject(kind=SubjectKind.AGENT, id="1001")
    (hers,) = await desk.recordings.export(alice)
    assert (hers["agent"], hers["started_at"]) == ("1001", "2026-01-01T00:00:00.000Z")
    told = await desk.recordings.erase(alice, by="root", dry_run=False)
    assert (told.erased, told.kept, "recordings_days" in told.reason) == (0, 1, True)
    nobody = await desk.recordings.erase(replace(alice, id="1009"), by="root", dry_run=False)
    assert (nobody.kept, nobody.reason) == (0, "")
    caller = Subject(kind=SubjectKind.NUMBER, id="+33612345678")
    for dry_run, left in ((True, 1), (False, 0)):
        assert (await desk.recordings.erase(caller, by="root", dry_run=dry_run)).erased == 1
        assert len(await desk.recordings.export(caller)) == left
    assert len(await desk.calls.recordings(Selection())) == 2
