"""Tokens, users and sessions by the API."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType

from ctid.api.context import ApiContext
from ctid.api.figures import instant_of
from ctid.identity.directory import Directory
from ctid.identity.records import Bearer, Person, Token
from ctid.model.errors import Forbidden, InvalidRequest
from ctid.model.ids import AgentId
from ctid.model.instant import Instant
from ctid.model.users import Right, User, UserRole

ROLES = frozenset({UserRole.ADMIN})
"""Those who make tokens and users."""

Name = Annotated[
    str, Meta(min_length=1, max_length=64, pattern="^[A-Za-z0-9_.@:=~-]+$", description="Of nobody else.")
]
_Id = Annotated[str, Meta(min_length=1, max_length=128)]
_Names = Annotated[tuple[str, ...], Meta(max_length=100)]
_Password = Annotated[str, Meta(max_length=256, description="12 to 256 characters, and not the name.")]


class SessionRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing: it is about who asks."""


class SessionNow(Struct, frozen=True, kw_only=True):
    """Who asks, and what she may do."""

    name: str
    role: UserRole
    teams: tuple[str, ...]
    """Her own teams."""
    rights: dict[str, tuple[str, ...]]
    """What she is granted, and over which teams; `*` is every one."""
    phones: tuple[str, ...]
    agent: AgentId | None
    """Who she is among the agents."""
    scopes: tuple[str, ...]
    """What of her role's operations her token may do; none: all of them."""
    csrf: str | None
    """With a session's cookie: the value of the header `X-CTID-CSRF`."""
    expires_at: Instant | None
    """When her session or her token ends at the latest."""


