"""Who is known now: the configuration's tokens, those made since, people, and their sessions."""

from collections.abc import Collection, Iterable
from typing import Protocol

from ctid.identity.records import Bearer, Session, Stored, Token
from ctid.identity.tokens import token_hash
from ctid.model.errors import AuthExpired, AuthRequired
from ctid.model.instant import Instant, to_rfc3339
from ctid.model.users import User, UserRole

IDLE_S = 3600.0


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

    @property
    def scopes(self) -> Collection[str]:
        """What of its role's operations it may do; none: all."""
        ...


class Directory:
    """Answers who somebody is, without I/O. `now` is UTC, in seconds, everywhere.

    A secret is looked up by its SHA-256: what the time of that could tell of a hash tells nothing of the 256
    random bits that it is made of.
    """

    def __init__(self, entries: Iterable[TokenEntry] = (), idle_s: float = IDLE_S) -> None:
        self._idle_s = idle_s
        configured = tuple(entries)
        self._configured = {entry.sha256.lower(): _bearer(entry) for entry in configured}
        self._ends = {entry.name: entry.expires for entry in configured if entry.expires is not None}
        self.taken = frozenset(entry.name for entry in configured)
        """The names that the configuration gives away."""
        self.expiries: dict[str, Instant] = {}
        """From when on the tokens of these names are good no more."""
        self._used: dict[str, float] = {}
        self.fill(Stored())

    def fill(self, stored: Stored) -> None:
        """Take what is kept for all there is. A name of the configuration's goes before a kept one."""
        tokens = [token for token in stored.tokens if token.name not in self.taken]
        self.tokens = {token.id: token for token in tokens}
        self.people = {person.name: person for person in stored.people if person.name not in self.taken}
        self.sessions = {session.id: session for session in stored.sessions}
        self._by_hash: dict[str, Bearer] = self._configured | {token.sha256: token for token in tokens}
        self._by_cookie = {session.sha256: session for session in stored.sessions}
        self._by_name: dict[str, Bearer] = {bearer.name: bearer for bearer in self._by_hash.values()}
        kept = {token.name: token.expires for token in tokens if token.expires is not None}
        self.expiries = self._ends | kept
        self._used = {key: at for key, at in self._used.items() if key in self.tokens or key in self.sessions}

    # By a secret ------------------------------------------------------------------------------------

    def authenticate(self, token: str | None, now: float) -> User:
        """Tell whose token this is.

        Raises:
            AuthRequired: there is no token, or it is not known.
            AuthExpired: it was good once.
        """
        if token is None:
            raise AuthRequired("send the header `Authorization: Bearer <token>`")
        found = self._by_hash.get(token_hash(token))
        if found is None:
            raise AuthRequired("this token is not known; `ctid token create` makes one")
        self.check_expiry(found.name, now)
        if isinstance(found, Token):
            self._used[found.id] = now
        return found.user(f"token:{found.name}")

    def session(self, cookie: str, now: float) -> tuple[User, Session]:
        """Tell whose session a cookie's value stands for, and let it be used now.

        Raises:
            AuthRequired: nobody's.
            AuthExpired: it was not used for too long, or is too old; log in again.
        """
        found = self._by_cookie.get(token_hash(cookie))
        if found is None:
            raise AuthRequired("this session is not known; log in again")
        user = self._session_user(found, now)
        self._used[found.id] = now
        return user, found

    # By what is known of it ---------------------------------------------------------------------------

    def recheck(self, user: User, now: float) -> None:
        """See that what a user showed once still makes her the same.

        Raises:
            AuthExpired: it is over.
            AuthRequired: it was revoked, or she may do other things by now.
        """
        kind, _, ident = user.credential.partition(":")
        if kind == "session":
            session = self.sessions.get(ident)
            found = self._session_user(session, now) if session is not None else None
        else:
            self.check_expiry(ident, now)
            found = self.named(ident, now)
        if found != user:
            raise AuthRequired(f"what {user.name} showed is good no more: log in again, or take a new token")

    def keep_alive(self, user: User, now: float) -> None:
        """Count an open stream as use of the session that it was opened with."""
        kind, _, ident = user.credential.partition(":")
        if kind == "session" and ident in self.sessions:
            self._used[ident] = now

    def named(self, name: str, now: float) -> User | None:
        """The user of that name, for a carrier that knows by itself who asks; none: nobody, or not now."""
        expires = self.expiries.get(name)
        if expires is not None and now >= expires:
            return None
        bearer = self._by_name.get(name)
        if bearer is not None:
            return bearer.user(f"token:{name}")
        person = self.people.get(name)
        return person.user(f"user:{name}") if person is not None and not person.disabled else None

    def vouched_for(self, name: str, now: float) -> User:
        """The user of a name; raises AuthExpired or AuthRequired where there is none."""
        self.check_expiry(name, now)
        user = self.named(name, now)
        if user is None:
            raise AuthRequired(f"no token and no user has the name {name!r}, which is this client's here")
        return user

    def user(self, name: str, now: float) -> User | None:
        """Who somebody is by name, be it that only a session tells of her; none: nobody."""
        for session in self.sessions.values():
            if session.name == name and session.bearer is not None and self._is_live(session, now):
                return session.bearer.user(f"session:{session.id}")
        return self.named(name, now)

    def is_known_at(self, name: str, peer: str, now: float) -> bool:
        """Whether somebody has a good session from an address."""
        return any(
            session.name == name and session.peer == peer and self._is_live(session, now)
            for session in self.sessions.values()
        )

    def over(self, now: float) -> list[Session]:
        """The sessions that are good no more."""
        return [session for session in self.sessions.values() if not self._is_live(session, now)]

    def used(self) -> dict[str, float]:
        """When tokens and sessions, by id, were used last, as far as that is not kept yet."""
        return dict(self._used)

    def last_used(self, token: Token) -> Instant | None:
        """When a token was used last, to the minute where it was not since the start."""
        used = self._used.get(token.id)
        return Instant(used) if used is not None else token.used_at

    def bearers(self) -> list[Bearer]:
        """Everybody who is known by name."""
        return [*self._by_name.values(), *self.people.values()]

    def check_expiry(self, name: str, now: float) -> None:
        """Raises AuthExpired: the token of that name is good no more."""
        expires = self.expiries.get(name)
        if expires is not None and now >= expires:
            raise AuthExpired(
                f"the token of {name} expired at {to_rfc3339(expires)}; `ctid token create` makes a new one"
            )

    def _session_user(self, session: Session, now: float) -> User:
        if now >= session.expires_at or now >= self._idle_at(session):
            raise AuthExpired(f"the session of {session.name} is over; log in again")
        person = self.people.get(session.name)
        if person is not None and person.disabled:
            raise AuthRequired(f"{session.name} is disabled; ask your admin")
        found = session.bearer or person
        if found is None:
            raise AuthRequired(f"there is no {session.name} any more")
        return found.user(f"session:{session.id}")

    def _is_live(self, session: Session, now: float) -> bool:
        try:
            self._session_user(session, now)
        except AuthRequired:
            return False
        return True

    def _idle_at(self, session: Session) -> float:
        return max(session.used_at, self._used.get(session.id, 0.0)) + self._idle_s


def _bearer(entry: TokenEntry) -> Bearer:
    return Bearer(
        name=entry.name,
        role=entry.role,
        phones=tuple(entry.phones),
        teams=tuple(entry.teams),
        agent=entry.agent,
        scopes=tuple(entry.scopes),
    )
