"""The ledger against a PBX's log, however the two come to it: each moment once."""

import math
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from ctid.history.entries import LOG, Entry
from ctid.history.ledger import Ledger
from ctid.history.rows import COLUMNS, entry_of_row
from ctid.model.ids import LegId
from ctid.model.instant import Instant
from helpers.floor import BASE
from helpers.moments import PBX, entry

OVERLAP_S = 60.0
SETTLED_S = 3.0


PAUSES = st.one_of(
    st.sampled_from([0.4, 0.51, 0.99, 1.0, 1.01, 2.0]), st.floats(0.4, 3.0), st.floats(0.4, 30.0)
)
"""Between two moments of a caller, in seconds."""
BEGINNINGS = st.builds(lambda whole, part: whole + part, st.integers(0, 40), st.floats(0.0, 0.999))


class Happened(Struct, frozen=True):
    """A moment, and when its event comes: so long after it, and again where `again`.

    `half` is the leg that the log has it under, where that is a Local half which waits for the caller.
    """

    told: Entry
    after: float
    again: bool
    half: str = ""


@st.composite
def happenings(draw: st.DrawFn, *, halves: bool = False) -> list[Happened]:
    """Callers who wait, ring at agents who do not answer, over and over, talk, and go."""
    found = []
    for number in range(draw(st.integers(1, 4))):
        leg, now = f"{number}.1", draw(BEGINNINGS)
        half = draw(st.sampled_from(["", f"{number}.2"])) if halves else ""
        kinds = ["caller_queued", *draw(st.lists(st.just("offer_missed"), max_size=8)), "caller_abandoned"]
        for kind in kinds * draw(st.integers(1, 2)):
            agent = draw(st.sampled_from(["1001", "1002"])) if kind == "offer_missed" else ""
            told = entry(kind, now, leg, agent)
            found.append(Happened(told, draw(st.floats(0.0, 0.25)), draw(st.booleans()), half))
            now += draw(PAUSES)
    return sorted(found, key=lambda moment: moment.told.at)


@st.composite
def times_away(draw: st.DrawFn) -> list[tuple[float, float]]:
    """Times in which ctid sees no event, and which end in a reading of the log."""
    found: list[tuple[float, float]] = []
    at = float(BASE)
    for _ in range(draw(st.integers(0, 4))):
        began = at + draw(st.floats(0.0, 30.0))
        at = began + draw(st.floats(0.1, 40.0))
        found.append((began, at))
        at += SETTLED_S + 1.0
    return found


def line_of(moment: Happened) -> Entry:
    """The moment as the log has it."""
    told = moment.told
    return replace(told, source=LOG, leg=LegId(moment.half or told.leg), at=Instant(math.floor(told.at)))


def fill(ledger: Ledger, moments: Iterable[Happened], since: float, until: float) -> None:
    """Read the log as a driver does: from a time on, with the beginnings of what goes on in it."""
    since = math.floor(since - OVERLAP_S)
    written = [line_of(moment) for moment in moments if moment.told.at <= until]
    legs = {told.leg for told in written if told.at >= since}
    ledger.fill(PBX, [told for told in written if told.leg in legs], (since, until))


def all_of(ledger: Ledger) -> list[tuple[Entry, int]]:
    """Every row with its ordinal."""
    found = ledger.read(lambda c: c.execute(f"SELECT {COLUMNS}, ordinal FROM moments ORDER BY at").fetchall())  # noqa: S608 - a constant
    return [(entry_of_row(row[:-1]).entry, row[-1]) for row in found]


def live(
    moments: list[Happened], away: list[tuple[float, float]], killed: list[int], order: Random
) -> Ledger:
    """A ledger after all of it: events as they come, the log at the end of each time away, and at the end."""
    ledger = Ledger(Path())
    ledger.path = Path(":memory:")
    inbox: list[tuple[float, Entry]] = []
    for moment in moments:
        if any(began <= moment.told.at < ended for began, ended in away):
            continue
        # The event bears the PBX's time; ctid has it a little later, perhaps after the log was read.
        told = replace(moment.told, at=Instant(moment.told.at + moment.after / 10))
        inbox += [(moment.told.at + moment.after * 8, told)] * (2 if moment.again else 1)
    inbox.sort(key=lambda came: came[0])
    readings = [(ended + later, began, ended + later) for began, ended in away for later in (0.0, SETTLED_S)]
    # A ctid that is killed between reading and noting it reads the same once more.
    readings += [readings[index] for index in killed if index < len(readings)]
    for at, since, until in sorted(readings):
        came = [told for when, told in inbox if when <= at]
        order.shuffle(came)
        ledger.add(came, {})
        inbox = [(when, told) for when, told in inbox if when > at]
        fill(ledger, moments, since, until)
    ledger.add([told for _, told in inbox], {})
    if away:
        end = max([moments[-1].told.at, *(ended for _, ended in away)]) + SETTLED_S
        fill(ledger, moments, away[-1][0], end)
    return ledger


KILLED = st.lists(st.integers(0, 3))
ORDERS = st.randoms(use_true_random=False)


@settings(max_examples=100, deadline=None)
@given(moments=happenings(), away=times_away(), killed=KILLED, order=ORDERS)
def test_each_moment_once(
    moments: list[Happened], away: list[tuple[float, float]], killed: list[int], order: Random
) -> None:
    """Whatever is lost, told twice, told late or read twice, the ledger has each line of the log once."""
    ledger = live(moments, away, killed, order)
    have = all_of(ledger)
    assert Counter(told.key for told, _ in have) == Counter(moment.told.key for moment in moments)
    for key in {told.key for told, _ in have}:
        mine = [(told.at, ordinal) for told, ordinal in have if told.key == key]
        assert [ordinal for _, ordinal in mine] == list(range(1, len(mine) + 1))
        true = sorted(moment.told.at for moment in moments if moment.told.key == key)
        assert all(abs(at - when) < 1.5 for (at, _), when in zip(mine, true, strict=True)), (mine, true)
    ledger.close()


@settings(max_examples=60, deadline=None)
@given(moments=happenings(halves=True), away=times_away(), killed=KILLED, order=ORDERS)
def test_each_moment_once_whoever_waits(
    moments: list[Happened], away: list[tuple[float, float]], killed: list[int], order: Random
) -> None:
    """Where the log names the Local halves that wait for some callers, every figure is the log's as well."""
    ledger = live(moments, away, killed, order)
    have = all_of(ledger)
    assert Counter((told.kind, told.agent) for told, _ in have) == Counter(
        (moment.told.kind, moment.told.agent) for moment in moments
    )
    known = {leg for moment in moments for leg in (moment.told.leg, moment.half)}
    assert {told.leg for told, _ in have} <= known
    ledger.close()
