"""Rights and law by the API: who sees what, who may command whom, what agents read of themselves."""

from typing import Any

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from api.support import CALL, CUSTOMER, NOW, PBX, SESSION, Floor, session_of
from api.test_http import START, assert_problem
from ctid.audit import Entry
from ctid.audit.entries import Selection
from ctid.model.facts import LegChanged, LegEnded
from ctid.model.ids import LegId, QueueId
from ctid.model.instant import Instant, to_rfc3339
from ctid.model.users import Right
from ctid.model.words import Mode, SupervisionEnd, SupervisionState
from ctid.supervision.law import Law
from ctid.supervision.periods import Calendar, Period
from ctid.supervision.rights import Grant, Rights

EVERY_DAY = frozenset(range(7))


def listened(floor: Floor, agent: str, seconds: float, ident: str = "old") -> None:
    """Have the gate know that an agent was listened to, until now."""
    began = replace(session_of("x"), id=ident, agent=agent, since=Instant(NOW - seconds))
    floor.gate.saw(None, began)
    floor.gate.saw(began, replace(began, state=SupervisionState.ENDED, since=NOW))


async def test_numbers_are_in_full_only_for_the_teams_of_the_call(floor: Floor) -> None:
    """A supervisor of another team sees that there is a call, who listens, and no number."""
    await floor.supervise()
    call = (await floor.get(f"/calls/{CALL}", "stranger")).json
    assert call["parties"][0]["number"] == "********78"
    assert call["supervisions"] == [SESSION]
    assert (await floor.get("/calls", "stranger")).json["items"] == [call]
    events = await floor.events("?kind=call", role="stranger")
    assert (await events.next())["entities"]["calls"] == [call]
    await events.socket.close()


async def test_a_caller_who_waits_is_seen_by_the_queues_teams(floor: Floor) -> None:
    """While no agent has the call: one of the queue's members is of the stranger's team."""
    await floor.feed(LegEnded(pbx=PBX, at=NOW, leg=LegId("100.2")))
    numbers = {
        role: (await floor.get(f"/calls/{CALL}", role)).json["parties"][0]["number"]
        for role in ("stranger", "supervisor", "viewer")
    }
    assert numbers == {"stranger": "0612345678", "supervisor": "0612345678", "viewer": "********78"}
    await floor.feed(LegChanged(pbx=PBX, at=NOW, leg=replace(CUSTOMER, queue=QueueId("sales"))))
    moved = (await floor.get(f"/calls/{CALL}", "stranger")).json
    assert moved["parties"][0]["number"] == "********78"


@pytest.mark.parametrize("what", ["login", "logout", "pause", "resume", "end-after-call-work"])
async def test_commanding_needs_the_right_over_her_team(floor: Floor, what: str) -> None:
    """Another team's supervisor is refused with the right and the team, and nothing is done."""
    path = f"/api/v1/agents/1001/{what}"
    reply = await floor.request("POST", path, "stranger", json={})
    assert_problem(reply, 403, "auth.forbidden")
    assert (
        "right 'command' over the team 'red'; a stranger (supervisor) has it over blue"
        in reply.json["detail"]
    )
    unknown = await floor.request("POST", f"/api/v1/agents/none/{what}", "stranger", json={})
    assert_problem(unknown, 404, "agent.unknown")
    assert (await floor.get("/agents/1001")).json["state"] == "busy"
    own = await floor.request("POST", f"/api/v1/agents/1002/{what}", "stranger", json={"queues": ["support"]})
    assert own.status == 200 or own.json["code"] == "request.invalid"


