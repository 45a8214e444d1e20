"""From an agent as she is and what is asked for, to the commands that are missing. Pure.

A command is left out where the state shows already what it would bring about: a PBX logs every one of
them, and reports count what it logs. Of an agent whose state is `suspect` nothing is taken for granted.
"""

from collections.abc import Collection, Sequence

from ctid.agents.policy import Placement, Policy
from ctid.agents.reasons import fault_of
from ctid.model.commands import LogInAgent, LogOutAgent, PauseAgent, ResumeAgent
from ctid.model.entities import Agent, Membership
from ctid.model.errors import AgentRefused, InvalidRequest, NotFound
from ctid.model.ids import QueueId
from ctid.model.instant import Instant


def check_reason(reason: str, policy: Policy) -> None:
    """Check the reason of a pause by hand.

    Raises:
        InvalidRequest: it is unfit, not one of those the configuration allows, or ctid's own.
    """
    fault = fault_of(reason)
    if fault:
        raise InvalidRequest(f"reason {fault}", field="reason")
    if policy.work_reason and reason == policy.work_reason:
        raise InvalidRequest(
            f"{reason!r} is the reason by which ctid itself enforces after-call work; give another",
            field="reason",
        )
    if policy.pause_reasons and reason not in policy.pause_reasons:
        allowed = ", ".join(policy.pause_reasons)
        raise InvalidRequest(f"reason must be one of: {allowed}", field="reason")


def check_queues(asked: Collection[str] | None, known: Collection[str]) -> None:
    """Check the names of queues.

    Raises:
        NotFound: one is no queue at all.
        InvalidRequest: none is named, where leaving them out means all.
    """
    if asked is None:
        return
    if not asked:
        raise InvalidRequest("queues is empty; leave it out to mean all of hers", field="queues")
    for queue in asked:
        if queue not in known:
            raise NotFound("queue", queue)


def memberships(agent: Agent, asked: Collection[str] | None) -> tuple[Membership, ...]:
    """Find the memberships that are meant: those in the queues named, or all.

    Raises:
        AgentRefused: she is in no queue, or not in one that is named.
    """
    if not agent.queues:
        raise AgentRefused("logged_out", f"{agent.id} is in no queue; log her in first")
    if asked is None:
        return agent.queues
    hers = {membership.queue: membership for membership in agent.queues}
    for queue in asked:
        if queue not in hers:
            raise AgentRefused(
                "not_a_member", f"{agent.id} is not in the queue {queue!r}; she is in {', '.join(hers)}"
            )
    return tuple([hers[QueueId(queue)] for queue in dict.fromkeys(asked)])


def logins(agent: Agent, placement: Placement, asked: Collection[str] | None) -> list[LogInAgent]:
    """Plan a login. A pause that holds in all her queues holds in the new ones as well.

    Raises:
        InvalidRequest: no queue is named, and the configuration knows none of hers.
    """
    wanted = placement.queues if asked is None else tuple([QueueId(queue) for queue in asked])
    if not wanted:
        raise InvalidRequest(
            f"name the queues: the configuration gives {agent.id} none ([[agent]] queues)", field="queues"
        )
    paused = bool(agent.queues) and all(membership.paused for membership in agent.queues)
    reason = max(agent.queues, key=_paused_at).paused_reason if paused else ""
    hers = {membership.queue for membership in agent.queues}
    return [
        LogInAgent(
            agent=agent.id,
            queue=queue,
            name=agent.name if agent.name != agent.id else "",
            address=placement.address,
            paused=paused,
            reason=reason,
        )
        for queue in dict.fromkeys(wanted)
        if queue not in hers or agent.suspect
    ]


def _paused_at(membership: Membership) -> Instant:
    return membership.paused_at or Instant(0)


def is_logged_in(agent: Agent, commands: Collection[LogInAgent]) -> bool:
    """Whether the state shows what these logins ask for; a PBX may tell of the pause after the login."""
    hers = {membership.queue: membership for membership in agent.queues}
    return all(
        command.queue in hers and (not command.paused or is_paused(hers[command.queue], command.reason))
        for command in commands
    )


def logouts(agent: Agent, asked: Collection[str] | None) -> list[LogOutAgent]:
    """Plan a logout; a queue that she is not in is left already."""
    return [
        LogOutAgent(agent=agent.id, queue=membership.queue)
        for membership in agent.queues
        if asked is None or membership.queue in asked
    ]


def pauses(agent: Agent, meant: Sequence[Membership], reason: str) -> list[PauseAgent]:
    """Plan a pause, or the change of its reason."""
    return [
        PauseAgent(agent=agent.id, queue=membership.queue, reason=reason)
        for membership in meant
        if agent.suspect or not is_paused(membership, reason)
    ]


def resumptions(agent: Agent, meant: Sequence[Membership]) -> list[ResumeAgent]:
    """Plan the end of pauses."""
    return [
        ResumeAgent(agent=agent.id, queue=membership.queue)
        for membership in meant
        if agent.suspect or membership.paused
    ]


def is_paused(membership: Membership, reason: str) -> bool:
    """Whether a membership is paused for this very reason."""
    return membership.paused and membership.paused_reason == reason
