"""Acts on calls by the API: the requests, handed to the services."""

from typing import Annotated

from msgspec import Meta, Struct
from msgspec.structs import replace

from ctid.api.context import ApiContext
from ctid.calls.index import Selection
from ctid.calls.plan import NUMBER
from ctid.calls.words import CommandedCall, QueueTarget, RecordingAction, RecordingEntry, SentMessage
from ctid.model.errors import InvalidRequest
from ctid.model.ids import AgentId, CallId
from ctid.model.users import Right, User, UserRole
from ctid.model.words import CallFlag
from ctid.supervision.rights import covers

_NUMBER = f"^{NUMBER.pattern}$"


class HangUp(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The call, or one party of it."""

    id: str
    party: Annotated[str, Meta(description="A party's `leg`; the whole call when left out.")] | None = None


class Transfer(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the call is to go on."""

    id: str
    to: Annotated[
        str | QueueTarget,
        Meta(
            description="An agent's, a queue's or an allowed number, or a queue by its id.",
            extra_json_schema={"pattern": _NUMBER},
        ),
    ]


class Prioritize(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The place that a waiting call is to have."""

    id: str
    position: Annotated[int, Meta(ge=1, le=1000)] = 1
    """1 is served next."""


class Record(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of the call's recording."""

    id: str
    action: RecordingAction
    basis: Annotated[
        str, Meta(max_length=200, description="Why it may be made; a start needs it. It is kept.")
    ] = ""


class Flag(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The call that is to be protected."""

    id: str


class Dial(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose phone rings, and what she calls then."""

    agent: str
    number: Annotated[
        str,
        Meta(
            description="1 to 32 of 0-9 * # +; an agent's, a queue's, or allowed.",
            extra_json_schema={"pattern": _NUMBER},
        ),
    ]


class Message(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text for an agent."""

    id: str
    text: Annotated[str, Meta(min_length=1, max_length=500)]


class ListRecordings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Recordings, of all or of those that match every filter."""

    call: Annotated[str, Meta(description="A call's id; it may have ended.")] = ""
    agent: Annotated[str, Meta(description="The id of the agent who was recorded.")] = ""
    queue: Annotated[str, Meta(description="The id of the queue that brought the call.")] = ""
    by: Annotated[str, Meta(description="The name of the user who had it made.")] = ""
    limit: Annotated[int, Meta(ge=1, le=500, description="The most items to answer with.")] = 100
    cursor: Annotated[str, Meta(description="The `next` of the page before; opaque.")] = ""


class RecordingPage(Struct, frozen=True, kw_only=True):
    """Recordings, the newest first."""

    items: tuple[RecordingEntry, ...]
    next: str | None
    """The `cursor` of the next page; none on the last one."""


async def hang_up(context: ApiContext, user: User, request: HangUp) -> CommandedCall:
    """Hang up a call, or a party of it."""
    call = _commandable(context, user, request.id)
    return _shown(context, user, await context.calls.hang_up(user, call, request.party))


async def transfer(context: ApiContext, user: User, request: Transfer) -> CommandedCall:
    """Transfer a call."""
    call = _commandable(context, user, request.id)
    return _shown(context, user, await context.calls.transfer(user, call, request.to))


async def prioritize(context: ApiContext, user: User, request: Prioritize) -> CommandedCall:
    """Move a waiting call up."""
    call = _commandable(context, user, request.id)
    return _shown(context, user, await context.calls.prioritize(user, call, request.position))


async def record(context: ApiContext, user: User, request: Record) -> CommandedCall:
    """Start, stop, pause or resume a recording."""
    call = _commandable(context, user, request.id)
    answer = await context.calls.record(user, call, request.action, request.basis)
    return _shown(context, user, answer)


async def set_private(context: ApiContext, user: User, request: Flag) -> CommandedCall:
    """Make a call private."""
    call = _commandable(context, user, request.id)
    return _shown(context, user, await context.calls.flag(user, call, CallFlag.PRIVATE))


async def set_objected(context: ApiContext, user: User, request: Flag) -> CommandedCall:
    """Note that the customer objects."""
    call = _commandable(context, user, request.id)
    return _shown(context, user, await context.calls.flag(user, call, CallFlag.OBJECTED))


async def dial(context: ApiContext, user: User, request: Dial) -> CommandedCall:
    """Call a number with an agent's phone."""
    agent = AgentId(request.agent)
    context.gate.rights.require(user, Right.COMMAND, context.team_of(agent), f"commanding agent {agent}")
    return _shown(context, user, await context.outreach.dial(user, agent, request.number))


async def send_message(context: ApiContext, user: User, request: Message) -> SentMessage:
    """Send a text to an agent."""
    agent = AgentId(request.id)
    context.gate.rights.require(user, Right.COMMAND, context.team_of(agent), f"commanding agent {agent}")
    return await context.outreach.message(user, agent, request.text)


async def list_recordings(context: ApiContext, user: User, request: ListRecordings) -> RecordingPage:
    """List the recordings of agents whom the user may command; a page may hold fewer than were asked for."""
    if request.cursor and not (request.cursor.isascii() and request.cursor.isdigit()):
        raise InvalidRequest("cursor is not the `next` of a page; leave it out to begin anew", field="cursor")
    selection = Selection(
        call=request.call,
        agent=request.agent,
        queue=request.queue,
        by=request.by,
        before=int(request.cursor[:18]) if request.cursor else None,
        limit=request.limit + 1,  # one more, to know whether there is a next page
    )
    found = await context.calls.recordings(selection)
    page = found[: request.limit]
    teams = context.gate.rights.over(user, Right.COMMAND)
    hers = [entry for entry in page if covers(teams, _team_of(context, entry.agent))]
    return RecordingPage(items=tuple(hers), next=str(page[-1].id) if len(found) > request.limit else None)


def _commandable(context: ApiContext, user: User, ident: str) -> CallId:
    """The call, if the user may act on it: by her right over the team of one of its agents.

    Of a call without an agent it is that over a member's team of its queue, and without a queue over all
    teams. An agent acts on her own calls alone, which the service sees to.

    Raises:
        Forbidden: she may not.
    """
    call = context.hub.store.calls.get(CallId(ident))
    if call is None or user.role is UserRole.AGENT:
        return CallId(ident)
    agents = [party.agent for party in call.parties if party.agent is not None]
    if not agents:
        members = context.hub.store.agents.values()
        agents = [agent.id for agent in members if any(m.queue == call.queue for m in agent.queues)]
    teams = [_team_of(context, agent) for agent in agents] or [""]
    if not any(context.gate.rights.may(user, Right.COMMAND, team) for team in teams):
        context.gate.rights.require(user, Right.COMMAND, teams[0], f"acting on the call {ident}")
    return call.id


def _team_of(context: ApiContext, agent: AgentId | None) -> str:
    known = context.hub.store.agents.get(agent) if agent is not None else None
    return known.team if known is not None else ""


def _shown(context: ApiContext, user: User, answer: CommandedCall) -> CommandedCall:
    """The answer as the user may see it."""
    return replace(answer, call=context.sight(user).call(answer.call))
