"""Agents commanded on a real Asterisk: what its console and its own log say of each command."""

import re
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2e import bus
from e2e.conftest import leave_quiet
from e2e.floor import Floor, floor_of
from helpers.api_client import Answer
from helpers.patience import until
from lab import daemon
from lab.phone_client import Phone
from lab.rig import Rig

pytestmark = pytest.mark.lab

CHLOE = "1003"
"""A static member of `support` and `sales`; a call of `support` gives five seconds of after-call work."""
NEWCOMER = "3010"
"""In no queue of the PBX: the configuration alone makes an agent of this phone."""
WORK = "after_call_work"
_NEWCOMER = f"""
[[agent]]
id = "{NEWCOMER}"
name = "Nora New"
address = "PJSIP/{NEWCOMER}"
queues = ["sales"]
"""
_ENFORCED = "\n[after_call_work]\nenforce = true\n"


@pytest.fixture(scope="module")
def agents_rig() -> Iterator[Rig]:
    """A rig whose daemon knows an agent more than its PBX does."""

    def make(rig: Rig) -> Any:
        path = daemon.write_configuration(rig, ring_s=3.0)
        path.write_text(path.read_text() + _NEWCOMER)
        return daemon.service(rig, path)

    with Rig.for_tests(services=(bus.watcher, make)) as running:
        yield running


@pytest.fixture
async def floor(agents_rig: Rig) -> AsyncIterator[Floor]:
    """A floor on it, empty before and after."""
    async with floor_of(agents_rig, leave_quiet) as opened:
        yield opened


@pytest.fixture
def enforced(agents_rig: Rig) -> Iterator[None]:
    """Have the daemon enforce after-call work, for one test."""
    path = _configuration(agents_rig)
    before = path.read_text()
    path.write_text(before + _ENFORCED)
    agents_rig.restart("ctid")
    yield
    path.write_text(before)
    agents_rig.restart("ctid")


def _configuration(rig: Rig) -> Path:
    return rig.base / "ctid" / "ctid.toml"


async def command(floor: Floor, agent: str, what: str, **body: object) -> Answer:
    """Command an agent."""
    return await floor.api.call("POST", f"/agents/{agent}/{what}", body)


async def done(floor: Floor, agent: str, what: str, **body: object) -> dict[str, Any]:
    """Command an agent, and see that the answer shows her as the state has her."""
    answer = await command(floor, agent, what, **body)
    assert (answer.status, answer.body.get("unconfirmed")) == (200, False), answer
    told: dict[str, Any] = answer.body["agent"]
    return told


def on_the_pbx(floor: Floor, phone: str) -> dict[str, str | None]:
    """The queues of a member as Asterisk's console shows them, each with the reason of her pause."""
    found: dict[str, str | None] = {}
    for queue in ("support", "sales", "desk"):
        for line in floor.rig.asterisk_cli(f"queue show {queue}").splitlines():
            if f"PJSIP/{phone}" in line and "(ringinuse" in line:
                paused = re.search(r"\(paused(?::(.*?))? was", line)
                found[queue] = (paused[1] or "") if paused else None
    return found


def log_of(floor: Floor, name: str, since: int = 0) -> list[tuple[str, str, str]]:
    """Asterisk's queue_log of one member from a line on: queue, event and its first particular."""
    lines = [line.split("|") for line in floor.rig.paths.queue_log.read_text().splitlines()[since:]]
    return [(line[2], line[4], line[5]) for line in lines if len(line) > 5 and line[3] == name]


def lines_of_log(floor: Floor) -> int:
    """How long Asterisk's queue_log is."""
    return len(floor.rig.paths.queue_log.read_text().splitlines())


async def ready(floor: Floor, agent: str) -> Phone:
    """An agent's phone, registered, and she is ready."""
    (phone,) = await floor.phones.open(agent)
    await until(lambda: floor.agent_is(agent, "ready"), what=f"{agent} is ready")
    return phone


async def serve(floor: Floor) -> None:
    """Let Chloé, whose phone is open, serve a customer of `support`, and the customer hang up."""
    await until(lambda: floor.agent_is(CHLOE, "ready"), what="ready")
    await floor.phones["3001"].dial("7000")
    await floor.phones[CHLOE].answer()
    await until(lambda: floor.agent_is(CHLOE, "busy"), what="busy")
    await floor.phones["3001"].hangup()


# Pauses -----------------------------------------------------------------------------------------------


