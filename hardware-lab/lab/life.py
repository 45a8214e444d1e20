"""The demo's random life: customers call, wait, give up; agents answer, hold, transfer, pause. Seeded."""

import asyncio
import random
import re
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from ctid.tasks import TaskOwner
from lab import roster
from lab.errors import PhoneError
from lab.phone_client import Phone
from lab.stage import Stage

TOGETHER = (3, 6)
"""So many customers are on the line at a time."""
AT_ONCE_PAUSED = 2
MISSED, IMPATIENT, HELD, TRANSFERRED, PAUSED, CUSTOMER_ENDS = 0.06, 0.12, 0.3, 0.15, 0.2, 0.4
"""How often, 0 to 1."""
STEP = 0.1
A_DAY = 86_400.0
ENTRIES = {queue.name: queue.number for queue in roster.QUEUES}
WEIGHTS = {"support": 60, "sales": 26, "desk": 14}


class Life:
    """Moves the phones of a stage until its tasks are closed.

    `counts` has what happened so far. What fails because the other side was quicker, as with people, is
    counted as `crossed` and written to `log` with its error.
    """

    def __init__(self, stage: Stage, customers: tuple[str, ...], seed: int, log: Path) -> None:
        self.counts: Counter[str] = Counter()
        self.paused: set[str] = set()
        self._stage = stage
        self._customers = customers
        self._calling: set[str] = set()
        self._log = log
        # One for each: what one does then depends on nobody else's pace.
        self._dice = {
            number: random.Random(f"{seed} {number}")  # noqa: S311  # a play, not a secret
            for number in ("crowd", *customers, *(agent.number for agent in roster.AGENTS))
        }

    def begin(self, tasks: TaskOwner) -> None:
        """Let it begin, as some of `tasks`."""
        for agent in roster.AGENTS:
            tasks.spawn(f"agent {agent.number}", self._agent(agent))
        tasks.spawn("crowd", self._crowd(tasks))

    def summary(self) -> str:
        """What goes on, and what has happened so far, in a line."""
        now = f"{len(self._calling)} customers on the line, {len(self._stage.talking)} with an agent"
        kinds = ("calls", "answered", "abandoned", "missed", "held", "transferred", "paused", "crossed")
        return f"{now}; so far {', '.join(f'{self.counts[kind]} {kind}' for kind in kinds)}"

    async def _crowd(self, tasks: TaskOwner) -> None:
        dice = self._dice["crowd"]
        target, until = TOGETHER[1] - 1, time.monotonic() + 20.0
        while True:
            if time.monotonic() >= until:
                target, until = dice.randint(*TOGETHER), time.monotonic() + dice.uniform(8, 20)
            idle = [number for number in self._customers if number not in self._calling]
            if idle and len(self._calling) < target:
                customer = dice.choice(idle)
                self._calling.add(customer)
                tasks.spawn(f"customer {customer}", self._customer(customer))
            await asyncio.sleep(dice.uniform(0.2, 1.0))

    async def _customer(self, number: str) -> None:
        dice, phone = self._dice[number], self._stage.phones[number]
        queue = dice.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        patience = dice.uniform(1, 3) if dice.random() < IMPATIENT else dice.uniform(15, 40)
        try:
            await phone.dial(ENTRIES[queue])
            self.counts["calls"] += 1
            await self._wait_for_an_agent(phone, patience)
            await asyncio.sleep(dice.uniform(0.5, 4))
        except PhoneError as error:
            await self._cross(phone, error)
        finally:
            self._calling.discard(number)

    async def _wait_for_an_agent(self, phone: Phone, patience: float) -> None:
        """Stay on the line, and hang up after so many seconds in a row with nobody to talk to."""
        alone_since = time.monotonic()
        while phone.state != "idle":
            await asyncio.sleep(STEP)
            now = time.monotonic()
            if phone.number in self._stage.talking.values() or self._stage.is_kept(phone.number):
                alone_since = now
            elif now - alone_since > patience:
                self.counts["abandoned"] += 1
                await phone.hangup()

    async def _agent(self, agent: roster.Agent) -> None:
        phone = self._stage.phones[agent.number]
        while True:
            await phone.wait_state("ringing", within=A_DAY)
            try:
                if await self._pick_up(phone):
                    await self._converse(agent, phone)
                    await self._rest(phone)
            except PhoneError as error:
                await self._cross(phone, error)

    async def _pick_up(self, phone: Phone) -> bool:
        """Answer after a moment, or let it ring; True where the agent has a call then."""
        dice = self._dice[phone.number]
        if dice.random() < MISSED:
            self.counts["missed"] += 1
            await phone.until(lambda: phone.state != "ringing", "left in peace", within=60)
            return False
        moment = time.monotonic() + dice.uniform(0.3, 2.0)
        await self._while(
            lambda: (
                phone.state == "ringing" and (time.monotonic() < moment or self._stage.is_kept(phone.number))
            )
        )
        if phone.state != "ringing":
            return False
        await phone.answer(within=5)
        self.counts["answered"] += 1
        return True

    async def _converse(self, agent: roster.Agent, phone: Phone) -> None:
        dice, stage = self._dice[agent.number], self._stage
        match = re.search(r"sip:(\d+)@", phone.remote)
        customer = match[1] if match else phone.remote
        stage.talking[agent.number] = customer
        try:
            if not await self._talk(phone, dice.uniform(5, 14)):
                return
            fate = dice.random()
            if fate < HELD:
                self.counts["held"] += 1
                await phone.hold()
                await asyncio.sleep(dice.uniform(2, 4))
                await phone.unhold()
            elif fate < HELD + TRANSFERRED:
                self.counts["transferred"] += 1
                elsewhere = [ENTRIES[name] for name in ENTRIES if name not in agent.queues]
                await phone.transfer(dice.choice(elsewhere))
                return
            if not await self._talk(phone, dice.uniform(4, 16)):
                return
            if dice.random() < CUSTOMER_ENDS and customer in self._customers:
                await stage.phones[customer].hangup()
                await phone.wait_state("idle")
            else:
                await phone.hangup()
        finally:
            del stage.talking[agent.number]

    async def _talk(self, phone: Phone, seconds: float) -> bool:
        """Talk for a while, and as long as the call is to be left alone; False where it is over."""
        until = time.monotonic() + seconds
        self._stage.quiet.add(phone.number)
        try:
            await self._while(
                lambda: (
                    phone.state == "connected"
                    and (time.monotonic() < until or self._stage.is_kept(phone.number))
                )
            )
        finally:
            self._stage.quiet.discard(phone.number)
        return phone.state == "connected"

    async def _rest(self, phone: Phone) -> None:
        """Now and then pause with a reason, and come back."""
        dice, number = self._dice[phone.number], phone.number
        if dice.random() >= PAUSED or len(self.paused) >= AT_ONCE_PAUSED:
            return
        self.paused.add(number)
        self.counts["paused"] += 1
        await phone.wait_state("idle")
        await phone.dial(f"*45{dice.randint(1, 5)}")
        await phone.wait_state("idle")
        await asyncio.sleep(dice.uniform(6, 20))
        await self._while(lambda: self._stage.is_kept(number))
        await phone.dial("*46")
        await phone.wait_state("idle")
        self.paused.discard(number)

    async def _while(self, condition: Callable[[], bool]) -> None:
        """Wait as long as a condition holds that time, too, makes false."""
        while condition():  # noqa: ASYNC110  # no event says that a time has come
            await asyncio.sleep(STEP)

    async def _cross(self, phone: Phone, error: PhoneError) -> None:
        """Two acted at once: write it down, and leave the phone idle. Raises where its process has died."""
        self.counts["crossed"] += 1
        with self._log.open("a") as log:
            log.write(f"{time.strftime('%H:%M:%S')} {error}\n")
        await phone.hangup()
        if phone.number in self.paused:
            await phone.dial("*46")
            await phone.wait_state("idle")
            self.paused.discard(phone.number)
