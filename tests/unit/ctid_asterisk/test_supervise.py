"""Sessions on a PBX in memory, of which every step is made to fail, and before which everything happens."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest
from msgspec.structs import replace

from ctid.model.commands import EndSupervision, StartSupervision, SwitchSupervision, TakeOver
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, NotFound
from ctid.model.facts import Fact, SupervisionChanged
from ctid.model.ids import AgentId, CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Purpose, SupervisionEnd, SupervisionState
from ctid.tasks import TaskOwner
from ctid_asterisk import supervise
from ctid_asterisk.ari import AriError, AriLost
from ctid_asterisk.sessions import VARIABLE, Record, pack, part_of
from ctid_asterisk.supervise import Stage
from helpers.fake_ari import AGENT, CUSTOMER, FakeAri, Fault
from helpers.patience import until

IDENT = SupervisionId("s1")
BRIDGE = "ctid-ctid.s1"
NOW = Instant(1000.0)
KEYS = {"4": Mode.LISTEN, "5": Mode.WHISPER, "6": Mode.BARGE}
HEARD = {Mode.LISTEN: "none", Mode.WHISPER: "out", Mode.BARGE: "both"}
CODES = {
    "supervision.call_ended",
    "supervision.ended",
    "supervision.takeover_failed",
    "supervision.phone_unreachable",
    "supervision.phone_no_answer",
    "pbx.refused",
    "pbx.link_down",
    "pbx.timeout",
    "",
}
"""What a step that is made to fail may be told as; some can do without it, and succeed."""


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
        self.failures: list[BaseException] = []
        self.stage = Stage(
            pbx,
            Clock(),
            self.hear,
            pbx.blind_transfer,
            pbx.set_variable,
            pbx.hang_up_by_ami,
            self.failures.append,
        )

    def hear(self, fact: Fact) -> None:
        """Take a fact."""
        assert isinstance(fact, SupervisionChanged)
        assert fact.at == NOW
        self.told.append(fact.supervision)

    async def start(self, mode: Mode = Mode.LISTEN, **changed: object) -> None:
        """Begin the session."""
        supervision = Supervision(
            id=IDENT,
            pbx=PbxId("lab"),
            state=SupervisionState.RINGING,
            mode=mode,
            since=NOW,
            started_at=NOW,
            supervisor="zoe",
            phone="2001",
            agent=AgentId("1001"),
            call=CallId("lab.1.1"),
            purpose=Purpose.QUALITY,
        )
        command = StartSupervision(
            supervision=supervision, address="PJSIP/2001", target=LegId(AGENT), ring_s=0.05
        )
        await self.stage.start(replace(command, **changed))

    async def switch(self, mode: Mode) -> None:
        """Switch it."""
        await self.stage.switch(SwitchSupervision(supervision=IDENT, mode=mode))

    async def take_over(self) -> None:
        """Take the call over."""
        command = TakeOver(supervision=IDENT, customer=LegId(CUSTOMER), agent=LegId(AGENT))
        await self.stage.take_over(command, AGENT, "PJSIP/1001", "support")

    async def end(self) -> None:
        """End it."""
        await self.stage.end(EndSupervision(supervision=IDENT))

    @property
    def session(self) -> Supervision:
        """The one session."""
        (session,) = self.stage.supervisions()
        return session

    @property
    def ended(self) -> SupervisionEnd | None:
        """Why the session ended, as it was told last."""
        return self.told[-1].end

    async def is_sound(self) -> None:
        """What holds whatever happened: nobody is alone, nobody hears what the session does not say."""
        await self.pbx.drained()
        assert self.failures == []
        assert not self.pbx.alone(), "the customer is alone"
        over = [session.state is SupervisionState.ENDED for session in self.told]
        assert sum(over) <= 1, "the end was told twice"
        assert not any(over[:-1]), "something was told after the end"
        if not self.stage.supervisions():
            assert over[-1], "the end was not told"
            assert self.told[-1].end is not None
            assert self.told[-1].ended_at == NOW
            assert self.pbx.ours() == set()
            return
        assert self.session.state is SupervisionState.ACTIVE
        assert self.session == self.told[-1]
        phone = self.pbx.phone()
        assert phone is not None
        inside = self.pbx.inside(BRIDGE)
        if self.session.mode is Mode.TAKEOVER:
            assert inside == {phone, CUSTOMER}
            assert not self.pbx.there[phone].muted
        else:
            assert phone in inside
            assert self.pbx.heard_by() == HEARD[self.session.mode]
        with suppress(NotFound):
            await self.end()
        await self.pbx.drained()
        assert self.pbx.ours() == set()


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


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What does not happen is not waited for in seconds."""
    monkeypatch.setattr(supervise, "JOIN_S", 0.02)
    return iter((None,))


