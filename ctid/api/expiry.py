"""Tokens whose time is nearly over: told before their bearers are shut out."""

import asyncio

import structlog
from msgspec import Struct

from ctid.identity.directory import Directory
from ctid.model.instant import Instant, to_rfc3339
from ctid.ports import Clock

log = structlog.get_logger(__name__)

DAY_S = 86_400.0
SOON_S = 14 * DAY_S


class ExpiringToken(Struct, frozen=True, kw_only=True):
    """A token that is good for less than 14 days, or no more."""

    name: str
    expires_at: Instant


def expiring(directory: Directory, now: float) -> tuple[ExpiringToken, ...]:
    """The tokens that expire soon, or have, the first to expire first. `now` is UTC, in seconds."""
    soon = [
        ExpiringToken(name=name, expires_at=expires_at)
        for name, expires_at in directory.expiries.items()
        if expires_at - now < SOON_S
    ]
    return tuple(sorted(soon, key=lambda token: token.expires_at))


async def warn_daily(directory: Directory, clock: Clock) -> None:
    """Log the tokens that expire soon, now and once a day, for ever."""
    while True:
        now = clock.now()
        for token in expiring(directory, now):
            said = "token has expired" if token.expires_at <= now else "token expires soon"
            cure = "`ctid token create` makes a new one"
            log.warning(said, user=token.name, expires_at=to_rfc3339(token.expires_at), cure=cure)
        await asyncio.sleep(DAY_S)
