"""The supervisor's media: sessions conducted over ARI, and the take-over's one step over AMI.

Her phone and one snoop channel on the agent's leg share a bridge. A switch puts a snoop channel of the
new mode in the old one's place. Nothing half done stays: a failed step takes its session down with it,
and a customer who was moved and cannot be joined is rung back to the agent.
"""

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from msgspec.structs import replace

from ctid.model.commands import EndSupervision, StartSupervision, SwitchSupervision, TakeOver
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, NotFound, PbxUnavailable, SupervisionRefused
from ctid.model.facts import SupervisionChanged
from ctid.model.ids import SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, SupervisionEnd, SupervisionState
from ctid.ports import Clock
from ctid.tasks import TaskOwner
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.channels import session_of
from ctid_asterisk.fields import OURS
from ctid_asterisk.refusals import Ended, gone, no_phone, told_as_ctid_errors
from ctid_asterisk.sessions import (
    BACK,
    QUEUE_BACK,
    VARIABLE,
    WHISPER,
    Found,
    Names,
    Record,
    find,
    pack,
    part_of,
    stranded,
)

log = structlog.get_logger(__name__)

JOIN_S = 3.0
"""A channel made or moved by us enters the application within milliseconds; by then it will not."""

CLEARING_TRIES = 2
"""A step that failed once may do so no more; what is left after that goes with the next start."""

CALLER = '"Supervision" <ctid>'

Event = dict[str, Any]


class Session:
    """One session that is under way."""

    def __init__(self, record: Record, names: Names, phone: str) -> None:
        self.record = record
        self.names = names
        self.phone = phone
        self.snoop: str | None = None
        self.customer: str | None = None
        self.made: set[str] = set()
        """What is to be cleared away at its end: the bridge, and the channels that the PBX may have."""
        self.leaving: set[str] = set()
        """Channels whose end is our own doing."""
        self.left: set[str] = set()
        """Those of them that have ended."""
        self.joined: dict[str, asyncio.Future[None]] = {}
        """Channels we wait for: done when they enter the application, failed when they end."""
        self.lock = asyncio.Lock()
        self.lost: SupervisionEnd | None = None
        """Why it cannot go on, from the moment that the PBX tells it."""
        self.over = False

    @property
    def supervision(self) -> Supervision:
        """The session as it is published."""
        return self.record.supervision

    def expect(self, channel: str) -> asyncio.Future[None]:
        """Wait for a channel to enter the application; set up before it is asked to."""
        future = asyncio.get_running_loop().create_future()
        self.joined[channel] = future
        return future

    def settle(self, channel: str, failure: Exception | None) -> bool:
        """Tell the one who waits for a channel; false when nobody does."""
        future = self.joined.pop(channel, None)
        if future is None or future.done():
            return False
        if failure is None:
            future.set_result(None)
        else:
            future.set_exception(failure)
            future.exception()  # the waiter may have given up already
        return True


