"""Logins at a real OpenID provider, good ones and every kind of bad one."""

import asyncio
import base64
import json
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import structlog
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from msgspec.structs import replace
from multidict import CIMultiDictProxy

from api.support import Floor, Reply, token_of
from ctid.identity import oidc as room
from ctid.identity.claims import Group
from ctid.identity.oidc import Oidc, OidcRules
from ctid.model.users import UserRole
from lab.oidc import CALLBACK, Browser, missing, provider

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(bool(missing()), reason=missing() or "there is one"),
]

PEOPLE = {
    "anna": {"groups": ["leads", "all"], "extension": "1001"},
    "bob": {"groups": ["cooks"]},
    "carl": {"groups": ["agents"], "extension": "1002"},
    "dora": {"groups": ["agents"]},
    "a-token": {"groups": ["leads"]},
    "eve": {"groups": ["leads"]},
}
GROUPS = (
    Group(group="leads", role=UserRole.SUPERVISOR, teams=("red",)),
    Group(group="agents", role=UserRole.AGENT),
)
SECRET = "a secret"
Tamper = Callable[["Desk", dict[str, Any]], dict[str, Any]]


@dataclass
class Desk:
    """ctid's API before a provider, and a browser."""

    floor: Floor
    oidc: Oidc
    browser: Browser
    shift: list[float]
    """Seconds that ctid's own timer is ahead."""

    async def begin(self) -> tuple[str, dict[str, str]]:
        """Begin a login; returns where the provider sends back to, and the browser's cookie for ctid."""
        there = await self.floor.get("/oidc/login", None)
        assert there.status == 302, there.text
        return there.headers["Location"], {"Cookie": there.headers["Set-Cookie"].partition(";")[0]}

    async def come_back(self, back: str, cookie: Mapping[str, str]) -> Reply:
        """Bring ctid what the provider sent the browser back with."""
        query = urlsplit(back).query
        return await self.floor.request("GET", f"/api/v1/oidc/callback?{query}", None, headers=cookie)

    async def log_in(self, name: str) -> Reply:
        """The whole way."""
        address, cookie = await self.begin()
        return await self.come_back(await self.browser.log_in(address, name), cookie)


@asynccontextmanager
async def desk_at(issuer: str, **rules: Any) -> AsyncIterator[Desk]:
    """A desk before the provider at `issuer`."""
    known = OidcRules(
        issuer=issuer,
        client_id="ctid",
        client_secret=SECRET,
        redirect_uri=CALLBACK,
        scopes=("openid", "profile"),
        name_claim="preferred_username",
        groups_claim="groups",
        agent_claim="extension",
        groups=GROUPS,
    )
    shift = [0.0]

    def made() -> Oidc:
        loop = asyncio.get_running_loop()
        return Oidc(replace(known, **rules), floor_clock, lambda: loop.time() + shift[0])

    class Now:
        """The floor's clock, once there is a floor."""

        def now(self) -> float:
            return floor.clock.time

    floor_clock = Now()
    async with Floor(oidc=made) as floor, Browser() as browser:
        floor.clock.time = time.time()
        await floor.populate()
        assert floor.context.oidc is not None
        yield Desk(floor, floor.context.oidc, browser, shift)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """A desk before a provider of its own."""
    async with provider(PEOPLE, secret=SECRET) as issuer, desk_at(issuer) as opened:
        yield opened


async def session_of(desk: Desk, reply: Reply) -> Any:
    """Who ctid says that the session of a reply is."""
    assert isinstance(reply.headers, CIMultiDictProxy)
    cookies = [value.partition(";")[0] for value in reply.headers.getall("Set-Cookie")]
    cookie = {"Cookie": next(value for value in cookies if value.startswith("ctid-local="))}
    return (await desk.floor.request("GET", "/api/v1/session", None, headers=cookie)).json


def code_of(reply: Reply) -> str:
    """The code on a page of refusal."""
    found = re.search(r"\[oidc\.(\w+)\]", reply.text)
    assert found, reply.text
    return found[1]


