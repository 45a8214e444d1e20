"""What the ledger holds: a moment as a row, and what makes two rows the same moment. Pure."""

from msgspec import Struct
from msgspec.structs import replace

from ctid.model.facts import QueueMoment
from ctid.model.ids import AgentId, CallId, LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.ports import Recollection
from ctid.state.changes import Occurrence, occurrence

KINDS = frozenset(
    {"caller_queued", "caller_answered", "caller_abandoned", "caller_left", "offer_missed", "call_served"}
)
"""The names of the occurrences that are kept: the queues' moments."""

BY_AGENTS = frozenset({"caller_answered", "offer_missed", "call_served"})
"""Those of them that an agent has a part in."""

EVENT, LOG = "event", "log"
"""Where a moment is from: told as it happened, or read in the PBX's own log alone."""

Key = tuple[str, str, str, str]
"""Kind, queue, leg, agent: the same caller may come under one more than once, in the order of time."""


class Entry(Struct, frozen=True, kw_only=True, gc=False):
    """One moment of a caller in a queue, as the ledger keeps it: ids and lengths, no number and no name.

    `agent` is empty where none is concerned, or where the log names somebody who is not known. Lengths are in
    seconds; those that a kind does not have are none.
    """

    pbx: PbxId
    kind: str
    queue: QueueId
    leg: LegId
    agent: AgentId = AgentId("")
    at: Instant
    source: str = EVENT
    by: str = ""
    """Who ended a served call (`caller`, `agent`, `transfer`), or why a caller left (`timeout`, `key` …)."""
    position: int | None = None
    hold_s: float | None = None
    ring_s: float | None = None
    wait_s: float | None = None
    talk_s: float | None = None

    @property
    def key(self) -> Key:
        """What it is, but for which of several."""
        return (self.kind, self.queue, self.leg, self.agent)


class Mark(Struct, frozen=True, gc=False):
    """Which line of the log it is: the leg that the log names, and the second in which it has it."""

    leg: str
    at: float


class Kept(Struct, frozen=True, gc=False):
    """A row of the ledger; one that is not in it yet has the id 0.

    `line` is its line of the log, as far as the log has been read. The row may name another leg: the log
    knows some callers by the Local half that waits for them.
    """

    id: int
    entry: Entry
    line: Mark | None = None

    @property
    def confirmed(self) -> bool:
        """Event and log have both told it."""
        return self.entry.source == EVENT and self.line is not None


def entry_of(told: Occurrence) -> Entry | None:
    """The entry of an occurrence; none for one that is no moment of a queue."""
    if told.name not in KINDS or told.leg is None or told.queue is None:
        return None
    position = told.figures.get("position")
    return Entry(
        pbx=told.pbx,
        kind=told.name,
        queue=told.queue,
        leg=told.leg,
        agent=told.agent or AgentId(""),
        at=told.at,
        by=told.by,
        position=int(position) if position is not None else None,
        hold_s=told.figures.get("hold_s"),
        ring_s=told.figures.get("ring_s"),
        wait_s=told.figures.get("wait_s"),
        talk_s=told.figures.get("talk_s"),
    )


def entries_of(told: Recollection) -> list[Entry]:
    """The entries of what a PBX's log tells."""
    return [_of_log(moment) for moment in told.moments]


def _of_log(moment: QueueMoment) -> Entry:
    told = entry_of(occurrence(moment, 0, CallId(moment.leg)))
    assert told is not None, "each moment of a queue has its kind"  # noqa: S101 - a mistake of ours
    return replace(told, source=LOG)
