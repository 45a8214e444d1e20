"""How much each agent has been listened to: minutes and sessions, counted from what sessions did. Pure."""

from msgspec import Struct

from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Origin, SupervisionState
from ctid.supervision.periods import Window

KEPT_S = 9 * 86400.0
"""A week, the longest that is counted, and room for its clock changes."""
HELD_S = 2.0
"""Between the admission of a session and the PBX's first word of it."""


class _Spell(Struct, frozen=True):
    """An agent was listened to by one session from then to then."""

    begins: float
    ends: float


class _Live(Struct, frozen=True):
    """A session that goes on; `since`: it listens to the agent since then, or does not now."""

    agent: AgentId
    since: Instant | None


class Tally:
    """Counts by agent. Two sessions at once are two sessions, and their common minutes count once.

    A session counts for each agent that it has listened to. One that the agent asked for herself does not
    count, nor does what follows a take-over: the agent has left then. A session that is not told as ended
    is taken to listen for `longest_s` at most (0: for as long as that lasts).
    """

    def __init__(self, longest_s: float = 0.0) -> None:
        self._longest_s = longest_s or float("inf")
        self._spells: dict[AgentId, list[_Spell]] = {}
        self._begun: dict[AgentId, dict[SupervisionId, float]] = {}
        self._live: dict[SupervisionId, _Live] = {}
        self._held: dict[SupervisionId, tuple[AgentId, float]] = {}

    def saw(self, session: Supervision) -> None:
        """Take in a session as it is now; hearing the same twice changes nothing."""
        self._held.pop(session.id, None)
        if session.origin is Origin.AGENT_REQUEST or session.agent is None:
            return
        agent, at = session.agent, session.since
        before = self._live.get(session.id)
        if before is not None and before.agent != agent:
            # The call went to another agent, which is no change of the state.
            at = max(at, session.confirmed_at or at)
        listens = session.agent if _listens(session) else None
        if before is not None and before.since is not None and listens != before.agent:
            self._close(before.agent, before.since, at)
        if listens is None:
            since = None
        elif before is not None and before.agent == agent and before.since is not None:
            since = before.since
        else:
            since = at
            self._begun.setdefault(agent, {}).setdefault(session.id, at)
        if session.state is SupervisionState.ENDED:
            self._live.pop(session.id, None)
        else:
            self._live[session.id] = _Live(agent, since)

    def hold(self, ident: SupervisionId, agent: AgentId, now: Instant) -> None:
        """Count a session that is about to begin, until it is seen, or `HELD_S` have passed."""
        self._held = {held: (whom, at) for held, (whom, at) in self._held.items() if now - at < HELD_S}
        self._held[ident] = (agent, now)

    def listened_s(self, agent: AgentId, within: Window, now: Instant) -> float:
        """For how many seconds an agent has been listened to in a stretch of time, up to `now`."""
        going_on = [
            _Spell(live.since, min(now, live.since + self._longest_s))
            for live in self._live.values()
            if live.agent == agent and live.since is not None
        ]
        spells = [*self._spells.get(agent, ()), *going_on]
        total, counted = 0.0, float(within.begins)
        for spell in sorted(spells, key=lambda spell: spell.begins):
            begins, ends = max(spell.begins, counted), min(spell.ends, within.ends)
            total += max(ends - begins, 0.0)
            counted = max(counted, ends)
        return total

    def sessions(self, agent: AgentId, within: Window, now: Instant, but: SupervisionId | None = None) -> int:
        """How many sessions have listened to an agent in a stretch of time, or are about to; not `but`."""
        begun = {ident for ident, at in self._begun.get(agent, {}).items() if at >= within.begins}
        live = {ident for ident, live in self._live.items() if live.agent == agent}
        held = {ident for ident, (whom, at) in self._held.items() if whom == agent and now - at < HELD_S}
        return len((begun | live | held) - {but})

    def _close(self, agent: AgentId, begins: float, ends: float) -> None:
        ends = max(begins, min(ends, begins + self._longest_s))
        old = ends - KEPT_S
        kept = [spell for spell in self._spells.get(agent, ()) if spell.ends > old]
        self._spells[agent] = [*kept, _Spell(begins, ends)]
        begun = self._begun.get(agent, {})
        self._begun[agent] = {ident: at for ident, at in begun.items() if at > old}


def _listens(session: Supervision) -> bool:
    in_call = session.state in (SupervisionState.ACTIVE, SupervisionState.SWITCHING)
    return in_call and session.mode is not Mode.TAKEOVER
