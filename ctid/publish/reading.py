"""Reads the packets that a broker sends, in MQTT 5.0 and 3.1.1. Pure."""

from typing import Any

from ctid.publish.packets import (
    CONTENT_TYPE,
    CORRELATION,
    LONGEST,
    LONGEST_STRING,
    MAXIMUM_PACKET_SIZE,
    MAXIMUM_QOS,
    MESSAGE_EXPIRY,
    PAYLOAD_FORMAT,
    REASON,
    RECEIVE_MAXIMUM,
    RESPONSE_TOPIC,
    RETAIN_AVAILABLE,
    SERVER_KEEP_ALIVE,
    USER_PROPERTY,
    About,
    Ack,
    Connack,
    Disconnect,
    Granted,
    Kind,
    Malformed,
    Oversize,
    Packet,
    Pong,
    Publish,
)
from ctid.publish.protocol import Version

_PUBACK = int(Kind.PUBACK)
_HEAD = 2 + LONGEST_STRING + 2
"""Bytes of a publication's body in which its topic and its number are."""

# How each property is written (MQTT 5.0, 2.2.2.2): as a number of so many bytes, or as below.
_TEXT, _BINARY, _PAIR, _VARIABLE = -1, -2, -3, -4
_FORMS = {
    **dict.fromkeys((PAYLOAD_FORMAT, 0x17, 0x19, MAXIMUM_QOS, RETAIN_AVAILABLE, 0x28, 0x29, 0x2A), 1),
    **dict.fromkeys((SERVER_KEEP_ALIVE, RECEIVE_MAXIMUM, 0x22, 0x23), 2),
    **dict.fromkeys((MESSAGE_EXPIRY, 0x11, 0x18, MAXIMUM_PACKET_SIZE), 4),
    **dict.fromkeys((CONTENT_TYPE, RESPONSE_TOPIC, 0x12, 0x15, 0x1A, 0x1C, REASON), _TEXT),
    **dict.fromkeys((CORRELATION, 0x16), _BINARY),
    USER_PROPERTY: _PAIR,
    0x0B: _VARIABLE,
}


class Reader:
    """Cuts what a broker sends into packets."""

    def __init__(self, version: Version) -> None:
        self._is_five = version == "5"
        self._held = bytearray()
        self._skip = 0
        """Bytes to come of a publication that is too long."""

    def feed(self, data: bytes) -> list[Packet]:
        """Take bytes in; returns the packets that they complete.

        Raises:
            Malformed: it is no MQTT; the reader is of no more use.
        """
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        self._held += data
        held, at = self._held, 0
        packets: list[Packet] = []
        while at + 2 <= len(held):
            size, begin = _size(held, at + 1)
            if begin == 0:
                break
            end = begin + size
            if size > LONGEST:
                if len(held) < begin + _HEAD:
                    break
                packets.append(_oversize(held[at], _Fields(bytes(held[begin : begin + _HEAD]))))
                self._skip = max(0, end - len(held))
                end = min(end, len(held))
            elif end > len(held):
                break
            elif held[at] == _PUBACK and size in (2, 3):
                # The answer to nearly all that ctid sends.
                code = held[begin + 2] if size == 3 else 0
                packets.append(Ack(held[begin] << 8 | held[begin + 1], code))
            else:
                packets.append(_read(held[at], _Fields(bytes(held[begin:end])), is_five=self._is_five))
            at = end
        del held[:at]
        return packets


def _size(held: bytes | bytearray, at: int) -> tuple[int, int]:
    """A variable byte integer (1.5.5), and where it ends; 0: not all of it is there."""
    size = 0
    for index in range(4):
        if at + index >= len(held):
            return 0, 0
        byte = held[at + index]
        size |= (byte & 0x7F) << 7 * index
        if byte < 0x80:
            return size, at + index + 1
    raise Malformed("a number has more than four bytes")


def _oversize(first: int, fields: "_Fields") -> Oversize:
    if first & 0xF0 != Kind.PUBLISH:
        raise Malformed(f"a packet {first:#04x} of more than {LONGEST} bytes")
    return Oversize(fields.text(), fields.number(2) if first & 0x06 else 0)


