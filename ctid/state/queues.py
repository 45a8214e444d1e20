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
    old: Queue | None,
    at: Instant,
    stale: bool,
) -> Queue:
    """Derive a queue. `waiting` is in the order of service; positions are counted by it."""
    counts: dict[AgentState, int] = {}
    for agent in agents:
        for membership in agent.queues:
            if membership.queue == ident:
                counts[membership.state] = counts.get(membership.state, 0) + 1
    return Queue(
        id=ident,
        pbx=pbx,
        name=name or ident,
        since=old.since if old else at,
        confirmed_at=old.confirmed_at if old else None,
        stale=stale,
        strategy=info.strategy if info else "",
        waiting=tuple(
            [
                Waiting(
                    call=call_id(pbx, leg.call),
                    position=place,
                    since=leg.queued_at or leg.created_at,
                )
                for place, leg in enumerate(waiting, 1)
            ]
        ),
        agents=dict(sorted(counts.items())),
    )
