from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ctid.publish.packets import (
    LONGEST,
    NOTHING,
    About,
    Ack,
    Connack,
    Disconnect,
    Granted,
    Malformed,
    Oversize,
    Packet,
    Pong,
    Publish,
    publish,
)
from ctid.publish.protocol import Version
from ctid.publish.reading import Reader

ALL = bytes.fromhex(
    "20 17 01 00 14 21 0014 24 01 25 00 27 00001000 13 001e 1f 0002 6869"  # CONNACK, with all that ctid reads
    "32 19 0001 74 0007 12 0101 02 00000009 03 0001 6a 26 0001 61 0001 62 78"
    "40 02 0001 40 03 0002 10 40 07 0003 87 03 1f 0000"
    "90 05 0004 00 01 87 b0 04 0005 00 11 d0 00 e0 05 8b 03 1f 0000 e0 00"
)
READ: list[Packet] = [
    Connack(
        code=0,
        reason="hi",
        receive_maximum=20,
        maximum_qos=1,
        retains=False,
        longest=4096,
        keep_alive_s=30,
    ),
    Publish(
        topic="t",
        payload=b"x",
        qos=1,
        packet=7,
        about=About(expiry_s=9, content_type="j", text=True, user=(("a", "b"),)),
    ),
    Ack(1),
    Ack(2, 0x10),
    Ack(3, 0x87),
    Granted(4, (1, 0x87)),
    Granted(5, (0x11,), is_end=True),
    Pong(),
    Disconnect(0x8B),
    Disconnect(0),
]


def _read(data: bytes, version: Version = "5") -> list[Packet]:
    return Reader(version).feed(data)


def test_every_packet() -> None:
    """Each packet of MQTT 5, with the fields that ctid reads."""
    assert _read(ALL) == READ


@given(cuts=st.lists(st.integers(0, len(ALL)), max_size=8))
def test_bytes_may_come_in_any_pieces(cuts: list[int]) -> None:
    """However the stream is cut, the packets are the same."""
    reader, edges = Reader("5"), sorted({0, len(ALL), *cuts})
    pieces = [ALL[begin:end] for begin, end in pairwise(edges)]
    assert [packet for piece in pieces for packet in reader.feed(piece)] == READ


def test_older_version() -> None:
    """3.1.1 has no properties; a broker of it answers MQTT 5 in its own form."""
    assert _read(bytes.fromhex("20 02 00 05"), "3.1.1") == [Connack(code=5)]
    assert _read(bytes.fromhex("20 02 00 01"), "5") == [Connack(code=1)]
    assert _read(bytes.fromhex("31 04 0001 74 78"), "3.1.1") == [
        Publish(topic="t", payload=b"x", retain=True)
    ]
    assert _read(bytes.fromhex("90 03 0004 80 b0 02 0005"), "3.1.1") == [
        Granted(4, (0x80,)),
        Granted(5, (), is_end=True),
    ]


def test_properties_that_are_not_asked_for() -> None:
    """They are read over, in each of their forms; a command's are kept."""
    told = "0b 8001 08 0001 72 09 0002 0007"
    (read,) = _read(bytes.fromhex(f"30 10 0001 74 0c {told}"))
    assert read == Publish(topic="t", payload=b"", about=About(response_topic="r", correlation=b"\x00\x07"))
    (plain,) = _read(bytes.fromhex("30 04 0001 74 00"))
    assert plain == Publish(topic="t", payload=b"", about=NOTHING)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("30 ff ff ff ff 01", "more than four bytes"),
        ("00 00", "no packet 0x0"),
        ("10 00", "no packet 0x10"),
        ("40 01 00", "shorter"),
        ("30 03 0005 74", "shorter"),
        ("30 03 0001 ff", "not UTF-8"),
        ("30 03 0000 00", "without a topic"),
        ("34 06 0001 74 0001 00", "QoS 2"),
        ("30 05 0001 74 01 2b", "does not have"),
        ("30 05 0001 74 01 99", "does not have"),
        ("30 03 0001 74", "shorter"),  # no properties at all
        ("30 05 0001 74 05 01", "shorter"),
        ("40 ff ff ff 7f", "of more than"),
    ],
)
def test_what_is_no_mqtt(data: str, words: str) -> None:
    """It is refused in words."""
    whole = bytes.fromhex(data) + bytes(70_000 if words == "of more than" else 0)
    with pytest.raises(Malformed, match=words):
        _read(whole)


@pytest.mark.parametrize("qos", [0, 1])
@pytest.mark.parametrize("piece", [1000, 65_540, 3_000_000])
def test_a_publication_that_is_too_long_is_skipped(qos: int, piece: int) -> None:
    """It is told with its number, and what follows is read; nothing of its length is held."""
    long = publish(Publish(topic="t", payload=b"x" * (2 * LONGEST), qos=qos), "5", 9)
    data, reader = long + ALL, Reader("5")
    packets = [packet for at in range(0, len(data), piece) for packet in reader.feed(data[at : at + piece])]
    assert packets == [Oversize("t", 9 if qos else 0), *READ]


@given(data=st.binary(max_size=200), version=st.sampled_from(["5", "3.1.1"]))
def test_noise(data: bytes, version: Version) -> None:
    """Arbitrary bytes give packets, or are malformed, and nothing else."""
    try:
        packets = _read(data, version)
    except Malformed:
        return
    assert all(isinstance(packet, Packet) for packet in packets)


@given(at=st.integers(0, len(ALL) - 1), byte=st.integers(0, 255))
def test_a_byte_that_is_wrong(at: int, byte: int) -> None:
    """One changed byte in good packets does the same."""
    try:
        packets = _read(ALL[:at] + bytes((byte,)) + ALL[at + 1 :])
    except Malformed:
        return
    assert len(packets) <= len(READ) + len(ALL)
