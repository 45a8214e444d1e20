"""Sessions on a PBX in memory: how they switch and end, each by its name."""

from collections.abc import Callable, Iterator

import pytest
from msgspec.structs import replace

from ctid.model.words import Hear, Mode, SupervisionEnd, SupervisionState
from ctid.tasks import TaskOwner
from ctid_asterisk.ari import AriLost
from ctid_asterisk.sessions import part_of
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
from helpers.stage_scenarios import she_hangs_up, the_call_ends


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


async def test_a_session_is_switched_live() -> None:
    """Each switch leaves one snoop channel, of the new mode, and her phone stays where it is."""
    async with play() as it:
        await it.start()
        phone = it.phone
        for mode in (Mode.WHISPER, Mode.BARGE, Mode.LISTEN, Mode.BARGE, Mode.BARGE):
            await it.switch(mode)
            assert roles(it.pbx.heard_by()) == REACHES[mode]
            assert len([name for name in it.pbx.ours() if part_of(name) == f"{mode}_both"]) == 1
            assert (it.phone, it.session.mode) == (phone, mode)
        assert it.pbx.steps.count("ring") == 1
        states = [session.state for session in it.told]
        assert states.count(SupervisionState.SWITCHING) == 4, "the last changed nothing"
        await it.is_sound()


@pytest.mark.parametrize("hear", Hear)
@pytest.mark.parametrize("mode", [Mode.LISTEN, Mode.WHISPER, Mode.BARGE])
async def test_whom_she_hears_is_chosen_in_any_mode(mode: Mode, hear: Hear) -> None:
    """One side or both, and who hears her stays the same."""
    async with play() as it:
        await it.start(mode)
        await it.switch(mode, hear)
        assert roles(it.pbx.hears()) == HEARS[hear]
        assert roles(it.pbx.heard_by()) == REACHES[mode]
        await it.is_sound()


async def test_push_to_talk_is_one_step() -> None:
    """Nothing but her phone is touched, and no other state is told."""
    async with play() as it:
        await it.start(Mode.WHISPER)
        first, told = len(it.pbx.steps), len(it.told)
        await it.switch(Mode.WHISPER, muted=True)
        assert it.pbx.heard_by() == set()
        await it.switch(Mode.WHISPER)
        assert it.pbx.heard_by() == {AGENT}
        assert it.pbx.steps[first:] == ["mute", "set_variable"] * 2
        assert [(s.state, s.muted) for s in it.told[told:]] == [
            (SupervisionState.ACTIVE, True),
            (SupervisionState.ACTIVE, False),
        ]
        await it.is_sound()


async def test_a_listener_who_is_let_talk_is_not_heard() -> None:
    """Listening is silent, whatever the button says."""
    async with play() as it:
        await it.start()
        await it.switch(Mode.LISTEN, muted=True)
        await it.switch(Mode.LISTEN)
        assert it.pbx.heard_by() == set()
        await it.is_sound()


@pytest.mark.parametrize("muted", [False, True])
async def test_to_be_silent_she_is_mute_before_anything_else_changes(muted: bool) -> None:  # noqa: FBT001 - of a table
    """On the way from whisper to silence there is no moment in which she is heard by somebody else."""
    async with play() as it:
        await it.start(Mode.WHISPER)
        first = len(it.pbx.steps)
        await it.switch(Mode.BARGE if muted else Mode.LISTEN, muted=muted)
        steps = it.pbx.steps[first:]
        assert steps.index("mute") < steps.index("take_out") < steps.index("add")
        await it.is_sound()


async def test_an_unmuting_whose_answer_is_lost_ends_the_session() -> None:
    """She may be heard by now, while it is told that she is not: nobody can vouch for it."""
    async with play() as it:
        await it.start(Mode.BARGE, muted=True)
        it.pbx.faults[len(it.pbx.steps)] = FAULTS["answer lost"]
        assert await refused(it.switch(Mode.BARGE)) == "pbx.link_down"
        assert it.ended is SupervisionEnd.FAILED
        await it.is_sound()


async def test_an_end_leaves_nothing_of_ours() -> None:
    """The call goes on."""
    async with play() as it:
        await it.start()
        await it.end()
        assert it.ended is SupervisionEnd.RELEASED
        assert it.pbx.ours() == set()
        assert CUSTOMER in it.pbx.there
        assert await refused(it.end()) == "supervision.unknown"
        assert await refused(it.switch(Mode.BARGE)) == "supervision.unknown"


async def test_an_end_whose_asker_goes_away_is_carried_out() -> None:
    """Who stops listening does so, whether or not she waits for the answer."""
    async with play() as it:
        await it.start()
        owner = TaskOwner()
        number = it.pbx.hangs = len(it.pbx.steps)
        task = owner.spawn("end", it.end())
        await until(lambda: len(it.pbx.steps) > number)
        task.cancel()
        await owner.close()
        it.pbx.given_up.set()
        await it.pbx.drained()
        assert it.ended is SupervisionEnd.RELEASED
        await it.is_sound()


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


