"""What HTTP itself promises: entity tags, conditions, compression, other origins, proxies."""

import asyncio
import gzip
import json

import aiohttp
import pytest

from api.support import CALL, NOW, PBX, SESSION, Floor, Reply, session_of, token_of
from ctid.api.context import Limits, Web
from ctid.api.origins import Origins
from ctid.api.proxies import Proxies
from ctid.model.facts import SupervisionChanged
from ctid.model.web import network_of
from ctid.rates import Rate

PAGE = "https://wallboard.example.com"
PATCH = {"mode": "whisper"}


async def ask(
    floor: Floor, path: str, role: str = "supervisor", method: str = "GET", **headers: str
) -> Reply:
    """Ask with headers, an underscore in whose names is a hyphen."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await floor.request(method, f"/api/v1{path}", role, headers=named)


def vary(reply: Reply) -> set[str]:
    """What the answer depends on."""
    values = reply.headers.getall("Vary", [])  # type: ignore[attr-defined]  # aiohttp's headers are a multidict
    return {name.strip() for value in values for name in value.split(",")}


# Entity tags ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/agents/1002", "/agents", f"/calls/{CALL}", "/calls?limit=1", "/queues"])
async def test_what_has_not_changed_is_not_sent_again(floor: Floor, path: str) -> None:
    """With its tag the answer is 304 and has no body, until what is there has changed."""
    first = await ask(floor, path)
    tag = first.headers["ETag"]
    for header in (tag, f'"x", {tag}', f"W/{tag}" if tag.startswith('"') else tag, "*"):
        again = await ask(floor, path, If_None_Match=header)
        assert (again.status, again.text, again.headers["ETag"]) == (304, "", tag)
        assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "private, no-cache"
        assert vary(again) == vary(first) == {"Authorization", "Cookie", "Accept-Encoding"}
        assert "Content-Type" not in again.headers
    for header in ('"x"', "nonsense"):
        assert (await ask(floor, path, If_None_Match=header)).text == first.text
    await floor.pause("1002", "lunch")
    await floor.renumber("0799999911")
    later = await ask(floor, path, If_None_Match=tag)
    assert later.status == 200
    assert later.headers["ETag"] != tag


async def test_a_list_is_the_same_while_its_items_are(floor: Floor) -> None:
    """What happens elsewhere moves a list's `seq`, and not its tag."""
    first = await ask(floor, "/queues/sales")
    pages = await ask(floor, "/devices")
    await floor.pause("1002", "lunch")
    assert (await ask(floor, "/devices", If_None_Match=pages.headers["ETag"])).status == 304
    assert (await ask(floor, "/devices")).json["seq"] > pages.json["seq"]
    assert (await ask(floor, "/queues/sales", If_None_Match=first.headers["ETag"])).status == 304


async def test_a_tag_is_of_what_one_sees(floor: Floor) -> None:
    """Who sees numbers masked has another tag; what she may not see changes hers by nothing."""
    seen, masked = await ask(floor, f"/calls/{CALL}"), await ask(floor, f"/calls/{CALL}", "viewer")
    assert seen.headers["ETag"] != masked.headers["ETag"]
    await floor.supervise()
    assert (await ask(floor, f"/calls/{CALL}", "viewer", If_None_Match=masked.headers["ETag"])).status == 304
    assert (await ask(floor, f"/calls/{CALL}", If_None_Match=seen.headers["ETag"])).status == 200


async def test_no_tag_passes_a_refusal(floor: Floor) -> None:
    """A condition is looked at after everything else: what is refused is refused."""
    assert (await ask(floor, "/agents/1002", "principal", If_None_Match="*")).status == 403
    gone = await ask(floor, "/agents/9999", If_None_Match="*")
    assert (gone.status, "ETag" in gone.headers) == (404, False)


async def test_head(floor: Floor) -> None:
    """HEAD tells the same headers, and knows the same tags."""
    first = await ask(floor, "/agents/1002")
    head = await ask(floor, "/agents/1002", method="HEAD")
    assert (head.status, head.text, head.headers["ETag"]) == (200, "", first.headers["ETag"])
    assert head.headers["Content-Length"] == first.headers["Content-Length"]
    assert (await ask(floor, "/agents/1002", method="HEAD", If_None_Match="*")).status == 304


# Changing what one knows ------------------------------------------------------------------------------


async def patch(floor: Floor, tag: str, **headers: str) -> Reply:
    """Switch the session, if it is as the tag says."""
    path = f"/api/v1/supervisions/{SESSION}"
    return await floor.request("PATCH", path, json=PATCH, headers={"If-Match": tag} | headers)


