"""Take-over and hand-back: each is one step of the PBX, prepared, watched, undone where it did not happen.

Before the agent is released, supervisor and customer talk: the session barges, and the counts of RTP packets
say that audio goes both ways. Then AMI's `BlindTransfer` moves the customer into a dialplan context that
joins him with the supervisor's channel; no step of ours is needed in between, so ctid may die at any point.
A hand-back is the same the other way round: the agent is rung, and joined by the dialplan as she answers.
"""

import asyncio

import structlog

from ctid.model.commands import HandBack, TakeOver
from ctid.model.errors import CtidError, PbxRefused, SupervisionRefused
from ctid.model.words import Hear, Mode, SupervisionEnd, SupervisionState
from ctid.ports import Clock
from ctid_asterisk.actions import DialPlace
from ctid_asterisk.ari import AriError, AriLost
from ctid_asterisk.parts import JOIN_S
from ctid_asterisk.refusals import Ended, told_as_ctid_errors
from ctid_asterisk.sessions import BACK, JOIN, QUEUE_BACK, Stance, back_id
from ctid_asterisk.stage import Stage
from ctid_asterisk.stage_session import Session

log = structlog.get_logger(__name__)

BARGING = Stance(Mode.BARGE, Hear.BOTH)
CONFIRM_S = 1.0
"""Audio that is there is seen within some packets, of 20 ms each."""
PACKETS_S = 0.04
"""Between two looks at the counts of packets: two packets of the usual length."""


