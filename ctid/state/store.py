"""The only mutable truth. Facts go in, changes come out; nothing else writes."""

from collections.abc import Collection, Iterator
from typing import TypeVar, assert_never

from msgspec.structs import replace

from ctid.model.entities import Agent, Call, Device, Entity, Pbx, Queue, Supervision
from ctid.model.facts import (
    CallerAbandoned,
    CallServed,
    DeviceChanged,
    Fact,
    Leg,
    LegChanged,
    LegEnded,
    LinkDown,
    LinkUp,
    Member,
    MemberChanged,
    MemberRemoved,
    Moment,
    OfferMissed,
    Snapshot,
    SupervisionChanged,
)
from ctid.model.ids import AgentId, CallId, DeviceId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import CallState, LinkState, SupervisionEnd, SupervisionState
from ctid.state.agents import Activity, derive_agent, doing
from ctid.state.calls import call_id, derive_call
from ctid.state.changes import Change, Occurrence, Update
from ctid.state.profile import AgentProfile, Profiles, QueueProfile
from ctid.state.queues import derive_queue
from ctid.state.rows import Rows

_Key = TypeVar("_Key")
_Value = TypeVar("_Value", Pbx, Agent, Device, Queue, Call, Supervision)

_Owned = TypeVar("_Owned", Agent, Device, Queue, Call, Supervision)

_NO_AGENT_PROFILE = AgentProfile()
_NO_QUEUE_PROFILE = QueueProfile()


