"""A stage that plays on a PBX in memory, what it told, and what must hold whatever happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

import pytest
from msgspec.structs import replace

from ctid.model.commands import (
    EndSupervision,
    FollowSupervision,
    GiveNotice,
    HandBack,
    KeepSupervision,
    StartSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, NotFound
from ctid.model.facts import Fact, KeyPressed, SupervisionChanged
from ctid.model.ids import AgentId, CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.lifecycle import may_follow
from ctid.model.words import Hear, Mode, Purpose, SupervisionEnd, SupervisionState
from ctid.tasks import TaskOwner
from ctid_asterisk import handover, notice, parts, stage
from ctid_asterisk.ari import AriError, AriLost
from ctid_asterisk.handover import Handover
from ctid_asterisk.stage import Stage
from helpers.fake_ari import FakeAri
from helpers.fake_pbx import AGENT, COLLEAGUE, CUSTOMER, NEXT_AGENT, NEXT_CUSTOMER, Fault
from helpers.patience import until

IDENT = SupervisionId("s1")
BRIDGE = "ctid-ctid.s1"
TONE = f"{BRIDGE}-tone"
NOW = Instant(1000.0)
RING_S = 0.05
AGENTS = frozenset({AGENT, COLLEAGUE, NEXT_AGENT})
REACHES: dict[Mode, frozenset[str]] = {
    Mode.LISTEN: frozenset(),
    Mode.WHISPER: frozenset({"agent"}),
    Mode.BARGE: frozenset({"agent", "customer"}),
    Mode.TAKEOVER: frozenset({"customer"}),
}
"""Who hears her, by the mode."""
HEARS = {Hear.BOTH: {"agent", "customer"}, Hear.AGENT: {"agent"}, Hear.CUSTOMER: {"customer"}}
"""Whom she hears, beside an agent."""
BEGUN = Supervision(
    id=IDENT,
    pbx=PbxId("lab"),
    state=SupervisionState.RINGING,
    mode=Mode.LISTEN,
    since=NOW,
    started_at=NOW,
    supervisor="zoe",
    phone="2001",
    agent=AgentId("1001"),
    call=CallId("lab.1.1"),
    purpose=Purpose.QUALITY,
)
CODES = {
    "supervision.call_ended",
    "supervision.ended",
    "supervision.takeover_failed",
    "supervision.mode_not_possible",
    "supervision.phone_unreachable",
    "supervision.phone_no_answer",
    "supervision.pin_wrong",
    "supervision.agent_unreachable",
    "supervision.agent_no_answer",
    "supervision.unknown",
    "pbx.refused",
    "pbx.link_down",
    "pbx.timeout",
    "",
}
"""What a step that is made to fail may be told as; some can do without it, and succeed."""
FAULTS = {
    "gone": Fault(AriError(404, "not found")),
    "refused": Fault(AriError(500, "allocation failed")),
    "not reached": Fault(AriLost("connection refused")),
    "answer lost": Fault(AriLost("timed out"), done=True),
}


class Clock:
    """A clock that stands still."""

    def now(self) -> float:
        """The one time there is."""
        return NOW


class Play:
    """A stage, the PBX that it plays on, and what it told."""

    def __init__(self, pbx: FakeAri) -> None:
        self.pbx = pbx
        self.told: list[Supervision] = []
        self.keys: list[str] = []
        self.failures: list[BaseException] = []
        self.wrong: list[str] = []
        """What was at some moment, and may never be."""
        self.stage = Stage(pbx, pbx.ami, Clock(), self.hear, self.failures.append)
        self.handover = Handover(self.stage, Clock(), "ctid-handback")
        self._asked: frozenset[str] = frozenset()
        pbx.watch = self._look

    def hear(self, fact: Fact) -> None:
        """Take a fact."""
        if isinstance(fact, KeyPressed):
            self.keys.append(fact.key)
            return
        assert isinstance(fact, SupervisionChanged)
        assert fact.at == NOW
        before = self.told[-1].state if self.told else fact.supervision.state
        if not may_follow(before, fact.supervision.state):
            self.wrong.append(f"{before} was followed by {fact.supervision.state}")
        self.told.append(fact.supervision)

    def _look(self) -> None:
        heard = roles(self.pbx.heard_by())
        if self.told:
            told = self.told[-1]
            allowed = self._asked | (frozenset() if told.muted else REACHES[told.mode])
            if not heard <= allowed:
                self.wrong.append(f"{heard} heard her, told was {told.state} {told.mode}, muted {told.muted}")
        if self.pbx.tone_leaks():
            self.wrong.append("the quiet tone went into a call")
        if self.pbx.alone():
            self.wrong.append("the customer was alone")

    @contextmanager
    def _asking(self, mode: Mode, *, muted: bool = False) -> Iterator[None]:
        """Meanwhile, those may hear her who do in what is asked for."""
        reached = REACHES[Mode.BARGE] if mode is Mode.TAKEOVER else REACHES[mode]
        self._asked = frozenset() if muted else reached
        try:
            yield
        finally:
            self._asked = frozenset()

    # Commands -------------------------------------------------------------------------------------

    async def start(
        self,
        mode: Mode = Mode.LISTEN,
        *,
        target: str | None = AGENT,
        ring_s: float = RING_S,
        pin: str = "",
        **more: object,
    ) -> None:
        """Begin the session."""
        command = StartSupervision(
            supervision=replace(BEGUN, mode=mode, **more),
            address="PJSIP/2001",
            target=LegId(target) if target is not None else None,
            ring_s=ring_s,
            pin=pin,
        )
        with self._asking(mode):
            await self.stage.start(command)

    async def switch(self, mode: Mode, hear: Hear = Hear.BOTH, *, muted: bool = False) -> None:
        """Switch it."""
        with self._asking(mode, muted=muted):
            await self.stage.switch(SwitchSupervision(supervision=IDENT, mode=mode, hear=hear, muted=muted))

    async def follow(self, target: str, mode: Mode = Mode.LISTEN, **more: object) -> None:
        """Go to another leg."""
        with self._asking(mode):
            going = replace(BEGUN, mode=mode, **more)
            await self.stage.follow(FollowSupervision(supervision=going, target=LegId(target)))

    async def keep(self, **more: object) -> None:
        """Keep what is the core's to say."""
        await self.stage.keep(KeepSupervision(supervision=replace(BEGUN, **more)))

    async def give_notice(self, target: str = AGENT) -> None:
        """Sound the tone."""
        await self.stage.give_notice(GiveNotice(target=LegId(target)))

    async def take_over(self) -> None:
        """Take the call over."""
        command = TakeOver(supervision=IDENT, customer=LegId(CUSTOMER), agent=LegId(AGENT))
        with self._asking(Mode.TAKEOVER):
            await self.handover.take_over(command, AGENT, "PJSIP/1001", "support")

    async def hand_back(self, ring_s: float = RING_S) -> None:
        """Give the customer back."""
        command = HandBack(supervision=IDENT, agent=AgentId("1001"), ring_s=ring_s)
        await self.handover.hand_back(command, "PJSIP/1001")

    async def end(self, *, unless_taken_over: bool = False) -> None:
        """End it."""
        await self.stage.end(EndSupervision(supervision=IDENT, unless_taken_over=unless_taken_over))

    # What is ----------------------------------------------------------------------------------------

    @property
    def session(self) -> Supervision:
        """The one session."""
        (session,) = self.stage.supervisions()
        return session

    @property
    def ended(self) -> SupervisionEnd | None:
        """Why the session ended, as it was told last."""
        return self.told[-1].end

    @property
    def phone(self) -> str:
        """The supervisor's channel."""
        return self.pbx.phone() or ""

    async def is_sound(self) -> None:
        """What holds whatever happened: the session is whole, or over; it can be ended, and nothing stays."""
        await self.was_right()
        over = [session.state is SupervisionState.ENDED for session in self.told]
        assert sum(over) <= 1, "the end was told twice"
        assert not any(over[:-1]), "something was told after the end"
        if not self.stage.supervisions():
            assert over[-1], "the end was not told"
            assert self.told[-1].end is not None
            assert self.told[-1].ended_at == NOW
            assert self.pbx.ours() == set()
            return
        self._is_whole()
        with suppress(NotFound):
            await self.end()
        await self.was_right()
        assert self.pbx.ours() == set()
        assert self.pbx.tones == {}

    async def was_right(self) -> None:
        """What holds at every moment."""
        await self.pbx.drained()
        assert self.failures == []
        assert self.wrong == []
        assert not self.pbx.alone(), "the customer is alone"

    def _is_whole(self) -> None:
        assert self.session == self.told[-1]
        assert not self.stage.session(IDENT).lock.locked(), "a step has never ended"
        heard, hears = self.pbx.heard_by(), self.pbx.hears()
        if self.session.state is SupervisionState.WAITING:
            assert (heard, hears) == (set(), set())
            assert self.pbx.inside(BRIDGE) == {self.phone}
            assert self.pbx.tones == {TONE: BRIDGE} or self.pbx.faults
            return
        assert self.session.state is SupervisionState.ACTIVE, "it is stuck on the way"
        assert self.pbx.tones == {}
        if self.session.mode is Mode.TAKEOVER:
            assert (heard, hears) == ({CUSTOMER}, {CUSTOMER})
            return
        target = self.stage.session(IDENT).record.target
        assert roles(heard) == (set() if self.session.muted else REACHES[self.session.mode])
        assert roles(hears) == HEARS[self.session.hear]
        assert len(self.pbx.snoops()) == 1
        assert {snoop.target for snoop in self.pbx.snoops()} == {target}


