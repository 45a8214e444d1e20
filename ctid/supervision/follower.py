"""What keeps sessions going by themselves: they follow, wait, give notice, end; and all of it is audited."""

import asyncio
from collections.abc import Callable
from typing import Protocol, assert_never

import structlog
from msgspec import Struct
from msgspec.structs import replace

from ctid.hub import Hub, Subscription
from ctid.model.commands import FollowSupervision, GiveNotice, KeepSupervision
from ctid.model.entities import Agent, Call, Entity, Pbx, Supervision
from ctid.model.errors import CtidError, NotFound, SupervisionRefused
from ctid.model.ids import AgentId, CallId, LegId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.model.words import Mode, NoticeKind, NoticeState, SupervisionEnd, SupervisionState
from ctid.ports import Clock
from ctid.state.changes import Change, Occurrence, Update
from ctid.supervision.follow import End, Follow, Lead, Notify, Step, next_step
from ctid.supervision.gate import Gate
from ctid.supervision.planning import Planner, least, notice_state
from ctid.supervision.recorder import Recorder
from ctid.supervision.requests import ChangeRequest, ModeAsked
from ctid.supervision.service import SETTLE_S, SupervisionService
from ctid.supervision.target import agent_party
from ctid.supervision.turns import Turns
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

KEYS = {"4": ModeAsked.LISTEN, "5": ModeAsked.WHISPER, "6": ModeAsked.BARGE}
"""The keys of her phone that switch the mode, where the configuration allows it."""
KEY_OCCURRENCE = "supervision_key"
KINDS = frozenset({Pbx.kind, Supervision.kind, Call.kind, Agent.kind, KEY_OCCURRENCE})
LOOK_S = 1.0
"""How late a limit may be noticed when the clock is set."""

_UNTOLD = frozenset({SupervisionState.SWITCHING})
"""Not audited: it stands between two that are."""


class Notifier(Protocol):
    """How an agent is told, other than by a tone."""

    async def notify(self, session: Supervision) -> bool:
        """Tell the agent of a session in the way its `notice` says; whether she has been told."""
        ...


class _Noticed(Struct, frozen=True):
    """What became of the notice to an agent in a call."""

    agent: AgentId | None
    call: CallId | None
    state: NoticeState


