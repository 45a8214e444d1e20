"""Whom a request is about: the live call, the agent in it, the customer to keep. Pure."""

from ctid.model.entities import Agent, Call, Party
from ctid.model.errors import InvalidRequest, NotFound, SupervisionRefused
from ctid.model.ids import AgentId, CallId, LegId
from ctid.model.words import CallState, PartyState, Role, Scope
from ctid.state.store import Store
from ctid.supervision.requests import StartRequest

_TALKING = (PartyState.CONNECTED, PartyState.HELD)
_LIVE = (CallState.ALERTING, CallState.CONNECTED, CallState.HELD)
"""One that is alerting has an agent who talks when it was made for her, and rings out."""


def find_target(store: Store, request: StartRequest) -> tuple[Agent | None, Call | None, Party | None]:
    """The agent, as far as she is known, the live call, and her party in it.

    With a scope that begins with a later call, the agent alone will do.

    Raises:
        InvalidRequest: it names both an agent and a call, or neither.
        NotFound: no such agent, no such call.
        SupervisionRefused: `no_live_call`.
    """
    if (request.agent is None) == (request.call is None):
        raise InvalidRequest("name either an `agent` or a `call`", field="agent")
    if request.agent is not None:
        agent = store.agents.get(AgentId(request.agent))
        if agent is None:
            raise NotFound("agent", request.agent)
        found = conversation_of(store, agent.id)
        if found is not None:
            return agent, *found
        if request.scope is not Scope.CALL:
            return agent, None, None
        raise SupervisionRefused(
            "no_live_call",
            f"agent {agent.id} is {agent.state}: she is in no conversation to step into; the scope `next`"
            " waits for one",
        )
    call = store.calls.get(CallId(request.call or ""))
    if call is None:
        raise NotFound("call", request.call or "")
    party = agent_party(call, None)
    if party is None:
        raise SupervisionRefused("no_live_call", f"call {call.id} is {call.state}: no agent talks in it")
    return store.agents.get(party.agent) if party.agent is not None else None, call, party


def conversation_of(store: Store, agent: AgentId) -> tuple[Call, Party] | None:
    """The live call of an agent, and her party in it; none while she is in none."""
    known = store.agents.get(agent)
    call = store.calls.get(known.call) if known is not None and known.call is not None else None
    party = agent_party(call, agent) if call is not None else None
    return (call, party) if call is not None and party is not None else None


def agent_party(call: Call, agent: AgentId | None) -> Party | None:
    """The party of an agent, or of any, who talks in a call; none when there is none."""
    if call.state not in _LIVE:
        return None
    for party in call.parties:
        if party.role is Role.AGENT and party.state in _TALKING and agent in (None, party.agent):
            return party
    return None


def takeover_legs(call: Call, agent: AgentId | None) -> tuple[LegId, LegId]:
    """The customer's leg, to be kept, and the agent's, to be released.

    Raises:
        SupervisionRefused: `call_ended`, or `mode_not_possible` when it is not a call of two.
    """
    releasing = agent_party(call, agent)
    if releasing is None:
        raise SupervisionRefused("call_ended", "the agent is no longer in the call")
    others = [
        party
        for party in call.parties
        if party.leg != releasing.leg and party.role is not Role.SUPERVISOR and party.state in _TALKING
    ]
    if len(others) != 1:
        raise SupervisionRefused(
            "mode_not_possible", f"the agent talks with {len(others)} parties; only one can be taken over"
        )
    return others[0].leg, releasing.leg
