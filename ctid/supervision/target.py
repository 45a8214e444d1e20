"""Whom a request is about: the live call, the agent in it, the customer to keep. Pure."""

from ctid.model.entities import Call, Party
from ctid.model.errors import InvalidRequest, NotFound, SupervisionRefused
from ctid.model.ids import AgentId, CallId, LegId
from ctid.model.words import CallState, PartyState, Role
from ctid.state.store import Store
from ctid.supervision.requests import StartRequest

_TALKING = (PartyState.CONNECTED, PartyState.HELD)
_LIVE = (CallState.CONNECTED, CallState.HELD)


def find_target(store: Store, request: StartRequest) -> tuple[Call, Party]:
    """The live call, and the party of the agent in it.

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
        call = store.calls.get(agent.call) if agent.call is not None else None
        party = _agent_in(call, agent.id) if call is not None else None
        if call is None or party is None:
            raise SupervisionRefused(
                "no_live_call", f"agent {agent.id} is {agent.state}: she is in no conversation to step into"
            )
        return call, party
    call = store.calls.get(CallId(request.call or ""))
    if call is None:
        raise NotFound("call", request.call or "")
    party = _agent_in(call, None)
    if party is None:
        raise SupervisionRefused("no_live_call", f"call {call.id} is {call.state}: no agent talks in it")
    return call, party


def _agent_in(call: Call, agent: AgentId | None) -> Party | None:
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
    releasing = _agent_in(call, agent)
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
