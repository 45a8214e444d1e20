"""Which priorities bring who waits in a queue to a place. Pure.

A queue serves the higher priority first, and of equal ones who came to it first. A caller who is given a
priority is put behind those who have it already (Asterisk, app_queue.c, change_priority_caller_on_queue).
"""

from collections.abc import Sequence

from msgspec import Struct


class Entry(Struct, frozen=True):
    """Who waits: the channel's unique id and name, and the priority."""

    unique: str
    channel: str
    priority: int


def moves(entries: Sequence[Entry], unique: str, position: int) -> list[tuple[str, int]]:
    """Find the priorities to be given, in their order, as pairs of a channel's name and a priority.

    `entries` are in the order of the queue. Whoever stays ahead is raised as well where that is needed, and
    all others keep their order. Empty when the caller is there already, or further ahead.

    Raises:
        KeyError: the caller does not wait here.
    """
    place = next((at for at, entry in enumerate(entries) if entry.unique == unique), None)
    if place is None:
        raise KeyError(unique)
    if place < position:
        return []
    ahead, behind = entries[: position - 1], entries[position - 1]
    wanted = behind.priority + 1
    raised = [(entry.channel, wanted) for entry in ahead if entry.priority < wanted]
    return [*raised, (entries[place].channel, wanted)]
