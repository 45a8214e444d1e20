from typing import Any

import pytest

from ctid.publish.packets import (
    GOODBYE,
    PING,
    Connack,
    Connect,
    Disconnect,
    Malformed,
    Oversize,
    Publish,
    publish,
)
from ctid.publish.protocol import Version
from ctid.publish.wire import Overdue, Settled, TooLong, Wire

WELCOME = bytes.fromhex("20 03 00 00 00")
MESSAGE = Publish(topic="t", payload=b"x", qos=1)


def _wire(welcome: bytes = WELCOME, version: Version = "5", **more: Any) -> Wire:
    wire = Wire(
        Connect(version=version, client="c", keep_alive_s=10),
        **{"window": 4, "answer_s": 5.0, **more},
    )
    assert wire.connect(0.0).startswith(b"\x10")
    assert wire.room == 0
    wire.receive(welcome)
    return wire


def test_publications_are_numbered_and_settled() -> None:
    """Each has a number of its own until the broker answers, in whatever order, with its code."""
    wire = _wire()
    first, second = wire.publish(MESSAGE, "a", 0.0), wire.publish(MESSAGE, "b", 0.0)
    assert (first, second) == (publish(MESSAGE, "5", 1), publish(MESSAGE, "5", 2))
    assert (wire.room, wire.unsettled()) == (2, ["a", "b"])
    heard = wire.receive(bytes.fromhex("40 03 0002 10 40 06 0001 87 02 1f 00 00")[:5])
    assert heard == [Settled("b", (0x10,))]
    assert wire.receive(bytes.fromhex("40 08 0001 87 04 1f 0001 6e")) == [Settled("a", (0x87,), "n")]
    assert (wire.room, wire.unsettled()) == (4, [])


def test_numbers_come_round() -> None:
    """After 65535 they begin again, without one that is still owed."""
    wire = _wire(window=70_000)
    wire.publish(MESSAGE, "old", 0.0)
    for number in range(2, 0x10000):
        wire.publish(MESSAGE, number, 0.0)
        wire.receive(b"\x40\x02" + number.to_bytes(2, "big"))
    assert wire.publish(MESSAGE, "new", 0.0) == publish(MESSAGE, "5", 2)


@pytest.mark.parametrize(("answer", "room"), [("20 03 00 00 00", 4), ("20 06 00 00 03 21 0002", 2)])
def test_window(answer: str, room: int) -> None:
    """As many as are wanted, or as the broker takes."""
    assert _wire(bytes.fromhex(answer)).room == room


def test_a_refusal_leaves_no_room() -> None:
    """The answer is handed on."""
    wire = Wire(Connect(version="5", client="c", keep_alive_s=10), window=4, answer_s=5.0)
    assert wire.receive(bytes.fromhex("20 03 00 87 00")) == [Connack(code=0x87)]
    assert wire.room == 0


def test_too_long_for_the_broker() -> None:
    """What the broker would hang up on is not written, and nothing is owed for it."""
    wire = _wire(bytes.fromhex("20 08 00 00 05 27 00000010"))
    wire.publish(MESSAGE, "a", 0.0)
    with pytest.raises(TooLong, match="takes 16"):
        wire.publish(Publish(topic="t", payload=b"x" * 20, qos=1), "b", 0.0)
    assert (wire.room, wire.unsettled()) == (3, ["a"])


def test_subscriptions() -> None:
    """They are answered by a code for each filter, their end by any."""
    wire = _wire()
    assert wire.subscribe(iter([("a", 0), ("b", 1)]), "s", 0.0).startswith(bytes.fromhex("82 0b 0001"))
    assert wire.unsubscribe(["a"], "u", 0.0).startswith(bytes.fromhex("a2 06 0002"))
    assert wire.receive(bytes.fromhex("b0 03 0002 00 90 05 0001 00 00 87")) == [
        Settled("u", ()),
        Settled("s", (0, 0x87)),
    ]
    assert wire.room == 4


def test_what_comes() -> None:
    """Publications are acknowledged where they want it, also those that are too long; a goodbye is told."""
    wire = _wire()
    data = bytes.fromhex("30 04 0001 74 00 32 06 0001 74 0102 00 e0 00")
    assert wire.receive(data) == [
        Publish(topic="t", payload=b""),
        Publish(topic="t", payload=b"", qos=1, packet=258),
        Disconnect(0),
    ]
    assert (wire.answers(), wire.answers()) == (bytes.fromhex("40 02 0102"), b"")
    long = publish(Publish(topic="t", payload=bytes(1 << 21), qos=1), "5", 3)
    assert wire.receive(long) == [Oversize("t", 3)]
    assert wire.answers() == bytes.fromhex("40 02 0003")


@pytest.mark.parametrize(
    "data",
    [
        "40 02 0009",  # of no publication
        "90 04 0001 00 00",  # of a publication, as if it were a subscription
        "90 05 0002 00 00 00",  # two codes for one filter
        "b0 03 0002 00",  # an end of a subscription that goes on
        "20 03 00 00 00",  # a second welcome
    ],
)
def test_answers_to_nothing(data: str) -> None:
    """What answers something else than what was asked is no MQTT."""
    wire = _wire()
    wire.publish(MESSAGE, "a", 0.0)
    wire.subscribe([("a", 0)], "s", 0.0)
    with pytest.raises(Malformed):
        wire.receive(bytes.fromhex(data))


@pytest.mark.parametrize("data", ["d0 00", "30 04 0001 74 00", "20 06 00 00 03 21 0000"])
def test_a_welcome_that_is_none(data: str) -> None:
    """The broker begins with CONNACK, and lets something be sent."""
    wire = Wire(Connect(version="5", client="c", keep_alive_s=10), window=4, answer_s=5.0)
    with pytest.raises(Malformed):
        wire.receive(bytes.fromhex(data))


def test_pings() -> None:
    """One when nothing was said for half of the keep-alive; none while one is owed; overdue it is an end."""
    wire = _wire()
    assert (wire.on_time(4.9), wire.on_time(5.0), wire.on_time(9.9)) == (b"", PING, b"")
    assert wire.receive(b"\xd0\x00") == []
    assert (wire.on_time(9.9), wire.on_time(10.0)) == (b"", PING)
    with pytest.raises(Overdue, match="ping"):
        wire.on_time(15.1)


def test_pings_as_the_broker_wants() -> None:
    """Its own keep-alive counts (3.2.2.3.14); 0: none."""
    assert _wire(bytes.fromhex("20 06 00 00 03 13 0004")).on_time(2.0) == PING
    assert _wire(bytes.fromhex("20 06 00 00 03 13 0000")).on_time(1e6) == b""


def test_overdue_acknowledgements() -> None:
    """The oldest that is owed counts."""
    wire = _wire(version="3.1.1")
    wire.publish(MESSAGE, "a", 1.0)
    wire.publish(MESSAGE, "b", 3.0)
    assert wire.on_time(6.0) == b""
    wire.receive(bytes.fromhex("40 02 0001"))
    assert wire.on_time(7.9) == b""
    with pytest.raises(Overdue, match="acknowledges nothing for 5 s"):
        wire.on_time(8.1)


def test_the_last_word() -> None:
    """An orderly end is two bytes in either version."""
    assert bytes.fromhex("e0 00") == GOODBYE
