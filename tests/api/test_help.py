"""Raised hands and coaching sheets over the API, and who may see what of them."""

import asyncio
import json
from typing import Any

import pytest

from api.support import CALL, DEADLINE_S, HAND, NOW, PBX, SESSION, SHEET, Floor, eventually, token_of
from ctid.api.bus import BusCarrier
from ctid.model.errors import SupervisionRefused
from ctid.model.facts import HelpAsked
from ctid.model.ids import DeviceId, LegId
from ctid.model.instant import Instant
from ctid.model.users import UserRole

CLAIM = {"via": {"phone": "2001"}}


async def post(floor: Floor, path: str, body: Any, role: str = "supervisor") -> Any:
    """POST a body."""
    return await floor.request("POST", f"/api/v1{path}", role, json=body)


async def test_an_agent_raises_her_own_hand(floor: Floor) -> None:
    """With her token; another's is forbidden; a supervisor may for anybody."""
    made = await post(floor, "/agents/1001/help", {"text": "he shouts"}, "agent")
    assert (made.status, made.json["agent"], made.json["call"], made.json["by"]) == (201, "1001", CALL, "api")
    other = await post(floor, "/agents/1002/help", {}, "agent")
    assert (other.status, other.json["code"]) == (403, "auth.forbidden")
    lent = await post(floor, "/agents/1002/help", {})
    assert (lent.status, lent.json["raised_by"], made.json["raised_by"]) == (201, "a supervisor", "")
    stranger = await post(floor, "/agents/1001/help", {}, "stranger")
    assert (stranger.status, stranger.json["code"]) == (403, "auth.forbidden")
    mine = await floor.get("/help", "agent")
    assert [hand["agent"] for hand in mine.json["items"]] == ["1001"]
    all_of_them = await floor.get("/help")
    assert [hand["agent"] for hand in all_of_them.json["items"]].count("1002") == 1
    hidden = next(hand["id"] for hand in all_of_them.json["items"] if hand["agent"] == "1002")
    for answer in (
        await floor.get(f"/help/{hidden}", "agent"),
        await floor.request("DELETE", f"/api/v1/help/{hidden}", "agent"),
    ):
        assert (answer.status, answer.json["code"]) == (404, "help.unknown")
        assert "GET /api/v1/help lists" in answer.json["detail"]
    ended = await floor.request("DELETE", f"/api/v1/help/{made.json['id']}", "agent")
    assert (ended.json["state"], ended.json["end"], ended.json["ended_by"]) == (
        "ended",
        "withdrawn",
        "a agent",
    )


async def test_filters(floor: Floor) -> None:
    """By state, agent and team, combined."""
    await floor.raise_hand()
    await post(floor, "/agents/1002/help", {})
    for query, found in (
        ("team=red", 1),
        ("team=blue&agent=1001", 0),
        ("state=open", 2),
        ("state=claimed", 0),
    ):
        assert len((await floor.get(f"/help?{query}")).json["items"]) == found


async def test_two_claims(floor: Floor) -> None:
    """The first gets the session, for assistance; the second is told who has it."""
    await floor.raise_hand()
    floor.supervisions.gate.clear()
    first = asyncio.ensure_future(post(floor, f"/help/{HAND}/claim", CLAIM))  # noqa: TID251 - a client, in a test
    await eventually(lambda: floor.supervisions.asked)
    second = await post(floor, f"/help/{HAND}/claim", CLAIM, "admin")
    assert (second.status, second.json["code"]) == (409, "help.already_claimed")
    assert "a supervisor has taken it" in second.json["detail"]
    floor.supervisions.gate.set()
    session = await first
    assert (session.status, session.json["origin"], session.json["help"]) == (201, "agent_request", HAND)
    assert session.json["purpose"] == "assistance"
    hand = (await floor.get(f"/help/{HAND}")).json
    assert (hand["state"], hand["claimed_by"], hand["supervision"]) == ("claimed", "a supervisor", SESSION)
    await floor.request("DELETE", f"/api/v1/supervisions/{SESSION}")
    assert await floor.hub.until(lambda: HAND not in floor.hub.store.helps, DEADLINE_S)


