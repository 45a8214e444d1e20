"""Switching live: how long a switch takes, what the supervisor misses of it, and who hears whom wrongly.

Silences are counted in whole frames of 20 ms, in what her phone heard from just before the request until
after it. A frame is wrong when somebody is heard in it whom neither the old mode nor the new one lets be
heard there; and missing when somebody is not heard in it whom both do.
"""

import asyncio
import time
from itertools import pairwise

from msgspec import Struct

from bench.figures import Report, Row
from bench.floor import SUPERVISOR, Floor, open_floor
from lab import tones
from lab.hearing import describe
from lab.phone_client import Phone
from lab.tones import THRESHOLD, Heard, Timeline

ROUNDS = 10
TAKEOVERS = 20
AGENT, CUSTOMER = "1005", "3001"
NUMBER = "7001"
BEFORE_S = 0.2
AFTER_S = 0.5
"""Watched around a switch."""
LONGEST_S = 3.0
"""A switch that is not heard by then has failed, and the bench with it."""
ROUND = ("listen", "whisper", "listen", "barge", "listen", "whisper", "barge", "whisper", "barge", "listen")
"""Modes in an order that has each of the six switches, some of them twice."""

Picture = dict[str, frozenset[str]]
"""Who hears whom: phone -> the phones whose tones it hears."""


def picture(mode: str) -> Picture:
    """Who hears whom in a mode."""
    return {
        SUPERVISOR: frozenset({AGENT, CUSTOMER}) if mode != "takeover" else frozenset({CUSTOMER}),
        AGENT: {
            "listen": frozenset({CUSTOMER}),
            "whisper": frozenset({CUSTOMER, SUPERVISOR}),
            "barge": frozenset({CUSTOMER, SUPERVISOR}),
            "takeover": frozenset[str](),
        }[mode],
        CUSTOMER: {
            "listen": frozenset({AGENT}),
            "whisper": frozenset({AGENT}),
            "barge": frozenset({AGENT, SUPERVISOR}),
            "takeover": frozenset({SUPERVISOR}),
        }[mode],
    }


class Seen(Struct):
    """What a switch looked like: seconds, and frames."""

    request: float
    gap: float
    """The longest silence of customer or agent in what the supervisor heard."""
    settled: float
    """From the request to the last change in what agent and customer hear."""
    wrong: dict[str, int]
    """Frames with somebody who is in neither picture: `1005 hears 1005`."""
    missed: dict[str, int]
    """Frames without somebody who is in both pictures."""


class NotYet(Exception):
    """Somebody is not heard whom the new picture has."""


def examine(heard: dict[str, Heard], old: Picture, new: Picture, began: float, request: float) -> Seen:
    """Compare what the phones heard with the pictures before and after. Pure. Raises NotYet."""
    gap = settled = 0.0
    wrong: dict[str, int] = {}
    missed: dict[str, int] = {}
    for phone, frames in heard.items():
        for speaker in (AGENT, CUSTOMER, SUPERVISOR):
            line = Timeline(frames.times, tones.levels(frames.samples, [tones.TONES[speaker]])[:, 0])
            loud = line.levels >= THRESHOLD
            before, after = speaker in old[phone], speaker in new[phone]
            if before and after:
                missed[f"{phone} hears {speaker}"] = int((~loud).sum())
                if phone == SUPERVISOR:
                    gap = max(gap, line.longest_gap())
            elif not before and not after:
                wrong[f"{phone} hears {speaker}"] = int(loud.sum())
            else:
                at = line.first_heard() if after else line.last_heard()
                if at is None:
                    raise NotYet(f"{phone} does not hear {speaker}: {describe(frames)}")
                settled = max(settled, at - began)
    return Seen(request, gap, settled, _some(wrong), _some(missed))


def _some(counts: dict[str, int]) -> dict[str, int]:
    return {what: count for what, count in counts.items() if count}


async def _hear(phones: list[Phone], since: float) -> dict[str, Heard]:
    heard = await asyncio.gather(*(phone.heard(since) for phone in phones))
    return {phone.number: frames for phone, frames in zip(phones, heard, strict=True)}


async def _switch(floor: Floor, phones: list[Phone], session: str, old: str, new: str) -> Seen:
    """Switch, and watch. A phone that is out of the call hears nothing any more."""
    await asyncio.sleep(BEFORE_S)
    began = time.monotonic()
    await floor.switch(session, new)
    request = time.monotonic() - began
    deadline = time.monotonic() + LONGEST_S
    while True:
        await asyncio.sleep(AFTER_S)
        heard = await _hear(phones, began - BEFORE_S / 2)
        try:
            return examine(heard, picture(old), picture(new), began, request)
        except NotYet:
            if time.monotonic() > deadline:
                raise


def _rows(report: Report, what: str, seen: list[Seen]) -> None:
    for name, samples in (
        ("request", [s.request * 1000 for s in seen]),
        ("new picture is heard", [s.settled * 1000 for s in seen]),
        ("longest silence for her", [s.gap * 1000 for s in seen]),
    ):
        report.rows.append(Row(f"{what}: {name}", "ms", tuple(samples)))
    wrong = [sum(s.wrong.values()) for s in seen]
    missed = [sum(s.missed.values()) for s in seen]
    report.rows.append(Row(f"{what}: wrong frames", "frames", tuple(map(float, wrong))))
    report.rows.append(Row(f"{what}: missing frames", "frames", tuple(map(float, missed))))
    for kind in ("wrong", "missed"):
        total: dict[str, int] = {}
        for one in seen:
            for who, count in getattr(one, kind).items():
                total[who] = total.get(who, 0) + count
        if total:
            told = ", ".join(f"{who} {count}" for who, count in sorted(total.items()))
            report.notes.append(f"{what}, frames {kind} in all of {len(seen)}: {told}")


async def _measure() -> Report:
    report = Report(name="switch", about="live switches of the mode, and the take-over; frames of 20 ms")
    modes: dict[tuple[str, str], list[Seen]] = {}
    takeovers: list[Seen] = []
    async with open_floor() as floor:
        customer, agent, phone = everyone = await floor.phones.open(CUSTOMER, AGENT, SUPERVISOR)
        await phone.auto_answer(0.0)
        await floor.talk(customer, agent, NUMBER)
        session = await floor.supervise(AGENT)
        for _ in range(ROUNDS):
            for old, new in pairwise(ROUND):
                modes.setdefault((old, new), []).append(await _switch(floor, everyone, session, old, new))
        for index in range(TAKEOVERS):
            if index:
                await floor.talk(customer, agent, NUMBER)
                session = await floor.supervise(AGENT)
                await floor.phones.hears_exactly(phone, {AGENT, CUSTOMER})
            takeovers.append(await _switch(floor, everyone, session, "listen", "takeover"))
            await customer.hangup()
            await floor.quiet(0)
            await phone.wait_state("idle")
    for (old, new), seen in sorted(modes.items()):
        _rows(report, f"{old} to {new}", seen)
    _rows(report, "take-over", takeovers)
    return report


def run() -> Report:
    """Measure; some 120 s."""
    return asyncio.run(_measure())
