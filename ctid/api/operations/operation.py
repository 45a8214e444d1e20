"""What an operation is, and the refusals that several have."""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import msgspec
from msgspec import Struct

from ctid.api.context import ApiContext
from ctid.model.errors import SupervisionRefused
from ctid.model.users import User, UserRole

BASE = "/api/v1"

# Each handler takes the request of its own operation's `params`; the table pairs the two.
Handler = Callable[[ApiContext, User, Any], Awaitable[Struct]]
Refusal = tuple[str, int]
"""A code and its HTTP status."""


class Idempotency(StrEnum):
    """What it does to ask a second time, when an answer was lost (RFC 9110 section 9.2)."""

    SAFE = "safe"
    """It changes nothing, however often it is asked."""
    IDEMPOTENT = "idempotent"
    """Asked twice it does no more than asked once; the second answer may be that it is done already."""
    BY_KEY = "by_key"
    """It is done again, unless both bear the same key."""


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One thing a client can ask for, by any carrier: HTTP, WebSocket, MQTT, the command line.

    `refusals` are those beyond what any operation can answer. A key is taken with every command.
    """

    name: str
    summary: str
    description: str
    method: str
    path: str
    """Beneath `BASE`."""
    idempotency: Idempotency
    params: type[Struct]
    result: type[Struct]
    roles: frozenset[UserRole]
    handler: Handler
    status: int = 200
    refusals: tuple[Refusal, ...] = ()
    example: Mapping[str, Any] | None = None
    """A good body, to begin with; of an operation without one, good parameters of its path."""

    @property
    def path_params(self) -> tuple[str, ...]:
        """The parameters that the path holds."""
        return tuple(re.findall(r"\{(\w+)\}", self.path))

    @property
    def topic(self) -> str:
        """Where MQTT carries it, beneath the base and the site."""
        return f"command/{{client}}/{self.name}"

    @property
    def command_line(self) -> str:
        """How the command line asks for it: what it needs, and that there is more."""
        fields = msgspec.structs.fields(self.params)
        needed = [f"{field.encode_name}=…" for field in fields if field.required]
        more = ["[…]"] if len(needed) < len(fields) else []
        return " ".join(["ctid api", self.name, *needed, *more])

    @property
    def is_command(self) -> bool:
        """Whether it is to change something, rather than to read."""
        return self.idempotency is not Idempotency.SAFE

    @property
    def has_body(self) -> bool:
        """Whether HTTP carries the parameters in a body."""
        return self.method in ("POST", "PATCH")


def refused(status: int, *codes: str) -> tuple[Refusal, ...]:
    """Refusals of one HTTP status."""
    return tuple((code, status) for code in codes)


def not_supervised(*reasons: str) -> tuple[Refusal, ...]:
    """Refusals of a supervision, each with the status that the error has."""
    refused = [SupervisionRefused(reason, "") for reason in reasons]
    return tuple((error.code, error.status) for error in refused)


PBX = (
    *refused(502, "pbx.refused"),
    *refused(503, "pbx.link_down", "audit.unavailable"),
    *refused(504, "pbx.timeout"),
)

STARTED = (
    *not_supervised(
        "no_live_call",
        "call_ended",
        "phone_not_allowed",
        "phone_unreachable",
        "phone_no_answer",
        "phone_busy",
        "already_active",
        "mode_not_possible",
        "not_leading",
        "pin_wrong",
        "takeover_failed",
        "not_active",
        "agent_protected",
        "outside_period",
        "quota_reached",
    ),
    *PBX,
)

REACH = (
    *refused(404, "agent.unknown"),
    *refused(409, "agent.phone_unreachable"),
    *refused(502, "pbx.refused"),
    *refused(503, "pbx.link_down"),
    *refused(504, "pbx.timeout"),
)

LIST = (
    "Answers one page in the order of ids. While `next` is not null, ask again with it as `cursor`; an "
    "entity that is there all the while is on exactly one page. "
)
