"""The API's gate: who asks, and whether it asks too often."""

from collections.abc import Callable

import structlog

from ctid.api.auth import TokenTable
from ctid.api.context import Limits
from ctid.api.errors import RateLimited
from ctid.model.errors import AuthRequired
from ctid.model.users import User
from ctid.ports import Clock
from ctid.rates import Buckets, Rate

log = structlog.get_logger(__name__)

_TOLD = Rate(1 / 60, 1)
"""How often the log tells of the same one."""


class Gate:
    """Every carrier asks here before it does anything for a client.

    `now` is the loop's clock, in seconds: a bucket must not notice that the machine's time was set.
    """

    def __init__(self, tokens: TokenTable, clock: Clock, limits: Limits, now: Callable[[], float]) -> None:
        self._tokens = tokens
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
        try:
            return self._tokens.authenticate(token, self._clock.now())
        except AuthRequired as error:
            wait_s = self._failures.take(peer, self._now())
            if not wait_s:
                raise
            self._tell(f"peer {peer}", "requests without a good token", peer=peer)
            raise RateLimited("too many requests without a good token from your address", wait_s) from error

    def admit(self, user: User, *, command: bool) -> None:
        """Take one of what a user may ask for. Raises RateLimited."""
        buckets, what = (self._commands, "commands") if command else (self._reads, "reads")
        wait_s = buckets.take(user.name, self._now())
        if wait_s:
            self._tell(f"{what} {user.name}", f"too many {what}", user=user.name)
            raise RateLimited(f"too many {what} of {user.name}; nothing was done", wait_s)

    def _tell(self, key: str, what: str, **about: str) -> None:
        if not self._told.take(key, self._now()):
            log.warning("rate limited", of=what, **about)