def _read(first: int, fields: "_Fields", *, is_five: bool) -> Packet:
    match first & 0xF0:
        case Kind.PUBLISH:
            return _publication(first, fields, is_five=is_five)
        case Kind.PUBACK:
            return _ack(fields)
        case Kind.SUBACK | Kind.UNSUBACK:
            return _granted(fields, is_five=is_five, is_end=first & 0xF0 == Kind.UNSUBACK)
        case Kind.CONNACK:
            return _connack(fields, is_five=is_five)
        case Kind.PINGRESP:
            return Pong()
        case Kind.DISCONNECT:
            code = fields.number(1) if fields.left else 0
            return Disconnect(code, _text_of(fields.properties() if fields.left else {}, REASON))
    raise Malformed(f"a broker sends no packet {first:#04x}")


def _publication(first: int, fields: "_Fields", *, is_five: bool) -> Publish:
    topic = fields.text()
    qos = first >> 1 & 0x03
    if qos > 1:
        raise Malformed(f"a publication at QoS {qos}, which this client did not ask for")
    packet = fields.number(2) if qos else 0
    told = fields.properties() if is_five else {}
    if not topic:
        raise Malformed("a publication without a topic")
    about = About(
        expiry_s=told.get(MESSAGE_EXPIRY, [None])[-1],
        content_type=_text_of(told, CONTENT_TYPE),
        text=told.get(PAYLOAD_FORMAT) == [1],
        response_topic=_text_of(told, RESPONSE_TOPIC),
        correlation=told.get(CORRELATION, [b""])[-1],
        user=tuple(told.get(USER_PROPERTY, ())),
    )
    return Publish(
        topic=topic, payload=fields.rest(), qos=qos, retain=bool(first & 1), packet=packet, about=about
    )


def _ack(fields: "_Fields") -> Ack:
    packet = fields.number(2)
    code = fields.number(1) if fields.left else 0
    return Ack(packet, code, _text_of(fields.properties() if fields.left else {}, REASON))


def _granted(fields: "_Fields", *, is_five: bool, is_end: bool) -> Granted:
    packet = fields.number(2)
    if is_five:
        fields.properties()
    return Granted(packet, tuple(fields.rest()), is_end)


def _connack(fields: "_Fields", *, is_five: bool) -> Connack:
    fields.number(1)  # whether it has a session of ours: none was asked for
    code = fields.number(1)
    # A broker that knows no MQTT 5 answers in its own version, where nothing follows (3.1.1, 3.2.2.3).
    told = fields.properties() if is_five and fields.left else {}
    return Connack(
        code=code,
        reason=_text_of(told, REASON),
        receive_maximum=told.get(RECEIVE_MAXIMUM, [0xFFFF])[-1],
        maximum_qos=told.get(MAXIMUM_QOS, [2])[-1],
        retains=told.get(RETAIN_AVAILABLE, [1])[-1] == 1,
        longest=told.get(MAXIMUM_PACKET_SIZE, [None])[-1],
        keep_alive_s=told.get(SERVER_KEEP_ALIVE, [None])[-1],
    )


def _text_of(told: dict[int, list[Any]], name: int) -> str:
    return str(told.get(name, [""])[-1])


class _Fields:
    """Reads the fields of a packet, one after the other; raises Malformed where one is not whole."""

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._at = 0

    @property
    def left(self) -> int:
        return len(self._body) - self._at

    def take(self, size: int) -> bytes:
        begin, self._at = self._at, self._at + size
        if self._at > len(self._body):
            raise Malformed("a packet is shorter than its fields")
        return self._body[begin : self._at]

    def rest(self) -> bytes:
        return self.take(self.left)

    def number(self, size: int) -> int:
        return int.from_bytes(self.take(size), "big")

    def variable(self) -> int:
        number, self._at = _size(self._body, self._at)
        if not self._at:
            raise Malformed("a packet is shorter than its fields")
        return number

    def binary(self) -> bytes:
        return self.take(self.number(2))

    def text(self) -> str:
        try:
            return self.binary().decode()
        except UnicodeDecodeError as error:
            raise Malformed(f"a text is not UTF-8: {error.reason}") from error

    def properties(self) -> dict[int, list[Any]]:
        """What is told beside, by its name; user properties may be there more than once."""
        within = _Fields(self.take(self.variable()))
        told: dict[int, list[Any]] = {}
        while within.left:
            name = within.number(1)
            told.setdefault(name, []).append(within.value(_FORMS.get(name, 0)))
        return told

    def value(self, form: int) -> Any:
        """A property's value, in one of `_FORMS`."""
        if form == 0:
            raise Malformed("a property that MQTT does not have")
        if form == _PAIR:
            return self.text(), self.text()
        if form == _VARIABLE:
            return self.variable()
        if form == _BINARY:
            return self.binary()
        return self.text() if form == _TEXT else self.number(form)
