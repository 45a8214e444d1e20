"""The facts of one PBX as they stand, indexed; entities are derived from these rows."""

from collections import defaultdict

from ctid.model.facts import DeviceInfo, Leg, Member, QueueInfo
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, QueueId
from ctid.model.quality import Quality


class Rows:
    """One PBX's rows. Only `Store` writes them, through the methods here."""

    def __init__(self, pbx: PbxId) -> None:
        self.pbx = pbx
        self.legs: dict[LegId, Leg] = {}
        self.devices: dict[DeviceId, DeviceInfo] = {}
        self.queues: dict[QueueId, QueueInfo] = {}
        self.quality: dict[LegId, Quality] = {}
        self.missed: dict[AgentId, dict[QueueId, int]] = {}
        """How often each agent let a queue's call ring, since she joined the queue."""
        self.members: dict[AgentId, dict[QueueId, Member]] = {}
        self.agent_of: dict[DeviceId, AgentId] = {}
        self.call_legs: dict[str, dict[LegId, Leg]] = {}
        self.device_legs: defaultdict[DeviceId, dict[LegId, Leg]] = defaultdict(dict)
        self.waiting: defaultdict[QueueId, dict[LegId, Leg]] = defaultdict(dict)
        """Who waits in each queue, in the order in which they are served."""
        self.queue_agents: defaultdict[QueueId, dict[AgentId, None]] = defaultdict(dict)
        self.engaged: dict[LegId, dict[tuple[AgentId, QueueId], None]] = {}
        """The memberships that a caller's leg is offered to or served by; the leg may not be told yet."""
        self.lingering: dict[AgentId, None] = {}
        """Whom a queue's call left alone on the line: whoever comes to them changes what they are."""

    def put_leg(self, leg: Leg) -> Leg | None:
        """Set a leg; returns what it was."""
        old = self.legs.get(leg.id)
        if old is not None:
            if old.call != leg.call:
                self._forget_call(old)
            if old.device != leg.device and old.device is not None:
                self.device_legs[old.device].pop(leg.id, None)
            if old.queue is not None and (old.queue, old.position) != (leg.queue, leg.position):
                self.waiting[old.queue].pop(leg.id, None)
        self.legs[leg.id] = leg
        self.call_legs.setdefault(leg.call, {})[leg.id] = leg
        if leg.device is not None:
            self.device_legs[leg.device][leg.id] = leg
        if leg.position is not None and leg.queue is not None:
            self._line_up(leg.queue, leg, leg.position)
        return old

    def _line_up(self, queue: QueueId, leg: Leg, position: int) -> None:
        """Let a leg wait. Its position was true when it was told: who is served since moves nobody's."""
        waiting = self.waiting[queue]
        if leg.id in waiting or position > len(waiting):
            waiting[leg.id] = leg
            return
        line = list(waiting.items())
        line.insert(max(position - 1, 0), (leg.id, leg))
        self.waiting[queue] = dict(line)

    def sort_waiting(self) -> None:
        """Put all who wait in the order of their positions; right when these were told at one moment."""
        for queue, legs in self.waiting.items():
            self.waiting[queue] = {leg.id: leg for leg in sorted(legs.values(), key=_place)}

    def drop_leg(self, ident: LegId) -> Leg | None:
        """Remove a leg; returns what it was."""
        self.quality.pop(ident, None)
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
        """Set a membership; its phone becomes the agent's when she joins with it, not when she changes."""
        old = self._disengage(member.agent, member.queue)
        for leg in (member.offered, member.serving):
            if leg is not None:
                self.engaged.setdefault(leg, {})[member.agent, member.queue] = None
        self.members.setdefault(member.agent, {})[member.queue] = member
        self.queue_agents[member.queue][member.agent] = None
        if member.device is not None and (old is None or old.device != member.device):
            self.agent_of[member.device] = member.agent

    def drop_member(self, agent: AgentId, queue: QueueId) -> None:
        """Remove a membership; the agent stays known, with one queue less."""
        self._disengage(agent, queue)
        self.members.setdefault(agent, {}).pop(queue, None)
        self.missed.get(agent, {}).pop(queue, None)
        self.queue_agents[queue].pop(agent, None)

    def _disengage(self, agent: AgentId, queue: QueueId) -> Member | None:
        """Take a membership out of the index of callers; returns what it was."""
        old = self.members.get(agent, {}).get(queue)
        for leg in {old.offered, old.serving} if old is not None else ():
            if leg is not None:
                memberships = self.engaged[leg]
                del memberships[agent, queue]
                if not memberships:
                    del self.engaged[leg]
        return old

    def miss(self, agent: AgentId, queue: QueueId) -> None:
        """Count a call that an agent let ring."""
        by_queue = self.missed.setdefault(agent, {})
        by_queue[queue] = by_queue.get(queue, 0) + 1

    def devices_of(self, agent: AgentId) -> list[DeviceId]:
        """The agent's devices."""
        return [device for device, owner in self.agent_of.items() if owner == agent]


def _place(leg: Leg) -> tuple[int, float]:
    return (leg.position or 0, leg.queued_at or leg.created_at)
