"""Acts on calls, on a real Asterisk: what is heard, what is recorded, what the queue's log counts."""

import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiomqtt
import msgspec
import pytest

from e2e.floor import Floor
from helpers.api_client import Answer
from helpers.patience import until
from lab import hearing, tones

pytestmark = pytest.mark.lab

SUP = "2001"
BASIS = "training, with the customer's consent"
FRAME_BYTES = 2 * tones.FRAME


async def act(floor: Floor, call: str, what: str, **body: object) -> Answer:
    """Act on a call."""
    return await floor.api.call("POST", f"/calls/{call}/{what}", body)


async def done(floor: Floor, call: str, what: str, **body: object) -> dict[str, Any]:
    """Act on a call, which has to succeed; the call as it is then."""
    answer = await act(floor, call, what, **body)
    assert answer.status == 200, answer
    assert not answer.body["unconfirmed"], answer
    told: dict[str, Any] = answer.body["call"]
    return told


async def call_of(floor: Floor, agent: str) -> str:
    """The call that an agent is in."""
    return str((await floor.api.get(f"/agents/{agent}"))["call"])


async def recordings(floor: Floor, call: str) -> list[dict[str, Any]]:
    """What the index has of a call, the newest first."""
    items: list[dict[str, Any]] = (await floor.api.get(f"/recordings?call={call}"))["items"]
    return items


def recorded(path: Path) -> list[dict[str, float]]:
    """For each second of a recording: whose tones are in it, as shares of that second."""
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth()) == (tones.RATE, 2)
        data = file.readframes(file.getnframes())
    whole = len(data) // FRAME_BYTES
    times = [at * tones.FRAME_SECONDS for at in range(whole)]
    heard = tones.decode(times, data[: whole * FRAME_BYTES])
    step = round(1 / tones.FRAME_SECONDS)
    return [
        hearing.shares(tones.Heard(heard.times[at : at + step], heard.samples[at : at + step]))
        for at in range(0, whole - step + 1, step)
    ]


def voices(second: dict[str, float]) -> set[str]:
    """Who is heard in a second of a recording."""
    return {number for number, share in second.items() if share > hearing.STRAY}


@pytest.mark.parametrize("began", ["recording", "supervision"])
async def test_a_recording_has_no_supervisor(floor: Floor, began: str) -> None:
    """In every mode it has agent and customer and never her, also when it began first; a pause is silence."""
    customer, agent = await floor.talk()
    supervisor, *_ = await floor.phones.open(SUP)
    await supervisor.auto_answer(0.0)
    call = await call_of(floor, "1001")
    session = await floor.begin(agent="1001") if began == "supervision" else ""
    assert (await done(floor, call, "recording", action="start", basis=BASIS))["recording"] == "on"
    session = session or await floor.begin(agent="1001")
    everyone = {agent: {"3001", SUP}, customer: {"1001", SUP}, supervisor: {"1001", "3001"}}
    await floor.api.switch(session, "whisper")
    await floor.hear({agent: {"3001", SUP}, customer: {"1001"}})
    await floor.api.switch(session, "barge")
    await floor.hear(everyone)
    assert (await done(floor, call, "recording", action="pause"))["recording"] == "paused"
    await floor.phones.listen(agent, 2.2)
    assert (await done(floor, call, "recording", action="resume"))["recording"] == "on"
    await floor.hear(everyone)
    await floor.phones.listen(agent, 1.0)
    assert (await done(floor, call, "recording", action="stop"))["recording"] == "off"

    (entry,) = await recordings(floor, call)
    assert (entry["agent"], entry["queue"], entry["by"]) == ("1001", "support", "lab-supervisor")
    assert (entry["basis"], entry["call"]) == (BASIS, call)

    async def is_over() -> bool:
        return (await recordings(floor, call))[0]["stopped_at"] is not None

    await until(is_over, what="the index knows that it is over")
    path = floor.rig.paths.spool / "monitor" / entry["file"]
    assert path.name == entry["file"], "a name without a path"
    seconds = [voices(second) for second in recorded(path)]
    assert {SUP} & set().union(*seconds) == set(), seconds
    assert seconds.count({"1001", "3001"}) >= 3, seconds
    assert set() in seconds, "silence while it was paused"
    assert seconds[-1] == {"1001", "3001"}, "and audio after it"