async def refused(step: Awaitable[None]) -> str:
    """The code with which a step is refused."""
    with pytest.raises(CtidError) as error:
        await step
    return error.value.code


@asynccontextmanager
async def ringing(it: Play) -> AsyncIterator[list[str]]:
    """A start whose phone rings while the body runs; afterwards, the code with which it was refused."""
    owner, codes = TaskOwner(), list[str]()

    async def run() -> None:
        codes.append(await attempt(it.start(ring_s=5.0)))

    it.pbx.answers = False
    owner.spawn("start", run())
    await until(lambda: it.pbx.phone() is not None)
    yield codes
    await until(lambda: bool(codes))
    await owner.close()


async def attempt(step: Awaitable[None]) -> str:
    """The code with which a step is refused; empty when it is not."""
    try:
        await step
    except CtidError as error:
        return error.code
    return ""


# Everything that goes well --------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
async def test_a_session_begins_in_any_mode(mode: Mode) -> None:
    """Ringing is told, then active; she is heard as the mode says, and her keys go no further."""
    async with play() as it:
        await it.start(mode)
        assert [session.state for session in it.told] == [SupervisionState.RINGING, SupervisionState.ACTIVE]
        phone = it.pbx.phone()
        assert phone is not None
        assert (it.session.mode, it.pbx.there[phone].absorbs) == (mode, True)
        assert it.pbx.there[phone].muted is (mode is Mode.LISTEN)
        assert it.pbx.heard_by() == HEARD[mode]
        await it.is_sound()


async def test_a_session_is_switched_live() -> None:
    """Each switch leaves one snoop channel, of the new mode, and her phone stays where it is."""
    async with play() as it:
        await it.start()
        phone = it.pbx.phone()
        for mode in (Mode.WHISPER, Mode.BARGE, Mode.LISTEN, Mode.BARGE, Mode.BARGE):
            await it.switch(mode)
            assert it.pbx.heard_by() == HEARD[mode]
            assert len([name for name in it.pbx.ours() if part_of(name) in HEARD]) == 1
            assert (it.pbx.phone(), it.session.mode) == (phone, mode)
        assert "ring" not in it.pbx.steps[6:]
        await it.is_sound()


async def test_to_listen_she_is_mute_before_anything_else_changes() -> None:
    """On the way from whisper to listen there is no moment in which she is heard by somebody else."""
    async with play() as it:
        await it.start(Mode.WHISPER)
        first = len(it.pbx.steps)
        await it.switch(Mode.LISTEN)
        steps = it.pbx.steps[first:]
        assert steps.index("mute") < steps.index("take_out") < steps.index("add")


async def test_a_take_over_leaves_customer_and_supervisor() -> None:
    """The agent is released, the two hear each other, and the snoop channel is gone."""
    async with play() as it:
        await it.start()
        await it.take_over()
        assert it.session.mode is Mode.TAKEOVER
        assert AGENT not in it.pbx.there
        back = {"CTID_AGENT_BACK": "PJSIP/1001", "CTID_QUEUE_BACK": "support"}
        assert it.pbx.there[CUSTOMER].variables == back
        assert it.pbx.inside(BRIDGE) == {CUSTOMER, it.pbx.phone()}
        steps = len(it.pbx.steps)
        await it.take_over()
        await it.switch(Mode.WHISPER)
        assert len(it.pbx.steps) == steps, "there is nothing left to take over or to switch"
        await it.is_sound()


@pytest.mark.parametrize("taken", [False, True])
async def test_an_end_leaves_nothing_of_ours(taken: bool) -> None:  # noqa: FBT001 - the parameter of a table
    """The call goes on; after a take-over it was hers, and ends with her."""
    async with play() as it:
        await it.start()
        if taken:
            await it.take_over()
        await it.end()
        assert it.ended is SupervisionEnd.RELEASED
        assert it.pbx.ours() == set()
        assert (CUSTOMER in it.pbx.there) is not taken
        assert await refused(it.end()) == "supervision.unknown"
        assert await refused(it.switch(Mode.BARGE)) == "supervision.unknown"


# Every step fails, and before each step everything happens ------------------------------------------------

Scenario = Callable[[Play], Coroutine[Any, Any, None]]


async def starting(it: Play) -> None:
    """Begin."""
    await it.start()


async def starting_barge(it: Play) -> None:
    """Begin with barge."""
    await it.start(Mode.BARGE)


async def to_whisper(it: Play) -> None:
    """From listen to whisper."""
    await it.switch(Mode.WHISPER)


async def to_listen(it: Play) -> None:
    """To listen."""
    await it.switch(Mode.LISTEN)


async def taking_over(it: Play) -> None:
    """Take over."""
    await it.take_over()


async def ending(it: Play) -> None:
    """End."""
    await it.end()


