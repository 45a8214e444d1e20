from types import SimpleNamespace
from typing import Any

import pytest
from msgspec.structs import replace

from ctid.identity.directory import Directory
from ctid.identity.records import Bearer, Person, Session, Stored, Token
from ctid.identity.tokens import new_token, token_hash
from ctid.model.errors import AuthExpired, AuthRequired
from ctid.model.ids import AgentId
from ctid.model.instant import Instant
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


ANNA = Person(name="anna", role=UserRole.SUPERVISOR, made_at=Instant(NOW), made_by="root", password="x")
OLGA = Bearer(name="olga", role=UserRole.VIEWER)


def session(name: str, bearer: Bearer | None = None, **fields: Any) -> Session:
    """A session whose cookie has the user's name for a value."""
    known: dict[str, Any] = {
        "id": f"s-{name}",
        "sha256": token_hash(name),
        "csrf": "c",
        "peer": "p",
        "made_at": Instant(NOW),
        "used_at": Instant(NOW),
        "expires_at": Instant(NOW + 10_000),
    }
    return Session(name=name, bearer=bearer, **(known | fields))


def filled(*records: Person | Session | Token, idle_s: float = 100.0) -> Directory:
    """A directory of what is kept."""
    directory = Directory((), idle_s)
    directory.fill(
        Stored(
            tokens=tuple(record for record in records if isinstance(record, Token)),
            people=tuple(record for record in records if isinstance(record, Person)),
            sessions=tuple(record for record in records if isinstance(record, Session)),
        )
    )
    return directory


def test_a_session_is_hers_while_she_is_somebody() -> None:
    """Of a user, of somebody the provider vouched for; of nobody once she is disabled or gone."""
    directory = filled(ANNA, session("anna"), session("olga", OLGA), session("gone"))
    assert directory.session("anna", NOW)[0].role is UserRole.SUPERVISOR
    assert directory.session("olga", NOW)[0].credential == "session:s-olga"
    for cookie in ("gone", "unknown"):
        with pytest.raises(AuthRequired):
            directory.session(cookie, NOW)
    disabled = filled(replace(ANNA, disabled=True), session("anna"))
    with pytest.raises(AuthRequired, match="disabled"):
        disabled.session("anna", NOW)
    assert [one.name for one in directory.over(NOW)] == ["gone"]


def test_use_keeps_a_session_and_age_ends_it() -> None:
    """Unused for so long, or too old, it is over; an open stream is use, of a token it is none."""
    directory = filled(ANNA, session("anna"), idle_s=100.0)
    user, _ = directory.session("anna", NOW)
    directory.keep_alive(user, NOW + 90)
    directory.recheck(user, NOW + 180)
    directory.keep_alive(directory.session("anna", NOW + 180)[0], NOW + 180)
    assert directory.used() == {"s-anna": NOW + 180}
    directory.keep_alive(replace(user, credential="token:t"), NOW)
    directory.keep_alive(replace(user, credential="session:none"), NOW)
    with pytest.raises(AuthExpired):
        directory.recheck(user, NOW + 281)
    old = filled(ANNA, session("anna"), idle_s=100_000.0)
    with pytest.raises(AuthExpired):
        old.session("anna", NOW + 10_000)


def test_by_name() -> None:
    """A bus knows tokens and users; only a session tells of the provider's people, and while it lasts."""
    late = Token(name="t", role=UserRole.VIEWER, id="1", sha256="h", made_at=Instant(NOW), made_by="root")
    directory = filled(
        ANNA, replace(late, expires=Instant(NOW + 5)), session("olga", OLGA), session("other", OLGA)
    )
    assert directory.vouched_for("anna", NOW).credential == "user:anna"
    assert directory.vouched_for("t", NOW).credential == "token:t"
    with pytest.raises(AuthExpired):
        directory.vouched_for("t", NOW + 5)
    assert directory.named("t", NOW + 5) is None
    with pytest.raises(AuthRequired, match="no token and no user"):
        directory.vouched_for("olga", NOW)
    found = directory.user("olga", NOW)
    assert found is not None
    assert found.credential == "session:s-olga"
    assert directory.user("olga", NOW + 101) is None
    assert directory.user("anna", NOW) == directory.named("anna", NOW)


def test_what_was_shown_is_looked_at_again() -> None:
    """Whoever may do other things by now, or was let go, is no more who she was."""
    directory = filled(ANNA, session("anna"))
    user, _ = directory.session("anna", NOW)
    named = directory.vouched_for("anna", NOW)
    for who in (user, named):
        directory.recheck(who, NOW)
    directory.fill(Stored(people=(replace(ANNA, role=UserRole.VIEWER),), sessions=(session("anna"),)))
    for who in (user, named):
        with pytest.raises(AuthRequired, match="good no more"):
            directory.recheck(who, NOW)
    directory.fill(Stored(people=(ANNA,)))
    with pytest.raises(AuthRequired):
        directory.recheck(user, NOW)


def test_where_somebody_is_known() -> None:
    """At the address of a good session of hers, and nowhere else."""
    directory = filled(ANNA, session("anna"))
    assert directory.is_known_at("anna", "p", NOW)
    assert not directory.is_known_at("anna", "q", NOW)
    assert not directory.is_known_at("bob", "p", NOW)
    assert not directory.is_known_at("anna", "p", NOW + 101)


def test_when_a_token_was_used() -> None:
    """As it is kept, or later, when it was used since."""
    token = Token(
        name="t",
        role=UserRole.VIEWER,
        id="1",
        sha256=token_hash("t"),
        made_at=Instant(NOW),
        made_by="root",
        used_at=Instant(NOW - 60),
    )
    directory = filled(token)
    assert directory.last_used(token) == NOW - 60
    directory.authenticate("t", NOW)
    assert directory.last_used(token) == NOW
    assert directory.bearers() == [token]
