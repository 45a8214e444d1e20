"""How what is told is known, over HTTP: stories, ghosts, reconciles."""

import json

import pytest
from msgspec.structs import replace

from api.support import AGENT, CUSTOMER, NOW, PBX, Floor
from ctid.model.errors import PbxUnavailable
from ctid.model.facts import CallTransferred, LinkDown, Snapshot
from ctid.model.ids import LegId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason, TransferKind

JSON = {"Content-Type": "application/json"}


def _lists(floor: Floor, **changed: object) -> Snapshot:
    """What the PBX would list if nothing had drifted, but for `changed`."""
    rows = floor.hub.store.rows[PBX]
    truth = Snapshot(
        pbx=PBX,
        at=NOW,
        reason=SnapshotReason.REQUEST,
        legs=tuple(rows.legs.values()),
        members=tuple(member for members in rows.members.values() for member in members.values()),
        queues=tuple(rows.queues.values()),
        devices=tuple(rows.devices.values()),
        supervisions=(),
    )
    return replace(truth, **changed)


async def test_a_story_tells_what_led_to_the_state(floor: Floor) -> None:
    """The agent as she is, and each step with the PBX's time and what it changed."""
    await floor.pause("1002", "lunch")
    story = (await floor.get("/agents/1002/story", "viewer")).json
    assert (story["agent"]["state"], story["agent"]["reason"]) == ("not_ready", "lunch")
    step = story["steps"][-1]
    assert (step["at"], step["fact"], step["about"]) == (
        "2026-05-28T20:26:40.250Z",
        "member_changed",
        "member of support",
    )
    assert step["changed"]["reason"] == "lunch"
    assert (step["state"], step["turned"]) == ("not_ready", True)


async def test_a_story_names_no_caller(floor: Floor) -> None:
    """Neither number nor name, in any step."""
    await floor.renumber("0687654321")
    reply = await floor.get("/agents/1001/story", "viewer")
    assert reply.status == 200
    assert "0687654321" not in reply.text
    assert CUSTOMER.name not in json.dumps(reply.json["steps"])


async def test_the_story_of_an_unknown_agent(floor: Floor) -> None:
    """Is refused as any unknown id."""
    reply = await floor.get("/agents/9999/story")
    assert (reply.status, reply.json["code"]) == (404, "agent.unknown")


async def test_what_is_stale_or_suspect_is_a_ghost(floor: Floor) -> None:
    """Nothing is, at first: the lists agree; then the link is lost."""
    at = Instant(NOW + 60)
    await floor.feed(_lists(floor), replace(_lists(floor), at=at))
    reply = await floor.get("/ghosts")
    # The fixture's phones are idle and in a call: that is a doubt two snapshots have confirmed.
    assert [(g["kind"], g["id"], g["reason"]) for g in reply.json["ghosts"]] == [
        ("device", "PJSIP_1001", "idle, and in a call")
    ]
    await floor.feed(LinkDown(pbx=PBX, at=at, driver="asterisk", reason="gone"))
    stale = (await floor.get("/ghosts")).json["ghosts"]
    assert {g["reason"] for g in stale if g["id"] != "PJSIP_1001"} == {"stale"}
    assert ("call", "lab.100.1") in {(g["kind"], g["id"]) for g in stale}
    assert (await floor.get("/ghosts", "viewer")).status == 403


async def test_a_reconcile_tells_what_it_mended(floor: Floor) -> None:
    """Both sides of each difference, and the count since the start."""
    floor.reconciler.lists = _lists(floor, legs=(CUSTOMER, replace(AGENT, held=True)))
    reply = await floor.request("POST", f"/api/v1/pbxs/{PBX}/reconcile", data="{}", headers=JSON)
    assert reply.status == 200, reply.text
    assert reply.json["drift"] == [{"name": "leg.held", "id": "100.2", "believed": False, "found": True}]
    assert reply.json["drift_total"] == 1
    again = await floor.request("POST", f"/api/v1/pbxs/{PBX}/reconcile", data="{}", headers=JSON)
    assert (again.json["drift"], again.json["drift_total"]) == ([], 1)
    metrics = (await floor.request("GET", "/metrics", None)).text
    assert 'ctid_state_drift_total{pbx="lab",kind="leg.held"} 1' in metrics


@pytest.mark.parametrize(
    ("path", "role", "status", "code"),
    [("lab", "viewer", 403, "auth.forbidden"), ("nowhere", "admin", 404, "pbx.unknown")],
)
async def test_a_reconcile_that_is_refused(
    floor: Floor, path: str, role: str, status: int, code: str
) -> None:
    """By role, and by name."""
    reply = await floor.request("POST", f"/api/v1/pbxs/{path}/reconcile", role, data="{}", headers=JSON)
    assert (reply.status, reply.json["code"]) == (status, code)


async def test_a_reconcile_without_a_link(floor: Floor) -> None:
    """The PBX's own error goes through."""
    floor.reconciler.refusal = PbxUnavailable("the link is down")
    reply = await floor.request("POST", f"/api/v1/pbxs/{PBX}/reconcile", data="{}", headers=JSON)
    assert (reply.status, reply.json["code"]) == (503, "pbx.link_down")


@pytest.mark.parametrize(("role", "to"), [("supervisor", "0612345678"), ("viewer", "********78")])
async def test_where_a_call_went_is_masked_as_numbers_are(floor: Floor, role: str, to: str) -> None:
    """Whoever sees no numbers sees none here."""
    events = await floor.events(role=role)
    await events.next()
    await floor.feed(
        CallTransferred(pbx=PBX, at=NOW, leg=LegId("100.2"), kind=TransferKind.BLIND, to="0612345678")
    )
    told = await events.next()
    await events.socket.close()
    assert (told["name"], told["by"], told["to"], told["call"]) == (
        "call_transferred",
        "blind",
        to,
        "lab.100.1",
    )
