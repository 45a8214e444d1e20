"""Rights and law in the configuration: what is wrong with them, what is doubtful, the gate that they make."""

import os
from collections.abc import Iterator
from datetime import date, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from ctid.config_schema import Config, PeriodConfig
from ctid.model.ids import AgentId
from ctid.model.users import Right, User, UserRole
from ctid.supervision.gate import Gate
from ctid.supervision.law import Law
from ctid.supervision.periods import Calendar, Period
from ctid.supervision.published import DAYS
from ctid.supervision.rights import ALL, DEFAULT_GRANTS, OWN, Grant, Rights, Staff
from ctid.toml_reader import Mistake, nearest

LOCAL_TIME = Path("/etc/localtime")
_MONITORING = frozenset({Right.LISTEN, Right.WHISPER, Right.BARGE, Right.TAKEOVER})
_SUPERVISING = frozenset({UserRole.SUPERVISOR, UserRole.ADMIN})
_LONGEST_SESSION_S = 86400.0
_WEEK_MINUTES = 7 * 1440.0
_MOST = 1000


class NoZone(ValueError):
    """A time zone that this machine does not know; the text says where it comes from, and the cure."""


# What is wrong ------------------------------------------------------------------------------------------


def law_mistakes(config: Config) -> Iterator[Mistake]:
    """What the types of `[[grant]]`, `[law]`, `[[period]]` and of a token's agent do not say."""
    yield from _grants(config)
    yield from _bounds(config)
    for index, period in enumerate(config.periods):
        for key, problem, cure in _period(period):
            yield Mistake(path=("period", index, key), problem=problem, cure=cure)
    for index, token in enumerate(config.tokens):
        if token.role is UserRole.AGENT and not token.agent:
            cure = 'add agent = "1001": what a token of the role agent sees is that agent alone'
            yield Mistake(path=("token", index), problem="the key 'agent' is missing", cure=cure)


def _grants(config: Config) -> Iterator[Mistake]:
    for index, grant in enumerate(config.grants):
        if (grant.role is None) == (not grant.user):
            cure = 'write either role = "supervisor" or user = "anna"'
            yield Mistake(path=("grant", index), problem="names not one of role and user", cure=cure)


def _bounds(config: Config) -> Iterator[Mistake]:
    law = config.law
    for key, value, most, unit in (
        ("max_session_s", law.max_session_s, _LONGEST_SESSION_S, "seconds"),
        ("agent_minutes_per_week", law.agent_minutes_per_week, _WEEK_MINUTES, "minutes"),
        ("warn_minutes_per_week", law.warn_minutes_per_week, _WEEK_MINUTES, "minutes"),
        ("agent_sessions_per_day", law.agent_sessions_per_day, _MOST, "sessions"),
        ("calls_per_follow", law.calls_per_follow, _MOST, "calls"),
    ):
        if not 0 <= value <= most:
            cure = f"{unit}, 0 to {most:g}; 0 is no bound"
            yield Mistake(path=("law", key), problem=f"{value:g} is out of range", cure=cure)
    try:
        zone_of(law.timezone)
    except NoZone as error:
        yield Mistake(path=("law", "timezone"), problem=str(error), cure='such as "Europe/Paris"')


def _period(period: PeriodConfig) -> Iterator[tuple[str, str, str]]:
    begins, ends = _minutes(period.begins), _minutes(period.ends)
    for key, text, minutes in (("from", period.begins, begins), ("to", period.ends, ends)):
        if minutes is None:
            yield key, f"{text!r} is no time of the day", 'such as "09:00"; midnight at the end is "24:00"'
    if begins is not None and ends is not None and ends <= begins:
        yield (
            "to",
            f"{period.ends} is not after {period.begins}",
            "write a second [[period]] for the next day",
        )
    if not period.days and not period.dates:
        yield "days", "there is no day in it", 'add days = ["mon", "tue"] or dates = ["2026-03-02"]'
    for text in period.dates:
        if _date(text) is None:
            yield "dates", f"{text!r} is no date", 'such as "2026-03-02"'


def _minutes(text: str) -> int | None:
    hours, colon, minutes = text.partition(":")
    if not colon or len(hours) != 2 or len(minutes) != 2 or not (hours + minutes).isdecimal():
        return None
    found = int(hours) * 60 + int(minutes)
    return found if int(minutes) < 60 and found <= 1440 else None


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def zone_of(name: str) -> tzinfo:
    """The time zone of a name, or, of no name, this machine's: `$TZ`, else /etc/localtime, else UTC.

    Raises:
        NoZone: this machine does not know it.
    """
    named = name or os.environ.get("TZ", "")
    try:
        if named:
            return ZoneInfo(named)
        if LOCAL_TIME.exists():
            with LOCAL_TIME.open("rb") as file:
                # Where it is no link into the zones' folder, nothing tells its name.
                name_of = LOCAL_TIME.resolve().as_posix().rpartition("/zoneinfo/")[2]
                return ZoneInfo.from_file(file, key=name_of)
        return ZoneInfo("UTC")
    # A name that is a folder there, such as `Europe`, is opened all the same.
    except (ValueError, KeyError, OSError) as error:
        source = "" if name else " of this machine"
        raise NoZone(
            f"the time zone {named or LOCAL_TIME!s}{source} is not known here (is tzdata installed?)"
        ) from error


