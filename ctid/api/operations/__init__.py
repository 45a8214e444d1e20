"""The one table of operations; HTTP, WebSocket and every other carrier bring requests to it.

An operation's parameters are one flat object, whatever carries them: over HTTP the names in the path
come from the path, the others from the query (GET, DELETE) or from the body (POST, PATCH).
"""

from types import MappingProxyType

from ctid.api.operations import agents, calls, coaching, floor, law, supervision
from ctid.api.operations.operation import BASE, Operation, Refusal

__all__ = ["BASE", "OPERATIONS", "Operation", "Refusal"]

_ROOMS = (floor, agents, calls, supervision, coaching, law)

OPERATIONS = MappingProxyType({operation.name: operation for room in _ROOMS for operation in room.TABLE})
"""Every operation by its name."""
