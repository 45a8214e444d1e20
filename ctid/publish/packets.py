"""The packets of MQTT 5.0 and 3.1.1: what a client reads, and how it writes its own. Pure.

Sections named here are MQTT 5.0's (OASIS, 2019); 3.1.1 has the same packets without properties.
"""

from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache

from msgspec import Struct

from ctid.publish.protocol import Version

LONGEST = 1 << 20
"""Bytes of a packet that is read; a publication that is longer is told as `Oversize`."""
LONGEST_STRING = 0xFFFF
KNOWN = 1024
"""Topics and user properties that are kept as they are written: most come again."""


class Kind(IntEnum):
    """What begins a packet (2.1), without the four flags."""

    CONNECT = 0x10
    CONNACK = 0x20
    PUBLISH = 0x30
    PUBACK = 0x40
    SUBSCRIBE = 0x80
    SUBACK = 0x90
    UNSUBSCRIBE = 0xA0
    UNSUBACK = 0xB0
    PINGRESP = 0xD0
    DISCONNECT = 0xE0


PING = b"\xc0\x00"
"""The packet PINGREQ (3.12)."""
GOODBYE = b"\xe0\x00"
"""The packet DISCONNECT (3.14) of an orderly end, after which the broker forgets the will."""

# Properties (2.2.2.2).
PAYLOAD_FORMAT, MESSAGE_EXPIRY, CONTENT_TYPE, RESPONSE_TOPIC, CORRELATION = 0x01, 0x02, 0x03, 0x08, 0x09
SERVER_KEEP_ALIVE, REASON, RECEIVE_MAXIMUM, MAXIMUM_QOS, RETAIN_AVAILABLE = 0x13, 0x1F, 0x21, 0x24, 0x25
USER_PROPERTY, MAXIMUM_PACKET_SIZE = 0x26, 0x27


class Malformed(Exception):
    """What came is not MQTT, or not what a broker may send to this client; the message says what."""


class About(Struct, frozen=True, kw_only=True, gc=False):
    """What MQTT 5 tells beside a payload (3.3.2.3); 3.1.1 has none of it.

    `expiry_s` none: never. `text`: the payload is UTF-8. `user`: pairs of a name and a value.
    """

    expiry_s: int | None = None
    content_type: str = ""
    text: bool = False
    response_topic: str = ""
    correlation: bytes = b""
    user: tuple[tuple[str, str], ...] = ()


NOTHING = About()


class Publish(Struct, frozen=True, kw_only=True, gc=False):
    """A publication. `packet` is the number of one that came, 0 at QoS 0."""

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    packet: int = 0
    about: About = NOTHING


class Connect(Struct, frozen=True, kw_only=True):
    """What a client says first. It keeps no session (3.1.2.4, 3.1.2.11.2), nor does it want one kept."""

    version: Version
    client: str
    keep_alive_s: int
    username: str = ""
    password: str = ""
    will: Publish | None = None


class Connack(Struct, frozen=True, kw_only=True):
    """The broker's answer; `code` 0: welcome. In 3.1.1 its codes are other ones (3.1.1, 3.2.2.3)."""

    code: int
    reason: str = ""
    receive_maximum: int = 0xFFFF
    maximum_qos: int = 2
    retains: bool = True
    longest: int | None = None
    """The longest packet that the broker takes, in bytes."""
    keep_alive_s: int | None = None


class Ack(Struct, frozen=True, gc=False):
    """The broker has a publication, or (`code` 0x80 and above) refuses it."""

    packet: int
    code: int = 0
    reason: str = ""


class Granted(Struct, frozen=True):
    """The answer to filters: a code for each, refused from 0x80 on.

    `is_end`: to those that are asked for no more; 3.1.1 has no codes there.
    """

    packet: int
    codes: tuple[int, ...]
    is_end: bool = False


class Pong(Struct, frozen=True):
    """The answer to a ping."""


class Disconnect(Struct, frozen=True):
    """The broker ends the connection, and says why."""

    code: int
    reason: str = ""


class Oversize(Struct, frozen=True):
    """A publication of more than `LONGEST` bytes, which is skipped; `packet` as in `Publish`."""

    topic: str
    packet: int


Packet = Connack | Publish | Ack | Granted | Pong | Disconnect | Oversize

# Writing ------------------------------------------------------------------------------------------


