"""Mutations: of what frames say and of their order, and of the bytes that they come as."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from random import Random

from fuzz.frames import END, Frame, Line, render
from fuzz.seeds import Scene

NUMBERS = (
    b"0", b"1", b"-1", b"-0", b"+3", b" 5 ", b"1_0", b"0x10", b"1.5", b"1e3", b"1e308", b"1e999", b"nan",
    b"inf", b"-inf", b"4294967296", b"9223372036854775807", b"9223372036854775808", b"-99999999999",
    b"253402300800", b"9" * 25, b"9" * 400, b"9" * 5000, "\u0663".encode(), "\u00b2".encode(), b"00:00:00",
    b"99999999:0:0", b"1:2:3:4",
)  # fmt: skip
"""What a field may hold where a number is due."""

WORDS = (
    b"", b" ", b"none", b"<unknown>", b"ctid-", b"ctid-app.s1-phone-1.2", b"ctid-app.s2-phone-3.4", b"ctid-x",
    b"PJSIP/", b"/", b"-", b";1", b"Local/", b"Local/1007@from-queue/n", b"Agent:", b"Agent:1006",
    b"hint:1007@ext-local", b"PJSIP/1001-00000001", b"a/b+#", b"\0", b"\xff\xfe", b"\xed\xa0\x80", b"\xc3",
    "\u65e5\u672c".encode(), "\U0001f4de".encode(), b"x" * 3000, b"holding_bridge", b"basic", b"base", b"6",
    b"5", b"4", b"ANSWER", b"Success", b"Threeway", b"TIMEOUT", b"CONTINUE", b"QUEUESTATUS", b"CTIDFENCE",
    b"PJSIP", b"Queue", b"AppQueue", b"Stasis", b"(Outgoing Line)", b"1", b"yes", b"start", b"Complete",
    b"a\\", b"\\a\\b\\z", b":", b": ",
)  # fmt: skip
"""What it may hold where a word is due: the words that decide, and what is none."""

_IDS = (
    b"uniqueid",
    b"linkedid",
    b"channel",
    b"interface",
    b"location",
    b"queue",
    b"device",
    b"agent",
    b"uri",
)
_KEPT = 2000
"""Bytes that may be repeated at once."""
HUGE = 300_000
"""A line longer than the fuzzed session's bound of a message."""


class Pools:
    """What the frames of some scenes say, by key; keys that name the same kind of thing are one."""

    def __init__(self, scenes: Iterable[Scene]) -> None:
        self.values: defaultdict[bytes, dict[bytes, None]] = defaultdict(dict)
        self.frames: list[Frame] = []
        for scene in scenes:
            self.frames += scene.events
            for event in scene.events:
                for key, value in event:
                    self.values[_kind(key)][value] = None
        self._lists = {key: [*values] for key, values in self.values.items()}

    def of(self, key: bytes) -> Sequence[bytes]:
        """What is said under a key, or under others of its kind."""
        return self._lists.get(_kind(key), (b"",))


def _kind(key: bytes) -> bytes:
    """`DestUniqueid` and `Linkedid` name channels alike."""
    lower = key.lower()
    if lower.endswith((b"uniqueid", b"linkedid")):
        return b"bridge" if b"bridge" in lower else b"uniqueid"
    return next((word for word in _IDS if lower.endswith(word)), lower)


