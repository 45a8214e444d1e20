"""Supervision sessions as they are asked for: begun, changed, ended."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import (
    EndSupervision,
    HandBack,
    KeepSupervision,
    StartSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Agent, Call, Supervision
from ctid.model.errors import (
    AuditUnavailable,
    CtidError,
    InvalidRequest,
    NotFound,
    PbxTimeout,
    PbxUnavailable,
    SupervisionRefused,
)
from ctid.model.facts import SupervisionChanged
from ctid.model.ids import AgentId, HelpId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import (
    AgentState,
    Hear,
    Mode,
    NoticeKind,
    NoticeState,
    Origin,
    Scope,
    SupervisionEnd,
    SupervisionState,
)
from ctid.ports import Clock
from ctid.supervision.gate import Gate, Plan
from ctid.supervision.lead import leader_of, leads
from ctid.supervision.recorder import Recorder
from ctid.supervision.requests import ChangeRequest, ModeAsked, StartRequest, Via
from ctid.supervision.target import find_target, takeover_legs

SETTLE_S = 2.0
"""By then what the PBX has done has come back as a fact."""

_UP = frozenset({SupervisionState.ACTIVE, SupervisionState.SWITCHING, SupervisionState.WAITING})
_FREE = frozenset({AgentState.READY, AgentState.NOT_READY, AgentState.WORKING_AFTER_CALL})


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


class SupervisionService:
    """Starts, changes and ends sessions; every step passes the gate, and is audited before it is taken."""

    def __init__(
        self,
        hub: Hub,
        phones: Mapping[str, Phone],
        policy: Policy,
        recorder: Recorder,
        gate: Gate,
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._phones = phones
        self._policy = policy
        self._recorder = recorder
        self._gate = gate
        self._clock = clock
        self._ringing: set[str] = set()
        self._ends: dict[SupervisionId, list[asyncio.Future[Supervision]]] = {}

    # Begin ----------------------------------------------------------------------------------------

    async def start(
        self,
        user: User,
        request: StartRequest,
        *,
        origin: Origin = Origin.SUPERVISOR,
        help: HelpId | None = None,  # noqa: A002 - the field's name
    ) -> Supervision:
        """Begin a session; returns it once the supervisor hears, waits, has taken over, or is armed.

        Raises:
            CtidError: it could not begin; nothing of it stays behind on the PBX.
        """
        planned = self._planned(user, request, origin, help)
        session, warnings, target = await self._recorder.refusable(user, planned, request=request)
        self._ringing.add(session.phone)
        try:
            await self._recorder.asked(
                "requested", user, replace(session, mode=request.mode), "; ".join(warnings)
            )
            if session.state is SupervisionState.REQUESTED:
                await self._tell(session)
                return await self._settled(session.id, lambda _: True)
            return await self._recorder.refusable(user, self._begun(user, session, target, request), session)
        finally:
            self._ringing.discard(session.phone)

    async def _begun(
        self, user: User, session: Supervision, target: LegId | None, request: StartRequest
    ) -> Supervision:
        await self._hub.execute(session.pbx, self.beginning(session, target))
        started = await self._settled(session.id, lambda s: s.state in _UP)
        if request.mode is not Mode.TAKEOVER:
            return started
        try:
            return await self.change(user, session.id, ChangeRequest(mode=ModeAsked.TAKEOVER))
        except CtidError:
            await self.end_by_rule(session, SupervisionEnd.FAILED)
            raise

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

    async def _planned(
        self, user: User, request: StartRequest, origin: Origin, help_id: HelpId | None
    ) -> tuple[Supervision, tuple[str, ...], LegId | None]:
        """Check all that can be checked before a phone rings."""
        name, phone = self._phone(user, request.via)
        connection = self._hub.connection(phone.pbx)
        agent, call, party = find_target(self._hub.store, request)
        pbx = call.pbx if call is not None else agent.pbx if agent is not None else phone.pbx
        if pbx != phone.pbx:
            raise SupervisionRefused(
                "phone_not_allowed", f"the phone {name!r} is not on the PBX of this call"
            )
        if Capability.SUPERVISE not in connection.capabilities:
            raise PbxUnavailable(f"the PBX {pbx!r} cannot supervise now: ctid's log says why")
        if name in self._ringing or any(s.phone == name for s in self._hub.store.supervisions.values()):
            raise SupervisionRefused(
                "already_active", f"the phone {name!r} is in a session already: end or switch that one"
            )
        if phone.pin and Capability.PIN not in connection.capabilities:
            raise SupervisionRefused(
                "phone_not_allowed", f"this PBX cannot ask for the PIN of the outside phone {name!r}"
            )
        self._check_side(request.hear, request.mode, connection.capabilities)
        if request.scope is not Scope.CALL and (agent is None or request.agent is None):
            raise InvalidRequest(f"the scope '{request.scope}' needs an `agent`", field="agent")
        if request.mode is Mode.TAKEOVER:
            if request.scope is not Scope.CALL or call is None or party is None:
                raise InvalidRequest(
                    "only a call that goes on can be taken over: use the scope 'call'", field="mode"
                )
            takeover_legs(call, party.agent)
        now = Instant(self._clock.now())
        ident = SupervisionId(f"s{secrets.token_hex(6)}")
        armed = request.scope is Scope.NEXT
        leading = armed or call is None or leads(self._hub.store, call.id, ident)
        if not leading and request.mode is not Mode.LISTEN:
            raise _not_leading(leader_of(self._hub.store, call.id if call is not None else None))
        plan = Plan(
            user=user,
            agent=agent.id if agent is not None else party.agent if party is not None else None,
            team=agent.team if agent is not None else "",
            call=None if armed or call is None else call.id,
            mode=request.mode,
            scope=request.scope,
            purpose=request.purpose,
            origin=origin,
            note=request.note,
        )
        admission = self._gate.admit(plan, now)
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
            call=plan.call,
            scope=request.scope,
            lead=leading,
            calls=0 if plan.call is None else 1,
            calls_limit=_least(request.calls, admission.calls_limit)
            if request.scope is Scope.AGENT
            else None,
            until=_least(asked_until, admission.until),
            origin=origin,
            help=help_id,
            notice=admission.notice,
            notice_state=NoticeState.NOT_DUE if admission.notice is NoticeKind.NONE else NoticeState.DUE,
            purpose=request.purpose,
            note=request.note,
        )
        target = None if armed or party is None else party.leg
        return session, admission.warnings, target

    # Change ---------------------------------------------------------------------------------------

    async def change(self, user: User, ident: SupervisionId, request: ChangeRequest) -> Supervision:
        """Change a session; returns it once the change is in force. Raises CtidError."""
        session = self._session(user, ident)
        return await self._recorder.refusable(user, self._changed(user, session, request), session)

    async def _changed(self, user: User, session: Supervision, request: ChangeRequest) -> Supervision:
        if session.state not in _UP:
            raise SupervisionRefused("not_active", "her phone has not been answered: wait until it is")
        if request.mode is ModeAsked.HANDBACK:
            return await self._handed_back(user, session)
        if request.lead is False:
            raise InvalidRequest("the lead is taken by another, not given up: ask for true", field="lead")
        mode = session.mode if request.mode is None else Mode(request.mode)
        hear = session.hear if request.hear is None else request.hear
        muted = session.muted if request.muted is None else request.muted
        if request.lead and not session.lead:
            session = await self._led(user, session)
        if (mode, hear, muted) == (session.mode, session.hear, session.muted):
            return session
        if session.mode is Mode.TAKEOVER:
            raise SupervisionRefused(
                "mode_not_possible",
                "the agent has left, the call is the supervisor's: ask for 'handback', or end the session",
            )
        if mode is not Mode.LISTEN and not session.lead:
            raise _not_leading(leader_of(self._hub.store, session.call))
        connection = self._hub.connection(session.pbx)
        self._check_side(hear, mode, connection.capabilities)
        self._gate.admit(self.plan(user, session, mode), Instant(self._clock.now()))
        command: SwitchSupervision | TakeOver = SwitchSupervision(
            supervision=session.id, mode=mode, hear=hear, muted=muted
        )
        if mode is Mode.TAKEOVER:
            if Capability.TAKE_OVER not in connection.capabilities:
                raise SupervisionRefused("mode_not_possible", "a call of this PBX cannot be taken over")
            customer, agent = takeover_legs(self._call(session), session.agent)
            command = TakeOver(supervision=session.id, customer=customer, agent=agent)
            hear, muted = Hear.BOTH, False
        wanted = replace(session, mode=mode, hear=hear, muted=muted)
        await self._recorder.asked("requested", user, wanted)
        await self._hub.execute(session.pbx, command)
        return await self._settled(session.id, lambda s: (s.mode, s.hear, s.muted) == (mode, hear, muted))

    async def _led(self, user: User, session: Supervision) -> Supervision:
        """Have a session lead in its call; whoever led may no longer be heard, and was not just now."""
        other = leader_of(self._hub.store, session.call)
        if other is not None:
            if other.mode is not Mode.LISTEN and user.role is not UserRole.ADMIN:
                raise _not_leading(other)
            await self._recorder.asked("requested", user, replace(other, lead=False), "lead")
            if other.mode is not Mode.LISTEN:
                listening = SwitchSupervision(supervision=other.id, mode=Mode.LISTEN, hear=other.hear)
                await self._hub.execute(other.pbx, listening)
                other = await self._settled(other.id, lambda s: s.mode is Mode.LISTEN)
            await self._hub.execute(other.pbx, KeepSupervision(supervision=replace(other, lead=False)))
        await self._hub.execute(session.pbx, KeepSupervision(supervision=replace(session, lead=True)))
        return await self._settled(session.id, lambda s: s.lead)

    async def _handed_back(self, user: User, session: Supervision) -> Supervision:
        if session.mode is not Mode.TAKEOVER or session.agent is None:
            raise SupervisionRefused(
                "mode_not_possible", "only a call that was taken over can be handed back"
            )
        if Capability.HAND_BACK not in self._hub.connection(session.pbx).capabilities:
            raise SupervisionRefused("mode_not_possible", "a call of this PBX cannot be handed back")
        agent = self._hub.store.agents.get(session.agent)
        if agent is None or agent.state not in _FREE or agent.call is not None:
            state = agent.state if agent is not None else "unknown"
            raise SupervisionRefused(
                "agent_not_free", f"agent {session.agent} is {state}: hand the customer back when she is free"
            )
        await self._recorder.asked("requested", user, session, "handback")
        command = HandBack(
            supervision=session.id,
            agent=session.agent,
            address=self._policy.addresses.get(session.agent),
            ring_s=self._policy.ring_s,
        )
        return await self._ended(session, self._hub.execute(session.pbx, command), self._policy.ring_s)

    # End ------------------------------------------------------------------------------------------

    async def end(self, user: User, ident: SupervisionId) -> Supervision:
        """End a session; returns it as it ended. Raises CtidError."""
        session = self._session(user, ident)
        try:
            await self._recorder.asked("requested", user, session, "end")
        except AuditUnavailable:
            await self._recorder.happened("end", session)  # to stop listening is never refused; it is logged
        if session.state is SupervisionState.REQUESTED:
            return await self._ended(session, self.tell_end(session, SupervisionEnd.RELEASED), 0.0)
        command = self._hub.execute(session.pbx, EndSupervision(supervision=ident))
        return await self._recorder.refusable(user, self._ended(session, command, 0.0), session)

    async def _ended(
        self, session: Supervision, command: Coroutine[Any, Any, None], longer_s: float
    ) -> Supervision:
        ended: asyncio.Future[Supervision] = asyncio.get_running_loop().create_future()
        self._ends.setdefault(session.id, []).append(ended)
        try:
            await command
            async with asyncio.timeout(SETTLE_S + longer_s):
                return await ended
        except TimeoutError as error:
            raise PbxTimeout("the session was ended, and its end has not come back from the PBX") from error
        finally:
            self._ends[session.id].remove(ended)
            if not self._ends[session.id]:
                del self._ends[session.id]

    def has_ended(self, session: Supervision) -> None:
        """Tell those who wait for a session's end."""
        for ended in self._ends.get(session.id, ()):
            if not ended.done():
                ended.set_result(session)

    async def end_by_rule(self, session: Supervision, reason: SupervisionEnd) -> None:
        """End a session that nobody asked to end; one that has ended already is left. Raises CtidError."""
        if session.state is SupervisionState.REQUESTED:
            await self.tell_end(session, reason)
            return
        try:
            await self._hub.execute(session.pbx, EndSupervision(supervision=session.id, reason=reason))
        except NotFound:
            return  # it has ended by itself

    async def tell_end(self, session: Supervision, reason: SupervisionEnd) -> None:
        """Let a session end of which the PBX does not know yet."""
        now = Instant(self._clock.now())
        await self._tell(replace(session, state=SupervisionState.ENDED, since=now, ended_at=now, end=reason))

    # ----------------------------------------------------------------------------------------------

    async def _tell(self, session: Supervision) -> None:
        await self._hub.feed([SupervisionChanged(pbx=session.pbx, at=session.since, supervision=session)])

    def plan(self, user: User, session: Supervision, mode: Mode) -> Plan:
        """What the gate is asked for a session that goes on, in this mode."""
        agent: Agent | None = self._hub.store.agents.get(session.agent) if session.agent is not None else None
        return Plan(
            user=user,
            agent=session.agent,
            team=agent.team if agent is not None else "",
            call=session.call,
            mode=mode,
            scope=session.scope,
            purpose=session.purpose,
            origin=session.origin,
            note=session.note,
        )

    def keys_allowed(self, user: User) -> bool:
        """Whether the keys of her phone may switch the mode."""
        return self._policy.phone_keys and user.role in self._policy.phone_keys_roles

    @staticmethod
    def _check_side(hear: Hear, mode: Mode, able: frozenset[Capability]) -> None:
        if hear is Hear.CUSTOMER and Capability.HEAR_CUSTOMER not in able:
            raise SupervisionRefused("mode_not_possible", "this PBX cannot let her hear the customer alone")
        if hear is not Hear.BOTH and mode is Mode.TAKEOVER:
            raise InvalidRequest("who takes over hears the customer: leave `hear` out", field="hear")

    def _phone(self, user: User, via: Via) -> tuple[str, Phone]:
        if via.browser or via.phone is None:
            raise InvalidRequest(
                'name a phone: {"via": {"phone": "2001"}}; supervising from a browser is not there yet',
                field="via.phone",
            )
        phone = self._phones.get(via.phone)
        if phone is None or (via.phone not in user.phones and user.role is not UserRole.ADMIN):
            allowed = (
                sorted(user.phones & set(self._phones))
                if user.role is not UserRole.ADMIN
                else sorted(self._phones)
            )
            raise SupervisionRefused(
                "phone_not_allowed",
                f"{user.name} may use these phones: {', '.join(allowed) or 'none'}; not {via.phone!r}",
            )
        return via.phone, phone

    def _session(self, user: User, ident: SupervisionId) -> Supervision:
        session = self._hub.store.supervisions.get(ident)
        if session is None:
            raise NotFound("supervision", ident)
        if session.supervisor != user.name and user.role is not UserRole.ADMIN:
            raise SupervisionRefused("not_yours", f"it is {session.supervisor}'s session")
        return session

    def _call(self, session: Supervision) -> Call:
        call = self._hub.store.calls.get(session.call) if session.call is not None else None
        if call is None:
            raise SupervisionRefused("call_ended", "the call has ended")
        return call

    async def _settled(self, ident: SupervisionId, holds: Callable[[Supervision], bool]) -> Supervision:
        """The session once the state says what was done; it may have ended again by then."""
        seen = False

        def told() -> bool:
            nonlocal seen
            session = self._hub.store.supervisions.get(ident)
            seen = seen or session is not None
            return seen and (session is None or holds(session))

        settled = await self._hub.until(told, SETTLE_S)
        session = self._hub.store.supervisions.get(ident)
        if session is not None and not settled:
            raise PbxTimeout("the PBX did it, and the state does not say so yet: look at the session again")
        if session is None:
            raise SupervisionRefused("call_ended", "the session began, and has ended since: the call is over")
        return session


def _least(first: Any, second: Any) -> Any:
    """The smaller of two bounds, of which either may be none."""
    return min((bound for bound in (first, second) if bound is not None), default=None)


def _not_leading(leader: Supervision | None) -> SupervisionRefused:
    who = f"{leader.supervisor} leads this call" if leader is not None else "another session leads this call"
    return SupervisionRefused(
        "not_leading", f"{who}: one voice at a time; ask for the lead first, once the other only listens"
    )
