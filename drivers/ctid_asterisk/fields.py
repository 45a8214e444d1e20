"""Asterisk's words of channels, interfaces and states, read into ctid's. Pure."""

import re
from functools import lru_cache

from ctid.model.ids import AgentId, DeviceId, safe_id
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LegState

OURS = "ctid-"
"""Every id that ctid gives to a channel or a bridge begins so."""

LEG_STATES = {"6": LegState.CONNECTED, "5": LegState.ALERTING}
"""ChannelState to a leg's state; the others are before both (Asterisk, enum ast_channel_state)."""

AGENT_POOL = "Agent:"
"""Begins the state interface of an agent of the pool (Asterisk, app_agent_pool.c)."""

MEMBER_STATES = {
    "1": DeviceState.IDLE,
    "2": DeviceState.IN_USE,
    "3": DeviceState.BUSY,
    "4": DeviceState.UNAVAILABLE,
    "5": DeviceState.UNAVAILABLE,
    "6": DeviceState.RINGING,
    "7": DeviceState.RINGING,
    "8": DeviceState.HELD,
}
"""A queue member's Status (Asterisk, enum ast_device_state); 4 is a device that does not exist."""

DEVICE_STATES = {
    "NOT_INUSE": DeviceState.IDLE,
    "INUSE": DeviceState.IN_USE,
    "BUSY": DeviceState.BUSY,
    "INVALID": DeviceState.UNAVAILABLE,
    "UNAVAILABLE": DeviceState.UNAVAILABLE,
    "RINGING": DeviceState.RINGING,
    "RINGINUSE": DeviceState.RINGING,
    "ONHOLD": DeviceState.HELD,
}

_PHONES = frozenset({"PJSIP", "SIP", "IAX2", "DAHDI", "SCCP", "Motif", "Mobile", "WebSocket"})
"""Technologies whose channels and devices are phones or trunks."""
_PLAIN = frozenset({"PJSIP", "SIP"})
"""Technologies whose device names stand alone as ids: the site's own extensions."""

_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_BIRTH = re.compile(r"([0-9]{1,15})\.([0-9]{1,15})$")
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_NUMBER = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]*)?")
_LATEST = 253402300799.0
"""The end of the year 9999, the last that RFC 3339 can write."""
_YEAR_S = 366 * 86_400.0
_LONGEST_KEY = 96
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def caller(text: str) -> str:
    """A caller's number or name as Asterisk gives it; `<unknown>` and nothing are empty."""
    return "" if text in ("<unknown>", "unknown", "<null>") else text


@lru_cache(maxsize=4096)
def caller_name(text: str) -> str:
    r"""A name out of a channel event, which is C-escaped there (`O\'Brien`), on one line."""
    name = caller(text)
    if "\\" in name:
        name = _ESCAPE.sub(lambda found: _ESCAPES.get(found[1], found[1]), name)
    return printable(name)


@lru_cache(maxsize=4096)
def printable(text: str) -> str:
    """Text for people: control characters become one blank, undecodable bytes U+FFFD."""
    clean = _CONTROL.sub(" ", text) if not text.isprintable() else text
    return clean.encode("utf-8", "surrogateescape").decode("utf-8", "replace").strip()


def birth(unique: str) -> tuple[int, int]:
    """When a channel was made, by its unique id (`[name-]seconds.serial`): these can be compared."""
    found = _BIRTH.search(unique)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def whole(text: str) -> int:
    """Read a whole number of at most 15 digits, which every JSON reader and database can hold.

    Raises:
        ValueError: it is none, such as one in other digits than ASCII's.
    """
    if _WHOLE.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no whole number")
    return int(text)


def number(text: str) -> float:
    """Read a finite number, of at most 15 digits before its point. Raises ValueError."""
    if _NUMBER.fullmatch(text) is None:
        raise ValueError(f"{text[:40]!r} is no number")
    return float(text)


def natural(text: str) -> int | None:
    """Read a whole number as `whole` does; none of what is below 0 or no number at all."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 15 else None


def instant(seconds: float) -> Instant:
    """Take seconds since 1970 for a time that can be written. Raises ValueError: before or after such."""
    if not 0.0 <= seconds <= _LATEST:
        raise ValueError(f"{seconds} is no time")
    return Instant(seconds)


def ago(seconds: float, now: Instant) -> Instant:
    """The time so many seconds before now; now itself where the age is below 0 or above a year.

    Asterisk's ages are differences by its own clock: one that is set meanwhile makes them anything.
    """
    return Instant(now - seconds) if 0.0 <= seconds <= _YEAR_S else now


def stamped(seconds: float, now: Instant) -> Instant:
    """The time that an event tells of itself; now where that was over a year ago, by a clock not set yet.

    Raises:
        ValueError: it is no time that can be written.
    """
    return now if now - seconds > _YEAR_S else instant(seconds)


@lru_cache(maxsize=4096)
def call_key(linked: str) -> str:
    """The key of a call of this linked id, which an application may have chosen: fit for the call's own id.

    Of one that is too long the end is kept, in which these differ.
    """
    return safe_id(linked[-_LONGEST_KEY:])


def technology(channel: str) -> str:
    """`PJSIP` of `PJSIP/1001-0000002a`."""
    return channel.partition("/")[0]


def is_party(channel: str) -> bool:
    """Whether a channel of this name is a party's connection, and not a part of the PBX's inside."""
    return technology(channel) in _PHONES


def device_of_channel(channel: str) -> DeviceId | None:
    """The device of a party's channel: `1001` of `PJSIP/1001-0000002a`."""
    tech, _, rest = channel.partition("/")
    name, dash, _ = rest.rpartition("-")
    return _device(tech, name if dash else rest) if tech in _PHONES else None


@lru_cache(maxsize=4096)
def device_of_interface(interface: str) -> DeviceId | None:
    """The device behind a member's interface, its state interface, or a device state's name.

    A hint names the extension, a Local channel the one it dials, and `Agent:` an agent of the pool: all are
    taken for the device of that name, as FreePBX names them.
    """
    if interface.startswith(("hint:", AGENT_POOL)):
        return _device("PJSIP", interface.partition(":")[2].partition("@")[0])
    tech, _, rest = interface.partition("/")
    if tech == "Local":
        return _device("PJSIP", rest.partition("@")[0])
    return _device(tech, rest) if tech in _PHONES else None


def device_of_endpoint(name: str) -> DeviceId:
    """The device of a PJSIP endpoint."""
    return _device("PJSIP", name)


@lru_cache(maxsize=4096)
def agent_of_interface(interface: str) -> AgentId:
    """The agent's address: `1007` of `Local/1007@from-queue/n`, `PJSIP/1007` or `Agent:1007`."""
    tech, slash, rest = interface.partition("/")
    if not slash:
        return AgentId(safe_id(interface.partition(":")[2] or interface))
    name = rest.partition("@")[0] if tech == "Local" else rest
    return AgentId(safe_id(name))


def _device(tech: str, name: str) -> DeviceId:
    return DeviceId(safe_id(name if tech in _PLAIN else f"{tech.lower()}.{name}"))
