"""Sessions on a PBX in memory beyond one call: they wait, follow, are kept, and give notice."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

import pytest

from ctid.model.words import Hear, Mode, NoticeKind, NoticeState, Scope, SupervisionEnd, SupervisionState
from ctid_asterisk.sessions import VARIABLE, unpack
from helpers.fake_pbx import AGENT, COLLEAGUE, CUSTOMER, NEXT_AGENT
from helpers.stage_play import BRIDGE, FAULTS, TONE, Play, meanwhile, play, refused, soon
from helpers.stage_scenarios import (
    following_a_transfer,
    following_her_call,
    following_to_another,
    number_of,
    she_hangs_up,
    starting,
    starting_to_wait,
    the_call_ends,
)

WAITING, ACTIVE = SupervisionState.WAITING, SupervisionState.ACTIVE


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


class TestWaiting:
    """Her phone is up, and in no call."""

    async def test_she_waits_where_the_agent_is_in_no_call(self) -> None:
        """Mute, alone in her bridge, with a quiet tone; it is told from ringing on."""
        async with play() as it:
            await starting_to_wait(it)
            assert [session.state for session in it.told] == [SupervisionState.RINGING, WAITING]
            assert it.pbx.there[it.phone].muted
            assert it.pbx.inside(BRIDGE) == {it.phone}
            assert it.pbx.tones == {TONE: BRIDGE}
            await it.is_sound()

    async def test_a_tone_that_cannot_be_played_keeps_nobody_from_waiting(self) -> None:
        """It is a comfort, and she waits without."""
        async with play() as it:
            it.pbx.refuses = {"play_to_bridge"}
            await starting_to_wait(it)
            assert (it.session.state, it.pbx.tones) == (WAITING, {})

    async def test_who_cannot_be_muted_does_not_wait(self) -> None:
        """A session that cannot even do that ends; the daemon does not."""
        async with play() as it:
            await it.start(Mode.BARGE)
            it.pbx.refuses = {"mute"}
            it.pbx.destroy(AGENT)
            await it.pbx.drained()
            assert it.ended is SupervisionEnd.FAILED
            await it.is_sound()

    async def test_what_is_asked_meanwhile_holds_later(self) -> None:
        """Mode, side and mute are noted, and nothing of the PBX changes but the record."""
        async with play() as it:
            await starting_to_wait(it)
            first = len(it.pbx.steps)
            await it.switch(Mode.BARGE, Hear.AGENT, muted=True)
            assert it.pbx.steps[first:] == ["set_variable"]
            session = it.session
            assert (session.state, session.mode, session.hear, session.muted) == (
                WAITING,
                Mode.BARGE,
                Hear.AGENT,
                True,
            )
            await it.is_sound()

    async def test_the_agent_who_leaves_twice_is_missed_once(self) -> None:
        """Her leg's end is told as the end of the snoop channel, which leaves and is destroyed."""
        async with play() as it:
            await it.start()
            the_call_ends(it)
            await it.pbx.drained()
            assert [session.state for session in it.told].count(WAITING) == 1
            await it.is_sound()

    async def test_who_hangs_up_while_she_waits_is_gone(self) -> None:
        """Her end is an end like any other."""
        async with play() as it:
            await starting_to_wait(it)
            she_hangs_up(it)
            await it.pbx.drained()
            assert it.ended is SupervisionEnd.SUPERVISOR_HUNG_UP
            await it.is_sound()

    async def test_a_call_that_is_not_there_cannot_be_taken_over(self) -> None:
        """The agent has left: nothing is touched."""
        async with play() as it:
            await starting_to_wait(it)
            steps = len(it.pbx.steps)
            assert await refused(it.take_over()) == "supervision.call_ended"
            assert len(it.pbx.steps) == steps
            await it.is_sound()


