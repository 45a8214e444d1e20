"""Who may do what over which team: grants, denied by default. Pure."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from msgspec import Struct

from ctid.model.errors import Forbidden
from ctid.model.ids import AgentId
from ctid.model.users import Right, User, UserRole
from ctid.model.words import Mode

ALL = "*"
"""Every team, and whoever is in none."""
OWN = "own"
"""The teams of the user's own token."""

RIGHT_OF_MODE = MappingProxyType(
    {
        Mode.LISTEN: Right.LISTEN,
        Mode.WHISPER: Right.WHISPER,
        Mode.BARGE: Right.BARGE,
        Mode.TAKEOVER: Right.TAKEOVER,
    }
)


class Grant(Struct, frozen=True, kw_only=True):
    """Rights of a role, or of one user, over teams: their ids, `OWN` or `ALL`."""

    teams: frozenset[str]
    rights: frozenset[Right]
    role: UserRole | None = None
    user: str = ""


DEFAULT_GRANTS = (
    Grant(
        role=UserRole.SUPERVISOR,
        teams=frozenset({OWN}),
        rights=frozenset(
            {Right.LISTEN, Right.WHISPER, Right.BARGE, Right.TAKEOVER, Right.COMMAND, Right.NUMBERS}
        ),
    ),
    Grant(
        role=UserRole.ADMIN,
        teams=frozenset({ALL}),
        rights=frozenset({Right.COMMAND, Right.NUMBERS, Right.AUDIT, Right.SUPERVISORS}),
    ),
)
"""What holds where the configuration grants nothing itself. An admin does not listen by these."""


class Staff(Struct, frozen=True, kw_only=True):
    """What the configuration says of agents: her team, who is protected, who is a supervisor."""

    teams: Mapping[AgentId, str] = MappingProxyType({})
    protected: frozenset[AgentId] = frozenset()
    """Representatives of the staff: never monitored, by anybody."""
    supervisors: frozenset[AgentId] = frozenset()


def covers(teams: frozenset[str], team: str) -> bool:
    """Whether these teams have `team` among them; whoever is in no team (empty) is in `ALL` alone."""
    return ALL in teams or (team != "" and team in teams)


class Rights:
    """The grants of a site."""

    def __init__(self, grants: Iterable[Grant] = DEFAULT_GRANTS) -> None:
        self._grants = tuple(grants)

    def over(self, user: User, right: Right) -> frozenset[str]:
        """The teams over which a user has a right; see `covers`."""
        teams: set[str] = set()
        for grant in self._grants:
            if right in grant.rights and (grant.user == user.name if grant.user else grant.role is user.role):
                teams |= grant.teams - {OWN}
                if OWN in grant.teams:
                    teams |= user.teams
        return frozenset(teams)

    def may(self, user: User, right: Right, team: str) -> bool:
        """Whether a user has a right over a team."""
        return covers(self.over(user, right), team)

    def modes(self, user: User, team: str) -> frozenset[Mode]:
        """The modes in which a user may supervise the agents of a team."""
        return frozenset(mode for mode, right in RIGHT_OF_MODE.items() if self.may(user, right, team))

    def require(self, user: User, right: Right, team: str, what: str) -> None:
        """See that a user has a right over a team; `what` is what she wants, in words.

        Raises:
            Forbidden: she has not; the detail names the right and the team.
        """
        teams = self.over(user, right)
        if covers(teams, team):
            return
        whose = f"the team {team!r}" if team else 'agents of no team (teams = ["*"])'
        has = f"has it over {', '.join(sorted(teams))}" if teams else "has it over no team"
        raise Forbidden(
            f"{what} needs the right {right.value!r} over {whose}; {user.name} ({user.role}) {has}: "
            "the [[grant]]s of ctid.toml, and the teams of her [[token]], say who has it"
        )