def connect(told: Connect) -> bytes:
    """The packet CONNECT (3.1). Raises ValueError for what does not fit into it."""
    is_five = told.version == "5"
    flags = 0x02
    body = bytearray()
    if is_five:
        body += b"\x05" + _number(MAXIMUM_PACKET_SIZE, LONGEST, 4)
    body += _text(told.client)
    if told.will is not None:
        flags |= 0x04 | told.will.qos << 3 | told.will.retain << 5
        if is_five:
            body += _properties(told.will.about)
        body += _text(told.will.topic) + _bytes(told.will.payload)
    if told.username:
        flags |= 0x80
        body += _text(told.username)
    if told.password and (is_five or told.username):  # 3.1.1 knows none without a name
        flags |= 0x40
        body += _text(told.password)
    head = b"\x00\x04MQTT" + bytes((5 if is_five else 4, flags)) + told.keep_alive_s.to_bytes(2, "big")
    return _packet(Kind.CONNECT, head + bytes(body))


def publish(message: Publish, version: Version, packet: int) -> bytes:
    """The packet PUBLISH (3.3), with the number `packet` at QoS 1.

    Raises ValueError for what does not fit into it.
    """
    topic = _topic(message.topic)
    properties = _properties(message.about) if version == "5" else b""
    number = packet.to_bytes(2, "big") if message.qos else b""
    size = _length(len(topic) + len(number) + len(properties) + len(message.payload))
    first = bytes((Kind.PUBLISH | message.qos << 1 | message.retain,))
    return b"".join((first, size, topic, number, properties, message.payload))


def puback(packet: int) -> bytes:
    """The packet PUBACK (3.4) for a publication that was taken."""
    return b"\x40\x02" + packet.to_bytes(2, "big")


def subscribe(
    packet: int,
    filters: Iterable[tuple[str, int]],
    version: Version,
    *,
    no_local: bool = False,
    as_published: bool = False,
) -> bytes:
    """The packet SUBSCRIBE (3.8): filters, each with its highest QoS.

    `no_local`: what this client publishes does not come back; `as_published`: what is published to be
    retained says so also when it comes at once (3.8.3.1). 3.1.1 has no such things.
    """
    is_five = version == "5"
    options = (0x04 * no_local | 0x08 * as_published) * is_five
    body = packet.to_bytes(2, "big") + (b"\x00" if is_five else b"")
    for name, qos in filters:
        body += _text(name) + bytes((qos | options,))
    return _packet(Kind.SUBSCRIBE | 0x02, body)


def unsubscribe(packet: int, filters: Iterable[str], version: Version) -> bytes:
    """The packet UNSUBSCRIBE (3.10)."""
    body = packet.to_bytes(2, "big") + (b"\x00" if version == "5" else b"")
    return _packet(Kind.UNSUBSCRIBE | 0x02, body + b"".join([_text(name) for name in filters]))


def _packet(kind: int, body: bytes) -> bytes:
    return bytes((kind,)) + _length(len(body)) + body


def _length(size: int) -> bytes:
    """A variable byte integer (1.5.5)."""
    if size < 0x80:
        return bytes((size,))
    if size < 0x4000:
        return bytes((size & 0x7F | 0x80, size >> 7))
    if size >= 1 << 28:
        raise ValueError(f"a packet of {size} bytes")
    written = bytearray()
    while size >= 0x80:
        written.append(size & 0x7F | 0x80)
        size >>= 7
    written.append(size)
    return bytes(written)


def _text(text: str) -> bytes:
    return _bytes(text.encode())


@lru_cache(KNOWN)
def _topic(topic: str) -> bytes:
    return _text(topic)


@lru_cache(KNOWN)
def _pair(name: str, value: str) -> bytes:
    return b"\x26" + _text(name) + _text(value)


def _bytes(data: bytes) -> bytes:
    if len(data) > LONGEST_STRING:
        raise ValueError(f"{len(data)} bytes, and MQTT has room for {LONGEST_STRING}")
    return len(data).to_bytes(2, "big") + data


def _number(name: int, value: int, size: int) -> bytes:
    return bytes((name,)) + value.to_bytes(size, "big")


def _properties(about: About) -> bytes:
    if about is NOTHING:
        return b"\x00"
    written = [b"\x01\x01"] if about.text else []
    if about.expiry_s is not None:
        written.append(_number(MESSAGE_EXPIRY, about.expiry_s, 4))
    if about.content_type:
        written.append(b"\x03" + _text(about.content_type))
    if about.response_topic:
        written.append(b"\x08" + _text(about.response_topic))
    if about.correlation:
        written.append(b"\x09" + _bytes(about.correlation))
    written += [_pair(name, value) for name, value in about.user]
    properties = b"".join(written)
    return _length(len(properties)) + properties
