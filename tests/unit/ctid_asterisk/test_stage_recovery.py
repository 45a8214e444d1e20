"""What a new stage finds on the PBX, and what it does with it."""

from collections.abc import Callable, Iterator
from functools import partial

import pytest
from msgspec.structs import replace

from ctid.model.ids import LegId
from ctid.model.words import Hear, Mode, Scope, SupervisionEnd, SupervisionState
from ctid_asterisk.ari import AriLost
from ctid_asterisk.sessions import VARIABLE, Record, pack
from helpers.fake_pbx import AGENT, CUSTOMER
from helpers.stage_play import BRIDGE, FAULTS, IDENT, TONE, Play, attempt, meanwhile, play, soon
from helpers.stage_scenarios import (
    Scenario,
    following_to_another,
    number_of,
    she_hangs_up,
    starting,
    starting_to_wait,
    taking_over,
    the_call_ends,
    the_customer_hangs_up,
)

LOST = (SupervisionState.ENDED, SupervisionEnd.LOST)


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


async def test_a_whole_session_is_taken_up_and_goes_on() -> None:
    """It is told again as it is, once, and can be switched and ended."""
    async with play() as it:
        await it.start(muted=True)
        await it.switch(Mode.BARGE, Hear.CUSTOMER, muted=True)
        before = it.session
    async with play(it.pbx) as again:
        await again.stage.recover([before])
        assert again.told == [before]
        await again.switch(Mode.WHISPER)
        await again.is_sound()


async def test_who_waits_waits_on() -> None:
    """Mute, with her tone, of which there is one."""
    async with play() as it:
        await starting_to_wait(it)
        before = it.session
    async with play(it.pbx) as again:
        await again.stage.recover()
        assert again.told == [before]
        assert it.pbx.tones == {TONE: BRIDGE}
        await again.follow(AGENT, Mode.WHISPER, scope=Scope.AGENT)
        await again.is_sound()


async def test_an_agent_who_left_while_nobody_looked() -> None:
    """She is alone in her bridge: she waits."""
    async with play() as it:
        await it.start(Mode.BARGE)
    the_call_ends(it)
    async with play(it.pbx) as again:
        await again.stage.recover()
        assert again.session.state is SupervisionState.WAITING
        assert it.pbx.there[again.phone].muted
        await again.is_sound()


@pytest.mark.parametrize("what", [she_hangs_up, the_customer_hangs_up])
async def test_a_take_over_is_taken_up(what: Callable[[Play], None]) -> None:
    """Customer and supervisor talk on, and the end of either is told, though both are elsewhere."""
    async with play() as it:
        await it.start()
        await it.take_over()
    async with play(it.pbx) as again:
        await again.stage.recover()
        assert again.session.mode is Mode.TAKEOVER
        what(again)
        await again.pbx.drained()
        assert again.stage.supervisions() == []
        assert CUSTOMER not in it.pbx.there
        await again.is_sound()


async def test_a_take_over_that_was_cut_off_after_its_one_step_is_one() -> None:
    """The record says that she listened; where she is says that the customer is hers."""
    number = await number_of([starting], taking_over, "blind_transfer")
    async with play() as killed:
        await killed.start()
        killed.pbx.faults = dict.fromkeys(range(number + 1, number + 50), FAULTS["not reached"])
        await attempt(killed.take_over())
    async with play(killed.pbx) as again:
        await again.stage.recover()
        assert again.session.mode is Mode.TAKEOVER
        assert again.pbx.heard_by() == {CUSTOMER}
        await again.is_sound()


@pytest.mark.parametrize("answers", [True, False])
async def test_a_hand_back_that_was_cut_off_is_carried_out_by_the_pbx(answers: bool) -> None:  # noqa: FBT001 - of a table
    """The agent's phone rings on: if she answers the customer is hers, if not he stays."""
    async with play() as it:
        await it.start()
        await it.take_over()
        it.pbx.answers = False
        async with meanwhile(it.hand_back(5.0), lambda: it.pbx.agent_rings() is not None) as (_, task):
            it.pbx.faults = dict.fromkeys(range(len(it.pbx.steps), 999), FAULTS["not reached"])
            task.cancel()
        assert it.pbx.agent_rings() is not None
    async with play(it.pbx) as again:
        await again.stage.recover()
        assert again.session.mode is Mode.TAKEOVER
        if answers:
            it.pbx.agent_picks_up()
            await it.pbx.drained()
            assert again.ended is SupervisionEnd.SUPERVISOR_HUNG_UP
        else:
            it.pbx.destroy(it.pbx.agent_rings() or "")
            assert it.pbx.heard_by() == {CUSTOMER}
        await again.is_sound()