async def test_who_asked_for_it_is_not_lent(floor: Floor) -> None:
    """A hand that a supervisor raised herself leads to a session at her own wish, which the law bounds."""
    made = await post(floor, "/agents/1001/help", {})
    session = await post(floor, f"/help/{made.json['id']}/claim", CLAIM)
    assert (session.status, session.json["origin"]) == (201, "supervisor")


async def test_an_agent_follows_her_own(floor: Floor) -> None:
    """Her raised hand comes to her over the socket, and nobody else's."""
    events = await floor.events(role="agent")
    assert (await events.next())["entities"]["helps"] == []
    await post(floor, "/agents/1002/help", {})
    await floor.raise_hand()
    told = await events.next()
    assert (told["kind"], told["entity"]["agent"]) == ("help", "1001")


async def test_a_claim_that_fails(floor: Floor) -> None:
    """The refusal is the session's, and the hand is up again."""
    await floor.raise_hand()
    floor.supervisions.refusal = SupervisionRefused("phone_busy", "she talks")
    refused = await post(floor, f"/help/{HAND}/claim", CLAIM)
    assert (refused.status, refused.json["code"]) == (409, "supervision.phone_busy")
    assert (await floor.get(f"/help/{HAND}")).json["state"] == "open"


@pytest.mark.parametrize(("role", "sees"), [("supervisor", True), ("admin", True), ("viewer", False)])
async def test_who_follows(floor: Floor, role: str, *, sees: bool) -> None:
    """Hands and what else is the supervisors' business come over the socket to them alone."""
    events = await floor.events(role=role)
    first = await events.next()
    assert ("helps" in first["entities"]) is sees
    await floor.raise_hand()
    await floor.feed(HelpAsked(pbx=PBX, at=Instant(1.0), leg=LegId("9.1"), device=DeviceId("PJSIP_1002")))
    await floor.pause("1003", "training")
    told = [await events.next()]
    while told[-1]["type"] != "change" or told[-1]["id"] != "1003":
        told.append(await events.next())
    hands = [message for message in told if message.get("kind") == "help"]
    asked = [message for message in told if message.get("name") == "help_asked"]
    assert (bool(hands), bool(asked)) == (sees, sees)
    if sees:
        assert hands[0]["entity"]["text"] == "he shouts"
        assert asked[0]["agent"] == "1002"