def roles(channels: set[str]) -> set[str]:
    """Who they are, of those that the PBX in memory has."""
    customers = {CUSTOMER, NEXT_CUSTOMER}
    return {"agent" if channel in AGENTS else "customer" for channel in channels & (AGENTS | customers)}


@asynccontextmanager
async def play(pbx: FakeAri | None = None) -> AsyncIterator[Play]:
    """A stage whose events are followed: on a new PBX, or after a restart on the same."""
    if pbx is not None:
        pbx.restart()
    opened, owner = Play(pbx or FakeAri()), TaskOwner()

    async def follow() -> None:
        with suppress(AriLost):
            await opened.stage.run()

    owner.spawn("events", follow())
    try:
        yield opened
    finally:
        await opened.stage.close()
        await owner.close()


async def is_sound_in_the_end(it: Play) -> None:
    """The same, after ARI was connected to anew if the stage wanted it."""
    await it.pbx.drained()
    if not it.pbx.closed:
        await it.is_sound()
        return
    assert it.failures == []
    assert it.wrong == []
    async with play(it.pbx) as again:
        await again.stage.recover(it.stage.supervisions())
        await again.is_sound()


def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not happen is not waited for in seconds."""
    for module in (notice, parts, stage):
        monkeypatch.setattr(module, "JOIN_S", 0.2)
    monkeypatch.setattr(handover, "JOIN_S", 0.02)
    monkeypatch.setattr(handover, "PACKETS_S", 0.0)
    monkeypatch.setattr(notice, "TONE_S", 0.0)


async def refused(step: Awaitable[None]) -> str:
    """The code with which a step is refused."""
    with pytest.raises(CtidError) as error:
        await step
    return error.value.code


async def attempt(step: Awaitable[None]) -> str:
    """The code with which a step is refused; empty when it is not."""
    try:
        await step
    except CtidError as error:
        return error.code
    return ""


@asynccontextmanager
async def meanwhile(
    step: Coroutine[Any, Any, None], begun: Callable[[], bool]
) -> AsyncIterator[tuple[list[str], asyncio.Task[None]]]:
    """A step under way while the body runs; afterwards, the code with which it was refused."""
    owner, codes = TaskOwner(), list[str]()

    async def run() -> None:
        codes.append(await attempt(step))

    task = owner.spawn("step", run())
    await until(begun)
    yield codes, task
    await until(task.done)
    await owner.close()


@asynccontextmanager
async def ringing(it: Play, **more: Any) -> AsyncIterator[list[str]]:
    """A start whose phone rings while the body runs; afterwards, the code with which it was refused."""
    it.pbx.answers = False
    start = it.start(ring_s=5.0, **more)
    async with meanwhile(start, lambda: it.pbx.phone() is not None) as (codes, _):
        yield codes