async def test_a_login(desk: Desk) -> None:
    """Her group says her role and teams, the provider who she is as an agent, ctid which phones she has."""
    body = {"name": "anna", "role": "viewer", "phones": ["2001"]}
    made = await desk.floor.request("POST", "/api/v1/users", "admin", json=body)
    assert made.status == 201
    page = await desk.log_in("anna")
    assert (page.status, page.headers["Content-Type"].partition(";")[0]) == (200, "text/html")
    assert 'http-equiv="refresh"' in page.text
    session = await session_of(desk, page)
    assert (session["name"], session["role"], session["teams"]) == ("anna", "supervisor", ["red"])
    assert (session["agent"], session["phones"]) == ("1001", ["2001"])
    assert session["csrf"]
    # The supervisor whom only a session tells of is found by her name, as her sessions in calls ask for.
    found = desk.floor.identity.directory.user("anna", desk.floor.clock.time)
    assert found is not None
    assert found.role is UserRole.SUPERVISOR


async def test_what_is_asked_for(desk: Desk) -> None:
    """The code flow, PKCE by S256, and a state and a nonce of 256 bits that never come twice."""
    asked = [parse_qs(urlsplit((await desk.begin())[0]).query) for _ in range(2)]
    assert asked[0]["response_type"] == ["code"]
    assert asked[0]["code_challenge_method"] == ["S256"]
    for name in ("state", "nonce", "code_challenge"):
        assert len(asked[0][name][0]) >= 43
        assert asked[0][name] != asked[1][name]


async def test_groups_by_userinfo() -> None:
    """Where the ID token says no groups, the provider is asked for them."""
    async with provider(PEOPLE, secret=SECRET, userinfo=True) as issuer, desk_at(issuer) as desk:
        assert (await session_of(desk, await desk.log_in("anna")))["role"] == "supervisor"


async def test_a_public_client_and_another_algorithm() -> None:
    """Without a secret PKCE protects the code; ES256 is as good as RS256."""
    async with provider(PEOPLE, secret="", alg="ES256") as issuer, desk_at(issuer, client_secret="") as desk:
        assert (await desk.log_in("anna")).status == 200


@pytest.mark.parametrize(
    ("name", "code"),
    [("bob", "no_group"), ("dora", "no_agent"), ("a-token", "name_taken"), ("eve", "disabled")],
)
async def test_who_is_not_let_in(desk: Desk, name: str, code: str) -> None:
    """In no known group, an agent of no number, somebody else's name, disabled: a page says which."""
    for path, method, body in (
        ("/tokens", "POST", {"name": "a-token", "role": "viewer"}),
        ("/users", "POST", {"name": "eve", "role": "viewer"}),
        ("/users/eve", "PATCH", {"disabled": True}),
    ):
        assert (await desk.floor.request(method, f"/api/v1{path}", "admin", json=body)).status < 300
    refused = await desk.log_in(name)
    assert (refused.status, code_of(refused)) == (403, code)
    assert "Set-Cookie" not in refused.headers
    items = (await desk.floor.get("/audit?event=login_failed", "admin")).json["items"]
    assert [(item["payload"]["about"]["user"], item["payload"]["about"]["reason"]) for item in items] == [
        (name, code)
    ]


async def test_an_agent(desk: Desk) -> None:
    """An agent's number comes from the provider."""
    session = await session_of(desk, await desk.log_in("carl"))
    assert (session["role"], session["agent"]) == ("agent", "1002")


# What goes wrong on the way ---------------------------------------------------------------------------


async def test_states(desk: Desk) -> None:
    """Another state, none, one used before, another browser's, one too old: nobody is let in."""
    address, cookie = await desk.begin()
    back = await desk.browser.log_in(address, "anna")
    wrong = re.sub(r"state=[^&]*", "state=wrong", back)
    for reply in (
        await desk.come_back(wrong, cookie),
        await desk.come_back(re.sub(r"&?state=[^&]*", "", back), cookie),
    ):
        assert (reply.status, code_of(reply)) == (400, "state")
    assert (await desk.come_back(back, cookie)).status == 200
    assert code_of(await desk.come_back(back, cookie)) == "state"
    address, cookie = await desk.begin()
    back = await desk.browser.log_in(address, "anna")
    assert code_of(await desk.come_back(back, {})) == "state"
    address, cookie = await desk.begin()
    back = await desk.browser.log_in(address, "anna")
    desk.shift[0] += room.LOGIN_S + 1
    assert code_of(await desk.come_back(back, cookie)) == "state"


