"""Click to audio: from the request to the first frame in which the supervisor's phone hears the customer.

ctid: POST /api/v1/supervisions. Beside it: a bare AMI Originate of the same phone into ChanSpy on the same
agent's channel. The phone answers by itself; both are taken in turns, on one call. Frames are 20 ms.
"""

import asyncio
import time

from bench.ami import Tap
from bench.figures import Report, Row, ratio_of
from bench.floor import SUPERVISOR, Floor, open_floor
from lab.phone_client import Phone

PAIRS = 20
AGENT, CUSTOMER = "1005", "3001"
NUMBER = "7001"
"""The queue without after-call work."""


async def _click(floor: Floor, phone: Phone) -> dict[str, float]:
    """Seconds since the request, by what happened."""
    told = len(phone.history)
    began = time.monotonic()
    session = await floor.supervise(AGENT)
    answered = time.monotonic() - began
    heard = await floor.first_heard(phone, CUSTOMER, began)
    times = _times(phone, told, began) | {"answer": answered, "heard": heard}
    await floor.end(session)
    return times


async def _bare(floor: Floor, tap: Tap, phone: Phone, unique: str) -> dict[str, float]:
    told = len(phone.history)
    began = time.monotonic()
    tap.send(
        Action="Originate",
        Channel=f"PJSIP/{SUPERVISOR}",
        Application="ChanSpy",
        Data=f"{unique},quE",
        Async="true",
    )
    heard = await floor.first_heard(phone, CUSTOMER, began)
    times = _times(phone, told, began) | {"heard": heard}
    await phone.hangup()
    return times


def _times(phone: Phone, told: int, began: float) -> dict[str, float]:
    """When the phone rang and was connected, in seconds since `began`; `told` are earlier states."""
    return {state: at - began for at, state in reversed(phone.history[told:])}


async def _measure() -> Report:
    report = Report(name="click", about="from the request to the first 20 ms in which she hears the customer")
    clicks: list[dict[str, float]] = []
    bares: list[dict[str, float]] = []
    async with open_floor() as floor, Tap(floor.rig.ports.ami) as tap:
        customer, agent, phone = await floor.phones.open(CUSTOMER, AGENT, SUPERVISOR)
        await phone.auto_answer(0.0)
        await floor.talk(customer, agent, NUMBER)
        unique = floor.unique_id(AGENT)
        for index in range(PAIRS + 1):
            click = await _click(floor, phone)
            await phone.wait_state("idle")
            await floor.quiet(2)
            bare = await _bare(floor, tap, phone, unique)
            await phone.wait_state("idle")
            await floor.quiet(2)
            if index:  # the first pair warms everything up
                clicks.append(click)
                bares.append(bare)
    for who, taken in (("ctid", clicks), ("bare ChanSpy", bares)):
        for step in ("ringing", "connected", "answer", "heard"):
            samples = tuple(times[step] * 1000 for times in taken if step in times)
            if samples:
                report.rows.append(Row(f"{who}: {_STEPS[step]}", "ms", samples))
    ours = next(row for row in report.rows if row.what == f"ctid: {_STEPS['heard']}")
    theirs = next(row for row in report.rows if row.what == f"bare ChanSpy: {_STEPS['heard']}")
    report.ratios.append(ratio_of("ctid / bare ChanSpy", ours, theirs, "at most 1.25"))
    report.notes.append("ChanSpy waits 100 ms by itself before it listens (Asterisk, app_chanspy.c)")
    return report


_STEPS = {
    "ringing": "her phone rings",
    "connected": "her phone is connected",
    "answer": "201 with the session",
    "heard": "she hears the customer",
}


def run() -> Report:
    """Measure; some 60 s."""
    return asyncio.run(_measure())
