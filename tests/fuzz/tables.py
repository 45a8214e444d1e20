"""How much a daemon remembers: the sizes of all that can grow, found by looking."""

import functools
import gc
from collections import deque
from collections.abc import Iterator
from typing import Any

from fuzz.rig import Rig

_OURS = ("ctid.", "ctid_asterisk.")
_GROWING = (dict, list, set, deque, bytearray)
_LEAVES = (str, bytes, int, float, tuple, frozenset)


def sizes(thing: Any) -> dict[str, int]:
    """The number of entries of every container below a thing, by the way to it."""
    return dict(_walk(thing, type(thing).__name__, set()))


def _walk(thing: Any, where: str, seen: set[int]) -> Iterator[tuple[str, int]]:
    if isinstance(thing, _LEAVES) or id(thing) in seen:
        return
    seen.add(id(thing))
    if isinstance(thing, _GROWING):
        yield where, len(thing)
        if isinstance(thing, dict):
            for key, value in thing.items():
                if type(value).__module__.startswith(_OURS) and not _is_row(value):
                    yield from _walk(value, f"{where}[{key}]", seen)
        return
    if type(thing).__module__.startswith(_OURS):
        for name in _attributes(thing):
            yield from _walk(getattr(thing, name, None), f"{where}.{name}", seen)


def _is_row(value: Any) -> bool:
    """One entry of a table, such as a fact or an entity."""
    return hasattr(type(value), "__struct_fields__")


def _attributes(thing: Any) -> list[str]:
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    return [*vars(thing), *slots] if hasattr(thing, "__dict__") else slots


def of(rig: Rig) -> dict[str, int]:
    """Those of the driver's connection and of the store."""
    return {
        name: size
        for part in (rig.session, rig.resync, rig.roster, rig.store)
        for name, size in sizes(part).items()
    }


def clear_caches() -> None:
    """Empty the bounded caches of functions, so that what is measured after it is not their filling up."""
    for found in gc.get_objects():
        if isinstance(found, functools._lru_cache_wrapper) and found.__module__.startswith(_OURS):
            found.cache_clear()
    gc.collect()
