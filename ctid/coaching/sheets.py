"""The coaching sheet: what is on it, who may read it, and how it is mended. Pure."""

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.errors import InvalidRequest, NotFound, SheetRefused
from ctid.model.ids import AgentId, CallId, PbxId, SheetId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import Purpose
from ctid.supervision.rights import covers

LONGEST_TEXT = 2000
LONGEST_COMMENT = 1000
BEST = 5
"""The highest grade; the lowest is 1."""


class Criterion(Struct, frozen=True, kw_only=True):
    """One line of the grid. `label` is for people; empty: the id."""

    id: str
    label: str = ""


class Grade(Struct, frozen=True, kw_only=True):
    """A criterion as it was when the sheet was written, and its grade, 1 to 5; none: not graded."""

    id: str
    label: str
    grade: int | None = None


class Comment(Struct, frozen=True, kw_only=True):
    """What the agent answers to the version that she read."""

    text: str
    at: Instant
    version: int


class Session(Struct, frozen=True, kw_only=True):
    """A session's part with one agent, as far as a sheet needs it."""

    id: SupervisionId
    pbx: PbxId
    supervisor: str
    agent: AgentId
    team: str
    """The agent's."""
    call: CallId | None
    """The last call that she was in with this agent."""
    purpose: Purpose
    began_at: Instant
    ended_at: Instant | None = None


class Sheet(Struct, frozen=True, kw_only=True):
    """What a supervisor noted about an agent after a session, or in it."""

    id: SheetId
    pbx: PbxId
    supervision: SupervisionId
    agent: AgentId
    team: str
    """The agent's, at that time."""
    call: CallId | None
    purpose: Purpose
    author: str
    """The authenticated name of the supervisor whose session it was."""
    session_at: Instant
    """When the session began to be in a call of this agent's."""
    written_at: Instant
    changed_at: Instant
    version: int
    """Of what the author wrote, from 1."""
    editable_until: Instant
    grades: tuple[Grade, ...]
    """All of the grid, in its order."""
    text: str = ""
    comment: Comment | None = None


Grades = Mapping[str, int | None]
"""Grades by criterion; none takes one away."""


def session_of(told: Supervision, known: Session | None, team: str) -> Session | None:
    """A session's part with the agent that it is with now; none while it is with nobody."""
    if told.agent is None:
        return None
    return Session(
        id=told.id,
        pbx=told.pbx,
        supervisor=told.supervisor,
        agent=told.agent,
        team=known.team if known is not None else team,
        call=told.call or (known.call if known is not None else None),
        purpose=told.purpose,
        began_at=known.began_at if known is not None else told.since,
        ended_at=told.ended_at,
    )


def chosen(user: User, ident: str, sessions: Sequence[Session], agent: str | None) -> Session:
    """The part of a session that a sheet is to be about.

    Raises:
        NotFound: no such session of this user's, or it was never with this agent.
        InvalidRequest: it was with several agents, and none is named.
    """
    hers = [session for session in sessions if session.supervisor == user.name]
    if not hers:
        raise NotFound("supervision", ident)
    if agent is None and len(hers) > 1:
        agents = ", ".join(session.agent for session in hers)
        raise InvalidRequest(f"the session followed {agents}: say whom the sheet is about", field="agent")
    found = next((session for session in hers if agent in (None, session.agent)), None)
    if found is None:
        agents = ", ".join(session.agent for session in hers)
        raise InvalidRequest(f"the session was with {agents}, and not with {agent}", field="agent")
    return found


def written(
    ident: SheetId,
    session: Session,
    grid: Sequence[Criterion],
    grades: Grades,
    text: str,
    *,
    now: Instant,
    edit_s: float,
) -> Sheet:
    """A new sheet. Raises InvalidRequest: a grade is none of the grid's, or nothing is said at all."""
    blank = tuple([Grade(id=criterion.id, label=criterion.label or criterion.id) for criterion in grid])
    return Sheet(
        id=ident,
        pbx=session.pbx,
        supervision=session.id,
        agent=session.agent,
        team=session.team,
        call=session.call,
        purpose=session.purpose,
        author=session.supervisor,
        session_at=session.began_at,
        written_at=now,
        changed_at=now,
        version=1,
        editable_until=Instant(now + edit_s),
        grades=_graded(blank, grades, text),
        text=text,
    )


def mended(sheet: Sheet, grades: Grades, text: str | None, now: Instant) -> Sheet:
    """The sheet's next version, by its author.

    Raises:
        SheetRefused: its time is over (`sheet.closed`).
        InvalidRequest: as `written`.
    """
    if now >= sheet.editable_until:
        raise SheetRefused("closed", "its time for changes is over; write another after the next session")
    text = sheet.text if text is None else text
    return replace(
        sheet,
        grades=_graded(sheet.grades, grades, text),
        text=text,
        version=sheet.version + 1,
        changed_at=now,
    )


def commented(sheet: Sheet, text: str, now: Instant) -> Sheet:
    """The sheet with the agent's answer; the author's version stays what it is."""
    return replace(sheet, comment=Comment(text=text, at=now, version=sheet.version), changed_at=now)


def may_read(user: User, sheet: Sheet, audited: frozenset[str]) -> bool:
    """Whether somebody may read it: its author, the agent, and who may read the audit of these teams."""
    if user.role is UserRole.AGENT:
        return user.agent == sheet.agent
    return user.name == sheet.author or covers(audited, sheet.team)


def _graded(grades: Sequence[Grade], given: Grades, text: str) -> tuple[Grade, ...]:
    known = [grade.id for grade in grades]
    for ident in given:
        if ident not in known:
            listed = ", ".join(known) or "none"
            raise InvalidRequest(f"{ident[:64]!r} is not in the grid; there are: {listed}", field="grades")
    graded = tuple([replace(grade, grade=given.get(grade.id, grade.grade)) for grade in grades])
    if not text.strip() and all(grade.grade is None for grade in graded):
        raise InvalidRequest("a sheet says something: give a grade or a text", field="grades")
    return graded
