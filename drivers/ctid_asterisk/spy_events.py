"""What the PBX tells of sessions that ChanSpy carries, and what follows from it."""

from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import structlog

from ctid.model.errors import CtidError, PbxUnavailable
from ctid.model.words import Mode, SupervisionEnd, SupervisionState
from ctid.tasks import TaskOwner
from ctid_asterisk.channels import session_of
from ctid_asterisk.chanspy import Spies
from ctid_asterisk.fields import natural
from ctid_asterisk.refusals import Ended
from ctid_asterisk.sessions import part_of
from ctid_asterisk.spy_session import SpySession
from ctid_asterisk.spying import KEYS, NEXT
from ctid_asterisk.told import Fields

log = structlog.get_logger(__name__)

STOPPED_S = 0.3
"""The end of ChanSpy is told up to some 20 ms before the end of the channel that it listened to."""

EVENTS = frozenset({"OriginateResponse", "ChanSpyStart", "ChanSpyStop", "DTMFBegin", "DTMFEnd", "VarSet"})
"""The events that are read here and not by the driver's other rooms."""

_CAUSES = {"0": 20, "5": 17}
"""Originate's reason to a Q.850 cause, where no channel was made: not to be reached, busy."""


class SpyEvents:
    """Reads the events of one connection, and takes the steps that they call for."""

    def __init__(self, spies: Spies, on_failure: Callable[[BaseException], None]) -> None:
        self._spies = spies
        self._parts = spies.parts
        self._steps = spies.steps
        self._tasks = TaskOwner(on_failure)

    async def close(self) -> None:
        """End the steps that are being taken; the sessions stay on the PBX."""
        await self._tasks.close()

    def receive(self, name: str, fields: Fields) -> None:
        """Read one event, after the driver's state has."""
        match name:
            case "DTMFBegin" | "DTMFEnd":
                self._key(fields.get("uniqueid", ""), fields.get("digit", ""), began=name == "DTMFBegin")
            case "ChanSpyStart" | "ChanSpyStop":
                self._spied(fields, began=name == "ChanSpyStart")
            case "OriginateResponse":
                self._originated(fields)
            case "VarSet":
                told = self._steps.notice_of(fields)
                if told is not None and told[0] in self._spies.notices:
                    self._spies.notices[told[0]] = told[1] or "no word of it"
            case "Hangup":
                self._hung_up(fields.get("uniqueid", ""), natural(fields.get("cause", "")) or 0)
            case "BridgeEnter":
                self._met()
            case _:
                pass

    def _of_phone(self, channel: str) -> SpySession | None:
        session = self._spies.by_id.get(session_of(channel)) if part_of(channel) == "phone" else None
        return session if session is not None and session.phone == channel else None

    def _originated(self, fields: Fields) -> None:
        channel, answered = fields.get("uniqueid", ""), fields.get("response") == "Success"
        session = self._of_phone(channel)
        if session is not None and answered:
            session.answered = True
        elif session is not None:
            if session.cause is None and not self._parts.is_there(channel):  # else its end says why
                session.cause = _CAUSES.get(fields.get("reason", ""), 19)
        elif answered and part_of(channel) == "phone":
            log.warning("a phone that nobody waits for", channel=channel)
            self._tasks.spawn("supervision/stranger", self._turn_away(channel))
        elif not answered:
            self._spies.dialled.discard(channel)

    async def _turn_away(self, channel: str) -> None:
        await self._parts.hung_up(channel)

    def _spied(self, fields: Fields, *, began: bool) -> None:
        session = self._of_phone(fields.get("spyeruniqueid", ""))
        if session is None:
            return
        if began:
            session.spied = fields.get("spyeeuniqueid", "")
            session.starts += 1
            return
        session.spied = ""
        if session.supervision.state is SupervisionState.ACTIVE and session.customer is None:
            self._spawn(session, "spy", self._spy_again(session))

    async def _spy_again(self, session: SpySession) -> None:
        """ChanSpy has ended: because the agent's leg has, or she has pressed the key for another channel."""
        try:
            await self._parts.link.until(
                lambda: session.agent_left or session.lost is not None or None, STOPPED_S
            )
        except PbxUnavailable:
            return
        await self._in_turn(session, lambda: not session.spied, self._restore)

    def _hung_up(self, channel: str, cause: int) -> None:
        if self._spies.notices.get(channel) == "":
            self._spies.notices[channel] = "it was cut short"
        self._spies.dialled.discard(channel)
        for session in list(self._spies.by_id.values()):
            if channel == str(session.record.target):
                self._agent_left(session)
            if channel not in (session.phone, session.customer):
                continue
            session.made.discard(channel)
            if channel == session.phone:
                session.cause = cause
            if channel in session.leaving or (session.is_ringing and not session.answered):
                session.left.add(channel)
                continue
            by_her = channel == session.phone
            reason = SupervisionEnd.SUPERVISOR_HUNG_UP if by_her else SupervisionEnd.CALL_ENDED
            session.lost = session.lost or reason
            self._spawn(session, "end", self._end_by_event(session, reason))

    async def _end_by_event(self, session: SpySession, reason: SupervisionEnd) -> None:
        async with session.lock:
            await self._spies.finish(session, reason)

    def _agent_left(self, session: SpySession) -> None:
        """The agent's leg is no more: her call may be over, or somebody else's by now."""
        session.agent_left = True
        if not session.is_ringing:
            self._spawn(session, "wait", self._wait_by_event(session))

    async def _wait_by_event(self, session: SpySession) -> None:
        await self._in_turn(session, lambda: session.agent_left, self._spies.wait)

    def _met(self) -> None:
        """Somebody entered a bridge: those whom the agent talks with may be others now."""
        for session in self._spies.by_id.values():
            is_active = session.supervision.state is SupervisionState.ACTIVE
            if not is_active or session.stance.mode is not Mode.BARGE:
                continue
            peer = self._parts.peer(session)
            if session.barged is None:
                session.barged = peer  # ChanSpy was waiting for somebody to speak to
            elif peer and peer != session.barged:
                self._spawn(session, "peer", self._speak_anew(session))

    async def _speak_anew(self, session: SpySession) -> None:
        def is_other() -> bool:
            return session.stance.mode is Mode.BARGE and session.barged not in (
                None,
                self._parts.peer(session),
            )

        await self._in_turn(session, is_other, self._restore)

    def _key(self, channel: str, key: str, *, began: bool) -> None:
        session = self._of_phone(channel)
        if session is None or not key:
            return
        spying_now = session.is_live and session.supervision.state in (
            SupervisionState.ACTIVE,
            SupervisionState.SWITCHING,
        )
        switches = key in KEYS.values() and spying_now and session.customer is None
        ident = session.supervision.id
        if began:
            session.keys.begin(key)
            if switches:
                self._spawn(session, "hush", self._hush(session))
            return
        if not session.keys.end(key):
            return
        if session.pin is not None:
            session.pin_right = session.pin.press(key)
            return
        if not session.is_ringing:
            self._spies.tell_key(session, key)
        if switches:
            log.warning("key undone", supervision=ident, key=key)
            self._spawn(session, "key", self._in_turn(session, lambda: True, self._undo_key))
        elif key == NEXT and session.spied:
            log.warning("key undone", supervision=ident, key=key)

    async def _hush(self, session: SpySession) -> None:
        """At once, whatever else is being done: what she says is not to pass in a mode of her own choice."""
        try:
            await self._steps.mute(session, on=True)
        except CtidError as error:
            log.warning("not hushed", supervision=session.supervision.id, reason=error.detail)

    async def _undo_key(self, session: SpySession) -> None:
        """Have ChanSpy in the session's mode again, and her heard as before."""
        await self._steps.mute(session, on=True)
        await self._parts.press(session, KEYS[session.stance.mode])
        await self._parts.unmute(session, session.stance)

    async def _restore(self, session: SpySession) -> None:
        """Start ChanSpy anew in the session's stance."""
        if not await self._parts.place(session, session.stance):
            await self._spies.wait(session)

    async def _in_turn(
        self, session: SpySession, wanted: Callable[[], bool], step: Callable[[SpySession], Awaitable[None]]
    ) -> None:
        """Take a step that an event calls for, if it still does in its turn; if it fails, it ends."""
        async with session.lock:
            is_active = session.supervision.state is SupervisionState.ACTIVE and session.customer is None
            if session.over or session.lost is not None or not is_active or not wanted():
                return
            try:
                await step(session)
            except (CtidError, TimeoutError, Ended) as error:
                log.warning("ended", supervision=session.supervision.id, reason=str(error))
                await self._spies.fail(session)

    def _spawn(self, session: SpySession, what: str, step: Coroutine[Any, Any, None]) -> None:
        self._tasks.spawn(f"supervision/{session.supervision.id}/{what}", step)
