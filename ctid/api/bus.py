"""Operations for clients of the MQTT bus, who are known by the topic that they publish on."""

from collections.abc import Mapping
from typing import Any

from ctid.api.dispatch import refusal
from ctid.api.door import Door
from ctid.api.errors import OperationUnknown
from ctid.api.operations import OPERATIONS, Operation
from ctid.api.replays import Answer
from ctid.model.errors import AuthRequired, CtidError
from ctid.model.users import User
from ctid.model.words import Carrier

CARRIER = "mqtt"
CARRIED = frozenset({"agents.help"})
"""The operations that are carried so far."""


class BusCarrier:
    """Carries out operations with the rights of the token of a client's name. Never raises."""

    def __init__(self, door: Door) -> None:
        self._door = door

    async def carry_out(self, client: str, operation: str, params: Mapping[str, Any]) -> Answer:
        """Carry one out."""
        requests = self._door.requests
        try:
            user, found = self._admitted(client, operation)
        except CtidError as error:
            requests.count(CARRIER, operation if operation in OPERATIONS else "none", error.status)
            return refusal(error)
        answer = await self._door.dispatcher.dispatch(found, user, params, carrier=Carrier.MQTT)
        requests.count(CARRIER, found.name, answer.status)
        return answer

    def _admitted(self, client: str, operation: str) -> tuple[User, Operation]:
        context = self._door.context
        user = context.tokens.named(client)
        if user is None:
            raise AuthRequired(f"no [[token]] has the name {client!r}, which is this client's here")
        context.tokens.check_expiry(user, context.now())
        found = OPERATIONS.get(operation)
        if found is None:
            raise OperationUnknown(f"there is no operation {operation!r}")
        self._door.gate.admit(user, command=found.is_command)
        return user, found