async def test_pause_in_one_queue_and_in_all(floor: Floor) -> None:
    """A pause is where it was asked for and nowhere else, on the PBX and in its log; given twice, once."""
    await ready(floor, CHLOE)
    mark = lines_of_log(floor)
    told = await done(floor, CHLOE, "pause", queues=["sales"], reason="lunch")
    assert told["state"] == "ready"
    assert on_the_pbx(floor, CHLOE) == {"support": None, "sales": "lunch"}
    for _ in range(2):
        told = await done(floor, CHLOE, "pause", reason="lunch")
    assert (told["state"], told["reason"]) == ("not_ready", "lunch")
    assert on_the_pbx(floor, CHLOE) == {"support": "lunch", "sales": "lunch"}
    told = await done(floor, CHLOE, "resume")
    assert told["state"] == "ready"
    assert on_the_pbx(floor, CHLOE) == {"support": None, "sales": None}
    events = [(queue, event) for queue, event, _ in log_of(floor, "Chloé Durand", mark)]
    assert sorted(events) == [
        ("sales", "PAUSE"),
        ("sales", "UNPAUSE"),
        ("support", "PAUSE"),
        ("support", "UNPAUSE"),
    ]


async def test_the_reason_changes_while_paused(floor: Floor) -> None:
    """The queue_log has both reasons, and the state the latter; the pause began when it did."""
    await ready(floor, CHLOE)
    mark = lines_of_log(floor)
    await done(floor, CHLOE, "pause", reason="lunch")
    told = await done(floor, CHLOE, "pause", reason="dentist, back at 3")
    assert (told["state"], told["reason"]) == ("not_ready", "dentist, back at 3")
    paused = [
        (queue, reason) for queue, event, reason in log_of(floor, "Chloé Durand", mark) if event == "PAUSE"
    ]
    assert sorted(paused) == [
        ("sales", "dentist, back at 3"),
        ("sales", "lunch"),
        ("support", "dentist, back at 3"),
        ("support", "lunch"),
    ]
    assert set(on_the_pbx(floor, CHLOE).values()) == {"dentist, back at 3"}


async def test_the_longest_reason(floor: Floor) -> None:
    """A reason of 79 bytes arrives whole, accents included; a longer one is refused."""
    await ready(floor, CHLOE)
    longest = "é" * 39 + "x"
    told = await done(floor, CHLOE, "pause", reason=longest)
    assert told["reason"] == longest
    assert set(on_the_pbx(floor, CHLOE).values()) == {longest}
    refused = await command(floor, CHLOE, "pause", reason=longest + "x")
    assert (refused.status, refused.code, refused.body["field"]) == (422, "request.invalid", "reason")


async def test_pause_while_talking(floor: Floor) -> None:
    """The call goes on and the pause is pending; after it come her after-call work and then the pause."""
    customer, agent = await floor.talk(CHLOE, "7000")
    told = await done(floor, CHLOE, "pause", reason="lunch", when="after_call")
    assert (told["state"], told["pending"], told["pending_reason"]) == ("busy", "not_ready", "lunch")
    assert agent.state == "connected"
    await customer.hangup()
    await until(lambda: floor.agent_is(CHLOE, "working_after_call"))
    assert (await floor.api.get(f"/agents/{CHLOE}"))["pending"] == "not_ready"
    await until(lambda: floor.agent_is(CHLOE, "not_ready"), within=8.0, what="the pause after the work")
    told = await floor.api.get(f"/agents/{CHLOE}")
    assert (told["reason"], told["pending"]) == ("lunch", None)


async def test_pause_while_it_rings(floor: Floor) -> None:
    """A call that rings at her goes on ringing, and she can take it."""
    customer, agent = await floor.phones.open("3002", CHLOE)
    await until(lambda: floor.agent_is(CHLOE, "ready"))
    await customer.dial("7000")
    await agent.wait_state("ringing")
    await until(lambda: floor.agent_is(CHLOE, "offered"))
    told = await done(floor, CHLOE, "pause", reason="lunch")
    assert (told["state"], told["pending"]) == ("offered", "not_ready")
    await agent.answer()
    await until(lambda: floor.agent_is(CHLOE, "busy"))
    await customer.hangup()
    await until(lambda: floor.agent_is(CHLOE, "not_ready"), within=8.0)


# In and out -------------------------------------------------------------------------------------------


async def test_a_dynamic_member_comes_and_goes(floor: Floor) -> None:
    """Each twice: whom the configuration alone knows is logged in, takes a call, and is logged out."""
    (phone,) = await floor.phones.open(NEWCOMER)
    for _ in range(2):
        told = await done(floor, NEWCOMER, "login")
        assert (told["name"], [m["queue"] for m in told["queues"]]) == ("Nora New", ["sales"])
    assert on_the_pbx(floor, NEWCOMER) == {"sales": None}
    await until(lambda: floor.agent_is(NEWCOMER, "ready"))
    (customer,) = await floor.phones.open("3001")
    await customer.dial("7001")
    await phone.answer()
    await until(lambda: floor.agent_is(NEWCOMER, "busy"))
    await customer.hangup()
    await until(lambda: floor.agent_is(NEWCOMER, "ready"))
    await done(floor, NEWCOMER, "pause", reason="lunch")
    told = await done(floor, NEWCOMER, "login", queues=["desk"])
    assert {m["queue"]: m["paused_reason"] for m in told["queues"]} == {"sales": "lunch", "desk": "lunch"}
    assert on_the_pbx(floor, NEWCOMER) == {"sales": "lunch", "desk": "lunch"}
    for _ in range(2):
        told = await done(floor, NEWCOMER, "logout")
        assert (told["state"], told["queues"]) == ("logged_out", [])
    assert on_the_pbx(floor, NEWCOMER) == {}


