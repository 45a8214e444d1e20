"""Events: what an update tells, as CloudEvents 1.0 in JSON.

Every update gives at least one event, so that a reader who finds a hole in `seq` knows that something
was lost.
"""

from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from ctid.audit import Anchor
from ctid.events.documents import Documents, encode
from ctid.events.topics import path_of
from ctid.model.entities import Agent, Call, Device, Help, Pbx, Queue, Supervision
from ctid.model.instant import Instant
from ctid.model.words import AgentState, HelpState, SupervisionState
from ctid.state.changes import Change, Occurrence, Update

_OF_NO_UPDATE = {"publisher.dropped": "dropped", "audit.anchored": "audit"}
"""Events that no update gives, and what tells their ids from those of one."""


class Event(Struct, frozen=True, kw_only=True, gc=False):
    """One fact. `name` is its type without `ctid.`; `subject` the path of what it is about."""

    name: str
    seq: int
    at: Instant
    subject: str
    data: dict[str, Any]
    place: int = 1
    """Which of its update's events this is, from 1."""


def events_of(update: Update, documents: Documents) -> list[Event]:
    """Tell what an update means; never empty."""
    if isinstance(update, Occurrence):
        return [_occurrence(update, documents)]
    told = list(_told(update))
    subject = path_of(update.entity)
    events = []
    for place, (name, difference) in enumerate(told, 1):
        if difference is None:
            data = documents.whole(update.entity, update.seq, update.at)
        else:
            data = {**documents.header(f"{name}/1", update.seq, update.at), **difference}
        events.append(Event(name=name, seq=update.seq, at=update.at, subject=subject, data=data, place=place))
    return events


def dropped_event(documents: Documents, seq: int, at: Instant, count: int, total: int) -> Event:
    """Tell that `count` events were not kept since this was last told, `total` since ctid's start."""
    data = {**documents.header("publisher.dropped/1", seq, at), "count": count, "total": total}
    return Event(name="publisher.dropped", seq=seq, at=at, subject="status", data=data, place=total)


def anchor_event(documents: Documents, anchor: Anchor, seq: int) -> Event:
    """Tell where the audit ended."""
    data = {**documents.anchor(anchor, seq), **documents.header("audit.anchored/1", seq, anchor.at)}
    return Event(
        name="audit.anchored", seq=seq, at=anchor.at, subject="audit", data=data, place=anchor.record
    )


def cloud_event(event: Event, documents: Documents) -> bytes:
    """Write an event in the JSON format of CloudEvents 1.0, structured mode.

    Extension attributes `seq` and `bootid`: CloudEvents 1.0, 3.1 allows no underscore in their names.
    """
    base = f"{documents.boot_id}-{event.seq}"
    if event.name in _OF_NO_UPDATE:
        ident = f"{base}-{_OF_NO_UPDATE[event.name]}-{event.place}"
    else:
        ident = base if event.place == 1 else f"{base}-{event.place}"
    return encode(
        {
            "specversion": "1.0",
            "id": ident,
            "source": f"/ctid/{documents.site}",
            "type": f"ctid.{event.name}",
            "time": event.at,
            "subject": event.subject,
            "datacontenttype": "application/json",
            "seq": event.seq,
            "bootid": documents.boot_id,
            "data": event.data,
        }
    )


_Told = tuple[str, dict[str, Any] | None]
"""A type, and the difference it tells; none for the whole document."""


def _told(change: Change) -> Iterator[_Told]:
    if change.new is None:
        yield f"{change.kind}.removed", {"id": change.entity.id}
        return
    match change.old, change.new:
        case (Pbx() | None) as was, Pbx() as link:
            moved = was is None or was.state is not link.state
            yield "pbx.link_changed" if moved else "pbx.changed", None
        case (Agent() | None) as was, Agent() as agent:
            yield _agent(was, agent)
        case (Device() | None) as was, Device() as device:
            yield _device(was, device)
        case (Queue() | None) as was, Queue() as queue:
            yield "queue.changed", _queue(was, queue)
        case (Call() | None) as was, Call() as call:
            moved = was is None or was.state is not call.state
            yield f"call.{call.state}" if moved else "call.party_changed", None
        case (Supervision() | None) as was, Supervision() as supervision:
            yield from _supervision(was, supervision)
        case (Help() | None) as was, Help() as help_:
            yield f"help.{_help(was, help_)}", None
        case old, new:
            raise TypeError(f"a {type(old).__name__} cannot become a {type(new).__name__}")


