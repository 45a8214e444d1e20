"""Making, changing and ending tokens and people: the rules, whoever asks, the API or the machine's admin."""

from collections.abc import Mapping
from dataclasses import dataclass
from secrets import token_hex
from typing import Any

from msgspec.structs import replace

from ctid.identity.kept import IdentityRefused, Kept
from ctid.identity.passwords import Passwords, check_password
from ctid.identity.records import Bearer, Moment, Person, Session, Token
from ctid.identity.scopes import EVENTS, READ, unknown
from ctid.identity.tokens import new_token
from ctid.model.errors import InvalidRequest, NotFound
from ctid.model.ids import is_safe_id
from ctid.model.instant import Instant
from ctid.model.users import UserRole
from ctid.ports import Clock

LONGEST_NAME = 64


@dataclass(frozen=True, kw_only=True)
class Known:
    """What the configuration and the API know: names given away, phones, operations."""

    taken: frozenset[str] = frozenset()
    phones: frozenset[str] = frozenset()
    operations: frozenset[str] = frozenset()


class Registry:
    """Changes what is kept. `by` is whose doing it is, as the audit tells it.

    Every method raises `IdentityUnavailable` when the file cannot be used.
    """

    def __init__(self, kept: Kept, passwords: Passwords, known: Known, clock: Clock) -> None:
        self.kept = kept
        self._passwords = passwords
        self._known = known
        self._clock = clock

    # Tokens -----------------------------------------------------------------------------------------

    async def create_token(self, by: str, bearer: Bearer, expires: Instant | None) -> tuple[str, Token]:
        """Make a token; returns the secret, which is kept nowhere, and what is kept.

        Raises:
            InvalidRequest: a name, phone, agent, scope or time that cannot be.
            IdentityRefused: the name is another one's.
        """
        self._check(bearer)
        now = self._now()
        if expires is not None and expires <= now:
            raise InvalidRequest("expires is over already", field="expires")
        secret, digest = new_token()
        token = Token(
            **_fields(bearer), id=token_hex(6), sha256=digest, made_at=now, made_by=by, expires=expires
        )
        await self.kept.change(put=[token], tell=self._moment("token_created", by, told_token(token)))
        return secret, token

    async def revoke_token(self, by: str, ident: str) -> Token:
        """End a token, by its id or its name; raises NotFound."""
        tokens = (await self.kept.load()).tokens
        token = next((token for token in tokens if ident in (token.id, token.name)), None)
        if token is None:
            if ident in self._known.taken:
                raise IdentityRefused(
                    "configured", f"{ident} is a [[token]] of ctid.toml: take it out there, and restart ctid"
                )
            raise NotFound("token", ident)
        await self.kept.change(remove=[token], tell=self._moment("token_revoked", by, told_token(token)))
        return token

    # People -----------------------------------------------------------------------------------------

    async def add_person(self, by: str, bearer: Bearer, password: str) -> Person:
        """Add somebody; without a password only the OpenID provider lets her in.

        Raises:
            InvalidRequest: a name, phone, agent or password that cannot be.
            IdentityRefused: the name is another one's.
            Busy: too many passwords are being looked at.
        """
        self._check(bearer)
        digest = ""
        if password:
            check_password(bearer.name, password)
            digest = await self._passwords.hash(password)
        person = Person(**_fields(bearer), password=digest, made_at=self._now(), made_by=by)
        if any(known.name == person.name for known in (await self.kept.load()).people):
            raise IdentityRefused("name_taken", f"there is a user {person.name} already")
        await self.kept.change(put=[person], tell=self._moment("user_created", by, told_person(person)))
        return person

    async def change_person(
        self, by: str, name: str, changes: Mapping[str, Any], *, disabled: bool | None = None
    ) -> Person:
        """Change fields of what she is as a `Bearer`, or let her in no more: her sessions end then.

        Raises:
            NotFound: there is no such user.
            InvalidRequest: a phone or agent that cannot be.
        """
        person = await self._person(name)
        after = replace(person, **changes, disabled=person.disabled if disabled is None else disabled)
        self._check(after)
        ended = await self._sessions_of(name) if after.disabled else []
        told = self._moment("user_changed", by, told_person(after))
        await self.kept.change(put=[after], remove=ended, tell=told)
        return after

    async def set_password(self, by: str, name: str, password: str, spare: str = "") -> Person:
        """Give somebody a new password, and end her sessions but `spare`, by its id.

        Raises:
            NotFound: there is no such user.
            InvalidRequest: it is not good enough.
            Busy: too many passwords are being looked at.
        """
        check_password(name, password)
        person = replace(await self._person(name), password=await self._passwords.hash(password))
        ended = [session for session in await self._sessions_of(name) if session.id != spare]
        await self.kept.change(
            put=[person], remove=ended, tell=self._moment("password_set", by, {"user": name})
        )
        return person

    async def remove_person(self, by: str, name: str) -> Person:
        """Take somebody out, with her sessions; raises NotFound."""
        person = await self._person(name)
        ended = await self._sessions_of(name)
        await self.kept.change(
            remove=[person, *ended], tell=self._moment("user_removed", by, told_person(person))
        )
        return person

    async def _person(self, name: str) -> Person:
        people = (await self.kept.load()).people
        found = next((person for person in people if person.name == name), None)
        if found is None:
            raise NotFound("user", name)
        return found

    async def _sessions_of(self, name: str) -> list[Session]:
        return [session for session in (await self.kept.load()).sessions if session.name == name]

    def _check(self, bearer: Bearer) -> None:
        name, known = bearer.name, self._known
        if len(name) > LONGEST_NAME or not is_safe_id(name):
            detail = f"a name has at most {LONGEST_NAME} letters, digits and _ . @ : = ~ -"
            raise InvalidRequest(detail, field="name")
        if name in known.taken:
            raise IdentityRefused("name_taken", f"{name} is the name of a [[token]] of ctid.toml")
        if bearer.agent and not is_safe_id(bearer.agent):
            raise InvalidRequest("agent is no id of an agent", field="agent")
        if bearer.role is UserRole.AGENT and not bearer.agent:
            raise InvalidRequest("who has the role agent needs agent: who she is among them", field="agent")
        for phone in bearer.phones:
            if phone not in known.phones:
                listed = ", ".join(sorted(known.phones)) or "none"
                raise InvalidRequest(f"there is no [[phone]] {phone!r}; there are: {listed}", field="phones")
        scope = unknown(bearer.scopes, known.operations)
        if scope is not None:
            detail = f"{scope!r} is no operation, no room of them such as calls.*, and not {READ} or {EVENTS}"
            raise InvalidRequest(detail, field="scopes")

    def _now(self) -> Instant:
        return Instant(self._clock.now())

    def _moment(self, event: str, by: str, about: dict[str, Any]) -> Moment:
        return Moment(at=self._now(), event=event, by=by, about=about)


def told_token(token: Token) -> dict[str, Any]:
    """What the audit tells of a token: no hash."""
    return {"token": token.name, "id": token.id, "expires": token.expires} | _rights(token)


def told_person(person: Person) -> dict[str, Any]:
    """What the audit tells of somebody: no hash."""
    return {"user": person.name, "disabled": person.disabled} | _rights(person)


def _rights(bearer: Bearer) -> dict[str, Any]:
    told = {"role": str(bearer.role), "phones": bearer.phones, "teams": bearer.teams, "scopes": bearer.scopes}
    return told | {"is_agent": bearer.agent}


def _fields(bearer: Bearer) -> dict[str, Any]:
    return {name: getattr(bearer, name) for name in Bearer.__struct_fields__}