SCENARIOS: list[tuple[list[Scenario], Scenario]] = [
    ([], starting),
    ([], starting_barge),
    ([starting], to_whisper),
    ([starting_barge], to_listen),
    ([starting], taking_over),
    ([starting_barge], taking_over),
    ([starting], ending),
    ([starting, taking_over], ending),
]


async def steps_of(given: Sequence[Scenario], scenario: Scenario) -> range:
    """The numbers of the scenario's steps when all goes well."""
    async with play() as it:
        for step in given:
            await step(it)
        first = len(it.pbx.steps)
        await scenario(it)
        return range(first, len(it.pbx.steps))


FAULTS = {
    "gone": Fault(AriError(404, "not found")),
    "refused": Fault(AriError(500, "allocation failed")),
    "not reached": Fault(AriLost("connection refused")),
    "answer lost": Fault(AriLost("timed out"), done=True),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("given", "scenario"), SCENARIOS, ids=lambda it: getattr(it, "__name__", None))
async def test_any_step_may_fail(given: list[Scenario], scenario: Scenario, fault: str) -> None:
    """Whichever step fails in whichever way: a known code or success, and all is sound."""
    for number in await steps_of(given, scenario):
        async with play() as it:
            for step in given:
                await step(it)
            it.pbx.faults[number] = FAULTS[fault]
            assert await attempt(scenario(it)) in CODES, it.pbx.steps[number]
            await it.is_sound()


def the_call_ends(it: Play) -> None:
    """The agent hangs up."""
    it.pbx.destroy(AGENT)


def the_customer_hangs_up(it: Play) -> None:
    """He hangs up, or is lost on the way."""
    it.pbx.destroy(CUSTOMER)


def she_hangs_up(it: Play) -> None:
    """The supervisor hangs up, if her phone is there."""
    it.pbx.destroy(it.pbx.phone() or "none")


def the_snoop_ends(it: Play) -> None:
    """A snoop channel is lost."""
    for name in [name for name, chan in it.pbx.there.items() if chan.whisper]:
        it.pbx.destroy(name)


@pytest.mark.parametrize("what", [the_call_ends, the_customer_hangs_up, she_hangs_up, the_snoop_ends])
@pytest.mark.parametrize(("given", "scenario"), SCENARIOS, ids=lambda it: getattr(it, "__name__", None))
async def test_anything_may_happen_before_any_step(
    given: list[Scenario], scenario: Scenario, what: Callable[[Play], None]
) -> None:
    """Call, customer, supervisor or snoop may end at any moment: a known code or none, and all is sound."""
    for number in await steps_of(given, scenario):
        async with play() as it:
            for step in given:
                await step(it)
            it.pbx.before[number] = partial(what, it)
            assert await attempt(scenario(it)) in CODES, it.pbx.steps[number]
            await it.is_sound()


@pytest.mark.parametrize(("given", "scenario"), SCENARIOS[:6], ids=lambda it: getattr(it, "__name__", None))
async def test_the_event_socket_may_end_before_any_step(given: list[Scenario], scenario: Scenario) -> None:
    """Without events no step is waited for in vain, and nothing half done stays."""
    for number in await steps_of(given, scenario):
        async with play() as it:
            for step in given:
                await step(it)
            it.pbx.before[number] = it.pbx.cut
            assert await attempt(scenario(it)) in CODES, it.pbx.steps[number]
            assert not it.pbx.alone()
            if not it.stage.supervisions():
                assert it.pbx.ours() == set()


@pytest.mark.parametrize("number", range(4))
async def test_a_cancelled_start_leaves_nothing(number: int) -> None:
    """A client that goes away, or a daemon that stops, is a failure like any other."""
    async with play() as it:
        owner = TaskOwner()
        it.pbx.answers = False
        task = owner.spawn("start", it.start(ring_s=5.0))
        await until(lambda: len(it.pbx.steps) > number)
        task.cancel()
        await owner.close()
        assert it.ended is SupervisionEnd.FAILED
        await it.is_sound()


# Each by its name -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "code"),
    [
        (17, "supervision.phone_busy"),
        (20, "supervision.phone_unreachable"),
        (21, "supervision.phone_no_answer"),
        (19, "supervision.phone_no_answer"),
        (0, "supervision.phone_no_answer"),
    ],
)
async def test_a_phone_that_does_not_answer_says_why(cause: int, code: str) -> None:
    """Busy, not registered, declined: by the Q.850 cause of its end, and nothing rings on."""
    async with play() as it:
        async with ringing(it) as codes:
            it.pbx.destroy(it.pbx.phone() or "", cause)
        assert codes == [code]
        assert it.ended is SupervisionEnd.FAILED
        await it.is_sound()


async def test_a_phone_that_only_rings_is_given_up() -> None:
    """After its time the phone is hung up, and the answer says that nobody picked up."""
    async with play() as it:
        it.pbx.answers = False
        assert await refused(it.start()) == "supervision.phone_no_answer"
        await it.is_sound()


