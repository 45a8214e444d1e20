"""The recorded kinds of call: a wire each, with the lists taken in the middle and the queue log's own lines.

`kinds-of-call.txt.xz` holds them one after the other, each under a line `== name`; the lines of the queue log
stand under `== name.queue_log`. Of a wire, what ctid reads is kept, and the items of the lists.
"""

import re
from collections.abc import Iterator
from functools import cache

from ctid.model.entities import Call
from ctid.model.facts import (
    CallMoment,
    DeviceChanged,
    Fact,
    Leg,
    LegChanged,
    Member,
    MemberChanged,
    QualityMeasured,
    QueueMoment,
)
from ctid.model.ids import LegId
from ctid.model.instant import Instant
from ctid.state.changes import Change
from ctid_asterisk.lists import Lists, load, snapshot
from ctid_asterisk.normalize import Normalizer
from ctid_asterisk.wire import AmiReader, Message
from replay.wire import PBX, Floor, recorded, without_repeats

NOW = Instant(1795426000.0)
LISTS = {
    "CoreShowChannel": "channels",
    "QueueParams": "queues",
    "QueueMember": "queues",
    "QueueEntry": "queues",
    "Status": "holds",
    "Agents": "agents",
}


@cache
def sections() -> dict[str, str]:
    """What stands under each name."""
    text = recorded("kinds-of-call").decode("utf-8", "surrogateescape")
    parts = re.split(r"^== (.+)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def names() -> list[str]:
    """The kinds there are."""
    return sorted(name for name in sections() if not name.endswith(".queue_log"))


def messages(name: str) -> Iterator[Message]:
    """A kind's wire."""
    wire = "Asterisk Call Manager/11.0.0\n" + sections()[name] + "\n\n"
    for message in AmiReader().feed(wire.replace("\n", "\r\n").encode("utf-8", "surrogateescape")):
        if isinstance(message, Message):
            yield message


def short(ident: str | None) -> str:
    """The end of a unique id, by which a person tells it."""
    return (ident or "").rpartition(".")[2]


class Kind:
    """One kind of call, replayed: what the facts told, and where the lists of a moment tell otherwise."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.facts: list[Fact] = []
        self.disagreements: list[str] = []
        self._now = NOW
        self.floor = Floor(self._first_lists(), NOW)
        self._replay()

    def _first_lists(self) -> Lists:
        """The queues and their members, as they were before: all but who waited when lists were taken."""
        found: dict[tuple[str, str, str], Message] = {}
        for message in messages(self.name):
            if message.tagged and message.name in ("QueueParams", "QueueMember"):
                found.setdefault((message.name, message.get("queue"), message.get("location")), message)
        return Lists((), list(found.values()), None, None)

    def _replay(self) -> None:
        taken: dict[str, list[Message]] = {}
        whole = False
        for message in messages(self.name):
            if whole and not message.tagged:
                self._compare(taken)
                # Who is logged in to the pool was not listed each time, and does not change here.
                taken, whole = {"agents": taken.get("agents", [])}, False
            if not message.tagged:
                stamp = message.get("timestamp")
                self._now = Instant(stamp) if stamp else self._now
                self.facts += self.floor.hear(message, self._now)
            elif message.name == "StatusComplete":
                whole = True
            elif message.name in LISTS:
                taken.setdefault(LISTS[message.name], []).append(message)

    def _compare(self, taken: dict[str, list[Message]]) -> None:
        """A daemon that starts here finds the same legs in the same calls, who talk and wait alike."""
        other = Normalizer(PBX)
        holds = taken.get("holds", ())
        agents = taken.get("agents", ())
        lists = Lists(taken.get("channels", ()), taken.get("queues", ()), None, holds, agents=agents)
        load(other, lists, self._now)
        by_lists = {leg.id: self._known(leg) for leg in snapshot(other, self._now, ()).legs}
        channels = self.floor.normalizer.channels.by_id.values()
        by_events = {channel.told.id: self._known(channel.told) for channel in channels if channel.told}
        for channel in channels:
            if channel.parked:  # that a lot is no conversation only the list of bridges tells
                by_lists.pop(LegId(channel.unique))
                by_events.pop(LegId(channel.unique))
        if by_lists != by_events:
            self.disagreements.append(f"{self.name}: lists {by_lists}, events {by_events}")

    @staticmethod
    def _known(leg: Leg) -> tuple[object, ...]:
        waits = leg.queue if leg.position is not None else None
        return (leg.call, leg.conversation, waits, leg.position)

    def queue_moments(self) -> list[QueueMoment]:
        """What its queues' figures are made of."""
        return [fact for fact in self.facts if isinstance(fact, QueueMoment)]

    def moments(self) -> list[str]:
        """What happened to its calls, a line each: what, to which leg, and how."""
        lines = []
        for fact in self.facts:
            if isinstance(fact, CallMoment):
                rest = [getattr(fact, field) for field in fact.__struct_fields__ if field not in _COMMON]
                lines.append(" ".join([type(fact).__name__, self.device(fact.leg), *map(self._word, rest)]))
        return lines

    def _word(self, value: object) -> str:
        return self.device(value) if isinstance(value, str) and "." in value else str(value)

    def device(self, leg: str) -> str:
        """Whose leg it is."""
        return next(
            (
                fact.leg.device or ""
                for fact in self.facts
                if isinstance(fact, LegChanged) and fact.leg.id == leg
            ),
            leg,
        )

    def legs(self, device: str) -> list[Leg]:
        """The legs of a device, each as it was told."""
        return [f.leg for f in self.facts if isinstance(f, LegChanged) and f.leg.device == device]

    def members(self, queue: str, agent: str) -> list[Member]:
        """A member, each time as it was told."""
        found = [fact.member for fact in self.facts if isinstance(fact, MemberChanged)]
        return [member for member in found if (member.queue, member.agent) == (queue, agent)]

    def serving(self, queue: str, agent: str) -> list[str]:
        """Whose caller a member was connected with, one after the other; empty for nobody."""
        told = [self.device(m.serving) if m.serving else "" for m in self.members(queue, agent)]
        return without_repeats(told)

    def devices(self, ident: str) -> list[str]:
        """The registrations of a phone, one after the other."""
        found = [fact.device for fact in self.facts if isinstance(fact, DeviceChanged)]
        return without_repeats([device.registration for device in found if device.id == ident])

    def qualities(self) -> list[QualityMeasured]:
        """What was told of how the audio travels."""
        return [fact for fact in self.facts if isinstance(fact, QualityMeasured)]

    def calls(self) -> dict[str, list[str]]:
        """The states that each call went through, by the end of its id."""
        found: dict[str, list[str]] = {}
        for update in self.floor.updates:
            if isinstance(update, Change) and isinstance(update.new, Call):
                merged = f" into {short(update.new.merged_into)}" if update.new.merged_into else ""
                found.setdefault(short(update.new.id), []).append(f"{update.new.state}{merged}")
        return {ident: without_repeats(states) for ident, states in found.items()}


_COMMON = frozenset({"pbx", "at", "source", "leg"})


@cache
def kind(name: str) -> Kind:
    """A kind, replayed once."""
    return Kind(name)
