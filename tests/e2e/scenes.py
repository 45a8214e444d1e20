"""A scene: one kind of call on the rig, compared with the PBX after each of its steps, and with its books.

async def test_it(scene):
    caller, agent = await scene.open("3001", "1001")
    await caller.dial("7000")
    await scene.settled("alerting inbound support: 3001 customer queued, 1001 agent alerting")
    ...
    await scene.over()

What is found is gathered, and `over` raises it: a scene goes on after a step that ctid got wrong.
"""

import os
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from bench.ami import Tap
from ctid.model.ids import PbxId
from ctid.ports import CaptureOrder
from ctid_asterisk.driver import AsteriskDriver
from e2e import books, records, truth
from e2e.floor import Floor
from e2e.watching import Watched
from helpers.captures import story
from helpers.patience import until
from lab import roster
from lab.phone_client import Phone

SHOWN_S = 3.0
"""What the PBX has done ctid shows within so long, on a busy machine as well."""
BOOKED_S = 3.0
HEARD_S = 8.0
DRIFT = "drift:"
RECORD_TO = "CTID_RECORD"
"""The environment variable that names a folder: each wire is kept in it, scrubbed, and what it tells."""


class Scene:
    """The rig, its phones, what ctid tells, and what was found to be wrong so far.

    `problems` are sentences, each with the step that it was found in.
    """

    def __init__(self, name: str, floor: Floor, ami: Tap, watched: Watched) -> None:
        self.name = name
        self.floor = floor
        self.rig = floor.rig
        self.api = floor.api
        self.watched = watched
        self.problems: list[str] = []
        self._ami = ami
        self._is_over = False
        self._step = "the beginning"
        self._steps = 0
        self._log_from = len(self._log())
        self._records_from = len(self._records())
        self._began = time.time()

    # Acting ---------------------------------------------------------------------------------------

    async def open(self, *numbers: str, lines: int = 1, alone: bool = False) -> list[Phone]:
        """Open phones, and wait until ctid has the agents among them as `ready`.

        What was told before is forgotten, as long as there is no call.
        """
        phones = await self.floor.phones.open(*numbers, lines=lines, alone=alone)
        agents = {agent.number for agent in roster.AGENTS}
        for number in numbers:
            if number in agents:
                await until(partial(self._is_there, number), what=f"{number} is there")
        if not self._calls():
            self.watched.mark()
        return phones

    async def talk(self, caller: Phone, number: str, agent: Phone) -> None:
        """A caller dials, an agent answers, and she hears him."""
        await caller.dial(number)
        await agent.answer()
        await self.hear(agent, caller)

    async def hear(self, phone: Phone, *others: Phone) -> None:
        """Wait until a phone hears these and nobody else. Raises PhoneError."""
        await self.floor.phones.hears_exactly(
            phone, {other.number for other in others}, within=HEARD_S, window=0.3
        )

    async def ami(self, **fields: str) -> str:
        """Have the lab's AMI user do something, and return the answer. Raises AssertionError: refused."""
        ident = f"scene-{time.monotonic_ns()}"
        since = len(self._ami.wire)
        self._ami.send(**fields, ActionID=ident)
        token = f"ActionID: {ident}\r\n".encode()
        await self._ami.until(token, since)
        wire = self._ami.wire
        at = wire.index(token, since)
        block = wire[wire.rindex(b"\r\n\r\n", 0, at) + 4 : at].decode()
        assert "Response: Success" in block, (fields, block)
        return block

    async def event(self, text: str, since: int) -> None:
        """Wait until the PBX tells this, after `since` (see `wire`)."""
        await self._ami.until(text.encode(), since)

    @property
    def wire(self) -> int:
        """How much the PBX has told so far."""
        return len(self._ami.wire)

    def channel(self, number: str) -> str:
        """The name of a phone's one channel."""
        (name,) = [fields[0] for fields in self.rig.channels() if fields[0].startswith(f"PJSIP/{number}-")]
        return name

    async def keys(self, phone: Phone, code: str, number: str) -> None:
        """Press a feature code, and, once the other waits, a number."""
        since = self.wire
        await phone.dtmf(code)
        await self.event("Event: MusicOnHoldStart", since)
        await phone.dtmf(number)

    # Comparing ------------------------------------------------------------------------------------

    async def settled(self, *calls: str, **agents: str) -> None:
        """Compare what ctid shows with these, with the PBX's console, and with the PBX's lists.

        `calls`: all there are, as `picture` tells them. `agents`: states, as `a1001="busy"`.
        """
        self._steps += 1
        self._step = f"step {self._steps} ({' | '.join(calls) or 'no call'})"
        wanted = {name.removeprefix("a"): state for name, state in agents.items()}
        await self._shows(sorted(calls), wanted)
        await self.agrees()
        await self.reconciles()
        for difference in truth.differences(truth.read(self.rig), await truth.seen(self.api)):
            self._problem(f"after a reconcile: {difference}")

    async def _shows(self, calls: list[str], agents: dict[str, str]) -> None:
        async def shown() -> bool:
            return self.picture() == calls and self._states(agents) == agents

        try:
            await until(shown, SHOWN_S)
        except AssertionError:
            if self.picture() != calls:
                self._problem(f"ctid shows {self.picture()}, not {calls}")
            if self._states(agents) != agents:
                self._problem(f"ctid has the agents {self._states(agents)}, not {agents}")

    async def agrees(self) -> None:
        """Compare with the PBX's console; a problem where they still differ after `SHOWN_S`."""
        try:
            await truth.agree(self.rig, self.api, SHOWN_S)
        except AssertionError as error:
            self._problem(str(error))

    async def reconciles(self) -> None:
        """Have ctid compare what it was told with the PBX's lists: a problem for each drift."""
        answer = await self.api.call("POST", "/pbxs/lab/reconcile", {})
        if answer.status != 200:
            self._problem(f"no reconcile: {answer}")
            return
        self.drifted(answer.body["drift"])

    def drifted(self, drifts: Iterable[Mapping[str, Any]]) -> None:
        """Note what a snapshot found to be other than it had been told."""
        for drift in drifts:
            told = f"ctid had {drift['believed']!r}, the PBX lists {drift['found']!r}"
            self._problem(f"{DRIFT} {drift['name']} of {drift['id']}: {told}")

    def _problem(self, text: str) -> None:
        assert not self._is_over, f"found when nobody asks any more: {text}"
        self.problems.append(f"{self._step}: {text}")

    def expect(self, what: str, told: object, wanted: object) -> None:
        """Note a problem where two values are not equal."""
        if told != wanted:
            self._problem(f"{what}: {told}, not {wanted}")

    async def expect_states(self, agent: str, *states: str) -> None:
        """Note a problem where an agent did not have these states, in this order, since the phones opened."""

        async def had() -> bool:
            return self.watched.states(agent) == list(states)

        try:
            await until(had, SHOWN_S)
        except AssertionError:
            self._problem(f"agent {agent} was {self.watched.states(agent)}, not {list(states)}")

    async def expect_moments(self, *wanted: tuple[str, str]) -> None:
        """Note a problem where others were told of these names: pairs of a name and who did it."""
        names = {name for name, _ in wanted}

        def told() -> list[tuple[str, str]]:
            return [(m["name"], m["by"]) for m in self.watched.moments() if m["name"] in names]

        try:
            await until(lambda: told() == list(wanted), SHOWN_S)
        except AssertionError:
            self._problem(f"ctid told {told()}, not {list(wanted)}")

    async def moment(self, name: str, count: int = 1) -> dict[str, Any]:
        """Wait until ctid has told of so many moments of this name, and return the last."""
        try:
            await until(lambda: self.watched.names().count(name) >= count, 20.0)
        except AssertionError:
            self._problem(f"ctid tells {self.watched.names()}, and no {name} number {count}")
            return {}
        return [moment for moment in self.watched.moments() if moment["name"] == name][count - 1]

    def transferred(self, *wanted: tuple[str, str]) -> None:
        """Note a problem unless these transfers were told, as kind and number, and no other."""
        told = [(m["by"], m["to"]) for m in self.watched.moments() if m["name"] == "call_transferred"]
        self.expect("transfers", told, list(wanted))

    def merged(self, *, into: str, count: int) -> None:
        """Note a problem unless the one call that is there is `into`, and is what `count` calls became."""
        self.expect("the call that is left", self.only_call(), into)
        others = {ident: call["merged_into"] for ident, call in self.watched.ended().items()}
        wanted = dict.fromkeys((ident for ident in self.watched.calls() if ident != into), into)
        self.expect("merged", others, wanted)
        self.expect("number of calls", len(self.watched.calls()), count)

    def only_call(self) -> str:
        """The id of the one call that there is, or nothing where there is another number of calls."""
        calls = self._calls()
        if len(calls) != 1:
            self._problem(f"there are {len(calls)} calls: {self.picture()}")
            return ""
        return str(calls[0]["id"])

    def picture(self) -> list[str]:
        """Each call as a line: `connected inbound support: 3001 customer, 1001 agent held`.

        It has state, direction and queue (`-`: none), and the parties in the order of their coming, each with
        device, role and state (`connected` is left out), where she is parked, and her conference.
        """
        return sorted(_line(call) for call in self._calls())

    def _calls(self) -> list[dict[str, Any]]:
        return [entity for (kind, _), entity in self.watched.entities.items() if kind == "call"]

    def _agent(self, number: str) -> dict[str, Any]:
        return self.watched.entities["agent", number]

    def _is_there(self, number: str) -> bool:
        return bool(self._agent(number)["state"] != "not_ready")

    def _states(self, agents: dict[str, str]) -> dict[str, str]:
        return {number: self._agent(number)["state"] for number in agents}

    # The end --------------------------------------------------------------------------------------

    async def over(
        self, *, calls: list[str] | None = None, moments: str | None = None, **agents: str
    ) -> None:
        """Wait until all calls are over, compare what was told of them with the PBX's books, and raise.

        `calls`: the ids of all that there were. `moments`: what befell callers in queues, in any order, in
        short: `queued answered served`. `agents`: see `settled`.

        Raises:
            AssertionError: with everything that was found in this scene.
        """
        try:
            await until(lambda: not self.rig.channels(), 8.0)
        except AssertionError:
            self._problem(f"the PBX still has {self.rig.channels()}")
        await self.settled(**agents)
        self._step = "the end"
        if calls is not None:
            self.expect("calls", sorted(self.watched.calls()), sorted(calls))
        if moments is not None:
            names = [m["name"].rpartition("_")[2] for m in self.watched.moments() if m["queue"]]
            self.expect("moments", sorted(names), sorted(moments.split()))
        self.expect("calls told again after their end", self.watched.revived(), [])
        ghosts = (await self.api.get("/ghosts"))["ghosts"]
        self.expect("ghosts", ghosts, [])
        self.expect("supervisions", (await self.api.get("/supervisions"))["items"], [])
        if "Local/" in str(self.watched.told):
            local = next(message for message in self.watched.told if "Local/" in str(message))
            self._problem(f"a Local channel was told: {local}")
        drifts = [m for m in self.watched.moments() if m["name"] == "state_drifted"]
        noted = sum(DRIFT in problem for problem in self.problems)
        if len(drifts) > noted:
            self._problem(f"a reconcile by the timer found something as well: {drifts}")
        await self._books()
        self._is_over = True
        if self.problems:
            self.keep_wire()
        assert not self.problems, "\n" + "\n".join(self.problems)

    def keep_wire(self) -> None:
        """Keep what the PBX and ctid told in this scene beside its logs (which `CTID_LAB_KEEP` keeps)."""
        (self.rig.paths.log / f"{self.name}.ami").write_bytes(self._ami.wire)
        told = b"".join(msgspec.json.encode(message) + b"\n" for message in self.watched.told)
        (self.rig.paths.log / f"{self.name}.jsonl").write_bytes(told)

    async def _books(self) -> None:
        """Compare with queue_log and with the CDRs, once they are written."""
        found: list[str] = []

        async def same() -> bool:
            log = list(books.of_log(self._log()[self._log_from :]))
            found[:] = [
                *books.moments_differ(
                    log, books.of_ctid(self.watched.moments()), books.aliases(self._ami.wire)
                ),
                *books.records_differ(self._records()[self._records_from :], self.watched.ended()),
            ]
            figures = await self.api.call("GET", f"/figures?since={_rfc3339(self._began)}")
            if figures.status == 200:
                found.extend(books.figures_differ(log, figures.body))
            else:
                found.append(f"no figures: {figures}")
            return not found

        try:
            await until(same, BOOKED_S)
        except AssertionError:
            for text in found:
                self._problem(text)

    def _log(self) -> list[records.LogLine]:
        return records.parse_queue_log(self.rig.paths.queue_log.read_text())

    def _records(self) -> list[records.CallRecord]:
        path = self.rig.paths.call_records
        return records.parse_call_records(path.read_text()) if path.exists() else []


