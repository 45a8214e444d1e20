"""What sessions consist of, and what becomes of it when the PBX does not clear it away."""

from collections.abc import Iterator

import pytest

from ctid.model.words import Mode, SupervisionEnd, SupervisionState
from helpers.patience import until
from helpers.stage_play import BRIDGE, is_sound_in_the_end, play, refused, soon
from helpers.stage_scenarios import Scenario, named, she_hangs_up, starting, starting_to_wait, taking_over

NEITHER = frozenset({"hang_up", "hang_up_by_ami"})


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


@pytest.mark.parametrize("given", [[starting], [starting_to_wait], [starting, taking_over]], ids=named)
async def test_what_ari_does_not_hang_up_ami_does(given: list[Scenario]) -> None:
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


async def test_what_ari_hangs_up_is_not_hung_up_by_ami() -> None:
    """It is there for when ARI fails."""
    async with play() as it:
        await it.start()
        await it.end()
        assert "hang_up_by_ami" not in it.pbx.steps


async def test_a_bridge_alone_is_no_reason_to_go_on() -> None:
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
@pytest.mark.parametrize("given", [starting, starting_to_wait])
async def test_an_end_that_is_in_vain_says_so(given: Scenario, whole: bool) -> None:  # noqa: FBT001 - of a table
    """The session stays known, ARI is connected to anew, and what is found then is told."""
    async with play() as it:
        await given(it)
        before = it.session.state
        it.pbx.refuses = {*NEITHER, "destroy_bridge"} if whole else {*NEITHER}
        assert await refused(it.end()) == "pbx.link_down"
        assert it.ended is None
        assert it.session.state is before
        assert it.pbx.closed
        known = it.stage.supervisions()
    async with play(it.pbx) as again:
        await again.stage.recover(known)
        (told,) = again.told
        if whole:
            assert (told.state, told.mode) == (before, Mode.LISTEN)
        else:
            assert (told.state, told.end) == (SupervisionState.ENDED, SupervisionEnd.LOST)
        await again.is_sound()


async def test_an_end_can_be_asked_for_again() -> None:
    """As soon as AMI does it, the session is over, though ARI is away."""
    async with play() as it:
        await it.start()
        it.pbx.refuses = {*NEITHER}
        assert await refused(it.end()) == "pbx.link_down"
        it.pbx.refuses = {"hang_up"}
        await it.end()
        assert it.ended is SupervisionEnd.RELEASED
        assert it.stage.supervisions() == []
        assert it.pbx.phone() is None


async def test_a_start_that_cannot_be_undone_is_not_told_as_ended() -> None:
    """It is refused for what failed it, and the next recovery hangs up what it left."""
    async with play() as it:
        it.pbx.answers = False
        it.pbx.refuses = {*NEITHER}
        assert await refused(it.start()) == "supervision.phone_no_answer"
        assert it.ended is None
        assert it.pbx.closed
        known = it.stage.supervisions()
    assert it.pbx.phone() is not None
    async with play(it.pbx) as again:
        await again.stage.recover(known)
        assert [session.end for session in again.told] == [SupervisionEnd.LOST]
        await again.is_sound()


async def test_a_session_whose_rest_stays_is_not_told_as_ended() -> None:
    """She hung up, and the snoop channel is there: nobody is told that nothing is."""
    async with play() as it:
        await it.start()
        it.pbx.refuses = {*NEITHER}
        she_hangs_up(it)
        await until(lambda: it.pbx.closed)
        assert it.ended is None
        await is_sound_in_the_end(it)


async def test_a_snoop_channel_that_stays_after_a_switch_goes_with_the_session() -> None:
    """It is in no bridge: nobody hears by it, and the end tries again."""
    async with play() as it:
        await it.start()
        it.pbx.refuses = {"hang_up"}
        await it.switch(Mode.WHISPER)
        assert len([chan for chan in it.pbx.there.values() if chan.target]) == 2
        it.pbx.refuses = set()
        await it.is_sound()
