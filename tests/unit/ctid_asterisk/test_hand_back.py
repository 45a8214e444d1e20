"""Hand-back on a PBX in memory: the customer is with the supervisor until he is with the agent."""

from collections.abc import Iterator

import pytest

from ctid.model.words import Mode, SupervisionEnd, SupervisionState
from helpers.fake_pbx import CUSTOMER, RETURNED
from helpers.stage_play import FAULTS, Play, meanwhile, play, refused, soon
from helpers.stage_scenarios import (
    handing_back,
    number_of,
    she_hangs_up,
    starting,
    taking_over,
    the_customer_hangs_up,
)

ACTIVE, SWITCHING = SupervisionState.ACTIVE, SupervisionState.SWITCHING


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


class TestHandBack:
    """The customer returns to the agent."""

    async def taken(self, it: Play, *, answers: bool = True) -> None:
        """Take over; the agent's phone answers or not."""
        await it.start()
        await it.take_over()
        it.pbx.answers = answers

    async def test_the_customer_goes_to_the_agent_as_she_answers(self) -> None:
        """Until then he is with the supervisor; then nothing of ctid is left."""
        async with play() as it:
            await self.taken(it, answers=False)
            async with meanwhile(it.hand_back(5.0), lambda: it.pbx.agent_rings() is not None) as (codes, _):
                assert it.session.state is SWITCHING
                assert it.pbx.heard_by() == {CUSTOMER}
                back = it.pbx.agent_rings()
                it.pbx.agent_picks_up()
            assert codes == [""]
            assert it.pbx.inside(RETURNED) == {CUSTOMER, back}
            assert it.ended is SupervisionEnd.HANDED_BACK
            await it.is_sound()

    async def test_who_has_no_customer_hands_none_back(self) -> None:
        """He has an agent."""
        async with play() as it:
            await it.start()
            assert await refused(it.hand_back()) == "supervision.mode_not_possible"
            await it.is_sound()

    @pytest.mark.parametrize("declines", [False, True])
    async def test_an_agent_who_does_not_answer(self, declines: bool) -> None:  # noqa: FBT001 - of a table
        """The customer has never left the supervisor, her phone rings no more, and it can be tried again."""
        async with play() as it:
            await self.taken(it, answers=False)
            async with meanwhile(it.hand_back(), lambda: it.pbx.agent_rings() is not None) as (codes, _):
                if declines:
                    it.pbx.destroy(it.pbx.agent_rings() or "", 21)
            assert codes == ["supervision.agent_no_answer"]
            assert it.pbx.agent_rings() is None
            assert (it.session.mode, it.session.state) == (Mode.TAKEOVER, ACTIVE)
            it.pbx.answers = True
            await it.hand_back()
            assert it.ended is SupervisionEnd.HANDED_BACK
            await it.is_sound()

    async def test_an_agent_who_cannot_be_rung(self) -> None:
        """Her phone is not registered."""
        async with play() as it:
            await self.taken(it)
            it.pbx.refuses = {"dial"}
            assert await refused(it.hand_back()) == "supervision.agent_unreachable"
            assert it.pbx.heard_by() == {CUSTOMER}
            await it.is_sound()

    async def test_a_customer_who_hangs_up_meanwhile(self) -> None:
        """The agent's phone stops ringing."""
        async with play() as it:
            await self.taken(it, answers=False)
            async with meanwhile(it.hand_back(5.0), lambda: it.pbx.agent_rings() is not None) as (codes, _):
                the_customer_hangs_up(it)
            assert codes == ["supervision.call_ended"]
            await it.pbx.drained()
            assert it.pbx.there == {}
            assert it.ended is SupervisionEnd.CALL_ENDED
            await it.is_sound()

    async def test_a_supervisor_who_hangs_up_meanwhile(self) -> None:
        """It was her call: it is over, and no agent is rung for nothing."""
        async with play() as it:
            await self.taken(it, answers=False)
            async with meanwhile(it.hand_back(5.0), lambda: it.pbx.agent_rings() is not None) as (codes, _):
                she_hangs_up(it)
            (code,) = codes
            assert code in {"supervision.ended", "supervision.call_ended"}
            await it.pbx.drained()
            assert it.pbx.there == {}
            await it.is_sound()

    async def test_an_end_does_not_wait_for_the_agent(self) -> None:
        """The ringing stops at once, and the end is the one that was asked for."""
        async with play() as it:
            await self.taken(it, answers=False)
            async with meanwhile(it.hand_back(5.0), lambda: it.pbx.agent_rings() is not None) as (codes, _):
                await it.end()
            assert codes == ["supervision.ended"]
            assert it.ended is SupervisionEnd.RELEASED
            assert it.pbx.there == {}
            await it.is_sound()

    async def test_an_end_that_is_to_drop_nobody_does_not_stop_it(self) -> None:
        """The agent's phone rings on, and the customer is hers as she answers."""
        async with play() as it:
            await self.taken(it, answers=False)
            async with meanwhile(it.hand_back(5.0), lambda: it.pbx.agent_rings() is not None) as (codes, _):
                assert await refused(it.end(unless_taken_over=True)) == "supervision.mode_not_possible"
                it.pbx.agent_picks_up()
            assert codes == [""]
            assert it.ended is SupervisionEnd.HANDED_BACK
            await it.is_sound()

    async def test_an_answer_that_is_lost_while_she_picks_up(self) -> None:
        """The customer is hers: to hang her up now would drop him."""
        async with play() as it:
            await self.taken(it)
            it.pbx.faults[len(it.pbx.steps)] = FAULTS["answer lost"]
            await it.hand_back()
            assert it.ended is SupervisionEnd.HANDED_BACK
            assert len(it.pbx.inside(RETURNED)) == 2
            await it.is_sound()

    async def test_an_answer_that_is_lost_while_it_rings(self) -> None:
        """Nobody waits for her any more: her phone stops ringing."""
        async with play() as it:
            await self.taken(it, answers=False)
            it.pbx.faults[len(it.pbx.steps)] = FAULTS["answer lost"]
            assert await refused(it.hand_back()) == "pbx.link_down"
            assert it.pbx.agent_rings() is None
            assert it.session.state is ACTIVE
            await it.is_sound()

    async def test_a_ringing_that_cannot_be_stopped_drops_nobody(self) -> None:
        """She picks up after all: the customer is hers, and the session is over."""
        async with play() as it:
            await self.taken(it, answers=False)
            it.pbx.refuses = {"hang_up"}
            assert await refused(it.hand_back()) == "supervision.agent_no_answer"
            it.pbx.refuses = set()
            it.pbx.agent_picks_up()
            await it.pbx.drained()
            assert len(it.pbx.inside(RETURNED)) == 2
            assert it.ended is SupervisionEnd.SUPERVISOR_HUNG_UP
            await it.is_sound()

    async def test_without_events_of_ari_it_goes_on(self) -> None:
        """It is the PBX's own doing, and AMI tells of it."""
        async with play() as it:
            await self.taken(it, answers=False)
            async with meanwhile(it.hand_back(5.0), lambda: it.pbx.agent_rings() is not None) as (codes, _):
                it.pbx.cut()
                await it.pbx.drained()
                it.pbx.agent_picks_up()
            assert codes == [""]
            assert it.ended is SupervisionEnd.HANDED_BACK
            assert len(it.pbx.inside(RETURNED)) == 2

    async def test_a_hand_back_is_one_ring(self) -> None:
        """Nothing else is asked of the PBX before the customer is with the agent."""
        async with play() as it:
            await self.taken(it)
            number = await number_of([starting, taking_over], handing_back, "dial")
            assert number == len(it.pbx.steps)
            await it.hand_back()
            await it.is_sound()
