"""From the facts as they stand to the entities: what is touched is derived anew."""

from collections.abc import Collection

from msgspec.structs import force_setattr, replace

from ctid.model.entities import AfterCallWork, Agent, Call, Device, Supervision
from ctid.model.facts import Fact, Leg, Member, Snapshot
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, CallState, NoticeKind, SupervisionState
from ctid.state.agents import Activity, are_alone, derive_agent, doing
from ctid.state.calls import call_id, derive_call
from ctid.state.changes import Update
from ctid.state.drift import DRIFTING
from ctid.state.profile import AgentProfile, Profiles, QueueProfile
from ctid.state.queues import derive_queue
from ctid.state.rows import Rows
from ctid.state.story import Story
from ctid.state.tables import Tables

_NO_AGENT_PROFILE = AgentProfile()
_NO_QUEUE_PROFILE = QueueProfile()
_NOTHING_MISSED: dict[QueueId, int] = {}
_NOBODY: dict[LegId, Leg] = {}


class Deriving(Tables):
    """The rows of each PBX, and the entities that are derived from them."""

    def __init__(self, profiles: Profiles) -> None:
        super().__init__()
        self.rows: dict[PbxId, Rows] = {}
        self.stories: dict[AgentId, Story] = {}
        self._profiles = profiles
        self._work: dict[AgentId, AfterCallWork] = {}
        self._suspects: dict[tuple[str, str], str] = {}
        self._cause: Fact | None = None
        """The fact that is being applied; none while only the time passes."""
        self._dirty_calls: dict[str, None] = {}
        self._dirty_agents: dict[AgentId, None] = {}
        self._dirty_queues: dict[QueueId, None] = {}
        self._merged: dict[str, str] = {}
        """Calls that a leg left for another one, which they merge into if it goes on when they end."""
        self._moved: dict[SupervisionId, dict[CallId, CallId]] = {}
        """The calls of sessions whose own was merged into another; a driver still tells the first."""

    def _rows(self, pbx: PbxId) -> Rows:
        rows = self.rows.get(pbx)
        if rows is None:
            rows = self.rows[pbx] = Rows(pbx)
        return rows

    def _touch(self, rows: Rows, leg: Leg, old: Leg | None = None) -> None:
        """Have derived anew what a leg is in; `old` is what it was where that is the same."""
        self._dirty_calls[leg.call] = None
        self._touch_agents(rows, leg, old)
        if leg.queue is not None and leg.position is not None:  # a queue tells those who wait in it
            self._dirty_queues[leg.queue] = None

    def _touch_agents(self, rows: Rows, leg: Leg, old: Leg | None = None) -> None:
        owner = rows.agent_of.get(leg.device) if leg.device is not None else None
        if owner is not None and (old is None or doing(old) != doing(leg)):
            self._dirty_agents[owner] = None
        for agent, _ in rows.engaged.get(leg.id, ()):
            if old is None or old.call != leg.call:
                self._dirty_agents[agent] = None

    def _supervision_changed(self, supervision: Supervision, at: Instant) -> None:
        old = self.supervisions.get(supervision.id)
        if old is None and supervision.state is SupervisionState.ENDED:
            return  # told before: its end was its last document
        call = supervision.call
        moved = self._moved.get(supervision.id, {})
        while call is not None and call in moved:
            call = moved[call]
        supervision = replace(supervision, call=call, confirmed_at=old.confirmed_at if old else None)
        if old is not None:
            self._touch_supervised(old)
        self._put(self.supervisions, supervision.id, supervision, at)
        if supervision.state is SupervisionState.ENDED:
            self._put(self.supervisions, supervision.id, None, at)
            self._moved.pop(supervision.id, None)
        self._touch_supervised(supervision)

    def _touch_supervised(self, supervision: Supervision) -> None:
        agent = self.agents.get(supervision.agent) if supervision.agent is not None else None
        if agent is not None and agent.pbx == supervision.pbx:
            self._dirty_agents[agent.id] = None
        if supervision.call is not None:
            self._dirty_calls[supervision.call.removeprefix(f"{supervision.pbx}.")] = None

    def _move_supervisions(self, call: CallId, into: CallId, at: Instant) -> None:
        for supervision in list(self.supervisions.values()):
            if supervision.call == call:
                moved = self._moved.setdefault(supervision.id, {})
                moved[call] = into
                moved.pop(into, None)  # a call that others come back to has not moved
                self._supervision_changed(supervision, at)

    def _commit(self, pbx: PbxId, at: Instant) -> list[Update]:
        rows = self._rows(pbx)
        while self._dirty_calls:
            key, _ = self._dirty_calls.popitem()
            self._derive_call(rows, key, at)
        self._dirty_agents.update(rows.lingering)
        while self._dirty_agents:
            agent, _ = self._dirty_agents.popitem()
            self._derive_agent(rows, agent, at)
        while self._dirty_queues:
            queue, _ = self._dirty_queues.popitem()
            self._derive_queue(rows, queue, at)
        updates, self._updates = self._updates, []
        return updates

    def _derive_call(self, rows: Rows, key: str, at: Instant) -> None:
        ident = call_id(rows.pbx, key)
        old = self.calls.get(ident)
        legs = rows.call_legs.get(key, {})
        parties = has_parties(rows, key)
        if (old is None) == parties:
            # A supervisor alone is in no call: the others coming or going decides whether she is.
            for leg in legs.values():
                self._touch_agents(rows, leg)
        if not parties:
            merged = self._merged.pop(key, None)
            if old is not None:
                into = None
                if merged is not None and has_parties(rows, merged):
                    into = call_id(rows.pbx, merged)
                ended = replace(
                    old,
                    state=CallState.ENDED,
                    since=at,
                    ended_at=at,
                    merged_into=into,
                    stale=False,
                    supervisions=(),
                )
                self._put(self.calls, ident, ended, at)
                self._put(self.calls, ident, None, at)
                self._suspects.pop(("call", ident), None)
                if into is not None:
                    self._move_supervisions(ident, into, at)
            return
        supervisions = tuple([s.id for s in self.supervisions.values() if s.call == ident])
        call = derive_call(
            rows.pbx,
            key,
            legs.values(),
            old,
            agent_of=rows.agent_of,
            phones=self._profiles.phones,
            supervisions=supervisions,
            quality=rows.quality,
            suspect=self._suspects.get(("call", ident), ""),
            at=at,
            stale=self._stale(rows.pbx),
        )
        if old is not None and old.state is not call.state:
            self._believe(call)
        self._put(self.calls, ident, call, at)

    def _derive_agent(self, rows: Rows, ident: AgentId, at: Instant) -> None:
        members = rows.members.get(ident, {})
        devices = rows.devices_of(ident)
        legs = [
            leg
            for device in devices
            for leg in rows.device_legs.get(device, _NOBODY).values()
            if self._call_of(rows, leg) is not None
        ]
        activity = Activity(legs)
        leg = activity.leg or _callers_leg(rows, members.values())
        old = self.agents.get(ident)
        lingers = self._lingers(rows, old, members.values(), legs)
        if lingers:
            rows.lingering[ident] = None
        else:
            rows.lingering.pop(ident, None)
        agent = derive_agent(
            rows.pbx,
            ident,
            members.values(),
            activity,
            old,
            profile=self._profiles.agents.get(ident, _NO_AGENT_PROFILE),
            work=self._work.get(ident),
            work_reason=self._profiles.after_call_work_reason,
            missed=rows.missed.get(ident, _NOTHING_MISSED),
            device=next((m.device for m in members.values()), devices[0] if devices else None),
            call=self._call_of(rows, leg) if leg is not None else None,
            suspect=self._suspects.get(("agent", ident), ""),
            at=at,
            stale=self._stale(rows.pbx),
            monitored=any(is_told_of(session, ident) for session in self.supervisions.values()),
            lingers=lingers,
        )
        if old is not None and (old.state, old.reason) != (agent.state, agent.reason):
            self._believe(agent)
        story = self.stories.get(ident)
        if story is None:
            story = self.stories[ident] = Story()
        story.add(self._cause, at, old, agent)
        states = {m.queue: m.state for m in old.queues} if old else {}
        if self._put(self.agents, ident, agent, at):
            for membership in agent.queues:
                if states.get(membership.queue) is not membership.state:  # a queue counts states
                    self._dirty_queues[membership.queue] = None

    def _lingers(
        self, rows: Rows, old: Agent | None, members: Collection[Member], legs: Collection[Leg]
    ) -> bool:
        """Whether a queue's call has just left her alone on the line.

        The PBX tells of a call that ends, or is passed on, one leg after the other; between two of its words
        she is with nobody else yet. After a time that nothing is known of, it is not known what left her.
        """
        if old is None or old.state is not AgentState.BUSY or not legs:
            return False
        if isinstance(self._cause, Snapshot) and self._cause.reason not in DRIFTING:
            return False
        if any(member.serving is not None for member in members):
            return False
        calls = {leg.call for leg in legs}
        return are_alone(
            legs, [leg for call in calls for leg in rows.call_legs[call].values() if leg not in legs]
        )

    def _believe(self, entity: Agent | Device | Call) -> None:
        """An entity has moved on: what made it suspect is over. The entity is not published yet.

        One that a snapshot moves has just been judged by that snapshot, which stands.
        """
        if entity.suspect and not isinstance(self._cause, Snapshot):
            del self._suspects[entity.kind, entity.id]
            force_setattr(entity, "suspect", "")

    def _call_of(self, rows: Rows, leg: Leg) -> CallId | None:
        """The leg's call; a supervisor's leg is in none once she is alone."""
        ident = call_id(rows.pbx, leg.call)
        return ident if ident in self.calls else None

    def _derive_queue(self, rows: Rows, ident: QueueId, at: Instant) -> None:
        info = rows.queues.get(ident)
        old = self.queues.get(ident)
        agents = [self.agents[a] for a in rows.queue_agents.get(ident, ()) if a in self.agents]
        waiting = rows.waiting.get(ident, _NOBODY).values()
        if info is None and not agents and not waiting and ident not in self._profiles.queues:
            self._put(self.queues, ident, None, at)
            return
        queue = derive_queue(
            rows.pbx,
            ident,
            info,
            waiting,
            agents,
            name=self._profiles.queues.get(ident, _NO_QUEUE_PROFILE).name,
            old=old,
            at=at,
            stale=self._stale(rows.pbx),
        )
        if old is not None and queue != old:
            force_setattr(queue, "since", at)
        self._put(self.queues, ident, queue, at)

    def _derive_device(self, pbx: PbxId, ident: DeviceId, at: Instant) -> None:
        rows = self._rows(pbx)
        info = rows.devices.get(ident)
        if info is None:
            self._put(self.devices, ident, None, at)
            return
        old = self.devices.get(ident)
        device = Device(
            id=ident,
            pbx=pbx,
            state=info.state,
            since=old.since if old and old.state is info.state else at,
            confirmed_at=old.confirmed_at if old else None,
            stale=self._stale(pbx),
            suspect=self._suspects.get(("device", ident), ""),
            registration=info.registration,
            round_trip_ms=info.round_trip_ms,
            agent=rows.agent_of.get(ident),
        )
        if old is not None and old.state is not device.state:
            self._believe(device)
        self._put(self.devices, ident, device, at)


def _callers_leg(rows: Rows, members: Collection[Member]) -> Leg | None:
    """The leg of the caller whom a queue has for this agent, who has no leg of her own yet, or no more."""
    for member in members:
        caller = member.serving or member.offered
        if caller and caller in rows.legs:
            return rows.legs[caller]
    return None


def is_told_of(session: Supervision, agent: AgentId) -> bool:
    """Whether a session is one in which this agent is heard now, and by which she is to know it."""
    heard = session.state in (SupervisionState.ACTIVE, SupervisionState.SWITCHING)
    return session.agent == agent and heard and session.notice is not NoticeKind.NONE


def has_parties(rows: Rows, key: str) -> bool:
    """Whether a call has a party; legs that are all supervisors' make none."""
    legs = rows.call_legs.get(key)
    return legs is not None and any(leg.supervision is None for leg in legs.values())
