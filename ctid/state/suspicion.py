"""What a snapshot shows that cannot be so: one list of the PBX against another, and ages beyond belief.

A doubt that snapshots in a row raise makes an entity suspect; a single one may fall between two events.
"""

from collections.abc import Collection, Iterator, Mapping

from ctid.model.entities import Agent, Call
from ctid.model.facts import Leg, Member
from ctid.model.ids import AgentId, CallId, DeviceId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, CallState, DeviceState
from ctid.state.rows import Rows

Doubts = dict[tuple[str, str], str]
"""The kind and the id of an entity, and the reason."""

OLDEST_S: Mapping[CallState, float] = {
    CallState.INITIATED: 3600.0,
    CallState.ALERTING: 600.0,
    CallState.QUEUED: 4 * 3600.0,
    CallState.CONNECTED: 6 * 3600.0,
    CallState.HELD: 2 * 3600.0,
}
"""How long a call may plausibly stay in a state, in seconds."""
LONGEST_OFFER_S = 300.0
DOUBTED_S = 5.0
"""How far apart the snapshots are at least that must agree in a doubt."""

_OCCUPIED = frozenset({DeviceState.IN_USE, DeviceState.HELD, DeviceState.BUSY, DeviceState.RINGING})


def doubts(rows: Rows, agents: Mapping[AgentId, Agent], calls: Mapping[CallId, Call], at: Instant) -> Doubts:
    """Say what is not borne out, at the moment of a snapshot."""
    found: Doubts = {}
    for agent, members in rows.members.items():
        for reason in _of_agent(rows, members.values(), agents.get(agent), at):
            found.setdefault(("agent", agent), reason)
    for device, info in rows.devices.items():
        legs = rows.device_legs.get(device, {}).values()
        for reason in _of_device(info.state, list(legs)):
            found.setdefault(("device", device), reason)
    for call in calls.values():
        if call.pbx == rows.pbx and at - call.since > OLDEST_S[call.state]:
            found["call", call.id] = f"{call.state} for longer than is plausible"
    return found


def _of_agent(rows: Rows, members: Collection[Member], agent: Agent | None, at: Instant) -> Iterator[str]:
    for member in members:
        legs = _legs(rows, member.device)
        if member.serving is not None and member.serving not in rows.legs:
            yield f"the queue {member.queue} has her serve a caller who is not there"
        elif member.in_call and not legs and member.device_state is not DeviceState.UNKNOWN:
            yield f"the queue {member.queue} has her in a call, and her phone is in none"
        if member.offered is not None and member.offered not in rows.legs:
            yield f"the queue {member.queue} offers her a caller who is not there"
    if agent is not None and agent.state is AgentState.OFFERED and at - agent.since > LONGEST_OFFER_S:
        yield "offered for longer than a phone rings"


def _of_device(state: DeviceState, legs: list[Leg]) -> Iterator[str]:
    if state in _OCCUPIED and not legs:
        yield f"{state}, and in no call"
    elif state in (DeviceState.IDLE, DeviceState.UNAVAILABLE) and legs:
        yield f"{state}, and in a call"


def _legs(rows: Rows, device: DeviceId | None) -> list[Leg]:
    return list(rows.device_legs.get(device, {}).values()) if device is not None else []
