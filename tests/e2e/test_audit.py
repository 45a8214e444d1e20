"""The audit on a real Asterisk: sessions are chained, and listening past ctid is seen."""

import asyncio
import json
from typing import Any

import aiomqtt
import pytest

from ctid.audit.files import Files
from e2e.floor import Floor
from e2e.watching import Watched
from helpers.api_client import Api
from helpers.patience import until
from lab import daemon

pytestmark = pytest.mark.lab

SUP, SPY = "2001", "2003"
WITHIN_S = 2.0


def _files(floor: Floor) -> Files:
    return Files(floor.rig.base / "ctid" / "audit")


def _unattributed(floor: Floor, call: str) -> list[dict[str, object]]:
    said = [record.payload or {} for record in _files(floor).records() if record.event == "unattributed"]
    return [payload for payload in said if payload.get("call") == call]


async def test_a_phone_that_spies_past_ctid_is_recorded(floor: Floor) -> None:
    """A phone dials the PBX's own ChanSpy: in 2 s the audit has agent, call and phone, as nobody's."""
    await floor.talk()
    spy, *_ = await floor.phones.open(SPY)
    call = (await floor.api.get("/agents/1001"))["call"]
    async with Watched(floor.api) as watched:
        await spy.dial("*551001")
        await until(lambda: bool(_unattributed(floor, call)), within=WITHIN_S, what="the audit has it")
        await floor.phones.hears_exactly(spy, {"1001", "3001"}, within=8.0)
        (seen,) = [moment for moment in watched.moments() if moment["name"] == "monitoring_seen"]
    (payload,) = _unattributed(floor, call)
    assert payload["agent"] == "1001"
    assert payload["about"] == {"how": "spy", "leg": seen["leg"], "pbx": "lab", "phone": SPY}
    assert (seen["agent"], seen["call"], seen["by"], seen["to"]) == ("1001", call, SPY, "spy")
    await spy.hangup()


async def _told_of(admin: Api, agent: str) -> list[dict[str, Any]]:
    """All that the audit has of an agent, page by page: other tests have listened to her as well."""
    path, items = f"/audit?agent={agent}", []
    cursor = ""
    while cursor is not None:
        page = await admin.get(f"{path}&cursor={cursor}" if cursor else path)
        items += page["items"]
        cursor = page["next"]
    return items


async def test_a_session_of_ctid_is_its_supervisors(floor: Floor) -> None:
    """Its snoop channels are ctid's own: nothing is recorded as nobody's, and the chain holds."""
    await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    session = await floor.begin(agent="1001", note="secret")
    call = (await floor.api.get("/agents/1001"))["call"]
    for mode in ("whisper", "barge"):
        assert (await floor.api.switch(session, mode)).status == 200
    assert (await floor.api.end(session)).status == 200
    assert _unattributed(floor, call) == []
    async with Api(daemon.url_of(floor.rig), daemon.tokens_of(floor.rig)["admin"]) as admin:
        mine = [item["event"] for item in await _told_of(admin, "1001") if item["supervision"] == session]
        assert mine[0] == "requested"
        assert mine[-1] == "ended"
        assert (await admin.get("/audit/verification"))["ok"]
    refused = await floor.api.call("GET", "/audit")
    assert (refused.status, refused.code) == (403, "auth.forbidden")


async def test_the_anchor_is_retained_and_holds(floor: Floor) -> None:
    """What the broker keeps of the audit is in the chain, by the files alone; an altered copy is not good."""
    async with aiomqtt.Client("127.0.0.1", floor.rig.ports.mqtt) as client:
        await client.subscribe("ctid/lab/audit")
        async with asyncio.timeout(5.0):
            message = await anext(aiter(client.messages))
    anchor = json.loads(message.payload)
    assert message.retain
    assert (anchor["schema"], len(anchor["hash"])) == ("ctid.audit/1", 64)
    assert _files(floor).verify(anchor["hash"]).ok
    assert not _files(floor).verify("0" * 64).ok
