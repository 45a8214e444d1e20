"""The supervisor's media by ARI: sessions conducted from their beginning to their end.

Her phone and one snoop channel on the agent's leg share a bridge. A switch puts a snoop channel of the
new kind in the old one's place. Between two calls her phone is alone in it, and hears a quiet tone.
Nothing half done stays: a failed step takes its session down with it.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
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
from ctid.model.errors import NotFound, PbxUnavailable, SupervisionRefused
from ctid.model.facts import KeyPressed, SupervisionChanged
from ctid.model.ids import LegId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.lifecycle import may_follow
from ctid.model.words import SupervisionEnd, SupervisionState
from ctid.ports import Clock
from ctid.tasks import TaskOwner
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.channels import session_of
from ctid_asterisk.notice import Notices
from ctid_asterisk.parts import JOIN_S, Ami, Parts
from ctid_asterisk.pin import PinEntry
from ctid_asterisk.refusals import Ended, gone, no_phone, told_as_ctid_errors
from ctid_asterisk.sessions import (
    VARIABLE,
    Found,
    Names,
    Record,
    Stance,
    find,
    pack,
    part_of,
    snooping,
)
from ctid_asterisk.stage_session import Session

log = structlog.get_logger(__name__)

CALLER = '"Supervision" <ctid>'
PIN = "pin"
"""What a session waits for, as for a channel."""
PIN_TONE = "tone:425/200,0/1800"
PIN_S = 20.0
NOT_THERE = frozenset({400, 404, 422})
"""What ARI says of a step with a channel that has ended, or has left the application."""

Event = dict[str, Any]


class Stage:
    """All sessions of one connection."""

    def __init__(
        self,
        ari: Ari,
        ami: Ami,
        clock: Clock,
        tell: Callable[[SupervisionChanged | KeyPressed], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.parts = Parts(ari, ami, clock)
        self._ari = ari
        self._clock = clock
        self._tell = tell
        self._sessions: dict[SupervisionId, Session] = {}
        self._notices = Notices(ari, self.parts, clock)
        self._gone: set[str] | None = None
        """What has ended since the sessions began to be looked for; none when they are known."""
        self._tasks = TaskOwner(on_failure)
        self.replaced = False
        """Another program has taken the application's name: to take it back at once would be a fight."""

    def supervisions(self) -> list[Supervision]:
        """The sessions as they are published."""
        return [session.supervision for session in self._sessions.values()]

    async def run(self) -> None:
        """Follow the event socket until it ends, which raises AriLost; sessions under way then fail."""
        try:
            async for event in self._ari.events():
                self._on_event(event)
        except AriLost as error:
            self._forsake(str(error))
            raise

    def _forsake(self, reason: str) -> None:
        """Tell all who wait for a channel that it will not come."""
        told = f"the link to the PBX was lost ({reason})"
        self._notices.forsake(told)
        for session in self._sessions.values():
            session.settle_all(PbxUnavailable(told))

    async def close(self) -> None:
        """End the tasks; the sessions stay on the PBX."""
        self._forsake("closed")
        await self._tasks.close()

    # Commands -------------------------------------------------------------------------------------

    async def start(self, command: StartSupervision) -> None:
        """Conduct a session's beginning; see the command."""
        names = Names(self._ari.app, command.supervision.id)
        record = Record(supervision=command.supervision, target=command.target)
        session = Session(record, names, names.phone(self._clock.now()))
        self._sessions[command.supervision.id] = session
        self._publish(session)
        async with session.lock, self._or_ends(session), told_as_ctid_errors():
            await self._begin(session, command)

    async def _begin(self, session: Session, command: StartSupervision) -> None:
        stance = session.stance
        session.made.add(session.names.bridge)
        await self._ari.create_bridge(session.names.bridge)
        if command.target is not None:
            session.snoop = await self.parts.snoop(session, command.target, stance)
            await self._ari.add(session.names.bridge, session.snoop)
        answered = session.expect(session.phone)
        session.made.add(session.phone)
        # From here on, whatever ends is told to the one who waits for the phone.
        session.check()
        if command.target is not None and session.snoop is None and not session.outlasts_call:
            raise gone(SupervisionEnd.CALL_ENDED)
        # The record as it will be: after a restart it is only believed if the session is whole.
        begun = replace(session.record, supervision=self._as(session, state=SupervisionState.ACTIVE))
        try:
            # Her phone may be diverted: whom she listens to is not for its display.
            variables = {VARIABLE: pack(begun)}
            await self._ari.ring(session.phone, command.address, command.ring_s, CALLER, variables)
        except AriError as error:
            raise no_phone(command, 20, str(error)) from error
        try:
            async with asyncio.timeout(command.ring_s + JOIN_S):
                await answered
        except TimeoutError as error:
            raise no_phone(command, 19) from error
        except Ended as ended:
            if ended.channel != session.phone:
                raise SupervisionRefused("call_ended", "the call ended while the phone rang") from ended
            raise no_phone(command, ended.cause) from ended
        if command.pin:
            await self._ask_pin(session, command.pin)
        await self._ari.mute(session.phone, on=stance.silent)
        await self._ari.add(session.names.bridge, session.phone, absorb_dtmf=True)
        session.check()
        if session.snoop is None:  # there was no call, or it has ended as she came in
            await self._wait(session)
            return
        self.change(session, state=SupervisionState.ACTIVE)

    async def _ask_pin(self, session: Session, pin: str) -> None:
        """Have whoever answered enter the PIN, hearing a tone meanwhile. Raises SupervisionRefused."""
        entered = session.expect(PIN)
        session.pin = PinEntry(pin)
        try:
            await self._ari.play(session.phone, session.names.tone, PIN_TONE)
            async with asyncio.timeout(PIN_S):
                await entered
        except TimeoutError as error:
            raise SupervisionRefused("pin_wrong", f"no PIN was entered within {PIN_S:g} s") from error
        finally:
            session.pin = None
            session.joined.pop(PIN, None)
        await self._ari.stop_play(session.names.tone)  # or every later command to her phone waits for it

    async def switch(self, command: SwitchSupervision) -> None:
        """Change who hears her and whom she hears; see the command."""
        session = self.session(command.supervision)
        async with session.lock, told_as_ctid_errors():
            await self._switch(session, Stance(command.mode, command.hear, command.muted))

    async def _switch(self, session: Session, stance: Stance) -> None:
        session.check()
        before = session.stance
        if stance == before:
            return
        session.check_not_hers()
        changed = {"mode": stance.mode, "hear": stance.hear, "muted": stance.muted}
        if session.supervision.state is SupervisionState.WAITING:
            self.change(session, **changed)
            await self.parts.keep(session)
            return
        if (stance.mode, stance.hear) == (before.mode, before.hear):
            await self._mute(session, stance)
            self.change(session, **changed)
            await self.parts.keep(session)
            return
        old, new = session.snoop, await self._snooped(session, session.record.target, stance)
        self.change(session, state=SupervisionState.SWITCHING)
        await self.placed(session, new, stance)
        self.change(session, state=SupervisionState.ACTIVE, **changed)
        if old is not None:
            await self.parts.clear(session, old)
        await self.parts.keep(session)

    async def _snooped(self, session: Session, target: LegId | None, stance: Stance) -> str:
        if target is None:
            raise gone(SupervisionEnd.CALL_ENDED)
        return await self.parts.snoop(session, str(target), stance)

    async def stand(self, session: Session, stance: Stance) -> None:
        """Have a session stand so without telling it: a step on the way to something else."""
        old = session.snoop
        heard = snooping(old) if old is not None else None
        if heard != replace(stance, muted=False):
            new = await self._snooped(session, session.record.target, stance)
            await self.placed(session, new, stance)
            if old is not None:
                await self.parts.clear(session, old)
        else:
            await self._mute(session, stance)

    async def _mute(self, session: Session, stance: Stance) -> None:
        async with self._or_ends(session):
            await self._ari.mute(session.phone, on=stance.silent)

    async def placed(self, session: Session, new: str, stance: Stance) -> None:
        """Put a new snoop channel in place; she waits if the agent has left meanwhile. Raises what failed."""
        async with self._or_ends(session):
            try:
                await self.parts.place(session, new, stance)
            except AriError as error:
                left = error
                if error.status not in NOT_THERE or not await self.left_alone(session, new):
                    raise
            else:
                return
        raise gone(SupervisionEnd.CALL_ENDED) from left

    async def left_alone(self, session: Session, *more: str) -> bool:
        """Have her wait, whom she listened to being gone, and `more` snoop channels in vain.

        False: it did not work, and she may hear or be heard.
        """
        snoops = {snoop for snoop in (session.snoop, *more) if snoop is not None}
        session.snoop = None
        session.leaving |= snoops
        await self.parts.clear(session, *snoops)
        if session.lost is not None or session.made & snoops:
            return False
        try:
            await self._wait(session)
        except (AriError, AriLost):
            return False
        return True

    @asynccontextmanager
    async def _or_ends(self, session: Session) -> AsyncIterator[None]:
        """Within it, a failure ends the session: who hears her is not sure any more."""
        try:
            yield
        except BaseException as error:
            await self.fail(session)
            if (failure := session.failure(error)) is not None:
                raise failure from error
            raise

    async def follow(self, command: FollowSupervision) -> None:
        """Put her into another call, or at another agent's side; see the command.

        If the agent has left that call already, all stays as it was.
        """
        session = self.session(command.supervision.id)
        async with session.lock, told_as_ctid_errors():
            session.check()
            session.check_not_hers()
            wanted = command.supervision
            stance = Stance(wanted.mode, wanted.hear, wanted.muted)
            waited = session.supervision.state is SupervisionState.WAITING
            old, new = session.snoop, await self._snooped(session, command.target, stance)
            # Should ctid end before she is there, it cannot be told whom she listens to.
            await self.parts.keep(session, replace(session.record, target=None))
            if waited:
                async with self._or_ends(session):
                    await self.parts.from_waiting(session)  # the tone is not for those she comes to
            else:
                self.change(session, state=SupervisionState.SWITCHING)
            await self.placed(session, new, stance)
            session.record = replace(session.record, target=command.target)
            session.keep(wanted)
            changed = {"mode": stance.mode, "hear": stance.hear, "muted": stance.muted}
            self.change(session, state=SupervisionState.ACTIVE, **changed)
            if old is not None:
                await self.parts.clear(session, old)
            await self.parts.keep(session)

    async def keep(self, command: KeepSupervision) -> None:
        """Keep what is the core's to say of a session; see the command."""
        session = self.session(command.supervision.id)
        async with session.lock:
            session.check()
            session.keep(command.supervision)
            self._publish(session)
            await self.parts.keep(session)

    async def give_notice(self, command: GiveNotice) -> None:
        """Sound a tone in one party's ear; see the command."""
        await self._notices.give(command.target)

    async def end(self, command: EndSupervision) -> None:
        """Release the supervisor; see the command."""
        session = self.session(command.supervision)
        session.check_may_end(command)
        if session.is_ringing:
            session.lost = session.lost or command.reason
            session.stop_ringing()
        if session.back is not None:
            session.lost = session.lost or command.reason
            await self.parts.cleared(session.back)  # whoever waits for the agent to answer stops here
        async with session.lock, told_as_ctid_errors():
            session.check_may_end(command)  # she may have taken over meanwhile
            if session.customer is not None:
                session.made.add(session.customer)  # the call is hers, and ends with her
            if not await self.finish(session, command.reason):
                raise PbxUnavailable("the PBX did not hang her up; it is tried again as soon as it answers")

    async def recover(self, known: Sequence[Supervision] = ()) -> None:
        """Find the sessions that the PBX holds, take them up again, and clear away what is left over.

        `known` are those there were when ARI was lost: the ones that are no more are told as ended.
        """
        self._gone = set()
        channels, bridges = await self._ari.channels(), await self._ari.bridges()
        records = {
            str(channel["id"]): await self._ari.variable(str(channel["id"]), VARIABLE)
            for channel in channels
            if part_of(str(channel["id"])) == "phone"
        }
        now = Instant(self._clock.now())
        remains = find(channels, bridges, lambda unique: records[unique], self._ari.app, now)
        sessions = [self._found(found) for found in remains.sessions]
        for lost in known:
            if lost.id not in self._sessions:
                ended = replace(lost, state=SupervisionState.ENDED, end=SupervisionEnd.LOST)
                self._tell_of(replace(ended, since=now, ended_at=now))
        for stray in (*remains.stray_channels, *remains.stray_bridges):
            log.warning("left over on the PBX, cleared away", part=stray)
            await self.parts.cleared(stray)
        for session in sessions:
            async with session.lock:
                await self._take_up(session)
        gone, self._gone = self._gone, None
        for session in sessions:
            for part in gone & {session.phone, session.snoop, session.customer}:
                self._left(part, 0)

    def _found(self, found: Found) -> Session:
        names = Names(self._ari.app, found.record.supervision.id)
        session = Session(found.record, names, found.phone)
        session.snoop, session.customer = found.snoop, found.customer
        session.made.update(part for part in (names.bridge, found.phone, found.snoop) if part is not None)
        self._sessions[session.supervision.id] = session
        return session

    async def _take_up(self, session: Session) -> None:
        log.info("supervision taken up", supervision=session.supervision.id, mode=session.supervision.mode)
        try:
            if session.supervision.state is SupervisionState.WAITING:
                await self.parts.to_waiting(session)
            else:
                # A switch that was cut off may have left her mute in a mode in which she is heard.
                await self._ari.mute(session.phone, on=session.stance.silent)
            if session.customer is not None:
                # Neither is in the application: their ends are told to who asks for them.
                await self._ari.follow(session.phone)
                await self._ari.follow(session.customer)
        except AriError as error:
            log.warning("a part of it has just gone", supervision=session.supervision.id, reason=str(error))
            await self.fail(session)
        if not session.over:
            self._publish(session)

    # Steps ----------------------------------------------------------------------------------------

    def session(self, ident: SupervisionId) -> Session:
        """The session of this id. Raises NotFound."""
        session = self._sessions.get(ident)
        if session is None:
            raise NotFound("supervision", ident)
        return session

    async def _wait(self, session: Session) -> None:
        """Have her wait for a call; a session that cannot even do that ends."""
        try:
            await self.parts.to_waiting(session)
        except (AriError, AriLost) as error:
            log.warning("cannot wait", supervision=session.supervision.id, reason=str(error))
            await self.fail(session)
            raise
        self.change(session, state=SupervisionState.WAITING)
        await self.parts.keep(session)

    async def fail(self, session: Session) -> None:
        """End a session that cannot go on."""
        await self.finish(session, session.lost or SupervisionEnd.FAILED)

    async def finish(self, session: Session, reason: SupervisionEnd) -> bool:
        """Clear a session away; idempotent, and carried out also if who asks for it goes away meanwhile.

        False: a channel of it may still be there. Then the session is not told as ended, and ARI is
        connected to anew, which finds what is left.
        """
        if session.over:
            return True
        session.over = True
        finishing = self._tasks.spawn(
            f"supervision/{session.supervision.id}/finish", self._finish(session, reason)
        )
        await asyncio.wait([finishing])  # it goes on if we are cancelled, and is cancelled with the stage
        return session.supervision.state is SupervisionState.ENDED

    async def _finish(self, session: Session, reason: SupervisionEnd) -> None:
        if not await self.parts.clear_all(session):
            log.critical("not ended", supervision=session.supervision.id, left=sorted(session.made))
            session.over = False
            await self._ari.close()
            return
        session.settle_all(Ended(session.phone, 0))
        self._sessions.pop(session.supervision.id, None)
        now = Instant(self._clock.now())
        self.change(session, state=SupervisionState.ENDED, end=reason, ended_at=now)

    def _as(self, session: Session, **changed: Any) -> Supervision:
        return replace(session.supervision, since=Instant(self._clock.now()), **changed)

    def change(self, session: Session, **changed: Any) -> None:
        """Let a session be other than it was, and publish it."""
        old, new = session.supervision, self._as(session, **changed)
        if not may_follow(old.state, new.state):
            raise RuntimeError(f"session {old.id} cannot go from {old.state} to {new.state}")
        session.record = replace(session.record, supervision=new)
        self._publish(session)

    def _publish(self, session: Session) -> None:
        self._tell_of(session.supervision)

    def _tell_of(self, supervision: Supervision) -> None:
        self._tell(SupervisionChanged(pbx=supervision.pbx, at=supervision.since, supervision=supervision))

    # Events ---------------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event["type"]:
            case "StasisStart":
                self._entered(str(event["channel"]["id"]))
            case "StasisEnd":
                self._went(str(event["channel"]["id"]))
            case "ChannelDestroyed":
                self._left(event["channel"]["id"], int(event.get("cause") or 0))
            case "ChannelDtmfReceived":
                self._key(event["channel"]["id"], str(event["digit"]))
            case "ApplicationReplaced":
                self.replaced = True
                raise AriLost(f"another program took over the Stasis application {self._ari.app!r}")
            case _:
                pass

    def _entered(self, channel: str) -> None:
        if self._notices.enter(channel):
            return
        session = self._sessions.get(session_of(channel)) if part_of(channel) is not None else None
        if session is not None and session.settle(channel, None):
            return
        log.warning("a channel that nobody waits for", channel=channel)
        if part_of(channel) is not None:
            self._tasks.spawn("supervision/stranger", self._turn_away(channel))

    async def _turn_away(self, channel: str) -> None:
        await self.parts.cleared(channel)

    def _went(self, channel: str) -> None:
        """A channel has left the application: it ends, unless a take-over has moved her to the customer."""
        for session in self._sessions.values():
            switching = session.supervision.state is SupervisionState.SWITCHING
            if channel == session.phone and (switching or session.customer is not None):
                return
        self._left(channel, 0)

    def _left(self, channel: str, cause: int) -> None:
        if self._gone is not None:
            self._gone.add(channel)
        if self._notices.leave(channel):
            return
        for session in list(self._sessions.values()):
            if channel in session.made or channel == session.customer:
                self.lost_part(session, channel, cause)

    def lost_part(self, session: Session, channel: str, cause: int) -> None:
        """A part of a session has ended: somebody waits for it, or did it, or the session is another now."""
        ended = Ended(channel, cause)
        if session.settle(channel, ended):
            return
        if channel in session.leaving:
            session.left.add(channel)
            return
        if channel == session.snoop:
            self._agent_left(session, ended)
            return
        if channel not in (session.phone, session.customer):
            session.left.add(channel)  # before it was in its place
            return
        by_her = channel == session.phone
        reason = SupervisionEnd.SUPERVISOR_HUNG_UP if by_her else SupervisionEnd.CALL_ENDED
        session.lost = session.lost or reason
        session.settle_all(ended)
        self._tasks.spawn(f"supervision/{session.supervision.id}/end", self._end_by_event(session, reason))

    def _agent_left(self, session: Session, ended: Ended) -> None:
        """The agent's leg is no more: her call may be over, or somebody else's by now."""
        session.made.discard(ended.channel)
        session.snoop = None
        if session.is_ringing:
            if not session.outlasts_call:
                session.settle_all(ended)
            return
        self._tasks.spawn(f"supervision/{session.supervision.id}/wait", self._wait_by_event(session))

    async def _wait_by_event(self, session: Session) -> None:
        async with session.lock:
            if session.over or session.lost is not None or session.snoop is not None:
                return
            if session.customer is not None or session.supervision.state is SupervisionState.WAITING:
                return
            try:
                await self._wait(session)
            except (AriError, AriLost) as error:
                log.warning("ended", supervision=session.supervision.id, reason=str(error))

    async def _end_by_event(self, session: Session, reason: SupervisionEnd) -> None:
        async with session.lock:
            await self.finish(session, reason)

    def _key(self, channel: str, digit: str) -> None:
        for session in self._sessions.values():
            if channel == session.phone and session.pin is not None:
                right = session.pin.press(digit)
                if right is not None:
                    wrong = SupervisionRefused("pin_wrong", "the PIN was wrong three times")
                    session.settle(PIN, None if right else wrong)
            elif channel == session.phone and not session.is_ringing:
                self._tell(
                    KeyPressed(
                        pbx=session.supervision.pbx,
                        at=Instant(self._clock.now()),
                        supervision=session.supervision.id,
                        key=digit,
                    )
                )
