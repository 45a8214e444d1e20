"""Take-over and hand-back without ARI: the same single steps of the PBX, with ChanSpy around them.

Before the agent is released, supervisor and customer talk: the session barges, and the counts of RTP packets
say that audio goes both ways. The customer's `Bridge` then takes her out of ChanSpy.
"""

import asyncio

import structlog

from ctid.model.commands import HandBack, TakeOver
from ctid.model.errors import CtidError, SupervisionRefused
from ctid.model.words import Hear, Mode, SupervisionEnd, SupervisionState
from ctid.ports import Clock
from ctid_asterisk.chanspy import JOIN_S, Spies
from ctid_asterisk.refusals import gone, told_as_ctid_errors
from ctid_asterisk.sessions import BACK, JOIN, QUEUE_BACK, Stance, back_id
from ctid_asterisk.spy_session import SpySession

log = structlog.get_logger(__name__)

CONFIRM_S = 1.0
"""Audio that is there is seen within some packets, of 20 ms each."""
PACKETS_S = 0.04
"""Between two looks at the counts of packets: two packets of the usual length."""

Counts = tuple[int, int] | None


class SpyHandover:
    """Conducts take-overs and hand-backs of the sessions that ChanSpy carries."""

    def __init__(self, spies: Spies, clock: Clock, handback_context: str) -> None:
        self._spies = spies
        self._link = spies.link
        self._clock = clock
        self._handback_context = handback_context

    async def take_over(self, command: TakeOver, near: str, back: str, queue: str) -> None:
        """Leave the customer with the supervisor; see the command.

        `near` is the channel that holds the customer's place towards the agent. If the supervisor is gone
        when he arrives, the dialplan rings `back`; if that is in vain, he waits in `queue`, if any.
        """
        session = self._spies.session(command.supervision)
        customer = str(command.customer)
        async with session.lock, told_as_ctid_errors():
            session.check()
            if session.customer is not None:
                return
            if session.supervision.state is not SupervisionState.ACTIVE:
                raise gone(SupervisionEnd.CALL_ENDED)
            before = session.stance
            self._spies.change(session, state=SupervisionState.SWITCHING)
            try:
                await self._barge(session)
                await self._confirm(session, customer)
                joining = {JOIN: self._link.name_of(session.phone), BACK: back, QUEUE_BACK: queue}
                for name, value in joining.items():
                    await self._link.set_variable(customer, name, value)
                await self._move(session, customer, near)
            except BaseException as error:
                await self._undo(session, before)
                if (failure := session.failure(error)) is not None:
                    raise failure from error
                raise
            session.customer = customer
            self._spies.change(
                session, state=SupervisionState.ACTIVE, mode=Mode.TAKEOVER, hear=Hear.BOTH, muted=False
            )
            await self._speak(session)
            await self._spies.steps.keep(session)

    async def _barge(self, session: SpySession) -> None:
        if not await self._spies.placed(session, Stance(Mode.BARGE)):
            raise gone(SupervisionEnd.CALL_ENDED)

    async def _confirm(self, session: SpySession, customer: str) -> None:
        """See that audio goes both ways between her and the PBX, and to the customer."""
        hers, his = await self._counts(session, customer)
        try:
            async with asyncio.timeout(CONFIRM_S):
                while True:
                    await asyncio.sleep(PACKETS_S)
                    session.check()
                    hers_now, his_now = await self._counts(session, customer)
                    if _flows(hers, hers_now, both=True) and _flows(his, his_now, both=False):
                        return
        except TimeoutError as error:
            raise SupervisionRefused(
                "takeover_failed",
                "no audio comes from her phone, or none goes to the customer: he keeps the agent, lest he be "
                "alone; look at her microphone, and at the network between her phone and the PBX",
            ) from error

    async def _counts(self, session: SpySession, customer: str) -> tuple[Counts, Counts]:
        steps = self._spies.steps
        return await steps.packets(session.phone), await steps.packets(self._link.name_of(customer))

    async def _move(self, session: SpySession, customer: str, near: str) -> None:
        """Have the PBX release the agent and join the customer with the supervisor; raises if it did not."""
        try:
            await self._link.blind_transfer(near, session.supervision.id)
        except CtidError as error:
            # The answer may be lost, and the customer be there all the same.
            if not self._link.are_together(session.phone, customer):
                raise
            log.info("moved without an answer", supervision=session.supervision.id, reason=error.detail)
            return

        def decided() -> bool | None:
            if session.lost is not None or session.cause is not None:
                return False
            return self._link.are_together(session.phone, customer) or None

        if not await self._link.until(decided, JOIN_S):
            raise SupervisionRefused(
                "takeover_failed", "the customer was moved, and not joined with her: he rings the agent back"
            )

    async def _speak(self, session: SpySession) -> None:
        """A key that she pressed meanwhile has made her mute; here keys do nothing any more."""
        try:
            await self._spies.steps.mute(session, on=False)
        except CtidError as error:
            log.warning("may be mute", supervision=session.supervision.id, reason=error.detail)

    async def _undo(self, session: SpySession, before: Stance) -> None:
        """Have all as it was; without the agent there is nothing to go back to, and the session ends."""
        if session.over:
            return
        if session.agent_left or not await self._spies.placed(session, before):
            await self._spies.fail(session)
            return
        self._spies.change(session, state=SupervisionState.ACTIVE)

    async def hand_back(self, command: HandBack, address: str) -> None:
        """Return the customer to the agent at `address`, and end the session; see the command."""
        session = self._spies.session(command.supervision)
        async with session.lock, told_as_ctid_errors():
            session.check()
            customer = session.customer
            if customer is None:
                raise SupervisionRefused(
                    "mode_not_possible", "the customer was not taken over: he has an agent"
                )
            channel = back_id(session.supervision.id, self._clock.now())
            self._spies.change(session, state=SupervisionState.SWITCHING)
            self._spies.dialled.add(channel)
            session.leaving.add(session.phone)  # as the customer leaves her, she has nobody
            try:
                await self._spies.steps.dial(
                    channel,
                    address,
                    self._handback_context,
                    session.supervision.id,
                    command.ring_s,
                    {JOIN: self._link.name_of(customer)},
                )
                joined = await self._joined(channel, customer, command.ring_s + JOIN_S)
            except BaseException:
                await self._stays(session, channel)
                raise
            if not joined:
                await self._stays(session, channel)
                raise SupervisionRefused(
                    "agent_no_answer",
                    f"agent {command.agent} did not answer; the customer stays with the supervisor",
                )
            session.customer = None
            await self._spies.finish(session, SupervisionEnd.HANDED_BACK)

    async def _joined(self, channel: str, customer: str, within_s: float) -> bool:
        """Wait until the agent's new channel and the customer are in one bridge, or will not be."""

        def decided() -> bool | None:
            if channel not in self._spies.dialled:
                return False
            return self._link.are_together(channel, customer) or None

        try:
            return await self._link.until(decided, within_s)
        finally:
            self._spies.dialled.discard(channel)

    async def _stays(self, session: SpySession, channel: str) -> None:
        """The customer stays with the supervisor."""
        await self._spies.parts.hung_up(channel)
        session.leaving.discard(session.phone)
        if session.phone in session.left:
            await self._spies.finish(session, session.lost or SupervisionEnd.SUPERVISOR_HUNG_UP)
        elif not session.over:
            self._spies.change(session, state=SupervisionState.ACTIVE)


def _flows(before: Counts, now: Counts, *, both: bool) -> bool:
    """Whether audio has come and gone meanwhile; what has no RTP of its own cannot be asked."""
    if before is None or now is None:
        return True
    came, went = now[0] > before[0], now[1] > before[1]
    return came and went if both else came or went
