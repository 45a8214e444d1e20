"""A floor's facts in the words of a call, so that a test reads as the trace of one."""

from typing import Any

from msgspec.structs import replace

from ctid.model.entities import Agent, Call, Device, Party, Queue, Supervision
from ctid.model.facts import (
    DeviceChanged,
    DeviceInfo,
    Fact,
    Leg,
    LegChanged,
    LegEnded,
    LinkDown,
    LinkUp,
    Member,
    MemberChanged,
    MemberRemoved,
    OfferMissed,
    QueueInfo,
    Snapshot,
    SupervisionChanged,
)
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LegState, Mode, Purpose, SupervisionEnd, SupervisionState
from ctid.state.changes import Change, Update
from ctid.state.invariants import violations
from ctid.state.profile import AgentProfile, Profiles, QueueProfile
from ctid.state.store import Store

BASE = Instant(1_767_225_600.0)
"""When every test begins: 2026-01-01T00:00:00Z."""

PROFILES = Profiles(
    agents={AgentId("1001"): AgentProfile(name="Anna", team="north")},
    queues={QueueId("support"): QueueProfile(name="Support", wrapup_s=10.0)},
    phones=frozenset({DeviceId("2001"), DeviceId("2002")}),
)
"""1001 is Anna of the team north, `support` gives ten seconds of after-call work, 2001 and 2002 supervise."""


