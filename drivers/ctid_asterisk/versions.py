"""Versions of Asterisk that are known to do harm to calls that are supervised. Pure.

Each entry names where the fault is reported; a version that is not here is not thereby known to be good.
"""

import re

from msgspec import Struct

from ctid.model.words import Mode

_VERSION = re.compile(r"(?:certified[/-])?(\d+)\.(\d+)")
_SPEAKING = frozenset({Mode.WHISPER, Mode.BARGE})


class Fault(Struct, frozen=True):
    """A known fault: `minors` are the minor releases that have it, by branch; `modes` do the harm."""

    source: str
    """The issue, at Asterisk's own tracker."""
    minors: dict[int, tuple[int, ...]]
    modes: frozenset[Mode]
    what: str
    cure: str


FAULTS = (
    Fault(
        source="asterisk/asterisk#2134",
        minors={20: (21,), 22: (11,), 23: (5,)},
        modes=_SPEAKING,
        what=(
            "a channel that is or was whispered to may fail to be bridged, and then keeps a processor busy "
            "(the whisper framehook that came with asterisk/asterisk#1966)"
        ),
        cure="use 20.20, 22.10 or 23.4",
    ),
)


def faults(version: str, mode: Mode | None = None) -> tuple[Fault, ...]:
    """The known faults of a version (`22.11.0~dfsg`), of all modes or of one; none of one it cannot read."""
    found = _VERSION.match(version)
    if found is None:
        return ()
    major, minor = int(found[1]), int(found[2])
    return tuple(
        fault
        for fault in FAULTS
        if minor in fault.minors.get(major, ()) and (mode is None or mode in fault.modes)
    )


def warnings(version: str) -> tuple[str, ...]:
    """What an admin should know of a version, one sentence a fault."""
    return tuple(
        f"Asterisk {version}, {' and '.join(sorted(fault.modes))}: {fault.what}; {fault.source}; {fault.cure}"
        for fault in faults(version)
    )
