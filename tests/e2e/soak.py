"""A soak: many random calls while ctid is cut off and killed, and then its figures against the PBX's books.

All that is random is in the plan (`soak_plan`); what a call meets depends on the machine's pace as well.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from urllib.parse import quote

from e2e import books, records, soak_books, truth
from e2e.floor import Floor
from e2e.soak_books import Told
from e2e.soak_plan import (
    CREW,
    ONWARD,
    STAFF,
    SUPERVISOR,
    TRANSFERRED,
    Blow,
    Burst,
    Plan,
    Visit,
    dice_of,
    offer_of,
)
from helpers.desk import read_audit
from helpers.patience import until
from lab import sipp
from lab.cutter import Cutter
from lab.errors import PhoneError
from lab.phone_client import Phone

TELL_S = 4.0
STEP_S = 0.1
LINKED_S = 15.0
FILLED_S = 30.0
QUIET_S = 20.0
SUPERVISED_S = 4.0
"""So long before a blow somebody is looked for who talks, to be listened to."""
A_DAY_S = 86_400.0


class Soak:
    """One run of a plan on a floor whose daemon reaches AMI by the cutter.

    `say` takes a line of progress. `counts` has what happened beside the calls.
    """

    def __init__(self, floor: Floor, cutter: Cutter, plan: Plan, say: Callable[[str], None]) -> None:
        self.counts: Counter[str] = Counter()
        self._floor = floor
        self._rig = floor.rig
        self._api = floor.api
        self._cutter = cutter
        self._plan = plan
        self._say = say
        self._began = 0.0
        self._made = 0
        self._since = ""

    async def run(self) -> None:
        """Make all calls and strike all blows; returns when the last call is over.

        Raises:
            TimeoutError: it is not over by the plan's `within_s`.
            LabError, AssertionError: a program of the lab, or ctid after a blow, is not as it must be.
        """
        phones = await self._floor.phones.open(*STAFF, *self._plan.visits, SUPERVISOR)
        staff, visitors = phones[: len(STAFF)], phones[len(STAFF) : -1]
        await phones[-1].auto_answer(0.0)
        for number in STAFF:
            await until(partial(self._floor.agent_is, number, "ready"), what=f"{number} is ready")
        self._since = (await self._api.get("/status"))["at"][:19] + "Z"  # the log tells whole seconds
        self._began = time.monotonic()
        offers, within = self._plan.offers, self._plan.within_s
        async with asyncio.timeout(within):
            async with sipp.Crew(self._rig, CREW, offers, within) as crew, asyncio.TaskGroup() as always:
                endless = [always.create_task(self._work(phone)) for phone in staff]
                endless.append(always.create_task(self._tell()))
                async with asyncio.TaskGroup() as bounded:
                    for burst in self._plan.bursts:
                        bounded.create_task(self._call(burst))
                    for visitor in visitors:
                        bounded.create_task(self._visit(visitor, self._plan.visits[visitor.number]))
                    bounded.create_task(self._strike())
                for task in endless:
                    task.cancel()
        self.counts["failed at SIPp's agents"] = crew.count.failed
        self._say(f"{self._clock()} all calls are over: {dict(self.counts)}")

    # Calls ----------------------------------------------------------------------------------------

    async def _call(self, burst: Burst) -> None:
        await self._at(burst.at_s)
        count = await sipp.call(
            self._rig, burst.calls, burst.rate, seconds=self._plan.within_s - self._plan.lasts_s
        )
        self._made += count.made
        self.counts["made by SIPp"] += count.made
        self.counts["failed at SIPp's callers"] += count.failed

    async def _visit(self, phone: Phone, visits: tuple[Visit, ...]) -> None:
        for visit in visits:
            await asyncio.sleep(visit.pause_s)
            try:
                self._made += 1
                await phone.dial(visit.number)
                await _is(phone, "idle", visit.stays_s)
                await phone.hangup()
            except PhoneError:
                self.counts["crossed"] += 1  # the other side was quicker, as with people
            self.counts["made by phones"] += 1

    async def _work(self, phone: Phone) -> None:
        dice = dice_of(self._plan, phone.number)
        while True:
            offer = offer_of(dice)
            await phone.wait_state("ringing", within=A_DAY_S)
            try:
                if not await _is(phone, "idle", offer.ring_s):
                    await (phone.decline() if offer.declines else self._talk(phone, offer, dice))
            except PhoneError:
                self.counts["crossed"] += 1
            await phone.wait_state("idle", within=A_DAY_S)

    async def _talk(self, phone: Phone, offer: sipp.Offer, dice: random.Random) -> None:
        onward = dice.choice(ONWARD) if dice.random() < TRANSFERRED else ""
        await phone.answer()
        if await _is(phone, "idle", offer.stays_s):
            return
        if offer.holds_s:
            await phone.hold()
            self.counts["held at a phone"] += 1
            if await _is(phone, "idle", offer.holds_s):
                return
            await phone.unhold()
        if onward:
            await phone.transfer(onward)
            self.counts["transferred at a phone"] += 1
        await phone.hangup()

    # Blows ----------------------------------------------------------------------------------------

    async def _strike(self) -> None:
        for blow in self._plan.blows:
            await self._at(blow.at_s)
            watched = await self._supervise(blow)
            under = "under" if watched else "no"
            self._say(f"{self._clock()} {blow.kind} for {blow.lasts_s:.1f} s, {under} supervision")
            self.counts[blow.kind] += 1
            self.counts["blows under supervision"] += watched
            if blow.kind in ("reset", "order"):
                self._cutter.cut(reset=blow.kind == "reset")
                await asyncio.sleep(blow.lasts_s)
                self._cutter.restore()
            else:
                await self._kill(blow)
            await until(self._is_linked, within=LINKED_S, what="the link is back")

    async def _kill(self, blow: Blow) -> None:
        if blow.kind == "kill while cut":
            self._cutter.cut()
            await asyncio.sleep(blow.lasts_s / 2)
        self._rig.kill("ctid")
        self._cutter.restore()
        await asyncio.sleep(blow.lasts_s / 2)
        self._rig.restart("ctid")

    async def _supervise(self, blow: Blow) -> bool:
        """Have a supervision going on, if anybody talks; whether one is."""
        late = time.monotonic() + SUPERVISED_S
        while time.monotonic() < late:
            if any(one["state"] == "active" for one in (await self._api.get("/supervisions"))["items"]):
                return True
            for agent in (await self._api.get("/agents"))["items"]:
                if agent["state"] == "busy":
                    answer = await self._api.supervise(agent=agent["id"], mode=blow.mode)
                    self.counts[f"supervision: {answer.code or answer.body['state']}"] += 1
                    break
            await asyncio.sleep(STEP_S)
        return False

    async def _is_linked(self) -> bool:
        (link,) = (await self._api.get("/status"))["pbxs"]
        return bool(link["state"] == "connected" and link["synchronized_at"])

    # Telling --------------------------------------------------------------------------------------

    def _clock(self) -> str:
        return f"[{time.monotonic() - self._began:5.1f} s]"

    async def _at(self, seconds: float) -> None:
        await asyncio.sleep(max(0.0, self._began + seconds - time.monotonic()))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            names = Counter(told.moment.name for told in self._log())
            counted = ", ".join(f"{names[name]} {name.partition('_')[2]}" for name in sorted(names))
            self._say(f"{self._clock()} {counted}; of {self._plan.calls} calls and some by phones")

    def _log(self) -> list[Told]:
        return soak_books.of_log(records.parse_queue_log(self._rig.paths.queue_log.read_text()))

    # The end --------------------------------------------------------------------------------------

    async def problems(self) -> list[str]:
        """What ctid has wrong, and what is left over, as sentences; none where all is well."""
        rig = self._rig
        found = []
        if not rig.wait(lambda: not rig.channels(), QUIET_S):
            found.append(f"channels are left: {[fields[0] for fields in rig.channels()]}")
        if not rig.is_alive("ctid"):
            return [*found, "ctid has ended by itself"]
        await until(self._is_linked, within=LINKED_S, what="the link is back")
        await until(self._is_filled, within=FILLED_S, what="no gap is left to be filled")
        found += await self._left_over()
        found += self._unended()
        found += await self._counted()
        trace = (rig.paths.log / "ctid.out").read_text()
        if "Traceback" in trace:
            at = trace.index("Traceback")
            found.append(f"ctid wrote of an exception: {trace[at : at + 2000]}")
        return found

    async def _is_filled(self) -> bool:
        history = (await self._api.get("/status"))["history"]
        return bool(history["gaps_open"] == 0 and history["waiting"] == 0 and not history["behind"])

    async def _left_over(self) -> list[str]:
        found = []
        try:
            await truth.agree(self._rig, self._api)
        except AssertionError as error:
            found.append(str(error))
        for kind in ("calls", "supervisions"):
            items = (await self._api.get(f"/{kind}"))["items"]
            if items:
                found.append(f"{kind} are left: {items}")
        if ours := self._floor.ours():
            found.append(f"ctid has left on the PBX: {ours}")
        for turn in ("first", "second"):
            answer = await self._api.call("POST", "/pbxs/lab/reconcile", {})
            if answer.status != 200:
                found.append(f"no reconcile: {answer}")
            elif answer.body["drift"]:
                found.append(f"the {turn} reconcile after it found drift: {answer.body['drift']}")
        if ghosts := (await self._api.get("/ghosts"))["ghosts"]:
            found.append(f"there are ghosts: {ghosts}")
        return found

    def _unended(self) -> list[str]:
        """Each session that the audit tells of has ended in it."""
        entries = read_audit(self._rig.base / "ctid" / "audit")
        last = {entry.supervision.id: (entry, entry.supervision) for entry in entries if entry.supervision}
        ends = Counter(str(session.end) for _, session in last.values())
        self._say(f"{self._clock()} {len(last)} supervisions, by their ends: {dict(ends)}")
        return [f"the audit has no end of {entry}" for entry, _ in last.values() if entry.event != "ended"]

    async def _counted(self) -> list[str]:
        log, ledger = self._log(), soak_books.of_ledger(await self._ledger())
        rows = records.parse_call_records(self._rig.paths.call_records.read_text())
        told = Counter(one.source for one in ledger)
        self._say(f"{self._clock()} {len(log)} moments in queue_log, in the ledger {dict(told)}")
        found = [
            *soak_books.ends_differ(log),
            *soak_books.offers_differ(log, rows, self._made),
            *soak_books.differ(log, ledger, soak_books.callers(rows)),
        ]
        figures = await self._api.get(f"/figures?since={quote(self._since)}")
        found += books.figures_differ((one.moment for one in log), figures)
        if not figures["complete"]:
            found.append(f"the figures say that they are not complete: {figures['gaps']}")
        for one in figures["queues"]:
            kept = ("queue", "offered", "answered", "abandoned", "left", "missed", "hold_s", "talk_s")
            self._say(" ".join(f"{name} {one[name]}" for name in kept))
        return found

    async def _ledger(self) -> list[dict[str, object]]:
        items: list[dict[str, object]] = []
        cursor: str | None = ""
        while cursor is not None:
            page = await self._api.get(f"/figures/calls?since={quote(self._since)}&limit=500&cursor={cursor}")
            items += page["items"]
            cursor = page["next"]
        return items


async def _is(phone: Phone, state: str, within: float) -> bool:
    """Whether a phone came into this state within so many seconds; returns when it has."""
    try:
        await phone.wait_state(state, within=within)
    except PhoneError:
        return False
    return True
