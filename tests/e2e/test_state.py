"""The state against Asterisk's own records, for each kind of call of the rig."""

import time
from typing import Any

import pytest

from e2e.floor import Floor
from helpers.patience import until

pytestmark = pytest.mark.lab


def queue_log(floor: Floor) -> list[list[str]]:
    """Asterisk's queue_log, a list of fields a line."""
    return [line.split("|") for line in floor.rig.paths.queue_log.read_text().splitlines()]


async def only_call(floor: Floor) -> dict[str, Any]:
    """The one call there is."""
    calls = (await floor.api.get("/calls"))["items"]
    assert len(calls) == 1, calls
    call: dict[str, Any] = calls[0]
    return call


async def parties(floor: Floor) -> dict[str, str]:
    """Device and state of each party of the one call."""
    return {party["device"]: party["state"] for party in (await only_call(floor))["parties"]}


async def has_state(floor: Floor, state: str) -> bool:
    """Whether there is one call, and it is in that state."""
    calls = (await floor.api.get("/calls"))["items"]
    return len(calls) == 1 and bool(calls[0]["state"] == state)


async def test_inbound_through_a_queue(floor: Floor) -> None:
    """Queued, alerting, connected, ended: call, agent and queue say so, and the queue_log has it too."""
    customer, agent = await floor.phones.open("3002", "1001")
    await until(lambda: floor.agent_is("1001", "ready"))
    mark = len(queue_log(floor))
    await customer.dial("7000")
    await agent.wait_state("ringing")
    await until(lambda: floor.agent_is("1001", "offered"))
    await until(lambda: has_state(floor, "alerting"))
    assert await parties(floor) == {"3002": "queued", "1001": "alerting"}
    queue = await floor.api.get("/queues/support")
    assert [waiting["position"] for waiting in queue["waiting"]] == [1]
    await agent.answer()
    await until(lambda: has_state(floor, "connected"))
    call = await only_call(floor)
    roles = {party["device"]: party["role"] for party in call["parties"]}
    assert roles == {"3002": "customer", "1001": "agent"}
    assert (call["queue"], call["direction"], call["dialled"]) == ("support", "inbound", "7000")
    assert (await floor.api.get("/queues/support"))["waiting"] == []
    assert await floor.agent_is("1001", "busy")
    entry = next(line for line in queue_log(floor)[mark:] if line[4] == "ENTERQUEUE")
    assert call["id"] == f"lab.{entry[1]}"
    await customer.hangup()
    await until(lambda: floor.agent_is("1001", "working_after_call"), what="after-call work")
    worker = await floor.api.get("/agents/1001")
    assert worker["after_call_work"]["queue"] == "support"
    assert (await floor.api.get("/calls"))["items"] == []
    await until(lambda: floor.agent_is("1001", "ready"), within=8.0, what="after-call work is over by itself")


async def test_direct_call_is_busy_other(floor: Floor) -> None:
    """A call that no queue brought makes the agent `busy_other`, and ends without after-call work."""
    customer, agent = await floor.phones.open("3003", "1002")
    await until(lambda: floor.agent_is("1002", "ready"))
    await customer.dial("1002")
    await until(lambda: floor.agent_is("1002", "offered"))
    await agent.answer()
    await until(lambda: floor.agent_is("1002", "busy_other"))
    assert (await only_call(floor))["direction"] == "inbound"
    await agent.hangup()
    await until(lambda: floor.agent_is("1002", "ready"))


async def test_outbound_call(floor: Floor) -> None:
    """An agent's own call is outbound, with her first and the customer as its customer."""
    agent, customer = await floor.phones.open("1002", "3004")
    await until(lambda: floor.agent_is("1002", "ready"))
    await agent.start_dialing("80003004")
    await customer.wait_state("ringing")
    await until(lambda: floor.agent_is("1002", "busy_other"), what="she dials")
    await customer.answer()
    await until(lambda: has_state(floor, "connected"))
    call = await only_call(floor)
    assert call["direction"] == "outbound"
    assert [(party["device"], party["role"]) for party in call["parties"]] == [
        ("1002", "agent"),
        ("3004", "customer"),
    ]
    await customer.hangup()
    await until(lambda: floor.agent_is("1002", "ready"))


async def test_ring_no_answer(floor: Floor) -> None:
    """An offer that is declined ends; the caller stays queued, and is offered again."""
    customer, agent = await floor.phones.open("3005", "1001")
    await until(lambda: floor.agent_is("1001", "ready"))
    mark = len(queue_log(floor))
    await customer.dial("7000")
    await agent.wait_state("ringing")
    await until(lambda: floor.agent_is("1001", "offered"))
    await agent.decline()
    await until(lambda: any(line[4] == "RINGNOANSWER" for line in queue_log(floor)[mark:]), within=10)
    assert [w["position"] for w in (await floor.api.get("/queues/support"))["waiting"]] == [1]
    await agent.wait_state("ringing")
    await agent.answer()
    await until(lambda: has_state(floor, "connected"))
    await customer.hangup()