class TestFollowing:
    """She goes to another leg, and her phone is not rung again."""

    async def test_from_call_to_call(self) -> None:
        """The agent's calls, one after the other; the quiet tone is between them, and never in them."""
        async with play() as it:
            await starting_to_wait(it)
            await following_her_call(it)
            assert (it.session.state, it.session.calls) == (ACTIVE, 1)
            assert (it.pbx.heard_by(), it.pbx.tones) == ({AGENT}, {})
            the_call_ends(it)
            await it.pbx.drained()
            assert (it.session.state, it.pbx.tones) == (WAITING, {TONE: BRIDGE})
            it.pbx.next_call()
            await it.follow(NEXT_AGENT, Mode.WHISPER, scope=Scope.AGENT, calls=2)
            assert it.pbx.heard_by() == {NEXT_AGENT}
            assert it.pbx.steps.count("ring") == 1
            await it.is_sound()

    async def test_the_tone_ends_before_she_comes(self) -> None:
        """Else those whom she may talk to would hear it too."""
        async with play() as it:
            await starting_to_wait(it)
            first = len(it.pbx.steps)
            await following_her_call(it)
            steps = it.pbx.steps[first:]
            assert steps.index("stop_play") < steps.index("add")

    async def test_through_a_transfer(self) -> None:
        """The agent is out of it, the call is a colleague's, and she hears it on."""
        async with play() as it:
            await starting(it)
            await following_a_transfer(it)
            assert it.pbx.hears() == {CUSTOMER, COLLEAGUE}
            assert [session.state for session in it.told][-3:] == [ACTIVE, WAITING, ACTIVE]
            await it.is_sound()

    async def test_from_one_call_that_goes_on_to_another(self) -> None:
        """In listen: nobody of either hears her, and no snoop channel stays in the first."""
        async with play() as it:
            await it.start(Mode.BARGE)
            await following_to_another(it)
            assert (it.session.mode, it.pbx.heard_by()) == (Mode.LISTEN, set())
            assert [chan.target for chan in it.pbx.there.values() if chan.target] == [NEXT_AGENT]
            await it.is_sound()

    async def test_an_agent_who_has_left_again(self) -> None:
        """All stays as it was: she waits, or is where she was."""
        async with play() as it:
            await starting_to_wait(it)
            assert await refused(it.follow("9.9")) == "supervision.call_ended"
            assert it.session.state is WAITING
            await following_her_call(it)
            assert await refused(it.follow("9.9")) == "supervision.call_ended"
            assert (it.session.mode, it.session.state) == (Mode.WHISPER, ACTIVE)
            await it.is_sound()

    async def test_an_agent_who_leaves_as_she_comes(self) -> None:
        """She waits on, and the tone is there again."""
        number = await number_of([starting_to_wait], following_her_call, "add")
        async with play() as it:
            await starting_to_wait(it)
            it.pbx.before[number] = partial(the_call_ends, it)
            assert await refused(following_her_call(it)) == "supervision.call_ended"
            assert (it.session.state, it.pbx.tones) == (WAITING, {TONE: BRIDGE})
            await it.is_sound()

    async def test_who_has_a_customer_of_her_own_follows_nobody(self) -> None:
        """Nor does she switch: he would be alone."""
        async with play() as it:
            await it.start()
            await it.take_over()
            it.pbx.next_call()
            assert await refused(it.follow(NEXT_AGENT)) == "supervision.mode_not_possible"
            assert await refused(it.switch(Mode.WHISPER)) == "supervision.mode_not_possible"
            await it.is_sound()

    async def test_a_tone_of_which_nobody_knows_whether_it_stopped(self) -> None:
        """The session ends, rather than that a customer hears it."""
        number = await number_of([starting_to_wait], following_her_call, "stop_play")
        async with play() as it:
            await starting_to_wait(it)
            it.pbx.faults[number] = FAULTS["not reached"]
            assert await refused(following_her_call(it)) == "pbx.link_down"
            assert it.ended is SupervisionEnd.FAILED
            await it.is_sound()