async def test_an_agent_commands_and_sees_herself_alone(floor: Floor) -> None:
    """Her state, her story, her pauses; of the others nothing."""
    paused = await floor.request("POST", "/api/v1/agents/1001/pause", "agent", json={"reason": "lunch"})
    assert paused.json["agent"]["pending_reason"] == "lunch"
    assert (await floor.get("/agents/1001", "agent")).json == paused.json["agent"]
    assert (await floor.get("/agents/1001/story", "agent")).status == 200
    other = await floor.request("POST", "/api/v1/agents/1002/pause", "agent", json={"reason": "lunch"})
    assert_problem(other, 403, "auth.forbidden")
    assert "not for the role agent: a agent is 1001" in other.json["detail"]
    for path in (
        "/agents/1002",
        "/agents/1002/story",
        "/agents/1002/sessions",
        "/agents",
        "/calls",
        "/status",
    ):
        assert_problem(await floor.get(path, "agent"), 403, "auth.forbidden")


@pytest.mark.parametrize(("role", "seen"), [("agent", {"agents": ["1001"], "helps": []}), ("principal", {})])
async def test_the_events_of_who_sees_little(floor: Floor, role: str, seen: dict[str, list[str]]) -> None:
    """An agent is told of herself, a principal of nothing; neither of what happens to others."""
    events = await floor.events(role=role)
    first = (await events.next())["entities"]
    assert {kind: [entity["id"] for entity in found] for kind, found in first.items()} == seen
    await floor.supervise()
    await floor.pause("1002", "lunch")
    await floor.renumber("0799999911")
    await floor.pause("1001", "lunch")
    reply = await events.call("periods.get")
    assert reply["status"] == 200
    await events.socket.close()
    told = await floor.events(f"?after=0&boot_id={floor.context.boot_id}", role=role)
    assert (await told.next())["type"] == "resumed"
    if role == "agent":
        assert {(await told.until("change"))["id"] for _ in range(2)} == {"1001"}
    await told.socket.close()


async def test_a_principal_sees_the_queues_totals(floor: Floor) -> None:
    """Nobody by name: no rows of agents, no moments, no figures of one agent."""
    figures = (await floor.get("/figures", "principal")).json
    assert figures["agents"] == []
    assert figures["queues"] == (await floor.get("/figures")).json["queues"]
    assert_problem(await floor.get("/figures?agent=1001", "principal"), 403, "auth.forbidden")
    for path in ("/figures/calls", "/agents", "/queues", "/calls", "/agents/1001/sessions"):
        assert_problem(await floor.get(path, "principal"), 403, "auth.forbidden")


async def test_the_periods_are_everybodys_to_read(floor: Floor) -> None:
    """Rules, bounds and the windows of seven days; an agent and a principal read them as well."""
    nine = Period(team="red", begins=540, ends=600, days=EVERY_DAY)
    floor.gate.calendar = Calendar([nine])
    for role in ("agent", "principal", "viewer"):
        document = (await floor.get("/periods", role)).json
        assert document["timezone"] == "UTC"
        assert document["law"]["max_session_s"] == 1800
        assert [team["team"] for team in document["teams"]] == ["*", "red"]
        rule = {"days": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], "dates": []}
        assert document["teams"][1]["periods"] == [rule | {"begins": "09:00", "ends": "10:00"}]
        windows = document["windows"]["red"]
        assert len(windows) == 7
        assert (windows[0]["begins"][11:], windows[0]["ends"][11:]) == ("09:00:00.000Z", "10:00:00.000Z")
        assert windows[0]["begins"][:10] == to_rfc3339(NOW)[:10]


def entry(event: str, since: float, **fields: Any) -> Entry:
    """What the audit has of a session about 1001."""
    at = Instant(NOW + since)
    state = event if event in set(SupervisionState) else "active"
    session = session_of("sofia", since=at, state=SupervisionState(state), **fields)
    return Entry(at=at, event=event, supervision=session)


