"""Asterisk's queue log, read into moments. Pure.

A line is `epoch|call|queue|agent|EVENT|data…`, where `call` is the unique id of the caller's channel and
`agent` the member's name, or NONE. Nothing is escaped: a `|` in a member's name shifts what follows. Source:
Asterisk 22, main/logger.c (ast_queue_log) and apps/app_queue.c.

AMI tells nothing of these lines, so that they are no moments: RINGCANCELED (the caller left while a member's
phone rang, which the caller's own line tells), AGENTDUMP (the member hung up on an announcement, and the
caller waits on), and all that is told of members and of the log itself.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec import Struct

from ctid.model.facts import (
    CallerAbandoned,
    CallerAnswered,
    CallerLeft,
    CallerQueued,
    CallServed,
    Member,
    OfferMissed,
    QueueMoment,
)
from ctid.model.ids import AgentId, LegId, PbxId, QueueId, safe_id
from ctid.model.words import LeaveReason
from ctid.ports import MemberName
from ctid_asterisk import fields
from ctid_asterisk.fields import agent_of_interface, number, printable
from ctid_asterisk.halves import Halves, far_halves
from ctid_asterisk.members import Key
from ctid_asterisk.wire import clean

NOBODY = "NONE"

OTHERS = frozenset(
    {
        "RINGCANCELED", "AGENTDUMP", "AGENTLOGIN", "AGENTLOGOFF", "AGENTCALLBACKLOGIN", "AGENTCALLBACKLOGOFF",
        "ADDMEMBER", "REMOVEMEMBER", "PAUSE", "UNPAUSE", "PAUSEALL", "UNPAUSEALL", "PAUSEREASON", "PENALTY",
        "RINGINUSE", "CONFIGRELOAD", "QUEUESTART", "OUTCALL", "DID", "INFO",
    }
)  # fmt: skip
"""Events that the log has and that are no moments of a caller."""

_LEAVING = {
    "EXITWITHTIMEOUT": LeaveReason.TIMEOUT,
    "EXITEMPTY": LeaveReason.EMPTY,
    "EXITWITHKEY": LeaveReason.KEY,
    "WITHDRAW": LeaveReason.WITHDRAWN,
}
_ENDING = {
    "COMPLETECALLER": "caller",
    "COMPLETEAGENT": "agent",
    "BLINDTRANSFER": "transfer",
    "ATTENDEDTRANSFER": "transfer",
    "TRANSFER": "transfer",
}
TOLD = frozenset({"ENTERQUEUE", "CONNECT", "ABANDON", "SYSCOMPAT", "RINGNOANSWER", *_LEAVING, *_ENDING})
"""Events that are moments."""
_KNOWN = TOLD | OTHERS

LONGEST_ID = 255
"""A unique id has at most 149 characters (Asterisk, AST_MAX_PUBLIC_UNIQUEID)."""


class Line(Struct, frozen=True, gc=False):
    """One line. `at` is in whole seconds; `agent` and `queue` are Asterisk's own words, fit to be kept."""

    at: int
    leg: str
    queue: str
    agent: str
    event: str
    data: tuple[str, ...]


def parse(text: str) -> Line | None:
    """Read a line, without its line break; none for one that is not of the log's form.

    `text` is UTF-8 with surrogateescape; a byte that was not UTF-8 becomes U+FFFD, as in events.
    """
    parts = clean(text).split("|")
    if len(parts) < 5 or len(parts[1]) > LONGEST_ID:
        return None
    try:
        at = int(fields.instant(fields.whole(parts[0])))
    except ValueError:
        return None
    # A member's name may hold a `|`: the event is the first word of Asterisk's after it.
    where = next((index for index in range(4, len(parts)) if parts[index] in _KNOWN), 4)
    agent = "|".join(parts[3:where])
    return Line(at, parts[1], parts[2], agent, parts[where], tuple(parts[where + 1 :]))


