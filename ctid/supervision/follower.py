"""What keeps sessions going by themselves: they follow, wait, give notice, end; and all of it is audited."""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import suppress
from typing import Any, Protocol

import structlog
from msgspec.structs import replace

from ctid.hub import Hub, Subscription
from ctid.model.commands import FollowSupervision, GiveNotice, KeepSupervision
from ctid.model.entities import Agent, Call, Entity, Pbx, Supervision
from ctid.model.errors import CtidError, NotFound, SupervisionRefused
from ctid.model.ids import CallId, LegId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.model.words import Mode, NoticeKind, NoticeState, SupervisionEnd, SupervisionState
from ctid.ports import Clock
from ctid.state.changes import Occurrence, Update
from ctid.supervision.follow import End, Follow, next_step
from ctid.supervision.gate import Gate
from ctid.supervision.lead import heir_of, leads
from ctid.supervision.recorder import Recorder
from ctid.supervision.requests import ChangeRequest, ModeAsked
from ctid.supervision.service import SETTLE_S, SupervisionService
from ctid.supervision.target import agent_party
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

KEYS = {"4": ModeAsked.LISTEN, "5": ModeAsked.WHISPER, "6": ModeAsked.BARGE}
"""The keys of her phone that switch the mode, where the configuration allows it."""
KEY_OCCURRENCE = "supervision_key"
KINDS = frozenset({Pbx.kind, Supervision.kind, Call.kind, Agent.kind, KEY_OCCURRENCE})

_UNTOLD = frozenset({SupervisionState.SWITCHING})
"""Not audited: it stands between two that are."""


class Notifier(Protocol):
    """How an agent is told, other than by a tone."""

    async def notify(self, session: Supervision) -> bool:
        """Tell the agent of a session in the way its `notice` says; whether she has been told."""
        ...


