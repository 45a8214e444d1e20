"""Rights and law on a real Asterisk: what is refused rings nobody, changes nothing, and is audited."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiomqtt
import pytest

from e2e import bus
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.api_client import Api
from helpers.patience import until
from lab import daemon
from lab.rig import Rig

pytestmark = pytest.mark.lab

SUP = "2001"
LAW = """\
[law]
agent_sessions_per_day = 1

[[period]]
team = "north"
days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
from = "00:00"
to = "24:00"

[[period]]
team = "staff"
dates = ["2020-01-01"]
from = "09:00"
to = "10:00"
"""
"""One session a day, at any time with the agents of north, at no time with the others."""
NOT_NORTH = "1005"


@pytest.fixture(scope="module")
def lawful_rig() -> Iterator[Rig]:
    """A rig whose daemon keeps these rules."""
    with Rig.for_tests(
        services=(
            bus.watcher,
            daemon.maker(ring_s=3.0, law=LAW),
        )
    ) as running:
        yield running


@pytest.fixture
async def lawful(lawful_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it."""
    async with floor_of(lawful_rig, leave_quiet) as opened:
        yield opened


def as_bearer(floor: Floor, name: str) -> Api:
    """The API with another's token."""
    return Api(daemon.url_of(floor.rig), daemon.tokens_of(floor.rig)[name])


async def _refused(floor: Floor, api: Api, code: str, status: int, **body: Any) -> None:
    """A request is refused, rings nobody, and is in the audit."""
    before = len(await _refusals(floor))
    channels = {fields[0] for fields in floor.rig.channels()}
    answer = await api.supervise(**body)
    await floor.refused(answer, status, code)
    assert {fields[0] for fields in floor.rig.channels()} <= channels
    (refusal,) = (await _refusals(floor))[before:]
    assert (refusal["detail"], refusal["agent"]) == (code, body["agent"])


async def _refusals(floor: Floor) -> list[dict[str, Any]]:
    async with as_bearer(floor, "admin") as admin:
        items: list[dict[str, Any]] = (await admin.get("/audit?event=refused"))["items"]
    return items


async def test_another_teams_agent(lawful: Floor) -> None:
    """A supervisor of another team is refused: her call, its numbers and her state are not hers to touch."""
    customer, agent = await lawful.talk("1002")
    supervisor, *_ = await lawful.phones.open(SUP)
    async with as_bearer(lawful, "stranger") as stranger, as_bearer(lawful, "admin") as admin:
        for api in (stranger, admin):
            await _refused(lawful, api, "auth.forbidden", 403, agent="1002")
        emergency = {"purpose": "emergency", "note": "a threat"}
        await _refused(lawful, stranger, "auth.forbidden", 403, agent="1002", **emergency)
        call = (await stranger.get("/agents/1002"))["call"]
        assert "3001" not in str(await stranger.get(f"/calls/{call}"))
        paused = await stranger.call("POST", "/agents/1002/pause", {"reason": "x"})
        assert (paused.status, paused.code) == (403, "auth.forbidden")
    await supervisor.wait_state("idle")
    await lawful.hear({agent: {"3001"}, customer: {"1002"}})
    assert (await lawful.api.get("/agents/1002"))["pending"] is None


async def test_a_protected_agent(lawful: Floor) -> None:
    """She represents the staff: nobody monitors her, in an emergency neither."""
    customer, agent = await lawful.talk(daemon.PROTECTED, "7001")
    await lawful.phones.open(SUP)
    for body in ({}, {"purpose": "emergency", "note": "a threat"}, {"mode": "takeover"}):
        await _refused(lawful, lawful.api, "supervision.agent_protected", 403, agent=daemon.PROTECTED, **body)
    await lawful.hear({agent: {"3001"}, customer: {daemon.PROTECTED}})


async def test_outside_of_the_periods(lawful: Floor) -> None:
    """No period is none; an emergency that is explained is let through, and ends as any other."""
    await lawful.talk(NOT_NORTH, "7001")
    supervisor, *_ = await lawful.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    await _refused(lawful, lawful.api, "supervision.outside_period", 409, agent=NOT_NORTH)
    await _refused(
        lawful, lawful.api, "supervision.outside_period", 409, agent=NOT_NORTH, purpose="emergency"
    )
    session = await lawful.begin(agent=NOT_NORTH, purpose="emergency", note="a threat")
    assert (await lawful.api.end(session)).status == 200


async def test_over_the_quota(lawful: Floor) -> None:
    """After her one session of the day she is left alone, over a kill of ctid too; and reads who it was."""
    await lawful.talk("1001")
    supervisor, *_ = await lawful.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    answer = await lawful.api.supervise(agent="1001")
    assert answer.status == 201, answer
    assert answer.body["warnings"] == ["agent 1001 has had 1 of 1 sessions today"]
    assert answer.body["until"] is not None
    session = answer.body["id"]
    switched = await lawful.api.switch(session, "whisper")
    assert switched.status == 200, "what a session uses itself does not stand in its way"
    assert (await lawful.api.end(session)).status == 200
    await _refused(lawful, lawful.api, "supervision.quota_reached", 409, agent="1001")
    lawful.rig.kill("ctid")
    lawful.rig.restart("ctid")
    await until(lambda: lawful.call_is("1001", "connected"), what="the call is known again")
    await _refused(lawful, lawful.api, "supervision.quota_reached", 409, agent="1001")
    async with as_bearer(lawful, "agent") as alice:
        (about,) = (await alice.get("/agents/1001/sessions"))["items"]
        assert (await alice.call("GET", "/agents/1002/sessions")).status == 403
    assert (about["id"], about["supervisor"]) == (session, "lab-supervisor")
    assert about["modes"] == ["listen", "whisper"]
    assert about["ended_at"] is not None


async def test_the_periods_are_retained_on_the_bus(lawful: Floor) -> None:
    """Whoever subscribes reads them at once, as the API tells them."""
    async with aiomqtt.Client("127.0.0.1", lawful.rig.ports.mqtt) as client:
        await client.subscribe("ctid/lab/periods")
        async with asyncio.timeout(10):
            message = await anext(client.messages)
    assert message.retain
    assert isinstance(message.payload, bytes)
    document = json.loads(message.payload)
    assert document["schema"] == "ctid.periods/1"
    told = await lawful.api.get("/periods")
    assert {key: document[key] for key in ("timezone", "law", "teams")} == {
        key: told[key] for key in ("timezone", "law", "teams")
    }
    assert [team["team"] for team in document["teams"]] == ["*", "north", "staff"]
