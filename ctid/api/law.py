"""What the law owes agents, by the API: the listening periods, a fair draw, the sessions about them."""

import secrets
from typing import Annotated

import structlog
from msgspec import Meta, Struct
from msgspec.structs import asdict

from ctid.api.context import ApiContext
from ctid.api.listing import ById
from ctid.api.views import check_own
from ctid.audit import Entry
from ctid.model.entities import Agent, Supervision
from ctid.model.errors import Forbidden, InvalidRequest, SupervisionRefused
from ctid.model.ids import AgentId
from ctid.model.instant import Instant
from ctid.model.users import Right, User
from ctid.model.words import AgentState, Mode, Origin, Purpose, Scope
from ctid.supervision.draw import Candidate, draw
from ctid.supervision.law import Plan, end_of_period
from ctid.supervision.periods import Window
from ctid.supervision.published import Periods, published
from ctid.supervision.record import SessionAbout, sessions_about

log = structlog.get_logger(__name__)

SHOWN_DAYS = 7
_SEED_BYTES = 8


class PeriodsRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing is asked."""


class PeriodsNow(Periods, frozen=True, kw_only=True):
    """The rules, and what they come to in the next seven days."""

    at: Instant
    windows: dict[str, list[Window]]
    """By team: from today's midnight on, by the site's clock and its changes."""


class DrawRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of which team."""

    team: str


class Drawn(Struct, frozen=True, kw_only=True):
    """Who is to be listened to, by lot."""

    agent: AgentId
    among: tuple[AgentId, ...]
    """Whom law and rights let you listen to now; drawn is one of the half that was listened to least."""
    seed: str
    """It is in ctid's log: the draw can be done again with it."""


class SessionsRequest(ById, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """About which agent."""

    limit: Annotated[int, Meta(ge=1, le=500, description="The most items to answer with.")] = 100
    cursor: Annotated[str, Meta(description="The `next` of the page before.")] = ""


class SessionsPage(Struct, frozen=True, kw_only=True):
    """Sessions about an agent, the newest first."""

    items: tuple[SessionAbout, ...]
    next: str | None
    """The `cursor` of the next page; none on the last one."""


class WarnedSupervision(Supervision, frozen=True, kw_only=True):
    """A session, and what is to be known of how much its agent is listened to."""

    warnings: tuple[str, ...] = ()


async def get_periods(context: ApiContext, _user: User, _request: PeriodsRequest) -> PeriodsNow:
    """Tell the listening periods."""
    gate, now = context.gate, context.now()
    rules = published(gate)
    today = gate.calendar.today(now)
    windows = {team.team: gate.calendar.windows(team.team, today, SHOWN_DAYS) for team in rules.teams}
    return PeriodsNow(**asdict(rules), at=now, windows=windows)


async def draw_agent(context: ApiContext, user: User, request: DrawRequest) -> Drawn:
    """Draw an agent of a team."""
    gate, now = context.gate, context.now()
    gate.rights.require(user, Right.LISTEN, request.team, "drawing an agent to listen to")
    end_of_period(gate.law, gate.calendar, request.team, now)
    week = gate.calendar.week(now)
    candidates = [
        Candidate(agent=agent.id, listened_s=gate.tally.listened_s(agent.id, week, now))
        for agent in context.hub.store.agents.values()
        if agent.team == request.team and agent.state is not AgentState.LOGGED_OUT
        if _may_listen(context, user, agent, now)
    ]
    seed = secrets.token_hex(_SEED_BYTES)
    drawn = draw(candidates, seed)
    if drawn is None:
        raise SupervisionRefused(
            "nobody_to_draw", f"of the team {request.team!r} nobody is logged in whom you may listen to now"
        )
    among = tuple(sorted([candidate.agent for candidate in candidates]))
    log.info("agent drawn", by=user.name, team=request.team, agent=drawn, among=among, seed=seed)
    return Drawn(agent=drawn, among=among, seed=seed)


def _may_listen(context: ApiContext, user: User, agent: Agent, now: Instant) -> bool:
    plan = Plan(
        user=user,
        agent=agent.id,
        team=agent.team,
        is_supervisor=agent.id in context.gate.staff.supervisors,
        call=None,
        mode=Mode.LISTEN,
        purpose=Purpose.QUALITY,
        origin=Origin.SUPERVISOR,
        scope=Scope.NEXT,
    )
    try:
        context.gate.admit(plan, now)
    except (SupervisionRefused, Forbidden):
        return False
    return True


async def list_sessions(context: ApiContext, user: User, request: SessionsRequest) -> SessionsPage:
    """List the sessions about an agent: her own right, or that of who has the right `audit` over her team."""
    agent = AgentId(request.id)
    check_own(user, agent, "the list of sessions")
    if user.agent != agent:
        team = context.team_of(agent)
        context.gate.rights.require(user, Right.AUDIT, team, f"the list of sessions about agent {agent}")
        read = Entry(at=context.now(), event="audit_read", by=user.name, agent=agent)
        await context.audit.write(read)
    found = sessions_about(await context.audit.steps(), agent)
    first = 0
    if request.cursor:
        idents = [str(about.id) for about in found]
        if request.cursor not in idents:
            raise InvalidRequest(
                "cursor is not the `next` of a page; leave it out to begin anew", field="cursor"
            )
        first = idents.index(request.cursor) + 1
    items = tuple(found[first : first + request.limit])
    more = len(found) > first + len(items)
    return SessionsPage(items=items, next=items[-1].id if more else None)


def warned(context: ApiContext, session: Supervision) -> WarnedSupervision:
    """A session with its warnings."""
    warnings = context.gate.warnings(session.agent, context.now()) if session.agent is not None else ()
    return WarnedSupervision(**asdict(session), warnings=warnings)