class Names:
    """Whom the log means by a name: by the members known now, then by those remembered.

    `channels` are the names of the channels that live, by unique id: where members of a queue share a name,
    the one whose channel answered is meant. `members` is by queue and interface, in Asterisk's own words.
    """

    def __init__(
        self,
        members: Mapping[Key, Member],
        remembered: Iterable[MemberName] = (),
        channels: Mapping[str, str] | None = None,
    ) -> None:
        self.channels = channels or {}
        self._of_queue: dict[tuple[str, str], dict[AgentId, str]] = {}
        self._of_all: dict[str, set[AgentId]] = {}
        for (queue, interface), member in members.items():
            self._of_queue.setdefault((safe_id(queue), member.name), {})[member.agent] = interface
            self._of_all.setdefault(member.name, set()).add(member.agent)
        self._before: dict[tuple[str, str], set[AgentId]] = {}
        self._before_of_all: dict[str, set[AgentId]] = {}
        for name in remembered:
            self._before.setdefault((name.queue, name.name), set()).add(name.agent)
            self._before_of_all.setdefault(name.name, set()).add(name.agent)

    def known(self) -> tuple[MemberName, ...]:
        """The names of the members that are known now, to be remembered."""
        return tuple(
            MemberName(queue=QueueId(queue), name=name, agent=agent)
            for (queue, name), agents in self._of_queue.items()
            for agent in agents
        )

    def agent(self, queue: str, name: str, unique: str = "") -> AgentId | None:
        """Who it is, or none where nobody or several have the name; `unique` is the channel that answered."""
        shown = printable(name)
        here = self._of_queue.get((safe_id(queue), shown), {})
        if len(here) > 1:
            dialled = self.channels.get(unique, "").rpartition("-")[0]
            return next((a for a, interface in here.items() if interface.removesuffix("/n") == dialled), None)
        for found in (
            here,
            self._of_all.get(shown, ()),
            self._before.get((safe_id(queue), shown), ()),
            self._before_of_all.get(shown, ()),
        ):
            if found:
                return next(iter(found)) if len(found) == 1 else None
        # A member without a name of its own is named by its interface.
        return agent_of_interface(name) if "/" in name else None

    def is_local(self, queue: str, name: str) -> bool:
        """Whether a queue reaches a member of this name by a Local channel, as far as is known."""
        here = self._of_queue.get((safe_id(queue), printable(name)))
        interfaces = here.values() if here else (name,)
        return any(interface.startswith("Local/") for interface in interfaces)


class Story(Struct, frozen=True, kw_only=True):
    """What lines tell: the moments in their order, and what could not be told."""

    moments: tuple[QueueMoment, ...]
    nameless: Counter[str]
    """How many moments name somebody who is nobody, or more than one."""
    unknown: Counter[str]
    """Events that are none of Asterisk's own, as the application QueueLog writes them; no moments."""
    unread: int
    """Lines of moments that lack a figure, or have one that is none."""
    strange: frozenset[str]
    """Legs told as their own that may be another caller's, who talks through them."""


def tell(lines: Iterable[Line], pbx: PbxId, names: Names) -> Story:
    """Tell lines as moments.

    When a member that is reached by a Local channel sends her caller to another queue, the log names the
    Local channel's other half there; the caller's own leg is told instead, as far as `Halves` recognises it.
    """
    lines = [*lines]
    teller = _Teller(pbx, names, _halves(lines, names))
    for line in lines:
        teller.tell(line)
    return Story(
        moments=tuple(teller.moments),
        nameless=teller.nameless,
        unknown=teller.unknown,
        unread=teller.unread,
        strange=frozenset(teller.halves.strange),
    )


def _halves(lines: Iterable[Line], names: Names) -> Halves:
    seen: set[str] = set()
    possible: set[str] = set()
    callers: dict[str, set[str]] = {}
    for line in lines:
        seen.add(line.leg)
        if line.event == "ENTERQUEUE" and len(line.data) > 1:
            callers.setdefault(line.data[1], set()).add(line.leg)
        elif line.event == "CONNECT" and len(line.data) > 1:
            seen.add(line.data[1])
            if names.is_local(line.queue, line.agent):
                possible.update(far_halves(line.data[1]))
    return Halves(names.channels, seen, {number: legs - possible for number, legs in callers.items()})