async def test_a_phone_that_cannot_be_rung_is_unreachable() -> None:
    """Asterisk refuses to call a phone that is not registered."""
    async with play() as it:
        it.pbx.faults[(await steps_of([], starting))[3]] = FAULTS["refused"]
        assert await refused(it.start()) == "supervision.phone_unreachable"
        await it.is_sound()


async def test_a_call_that_ends_while_the_phone_rings() -> None:
    """The ringing stops at once."""
    async with play() as it:
        async with ringing(it) as codes:
            it.pbx.destroy(AGENT)
        assert codes == ["supervision.call_ended"]
        await it.is_sound()


async def test_a_session_that_is_ended_while_the_phone_rings() -> None:
    """The ringing stops at once, and the end is the one that was asked for."""
    async with play() as it:
        async with ringing(it) as codes:
            await it.end()
        assert codes == ["supervision.ended"]
        assert it.ended is SupervisionEnd.RELEASED
        await it.is_sound()


@pytest.mark.parametrize(
    ("step", "fault", "code"),
    [
        (0, "refused", "pbx.refused"),
        (0, "not reached", "pbx.link_down"),
        (1, "gone", "supervision.call_ended"),
        (1, "refused", "pbx.refused"),
        (4, "gone", "pbx.refused"),
        (5, "answer lost", "pbx.link_down"),
    ],
)
async def test_a_start_that_fails_is_told_by_its_code(step: int, fault: str, code: str) -> None:
    """A PBX that refuses, one that does not answer, and a call that is gone are three things."""
    async with play() as it:
        it.pbx.faults[step] = FAULTS[fault]
        assert await refused(it.start()) == code


async def test_a_snoop_channel_that_never_comes_is_a_timeout() -> None:
    """It takes a start down; after a switch the session is what it was, and is heard as before."""
    async with play() as it:
        it.pbx.silent = {"StasisStart"}
        assert await refused(it.start()) == "pbx.timeout"
        assert it.pbx.ours() == set()
    async with play() as it:
        await it.start(Mode.WHISPER)
        it.pbx.silent = {"StasisStart"}
        assert await refused(it.switch(Mode.LISTEN)) == "pbx.timeout"
        assert it.session.mode is Mode.WHISPER
        await it.is_sound()


async def test_a_snoop_channel_that_ends_before_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ended between the asking for the channel and its entering the application."""
    monkeypatch.setattr(supervise, "JOIN_S", 5.0)
    async with play() as it:
        it.pbx.silent = {"StasisStart"}
        loop = asyncio.get_running_loop()

        def soon() -> None:
            loop.call_later(0.005, the_call_ends, it)

        it.pbx.before[1] = soon
        assert await refused(it.start()) == "supervision.call_ended"
        await it.is_sound()


async def test_the_end_of_the_call_ends_the_session() -> None:
    """Its snoop channel ends with the agent's leg."""
    async with play() as it:
        await it.start()
        it.pbx.destroy(AGENT)
        await it.pbx.drained()
        assert it.ended is SupervisionEnd.CALL_ENDED
        await it.is_sound()


@pytest.mark.parametrize(
    ("what", "end"),
    [(she_hangs_up, SupervisionEnd.SUPERVISOR_HUNG_UP), (the_customer_hangs_up, SupervisionEnd.CALL_ENDED)],
)
async def test_after_a_take_over_either_ends_it(what: Callable[[Play], None], end: SupervisionEnd) -> None:
    """The one who stays is not left in a bridge alone."""
    async with play() as it:
        await it.start()
        await it.take_over()
        what(it)
        await it.pbx.drained()
        assert it.ended is end
        assert CUSTOMER not in it.pbx.there
        await it.is_sound()


async def test_she_hangs_up_and_the_call_goes_on() -> None:
    """Her end ends the session, and nothing of the call."""
    async with play() as it:
        await it.start()
        she_hangs_up(it)
        await it.pbx.drained()
        assert it.ended is SupervisionEnd.SUPERVISOR_HUNG_UP
        assert CUSTOMER in it.pbx.there
        await it.is_sound()


@pytest.mark.parametrize(
    ("what", "code"),
    [(she_hangs_up, "supervision.ended"), (the_call_ends, "supervision.call_ended")],
)
async def test_an_end_in_the_middle_of_a_switch_is_told_as_what_it_is(
    what: Callable[[Play], None], code: str
) -> None:
    """The request that switched learns that the session is over, and why."""
    async with play() as it:
        await it.start()
        it.pbx.before[len(it.pbx.steps)] = lambda: what(it)
        it.pbx.silent = {"StasisStart"}
        assert await refused(it.switch(Mode.WHISPER)) == code
        await it.is_sound()