def _agent(old: Agent | None, new: Agent) -> _Told:
    before = {m.queue: (m.state, m.reason) for m in old.queues} if old else {}
    after = {m.queue: (m.state, m.reason) for m in new.queues}
    queues = []
    for queue in {**before, **after}:
        was, now = before.get(queue), after.get(queue, (AgentState.LOGGED_OUT, ""))
        if was != now:
            queues.append({"queue": queue, "from": was and was[0], "to": now[0], "reason": now[1]})
    if old is not None and not queues and (old.state, old.reason) == (new.state, new.reason):
        return "agent.changed", None
    difference = {
        "id": new.id,
        "pbx": new.pbx,
        "name": new.name,
        "team": new.team,
        "from": old and old.state,
        "to": new.state,
        "reason": new.reason,
        "since": new.since,
        "stale": new.stale,
        "call": new.call,
        "pending": new.pending,
        "pending_reason": new.pending_reason,
        "after_call_work": new.after_call_work,
        "queues": queues,
    }
    return "agent.state_changed", difference


def _device(old: Device | None, new: Device) -> _Told:
    if old is not None and old.state is new.state:
        return "device.changed", None
    difference = {
        "id": new.id,
        "pbx": new.pbx,
        "from": old and old.state,
        "to": new.state,
        "since": new.since,
        "agent": new.agent,
    }
    return "device.state_changed", difference


def _queue(old: Queue | None, new: Queue) -> dict[str, Any]:
    return {
        "id": new.id,
        "pbx": new.pbx,
        "name": new.name,
        "waiting": len(new.waiting),
        "waiting_before": None if old is None else len(old.waiting),
        "longest_waiting_since": min((caller.since for caller in new.waiting), default=None),
        "agents": new.agents,
        "stale": new.stale,
    }


def _supervision(old: Supervision | None, new: Supervision) -> Iterator[_Told]:
    state = old.state if old else None
    switched = state is SupervisionState.SWITCHING and new.state is SupervisionState.ACTIVE
    if new.state is not state and not switched:
        followed = state is SupervisionState.WAITING and new.state is SupervisionState.ACTIVE
        yield f"supervision.{'followed' if followed else _SUPERVISION_EVENTS[new.state]}", None
    if old is not None and old.mode is not new.mode:
        yield (
            "supervision.mode_changed",
            {
                "id": new.id,
                "pbx": new.pbx,
                "supervisor": new.supervisor,
                "agent": new.agent,
                "call": new.call,
                "from": old.mode,
                "to": new.mode,
                "since": new.since,
            },
        )
    elif new.state is state or switched:
        yield "supervision.changed", None


_SUPERVISION_EVENTS = {state: str(state) for state in SupervisionState} | {SupervisionState.ACTIVE: "started"}


def _help(old: Help | None, new: Help) -> str:
    if old is not None and old.state is new.state:
        return "changed"
    if new.state is HelpState.OPEN:
        return "raised" if old is None else "reopened"
    return str(new.state)


def _occurrence(occurrence: Occurrence, documents: Documents) -> Event:
    """A queue's moments are told as `queue.…`, others by their own: `call.transferred`, `agent.message`."""
    kind, _, rest = occurrence.name.partition("_")
    name = f"queue.{occurrence.name}" if occurrence.queue else f"{kind}.{rest}"
    shown = documents.occurrence(occurrence)
    data = {
        **documents.header(f"{name}/1", occurrence.seq, occurrence.at),
        "pbx": shown.pbx,
        "queue": shown.queue,
        "call": shown.call,
        "leg": shown.leg,
        "agent": shown.agent,
        "by": shown.by,
        "to": shown.to,
        **({"supervision": shown.supervision} if shown.supervision else {}),
        **({"text": shown.text} if shown.text else {}),
        **shown.figures,
    }
    subject = f"pbx/{shown.pbx}"
    if shown.queue:
        subject = f"queues/{shown.queue}"
    elif shown.call:
        subject = f"calls/{shown.call}"
    elif shown.agent:
        subject = f"agents/{shown.agent}"
    return Event(name=name, seq=occurrence.seq, at=occurrence.at, subject=subject, data=data)
