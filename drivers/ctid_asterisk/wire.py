"""The bytes of the Asterisk Manager Interface: framing in, client messages out. No clock, no socket.

A peer speaks one banner line, then blocks of `Key: Value` lines that an empty line ends. Lines end in CR LF,
but some modules write a bare LF in the middle of a block, and some end a block by two or three empty lines;
nothing is escaped or continued. The first key says what a block is: an event may hold a `Response:` field.
Source: Asterisk 16 to 23, main/manager.c and apps/app_agent_pool.c.

Errors:
    AmiError
    ├── WireError           the peer's bytes cannot be AMI, or one message is too large
    ├── EncodeError         (also ValueError) what we were asked to send is no client message
    │   ├── InjectionError  CR, LF or NUL in a key or a value
    │   └── ArgumentError   a name, channel or number outside its character set (raised by `actions`)
    └── NotReadyError       an action given to a session that is not ready (raised by `session`)
"""

import enum
import re
from collections.abc import Iterable
from typing import NoReturn

import msgspec

DEFAULT_MAX_MESSAGE_BYTES = 4 * 1024 * 1024
MAX_BANNER_BYTES = 256
MAX_LEGIBLE = 2048
MAX_REMEMBERED = 200
# Asterisk reads into 1024 bytes and must find the LF in them: 1022 of text and CR LF (manager.c get_input).
MAX_LINE_BYTES = 1022
MAX_HEADERS = 128  # AST_MAX_MANHEADERS

_BANNER = re.compile(rb"Asterisk Call Manager[^/\r\n]*/([^\s/]+)[ \t\r]*\n")
_EMPTY_LINE = re.compile(rb"\n\r?\n")
_EVENT = b"Event: "
_CLIENT_KEY = re.compile(r"[!-9;-~]+")
_LINE_BREAKERS = re.compile(r"[\r\n\0]")
# What a tail may hold beyond the message itself before the empty line is whole: CR LF CR.
_SEPARATOR_SLACK = 3


class AmiError(Exception):
    """Root of what this driver's AMI core raises; the tree is in the module's docstring."""


class WireError(AmiError):
    """The peer's bytes cannot be AMI or pass a bound; the reader that raised it is dead."""


class EncodeError(AmiError, ValueError):
    """What we were asked to send is not a message that Asterisk would read whole; nothing was produced."""


class InjectionError(EncodeError):
    """A key or value holds CR, LF or NUL and would have become more than one line."""


class ArgumentError(EncodeError):
    """An argument of an action is outside its character set; the message names it."""


class NotReadyError(AmiError):
    """An action was given to a session before `Ready` or after `Dead`."""


class Kind(enum.Enum):
    """What a block is, by its first key."""

    EVENT = "event"
    RESPONSE = "response"


_KINDS = {b"event": Kind.EVENT, b"response": Kind.RESPONSE}


class Banner(msgspec.Struct, frozen=True, gc=False):
    """The peer's first line; `version` is the AMI version, not Asterisk's."""

    text: str
    version: str


class _Folded(dict[str, str]):
    """Key as spelled -> lower case. Bounded: a key may hold a channel's name (`ChanVariable(PJSIP/…)`)."""

    def __missing__(self, key: str) -> str:
        folded = key.lower()
        if len(key) <= MAX_REMEMBERED:
            if len(self) >= 4096:
                self.clear()
            self[key] = folded
        return folded


_folded = _Folded()


