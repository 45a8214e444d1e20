"""Who asks: bearer tokens (RFC 6750), known by their hash alone."""

import hmac
import secrets
from collections.abc import Collection, Iterable
from hashlib import sha256
from typing import Protocol

from ctid.model.errors import AuthExpired, AuthRequired
from ctid.model.ids import AgentId
from ctid.model.instant import Instant, to_rfc3339
from ctid.model.users import User, UserRole

_PREFIX = "ctid_"
_BYTES = 32
SUBPROTOCOL = "ctid.v1"
"""The WebSocket subprotocol a browser offers beside the one that bears its token."""
_BEARER_PROTOCOL = "ctid.bearer."


class TokenEntry(Protocol):
    """A token as the configuration tells it: `sha256` is the hash's 64 hex digits."""

    @property
    def name(self) -> str:
        """Who bears it."""
        ...

    @property
    def role(self) -> UserRole:
        """What its bearer may do."""
        ...

    @property
    def sha256(self) -> str:
        """The hash of the token."""
        ...

    @property
    def phones(self) -> Collection[str]:
        """The names of the phones its bearer may be rung at."""
        ...

    @property
    def expires(self) -> Instant | None:
        """From when on the token is good no more; none: it does not expire."""
        ...

    @property
    def teams(self) -> Collection[str]:
        """The ids of its bearer's own teams."""
        ...

    @property
    def agent(self) -> str:
        """Who its bearer is among the agents; empty: none."""
        ...


def new_token() -> tuple[str, str]:
    """Make a token of 256 random bits; returns it and the SHA-256 that the configuration keeps.

    It consists of letters, digits, `-` and `_`, so that it fits a header and a subprotocol's name. With
    that much entropy a plain hash is enough: there is nothing to guess.
    """
    token = _PREFIX + secrets.token_urlsafe(_BYTES)
    return token, token_hash(token)


def token_hash(token: str) -> str:
    """The SHA-256 of a token, in lower-case hex."""
    return sha256(token.encode("utf-8", "surrogateescape")).hexdigest()


class TokenTable:
    """The tokens that are known."""

    def __init__(self, entries: Iterable[TokenEntry]) -> None:
        entries = tuple(entries)
        self.expiries: dict[str, Instant] = {
            entry.name: entry.expires for entry in entries if entry.expires is not None
        }
        """From when on the tokens of these users are good no more."""
        self._users = [(entry.sha256.lower(), _user(entry)) for entry in entries]

    def user(self, name: str, now: float) -> User | None:
        """Who somebody is by name; none if nobody, or the token has expired. `now` is UTC, in seconds."""
        expires = self.expiries.get(name)
        if expires is not None and now >= expires:
            return None
        return next((user for _, user in self._users if user.name == name), None)

    def authenticate(self, token: str | None, now: float) -> User:
        """Tell whose token this is; every entry is compared, each in constant time. `now` is UTC, in seconds.

        Raises:
            AuthRequired: there is no token, or it is not known.
            AuthExpired: it was good once.
        """
        if token is None:
            raise AuthRequired("send the header `Authorization: Bearer <token>`")
        given = token_hash(token)
        found: User | None = None
        for known, user in self._users:
            if hmac.compare_digest(known, given):
                found = user
        if found is None:
            raise AuthRequired("this token is not known; `ctid token` makes one for the configuration")
        self.check_expiry(found, now)
        return found

    def check_expiry(self, user: User, now: float) -> None:
        """Raises AuthExpired: the token of this user is good no more."""
        expires = self.expiries.get(user.name)
        if expires is not None and now >= expires:
            raise AuthExpired(
                f"the token of {user.name} expired at {to_rfc3339(expires)}; `ctid token` makes a new one "
                "for the configuration"
            )

    def named(self, name: str) -> User | None:
        """The user of that name, for a carrier that knows by itself who asks; none: there is no such."""
        return next((user for _, user in self._users if user.name == name), None)


def _user(entry: TokenEntry) -> User:
    return User(
        name=entry.name,
        role=entry.role,
        phones=frozenset(entry.phones),
        teams=frozenset(entry.teams),
        agent=AgentId(entry.agent) if entry.agent else None,
    )


def bearer_of_header(header: str | None) -> str | None:
    """The token of an `Authorization` header (RFC 6750 section 2.1), or none.

    The scheme's name is not case-sensitive (RFC 9110 section 11.1).
    """
    scheme, _, token = (header or "").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def bearer_of_subprotocols(offered: Iterable[str]) -> str | None:
    """The token of a `ctid.bearer.<token>` subprotocol, or none: browsers cannot set headers on a socket."""
    for protocol in offered:
        if protocol.startswith(_BEARER_PROTOCOL):
            return protocol.removeprefix(_BEARER_PROTOCOL) or None
    return None


def chosen_subprotocol(offered: Iterable[str]) -> str | None:
    """The subprotocol to answer with (RFC 6455 section 4.2.2): a browser fails the socket without one.

    The one that bears the token is echoed only when the client offered nothing else.
    """
    protocols = list(offered)
    if SUBPROTOCOL in protocols:
        return SUBPROTOCOL
    return next((protocol for protocol in protocols if protocol.startswith(_BEARER_PROTOCOL)), None)


def challenge(*, token_given: bool) -> str:
    """The `WWW-Authenticate` header of a 401 (RFC 6750 section 3)."""
    return 'Bearer realm="ctid", error="invalid_token"' if token_given else 'Bearer realm="ctid"'
