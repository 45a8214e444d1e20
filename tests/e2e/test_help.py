"""Raised hands on a real Asterisk: by a code that is dialled or pressed, and taken by a supervisor."""

from typing import Any

import pytest

from e2e.floor import Floor
from helpers.api_client import Api
from helpers.patience import until
from lab import daemon

pytestmark = pytest.mark.lab

SUP = "2001"
CODE = "*88"
WITH_KEYS = "7007"
"""Enters `support` with the keys of features.ctid.conf."""


async def hands(floor: Floor) -> list[dict[str, Any]]:
    """The raised hands."""
    found: list[dict[str, Any]] = (await floor.api.get("/help"))["items"]
    return found


async def one_hand(floor: Floor) -> dict[str, Any]:
    """The one that is raised, once it is."""

    async def up() -> bool:
        return len(await hands(floor)) == 1

    await until(up, what="a hand is up")
    return (await hands(floor))[0]


async def none_up(floor: Floor) -> bool:
    """Whether no hand is raised."""
    return await hands(floor) == []


async def test_the_code_is_dialled(floor: Floor) -> None:
    """An agent who dials it raises her hand, once; whoever is none does not; her token withdraws it."""
    agent, supervisor = await floor.phones.open("1001", SUP)
    await until(lambda: floor.agent_is("1001", "ready"))
    await supervisor.dial(CODE)
    await supervisor.wait_state("idle")
    assert await none_up(floor)
    await agent.dial(CODE)
    hand = await one_hand(floor)
    await agent.wait_state("idle")
    await agent.dial(CODE)
    await agent.wait_state("idle")
    assert await one_hand(floor) == hand
    assert (hand["agent"], hand["by"], hand["state"], hand["call"]) == ("1001", "feature_code", "open", None)
    token = daemon.tokens_of(floor.rig)["agent"]
    async with Api(floor.api.url, token) as api:
        ended = await api.call("DELETE", f"/help/{hand['id']}")
    assert (ended.status, ended.body["end"]) == (200, "withdrawn")
    assert await none_up(floor)


async def test_the_code_is_pressed_in_a_call(floor: Floor) -> None:
    """The customer hears nothing of it and stays; the hand names the call, and goes down with it."""
    customer, agent = await floor.talk(number=WITH_KEYS)
    for digit in CODE:
        await agent.dtmf(digit)
    hand = await one_hand(floor)
    call = (await floor.api.get("/agents/1001"))["call"]
    assert (hand["agent"], hand["by"], hand["call"]) == ("1001", "feature_code", call)
    await floor.hear({customer: {"1001"}, agent: {"3001"}})
    assert customer.digits == ""
    await customer.hangup()
    await until(lambda: none_up(floor), what="down with the call")


async def test_it_is_taken(floor: Floor) -> None:
    """A claim rings her phone and she whispers; the second is told who has it; it ends with the session."""
    customer, agent = await floor.talk()
    (supervisor,) = await floor.phones.open(SUP)
    async with Api(floor.api.url, daemon.tokens_of(floor.rig)["agent"]) as api:
        asked = await api.call("POST", "/agents/1001/help", {"text": "he shouts"})
    assert (asked.status, asked.body["by"], asked.body["raised_by"]) == (201, "api", "")
    path = f"/help/{asked.body['id']}/claim"
    refused = await floor.api.call("POST", path, {"via": {"phone": "2002"}})
    assert (refused.status, refused.code) == (409, "supervision.phone_unreachable")
    assert (await one_hand(floor))["state"] == "open"
    await supervisor.auto_answer(0.0)
    taken = await floor.api.call("POST", path, {"via": {"phone": SUP}, "mode": "whisper"})
    assert (taken.status, taken.body["state"], taken.body["mode"]) == (201, "active", "whisper")
    assert (taken.body["origin"], taken.body["help"]) == ("agent_request", asked.body["id"])
    assert taken.body["purpose"] == "assistance"
    await floor.hear({agent: {"3001", SUP}, customer: {"1001"}, supervisor: {"3001", "1001"}})
    hand = await one_hand(floor)
    assert (hand["state"], hand["claimed_by"], hand["supervision"]) == (
        "claimed",
        "lab-supervisor",
        taken.body["id"],
    )
    assert hand["wait_s"] > 0
    second = await floor.api.call("POST", path, {"via": {"phone": "2003"}})
    assert (second.status, second.code) == (409, "help.already_claimed")
    assert (await floor.api.end(taken.body["id"])).status == 200
    await until(lambda: none_up(floor), what="down with the session")


async def test_it_outlives_a_restart(floor: Floor) -> None:
    """A daemon is killed while a hand is up: the next one has it, and takes a sheet of a session before."""
    customer, _ = await floor.talk()
    (supervisor,) = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001")
    assert (await floor.api.end(session)).status == 200
    asked = await floor.api.call("POST", "/agents/1001/help", {"text": "he shouts"})
    floor.rig.kill("ctid")
    floor.rig.restart("ctid")
    hand = await one_hand(floor)
    assert {**asked.body, "raised_at": hand["raised_at"]} == hand
    sheet = await floor.api.call("POST", f"/supervisions/{session}/sheet", {"grades": {"listening": 4}})
    assert sheet.status == 201, sheet
    assert sheet.body["agent"] == "1001"
    async with Api(floor.api.url, daemon.tokens_of(floor.rig)["agent"]) as api:
        mine = await api.get("/sheets")
        assert [one["id"] for one in mine["items"]] == [sheet.body["id"]]
        answer = await api.call("POST", f"/sheets/{sheet.body['id']}/comment", {"text": "thanks"})
        assert (answer.status, answer.body["comment"]["text"]) == (200, "thanks")
    await customer.hangup()
    await until(lambda: none_up(floor), what="down with the call")
