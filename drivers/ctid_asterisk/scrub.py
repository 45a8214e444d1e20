"""AMI messages without the people in them: what is not allowed is replaced, by a keyed pseudonym. Pure.

The rule is an allow-list (`scrub_fields`): states, causes, counters, times, serial numbers and ids pass, if
their value has the form of such; every other value is replaced, and the same text by the same text wherever
it stands, so that what belongs together still does. Numbers become numbers of the same length, names
`Name 17`, parts of interfaces and contexts other words, addresses those of RFC 2544 and 3849.
"""

import hashlib
import hmac
import re
from collections.abc import Callable

from ctid_asterisk.fields import OURS
from ctid_asterisk.scrub_fields import RESPONSES, VARIABLES, WORDS, Rule, rule_of

HIDDEN = "hidden"
"""Stands for a value, or a field's name, that is not known."""

_BANNER = re.compile(r"Asterisk Call Manager/[0-9.]{1,20}")
_NUMERIC = re.compile(r"[0-9 .:,%+-]*", re.ASCII)
_HEX = re.compile(r"0x[0-9A-Fa-f]{1,16}", re.ASCII)
_PLAIN = re.compile(r"(?!.*[0-9]{4})[A-Za-z0-9_(|),./: -]{0,100}", re.ASCII)
_VERSION = re.compile(r"[A-Za-z0-9.~+/-]{1,60}", re.ASCII)
_UNIQUE = re.compile(r"[0-9]{9,11}\.[0-9]{1,12}", re.ASCII)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)
_OURS = re.compile(re.escape(OURS) + r"[A-Za-z0-9._-]{1,144}", re.ASCII)
_CHANNEL = re.compile(r"(.*?)((?:-[0-9a-f]{8})?(?:;[12])?(?:<MASQ>|<ZOMBIE>)?)", re.ASCII | re.DOTALL)
_IN_PARENTHESES = re.compile(r"(\w+)\((.+)\)", re.ASCII)
_INTERFACE = re.compile(r"(Agent|Local|PJSIP|SIP|IAX2|DAHDI|SCCP|Custom)[:/]\S+", re.ASCII)
_NUMBER = re.compile(r"([+*#]*)([0-9][0-9 ().*#/-]*)", re.ASCII)
_PART = re.compile(
    r"(?<![0-9.])(?P<v4>[0-9]{1,3}(?:\.[0-9]{1,3}){3})(?![0-9.])|\[(?P<v6>[0-9A-Fa-f:.]{2,45})\]"
    r"|(?P<number>[0-9]+)|(?P<word>[^\x00-\x2f0-9:;<=>?@\[\\\]^_`{|}~]+)",
    re.ASCII,
)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_NOBODY = frozenset({"", "none", "<unknown>", "unknown", "<null>", "anonymous", "Anonymous"})
_ENDS = frozenset({"caller", "agent", "transfer"})
_SIGNIFICANT = 9
"""The last digits of a number, which its national and its international form share."""
_TRIES = 64


