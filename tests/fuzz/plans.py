"""A round's plan, made of a seed: recorded wires together, mutated, with lists, pauses and lost links."""

from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from ctid.model.words import SnapshotReason
from fuzz.frames import END, Frame, frame, render
from fuzz.mutate import NUMBERS, WORDS, Mutator, Pools
from fuzz.rig import LISTS
from fuzz.seeds import Listing, Scene, scenes
from fuzz.steps import Answer, Connected, Heard, Look, Passed, Step, Supervised

_REASONS = (
    SnapshotReason.TIMER,
    SnapshotReason.TIMER,
    SnapshotReason.REQUEST,
    SnapshotReason.UNREADABLE,
    SnapshotReason.RELOADED,
)
_EMPTY: Listing = {}
_RELOAD = frame(("Event", "Reload"), ("Module", "app_queue"), ("Status", "0"))
_SESSIONS = ("s1", "s2")
_LATER = frame(
    ("Event", "PeerStatus"), ("Timestamp", "253402300799"), ("ChannelType", "PJSIP"), ("Peer", "PJSIP/1001"),
    ("PeerStatus", "Reachable"),
)  # fmt: skip
"""Tells nothing but that it is late, and what waited for an explanation has waited long enough."""
_REFUSALS = (
    b"Response: Error\r\nActionID: %ID%\r\nMessage: Permission denied\r\n\r\n",
    b"Response: Error\r\nActionID: %ID%\r\nMessage: Invalid/unknown command: X\r\n\r\n",
    b"Response: Error\r\nActionID: %ID%\r\nMessage: No Contacts found\r\n\r\n",
    b"Response: Success\r\nActionID: %ID%\r\n\r\n",
    b"Response: Success\r\nActionID: ctid-99999\r\nEventList: start\r\n\r\n",
    b"Response: Success\r\n\r\n",
    b"Response: Error\r\nActionID: %ID%\r\nMessage: \xe9\xff\r\n\r\n",
    b"",
)
_GREETINGS = (
    b"Asterisk Call Manager/11.0.0\r\n\r\n\r\n",
    b"Asterisk Call Manager/\r\n",
    b"SSH-2.0-OpenSSH\r\n",
    b"A" * 300,
    b"",
    b"Asterisk Call Manager/5.0.1\r\nEvent: FullyBooted\r\nUptime: 1\r\n\r\n",
    b"Asterisk Call Manager/5.0.1\r\nResponse: Error\r\nMessage: Authentication failed\r\n\r\n",
)


class Plan(NamedTuple):
    """What is played in one round. `home` are the lists that every connection but a planned one begins with.

    `quiet`: it ends on a connection that stands, whose PBX lists nothing any more.
    """

    steps: tuple[Step, ...]
    home: Look
    quiet: bool
    mutated: int


def make(seed: int, number: int, wires: Path | None = None) -> Plan:
    """Make the plan of a round; equal arguments make equal plans."""
    random = Random(f"{seed}/{number}")  # noqa: S311 - reproducible, no secret
    chosen = random.sample(scenes(wires), random.choice((1, 1, 2, 3)))
    mutator = Mutator(random, Pools(chosen), random.choice((0.02, 0.1, 0.3, 0.3, 0.6)))
    maker = _Maker(random, chosen, mutator, random.choice((0.0, 0.0, 0.0, 0.01, 0.1)))
    steps = [*maker.steps()]
    quiet = random.random() < 0.5
    steps += [Supervised(ident, 0, over=True) for ident in _SESSIONS]
    steps += [Heard(END + render(_LATER)), empty(), Passed(30.0)] if quiet else [Connected(empty())]
    return Plan(tuple(steps), maker.home(), quiet, mutator.count)


def empty() -> Look:
    """A PBX in which nothing is any more."""
    return Look(SnapshotReason.TIMER, {}, {})


