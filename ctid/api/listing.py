"""Reading the live state: each kind of entity as a list, and one by its id."""

from typing import Annotated

from msgspec import Meta, Struct

from ctid.api.context import ApiContext
from ctid.api.paging import ListRequest, page
from ctid.api.views import check_own
from ctid.model.entities import Agent, Call, Device, Queue, Supervision
from ctid.model.errors import NotFound
from ctid.model.ids import AgentId, CallId, DeviceId, QueueId, SupervisionId
from ctid.model.users import User
from ctid.model.words import AgentState, CallState, DeviceState, SupervisionState


class ById(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One entity."""

    id: str


class ListAgents(ListRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Agents, of all or of those that match every filter."""

    state: AgentState | None = None
    team: Annotated[str, Meta(description="A team's name, as the configuration gives it.")] | None = None
    queue: Annotated[str, Meta(description="A queue's id; its members.")] | None = None


class ListQueues(ListRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All queues."""


class ListDevices(ListRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Devices, of all or of those that match."""

    state: DeviceState | None = None


class ListCalls(ListRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Live calls, of all or of those that match every filter."""

    state: CallState | None = None
    queue: (
        Annotated[str, Meta(description="The id of the queue that the call waits in or came from.")] | None
    ) = None
    agent: Annotated[str, Meta(description="An agent's id; calls that she is a party of.")] | None = None


class ListSupervisions(ListRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Live sessions, of all or of those that match every filter."""

    state: SupervisionState | None = None
    agent: Annotated[str, Meta(description="An agent's id; sessions in her calls.")] | None = None


class AgentPage(Struct, frozen=True, kw_only=True):
    """Agents in the order of their ids."""

    items: tuple[Agent, ...]
    next: str | None
    """The `cursor` of the next page; none on the last one."""
    seq: int
    """The number of the last update that the items hold; follow on with `after` at the events."""


class QueuePage(Struct, frozen=True, kw_only=True):
    """Queues in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Queue, ...]
    next: str | None
    seq: int


class DevicePage(Struct, frozen=True, kw_only=True):
    """Devices in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Device, ...]
    next: str | None
    seq: int


class CallPage(Struct, frozen=True, kw_only=True):
    """Live calls in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Call, ...]
    next: str | None
    seq: int


class SupervisionPage(Struct, frozen=True, kw_only=True):
    """Live sessions in the order of their ids; `next` and `seq` as everywhere."""

    items: tuple[Supervision, ...]
    next: str | None
    seq: int


async def list_agents(context: ApiContext, _user: User, request: ListAgents) -> AgentPage:
    """List agents."""
    found = (
        agent
        for agent in context.hub.store.agents.values()
        if request.state in (None, agent.state)
        and request.team in (None, agent.team)
        and (request.queue is None or any(membership.queue == request.queue for membership in agent.queues))
    )
    items, cursor = page(found, request)
    return AgentPage(items=items, next=cursor, seq=context.hub.store.seq)


async def get_agent(context: ApiContext, user: User, request: ById) -> Agent:
    """Get one agent."""
    check_own(user, request.id, "the state")
    agent = context.hub.store.agents.get(AgentId(request.id))
    if agent is None:
        raise NotFound("agent", request.id)
    return agent


async def list_queues(context: ApiContext, _user: User, request: ListQueues) -> QueuePage:
    """List queues."""
    items, cursor = page(context.hub.store.queues.values(), request)
    return QueuePage(items=items, next=cursor, seq=context.hub.store.seq)


async def get_queue(context: ApiContext, _user: User, request: ById) -> Queue:
    """Get one queue."""
    queue = context.hub.store.queues.get(QueueId(request.id))
    if queue is None:
        raise NotFound("queue", request.id)
    return queue


async def list_devices(context: ApiContext, _user: User, request: ListDevices) -> DevicePage:
    """List devices."""
    found = (d for d in context.hub.store.devices.values() if request.state in (None, d.state))
    items, cursor = page(found, request)
    return DevicePage(items=items, next=cursor, seq=context.hub.store.seq)


async def get_device(context: ApiContext, _user: User, request: ById) -> Device:
    """Get one device."""
    device = context.hub.store.devices.get(DeviceId(request.id))
    if device is None:
        raise NotFound("device", request.id)
    return device


async def list_calls(context: ApiContext, user: User, request: ListCalls) -> CallPage:
    """List live calls."""
    found = (
        call
        for call in context.hub.store.calls.values()
        if request.state in (None, call.state)
        and request.queue in (None, call.queue)
        and (request.agent is None or any(party.agent == request.agent for party in call.parties))
    )
    items, cursor = page(found, request)
    sight = context.sight(user)
    shown = tuple([sight.call(call) for call in items])
    return CallPage(items=shown, next=cursor, seq=context.hub.store.seq)


async def get_call(context: ApiContext, user: User, request: ById) -> Call:
    """Get one live call."""
    call = context.hub.store.calls.get(CallId(request.id))
    if call is None:
        raise NotFound("call", request.id)
    return context.sight(user).call(call)


async def list_supervisions(context: ApiContext, _user: User, request: ListSupervisions) -> SupervisionPage:
    """List live sessions."""
    found = (
        session
        for session in context.hub.store.supervisions.values()
        if request.state in (None, session.state) and request.agent in (None, session.agent)
    )
    items, cursor = page(found, request)
    return SupervisionPage(items=items, next=cursor, seq=context.hub.store.seq)


async def get_supervision(context: ApiContext, _user: User, request: ById) -> Supervision:
    """Get one live session."""
    session = context.hub.store.supervisions.get(SupervisionId(request.id))
    if session is None:
        raise NotFound("supervision", request.id)
    return session