async def test_refusals_of_recording(floor: Floor) -> None:
    """Without a basis, without an agent, what is not recorded: each has its code, and no file is made."""
    customer, *_ = await floor.phones.open("3001")
    await customer.dial("7001")

    async def waits() -> bool:
        return bool((await floor.api.get("/queues/sales"))["waiting"])

    await until(waits)
    waiting = (await floor.api.get("/queues/sales"))["waiting"][0]["call"]
    begun = await act(floor, waiting, "recording", action="start", basis=BASIS)
    assert (begun.status, begun.code) == (409, "call.no_agent")
    basis = await act(floor, waiting, "recording", action="start")
    assert (basis.status, basis.body["field"]) == (422, "basis")
    for action in ("pause", "resume"):
        assert (await act(floor, waiting, "recording", action=action)).code == "call.not_recorded"
    assert await recordings(floor, waiting) == []


@pytest.mark.parametrize("flag", ["private", "objected"])
async def test_a_flag_stops_recording_for_good(floor: Floor, flag: str) -> None:
    """It stops every recording, blocks others, goes with the customer to another agent, outlives ctid."""
    customer, agent = await floor.talk()
    second, *_ = await floor.phones.open("1002")
    call = await call_of(floor, "1001")
    await done(floor, call, "recording", action="start", basis=BASIS)
    (channel,) = [fields[0] for fields in floor.rig.channels() if fields[0].startswith("PJSIP/3001")]
    floor.rig.asterisk_cli(f"mixmonitor start {channel} by-the-dialplan.wav")
    assert "by-the-dialplan" in mixmonitors(floor, channel)
    told = await done(floor, call, flag)
    assert (told[flag], told["recording"]) == (True, "off")
    refused = await act(floor, call, "recording", action="start", basis=BASIS)
    assert (refused.status, refused.code) == (409, f"call.{flag}")

    # What the PBX begins by itself is stopped as well.
    floor.rig.asterisk_cli(f"mixmonitor start {channel} again.wav")
    await until(lambda: ".wav" not in mixmonitors(floor, channel), what="all recordings end")

    await done(floor, call, "transfer", to="1002")
    await second.answer()
    await floor.hear({customer: {"1002"}, second: {"3001"}})
    await agent.wait_state("idle")
    moved = await call_of(floor, "1002")
    assert (await floor.api.get(f"/calls/{moved}"))[flag] is True
    variable = {"private": "CTID_PRIVATE", "objected": "CTID_OBJECTED"}[flag]

    def everywhere() -> bool:
        channels = [fields[0] for fields in floor.rig.channels() if fields[0].startswith("PJSIP/")]
        return all(f"{variable}=1" in floor.rig.asterisk_cli(f"core show channel {c}") for c in channels)

    await until(everywhere, what="each leg has the flag")
    floor.rig.kill("ctid")
    floor.rig.restart("ctid")
    assert (await floor.api.get(f"/calls/{moved}"))[flag] is True
    again = await act(floor, moved, "recording", action="start", basis=BASIS)
    assert again.code == f"call.{flag}"
    other = "objected" if flag == "private" else "private"
    assert (await floor.api.get(f"/calls/{moved}"))[other] is False


def mixmonitors(floor: Floor, channel: str) -> str:
    """What Asterisk's console says that records a channel."""
    return floor.rig.asterisk_cli(f"mixmonitor list {channel}")


async def test_keys_of_an_agent(floor: Floor) -> None:
    """Her keys protect the call at once; the customer's do nothing."""
    customer, agent = await floor.talk(number="7010")
    call = await call_of(floor, "1001")
    await done(floor, call, "recording", action="start", basis=BASIS)
    await customer.dtmf("*9")
    await floor.phones.listen(customer, 1.0)
    told = await floor.api.get(f"/calls/{call}")
    assert (told["objected"], told["private"], told["recording"]) == (False, False, "on")
    for keys, flag in (("*7", "private"), ("*9", "objected")):
        await agent.dtmf(keys)

        async def is_told(flag: str = flag) -> bool:
            now = await floor.api.get(f"/calls/{call}")
            return bool(now[flag] and now["recording"] == "off")

        await until(is_told, what=f"the call is {flag}, and not recorded")
    await floor.hear({customer: {"1001"}, agent: {"3001"}})


async def test_recording_over_a_restart(floor: Floor) -> None:
    """A restart of ctid finds the recording, can stop it, and the index then knows that it is over."""
    await floor.talk()
    call = await call_of(floor, "1001")
    await done(floor, call, "recording", action="start", basis=BASIS)
    await done(floor, call, "recording", action="pause")
    floor.rig.kill("ctid")
    floor.rig.restart("ctid")
    assert (await floor.api.get(f"/calls/{call}"))["recording"] == "paused"
    assert (await recordings(floor, call))[0]["stopped_at"] is None
    assert (await done(floor, call, "recording", action="stop"))["recording"] == "off"

    async def is_over() -> bool:
        return (await recordings(floor, call))[0]["stopped_at"] is not None

    await until(is_over)


