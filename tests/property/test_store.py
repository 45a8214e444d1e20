"""Whatever a PBX tells, in whatever order: the invariants hold, and readers know what the store knows."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from msgspec.structs import replace

from ctid.model.entities import Entity, Pbx
from ctid.model.facts import CallerAbandoned, CallServed, OfferMissed
from ctid.model.ids import AgentId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import (
    AgentState,
    DeviceState,
    LegState,
    LinkState,
    Mode,
    SupervisionState,
)
from ctid.state.changes import Change, Update
from ctid.state.store import Store
from helpers.floor import BASE, PROFILES, Floor

Draw = st.DataObject

LEGS = [f"l{number}" for number in range(1, 7)]
KEYS = [*LEGS, "k1", "k2"]
PLACES: dict[str, dict[str, list[str]]] = {
    "one": {"agents": ["1001", "1002", "1003"], "queues": ["support", "sales"], "phones": ["2001", "t1"]},
    "two": {"agents": ["5001", "5002"], "queues": ["orders"], "phones": ["2002"]},
}
SESSIONS = {"one": "s1", "two": "s2"}

pbxs = st.sampled_from(["one", "one", "two"])
legs = st.sampled_from(LEGS)
optional_legs = st.sampled_from([None, None, *LEGS])


class Facts(RuleBasedStateMachine):
    """Two PBXs with agents in queues; each rule tells something that a PBX could, or should never."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(PROFILES)
        self.told: list[Update] = []
        self.mirror: dict[tuple[str, str], Entity] = {}
        self.seen = 0
        self.now = BASE
        self.floors = {pbx: Floor(self.store, pbx) for pbx in PLACES}
        for floor in self.floors.values():
            floor.told = self.told

    @initialize(linked=st.booleans(), joined=st.booleans())
    def begin(self, *, linked: bool, joined: bool) -> None:
        """Mostly the link stands and the agents are there; a PBX may be met in any state."""
        for pbx, floor in self.floors.items():
            if linked:
                floor.link_up()
                floor.snapshot()
            if joined:
                for agent in PLACES[pbx]["agents"]:
                    for queue in PLACES[pbx]["queues"]:
                        floor.agent_joins(agent, queue)

    def _pick(self, data: Draw, pbx: str, what: str) -> str:
        return data.draw(st.sampled_from(PLACES[pbx][what]), what)

    # Legs -------------------------------------------------------------------------------------------

    @rule(data=st.data(), pbx=pbxs, ident=legs)
    def any_leg(self, data: Draw, pbx: str, ident: str) -> None:
        """A leg as no trace would have it: any state, device, conversation, call and queue at once."""
        places = PLACES[pbx]
        devices = st.sampled_from([None, *places["agents"], *places["phones"]])
        changed: dict[str, Any] = {
            "call": data.draw(st.sampled_from(KEYS), "call"),
            "incoming": data.draw(st.booleans(), "incoming"),
            "state": data.draw(st.sampled_from(LegState), "state"),
            "held": data.draw(st.booleans(), "held"),
            "conversation": data.draw(st.sampled_from([None, "b1", "b2"]), "conversation"),
            "device": data.draw(devices, "device"),
            "dialled": data.draw(st.sampled_from(["", "7000", "1002", "2001"]), "dialled"),
            "queue": None,
            "position": None,
            "supervision": None,
        }
        if data.draw(st.integers(0, 4), "supervisor") == 0:
            changed["supervision"] = SupervisionId(SESSIONS[pbx])
        else:
            changed["queue"] = data.draw(st.sampled_from([None, *places["queues"]]), "queue")
            changed["position"] = data.draw(st.sampled_from([None, 1, 2]), "position")
        self.floors[pbx].put_leg(ident, **changed)

    @rule(data=st.data(), pbx=pbxs, ident=legs, position=st.integers(1, 3))
    def customer_joins(self, data: Draw, pbx: str, ident: str, position: int) -> None:
        """A customer waits in a queue, whoever the leg was before."""
        floor = self.floors[pbx]
        if ident in floor.legs:
            floor.hangs_up(ident)
        floor.customer_joins(ident, self._pick(data, pbx, "queues"), position)

    @rule(data=st.data(), pbx=pbxs, caller=legs, ident=legs)
    def agent_is_offered(self, data: Draw, pbx: str, caller: str, ident: str) -> None:
        """A queue offers a caller to a member."""
        floor = self.floors[pbx]
        agent, queue = self._pick(data, pbx, "agents"), self._pick(data, pbx, "queues")
        if caller in floor.legs and caller != ident and (agent, queue) in floor.members:
            floor.agent_offered(agent, queue, caller, ident)

    @rule(data=st.data(), pbx=pbxs, caller=legs, ident=legs)
    def agent_answers(self, data: Draw, pbx: str, caller: str, ident: str) -> None:
        """A member takes an offer."""
        floor = self.floors[pbx]
        agent, queue = self._pick(data, pbx, "agents"), self._pick(data, pbx, "queues")
        if {caller, ident} <= floor.legs.keys() and caller != ident and (agent, queue) in floor.members:
            floor.agent_answers(agent, queue, caller, ident)

    @rule(pbx=pbxs, one=legs, two=legs)
    def bridged(self, pbx: str, one: str, two: str) -> None:
        """Two legs hear each other, of one call or of two."""
        if {one, two} <= self.floors[pbx].legs.keys():
            self.floors[pbx].connected(one, two)

    @rule(pbx=pbxs, ident=legs, held=st.booleans())
    def held(self, pbx: str, ident: str, *, held: bool) -> None:
        """A party puts the call on hold, or takes it back."""
        if ident in self.floors[pbx].legs:
            self.floors[pbx].put_leg(ident, held=held)

    @rule(pbx=pbxs, ident=legs, key=st.sampled_from(KEYS))
    def moved(self, pbx: str, ident: str, key: str) -> None:
        """A leg becomes part of another call."""
        if ident in self.floors[pbx].legs:
            self.floors[pbx].put_leg(ident, call=key)

    @rule(pbx=pbxs, ident=legs)
    def leg_ends(self, pbx: str, ident: str) -> None:
        """A leg ends, known or not, and is in no call after it."""
        floor = self.floors[pbx]
        floor.hangs_up(ident)
        assert not any(
            party.leg == ident
            for call in self.store.calls.values()
            if call.pbx == pbx
            for party in call.parties
        )

    # Members and phones -----------------------------------------------------------------------------

    @rule(data=st.data(), pbx=pbxs, offered=optional_legs, serving=optional_legs)
    def any_member(self, data: Draw, pbx: str, offered: str | None, serving: str | None) -> None:
        """A membership in any state, at any phone, with callers who may be gone or never were."""
        agent = self._pick(data, pbx, "agents")
        devices = st.sampled_from([agent, agent, None, *PLACES[pbx]["agents"], *PLACES[pbx]["phones"]])
        self.floors[pbx].agent_joins(
            agent,
            self._pick(data, pbx, "queues"),
            device=data.draw(devices, "device"),
            device_state=data.draw(st.sampled_from(DeviceState), "device_state"),
            paused=data.draw(st.booleans(), "paused"),
            reason=data.draw(st.sampled_from(["", "lunch"]), "reason"),
            in_call=data.draw(st.booleans(), "in_call"),
            offered=offered,
            serving=serving,
            last_call_at=data.draw(st.sampled_from([None, BASE, self.now]), "last_call_at"),
            wrapup_s=data.draw(st.sampled_from([0.0, 3.0]), "wrapup_s"),
        )

    @rule(data=st.data(), pbx=pbxs)
    def agent_done(self, data: Draw, pbx: str) -> None:
        """A queue is done with its member's call."""
        key = (self._pick(data, pbx, "agents"), self._pick(data, pbx, "queues"))
        if key in self.floors[pbx].members:
            self.floors[pbx].agent_done(*key)

    @rule(data=st.data(), pbx=pbxs)
    def agent_leaves(self, data: Draw, pbx: str) -> None:
        """An agent leaves a queue, a member or not; out of the last one she is logged out, in a call soon."""
        floor = self.floors[pbx]
        agent = self._pick(data, pbx, "agents")
        floor.agent_leaves(agent, self._pick(data, pbx, "queues"))
        if not any(member == agent for member, _ in floor.members):
            left = floor.agent(agent)
            if left.state is AgentState.BUSY:
                assert (left.pending, left.call is None) == (AgentState.LOGGED_OUT, False)
            else:
                assert left.state is AgentState.LOGGED_OUT

    @rule(data=st.data(), pbx=pbxs, state=st.sampled_from(DeviceState))
    def phone(self, data: Draw, pbx: str, state: DeviceState) -> None:
        """A phone's state, a member's or not."""
        self.floors[pbx].phone(
            data.draw(st.sampled_from([*PLACES[pbx]["agents"], *PLACES[pbx]["phones"]])), state
        )

    # Moments and sessions -----------------------------------------------------------------------------

    @rule(data=st.data(), pbx=pbxs, leg=legs, which=st.integers(0, 2))
    def moment(self, data: Draw, pbx: str, leg: str, which: int) -> None:
        """A caller abandons, an offer is missed, a call was served; each is told once, and sets nothing."""
        given: dict[str, Any] = {
            "pbx": PbxId(pbx),
            "at": self.now,
            "queue": QueueId(self._pick(data, pbx, "queues")),
            "leg": LegId(leg),
        }
        agent = AgentId(self._pick(data, pbx, "agents"))
        fact = (
            CallerAbandoned(**given, position=1, wait_s=1.0),
            OfferMissed(**given, agent=agent, ring_s=1.0),
            CallServed(**given, agent=agent, hold_s=1.0, talk_s=1.0, by="caller"),
        )[which]
        told, *counted = self.floors[pbx].tell(fact)
        assert [update.kind for update in counted if isinstance(update, Change)] == ["agent"] * len(counted)
        assert not counted or which == 1
        assert not isinstance(told, Change)

    @rule(
        data=st.data(),
        pbx=pbxs,
        key=st.sampled_from(KEYS),
        mode=st.sampled_from(Mode),
        state=st.sampled_from(SupervisionState),
    )
    def session(self, data: Draw, pbx: str, key: str, mode: Mode, state: SupervisionState) -> None:
        """A session begins, changes, follows to another call, or ends."""
        floor, ident = self.floors[pbx], SESSIONS[pbx]
        if ident in floor.sessions and data.draw(st.booleans(), "follows"):
            floor.supervisor_moves(ident, key)
        floor.supervisor(ident, key, state=state, mode=mode)
        if state is SupervisionState.ENDED:
            del floor.sessions[ident]
            assert SupervisionId(ident) not in self.store.supervisions

    # The link -----------------------------------------------------------------------------------------

    @rule(pbx=pbxs, reason=st.sampled_from(["lost", "refused"]))
    def link_down(self, pbx: str, reason: str) -> None:
        """The link is lost, or still down."""
        self.floors[pbx].link_down(reason)

    @rule(pbx=pbxs)
    def link_up(self, pbx: str) -> None:
        """The link stands again, or anew."""
        self.floors[pbx].link_up()

    @rule(pbx=pbxs)
    def snapshot_agrees(self, pbx: str) -> None:
        """A snapshot of what was told: a second one changes nothing, and calls are what the PBX lists."""
        floor = self.floors[pbx]
        floor.snapshot()
        assert floor.snapshot() == []
        self._is_the_truth(floor)

    @rule(pbx=pbxs, data=st.data())
    def snapshot_drifts(self, pbx: str, data: Draw) -> None:
        """Something was missed: the snapshot's word counts, and a second one changes nothing."""
        floor = self.floors[pbx]
        for table in (floor.legs, floor.members, floor.devices, floor.sessions):
            known: dict[Any, Any] = table
            for key in sorted(known):
                if data.draw(st.integers(0, 3), f"{key} is gone") == 0:
                    del known[key]
        for ident, leg in list(floor.legs.items()):
            key = data.draw(st.sampled_from([leg.call, leg.call, *KEYS]), f"the call of {ident}")
            floor.legs[ident] = replace(leg, call=key)
        floor.snapshot()
        assert floor.snapshot() == []
        self._is_the_truth(floor)

    def _is_the_truth(self, floor: Floor) -> None:
        """The calls, callers, members and phones of a PBX are those that it listed, and no others."""
        fresh = Floor(Store(PROFILES), floor.pbx, self.now)
        fresh.tell(floor.truth())
        mine = [call for call in self.store.calls.values() if call.pbx == floor.pbx]
        assert {call.id: {party.leg: party.state for party in call.parties} for call in mine} == {
            call.id: {party.leg: party.state for party in call.parties} for call in fresh.store.calls.values()
        }
        for ident, queue in fresh.store.queues.items():
            assert self.store.queues[ident].waiting == queue.waiting
        members = {
            (agent.id, membership.queue)
            for agent in self.store.agents.values()
            if agent.pbx == floor.pbx
            for membership in agent.queues
        }
        assert members == set(floor.members)
        phones = {device.id for device in self.store.devices.values() if device.pbx == floor.pbx}
        assert phones == floor.devices.keys()

    # Repetition and time --------------------------------------------------------------------------------

    @rule(pbx=pbxs)
    def told_again(self, pbx: str) -> None:
        """Every leg, member and phone told once more at once: nothing changes."""
        floor = self.floors[pbx]
        link = self.store.pbxs.get(floor.pbx)
        if link is not None and link.state is LinkState.CONNECTED and link.synchronized_at is None:
            return  # what is told now is fresh, and was stale
        assert [update for ident in list(floor.legs) for update in floor.put_leg(ident)] == []
        assert [update for key in list(floor.members) for update in floor.put_member(*key)] == []
        phones = list(floor.devices.values())
        assert [update for phone in phones for update in floor.phone(phone.id, phone.state)] == []

    @rule(seconds=st.sampled_from([0.001, 1.0, 3.0, 10.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        """After-call work whose end has come is over, and no deadline is left behind."""
        self.now = Instant(self.now + seconds)
        for floor in self.floors.values():
            floor.wait(seconds)
        for agent in self.store.agents.values():
            work = agent.after_call_work
            assert work is None or work.ends_at > self.now
        deadline = self.store.next_deadline()
        assert deadline is None or deadline > self.now

    # What holds always ----------------------------------------------------------------------------------

    @invariant()
    def numbers_have_no_holes_and_the_replay_is_the_store(self) -> None:
        """Whoever applies the changes in their order has the store's entities, and missed none."""
        for update in self.told[self.seen :]:
            self.seen += 1
            assert update.seq == self.seen
            if isinstance(update, Change):
                assert update.old != update.new
                key = (update.kind, update.entity.id)
                assert _untimed(self.mirror.get(key)) == _untimed(update.old)
                if update.new is None:
                    del self.mirror[key]
                else:
                    self.mirror[key] = update.new
        assert self.store.seq == self.seen
        assert self.mirror.keys() == {(entity.kind, entity.id) for entity in self.store.entities()}
        for entity in self.store.entities():
            assert _untimed(self.mirror[entity.kind, entity.id]) == _untimed(entity)

    @invariant()
    def after_call_work_has_a_deadline(self) -> None:
        """Nobody works after a call without an end in sight."""
        for agent in self.store.agents.values():
            working = any(member.state is AgentState.WORKING_AFTER_CALL for member in agent.queues)
            assert not working or agent.after_call_work is not None
            if agent.after_call_work is not None:
                deadline = self.store.next_deadline()
                assert deadline is not None
                assert deadline <= agent.after_call_work.ends_at

    @precondition(lambda self: self.store.calls)
    @rule(pbx=pbxs)
    def everybody_hangs_up(self, pbx: str) -> None:
        """Once every leg has ended there is no call, nobody waits, and nobody talks."""
        floor = self.floors[pbx]
        floor.hangs_up(*list(floor.legs))
        assert not any(call.pbx == pbx for call in self.store.calls.values())
        assert not any(queue.waiting for queue in self.store.queues.values() if queue.pbx == pbx)
        assert not any(agent.call for agent in self.store.agents.values() if agent.pbx == pbx)


def _untimed(entity: Entity | None) -> Entity | None:
    """An entity without the time of its last confirmation, which moves untold."""
    if entity is None or isinstance(entity, Pbx):
        return entity
    return replace(entity, confirmed_at=None)


TestFacts = Facts.TestCase
"""Any order of these rules."""
TestFacts.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