# What is doubtful ---------------------------------------------------------------------------------------


def law_warnings(config: Config) -> list[str]:
    """What may be meant otherwise: each a sentence with its cure."""
    return [
        *_unknown_users(config),
        *_unknown_teams(config),
        *_powerless(config),
        *_no_periods(config),
    ]


def _unknown_users(config: Config) -> Iterator[str]:
    users = [token.name for token in config.tokens]
    for index, grant in enumerate(config.grants):
        if grant.user and grant.user not in users:
            yield (
                f"grant[{index}].user: {grant.user!r} is no [[token]]; `ctid token list` and "
                f"`ctid user list` tell whether it is a kept one; {nearest(grant.user, users)}"
            )


def known_teams(config: Config) -> list[str]:
    """The teams that the configuration speaks of, in the order of their ids."""
    return sorted({team.id for team in config.teams} | {agent.team for agent in config.agents if agent.team})


def _unknown_teams(config: Config) -> Iterator[str]:
    known = known_teams(config)
    named = [(f"grant[{i}].teams", team) for i, grant in enumerate(config.grants) for team in grant.teams]
    named += [(f"token[{i}].teams", team) for i, token in enumerate(config.tokens) for team in token.teams]
    named += [(f"period[{i}].team", period.team) for i, period in enumerate(config.periods)]
    for where, team in named:
        own = team == OWN and where.startswith("grant")
        if team not in known and team != ALL and not own:
            yield f"{where}: no agent is in a team {team!r}; {nearest(team, known)}"


def _powerless(config: Config) -> Iterator[str]:
    rights = rights_of(config)
    for index, grant in enumerate(config.grants):
        roles = {grant.role} if grant.role else {t.role for t in config.tokens if t.name == grant.user}
        if _MONITORING.intersection(grant.rights) and not roles <= _SUPERVISING:
            yield (
                f"grant[{index}].rights: only the roles supervisor and admin may supervise, whatever is "
                "granted to others"
            )
    for index, token in enumerate(config.tokens):
        user = User(name=token.name, role=token.role, teams=frozenset(token.teams))
        if token.role is UserRole.SUPERVISOR and not any(rights.over(user, right) for right in _MONITORING):
            yield (
                f"token[{index}]: {token.name} is a supervisor, and may listen to nobody; give the token "
                'teams = ["north"] (or ["*"]: all), or a [[grant]]'
            )


def _no_periods(config: Config) -> Iterator[str]:
    if not config.law.periods_required:
        return
    cure = "add a [[period]], or set law.periods_required = false"
    calendar = Calendar(_periods(config))
    lacking = [team for team in known_teams(config) if not calendar.of(team)]
    if not config.periods:
        yield f"law.periods_required: there is no [[period]], so nobody may be listened to; {cure}"
    elif lacking:
        yield f"law.periods_required: no [[period]] for {', '.join(lacking)}; {cure}"


# What it makes ------------------------------------------------------------------------------------------


def rights_of(config: Config) -> Rights:
    """The grants; where there are none, those that hold by default."""
    grants = [
        Grant(role=grant.role, user=grant.user, teams=frozenset(grant.teams), rights=frozenset(grant.rights))
        for grant in config.grants
    ]
    return Rights(grants or DEFAULT_GRANTS)


def gate_of(config: Config) -> Gate:
    """The gate that a good configuration makes.

    Raises:
        NoZone: the time zone has become unknown since the configuration was checked.
    """
    supervising = {AgentId(t.agent) for t in config.tokens if t.agent and t.role is UserRole.SUPERVISOR}
    staff = Staff(
        teams={AgentId(agent.id): agent.team for agent in config.agents},
        protected=frozenset(AgentId(agent.id) for agent in config.agents if agent.protected),
        supervisors=frozenset(supervising | {AgentId(a.id) for a in config.agents if a.supervisor}),
    )
    return Gate(
        rights=rights_of(config),
        staff=staff,
        law=Law(**{name: getattr(config.law, name) for name in Law.__struct_fields__}),
        calendar=Calendar(_periods(config), zone_of(config.law.timezone)),
        notices={team.id: team.notice for team in config.teams},
    )


def _periods(config: Config) -> list[Period]:
    return [
        Period(
            team=period.team,
            begins=_minutes(period.begins) or 0,
            ends=_minutes(period.ends) or 0,
            days=frozenset(DAYS.index(day) for day in period.days),
            dates=frozenset(found for text in period.dates if (found := _date(text)) is not None),
        )
        for period in config.periods
    ]
