import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from ctid.publish import connection as module
from ctid.publish.connection import BrokerLost, Connection
from ctid.publish.packets import Connect, Publish
from ctid.publish.wire import TooLong

WELCOME = bytes.fromhex("20 03 00 00 00")
ONE_AT_A_TIME = bytes.fromhex("20 06 00 00 03 21 0001")
MESSAGE = Publish(topic="t", payload=b"x", qos=1)

Play = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Client:
    """A connection, and what it called back."""

    def __init__(self) -> None:
        self.heard: list[Publish] = []
        self.settled: list[tuple[Any, int, str]] = []
        self.moved = asyncio.Event()
        self.connection = Connection(
            Connect(version="5", client="c", keep_alive_s=10),
            heard=self.heard.append,
            settled=lambda *told: self.settled.append(told),
            moved=self.moved.set,
        )


@asynccontextmanager
async def broker(play: Play) -> AsyncIterator[int]:
    """A broker that plays this, on the port that is given."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _packet(reader)
        try:
            await play(reader, writer)
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _packet(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(2)
    assert head[1] < 0x80
    return head + await reader.readexactly(head[1])


def say(*data: bytes, stay: bool = True) -> Play:
    """Say this after CONNECT, one after each packet that follows; then wait for the end, or go."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, each in enumerate(data):
            if number:
                await _packet(reader)
            writer.write(each)
        if stay:
            await reader.read()

    return play


async def test_publications_are_settled() -> None:
    """What is sent is answered by its token and code; what comes is heard, and acknowledged."""
    incoming = bytes.fromhex("32 06 0001 74 0102 00")
    acked: list[bytes] = []

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME)
        await _packet(reader)
        await _packet(reader)
        writer.write(bytes.fromhex("40 02 0001 40 03 0002 87") + incoming)
        acked.append(await _packet(reader))
        acked.append(await _packet(reader))

    async with broker(play) as port:
        client = Client()
        await client.connection.open("127.0.0.1", port, None)
        client.connection.publish(MESSAGE, "a")
        client.connection.publish(MESSAGE, "b")
        client.connection.flush()
        client.connection.flush()
        assert client.connection.unsettled() == ["a", "b"]
        client.moved.clear()
        await client.moved.wait()
        assert client.settled == [("a", 0, ""), ("b", 0x87, "")]
        assert client.heard == [Publish(topic="t", payload=b"", qos=1, packet=258)]
        await client.connection.close()
        await client.connection.close()
        assert client.connection.lost.result() == "connection lost"
        assert acked == [bytes.fromhex("40 02 0102"), bytes.fromhex("e0 00")]
        client.connection.data_received(incoming)  # what was on its way is nobody's any more
        assert len(client.heard) == 1


