"""The only mutable truth. Facts go in, changes come out; nothing else writes."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

from msgspec.structs import replace

from ctid.model.entities import Pbx
from ctid.model.facts import (
    AfterCallWorkSet,
    AgentMessaged,
    DeviceChanged,
    Fact,
    HelpAsked,
    HelpChanged,
    KeyPressed,
    Leg,
    LegChanged,
    LegEnded,
    LinkDown,
    LinkUp,
    Member,
    MemberChanged,
    MemberRemoved,
    Moment,
    MonitoringSeen,
    OfferMissed,
    QualityMeasured,
    SheetWritten,
    Snapshot,
    SupervisionChanged,
)
from ctid.model.ids import AgentId, DeviceId, LegId, PbxId, safe_id
from ctid.model.instant import Instant
from ctid.model.words import HelpState, LinkState, SnapshotReason, SupervisionEnd, SupervisionState
from ctid.state.after_call import work_after
from ctid.state.calls import call_id
from ctid.state.changes import Occurrence, Update, occurrence
from ctid.state.deriving import Deriving, has_parties
from ctid.state.drift import DRIFTING, Drift, compare
from ctid.state.profile import Profiles
from ctid.state.rows import Rows
from ctid.state.suspicion import DOUBTED_S, doubts

AGENTS_KEPT = 1000
"""Agents of no queue who stay known as logged out; the configuration's own are not counted."""
PHONES_KEPT = 16
"""Phones that stay an agent's after she has gone on to another."""


