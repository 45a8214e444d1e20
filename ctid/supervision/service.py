"""Supervision sessions from a request to their end."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from ctid.audit import Audit, Entry
from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import EndSupervision, StartSupervision, SwitchSupervision, TakeOver
from ctid.model.entities import Call, Entity, Pbx, Supervision
from ctid.model.errors import (
    AuditUnavailable,
    CtidError,
    InvalidRequest,
    NotFound,
    PbxTimeout,
    PbxUnavailable,
    SupervisionRefused,
)
from ctid.model.ids import AgentId, HelpId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import Mode, Origin, Scope, SupervisionEnd, SupervisionState
from ctid.ports import Clock
from ctid.state.changes import Change
from ctid.supervision.gate import Gate
from ctid.supervision.law import Plan
from ctid.supervision.requests import ChangeRequest, StartRequest, Via
from ctid.supervision.target import find_target, takeover_legs

_T = TypeVar("_T")

log = structlog.get_logger(__name__)

SETTLE_S = 2.0
"""By then what the PBX has done has come back as a fact."""

PHONE_KEYS = {"4": Mode.LISTEN, "5": Mode.WHISPER, "6": Mode.BARGE}
"""The keys of her phone that switch the mode, where the configuration allows it."""


class Phone(Struct, frozen=True, kw_only=True):
    """A supervisor's phone: its PBX, and its address there."""

    pbx: PbxId
    address: str


class Policy(Struct, frozen=True, kw_only=True):
    """What the configuration allows. `ring_s`: how long her phone may ring, in seconds."""

    ring_s: float = 20.0
    phone_keys: bool = False
    phone_keys_roles: frozenset[UserRole] = frozenset({UserRole.SUPERVISOR, UserRole.ADMIN})


