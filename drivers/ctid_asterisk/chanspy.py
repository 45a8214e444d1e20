"""The supervisor's media without ARI: sessions that ChanSpy carries, conducted over AMI alone.

Her phone is rung into a dialplan context where she waits, and is sent from there to ChanSpy and back. A
switch is a key that her channel receives (PlayDTMF), which ChanSpy obeys; where Asterisk is too old for
that, or does not tell of keys, ChanSpy is started anew. ChanSpy obeys keys of her own phone as well: in
`listen` she is mute at the PBX, in the other modes from the moment that she presses one until what it did is
undone.
"""

from collections.abc import Callable
from typing import Any

import structlog
from msgspec.structs import replace

from ctid.model.commands import (
    EndSupervision,
    FollowSupervision,
    GiveNotice,
    KeepSupervision,
    StartSupervision,
    SwitchSupervision,
)
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, NotFound, PbxRefused, PbxUnavailable, SupervisionRefused
from ctid.model.facts import KeyPressed, SupervisionChanged
from ctid.model.ids import SupervisionId
from ctid.model.instant import Instant
from ctid.model.lifecycle import may_follow
from ctid.model.words import Hear, Scope, SupervisionEnd, SupervisionState
from ctid.ports import Clock
from ctid_asterisk import spying
from ctid_asterisk.pin import PinEntry
from ctid_asterisk.refusals import Ended, gone, no_phone, told_as_ctid_errors
from ctid_asterisk.sessions import Names, Record, Stance, notice_id, part_of
from ctid_asterisk.spy_parts import SpyParts
from ctid_asterisk.spy_session import SpySession
from ctid_asterisk.spying import FoundSpy, find

log = structlog.get_logger(__name__)

JOIN_S = 3.0
"""A channel that is rung or moved gets to where it is to be within milliseconds; by then it will not."""
PIN_S = 20.0
NOTICE_S = 5.0
"""By then the notice has been played, or will not be."""


