"""Switch to voice: from the request to the first frame in which the agent hears the supervisor.

ctid: PATCH of a session from listen to whisper. Beside it: another phone in ChanSpy on the same agent's
channel, switched by a bare AMI PlayDTMF of `5`, the way without ARI. Both supervisors talk all the while;
the two are taken in turns, in one call, each back in listen before the other's turn. Frames are 20 ms.
"""

import asyncio
import time

from bench.ami import Tap
from bench.figures import Report, Row, ratio_of
from bench.floor import SUPERVISOR, Floor, open_floor, until
from lab.phone_client import Phone

PAIRS = 30
AGENT, CUSTOMER, SPY = "1005", "3001", "2002"
NUMBER = "7001"
CHANNEL = "bench-spy"
QUIET_S = 0.3
"""Before each turn nobody but the customer has been heard for so long."""


async def _quiet(floor: Floor, agent: Phone) -> None:
    """Wait until the agent hears the customer alone."""
    await floor.phones.hears_exactly(agent, {CUSTOMER}, window=QUIET_S)


async def _patched(floor: Floor, agent: Phone, session: str) -> float:
    began = time.monotonic()
    await floor.switch(session, "whisper")
    heard = await floor.first_heard(agent, SUPERVISOR, began)
    await floor.switch(session, "listen")
    return heard * 1000


async def _played(floor: Floor, agent: Phone, tap: Tap) -> float:
    began = time.monotonic()
    tap.send(Action="PlayDTMF", Channel=CHANNEL, Digit="5", Receive="true")
    heard = await floor.first_heard(agent, SPY, began)
    tap.send(Action="PlayDTMF", Channel=CHANNEL, Digit="4", Receive="true")
    return heard * 1000


async def _measure() -> Report:
    report = Report(name="whisper", about="from the request to the first 20 ms in which the agent hears her")
    patched: list[float] = []
    played: list[float] = []
    async with open_floor() as floor, Tap(floor.rig.ports.ami) as tap:
        customer, agent, phone, spy = await floor.phones.open(CUSTOMER, AGENT, SUPERVISOR, SPY)
        for supervisor in (phone, spy):
            await supervisor.auto_answer(0.0)
        await floor.talk(customer, agent, NUMBER)
        tap.send(
            Action="Originate",
            Channel=f"PJSIP/{SPY}",
            ChannelId=CHANNEL,
            Application="ChanSpy",
            Data=f"{floor.unique_id(AGENT)},quEd",
            Async="true",
        )
        await spy.wait_state("connected")
        await floor.phones.hears_exactly(spy, {CUSTOMER, AGENT})
        session = await floor.supervise(AGENT)
        for index in range(PAIRS + 1):
            await _quiet(floor, agent)
            ours = await _patched(floor, agent, session)
            await _quiet(floor, agent)
            theirs = await _played(floor, agent, tap)
            if index:  # the first pair warms everything up
                patched.append(ours)
                played.append(theirs)
        await floor.end(session)
        await customer.hangup()
        await until(lambda: _idle(spy), "the spy has left")
    ours_row = Row("ctid: PATCH to voice", "ms", tuple(patched))
    theirs_row = Row("bare AMI: PlayDTMF to voice", "ms", tuple(played))
    report.rows += [ours_row, theirs_row]
    report.ratios.append(ratio_of("ctid / bare AMI", ours_row, theirs_row, "ctid's median at most 80 ms"))
    return report


async def _idle(phone: Phone) -> bool:
    return phone.state == "idle"


def run() -> Report:
    """Measure; some 60 s."""
    return asyncio.run(_measure())
