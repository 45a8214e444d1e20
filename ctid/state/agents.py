"""An agent, derived from her memberships, her legs and the time."""

from collections.abc import Collection, Iterable, Mapping

from ctid.model.entities import AfterCallWork, Agent, Membership
from ctid.model.facts import Leg, Member
from ctid.model.ids import AgentId, CallId, DeviceId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, DeviceState, LegState
from ctid.state.profile import AgentProfile

DEVICE_UNAVAILABLE = "device_unavailable"
"""The reason of `not_ready` when the PBX cannot reach the agent's phone."""

_PRECEDENCE = {
    state: place
    for place, state in enumerate(
        (
            AgentState.BUSY,
            AgentState.OFFERED,
            AgentState.BUSY_OTHER,
            AgentState.WORKING_AFTER_CALL,
            AgentState.READY,
            AgentState.NOT_READY,
            AgentState.UNKNOWN,
        )
    )
}
"""When an agent's queues differ, the first of these that one of them has is the agent's state."""


class Activity:
    """What the agent's legs say she is doing, and the leg that says so."""

    __slots__ = ("alerting", "leg", "talking")

    def __init__(self, legs: Collection[Leg]) -> None:
        self.talking = False
        self.alerting = False
        self.leg: Leg | None = None
        for leg in legs:
            if _is_off_hook(leg):
                # Of two calls the one that is not on hold is the one she is in.
                if not self.talking or not leg.held:
                    self.leg = leg
                self.talking = True
            elif leg.state is LegState.ALERTING:
                self.alerting = True
                if not self.talking:
                    self.leg = leg


def are_alone(legs: Collection[Leg], others: Iterable[Leg]) -> bool:
    """Whether nobody hears these legs of hers and nobody is rung; `others` are those of their calls."""
    if any(leg.conference or leg.parked for leg in legs):
        return False
    heard = {leg.conversation for leg in legs if leg.conversation is not None}
    return not any(other.state is LegState.ALERTING or other.conversation in heard for other in others)


def _is_off_hook(leg: Leg) -> bool:
    """She has answered or she dials. One whose answer reached nobody yet is told as alerting still."""
    return leg.conversation is not None or leg.incoming or leg.state is LegState.CONNECTED


def doing(leg: Leg) -> tuple[object, ...]:
    """All of a leg of hers that an agent is derived from; equal values derive the same agent."""
    return (leg.call, leg.device, _is_off_hook(leg), leg.held, leg.state is LegState.ALERTING)


def derive_agent(
    pbx: PbxId,
    ident: AgentId,
    members: Collection[Member],
    activity: Activity,
    old: Agent | None,
    *,
    profile: AgentProfile,
    work: AfterCallWork | None,
    work_reason: str,
    missed: Mapping[QueueId, int],
    device: DeviceId | None,
    call: CallId | None,
    suspect: str,
    at: Instant,
    stale: bool,
    monitored: bool = False,
    lingers: bool = False,
) -> Agent:
    """Derive an agent; with no membership she is logged out, once the call a queue brought her is over.

    `work` is the after-call work that goes on; a pause for `work_reason` is that work as the PBX knows it.
    `lingers`: a queue's call has left her alone on the line, which is a part of it until she hangs up.
    """
    busy = {m.queue for m in old.queues if m.state is AgentState.BUSY} if old and lingers else frozenset()
    memberships = tuple(
        [
            derive_membership(
                member,
                activity,
                work,
                work_reason,
                missed.get(member.queue, 0),
                lingers=member.queue in busy,
            )
            for member in members
        ]
    )
    state, reason = AgentState.LOGGED_OUT, ""
    if memberships:
        first = min(memberships, key=lambda membership: _PRECEDENCE[membership.state])
        state, reason = first.state, first.reason
    elif old is not None and old.state is AgentState.BUSY and call is not None and old.call == call:
        state = AgentState.BUSY  # taken out of her queues while she talks to their caller
    pending, pending_reason = _pending(state, memberships, work_reason)
    name = profile.name
    for member in members:
        name = name or member.name
    return Agent(
        id=ident,
        pbx=pbx,
        name=name or (old.name if old else "") or ident,
        team=profile.team,
        state=state,
        reason=reason,
        since=_since(old, state, reason, memberships, activity, at),
        confirmed_at=old.confirmed_at if old else None,
        stale=stale,
        suspect=suspect,
        pending=pending,
        pending_reason=pending_reason,
        logged_in_at=min([m.logged_in_at for m in memberships if m.logged_in_at is not None], default=None),
        device=device,
        call=call,
        after_call_work=work if memberships else None,
        monitored=monitored,
        queues=memberships,
    )


def _since(
    old: Agent | None,
    state: AgentState,
    reason: str,
    memberships: Collection[Membership],
    activity: Activity,
    at: Instant,
) -> Instant:
    """Since when she is in her state; of who is seen for the first time, what the PBX remembers of it."""
    if old is not None:
        return old.since if (old.state, old.reason) == (state, reason) else at
    known: Instant | None = None
    if state is AgentState.NOT_READY:
        known = max([m.paused_at for m in memberships if m.paused and m.paused_at is not None], default=None)
    elif state in (AgentState.BUSY, AgentState.BUSY_OTHER) and activity.leg is not None:
        known = activity.leg.connected_at or activity.leg.created_at
    return at if known is None else min(known, at)


_OCCUPIED = frozenset(
    {AgentState.BUSY, AgentState.BUSY_OTHER, AgentState.OFFERED, AgentState.WORKING_AFTER_CALL}
)


def _pending(
    state: AgentState, memberships: Collection[Membership], work_reason: str
) -> tuple[AgentState | None, str]:
    """What she will be once call and after-call work are over, where that is decided already."""
    if state not in _OCCUPIED:
        return None, ""
    if not memberships:
        return AgentState.LOGGED_OUT, ""
    reasons = [m.paused_reason for m in memberships if m.paused and m.paused_reason != (work_reason or None)]
    if len(reasons) == len(memberships):
        return AgentState.NOT_READY, reasons[0]
    return None, ""


def derive_membership(
    member: Member,
    activity: Activity,
    work: AfterCallWork | None,
    work_reason: str,
    missed: int,
    *,
    lingers: bool = False,
) -> Membership:
    """Derive the state in one queue, whose call `lingers` as in `derive_agent`.

    Her legs say whether she talks: that the queue believes her in a call (`in_call`) may be out of date.
    """
    reason = ""
    if member.serving is not None:
        state = AgentState.BUSY
    elif activity.talking:
        state = AgentState.BUSY if member.in_call or lingers else AgentState.BUSY_OTHER
    elif member.offered is not None or activity.alerting:
        state = AgentState.OFFERED
    elif work is not None or (work_reason and member.paused and member.reason == work_reason):
        state = AgentState.WORKING_AFTER_CALL
    elif member.paused:
        state, reason = AgentState.NOT_READY, member.reason
    elif member.device_state is DeviceState.UNAVAILABLE:
        state, reason = AgentState.NOT_READY, DEVICE_UNAVAILABLE
    elif member.device_state is DeviceState.UNKNOWN:
        state = AgentState.UNKNOWN
    else:
        state = AgentState.READY
    return Membership(
        queue=member.queue,
        state=state,
        reason=reason,
        paused=member.paused,
        paused_reason=member.reason,
        paused_at=member.paused_at,
        penalty=member.penalty,
        logged_in_at=member.logged_in_at,
        calls_taken=member.calls_taken,
        missed=missed,
        last_call_at=member.last_call_at,
    )
