"""The floor as the event socket tells it, and its picture in a terminal. Pure: time is an argument."""

from collections.abc import Iterable, Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ctid.cli import words
from ctid.cli.documents import as_entity
from ctid.cli.output import table
from ctid.logs import clean
from ctid.model.entities import ENTITIES, Agent, Call, Entity, Help, Pbx, Queue, Supervision
from ctid.model.instant import from_rfc3339
from ctid.model.words import AgentState, HelpState

_KINDS = {kind.kind: kind for kind in ENTITIES}
COUNTED = (
    AgentState.READY,
    AgentState.OFFERED,
    AgentState.BUSY,
    AgentState.WORKING_AFTER_CALL,
    AgentState.NOT_READY,
)


class Floor:
    """Entities by kind and id, fed with the messages of the event socket."""

    def __init__(self) -> None:
        self._entities: dict[str, dict[str, Entity]] = {kind: {} for kind in _KINDS}
        self.synchronized = False
        """Whether a snapshot has been taken in."""
        self.offset_s = 0.0
        """The daemon's clock less ours, in seconds."""

    def apply(self, message: Mapping[str, Any], now: float) -> None:
        """Take in a message; `now` is our own UTC, in seconds. Other types of messages change nothing."""
        match message.get("type"):
            case "snapshot":
                self._snapshot(message)
                self.synchronized = True
            case "change":
                self._put(str(message["kind"]), str(message["id"]), message["entity"])
            case _:
                return
        self.offset_s = from_rfc3339(message["at"]) - now if message["type"] == "snapshot" else self.offset_s

    def of(self, kind: type[Any]) -> list[Any]:
        """The entities of a kind, in the order of their ids."""
        return [entity for _, entity in sorted(self._entities[kind.kind].items())]

    def call(self, ident: str | None) -> Call | None:
        """A call by its id."""
        call = self._entities[Call.kind].get(ident or "")
        return call if isinstance(call, Call) else None

    def _snapshot(self, message: Mapping[str, Any]) -> None:
        for kind, entities in self._entities.items():
            entities.clear()
            for document in message["entities"].get(f"{kind}s", ()):
                self._put(kind, str(document["id"]), document)

    def _put(self, kind: str, ident: str, document: Mapping[str, Any] | None) -> None:
        if kind not in _KINDS:
            return
        if document is None:
            self._entities[kind].pop(ident, None)
        else:
            entity: Entity = as_entity(_KINDS[kind], document)
            self._entities[kind][ident] = entity


def picture(floor: Floor, now: float, *, source: str, trouble: str = "") -> RenderableType:
    """The whole view; `trouble` says why what is shown may be old, and is empty while it is live."""
    now += floor.offset_s
    parts: list[RenderableType] = [_head(floor, now, source, trouble), Text("")]
    if floor.synchronized:
        if floor.of(Help):
            parts += [hands(floor.of(Help), now), Text("")]
        parts += [_queues(floor, now), Text(""), _agents(floor, now)]
        if floor.of(Supervision):
            parts += [Text(""), _supervisions(floor, now)]
    return Group(*parts)


def _head(floor: Floor, now: float, source: str, trouble: str) -> Text:
    head = Text.assemble(("ctid ", "bold"), clean(source))
    for link in floor.of(Pbx):
        head.append("   ").append_text(link_line(link, now))
    if trouble:
        head.append(f"\nSTALE: {clean(trouble)}", style="bold red")
    return head


def link_line(link: Pbx, now: float) -> Text:
    """The link to a PBX in one line: its state, since when, and why it is down."""
    line = words.peer(f"{link.id}: ").append_text(words.link_state(link.state))
    line.append(f" {words.span(now - link.since)}")
    return line.append(f" ({clean(link.reason)})", style="red") if link.reason else line


def hands(raised: Iterable[Help], now: float) -> RenderableType:
    """The raised hands: those that nobody has taken first, and of these who has waited longest."""
    ordered = sorted(raised, key=lambda hand: (hand.state is not HelpState.OPEN, hand.raised_at))
    return table(HAND_COLUMNS, [_hand_row(hand, now) for hand in ordered])


HAND_COLUMNS = ("HAND", "AGENT", "TEAM", ">WAITS", "STATE", "CALL", "TEXT")


def _hand_row(hand: Help, now: float) -> list[RenderableType]:
    waits = hand.wait_s if hand.wait_s is not None else now - hand.raised_at
    state = Text("✋ needs help", style="bold red")
    if hand.state is HelpState.CLAIMED:
        state = Text("✓ ", style="green").append_text(words.peer(f"{hand.claimed_by} comes"))
    return [
        words.peer(hand.id),
        words.peer(hand.agent),
        words.peer(hand.team),
        words.span(waits),
        state,
        words.peer(hand.call or ""),
        words.peer(hand.text),
    ]


def _queues(floor: Floor, now: float) -> RenderableType:
    columns = ["QUEUE", ">WAITING", ">LONGEST", *(f">{words.count_word(state).upper()}" for state in COUNTED)]
    return table(columns, [queue_row(queue, now) for queue in floor.of(Queue)])


def queue_row(queue: Queue, now: float) -> list[RenderableType]:
    """A queue's cells: name, how many wait, the longest wait, members by state."""
    name = words.peer(queue.name or queue.id)
    if queue.stale:
        name.append(" (stale)", style="bold red")
    waiting = Text(str(len(queue.waiting)), style="bold yellow" if queue.waiting else "")
    return [
        name,
        waiting,
        words.longest_wait(queue, now),
        *(str(queue.agents.get(state, 0)) for state in COUNTED),
    ]


def _agents(floor: Floor, now: float) -> RenderableType:
    sessions = sorted(floor.of(Supervision), key=lambda session: session.lead)
    watched = {session.agent: session for session in sessions if session.agent}  # the leading one is told
    agents = sorted(floor.of(Agent), key=lambda agent: (agent.team, agent.id))
    rows = [_agent_row(floor, agent, watched.get(agent.id), now) for agent in agents]
    return table(("AGENT", "NAME", "TEAM", "STATE", ">SINCE", "WITH", "QUEUE", "SUPERVISED"), rows)


def _agent_row(floor: Floor, agent: Agent, session: Supervision | None, now: float) -> list[RenderableType]:
    call = floor.call(agent.call)
    return [
        words.peer(agent.id),
        words.peer(agent.name),
        words.peer(agent.team),
        words.agent_state(agent),
        words.span(now - agent.since),
        words.customer(call) if call else "",
        words.peer(call.queue or "") if call else "",
        words.peer(words.supervised(session)) if session else "",
    ]


def _supervisions(floor: Floor, now: float) -> RenderableType:
    rows = [supervision_row(session, now) for session in floor.of(Supervision)]
    return table(SUPERVISION_COLUMNS, rows)


SUPERVISION_COLUMNS = ("SESSION", "SUPERVISOR", "MODE", ">SINCE", "PHONE", "AGENT", "PURPOSE", "CALL")


def supervision_row(session: Supervision, now: float) -> list[RenderableType]:
    """A session's cells."""
    return [
        words.peer(session.id),
        words.peer(session.supervisor),
        words.session_mode(session),
        words.span(now - session.since),
        words.peer(session.phone),
        words.peer(session.agent or ""),
        str(session.purpose),
        words.peer(session.call or ""),
    ]