async def test_an_agent_reads_the_sessions_about_her(floor: Floor) -> None:
    """And so does who has the right `audit` over her team; the note is not in it."""
    for step in (
        entry("active", 0, note="hm"),
        entry("active", 5, mode=Mode.BARGE),
        entry("ended", 9, mode=Mode.BARGE, end=SupervisionEnd.RELEASED),
    ):
        await floor.audit.write(step)
    page = (await floor.get("/agents/1001/sessions", "agent")).json
    assert page["next"] is None
    (about,) = page["items"]
    assert (about["supervisor"], about["purpose"], about["modes"]) == (
        "sofia",
        "training",
        ["listen", "barge"],
    )
    assert (about["began_at"], about["ended_at"]) == (to_rfc3339(NOW), to_rfc3339(NOW + 9))
    assert "note" not in about
    assert (await floor.get("/agents/1001/sessions", "admin")).json == page
    (read,) = await floor.audit.items(Selection(event="audit_read"), after=0, upto=100, limit=10)
    assert (read.by, read.agent) == ("a admin", "1001"), (
        "what others read of her is in the audit, her own is not"
    )
    for role in ("supervisor", "viewer", "integrator", "principal"):
        refused = await floor.get("/agents/1001/sessions", role)
        assert_problem(refused, 403, "auth.forbidden")
        assert "right 'audit' over the team 'red'" in refused.json["detail"]
    assert_problem(await floor.get("/agents/none/sessions", "admin"), 404, "agent.unknown")


async def test_the_audit_is_read_by_right(floor: Floor) -> None:
    """An admin from whom it was taken reads it no more, nor has it verified."""
    assert (await floor.get("/audit", "admin")).status == 200
    floor.gate.rights = Rights([Grant(user="x", teams=frozenset({"*"}), rights=frozenset(Right))])
    for path in ("/audit", "/audit/verification", "/agents/1001/sessions"):
        refused = await floor.get(path, "admin")
        assert_problem(refused, 403, "auth.forbidden")
        assert "right 'audit'" in refused.json["detail"]


async def test_the_sessions_about_her_come_in_pages(floor: Floor) -> None:
    """The newest first; each is on one page."""
    for number in range(5):
        await floor.audit.write(entry("active", number, id=f"s{number}"))
    found, cursor = [], ""
    while cursor is not None:
        page = (await floor.get(f"/agents/1001/sessions?limit=2&cursor={cursor}", "agent")).json
        found += [about["id"] for about in page["items"]]
        cursor = page["next"]
    assert found == ["s4", "s3", "s2", "s1", "s0"]
    refused = await floor.get("/agents/1001/sessions?cursor=s9", "agent")
    assert_problem(refused, 422, "request.invalid", "cursor")


async def test_a_draw_is_among_those_who_may_be_listened_to(floor: Floor) -> None:
    """One of the team, logged in, with something left of her week; the seed is told and logged."""
    with capture_logs() as logs:
        drawn = (await floor.get("/draw?team=red")).json
    assert (drawn["agent"], drawn["among"]) == ("1001", ["1001"])
    assert [line for line in logs if line.get("seed") == drawn["seed"] and line["agent"] == "1001"]
    for number in range(3):
        listened(floor, "1001", 10, f"s{number}")
    assert_problem(await floor.get("/draw?team=red"), 409, "supervision.nobody_to_draw")
    assert_problem(await floor.get("/draw?team=red", "stranger"), 403, "auth.forbidden")
    assert_problem(await floor.get("/draw?team=red", "admin"), 403, "auth.forbidden")
    floor.gate.law = Law()
    assert_problem(await floor.get("/draw?team=red"), 409, "supervision.outside_period")


async def test_a_session_answers_with_what_is_to_be_known(floor: Floor) -> None:
    """How much its agent has been listened to already; a session of which nothing is, with nothing."""
    first = await floor.request("POST", "/api/v1/supervisions", json=START)
    assert (first.status, first.json["warnings"]) == (201, [])
    listened(floor, "1001", 1790, "s7")
    listened(floor, "1001", 1790, "s8")
    floor.gate.law = Law(warn_minutes_per_week=20, agent_sessions_per_day=0)
    second = await floor.request("POST", "/api/v1/supervisions", json=START | {"note": "two"})
    assert second.json["warnings"] == ["agent 1001 has been listened to 29.8 of 60 minutes this week"]
