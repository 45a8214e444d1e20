"""Recorded wires, and the pipeline that reads them up to the store."""

import lzma
from collections.abc import Iterator
from pathlib import Path

from ctid.model.entities import Agent, Call, Device
from ctid.model.facts import Fact, LinkUp
from ctid.model.ids import CallId, PbxId
from ctid.model.instant import Instant
from ctid.state.changes import Change, Occurrence, Update
from ctid.state.invariants import violations
from ctid.state.profile import Profiles
from ctid.state.store import Store
from ctid_asterisk.lists import Lists, load, snapshot
from ctid_asterisk.normalize import Normalizer
from ctid_asterisk.wire import Message

PBX = PbxId("lab")


def recorded(name: str) -> bytes:
    """The bytes of a recorded wire."""
    return lzma.decompress((Path(__file__).parent / f"{name}.txt.xz").read_bytes())


class Floor:
    """A store that is fed, and what it told; its invariants hold after every fact."""

    def __init__(self, lists: Lists, now: Instant) -> None:
        self.store = Store(Profiles())
        self.updates: list[Update] = []
        normalizer = Normalizer(PBX)
        load(normalizer, lists, now)
        up = LinkUp(pbx=PBX, at=now, driver="asterisk", version="22.10.1")
        self.feed([up, snapshot(normalizer, now, ())])
        self.normalizer = normalizer

    def feed(self, facts: list[Fact]) -> None:
        """Apply facts."""
        for fact in facts:
            self.updates += self.store.apply(fact)
            assert violations(self.store) == []

    def hear(self, message: Message, now: Instant) -> list[Fact]:
        """Take an event of the wire; returns the facts that it told."""
        facts = self.normalizer.receive(message, now)
        self.feed(facts)
        return facts

    def _changes(self) -> Iterator[Change]:
        return (update for update in self.updates if isinstance(update, Change))

    def call(self, dialled: str, number: int = 0) -> list[str]:
        """The states that a call went through: the one of that number among those to what was dialled."""
        calls: dict[CallId, list[str]] = {}
        for change in self._changes():
            if isinstance(change.new, Call):
                calls.setdefault(change.new.id, []).append(change.new.state)
        firsts = {
            change.new.id: change.new.dialled
            for change in reversed(list(self._changes()))
            if isinstance(change.new, Call) and change.old is None
        }
        chosen = [ident for ident in calls if firsts[ident] == dialled]
        return without_repeats(calls[chosen[number]])

    def calls(self) -> list[str]:
        """The ids of all calls there were, in their order."""
        return [c.new.id for c in self._changes() if isinstance(c.new, Call) and c.old is None]

    def agent(self, ident: str) -> list[str]:
        """The states that an agent went through."""
        agents = [change.new for change in self._changes() if isinstance(change.new, Agent)]
        return without_repeats([agent.state for agent in agents if agent.id == ident])

    def device(self, ident: str) -> list[str]:
        """The states that a phone went through."""
        devices = [change.new for change in self._changes() if isinstance(change.new, Device)]
        return without_repeats([device.state for device in devices if device.id == ident])

    def occurrences(self, name: str) -> list[Occurrence]:
        """What happened of this name."""
        return [it for it in self.updates if isinstance(it, Occurrence) and it.name == name]


def without_repeats(states: list[str]) -> list[str]:
    """The states as they followed each other."""
    return [str(state) for at, state in enumerate(states) if at == 0 or states[at - 1] != state]
