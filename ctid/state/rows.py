"""The facts of one PBX as they stand, indexed; entities are derived from these rows."""

from collections import defaultdict

from ctid.model.facts import DeviceInfo, Leg, Member, QueueInfo
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, QueueId


class Rows:
    """One PBX's rows. Only `Store` writes them, through the methods here."""

    def __init__(self, pbx: PbxId) -> None:
        self.pbx = pbx
        self.legs: dict[LegId, Leg] = {}
        self.devices: dict[DeviceId, DeviceInfo] = {}
        self.queues: dict[QueueId, QueueInfo] = {}
        self.members: dict[AgentId, dict[QueueId, Member]] = {}
        self.agent_of: dict[DeviceId, AgentId] = {}
        self.call_legs: dict[str, dict[LegId, Leg]] = {}
        self.device_legs: defaultdict[DeviceId, dict[LegId, Leg]] = defaultdict(dict)
        self.waiting: defaultdict[QueueId, dict[LegId, Leg]] = defaultdict(dict)
        self.queue_agents: defaultdict[QueueId, dict[AgentId, None]] = defaultdict(dict)

    def put_leg(self, leg: Leg) -> Leg | None:
        """Set a leg; returns what it was."""
        old = self.legs.get(leg.id)
        if old is not None:
            if old.call != leg.call:
                self._forget_call(old)
            if old.device != leg.device and old.device is not None:
                self.device_legs[old.device].pop(leg.id, None)
            if old.position is not None and old.queue is not None:
                self.waiting[old.queue].pop(leg.id, None)
        self.legs[leg.id] = leg
        self.call_legs.setdefault(leg.call, {})[leg.id] = leg
        if leg.device is not None:
            self.device_legs[leg.device][leg.id] = leg
        if leg.position is not None and leg.queue is not None:
            self.waiting[leg.queue][leg.id] = leg
        return old

    def drop_leg(self, ident: LegId) -> Leg | None:
        """Remove a leg; returns what it was."""
        old = self.legs.pop(ident, None)
        if old is None:
            return None
        self._forget_call(old)
        if old.device is not None:
            self.device_legs[old.device].pop(ident, None)
        if old.position is not None and old.queue is not None:
            self.waiting[old.queue].pop(ident, None)
        return old

    def _forget_call(self, leg: Leg) -> None:
        legs = self.call_legs[leg.call]
        del legs[leg.id]
        if not legs:
            del self.call_legs[leg.call]

    def put_member(self, member: Member) -> None:
        """Set a membership."""
        self.members.setdefault(member.agent, {})[member.queue] = member
        self.queue_agents[member.queue][member.agent] = None
        if member.device is not None:
            self.agent_of[member.device] = member.agent

    def drop_member(self, agent: AgentId, queue: QueueId) -> None:
        """Remove a membership; the agent stays known, with one queue less."""
        self.members.get(agent, {}).pop(queue, None)
        self.queue_agents[queue].pop(agent, None)

    def devices_of(self, agent: AgentId) -> list[DeviceId]:
        """The agent's devices."""
        return [device for device, owner in self.agent_of.items() if owner == agent]
