import pytest

from ctid.publish.packets import (
    NOTHING,
    About,
    Connect,
    Publish,
    connect,
    puback,
    publish,
    subscribe,
    unsubscribe,
)


def test_connect_with_everything() -> None:
    """Flags, limits, will with its properties, name and password stand where MQTT 5.0, 3.1 has them."""
    will = Publish(topic="w", payload=b"off", qos=1, retain=True, about=About(text=True))
    told = Connect(
        version="5",
        client="c",
        keep_alive_s=15,
        username="u",
        password="p",
        will=will,
    )
    assert connect(told) == bytes.fromhex(
        "10 24 0004 4d515454 05 ee 000f"  # clean start, will at QoS 1 and retained, name, password
        "05 27 00100000"  # maximum packet size
        "0001 63"
        "02 01 01 0001 77 0003 6f6666"
        "0001 75 0001 70"
    )


def test_connect_with_little() -> None:
    """3.1.1 has no properties, and no password without a name (3.1.2.9)."""
    plain = bytes.fromhex("10 0d 0004 4d515454 04 02 000f 0001 63")
    assert connect(Connect(version="3.1.1", client="c", keep_alive_s=15)) == plain
    assert connect(Connect(version="3.1.1", client="c", keep_alive_s=15, password="p")) == plain
    will = Publish(topic="w", payload=b"", about=About(text=True))
    with_will = connect(Connect(version="3.1.1", client="c", keep_alive_s=0, will=will))
    assert with_will == bytes.fromhex("10 12 0004 4d515454 04 06 0000 0001 63 0001 77 0000")


def test_publish() -> None:
    """With all that MQTT 5 can tell beside, without any of it, and in 3.1.1, which has none."""
    about = About(
        expiry_s=3600,
        content_type="j",
        text=True,
        response_topic="r",
        correlation=b"\x00\x07",
        user=(("a", "b"), ("a", "c")),
    )
    message = Publish(topic="t", payload=b"x", qos=1, retain=True, about=about)
    properties = "0101 02 00000e10 03 0001 6a 08 0001 72 09 0002 0007 26 0001 61 0001 62 26 0001 61 0001 63"
    assert publish(message, "5", 258) == bytes.fromhex(f"33 29 0001 74 0102 22 {properties} 78")
    assert publish(message, "3.1.1", 258) == bytes.fromhex("33 06 0001 74 0102 78")
    assert publish(Publish(topic="t", payload=b""), "5", 0) == bytes.fromhex("30 04 0001 74 00")
    assert Publish(topic="t", payload=b"").about is NOTHING


@pytest.mark.parametrize(
    ("size", "written"),
    [
        (127 - 3, "7f"),
        (128 - 3, "8001"),
        (16383 - 3, "ff7f"),
        (16384 - 3, "808001"),
        (2_097_152 - 3, "80808001"),
    ],
)
def test_lengths(size: int, written: str) -> None:
    """A packet's size is written seven bits a byte, the lowest first (1.5.5)."""
    begin = bytes.fromhex(f"30 {written} 0001 74")
    assert publish(Publish(topic="t", payload=b"x" * size), "3.1.1", 0).startswith(begin)


def test_what_does_not_fit() -> None:
    """A text of more than 65535 bytes, a packet of 256 MB and more."""
    with pytest.raises(ValueError, match="65536 bytes"):
        publish(Publish(topic="t" * 65536, payload=b""), "5", 0)

    class _Huge(bytes):
        def __len__(self) -> int:
            return 1 << 28

    with pytest.raises(ValueError, match="a packet of"):
        publish(Publish(topic="t", payload=_Huge()), "5", 0)


def test_the_small_ones() -> None:
    """PUBACK, SUBSCRIBE and UNSUBSCRIBE of both versions; no local is MQTT 5's alone."""
    assert puback(258) == bytes.fromhex("40 02 0102")
    filters = [("a", 0), ("b", 1)]
    assert subscribe(1, filters, "5", no_local=True) == bytes.fromhex("82 0b 0001 00 000161 04 000162 05")
    assert subscribe(1, filters, "5", no_local=False) == bytes.fromhex("82 0b 0001 00 000161 00 000162 01")
    assert subscribe(1, filters, "5", as_published=True) == bytes.fromhex("82 0b 0001 00 000161 08 000162 09")
    assert subscribe(1, filters, "3.1.1", no_local=True, as_published=True) == bytes.fromhex(
        "82 0a 0001 000161 00 000162 01"
    )
    assert unsubscribe(2, ["a", "b"], "5") == bytes.fromhex("a2 09 0002 00 000161 000162")
    assert unsubscribe(2, ["a"], "3.1.1") == bytes.fromhex("a2 05 0002 000161")
