"""Callers who left a queue, and why: what Asterisk says of that in pieces. Pure, time is an argument.

Asterisk tells `QueueCallerAbandon` of each who was not answered, also of one whom the queue sent on, which
its queue_log keeps apart (ABANDON, EXITWITHTIMEOUT, EXITEMPTY, WITHDRAW, EXITWITHKEY). The difference is the
variable QUEUESTATUS, set right after, and only when the caller goes on. Who presses a key that leads out
has neither. So a departure waits for what follows: the variable, an agent, the next thing that the caller
does, or a moment without any of these. Source: Asterisk 16 to 23, app_queue.c queue_exec.
"""

from collections.abc import Container
from typing import NamedTuple

from ctid.model.facts import CallerAbandoned, CallerLeft
from ctid.model.ids import LegId, PbxId, QueueId
from ctid.model.instant import Instant
from ctid.model.words import LeaveReason

VARIABLE = "QUEUESTATUS"

REASONS = {
    "TIMEOUT": LeaveReason.TIMEOUT,
    "LEAVEEMPTY": LeaveReason.EMPTY,
    "LEAVEUNAVAIL": LeaveReason.EMPTY,
    "WITHDRAW": LeaveReason.WITHDRAWN,
}
"""Of one who waited. The other values are of one who never got in (FULL, JOINEMPTY, JOINUNAVAIL) or had an
agent (CONTINUE): a queue's log tells neither of them."""
_REFUSED = frozenset({"FULL", "JOINEMPTY", "JOINUNAVAIL"})

NEVER = Instant(float("inf"))
PATIENCE_S = 1.0
"""For how long a departure waits to be explained; Asterisk does so within a millisecond."""


class Departure(NamedTuple):
    """A caller who is no longer served. `waited_s` is none while the queue has not counted it."""

    queue: QueueId
    leg: LegId
    position: int
    since: Instant | None
    at: Instant
    waited_s: float | None
    left: bool
    """He is out of the queue, by its own word."""
    answered: bool
    """A member's phone is answered for the caller."""

    @property
    def awaits_agent(self) -> bool:
        """What is missing is AgentConnect; who was counted as abandoning hung up at the last moment."""
        return self.answered and self.waited_s is None


class Departures:
    """Those whose reason is not known yet, by the unique id of the channel that waited."""

    def __init__(self, pbx: PbxId) -> None:
        self._pbx = pbx
        self._open: dict[str, Departure] = {}
        self.due = NEVER
        """When to ask `overdue`."""

    def add(self, unique: str, departure: Departure) -> None:
        """The caller has left, or the queue has counted the wait; whichever of the two comes first."""
        old = self._open.get(unique)
        if old is not None and old.queue == departure.queue:
            counted = old if departure.waited_s is None else departure
            departure = counted._replace(left=True, answered=old.answered or departure.answered)
        self._open[unique] = departure
        if departure.left:
            self.due = min(self.due, Instant(departure.at + PATIENCE_S))

    def connected(self, unique: str) -> None:
        """An agent has the caller: he did not leave."""
        self._open.pop(unique, None)

    def explained(self, unique: str, status: str) -> CallerLeft | CallerAbandoned | None:
        """QUEUESTATUS was set; returns what that says of a departure."""
        if status in _REFUSED:
            return self.settle(unique)  # of the next queue: he left this one before
        reason = REASONS.get(status)
        departure = self._open.pop(unique, None)
        if departure is None or status == "CONTINUE":
            return None
        return self._left(departure, reason or LeaveReason.OTHER)

    def settle(self, unique: str) -> CallerLeft | CallerAbandoned | None:
        """The caller does something else, or is gone; returns what his departure was, if one is open.

        Who was counted as abandoning and went on without QUEUESTATUS was taken out of the queue by a
        redirect: that is an abandon in Asterisk's own log.
        """
        departure = self._open.pop(unique, None)
        if departure is None or departure.awaits_agent:
            return None
        if departure.waited_s is None:
            return self._left(departure, LeaveReason.KEY)
        return CallerAbandoned(
            pbx=self._pbx,
            at=departure.at,
            queue=departure.queue,
            leg=departure.leg,
            position=departure.position,
            wait_s=departure.waited_s,
        )

    def overdue(self, now: Instant) -> list[CallerLeft | CallerAbandoned]:
        """Return what nothing has explained for long enough. Who awaits an agent's connection stays."""
        waiting = {
            unique: departure.at + PATIENCE_S
            for unique, departure in self._open.items()
            if departure.left and not departure.awaits_agent
        }
        settled = [self.settle(unique) for unique, until in waiting.items() if now >= until]
        self.due = Instant(min((until for until in waiting.values() if now < until), default=NEVER))
        return [moment for moment in settled if moment is not None]

    def sweep(self, channels: Container[str]) -> None:
        """Forget whom nothing explains any more: who is none of these channels, all there are, nor due."""
        self._open = {
            unique: departure
            for unique, departure in self._open.items()
            if unique in channels or (departure.left and not departure.awaits_agent)
        }

    def _left(self, departure: Departure, reason: LeaveReason) -> CallerLeft:
        since = departure.since if departure.since is not None else departure.at
        # The log's waits are differences of whole seconds.
        waited = departure.waited_s if departure.waited_s is not None else int(departure.at) - int(since)
        return CallerLeft(
            pbx=self._pbx,
            at=departure.at,
            queue=departure.queue,
            leg=departure.leg,
            reason=reason,
            position=departure.position,
            wait_s=float(waited),
        )
