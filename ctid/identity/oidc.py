"""Logging in at an OpenID provider: the code flow with PKCE (OpenID Connect Core 3.1, RFC 7636, RFC 9207)."""

import asyncio
import base64
import hmac
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any
from urllib.parse import quote, urlencode

import aiohttp
import msgspec
import structlog
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from msgspec import Struct
from msgspec.structs import replace

from ctid.identity.claims import ALGORITHMS, Group, Refused, bearer_of, check_id_token
from ctid.identity.directory import Directory
from ctid.identity.records import Bearer
from ctid.identity.tokens import new_secret
from ctid.model.users import UserRole
from ctid.ports import Clock
from ctid.rates import Buckets, Rate

log = structlog.get_logger(__name__)

__all__ = ["Oidc", "OidcRules", "Refused"]

LOGIN_S = 600.0
"""How long somebody may take at the provider."""
LOGINS = 1000
"""Under way at once. Beyond it the oldest begins anew."""
ANSWER_S = 10.0
_LARGEST = 1 << 20
_KEYS_AGAIN_S = 60.0
"""Between two looks at the provider's keys: whoever sends unknown ones must not make us ask."""
_METADATA_S = 3600.0
_BEGINNINGS = Rate(1.0, 20)


class OidcRules(Struct, frozen=True, kw_only=True):
    """The provider, and who its people are here."""

    issuer: str
    client_id: str
    client_secret: str
    """Empty for a public client, which PKCE alone protects."""
    redirect_uri: str
    scopes: tuple[str, ...]
    name_claim: str
    groups_claim: str
    agent_claim: str
    groups: Sequence[Group]


class _Login(Struct, frozen=True):
    nonce: str
    verifier: str
    binding: str
    begun: float