class TestKeeping:
    """What is the core's to say of a session is on the PBX as well."""

    async def test_what_the_core_says_is_kept(self) -> None:
        """Who leads, limits, notice: told, and in the record, from which a restart has it."""
        async with play() as it:
            await it.start()
            said = {"lead": False, "notice": NoticeKind.TONE, "notice_state": NoticeState.GIVEN, "calls": 3}
            await it.keep(**said)
            assert {key: getattr(it.session, key) for key in said} == said
            assert unpack(it.pbx.there[it.phone].variables[VARIABLE]).supervision == it.session
            await it.is_sound()

    async def test_what_is_the_pbx_s_to_say_is_not(self) -> None:
        """The core may be behind: mode, side, mute and state stay what they are."""
        async with play() as it:
            await it.start(Mode.WHISPER, hear=Hear.AGENT, muted=True)
            await it.keep(mode=Mode.BARGE, hear=Hear.BOTH, muted=False, state=WAITING, note="kept")
            session = it.session
            assert (session.mode, session.hear, session.muted, session.state) == (
                Mode.WHISPER,
                Hear.AGENT,
                True,
                ACTIVE,
            )
            assert session.note == "kept"
            await it.is_sound()

    @pytest.mark.parametrize("fault", FAULTS)
    async def test_a_record_that_cannot_be_written_ends_nothing(self, fault: str) -> None:
        """Who hears whom is not in it."""
        async with play() as it:
            await it.start()
            it.pbx.faults[len(it.pbx.steps)] = FAULTS[fault]
            await it.keep(note="kept")
            assert it.session.note == "kept"
            await it.is_sound()

    @pytest.mark.parametrize("step", ["keep", "switch", "follow", "take_over", "hand_back"])
    async def test_of_a_session_that_is_over_nothing_is_kept(self, step: str) -> None:
        """It is unknown, by whichever command."""
        async with play() as it:
            commands: dict[str, Callable[[], Awaitable[None]]] = {
                "keep": it.keep,
                "switch": partial(it.switch, Mode.BARGE),
                "follow": partial(it.follow, AGENT),
                "take_over": it.take_over,
                "hand_back": it.hand_back,
            }
            await it.start()
            await it.end()
            assert await refused(commands[step]()) == "supervision.unknown"


class TestNotice:
    """The tone in the agent's ear."""

    async def test_the_agent_alone_hears_it(self) -> None:
        """By a channel of its own, in no bridge, of which nothing stays; her session is not touched."""
        async with play() as it:
            await it.start(Mode.BARGE)
            told = len(it.told)
            await it.give_notice()
            assert [target for target, _ in it.pbx.noticed] == [AGENT]
            assert not [name for name in it.pbx.there if "notice" in name]
            assert len(it.told) == told
            await it.is_sound()

    async def test_an_agent_who_is_gone_is_not_told(self) -> None:
        """Before it, and in the midst of it."""
        async with play() as it:
            assert await refused(it.give_notice("9.9")) == "supervision.call_ended"
            it.pbx.before[len(it.pbx.steps) + 1] = partial(the_call_ends, it)
            assert await refused(it.give_notice()) == "supervision.call_ended"
            assert it.pbx.ours() == set()

    async def test_an_agent_who_goes_before_it_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody waits for a channel that has ended."""
        monkeypatch.setattr("ctid_asterisk.notice.JOIN_S", 5.0)
        async with play() as it:
            it.pbx.silent = {"StasisStart"}
            async with meanwhile(it.give_notice(), lambda: len(it.pbx.steps) > 0) as (codes, _):
                the_call_ends(it)
            assert codes == ["supervision.call_ended"]
            assert it.pbx.ours() == set()

    @pytest.mark.parametrize("fault", ["refused", "not reached", "answer lost"])
    @pytest.mark.parametrize("step", [0, 1, 2])
    async def test_whatever_fails_leaves_nothing(self, step: int, fault: str) -> None:
        """And is told, unless it was only the clearing away, which is tried again."""
        async with play() as it:
            it.pbx.faults[step] = FAULTS[fault]
            if step < 2:
                assert await refused(it.give_notice()) in {"pbx.refused", "pbx.link_down"}
            else:
                await it.give_notice()
            await it.pbx.drained()
            assert it.pbx.ours() == set()

    async def test_a_channel_that_never_comes_is_a_timeout(self) -> None:
        """And if it comes later, it is sent away."""
        async with play() as it:
            it.pbx.silent = {"StasisStart"}
            assert await refused(it.give_notice()) == "pbx.timeout"
            assert it.pbx.ours() == set()

    @pytest.mark.parametrize("how", ["cut", "close"])
    async def test_a_lost_link_fails_it(self, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not waited for."""
        monkeypatch.setattr("ctid_asterisk.notice.JOIN_S", 5.0)
        async with play() as it:
            it.pbx.silent = {"StasisStart"}
            async with meanwhile(it.give_notice(), lambda: len(it.pbx.steps) > 0) as (codes, _):
                await _lose(it, how)
            assert codes == ["pbx.link_down"]


async def _lose(it: Play, how: str) -> None:
    if how == "cut":
        it.pbx.cut()
    else:
        await it.stage.close()