async def test_a_static_member_cannot_be_logged_out(floor: Floor) -> None:
    """The PBX refuses it, and the refusal names the cure; where she could leave, she has left."""
    await ready(floor, "1005")
    refused = await command(floor, "1005", "logout")
    assert (refused.status, refused.code) == (502, "pbx.refused")
    assert "queues.conf" in refused.body["detail"]
    assert on_the_pbx(floor, "1005") == {"sales": None}
    await done(floor, "1005", "login", queues=["support"])
    refused = await command(floor, "1005", "logout")
    assert (refused.status, refused.code) == (502, "agent.partly_done")
    assert refused.body["queues"] == {"sales": "pbx.refused", "support": "done"}
    await until(lambda: on_the_pbx(floor, "1005") == {"sales": None})


# After-call work --------------------------------------------------------------------------------------


async def test_after_call_work_is_extended_and_ended(floor: Floor) -> None:
    """Longer than the PBX's own wrap-up by command, and over at once by command."""
    await floor.phones.open("3001", CHLOE)
    await serve(floor)
    await until(lambda: floor.agent_is(CHLOE, "working_after_call"))
    before = (await floor.api.get(f"/agents/{CHLOE}"))["after_call_work"]
    told = await done(floor, CHLOE, "extend-after-call-work", seconds=60)
    assert told["after_call_work"]["ends_at"] > before["ends_at"]
    assert told["after_call_work"]["since"] == before["since"]
    told = await done(floor, CHLOE, "end-after-call-work")
    assert (told["state"], told["after_call_work"]) == ("ready", None)
    refused = await command(floor, CHLOE, "extend-after-call-work", seconds=60)
    assert (refused.status, refused.code) == (409, "agent.not_in_after_call_work")


async def is_held(floor: Floor, reason: str | None = WORK) -> None:
    """Wait until Chloé is paused so in both queues, by the PBX's own word."""
    await until(
        lambda: on_the_pbx(floor, CHLOE) == {"support": reason, "sales": reason}, within=8.0, what=f"{reason}"
    )


@pytest.mark.usefixtures("enforced")
async def test_enforced_after_call_work(floor: Floor) -> None:
    """While she works the PBX has her paused in all her queues; at the end, by itself, in none."""
    await floor.phones.open("3001", CHLOE)
    await serve(floor)
    await is_held(floor)
    assert await floor.agent_is(CHLOE, "working_after_call")
    await until(lambda: floor.agent_is(CHLOE, "ready"), within=10.0)
    assert on_the_pbx(floor, CHLOE) == {"support": None, "sales": None}
    await serve(floor)
    await is_held(floor)
    told = await done(floor, CHLOE, "end-after-call-work")
    assert told["state"] == "ready"
    assert on_the_pbx(floor, CHLOE) == {"support": None, "sales": None}


@pytest.mark.usefixtures("enforced")
async def test_whoever_acts_by_hand_wins(floor: Floor) -> None:
    """A pause by hand outlasts the work; resuming herself by the phone's code ends the work everywhere."""
    await floor.phones.open("3001", CHLOE)
    await serve(floor)
    await is_held(floor)
    await done(floor, CHLOE, "pause", queues=["sales"], reason="lunch")
    await until(
        lambda: on_the_pbx(floor, CHLOE) == {"support": None, "sales": "lunch"},
        within=10.0,
        what="the work is over, and the pause is not",
    )
    await done(floor, CHLOE, "resume")
    await serve(floor)
    await is_held(floor)
    await done(floor, CHLOE, "extend-after-call-work", seconds=600)
    await floor.phones[CHLOE].dial("*46")
    await is_held(floor, None)
    await until(lambda: floor.agent_is(CHLOE, "ready"))


@pytest.mark.usefixtures("enforced")
async def test_a_restart_while_it_is_enforced(floor: Floor) -> None:
    """A ctid that dies leaves her paused; the next one resumes her when her work is over, and no earlier."""
    await floor.phones.open("3001", CHLOE)
    await serve(floor)
    await is_held(floor)
    floor.rig.restart("ctid")
    await until(lambda: floor.agent_is(CHLOE, "ready"), within=10.0)
    assert on_the_pbx(floor, CHLOE) == {"support": None, "sales": None}
    await serve(floor)
    await is_held(floor)
    ends_at = time.time() + 6.0
    floor.rig.kill("ctid")
    await until(lambda: time.time() > ends_at, within=10.0, what="her work is over")
    assert on_the_pbx(floor, CHLOE) == {"support": WORK, "sales": WORK}
    floor.rig.restart("ctid")
    await is_held(floor, None)
    await until(lambda: floor.agent_is(CHLOE, "ready"))