def _line(call: dict[str, Any]) -> str:
    parties = ", ".join(_party(party) for party in call["parties"])
    return f"{call['state']} {call['direction']} {call['queue'] or '-'}: {parties}"


def _party(party: dict[str, Any]) -> str:
    words = [party["device"] or party["number"] or party["leg"], party["role"]]
    if party["state"] != "connected":
        words.append(party["state"])
    if party["parked"]:
        words.append(f"at {party['parked']}")
    if party["conference"]:
        words.append(f"in {party['conference']}")
    return " ".join(words)


def _rfc3339(epoch: float) -> str:
    return datetime.fromtimestamp(epoch, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@asynccontextmanager
async def scene_of(floor: Floor, name: str) -> AsyncIterator[Scene]:
    """A scene on a quiet floor, with no after-call work going on; see `RECORD_TO`."""
    async with AsyncExitStack() as stack:
        watched = await stack.enter_async_context(Watched(floor.api))
        # The counters were set back between two scenes, of which the PBX tells nothing.
        answer = await floor.api.call("POST", "/pbxs/lab/reconcile", {})
        assert answer.status == 200, answer
        drifts = [drift for drift in answer.body["drift"] if drift["name"] != "member.calls_taken"]
        for (kind, ident), entity in list(watched.entities.items()):
            if kind == "agent" and entity["state"] == "working_after_call":
                done = await floor.api.call("POST", f"/agents/{ident}/end-after-call-work", {})
                assert done.status == 200, done
        ami = await stack.enter_async_context(Tap(floor.rig.ports.ami))
        if folder := os.environ.get(RECORD_TO):
            await stack.enter_async_context(_recording(floor, Path(folder) / f"{name}.capture.xz"))
        scene = Scene(name, floor, ami, watched)
        scene.drifted(drifts)
        yield scene


@asynccontextmanager
async def _recording(floor: Floor, path: Path) -> AsyncIterator[None]:
    settings = {"port": floor.rig.ports.ami, "username": "ctid", "secret": "ctid-lab", "queue_log": ""}
    driver = AsteriskDriver(PbxId("lab"), settings)
    recording = await driver.record(CaptureOrder(path=path, keep_queues=True, reconcile_s=0.0))
    try:
        yield
    finally:
        await recording.close("the scene is over")
    expected = path.with_name(path.name.replace(".capture.xz", ".txt"))
    expected.write_text("".join(f"{line}\n" for line in story(path)), "utf-8")