async def test_a_code_that_comes_again(desk: Desk) -> None:
    """A code that was used is refused by the provider, also in a login begun anew."""
    address, cookie = await desk.begin()
    back = await desk.browser.log_in(address, "anna")
    assert (await desk.come_back(back, cookie)).status == 200
    address, cookie = await desk.begin()
    state = parse_qs(urlsplit(address).query)["state"][0]
    assert code_of(await desk.come_back(re.sub(r"state=[^&]*", f"state={state}", back), cookie)) == "code"


async def test_a_code_of_another_login(desk: Desk) -> None:
    """A code that was stolen is worth nothing without the verifier of the login that it belongs to."""
    stolen = await desk.browser.log_in((await desk.begin())[0], "anna")
    address, cookie = await desk.begin()
    state = parse_qs(urlsplit(address).query)["state"][0]
    refused = await desk.come_back(re.sub(r"state=[^&]*", f"state={state}", stolen), cookie)
    assert code_of(refused) == "code"


async def test_another_issuer_answers(desk: Desk) -> None:
    """The answer names its issuer (RFC 9207): another one's, or none, is refused."""
    for put in ("iss=http%3A%2F%2Fevil.example", ""):
        address, cookie = await desk.begin()
        back = await desk.browser.log_in(address, "anna")
        assert "iss=" in back
        assert code_of(await desk.come_back(re.sub(r"iss=[^&]*", put, back), cookie)) == "issuer"


async def test_the_provider_says_no(desk: Desk) -> None:
    """An error instead of a code is a page, and no session."""
    address, cookie = await desk.begin()
    query = parse_qs(urlsplit(address).query)
    state, issuer = query["state"][0], desk.oidc._rules.issuer
    back = f"{CALLBACK}?error=access_denied&state={state}&iss={issuer}"
    assert code_of(await desk.come_back(back, cookie)) == "denied"


# Tokens that are not good: the provider's own, altered on the way -----------------------------------


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any], str]:
    head, body, signature = token.split(".")

    def read(part: str) -> dict[str, Any]:
        return dict(json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))))

    return read(head), read(body), signature


def _written(*parts: dict[str, Any]) -> str:
    return ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts
    )