class Store:
    """Entities of every PBX, derived from facts.

    `apply` and `on_time` return the updates in their order, numbered without holes; an entity that is
    equal to what it was gives none.
    """

    def __init__(self, profiles: Profiles | None = None) -> None:
        self.seq = 0
        self.pbxs: dict[PbxId, Pbx] = {}
        self.agents: dict[AgentId, Agent] = {}
        self.devices: dict[DeviceId, Device] = {}
        self.queues: dict[QueueId, Queue] = {}
        self.calls: dict[CallId, Call] = {}
        self.supervisions: dict[SupervisionId, Supervision] = {}
        self.rows: dict[PbxId, Rows] = {}
        self._profiles = profiles or Profiles()
        self._deadlines: dict[AgentId, Instant] = {}
        self._now = Instant(0)
        """The latest time that `on_time` was told."""
        self._updates: list[Update] = []
        self._dirty_calls: dict[str, None] = {}
        self._dirty_agents: dict[AgentId, None] = {}
        self._dirty_queues: dict[QueueId, None] = {}
        self._merged: dict[str, str] = {}
        self._moved: dict[SupervisionId, CallId] = {}
        """The calls of sessions whose own was merged into another; a driver still tells the first."""

    def entities(self) -> Iterator[Entity]:
        """Every live entity, links first."""
        yield from self.pbxs.values()
        yield from self.queues.values()
        yield from self.agents.values()
        yield from self.devices.values()
        yield from self.calls.values()
        yield from self.supervisions.values()

    def apply(self, fact: Fact) -> list[Update]:
        """Take in one fact; returns what it changed."""
        at = fact.at
        match fact:
            case LegChanged():
                self._leg_changed(self._rows(fact.pbx), fact.leg)
            case LegEnded():
                self._leg_ended(self._rows(fact.pbx), fact.leg)
            case MemberChanged():
                self._member_changed(self._rows(fact.pbx), fact.member, at)
            case MemberRemoved():
                self._rows(fact.pbx).drop_member(fact.agent, fact.queue)
                self._dirty_agents[fact.agent] = None
                self._dirty_queues[fact.queue] = None
            case DeviceChanged():
                self._rows(fact.pbx).devices[fact.device.id] = fact.device
                self._derive_device(fact.pbx, fact.device.id, at)
            case SupervisionChanged():
                self._supervision_changed(fact.supervision, at)
            case CallerAbandoned() | OfferMissed() | CallServed():
                self._occurred(fact)
            case LinkUp():
                self._link_up(fact)
            case LinkDown():
                self._link_down(fact)
            case Snapshot():
                self._snapshot(fact)
            case _:
                assert_never(fact)
        return self._commit(fact.pbx, at)

    def on_time(self, now: float) -> list[Update]:
        """Let the time pass: after-call work whose end has come is over."""
        updates: list[Update] = []
        at = self._now = Instant(now)
        for agent, deadline in list(self._deadlines.items()):
            if deadline <= now:
                del self._deadlines[agent]
                self._dirty_agents[agent] = None
                updates += self._commit(self.agents[agent].pbx, at)
        return updates

    def next_deadline(self) -> float | None:
        """When `on_time` is next due (UTC seconds), or none."""
        return min(self._deadlines.values(), default=None)

    # Facts into rows ------------------------------------------------------------------------------

    def _rows(self, pbx: PbxId) -> Rows:
        rows = self.rows.get(pbx)
        if rows is None:
            rows = self.rows[pbx] = Rows(pbx)
        return rows

    def _leg_changed(self, rows: Rows, leg: Leg) -> None:
        old = rows.put_leg(leg)
        self._touch(rows, leg, old)
        if old is not None and old is not leg:
            if old.call != leg.call and not _parties(rows, old.call):
                self._merged[old.call] = leg.call
            if (old.call, old.device, old.queue, old.position) != (
                leg.call,
                leg.device,
                leg.queue,
                leg.position,
            ):
                self._touch(rows, old)

    def _leg_ended(self, rows: Rows, ident: LegId) -> None:
        old = rows.drop_leg(ident)
        if old is not None:
            self._touch(rows, old)

    def _touch(self, rows: Rows, leg: Leg, old: Leg | None = None) -> None:
        """Have derived anew what a leg is in; `old` is what it was where that is the same."""
        self._dirty_calls[leg.call] = None
        self._touch_agents(rows, leg, old)
        if leg.queue is not None and leg.position is not None:  # a queue tells those who wait in it
            self._dirty_queues[leg.queue] = None

    def _touch_agents(self, rows: Rows, leg: Leg, old: Leg | None = None) -> None:
        owner = rows.agent_of.get(leg.device) if leg.device is not None else None
        # Who works after a call may be done with that, whatever the leg tells.
        if owner is not None and (old is None or doing(old) != doing(leg) or owner in self._deadlines):
            self._dirty_agents[owner] = None
        for agent, _ in rows.engaged.get(leg.id, ()):
            if old is None or old.call != leg.call or agent in self._deadlines:
                self._dirty_agents[agent] = None

    def _member_changed(self, rows: Rows, member: Member, at: Instant) -> None:
        owner = rows.agent_of.get(member.device) if member.device is not None else None
        if member.queue not in rows.members.get(member.agent, ()):
            self._dirty_queues[member.queue] = None  # later, when her state there changes
        rows.put_member(member)
        self._dirty_agents[member.agent] = None
        if member.device is not None and rows.agent_of[member.device] != owner:
            if owner is not None:
                self._dirty_agents[owner] = None
            for leg in rows.device_legs[member.device].values():
                self._dirty_calls[leg.call] = None
            self._derive_device(rows.pbx, member.device, at)

    def _supervision_changed(self, supervision: Supervision, at: Instant) -> None:
        old = self.supervisions.get(supervision.id)
        if old is None and supervision.state is SupervisionState.ENDED:
            return  # told before: its end was its last document
        supervision = replace(supervision, call=self._moved.get(supervision.id, supervision.call))
        if old is not None:
            self._dirty_calls[old.call.removeprefix(f"{old.pbx}.")] = None
        self._put(self.supervisions, supervision.id, supervision, at)
        if supervision.state is SupervisionState.ENDED:
            self._put(self.supervisions, supervision.id, None, at)
            self._moved.pop(supervision.id, None)
        self._dirty_calls[supervision.call.removeprefix(f"{supervision.pbx}.")] = None

    def _occurred(self, moment: Moment) -> None:
        rows = self._rows(moment.pbx)
        leg = rows.legs.get(moment.leg)
        name, agent, by, figures = _told(moment)
        self.seq += 1
        self._updates.append(
            Occurrence(
                seq=self.seq,
                at=moment.at,
                name=name,
                pbx=moment.pbx,
                call=call_id(moment.pbx, leg.call if leg else moment.leg),
                queue=moment.queue,
                agent=agent,
                by=by,
                figures=figures,
            )
        )

    # The link -------------------------------------------------------------------------------------

    def _link_up(self, fact: LinkUp) -> None:
        link = Pbx(
            id=fact.pbx, driver=fact.driver, state=LinkState.CONNECTED, since=fact.at, version=fact.version
        )
        self._put(self.pbxs, fact.pbx, link, fact.at)

    def _link_down(self, fact: LinkDown) -> None:
        old = self.pbxs.get(fact.pbx)
        link = Pbx(
            id=fact.pbx,
            driver=fact.driver,
            state=LinkState.DOWN,
            since=old.since if old and old.state is LinkState.DOWN else fact.at,
            version=old.version if old else "",
            reason=fact.reason,
        )
        self._put(self.pbxs, fact.pbx, link, fact.at)
        self._make_stale(self.queues, fact)
        self._make_stale(self.agents, fact)
        self._make_stale(self.devices, fact)
        self._make_stale(self.calls, fact)
        self._make_stale(self.supervisions, fact)

    def _make_stale(self, table: dict[_Key, _Owned], fact: LinkDown) -> None:
        for key, entity in list(table.items()):
            if entity.pbx == fact.pbx:
                self._put(table, key, replace(entity, stale=True), fact.at)

    def _snapshot(self, fact: Snapshot) -> None:
        old, rows = self._rows(fact.pbx), Rows(fact.pbx)
        self.rows[fact.pbx] = rows
        for info in fact.queues:
            rows.queues[info.id] = info
        for member in fact.members:
            rows.put_member(member)
        for agent, devices in _known_agents(old):
            rows.members.setdefault(agent, {})
            for device in devices:
                rows.agent_of.setdefault(device, agent)
        for leg in fact.legs:
            rows.put_leg(leg)
        rows.sort_waiting()
        for leg in fact.legs:
            before = old.legs.get(leg.id)
            if before is not None and before.call != leg.call and not _parties(rows, before.call):
                self._merged[before.call] = leg.call
        for device_info in fact.devices:
            rows.devices[device_info.id] = device_info
        self._replace_supervisions(fact)
        for source in (old, rows):
            self._dirty_calls.update(dict.fromkeys(source.call_legs))
            self._dirty_queues.update(dict.fromkeys(source.queue_agents))
            self._dirty_queues.update(dict.fromkeys(source.waiting))
            self._dirty_queues.update(dict.fromkeys(source.queues))
        for call in list(self.calls.values()):
            if call.pbx == fact.pbx:
                self._dirty_calls[call.id.removeprefix(f"{fact.pbx}.")] = None
        self._dirty_agents.update(dict.fromkeys(rows.members))
        for device in dict.fromkeys((*old.devices, *rows.devices)):
            self._derive_device(fact.pbx, device, fact.at)
        link = self.pbxs.get(fact.pbx)
        if link is not None:
            self._put(self.pbxs, fact.pbx, replace(link, synchronized_at=fact.at), fact.at)

    def _replace_supervisions(self, fact: Snapshot) -> None:
        if fact.supervisions is None:
            return
        seen = {supervision.id for supervision in fact.supervisions}
        for supervision in list(self.supervisions.values()):
            if supervision.pbx == fact.pbx and supervision.id not in seen:
                lost = replace(
                    supervision,
                    state=SupervisionState.ENDED,
                    end=SupervisionEnd.LOST,
                    since=fact.at,
                    ended_at=fact.at,
                    stale=False,
                )
                self._supervision_changed(lost, fact.at)
        for supervision in fact.supervisions:
            self._supervision_changed(supervision, fact.at)

    def _move_supervisions(self, call: CallId, into: CallId, at: Instant) -> None:
        for supervision in list(self.supervisions.values()):
            if supervision.call == call:
                self._moved[supervision.id] = into
                self._supervision_changed(supervision, at)

    # Rows into entities ---------------------------------------------------------------------------

    def _commit(self, pbx: PbxId, at: Instant) -> list[Update]:
        rows = self._rows(pbx)
        while self._dirty_calls:
            key, _ = self._dirty_calls.popitem()
            self._derive_call(rows, key, at)
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
        parties = _parties(rows, key)
        if (old is None) == parties:
            # A supervisor alone is in no call: the others coming or going decides whether she is.
            for leg in legs.values():
                self._touch_agents(rows, leg)
        if not parties:
            merged = self._merged.pop(key, None)
            if old is not None:
                into = call_id(rows.pbx, merged) if merged is not None else None
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
            at=at,
            stale=self._stale(rows.pbx),
        )
        self._put(self.calls, ident, call, at)

    def _derive_agent(self, rows: Rows, ident: AgentId, at: Instant) -> None:
        members = rows.members.get(ident, {})
        devices = rows.devices_of(ident)
        legs = [
            leg
            for device in devices
            for leg in rows.device_legs[device].values()
            if self._call_of(rows, leg) is not None
        ]
        activity = Activity(legs)
        leg = activity.leg or _callers_leg(rows, members.values())
        old = self.agents.get(ident)
        agent = derive_agent(
            rows.pbx,
            ident,
            members.values(),
            activity,
            old,
            profile=self._profiles.agents.get(ident, _NO_AGENT_PROFILE),
            queues=self._profiles.queues,
            device=next((m.device for m in members.values()), devices[0] if devices else None),
            call=self._call_of(rows, leg) if leg is not None else None,
            at=at,
            now=max(at, self._now),
            stale=self._stale(rows.pbx),
        )
        if agent.wrapup_ends_at is not None:
            ends = [m.wrapup_ends_at for m in agent.queues if m.wrapup_ends_at is not None]
            self._deadlines[ident] = min(ends)
        else:
            self._deadlines.pop(ident, None)
        states = {m.queue: m.state for m in old.queues} if old else {}
        if self._put(self.agents, ident, agent, at):
            for membership in agent.queues:
                if states.get(membership.queue) is not membership.state:  # a queue counts states
                    self._dirty_queues[membership.queue] = None

    def _call_of(self, rows: Rows, leg: Leg) -> CallId | None:
        """The leg's call; a supervisor's leg is in none once she is alone."""
        ident = call_id(rows.pbx, leg.call)
        return ident if ident in self.calls else None

    def _derive_queue(self, rows: Rows, ident: QueueId, at: Instant) -> None:
        info = rows.queues.get(ident)
        old = self.queues.get(ident)
        agents = [self.agents[a] for a in rows.queue_agents[ident] if a in self.agents]
        waiting = rows.waiting[ident].values()
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
            at=old.since if old else at,
            stale=self._stale(rows.pbx),
        )
        if queue != old:
            self._put(self.queues, ident, replace(queue, since=at), at)

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
            stale=self._stale(pbx),
            agent=rows.agent_of.get(ident),
        )
        self._put(self.devices, ident, device, at)

    def _stale(self, pbx: PbxId) -> bool:
        link = self.pbxs.get(pbx)
        return link is not None and link.state is LinkState.DOWN

    def _put(self, table: dict[_Key, _Value], key: _Key, new: _Value | None, at: Instant) -> bool:
        old = table.get(key)
        if old == new:
            return False
        if new is None:
            del table[key]
        else:
            table[key] = new
        self.seq += 1
        self._updates.append(Change(seq=self.seq, at=at, old=old, new=new))
        return True


def _callers_leg(rows: Rows, members: Collection[Member]) -> Leg | None:
    """The leg of the caller whom a queue has for this agent, who has no leg of her own yet, or no more."""
    for member in members:
        leg = rows.legs.get(member.serving or member.offered or LegId(""))
        if leg is not None:
            return leg
    return None


def _parties(rows: Rows, key: str) -> bool:
    """Whether a call has a party; legs that are all supervisors' make none."""
    legs = rows.call_legs.get(key)
    return legs is not None and any(leg.supervision is None for leg in legs.values())


def _known_agents(rows: Rows) -> Iterator[tuple[AgentId, list[DeviceId]]]:
    for agent in rows.members:
        yield agent, rows.devices_of(agent)


def _told(moment: Moment) -> tuple[str, AgentId | None, str, dict[str, float]]:
    match moment:
        case CallerAbandoned():
            return "caller_abandoned", None, "", {"position": moment.position, "wait_s": moment.wait_s}
        case OfferMissed():
            return "offer_missed", moment.agent, "", {"ring_s": moment.ring_s}
        case CallServed():
            figures = {"hold_s": moment.hold_s, "talk_s": moment.talk_s}
            return "call_served", moment.agent, moment.by, figures
        case _:
            assert_never(moment)