class Store(Deriving):
    """Entities of every PBX, derived from facts.

    `apply` and `on_time` return the updates in their order, numbered without holes; an entity that is
    equal to what it was gives none.
    """

    def __init__(self, profiles: Profiles | None = None) -> None:
        super().__init__(profiles or Profiles())
        self.drifts: Counter[tuple[PbxId, str]] = Counter()
        """How many differences snapshots have mended, by PBX and kind."""
        self.last_drift: dict[PbxId, tuple[Drift, ...]] = {}
        """What the last snapshot of each PBX mended."""
        self._found: list[tuple[PbxId, SnapshotReason, Drift]] = []
        self._doubts: dict[PbxId, dict[tuple[str, str], Instant]] = {}
        """Since which snapshot each doubt has stood."""
        self._now = Instant(0)
        """The latest time that `on_time` was told."""

    def apply(self, fact: Fact) -> list[Update]:
        """Take in one fact; returns what it changed."""
        at = fact.at
        self._cause, self._confirming = fact, True
        match fact:
            case LegChanged():
                self._leg_changed(self._rows(fact.pbx), fact.leg)
            case LegEnded():
                self._leg_ended(self._rows(fact.pbx), fact.leg)
            case MemberChanged():
                self._member_changed(self._rows(fact.pbx), fact.member, at)
            case MemberRemoved():
                self._member_removed(self._rows(fact.pbx), fact)
            case DeviceChanged():
                self._rows(fact.pbx).devices[fact.device.id] = fact.device
                self._derive_device(fact.pbx, fact.device.id, at)
            case SupervisionChanged():
                self._supervision_changed(fact.supervision, at)
            case QualityMeasured():
                self._measured(self._rows(fact.pbx), fact)
            case AfterCallWorkSet():
                self._set_work(fact)
            case KeyPressed() | AgentMessaged() | HelpChanged() | SheetWritten():
                self._of_people(fact)
            case LinkUp():
                self._link_up(fact)
            case LinkDown():
                self._link_down(fact)
            case Snapshot():
                self._snapshot(fact)
            case _:
                self._occurred(fact)
        return self._commit(fact.pbx, at)

    def _of_people(self, fact: KeyPressed | AgentMessaged | HelpChanged | SheetWritten) -> None:
        """What a person has done, which is of no leg's state."""
        match fact:
            case KeyPressed():
                self._key_pressed(fact)
            case AgentMessaged():
                self._messaged(fact)
            case HelpChanged():
                self._help_changed(fact)
            case _:
                self._sheet_written(fact)

    def on_time(self, now: float) -> list[Update]:
        """Let the time pass: after-call work whose end has come is over."""
        updates: list[Update] = []
        at = self._now = Instant(now)
        for agent, work in list(self._work.items()):
            if work.ends_at <= now:
                del self._work[agent]
                self._dirty_agents[agent] = None
                self._cause, self._confirming = None, False
                updates += self._commit(self.agents[agent].pbx, at)
        return updates

    def next_deadline(self) -> float | None:
        """When `on_time` is next due (UTC seconds), or none."""
        return min([work.ends_at for work in self._work.values()], default=None)

    def take_drifts(self) -> list[tuple[PbxId, SnapshotReason, Drift]]:
        """Hand over the differences found since this was last asked, for a log that shows both sides."""
        found, self._found = self._found, []
        return found

    # What drivers tell -----------------------------------------------------------------------------

    def _leg_changed(self, rows: Rows, leg: Leg) -> None:
        old = rows.put_leg(leg)
        self._touch(rows, leg, old)
        if old is not None and old is not leg:
            if old.call != leg.call:
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

    def _member_changed(self, rows: Rows, member: Member, at: Instant) -> None:
        owner = rows.agent_of.get(member.device) if member.device is not None else None
        if member.queue not in rows.members.get(member.agent, ()):
            self._dirty_queues[member.queue] = None  # later, when her state there changes
        others = [m for queue, m in rows.members.get(member.agent, {}).items() if queue != member.queue]
        serving = any(m.serving is not None for m in (member, *others))
        self._work_on(rows, member, at, serving=serving)
        rows.put_member(member)
        self._dirty_agents[member.agent] = None
        if member.device is not None and rows.agent_of[member.device] != owner:
            if owner is not None:
                self._dirty_agents[owner] = None
            for leg in rows.device_legs[member.device].values():
                self._dirty_calls[leg.call] = None
            self._derive_device(rows.pbx, member.device, at)

    def _member_removed(self, rows: Rows, fact: MemberRemoved) -> None:
        rows.drop_member(fact.agent, fact.queue)
        if not rows.members[fact.agent]:
            self._work.pop(fact.agent, None)
        self._dirty_agents[fact.agent] = None
        self._dirty_queues[fact.queue] = None

    def _work_on(self, rows: Rows, member: Member, at: Instant, *, serving: bool) -> None:
        """Begin after-call work, or end it: a queue's call was over, or she is `serving` in one of them."""
        if serving:
            self._work.pop(member.agent, None)
            return
        old = rows.members.get(member.agent, {}).get(member.queue)
        work = work_after(old, member, self._profiles, at, self._now)
        if work is not None:
            self._work[member.agent] = work

    def _set_work(self, fact: AfterCallWorkSet) -> None:
        work = self._work.get(fact.agent)
        if work is None:
            return
        if fact.ends_at is None:
            del self._work[fact.agent]
        else:
            self._work[fact.agent] = replace(work, ends_at=fact.ends_at)
        self._dirty_agents[fact.agent] = None

    def _measured(self, rows: Rows, fact: QualityMeasured) -> None:
        leg = rows.legs.get(fact.leg)
        if leg is not None:
            rows.quality[fact.leg] = fact.quality
            self._dirty_calls[leg.call] = None

    def _occurred(self, moment: Moment) -> None:
        rows = self._rows(moment.pbx)
        if isinstance(moment, OfferMissed) and moment.queue in rows.members.get(moment.agent, ()):
            rows.miss(moment.agent, moment.queue)
            self._dirty_agents[moment.agent] = None
        leg = rows.legs.get(moment.leg)
        call = call_id(moment.pbx, leg.call if leg else safe_id(moment.leg))
        self.seq += 1
        told = occurrence(moment, self.seq, call)
        if isinstance(moment, MonitoringSeen):
            told = replace(told, agent=_agent_at(rows, leg))
        if isinstance(moment, HelpAsked):
            told = replace(told, agent=self._agent_of(rows, moment.device))
        self._updates.append(told)

    def _occur(self, fact: Fact, name: str, **told: Any) -> None:
        """Tell something that no entity's state tells."""
        self.seq += 1
        self._updates.append(Occurrence(seq=self.seq, at=fact.at, name=name, pbx=fact.pbx, **told))

    def _messaged(self, fact: AgentMessaged) -> None:
        self._occur(fact, "agent_message", agent=fact.agent, by=fact.by, text=fact.text)

    def _agent_of(self, rows: Rows, device: DeviceId | None) -> AgentId | None:
        """Whose phone it is; one that no queue ever had is hers who has its name."""
        if device is None:
            return None
        return rows.agent_of.get(device) or (AgentId(device) if AgentId(device) in self.agents else None)

    def _help_changed(self, fact: HelpChanged) -> None:
        told = fact.help
        if told.state is HelpState.ENDED and told.id not in self.helps:
            return  # told before: its end was its last document
        self._put(self.helps, told.id, told, fact.at)
        if told.state is HelpState.ENDED:
            self._put(self.helps, told.id, None, fact.at)

    def _sheet_written(self, fact: SheetWritten) -> None:
        self._occur(fact, "sheet_written", call=fact.call, agent=fact.agent, to=fact.sheet)

    # The link and its snapshots --------------------------------------------------------------------

    def _link_up(self, fact: LinkUp) -> None:
        link = Pbx(
            id=fact.pbx,
            driver=fact.driver,
            state=LinkState.CONNECTED,
            since=fact.at,
            version=fact.version,
            drift=self._drift(fact.pbx),
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
            drift=self._drift(fact.pbx),
        )
        self._confirming = False
        self._put(self.pbxs, fact.pbx, link, fact.at)
        self._make_stale(self.queues, fact)
        self._make_stale(self.agents, fact)
        self._make_stale(self.devices, fact)
        self._make_stale(self.calls, fact)
        self._make_stale(self.supervisions, fact)

    def _drift(self, pbx: PbxId) -> int:
        return sum(count for (owner, _), count in self.drifts.items() if owner == pbx)

    def _compare(self, rows: Rows, fact: Snapshot) -> None:
        """Count and tell where a snapshot differs from what was told, if nothing can have been missed."""
        link = self.pbxs.get(fact.pbx)
        self.last_drift[fact.pbx] = ()
        if fact.reason not in DRIFTING or link is None or link.synchronized_at is None:
            return
        found = self.last_drift[fact.pbx] = tuple(compare(rows, fact))
        for drift in found:
            self.drifts[fact.pbx, drift.name] += 1
            self._found.append((fact.pbx, fact.reason, drift))
            self._occur(fact, "state_drifted", by=drift.name, to=drift.id)

    def _key_pressed(self, fact: KeyPressed) -> None:
        session = self.supervisions.get(fact.supervision)
        if session is None:
            return  # it has ended meanwhile
        self._occur(
            fact,
            "supervision_key",
            call=session.call,
            agent=session.agent,
            supervision=session.id,
            by=fact.key,
        )

    def _snapshot(self, fact: Snapshot) -> None:
        old = self._rows(fact.pbx)
        self._compare(old, fact)
        rows = self.rows[fact.pbx] = self._new_rows(old, fact)
        for leg in fact.legs:
            before = old.legs.get(leg.id)
            if before is not None and before.call != leg.call and not has_parties(rows, before.call):
                self._merged[before.call] = leg.call
        for agent, members in rows.members.items():
            if not members:
                self._work.pop(agent, None)
        for agent in [agent for agent in old.members if agent not in rows.members]:
            self._forget_agent(agent, fact.at)
        self._replace_supervisions(fact)
        for source in (old, rows):
            self._dirty_calls.update(dict.fromkeys(source.call_legs))
            self._dirty_queues.update(dict.fromkeys(source.queue_agents))
            self._dirty_queues.update(dict.fromkeys(source.waiting))
            self._dirty_queues.update(dict.fromkeys(source.queues))
        # A queue of the configuration stays, also when the PBX has none of its name.
        self._dirty_queues.update(dict.fromkeys([q.id for q in self.queues.values() if q.pbx == fact.pbx]))
        for call in list(self.calls.values()):
            if call.pbx == fact.pbx:
                self._dirty_calls[call.id.removeprefix(f"{fact.pbx}.")] = None
        self._dirty_agents.update(dict.fromkeys(rows.members))
        self._suspect(rows, fact.at)
        for device in dict.fromkeys((*old.devices, *rows.devices)):
            self._derive_device(fact.pbx, device, fact.at)
        link = self.pbxs.get(fact.pbx)
        if link is not None:
            link = replace(link, synchronized_at=fact.at, drift=self._drift(fact.pbx))
            self._put(self.pbxs, fact.pbx, link, fact.at)

    def _new_rows(self, old: Rows, fact: Snapshot) -> Rows:
        """The rows of a snapshot, with what of the old ones no PBX lists."""
        rows = Rows(fact.pbx)
        rows.queues = {info.id: info for info in fact.queues}
        rows.devices = {info.id: info for info in fact.devices}
        serving = {member.agent for member in fact.members if member.serving is not None}
        for member in fact.members:
            ended = self._last_call(old, member, fact.at)
            self._work_on(old, member, ended, serving=member.agent in serving)
            rows.put_member(member)
        for agent, profile in self._profiles.agents.items():
            if profile.pbx == fact.pbx:
                rows.members.setdefault(agent, {})
        for agent, devices in _known_agents(old, rows):
            rows.members.setdefault(agent, {})
            for device in devices:
                rows.agent_of.setdefault(device, agent)
        for agent, missed in old.missed.items():
            kept = {queue: n for queue, n in missed.items() if queue in rows.members.get(agent, ())}
            if kept:
                rows.missed[agent] = kept
        for leg in fact.legs:
            rows.put_leg(leg)
        rows.sort_waiting()
        rows.quality = {leg.id: old.quality[leg.id] for leg in fact.legs if leg.id in old.quality}
        return rows

    def _forget_agent(self, agent: AgentId, at: Instant) -> None:
        self._work.pop(agent, None)
        self.stories.pop(agent, None)
        self._put(self.agents, agent, None, at)

    def _last_call(self, old: Rows, member: Member, at: Instant) -> Instant:
        """When the call of a membership ended that was served when it was last told; else now."""
        before = old.members.get(member.agent, {}).get(member.queue)
        if before is None or before.serving is None or member.last_call_at is None:
            return at
        return member.last_call_at

    def _suspect(self, rows: Rows, at: Instant) -> None:
        """Suspect what this snapshot and an earlier one do not bear out; clear whom this one does."""
        before = self._doubts.get(rows.pbx, {})
        found = doubts(rows, self.agents, self.calls, at)
        since = self._doubts[rows.pbx] = {key: before.get(key, at) for key in found}
        for key in before:
            self._suspects.pop(key, None)
        for key, reason in found.items():
            if at - since[key] >= DOUBTED_S:
                self._suspects[key] = reason

    def _replace_supervisions(self, fact: Snapshot) -> None:
        if fact.supervisions is None:
            return
        seen = {supervision.id for supervision in fact.supervisions}
        for supervision in list(self.supervisions.values()):
            # One that is armed is ctid's own affair: the PBX does not know of it yet.
            if supervision.pbx != fact.pbx or supervision.id in seen:
                continue
            if supervision.state is SupervisionState.REQUESTED:
                self._supervision_changed(replace(supervision, stale=False), fact.at)
            else:
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


def _agent_at(rows: Rows, leg: Leg | None) -> AgentId | None:
    """The agent whose leg it is, or else one who is in the same call."""
    if leg is None:
        return None
    legs = (leg, *rows.call_legs.get(leg.call, {}).values())
    owners = (rows.agent_of.get(other.device) for other in legs if other.device is not None)
    return next((owner for owner in owners if owner is not None), None)


def _known_agents(old: Rows, new: Rows) -> Iterator[tuple[AgentId, list[DeviceId]]]:
    """Who stays known, with her phones: the configuration's, those of a queue, and who was last in one."""
    others = [agent for agent in old.members if agent not in new.members][:AGENTS_KEPT]
    for agent in (*new.members, *others):
        yield agent, old.devices_of(agent)[-PHONES_KEPT:]