class Message(msgspec.Struct, eq=False, gc=False):
    """One block: an event or a response. Its bytes are decoded and split when a field is first asked for.

    Values are UTF-8 with surrogateescape, so that no byte is lost; `clean` makes one fit for display. Two
    messages are equal when kind, name and pairs are. A line without a colon is not a field and is left out.
    """

    kind: Kind
    name: str
    """The event's name (`Newchannel`) or the response's status (`Success`)."""
    raw: bytes
    """The block as it came, without the empty line."""
    tagged: bool
    """It bears an ActionID: a response, a list's item, or an event caused by somebody's action."""
    _fields: dict[str, str] | None = None

    @classmethod
    def build(cls, *pairs: tuple[str, str]) -> "Message":
        """Make a message from its lines, the first of which is `Event` or `Response`: for tests and tools."""
        kind = Kind(pairs[0][0].lower())
        raw = "\r\n".join(f"{key}: {value}" for key, value in pairs).encode("utf-8", "surrogateescape")
        return cls(kind, pairs[0][1], raw, any(key == "ActionID" for key, _ in pairs))

    @property
    def fields(self) -> dict[str, str]:
        """Lower-case key -> first value. The message's own dictionary: read it, do not change it."""
        if self._fields is None:
            try:
                self._fields = self._common_form()
            except ValueError:
                pairs = self.pairs
                pairs.reverse()
                self._fields = {key.lower(): value for key, value in pairs}
        return self._fields

    @property
    def legible(self) -> dict[str, str]:
        """`fields` as they may be told to others, and be kept; do not change it.

        Each byte that was not UTF-8 is U+FFFD, and of a value longer than any that Asterisk's channels,
        queues and members have there is the beginning.
        """
        if len(self.raw) <= MAX_LEGIBLE and self.raw.isascii():
            return self.fields
        return {clean(key): clean(value[:MAX_LEGIBLE]) for key, value in self.fields.items()}

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """Every line as (key as spelled, value), in wire order, repeated keys kept."""
        found = []
        text = self.raw.replace(b"\r\n", b"\n").decode("utf-8", "surrogateescape")
        for line in text.removesuffix("\r").split("\n"):
            key, separator, value = line.partition(": ")
            if not separator:
                key, separator, value = line.partition(":")
            if separator:
                found.append((key, value))
        return found

    @property
    def action_id(self) -> str:
        """The ActionID, or "" when the message is not tagged."""
        return self.fields.get("actionid", "") if self.tagged else ""

    def get(self, key: str, default: str = "") -> str:
        """Return the first value of `key`, in any case of letters; `default` when there is none."""
        return self.fields.get(key.lower(), default)

    def all(self, key: str) -> list[str]:
        """Every value of a repeated `key` (`ChanVariable`, `Output`), in wire order."""
        wanted = key.lower()
        return [value for name, value in self.pairs if name.lower() == wanted]

    def _common_form(self) -> dict[str, str]:
        """Split a block whose every line is `Key: Value` CR LF; ValueError if some line is not."""
        text = self.raw.decode("utf-8", "surrogateescape")
        lines = text.split("\r\n")
        if text.count("\n") >= len(lines):
            raise ValueError("a bare LF")
        lines[-1] = lines[-1].removesuffix("\r")
        lines.reverse()  # the first of a repeated key is written last, and wins
        fields = {}
        for line in lines:
            key, colon, value = line.partition(": ")
            if not colon:
                raise ValueError("a line that is no field")
            fields[_folded[key]] = value
        return fields

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Message):
            return NotImplemented
        return (self.kind, self.name, self.pairs) == (other.kind, other.name, other.pairs)

    def __ne__(self, other: object) -> bool:
        return not self == other  # Struct's own would compare identities

    def __hash__(self) -> int:
        return hash((self.kind, self.name, tuple(self.pairs)))


