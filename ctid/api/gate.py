"""The API's gate: who asks, and whether it asks too often."""

from collections.abc import Callable
from typing import TypeVar

import structlog

from ctid.api import refusals
from ctid.api.context import Limits
from ctid.api.errors import RateLimited
from ctid.identity.directory import Directory
from ctid.identity.records import Session
from ctid.identity.scopes import EVENTS, covers
from ctid.model.errors import AuthRequired, Forbidden
from ctid.model.users import User
from ctid.ports import Clock
from ctid.rates import Buckets, Rate

log = structlog.get_logger(__name__)

_Known = TypeVar("_Known")

_TOLD = Rate(1 / 60, 1)
"""How often the log tells of the same one."""


class Gate:
    """Every carrier asks here before it does anything for a client.

    `now` is the loop's clock, in seconds: a bucket must not notice that the machine's time was set.
    """

    def __init__(self, directory: Directory, clock: Clock, limits: Limits, now: Callable[[], float]) -> None:
        self._directory = directory
        self._clock = clock
        self._now = now
        self._commands = Buckets(limits.commands)
        self._reads = Buckets(limits.reads)
        self._failures = Buckets(limits.failures)
        self._told = Buckets(_TOLD)

    def authenticate(self, token: str | None, peer: str) -> User:
        """Tell whose token this is; `peer` is the address it came from.

        A good token is let in whatever else comes from its address: behind a proxy all come from one.

        Raises:
            AuthRequired, AuthExpired: there is no token, or none that is good now.
            RateLimited: the same, once too often from this peer.
        """
        return self._counted(peer, lambda: self._directory.authenticate(token, self._clock.now()))

    def session(self, cookie: str, peer: str) -> tuple[User, Session]:
        """Tell whose session a cookie's value stands for; raises as `authenticate` does."""
        return self._counted(peer, lambda: self._directory.session(cookie, self._clock.now()))

    def named(self, name: str, operation: str) -> User:
        """Tell who has a name that her carrier vouches for.

        Raises:
            AuthRequired, AuthExpired: nobody, or not now; the log tells it.
        """
        now = self._clock.now()
        try:
            return self._directory.vouched_for(name, now)
        except AuthRequired as error:
            refusals.tell(error, refusals.claimed(name), operation)
            raise

    def recheck(self, user: User, operation: str) -> None:
        """See that what a user showed when she connected is still good.

        Raises:
            AuthRequired, AuthExpired: it is not; the log tells it.
        """
        try:
            self._directory.recheck(user, self._clock.now())
        except AuthRequired as error:
            refusals.tell(error, user.name, operation)
            raise

    def admit(self, user: User, *, command: bool) -> None:
        """Take one of what a user may ask for. Raises RateLimited."""
        buckets, what = (self._commands, "commands") if command else (self._reads, "reads")
        wait_s = buckets.take(user.name, self._now())
        if wait_s:
            self._tell(f"{what} {user.name}", f"too many {what}", user=user.name)
            raise RateLimited(f"too many {what} of {user.name}; nothing was done", wait_s)

    def admit_follower(self, user: User) -> None:
        """Let a user follow the stream of changes.

        Raises:
            Forbidden: her token's scopes do not hold it.
            RateLimited: as `admit` does.
        """
        if user.scopes and not covers(user.scopes, EVENTS, changes=False):
            error = Forbidden(f"the stream of changes is not in the scopes of {user.name}: add `{EVENTS}`")
            refusals.tell(error, user.name, EVENTS)
            raise error
        self.admit(user, command=False)

    def _counted(self, peer: str, known: Callable[[], _Known]) -> _Known:
        try:
            return known()
        except AuthRequired as error:
            wait_s = self._failures.take(peer, self._now())
            if not wait_s:
                raise
            self._tell(f"peer {peer}", "requests without a good token", peer=peer)
            raise RateLimited("too many requests without a good token from your address", wait_s) from error

    def _tell(self, key: str, what: str, **about: str) -> None:
        if not self._told.take(key, self._now()):
            log.warning("rate limited", of=what, **about)
