"""Whatever comes from the bus: one answer in the reply's form, and nothing done but what is asked."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from api.carriers import TOPICS
from api.support import CALL, DEADLINE_S, NOW, PBX, Floor, member
from ctid.api.bus import LARGEST_REPLY, BusCarrier
from ctid.api.context import Limits
from ctid.api.operations import OPERATIONS
from ctid.model.facts import MemberChanged
from ctid.publish.intake import Command, Intake
from ctid.rates import Rate


class Bus:
    """A client's end of the bus, and the floor at the other."""

    def __init__(self, floor: Floor) -> None:
        self.floor = floor
        self.intake = Intake(TOPICS, BusCarrier(floor.door))

    async def ask(self, operation: str, payload: bytes, client: str = "a admin", **more: Any) -> Any:
        """Publish a command; the reply's document."""
        topic = f"{TOPICS.root}/command/{client}/{operation}"
        self.intake.take(Command(topic=topic, payload=payload, **more))
        async with asyncio.timeout(DEADLINE_S):
            reply = await self.intake.replies.get()
        assert reply.topic.startswith(f"{TOPICS.root}/reply/{client}")
        return json.loads(reply.payload)


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    """A populated floor that is asked as often as one likes."""
    often = Rate(1e6, 1_000_000)
    async with Floor(limits=Limits(commands=often, reads=often)) as floor:
        await floor.populate()
        yield Bus(floor)


def code(reply: Any) -> str:
    """The code of a refusal, of which the rest is whole."""
    problem = reply["problem"]
    assert {"type", "title", "status", "detail", "code"} <= set(problem)
    assert (reply["schema"], reply["status"]) == ("ctid.reply/1", problem["status"])
    assert "result" not in reply
    return str(problem["code"])


@pytest.mark.parametrize(
    ("payload", "status", "told"),
    [
        (b"", 400, "request.invalid"),  # so that a retained one can be cleared
        (b"{", 400, "request.invalid"),
        (b"[]", 400, "request.invalid"),
        (b"\xff", 400, "request.invalid"),
        (b"[" * 10_000, 400, "request.invalid"),
        (b'{"id": 1, "id": 2}', 422, "request.invalid"),
        (b'{"operation": "x"}', 422, "request.invalid"),
        (b'{"id": 1.5}', 422, "request.invalid"),
        (b'{"id": true}', 422, "request.invalid"),
        (b'{"id": "' + b"x" * 129 + b'"}', 422, "request.invalid"),
        (b'{"key": ""}', 422, "request.invalid"),
        (b'{"key": "a b"}', 422, "request.invalid"),
        (b'{"params": []}', 422, "request.invalid"),
        (b'{"params": {"a": "' + b"x" * Limits().body_bytes + b'"}}', 413, "request.too_large"),
    ],
)
async def test_what_is_no_command(bus: Bus, payload: bytes, status: int, told: str) -> None:
    """It is refused with what is wrong, as over the other carriers, and nothing is done."""
    before = bus.floor.hub.store.seq
    reply = await bus.ask("calls.hang_up", payload)
    assert (reply["status"], code(reply)) == (status, told)
    assert bus.floor.hub.store.seq == before


async def test_an_id_comes_back_where_it_can_be_read(bus: Bus) -> None:
    """With what is refused before it is looked at as well; what is no id does not."""
    for payload, ident in ((b'{"id": 7, "shoe": 1}', 7), (b'{"id": "x"}', "x"), (b'{"id": []}', None)):
        assert (await bus.ask("calls.get", payload)).get("id") == ident
        assert (await bus.ask("calls.get", payload, client="nobody")).get("id") == ident
        assert (await bus.ask("calls.get", payload, retained=True)).get("id") == ident
    assert "id" not in await bus.ask("calls.get", b'{"params": {}}')


async def test_a_command_that_must_not_come_so(bus: Bus) -> None:
    """One that is retained, one whose answer would leave the client's topics: not carried out, and told."""
    body = json.dumps({"params": {"id": CALL}}).encode()
    assert code(await bus.ask("calls.hang_up", body, retained=True)) == "request.invalid"
    elsewhere = f"{TOPICS.root}/agents/1001"
    assert code(await bus.ask("calls.hang_up", body, response_topic=elsewhere)) == "request.invalid"
    assert CALL in bus.floor.hub.store.calls
    assert bus.floor.door.requests.counts["mqtt", "calls.hang_up", 400] == 2


async def test_one_too_many(bus: Bus) -> None:
    """While as many as may be are under way, one more is told to wait, and is not carried out."""
    bus.floor.supervisions.gate.clear()
    start = {"agent": "1001", "via": {"phone": "2001"}, "purpose": "quality"}
    body = json.dumps({"params": start}).encode()
    topic = f"{TOPICS.root}/command/a admin/supervisions.create"
    for _ in range(16):
        bus.intake.take(Command(topic=topic, payload=body))
    assert code(await bus.ask("calls.hang_up", b'{"id": 9}')) == "request.too_many"
    bus.floor.supervisions.gate.set()
    async with asyncio.timeout(DEADLINE_S):
        replies = [json.loads((await bus.intake.replies.get()).payload) for _ in range(16)]
    assert {reply["status"] for reply in replies} == {201}


async def test_an_answer_that_is_too_large(bus: Bus) -> None:
    """It is not published; the refusal says what to do."""
    for number in range(500):
        agent = replace(member(f"{5000 + number}"), name="x" * 600)
        await bus.floor.feed(MemberChanged(pbx=PBX, at=NOW, member=agent))
    reply = await bus.ask("agents.list", b'{"params": {"limit": 500}}')
    assert (code(reply), reply["status"]) == ("reply.too_large", 413)
    assert f"the bus carries {LARGEST_REPLY}: ask for less" in reply["problem"]["detail"]
    assert len((await bus.ask("agents.list", b'{"params": {"limit": 9}}'))["result"]["items"]) == 9


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=8,
)
payloads = st.one_of(
    st.binary(max_size=80),
    json_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {}, optional={"id": json_values, "key": json_values, "params": json_values, "x": json_values}
    ).map(lambda value: json.dumps(value).encode()),
)
levels = st.sampled_from([*OPERATIONS]) | st.text(
    st.characters(exclude_characters="/+#\0", exclude_categories=["Cs"]), max_size=30
)


async def test_whatever_comes_is_answered(bus: Bus) -> None:
    """Any bytes on any command's topic: one reply and no defect; who has no rights does nothing."""
    loop = asyncio.get_running_loop()

    @settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(levels, payloads, st.sampled_from(["a viewer", "nobody"]), st.booleans())
    def fuzz(operation: str, payload: bytes, client: str, retained: bool) -> None:  # noqa: FBT001 - hypothesis gives it
        before = bus.floor.hub.store.seq
        asked = bus.ask(operation, payload, client, retained=retained)
        reply = asyncio.run_coroutine_threadsafe(asked, loop).result(DEADLINE_S)
        if reply["status"] >= 400:
            assert code(reply) != "internal"
        else:
            assert client == "a viewer"
            # The one command that a viewer may give ends the session of a cookie, and here there is none.
            assert not OPERATIONS[operation].is_command or operation == "session.end"
        assert bus.floor.hub.store.seq == before

    await asyncio.to_thread(fuzz)
    assert not bus.intake._under_way