async def test_by_mqtt(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rights of the token of the client's name; what came so says so."""
    async with Floor() as floor:
        await floor.populate()
        bus = BusCarrier(floor.door)
        good = b'{"params": {"id": "1001"}}'
        made = json.loads(await bus.carry_out("a agent", "agents.help", good))
        assert (made["status"], made["result"]["by"]) == (201, "mqtt")
        for client, operation, code in (
            ("a viewer", "agents.help", "auth.forbidden"),
            ("nobody", "agents.help", "auth.required"),
            ("a agent", "agents.dance", "request.operation_unknown"),
        ):
            refused = json.loads(await bus.carry_out(client, operation, good))
            assert refused["problem"]["code"] == code
        monkeypatch.setitem(floor.identity.directory.expiries, "a viewer", NOW)
        late = json.loads(await bus.carry_out("a viewer", "agents.help", good))
        assert late["problem"]["code"] == "auth.expired"
        other = json.loads(await bus.carry_out("a agent", "agents.help", b'{"params": {"id": "1002"}}'))
        assert other["problem"]["code"] == "auth.forbidden"


# Coaching ---------------------------------------------------------------------------------------------


async def test_a_sheet(floor: Floor) -> None:
    """Written by her whose session it is, read and answered by the agent, mended, and each version kept."""
    await floor.supervise()
    path = f"/supervisions/{SESSION}/sheet"
    made = await post(floor, path, {"grades": {"greeting": 4}, "text": "calm"})
    assert (made.status, made.json["agent"], made.json["author"]) == (201, "1001", "a supervisor")
    assert made.json["grades"][0] == {"id": "greeting", "label": "Greeting", "grade": 4}
    twice = await post(floor, path, {"text": "again"})
    assert (twice.status, twice.json["code"]) == (409, "sheet.exists")
    sheet = f"/sheets/{made.json['id']}"
    mended = await floor.request(
        "PATCH", f"/api/v1{sheet}", json={"grades": {"greeting": None, "closing": 5}}
    )
    assert [grade["grade"] for grade in mended.json["grades"]] == [None, 5]
    answered = await post(floor, f"{sheet}/comment", {"text": "thanks"}, "agent")
    assert (answered.status, answered.json["comment"]["text"]) == (200, "thanks")
    versions = (await floor.get(f"{sheet}/versions", "agent")).json["items"]
    assert [version["version"] for version in versions] == [1, 2, 2]
    floor.clock.time += 4000
    late = await floor.request("PATCH", f"/api/v1{sheet}", json={"text": "late"})
    assert (late.status, late.json["code"]) == (409, "sheet.closed")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"grades": {"greeting": 0}}, "grades"),
        ({"grades": {"greeting": 6}}, "grades"),
        ({"grades": {"greeting": "5"}}, "grades"),
        ({"grades": {"warmth": 1}}, "grades"),
        ({"text": "x" * 2001}, "text"),
        ({}, "grades"),
        ({"agent": "1002", "text": "calm"}, "agent"),
    ],
)
async def test_what_is_no_sheet(floor: Floor, body: dict[str, Any], field: str) -> None:
    """Each is refused by its field."""
    await floor.supervise()
    refused = await post(floor, f"/supervisions/{SESSION}/sheet", body)
    assert (refused.status, refused.json["code"]) == (422, "request.invalid")
    assert refused.json["field"].startswith(field)


async def test_who_reads_a_sheet(floor: Floor) -> None:
    """Author, agent and admin; a viewer has no business there, and sees nothing of its being written."""
    await floor.coach()
    for role in UserRole:
        answer = await floor.get(f"/sheets/{SHEET}", role)
        may = role in (UserRole.SUPERVISOR, UserRole.AGENT, UserRole.ADMIN)
        assert answer.status == (200 if may else 403)
    pages = await floor.get("/sheets?agent=1001&limit=1", "agent")
    assert ([sheet["id"] for sheet in pages.json["items"]], pages.json["next"]) == ([SHEET], None)
    assert (await floor.get("/sheets?agent=1002", "agent")).json["items"] == []


async def test_pages_of_sheets(floor: Floor) -> None:
    """A page tells where the next begins; a cursor of another list is refused."""
    await floor.coach()
    await floor.supervise()
    await post(floor, f"/supervisions/{SESSION}/sheet", {"text": "calm"})
    first = (await floor.get("/sheets?limit=1")).json
    second = (await floor.get(f"/sheets?limit=1&cursor={first['next']}")).json
    assert {first["items"][0]["id"], second["items"][0]["id"]} > {SHEET}
    assert second["next"] is None
    other = (await floor.get("/agents?limit=1")).json["next"]
    for cursor in ("?", other, "aWQ6eDp5"):
        assert (await floor.get(f"/sheets?cursor={cursor}")).json["code"] == "request.invalid"


def test_tokens_by_name(floor: Floor) -> None:
    """A carrier that knows who asks finds the user; nobody has another's name."""
    directory = floor.identity.directory
    found = directory.named("a agent", NOW)
    assert found == directory.authenticate(token_of("agent"), NOW)
    assert found is not None
    assert found.agent == "1001"
    assert directory.named("a nobody", NOW) is None
