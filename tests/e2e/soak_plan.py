"""The plan of a soak: who calls when, what agents do, and when ctid is cut off or killed. Pure, by a seed."""

import random
from typing import Literal

from msgspec import Struct

from lab import roster
from lab.sipp import Calling, Offer

CALLERS = roster.CUSTOMERS[:18]
"""SIPp's customers; the last two are phones."""
VISITORS = roster.CUSTOMERS[18:20]
CREW = ("1003", "1004", "1005", "1006", "1007", "1008")
"""SIPp's agents; 1001 and 1002 are phones."""
STAFF = ("1001", "1002")
SUPERVISOR = "2001"
NUMBERS = {"7000": 40, "7001": 30, "7002": 18, "7003": 12}
"""The numbers called, and how often: support, sales, desk (Local members), short (goes on to sales)."""
RATE = (4.0, 8.0)
SIZE = (6, 16)
GAP_S = (0.5, 3.0)
IMPATIENT, HURRIED_S, PATIENT_S = 0.2, (0.7, 3.0), (4.0, 12.0)
DECLINED, LET_RING, HELD = 0.12, 0.03, 0.15
TRANSFERRED, ONWARD = 0.2, ("7000", "7001")
"""Agents at phones send some on, also into the queue that they came from."""
RING_S, TALK_S, HOLD_S = (0.2, 1.5), (0.4, 4.0), (0.4, 1.5)
FOR_EVER_S = 300.0
"""Longer than any caller stays."""
CALLS_A_BLOW = 20
MANY_BLOWS = 12
"""Of so many at least one comes while somebody talks; of fewer, on a slow machine, perhaps none."""
CUT_S, AWAY_S = (0.0, 4.0), (0.0, 3.0)
CALM_S = 2.0
"""Nothing is cut off before."""

Kind = Literal["reset", "order", "kill", "kill while cut"]
_MODES = ("listen", "whisper", "barge")


class Burst(Struct, frozen=True, kw_only=True):
    """Calls that come together, from `at_s` after the beginning on, `rate` a second."""

    at_s: float
    rate: float
    calls: tuple[Calling, ...]


class Blow(Struct, frozen=True, kw_only=True):
    """What befalls ctid, `at_s` after the beginning: its line to AMI is cut (RST, FIN), or it is killed.

    `lasts_s`: until it is linked, or runs, again. `mode`: of the supervision that is going on by then.
    """

    at_s: float
    kind: Kind
    lasts_s: float
    mode: str


class Visit(Struct, frozen=True, kw_only=True):
    """A call by a phone: a pause, then whom it calls, and how long it stays unless the call is over."""

    pause_s: float
    number: str
    stays_s: float


class Plan(Struct, frozen=True, kw_only=True):
    """All of it. `visits`: of each visiting phone."""

    seed: int
    bursts: tuple[Burst, ...]
    offers: tuple[Offer, ...]
    blows: tuple[Blow, ...]
    visits: dict[str, tuple[Visit, ...]]

    @property
    def calls(self) -> int:
        """How many calls SIPp makes."""
        return sum(len(burst.calls) for burst in self.bursts)

    @property
    def lasts_s(self) -> float:
        """When the last call begins."""
        return max(burst.at_s + len(burst.calls) / burst.rate for burst in self.bursts)

    @property
    def within_s(self) -> float:
        """By then all of it is over, on a busy machine as well."""
        return 3 * self.lasts_s + 60

    @property
    def surely_supervises(self) -> bool:
        """Whether some blow must come under supervision; in a short soak nobody may talk when they come."""
        return len(self.blows) >= MANY_BLOWS


def plan_of(seed: int, calls: int) -> Plan:
    """The plan of so many calls of SIPp's; the same for the same seed and number."""
    bursts = _bursts(_dice(seed, "callers"), calls)
    last = bursts[-1]
    return Plan(
        seed=seed,
        bursts=bursts,
        offers=_offers(_dice(seed, "crew"), 2 * calls),
        blows=_blows(_dice(seed, "blows"), max(3, calls // CALLS_A_BLOW), last.at_s + len(last.calls) / 4),
        visits={number: _visits(_dice(seed, number), max(2, calls // 40)) for number in VISITORS},
    )


def dice_of(plan: Plan, number: str) -> random.Random:
    """What an agent at a phone throws, call by call."""
    return _dice(plan.seed, number)


def _dice(seed: int, whose: str) -> random.Random:
    return random.Random(f"{seed} {whose}")  # noqa: S311  # a play, not a secret


def _bursts(dice: random.Random, calls: int) -> tuple[Burst, ...]:
    found = []
    at, left = 0.0, calls
    while left:
        size = min(left, dice.randint(*SIZE))
        rate = dice.uniform(*RATE)
        found.append(Burst(at_s=at, rate=rate, calls=tuple(_calling(dice) for _ in range(size))))
        at += size / rate + dice.uniform(*GAP_S)
        left -= size
    return tuple(found)


def _calling(dice: random.Random) -> Calling:
    return Calling(
        caller=dice.choice(CALLERS),
        number=dice.choices(list(NUMBERS), list(NUMBERS.values()))[0],
        stays_s=dice.uniform(*(HURRIED_S if dice.random() < IMPATIENT else PATIENT_S)),
    )


def _offers(dice: random.Random, count: int) -> tuple[Offer, ...]:
    return tuple(offer_of(dice) for _ in range(count))


def offer_of(dice: random.Random) -> Offer:
    """What an agent does with the next call."""
    fate = dice.random()
    if fate < LET_RING:
        return Offer(ring_s=FOR_EVER_S, declines=True)
    ring = dice.uniform(*RING_S)
    if fate < LET_RING + DECLINED:
        return Offer(ring_s=ring, declines=True)
    holds = dice.uniform(*HOLD_S) if dice.random() < HELD else 0.0
    return Offer(ring_s=ring, stays_s=dice.uniform(*TALK_S), holds_s=holds)


def _blows(dice: random.Random, count: int, until_s: float) -> tuple[Blow, ...]:
    kinds: list[Kind] = []
    while len(kinds) < count:
        three: list[Kind] = ["reset", "order", "kill" if len(kinds) % 6 < 3 else "kill while cut"]
        dice.shuffle(three)
        kinds += three
    each = (until_s - CALM_S) / count
    return tuple(
        Blow(
            at_s=CALM_S + each * (place + dice.uniform(0.0, 0.7)),
            kind=kind,
            lasts_s=dice.uniform(*(AWAY_S if "kill" in kind else CUT_S)),
            mode=dice.choice(_MODES),
        )
        for place, kind in enumerate(kinds[:count])
    )


def _visits(dice: random.Random, count: int) -> tuple[Visit, ...]:
    return tuple(
        Visit(
            pause_s=dice.uniform(0.3, 3.0),
            number=dice.choice(("7000", "7000", "7003")),
            stays_s=dice.uniform(*PATIENT_S),
        )
        for _ in range(count)
    )
