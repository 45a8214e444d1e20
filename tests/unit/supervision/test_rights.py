import pytest

from ctid.model.errors import Forbidden
from ctid.model.users import Right, User, UserRole
from ctid.model.words import Mode
from ctid.supervision.rights import Grant, Rights

SOFIA = User(name="sofia", role=UserRole.SUPERVISOR, teams=frozenset({"north"}))
ROOT = User(name="root", role=UserRole.ADMIN)
MODES = frozenset(Mode)


def grant(*rights: Right, teams: tuple[str, ...], role: UserRole | None = None, user: str = "") -> Grant:
    """One grant."""
    return Grant(teams=frozenset(teams), rights=frozenset(rights), role=role, user=user)


def test_without_a_grant_of_its_own_a_site_has_the_defaults() -> None:
    """A supervisor supervises her own teams; an admin commands and reads all, and listens to nobody."""
    rights = Rights()
    assert rights.modes(SOFIA, "north") == MODES
    assert rights.modes(SOFIA, "south") == rights.modes(SOFIA, "") == frozenset()
    assert rights.may(SOFIA, Right.COMMAND, "north")
    assert not rights.may(SOFIA, Right.AUDIT, "north")
    assert not rights.may(SOFIA, Right.SUPERVISORS, "north")
    assert rights.modes(ROOT, "north") == frozenset()
    for right in (Right.COMMAND, Right.NUMBERS, Right.AUDIT, Right.SUPERVISORS):
        assert rights.may(ROOT, right, "")


@pytest.mark.parametrize("role", [role for role in UserRole if role not in (SOFIA.role, ROOT.role)])
def test_the_other_roles_have_nothing(role: UserRole) -> None:
    """Whatever their teams are."""
    user = User(name="x", role=role, teams=frozenset({"*", "north"}))
    assert not any(Rights().over(user, right) for right in Right)


def test_one_grant_takes_the_defaults_away() -> None:
    """What is not written is denied, to everybody."""
    rights = Rights([grant(Right.LISTEN, teams=("own",), role=UserRole.SUPERVISOR)])
    assert rights.modes(SOFIA, "north") == {Mode.LISTEN}
    assert not rights.may(SOFIA, Right.NUMBERS, "north")
    assert not rights.may(ROOT, Right.AUDIT, "north")


def test_grants_add_up() -> None:
    """Those of her role, and those of her name; nobody else's."""
    rights = Rights(
        [
            grant(Right.LISTEN, teams=("own",), role=UserRole.SUPERVISOR),
            grant(Right.LISTEN, Right.BARGE, teams=("south",), user="sofia"),
            grant(Right.TAKEOVER, teams=("*",), user="root"),
        ]
    )
    assert rights.over(SOFIA, Right.LISTEN) == {"north", "south"}
    assert rights.modes(SOFIA, "south") == {Mode.LISTEN, Mode.BARGE}
    assert rights.modes(ROOT, "") == {Mode.TAKEOVER}


def test_a_name_is_no_role() -> None:
    """A grant to one supervisor is none to another."""
    rights = Rights([grant(Right.LISTEN, teams=("north",), user="sofia")])
    paul = User(name="paul", role=UserRole.SUPERVISOR, teams=frozenset({"north"}))
    assert rights.modes(paul, "north") == frozenset()


def test_every_team_has_those_who_are_in_none() -> None:
    """An agent without a team belongs to no team of anybody; `*` has her."""
    all_teams = User(name="all", role=UserRole.SUPERVISOR, teams=frozenset({"*"}))
    assert Rights().modes(all_teams, "") == Rights().modes(all_teams, "south") == MODES
    empty = User(name="empty", role=UserRole.SUPERVISOR, teams=frozenset({""}))
    assert Rights().modes(empty, "") == frozenset()


@pytest.mark.parametrize(
    ("user", "team", "told"),
    [
        (SOFIA, "south", "right 'listen' over the team 'south'; sofia (supervisor) has it over north"),
        (SOFIA, "", 'over agents of no team (teams = ["*"]); sofia'),
        (ROOT, "south", "root (admin) has it over no team"),
    ],
)
def test_a_refusal_names_what_it_needs(user: User, team: str, told: str) -> None:
    """The right, the team, and over which teams she has it."""
    rights = Rights()
    rights.require(SOFIA, Right.LISTEN, "north", "listening")
    with pytest.raises(Forbidden) as refused:
        rights.require(user, Right.LISTEN, team, "listening")
    assert (refused.value.code, refused.value.status) == ("auth.forbidden", 403)
    assert told in refused.value.detail