async def test_on_her_way_to_another_agent_she_waits() -> None:
    """It cannot be told whom the record means: nobody is listened to under another's name."""
    number = await number_of([starting], following_to_another, "set_variable", 1)
    async with play() as killed:
        await killed.start()
        killed.pbx.faults = dict.fromkeys(range(number, number + 50), FAULTS["not reached"])
        await attempt(following_to_another(killed))
    async with play(killed.pbx) as again:
        await again.stage.recover()
        assert again.session.state is SupervisionState.WAITING
        assert [chan.target for chan in again.pbx.there.values() if chan.target] == []
        await again.is_sound()


async def test_sessions_that_are_no_more_are_told_as_lost() -> None:
    """While ARI was away she hung up: the session that was known is told as ended."""
    async with play() as it:
        await it.start()
        known = it.stage.supervisions()
    she_hangs_up(it)
    async with play(it.pbx) as again:
        await again.stage.recover(known)
        (told,) = again.told
        assert (told.state, told.end) == LOST
        await again.is_sound()


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("given", [starting, starting_to_wait, taking_over])
async def test_a_phone_that_goes_while_it_is_looked_for_ends_its_session(given: Scenario, step: int) -> None:
    """Between the lists and what is done with them: no session stays that has no phone."""
    async with play() as it:
        if given is taking_over:
            await it.start()
        await given(it)
    async with play(it.pbx) as again:
        again.pbx.before[len(it.pbx.steps) + step] = partial(she_hangs_up, again)
        await again.stage.recover()
        await again.pbx.drained()
        assert again.stage.supervisions() == []
        assert again.pbx.ours() == set()
        assert again.failures == []


@pytest.mark.parametrize("step", range(4))
async def test_an_agent_who_leaves_while_it_is_looked_for(step: int) -> None:
    """Nobody waits for a call that is over: she is told as waiting."""
    async with play() as it:
        await it.start(Mode.BARGE)
    async with play(it.pbx) as again:
        again.pbx.before[len(it.pbx.steps) + step] = partial(the_call_ends, again)
        await again.stage.recover()
        await again.pbx.drained()
        assert again.session.state is SupervisionState.WAITING
        await again.is_sound()


async def test_a_phone_that_cannot_be_muted_is_hung_up() -> None:
    """It is not sure who hears her."""
    async with play() as it:
        await it.start(Mode.BARGE)
        await it.switch(Mode.LISTEN)
    async with play(it.pbx) as again:
        it.pbx.refuses = {"mute"}
        await again.stage.recover()
        assert again.ended is SupervisionEnd.FAILED
        await again.is_sound()


async def test_a_pbx_that_does_not_answer_is_asked_again() -> None:
    """Nothing is hung up, and the next to look finds all as it was."""
    async with play() as it:
        await it.start()
        before = it.session
    async with play(it.pbx) as again:
        again.pbx.faults = dict.fromkeys(range(len(it.pbx.steps) + 3, 999), FAULTS["not reached"])
        with pytest.raises(AriLost):
            await again.stage.recover()
    async with play(it.pbx) as at_last:
        await at_last.stage.recover()
        assert at_last.told == [before]
        await at_last.is_sound()


async def test_what_cannot_be_cleared_away_does_not_keep_the_rest() -> None:
    """One left-over that is refused to be hung up keeps nobody from supervising."""
    async with play() as it:
        for name in ("ctid-ctid.s0-phone-1.1", "ctid-ctid.s0-listen_both-1.2"):
            it.pbx.there[name] = replace(it.pbx.there[AGENT], bridge="")
        it.pbx.faults[3] = FAULTS["refused"]
        await it.stage.recover()
        assert it.pbx.steps[3] == "hang_up"
        assert len(it.pbx.ours()) == 1


async def test_a_record_that_cannot_be_read_is_cleared_away() -> None:
    """A session of another release does not keep the daemon from starting."""
    async with play() as it:
        await it.start()
    it.pbx.there[it.phone].variables[VARIABLE] = "rubbish"
    async with play(it.pbx) as again:
        await again.stage.recover()
        assert again.stage.supervisions() == []
        assert again.pbx.ours() == set()


async def test_what_another_application_conducts_is_let_be() -> None:
    """Another ctid beside the same PBX has sessions of its own, whole and half begun."""
    async with play() as it:
        bridge = "ctid-other.s9"
        channels = {f"{bridge}-phone-1.1", "ctid-other.s8-listen_both-1.2"}
        it.pbx.of_bridges.add(bridge)
        for name in channels:
            it.pbx.there[name] = replace(it.pbx.there[AGENT], bridge=bridge)
        await it.stage.recover()
        assert it.told == []
        assert it.pbx.ours() == {bridge, *channels}


async def test_the_record_is_on_the_phone() -> None:
    """Everything that is published of the session can be read from her channel."""
    async with play() as it:
        await it.start()
        record = Record(supervision=it.session, target=LegId(AGENT))
        assert it.pbx.there[it.phone].variables == {VARIABLE: pack(record)}
        assert it.session.id == IDENT
