"""Drawing an agent at random, so that nobody is picked on: spread over those least monitored. Pure."""

from collections.abc import Sequence
from hashlib import sha256

from msgspec import Struct

from ctid.model.ids import AgentId


class Candidate(Struct, frozen=True, kw_only=True):
    """An agent who may be listened to now, and for how many seconds she has been this week."""

    agent: AgentId
    listened_s: float


def draw(candidates: Sequence[Candidate], seed: str) -> AgentId | None:
    """Draw one of the half of them that has been listened to least; none where there is nobody.

    Whoever has been listened to as long as the last of that half is in it as well. Of these it is the one
    with the smallest SHA-256 of `<seed>:<agent>`: whoever knows the seed can do the draw again.
    """
    if not candidates:
        return None
    ranked = sorted(candidate.listened_s for candidate in candidates)
    most = ranked[(len(ranked) - 1) // 2]
    least = [candidate.agent for candidate in candidates if candidate.listened_s <= most]
    return min(least, key=lambda agent: sha256(f"{seed}:{agent}".encode()).digest())
