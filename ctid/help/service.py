"""The room of the raised hands: asks, claims and what becomes of them."""

import asyncio
import secrets
from typing import Protocol

import structlog
from msgspec.structs import replace

from ctid.help import rules
from ctid.help.kept import HelpUnavailable, Kept
from ctid.hub import Hub, SlowSubscriber, Subscription
from ctid.model.entities import Agent, Help, Supervision
from ctid.model.errors import InvalidRequest, NotFound
from ctid.model.facts import HelpChanged
from ctid.model.ids import AgentId, HelpId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.model.words import Carrier, HelpEnd, HelpState, Mode, Origin, Purpose
from ctid.ports import Clock
from ctid.state.changes import Occurrence, Update
from ctid.supervision.requests import StartRequest, Via

log = structlog.get_logger(__name__)

SETTLE_S = 2.0
"""By then what this room has told is in the state."""
LONGEST_TEXT = 200
POLL_S = 1.0
"""The clock may be set meanwhile: an end is not slept towards in one go."""
SOURCE = "help"
"""The source of the facts that this room tells."""
_JUDGED_BY = frozenset({"pbx", "agent", "call", "supervision"})
"""The kinds whose changes may end a raised hand, or move it to another call."""


class Supervisions(Protocol):
    """What starts a session."""

    async def start(
        self,
        user: User,
        request: StartRequest,
        *,
        origin: Origin,
        help: HelpId | None,  # noqa: A002 - as the session's field is called
    ) -> Supervision:
        """Begin a session; returns it once she is in the call. Raises CtidError: nothing of it is left."""
        ...


