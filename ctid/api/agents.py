"""Commands to agents by the API: the requests, handed to the service."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from ctid.agents.service import CommandedAgent
from ctid.api.context import ApiContext
from ctid.api.views import check_own
from ctid.model.ids import AgentId
from ctid.model.users import Right, User

_Queues = Annotated[
    tuple[str, ...] | None,
    Meta(description="Ids of queues; all of hers when this is left out.", extra_json_schema={"minItems": 1}),
]


class When(StrEnum):
    """From when on a pause is to hold."""

    NOW = "now"
    """The PBX offers her no more calls; one that rings at her, or that she is in, goes on."""
    AFTER_CALL = "after_call"
    """The same to a PBX: her state is `not_ready` when the call is over, and `pending` says so until then."""


class LogIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The queues that she is to be a member of."""

    id: str
    queues: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Ids of queues; those that the configuration gives her when this is left out.",
            extra_json_schema={"minItems": 1},
        ),
    ] = None


class LogOut(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The queues that she is to leave."""

    id: str
    queues: _Queues = None


class Pause(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The queues that are to offer her no more calls, and why."""

    id: str
    queues: _Queues = None
    reason: Annotated[
        str, Meta(description="One that the configuration lists; where it lists none, any short text.")
    ] = ""
    when: When = When.NOW


class Resume(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The queues that may offer her calls again."""

    id: str
    queues: _Queues = None


class EndAfterCallWork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is done with the work after her call."""

    id: str


class ExtendAfterCallWork(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who needs more time."""

    id: str
    seconds: Annotated[float, Meta(gt=0, le=3600)]
    """How much later it is to end."""


async def log_in(context: ApiContext, user: User, request: LogIn) -> CommandedAgent:
    """Log an agent in."""
    return await context.agents.login(user, commandable(context, user, request.id), request.queues)


async def log_out(context: ApiContext, user: User, request: LogOut) -> CommandedAgent:
    """Log an agent out."""
    return await context.agents.logout(user, commandable(context, user, request.id), request.queues)


async def pause(context: ApiContext, user: User, request: Pause) -> CommandedAgent:
    """Pause an agent; one command does for either `when`."""
    return await context.agents.pause(
        user, commandable(context, user, request.id), request.queues, request.reason
    )


async def resume(context: ApiContext, user: User, request: Resume) -> CommandedAgent:
    """Resume an agent."""
    return await context.agents.resume(user, commandable(context, user, request.id), request.queues)


async def end_after_call_work(context: ApiContext, user: User, request: EndAfterCallWork) -> CommandedAgent:
    """End an agent's after-call work."""
    return await context.agents.end_after_call_work(user, commandable(context, user, request.id))


async def extend_after_call_work(
    context: ApiContext, user: User, request: ExtendAfterCallWork
) -> CommandedAgent:
    """Give an agent more time for after-call work."""
    return await context.agents.extend_after_call_work(
        user, commandable(context, user, request.id), request.seconds
    )


def commandable(context: ApiContext, user: User, ident: str) -> AgentId:
    """The agent, if the user may command her: an agent herself, the others by their right over her team."""
    agent = AgentId(ident)
    check_own(user, agent, "commanding")
    if user.agent != agent:
        team = context.team_of(agent)
        context.gate.rights.require(user, Right.COMMAND, team, f"commanding agent {agent}")
    return agent
