"""Operations for clients of the MQTT bus, who are known by the topic that they publish on."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ctid.api.context import ApiContext
from ctid.api.dispatch import Dispatcher, refusal
from ctid.api.errors import OperationUnknown
from ctid.api.gate import Gate
from ctid.api.operations import OPERATIONS, Operation
from ctid.api.replays import Answer, Replays
from ctid.model.errors import AuthRequired, CtidError
from ctid.model.users import User
from ctid.model.words import Carrier

CARRIED = frozenset({"agents.help"})
"""The operations that are carried so far."""


class BusCarrier:
    """Carries out operations with the rights of the token of a client's name. Never raises."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        now = asyncio.get_running_loop().time
        self._gate = Gate(context.tokens, context.clock, context.limits, now)
        self._dispatcher = Dispatcher(replace(context, carrier=Carrier.MQTT), Replays(now))

    async def carry_out(self, client: str, operation: str, params: Mapping[str, Any]) -> Answer:
        """Carry one out."""
        try:
            user, found = self._admitted(client, operation)
        except CtidError as error:
            return refusal(error)
        return await self._dispatcher.dispatch(found, user, params)

    def _admitted(self, client: str, operation: str) -> tuple[User, Operation]:
        user = self._context.tokens.named(client)
        if user is None:
            raise AuthRequired(f"no [[token]] has the name {client!r}, which is this client's here")
        self._context.tokens.check_expiry(user, self._context.now())
        found = OPERATIONS.get(operation)
        if found is None:
            raise OperationUnknown(f"there is no operation {operation!r}")
        self._gate.admit(user, command=found.is_command)
        return user, found
