"""What a provider says, and who somebody is by it."""

from typing import Any

import pytest

from ctid.identity.claims import SKEW_S, Group, Refused, bearer_of, check_id_token
from ctid.model.users import UserRole

NOW = 1_780_000_000.0
GOOD: dict[str, Any] = {
    "iss": "https://op",
    "aud": "ctid",
    "exp": NOW + 60,
    "iat": NOW,
    "nonce": "n",
    "sub": "s",
}
GROUPS = (
    Group(group="leads", role=UserRole.SUPERVISOR, teams=("blue", "red")),
    Group(group="more-leads", role=UserRole.SUPERVISOR, teams=("red", "green")),
    Group(group="all", role=UserRole.VIEWER, teams=("white",)),
)


def check(**claims: Any) -> None:
    """Check a token with some claims otherwise; None leaves one out."""
    said = {name: value for name, value in (GOOD | claims).items() if value is not None}
    check_id_token(said, issuer="https://op", client="ctid", nonce="n", now=NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["ctid"]},
        {"aud": ["other", "ctid"], "azp": "ctid"},
        {"exp": NOW - SKEW_S + 1},
        {"iat": NOW + SKEW_S},
    ],
)
def test_good(claims: dict[str, Any]) -> None:
    """For us, now, of this login; a minute of skew is no matter."""
    check(**claims)


@pytest.mark.parametrize(
    ("claims", "code"),
    [
        ({"iss": "https://op/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"aud": "other"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": ["other", "ctid"]}, "audience"),
        ({"azp": "other"}, "audience"),
        ({"exp": NOW - SKEW_S}, "expired"),
        ({"iat": NOW + SKEW_S + 1}, "expired"),
        ({"exp": None}, "token"),
        ({"iat": "x"}, "token"),
        ({"nonce": "m"}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"sub": None}, "token"),
        ({"sub": ""}, "token"),
    ],
)
def test_refused(claims: dict[str, Any], code: str) -> None:
    """Each lets nobody in."""
    with pytest.raises(Refused) as refused:
        check(**claims)
    assert refused.value.code == code


def bearer(claims: dict[str, Any], name: str = "preferred_username", agent: str = "") -> Any:
    """Who somebody is by her claims."""
    return bearer_of(claims, GROUPS, name=name, in_groups="groups", agent=agent)


def test_groups() -> None:
    """The first group in the configuration's order says the role; teams are those of all with that role."""
    anna = bearer({"preferred_username": "anna", "groups": ["all", "more-leads", "leads", "x"]})
    assert (anna.name, anna.role, anna.teams) == ("anna", "supervisor", ("blue", "red", "green"))
    assert bearer({"preferred_username": "bob", "groups": "all"}).role == "viewer"


def test_agent() -> None:
    """A claim can say who she is among the agents, if it is an id."""
    claims = {"preferred_username": "anna", "groups": ["all"], "extension": "1001"}
    assert bearer(claims, agent="extension").agent == "1001"
    assert bearer(claims).agent == ""
    assert bearer(claims | {"extension": "1 0"}, agent="extension").agent == ""
    assert bearer(claims | {"extension": 1001}, agent="extension").agent == ""


@pytest.mark.parametrize(
    ("claims", "name", "code"),
    [
        ({"groups": ["all"]}, "preferred_username", "name"),
        ({"preferred_username": "an na", "groups": ["all"]}, "preferred_username", "name"),
        ({"preferred_username": "a" * 65, "groups": ["all"]}, "preferred_username", "name"),
        ({"preferred_username": 7, "groups": ["all"]}, "preferred_username", "name"),
        ({"email": "a@x", "groups": ["all"]}, "email", "name"),
        ({"preferred_username": "anna"}, "preferred_username", "no_group"),
        ({"preferred_username": "anna", "groups": []}, "preferred_username", "no_group"),
        ({"preferred_username": "anna", "groups": [["all"]]}, "preferred_username", "no_group"),
        ({"preferred_username": "anna", "groups": ["All"]}, "preferred_username", "no_group"),
    ],
)
def test_nobody(claims: dict[str, Any], name: str, code: str) -> None:
    """Without a usable name, or a group that is known here, nobody is let in."""
    with pytest.raises(Refused) as refused:
        bearer(claims, name)
    assert refused.value.code == code


def test_a_verified_address() -> None:
    """An address is a name once the provider has verified it."""
    assert bearer({"email": "a@x", "email_verified": True, "groups": ["all"]}, "email").name == "a@x"
