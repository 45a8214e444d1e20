import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from ctid.events.topics import Topics
from ctid.publish.intake import AT_ONCE, AT_ONCE_OF_ALL, REPLIES_WAITING, Command, Intake
from ctid.tasks import TaskOwner
from helpers.patience import until

TOPICS = Topics("ctid", "lab")
RAISE = "ctid/lab/command/anna/agents.help"


class Desk:
    """An intake, and what it has carried out."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.intake = Intake(TOPICS, self)

    async def carry_out(self, client: str, operation: str, payload: bytes) -> bytes:
        """Keep what is asked, and answer once the gate is open."""
        self.asked.append((client, operation, payload))
        await self.gate.wait()
        return b'"done"'

    def refuse(self, operation: str, payload: bytes, why: str) -> bytes:
        """Answer with what is said to be wrong."""
        return json.dumps(["refused", operation, payload.decode(), why]).encode()

    def refuse_one_more(self, operation: str, payload: bytes, why: str) -> bytes:
        """The same, of one too many."""
        return json.dumps(["too many", operation, payload.decode(), why]).encode()

    async def answer(self, payload: bytes = b"{}", topic: str = RAISE, **more: Any) -> tuple[str, Any, bytes]:
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
    """For the client of the topic, as it came; the answer goes where she asked, with her correlation data."""
    answer = await desk.answer(b"7", response_topic="ctid/lab/reply/anna/a", correlation=b"\x00\xff")
    assert answer == ("ctid/lab/reply/anna/a", "done", b"\x00\xff")
    assert await desk.answer(b"8") == ("ctid/lab/reply/anna", "done", b"")
    assert desk.asked == [("anna", "agents.help", b"7"), ("anna", "agents.help", b"8")]
    assert desk.intake.filter == "ctid/lab/command/+/+"
    assert desk.intake.is_command(RAISE)
    assert not desk.intake.is_command("ctid/lab/status")


async def test_a_retained_command_is_refused(desk: Desk) -> None:
    """It would be carried out at each connection; the answer says how to be rid of it."""
    where, told, _ = await desk.answer(retained=True)
    assert where == "ctid/lab/reply/anna"
    assert told[:3] == ["refused", "agents.help", "{}"]
    assert "an empty retained message" in told[3]
    assert desk.asked == []


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
    where, told, correlation = await desk.answer(response_topic=topic, correlation=b"7")
    assert (where, correlation) == ("ctid/lab/reply/anna", b"7")
    assert told == ["refused", "agents.help", "{}", f"the response topic must be {where}, or below it"]
    assert desk.asked == []


async def test_one_clients_flood(desk: Desk) -> None:
    """No more of one client's are under way than of one socket's; each further one is told, others go on."""
    desk.gate.clear()
    for _ in range(AT_ONCE):
        desk.intake.take(Command(topic=RAISE, payload=b"", response_topic="ctid/lab/reply/anna/a"))
    where, told, _ = await desk.answer(response_topic="ctid/lab/reply/anna/b")
    assert (where, told[0]) == ("ctid/lab/reply/anna/b", "too many")
    desk.intake.take(Command(topic="ctid/lab/command/paul/agents.help", payload=b""))
    await until(lambda: [client for client, _, _ in desk.asked].count("paul") == 1)
    desk.gate.set()
    await until(lambda: desk.intake.replies.qsize() == AT_ONCE + 1)
    assert not desk.intake._under_way


async def test_everybodys_flood(desk: Desk) -> None:
    """Nor more of all clients together; only so many answers wait for the broker, and each loss is logged."""
    desk.gate.clear()
    for number in range(AT_ONCE_OF_ALL):
        desk.intake.take(Command(topic=f"ctid/lab/command/c{number}/agents.help", payload=b""))
    assert (await desk.answer())[1][0] == "too many"
    desk.gate.set()
    await until(lambda: desk.intake.replies.qsize() == AT_ONCE_OF_ALL)
    with capture_logs() as logs:
        for _ in range(REPLIES_WAITING):
            desk.intake.take(Command(topic=RAISE, payload=b"", retained=True))
    assert desk.intake.replies.qsize() == REPLIES_WAITING
    assert [line["event"] for line in logs].count(
        "an answer to a command is lost: the broker takes none"
    ) == AT_ONCE_OF_ALL


async def test_a_defect_is_loud(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """What no client can cause ends the room."""
    owner = TaskOwner()
    running = owner.spawn("intake", desk.intake.run())

    async def defect(*_asked: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(desk, "carry_out", defect)
    desk.intake.take(Command(topic=RAISE, payload=b""))
    with pytest.raises(ZeroDivisionError):
        await running
    await owner.close()