class Follower:
    """Follows the state for ever. `user_of`: who somebody is by name, with today's rights; none if nobody."""

    def __init__(
        self,
        hub: Hub,
        service: SupervisionService,
        recorder: Recorder,
        gate: Gate,
        notifier: Notifier,
        user_of: Callable[[str], User | None],
        clock: Clock,
    ) -> None:
        self._hub = hub
        self._service = service
        self._recorder = recorder
        self._gate = gate
        self._notifier = notifier
        self._user_of = user_of
        self._clock = clock
        self._busy: set[SupervisionId] = set()
        self._armed_in: dict[SupervisionId, CallId] = {}
        self._tasks = TaskOwner()

    async def run(self) -> None:
        """Audit what sessions do and take their next steps, for ever."""
        unfinished = await self._recorder.unfinished()
        subscription = self._hub.subscribe("supervision", kinds=KINDS)
        self._tasks.spawn("supervision/watch", self._watch(subscription, unfinished))
        try:
            await self._tasks.wait_failed()
        finally:
            self._hub.unsubscribe(subscription)
            await self._tasks.close()

    async def _watch(
        self, subscription: Subscription, unfinished: Mapping[SupervisionId, Supervision]
    ) -> None:
        while True:
            update = await self._next(subscription)
            if isinstance(update, Occurrence):
                self._pressed(update)
            elif update is not None and isinstance(update.new, Pbx):
                if unfinished and update.new.synchronized_at is not None:
                    unfinished = await self._finish(unfinished, update.new)
            elif update is not None and isinstance(update.new, Supervision):
                await self._seen(update.old, update.new)
            for session in list(self._hub.store.supervisions.values()):
                self._consider(session)

    async def _next(self, subscription: Subscription) -> Update | None:
        """The next update, or none when a session's time is up before one comes."""
        ends = [s.until for s in self._hub.store.supervisions.values() if s.until is not None]
        wait = max(min(ends) - self._clock.now(), 0.05) if ends else None
        try:
            async with asyncio.timeout(wait):
                return await subscription.next()
        except TimeoutError:
            return None

    # What has happened ------------------------------------------------------------------------------

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
        before = old if isinstance(old, Supervision) else None
        self._gate.saw(before, session)
        if session.state is SupervisionState.REQUESTED and before is None:
            self._arm(session)
        told = session.state not in _UNTOLD and (before is None or _matters(before) != _matters(session))
        unaudited = told and not await self._recorder.happened(str(session.state), session)
        if unaudited and session.state is not SupervisionState.ENDED:
            self._do(session, self._service.end_by_rule(session, SupervisionEnd.RELEASED))
        if session.state is SupervisionState.ENDED:
            self._armed_in.pop(session.id, None)
            self._service.has_ended(session)
            heir = heir_of(self._hub.store, session.call)
            if heir is not None:
                self._do(heir, self._kept(replace(heir, lead=True)))

    def _arm(self, session: Supervision) -> None:
        agent = self._hub.store.agents.get(session.agent) if session.agent is not None else None
        if agent is not None and agent.call is not None:
            self._armed_in[session.id] = agent.call

    # What is to be done -----------------------------------------------------------------------------

    def _consider(self, session: Supervision) -> None:
        if session.id in self._busy or session.stale:
            return
        step = next_step(session, self._hub.store, Instant(self._clock.now()), self._armed_in.get(session.id))
        if isinstance(step, End):
            self._do(session, self._service.end_by_rule(session, step.reason))
        elif isinstance(step, Follow):
            self._do(session, self._follow(session, step))
        elif session.notice_state is NoticeState.DUE and session.state is SupervisionState.ACTIVE:
            self._do(session, self._give_notice(session))

    def _do(self, session: Supervision, step: Coroutine[Any, Any, None]) -> None:
        """Take a session's step beside the others'; one at a time of each."""
        self._busy.add(session.id)
        self._tasks.spawn(f"supervision/{session.id}", self._done(session, step))

    async def _done(self, session: Supervision, step: Coroutine[Any, Any, None]) -> None:
        try:
            with suppress(NotFound):  # it has ended meanwhile
                await step
            # Not looked at again before the state shows the step: else it would be taken twice.
            await self._hub.until(lambda: self._known(session.id) != session, SETTLE_S)
        except CtidError as error:
            # Nor tried again at once: what comes next from the PBX is the occasion.
            log.warning("step failed", supervision=session.id, code=error.code, reason=error.detail)
            return
        finally:
            self._busy.discard(session.id)
        known = self._known(session.id)
        if known is not None:
            self._consider(known)

    def _known(self, ident: SupervisionId) -> Supervision | None:
        return self._hub.store.supervisions.get(ident)

    async def _kept(self, session: Supervision) -> None:
        await self._hub.execute(session.pbx, KeepSupervision(supervision=session))

    async def _follow(self, session: Supervision, step: Follow) -> None:
        """Go to the agent's next call, or the call's next agent; if the gate lets it pass."""
        agent = step.party.agent
        leading = leads(self._hub.store, step.call.id, session.id)
        same = session.call == step.call.id and session.agent == agent
        going = replace(
            session,
            agent=agent,
            call=step.call.id,
            lead=leading,
            mode=session.mode if leading and same else _first_mode(session, leading=leading),
            calls=session.calls + (session.call != step.call.id),
            notice_state=NoticeState.NOT_DUE
            if session.notice is NoticeKind.NONE
            else session.notice_state
            if same
            else NoticeState.DUE,
        )
        user = self._user_of(session.supervisor)
        try:
            if user is None:
                raise SupervisionRefused("not_yours", f"{session.supervisor} is no user any more")
            self._gate.admit(self._service.plan(user, going, going.mode), Instant(self._clock.now()))
        except CtidError as error:
            await self._recorder.happened("refused", going, error.code)
            await self._service.end_by_rule(session, SupervisionEnd.FORBIDDEN)
            return
        if session.state is SupervisionState.REQUESTED:
            ringing = replace(going, state=SupervisionState.RINGING, since=Instant(self._clock.now()))
            await self._hub.execute(session.pbx, self._service.beginning(ringing, step.party.leg))
            return
        await self._hub.execute(
            session.pbx, FollowSupervision(supervision=going, target=LegId(step.party.leg))
        )

    async def _give_notice(self, session: Supervision) -> None:
        given = False
        try:
            if session.notice is NoticeKind.TONE:
                call = self._hub.store.calls.get(session.call) if session.call is not None else None
                party = agent_party(call, session.agent) if call is not None else None
                if party is not None:
                    await self._hub.execute(session.pbx, GiveNotice(target=party.leg))
                    given = True
            else:
                given = await self._notifier.notify(session)
        except CtidError as error:
            log.warning("notice not given", supervision=session.id, code=error.code, reason=error.detail)
        known = self._hub.store.supervisions.get(session.id)
        if known is None:
            await self._recorder.happened("notice", session, "given" if given else "failed")
            return
        state = NoticeState.GIVEN if given else NoticeState.FAILED
        await self._recorder.happened("notice", replace(known, notice_state=state), str(state))
        await self._kept(replace(known, notice_state=state))

    def _pressed(self, pressed: Occurrence) -> None:
        session = self._hub.store.supervisions.get(pressed.supervision or SupervisionId(""))
        if session is not None:
            self._tasks.spawn(f"supervision/{session.id}/key", self._key(session, pressed.by))

    async def _key(self, session: Supervision, key: str) -> None:
        """Obey a key of her phone where that is allowed; the attempt is audited in either case."""
        user, mode = self._user_of(session.supervisor), KEYS.get(key)
        if user is None or mode is None or not self._service.keys_allowed(user):
            await self._recorder.happened("key", session, key)
            return
        try:
            await self._service.change(user, session.id, ChangeRequest(mode=mode))
        except CtidError as error:
            log.info("key not obeyed", supervision=session.id, key=key, code=error.code)


def _first_mode(session: Supervision, *, leading: bool) -> Mode:
    """How she comes to another agent or call: as she was armed, else listening."""
    armed = session.state is SupervisionState.REQUESTED
    return session.mode if armed and leading else Mode.LISTEN


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