class _Teller:
    def __init__(self, pbx: PbxId, names: Names, halves: Halves) -> None:
        self.halves = halves
        self._pbx = pbx
        self._names = names
        self.moments: list[QueueMoment] = []
        self.nameless: Counter[str] = Counter()
        self.unknown: Counter[str] = Counter()
        self.unread = 0
        self._answered: dict[tuple[str, str, str], AgentId] = {}
        """Leg, queue and name of who answered, to the agent."""
        self._entered: dict[tuple[str, str], int] = {}

    def tell(self, line: Line) -> None:
        if line.event not in TOLD:
            if line.event not in OTHERS:
                self.unknown[printable(line.event)[:40]] += 1
            return
        try:
            self.moments.append(self._moment(line))
        except (ValueError, IndexError):
            self.unread += 1

    def _moment(self, line: Line) -> QueueMoment:
        if line.event == "ENTERQUEUE":
            self.halves.entered(line.leg, line.data[1])
        leg = self.halves.caller(line.leg)
        pbx, at = self._pbx, fields.instant(line.at)
        queue, ident = QueueId(safe_id(line.queue)), LegId(leg)
        data = line.data
        where = (leg, line.queue)
        source = f"queue_log {line.event}"
        if line.event == "ENTERQUEUE":
            position = fields.whole(data[2])
            self._entered[where] = line.at
            return CallerQueued(pbx=pbx, at=at, source=source, queue=queue, leg=ident, position=position)
        if line.event in ("ABANDON", "SYSCOMPAT"):
            waited = line.at - self._entered.get(where, line.at)
            wait = number(data[2]) if line.event == "ABANDON" else waited
            position = fields.whole(data[0]) if line.event == "ABANDON" else 1
            return CallerAbandoned(
                pbx=pbx, at=at, source=source, queue=queue, leg=ident, position=position, wait_s=wait
            )
        if line.event in _LEAVING:
            first = 1 if line.event == "EXITWITHKEY" else 0  # the key comes before the position
            return CallerLeft(
                pbx=pbx,
                at=at,
                source=source,
                queue=queue,
                leg=ident,
                reason=_LEAVING[line.event],
                position=fields.whole(data[first]),
                wait_s=number(data[first + 2]),
            )
        if line.event == "CONNECT":
            hold, unique, ring = number(data[0]), data[1], number(data[2])
            agent = self._agent(line, leg, unique)
            self.halves.dialled(unique)
            if self._names.is_local(line.queue, line.agent):
                self.halves.connected(leg, line.queue, unique)
            return CallerAnswered(
                pbx=pbx, at=at, source=source, queue=queue, agent=agent, leg=ident, hold_s=hold, ring_s=ring
            )
        if line.event == "RINGNOANSWER":
            ring = number(data[0]) / 1000
            agent = self._agent(line, leg)
            return OfferMissed(
                pbx=pbx, at=at, source=source, queue=queue, agent=agent, leg=ident, ring_s=ring
            )
        # Transfers put where the call went before the three figures that all endings have.
        hold, talk = (
            (number(data[0]), number(data[1])) if len(data) <= 3 else (number(data[-3]), number(data[-2]))
        )
        self.halves.ended(leg, line.queue)
        return CallServed(
            pbx=pbx,
            at=at,
            source=source,
            queue=queue,
            agent=self._agent(line, leg),
            leg=ident,
            hold_s=hold,
            talk_s=talk,
            by=_ENDING[line.event],
        )

    def _agent(self, line: Line, leg: str, unique: str = "") -> AgentId:
        who = (leg, line.queue, line.agent)
        agent = self._names.agent(line.queue, line.agent, unique)
        if agent is None and not unique:
            agent = self._answered.get(who)
        if agent is None:
            self.nameless[printable(line.agent)] += 1
            return AgentId("")
        if unique:
            self._answered[who] = agent
        return agent


def whole(lines: Sequence[Line], legs: set[str], birth: Callable[[str], float]) -> tuple[set[str], float]:
    """What to look for before `lines`, so that each of `legs` is whole: the legs, and since when."""
    wanted = legs | {leg for line in lines if (leg := _through(line, legs)) is not None}
    return wanted, min((birth(leg) for leg in wanted), default=0.0)


def _through(line: Line, legs: set[str]) -> str | None:
    """The caller who talks through one of these legs, if the line says so."""
    if line.event != "CONNECT" or len(line.data) < 2:
        return None
    return line.leg if legs.intersection(far_halves(line.data[1])) else None