class Handover:
    """Conducts take-overs and hand-backs of the sessions on a stage."""

    def __init__(self, stage: Stage, clock: Clock, handback_context: str) -> None:
        self._stage = stage
        self._ari = stage.parts.ari
        self._ami = stage.parts.ami
        self._clock = clock
        self._handback_context = handback_context

    async def take_over(self, command: TakeOver, near: str, back: str, queue: str) -> None:
        """Leave the customer with the supervisor; see the command.

        `near` is the channel that holds the customer's place towards the agent. If the supervisor is gone
        when he arrives, the dialplan rings `back`; if that is in vain, he waits in `queue`, if any.
        """
        session = self._stage.session(command.supervision)
        async with session.lock, told_as_ctid_errors():
            session.check()
            if session.customer is not None:
                return
            if session.supervision.state is not SupervisionState.ACTIVE:
                raise SupervisionRefused("call_ended", "the agent has left the call")
            before, customer = session.stance, str(command.customer)
            self._stage.change(session, state=SupervisionState.SWITCHING)
            try:
                await self._stage.stand(session, BARGING)
                await self._confirm(session, customer)
                for name, value in (
                    (JOIN, self._ami.name_of(session.phone)),
                    (BACK, back),
                    (QUEUE_BACK, queue),
                ):
                    await self._ami.set_variable(customer, name, value)
                await self._move(session, customer, near)
            except BaseException as error:
                await self._undo(session, before)
                if session.customer is not None and isinstance(error, CtidError):
                    log.info(
                        "moved without an answer", supervision=session.supervision.id, reason=error.detail
                    )
                elif (failure := session.failure(error)) is not None:
                    raise failure from error
                else:
                    raise
            finally:
                session.moving = None

    async def _confirm(self, session: Session, customer: str) -> None:
        """See that audio goes both ways between her and the PBX, and to the customer."""
        counts = (self._ari.packets(session.phone), self._ari.packets(customer))
        hers, his = await asyncio.gather(*counts)
        try:
            async with asyncio.timeout(CONFIRM_S):
                while True:
                    await asyncio.sleep(PACKETS_S)
                    session.check()
                    hers_now = await self._ari.packets(session.phone)
                    his_now = await self._ari.packets(customer)
                    if _flows(hers, hers_now, both=True) and _flows(his, his_now, both=False):
                        return
        except TimeoutError as error:
            raise SupervisionRefused(
                "takeover_failed",
                "no audio comes from her phone, or none goes to the customer: he keeps the agent, lest he be "
                "alone; look at her microphone, and at the network between her phone and the PBX",
            ) from error

    async def _move(self, session: Session, customer: str, near: str) -> None:
        """Have the PBX release the agent and join the customer with the supervisor; raises if it did not."""
        if session.snoop is not None:
            session.leaving.add(session.snoop)
        session.moving = customer
        try:
            await self._ami.blind_transfer(near, session.supervision.id)
        except PbxRefused:
            session.moving = None  # whatever else goes wrong, he may have been moved
            raise
        if not await self._ami.together(session.phone, customer, JOIN_S):
            raise SupervisionRefused(
                "takeover_failed", "the customer was moved, and not joined with her: he rings the agent back"
            )
        await self._taken(session, customer)

    async def _undo(self, session: Session, before: Stance) -> None:
        """Have all as it was; where the agent has left meanwhile, she waits.

        Where the customer has come to her all the same, he stays. Where nobody can say so, nothing is
        touched, and ARI is connected to anew, which finds what became of them.
        """
        if session.moving is not None and session.customer is None:
            met = await self._met(session, session.moving)
            if met:
                await self._taken(session, session.moving)
            elif met is None:
                log.critical("not known who has the customer", supervision=session.supervision.id)
                await self._ari.close()
                return
        snoop = session.snoop
        if session.customer is not None or session.over or session.lost is not None or snoop is None:
            return  # told already
        session.leaving.discard(snoop)
        if snoop in session.left:
            self._stage.lost_part(session, snoop, 0)
            return
        try:
            await self._stage.stand(session, before)
        except (CtidError, AriError, AriLost, TimeoutError, Ended) as error:
            if session.supervision.state is not SupervisionState.SWITCHING:
                return  # she waits, or it is over
            log.warning("not as before", supervision=session.supervision.id, reason=str(error))
            if not await self._stage.left_alone(session):
                await self._stage.fail(session)
            return
        self._stage.change(session, state=SupervisionState.ACTIVE)

    async def _met(self, session: Session, customer: str) -> bool | None:
        """Whether the customer is with her, as ARI has it: it was AMI that failed. None: it does not say."""
        try:
            bridges = await self._ari.bridges()
        except (AriError, AriLost):
            return None
        return any({session.phone, customer} <= set(bridge["channels"]) for bridge in bridges)

    async def _taken(self, session: Session, customer: str) -> None:
        snoop, session.snoop = session.snoop, None
        session.customer = customer
        self._stage.change(
            session, state=SupervisionState.ACTIVE, mode=Mode.TAKEOVER, hear=Hear.BOTH, muted=False
        )
        if snoop is not None:
            await self._stage.parts.clear(session, snoop)
        try:
            await self._ari.follow(customer)
        except (AriError, AriLost) as error:
            # He may have hung up at once; the core sees the end of the call as well.
            log.info("customer not followed", channel=customer, reason=str(error))
        await self._stage.parts.keep(session)

    async def hand_back(self, command: HandBack, address: str) -> None:
        """Return the customer to the agent at `address`, and end the session; see the command."""
        session = self._stage.session(command.supervision)
        async with session.lock, told_as_ctid_errors():
            session.check()
            customer = session.customer
            if customer is None:
                raise SupervisionRefused(
                    "mode_not_possible", "the customer was not taken over: he has an agent"
                )
            self._stage.change(session, state=SupervisionState.SWITCHING)
            session.leaving.add(session.phone)  # as the customer leaves her, she has nobody
            channel = session.back = back_id(session.supervision.id, self._clock.now())
            try:
                await self._ring(channel, customer, command, address)
            except BaseException as error:
                # The answer may be lost, and she have picked up all the same.
                if not await self._ami.together(channel, customer, 0.0):
                    try:
                        await self._stage.parts.rid(channel)
                    finally:
                        self._stays(session)
                    if (failure := session.failure(error)) is not None:
                        raise failure from error
                    raise
                log.info("handed back without an answer", supervision=session.supervision.id)
            finally:
                session.back = None
            session.customer = None
            await self._stage.finish(session, SupervisionEnd.HANDED_BACK)

    async def _ring(self, channel: str, customer: str, command: HandBack, address: str) -> None:
        """Ring the agent, and see her joined with the customer. Raises what came in between."""
        variables = {JOIN: self._ami.name_of(customer)}
        place = DialPlace(address, command.supervision, self._handback_context)
        try:
            await self._ari.dial(channel, place, ring_s=command.ring_s, variables=variables)
        except AriError as error:
            raise SupervisionRefused(
                "agent_unreachable", f"the agent's phone cannot be rung: {error}"
            ) from error
        if not await self._ami.together(channel, customer, command.ring_s + JOIN_S):
            raise SupervisionRefused(
                "agent_no_answer",
                f"agent {command.agent} did not answer; the customer stays with the supervisor",
            )

    def _stays(self, session: Session) -> None:
        """The customer stays with the supervisor."""
        session.leaving.discard(session.phone)
        if session.phone in session.left:
            self._stage.lost_part(session, session.phone, 0)
        else:
            self._stage.change(session, state=SupervisionState.ACTIVE)


def _flows(before: tuple[int, int] | None, now: tuple[int, int] | None, *, both: bool) -> bool:
    """Whether audio has come and gone meanwhile; what has no RTP of its own cannot be asked."""
    if before is None or now is None:
        return True
    came, went = now[0] > before[0], now[1] > before[1]
    return came and went if both else came or went
