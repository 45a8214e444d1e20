"""Event filters at the source: which `Filter` actions keep the named events from being sent at all.

Filters do not apply to responses and lists. Source: Asterisk 16 and 22, main/manager.c manager_add_filter and
configs/samples/manager.conf.sample.
"""

import re

from ctid_asterisk.actions import OWN_ID_PREFIX, Action, add_filter
from ctid_asterisk.wire import ArgumentError

# The variables that stay when VarSet is excluded, by how they begin: the fence and what ctid sets on its own
# legs, and why a caller left a queue.
KEPT_VARIABLES = ("CTID", "QUEUESTATUS")
# Of pressed keys only those on ctid's own channels come: nobody else's are its business.
_KEPT = {
    "VarSet": ("Variable", KEPT_VARIABLES),
    "DTMFBegin": ("Uniqueid", (OWN_ID_PREFIX,)),
    "DTMFEnd": ("Uniqueid", (OWN_ID_PREFIX,)),
}

_EVENT_NAME = re.compile(r"[A-Za-z0-9]{1,60}")
_VERSION = re.compile(r"(?:certified[/-])?([0-9]+)\.([0-9]+)")
# The first minor release of each branch that knows advanced filters; 19 never did, 23 and later always do.
_ADVANCED_SINCE = {18: 26, 20: 11, 21: 6, 22: 1}


def knows_advanced(asterisk_version: str) -> bool:
    """Say whether this Asterisk reads `MatchCriteria`. An older one ignores it, and still says Success."""
    match = _VERSION.match(asterisk_version)
    if match is None:
        return False
    major, minor = int(match[1]), int(match[2])
    return major >= 23 or minor >= _ADVANCED_SINCE.get(major, minor + 1)


def exclude(names: frozenset[str], *, advanced: bool) -> list[Action]:
    """Build the actions that exclude these events.

    Of `VarSet`, `KEPT_VARIABLES` still come; of pressed keys, those on channels of ctid's own.

    Advanced filters compare a hash of the name, legacy ones run a regular expression on every event.

    Raises:
        ArgumentError: a name is not an event's name.
    """
    for name in names:
        if _EVENT_NAME.fullmatch(name) is None:
            raise ArgumentError(f"{name[:80]!r} is not the name of an event")
    build = _advanced if advanced else _legacy
    return [build(name) for name in sorted(names)]


def _advanced(name: str) -> Action:
    criteria = f"action(exclude),name({name})"
    if name in _KEPT:
        header, kept = _KEPT[name]
        return add_filter(f"{criteria},header({header}),method(regex)", f"^{_not_beginning(*kept)}")
    return add_filter(criteria, "")


def _legacy(name: str) -> Action:
    # A control character is the CR or LF of a line's end, which the expression itself cannot hold.
    expression = f"!^Event: {name}[[:cntrl:]]"
    if name in _KEPT:
        header, kept = _KEPT[name]
        expression += f".*[[:cntrl:]]{header}: {_not_beginning(*kept)}"
    return add_filter("", expression)


def _not_beginning(*words: str) -> str:
    """Build a POSIX expression for text that begins with none of `words`; it has no negation of its own."""
    beginnings = {word[:at] for word in words for at in range(len(word))} - {*words}
    following = {
        begin: sorted({word[len(begin)] for word in words if word.startswith(begin) and word != begin})
        for begin in sorted(beginnings)
    }
    parts = [f"{begin}[^{''.join(letters)}]" for begin, letters in following.items()]
    return f"({'|'.join(parts)})"
