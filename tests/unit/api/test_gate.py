import asyncio
from types import SimpleNamespace

import pytest
import structlog

from ctid.api.context import Limits
from ctid.api.errors import RateLimited
from ctid.api.expiry import DAY_S, expiring, warn_daily
from ctid.api.gate import Gate
from ctid.identity.directory import Directory
from ctid.identity.tokens import token_hash
from ctid.model.errors import AuthExpired, AuthRequired
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.rates import Rate

NOON = 1_780_000_000.0
LIMITS = Limits(commands=Rate(1.0, 2), reads=Rate(1.0, 3), failures=Rate(1.0, 2))


def table(**expiries: float | None) -> Directory:
    """A table of users, each with her name for a token, by when it expires."""
    return Directory(
        SimpleNamespace(
            name=name,
            role=UserRole.SUPERVISOR,
            sha256=token_hash(name),
            phones=(),
            teams=(),
            agent="",
            scopes=(),
            expires=None if expires is None else Instant(expires),
        )
        for name, expires in expiries.items()
    )


class Times:
    """Both clocks, set by hand."""

    def __init__(self) -> None:
        self.utc = NOON
        self.loop = 0.0

    def now(self) -> float:
        """UTC."""
        return self.utc


def gate_of(times: Times, tokens: Directory) -> Gate:
    """A gate with narrow limits."""
    return Gate(tokens, times, LIMITS, lambda: times.loop)


def test_commands_and_reads_are_counted_apart() -> None:
    """Who commands too often is told when to come back, and may go on reading; another user commands."""
    times = Times()
    gate = gate_of(times, table(anna=None, bob=None))
    anna, bob = gate.authenticate("anna", "peer"), gate.authenticate("bob", "peer")
    for _ in range(2):
        gate.admit(anna, command=True)
    with pytest.raises(
        RateLimited, match=r"commands of anna; nothing was done; come back in 1\.00 s"
    ) as late:
        gate.admit(anna, command=True)
    assert late.value.retry_after_s == 1.0
    gate.admit(bob, command=True)
    for _ in range(3):
        gate.admit(anna, command=False)
    with pytest.raises(RateLimited, match="reads"):
        gate.admit(anna, command=False)
    times.loop = 1.0
    gate.admit(anna, command=True)


def test_who_fails_too_often_is_told_so_and_a_good_token_is_let_in() -> None:
    """After so many failures it is 429 for that peer and 401 for others; a good token passes from there."""
    gate = gate_of(Times(), table(anna=None))
    for token in (None, "wrong"):
        with pytest.raises(AuthRequired):
            gate.authenticate(token, "10.0.0.9")
    with pytest.raises(RateLimited, match="without a good token"):
        gate.authenticate("wrong", "10.0.0.9")
    assert gate.authenticate("anna", "10.0.0.9").name == "anna"
    with pytest.raises(AuthRequired):
        gate.authenticate("wrong", "10.0.0.8")


def ask_too_often(gate: Gate, user: User) -> None:
    """Until some are refused."""
    refused = 0
    while refused < 5:
        try:
            gate.admit(user, command=True)
        except RateLimited:
            refused += 1


def test_the_log_is_not_flooded() -> None:
    """The log tells of one user who asks too often once a minute."""
    times = Times()
    gate = gate_of(times, table(anna=None))
    anna = gate.authenticate("anna", "peer")
    with structlog.testing.capture_logs() as logs:
        for second in (0.0, 0.5, 59.0, 60.5):
            times.loop = second
            ask_too_often(gate, anna)
    assert [line["event"] for line in logs] == ["rate limited"] * 2


def test_a_token_expires() -> None:
    """A token is good until the moment that it expires, and is then told apart from one that is not known."""
    times = Times()
    gate = gate_of(times, table(anna=NOON + 1, bob=None))
    assert gate.authenticate("anna", "peer").name == "anna"
    times.utc = NOON + 1
    with pytest.raises(
        AuthExpired, match=r"anna expired at 2026-05-28T20:26:41\.000Z; `ctid token create`"
    ) as expired:
        gate.authenticate("anna", "peer")
    assert (expired.value.code, expired.value.status) == ("auth.expired", 401)
    assert gate.authenticate("bob", "peer").name == "bob"


def test_what_expires_soon() -> None:
    """Within fourteen days, or already: told, the first to expire first."""
    tokens = table(later=NOON + 15 * DAY_S, soon=NOON + 13 * DAY_S, never=None, gone=NOON - 1)
    assert [token.name for token in expiring(tokens, NOON)] == ["gone", "soon"]


async def test_the_log_tells_at_the_start() -> None:
    """What expires soon, or has expired, is a warning in the log at once."""
    times = Times()
    with structlog.testing.capture_logs() as logs, pytest.raises(TimeoutError):
        await asyncio.wait_for(warn_daily(table(soon=NOON + DAY_S, gone=NOON), times), 0.05)
    assert [(line["event"], line["user"]) for line in logs] == [
        ("token has expired", "gone"),
        ("token expires soon", "soon"),
    ]