class TestTakeOverThatFails:
    """The customer is never left alone."""

    async def started(self, it: Play) -> int:
        """Begin; the number of the take-over's first step."""
        await it.start()
        return len(it.pbx.steps)

    @pytest.mark.parametrize("step", [0, 1])
    async def test_a_customer_who_is_gone_is_a_call_that_ended(self, step: int) -> None:
        """Nothing was done, and the session is as it was until the PBX tells its end."""
        async with play() as it:
            it.pbx.faults[await self.started(it) + step] = FAULTS["gone"]
            assert await refused(it.take_over()) == "supervision.call_ended"
            assert it.session.mode is Mode.LISTEN
            await it.is_sound()

    async def test_a_transfer_that_is_refused_changes_nothing(self) -> None:
        """Customer and agent talk on, and she listens on."""
        async with play() as it:
            it.pbx.faults[await self.started(it) + 2] = FAULTS["refused"]
            assert await refused(it.take_over()) == "pbx.refused"
            assert it.pbx.there[CUSTOMER].bridge == it.pbx.there[AGENT].bridge == "call"
            it.pbx.destroy(AGENT)
            await it.pbx.drained()
            assert it.ended is SupervisionEnd.CALL_ENDED
            await it.is_sound()

    async def test_a_transfer_whose_answer_is_lost_has_moved_the_customer_all_the_same(self) -> None:
        """He is there, and so the take-over goes on."""
        async with play() as it:
            it.pbx.faults[await self.started(it) + 2] = FAULTS["answer lost"]
            await it.take_over()
            assert it.session.mode is Mode.TAKEOVER
            await it.is_sound()

    async def test_a_customer_who_comes_after_the_refusal_is_given_back(self) -> None:
        """The transfer seemed to have failed: nobody waits for him any more."""
        async with play() as it:
            it.pbx.faults[await self.started(it) + 2] = FAULTS["answer lost"]
            it.pbx.silent = {"StasisStart"}
            assert await refused(it.take_over()) == "supervision.call_ended"
            it.pbx.silent = set()
            it.pbx.tell("StasisStart", CUSTOMER, args=["takeover", IDENT])
            await it.pbx.drained()
            assert it.pbx.rung_back == [CUSTOMER]
            await it.is_sound()

    @pytest.mark.parametrize("step", [3, 4])
    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_customer_who_cannot_be_joined_is_given_back(self, step: int, fault: str) -> None:
        """He rings the agent back, and the session is over."""
        async with play() as it:
            it.pbx.faults[await self.started(it) + step] = FAULTS[fault]
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            assert it.pbx.rung_back == [CUSTOMER]
            assert it.ended is SupervisionEnd.FAILED
            await it.is_sound()

    async def test_a_customer_who_never_arrives(self) -> None:
        """His dialplan has gone on by itself, or he has hung up."""
        async with play() as it:
            await self.started(it)
            it.pbx.silent = {"StasisStart"}
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            assert it.ended is SupervisionEnd.FAILED

    async def test_she_hangs_up_on_the_way(self) -> None:
        """Before it was in force the customer is not hers: he is given back and not hung up."""
        async with play() as it:
            it.pbx.before[await self.started(it) + 4] = lambda: she_hangs_up(it)
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            assert it.pbx.rung_back == [CUSTOMER]
            assert it.ended is SupervisionEnd.SUPERVISOR_HUNG_UP
            await it.is_sound()

    async def test_a_customer_who_cannot_be_given_back_is_when_ari_is_there_again(self) -> None:
        """He waits in the application until the next recovery finds him."""
        async with play() as it:
            first = await self.started(it)
            it.pbx.faults[first + 4] = it.pbx.faults[first + 5] = FAULTS["not reached"]
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            assert it.pbx.alone()
        async with play(it.pbx) as again:
            await again.stage.recover()
            assert it.pbx.rung_back == [CUSTOMER]

    @pytest.mark.parametrize("step", [2, 3, 4])
    async def test_a_cancelled_take_over_gives_the_customer_back(self, step: int) -> None:
        """A daemon that stops in the middle of it does not keep him."""
        async with play() as it:
            number, owner = await self.started(it) + step, TaskOwner()
            it.pbx.hangs = number
            task = owner.spawn("take over", it.take_over())
            await until(lambda: len(it.pbx.steps) > number)
            await it.pbx.drained()
            task.cancel()
            await owner.close()
            assert it.pbx.rung_back == [CUSTOMER]
            await it.is_sound()


async def test_a_stranger_in_the_application_is_sent_away() -> None:
    """A channel of another dialplan goes on there, one of an old session of ours is hung up."""
    async with play() as it:
        await it.start()
        for name in (CUSTOMER, "ctid-ctid.s0-phone-1.1"):
            it.pbx.there.setdefault(name, replace(it.pbx.there[AGENT], bridge=""))
            it.pbx.enter(name)
        await it.pbx.drained()
        assert it.pbx.rung_back == [CUSTOMER]
        assert "ctid-ctid.s0-phone-1.1" not in it.pbx.there