class Login(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who she says she is."""

    name: Annotated[str, Meta(min_length=1, max_length=128)]
    password: Annotated[str, Meta(min_length=1, max_length=256)]


class ChangePassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One's own password."""

    old: Annotated[str, Meta(max_length=256)]
    new: _Password


class ListTokens(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing: there are few."""


class TokenInfo(Struct, frozen=True, kw_only=True):
    """A token, without what it is known by."""

    id: str
    """None has one that is in ctid.toml."""
    name: str
    role: UserRole
    phones: tuple[str, ...]
    teams: tuple[str, ...]
    agent: str
    scopes: tuple[str, ...]
    expires_at: Instant | None
    made_at: Instant | None
    made_by: str
    last_used_at: Instant | None
    """To the minute; none: never, or it is in ctid.toml."""
    configured: bool
    """Whether it is in ctid.toml, and ends only there."""


class TokenList(Struct, frozen=True, kw_only=True):
    """Every token, by name."""

    items: tuple[TokenInfo, ...]


class CreateToken(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A token to be made."""

    name: Name
    role: UserRole
    phones: _Names = ()
    teams: _Names = ()
    agent: Annotated[str, Meta(max_length=128, description="Who its bearer is among the agents.")] = ""
    scopes: Annotated[
        tuple[str, ...], Meta(max_length=100, description="Such as `read`, `calls.*` or `agents.pause`.")
    ] = ()
    expires: Annotated[str, Meta(description="A date-time (RFC 3339); empty: never.")] = ""


class CreatedToken(Struct, frozen=True, kw_only=True):
    """A token and, this once, its secret."""

    token: str
    """To be sent as `Authorization: Bearer …`; it is kept nowhere."""
    info: TokenInfo


class ById(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An id, or a name."""

    id: _Id


class ListUsers(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing: there are few."""


class UserInfo(Struct, frozen=True, kw_only=True):
    """Somebody who logs in, without her password's hash."""

    id: str
    """Her name."""
    role: UserRole
    phones: tuple[str, ...]
    teams: tuple[str, ...]
    agent: str
    has_password: bool
    """Without one, only the OpenID provider lets her in."""
    disabled: bool
    made_at: Instant
    made_by: str
    last_login_at: Instant | None
    sessions: int
    """How many are open."""


class UserList(Struct, frozen=True, kw_only=True):
    """Everybody who logs in, by name."""

    items: tuple[UserInfo, ...]


class CreateUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody who is to log in."""

    name: Name
    role: UserRole
    password: Annotated[
        str, Meta(max_length=256, description="12 to 256 characters; empty: only by the OpenID provider.")
    ] = ""
    phones: _Names = ()
    teams: _Names = ()
    agent: Annotated[str, Meta(max_length=128)] = ""


class UpdateUser(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be other than before."""

    id: _Id
    role: UserRole | UnsetType = UNSET
    phones: _Names | UnsetType = UNSET
    teams: _Names | UnsetType = UNSET
    agent: Annotated[str, Meta(max_length=128)] | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET


class SetPassword(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Somebody's new password."""

    id: _Id
    password: _Password


# Who asks -----------------------------------------------------------------------------------------------


def session_now(context: ApiContext, user: User) -> SessionNow:
    """Who a user is."""
    rights = context.gate.rights
    granted = {str(right): tuple(sorted(over)) for right in Right if (over := rights.over(user, right))}
    session = context.identity.session_of(user)
    ends = session.expires_at if session is not None else context.identity.directory.expiries.get(user.name)
    return SessionNow(
        name=user.name,
        role=user.role,
        teams=tuple(sorted(user.teams)),
        rights=granted,
        phones=tuple(sorted(user.phones)),
        agent=user.agent,
        scopes=user.scopes,
        csrf=session.csrf if session is not None else None,
        expires_at=ends,
    )


async def get_session(context: ApiContext, user: User, _request: SessionRequest) -> SessionNow:
    """Tell who asks."""
    return session_now(context, user)


async def end_session(context: ApiContext, user: User, _request: SessionRequest) -> SessionNow:
    """Log out; a token stays as good as it is."""
    now = session_now(context, user)
    await context.identity.logout(user)
    return now


async def change_password(context: ApiContext, user: User, request: ChangePassword) -> SessionNow:
    """Change one's own password."""
    await context.identity.set_own_password(user, request.old, request.new)
    return session_now(context, user)


# Tokens -------------------------------------------------------------------------------------------------


async def list_tokens(context: ApiContext, _user: User, _request: ListTokens) -> TokenList:
    """List the tokens."""
    directory = context.identity.directory
    infos = [
        token_info(context.identity.directory, bearer)
        for bearer in directory.bearers()
        if not isinstance(bearer, Person)
    ]
    return TokenList(items=tuple(sorted(infos, key=lambda info: info.name)))


async def create_token(context: ApiContext, user: User, request: CreateToken) -> CreatedToken:
    """Make a token."""
    _check_scopes(user, request.scopes)
    expires = instant_of("expires", request.expires) if request.expires else None
    bearer = Bearer(
        name=request.name,
        role=request.role,
        phones=request.phones,
        teams=request.teams,
        agent=request.agent,
        scopes=request.scopes,
    )
    secret, token = await context.identity.registry.create_token(user.name, bearer, expires)
    await context.identity.refresh()
    return CreatedToken(token=secret, info=token_info(context.identity.directory, token))


async def revoke_token(context: ApiContext, user: User, request: ById) -> TokenInfo:
    """End a token, and the streams that it opened."""
    _check_scopes(user, ())
    token = await context.identity.registry.revoke_token(user.name, request.id)
    info = token_info(context.identity.directory, token)
    await context.identity.refresh()
    return info


# Users --------------------------------------------------------------------------------------------------


async def list_users(context: ApiContext, _user: User, _request: ListUsers) -> UserList:
    """List the users."""
    people = sorted(context.identity.directory.people.values(), key=lambda person: person.name)
    return UserList(items=tuple([user_info(context.identity.directory, person) for person in people]))


async def create_user(context: ApiContext, user: User, request: CreateUser) -> UserInfo:
    """Add a user."""
    _check_scopes(user, ())
    bearer = Bearer(
        name=request.name,
        role=request.role,
        phones=request.phones,
        teams=request.teams,
        agent=request.agent,
    )
    person = await context.identity.registry.add_person(user.name, bearer, request.password)
    await context.identity.refresh()
    return user_info(context.identity.directory, person)


async def update_user(context: ApiContext, user: User, request: UpdateUser) -> UserInfo:
    """Change what a user may do, or let her in no more."""
    _check_scopes(user, ())
    names = ("role", "phones", "teams", "agent")
    asked: dict[str, Any] = {name: value for name in names if (value := getattr(request, name)) is not UNSET}
    disabled = None if request.disabled is UNSET else request.disabled
    if not asked and disabled is None:
        raise InvalidRequest("nothing is to be changed; say what", field="role")
    person = await context.identity.registry.change_person(user.name, request.id, asked, disabled=disabled)
    await context.identity.refresh()
    return user_info(context.identity.directory, person)


async def set_password(context: ApiContext, user: User, request: SetPassword) -> UserInfo:
    """Give a user another password."""
    _check_scopes(user, ())
    person = await context.identity.registry.set_password(user.name, request.id, request.password)
    await context.identity.refresh()
    return user_info(context.identity.directory, person)


async def remove_user(context: ApiContext, user: User, request: ById) -> UserInfo:
    """Take a user out."""
    _check_scopes(user, ())
    person = await context.identity.registry.remove_person(user.name, request.id)
    info = user_info(context.identity.directory, person)
    await context.identity.refresh()
    return info


def _check_scopes(user: User, given: tuple[str, ...]) -> None:
    """See that nobody gives away more than she has: who is narrowed by scopes hands out her own at most.

    Raises:
        Forbidden: it would be more.
    """
    if user.scopes and not (given and set(given) <= set(user.scopes)):
        scopes = " and ".join(user.scopes)
        raise Forbidden(f"{user.name} is narrowed to the scopes {scopes}, and can give no more than these")


def token_info(directory: Directory, bearer: Bearer) -> TokenInfo:
    """A token as it is told."""
    kept = bearer if isinstance(bearer, Token) else None
    used_at = directory.last_used(kept) if kept is not None else None
    return TokenInfo(
        id=kept.id if kept is not None else "",
        name=bearer.name,
        role=bearer.role,
        phones=bearer.phones,
        teams=bearer.teams,
        agent=bearer.agent,
        scopes=bearer.scopes,
        expires_at=kept.expires if kept is not None else directory.expiries.get(bearer.name),
        made_at=kept.made_at if kept is not None else None,
        made_by=kept.made_by if kept is not None else "",
        last_used_at=used_at,
        configured=kept is None,
    )


def user_info(directory: Directory, person: Person) -> UserInfo:
    """Somebody who logs in, as she is told."""
    sessions = directory.sessions.values()
    return UserInfo(
        id=person.name,
        role=person.role,
        phones=person.phones,
        teams=person.teams,
        agent=person.agent,
        has_password=bool(person.password),
        disabled=person.disabled,
        made_at=person.made_at,
        made_by=person.made_by,
        last_login_at=person.login_at,
        sessions=sum(session.name == person.name for session in sessions),
    )