class Scrubber:
    """The pseudonyms of one capture. `key` is to be random, and thrown away with it.

    `keep_queues`: queues' names pass.
    """

    def __init__(self, key: bytes, *, keep_queues: bool = False) -> None:
        self._key = key
        self._keep_queues = keep_queues
        self._numbers: dict[str, str] = {}
        self._taken: set[str] = set()
        self._names: dict[str, str] = {}
        self._labels: dict[str, str] = {}
        self._words: dict[str, str] = {}
        self._addresses: dict[str, str] = {}
        self._rules: dict[Rule, Callable[[str], str]] = {
            Rule.PLAIN: _passing(_NUMERIC, _PLAIN, _HEX),
            Rule.VERSION: _passing(_VERSION),
            Rule.MESSAGE: _passing(RESPONSES),
            Rule.UNIQUE: self._unique,
            Rule.CHANNEL: self._channel,
            Rule.PARTS: self._parts,
            Rule.QUEUE: self._queue,
            Rule.NUMBER: self.number,
            Rule.NAME: self.name,
            Rule.REASON: lambda text: text if text in _ENDS else self._label(text),
            Rule.LABEL: self._label,
        }

    def block(self, raw: bytes) -> bytes:
        """Return one message, as the wire has it, without what is not allowed; lines stay lines."""
        lines = [line.decode("utf-8", "surrogateescape") for line in raw.split(b"\n")]
        fields: dict[str, str] = {}
        for line in lines:
            key, value = _field(line.removesuffix("\r"))
            fields.setdefault(key.lower(), value)
        text = "\n".join(
            self._line(line.removesuffix("\r"), fields) + ("\r" if line.endswith("\r") else "")
            for line in lines
        )
        return text.encode()

    def _line(self, line: str, fields: dict[str, str]) -> str:
        key, value = _field(line)
        if not key:
            return line if not line or _BANNER.fullmatch(line) else HIDDEN
        shown = key
        inside = _IN_PARENTHESES.fullmatch(key)
        if inside is not None:
            key, shown = inside[1], f"{inside[1]}({self._channel(inside[2])})"
        rule = rule_of(key)
        if rule is None:
            return f"{HIDDEN}: {HIDDEN if value else ''}"
        if rule is Rule.DATA:
            return f"{shown}: {self._data(value, fields.get('application', ''))}"
        if rule is Rule.VARIABLE:
            return f"{shown}: {self._variable(key.lower(), value, fields)}"
        return f"{shown}: {self._rules[rule](value)}"

    # Pseudonyms -----------------------------------------------------------------------------------

    def number(self, text: str) -> str:
        """A caller's number: another of the same length, with the same signs before it."""
        found = _NUMBER.fullmatch(text)
        if found is None:
            return text if text in _NOBODY else self._parts(text)
        digits = "".join(character for character in found[2] if character.isdigit())
        return found[1] + self._digits(digits)

    def name(self, text: str) -> str:
        r"""A person's name, C-escaped (`O\'Brien`) or not; a number or an interface as what it is."""
        plain = _ESCAPE.sub(r"\1", text).strip()
        if text in _NOBODY or not plain:
            return text
        if _NUMBER.fullmatch(plain):
            return self.number(plain)
        if _INTERFACE.fullmatch(plain):
            return self._parts(plain)
        return self._names.setdefault(plain, f"Name {len(self._names) + 1}")

    def _label(self, text: str) -> str:
        plain = _ESCAPE.sub(r"\1", text).strip()
        return self._labels.setdefault(plain, f"Text {len(self._labels) + 1}") if plain else text

    def _unique(self, text: str) -> str:
        if _UUID.fullmatch(text) or _OURS.fullmatch(text):
            return text
        system, dash, rest = text.rpartition("-")
        if _UNIQUE.fullmatch(rest):
            return self._parts(system) + dash + rest
        return self._parts(text)

    def _channel(self, text: str) -> str:
        found = _CHANNEL.fullmatch(text)
        assert found is not None, "all of its parts may be empty"  # noqa: S101 - the expression's form
        return self._parts(found[1]) + found[2]

    def _queue(self, text: str) -> str:
        return text if self._keep_queues else self._parts(text)

    def _data(self, text: str, application: str) -> str:
        if text == "(Outgoing Line)":
            return text
        if application == "Queue":
            queue, comma, rest = text.partition(",")
            return self._queue(queue) + comma + (HIDDEN if rest else "")
        return self._parts(text)

    def _variable(self, key: str, text: str, fields: dict[str, str]) -> str:
        if key == "value":
            form = VARIABLES.get(fields.get("variable", ""))
            return text if form is not None and form.fullmatch(text) else HIDDEN
        name, sign, value = text.partition("=")
        form = VARIABLES.get(name)
        if form is None:
            return HIDDEN
        return f"{name}{sign}{value if form.fullmatch(value) else HIDDEN}"

    def _parts(self, text: str) -> str:
        if text in _NOBODY:
            return text
        if self._keep_queues and text.startswith("Queue:"):
            return text
        return _PART.sub(self._part, text)

    def _part(self, found: re.Match[str]) -> str:
        text = found[0]
        match found.lastgroup:
            case "number":
                return self._digits(text)
            case "v4":
                return self._address(text, "198.18.{}.{}")
            case "v6":
                return self._address(text, "[2001:db8::{:x}:{:x}]")
            case _:
                return text if text.lower() in WORDS else self._word(text)

    def _address(self, text: str, form: str) -> str:
        # 198.18.0.0/15 is for benchmarks (RFC 2544), 2001:db8::/32 for documents (RFC 3849): nobody's.
        return self._addresses.setdefault(text, form.format(*divmod(len(self._addresses) + 1, 256)))

    def _word(self, text: str) -> str:
        known = self._words.get(text)
        if known is None:
            known = self._words[text] = _letters(len(self._words), text)
        return known

    def _digits(self, digits: str) -> str:
        """Other digits for some; the same for the last nine of a long number, whatever stands before them."""
        if len(digits) <= _SIGNIFICANT:
            return self._number(digits)
        return self._lead(digits[:-_SIGNIFICANT]) + self._number(digits[-_SIGNIFICANT:])

    def _lead(self, digits: str) -> str:
        """What stands before the significant digits: a country's code is nobody's, more may be somebody's."""
        return digits if len(digits) <= 4 else self._number(digits)

    def _number(self, digits: str) -> str:
        known = self._numbers.get(digits)
        if known is not None:
            return known
        size = 10 ** len(digits)
        for attempt in range(_TRIES):
            fresh = self._drawn(digits, attempt) % size
            made = f"{fresh:0{len(digits)}d}"
            if self._fits(made, digits):
                break
        else:
            # Nearly all numbers of this length are in use: the next free one, or at the worst its own.
            start = self._drawn(digits, _TRIES)
            free = (f"{(start + step) % size:0{len(digits)}d}" for step in range(size))
            made = next((one for one in free if one not in self._taken and one != digits), digits)
        self._taken.add(made)
        self._numbers[digits] = made
        return made

    def _fits(self, made: str, digits: str) -> bool:
        same_kind = (made[0] == "0") == (digits[0] == "0")
        return same_kind and made != digits and made not in self._taken

    def _drawn(self, digits: str, attempt: int) -> int:
        mac = hmac.new(self._key, f"{attempt}/{digits}".encode(), hashlib.sha256)
        return int.from_bytes(mac.digest()[:12], "big")


def _field(line: str) -> tuple[str, str]:
    """A line's key and value; both empty when it is no field."""
    key, separator, value = line.partition(": ")
    if not separator:
        key, separator, value = line.partition(":")
    return (key, value) if separator else ("", "")


def _passing(*forms: re.Pattern[str]) -> Callable[[str], str]:
    return lambda text: text if any(form.fullmatch(text) for form in forms) else HIDDEN


def _letters(number: int, text: str) -> str:
    """A word for the `number`th: `xaa`, `xab`, …; no word of Asterisk's begins so, and never the text."""
    letters = ""
    while number or len(letters) < 2:
        number, rest = divmod(number, 26)
        letters = chr(ord("a") + rest) + letters
    return f"x{letters}" if f"x{letters}" != text else f"y{letters}"
