"""What must hold of a store after every fact; tests check it after each test."""

from collections.abc import Iterator

from ctid.model.words import AgentState, CallState, LinkState, PartyState, SupervisionState
from ctid.state.store import Store


def violations(store: Store) -> list[str]:
    """Describe every invariant that does not hold; empty is good."""
    checks = (_calls, _agents, _queues, _supervisions, _devices, _links, _indexes)
    return [text for check in checks for text in check(store)]


def _calls(store: Store) -> Iterator[str]:
    owner: dict[tuple[str, str], str] = {}
    for call in store.calls.values():
        where = f"call {call.id}"
        if call.state is CallState.ENDED:
            yield f"{where} is ended and still there"
        if not call.parties:
            yield f"{where} has no party"
        if call.state in (CallState.CONNECTED, CallState.HELD) and not any(p.parked for p in call.parties):
            if len(call.parties) < 2:
                yield f"{where} is {call.state} with one party"
            if call.answered_at is None:
                yield f"{where} is {call.state} and was never answered"
        for party in call.parties:
            if (call.pbx, party.leg) in owner:
                yield f"leg {party.leg} is in {call.id} and in {owner[call.pbx, party.leg]}"
            owner[call.pbx, party.leg] = call.id
        yield from (
            f"{where} names the unknown supervision {ident}"
            for ident in call.supervisions
            if ident not in store.supervisions
        )


def _agents(store: Store) -> Iterator[str]:
    parties = {(call.pbx, party.leg) for call in store.calls.values() for party in call.parties}
    for agent in store.agents.values():
        where = f"agent {agent.id}"
        if agent.state is AgentState.LOGGED_OUT and agent.queues:
            yield f"{where} is logged out and a member of {agent.queues[0].queue}"
        unseen = any(
            member.serving is not None and (agent.pbx, member.serving) not in parties
            for member in store.rows[agent.pbx].members.get(agent.id, {}).values()
        )
        if agent.state in (AgentState.BUSY, AgentState.BUSY_OTHER) and agent.call is None and not unseen:
            yield f"{where} is {agent.state} without a call"
        if agent.call is not None and agent.call not in store.calls:
            yield f"{where} is in the unknown call {agent.call}"
        yield from (
            f"{where} is a member of the unknown queue {membership.queue}"
            for membership in agent.queues
            if membership.queue not in store.queues
        )


def _queues(store: Store) -> Iterator[str]:
    for queue in store.queues.values():
        where = f"queue {queue.id}"
        for place, waiting in enumerate(queue.waiting, 1):
            call = store.calls.get(waiting.call)
            if call is None:
                yield f"{where} has the unknown call {waiting.call} waiting"
            elif not any(party.state in (PartyState.QUEUED, PartyState.HELD) for party in call.parties):
                yield f"{where} has {waiting.call} waiting, none of whose parties is queued"
            if waiting.position != place:
                yield f"{where} has position {waiting.position} at place {place}"
        members = sum(
            1 for agent in store.agents.values() for member in agent.queues if member.queue == queue.id
        )
        if members != sum(queue.agents.values()):
            yield f"{where} counts {sum(queue.agents.values())} members of {members}"


def _supervisions(store: Store) -> Iterator[str]:
    for supervision in store.supervisions.values():
        if supervision.state is SupervisionState.ENDED:
            yield f"supervision {supervision.id} is ended and still there"
        call = store.calls.get(supervision.call) if supervision.call is not None else None
        if call is not None and supervision.id not in call.supervisions:
            yield f"supervision {supervision.id} is not named by its call {call.id}"


def _devices(store: Store) -> Iterator[str]:
    for device in store.devices.values():
        owner = store.rows[device.pbx].agent_of.get(device.id)
        if device.agent != owner:
            yield f"device {device.id} is {device.agent}'s, and by the members {owner}'s"


def _links(store: Store) -> Iterator[str]:
    owned = (store.agents, store.devices, store.queues, store.calls)
    for entity in (entity for table in owned for entity in table.values()):
        link = store.pbxs.get(entity.pbx)
        if link is None:
            continue
        if link.state is LinkState.DOWN and not entity.stale:
            yield f"{entity.kind} {entity.id} is not stale, and the link is down"
        if link.state is LinkState.CONNECTED and link.synchronized_at is not None and entity.stale:
            yield f"{entity.kind} {entity.id} is stale, and the link is up and synchronized"


def _indexes(store: Store) -> Iterator[str]:
    for rows in store.rows.values():
        indexed = {ident for legs in rows.call_legs.values() for ident in legs}
        if indexed != set(rows.legs):
            yield f"pbx {rows.pbx}: the index of calls and the legs differ by {indexed ^ set(rows.legs)}"
        waiting = {ident for legs in rows.waiting.values() for ident in legs}
        expected = {
            leg.id for leg in rows.legs.values() if leg.position is not None and leg.queue is not None
        }
        if waiting != expected:
            yield f"pbx {rows.pbx}: the index of queues and the legs differ by {waiting ^ expected}"
        engaged = {leg: set(memberships) for leg, memberships in rows.engaged.items()}
        callers: dict[str, set[tuple[str, str]]] = {}
        for members in rows.members.values():
            for member in members.values():
                for leg in {member.offered, member.serving}:
                    if leg is not None:
                        callers.setdefault(leg, set()).add((member.agent, member.queue))
        if engaged != callers:
            yield f"pbx {rows.pbx}: the index of callers is {engaged}, and the members say {callers}"
