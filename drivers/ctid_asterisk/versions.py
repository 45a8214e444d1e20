"""Versions of Asterisk that are known to be bad for supervising. Pure.

Each entry names where the fault is reported, and the releases that have it, as their source tells. A version
that is not here is not thereby known to be good.
"""

import re

from msgspec import Struct

from ctid.model.words import Mode

_VERSION = re.compile(r"(?:certified[/-])?(\d+)\.(\d+)")
_SPEAKING = frozenset({Mode.WHISPER, Mode.BARGE})
_ALL = frozenset(Mode)

Minors = tuple[int, int | None]
"""The first minor release of a branch that has a fault, and the first not known to have it, or None."""
_EVERY: Minors = (0, None)


class Fault(Struct, frozen=True):
    """A known fault: `minors` are the releases that have it, by branch; `modes` are those that it befalls."""

    source: str
    """The issue, at Asterisk's own tracker."""
    minors: dict[int, Minors]
    modes: frozenset[Mode]
    what: str
    cure: str
    is_refused: bool = False
    """It harms each call that is supervised so, not the supervisor's hearing and not now and then."""


FAULTS = (
    Fault(
        source="asterisk/asterisk#2134",
        minors={20: (21, 22), 22: (11, 12), 23: (5, 6)},
        modes=_SPEAKING,
        what=(
            "a channel that is or was whispered to may fail to be bridged, and then keeps a processor busy "
            "(the whisper framehook that came with asterisk/asterisk#1966)"
        ),
        cure="use 20.20, 22.10 or 23.4",
        is_refused=True,
    ),
    Fault(
        source="asterisk/asterisk#1928",
        minors={20: (19, 20), 22: (9, 10), 23: (3, 4)},
        modes=_ALL,
        what=(
            "hanging up a bridged channel, such as the supervisor's, may lock Asterisk up for good "
            "(asterisk/asterisk#1907 is the same)"
        ),
        cure="use 20.20, 22.10 or 23.4",
    ),
    Fault(
        source="ASTERISK-29604",
        minors={13: _EVERY, 16: _EVERY, 17: _EVERY, 18: (0, 17), 19: _EVERY, 20: (0, 2)},
        modes=_ALL,
        what="Asterisk may crash where a call goes in the instant in which a snoop on it begins or ends",
        cure="use 18.17, 20.2 or later",
    ),
    Fault(
        source="asterisk/asterisk#1279",
        minors={20: (12, 15), 21: (7, 10), 22: (2, 5)},
        modes=_ALL,
        what="what the supervisor hears crackles where packets are late or the two sides have other codecs",
        cure="use 20.15, 21.10, 22.5 or later",
    ),
    Fault(
        source="asterisk/asterisk#851",
        minors={
            13: _EVERY, 16: _EVERY, 17: _EVERY, 18: _EVERY, 19: _EVERY, 20: (0, 12), 21: (0, 7), 22: (0, 2)
        },
        modes=_ALL,
        what="the supervisor misses a part of both voices where packets of one side are lost",
        cure="use 20.15, 21.10, 22.5 or later",
    ),
    Fault(
        source="asterisk/asterisk#1638",
        minors={
            13: _EVERY, 16: _EVERY, 17: _EVERY, 18: _EVERY, 19: _EVERY, 20: (0, 18), 21: _EVERY, 22: (0, 8),
            23: (0, 2),
        },
        modes=_ALL,
        what="each supervised leg leaves a device state and a topic in memory until Asterisk restarts",
        cure="use 20.18, 22.8, 23.2 or later",
    ),
)  # fmt: skip


def faults(version: str) -> tuple[Fault, ...]:
    """The known faults of a version (`22.11.0~dfsg`); none of one it cannot read."""
    found = _VERSION.match(version)
    if found is None:
        return ()
    major, minor = int(found[1]), int(found[2])
    return tuple(fault for fault in FAULTS if _has(fault.minors.get(major), minor))


def refusals(version: str, mode: Mode) -> tuple[Fault, ...]:
    """The known faults of a version for which nobody should be supervised in this mode."""
    return tuple(fault for fault in faults(version) if fault.is_refused and mode in fault.modes)


def warnings(version: str) -> tuple[str, ...]:
    """What an admin should know of a version, one sentence a fault."""
    return tuple(
        f"Asterisk {version}, {_modes(fault)}: {fault.what}; {fault.source}; {fault.cure}"
        for fault in faults(version)
    )


def _has(minors: Minors | None, minor: int) -> bool:
    if minors is None:
        return False
    first, cured = minors
    return first <= minor and (cured is None or minor < cured)


def _modes(fault: Fault) -> str:
    return "every mode" if fault.modes == _ALL else " and ".join(sorted(fault.modes))
