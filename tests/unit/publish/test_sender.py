import asyncio
from typing import Any, cast

from ctid.publish.backlog import Queued
from ctid.publish.connection import Connection
from ctid.publish.outgoing import Message, Outgoing
from ctid.publish.packets import Publish
from ctid.publish.sender import AT_ONCE, Sender
from ctid.publish.wire import TooLong
from ctid.tasks import TaskOwner
from helpers.patience import until


class Line:
    """What is outgoing, and a connection that takes it; `room` publications at a time."""

    def __init__(self, count: int, room: int, version: str = "5") -> None:
        self.wake = asyncio.Event()
        self.room = room
        self.version = version
        self.queue = [_event(number) for number in range(count)]
        self.sent_over: list[tuple[Publish, Message]] = []
        self.flushed = 0
        self.fates: list[tuple[str, bool]] = []
        self.refusing = ""
        self.sender = Sender(cast(Outgoing, self))

    def next(self) -> Message | None:
        """Give out the next one."""
        return self.queue.pop(0) if self.queue else None

    def sent(self, message: Message, *, arrived: bool) -> None:
        """Be told what became of one."""
        self.fates.append((message.topic, arrived))

    def publish(self, publication: Publish, message: Message) -> None:
        """Take one, or refuse it."""
        if publication.topic == self.refusing:
            raise TooLong("too long")
        self.room -= 1
        self.sent_over.append((publication, message))

    def flush(self) -> None:
        """Write what was taken."""
        self.flushed += 1

    def unsettled(self) -> list[Any]:
        """What was not answered."""
        return [message for _, message in self.sent_over]


def _event(number: int) -> Message:
    payload = b'{"bootid": "b", "seq": %d, "data": {"schema": "s"}}' % number
    return Message(f"t{number}", payload, retained=False, of=Queued(number, f"t{number}", payload))


async def _over(line: Line, count: int) -> None:
    owner = TaskOwner()
    owner.spawn("sender", line.sender.run(cast(Connection, line)))
    await until(lambda: len(line.sent_over) == count)
    await owner.close()


async def test_as_much_as_there_is_room_for() -> None:
    """In their order, many in one write, and more as soon as there is room again."""
    line = Line(10, 4)
    owner = TaskOwner()
    owner.spawn("sender", line.sender.run(cast(Connection, line)))
    await until(lambda: len(line.sent_over) == 4)
    assert line.flushed == 1
    line.room = 100
    line.wake.set()
    await until(lambda: len(line.sent_over) == 10)
    await owner.close()
    assert [publication.topic for publication, _ in line.sent_over] == [f"t{number}" for number in range(10)]
    assert dict(line.sent_over[3][0].about.user)["seq"] == "3"


async def test_others_get_the_loop() -> None:
    """However much there is, it is not written in one turn."""
    line = Line(3 * AT_ONCE, 10_000)
    await _over(line, 3 * AT_ONCE)
    assert line.flushed >= 3


async def test_what_became_of_it() -> None:
    """Acknowledged, refused by the broker, or not answered before the connection was lost."""
    line = Line(3, 10, version="3.1.1")
    await _over(line, 3)
    assert line.sent_over[0][0].about.user == ()
    first, second, _ = [message for _, message in line.sent_over]
    line.sender.settled(first, 0x10, "")
    line.sender.settled(second, 0x87, "no")
    del line.sent_over[:2]
    line.sender.over(cast(Connection, line))
    assert line.fates == [("t0", True), ("t1", True), ("t2", False)]
    assert (line.sender.published, line.sender.refused) == (1, 1)


async def test_what_the_broker_would_not_take() -> None:
    """It is counted, and those behind it go on."""
    line = Line(3, 10)
    line.refusing = "t1"
    await _over(line, 2)
    assert line.fates == [("t1", True)]
    assert line.sender.refused == 1
