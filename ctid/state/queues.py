"""A queue, derived from who waits in it and how its members stand."""

from collections.abc import Collection

from ctid.model.entities import Agent, Queue, Waiting
from ctid.model.facts import Leg, QueueInfo
from ctid.model.ids import PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import AgentState
from ctid.state.calls import call_id


def derive_queue(
    pbx: PbxId,
    ident: QueueId,
    info: QueueInfo | None,
    waiting: Collection[Leg],
    agents: Collection[Agent],
    *,
    name: str,
    at: Instant,
    stale: bool,
) -> Queue:
    """Derive a queue. Positions are counted afresh: the PBX tells a new one only to the caller."""
    counts: dict[AgentState, int] = {}
    for agent in agents:
        for membership in agent.queues:
            if membership.queue == ident:
                counts[membership.state] = counts.get(membership.state, 0) + 1
    callers = sorted(waiting, key=_place)
    return Queue(
        id=ident,
        pbx=pbx,
        name=name or ident,
        since=at,
        stale=stale,
        strategy=info.strategy if info else "",
        waiting=tuple(
            [
                Waiting(
                    call=call_id(pbx, leg.call),
                    position=place,
                    since=leg.queued_at or leg.created_at,
                )
                for place, leg in enumerate(callers, 1)
            ]
        ),
        agents=dict(sorted(counts.items())),
    )


def _place(leg: Leg) -> tuple[int, float]:
    return (leg.position or 0, leg.created_at)