async def test_a_change_of_what_one_knows(floor: Floor) -> None:
    """With its tag a session is changed, and the answer bears the new one; with the old one it is 412."""
    await floor.supervise()
    tag = (await ask(floor, f"/supervisions/{SESSION}")).headers["ETag"]
    changed = await patch(floor, tag)
    assert (changed.status, changed.json["mode"]) == (200, "whisper")
    now = await ask(floor, f"/supervisions/{SESSION}")
    assert changed.headers["ETag"] == now.headers["ETag"] != tag
    late = await patch(floor, tag)
    assert (late.status, late.json["code"]) == (412, "request.precondition_failed")
    assert (await patch(floor, "*")).status == 200
    assert (await patch(floor, f"W/{now.headers['ETag']}")).status == 412
    assert (await patch(floor, "nonsense")).json["field"] == "If-Match"


async def test_it_changes_while_the_request_waits(floor: Floor) -> None:
    """What counts is the session at its turn, and not when the request came."""
    await floor.supervise()
    tag = (await ask(floor, f"/supervisions/{SESSION}")).headers["ETag"]
    floor.supervisions.gate.clear()
    waiting = asyncio.gather(patch(floor, tag))
    while not floor.supervisions.asked:  # noqa: ASYNC110 - the fake tells nobody
        await asyncio.sleep(0.001)
    await floor.feed(SupervisionChanged(pbx=PBX, at=NOW, supervision=session_of("a supervisor", note="new")))
    floor.supervisions.gate.set()
    assert (await waiting)[0].status == 412


async def test_a_change_that_is_sent_again(floor: Floor) -> None:
    """A key goes before the condition: the answer that was lost comes again."""
    await floor.supervise()
    tag = (await ask(floor, f"/supervisions/{SESSION}")).headers["ETag"]
    first = await patch(floor, tag, **{"Idempotency-Key": "k"})
    again = await patch(floor, tag, **{"Idempotency-Key": "k"})
    assert (again.status, again.json) == (first.status, first.json) == (200, first.json)
    assert again.headers["Idempotency-Replayed"] == "true"


async def test_a_condition_that_is_not_looked_at_is_refused(floor: Floor) -> None:
    """Where a condition does not count nothing is done."""
    await floor.supervise()
    reply = await ask(floor, f"/supervisions/{SESSION}", method="DELETE", If_Match='"x"')
    assert (reply.status, reply.json["field"]) == (422, "If-Match")
    assert floor.supervisions.asked == []


# Compression ------------------------------------------------------------------------------------------


async def raw(floor: Floor, path: str, **headers: str) -> tuple[aiohttp.ClientResponse, bytes]:
    """An answer as it came."""
    sent = {"Authorization": f"Bearer {token_of('supervisor')}"}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    async with floor.http.get(path, headers=sent) as response:
        return response, await response.read()


async def test_large_answers_are_compressed(floor: Floor) -> None:
    """Who takes gzip gets it, with a tag of its own, which knows the document as well."""
    plain, body = await raw(floor, "/api/v1/agents")
    packed, packed_body = await raw(floor, "/api/v1/agents", Accept_Encoding="br, gzip;q=0.5")
    assert packed.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed_body) == body
    assert len(packed_body) == int(packed.headers["Content-Length"]) < len(body) / 2
    assert packed.headers["ETag"] == plain.headers["ETag"].removesuffix('"') + '-gzip"'
    again, none = await raw(
        floor, "/api/v1/agents", Accept_Encoding="gzip", If_None_Match=packed.headers["ETag"]
    )
    assert (again.status, none, again.headers["ETag"]) == (304, b"", packed.headers["ETag"])


@pytest.mark.parametrize(
    ("path", "accepted"),
    [
        ("/api/v1/agents", "gzip;q=0"),
        ("/api/v1/agents", "deflate"),
        ("/healthz", "gzip"),
        ("/api/v1/x", "gzip"),
    ],
)
async def test_what_is_not_compressed(floor: Floor, path: str, accepted: str) -> None:
    """Not for who does not want it, and nothing small; that it depends on it is said all the same."""
    response, body = await raw(floor, path, Accept_Encoding=accepted)
    assert "Content-Encoding" not in response.headers
    assert json.loads(body)
    assert "Accept-Encoding" in response.headers.getall("Vary")


async def test_the_documents_are_compressed(floor: Floor) -> None:
    """The OpenAPI document and the page's parts come compressed."""
    for path in ("openapi.json", "docs/docs.js"):
        response, body = await raw(floor, f"/api/v1/{path}", Accept_Encoding="gzip")
        assert response.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(body)