@pytest.mark.parametrize(("agent", "number"), [("1001", "7000"), ("1007", "7002")], ids=["phone", "local"])
async def test_transfer_of_a_queue_call(floor: Floor, agent: str, number: str) -> None:
    """The customer talks with the new agent, the old one is free, and the queue counts a transfer."""
    customer, talker = await floor.talk(agent, number)
    other, *_ = await floor.phones.open("1005")
    call = await call_of(floor, agent)
    refused = await act(floor, call, "transfer", to="0190123456")
    assert (refused.status, refused.code) == (403, "call.number_not_allowed")
    nowhere = await act(floor, call, "transfer", to="80001")
    assert (nowhere.status, nowhere.code) == (502, "pbx.refused"), nowhere
    await floor.hear({customer: {agent}, talker: {"3001"}})
    await done(floor, call, "transfer", to="1005")
    await talker.wait_state("idle")
    await other.answer()
    await floor.hear({customer: {"1005"}, other: {"3001"}})
    log = floor.rig.paths.queue_log.read_text().splitlines()
    assert any("|BLINDTRANSFER|1005|" in line for line in log[-8:]), log[-8:]
    assert not await floor.agent_is(agent, "busy")


async def test_transfer_of_who_waits(floor: Floor) -> None:
    """A caller who waits in one queue goes on in another."""
    (customer,) = await floor.phones.open("3001")
    await customer.dial("7001")
    call = await waiting_in(floor, "sales", 1)
    await done(floor, call[0], "transfer", to={"queue": "support"})
    assert await waiting_in(floor, "support", 1) == call
    assert (await floor.api.get("/queues/sales"))["waiting"] == []


async def waiting_in(floor: Floor, queue: str, count: int) -> list[str]:
    """The calls that wait in a queue, in order, once there are so many."""
    found: list[str] = []

    async def there() -> bool:
        waiting = (await floor.api.get(f"/queues/{queue}"))["waiting"]
        found[:] = [waiter["call"] for waiter in waiting]
        return len(found) == count

    await until(there, what=f"{count} wait in {queue}")
    return found


async def test_a_waiting_call_moves_up(floor: Floor) -> None:
    """To the place asked for, the others in their order: Asterisk's own list says so, and the state too."""
    customers = await floor.phones.open("3001", "3002", "3003", "3004")
    for number, customer in enumerate(customers, 1):
        await customer.dial("7001")
        await waiting_in(floor, "sales", number)
    one, two, three, four = await waiting_in(floor, "sales", 4)
    answer = await act(floor, three, "priority", position=1)
    if answer.code == "pbx.refused":
        # Asterisk 16 takes the priority and leaves him there; the refusal says so, and so does the state.
        assert "orders by it only who comes later" in answer.body["detail"]
        assert await waiting_in(floor, "sales", 4) == [one, two, three, four]
        return
    assert not answer.body["unconfirmed"], answer
    assert await waiting_in(floor, "sales", 4) == [three, one, two, four]
    await done(floor, four, "priority", position=3)
    assert await waiting_in(floor, "sales", 4) == [three, one, four, two]
    await done(floor, three, "priority", position=2)
    assert await waiting_in(floor, "sales", 4) == [three, one, four, two], "it only moves up"
    shown = [line for line in floor.rig.asterisk_cli("queue show sales").splitlines() if "PJSIP/30" in line]
    assert [line.split("PJSIP/")[1][:4] for line in shown] == ["3003", "3001", "3004", "3002"]


async def test_hang_up(floor: Floor) -> None:
    """A party, or the whole call."""
    customer, agent = await floor.talk()
    call = await call_of(floor, "1001")
    legs = {party["role"]: party["leg"] for party in (await floor.api.get(f"/calls/{call}"))["parties"]}
    none = await act(floor, call, "hangup", party="1.1")
    assert (none.status, none.body["field"]) == (422, "party")
    told = await done(floor, call, "hangup", party=legs["agent"])
    assert legs["agent"] not in {party["leg"] for party in told["parties"]}
    await agent.wait_state("idle")
    await customer.wait_state("idle")
    customer, agent = await talk_again(floor)
    call = await call_of(floor, "1001")
    assert (await done(floor, call, "hangup"))["state"] == "ended"
    await agent.wait_state("idle")
    await customer.wait_state("idle")
    assert (await act(floor, call, "hangup")).code == "call.unknown"


