"""An agent, derived from her memberships, her legs and the time."""

from collections.abc import Collection, Mapping

from ctid.model.entities import Agent, Membership
from ctid.model.facts import Leg, Member
from ctid.model.ids import AgentId, CallId, DeviceId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import AgentState, DeviceState, LegState
from ctid.state.profile import AgentProfile, QueueProfile

DEVICE_UNAVAILABLE = "device_unavailable"
"""The reason of `not_ready` when the PBX cannot reach the agent's phone."""

_NO_QUEUE_PROFILE = QueueProfile()

_PRECEDENCE = (
    AgentState.BUSY,
    AgentState.OFFERED,
    AgentState.BUSY_OTHER,
    AgentState.WORKING_AFTER_CALL,
    AgentState.READY,
    AgentState.NOT_READY,
    AgentState.UNKNOWN,
)
"""When an agent's queues differ, the first of these that one of them has is the agent's state."""


class Activity:
    """What the agent's legs say she is doing, and the leg that says so."""

    __slots__ = ("alerting", "leg", "talking")

    def __init__(self, legs: Collection[Leg]) -> None:
        self.talking = False
        self.alerting = False
        self.leg: Leg | None = None
        for leg in legs:
            if leg.conversation is not None or leg.incoming:  # as in `doing`
                # Of two calls the one that is not on hold is the one she is in.
                if not self.talking or not leg.held:
                    self.leg = leg
                self.talking = True
            elif leg.state is LegState.ALERTING:
                self.alerting = True
                if not self.talking:
                    self.leg = leg


def doing(leg: Leg) -> tuple[object, ...]:
    """All of a leg of hers that an agent is derived from; equal values derive the same agent."""
    talking = leg.conversation is not None or leg.incoming
    return (leg.call, leg.device, talking, leg.held, leg.state is LegState.ALERTING)


def derive_agent(
    pbx: PbxId,
    ident: AgentId,
    members: Collection[Member],
    activity: Activity,
    old: Agent | None,
    *,
    profile: AgentProfile,
    queues: Mapping[QueueId, QueueProfile],
    device: DeviceId | None,
    call: CallId | None,
    at: Instant,
    now: Instant,
    stale: bool,
) -> Agent:
    """Derive an agent; with no membership she is logged out.

    `at` is when the change came, by the PBX's clock; `now` is the latest time known, so that after-call
    work that is over does not begin again when the PBX's clock is behind ours.
    """
    memberships = tuple(
        [
            derive_membership(member, activity, queues.get(member.queue, _NO_QUEUE_PROFILE), now)
            for member in members
        ]
    )
    state, reason = AgentState.LOGGED_OUT, ""
    states = {membership.state: membership for membership in memberships}
    for candidate in _PRECEDENCE:
        if candidate in states:
            state, reason = candidate, states[candidate].reason
            break
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
        since=old.since if old and (old.state, old.reason) == (state, reason) else at,
        stale=stale,
        device=device,
        call=call,
        wrapup_ends_at=max(
            [m.wrapup_ends_at for m in memberships if m.wrapup_ends_at is not None], default=None
        ),
        queues=memberships,
    )


def wrapup_end(member: Member, queue: QueueProfile) -> Instant | None:
    """When the after-call work of this membership ends, or none: no call yet, or none is given."""
    length = member.wrapup_s or queue.wrapup_s
    if not length or member.last_call_at is None or member.serving is not None:
        return None
    return Instant(member.last_call_at + length)


def derive_membership(member: Member, activity: Activity, queue: QueueProfile, now: Instant) -> Membership:
    """Derive the state in one queue.

    Her legs say whether she talks: that the queue believes her in a call (`in_call`) may be out of date.
    """
    reason = ""
    wrapup: Instant | None = None
    if member.serving is not None:
        state = AgentState.BUSY
    elif activity.talking:
        state = AgentState.BUSY if member.in_call else AgentState.BUSY_OTHER
    elif member.offered is not None or activity.alerting:
        state = AgentState.OFFERED
    else:
        end = wrapup_end(member, queue)
        if end is not None and end > now:
            state, wrapup = AgentState.WORKING_AFTER_CALL, end
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
        penalty=member.penalty,
        calls_taken=member.calls_taken,
        last_call_at=member.last_call_at,
        wrapup_ends_at=wrapup,
    )
