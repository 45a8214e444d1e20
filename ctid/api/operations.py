"""The one table of operations; HTTP, WebSocket and every other carrier bring requests to it.

An operation's parameters are one flat object, whatever carries them: over HTTP the names in the path
come from the path, the others from the query (GET, DELETE) or from the body (POST, PATCH).
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from ctid.api import listing, supervising
from ctid.api.context import ApiContext
from ctid.api.status import Status, StatusRequest, get_status
from ctid.api.views import ALL_ROLES, SUPERVISING_ROLES
from ctid.model.entities import Agent, Call, Device, Queue, Supervision
from ctid.model.errors import SupervisionRefused
from ctid.model.users import User, UserRole
from ctid.supervision.requests import StartRequest

BASE = "/api/v1"

# Each handler takes the request of its own operation's `params`; the table pairs the two.
Handler = Callable[[ApiContext, User, Any], Awaitable[Struct]]
Refusal = tuple[str, int]
"""A code and its HTTP status."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing a client can ask for. `refusals` are those beyond what any operation can answer."""

    name: str
    summary: str
    description: str
    method: str
    path: str
    """Beneath `BASE`."""
    params: type[Struct]
    result: type[Struct]
    roles: frozenset[UserRole]
    handler: Handler
    status: int = 200
    refusals: tuple[Refusal, ...] = ()
    example: Mapping[str, Any] | None = None
    """A good body, to begin with."""

    @property
    def path_params(self) -> tuple[str, ...]:
        """The parameters that the path holds."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def has_body(self) -> bool:
        """Whether HTTP carries the parameters in a body."""
        return self.method in ("POST", "PATCH")


def _refused(status: int, *codes: str) -> tuple[Refusal, ...]:
    return tuple((code, status) for code in codes)


def _not_supervised(*reasons: str) -> tuple[Refusal, ...]:
    refused = [SupervisionRefused(reason, "") for reason in reasons]
    return tuple((error.code, error.status) for error in refused)


_PBX = (
    *_refused(502, "pbx.refused"),
    *_refused(503, "pbx.link_down", "audit.unavailable"),
    *_refused(504, "pbx.timeout"),
)

_LIST = (
    "Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an "
    "entity that is there all the while is on exactly one page. "
)

_TABLE = (
    Operation(
        name="status.get",
        summary="The state of ctid itself",
        description="Version, boot id, whether it is ready, each link to a PBX, and the MQTT broker.",
        method="GET",
        path="/status",
        params=StatusRequest,
        result=Status,
        roles=ALL_ROLES,
        handler=get_status,
    ),
    Operation(
        name="agents.list",
        summary="Agents",
        description=_LIST + "Filters are combined: an agent must match all of them.",
        method="GET",
        path="/agents",
        params=listing.ListAgents,
        result=listing.AgentPage,
        roles=ALL_ROLES,
        handler=listing.list_agents,
    ),
    Operation(
        name="agents.get",
        summary="One agent",
        description="The agent as she is now.",
        method="GET",
        path="/agents/{id}",
        params=listing.ById,
        result=Agent,
        roles=ALL_ROLES,
        handler=listing.get_agent,
        refusals=_refused(404, "agent.unknown"),
    ),
    Operation(
        name="queues.list",
        summary="Queues",
        description=_LIST + "Each with who waits, in order, and how its members stand.",
        method="GET",
        path="/queues",
        params=listing.ListQueues,
        result=listing.QueuePage,
        roles=ALL_ROLES,
        handler=listing.list_queues,
    ),
    Operation(
        name="queues.get",
        summary="One queue",
        description="The queue as it is now.",
        method="GET",
        path="/queues/{id}",
        params=listing.ById,
        result=Queue,
        roles=ALL_ROLES,
        handler=listing.get_queue,
        refusals=_refused(404, "queue.unknown"),
    ),
    Operation(
        name="calls.list",
        summary="Live calls",
        description=_LIST
        + "The roles viewer and integrator see callers' numbers masked, and no `supervisions`.",
        method="GET",
        path="/calls",
        params=listing.ListCalls,
        result=listing.CallPage,
        roles=ALL_ROLES,
        handler=listing.list_calls,
    ),
    Operation(
        name="calls.get",
        summary="One live call",
        description="The call as it is now; one that has ended is unknown. Masked as in the list.",
        method="GET",
        path="/calls/{id}",
        params=listing.ById,
        result=Call,
        roles=ALL_ROLES,
        handler=listing.get_call,
        refusals=_refused(404, "call.unknown"),
    ),
    Operation(
        name="devices.list",
        summary="Phones",
        description=_LIST,
        method="GET",
        path="/devices",
        params=listing.ListDevices,
        result=listing.DevicePage,
        roles=ALL_ROLES,
        handler=listing.list_devices,
    ),
    Operation(
        name="devices.get",
        summary="One phone",
        description="The device as it is now.",
        method="GET",
        path="/devices/{id}",
        params=listing.ById,
        result=Device,
        roles=ALL_ROLES,
        handler=listing.get_device,
        refusals=_refused(404, "device.unknown"),
    ),
    Operation(
        name="supervisions.list",
        summary="Live supervision sessions",
        description=_LIST,
        method="GET",
        path="/supervisions",
        params=listing.ListSupervisions,
        result=listing.SupervisionPage,
        roles=SUPERVISING_ROLES,
        handler=listing.list_supervisions,
    ),
    Operation(
        name="supervisions.get",
        summary="One live supervision session",
        description="The session as it is now; one that has ended is unknown.",
        method="GET",
        path="/supervisions/{id}",
        params=listing.ById,
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=listing.get_supervision,
        refusals=_refused(404, "supervision.unknown"),
    ),
    Operation(
        name="supervisions.create",
        summary="Step into a live call",
        description=(
            "Rings the supervisor's phone and answers once she is in the call, in the mode asked for; that "
            "takes as long as she takes to answer. Name an `agent` or a `call`. A phone in `via` is a name "
            "that the configuration allows her, never a number to dial. When it is refused, nothing is left "
            "ringing."
        ),
        method="POST",
        path="/supervisions",
        params=StartRequest,
        example={"agent": "1001", "mode": "listen", "via": {"phone": "2001"}, "purpose": "quality"},
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.create_supervision,
        status=201,
        refusals=(
            *_refused(404, "agent.unknown", "call.unknown"),
            *_not_supervised(
                "no_live_call",
                "call_ended",
                "phone_not_allowed",
                "phone_unreachable",
                "phone_no_answer",
                "phone_busy",
                "already_active",
                "mode_not_possible",
                "scope_not_supported",
                "takeover_failed",
                "not_active",
            ),
            *_PBX,
        ),
    ),
    Operation(
        name="supervisions.update",
        summary="Switch who hears the supervisor",
        description=(
            "Answers once the switch is in force; there is no new ring and no gap in what she hears. "
            "`takeover` leaves the customer with her and releases the agent; if a step of it fails, the "
            "customer keeps the agent."
        ),
        method="PATCH",
        path="/supervisions/{id}",
        params=supervising.UpdateSupervision,
        example={"mode": "whisper"},
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.update_supervision,
        refusals=(
            *_refused(404, "supervision.unknown"),
            *_not_supervised(
                "not_yours",
                "not_active",
                "ended",
                "call_ended",
                "mode_not_possible",
                "takeover_failed",
            ),
            *_PBX,
        ),
    ),
    Operation(
        name="supervisions.delete",
        summary="Leave the call",
        description="The supervisor leaves, the call goes on. Answers the session as it ended.",
        method="DELETE",
        path="/supervisions/{id}",
        params=listing.ById,
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.delete_supervision,
        refusals=(
            *_refused(404, "supervision.unknown"),
            *_not_supervised("not_yours", "ended"),
            *_PBX,
        ),
    ),
)

OPERATIONS = MappingProxyType({operation.name: operation for operation in _TABLE})
"""Every operation by its name."""