class SupervisionService:
    """Starts, changes and ends sessions; every step is audited before it is taken, or as it is seen."""

    def __init__(
        self,
        hub: Hub,
        phones: Mapping[str, Phone],
        policy: Policy,
        audit: Audit,
        clock: Clock,
        gate: Gate,
    ) -> None:
        self._hub = hub
        self._phones = phones
        self._policy = policy
        self._audit = audit
        self._clock = clock
        self._gate = gate
        self._ringing: set[str] = set()
        self._ends: dict[SupervisionId, list[asyncio.Future[Supervision]]] = {}

    async def start(
        self,
        user: User,
        request: StartRequest,
        *,
        origin: Origin = Origin.SUPERVISOR,
        help: HelpId | None = None,  # noqa: A002 - the session's field
    ) -> Supervision:
        """Begin a session; returns it once the supervisor hears, or has taken over.

        `origin` and `help` say at whose wish, and which raised hand it answers.

        Raises:
            CtidError: it could not begin; nothing of it stays behind on the PBX.
        """
        planned = self._planned(user, request, origin, help)
        session, command = await self._refusable(user, planned, request=request)
        self._ringing.add(session.phone)
        try:
            await self._audited("requested", user, replace(session, mode=request.mode))
            await self._refusable(user, self._hub.execute(session.pbx, command), session)
        finally:
            self._ringing.discard(session.phone)
        started = await self._settled(session.id, lambda s: s.state is SupervisionState.ACTIVE)
        if request.mode is not Mode.TAKEOVER:
            return started
        try:
            return await self.change(user, session.id, ChangeRequest(mode=Mode.TAKEOVER))
        except CtidError:
            await self._end_by_rule(session, SupervisionEnd.FAILED)
            raise

    async def _planned(
        self, user: User, request: StartRequest, origin: Origin, hand: HelpId | None
    ) -> tuple[Supervision, StartSupervision]:
        """Check all that can be checked before a phone rings."""
        if request.scope is not Scope.CALL:
            raise SupervisionRefused(
                "scope_not_supported", f"scope '{request.scope}' is not supported yet: use 'call'"
            )
        name, phone = self._phone(user, request.via)
        connection = self._hub.connection(phone.pbx)
        call, party = find_target(self._hub.store, request)
        if call.pbx != phone.pbx:
            raise SupervisionRefused(
                "phone_not_allowed", f"the phone {name!r} is not on the PBX of this call"
            )
        if Capability.SUPERVISE not in connection.capabilities:
            raise PbxUnavailable(f"the PBX {call.pbx!r} cannot supervise now: ctid's log says why")
        if name in self._ringing or any(s.phone == name for s in self._hub.store.supervisions.values()):
            raise SupervisionRefused(
                "already_active", f"the phone {name!r} is in a session already: end or switch that one"
            )
        if request.mode is Mode.TAKEOVER:
            takeover_legs(call, party.agent)
        now = Instant(self._clock.now())
        ident = SupervisionId(f"s{secrets.token_hex(6)}")
        plan = Plan(
            user=user,
            agent=party.agent,
            team=self._team(party.agent),
            is_supervisor=party.agent in self._gate.staff.supervisors,
            call=call.id,
            mode=request.mode,
            purpose=request.purpose,
            origin=origin,
            scope=request.scope,
            note=request.note,
            session=ident,
        )
        admission = self._gate.admit(plan, now)
        session = Supervision(
            id=ident,
            pbx=call.pbx,
            state=SupervisionState.RINGING,
            mode=Mode.LISTEN if request.mode is Mode.TAKEOVER else request.mode,
            since=now,
            started_at=now,
            supervisor=user.name,
            phone=name,
            agent=party.agent,
            call=call.id,
            scope=request.scope,
            until=admission.until,
            calls_limit=admission.calls_limit,
            notice=admission.notice,
            origin=origin,
            help=hand,
            purpose=request.purpose,
            note=request.note,
        )
        allowed = self._gate.rights.modes(user, plan.team)
        command = StartSupervision(
            supervision=session,
            address=phone.address,
            target=party.leg,
            ring_s=self._policy.ring_s,
            keys={key: mode for key, mode in PHONE_KEYS.items() if mode in allowed}
            if self._keys_allowed(user)
            else {},
        )
        return session, command

    async def change(self, user: User, ident: SupervisionId, request: ChangeRequest) -> Supervision:
        """Switch a session's mode; returns it once the switch is in force. Raises CtidError."""
        session = self._session(user, ident)
        if session.state is not SupervisionState.ACTIVE:
            raise SupervisionRefused("not_active", "her phone is still ringing: wait until she has answered")
        if session.mode is request.mode:
            return session
        if session.mode is Mode.TAKEOVER:
            raise SupervisionRefused("mode_not_possible", "the agent has left: the call is the supervisor's")
        await self._refusable(user, self._admitted(user, session, request.mode), session)
        command: SwitchSupervision | TakeOver = SwitchSupervision(supervision=ident, mode=request.mode)
        if request.mode is Mode.TAKEOVER:
            if Capability.TAKE_OVER not in self._hub.connection(session.pbx).capabilities:
                raise SupervisionRefused("mode_not_possible", "a call of this PBX cannot be taken over")
            customer, agent = takeover_legs(self._call(session), session.agent)
            command = TakeOver(supervision=ident, customer=customer, agent=agent)
        await self._audited("requested", user, replace(session, mode=request.mode))
        await self._refusable(user, self._hub.execute(session.pbx, command), session)
        return await self._settled(ident, lambda s: s.mode is request.mode)

    async def _admitted(self, user: User, session: Supervision, mode: Mode) -> None:
        team = self._team(session.agent)
        plan = Plan(
            user=user,
            agent=session.agent,
            team=team,
            is_supervisor=session.agent in self._gate.staff.supervisors,
            call=session.call,
            mode=mode,
            purpose=session.purpose,
            origin=session.origin,
            scope=session.scope,
            note=session.note,
            session=session.id,
        )
        self._gate.admit(plan, Instant(self._clock.now()))

    def _team(self, ident: AgentId | None) -> str:
        agent = self._hub.store.agents.get(ident) if ident is not None else None
        return agent.team if agent is not None else ""

    async def end(self, user: User, ident: SupervisionId) -> Supervision:
        """End a session; returns it as it ended. Raises CtidError."""
        session = self._session(user, ident)
        try:
            await self._audited("requested", user, session, "end")
        except AuditUnavailable as error:
            # To stop listening is never refused.
            log.critical("audit failed", supervision=ident, reason=error.detail)
        ended: asyncio.Future[Supervision] = asyncio.get_running_loop().create_future()
        self._ends.setdefault(ident, []).append(ended)
        try:
            await self._refusable(
                user, self._hub.execute(session.pbx, EndSupervision(supervision=ident)), session
            )
            async with asyncio.timeout(SETTLE_S):
                return await ended
        except TimeoutError as error:
            raise PbxTimeout("the session was ended, and its end has not come back from the PBX") from error
        finally:
            self._ends[ident].remove(ended)
            if not self._ends[ident]:
                del self._ends[ident]

    async def run(self) -> None:
        """Follow the state for ever: audit what sessions do, and end those whose call ended."""
        kinds = frozenset({Pbx.kind, Supervision.kind, Call.kind})
        unfinished = await self._audit.unfinished()
        subscription = self._hub.subscribe("supervision", kinds=kinds)
        async for update in subscription:
            if not isinstance(update, Change):
                continue
            if unfinished and isinstance(update.new, Pbx) and update.new.synchronized_at is not None:
                unfinished = await self._finish(unfinished, update.new)
            if isinstance(update.new, Supervision):
                await self._seen(update.old, update.new)
            elif isinstance(update.old, Call) and update.new is None and update.old.merged_into is None:
                for session in list(self._hub.store.supervisions.values()):
                    if session.call == update.old.id:
                        await self._end_by_rule(session, SupervisionEnd.CALL_ENDED)

    async def _finish(
        self, unfinished: Mapping[SupervisionId, Supervision], link: Pbx
    ) -> dict[SupervisionId, Supervision]:
        """Close in the audit what ended while ctid was away; returns the sessions of other PBXs."""
        others: dict[SupervisionId, Supervision] = {}
        now = Instant(self._clock.now())
        for ident, session in unfinished.items():
            if session.pbx != link.id:
                others[ident] = session
            elif ident not in self._hub.store.supervisions:
                ended = replace(
                    session, state=SupervisionState.ENDED, end=SupervisionEnd.LOST, since=now, ended_at=now
                )
                await self._seen(None, ended)
        return others

    async def _seen(self, old: Entity | None, session: Supervision) -> None:
        self._gate.saw(old if isinstance(old, Supervision) else None, session)
        if isinstance(old, Supervision) and (old.state, old.mode) == (session.state, session.mode):
            return
        entry = Entry(at=session.since, event=str(session.state), supervision=session)
        try:
            await self._audit.write(entry)
        except AuditUnavailable as error:
            log.critical("audit failed", supervision=session.id, reason=error.detail)
            if session.state is not SupervisionState.ENDED:
                await self._end_by_rule(session, SupervisionEnd.RELEASED)
        if session.state is SupervisionState.ENDED:
            for ended in self._ends.get(session.id, ()):
                if not ended.done():
                    ended.set_result(session)

    async def _end_by_rule(self, session: Supervision, reason: SupervisionEnd) -> None:
        try:
            await self._hub.execute(session.pbx, EndSupervision(supervision=session.id, reason=reason))
        except NotFound:
            log.debug("already ended", supervision=session.id)
        except CtidError as error:
            log.warning("session not ended", supervision=session.id, code=error.code, reason=error.detail)

    # ----------------------------------------------------------------------------------------------

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

    def _keys_allowed(self, user: User) -> bool:
        return self._policy.phone_keys and user.role in self._policy.phone_keys_roles

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

    async def _audited(
        self,
        event: str,
        user: User,
        session: Supervision | None,
        detail: str = "",
        request: StartRequest | None = None,
    ) -> None:
        now = Instant(self._clock.now())
        entry = Entry(at=now, event=event, supervision=session, request=request, by=user.name, detail=detail)
        await self._audit.write(entry)

    async def _refusable(
        self,
        user: User,
        step: Awaitable[_T],
        session: Supervision | None = None,
        request: StartRequest | None = None,
    ) -> _T:
        """Take a step; one that fails is audited as well, without hiding why it failed."""
        try:
            return await step
        except CtidError as error:
            try:
                await self._audited("refused", user, session, error.code, request)
            except AuditUnavailable as unaudited:
                log.critical("audit failed", code=error.code, reason=unaudited.detail)
            raise

    async def _settled(self, ident: SupervisionId, holds: Callable[[Supervision], bool]) -> Supervision:
        """The session once the state says what was done; it may have ended again by then."""

        def told() -> bool:
            session = self._hub.store.supervisions.get(ident)
            return session is None or holds(session)

        settled = await self._hub.until(lambda: ident in self._hub.store.supervisions and told(), SETTLE_S)
        session = self._hub.store.supervisions.get(ident)
        if session is not None and not settled:
            raise PbxTimeout("the PBX did it, and the state does not say so yet: look at the session again")
        if session is None:
            raise SupervisionRefused("call_ended", "the session began, and has ended since: the call is over")
        return session
