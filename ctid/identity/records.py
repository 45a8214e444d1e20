"""What is kept of tokens, people and sessions, and what is told of them. Pure."""

from typing import Any

from msgspec import Struct

from ctid.model.ids import AgentId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole


class Bearer(Struct, frozen=True, kw_only=True):
    """What somebody may do, however she shows who she is."""

    name: str
    role: UserRole
    phones: tuple[str, ...] = ()
    teams: tuple[str, ...] = ()
    agent: str = ""
    scopes: tuple[str, ...] = ()

    def user(self, credential: str) -> User:
        """The user that she is by a credential."""
        return User(
            name=self.name,
            role=self.role,
            phones=frozenset(self.phones),
            teams=frozenset(self.teams),
            agent=AgentId(self.agent) if self.agent else None,
            scopes=self.scopes,
            credential=credential,
        )


class Token(Bearer, frozen=True, kw_only=True):
    """A token that was made at run time: known by the SHA-256 of it, in hex."""

    id: str
    sha256: str
    made_at: Instant
    made_by: str
    expires: Instant | None = None
    used_at: Instant | None = None
    """Coarse: to the minute."""


class Person(Bearer, frozen=True, kw_only=True):
    """Somebody who logs in. Without a `password` (argon2's hash) only the OpenID provider lets her in."""

    password: str = ""
    disabled: bool = False
    made_at: Instant
    made_by: str
    login_at: Instant | None = None


class Session(Struct, frozen=True, kw_only=True):
    """A login. `sha256` is that of the cookie's value; `bearer` is who she is where a provider said so."""

    id: str
    name: str
    sha256: str
    csrf: str
    """Not a secret to her own browser, and one to every other site."""
    peer: str
    made_at: Instant
    used_at: Instant
    expires_at: Instant
    bearer: Bearer | None = None


class Moment(Struct, frozen=True, kw_only=True):
    """What the audit is to tell: written with the change itself, and carried over."""

    at: Instant
    event: str
    by: str
    about: dict[str, Any]


class Stored(Struct, frozen=True, kw_only=True):
    """All that is kept."""

    tokens: tuple[Token, ...] = ()
    people: tuple[Person, ...] = ()
    sessions: tuple[Session, ...] = ()
