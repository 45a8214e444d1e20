"""What is looked at before a supervisor's phone rings: whom she means, by what phone, whether she may."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import StartSupervision
from ctid.model.entities import Agent, Call, Party, Supervision
from ctid.model.errors import InvalidRequest, PbxUnavailable, SupervisionRefused
from ctid.model.ids import AgentId, CallId, HelpId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.protection import check_unprotected
from ctid.model.users import User, UserRole
from ctid.model.words import Hear, Mode, NoticeKind, NoticeState, Origin, Scope, SupervisionState
from ctid.ports import Clock
from ctid.supervision.gate import Gate
from ctid.supervision.law import Admission, Plan
from ctid.supervision.lead import leader_of
from ctid.supervision.requests import StartRequest, Via
from ctid.supervision.target import find_target, takeover_legs
from ctid.supervision.turns import Turns


class Phone(Struct, frozen=True, kw_only=True):
    """A supervisor's phone: its PBX, its address there, and the PIN to be entered on it, if any."""

    pbx: PbxId
    address: str
    pin: str = ""


class Policy(Struct, frozen=True, kw_only=True):
    """What the configuration allows. `ring_s`: how long a phone may ring, in seconds.

    `addresses` are what the PBX dials to reach agents; one who is not there is left to the driver.
    """

    ring_s: float = 20.0
    phone_keys: bool = False
    phone_keys_roles: frozenset[UserRole] = frozenset({UserRole.SUPERVISOR, UserRole.ADMIN})
    addresses: Mapping[AgentId, str] = {}


class Planned(Struct, frozen=True, kw_only=True):
    """A session that may begin.

    `target` is the agent's leg, none while there is no call for it yet; `armed_in` the call she was in when
    it was asked for the next one.
    """

    session: Supervision
    target: LegId | None = None
    armed_in: CallId | None = None
    warnings: tuple[str, ...] = ()


class Planner:
    """Plans sessions; sends nothing."""

    def __init__(
        self, hub: Hub, phones: Mapping[str, Phone], policy: Policy, gate: Gate, turns: Turns, clock: Clock
    ) -> None:
        self._hub = hub
        self._phones = phones
        self._policy = policy
        self._gate = gate
        self._turns = turns
        self._clock = clock
        self.taken: set[str] = set()
        """The phones of sessions that are about to begin, and that the state does not tell yet."""

    def session(
        self, user: User, request: StartRequest, ident: SupervisionId, origin: Origin, help_id: HelpId | None
    ) -> Planned:
        """Check all that can be checked before a phone rings; keeps the lead of its call until `Turns.led`.

        Raises:
            CtidError: it cannot begin, or may not.
        """
        name, phone = self._phone(user, request.via)
        able = self._hub.connection(phone.pbx).capabilities
        agent, call, party = find_target(self._hub.store, request)
        pbx = call.pbx if call is not None else agent.pbx if agent is not None else phone.pbx
        if pbx != phone.pbx:
            raise SupervisionRefused(
                "phone_not_allowed", f"the phone {name!r} is not on the PBX of this call"
            )
        if Capability.SUPERVISE not in able:
            raise PbxUnavailable(f"the PBX {pbx!r} cannot supervise now: ctid's log says why")
        if name in self.taken or any(s.phone == name for s in self._hub.store.supervisions.values()):
            raise SupervisionRefused(
                "already_active", f"the phone {name!r} is in a session already: end or switch that one"
            )
        if phone.pin and Capability.PIN not in able:
            raise SupervisionRefused(
                "phone_not_allowed", f"this PBX cannot ask for the PIN of the outside phone {name!r}"
            )
        check_side(request.hear, request.mode, able)
        _check_scope(request, call, party)
        armed = request.scope is Scope.NEXT
        if call is not None and not armed:
            check_unprotected(call)
        joined = call.id if call is not None and not armed else None
        leading = joined is None or self._turns.can_lead(joined, ident)
        if not leading and request.mode is not Mode.LISTEN:
            raise not_leading(leader_of(self._hub.store, joined))
        whom = agent.id if agent is not None else party.agent if party is not None else None
        plan = Plan(
            session=ident,
            user=user,
            agent=whom,
            team=agent.team if agent is not None else "",
            is_supervisor=whom in self._gate.staff.supervisors,
            call=joined,
            mode=request.mode,
            scope=request.scope,
            purpose=request.purpose,
            origin=origin,
            note=request.note,
        )
        now = Instant(self._clock.now())
        admission = self._gate.admit(plan, now)
        if leading and joined is not None:
            self._turns.lead(joined, ident)
        asked_until = Instant(now + request.minutes * 60) if request.minutes is not None else None
        session = Supervision(
            id=ident,
            pbx=pbx,
            state=SupervisionState.REQUESTED if armed else SupervisionState.RINGING,
            mode=Mode.LISTEN if request.mode is Mode.TAKEOVER else request.mode,
            hear=request.hear,
            since=now,
            started_at=now,
            supervisor=user.name,
            phone=name,
            agent=plan.agent,
            call=joined,
            scope=request.scope,
            lead=leading,
            calls=0 if joined is None else 1,
            calls_limit=least(request.calls, admission.calls_limit) if request.scope is Scope.AGENT else None,
            until=least(asked_until, admission.until),
            origin=origin,
            help=help_id,
            notice=admission.notice,
            notice_state=notice_state(admission),
            purpose=request.purpose,
            note=request.note,
        )
        target = party.leg if joined is not None and party is not None else None
        armed_in = agent.call if armed and agent is not None else None
        return Planned(session=session, target=target, armed_in=armed_in, warnings=admission.warnings)

    def beginning(self, session: Supervision, target: LegId | None) -> StartSupervision:
        """The command that rings her phone."""
        phone = self._phones[session.phone]
        return StartSupervision(
            supervision=session,
            address=phone.address,
            target=target,
            ring_s=self._policy.ring_s,
            pin=phone.pin,
        )

    def admit(self, user: User, session: Supervision, mode: Mode) -> Admission:
        """Ask the gate for a session that goes on, in this mode.

        Raises:
            CtidError: it may not.
        """
        agent: Agent | None = self._hub.store.agents.get(session.agent) if session.agent is not None else None
        plan = Plan(
            session=session.id,
            user=user,
            agent=session.agent,
            team=agent.team if agent is not None else "",
            is_supervisor=session.agent in self._gate.staff.supervisors,
            call=session.call,
            mode=mode,
            scope=session.scope,
            purpose=session.purpose,
            origin=session.origin,
            note=session.note,
        )
        return self._gate.admit(plan, Instant(self._clock.now()))

    def _phone(self, user: User, via: Via) -> tuple[str, Phone]:
        if via.browser or via.phone is None:
            raise InvalidRequest(
                'name a phone: {"via": {"phone": "2001"}}; supervising from a browser is not there yet',
                field="via.phone",
            )
        known = set(self._phones)
        allowed = known if user.role is UserRole.ADMIN else known & user.phones
        if via.phone not in allowed:
            raise SupervisionRefused(
                "phone_not_allowed",
                f"{user.name} may use these phones: {', '.join(sorted(allowed)) or 'none'}; "
                f"not {via.phone!r}",
            )
        return via.phone, self._phones[via.phone]