async def test_a_stranger_who_cannot_be_sent_away_is_let_be() -> None:
    """A failure there ends nothing else."""
    async with play() as it:
        it.pbx.faults[0] = FAULTS["refused"]
        it.pbx.there["ctid-ctid.s0-phone-1.1"] = replace(it.pbx.there[AGENT], bridge="")
        it.pbx.enter("ctid-ctid.s0-phone-1.1")
        await it.pbx.drained()
        assert it.failures == []
        assert "ctid-ctid.s0-phone-1.1" in it.pbx.there


async def test_events_of_no_concern_are_let_by() -> None:
    """Other events, and other channels."""
    async with play() as it:
        await it.start()
        it.pbx.tell("ChannelVarset", AGENT)
        it.pbx.tell("StasisEnd", "9.9")
        it.pbx.tell("ChannelDestroyed", "9.9", cause=16)
        await it.is_sound()


@pytest.mark.parametrize("replaced", [False, True])
async def test_a_lost_link_fails_who_waits(replaced: bool) -> None:  # noqa: FBT001 - of a table
    """With the events gone, or another program's, a phone that rings is not waited for."""
    async with play() as it:
        async with ringing(it) as codes:
            if replaced:
                it.pbx.tell("ApplicationReplaced", "")
            else:
                it.pbx.cut()
        assert codes == ["pbx.link_down"]
        assert it.pbx.ours() == set()
        assert it.stage.replaced is replaced


async def test_a_replaced_application_is_a_lost_link() -> None:
    """The events go to another program now: who follows them learns why there are no more."""
    pbx = FakeAri()
    stage = Play(pbx).stage
    pbx.tell("ApplicationReplaced", "")
    with pytest.raises(AriLost, match="took over the Stasis application 'ctid'"):
        await stage.run()
    assert stage.replaced
    await stage.close()


async def test_a_stage_that_closes_fails_who_waits() -> None:
    """Nobody who waits for a phone outlives the stage that would tell of it."""
    async with play() as it:
        async with ringing(it) as codes:
            await it.stage.close()
        assert codes == ["pbx.link_down"]
        assert it.pbx.ours() == set()


async def test_the_phone_does_not_show_whom_she_listens_to() -> None:
    """It may be diverted, or be seen by others: neither agent nor call is in what it displays."""
    async with play() as it:
        await it.start()
        (shown,) = it.pbx.shown
        assert "<" in shown
        assert not any(secret in shown for secret in ("1001", "lab.1.1", AGENT, "zoe"))


class TestWhatCannotBeHungUp:
    """A session is not told as ended while somebody may still listen."""

    NEITHER = frozenset({"hang_up", "hang_up_by_ami"})

    @pytest.mark.parametrize("given", [[starting], [starting, taking_over]])
    async def test_what_ari_does_not_hang_up_ami_does(self, given: list[Scenario]) -> None:
        """Every channel of the session, the customer she took over among them, and it is over."""
        async with play() as it:
            for step in given:
                await step(it)
            it.pbx.refuses = {"hang_up"}
            await it.end()
            assert it.ended is SupervisionEnd.RELEASED
            assert "hang_up_by_ami" in it.pbx.steps
            assert not it.pbx.closed
            await it.is_sound()

    async def test_what_ari_hangs_up_is_not_hung_up_by_ami(self) -> None:
        """It is there for when ARI fails."""
        async with play() as it:
            await it.start()
            await it.end()
            assert "hang_up_by_ami" not in it.pbx.steps

    async def test_a_bridge_alone_is_no_reason_to_go_on(self) -> None:
        """Nobody is in it: the session is over, and the next recovery clears the bridge away."""
        async with play() as it:
            await it.start()
            it.pbx.refuses = {"destroy_bridge"}
            await it.end()
            assert it.ended is SupervisionEnd.RELEASED
            assert it.pbx.ours() == {BRIDGE}
        async with play(it.pbx) as again:
            await again.stage.recover()
            assert again.pbx.ours() == set()

    @pytest.mark.parametrize("whole", [False, True])
    async def test_an_end_that_is_in_vain_says_so(self, whole: bool) -> None:  # noqa: FBT001 - of a table
        """The session stays known, ARI is connected to anew, and what is found then is told."""
        async with play() as it:
            await it.start()
            it.pbx.refuses = {*self.NEITHER, "destroy_bridge"} if whole else {*self.NEITHER}
            assert await refused(it.end()) == "pbx.link_down"
            assert it.ended is None
            assert it.session.state is SupervisionState.ACTIVE
            assert it.pbx.closed
            known = it.stage.supervisions()
        async with play(it.pbx) as again:
            await again.stage.recover(known)
            (told,) = again.told
            if whole:
                assert (told.state, told.mode) == (SupervisionState.ACTIVE, Mode.LISTEN)
            else:
                assert (told.state, told.end) == (SupervisionState.ENDED, SupervisionEnd.LOST)
            await again.is_sound()

    async def test_an_end_can_be_asked_for_again(self) -> None:
        """As soon as AMI does it, the session is over, though ARI is away."""
        async with play() as it:
            await it.start()
            it.pbx.refuses = {*self.NEITHER}
            assert await refused(it.end()) == "pbx.link_down"
            it.pbx.refuses = {"hang_up"}
            await it.end()
            assert it.ended is SupervisionEnd.RELEASED
            assert it.stage.supervisions() == []
            assert it.pbx.phone() is None

    async def test_a_start_that_cannot_be_undone_is_not_told_as_ended(self) -> None:
        """It is refused for what failed it, and the next recovery hangs up what it left."""
        async with play() as it:
            it.pbx.answers = False
            it.pbx.refuses = {*self.NEITHER}
            assert await refused(it.start()) == "supervision.phone_no_answer"
            assert it.ended is None
            assert it.pbx.closed
            known = it.stage.supervisions()
        assert it.pbx.phone() is not None
        async with play(it.pbx) as again:
            await again.stage.recover(known)
            assert [session.end for session in again.told] == [SupervisionEnd.LOST]
            await again.is_sound()

    async def test_a_session_whose_rest_stays_is_not_told_as_ended(self) -> None:
        """She hung up, and the snoop channel is there: nobody is told that nothing is."""
        async with play() as it:
            await it.start()
            it.pbx.refuses = {*self.NEITHER}
            she_hangs_up(it)
            await until(lambda: it.pbx.closed)
            assert it.ended is None
            known = it.stage.supervisions()
        async with play(it.pbx) as again:
            await again.stage.recover(known)
            assert [session.end for session in again.told] == [SupervisionEnd.LOST]
            await again.is_sound()