class Floor:
    """One PBX as a script tells it. Every fact that goes in is followed by a check of the invariants."""

    def __init__(self, store: Store, pbx: str = "lab", at: float = BASE) -> None:
        self.store = store
        self.pbx = PbxId(pbx)
        self.now = Instant(at)
        self.told: list[Update] = []
        """All updates so far, in their order."""
        self.legs: dict[str, Leg] = {}
        self.members: dict[tuple[str, str], Member] = {}
        self.queues: dict[str, QueueInfo] = {}
        self.devices: dict[str, DeviceInfo] = {}
        self.sessions: dict[str, Supervision] = {}

    # The machinery --------------------------------------------------------------------------------

    def tell(self, *facts: Fact) -> list[Update]:
        """Apply facts; returns what they changed."""
        updates: list[Update] = []
        for fact in facts:
            updates += self.store.apply(fact)
            found = violations(self.store)
            assert found == [], f"{found} after {fact}"
        self.told += updates
        return updates

    def wait(self, seconds: float) -> list[Update]:
        """Let the time pass, in seconds; returns what it changed."""
        self.now = Instant(self.now + seconds)
        updates = self.store.on_time(self.now)
        found = violations(self.store)
        assert found == [], f"{found} after {seconds} s"
        self.told += updates
        return updates

    def put_leg(self, ident: str, **changed: Any) -> list[Update]:
        """Tell a leg that is other than it was, or new: then `call` and `incoming` are needed."""
        old = self.legs.get(ident)
        leg = replace(old, **changed) if old else Leg(id=LegId(ident), created_at=self.now, **changed)
        self.legs[ident] = leg
        return self.tell(LegChanged(pbx=self.pbx, at=self.now, leg=leg))

    def put_member(self, agent: str, queue: str, **changed: Any) -> list[Update]:
        """Tell a membership that is other than it was."""
        member = replace(self.members[agent, queue], **changed)
        self.members[agent, queue] = member
        return self.tell(MemberChanged(pbx=self.pbx, at=self.now, member=member))

    # The link -------------------------------------------------------------------------------------

    def link_up(self) -> list[Update]:
        """The link stands."""
        return self.tell(LinkUp(pbx=self.pbx, at=self.now, driver="asterisk", version="22.10.1"))

    def link_down(self, reason: str = "connection lost") -> list[Update]:
        """The link is lost."""
        return self.tell(LinkDown(pbx=self.pbx, at=self.now, driver="asterisk", reason=reason))

    def truth(self) -> Snapshot:
        """What the script has told so far, as the PBX would list it."""
        return Snapshot(
            pbx=self.pbx,
            at=self.now,
            legs=tuple(self.legs.values()),
            members=tuple(self.members.values()),
            queues=tuple(self.queues.values()),
            devices=tuple(self.devices.values()),
            supervisions=tuple(self.sessions.values()),
        )

    def snapshot(self, **other: Any) -> list[Update]:
        """The PBX lists everything; `other` are the lists that drifted from what was told."""
        return self.tell(replace(self.truth(), **other))

    # Agents, queues, phones -----------------------------------------------------------------------

    def agent_joins(self, agent: str, queue: str, **told: Any) -> list[Update]:
        """An agent becomes a member of a queue, her phone idle unless `told` says otherwise."""
        given: dict[str, Any] = {
            "name": f"agent {agent}",
            "device": DeviceId(agent),
            "device_state": DeviceState.IDLE,
        }
        member = Member(queue=QueueId(queue), agent=AgentId(agent), **(given | told))
        self.members[agent, queue] = member
        return self.tell(MemberChanged(pbx=self.pbx, at=self.now, member=member))

    def agent_leaves(self, agent: str, queue: str) -> list[Update]:
        """An agent leaves a queue."""
        self.members.pop((agent, queue), None)
        return self.tell(MemberRemoved(pbx=self.pbx, at=self.now, queue=QueueId(queue), agent=AgentId(agent)))

    def agent_pauses(self, agent: str, queue: str, reason: str = "") -> list[Update]:
        """An agent pauses in a queue."""
        return self.put_member(agent, queue, paused=True, reason=reason)

    def phone(self, device: str, state: DeviceState) -> list[Update]:
        """A phone's state."""
        info = self.devices[device] = DeviceInfo(id=DeviceId(device), state=state)
        return self.tell(DeviceChanged(pbx=self.pbx, at=self.now, device=info))

    # Calls ----------------------------------------------------------------------------------------

    def customer_dials(self, leg: str, dialled: str = "7000", number: str = "0612345678") -> list[Update]:
        """A customer's call comes in, and nobody has answered it."""
        return self.put_leg(leg, call=leg, incoming=True, dialled=dialled, number=number)

    def customer_joins(self, leg: str, queue: str, position: int = 1) -> list[Update]:
        """A customer, whose call came in now or before, waits in a queue."""
        if leg not in self.legs:
            self.customer_dials(leg)
        return self.put_leg(
            leg,
            state=LegState.CONNECTED,
            connected_at=self.now,
            queue=QueueId(queue),
            position=position,
            queued_at=self.now,
        )

    def rings(self, leg: str, caller: str, device: str, **told: Any) -> list[Update]:
        """A phone rings with a caller's call."""
        call = self.legs[caller].call
        given = {"call": call, "incoming": False, "state": LegState.ALERTING, "device": DeviceId(device)}
        return self.put_leg(leg, **(given | told))

    def agent_offered(self, agent: str, queue: str, caller: str, leg: str) -> list[Update]:
        """A queue offers a caller to an agent, whose phone rings."""
        updates = self.put_member(agent, queue, offered=LegId(caller))
        return updates + self.rings(leg, caller, agent)

    def connected(self, *legs: str) -> list[Update]:
        """These legs hear each other."""
        updates: list[Update] = []
        for leg in legs:
            since = self.legs[leg].connected_at or self.now
            updates += self.put_leg(
                leg, state=LegState.CONNECTED, connected_at=since, position=None, conversation=f"b-{legs[0]}"
            )
        return updates

    def agent_answers(self, agent: str, queue: str, caller: str, leg: str) -> list[Update]:
        """An agent takes a queue's offer and talks with the caller."""
        updates = self.put_member(agent, queue, offered=None, serving=LegId(caller), in_call=True)
        updates += self.put_leg(leg, state=LegState.CONNECTED, connected_at=self.now)
        return updates + self.connected(caller, leg)

    def agent_serves(self, agent: str, queue: str, caller: str, leg: str) -> list[Update]:
        """From the customer's call to the conversation with the agent, in one step."""
        updates = self.customer_joins(caller, queue)
        updates += self.agent_offered(agent, queue, caller, leg)
        return updates + self.agent_answers(agent, queue, caller, leg)

    def holds(self, leg: str) -> list[Update]:
        """The party at this leg puts the call on hold."""
        return self.put_leg(leg, held=True)

    def retrieves(self, leg: str) -> list[Update]:
        """The party at this leg takes the call back."""
        return self.put_leg(leg, held=False)

    def hangs_up(self, *legs: str) -> list[Update]:
        """These legs end."""
        updates: list[Update] = []
        for leg in legs:
            self.legs.pop(leg, None)
            updates += self.tell(LegEnded(pbx=self.pbx, at=self.now, leg=LegId(leg), cause=16))
        return updates

    def agent_done(self, agent: str, queue: str) -> list[Update]:
        """The queue's part of the agent's call is over."""
        taken = self.members[agent, queue].calls_taken + 1
        return self.put_member(
            agent, queue, serving=None, in_call=False, last_call_at=self.now, calls_taken=taken
        )

    def misses(self, agent: str, queue: str, caller: str, ring_s: float = 15.0) -> list[Update]:
        """An agent lets a queue's call ring."""
        return self.tell(
            OfferMissed(
                pbx=self.pbx,
                at=self.now,
                queue=QueueId(queue),
                agent=AgentId(agent),
                leg=LegId(caller),
                ring_s=ring_s,
            )
        )

    def call_over(self, agent: str, queue: str, caller: str, leg: str) -> list[Update]:
        """Both hang up, the agent first, and the queue is done with her."""
        updates = self.hangs_up(leg)
        updates += self.agent_done(agent, queue)
        return updates + self.hangs_up(caller)

    # Supervision ----------------------------------------------------------------------------------

    def supervisor(self, session: str, key: str = "", /, **changed: Any) -> list[Update]:
        """Tell a session that is other than it was, or new: then its call's key is needed."""
        old = self.sessions.get(session)
        if old is None:
            old = Supervision(
                id=SupervisionId(session),
                pbx=self.pbx,
                state=SupervisionState.ACTIVE,
                mode=Mode.LISTEN,
                since=self.now,
                started_at=self.now,
                supervisor="sofia",
                phone="desk",
                agent=AgentId("1001"),
                call=self.call_id(key),
                purpose=Purpose.QUALITY,
            )
        self.sessions[session] = replace(old, **changed)
        return self.tell(SupervisionChanged(pbx=self.pbx, at=self.now, supervision=self.sessions[session]))

    def supervisor_moves(self, session: str, call: str) -> list[Update]:
        """A session follows to another call."""
        self.sessions[session] = replace(self.sessions[session], call=self.call_id(call))
        return self.supervisor(session)

    def supervisor_leaves(
        self, session: str, end: SupervisionEnd = SupervisionEnd.SUPERVISOR_HUNG_UP
    ) -> list[Update]:
        """A session ends."""
        updates = self.supervisor(session, state=SupervisionState.ENDED, end=end, ended_at=self.now)
        del self.sessions[session]
        return updates

    # What is known --------------------------------------------------------------------------------

    def call_id(self, key: str) -> CallId:
        """The id of the call of this key."""
        return CallId(f"{self.pbx}.{key}")

    def call(self, key: str) -> Call:
        """The call of this key."""
        return self.store.calls[self.call_id(key)]

    def party(self, key: str, leg: str) -> Party:
        """The party at a leg."""
        return next(party for party in self.call(key).parties if party.leg == leg)

    def agent(self, ident: str) -> Agent:
        """The agent of this id."""
        return self.store.agents[AgentId(ident)]

    def queue(self, ident: str) -> Queue:
        """The queue of this id."""
        return self.store.queues[QueueId(ident)]

    def device(self, ident: str) -> Device:
        """The device of this id."""
        return self.store.devices[DeviceId(ident)]


def ended(updates: list[Update], kind: str) -> list[Any]:
    """The last documents of the entities of a kind that went."""
    return [
        update.old
        for update in updates
        if isinstance(update, Change) and update.new is None and update.kind == kind
    ]