class _Maker:
    def __init__(self, random: Random, chosen: list[Scene], mutator: Mutator, garbled: float) -> None:
        self._random = random
        self._scenes = chosen
        self._mutator = mutator
        self._garbled = garbled

    def home(self) -> Look:
        """The lists of the beginning, as they are."""
        answers = self._answers(self._listing(0.0), mutated=False)
        return Look(SnapshotReason.CONNECTED, answers, answers)

    def steps(self) -> list[Step]:
        random = self._random
        told = self._together()
        steps: list[Step] = [self._connected(0.0)]
        size = random.choice((3, 20, 100))
        at = 0
        while at < len(told):
            taken = told[at : at + random.randrange(1, size)]
            at += len(taken)
            frames = self._mutator.order(taken)
            steps += self._heard(b"".join(self._mutator.bytes_of(frames, self._garbled)))
            steps += self._between(at / len(told), size / len(told))
        return steps

    def _between(self, share: float, likely: float) -> list[Step]:
        random = self._random
        steps: list[Step] = []
        if random.random() < 2 * likely:
            steps.append(self._look(share))
        if random.random() < 0.7 * likely:
            steps.append(self._connected(share))
        if random.random() < likely:
            steps.append(Passed(random.choice((0.1, 2.0, 4.0, 4.0, 30.0))))
        if random.random() < 0.3 * likely:
            steps.append(Heard(render(_RELOAD)))
        if random.random() < likely:
            steps.append(
                Supervised(random.choice(_SESSIONS), random.randrange(5), over=random.random() < 0.3)
            )
        return steps

    def _together(self) -> list[Frame]:
        """The wires' events, each wire's in its order."""
        waiting = [[*scene.events] for scene in self._scenes]
        for events in waiting:
            events.reverse()
        told = []
        while any(waiting):
            events = self._random.choices(waiting, [len(events) for events in waiting])[0]
            told += [events.pop() for _ in range(min(len(events), self._random.choice((1, 5, 25))))]
        return told

    def _heard(self, data: bytes) -> list[Step]:
        """Bytes in chunks, whose ends fall anywhere."""
        random = self._random
        if random.random() < 0.7:
            return [Heard(data)]
        cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.choice((1, 3, 10))))
        pieces = [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]
        return [Heard(piece) for piece in pieces if piece]

    def _connected(self, share: float) -> Connected:
        look, random = self._look(share), self._random
        if random.random() < 0.9:
            return Connected(look)
        if random.random() < 0.5:
            return Connected(look, random.choice(_GREETINGS))
        key = random.choice(
            (b"Message", b"AsteriskVersion", b"Challenge", b"Response", b"ActionID", b"EventList")
        )
        return Connected(look, told=b"%b: %b\r\n" % (key, random.choice((*WORDS, *NUMBERS))))

    # Lists ----------------------------------------------------------------------------------------

    def _listing(self, share: float) -> dict[str, list[Frame]]:
        listings = [scene.listing(int(share * len(scene.events))) for scene in self._scenes]
        return {name: [item for listing in listings for item in listing[name]] for name in LISTS}

    def _look(self, share: float) -> Look:
        random = self._random
        listing = self._listing(share if random.random() < 0.8 else random.random())
        heard: Sequence[Frame] = ()
        if random.random() < 0.6:
            events = random.choice(self._scenes).events
            first = random.randrange(len(events))
            heard = self._mutator.order(events[first : first + random.choice((3, 10, 40))])
        answers = self._answers(listing, mutated=random.random() < 0.6)
        again = answers if random.random() < 0.6 else self._answers(listing, mutated=True)
        return Look(
            random.choice(_REASONS),
            answers,
            again,
            tuple(self._mutator.bytes_of(heard, self._garbled)),
            random.random() < 0.9,
        )

    def _answers(self, listing: dict[str, list[Frame]], *, mutated: bool) -> dict[str, Answer]:
        return {name: self._answer(items, mutated=mutated) for name, items in listing.items()}

    def _answer(self, items: list[Frame], *, mutated: bool) -> Answer:
        random, mutator = self._random, self._mutator
        if not mutated:
            return Answer(items=tuple(_tagged(render(item)) for item in items))
        chance = random.random()
        if chance < 0.02:
            mutator.count += 1
            return Answer(random.choice(_REFUSALS), (), b"")
        told = tuple(map(_tagged, mutator.bytes_of(mutator.order(items), self._garbled)))
        if chance < 0.03:
            return Answer(items=told, tail=b"")  # a list that never ends
        if chance < 0.04:
            return Answer(b"", told)  # one that never began
        return Answer(items=told)


def _tagged(item: bytes) -> bytes:
    """An item with the id of the request that asked for it, after its first line."""
    first, _, rest = item.partition(b"\r\n")
    return first + b"\r\nActionID: %ID%\r\n" + rest
