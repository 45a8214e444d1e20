import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
from msgspec import Struct
from structlog.testing import capture_logs

from ctid.events.topics import Topics
from ctid.publish import intake as module
from ctid.publish.intake import AT_ONCE, LONGEST_BYTES, REPLIES_WAITING, Command, Intake, Outcome
from ctid.tasks import TaskOwner
from helpers.patience import until

TOPICS = Topics("ctid", "lab")
RAISE = "ctid/lab/command/anna/agents.help"


class Done(Struct, frozen=True):
    """An outcome."""

    status: int
    body: bytes


class Desk:
    """An intake, and what it has carried out."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, Mapping[str, Any]]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.outcome = Done(201, b'{"id":"h1"}')
        self.intake = Intake(TOPICS, {"agents.help"}, self._carry_out)

    async def _carry_out(self, client: str, operation: str, params: Mapping[str, Any]) -> Outcome:
        self.asked.append((client, operation, params))
        await self.gate.wait()
        return self.outcome

    async def answer(self, payload: bytes = b"", topic: str = RAISE, **more: Any) -> tuple[str, Any, bytes]:
        """Command, and wait for the answer: its topic, its document, its correlation data."""
        self.intake.take(Command(topic=topic, payload=payload, **more))
        async with asyncio.timeout(5):
            reply = await self.intake.replies.get()
        return reply.topic, json.loads(reply.payload), reply.correlation


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    """An intake that runs."""
    desk, owner = Desk(), TaskOwner()
    owner.spawn("intake", desk.intake.run())
    yield desk
    await owner.close()


async def test_a_command_is_carried_out(desk: Desk) -> None:
    """For the client of the topic, with its parameters; the answer bears id and correlation data."""
    payload = b'{"id": 7, "params": {"id": "1001"}}'
    answer = await desk.answer(payload, response_topic="ctid/lab/reply/anna/a", correlation=b"\x00\xff")
    told = {"schema": "ctid.reply/1", "id": 7, "status": 201, "result": {"id": "h1"}}
    assert answer == ("ctid/lab/reply/anna/a", told, b"\x00\xff")
    assert desk.asked == [("anna", "agents.help", {"id": "1001"})]
    assert desk.intake.filter == "ctid/lab/command/+/+"
    assert desk.intake.is_command(RAISE)
    assert not desk.intake.is_command("ctid/lab/status")


async def test_a_refusal_is_a_problem(desk: Desk) -> None:
    """The operation's own document; without an id the answer has none."""
    desk.outcome = Done(403, b'{"code":"auth.forbidden"}')
    answer = await desk.answer()
    told = {"schema": "ctid.reply/1", "status": 403, "problem": {"code": "auth.forbidden"}}
    assert answer == ("ctid/lab/reply/anna", told, b"")


@pytest.mark.parametrize(
    "topic",
    [
        "ctid/lab/agents/1001",
        "ctid/lab/reply/paul",
        "ctid/lab/reply/anna2",
        "ctid/lab/reply/anna/../paul/#",
        "ctid/lab/reply/anna/+",
        "somewhere/else",
    ],
)
async def test_an_answer_never_leaves_the_clients_own_topics(desk: Desk, topic: str) -> None:
    """The daemon may publish where a client may not: such a response topic is refused."""
    where, told, _ = await desk.answer(response_topic=topic)
    assert where == "ctid/lab/reply/anna"
    assert (told["status"], told["problem"]["code"]) == (400, "request.invalid")
    assert desk.asked == []


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"[]",
        b"\xff",
        b'{"operation": "x"}',
        b'{"id": 1.5}',
        b'{"id": "' + b"x" * 129 + b'"}',
        b'{"params": {"a": "' + b"x" * LONGEST_BYTES + b'"}}',
        b"[" * 10_000,
    ],
)
async def test_what_is_no_command(desk: Desk, payload: bytes) -> None:
    """It is refused with what is wrong, and nothing is carried out."""
    _, told, _ = await desk.answer(payload)
    assert (told["status"], told["problem"]["code"]) == (400, "request.invalid")
    assert told["problem"]["detail"]
    assert desk.asked == []


async def test_other_operations_are_not_there(desk: Desk) -> None:
    """Those of the table that are not carried here are refused by name."""
    _, told, _ = await desk.answer(topic="ctid/lab/command/anna/agents.pause")
    assert (told["status"], told["problem"]["code"]) == (404, "request.operation_unknown")
    assert "agents.help" in told["problem"]["detail"]
    assert desk.asked == []


async def test_a_flood(desk: Desk) -> None:
    """No more than so many are under way, and no more answers wait than that; each loss is logged."""
    desk.gate.clear()
    with capture_logs() as logs:
        for _ in range(AT_ONCE + 3):
            desk.intake.take(Command(topic=RAISE, payload=b""))
        await until(lambda: len(desk.asked) == AT_ONCE)
        desk.gate.set()
        await until(lambda: desk.intake.replies.qsize() == AT_ONCE)
        for number in range(REPLIES_WAITING):
            desk.intake.take(Command(topic=RAISE, payload=b""))
            await until(lambda so_many=number: len(desk.asked) > AT_ONCE + so_many)  # type: ignore[misc]  # bound at once
            await until(lambda: desk.intake._under_way == 0)
    assert desk.intake.replies.qsize() == REPLIES_WAITING
    assert [line["event"] for line in logs].count("too many commands under way, one is dropped") == 3
    assert [line["event"] for line in logs].count(
        "an answer to a command is lost: the broker takes none"
    ) == AT_ONCE


async def test_a_defect_is_loud(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no client can cause ends the room."""
    owner = TaskOwner()
    running = owner.spawn("intake", desk.intake.run())

    def defect(payload: bytes) -> None:
        raise ZeroDivisionError(payload)

    monkeypatch.setattr(module, "_read", defect)
    desk.intake.take(Command(topic=RAISE, payload=b""))
    with pytest.raises(ZeroDivisionError):
        await running
    await owner.close()
