"""Agents commanded over HTTP: what is asked, what comes back, and what is refused."""

from typing import Any

import pytest

from api.support import NOW, PBX, Floor, Reply, member
from ctid.model.errors import PbxRefused
from ctid.model.facts import MemberChanged
from ctid.model.ids import LegId


async def post(floor: Floor, agent: str, what: str, **body: Any) -> Reply:
    """Command an agent."""
    return await floor.request("POST", f"/api/v1/agents/{agent}/{what}", json=body)


def pauses(reply: Reply) -> dict[str, str | None]:
    """Of an answer: her queues, with the reason of her pause in each."""
    queues = reply.json["agent"]["queues"]
    return {m["queue"]: m["paused_reason"] if m["paused"] else None for m in queues}


async def test_pause_and_resume(floor: Floor) -> None:
    """Each answers with the agent once the state shows it."""
    paused = await post(floor, "1003", "pause", reason="lunch")
    assert (paused.status, paused.json["unconfirmed"]) == (200, False)
    assert (paused.json["agent"]["state"], paused.json["agent"]["reason"]) == ("not_ready", "lunch")
    assert (await floor.get("/agents/1003")).json == paused.json["agent"]
    changed = await post(floor, "1003", "pause", reason="training", queues=["sales"])
    assert pauses(changed) == {"sales": "training"}
    resumed = await post(floor, "1003", "resume")
    assert (resumed.json["agent"]["state"], pauses(resumed)) == ("ready", {"sales": None})


async def test_pause_in_a_call(floor: Floor) -> None:
    """In a call it is pending: she stays busy, and what follows is told."""
    reply = await post(floor, "1001", "pause", reason="lunch", when="after_call")
    told = reply.json["agent"]
    assert (told["state"], told["pending"], told["pending_reason"]) == ("busy", "not_ready", "lunch")


async def test_login_and_logout(floor: Floor) -> None:
    """Into a queue that is named, or those of the configuration, and out again."""
    assert pauses(await post(floor, "1003", "login", queues=["support"])) == {"sales": None, "support": None}
    assert pauses(await post(floor, "1009", "login")) == {"sales": None}
    left = await post(floor, "1009", "logout")
    assert (left.json["agent"]["state"], pauses(left)) == ("logged_out", {})


async def test_after_call_work(floor: Floor) -> None:
    """It is extended and ended; extended when there is none, it is 409; ended then, nothing changes."""
    for served in (LegId("100.1"), None):
        work = member("1001", serving=served, in_call=served is not None, wrapup_s=10.0)
        await floor.feed(MemberChanged(pbx=PBX, at=NOW, member=work))
    before = (await floor.get("/agents/1001")).json["after_call_work"]
    extended = await post(floor, "1001", "extend-after-call-work", seconds=30)
    assert extended.status == 200, extended
    assert extended.json["agent"]["after_call_work"]["ends_at"] > before["ends_at"]
    for _ in range(2):
        ended = await post(floor, "1001", "end-after-call-work")
        assert (ended.status, ended.json["agent"]["after_call_work"]) == (200, None)
    refused = await post(floor, "1001", "extend-after-call-work", seconds=30)
    assert (refused.status, refused.json["code"]) == (409, "agent.not_in_after_call_work")


async def test_partly_done(floor: Floor) -> None:
    """A command that is in force in some queues only names each of them."""
    await post(floor, "1003", "login", queues=["support"])
    floor.pbx.refuses["support"] = PbxRefused("no such interface")
    reply = await post(floor, "1003", "pause", reason="lunch")
    assert (reply.status, reply.json["code"]) == (502, "agent.partly_done")
    assert reply.json["queues"] == {"sales": "done", "support": "pbx.refused"}
    assert "no such interface" in reply.json["detail"]


@pytest.mark.parametrize(
    ("agent", "what", "body", "status", "code", "field"),
    [
        ("none", "pause", {"reason": "lunch"}, 404, "agent.unknown", None),
        ("1003", "pause", {"reason": "lunch", "queues": ["none"]}, 404, "queue.unknown", None),
        ("1003", "pause", {"reason": "lunch", "queues": ["support"]}, 409, "agent.not_a_member", None),
        ("1009", "resume", {}, 409, "agent.logged_out", None),
        ("1003", "pause", {"reason": "nap"}, 422, "request.invalid", "reason"),
        ("1003", "pause", {"reason": "a|b"}, 422, "request.invalid", "reason"),
        ("1003", "pause", {"reason": "lunch", "queues": []}, 422, "request.invalid", "queues"),
        ("1003", "pause", {"reason": "lunch", "when": "soon"}, 422, "request.invalid", "when"),
        ("1003", "pause", {"reason": "lunch", "shoe": 1}, 422, "request.invalid", "shoe"),
        ("1001", "login", {}, 422, "request.invalid", "queues"),
        ("1002", "extend-after-call-work", {}, 422, "request.invalid", "seconds"),
        ("1002", "extend-after-call-work", {"seconds": 0}, 422, "request.invalid", "seconds"),
        ("1002", "extend-after-call-work", {"seconds": 3601}, 422, "request.invalid", "seconds"),
    ],
)
async def test_refusals(
    floor: Floor, agent: str, what: str, body: Any, status: int, code: str, field: str | None
) -> None:
    """A refusal says why by its code, and where by its field."""
    reply = await post(floor, agent, what, **body)
    assert (reply.status, reply.json["code"], reply.json.get("field")) == (status, code, field)


async def test_without_a_link(floor: Floor) -> None:
    """While the link is down a command is 503."""
    floor.hub.attach(PBX, None)
    reply = await post(floor, "1003", "pause", reason="lunch")
    assert (reply.status, reply.json["code"]) == (503, "pbx.link_down")