async def talk_again(floor: Floor) -> tuple[Any, Any]:
    """The same two talk, with the agent's phone called directly."""
    customer, agent = floor.phones["3001"], floor.phones["1001"]
    await customer.dial("1001")
    await agent.answer()
    await until(lambda: floor.call_is("1001", "connected"), what="connected")
    return customer, agent


async def test_click_to_call(floor: Floor) -> None:
    """Her phone rings first, then the number; they talk. Who is not free is not rung."""
    agent, customer = await floor.phones.open("1001", "3001")
    await until(lambda: floor.agent_is("1001", "ready"))
    answer = await floor.api.call("POST", "/calls", {"agent": "1001", "number": "80003001"})
    assert answer.status == 201, answer
    call = answer.body["call"]["id"]
    await agent.answer()
    await customer.answer()
    await floor.hear({agent: {"3001"}, customer: {"1001"}})
    told = await floor.api.get(f"/calls/{call}")
    assert (told["state"], told["direction"]) == ("connected", "outbound")
    assert {party["role"] for party in told["parties"]} == {"agent", "customer"}
    busy = await floor.api.call("POST", "/calls", {"agent": "1001", "number": "80003001"})
    assert (busy.status, busy.code) == (409, "agent.not_free")
    await agent.hangup()
    await customer.wait_state("idle")


@pytest.mark.parametrize(
    ("number", "status", "code"),
    [
        ("0190123456", 403, "call.number_not_allowed"),
        ("8000/3001", 422, "request.invalid"),
        ("80003001&1002", 422, "request.invalid"),
        ("80003001@from-internal", 422, "request.invalid"),
        ("80003001,1", 422, "request.invalid"),
        ("8000\r\nAction: Originate", 422, "request.invalid"),
        ("PJSIP/3001", 422, "request.invalid"),
        ("8" * 33, 422, "request.invalid"),
        ("", 422, "request.invalid"),
    ],
)
async def test_numbers_that_are_none(floor: Floor, number: str, status: int, code: str) -> None:
    """Whatever a dialplan or a protocol would take apart is refused, and nothing rings."""
    answer = await floor.api.call("POST", "/calls", {"agent": "1001", "number": number})
    assert (answer.status, answer.code) == (status, code), answer
    assert not floor.rig.channels()


async def test_a_text_to_an_agent(floor: Floor) -> None:
    """Her phone shows it, and the broker has it; without a phone the broker alone."""
    (agent,) = await floor.phones.open("1001")
    text = "Prenez d'abord la ligne 2 \N{EURO SIGN} \"s'il vous plaît\""

    async def is_registered() -> bool:
        return bool((await floor.api.get("/devices/1001"))["registration"] == "registered")

    await until(is_registered)
    async with subscribed(floor) as told:
        answer = await floor.api.call("POST", "/agents/1001/message", {"text": text})
        assert answer.status == 200, answer
        assert (answer.body["sip"], answer.body["mqtt"]) == (True, True), answer
        await agent.until(lambda: bool(agent.messages), "shown a text")
        assert agent.messages[0].text == text
        assert "Supervision" in agent.messages[0].sender
        event = await anext(told)
        assert (event["data"]["agent"], event["data"]["text"]) == ("1001", text)
        assert (event["subject"], event["data"]["by"]) == ("agents/1001", "lab-supervisor")
        await agent.unregister()

        async def is_gone() -> bool:
            return bool((await floor.api.get("/devices/1001"))["registration"] == "unregistered")

        await until(is_gone)
        answer = await floor.api.call("POST", "/agents/1001/message", {"text": "again"})
        assert (answer.body["sip"], answer.body["mqtt"]) == (False, True), answer
        assert (await anext(told))["data"]["text"] == "again"
    for bad in ("", "a\r\nb", "a\0b", "x" * 501):
        refused = await floor.api.call("POST", "/agents/1001/message", {"text": bad})
        assert (refused.status, refused.body["field"]) == (422, "text"), refused


@asynccontextmanager
async def subscribed(floor: Floor) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """The texts to agents, as the broker tells them."""
    async with aiomqtt.Client("127.0.0.1", floor.rig.ports.mqtt) as client:
        await client.subscribe("ctid/lab/events/agent.message", qos=1)

        async def told() -> AsyncIterator[dict[str, Any]]:
            async for message in client.messages:
                assert isinstance(message.payload, bytes)
                yield msgspec.json.decode(message.payload)

        yield told()