class HelpService:
    """Raises hands, has them claimed, and ends them; an agent has one at a time.

    A hand is kept on the disk before it is told, and outlives a restart; while the disk does not take it, it
    is told all the same. Its state is the store's; whoever decides by that, and then tells, has the lock.
    """

    def __init__(
        self, hub: Hub, supervisions: Supervisions, kept: Kept, clock: Clock, expires_s: float
    ) -> None:
        self._hub = hub
        self._supervisions = supervisions
        self._kept = kept
        self._clock = clock
        self._expires_s = expires_s
        self._lock = asyncio.Lock()
        self._claiming: set[HelpId] = set()
        """Those whose supervisor's phone rings by this very run."""
        self._gone: dict[HelpId, Instant] = {}
        """Since when an agent who raised a hand in a call is in none."""
        self._refused = False
        """Whether the disk did not take the last one."""

    # What others ask ------------------------------------------------------------------------------

    async def ask(self, user: User, ident: AgentId, text: str, by: Carrier) -> Help:
        """Raise an agent's hand: her own, or hers on her behalf; see `rules.asked_again` for one that is up.

        Raises:
            NotFound: there is no such agent.
            InvalidRequest: the text is too long, or has a character that does not print.
        """
        if len(text) > LONGEST_TEXT or not text.isprintable():
            raise InvalidRequest(
                f"text: at most {LONGEST_TEXT} characters, all of them printable", field="text"
            )
        agent = self._hub.store.agents.get(ident)
        if agent is None:
            raise NotFound("agent", ident)
        told = await self._raise(agent, text, by, "" if user.agent == ident else user.name)
        log.info("hand raised", help=told.id, agent=ident, by=user.name, carrier=str(by))
        return told

    async def withdraw(self, user: User, ident: HelpId) -> Help:
        """Take a hand down; a session that it led to goes on. Raises NotFound."""
        async with self._lock:
            ended = rules.ended(self._live(ident), HelpEnd.WITHDRAWN, self._now(), user.name)
            await self._tell(ended)
        log.info("hand withdrawn", help=ident, agent=ended.agent, by=user.name)
        return ended

    async def claim(self, user: User, ident: HelpId, via: Via, mode: Mode) -> Supervision:
        """Take a hand: a session with the agent, for assistance. While the phone rings nobody else can.

        Raises:
            NotFound: it is not up.
            HelpRefused: somebody else has it (`help.already_claimed`).
            CtidError: the session cannot begin; the hand is up again.
        """
        async with self._lock:
            taken = rules.claimed(self._live(ident), user.name, self._now())
            self._claiming.add(ident)
            await self._tell(taken)
        started: Supervision | None = None
        request = StartRequest(via=via, purpose=Purpose.ASSISTANCE, agent=taken.agent, mode=mode)
        try:
            started = await self._supervisions.start(user, request, origin=rules.origin_of(taken), help=ident)
        finally:
            # Also where this is cancelled: nobody may wait for one who does not come.
            await self._claimed(ident, started)
        log.info(
            "hand claimed",
            help=ident,
            agent=taken.agent,
            by=user.name,
            wait_s=taken.wait_s,
            session=started.id,
        )
        return started

    async def _claimed(self, ident: HelpId, started: Supervision | None) -> None:
        async with self._lock:
            self._claiming.discard(ident)
            help_ = self._hub.store.helps.get(ident)
            if help_ is None:
                return  # withdrawn meanwhile
            if started is None:
                await self._tell(rules.reopened(help_, self._now()))
                return
            await self._tell(replace(help_, supervision=started.id))
        await self._judge()  # the session may be over by now

    # Life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Follow the state for ever; what was up when ctid ended is up again."""
        try:
            await self._restore()
            while True:
                subscription = self._hub.subscribe("help")
                try:
                    await self._judge()
                    await self._follow(subscription)
                except SlowSubscriber:
                    continue
                finally:
                    self._hub.unsubscribe(subscription)
        finally:
            await self._kept.close()

    async def _restore(self) -> None:
        try:
            live = await self._kept.live()
        except HelpUnavailable as error:
            log.error("raised hands of before are not known", reason=error.detail)  # noqa: TRY400 - a disk's failure, no defect to trace
            return
        async with self._lock:
            for help_ in live:
                await self._tell(help_)

    async def _follow(self, subscription: Subscription) -> None:
        while True:
            update: Update | None = None
            try:
                async with asyncio.timeout(POLL_S if self._hub.store.helps else None):
                    update = await subscription.next()
            except TimeoutError:
                await self._judge()
                continue
            if isinstance(update, Occurrence):
                await self._occurred(update)
            elif update.kind in _JUDGED_BY and self._hub.store.helps:
                await self._judge()

    async def _occurred(self, update: Occurrence) -> None:
        if update.name != "help_asked":
            return
        agent = self._hub.store.agents.get(update.agent) if update.agent is not None else None
        if agent is None:
            log.warning("a code for help from a phone that is no agent's", leg=update.leg, pbx=update.pbx)
            return
        told = await self._raise(agent, "", Carrier.FEATURE_CODE, "")
        log.info("hand raised", help=told.id, agent=agent.id, carrier=str(told.by))

    async def _raise(self, agent: Agent, text: str, by: Carrier, raised_by: str) -> Help:
        async with self._lock:
            up = next((one for one in self._hub.store.helps.values() if one.agent == agent.id), None)
            if up is not None:
                again = rules.asked_again(up, by=by, raised_by=raised_by, text=text)
                if again != up:
                    await self._tell(again)
                return again
            told = rules.raised(
                HelpId(f"h{secrets.token_hex(6)}"),
                agent,
                rules.conversation(self._hub.store, agent.id, None),
                by=by,
                raised_by=raised_by,
                text=text,
                now=self._now(),
                expires_s=self._expires_s,
            )
            await self._tell(told)
            return told

    async def _judge(self) -> None:
        """End those whose end has come, and let the others follow their agents."""
        store = self._hub.store
        async with self._lock:
            self._gone = {ident: since for ident, since in self._gone.items() if ident in store.helps}
            now = self._now()
            for help_ in list(store.helps.values()):
                if help_.id in self._claiming:
                    continue
                sight = self._sight(help_, now) if rules.is_visible(store, help_) else None
                judged = rules.judged(help_, sight, now)
                if judged != help_:
                    await self._tell(judged)

    def _sight(self, help_: Help, now: Instant) -> rules.Sight:
        store = self._hub.store
        conversation = rules.conversation(store, help_.agent, help_.call)
        if conversation is None:
            gone_s = now - self._gone.setdefault(help_.id, now)
        else:
            gone_s = 0.0
            self._gone.pop(help_.id, None)
        return rules.Sight(conversation=conversation, session=rules.session_of(store, help_), gone_s=gone_s)

    # ----------------------------------------------------------------------------------------------

    def _live(self, ident: HelpId) -> Help:
        help_ = self._hub.store.helps.get(ident)
        if help_ is None:
            raise NotFound("help", ident)
        return help_

    async def _tell(self, help_: Help) -> None:
        """Keep a raised hand, tell it, and wait until the state has it."""
        try:
            await self._kept.put(help_)
            self._refused = False
        except HelpUnavailable as error:
            if not self._refused:
                log.error("raised hands do not outlive a restart", reason=error.detail)  # noqa: TRY400 - a disk's failure, no defect to trace
            self._refused = True
        fact = HelpChanged(pbx=help_.pbx, at=self._now(), help=help_, source=SOURCE)
        await self._hub.feed([fact])
        told = None if help_.state is HelpState.ENDED else help_
        await self._hub.until(lambda: self._hub.store.helps.get(help_.id) == told, SETTLE_S)

    def _now(self) -> Instant:
        return Instant(self._clock.now())
