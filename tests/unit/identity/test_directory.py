from types import SimpleNamespace

import pytest

from ctid.identity.directory import Directory
from ctid.identity.tokens import new_token, token_hash
from ctid.model.errors import AuthRequired
from ctid.model.ids import AgentId
from ctid.model.users import User, UserRole

NOW = 1_780_000_000.0


def table(*tokens: str) -> Directory:
    """A directory of viewers, each named after her token."""
    return Directory(
        SimpleNamespace(
            name=token,
            role=UserRole.VIEWER,
            sha256=token_hash(token).upper(),
            phones=["2001"],
            expires=None,
            teams=["north"],
            agent="1001" if token == "a" else "",
            scopes=(),
        )
        for token in tokens
    )


def test_new_tokens_are_long_and_differ() -> None:
    """A new token bears 256 bits, fits a subprotocol's name, and its hash is the one to configure."""
    token, digest = new_token()
    assert token != new_token()[0]
    assert len(token.removeprefix("ctid_")) == 43
    assert token.replace("-", "").replace("_", "").isalnum()
    assert token_hash(token) == digest


def test_known_tokens() -> None:
    """Each token is known as its own user, wherever it stands; the hash's case is no matter."""
    users = [table("a", "b", "c").authenticate(token, NOW) for token in "abc"]
    assert [user.name for user in users] == ["a", "b", "c"]
    assert users[0] == User(
        name="a",
        role=UserRole.VIEWER,
        phones=frozenset({"2001"}),
        teams=frozenset({"north"}),
        agent=AgentId("1001"),
        credential="token:a",
    )
    assert users[1].agent is None


@pytest.mark.parametrize("token", [None, "", "d", "\udcff", token_hash("a")])
def test_unknown_tokens(token: str | None) -> None:
    """What is no known token, the hash of one included, is refused."""
    with pytest.raises(AuthRequired):
        table("a", "b", "c").authenticate(token, NOW)


def test_an_empty_table_knows_nobody() -> None:
    """Without tokens in the configuration nobody gets in."""
    with pytest.raises(AuthRequired):
        table().authenticate("a", NOW)
