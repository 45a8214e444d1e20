"""What a provider says of somebody, and who she is here by it. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from ctid.identity.records import Bearer
from ctid.model.ids import is_safe_id
from ctid.model.users import UserRole

ALGORITHMS = ("RS256", "PS256", "ES256", "ES384", "RS384", "RS512", "PS384", "PS512", "ES512", "EdDSA")
"""How an ID token may be signed: with the provider's own keys. `none` and the symmetric ones are not here."""
SKEW_S = 60.0
"""How far the provider's clock may be from ours."""
_LONGEST_NAME = 64


class Refused(Exception):
    """The provider's word lets nobody in. `detail` is for the person at the browser, with the cure."""

    def __init__(self, code: str, detail: str, *, status: int = 403, name: str = "") -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.status = status
        self.name = name


class Group(Struct, frozen=True, kw_only=True):
    """What the members of a group of the provider's are here."""

    group: str
    role: UserRole
    teams: tuple[str, ...] = ()


def check_id_token(claims: Mapping[str, Any], *, issuer: str, client: str, nonce: str, now: float) -> None:
    """See that a token that is well signed is for us, now, and for this login (OIDC Core 3.1.3.7).

    Raises:
        Refused: it is not.
    """
    if claims.get("iss") != issuer:
        raise Refused("issuer", "the provider's token is of another issuer; tell your admin")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if client not in audiences:
        raise Refused("audience", "the provider's token is for another program; tell your admin")
    if (len(audiences) > 1 or "azp" in claims) and claims.get("azp") != client:
        raise Refused("audience", "the provider's token was made for another program; tell your admin")
    expires, issued = claims.get("exp"), claims.get("iat")
    if not isinstance(expires, int | float) or not isinstance(issued, int | float):
        raise Refused("token", "the provider's token does not say when it was made and ends; tell your admin")
    if now >= expires + SKEW_S or issued > now + SKEW_S:
        raise Refused("expired", "the provider's token is not of this moment; log in again")
    if claims.get("nonce") != nonce:
        raise Refused("nonce", "the provider's token is of another login; log in again")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise Refused("token", "the provider's token does not say whom it is about; tell your admin")


def bearer_of(
    claims: Mapping[str, Any], groups: Sequence[Group], *, name: str, in_groups: str, agent: str
) -> Bearer:
    """Who somebody is here. `name`, `in_groups` and `agent` are the names of claims, `agent` perhaps none.

    The first of `groups` that she is in says her role; the teams are those of all hers with that role.

    Raises:
        Refused: she has no name that could be one here, or is in no group that is known here.
    """
    called = claims.get(name)
    if not isinstance(called, str) or len(called) > _LONGEST_NAME or not is_safe_id(called):
        raise Refused("name", f"the provider gives no usable name for you ({name}); tell your admin")
    if name == "email" and claims.get("email_verified") is not True:
        raise Refused("name", "the provider has not verified your address; tell your admin", name=called)
    said = claims.get(in_groups)
    hers = {one for one in (said if isinstance(said, list) else [said]) if isinstance(one, str)}
    matching = [group for group in groups if group.group in hers]
    if not matching:
        detail = f"{called}, you are in no group that may use ctid; ask your admin for one"
        raise Refused("no_group", detail, name=called)
    role = matching[0].role
    teams = {team: None for group in matching if group.role is role for team in group.teams}
    number = claims.get(agent) if agent else None
    return Bearer(
        name=called,
        role=role,
        teams=tuple(teams),
        agent=number if isinstance(number, str) and is_safe_id(number) else "",
    )