class Mutator:
    """Mutates frames, each with the probability `rate`; `count` is how many it has changed or moved."""

    def __init__(self, random: Random, pools: Pools, rate: float) -> None:
        self._random = random
        self._pools = pools
        self._rate = rate
        self.count = 0

    def order(self, frames: Sequence[Frame]) -> list[Frame]:
        """Lose some, repeat some, and let some come earlier or later; each may be changed as well."""
        random, out = self._random, list[Frame]()
        late: list[tuple[int, Frame]] = []
        for number, given in enumerate(frames):
            out += [frame for due, frame in late if due == number]
            late = [(due, frame) for due, frame in late if due > number]
            if random.random() >= self._rate:
                out.append(given)
                continue
            self.count += 1
            match random.randrange(12):
                case 0:
                    pass
                case 1:
                    out += [given] * random.choice((1, 2, 2, 5))
                    out.append(self.field(given))
                case 2:
                    late.append((number + random.choice((1, 2, 5, 20, 100)), given))
                case 3:
                    out += [given, self.field(random.choice(self._pools.frames))]
                case _:
                    out.append(self.field(given))
        return out + [frame for _, frame in late]

    def each(self, frames: Iterable[Frame]) -> list[Frame]:
        """The items of a list: lose and repeat some, change some."""
        return self.order([*frames])

    def field(self, given: Frame) -> Frame:
        """Change one to three fields of a frame."""
        lines = list(given)
        for _ in range(self._random.choice((1, 1, 1, 2, 3))):
            self._change(lines)
        return tuple(lines)

    def _change(self, lines: list[Line]) -> None:
        random = self._random
        if not lines:
            return
        at = random.randrange(len(lines))
        key, value = lines[at]
        match random.randrange(12):
            case 0:
                del lines[at]
            case 1:
                lines[at] = key, b""
            case 2 | 3:
                numbers = [n for n, (_, old) in enumerate(lines) if old[:1].isdigit()]
                at = random.choice(numbers) if numbers else at
                lines[at] = lines[at][0], random.choice(NUMBERS)
            case 4:
                lines[at] = key, random.choice(WORDS)
            case 5:
                lines[at] = key, self._unseen()
            case 6:
                lines.insert(random.randrange(len(lines) + 1), (key, random.choice(self._pools.of(key))))
            case 7:
                other = random.randrange(len(lines))
                lines[at], lines[other] = (key, lines[other][1]), (lines[other][0], value)
            case 8:
                lines[0] = lines[0][0], random.choice(self._pools.of(b"Event"))
            case 9:
                ids = [
                    n
                    for n, (name, _) in enumerate(lines)
                    if _kind(name) in (b"uniqueid", b"bridge", b"channel")
                ]
                at = random.choice(ids) if ids else at
                lines[at] = lines[at][0], random.choice(self._pools.of(lines[at][0]))
            case 10:
                other_frame = random.choice(self._pools.frames)
                lines[1:] = other_frame[1:]
            case _:
                lines[at] = key, random.choice(self._pools.of(key))

    def _unseen(self) -> bytes:
        number = self._random.randrange(10**9)
        return self._random.choice((b"%d.%d", b"x%d-%d", b"PJSIP/u%d-%08d", b"Local/%d@q-%d;1")) % (
            number,
            number,
        )

    def bytes_of(self, frames: Iterable[Frame], rate: float) -> list[bytes]:
        """The bytes of frames, those of some mutated."""
        out = []
        for frame in frames:
            data = render(frame)
            if self._random.random() < rate:
                self.count += 1
                data = self.garble(data)
            out.append(data)
        return out

    def garble(self, data: bytes) -> bytes:
        """Damage bytes as no Asterisk does, or as one whose values were never checked."""
        random = self._random
        at, to = sorted((random.randrange(len(data) + 1), random.randrange(len(data) + 1)))
        match random.randrange(13):
            case 0:
                out = data[:at] + bytes([random.randrange(256)]) + data[at + 1 :]
            case 1:
                out = data[:at] + data[to:]
            case 2:
                out = data[:at] + random.randbytes(random.choice((1, 2, 8, 64))) + data[at:]
            case 3:
                out = data[:to] + data[at : min(to, at + _KEPT)] + data[to:]
            case 4:
                out = data[:at] + b"A" * random.choice((1000, 5000, 70_000, HUGE)) + data[at:]
            case 5:
                out = data.removesuffix(END)
            case 6:
                out = data.replace(b"\r\n", b"\n")
            case 7:
                out = data.removesuffix(b"\r\n")
            case 8:
                out = data[:at] + b"\0" * random.choice((1, 3, 500)) + data[at:]
            case 9:
                out = data[:at] + random.choice((b"\xff", b"\xc3", b"\xed\xa0\x80", b"\xf8\x88")) + data[at:]
            case 10:
                out = data[:at] + random.choice((b"\r\n", b"\n", b"\r", END, b"\n\n")) + data[at:]
            case 11:
                out = data + b"\r\n" * random.choice((1, 2, 3))
            case _:
                out = b"\r\n".join(random.sample(lines := data.split(b"\r\n"), len(lines)))
        return out
