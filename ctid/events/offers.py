"""What a screen pops up on: a call rings at an agent, and she answers it.

Both are told of the call's own change, after the event of its state, once for each agent.
"""

from collections.abc import Iterator

from ctid.events.catalogue import CallAnswered, CallOffered
from ctid.events.documents import Documents
from ctid.events.structs import Header
from ctid.model.entities import Call, Party
from ctid.model.ids import AgentId
from ctid.model.instant import Instant
from ctid.model.words import PartyState, Role

OFFERED, ANSWERED = "call.offered", "call.answered"


def offers_of(
    old: Call | None, new: Call, documents: Documents, seq: int, at: Instant
) -> Iterator[tuple[str, Header]]:
    """Name and data of each such event in a change.

    A call that ctid finds when it starts is told where it rings, and not where it was answered before.
    """
    before = {party.leg: party.state for party in old.parties} if old else {}
    for party in new.parties:
        if party.agent is None or party.role is not Role.AGENT:
            continue
        was = before.get(party.leg)
        if party.state is PartyState.ALERTING and was is not PartyState.ALERTING:
            yield OFFERED, _told(CallOffered, old, new, party, party.agent, documents, seq, at)
        elif party.state is PartyState.CONNECTED and old is not None and was in (None, PartyState.ALERTING):
            # Without having rung here: she picked it up, or it was passed on to her.
            yield ANSWERED, _told(CallAnswered, old, new, party, party.agent, documents, seq, at)


def _told(
    kind: type[CallOffered] | type[CallAnswered],
    old: Call | None,
    new: Call,
    party: Party,
    agent: AgentId,
    documents: Documents,
    seq: int,
    at: Instant,
) -> Header:
    call = documents.call(new)
    caller = _caller(call, party)
    return kind(
        documents.boot_id,
        seq,
        at,
        call=call.id,
        pbx=call.pbx,
        queue=call.queue,
        direction=call.direction,
        agent=agent,
        device=party.device,
        number=caller.number if caller else "",
        name=caller.name if caller else "",
        dialled=call.dialled,
        waited_s=_waited(old, call, caller, at),
    )


def _caller(call: Call, agent: Party) -> Party | None:
    """Who is at the other end: the customer, or whoever else is there first."""
    others = [party for party in call.parties if party.leg != agent.leg]
    customers = [party for party in others if party.role is Role.CUSTOMER]
    return next(iter([*customers, *others]), None)


def _waited(old: Call | None, call: Call, caller: Party | None, at: Instant) -> float | None:
    """Seconds since the call came; where somebody has spoken in it, since it waits in a queue again."""
    since: Instant | None = call.started_at
    if old is not None and old.answered_at is not None:
        since = caller.since if caller is not None and caller.state is PartyState.QUEUED else None
    return None if since is None else round(max(at - since, 0.0), 3)