class _Metadata(Struct, frozen=True):
    """What is used of the provider's own description (OpenID Connect Discovery 3)."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str = ""
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class Oidc:
    """The client of one provider. Construction does no I/O; `now` is the loop's clock, in seconds.

    Every method that talks with the provider, or judges what it said, raises `Refused`.
    """

    def __init__(self, rules: OidcRules, clock: Clock, now: Callable[[], float]) -> None:
        self._rules = rules
        self._clock = clock
        self._now = now
        self._logins: dict[str, _Login] = {}
        self._beginnings = Buckets(_BEGINNINGS)
        self._metadata: _Metadata | None = None
        self._metadata_at = 0.0
        self._keys: KeySet | None = None
        self._keys_at = 0.0
        self._http: aiohttp.ClientSession | None = None
        self._asking = asyncio.Lock()

    async def close(self) -> None:
        """End the connections; idempotent."""
        if self._http is not None:
            await self._http.close()

    # The way there and back -------------------------------------------------------------------------

    async def begin(self, peer: str) -> tuple[str, str]:
        """Begin a login; returns the provider's address to go to, and what binds the browser to it."""
        if self._beginnings.take(peer, self._now()):
            raise Refused("too_many", "too many logins begin at your address; wait a moment", status=429)
        metadata = await self._described()
        login = _Login(new_secret(), new_secret(), new_secret(), self._now())
        state = new_secret()
        self._logins[state] = login
        if len(self._logins) > LOGINS:
            del self._logins[next(iter(self._logins))]
        challenge = base64.urlsafe_b64encode(sha256(login.verifier.encode()).digest()).rstrip(b"=").decode()
        asked = {
            "response_type": "code",
            "client_id": self._rules.client_id,
            "redirect_uri": self._rules.redirect_uri,
            "scope": " ".join(dict.fromkeys(("openid", *self._rules.scopes))),
            "state": state,
            "nonce": login.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        joint = "&" if "?" in metadata.authorization_endpoint else "?"
        return f"{metadata.authorization_endpoint}{joint}{urlencode(asked)}", login.binding

    async def finish(self, query: Mapping[str, str], binding: str) -> Bearer:
        """Take what the provider sent the browser back with; returns who she is by its word."""
        # Whatever comes of it, a state is good once.
        login = self._logins.pop(query.get("state", ""), None)
        if login is None or self._now() > login.begun + LOGIN_S:
            raise Refused("state", "this login was not begun here, or is over; log in again", status=400)
        if not hmac.compare_digest(binding.encode(), login.binding.encode()):
            raise Refused("state", "this login was begun in another browser; log in again", status=400)
        metadata = await self._described()
        issuer = query.get("iss")
        if issuer != metadata.issuer and (
            issuer is not None or metadata.authorization_response_iss_parameter_supported
        ):
            raise Refused("issuer", "another provider has answered; tell your admin")
        if "error" in query or not query.get("code"):
            raise Refused("denied", "the provider did not let you in; log in again")
        answer = await self._exchanged(metadata, query["code"], login.verifier)
        claims = await self._claims(metadata, answer.get("id_token"), login.nonce)
        rules = self._rules
        if rules.groups_claim not in claims and metadata.userinfo_endpoint:
            claims = await self._with_userinfo(metadata, claims, answer.get("access_token"))
        return bearer_of(
            claims,
            rules.groups,
            name=rules.name_claim,
            in_groups=rules.groups_claim,
            agent=rules.agent_claim,
        )

    def completed(self, bearer: Bearer, directory: Directory) -> Bearer:
        """Somebody of the provider's with what ctid itself knows of her: phones, and who she is as an agent.

        Raises:
            Refused: her name is somebody else's here, she is disabled, or an agent and nothing says which.
        """
        name, person = bearer.name, directory.people.get(bearer.name)
        taken = any(known.name == name for known in directory.bearers() if known is not person)
        if taken or (person is not None and person.password):
            detail = f"{name} is the name of a token, or of a user with a password, here; tell your admin"
            raise Refused("name_taken", detail, name=name)
        if person is not None and person.disabled:
            raise Refused("disabled", f"{name} is disabled here; ask your admin", name=name)
        if person is not None:
            bearer = replace(bearer, phones=person.phones, agent=bearer.agent or person.agent)
        if bearer.role is UserRole.AGENT and not bearer.agent:
            detail = f"{name}, nothing says which agent you are; ask your admin"
            raise Refused("no_agent", detail, name=name)
        return bearer

    # The provider -------------------------------------------------------------------------------------

    async def _described(self) -> _Metadata:
        async with self._asking:
            if self._metadata is None or self._now() > self._metadata_at + _METADATA_S:
                issuer = self._rules.issuer
                found = await self._get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
                try:
                    metadata = msgspec.convert(found, _Metadata)
                except msgspec.ValidationError as error:
                    raise _unusable(f"its description: {error}") from error
                if metadata.issuer != issuer:
                    raise _unusable(f"it calls itself {metadata.issuer}, and oidc.issuer is {issuer}")
                self._metadata, self._metadata_at = metadata, self._now()
            return self._metadata

    async def _exchanged(self, metadata: _Metadata, code: str, verifier: str) -> Mapping[str, Any]:
        rules = self._rules
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": rules.redirect_uri,
            "code_verifier": verifier,
        }
        headers = {}
        methods = metadata.token_endpoint_auth_methods_supported
        if rules.client_secret and "client_secret_basic" in methods:
            # RFC 6749 section 2.3.1: both parts are form-encoded before.
            pair = f"{quote(rules.client_id, safe='')}:{quote(rules.client_secret, safe='')}"
            headers["Authorization"] = "Basic " + base64.b64encode(pair.encode()).decode()
        else:
            form["client_id"] = rules.client_id
            if rules.client_secret:
                form["client_secret"] = rules.client_secret
        status, answer = await self._ask("POST", metadata.token_endpoint, data=form, headers=headers)
        if status >= 400:
            said = str(answer.get("error", status))[:64]
            raise Refused("code", f"the provider refused to confirm the login ({said}); log in again")
        return answer

    async def _claims(self, metadata: _Metadata, id_token: Any, nonce: str) -> dict[str, Any]:
        if not isinstance(id_token, str):
            raise Refused("token", "the provider sent no ID token; tell your admin")
        claims = await self._verified(metadata, id_token)
        check_id_token(
            claims,
            issuer=metadata.issuer,
            client=self._rules.client_id,
            nonce=nonce,
            now=self._clock.now(),
        )
        return claims

    async def _verified(self, metadata: _Metadata, id_token: str) -> dict[str, Any]:
        """The claims of a token that one of the provider's keys has signed; these may be new ones."""
        for is_last in (False, True):
            keys = await self._key_set(metadata, anew=is_last)
            try:
                return dict(jwt.decode(id_token, keys, algorithms=list(ALGORITHMS)).claims)
            except (JoseError, ValueError) as error:
                if is_last:
                    log.warning("an ID token is not good", reason=str(error))
        raise Refused("signature", "the provider's token is not signed by one of its keys; tell your admin")

    async def _key_set(self, metadata: _Metadata, *, anew: bool) -> KeySet:
        async with self._asking:
            if self._keys is None or (anew and self._now() >= self._keys_at + _KEYS_AGAIN_S):
                found = await self._get(metadata.jwks_uri)
                try:
                    self._keys = KeySet.import_key_set(found)  # type: ignore[arg-type]  # it checks the form itself
                except (JoseError, ValueError, KeyError, TypeError) as error:
                    raise _unusable(f"its keys: {error}") from error
                self._keys_at = self._now()
            return self._keys

    async def _with_userinfo(
        self, metadata: _Metadata, claims: dict[str, Any], access_token: Any
    ) -> dict[str, Any]:
        """The claims with those that the provider tells only at its userinfo endpoint (Core 5.3)."""
        if not isinstance(access_token, str):
            return claims
        headers = {"Authorization": f"Bearer {access_token}"}
        status, told = await self._ask("GET", metadata.userinfo_endpoint, headers=headers)
        if status >= 400 or told.get("sub") != claims["sub"]:
            raise Refused("userinfo", "the provider tells of somebody else than its token; tell your admin")
        return {**told, **claims}

    async def _get(self, url: str) -> Mapping[str, Any]:
        status, answer = await self._ask("GET", url)
        if status != 200:
            raise _unusable(f"{url} answers {status}")
        return answer

    async def _ask(self, method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
        if self._http is None:
            self._http = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S))
        try:
            async with self._http.request(method, url, allow_redirects=False, **options) as response:
                body, status = bytearray(), response.status
                async for chunk in response.content.iter_any():
                    body += chunk
                    if len(body) > _LARGEST:
                        raise _unusable(f"{url} answers more than {_LARGEST} bytes")
            answer = msgspec.json.decode(body)
        except (aiohttp.ClientError, OSError, TimeoutError, msgspec.DecodeError) as error:
            raise _unusable(f"{url}: {str(error) or type(error).__name__}") from error
        if not isinstance(answer, dict):
            raise _unusable(f"{url} answers no JSON object")
        return status, answer


def _unusable(reason: str) -> Refused:
    log.error("the OpenID provider cannot be used", reason=reason, cure="see [oidc] of ctid.toml")
    return Refused("unavailable", "the provider of logins cannot be used now; tell your admin", status=503)