def clean(text: str) -> str:
    """Return `text` with each byte that was not UTF-8 as U+FFFD: fit for logs, JSON and MQTT."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


class AmiReader:
    """AMI framing (Asterisk 16 to 23): feed bytes in any split, get whole messages in wire order.

    `wanted` names the events to deliver (None: every one) and `variables` the channel variables whose
    `VarSet` to deliver (None: all); other events are counted in `skipped` and never parsed. A response, and
    an event that bears an ActionID (a list's item), is delivered whatever they say. A block that is neither
    event nor response is counted in `malformed`: Asterisk passes some values unescaped, and one with an empty
    line in it must not cost the link. Memory is bounded by `max_message_bytes` and the data of one feed.
    """

    def __init__(
        self,
        *,
        wanted: frozenset[str] | None = None,
        variables: frozenset[str] | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
    ) -> None:
        self.skipped = 0
        self.malformed = 0
        self._wanted = wanted
        self._variables = variables
        self._needles = [b"Variable: " + name.encode() for name in variables or ()]
        self._verdicts: dict[bytes, str] = {}
        self._max = max_message_bytes
        self._tail = bytearray()
        self._banner_seen = False
        self._fault = ""

    def feed(self, data: bytes) -> list[Banner | Message]:
        """Take the next bytes, return what they complete.

        Raises:
            WireError: no AMI banner, or a message over the bound. The reader is dead: every later feed raises
                it again, and what the same call had completed before the fault is not delivered.
        """
        if self._fault:
            raise WireError(self._fault)
        tail = self._tail
        seen = max(len(tail) - 2, 0)  # an empty line may have begun in what is searched already
        tail += data
        out: list[Banner | Message] = []
        if not self._banner_seen:
            banner = self._take_banner()
            if banner is None:
                return out
            out.append(banner)
            seen = 0
        if _EMPTY_LINE.search(tail, seen) is not None:
            self._take_blocks(out)
        elif tail[:1] == b"\r" or tail[:1] == b"\n":
            tail[:] = tail.lstrip(b"\r\n")
        if len(tail) > self._max + _SEPARATOR_SLACK:
            self._die(f"a message of more than {self._max} bytes")
        return out

    def eof(self) -> bool:
        """Say whether the peer's end cut a message off; it is never delivered."""
        return bool(self._tail.strip(b"\r\n"))

    def _take_blocks(self, out: list[Banner | Message]) -> None:
        """Deliver the whole blocks of the tail. What is rare is looked for once in all of them."""
        tail = self._tail
        tags = b"\nActionID:" in tail
        look = tags or self._wanted is None or any(needle in tail for needle in self._needles)
        blocks = _EMPTY_LINE.split(tail)
        if len(tail) > self._max:
            self._check_sizes(blocks)
        tail[:] = blocks.pop().lstrip(b"\r\n")
        event, verdicts, skipped = Kind.EVENT, self._verdicts, 0
        for block in blocks:
            end = block.find(b"\n")
            if block[:7] != _EVENT or end < 0:
                self._classify(block, out)
                continue
            line = block[7:end]
            name = verdicts.get(line)
            if name is None:
                name = self._verdict(line)
            if name:
                out.append(Message(event, name, block, tags and b"\nActionID:" in block))
            elif look:
                self._classify(block, out)
            else:
                skipped += 1
        self.skipped += skipped

    def _verdict(self, line: bytes) -> str:
        """Learn what to do with events of this name: deliver them so named, or "" (skip, or look closer)."""
        name = _text(line)
        if (self._wanted is not None and name not in self._wanted) or (
            name == "VarSet" and self._variables is not None
        ):
            name = ""
        if len(self._verdicts) < 1024 and len(line) <= MAX_REMEMBERED:
            self._verdicts[line] = name
        return name

    def _classify(self, block: bytes, out: list[Banner | Message]) -> None:
        """Apply the whole rule to one block, of whatever form; `_take_blocks` knows only the common ones."""
        block = block.lstrip(b"\r\n")
        if not block:
            return
        word, _, value = block.partition(b"\n")[0].partition(b":")
        kind = _KINDS.get(word.lower())
        if kind is None:
            self.malformed += 1
            return
        name = _text(value.removeprefix(b" "))
        tagged = b"\nActionID:" in block
        if tagged or kind is Kind.RESPONSE or self._wants(name, block):
            out.append(Message(kind, name, block, tagged))
        else:
            self.skipped += 1

    def _wants(self, name: str, block: bytes) -> bool:
        if self._wanted is not None and name not in self._wanted:
            return False
        if name != "VarSet" or self._variables is None:
            return True
        _, found, rest = block.partition(b"\nVariable: ")
        return bool(found) and _text(rest.partition(b"\n")[0]) in self._variables

    def _take_banner(self) -> Banner | None:
        tail = self._tail
        end = tail.find(b"\n")
        if end < 0 and len(tail) < MAX_BANNER_BYTES:
            return None
        size = end + 1 if 0 <= end < MAX_BANNER_BYTES else MAX_BANNER_BYTES
        line = bytes(tail[:size])
        match = _BANNER.fullmatch(line)
        if match is None:
            self._die(f"no AMI banner but {line[:40]!r}")
        self._banner_seen = True
        del tail[:size]
        return Banner(_text(line.rstrip()), _text(match[1]))

    def _check_sizes(self, blocks: list[bytes]) -> None:
        for block in blocks[:-1]:
            if len(block.lstrip(b"\r\n").removesuffix(b"\r")) > self._max:
                self._die(f"a message of more than {self._max} bytes")

    def _die(self, fault: str) -> NoReturn:
        self._fault = fault
        self._tail.clear()
        raise WireError(fault)


def _text(line: bytes) -> str:
    return line.removesuffix(b"\r").decode("utf-8", "surrogateescape")


def encode(fields: Iterable[tuple[str, str]]) -> bytes:
    """Return one client message: the fields in order, each a CR LF line, and the empty line.

    Raises:
        InjectionError: CR, LF or NUL in a key or a value.
        EncodeError: no field, more than 128, a key with a colon, a blank or a character that is not printable
            ASCII, a line of more than 1022 bytes, or text that is not Unicode.
    """
    out = bytearray()
    count = 0
    for count, (key, value) in enumerate(fields, 1):  # noqa: B007 -- the last count is the number of headers
        if _LINE_BREAKERS.search(key) or _LINE_BREAKERS.search(value):
            raise InjectionError(f"a line break or NUL in {key!r}")
        if not _CLIENT_KEY.fullmatch(key):
            raise EncodeError(f"{key!r} is not a header's name")
        try:
            line = f"{key}: {value}".encode("utf-8", "surrogateescape")
        except UnicodeEncodeError as error:
            raise EncodeError(f"{key}: the value is not Unicode text") from error
        if len(line) > MAX_LINE_BYTES:
            raise EncodeError(f"{key}: a line of {len(line)} bytes, Asterisk reads {MAX_LINE_BYTES}")
        out += line
        out += b"\r\n"
    if not 0 < count <= MAX_HEADERS:
        raise EncodeError(f"{count} headers, Asterisk reads 1 to {MAX_HEADERS}")
    out += b"\r\n"
    return bytes(out)
