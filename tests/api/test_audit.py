"""Reading and verifying the audit, purging, and what is kept about one person."""

from typing import Any

import pytest

from api.support import CALL, NOW, Floor
from api.test_http import assert_problem
from ctid.audit import Entry
from ctid.model.facts import MonitoringSeen
from ctid.model.ids import LegId, PbxId
from ctid.model.instant import Instant, to_rfc3339

DAY_S = 86_400.0


@pytest.fixture
async def noted(floor: Floor) -> Floor:
    """A floor on whose audit are five refusals, one a day, of two agents."""
    for number, agent in enumerate(["1001", "1002", "1001", "1002", "1001"]):
        floor.clock.time = NOW + number * DAY_S
        about = {"note": f"note {number}"}
        await floor.audit.write(
            Entry(at=Instant(floor.clock.time), event="refused", by="anna", agent=agent, about=about)
        )
    return floor


async def _list(floor: Floor, query: str = "") -> Any:
    reply = await floor.get(f"/audit{query}", "admin")
    assert reply.status == 200, reply
    return reply.json


async def _pages(floor: Floor, query: str) -> list[int]:
    found: list[int] = []
    cursor = ""
    while True:
        page = await _list(floor, f"?{query}{cursor}")
        found += [item["seq"] for item in page["items"]]
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


async def test_records_are_listed_and_that_is_recorded(noted: Floor) -> None:
    """Page after page, none twice and none of what is written meanwhile; each reading is recorded too."""
    assert await _pages(noted, "limit=2") == [1, 2, 3, 4, 5]
    assert await _pages(noted, "agent=1001&limit=2") == [1, 3, 5]
    since, until = (to_rfc3339(NOW + days * DAY_S) for days in (1, 3))
    assert await _pages(noted, f"event=refused&since={since}&until={until}") == [2, 3]
    read = (await _list(noted, "?event=audit_read"))["items"]
    assert len(read) == 6
    assert read[0]["by"] == "a admin"
    assert read[3]["payload"]["about"]["agent"] == "1001"
    assert read[3]["agent"] == "1001"


async def test_what_is_asked_wrongly_is_not_read(noted: Floor) -> None:
    """A cursor that is none, a period that ends before it begins."""
    for query, field in (
        ("cursor=x", "cursor"),
        ("cursor=Zm9vOjE6Mg", "cursor"),
        ("cursor=%C3%A9", "cursor"),
        ("since=now", "since"),
        ("since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "until"),
    ):
        reply = await noted.get(f"/audit?{query}", "admin")
        assert_problem(reply, 422, "request.invalid", field)
    assert (await _list(noted, "?event=audit_read"))["items"] == []


async def test_nothing_is_read_unaudited(noted: Floor) -> None:
    """Where the reading cannot be recorded, it is refused."""
    noted.audit.path = noted.audit.path / "gone"
    assert_problem(await noted.get("/audit", "admin"), 503, "audit.unavailable")


async def test_verification(noted: Floor) -> None:
    """Good, and against an anchor; a record that was changed in its file is named."""
    good = (await noted.get("/audit/verification", "admin")).json
    assert (good["ok"], good["records"], good["findings"]) == (True, 5, [])
    anchored = (await noted.get(f"/audit/verification?anchor={good['last_hash']}", "admin")).json
    assert anchored["ok"]
    assert not (await noted.get(f"/audit/verification?anchor={'0' * 64}", "admin")).json["ok"]
    day = sorted(noted.audit.path.glob("*.jsonl"))[1]
    day.write_bytes(day.read_bytes().replace(b"anna", b"eve!"))
    (finding,) = (await noted.get("/audit/verification", "admin")).json["findings"]
    assert finding == {
        "record": 2,
        "place": f"{day.name}:1",
        "problem": "its payload is not what was written",
    }
    told = (await _list(noted, "?event=audit_verified"))["items"]
    assert [item["payload"]["about"]["ok"] for item in told] == [True, True, False, False]


async def test_purge(noted: Floor) -> None:
    """A dry run tells what would go; then it goes, and the audit still verifies."""
    noted.clock.time = NOW + 367 * DAY_S
    for dry_run in (True, False):
        reply = await noted.request("POST", "/api/v1/retention/purge", "admin", json={"dry_run": dry_run})
        (kept,) = reply.json["classes"]
        assert (reply.json["dry_run"], kept["name"], kept["purged"]) == (dry_run, "audit", 2)
        found = (await noted.get("/audit/verification", "admin")).json
        assert (found["ok"], found["first"]) == (True, 1 if dry_run else 3)


async def test_what_is_kept_about_a_person(noted: Floor) -> None:
    """It is handed out whole; then what was written goes, and who did what stays."""
    document = (await noted.get("/subjects/agent/1001", "admin")).json
    assert [item["payload"]["about"]["note"] for item in document["classes"]["audit"][:3]] == [
        "note 0",
        "note 2",
        "note 4",
    ]
    for query, erased in (("?dry_run=true", 3), ("", 3), ("?dry_run=false", 0)):
        reply = await noted.request("DELETE", f"/api/v1/subjects/agent/1001{query}", "admin")
        (part,) = reply.json["classes"]
        assert (part["name"], part["erased"]) == ("audit", erased)
        assert "audit_days" in part["reason"]
    items = (await _list(noted, "?event=refused"))["items"]
    assert [item["payload"]["about"]["note"] for item in items] == ["", "note 1", "", "note 3", ""]
    assert (await noted.get("/audit/verification", "admin")).json["ok"]
    reply = await noted.request("DELETE", "/api/v1/subjects/agent/1001?dry_run=maybe", "admin")
    assert_problem(reply, 422, "request.invalid", "dry_run")


async def test_who_listens_past_ctid_is_told_to_few(floor: Floor) -> None:
    """Supervisors see that somebody listens, and to whom; those who only read the floor do not."""
    await floor.populate()
    sockets = {role: await floor.events(role=role) for role in ("supervisor", "viewer")}
    for events in sockets.values():
        await events.next()
    seen = MonitoringSeen(pbx=PbxId("lab"), at=NOW, leg=LegId("100.2"), by="2003", how="spy")
    await floor.feed(seen)
    await floor.pause("1002", "lunch")
    told = await sockets["supervisor"].next()
    assert (told["type"], told["name"], told["call"]) == ("occurrence", "monitoring_seen", CALL)
    assert (told["agent"], told["by"], told["to"]) == ("1001", "2003", "spy")
    assert (await sockets["viewer"].next())["type"] == "change"
    for events in sockets.values():
        await events.socket.close()