class Stage:
    """All sessions of one connection. `blind_transfer`, `set_variable` and `hang_up` are AMI's part."""

    def __init__(
        self,
        ari: Ari,
        clock: Clock,
        tell: Callable[[SupervisionChanged], None],
        blind_transfer: Callable[[str, SupervisionId], Awaitable[None]],
        set_variable: Callable[[str, str, str], Awaitable[None]],
        hang_up: Callable[[str], Awaitable[None]],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._ari = ari
        self._clock = clock
        self._tell = tell
        self._blind_transfer = blind_transfer
        self._set_variable = set_variable
        self._hang_up = hang_up
        self._sessions: dict[SupervisionId, Session] = {}
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
        for session in self._sessions.values():
            for channel in list(session.joined):
                session.settle(channel, PbxUnavailable(f"the link to the PBX was lost ({reason})"))

    async def close(self) -> None:
        """End the tasks; the sessions stay on the PBX."""
        self._forsake("closed")
        await self._tasks.close()

    # Commands -------------------------------------------------------------------------------------

    async def start(self, command: StartSupervision) -> None:
        """Conduct a session's beginning; see the command."""
        names = Names(self._ari.app, command.supervision.id)
        if command.target is None:
            raise SupervisionRefused("no_live_call", "the agent is in no call")
        record = Record(supervision=command.supervision, target=command.target, keys=command.keys)
        session = Session(record, names, names.phone(self._clock.now()))
        self._sessions[command.supervision.id] = session
        self._publish(session)
        async with session.lock:
            try:
                async with told_as_ctid_errors():
                    await self._begin(session, command)
            except BaseException as error:
                await self._end(session, session.lost or SupervisionEnd.FAILED)
                if session.lost is not None:
                    raise gone(session.lost) from error
                raise

    async def _begin(self, session: Session, command: StartSupervision) -> None:
        mode = command.supervision.mode
        session.made.add(session.names.bridge)
        await self._ari.create_bridge(session.names.bridge)
        snoop = await self._new_snoop(session, mode)
        session.snoop = snoop
        await self._ari.add(session.names.bridge, snoop)
        answered = session.expect(session.phone)
        session.made.add(session.phone)
        self._live(session)  # from here on, whatever ends is told to the one who waits for the phone
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
        await self._ari.mute(session.phone, on=mode is Mode.LISTEN)
        await self._ari.add(session.names.bridge, session.phone, absorb_dtmf=True)
        self._live(session)
        self._change(session, state=SupervisionState.ACTIVE)

    async def switch(self, command: SwitchSupervision) -> None:
        """Put a snoop channel of the new mode in the place of the old; see the command."""
        session = self._session(command.supervision)
        async with session.lock, told_as_ctid_errors():
            await self._switch(session, command.mode)

    async def _switch(self, session: Session, mode: Mode) -> None:
        self._live(session)
        old = session.snoop
        if old is None or session.supervision.mode is mode:
            return
        new = await self._new_snoop(session, mode)
        session.leaving.add(old)
        try:
            if mode is Mode.LISTEN:
                await self._ari.mute(session.phone, on=True)
            await self._ari.take_out(session.names.bridge, old)
            await self._ari.add(session.names.bridge, new)
            session.snoop = new
            if mode is not Mode.LISTEN:
                await self._ari.mute(session.phone, on=False)
        except BaseException as error:
            # Who hears her is not sure any more: a session nobody can vouch for ends.
            await self._end(session, session.lost or SupervisionEnd.FAILED)
            if session.lost is not None:
                raise gone(session.lost) from error
            raise
        self._change(session, mode=mode)
        await self._clear(session, old)

    async def take_over(self, command: TakeOver, near: str, back: str, queue: str) -> None:
        """Move the customer to the supervisor; see the command.

        `near` is the channel that holds the customer's place towards the agent. To give the customer back,
        `back` is rung; if that is in vain, he waits in `queue`, if he came by one.
        """
        session = self._session(command.supervision)
        async with session.lock, told_as_ctid_errors():
            self._live(session)
            if session.customer is not None:
                return
            customer = str(command.customer)
            await self._set_variable(customer, BACK, back)
            await self._set_variable(customer, QUEUE_BACK, queue)
            arrived = session.expect(customer)
            session.leaving.add(session.snoop or "")
            try:
                await self._blind_transfer(near, session.supervision.id)
            except BaseException as error:
                if not arrived.done():
                    self._stay(session, customer)
                    if session.lost is not None:
                        raise gone(session.lost) from error
                    raise
                if not isinstance(error, CtidError):
                    await self._undo(session, customer)
                    raise
                # The answer was lost, and the customer is there all the same.
                log.info("moved without an answer", supervision=session.supervision.id, reason=error.detail)
            try:
                async with asyncio.timeout(JOIN_S):
                    await arrived
                session.customer = customer
                await self._ari.mute(session.phone, on=False)
                await self._ari.add(session.names.bridge, customer)
                self._live(session)
            except BaseException as error:
                fate = await self._undo(session, customer)
                if not isinstance(error, (TimeoutError, Ended, AriError, AriLost, CtidError)):
                    raise
                raise SupervisionRefused(
                    "takeover_failed", f"the take-over failed ({type(error).__name__} {error}); {fate}"
                ) from error
            session.made.add(customer)
            snoop, session.snoop = session.snoop, None
            self._change(session, mode=Mode.TAKEOVER)
            if snoop is not None:
                await self._clear(session, snoop)

    def _stay(self, session: Session, customer: str) -> None:
        """Nobody was moved: what ended meanwhile was the call's own end."""
        session.joined.pop(customer, None)
        snoop = session.snoop or ""
        session.leaving.discard(snoop)
        if snoop in session.left:
            self._lost_part(session, snoop, 0)

    async def _undo(self, session: Session, customer: str) -> str:
        """End a session whose customer was moved and is not joined; says what became of him."""
        session.customer = None
        session.joined.pop(customer, None)
        fate = await self._give_back(customer)
        await self._end(session, session.lost or SupervisionEnd.FAILED)
        return fate

    async def _give_back(self, customer: str) -> str:
        """Have the customer ring the agent back; says what became of him."""
        try:
            await self._ari.go_on(customer)
        except AriError as error:
            # Not in the application: his dialplan has gone on by itself, or he has hung up.
            log.info("customer was not held", channel=customer, reason=str(error))
            return "the customer was no longer there to be given back"
        except AriLost as error:
            log.warning("customer not given back yet", channel=customer, reason=str(error))
            return "the customer rings the agent back once ARI answers again"
        return "the customer rings the agent back"

    async def end(self, command: EndSupervision) -> None:
        """Release the supervisor; see the command."""
        session = self._session(command.supervision)
        if session.supervision.state is SupervisionState.RINGING:
            session.lost = session.lost or command.reason
            session.settle(session.phone, Ended(session.phone, 0))  # whoever waits for her stops here
        async with session.lock, told_as_ctid_errors():
            if not await self._end(session, command.reason):
                raise PbxUnavailable("the PBX did not hang her up; it is tried again as soon as it answers")

    async def recover(self, known: Sequence[Supervision] = ()) -> None:
        """Find the sessions that the PBX holds, take them up again, and clear away what is left over.

        `known` are those there were when ARI was lost: the ones that are no more are told as ended.
        """
        channels, bridges = await self._ari.channels(), await self._ari.bridges()
        records = {
            str(channel["id"]): await self._ari.variable(str(channel["id"]), VARIABLE)
            for channel in channels
            if part_of(str(channel["id"])) == "phone"
        }
        now = Instant(self._clock.now())
        remains = find(channels, bridges, lambda unique: records[unique], self._ari.app, now)
        for found in remains.sessions:
            await self._take_up(found)
        for lost in known:
            if lost.id not in self._sessions:
                ended = replace(lost, state=SupervisionState.ENDED, end=SupervisionEnd.LOST)
                self._tell_of(replace(ended, since=now, ended_at=now))
        for customer in [*stranded(channels, bridges, self._ari.app), *remains.stray_customers]:
            log.warning("customer of a take-over that was cut off", channel=customer)
            await self._give_back(customer)
        for channel in remains.stray_channels:
            log.warning("left over on the PBX, hung up", channel=channel)
            await self._cleared(channel)
        for bridge in remains.stray_bridges:
            await self._cleared(bridge)

    async def _take_up(self, found: Found) -> None:
        names = Names(self._ari.app, found.record.supervision.id)
        session = Session(found.record, names, found.phone)
        session.snoop, session.customer = found.snoop, found.customer
        parts = (session.names.bridge, found.phone, found.snoop, found.customer)
        session.made.update(part for part in parts if part is not None)
        self._sessions[session.supervision.id] = session
        log.info("supervision taken up", supervision=session.supervision.id, mode=session.supervision.mode)
        self._publish(session)
        try:
            # A switch that was cut off may have left her mute in a mode in which she is heard.
            await self._ari.mute(found.phone, on=session.supervision.mode is Mode.LISTEN)
        except AriError as error:
            log.warning("her phone has just gone", supervision=session.supervision.id, reason=str(error))

    # Steps ----------------------------------------------------------------------------------------

    def _session(self, ident: SupervisionId) -> Session:
        session = self._sessions.get(ident)
        if session is None:
            raise NotFound("supervision", ident)
        return session

    @staticmethod
    def _live(session: Session) -> None:
        """Raise what ended the session, if it has."""
        if session.over or session.lost is not None:
            raise gone(session.lost)

    async def _new_snoop(self, session: Session, mode: Mode) -> str:
        snoop = session.names.snoop(mode, self._clock.now())
        joined = session.expect(snoop)
        session.made.add(snoop)
        try:
            await self._ari.snoop(session.record.target, snoop, whisper=WHISPER[mode])
            async with asyncio.timeout(JOIN_S):
                await joined
        except BaseException as error:
            session.joined.pop(snoop, None)
            await self._clear(session, snoop)
            if session.lost is not None:
                raise gone(session.lost) from error
            if isinstance(error, AriError) and error.status == 404:
                raise gone(SupervisionEnd.CALL_ENDED) from error
            raise
        return snoop

    async def _end(self, session: Session, reason: SupervisionEnd) -> bool:
        """Clear a session away; idempotent.

        False: a channel of it may still be there. Then the session is not told as ended, and ARI is
        connected to anew, which finds what is left.
        """
        if session.over:
            return True
        session.over = True
        session.leaving |= session.made
        for _ in range(CLEARING_TRIES):
            await self._clear(session, *session.made)
        for channel in [part for part in session.made if part != session.names.bridge]:
            await self._hang_up_by_ami(session, channel)
        if session.made - {session.names.bridge}:
            log.critical("not ended", supervision=session.supervision.id, left=sorted(session.made))
            session.over = False
            await self._ari.close()
            return False
        for channel in list(session.joined):
            session.settle(channel, Ended(channel, 0))
        self._sessions.pop(session.supervision.id, None)
        now = Instant(self._clock.now())
        self._change(session, state=SupervisionState.ENDED, end=reason, ended_at=now)
        return True

    async def _hang_up_by_ami(self, session: Session, channel: str) -> None:
        try:
            await self._hang_up(channel)
        except CtidError as error:
            log.warning("not hung up by AMI either", channel=channel, reason=error.detail)
        else:
            session.made.discard(channel)

    async def _clear(self, session: Session, *parts: str) -> None:
        """Clear parts away, each whatever becomes of the others; what fails is tried again at the end."""
        cleared = await asyncio.gather(*[self._cleared(part) for part in parts])
        session.made.difference_update(itertools.compress(parts, cleared))

    async def _cleared(self, part: str) -> bool:
        """Hang a channel up, or destroy a bridge; whether it worked."""
        is_bridge = part.startswith(OURS) and part_of(part) is None
        try:
            await (self._ari.destroy_bridge(part) if is_bridge else self._ari.hang_up(part))
        except (AriError, AriLost) as error:
            log.warning("not cleared away", part=part, reason=str(error))
            return False
        return True

    def _as(self, session: Session, **changed: Any) -> Supervision:
        return replace(session.supervision, since=Instant(self._clock.now()), **changed)

    def _change(self, session: Session, **changed: Any) -> None:
        session.record = replace(session.record, supervision=self._as(session, **changed))
        self._publish(session)

    def _publish(self, session: Session) -> None:
        self._tell_of(session.supervision)

    def _tell_of(self, supervision: Supervision) -> None:
        self._tell(SupervisionChanged(pbx=supervision.pbx, at=supervision.since, supervision=supervision))

    # Events ---------------------------------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        match event["type"]:
            case "StasisStart":
                self._entered(event)
            case "StasisEnd" | "ChannelDestroyed":
                self._left(event["channel"]["id"], int(event.get("cause") or 0))
            case "ChannelDtmfReceived":
                self._key(event["channel"]["id"], str(event["digit"]))
            case "ApplicationReplaced":
                self.replaced = True
                raise AriLost(f"another program took over the Stasis application {self._ari.app!r}")
            case _:
                pass

    def _entered(self, event: Event) -> None:
        channel = str(event["channel"]["id"])
        args: Sequence[str] = event.get("args") or ()
        if part_of(channel) is not None:
            ident = session_of(channel)
        elif len(args) == 2 and args[0] == "takeover":
            ident = SupervisionId(args[1])
        else:
            ident = SupervisionId("")
        session = self._sessions.get(ident)
        if session is None or not session.settle(channel, None):
            log.warning("a channel that nobody waits for", channel=channel, args=list(args))
            self._tasks.spawn("supervision/stranger", self._turn_away(channel))

    async def _turn_away(self, channel: str) -> None:
        try:
            if part_of(channel) is None:
                await self._give_back(channel)
            else:
                await self._ari.hang_up(channel)
        except (AriError, AriLost) as error:
            log.warning("not turned away", channel=channel, reason=str(error))

    def _left(self, channel: str, cause: int) -> None:
        for session in list(self._sessions.values()):
            if channel in (session.phone, session.snoop, session.customer) or channel in session.joined:
                self._lost_part(session, channel, cause)

    def _lost_part(self, session: Session, channel: str, cause: int) -> None:
        ended = Ended(channel, cause)
        if session.settle(channel, ended):
            return
        if channel in session.leaving:
            session.left.add(channel)
            return
        if session.supervision.state is SupervisionState.RINGING and session.settle(session.phone, ended):
            return
        by_her = channel == session.phone
        reason = SupervisionEnd.SUPERVISOR_HUNG_UP if by_her else SupervisionEnd.CALL_ENDED
        session.lost = session.lost or reason
        for waited in list(session.joined):
            session.settle(waited, ended)
        self._tasks.spawn(f"supervision/{session.supervision.id}/end", self._end_by_event(session, reason))

    async def _end_by_event(self, session: Session, reason: SupervisionEnd) -> None:
        async with session.lock:
            await self._end(session, reason)

    def _key(self, channel: str, digit: str) -> None:
        for session in self._sessions.values():
            mode = session.record.keys.get(digit) if channel == session.phone else None
            if mode is not None:
                self._tasks.spawn(
                    f"supervision/{session.supervision.id}/key", self._switch_by_key(session, mode)
                )

    async def _switch_by_key(self, session: Session, mode: Mode) -> None:
        try:
            async with session.lock, told_as_ctid_errors():
                await self._switch(session, mode)
        except CtidError as error:
            log.warning("key not obeyed", supervision=session.supervision.id, reason=error.detail)
