"""Who asks, and what there are rights to; which role may call an operation is in the operations table."""

from enum import StrEnum

from msgspec import Struct

from ctid.model.ids import AgentId


class UserRole(StrEnum):
    """The roles a token can have."""

    VIEWER = "viewer"
    """Sees the floor, callers' numbers masked."""
    INTEGRATOR = "integrator"
    """A tool that reads the state, callers' numbers masked."""
    SUPERVISOR = "supervisor"
    """Sees the floor and supervises calls by the phones she is allowed."""
    ADMIN = "admin"
    AGENT = "agent"
    """Sees what concerns herself: her state, the sessions about her, her coaching sheets."""
    PRINCIPAL = "principal"
    """Whoever ordered a campaign: sees figures, and nobody by name."""


FLOOR_ROLES = frozenset({UserRole.VIEWER, UserRole.INTEGRATOR, UserRole.SUPERVISOR, UserRole.ADMIN})
"""Those who see the floor."""
SUPERVISING_ROLES = frozenset({UserRole.SUPERVISOR, UserRole.ADMIN})
"""Those who see who listens to whom, and may supervise and command as far as their rights go."""
FIGURES_ROLES = FLOOR_ROLES | {UserRole.PRINCIPAL}
"""Those who see figures; a principal sees the queues' totals alone."""
OWN_ROLES = FLOOR_ROLES | {UserRole.AGENT}
"""Those who see an agent; an agent sees herself alone."""
COMMANDING_ROLES = SUPERVISING_ROLES | {UserRole.AGENT}
"""Those who command an agent; an agent commands herself alone."""
EVERY_ROLE = frozenset(UserRole)


class Right(StrEnum):
    """What is granted to a role or a user over a team; without a grant it is denied."""

    LISTEN = "listen"
    WHISPER = "whisper"
    BARGE = "barge"
    TAKEOVER = "takeover"
    COMMAND = "command"
    """Command agents, and act on calls."""
    NUMBERS = "numbers"
    """See callers' numbers in full."""
    SUPERVISORS = "supervisors"
    """Monitor somebody who is a supervisor."""
    AUDIT = "audit"
    """Read who monitored whom."""


class User(Struct, frozen=True, kw_only=True):
    """An authenticated person or tool.

    `phones` are names of `[[phone]]` in the configuration, `teams` the ids of her own teams; `agent` is who
    the user is among the agents, if she is one. `scopes` narrow what the role may do; none: all of it.
    `credential` is what she showed, such as `token:anna`, and no secret.
    """

    name: str
    role: UserRole
    phones: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    agent: AgentId | None = None
    scopes: tuple[str, ...] = ()
    credential: str = ""
