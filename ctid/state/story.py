"""The story of an agent: the last facts that bore on her, and what each made of her state."""

from collections import deque
from typing import Any

from msgspec import Struct, structs

from ctid.model.entities import Agent
from ctid.model.facts import (
    Fact,
    Leg,
    LegChanged,
    LegEnded,
    Member,
    MemberChanged,
)
from ctid.model.ids import LegId
from ctid.model.instant import Instant
from ctid.model.words import AgentState

LINES_KEPT = 60
"""The last ones of each agent: several calls with all that belongs to them."""

Row = Leg | Member
"""What the facts carry whole that an agent is derived from."""

_UNTOLD = frozenset({"name", "number", "dialled"})
"""Of callers: a story needs none of them."""

_ROW = {LegChanged: "leg", MemberChanged: "member"}


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """One fact, as it bore on an agent.

    `at` is the PBX's own time of it, where it tells one; `cause` is none when only the time passed, and only
    named when it is a snapshot; `state` and `reason` are hers after it.
    """

    at: Instant
    fact: str
    source: str
    told: Row | None
    ended: LegId | None
    state: AgentState
    reason: str
    turned: bool


class Step(Struct, frozen=True, kw_only=True):
    """A line for a reader, and whether her state or its reason turned into another by it (`turned`).

    `fact` is its name in ctid's words, `time` when only the time passed; `source` the vendor's name of the
    event. `about` names the row that it carried, `changed` what it told that the line before did not.
    """

    at: Instant
    fact: str
    source: str
    about: str
    changed: dict[str, Any]
    state: AgentState
    reason: str
    turned: bool


class Story:
    """The lines of one agent, oldest first."""

    def __init__(self) -> None:
        self._lines: deque[Line] = deque(maxlen=LINES_KEPT)

    def add(self, cause: Fact | None, at: Instant, old: Agent | None, new: Agent) -> None:
        """Note a fact, or that time passed (none), and the agent before and after it."""
        turned = old is None or (old.state, old.reason) != (new.state, new.reason)
        row = _ROW.get(type(cause))  # type: ignore[arg-type]  # any type may be asked for
        ended = cause.leg if isinstance(cause, LegEnded) else None
        if row is None and ended is None and not turned:
            return
        self._lines.append(
            Line(
                at=at,
                fact="time" if cause is None else str(type(cause).__struct_config__.tag),
                source="" if cause is None else cause.source,
                told=None if row is None else getattr(cause, row),
                ended=ended,
                state=new.state,
                reason=new.reason,
                turned=turned,
            )
        )

    def steps(self) -> list[Step]:
        """Tell the story: of each row, what each line changed of it."""
        known: dict[str, dict[str, Any]] = {}
        return [_step(line, known) for line in self._lines]


def _step(line: Line, known: dict[str, dict[str, Any]]) -> Step:
    about = ""
    changed: dict[str, Any] = {}
    if line.told is not None:
        about, fields = _read(line.told)
        before = known.get(about, {})
        gone = dict.fromkeys(before.keys() - fields.keys())
        changed = {key: value for key, value in fields.items() if before.get(key) != value} | gone
        known[about] = fields
    elif line.ended is not None:
        about, changed = f"leg {line.ended}", {"ended": True}
    return Step(
        at=line.at,
        fact=line.fact,
        source=line.source,
        about=about,
        changed=changed,
        state=line.state,
        reason=line.reason,
        turned=line.turned,
    )


def _read(row: Row) -> tuple[str, dict[str, Any]]:
    """Name a row, and give what it tells; what it does not tell is left out."""
    name = f"leg {row.id}" if isinstance(row, Leg) else f"member of {row.queue}"
    told = {
        key: value
        for key, value in structs.asdict(row).items()
        if key not in _UNTOLD and value is not None and value != ""
    }
    return name, told