class Follower:
    """Follows the state for ever. `user_of`: who somebody is by name, with today's rights; none if nobody."""

    def __init__(
        self,
        hub: Hub,
        service: SupervisionService,
        planner: Planner,
        turns: Turns,
        recorder: Recorder,
        gate: Gate,
        notifier: Notifier,
        user_of: Callable[[str], User | None],
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._service = service
        self._planner = planner
        self._turns = turns
        self._recorder = recorder
        self._gate = gate
        self._notifier = notifier
        self._user_of = user_of
        self._clock = clock
        self._busy: set[SupervisionId] = set()
        self._unaudited: set[SupervisionId] = set()
        self._noticed: dict[SupervisionId, _Noticed] = {}
        self._unfinished: dict[SupervisionId, Supervision] = {}
        self._tasks = TaskOwner()

    async def run(self) -> None:
        """Audit what sessions do and take their next steps, for ever."""
        subscription = self._hub.subscribe("supervision", kinds=KINDS)
        self._tasks.spawn("supervision/watch", self._watch(subscription))
        try:
            await self._tasks.wait_failed()
        finally:
            self._hub.unsubscribe(subscription)
            await self._tasks.close()

    async def _watch(self, subscription: Subscription) -> None:
        self._unfinished = await self._recorder.unfinished()
        for entity in subscription.entities:
            await self._told(None, entity)
        while True:
            for session in list(self._hub.store.supervisions.values()):
                self._consider(session)
            update = await self._next(subscription)
            if isinstance(update, Occurrence):
                self._pressed(update)
            elif isinstance(update, Change):
                await self._told(update.old, update.new)

    async def _next(self, subscription: Subscription) -> Update | None:
        """The next update, or none when a session's time is up before one comes."""
        sessions = self._hub.store.supervisions.values()
        ends = [s.until for s in sessions if s.until is not None and self._may_step(s)]
        wait = min(max(min(ends) - self._clock.now(), 0.0), LOOK_S) if ends else None
        try:
            async with asyncio.timeout(wait):
                return await subscription.next()
        except TimeoutError:
            return None

    # What has happened ------------------------------------------------------------------------------

    async def _told(self, old: Entity | None, new: Entity | None) -> None:
        if isinstance(new, Supervision):
            await self._seen(old if isinstance(old, Supervision) else None, new)
        elif isinstance(new, Pbx) and new.synchronized_at is not None and self._unfinished:
            await self._finish(new)

    async def _finish(self, link: Pbx) -> None:
        """Close in the audit what ended while ctid was away."""
        now = Instant(self._clock.now())
        for session in [s for s in self._unfinished.values() if s.pbx == link.id]:
            del self._unfinished[session.id]
            if session.id not in self._hub.store.supervisions:
                lost = replace(session, state=SupervisionState.ENDED, end=SupervisionEnd.LOST)
                await self._seen(None, replace(lost, since=now, ended_at=now))

    async def _seen(self, before: Supervision | None, session: Supervision) -> None:
        self._gate.saw(before, session)
        told = session.state not in _UNTOLD and (before is None or _matters(before) != _matters(session))
        if told and not await self._recorder.happened(str(session.state), session):
            self._unaudited.add(session.id)
        if session.state is SupervisionState.ENDED:
            self._unaudited.discard(session.id)
            self._noticed.pop(session.id, None)
            self._service.has_ended(session)

    # What is to be done -----------------------------------------------------------------------------

    def _may_step(self, session: Supervision) -> bool:
        return not session.stale and session.id not in self._busy

    def _step(self, session: Supervision) -> Step | None:
        if session.id in self._unaudited and session.mode is not Mode.TAKEOVER:
            return End(reason=SupervisionEnd.RELEASED)  # nobody is listened to unaudited
        now = Instant(self._clock.now())
        return next_step(session, self._hub.store, now, self._turns.armed_in(session.id))

    def _consider(self, session: Supervision) -> None:
        """Take a session's next step, if there is one, beside the others'; one at a time of each."""
        if self._may_step(session) and self._step(session) is not None:
            self._busy.add(session.id)
            self._tasks.spawn(f"supervision/{session.id}", self._turn(session.id))

    async def _turn(self, ident: SupervisionId) -> None:
        before = self._known(ident)
        try:
            await self._take(ident)
        except NotFound:
            pass  # it has ended meanwhile
        except CtidError as error:
            log.warning("step failed", supervision=ident, code=error.code, reason=error.detail)
        try:
            # Not looked at again before the state shows the step: else it would be taken twice. One that
            # failed may be tried again after that time, or as soon as the session is another.
            await self._hub.until(lambda: self._known(ident) != before, SETTLE_S)
        finally:
            self._busy.discard(ident)
        session = self._known(ident)
        if session is not None:
            self._consider(session)

    async def _take(self, ident: SupervisionId) -> None:
        session = self._known(ident)
        if session is not None and isinstance(self._step(session), Notify):
            await self._notify(session)
            return
        async with self._turns.alone(ident):
            session = self._known(ident)
            step = self._step(session) if session is not None else None
            if session is None or step is None:
                return
            match step:
                case End():
                    await self._service.end_by_rule(session, step.reason)
                case Follow():
                    await self._follow(session, step)
                case Lead(lead=True):
                    await self._service.take_lead(session)
                case Lead():
                    await self._service.give_up_lead(session)
                case Notify():
                    return  # next time: nobody is kept from a switch while a tone sounds
                case _:
                    assert_never(step)

    def _known(self, ident: SupervisionId) -> Supervision | None:
        return self._hub.store.supervisions.get(ident)

    async def _follow(self, session: Supervision, step: Follow) -> None:
        """Go to the agent's next call, or the call's next agent; if the gate lets it pass."""
        agent, call = step.party.agent, step.call.id
        leading = self._turns.can_lead(call, session.id)
        same = (session.call, session.agent) == (call, agent)
        going = replace(
            session,
            agent=agent,
            call=call,
            lead=leading,
            # To the first call she comes as she asked to, to another as one who listens.
            mode=session.mode if leading and (same or session.calls == 0) else Mode.LISTEN,
            calls=session.calls + (session.call != call),
        )
        user = self._user_of(session.supervisor)
        try:
            if user is None:
                raise SupervisionRefused("not_yours", f"{session.supervisor} may do nothing any more")
            admission = self._planner.admit(user, going, going.mode)
        except CtidError as error:
            await self._recorder.happened("refused", going, error.code)
            await self._service.end_by_rule(session, SupervisionEnd.FORBIDDEN)
            return
        going = replace(
            going,
            until=least(session.until, admission.until),
            notice=admission.notice,
            notice_state=session.notice_state if same else notice_state(admission),
        )
        if leading:
            self._turns.lead(call, session.id)
        try:
            if session.state is SupervisionState.REQUESTED:
                await self._ring(going, step.party.leg)
            else:
                await self._hub.execute(
                    session.pbx, FollowSupervision(supervision=going, target=step.party.leg)
                )
            await self._hub.until(lambda: self._known(session.id) != session, SETTLE_S)
        finally:
            self._turns.led(call, session.id)

    async def _ring(self, session: Supervision, target: LegId) -> None:
        """Have her phone ring for an armed session, if it has not been withdrawn."""
        if not self._turns.settle(session.id):
            return
        ringing = replace(session, state=SupervisionState.RINGING, since=Instant(self._clock.now()))
        try:
            await self._hub.execute(session.pbx, self._planner.beginning(ringing, target))
        except BaseException:
            self._turns.unsettle(session.id)
            raise

    async def _notify(self, session: Supervision) -> None:
        """Tell the agent, once, and keep what became of it."""
        noticed = self._noticed.get(session.id)
        if noticed is None or (noticed.agent, noticed.call) != (session.agent, session.call):
            state = NoticeState.GIVEN if await self._is_notified(session) else NoticeState.FAILED
            noticed = self._noticed[session.id] = _Noticed(session.agent, session.call, state)
            await self._recorder.happened("notice", replace(session, notice_state=state), str(state))
        async with self._turns.alone(session.id):
            known = self._known(session.id)
            if known is None:
                self._noticed.pop(session.id, None)
            elif (known.agent, known.call) == (noticed.agent, noticed.call):
                kept = KeepSupervision(supervision=replace(known, notice_state=noticed.state))
                await self._hub.execute(session.pbx, kept)

    async def _is_notified(self, session: Supervision) -> bool:
        try:
            if session.notice is not NoticeKind.TONE:
                return await self._notifier.notify(session)
            call = self._hub.store.calls.get(session.call) if session.call is not None else None
            party = agent_party(call, session.agent) if call is not None else None
            if party is not None:
                await self._hub.execute(session.pbx, GiveNotice(target=party.leg))
        except CtidError as error:
            log.warning("notice not given", supervision=session.id, code=error.code, reason=error.detail)
            return False
        return party is not None

    def _pressed(self, pressed: Occurrence) -> None:
        session = self._known(pressed.supervision) if pressed.supervision is not None else None
        if session is not None:
            self._tasks.spawn(f"supervision/{session.id}/key", self._key(session, pressed.by))

    async def _key(self, session: Supervision, key: str) -> None:
        """Audit a key of her phone, and obey it where that is allowed."""
        await self._recorder.happened("key", session, key)
        user, mode = self._user_of(session.supervisor), KEYS.get(key)
        if user is None or mode is None or not self._service.keys_allowed(user):
            return
        try:
            await self._service.change(user, session.id, ChangeRequest(mode=mode))
        except CtidError as error:
            log.info("key not obeyed", supervision=session.id, key=key, code=error.code)


def _matters(session: Supervision) -> tuple[object, ...]:
    """What of a session is audited when it changes."""
    return (
        session.state,
        session.mode,
        session.hear,
        session.muted,
        session.agent,
        session.call,
        session.lead,
    )