async def test_abandoned(floor: Floor) -> None:
    """A caller who hangs up while waiting leaves nothing behind but an event, as the queue_log says."""
    (customer,) = await floor.phones.open("3006")
    mark = len(queue_log(floor))
    await customer.dial("7001")
    await until(lambda: has_state(floor, "queued"))
    await customer.hangup()
    await until(lambda: any(line[4] == "ABANDON" for line in queue_log(floor)[mark:]))

    async def gone() -> bool:
        return not (await floor.api.get("/calls"))["items"]

    await until(gone, what="the call is gone")
    assert (await floor.api.get("/queues/sales"))["waiting"] == []


async def test_hold(floor: Floor) -> None:
    """On hold: the call says so, and the party who holds; the agent stays busy."""
    customer, agent = await floor.talk()
    await agent.hold()
    await until(lambda: has_state(floor, "held"))
    assert (await parties(floor))["1001"] == "held"
    assert await floor.agent_is("1001", "busy")
    await agent.unhold()
    await until(lambda: has_state(floor, "connected"))
    await customer.hangup()


async def test_blind_transfer_to_another_queue(floor: Floor) -> None:
    """The call keeps its id through the transfer; the first agent is free, the second is busy."""
    customer, first = await floor.talk()
    (second,) = await floor.phones.open("1005")
    before = (await only_call(floor))["id"]
    await first.transfer("7001")
    await second.wait_state("ringing")
    await until(lambda: floor.agent_is("1005", "offered"))
    await second.answer()
    await until(lambda: floor.agent_is("1005", "busy"))
    await until(lambda: has_state(floor, "connected"))
    call = await only_call(floor)
    assert (call["id"], call["queue"]) == (before, "sales")
    assert {party["device"] for party in call["parties"]} == {"3001", "1005"}
    assert (await floor.api.get("/agents/1001"))["state"] in ("working_after_call", "ready")
    await customer.hangup()


async def test_blind_transfer_by_a_local_member(floor: Floor) -> None:
    """A member of the form `Local/1007@from-queue/n` who has transferred her caller is free."""
    customer, first = await floor.talk("1007", "7002")
    (second,) = await floor.phones.open("1001")
    await first.transfer("7000")
    await second.wait_state("ringing")
    await until(lambda: floor.agent_is("1007", "ready"), what="1007 is free")
    await second.answer()
    await floor.hear({second: {"3001"}, customer: {"1001"}})
    await until(lambda: floor.agent_is("1001", "busy"))
    assert await floor.agent_is("1007", "ready")
    await customer.hangup()


async def test_pause_with_reason(floor: Floor) -> None:
    """A pause by the phone's feature code is `not_ready` with its reason, in all of the agent's queues."""
    (agent,) = await floor.phones.open("1003")
    await until(lambda: floor.agent_is("1003", "ready"))
    await agent.dial("*452")
    await until(lambda: floor.agent_is("1003", "not_ready"))
    paused = await floor.api.get("/agents/1003")
    assert paused["reason"] == "lunch"
    assert {m["queue"]: (m["paused"], m["reason"]) for m in paused["queues"]} == {
        "support": (True, "lunch"),
        "sales": (True, "lunch"),
    }
    await agent.wait_state("idle")
    await agent.dial("*46")
    await until(lambda: floor.agent_is("1003", "ready"))


async def test_two_callers_wait_in_order(floor: Floor) -> None:
    """Positions and waiting times are the queue's own."""
    first, second = await floor.phones.open("3007", "3008")
    await first.dial("7001")
    await until(lambda: has_state(floor, "queued"))
    await second.dial("7001")

    async def both() -> bool:
        return len((await floor.api.get("/queues/sales"))["waiting"]) == 2

    await until(both)
    queue = await floor.api.get("/queues/sales")
    calls = {call["id"]: call for call in (await floor.api.get("/calls"))["items"]}
    order = [calls[waiting["call"]]["parties"][0]["device"] for waiting in queue["waiting"]]
    assert order == ["3007", "3008"]
    shown = floor.rig.asterisk_cli("queue show sales")
    assert shown.index("PJSIP/3007") < shown.index("PJSIP/3008")
    await first.hangup()
    await until(lambda: has_state(floor, "queued"))
    assert [w["position"] for w in (await floor.api.get("/queues/sales"))["waiting"]] == [1]
    await second.hangup()


async def test_state_says_since_when(floor: Floor) -> None:
    """Times are of now, in RFC 3339, and do not move while nothing changes."""
    await floor.phones.open("1006")
    await until(lambda: floor.agent_is("1006", "ready"))
    one = (await floor.api.get("/agents/1006"))["since"]
    two = (await floor.api.get("/agents/1006"))["since"]
    assert one == two
    assert one.startswith(time.strftime("%Y-%m-%dT%H:", time.gmtime()))
