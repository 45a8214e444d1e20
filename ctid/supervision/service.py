"""Supervision sessions as they are asked for: begun, changed, ended."""

import asyncio
import secrets
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from msgspec.structs import replace

from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import (
    EndSupervision,
    HandBack,
    KeepSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Call, Supervision
from ctid.model.errors import (
    AuditUnavailable,
    CtidError,
    InvalidRequest,
    NotFound,
    PbxTimeout,
    SupervisionRefused,
)
from ctid.model.facts import SupervisionChanged
from ctid.model.ids import HelpId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import (
    AgentState,
    Hear,
    Mode,
    Origin,
    SupervisionEnd,
    SupervisionState,
)
from ctid.ports import Clock
from ctid.supervision.lead import leader_of
from ctid.supervision.planning import Planned, Planner, Policy, check_side, not_leading
from ctid.supervision.recorder import Recorder
from ctid.supervision.requests import ChangeRequest, ModeAsked, StartRequest
from ctid.supervision.target import takeover_legs
from ctid.supervision.turns import Turns

log = structlog.get_logger(__name__)

SETTLE_S = 2.0
"""By then what the PBX has done has come back as a fact."""

_UP = frozenset({SupervisionState.ACTIVE, SupervisionState.SWITCHING, SupervisionState.WAITING})
_FREE = frozenset({AgentState.READY, AgentState.NOT_READY, AgentState.WORKING_AFTER_CALL})


class SupervisionService:
    """Starts, changes and ends sessions; every step passes the gate, and is audited before it is taken."""

    def __init__(
        self,
        hub: Hub,
        planner: Planner,
        turns: Turns,
        policy: Policy,
        recorder: Recorder,
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._planner = planner
        self._turns = turns
        self._policy = policy
        self._recorder = recorder
        self._clock = clock
        self._ends: dict[SupervisionId, list[asyncio.Future[Supervision]]] = {}

    # Begin ----------------------------------------------------------------------------------------

    async def start(
        self,
        user: User,
        request: StartRequest,
        *,
        origin: Origin = Origin.SUPERVISOR,
        help: HelpId | None = None,  # noqa: A002 - as the session's field is called
    ) -> Supervision:
        """Begin a session; returns it once the supervisor hears, waits, has taken over, or is armed.

        `origin` and `help` say at whose wish, and which raised hand it answers.

        Raises:
            CtidError: it could not begin; nothing of it stays behind on the PBX.
        """
        ident = SupervisionId(f"s{secrets.token_hex(6)}")
        async with self._recorder.refusable(user, request=request):
            planned = self._planner.session(user, request, ident, origin, help)
        session = planned.session
        self._planner.taken.add(session.phone)
        try:
            return await self._begin(user, planned, request.mode)
        finally:
            self._planner.taken.discard(session.phone)
            self._turns.led(session.call, ident)

    async def _begin(self, user: User, planned: Planned, mode: Mode) -> Supervision:
        session = planned.session
        await self._recorder.asked(
            "requested", user, replace(session, mode=mode), "; ".join(planned.warnings)
        )
        if session.state is SupervisionState.REQUESTED:
            self._turns.arm(session.id, planned.armed_in)
            await self._tell(session)
            return await self._settled(session.id, lambda _: True)
        async with self._recorder.refusable(user, session):
            await self._hub.execute(session.pbx, self._planner.beginning(session, planned.target))
            started = await self._settled(session.id, lambda s: s.state in _UP)
        if mode is not Mode.TAKEOVER:
            return started
        try:
            return await self.change(user, session.id, ChangeRequest(mode=ModeAsked.TAKEOVER))
        except CtidError:
            await self._unbegun(session)
            raise

    async def _unbegun(self, session: Supervision) -> None:
        """End a session that was to take over, and could not; one that has after all goes on."""
        try:
            await self.end_by_rule(session, SupervisionEnd.FAILED)
        except CtidError as error:
            log.warning("not ended", supervision=session.id, code=error.code, reason=error.detail)

    # Change ---------------------------------------------------------------------------------------

    async def change(
        self,
        user: User,
        ident: SupervisionId,
        request: ChangeRequest,
        check: Callable[[Supervision], None] | None = None,
    ) -> Supervision:
        """Change a session; returns it once the change is in force. Raises CtidError.

        `check` raises it of a session that is not as whoever asks expects; by then nobody else changes it.
        """
        session = self._session(user, ident)
        async with self._recorder.refusable(user, session):
            leader = leader_of(self._hub.store, session.call) if request.lead else None
            _check_asked(session, request)
            async with self._turns.alone(ident, leader.id if leader is not None else ident):
                # Whoever was quicker has changed it: what is asked for is a change of how it is by now.
                session = self._session(user, ident)
                if check is not None:
                    check(session)
                _check_asked(session, request)
                if request.mode is ModeAsked.HANDBACK:
                    return await self._handed_back(user, session)
                if request.lead and not session.lead:
                    session = await self._led(user, session, leader)
                return await self._switched(user, session, request)

    async def _switched(self, user: User, session: Supervision, request: ChangeRequest) -> Supervision:
        mode = session.mode if request.mode is None else Mode(request.mode)
        taking = mode is Mode.TAKEOVER and session.mode is not Mode.TAKEOVER
        hear = (Hear.BOTH if taking else session.hear) if request.hear is None else request.hear
        muted = (session.muted and not taking) if request.muted is None else request.muted
        if (mode, hear, muted) == (session.mode, session.hear, session.muted):
            return session
        if session.mode is Mode.TAKEOVER:
            raise SupervisionRefused(
                "mode_not_possible",
                "the agent has left, the call is the supervisor's: ask for 'handback', or end the session",
            )
        if mode is not Mode.LISTEN and not session.lead:
            raise not_leading(leader_of(self._hub.store, session.call))
        able = self._hub.connection(session.pbx).capabilities
        check_side(hear, mode, able)
        if taking and muted:
            raise InvalidRequest("who takes over is heard: leave `muted` out", field="muted")
        self._planner.admit(user, session, mode)
        command: SwitchSupervision | TakeOver = SwitchSupervision(
            supervision=session.id, mode=mode, hear=hear, muted=muted
        )
        if taking:
            if Capability.TAKE_OVER not in able:
                raise SupervisionRefused("mode_not_possible", "a call of this PBX cannot be taken over")
            customer, agent = takeover_legs(self._call(session), session.agent)
            command = TakeOver(supervision=session.id, customer=customer, agent=agent)
        await self._recorder.asked("requested", user, replace(session, mode=mode, hear=hear, muted=muted))
        await self._hub.execute(session.pbx, command)
        return await self._settled(session.id, lambda s: (s.mode, s.hear, s.muted) == (mode, hear, muted))

    async def _led(self, user: User, session: Supervision, leader: Supervision | None) -> Supervision:
        """Have a session lead in its call; whoever led listens from now on. Nobody else changes either."""
        other = leader_of(self._hub.store, session.call)
        if session.call is None or (other is not None and (leader is None or other.id != leader.id)):
            raise not_leading(other)  # somebody else has taken it since
        if other is not None:
            heard = other.mode is not Mode.LISTEN and user.role is not UserRole.ADMIN
            if heard or other.mode is Mode.TAKEOVER:
                raise not_leading(other)
            await self._recorder.asked("requested", user, replace(other, lead=False), "lead")
            await self.give_up_lead(other)
        return await self.take_lead(session)

    async def take_lead(self, session: Supervision) -> Supervision:
        """Have a session lead where nobody does. Raises CtidError."""
        if session.call is None or not self._turns.can_lead(session.call, session.id):
            raise not_leading(leader_of(self._hub.store, session.call))
        self._turns.lead(session.call, session.id)
        try:
            await self._hub.execute(session.pbx, KeepSupervision(supervision=replace(session, lead=True)))
            return await self._settled(session.id, lambda s: s.lead)
        finally:
            self._turns.led(session.call, session.id)

    async def give_up_lead(self, session: Supervision) -> None:
        """Have a session lead no longer, and nobody hear her any more. Raises CtidError."""
        if session.mode is not Mode.LISTEN:
            listening = SwitchSupervision(
                supervision=session.id, mode=Mode.LISTEN, hear=session.hear, muted=session.muted
            )
            await self._hub.execute(session.pbx, listening)
            session = await self._settled(session.id, lambda s: s.mode is Mode.LISTEN)
        await self._hub.execute(session.pbx, KeepSupervision(supervision=replace(session, lead=False)))
        await self._settled(session.id, lambda s: not s.lead)

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
        return await self._ended(session.id, self._hub.execute(session.pbx, command))

    # End ------------------------------------------------------------------------------------------

    async def end(self, user: User, ident: SupervisionId) -> Supervision:
        """End a session; returns it as it ended. Raises CtidError."""
        session = self._session(user, ident)
        try:
            await self._recorder.asked("requested", user, session, "end")
        except AuditUnavailable as error:
            # To stop listening is never refused.
            log.critical("audit failed", supervision=ident, reason=error.detail)
        async with self._recorder.refusable(user, session):
            if session.state is SupervisionState.REQUESTED and await self._withdraws(ident):
                return await self._ended(ident, self._tell_end(session, SupervisionEnd.RELEASED))
            command = EndSupervision(supervision=ident)
            return await self._ended(ident, self._hub.execute(session.pbx, command))

    async def _withdraws(self, ident: SupervisionId) -> bool:
        """Whether an armed session is withdrawn; else her phone has begun to ring."""
        if self._turns.settle(ident):
            return True
        await self._hub.until(lambda: not self._is_armed(ident), SETTLE_S)
        return self._is_armed(ident) and self._turns.settle(ident)

    async def end_by_rule(self, session: Supervision, reason: SupervisionEnd) -> None:
        """End a session that nobody asked to end; one that has ended already is left.

        One that takes the customer over meanwhile is left as well: he is not to be hung up on for a rule.

        Raises:
            CtidError: it could not be ended.
        """
        if session.state is SupervisionState.REQUESTED:
            if self._turns.settle(session.id):
                await self._tell_end(session, reason)
            return
        taken_over = session.mode is Mode.TAKEOVER
        command = EndSupervision(supervision=session.id, reason=reason, unless_taken_over=not taken_over)
        try:
            await self._hub.execute(session.pbx, command)
        except NotFound:
            log.debug("already ended", supervision=session.id)

    async def _ended(self, ident: SupervisionId, command: Coroutine[Any, Any, None]) -> Supervision:
        ended: asyncio.Future[Supervision] = asyncio.get_running_loop().create_future()
        self._ends.setdefault(ident, []).append(ended)
        try:
            await command
            async with asyncio.timeout(SETTLE_S):
                return await ended
        except TimeoutError as error:
            raise PbxTimeout("the session was ended, and its end has not come back from the PBX") from error
        finally:
            self._ends[ident].remove(ended)
            if not self._ends[ident]:
                del self._ends[ident]

    def has_ended(self, session: Supervision) -> None:
        """Tell those who wait for a session's end."""
        self._turns.forget(session.id)
        for ended in self._ends.get(session.id, ()):
            if not ended.done():
                ended.set_result(session)

    async def _tell_end(self, session: Supervision, reason: SupervisionEnd) -> None:
        """Let a session end of which the PBX does not know."""
        now = Instant(self._clock.now())
        await self._tell(replace(session, state=SupervisionState.ENDED, since=now, ended_at=now, end=reason))

    # ----------------------------------------------------------------------------------------------

    def keys_allowed(self, user: User) -> bool:
        """Whether the keys of her phone may switch the mode."""
        return self._policy.phone_keys and user.role in self._policy.phone_keys_roles

    def _is_armed(self, ident: SupervisionId) -> bool:
        session = self._hub.store.supervisions.get(ident)
        return session is not None and session.state is SupervisionState.REQUESTED

    async def _tell(self, session: Supervision) -> None:
        await self._hub.feed([SupervisionChanged(pbx=session.pbx, at=session.since, supervision=session)])

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


def _check_asked(session: Supervision, request: ChangeRequest) -> None:
    """See that a change can be asked for at all. Raises CtidError."""
    if request == ChangeRequest():
        raise InvalidRequest("say what is to change: `mode`, `hear`, `muted` or `lead`", field="mode")
    if request.mode is ModeAsked.HANDBACK and request != ChangeRequest(mode=ModeAsked.HANDBACK):
        raise InvalidRequest("a hand-back ends the session: ask for nothing beside it", field="mode")
    if request.lead is False:
        raise InvalidRequest("the lead is taken by another, not given up: ask for true", field="lead")
    if session.state not in _UP:
        raise SupervisionRefused("not_active", "her phone has not been answered: wait until it is")
