"""Events: what an update tells, as CloudEvents 1.0 in JSON.

Every update gives at least one event, so that a reader who finds a hole in `seq` knows that something
was lost.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ctid.audit import Anchor
from ctid.events.catalogue import (
    OCCURRED,
    REMOVED,
    AgentStateChanged,
    AuditAnchored,
    CloudEvent,
    DeviceStateChanged,
    Happened,
    MembershipDifference,
    PublisherDropped,
    QueueChanged,
    SupervisionModeChanged,
    WebhookTest,
    name_of,
)
from ctid.events.documents import Documents, encode
from ctid.events.offers import offers_of
from ctid.events.structs import Header
from ctid.events.topics import path_of
from ctid.model.entities import Agent, Call, Device, Help, Pbx, Queue, Supervision
from ctid.model.instant import Instant
from ctid.model.words import AgentState, HelpState, SupervisionState
from ctid.state.changes import Change, Occurrence, Update

_OF_NO_UPDATE = {"publisher.dropped": "dropped", "audit.anchored": "audit", "webhook.test": "test"}
"""Events that no update gives, and what tells their ids from those of one."""


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """One fact. `name` is its type in the catalogue; `subject` the path of what it is about."""

    name: str
    seq: int
    at: Instant
    subject: str
    data: Header
    place: int = 1
    """Which of its update's events this is, from 1."""


def events_of(update: Update, documents: Documents) -> list[Event]:
    """Tell what an update means; never empty."""
    if isinstance(update, Occurrence):
        return [_occurrence(update, documents)]
    subject = path_of(update.entity)
    return [
        Event(name=name, seq=update.seq, at=update.at, subject=subject, data=data, place=place)
        for place, (name, data) in enumerate(_told(update, documents), 1)
    ]


def dropped_event(documents: Documents, seq: int, at: Instant, count: int, total: int) -> Event:
    """Tell that `count` events were not kept since this was last told, `total` since ctid's start."""
    data = PublisherDropped(documents.boot_id, seq, at, count=count, total=total)
    return Event(name="publisher.dropped", seq=seq, at=at, subject="status", data=data, place=total)


def anchor_event(documents: Documents, anchor: Anchor, seq: int) -> Event:
    """Tell where the audit ended."""
    data = AuditAnchored(documents.boot_id, seq, anchor.at, record=anchor.record, hash=anchor.hash)
    return Event(
        name="audit.anchored", seq=seq, at=anchor.at, subject="audit", data=data, place=anchor.record
    )


def trial_event(documents: Documents, webhook: str, seq: int, at: Instant, number: int) -> Event:
    """Say nothing, to see whether a webhook's receiver hears it; `number` counts up within a run."""
    data = WebhookTest(documents.boot_id, seq, at, webhook=webhook)
    return Event(name="webhook.test", seq=seq, at=at, subject=f"webhooks/{webhook}", data=data, place=number)


def event_id(event: Event, documents: Documents) -> str:
    """The id by which readers know an event, and know it again."""
    base = f"{documents.boot_id}-{event.seq}"
    if event.name in _OF_NO_UPDATE:
        return f"{base}-{_OF_NO_UPDATE[event.name]}-{event.place}"
    return base if event.place == 1 else f"{base}-{event.place}"


def cloud_event(event: Event, documents: Documents) -> bytes:
    """Write an event in the JSON format of CloudEvents 1.0, structured mode."""
    return encode(
        CloudEvent(
            id=event_id(event, documents),
            source=f"/ctid/{documents.site}",
            type=f"ctid.{event.name}",
            time=event.at,
            subject=event.subject,
            seq=event.seq,
            bootid=documents.boot_id,
            data=event.data,
        )
    )


_Told = tuple[str, Header]
"""The name of an event, and its data."""


def _told(change: Change, documents: Documents) -> Iterator[_Told]:
    entity, seq, at = change.entity, change.seq, change.at
    if change.new is None:
        yield f"{change.kind}.removed", REMOVED[change.kind](documents.boot_id, seq, at, id=entity.id)
        return
    header = (documents.boot_id, seq, at)
    name: str | None
    match change.old, change.new:
        case (Pbx() | None) as was, Pbx() as link:
            moved = was is None or was.state is not link.state
            name = "pbx.link_changed" if moved else "pbx.changed"
        case (Agent() | None) as was, Agent() as agent:
            queues = _memberships(was, agent)
            if was is None or queues or (was.state, was.reason) != (agent.state, agent.reason):
                yield "agent.state_changed", _agent(header, was, agent, queues)
                return
            name = "agent.changed"
        case (Device() | None) as was, Device() as device:
            if was is None or was.state is not device.state:
                yield "device.state_changed", _device(header, was, device)
                return
            name = "device.changed"
        case (Queue() | None) as was, Queue() as queue:
            yield "queue.changed", _queue(header, was, queue)
            return
        case (Call() | None) as was, Call() as call:
            moved = was is None or was.state is not call.state
            yield f"call.{call.state}" if moved else "call.party_changed", documents.whole(call, seq, at)
            yield from offers_of(was, call, documents, seq, at)
            return
        case (Supervision() | None) as was, Supervision() as supervision:
            name = _supervision(was, supervision)
            if name is not None:
                yield name, documents.whole(supervision, seq, at)
            if was is not None and was.mode is not supervision.mode:
                yield "supervision.mode_changed", _mode(header, was, supervision)
            return
        case (Help() | None) as was, Help() as help_:
            name = f"help.{_help(was, help_)}"
        case _:
            raise TypeError(f"a {type(change.old).__name__} cannot become a {type(entity).__name__}")
    yield name, documents.whole(entity, seq, at)


