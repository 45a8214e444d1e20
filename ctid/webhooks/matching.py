"""Which events a webhook is told: by their type, and by the teams and queues that they are about. Pure."""

import re
from collections.abc import Iterable

from msgspec import Struct

from ctid.model.entities import Agent, Call, Device, Help, Queue, Supervision
from ctid.model.ids import AgentId, CallId
from ctid.state.changes import Change, Update
from ctid.state.store import Store

PATTERN = re.compile(r"\*|[a-z_]+\.(\*|[a-z_.]+)")
"""`*`, `call.*`, or one type, such as `call.answered`; without the `ctid.` that types have on the wire."""
MOST_CALLS = 4096
"""Calls whose teams are kept; beyond it, the one that nothing has been heard of for the longest goes."""
GUARDED = frozenset({"supervision", "help", "monitoring", "sheet"})
"""Kinds of events about who listens to whom, who asks for help and who is coached. `*` is none of them."""


def is_named(name: str, patterns: Iterable[str]) -> bool:
    """Whether one of the patterns names the type of an event."""
    kind = name.partition(".")[0]
    wanted = {name, f"{kind}.*"} if kind in GUARDED else {name, f"{kind}.*", "*"}
    return any(pattern in wanted for pattern in patterns)


class Concerns(Struct, frozen=True):
    """The queues and the teams that an update is about."""

    queues: frozenset[str]
    teams: frozenset[str]


def concerns_of(update: Update, store: Store) -> Concerns:
    """Find them; of calls and agents that the update only names, as the store has them now."""
    if isinstance(update, Change):
        return _of_change(update, store)
    found = _of_named_call(update.call, store)
    queues = found.queues | ({str(update.queue)} if update.queue else set())
    return Concerns(queues, found.teams | _teams((update.agent,), store))


def _of_change(change: Change, store: Store) -> Concerns:
    match change.entity:
        case Agent() as agent:
            queues = frozenset(str(member.queue) for member in agent.queues)
            return Concerns(queues, frozenset({agent.team} if agent.team else ()))
        case Queue() as queue:
            return Concerns(frozenset({str(queue.id)}), frozenset())
        case Call() as call:
            return _of_call(call, store)
        case Device() as device:
            return Concerns(frozenset(), _teams((device.agent,), store))
        case Supervision() | Help() as about:
            found = _of_named_call(about.call, store)
            return Concerns(found.queues, found.teams | _teams((about.agent,), store))
        case _:
            return Concerns(frozenset(), frozenset())


def _of_named_call(ident: CallId | None, store: Store) -> Concerns:
    call = store.calls.get(ident) if ident is not None else None
    return _of_call(call, store) if call is not None else Concerns(frozenset(), frozenset())


def _of_call(call: Call, store: Store) -> Concerns:
    queues = frozenset({str(call.queue)} if call.queue else ())
    return Concerns(queues, _teams((party.agent for party in call.parties), store))


def _teams(agents: Iterable[AgentId | None], store: Store) -> frozenset[str]:
    known = (store.agents.get(agent) for agent in agents if agent is not None)
    return frozenset(agent.team for agent in known if agent is not None and agent.team)


class Memory:
    """Keeps which teams each call has concerned: its agents may be gone from it before it ends."""

    def __init__(self) -> None:
        self._teams: dict[str, frozenset[str]] = {}

    def concerns_of(self, update: Update, store: Store) -> Concerns:
        """As `concerns_of`, and of a call the teams of all who have been in it; takes each update once."""
        found = concerns_of(update, store)
        if isinstance(update, Change):
            ident = update.entity.id if isinstance(update.entity, Call) else None
        else:
            ident = update.call
        if ident is None:
            return found
        teams = found.teams | self._teams.pop(ident, frozenset())
        if teams and not (isinstance(update, Change) and update.new is None):
            self._teams[ident] = teams
            if len(self._teams) > MOST_CALLS:
                del self._teams[next(iter(self._teams))]
        return Concerns(found.queues, teams)


class Selection(Struct, frozen=True, kw_only=True):
    """What one webhook wants. With `queues` or `teams`, only what is about one of each that is given."""

    events: tuple[str, ...]
    queues: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()

    def wants_type(self, name: str) -> bool:
        """Whether it wants events of a type."""
        return is_named(name, self.events)

    def wants(self, concerns: Concerns) -> bool:
        """Whether it wants what is about these queues and teams."""
        return (not self.queues or bool(self.queues & concerns.queues)) and (
            not self.teams or bool(self.teams & concerns.teams)
        )