class TestKeys:
    """Her phone's keys."""

    async def press(self, it: Play, digit: str, channel: str | None = None) -> None:
        """A key is pressed."""
        it.pbx.tell("ChannelDtmfReceived", channel or it.pbx.phone() or "", digit=digit)
        await it.pbx.drained()

    @pytest.mark.parametrize("digit", list("0123456789*#"))
    async def test_they_do_nothing_unless_allowed(self, digit: str) -> None:
        """By default no key changes who hears her."""
        async with play() as it:
            await it.start()
            steps = len(it.pbx.steps)
            await self.press(it, digit)
            assert len(it.pbx.steps) == steps
            assert it.session.mode is Mode.LISTEN

    async def test_those_that_are_allowed_switch(self) -> None:
        """And no others do, nor those of another phone."""
        async with play() as it:
            await it.start(keys=KEYS)
            for digit, mode in (
                ("5", Mode.WHISPER),
                ("6", Mode.BARGE),
                ("4", Mode.LISTEN),
                ("1", Mode.LISTEN),
            ):
                await self.press(it, digit)
                assert it.session.mode is mode
            await self.press(it, "6", AGENT)
            assert it.session.mode is Mode.LISTEN
            await it.is_sound()

    async def test_a_key_that_cannot_be_obeyed_ends_nothing_else(self) -> None:
        """What fails by a key is logged, and the session is sound."""
        async with play() as it:
            await it.start(keys=KEYS)
            it.pbx.faults[len(it.pbx.steps)] = FAULTS["refused"]
            await self.press(it, "6")
            assert it.session.mode is Mode.LISTEN
            await it.is_sound()