async def test_a_snoop_channel_that_comes_and_ends_at_once() -> None:
    """Both are told before anybody looks: the switch is refused, and she waits."""

    class Fleeting(FakeAri):
        async def snoop(self, target: str, channel: str, *, spy: str, whisper: str) -> None:
            await super().snoop(target, channel, spy=spy, whisper=whisper)
            if self.steps.count("snoop") == 2:
                self.destroy(AGENT)

    async with play(Fleeting()) as it:
        await it.start()
        assert await refused(it.switch(Mode.WHISPER)) == "supervision.call_ended"
        await it.pbx.drained()
        assert it.session.state is SupervisionState.WAITING
        await it.is_sound()


async def test_the_end_of_the_call_has_her_wait() -> None:
    """Its snoop channel ends with the agent's leg; what comes next is not the PBX's to say."""
    async with play() as it:
        await it.start(Mode.BARGE)
        it.pbx.destroy(AGENT)
        await it.pbx.drained()
        assert (it.session.state, it.session.mode) == (SupervisionState.WAITING, Mode.BARGE)
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
    """The request that switched learns what is over."""
    async with play() as it:
        await it.start()
        it.pbx.before[len(it.pbx.steps)] = lambda: what(it)
        it.pbx.silent = {"StasisStart"}
        assert await refused(it.switch(Mode.WHISPER)) == code
        await it.is_sound()


@pytest.mark.parametrize("step", ["take_out", "add"])
async def test_an_agent_who_leaves_in_the_middle_of_a_switch_ends_nothing(step: str) -> None:
    """The snoop channels are gone, her phone is not: she waits, and nobody hears her."""
    async with play() as it:
        await it.start(Mode.BARGE)
        first = len(it.pbx.steps)
        await it.switch(Mode.WHISPER)
        at = it.pbx.steps.index(step, first) - first
        it.pbx.before[len(it.pbx.steps) + at] = lambda: the_call_ends(it)
        assert await refused(it.switch(Mode.BARGE)) == "supervision.call_ended"
        assert (it.session.state, it.session.mode) == (SupervisionState.WAITING, Mode.WHISPER)
        await it.is_sound()


async def test_a_switch_may_come_before_she_is_known_to_wait() -> None:
    """Her snoop channel was lost, and the agent is there: the switch makes a new one, and she stays."""
    async with play() as it:
        await it.start()
        session = it.stage.session(it.session.id)
        lost = session.snoop or ""
        it.pbx.silent = {"StasisEnd", "ChannelDestroyed"}
        it.pbx.destroy(lost)
        it.pbx.silent = set()
        it.stage.lost_part(session, lost, 0)
        await it.switch(Mode.WHISPER)
        await it.pbx.drained()
        assert SupervisionState.WAITING not in [told.state for told in it.told]
        assert it.pbx.heard_by() == {AGENT}
        await it.is_sound()


async def test_a_stranger_in_the_application_is_sent_away() -> None:
    """A channel of an old session of ours is hung up; one of another dialplan is not ours to hang up."""
    async with play() as it:
        await it.start()
        for name in ("9.9", "ctid-ctid.s0-phone-1.1"):
            it.pbx.there[name] = replace(it.pbx.there[AGENT], bridge="")
            it.pbx.enter(name)
        await it.pbx.drained()
        assert "9.9" in it.pbx.there
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


async def test_a_replaced_application_is_a_lost_link() -> None:
    """The events go to another program now: who follows them learns why there are no more."""
    pbx = FakeAri()
    stage = Play(pbx).stage
    pbx.tell("ApplicationReplaced", "")
    with pytest.raises(AriLost, match="took over the Stasis application 'ctid'"):
        await stage.run()
    assert stage.replaced
    await stage.close()


class TestKeys:
    """Her phone's keys."""

    @pytest.mark.parametrize("digit", list("0123456789*#"))
    async def test_they_do_nothing_and_are_told(self, digit: str) -> None:
        """No key changes who hears her; which was pressed is a fact, for who is to judge it."""
        async with play() as it:
            await it.start()
            steps = len(it.pbx.steps)
            it.pbx.tell("ChannelDtmfReceived", it.phone, digit=digit)
            await it.pbx.drained()
            assert it.keys == [digit]
            assert len(it.pbx.steps) == steps
            assert it.pbx.heard_by() == set()
            await it.is_sound()

    async def test_those_of_others_are_not(self) -> None:
        """Nor hers before she is there: they are her phone's own."""
        async with play() as it:
            async with ringing(it):
                it.pbx.tell("ChannelDtmfReceived", it.phone, digit="5")
                await it.pbx.drained()
                it.pbx.pick_up()
            it.pbx.tell("ChannelDtmfReceived", AGENT, digit="6")
            await it.pbx.drained()
            assert it.keys == []
            await it.is_sound()