class Spies:
    """All sessions of one connection. `app` tells its channels from another ctid's."""

    def __init__(
        self,
        app: str,
        parts: SpyParts,
        context: str,
        clock: Clock,
        tell: Callable[[SupervisionChanged | KeyPressed], None],
    ) -> None:
        self.parts = parts
        self.steps = parts.steps
        self.link = parts.link
        self.by_id: dict[SupervisionId, SpySession] = {}
        self.notices: dict[str, str] = {}
        """What is told of the notices that are being played, by the channel that plays it."""
        self.dialled: set[str] = set()
        """The agents' channels that ring for a hand-back, and may still answer."""
        self._app = app
        self._context = context
        self._clock = clock
        self._tell = tell

    def supervisions(self) -> list[Supervision]:
        """The sessions as they are published."""
        return [session.supervision for session in self.by_id.values()]

    # Commands -------------------------------------------------------------------------------------

    async def start(self, command: StartSupervision) -> None:
        """Conduct a session's beginning; see the command."""
        names = Names(self._app, command.supervision.id)
        record = Record(supervision=command.supervision, target=command.target)
        session = SpySession(record, names, names.phone(self._clock.now()))
        self._refuse_side(session.stance)
        self.by_id[command.supervision.id] = session
        self._publish(session)
        async with session.lock:
            try:
                async with told_as_ctid_errors():
                    await self._begin(session, command)
            except BaseException as error:
                await self.fail(session)
                if (failure := session.failure(error)) is not None:
                    raise failure from error
                raise

    async def _begin(self, session: SpySession, command: StartSupervision) -> None:
        await self.link.check_context(self._context)
        session.check()
        session.made.add(session.phone)
        await self.steps.ring(session, command.address, command.ring_s)
        follows = session.supervision.scope is Scope.AGENT

        def decided() -> bool | None:
            over = session.lost is not None or session.cause is not None
            return session.answered or over or (session.agent_left and not follows) or None

        if not await self.link.until(decided, command.ring_s + JOIN_S):
            raise no_phone(command, 19)
        session.check()
        if session.cause is not None:
            raise no_phone(command, session.cause)
        if not session.answered:
            raise SupervisionRefused("call_ended", "the call ended while the phone rang")
        await self.parts.learn_keys(session)
        if command.pin:
            await self._ask_pin(session, command.pin)
        if command.target is None or not await self.parts.place(session, session.stance):
            await self.wait(session)
            return
        self.change(session, state=SupervisionState.ACTIVE)
        await self.steps.keep(session)

    async def _ask_pin(self, session: SpySession, pin: str) -> None:
        """Have whoever answered enter the PIN. Raises SupervisionRefused."""
        if not self.parts.live:
            raise SupervisionRefused(
                "pin_wrong",
                "no PIN can be asked for: ctid does not see the keys of her phone (its log says why)",
            )
        session.pin = PinEntry(pin)
        session.pin_right = None

        def decided() -> bool | None:
            return False if session.lost is not None or session.cause is not None else session.pin_right

        try:
            right = await self.link.until(decided, PIN_S)
        finally:
            session.pin = None
        session.check()
        if not right:
            raise SupervisionRefused(
                "pin_wrong", f"the PIN was wrong three times, or did not come within {PIN_S:g} s"
            )

    async def switch(self, command: SwitchSupervision) -> None:
        """Change who hears her and whom she hears; see the command."""
        session = self.session(command.supervision)
        async with session.lock, told_as_ctid_errors():
            await self._switch(session, Stance(command.mode, command.hear, command.muted))

    async def _switch(self, session: SpySession, stance: Stance) -> None:
        session.check()
        self._refuse_side(stance)
        before = session.stance
        if stance == before:
            return
        if session.customer is not None:
            raise SupervisionRefused("mode_not_possible", "the customer is hers: he can be handed back")
        changed = {"mode": stance.mode, "hear": stance.hear, "muted": stance.muted}
        if session.supervision.state is SupervisionState.WAITING:
            self.change(session, **changed)
        elif (stance.mode, stance.hear) == (before.mode, before.hear):
            await self.steps.mute(session, on=stance.silent)
            self.change(session, **changed)
        else:
            self.change(session, state=SupervisionState.SWITCHING)
            if not await self.placed(session, stance):
                await self.wait(session)
                raise gone(SupervisionEnd.CALL_ENDED)
            self.change(session, state=SupervisionState.ACTIVE, **changed)
        await self.steps.keep(session)

    async def follow(self, command: FollowSupervision) -> None:
        """Put her into another call, or at another agent's side; see the command.

        If the agent has left that call already, all stays as it was.
        """
        session = self.session(command.supervision.id)
        wanted = command.supervision
        stance = Stance(wanted.mode, wanted.hear, wanted.muted)
        async with session.lock, told_as_ctid_errors():
            session.check()
            self._refuse_side(stance)
            if not self.parts.is_there(str(command.target)):
                raise gone(SupervisionEnd.CALL_ENDED)
            if session.supervision.state is not SupervisionState.WAITING:
                self.change(session, state=SupervisionState.SWITCHING)
            session.record = replace(session.record, target=command.target)
            session.agent_left = False
            session.options = ""  # another channel takes another ChanSpy
            if not await self.placed(session, stance):
                await self.wait(session)
                raise gone(SupervisionEnd.CALL_ENDED)
            session.keep(wanted)
            self.change(
                session,
                state=SupervisionState.ACTIVE,
                mode=stance.mode,
                hear=stance.hear,
                muted=stance.muted,
            )
            await self.steps.keep(session)

    async def keep(self, command: KeepSupervision) -> None:
        """Keep what is the core's to say of a session; see the command."""
        session = self.session(command.supervision.id)
        async with session.lock:
            session.check()
            session.keep(command.supervision)
            self._publish(session)
            await self.steps.keep(session)

    async def give_notice(self, command: GiveNotice) -> None:
        """Sound a tone in one party's ear; see the command."""
        now = self._clock.now()
        first, second = notice_id(self._app, now), notice_id(self._app, now)
        async with told_as_ctid_errors():
            await self.link.check_context(self._context)
            self.notices[second] = ""
            try:
                await self.steps.whisper(str(command.target), first, second)

                def decided() -> bool | None:
                    told = self.notices[second]
                    return told == spying.PLAYED if told else None

                if not await self.link.until(decided, NOTICE_S):
                    told = self.notices[second] or "it did not end in time"
                    raise PbxRefused(f"the PBX did not play the notice: {told}")
            finally:
                del self.notices[second]
                await self.parts.hung_up(first)

    async def end(self, command: EndSupervision) -> None:
        """Release the supervisor; see the command."""
        session = self.session(command.supervision)
        session.check_may_end(command)
        if session.is_ringing:
            session.lost = session.lost or command.reason
            self.link.look()
        async with session.lock, told_as_ctid_errors():
            session.check_may_end(command)  # she may have taken over meanwhile
            if session.customer is not None:
                session.made.add(session.customer)  # the call is hers, and ends with her
            if not await self.finish(session, command.reason):
                raise PbxUnavailable("the PBX did not hang her up; end the session again when it answers")

    async def recover(self) -> None:
        """Find the sessions that the PBX holds, take them up again, and clear away what is left over."""
        channels = await self.steps.channels()
        phones = [fields["uniqueid"] for fields in channels if part_of(fields["uniqueid"]) == "phone"]
        pieces = {phone: await self.steps.pieces(phone) for phone in phones}
        remains = find(channels, pieces.__getitem__, self._app, Instant(self._clock.now()))
        for found in remains.sessions:
            self._take_up(found)
        for channel in remains.stray_channels:
            log.warning("left over on the PBX, hung up", channel=channel)
            await self.parts.hung_up(channel)
        for session in list(self.by_id.values()):
            await self._make_sure(session)

    def _take_up(self, found: FoundSpy) -> None:
        session = SpySession(found.record, Names(self._app, found.record.supervision.id), found.phone)
        session.answered = True
        session.customer = found.customer
        session.made.add(found.phone)
        self.by_id[session.supervision.id] = session
        log.info("supervision taken up", supervision=session.supervision.id, mode=session.supervision.mode)
        self._publish(session)

    async def _make_sure(self, session: SpySession) -> None:
        """Set anew what Asterisk does not tell: in which mode ChanSpy is, and whether she is mute."""
        async with session.lock:
            try:
                await self.parts.learn_keys(session)
                if session.customer is not None:
                    await self.steps.mute(session, on=False)
                elif session.supervision.state is SupervisionState.WAITING:
                    await self.steps.mute(session, on=True)
                    await self.steps.wait(session)
                elif not await self.parts.place(session, session.stance):
                    await self.wait(session)
            except (CtidError, TimeoutError, Ended) as error:
                log.warning("not taken up", supervision=session.supervision.id, reason=str(error))
                await self.finish(session, session.lost or SupervisionEnd.LOST)

    # Steps ----------------------------------------------------------------------------------------

    def session(self, ident: SupervisionId) -> SpySession:
        """The session of this id. Raises NotFound."""
        session = self.by_id.get(ident)
        if session is None:
            raise NotFound("supervision", ident)
        return session

    @staticmethod
    def _refuse_side(stance: Stance) -> None:
        if stance.hear is Hear.CUSTOMER:
            raise SupervisionRefused(
                "mode_not_possible",
                "without ARI nobody can hear the customer alone: hear both, or the agent (hear_customer is "
                "not among this PBX's capabilities)",
            )

    async def placed(self, session: SpySession, stance: Stance) -> bool:
        """Have a session stand so; if that fails it ends, for who hears her is not sure any more.

        False: the agent has left.
        """
        try:
            return await self.parts.put(session, stance)
        except BaseException as error:
            await self.fail(session)
            if (failure := session.failure(error)) is not None:
                raise failure from error
            raise

    async def wait(self, session: SpySession) -> None:
        """Have her wait for a call: the dialplan has sent her there as ChanSpy ended."""
        session.options = ""
        await self.steps.mute(session, on=True)
        self.change(session, state=SupervisionState.WAITING)
        await self.steps.keep(session)

    async def fail(self, session: SpySession) -> None:
        """End a session that cannot go on, for the reason that the PBX has told, if it has."""
        await self.finish(session, session.lost or SupervisionEnd.FAILED)

    async def finish(self, session: SpySession, reason: SupervisionEnd) -> bool:
        """Hang up what is a session's; idempotent. False: it may still be there, and is told as it was."""
        if session.over:
            return True
        session.over = True
        session.leaving |= session.made
        for channel in list(session.made):
            # One may end with the other, and then cannot be named any more.
            if channel in session.made and await self.parts.hung_up(channel):
                session.made.discard(channel)
        if session.made:
            log.critical("not ended", supervision=session.supervision.id, left=sorted(session.made))
            session.over = False
            return False
        self.by_id.pop(session.supervision.id, None)
        now = Instant(self._clock.now())
        self.change(session, state=SupervisionState.ENDED, end=reason, ended_at=now)
        return True

    def tell_key(self, session: SpySession, key: str) -> None:
        """Tell of a key of hers."""
        pbx, at = session.supervision.pbx, Instant(self._clock.now())
        self._tell(KeyPressed(pbx=pbx, at=at, supervision=session.supervision.id, key=key))

    def change(self, session: SpySession, **changed: Any) -> None:
        """Let a session be other than it was, and publish it."""
        old = session.supervision
        new = replace(old, since=Instant(self._clock.now()), **changed)
        if not may_follow(old.state, new.state):
            raise RuntimeError(f"session {old.id} cannot go from {old.state} to {new.state}")
        session.record = replace(session.record, supervision=new)
        self._publish(session)

    def _publish(self, session: SpySession) -> None:
        supervision = session.supervision
        self._tell(SupervisionChanged(pbx=supervision.pbx, at=supervision.since, supervision=supervision))
