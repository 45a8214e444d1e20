from pathlib import Path

from msgspec.structs import replace

from ctid.history.entries import Entry
from ctid.history.figures import FORMULAS, AgentFigures, QueueFigures, Selection, figures, moments
from ctid.history.ledger import Ledger
from ctid.history.words import Closed, GapCause, GapState
from ctid.model.instant import Instant
from helpers.floor import BASE
from helpers.moments import PBX, entry

DAY = Selection(since=Instant(BASE), until=Instant(BASE + 1000))


def call(number: int, at: float, agent: str = "1001") -> list[Entry]:
    """A caller who waits 4 s, rings 2 of them at an agent who misses him, then talks 30 s with her."""
    leg = f"{number}.1"
    return [
        entry("caller_queued", at, leg),
        replace(entry("offer_missed", at + 2, leg, agent), ring_s=2.0),
        replace(entry("caller_answered", at + 4, leg, agent), hold_s=4.0, ring_s=1.0),
        replace(entry("call_served", at + 34, leg, agent, by="caller"), hold_s=4.0, talk_s=30.0),
    ]


def ledger_with(directory: Path, *entries: Entry) -> Ledger:
    """A ledger that begins with the day."""
    ledger = Ledger(directory)
    ledger.remember(PBX, until=Instant(BASE + 1000), began_at=Instant(BASE), counters=b"", names=b"")
    ledger.add(entries, {})
    return ledger


def test_nothing(tmp_path: Path) -> None:
    """Of an empty ledger there is no figure, and it is not complete."""
    told = figures(Ledger(tmp_path), DAY)
    assert (told.queues, told.agents, told.began_at, told.complete) == ((), (), None, False)


def test_sums_counts_and_rates(tmp_path: Path) -> None:
    """Each figure by its formula; hold counts once though two moments bear it."""
    abandoned = [
        entry("caller_queued", 1, "7.1"),
        replace(entry("caller_abandoned", 6, "7.1"), wait_s=5.0),
    ]
    left = [
        entry("caller_queued", 1, "8.1"),
        replace(entry("caller_left", 3, "8.1", by="timeout"), wait_s=2.0),
    ]
    ledger = ledger_with(tmp_path, *call(1, 0), *call(2, 100), *abandoned, *left)
    told = figures(ledger, DAY)
    assert told.complete
    assert told.queues == (
        QueueFigures(
            pbx=PBX,
            queue=entry().queue,
            offered=4,
            answered=2,
            abandoned=1,
            left={"timeout": 1},
            missed=2,
            served=2,
            hold_s=8.0,
            wait_s=5.0,
            talk_s=60.0,
            answer_rate=0.5,
            abandonment_rate=0.25,
            mean_hold_s=4.0,
            mean_talk_s=30.0,
        ),
    )
    assert told.agents == (
        AgentFigures(
            pbx=PBX,
            agent=call(1, 0)[1].agent,
            offered=4,
            answered=2,
            missed=2,
            served=2,
            ring_s=6.0,
            talk_s=60.0,
            answer_rate=0.5,
            mean_talk_s=30.0,
        ),
    )
    named = {*QueueFigures.__struct_fields__, *AgentFigures.__struct_fields__} - {"pbx", "queue", "agent"}
    assert set(told.formulas) == set(FORMULAS) == named


def test_rates_of_nothing_are_none(tmp_path: Path) -> None:
    """A queue whose only call began before the period has no rate, and no mean of what it has none of."""
    told = figures(ledger_with(tmp_path, *call(1, -10)[3:]), DAY).queues[0]
    assert (told.offered, told.answer_rate, told.mean_hold_s, told.mean_talk_s) == (0, None, None, 30.0)


def test_selection(tmp_path: Path) -> None:
    """A period ends before its end; queue, agent, kind and reason are combined."""
    ledger = ledger_with(tmp_path, *call(1, 0, "1001"), *call(2, 0, "1002"), entry(at=1000, leg="3.1"))
    assert figures(ledger, DAY).queues[0].offered == 2
    assert figures(ledger, replace(DAY, queue="other")).queues == ()
    (agent,) = figures(ledger, replace(DAY, agent="1002")).agents
    assert (agent.agent, agent.served) == ("1002", 1)
    page, after = moments(ledger, replace(DAY, kind="call_served", by="caller", agent="1001"), None, 10)
    assert ([found.leg for found in page], after) == (["1.1"], None)


def test_pages(tmp_path: Path) -> None:
    """Page by page each moment comes once, in the order of time, also where several are of one instant."""
    ledger = ledger_with(tmp_path, *call(1, 0), *call(2, 0), *call(3, 0))
    found: list[Entry] = []
    after = None
    while True:
        page, after = moments(ledger, DAY, after, 5)
        found += page
        if after is None:
            break
    assert len(found) == 12
    assert len({told.key for told in found}) == 12
    assert [told.at for told in found] == sorted(told.at for told in found)


def test_gaps_in_the_period(tmp_path: Path) -> None:
    """A gap that was filled leaves the figures complete; another does not; nor does a ledger begun later."""
    ledger = ledger_with(tmp_path)
    gap = ledger.open_gap(PBX, Instant(BASE + 5), GapCause.AWAY)
    assert not figures(ledger, DAY).complete
    closed = Closed(row=gap, state=GapState.FILLED, detail="", found=2)
    end = Instant(BASE + 9)
    ledger.remember(PBX, until=end, began_at=end, counters=b"", names=b"", closed=closed)
    told = figures(ledger, DAY)
    assert (told.complete, len(told.gaps)) == (True, 1)
    assert not figures(ledger, replace(DAY, since=Instant(BASE - 1))).complete
