"""The one table of operations; HTTP, WebSocket and every other carrier bring requests to it.

An operation's parameters are one flat object, whatever carries them: over HTTP the names in the path
come from the path, the others from the query (GET, DELETE) or from the body (POST, PATCH).
"""

from collections.abc import Mapping
from types import MappingProxyType

from ctid.api.errors import OperationUnknown
from ctid.api.operations import agents, calls, coaching, floor, identity, law, supervision, webhooks
from ctid.api.operations.operation import BASE, Idempotency, Operation, Refusal

__all__ = ["BASE", "OPERATIONS", "Idempotency", "Operation", "Refusal", "operation_named"]

_ROOMS = (floor, agents, calls, supervision, coaching, law, identity, webhooks)

OPERATIONS: Mapping[str, Operation] = MappingProxyType(
    {operation.name: operation for room in _ROOMS for operation in room.TABLE}
)
"""Every operation by its name."""


def operation_named(name: str) -> Operation:
    """Find an operation.

    Raises:
        OperationUnknown: there is none of this name.
    """
    operation = OPERATIONS.get(name)
    if operation is None:
        known = ", ".join(OPERATIONS)
        raise OperationUnknown(f"there is no operation of this name; there are: {known}", field="operation")
    return operation
