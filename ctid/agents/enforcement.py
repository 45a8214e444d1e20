"""After-call work made known to a PBX as a pause: what is to be done for an agent as she is now. Pure.

No PBX is told of after-call work in any other way that it keeps to: with a pause it offers her no call
of any of her queues meanwhile.
"""

from msgspec import Struct

from ctid.agents.plan import is_paused
from ctid.model.commands import PauseAgent, ResumeAgent
from ctid.model.entities import Agent
from ctid.model.ids import QueueId
from ctid.model.instant import Instant


class Memory(Struct, frozen=True, kw_only=True):
    """Of one piece of work: since when it goes on, where a pause was asked for, and where it holds.

    `over` says that somebody ended such a pause by hand: then the work is over as well.
    """

    since: Instant
    asked: frozenset[QueueId] = frozenset()
    held: frozenset[QueueId] = frozenset()
    over: bool = False


def observed(agent: Agent, reason: str, memory: Memory | None) -> Memory | None:
    """Take in how an agent is now; to be told of each change of her, in their order.

    Where another pause took the place of ours, ours is to be asked for again once that one ends.
    """
    work = agent.after_call_work
    if work is None:
        return None
    if memory is None or memory.since != work.since:
        memory = Memory(since=work.since)
    ours = frozenset([m.queue for m in agent.queues if is_paused(m, reason)])
    free = frozenset([m.queue for m in agent.queues if not m.paused])
    return Memory(
        since=work.since,
        asked=memory.asked & (ours | free),
        held=ours,
        over=memory.over or bool(memory.held & free),
    )


def missing(agent: Agent, reason: str, memory: Memory | None) -> tuple[PauseAgent | ResumeAgent, ...]:
    """Find the commands that would bring an agent in step with her work.

    While she works, each queue in which she is not paused is asked for a pause, once; a pause for another
    reason is somebody's, and stays. Once she does not work, each pause that is still this one ends; with no
    `memory` of it as well, so that what an earlier ctid left is mended.
    """
    work = agent.after_call_work
    if work is None:
        return tuple(
            [ResumeAgent(agent=agent.id, queue=m.queue) for m in agent.queues if is_paused(m, reason)]
        )
    if memory is None or memory.since != work.since or memory.over:
        return ()
    return tuple(
        [
            PauseAgent(agent=agent.id, queue=m.queue, reason=reason)
            for m in agent.queues
            if not m.paused and m.queue not in memory.asked
        ]
    )
