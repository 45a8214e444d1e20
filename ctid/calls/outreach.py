"""Reaching an agent: a call on her behalf, and a text."""

import itertools
from collections.abc import Awaitable, Callable
from typing import TypeVar

from ctid.calls import plan
from ctid.calls.acts import SETTLE_S, Acts
from ctid.calls.policy import CallPolicy
from ctid.calls.words import Act, CommandedCall, SentMessage
from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import DialForAgent, SendMessage
from ctid.model.entities import Agent, Call
from ctid.model.errors import AgentRefused, CtidError, NotFound
from ctid.model.facts import AgentMessaged
from ctid.model.ids import AgentId, LegId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.model.words import Registration
from ctid.ports import Clock

SOURCE = "command"
"""The source of the facts that ctid itself tells."""

_T = TypeVar("_T")


class OutreachService:
    """Calls a number with an agent's phone, and sends texts; `is_published`: the broker is connected."""

    def __init__(
        self, hub: Hub, acts: Acts, policy: CallPolicy, clock: Clock, is_published: Callable[[], bool]
    ) -> None:
        self._hub = hub
        self._acts = acts
        self._policy = policy
        self._clock = clock
        self._is_published = is_published
        self._serial = itertools.count(1)

    async def dial(self, user: User, ident: AgentId, number: str) -> CommandedCall:
        """Ring an agent, and have her call a number; returns once the call is there, and her phone rings.

        Raises:
            NotFound: there is no such agent.
            InvalidRequest: it is no number.
            CallRefused: `number_not_allowed`.
            AgentRefused: `not_free`, `phone_unreachable`.
            CtidError: the PBX refused, or cannot be reached.
        """

        async def step(agent: Agent) -> CommandedCall:
            plan.check_number(number, self._policy, self._hub.store, field="number")
            device = self._hub.store.devices.get(agent.device) if agent.device is not None else None
            plan.check_free(agent, device)
            # It ends as ids of channels do, by which a PBX may tell the older of two calls.
            leg = LegId(f"dial-{self._clock.now():.0f}.{next(self._serial)}")
            command = DialForAgent(
                leg=leg,
                agent=agent.id,
                device=agent.device,
                address=self._policy.addresses.get(agent.id),
                number=number,
                context=self._policy.context,
                ring_s=self._policy.ring_s,
            )
            await self._acts.execute(agent.pbx, Capability.DIAL, command)
            await self._hub.until(lambda: self._call_of(leg) is not None, SETTLE_S)
            call = self._call_of(leg)
            if call is None:
                raise AgentRefused("phone_unreachable", f"{agent.id}'s phone was rung in vain")
            return CommandedCall(call=call)

        return await self._act(user, Act.DIAL, ident, step, number=number)

    def _call_of(self, leg: LegId) -> Call | None:
        calls = self._hub.store.calls.values()
        return next((call for call in calls if any(party.leg == leg for party in call.parties)), None)

    async def message(self, user: User, ident: AgentId, text: str) -> SentMessage:
        """Send a text to an agent: to her phone by SIP, and as an event for whatever else she looks at.

        Raises:
            NotFound: there is no such agent.
            InvalidRequest: the text is empty, too long, or has control characters.
            AgentRefused: `phone_unreachable`: there is neither a phone of hers nor a broker.
            CtidError: there is no broker, and the PBX refused or cannot be reached.
        """

        async def step(agent: Agent) -> SentMessage:
            plan.check_text(text)
            published = self._is_published()
            failure = await self._by_sip(agent, text)
            if failure is not None and not published:
                raise failure
            now = Instant(self._clock.now())
            told = AgentMessaged(
                pbx=agent.pbx, at=now, agent=agent.id, text=text, by=user.name, source=SOURCE
            )
            await self._hub.feed([told])
            reason = "" if published else "no broker is connected"
            return SentMessage(
                agent=agent.id,
                sip=failure is None,
                mqtt=published,
                reason=failure.detail if failure is not None else reason,
            )

        return await self._act(user, Act.MESSAGE, ident, step)

    async def _by_sip(self, agent: Agent, text: str) -> CtidError | None:
        """Send a text to her phone; returns why that could not be done."""
        device = self._hub.store.devices.get(agent.device) if agent.device is not None else None
        if agent.device is None or (device is not None and device.registration is Registration.UNREGISTERED):
            return AgentRefused("phone_unreachable", f"{agent.id} has no phone that is registered")
        command = SendMessage(device=agent.device, text=text, sender=self._policy.sender)
        try:
            await self._acts.execute(agent.pbx, Capability.MESSAGE, command)
        except CtidError as error:
            return error
        return None

    async def _act(
        self,
        user: User,
        act: Act,
        ident: AgentId,
        step: Callable[[Agent], Awaitable[_T]],
        number: str = "",
    ) -> _T:
        async with self._acts.turn(ident):
            agent = self._hub.store.agents.get(ident)
            pbx = agent.pbx if agent is not None else None
            done = self._acts.begun(user, act, pbx=pbx, agent=ident, number=number)

            async def taken() -> _T:
                if agent is None:
                    raise NotFound("agent", ident)
                return await step(agent)

            return await self._acts.take(done, taken())