def unsigned(_desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    """Alg none, no signature."""
    head, body, _ = _parts(answer["id_token"])
    return answer | {"id_token": _written({**head, "alg": "none"}, body) + "."}


def cut(_desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    """RS256 by its own words, and no signature."""
    head, body, _ = _parts(answer["id_token"])
    return answer | {"id_token": _written(head, body) + "."}


def altered(_desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    """Another group than was signed."""
    head, body, signature = _parts(answer["id_token"])
    return answer | {"id_token": f"{_written(head, {**body, 'groups': ['leads']})}.{signature}"}


def of_another_key(_desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    """Signed by somebody who says to be the provider's key."""
    head, body, _ = _parts(answer["id_token"])
    key = RSAKey.generate_key(2048, {"kid": head["kid"]})
    return answer | {"id_token": jwt.encode(head, body, key, algorithms=["RS256"])}


def symmetric(desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    """Signed by HS256 with the provider's public key, which everybody has."""
    head, body, _ = _parts(answer["id_token"])
    keys = desk.oidc._keys
    assert isinstance(keys, KeySet)
    public = keys.keys[0].as_dict(private=False)["n"]
    key = OctKey.import_key(str(public))
    return answer | {"id_token": jwt.encode({**head, "alg": "HS256"}, body, key, algorithms=["HS256"])}


def of_client_secret(_desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    """Signed by HS256 with the secret that ctid and the provider share."""
    head, body, _ = _parts(answer["id_token"])
    key = OctKey.import_key(SECRET)
    return answer | {"id_token": jwt.encode({**head, "alg": "HS256"}, body, key, algorithms=["HS256"])}


def lacking(_desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    """No ID token at all."""
    return {key: value for key, value in answer.items() if key != "id_token"}


def nonsense(_desk: Desk, answer: dict[str, Any]) -> dict[str, Any]:
    """No token at all."""
    return answer | {"id_token": "a.b"}


@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize(
    ("tamper", "code"),
    [
        (unsigned, "signature"),
        (cut, "signature"),
        (altered, "signature"),
        (of_another_key, "signature"),
        (symmetric, "signature"),
        (of_client_secret, "signature"),
        (nonsense, "signature"),
        (lacking, "token"),
    ],
)
async def test_tokens_that_are_not_the_providers(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, tamper: Tamper, code: str
) -> None:
    """Each is refused, and lets nobody in; what is secret is not in the log."""
    assert (await desk.log_in("anna")).status == 200
    ask = desk.oidc._ask

    async def tampered(method: str, url: str, **options: Any) -> tuple[int, dict[str, Any]]:
        status, answer = await ask(method, url, **options)
        return status, tamper(desk, answer) if "id_token" in answer else answer

    monkeypatch.setattr(desk.oidc, "_ask", tampered)
    before = len(desk.floor.identity.directory.sessions)
    with structlog.testing.capture_logs() as logs:
        refused = await desk.log_in("bob")
    assert (refused.status, code_of(refused)) == (403, code)
    assert len(desk.floor.identity.directory.sessions) == before
    assert SECRET not in repr(logs)
    assert token_of("admin") not in repr(logs)


async def test_another_nonce(desk: Desk) -> None:
    """A good token of another login is refused."""
    address, cookie = await desk.begin()
    back = await desk.browser.log_in(address, "anna")
    state = parse_qs(urlsplit(back).query)["state"][0]
    login = desk.oidc._logins[state]
    desk.oidc._logins[state] = replace(login, nonce="another")
    assert code_of(await desk.come_back(back, cookie)) == "nonce"


async def test_for_another_program(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A good token whose audience is another client is refused."""
    exchanged = desk.oidc._exchanged

    async def for_other(*given: Any) -> Mapping[str, Any]:
        answer = await exchanged(*given)
        monkeypatch.setattr(desk.oidc, "_rules", replace(desk.oidc._rules, client_id="other"))
        return answer

    monkeypatch.setattr(desk.oidc, "_exchanged", for_other)
    assert code_of(await desk.log_in("anna")) == "audience"


@pytest.mark.parametrize("seconds", [7200.0, -7200.0])
async def test_not_of_this_moment(desk: Desk, seconds: float) -> None:
    """A token that has expired, or will be made in the future, is refused."""
    address, cookie = await desk.begin()
    back = await desk.browser.log_in(address, "anna")
    desk.floor.clock.time += seconds
    assert code_of(await desk.come_back(back, cookie)) == "expired"


async def test_keys_change() -> None:
    """A provider's new keys are believed as soon as it may be asked for its keys again."""
    async with provider(PEOPLE, secret=SECRET) as issuer:
        port = urlsplit(issuer).port
    assert port is not None
    async with desk_at(issuer) as desk:
        for again in (False, True):
            async with provider(PEOPLE, secret=SECRET, port=port):
                if again:
                    assert code_of(await desk.log_in("anna")) == "signature"
                    desk.shift[0] += 61.0
                assert (await desk.log_in("anna")).status == 200


async def test_a_provider_that_is_away() -> None:
    """A page says so, and the log what is wrong; ctid itself goes on."""
    async with desk_at("http://127.0.0.1:1") as desk:
        with structlog.testing.capture_logs() as logs:
            reply = await desk.floor.get("/oidc/login", None)
        assert (reply.status, code_of(reply)) == (503, "unavailable")
        assert [line["event"] for line in logs if line["log_level"] == "error"] == [
            "the OpenID provider cannot be used"
        ]
        assert (await desk.floor.get("/agents")).status == 200


async def test_another_issuer_than_configured(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that calls itself otherwise than oidc.issuer is not used."""
    rules = replace(desk.oidc._rules, issuer=desk.oidc._rules.issuer + "/")
    monkeypatch.setattr(desk.oidc, "_rules", rules)
    assert code_of(await desk.floor.get("/oidc/login", None)) == "unavailable"


async def test_beginnings_are_bounded(desk: Desk) -> None:
    """Of those who begin logins and do not end them, one address has twenty at once."""
    statuses = [(await desk.floor.get("/oidc/login", None)).status for _ in range(22)]
    assert statuses[:20] == [302] * 20
    assert 429 in statuses[20:]