@pytest.mark.parametrize(
    ("play", "words", "flags"),
    [
        (say(stay=False), "connection lost", "unanswered"),
        (say(b"HTTP/1.1 400 Bad Request\r\n" * 9), "no MQTT", "unanswered"),
        (say(bytes.fromhex("20 03 00 87 00"), stay=False), "Not authorized", ""),
        (say(bytes.fromhex("20 02 00 01"), stay=False), "protocol version", "version_refused"),
        (say(bytes.fromhex("20 05 00 00 02 25 00")), "retains nothing", ""),
        (say(bytes.fromhex("20 05 00 00 02 24 00")), "no QoS 1", ""),
        (say(bytes.fromhex("e0 01 89")), "Server busy", "unanswered"),
        (say(), "no answer to CONNECT within 0.1 s", ""),
    ],
)
async def test_brokers_that_do_not_welcome(
    play: Play,
    words: str,
    flags: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told why, and whether another version is worth a try."""
    monkeypatch.setattr(module, "CONNECT_S", 0.1 if "within" in words else 5.0)
    async with broker(play) as port:
        client = Client()
        with pytest.raises(BrokerLost, match=words) as caught:
            await client.connection.open("127.0.0.1", port, None)
        client.connection.abort()
        assert caught.value.unanswered == (flags == "unanswered")
        assert caught.value.version_refused == (flags == "version_refused")


async def test_no_broker() -> None:
    """Nobody listens there; there is no such text as the password."""
    with pytest.raises(BrokerLost, match=r"[Rr]efused|Connect") as caught:
        await Client().connection.open("127.0.0.1", 1, None)
    assert not caught.value.reached
    hello = Connect(version="5", client="c" * 70_000, keep_alive_s=1)
    connection = Connection(hello, heard=print, settled=print, moved=print)
    with pytest.raises(BrokerLost, match="MQTT cannot carry"):
        await connection.open("127.0.0.1", 1, None)
    await connection.close()


async def test_a_broker_that_goes_mute(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that owes an acknowledgement for too long is hung up on."""
    monkeypatch.setattr(module, "ANSWER_S", 0.1)
    async with broker(say(WELCOME)) as port:
        client = Client()
        await client.connection.open("127.0.0.1", port, None)
        client.connection.publish(MESSAGE, "a")
        client.connection.flush()
        assert "acknowledges nothing" in await client.connection.lost
        assert client.connection.unsettled() == ["a"]


async def test_a_mute_broker_is_left_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """An orderly end does not wait for ever for one that reads nothing."""
    monkeypatch.setattr(module, "CLOSE_S", 0.05)

    async def play(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(WELCOME)
        await asyncio.sleep(3600)

    async with broker(play) as port:
        client = Client()
        await client.connection.open("127.0.0.1", port, None)
        client.connection.pause_writing()
        assert client.connection.room == 0
        client.connection.resume_writing()
        assert client.connection.room == module.WINDOW
        assert client.connection._transport is not None
        monkeypatch.setattr(client.connection._transport, "close", lambda: None)
        await client.connection.close()
        assert client.connection.lost.result() == "closed"
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


async def test_delivering_waits_for_room() -> None:
    """What is to be delivered goes before others as soon as there is room, and is answered by its code."""
    answers = (ONE_AT_A_TIME, bytes.fromhex("40 02 0001"), bytes.fromhex("40 03 0002 10"))
    async with broker(say(*answers)) as port:
        client = Client()
        await client.connection.open("127.0.0.1", port, None)
        client.connection.publish(MESSAGE, "a")
        assert client.connection.room == 0
        delivering = asyncio.gather(client.connection.deliver(MESSAGE))
        await asyncio.sleep(0)
        client.connection.flush()
        assert tuple(await delivering) == (0x10,)
        assert client.settled == [("a", 0, "")]
        client.connection.abort()
        with pytest.raises(BrokerLost, match="hung up"):
            await client.connection.deliver(MESSAGE)


async def test_filters() -> None:
    """Subscribing gives the broker's codes; the end of it is waited for."""
    answers = (WELCOME, bytes.fromhex("90 05 0001 00 00 87"), bytes.fromhex("b0 04 0002 00 00"))
    async with broker(say(*answers, stay=False)) as port:
        client = Client()
        await client.connection.open("127.0.0.1", port, None)
        assert await client.connection.subscribe([("a", 0), ("b", 1)]) == (0, 0x87)
        await client.connection.unsubscribe(["a"])
        assert await client.connection.lost == "connection lost"
        with pytest.raises(BrokerLost, match="connection lost"):
            await client.connection.subscribe([("a", 0)])


async def test_an_answer_to_whom_nobody_waits_any_more() -> None:
    """Who gave up waiting does no harm to the others."""
    async with broker(say(WELCOME, b"", bytes.fromhex("40 02 0001 40 02 0002"))) as port:
        client = Client()
        await client.connection.open("127.0.0.1", port, None)
        given_up = asyncio.gather(client.connection.deliver(MESSAGE))
        await asyncio.sleep(0)
        given_up.cancel()
        client.connection.publish(MESSAGE, "b")
        client.connection.flush()
        client.moved.clear()
        await client.moved.wait()
        assert client.settled == [("b", 0, "")]
        await client.connection.close()


async def test_a_broker_that_ends_it() -> None:
    """Its reason is told."""
    async with broker(say(WELCOME, bytes.fromhex("e0 01 8e"))) as port:
        client = Client()
        await client.connection.open("127.0.0.1", port, None)
        client.connection.publish(MESSAGE, "a")
        client.connection.flush()
        assert "Session taken over" in await client.connection.lost


async def test_a_publication_that_the_broker_would_not_take() -> None:
    """It is refused before it is sent, and the connection stays."""
    async with broker(say(bytes.fromhex("20 08 00 00 05 27 00000020"))) as port:
        client = Client()
        await client.connection.open("127.0.0.1", port, None)
        with pytest.raises(TooLong):
            client.connection.publish(Publish(topic="t", payload=bytes(100), qos=1), "a")
        with pytest.raises(TooLong):
            await client.connection.deliver(Publish(topic="t", payload=bytes(100), qos=1))
        assert client.connection.unsettled() == []
        client.connection.abort()


async def test_a_mistake_of_our_own_is_not_swallowed() -> None:
    """What a callback raises ends the connection, and comes out of `lost`."""

    def fails(message: Publish) -> None:
        raise KeyError(message.topic)

    async with broker(say(WELCOME + bytes.fromhex("30 04 0001 74 00"))) as port:
        connection = Connection(
            Connect(version="5", client="c", keep_alive_s=10), heard=fails, settled=print, moved=lambda: None
        )
        asyncio.get_running_loop().set_exception_handler(lambda *_: None)
        try:
            await connection.open("127.0.0.1", port, None)
        except KeyError:
            return
        with pytest.raises(KeyError):
            await connection.lost