class TestRecovery:
    """What a new stage finds."""

    async def test_a_phone_that_goes_meanwhile_ends_its_session(self) -> None:
        """It was there when the channels were listed, and is not when it is muted."""
        async with play() as it:
            await it.start()
        async with play(it.pbx) as again:
            again.pbx.before[len(it.pbx.steps) + 3] = partial(she_hangs_up, again)
            await again.stage.recover()
            await again.is_sound()
            assert again.ended is SupervisionEnd.SUPERVISOR_HUNG_UP

    async def test_a_whole_session_is_taken_up_and_goes_on(self) -> None:
        """It is told again with its mode, and can be switched and ended."""
        async with play() as it:
            await it.start()
            await it.switch(Mode.BARGE)
        async with play(it.pbx) as again:
            await again.stage.recover()
            (told,) = again.told
            assert (told.id, told.mode, told.state) == (IDENT, Mode.BARGE, SupervisionState.ACTIVE)
            await again.switch(Mode.WHISPER)
            await again.is_sound()

    async def test_a_take_over_is_taken_up(self) -> None:
        """Customer and supervisor talk on, and her end is still his."""
        async with play() as it:
            await it.start()
            await it.take_over()
        async with play(it.pbx) as again:
            await again.stage.recover()
            assert again.session.mode is Mode.TAKEOVER
            she_hangs_up(again)
            await again.is_sound()
            assert CUSTOMER not in it.pbx.there

    @pytest.mark.parametrize("moment", ["before", "after"])
    @pytest.mark.parametrize("scenario", [starting, to_whisper, to_listen, taking_over, ending])
    async def test_whatever_was_cut_off_is_taken_up_or_cleared_away(
        self, scenario: Scenario, moment: str
    ) -> None:
        """A daemon killed before or after any step finds its session whole, or clears it away."""
        given: list[Scenario] = [] if scenario is starting else [starting]
        if scenario is to_listen:
            given = [starting_barge]
        for number in await steps_of(given, scenario):
            async with play() as killed:
                for step in given:
                    await step(killed)
                dead = range(number + 1, number + 100)
                killed.pbx.faults = dict.fromkeys(dead, FAULTS["not reached"])
                killed.pbx.faults[number] = FAULTS["answer lost" if moment == "after" else "not reached"]
                await attempt(scenario(killed))
            async with play(killed.pbx) as again:
                await again.stage.recover()
                await again.pbx.drained()
                assert not again.pbx.alone(), again.pbx.steps[number]
                if again.told:
                    await again.is_sound()
                assert again.pbx.ours() == set(), again.pbx.steps[number]

    async def test_sessions_that_are_no_more_are_told_as_lost(self) -> None:
        """While ARI was away she hung up: the session that was known is told as ended."""
        async with play() as it:
            await it.start()
            known = it.stage.supervisions()
        it.pbx.destroy(it.pbx.phone() or "")
        async with play(it.pbx) as again:
            await again.stage.recover(known)
            (told,) = again.told
            assert (told.state, told.end) == (SupervisionState.ENDED, SupervisionEnd.LOST)
            await again.is_sound()

    async def test_sessions_that_are_still_there_are_not_lost(self) -> None:
        """They are told as they are, once."""
        async with play() as it:
            await it.start()
            known = it.stage.supervisions()
        async with play(it.pbx) as again:
            await again.stage.recover(known)
            assert [session.state for session in again.told] == [SupervisionState.ACTIVE]
            await again.is_sound()

    async def test_what_cannot_be_cleared_away_does_not_keep_the_rest(self) -> None:
        """One left-over that is refused to be hung up keeps nobody from supervising."""
        async with play() as it:
            for name in ("ctid-ctid.s0-phone-1.1", "ctid-ctid.s0-listen-1.2"):
                it.pbx.there[name] = replace(it.pbx.there[AGENT], bridge="")
            it.pbx.faults[3] = FAULTS["refused"]
            await it.stage.recover()
            assert it.pbx.steps[3] == "hang_up"
            assert len(it.pbx.ours()) == 1

    async def test_a_record_that_cannot_be_read_is_cleared_away(self) -> None:
        """A session of another release does not keep the daemon from starting."""
        async with play() as it:
            await it.start()
        it.pbx.there[it.pbx.phone() or ""].variables[VARIABLE] = "rubbish"
        async with play(it.pbx) as again:
            await again.stage.recover()
            assert again.stage.supervisions() == []
            assert again.pbx.ours() == set()

    async def test_a_customer_in_what_is_left_over_is_given_back(self) -> None:
        """She hung up while nobody looked: the customer she had taken over rings the agent."""
        async with play() as it:
            await it.start()
            await it.take_over()
        it.pbx.destroy(it.pbx.phone() or "")
        async with play(it.pbx) as again:
            await again.stage.recover()
            assert again.pbx.rung_back == [CUSTOMER]
            assert CUSTOMER in again.pbx.there
            assert again.pbx.ours() == set()

    async def test_what_another_application_conducts_is_let_be(self) -> None:
        """Another ctid beside the same PBX has sessions of its own, whole and half begun."""
        async with play() as it:
            bridge = "ctid-other.s9"
            channels = {f"{bridge}-phone-1.1", "ctid-other.s8-listen-1.2"}
            it.pbx.of_bridges.add(bridge)
            for name in channels:
                it.pbx.there[name] = replace(it.pbx.there[AGENT], bridge=bridge)
            await it.stage.recover()
            assert it.told == []
            assert it.pbx.ours() == {bridge, *channels}

    async def test_the_record_is_on_the_phone(self) -> None:
        """Everything that is published of the session can be read from her channel."""
        async with play() as it:
            await it.start(keys=KEYS)
            phone = it.pbx.there[it.pbx.phone() or ""]
            record = Record(supervision=it.session, target=LegId(AGENT), keys=KEYS)
            assert phone.variables == {VARIABLE: pack(record)}
