"""The daemon's side of identity: who is known now, logins, sessions, and what the audit is told of them."""

import asyncio
from collections.abc import Callable
from typing import Any

import structlog
from msgspec import Struct
from msgspec.structs import replace

from ctid.audit import Audit, Entry
from ctid.identity.directory import Directory
from ctid.identity.kept import IdentityRefused, IdentityUnavailable, Kept
from ctid.identity.lockout import Lockout
from ctid.identity.passwords import Passwords
from ctid.identity.records import Bearer, Moment, Person, Session
from ctid.identity.registry import Known, Registry
from ctid.identity.tokens import new_secret, token_hash
from ctid.model.errors import AuditUnavailable, AuthFailed, AuthLocked, AuthRequired
from ctid.model.ids import is_safe_id
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.ports import Clock

log = structlog.get_logger(__name__)

LOOK_S = 1.0
"""How often it is looked whether a command of the machine has changed the file."""
KEEP_USED_S = 60.0
SESSIONS = 20
"""Of one user. Beyond it the one that was used longest ago ends."""
_LONGEST_NAME = 128


class SessionRules(Struct, frozen=True, kw_only=True):
    """How long a session is good: unused, and at all, in seconds."""

    idle_s: float = 3600.0
    longest_s: float = 43_200.0


class Identity:
    """Owns what is known. Construction does no I/O; `now` is the loop's clock, in seconds."""

    def __init__(
        self,
        kept: Kept,
        directory: Directory,
        audit: Audit,
        clock: Clock,
        now: Callable[[], float],
        *,
        known: Known | None = None,
        rules: SessionRules | None = None,
        passwords: Passwords | None = None,
    ) -> None:
        self.directory = directory
        self.rules = rules or SessionRules()
        self._kept = kept
        self._audit = audit
        self._clock = clock
        self._now = now
        self._passwords = passwords or Passwords()
        self.registry = Registry(kept, self._passwords, known or Known(), clock)
        self._lockout = Lockout()
        self._changed = asyncio.Event()
        self._version = 0
        self._telling = asyncio.Lock()
        self.on_change: Callable[[], None] = lambda: None
        """Is called whenever what is known may be other than before."""

    async def open(self) -> None:
        """Read what is kept; raises `IdentityUnavailable`."""
        await self._passwords.open()
        await self.refresh()
        for record in (*(await self._kept.load()).tokens, *(await self._kept.load()).people):
            if record.name in self.directory.taken:
                log.warning(
                    "a token of ctid.toml has the name of a kept token or user, which it goes before",
                    name=record.name,
                    cure="rename the [[token]], or revoke the other",
                )

    async def run(self) -> None:
        """Follow what others change in the file, and keep what was used when, for ever."""
        kept_at = self._now()
        while True:
            await asyncio.sleep(LOOK_S)
            try:
                if await self._kept.version() != self._version:
                    await self.refresh()
                elif self._now() >= kept_at + KEEP_USED_S:
                    kept_at = self._now()
                    await self.keep_used()
                await self._tell_audit()
            except IdentityUnavailable as error:
                log.error("tokens and users cannot be read", reason=error.detail)  # noqa: TRY400 - no traceback: a disk

    async def close(self) -> None:
        """Keep what was used when, and close the file."""
        try:
            await self.keep_used()
        except IdentityUnavailable as error:
            log.warning("when tokens were used is not kept", reason=error.detail)
        self._passwords.close()
        await self._kept.close()

    async def refresh(self) -> None:
        """Take over what is kept, tell the audit, and let those know who watch a user."""
        self._version = await self._kept.version()
        self.directory.fill(await self._kept.load())
        await self._tell_audit()
        self.on_change()
        self._changed.set()
        self._changed = asyncio.Event()

    async def keep_used(self) -> None:
        """Keep when what was used last, and take out sessions that are over."""
        used = self.directory.used()
        if used:
            await self._kept.touch(used.items())
        over = self.directory.over(self._clock.now())
        if over:
            await self._kept.change(remove=over)
        if used or over:
            await self.refresh()

    async def until_ended(self, user: User, every_s: float) -> None:
        """Wait until what a user showed makes her the same no more; the clock is looked at `every_s`.

        Meanwhile her session counts as used.
        """
        while True:
            changed = self._changed
            now = self._clock.now()
            try:
                self.directory.recheck(user, now)
            except AuthRequired:
                return
            self.directory.keep_alive(user, now)
            expires = self.directory.expiries.get(user.name)
            left_s = every_s if expires is None else min(every_s, max(expires - now, 0.0))
            try:
                async with asyncio.timeout(left_s):
                    await changed.wait()
            except TimeoutError:
                continue

    # Logging in -------------------------------------------------------------------------------------

    async def login(self, name: str, password: str, peer: str) -> tuple[str, Session]:
        """Begin a session with a password; returns the cookie's value, kept nowhere, and the session.

        Raises:
            AuthFailed: name or password is wrong, or she is disabled: which, is not told.
            AuthLocked: too many were wrong; nothing was tried.
            Busy: too many log in at once.
        """
        name, now = name[:_LONGEST_NAME], self._clock.now()
        known = self.directory.is_known_at(name, peer, now)
        attempt = self._lockout.attempt(name, peer, self._now(), known=known)
        if attempt.wait_s:
            raise AuthLocked(attempt.wait_s)
        person = self.directory.people.get(name)
        is_good = await self._passwords.verify(person.password if person is not None else "", password)
        if person is None or person.disabled or not is_good:
            await self._failed(name, peer, locks=attempt.locks)
            raise AuthFailed("name or password is wrong")
        self._lockout.succeeded(name, peer)
        login = replace(person, login_at=Instant(now))
        if self._passwords.is_outdated(person.password):
            login = replace(login, password=await self._passwords.hash(password))
        return await self._begin(name, peer, "password", put=login)

    async def vouched(self, bearer: Bearer, peer: str) -> tuple[str, Session]:
        """Begin a session for somebody whom the OpenID provider has vouched for."""
        return await self._begin(bearer.name, peer, "oidc", bearer=bearer)

    async def logout(self, user: User) -> Session | None:
        """End the session that a user showed; none: she showed a token."""
        session = self.session_of(user)
        if session is not None:
            about = {"user": user.name, "session": session.id}
            await self._kept.change(remove=[session], tell=self._moment("logout", user.name, about))
            await self.refresh()
        return session

    def session_of(self, user: User) -> Session | None:
        """The session that a user showed, if she did not show a token."""
        kind, _, ident = user.credential.partition(":")
        return self.directory.sessions.get(ident) if kind == "session" else None

    async def set_own_password(self, user: User, old: str, new: str) -> None:
        """Let somebody change her own password; her other sessions end.

        Raises:
            IdentityRefused: she has none, or showed a token.
            AuthFailed, AuthLocked: the old one is wrong, as at a login.
            InvalidRequest: the new one is not good enough.
        """
        session = self.session_of(user)
        person = self.directory.people.get(user.name)
        if session is None or person is None or not person.password:
            raise IdentityRefused("no_password", f"{user.name} did not log in here with a password")
        attempt = self._lockout.attempt(user.name, session.peer, self._now(), known=True)
        if attempt.wait_s:
            raise AuthLocked(attempt.wait_s)
        if not await self._passwords.verify(person.password, old):
            await self._failed(user.name, session.peer, locks=attempt.locks)
            raise AuthFailed("the old password is wrong")
        self._lockout.succeeded(user.name, session.peer)
        await self.registry.set_password(user.name, user.name, new, spare=session.id)
        await self.refresh()

    async def failed_elsewhere(self, name: str, peer: str, reason: str) -> None:
        """Tell that the provider's word was not enough to let somebody in."""
        about = {"user": name, "peer": peer, "by": "oidc", "reason": reason}
        await self._tell(self._moment("login_failed", "", about))

    async def _begin(
        self, name: str, peer: str, how: str, *, put: Person | None = None, bearer: Bearer | None = None
    ) -> tuple[str, Session]:
        now, secret = self._clock.now(), new_secret()
        session = Session(
            id=token_hash(new_secret())[:16],
            name=name,
            sha256=token_hash(secret),
            csrf=new_secret(),
            peer=peer,
            made_at=Instant(now),
            used_at=Instant(now),
            expires_at=Instant(now + self.rules.longest_s),
            bearer=bearer,
        )
        hers = sorted(
            (one for one in self.directory.sessions.values() if one.name == name), key=lambda one: one.used_at
        )
        about = {"user": name, "session": session.id, "peer": peer, "by": how}
        await self._kept.change(
            put=[session] if put is None else [session, put],
            remove=hers[: max(len(hers) - SESSIONS + 1, 0)],
            tell=self._moment("login", name, about),
        )
        await self.refresh()
        log.info("logged in", user=name, peer=peer, by=how)
        return secret, session

    async def _failed(self, name: str, peer: str, *, locks: bool) -> None:
        # A name that is nobody's may be a password in the wrong field: the audit does not keep that.
        log.warning("login failed", user=name if is_safe_id(name) else "unknown", peer=peer)
        told = name if name in self.directory.people else "unknown"
        about: dict[str, Any] = {"user": told, "peer": peer, "by": "password"}
        await self._tell(self._moment("login_failed", "", about))
        if locks:
            log.error("locked out: too many wrong passwords", user=told, peer=peer)
            await self._tell(self._moment("locked_out", "", about))

    # The audit --------------------------------------------------------------------------------------

    def _moment(self, event: str, by: str, about: dict[str, Any]) -> Moment:
        return Moment(at=Instant(self._clock.now()), event=event, by=by, about=about)

    async def _tell(self, moment: Moment) -> None:
        await self._kept.change(tell=moment)
        await self._tell_audit()

    async def _tell_audit(self) -> None:
        """Carry what is to be told over into the audit; while that is not possible, it is kept."""
        async with self._telling:
            for number, moment in await self._kept.moments():
                entry = Entry(at=moment.at, event=moment.event, by=moment.by, about=moment.about)
                try:
                    await self._audit.write(entry)
                except AuditUnavailable as error:
                    log.critical("audit failed", what=moment.event, reason=error.detail)
                    return
                await self._kept.told(number)