# Other origins ----------------------------------------------------------------------------------------


async def test_pages_of_other_origins() -> None:
    """An allowed page reads answers, streams and refusals; another gets nothing, and no page a credential."""
    async with Floor(web=Web(origins=Origins(frozenset({PAGE})))) as floor:
        await floor.populate()
        for path in ("/agents", "/agents/9999"):
            reply = await ask(floor, path, Origin=PAGE)
            assert reply.headers["Access-Control-Allow-Origin"] == PAGE
            assert "Access-Control-Allow-Credentials" not in reply.headers
            assert "Origin" in vary(reply)
        async with floor.http.get(
            "/api/v1/events/stream",
            headers={"Origin": PAGE, "Authorization": f"Bearer {token_of('viewer')}"},
        ) as stream:
            assert stream.headers["Access-Control-Allow-Origin"] == PAGE
        stranger = await ask(floor, "/agents", Origin="https://other.example.com")
        assert "Access-Control-Allow-Origin" not in stranger.headers
        assert "Origin" in vary(stranger)
        assert "Access-Control-Allow-Origin" not in (await floor.request("GET", "/healthz", None)).headers


async def preflight(floor: Floor, origin: str, method: str = "PATCH") -> Reply:
    """Ask as a browser does before a request."""
    headers = {"Origin": origin, "Access-Control-Request-Method": method}
    return await floor.request("OPTIONS", f"/api/v1/supervisions/{SESSION}", None, headers=headers)


async def test_preflight() -> None:
    """A browser's question is answered to an allowed page, without a token, and to no other."""
    async with Floor(web=Web(origins=Origins(frozenset({PAGE})))) as floor:
        told = await preflight(floor, PAGE)
        assert (told.status, told.text) == (204, "")
        assert told.headers["Access-Control-Allow-Origin"] == PAGE
        assert "Authorization" in told.headers["Access-Control-Allow-Headers"]
        assert (await preflight(floor, "https://other.example.com")).status == 405


async def test_no_other_origins_by_default(floor: Floor) -> None:
    """Unless the configuration names a page's origin, no header speaks of it."""
    reply = await ask(floor, "/agents", Origin=PAGE)
    assert not any(name.startswith("Access-Control") for name in reply.headers)
    assert (await preflight(floor, PAGE)).status == 405


# Proxies ----------------------------------------------------------------------------------------------

ONE_FAILURE = Limits(failures=Rate(0.001, 1))


async def knock(floor: Floor, client: str) -> int:
    """Come without a token, as a client of a proxy."""
    headers = {"X-Forwarded-For": client, "X-Forwarded-Proto": "https"}
    return (await floor.request("GET", "/api/v1/agents", None, headers=headers)).status


async def test_behind_a_trusted_proxy_each_client_is_bounded_by_itself() -> None:
    """The bound of those without a good token holds for each client, and not for the proxy."""
    async with Floor(ONE_FAILURE, web=Web(proxies=Proxies([network_of("127.0.0.0/8")]))) as floor:
        await floor.populate()
        assert [await knock(floor, "198.51.100.7"), await knock(floor, "198.51.100.7")] == [401, 429]
        assert await knock(floor, "198.51.100.8") == 401
        socket = await floor.http.ws_connect(
            "/api/v1/events",
            headers={"X-Forwarded-For": "198.51.100.7", "Authorization": f"Bearer {token_of('viewer')}"},
        )
        assert (await socket.receive_json())["type"] == "snapshot"
        await socket.close()
        counts = floor.door.requests.counts
        assert counts["http", "agents.list", 401] == 2


async def test_nobody_else_is_believed() -> None:
    """Without trusted proxies everybody is who is connected."""
    async with Floor(ONE_FAILURE) as floor:
        assert [await knock(floor, "198.51.100.7"), await knock(floor, "198.51.100.8")] == [401, 429]


async def test_in_clear_only_the_proxy_may_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where tokens would cross the network in clear, others than the proxy are refused."""
    web = Web(proxies=Proxies([network_of("10.0.0.1")]), proxies_only=True)
    async with Floor(web=web) as floor:
        await floor.populate()
        assert (await ask(floor, "/agents")).status == 200
        monkeypatch.setattr("ctid.api.around.is_local", lambda _peer: False)
        for path in ("/agents", "/events/stream"):
            refused = await ask(floor, path, X_Forwarded_For="10.0.0.1")
            assert (refused.status, refused.json["code"]) == (403, "request.proxy_required")
