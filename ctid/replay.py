"""A capture played into a store, by the capture's own clock. Reads no clock, so that it is repeatable."""

from collections.abc import Iterable, Iterator

from ctid.ports import Replayed
from ctid.state.changes import Update
from ctid.state.store import Store


def play(steps: Iterable[Replayed], store: Store) -> Iterator[tuple[Replayed, list[Update]]]:
    """Feed what a capture tells to a store; yields each message's facts with the updates they gave.

    What the time alone ends, such as after-call work, ends when the capture's clock comes there; the updates
    of that come with the message after it.
    """
    for step in steps:
        updates: list[Update] = []
        while (deadline := store.next_deadline()) is not None and deadline <= step.at:
            updates += store.on_time(deadline)
        for fact in step.facts:
            updates += store.apply(fact)
        yield step, updates
