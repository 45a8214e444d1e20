"""The life of a supervision session: its states, and what leads from one to the next. Pure.

This table is the only one: the drivers advance sessions by it, and `docs/supervision.md` draws it.
"""

from collections.abc import Iterator

from msgspec import Struct

from ctid.model.words import SupervisionState

_S = SupervisionState


class Transition(Struct, frozen=True):
    """One step of a session's life. `by`: what brings it about, in words for a person."""

    old: SupervisionState
    new: SupervisionState
    by: str


TRANSITIONS = (
    Transition(_S.REQUESTED, _S.RINGING, "the agent's next call begins"),
    Transition(_S.REQUESTED, _S.ENDED, "withdrawn, forbidden, or its time is up"),
    Transition(_S.RINGING, _S.ACTIVE, "her phone is answered, and the agent is in a call"),
    Transition(_S.RINGING, _S.WAITING, "her phone is answered, and the agent is in no call"),
    Transition(_S.RINGING, _S.ENDED, "no answer, withdrawn, or the call is over"),
    Transition(_S.ACTIVE, _S.SWITCHING, "another mode, another side to hear, a take-over, a hand-back"),
    Transition(_S.ACTIVE, _S.WAITING, "the agent has left the call, or the call is over"),
    Transition(_S.ACTIVE, _S.ENDED, "somebody hangs up or ends it, a limit, or a rule"),
    Transition(_S.SWITCHING, _S.ACTIVE, "in force; or it failed, and all is as it was"),
    Transition(_S.SWITCHING, _S.WAITING, "the agent has left the call meanwhile"),
    Transition(_S.SWITCHING, _S.ENDED, "somebody hung up, or it cannot be told who hears whom"),
    Transition(_S.WAITING, _S.ACTIVE, "the agent's next call, or the next agent of this call"),
    Transition(_S.WAITING, _S.ENDED, "somebody ends it, the call is over, a limit, or a rule"),
)

FIRST = frozenset({_S.REQUESTED, _S.RINGING})
"""A session begins in one of these."""

_ALLOWED = frozenset((step.old, step.new) for step in TRANSITIONS)


def may_follow(old: SupervisionState | None, new: SupervisionState) -> bool:
    """Whether a session's state may follow another, or (none before) be its first; staying is no step."""
    return new in FIRST if old is None else old is new or (old, new) in _ALLOWED


def drawn() -> str:
    """The table as a Mermaid state diagram."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "stateDiagram-v2"
    for first in sorted(FIRST):
        yield f"    [*] --> {first}"
    for step in TRANSITIONS:
        yield f"    {step.old} --> {step.new}: {step.by}"
    yield f"    {_S.ENDED} --> [*]"