_Header = tuple[str, int, Instant]


def _memberships(old: Agent | None, new: Agent) -> tuple[MembershipDifference, ...]:
    if old is not None and old.queues == new.queues:
        return ()
    before = {m.queue: (m.state, m.reason) for m in old.queues} if old else {}
    after = {m.queue: (m.state, m.reason) for m in new.queues}
    queues = []
    for queue in {**before, **after}:
        was, now = before.get(queue), after.get(queue, (AgentState.LOGGED_OUT, ""))
        if was != now:
            queues.append(MembershipDifference(queue, was and was[0], *now))
    return tuple(queues)


def _agent(
    header: _Header, old: Agent | None, new: Agent, queues: tuple[MembershipDifference, ...]
) -> AgentStateChanged:
    return AgentStateChanged(
        *header,
        id=new.id,
        pbx=new.pbx,
        name=new.name,
        team=new.team,
        from_=None if old is None else old.state,
        to=new.state,
        reason=new.reason,
        since=new.since,
        stale=new.stale,
        call=new.call,
        pending=new.pending,
        pending_reason=new.pending_reason,
        after_call_work=new.after_call_work,
        queues=queues,
    )


def _device(header: _Header, old: Device | None, new: Device) -> DeviceStateChanged:
    return DeviceStateChanged(
        *header,
        id=new.id,
        pbx=new.pbx,
        from_=None if old is None else old.state,
        to=new.state,
        since=new.since,
        agent=new.agent,
    )


def _queue(header: _Header, old: Queue | None, new: Queue) -> QueueChanged:
    return QueueChanged(
        *header,
        id=new.id,
        pbx=new.pbx,
        name=new.name,
        waiting=len(new.waiting),
        waiting_before=None if old is None else len(old.waiting),
        longest_waiting_since=min((caller.since for caller in new.waiting), default=None),
        agents=new.agents,
        stale=new.stale,
    )


def _mode(header: _Header, old: Supervision, new: Supervision) -> SupervisionModeChanged:
    return SupervisionModeChanged(
        *header,
        id=new.id,
        pbx=new.pbx,
        supervisor=new.supervisor,
        agent=new.agent,
        call=new.call,
        from_=old.mode,
        to=new.mode,
        since=new.since,
    )


def _supervision(old: Supervision | None, new: Supervision) -> str | None:
    """What a session's document is told as; none where its new mode alone is to be told."""
    state = old.state if old else None
    switched = state is SupervisionState.SWITCHING and new.state is SupervisionState.ACTIVE
    if new.state is not state and not switched:
        followed = state is SupervisionState.WAITING and new.state is SupervisionState.ACTIVE
        return f"supervision.{'followed' if followed else _SUPERVISION_EVENTS[new.state]}"
    return None if old is not None and old.mode is not new.mode else "supervision.changed"


_SUPERVISION_EVENTS = {state: str(state) for state in SupervisionState} | {SupervisionState.ACTIVE: "started"}


def _help(old: Help | None, new: Help) -> str:
    if old is not None and old.state is new.state:
        return "changed"
    if new.state is HelpState.OPEN:
        return "raised" if old is None else "reopened"
    return str(new.state)


_OF_SOME = frozenset({"supervision", "text"})
_MORE = {
    kind: frozenset(kind.__struct_fields__).difference(Happened.__struct_fields__)
    for kind in OCCURRED.values()
}
"""The fields that a document has beside those of all: the occurrence's own `_OF_SOME`, and its figures."""


def _occurrence(occurrence: Occurrence, documents: Documents) -> Event:
    """A queue's moments are told as `queue.…`, others by their own: `call.transferred`, `agent.message`."""
    kind = OCCURRED[occurrence.name]
    shown = documents.occurrence(occurrence)
    more: dict[str, Any] = {
        name: getattr(shown, name) if name in _OF_SOME else shown.figures[name] for name in _MORE[kind]
    }
    data = kind(
        documents.boot_id,
        occurrence.seq,
        occurrence.at,
        pbx=shown.pbx,
        queue=shown.queue,
        call=shown.call,
        leg=shown.leg,
        agent=shown.agent,
        by=shown.by,
        to=shown.to,
        **more,
    )
    subject = f"pbx/{shown.pbx}"
    if shown.queue:
        subject = f"queues/{shown.queue}"
    elif shown.call:
        subject = f"calls/{shown.call}"
    elif shown.agent:
        subject = f"agents/{shown.agent}"
    return Event(name=name_of(kind), seq=occurrence.seq, at=occurrence.at, subject=subject, data=data)