def check_side(hear: Hear, mode: Mode, able: frozenset[Capability]) -> None:
    """See that a PBX that is `able` to so much can let her hear this side. Raises CtidError."""
    if hear is Hear.CUSTOMER and Capability.HEAR_CUSTOMER not in able:
        raise SupervisionRefused("mode_not_possible", "this PBX cannot let her hear the customer alone")
    if hear is not Hear.BOTH and mode is Mode.TAKEOVER:
        raise InvalidRequest("who takes over hears the customer: leave `hear` out", field="hear")


def notice_state(admission: Admission) -> NoticeState:
    """Whether the agent is still to be told."""
    return NoticeState.NOT_DUE if admission.notice is NoticeKind.NONE else NoticeState.DUE


def not_leading(leader: Supervision | None) -> SupervisionRefused:
    """The refusal for who is not to be heard, or may not take the lead."""
    who = f"{leader.supervisor} leads this call" if leader is not None else "another session leads this call"
    return SupervisionRefused(
        "not_leading", f"{who}: one voice at a time; ask for the lead first, once the other only listens"
    )


def least(first: Any, second: Any) -> Any:
    """The smaller of two bounds, of which either may be none."""
    return min((bound for bound in (first, second) if bound is not None), default=None)


def _check_scope(request: StartRequest, call: Call | None, party: Party | None) -> None:
    if request.scope is not Scope.CALL and request.agent is None:
        raise InvalidRequest(f"the scope '{request.scope}' needs an `agent`", field="agent")
    if request.calls is not None and request.scope is not Scope.AGENT:
        raise InvalidRequest("only with the scope 'agent' are there several calls", field="calls")
    if request.mode is Mode.TAKEOVER:
        if request.scope is not Scope.CALL or call is None or party is None:
            raise InvalidRequest(
                "only a call that goes on can be taken over: use the scope 'call'", field="mode"
            )
        takeover_legs(call, party.agent)
