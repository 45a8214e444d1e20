"""Sessions on a PBX in memory: how they begin, and what keeps them from it."""

import asyncio
from collections.abc import Callable, Iterator

import pytest

from ctid.model.words import Hear, Mode, Scope, SupervisionEnd, SupervisionState
from ctid.tasks import TaskOwner
from ctid_asterisk import parts, stage
from helpers.fake_ari import FakeAri
from helpers.fake_pbx import AGENT, CUSTOMER
from helpers.patience import until
from helpers.stage_play import (
    FAULTS,
    HEARS,
    REACHES,
    Play,
    play,
    refused,
    ringing,
    roles,
    soon,
)
from helpers.stage_scenarios import she_hangs_up, starting, steps_of, the_call_ends


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


@pytest.mark.parametrize("hear", Hear)
@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
async def test_a_session_begins_in_any_mode(mode: Mode, hear: Hear) -> None:
    """Ringing is told, then active; who hears whom is as asked for, and her keys go no further."""
    async with play() as it:
        await it.start(mode, hear=hear)
        assert [session.state for session in it.told] == [SupervisionState.RINGING, SupervisionState.ACTIVE]
        phone = it.pbx.there[it.phone]
        assert (it.session.mode, it.session.hear, phone.absorbs) == (mode, hear, True)
        assert phone.muted is (mode is Mode.LISTEN)
        assert roles(it.pbx.heard_by()) == REACHES[mode]
        assert roles(it.pbx.hears()) == HEARS[hear]
        await it.is_sound()


async def test_a_session_may_begin_mute() -> None:
    """In barge, and nobody hears her before she is let."""
    async with play() as it:
        await it.start(Mode.BARGE, muted=True)
        assert it.pbx.heard_by() == set()
        await it.switch(Mode.BARGE)
        assert it.pbx.heard_by() == {AGENT, CUSTOMER}
        await it.is_sound()


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
        await it.pbx.drained()
        assert it.ended is SupervisionEnd.FAILED
        await it.is_sound()


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
            it.pbx.destroy(it.phone, cause)
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


async def test_a_call_that_ends_before_the_phone_rings() -> None:
    """It does not ring at all."""
    async with play() as it:
        it.pbx.before[2] = lambda: it.pbx.destroy(AGENT)
        assert await refused(it.start()) in {"supervision.call_ended", "pbx.refused"}
        assert "ring" not in it.pbx.steps
        await it.is_sound()


async def test_a_call_that_ends_before_its_phone_is_waited_for() -> None:
    """Told before anybody waits for the phone: it does not ring."""

    class Brief(FakeAri):
        async def add(self, bridge: str, channel: str, *, absorb_dtmf: bool = False) -> None:
            await super().add(bridge, channel, absorb_dtmf=absorb_dtmf)
            self.destroy(AGENT)
            await self.drained()

    async with play(Brief()) as it:
        assert await refused(it.start()) == "supervision.call_ended"
        assert "ring" not in it.pbx.steps
        await it.is_sound()


async def test_who_follows_the_agent_rings_on_when_the_call_ends() -> None:
    """There will be another: she waits for it."""
    async with play() as it:
        async with ringing(it, scope=Scope.AGENT) as codes:
            it.pbx.destroy(AGENT)
            await it.pbx.drained()
            it.pbx.pick_up()
        assert codes == [""]
        assert it.session.state is SupervisionState.WAITING
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


async def test_a_snoop_channel_that_ends_before_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The call ended between the asking for the channel and its entering the application."""
    monkeypatch.setattr(parts, "JOIN_S", 5.0)
    async with play() as it:
        it.pbx.silent = {"StasisStart"}
        loop = asyncio.get_running_loop()

        def ends_soon() -> None:
            loop.call_later(0.005, the_call_ends, it)

        it.pbx.before[1] = ends_soon
        assert await refused(it.start()) == "supervision.call_ended"
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


class TestPin:
    """A phone that may be in anybody's hands."""

    async def test_it_is_entered_before_anything_is_heard(self) -> None:
        """Until then a tone asks for it; its keys are told to nobody."""
        async with play() as it:
            async with ringing(it, pin="12") as codes:
                it.pbx.pick_up()
                await it.pbx.drained()
                assert list(it.pbx.tones.values()) == [it.phone]
                it.pbx.press("1")
                await it.pbx.drained()
                assert (it.pbx.hears(), it.session.state) == (set(), SupervisionState.RINGING)
                it.pbx.press("2")
            assert codes == [""]
            assert (it.keys, it.pbx.tones) == ([], {})
            it.pbx.press("5")
            await it.pbx.drained()
            assert it.keys == ["5"]
            await it.is_sound()

    @pytest.mark.parametrize("pressed", ["111213", "1", ""])
    async def test_without_it_nobody_comes_in(self, pressed: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """Wrong three times, or not entered in time: the phone is hung up, and it is said why."""
        monkeypatch.setattr(stage, "PIN_S", 0.05)
        async with play() as it:
            it.pbx.pin = pressed
            assert await refused(it.start(pin="99")) == "supervision.pin_wrong"
            assert it.ended is SupervisionEnd.FAILED
            await it.is_sound()

    @pytest.mark.parametrize(
        ("what", "code"),
        [(she_hangs_up, "supervision.ended"), (the_call_ends, "supervision.call_ended")],
    )
    async def test_what_ends_meanwhile_is_not_waited_for(
        self, what: Callable[[Play], None], code: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Who was rung hangs up, or the call is over."""
        monkeypatch.setattr(stage, "PIN_S", 20.0)
        async with play() as it:
            async with ringing(it, pin="12") as codes:
                it.pbx.pick_up()
                await it.pbx.drained()
                what(it)
            assert codes == [code]
            await it.is_sound()

    async def test_an_end_does_not_wait_for_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The phone is hung up at once."""
        monkeypatch.setattr(stage, "PIN_S", 20.0)
        async with play() as it:
            async with ringing(it, pin="12") as codes:
                it.pbx.pick_up()
                await it.pbx.drained()
                await it.end()
            assert codes == ["supervision.ended"]
            assert it.ended is SupervisionEnd.RELEASED
            await it.is_sound()

    async def test_a_restart_meanwhile_lets_nobody_in(self) -> None:
        """She answered, and has not said who she is: her phone is hung up."""
        async with play() as it:
            it.pbx.faults = dict.fromkeys(range(5, 99), FAULTS["not reached"])
            it.pbx.pin = "12"
            await refused(it.start(pin="12"))
            assert it.pbx.phone() is not None
        async with play(it.pbx) as again:
            await again.stage.recover()
            assert again.told == []
            assert again.pbx.ours() == set()
