"""Take-over on a PBX in memory: the customer is never alone, and never dropped."""

from collections.abc import Callable, Iterator

import pytest

from ctid.model.words import Hear, Mode, SupervisionEnd, SupervisionState
from ctid_asterisk import handover
from ctid_asterisk.sessions import BACK, JOIN, QUEUE_BACK
from helpers.fake_ari import FakeAri
from helpers.fake_pbx import AGENT, CUSTOMER, TAKEN, TALKING, full_name
from helpers.stage_play import FAULTS, Play, is_sound_in_the_end, meanwhile, play, refused, soon
from helpers.stage_scenarios import (
    number_of,
    she_hangs_up,
    starting,
    taking_over,
    the_call_ends,
    the_customer_hangs_up,
    the_snoop_ends,
)

ACTIVE, SWITCHING = SupervisionState.ACTIVE, SupervisionState.SWITCHING


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    soon(monkeypatch)
    return iter((None,))


@pytest.fixture
def _in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    """Packets that do not come are not waited for in seconds."""
    monkeypatch.setattr(handover, "CONFIRM_S", 0.3)


async def failing_at(it: Play, step: str, fault: str, nth: int = 0) -> None:
    """Begin, and have a step of the take-over fail."""
    await it.start()
    it.pbx.faults[await number_of([starting], taking_over, step, nth)] = FAULTS[fault]


class Reluctant(FakeAri):
    """A PBX that makes two snoop channels; from the third on it refuses some steps for good."""

    def __init__(self, *refuses: str) -> None:
        super().__init__()
        self._refuses = set(refuses)

    async def snoop(self, target: str, channel: str, *, spy: str, whisper: str) -> None:
        """Make a snoop channel, or not."""
        if self.steps.count("snoop") == 2:
            self.refuses = self._refuses
        await super().snoop(target, channel, spy=spy, whisper=whisper)


class TestTakeOver:
    """The customer goes to the supervisor."""

    async def test_it_leaves_customer_and_supervisor(self) -> None:
        """The agent is released, the two hear each other, and nothing else of the session is left."""
        async with play() as it:
            await it.start()
            phone = it.phone
            await it.take_over()
            assert (it.session.mode, it.session.state) == (Mode.TAKEOVER, ACTIVE)
            assert it.pbx.inside(TAKEN) == {CUSTOMER, phone}
            assert set(it.pbx.there) == {CUSTOMER, phone}
            assert it.pbx.there[CUSTOMER].variables == {
                JOIN: full_name(phone),
                BACK: "PJSIP/1001",
                QUEUE_BACK: "support",
            }
            steps = len(it.pbx.steps)
            await it.take_over()
            assert len(it.pbx.steps) == steps, "there is nothing left to take over"
            await it.is_sound()

    async def test_they_talk_before_the_agent_is_released(self) -> None:
        """She barges, packets are counted, and only then anything is asked that could not be undone."""
        async with play() as it:
            await it.start()
            first = len(it.pbx.steps)
            await it.take_over()
            steps = it.pbx.steps[first:]
            assert steps.index("add") < steps.index("packets") < steps.index("setvar")
            assert steps[-6:-3] == ["setvar", "setvar", "blind_transfer"]
            assert [session.state for session in it.told[2:]] == [SWITCHING, ACTIVE]

    async def test_a_side_and_a_mute_of_before_do_not_hold(self) -> None:
        """The call is hers: she hears the customer, and he hears her."""
        async with play() as it:
            await it.start(Mode.WHISPER, hear=Hear.AGENT, muted=True)
            await it.take_over()
            session = it.session
            assert (session.mode, session.hear, session.muted) == (Mode.TAKEOVER, Hear.BOTH, False)
            await it.is_sound()

    @pytest.mark.usefixtures("_in_vain")
    @pytest.mark.parametrize("who", ["supervisor", "customer"])
    @pytest.mark.parametrize(
        ("mode", "hear", "muted"),
        [
            (Mode.LISTEN, Hear.BOTH, False),
            (Mode.WHISPER, Hear.CUSTOMER, False),
            (Mode.BARGE, Hear.BOTH, True),
        ],
    )
    async def test_without_audio_the_agent_is_not_released(
        self,
        who: str,
        mode: Mode,
        hear: Hear,
        muted: bool,  # noqa: FBT001 - of a table
    ) -> None:
        """Nothing comes from her, or nothing goes to him: all is as it was, and it is said why."""
        async with play() as it:
            await it.start(mode, hear=hear, muted=muted)
            it.pbx.no_audio = {it.phone if who == "supervisor" else CUSTOMER}
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            assert "blind_transfer" not in it.pbx.steps
            assert it.pbx.inside(TALKING) == {CUSTOMER, AGENT}
            assert (it.session.mode, it.session.hear, it.session.muted) == (mode, hear, muted)
            await it.is_sound()

    async def test_what_has_no_packets_of_its_own_is_not_asked_for_them(self) -> None:
        """A leg that does not come by RTP: who it is cannot be told by counting."""
        async with play() as it:
            await it.start()
            it.pbx.no_rtp = {CUSTOMER}
            await it.take_over()
            await it.is_sound()

    @pytest.mark.parametrize("nth", range(3))
    async def test_a_customer_who_is_gone_is_a_call_that_ended(self, nth: int) -> None:
        """Nothing was moved, and the session is as it was until the PBX tells its end."""
        async with play() as it:
            await failing_at(it, "setvar", "gone", nth)
            assert await refused(it.take_over()) == "supervision.call_ended"
            assert it.session.mode is Mode.LISTEN
            await it.is_sound()

    async def test_a_transfer_that_is_refused_changes_nothing(self) -> None:
        """Customer and agent talk on, and she listens on; no is no, and nobody is asked twice."""
        async with play() as it:
            await failing_at(it, "blind_transfer", "refused")
            assert await refused(it.take_over()) == "pbx.refused"
            assert "bridges" not in it.pbx.steps
            assert it.pbx.inside(TALKING) == {CUSTOMER, AGENT}
            the_call_ends(it)
            await it.pbx.drained()
            assert it.session.state is SupervisionState.WAITING
            await it.is_sound()

    async def test_a_transfer_whose_answer_is_lost_has_moved_the_customer_all_the_same(self) -> None:
        """ARI says that he is with her: it is a take-over."""
        async with play() as it:
            await failing_at(it, "blind_transfer", "answer lost")
            await it.take_over()
            assert it.session.mode is Mode.TAKEOVER
            await it.is_sound()

    async def test_a_transfer_that_was_not_asked_is_undone(self) -> None:
        """ARI says that he is not with her."""
        async with play() as it:
            await failing_at(it, "blind_transfer", "not reached")
            assert await refused(it.take_over()) == "pbx.link_down"
            assert (it.session.mode, it.pbx.heard_by()) == (Mode.LISTEN, set())
            await it.is_sound()

    @pytest.mark.parametrize("fault", ["not reached", "answer lost"])
    async def test_where_nobody_can_say_who_has_him_nothing_is_touched(self, fault: str) -> None:
        """To hang up or to mute could leave him alone: ARI is connected to anew, which finds what is."""
        async with play() as it:
            await failing_at(it, "blind_transfer", fault)
            it.pbx.refuses = {"bridges"}
            assert await refused(it.take_over()) == "pbx.link_down"
            assert it.pbx.closed
            assert it.pbx.heard_by() >= {CUSTOMER}
            await is_sound_in_the_end(it)

    async def test_a_supervisor_who_is_gone_as_he_arrives(self) -> None:
        """He rings the agent back, by the dialplan's own doing, and is not hung up."""
        async with play() as it:
            await it.start()
            number = await number_of([starting], taking_over, "blind_transfer")
            it.pbx.before[number] = lambda: she_hangs_up(it)
            assert await refused(it.take_over()) == "supervision.ended"
            assert it.pbx.rung_back == [CUSTOMER]
            await it.pbx.drained()
            assert it.ended is SupervisionEnd.SUPERVISOR_HUNG_UP
            await it.is_sound()

    async def test_a_customer_who_is_not_joined_rings_the_agent_back(self) -> None:
        """Her channel cannot be joined with, though it is there: she waits for what comes of the call."""
        async with play() as it:
            await it.start()
            number = await number_of([starting], taking_over, "blind_transfer")
            it.pbx.before[number] = lambda: it.pbx.there[CUSTOMER].variables.update({JOIN: "nobody"})
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            await it.pbx.drained()
            assert it.pbx.rung_back == [CUSTOMER]
            assert (it.session.state, it.session.mode) == (SupervisionState.WAITING, Mode.LISTEN)
            await it.is_sound()

    @pytest.mark.usefixtures("_in_vain")
    async def test_an_undo_that_fails_has_her_wait(self) -> None:
        """Nobody is to hear her who did not before."""
        async with play(Reluctant("snoop")) as it:
            await it.start()
            it.pbx.no_audio = {CUSTOMER}
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            await it.pbx.drained()
            assert (it.session.state, it.pbx.heard_by()) == (SupervisionState.WAITING, set())
            await it.is_sound()

    @pytest.mark.usefixtures("_in_vain")
    async def test_an_undo_that_fails_wholly_ends_the_session(self) -> None:
        """She barges, and can neither be put back nor be muted."""
        async with play(Reluctant("snoop", "mute")) as it:
            await it.start()
            it.pbx.no_audio = {CUSTOMER}
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            await it.pbx.drained()
            assert it.ended is SupervisionEnd.FAILED
            await it.is_sound()

    @pytest.mark.usefixtures("_in_vain")
    async def test_an_agent_who_leaves_in_the_middle_of_an_undo(self) -> None:
        """She waits: it does not end the session, and nobody hears her."""

        class Leaving(FakeAri):
            async def take_out(self, bridge: str, channel: str) -> None:
                if self.steps.count("take_out") == 1:
                    self.destroy(AGENT)
                await super().take_out(bridge, channel)

        async with play(Leaving()) as it:
            await it.start()
            it.pbx.no_audio = {CUSTOMER}
            assert await refused(it.take_over()) == "supervision.takeover_failed"
            assert (it.session.state, it.session.mode) == (SupervisionState.WAITING, Mode.LISTEN)
            await it.is_sound()

    async def test_an_agent_who_leaves_while_packets_are_counted(self) -> None:
        """There is nobody to take the customer from; she waits for what comes of the call."""
        async with play() as it:
            await it.start()
            number = await number_of([starting], taking_over, "packets", 2)
            it.pbx.before[number] = it.pbx.transfer
            assert await refused(it.take_over()) == "pbx.refused"
            await it.pbx.drained()
            assert it.session.state is SupervisionState.WAITING
            assert it.pbx.alone() is False
            await it.is_sound()

    async def test_a_snoop_channel_that_is_lost_while_packets_are_counted(self) -> None:
        """They have talked; the take-over needs it no more."""
        async with play() as it:
            await it.start()
            number = await number_of([starting], taking_over, "packets", 2)
            it.pbx.before[number] = lambda: the_snoop_ends(it)
            await it.take_over()
            await it.pbx.drained()
            assert it.session.mode is Mode.TAKEOVER
            await it.is_sound()

    async def test_a_customer_who_cannot_be_followed_is_hers_all_the_same(self) -> None:
        """His end is told as hers, for the PBX hangs her up."""
        async with play() as it:
            await it.start()
            it.pbx.refuses = {"follow"}
            await it.take_over()
            assert it.session.mode is Mode.TAKEOVER
            the_customer_hangs_up(it)
            await it.pbx.drained()
            assert it.ended is SupervisionEnd.SUPERVISOR_HUNG_UP
            await it.is_sound()

    @pytest.mark.parametrize(
        ("what", "end"),
        [
            (she_hangs_up, SupervisionEnd.SUPERVISOR_HUNG_UP),
            (the_customer_hangs_up, SupervisionEnd.CALL_ENDED),
        ],
    )
    async def test_afterwards_either_ends_it(self, what: Callable[[Play], None], end: SupervisionEnd) -> None:
        """The one who stays is not left in a bridge alone."""
        async with play() as it:
            await it.start()
            await it.take_over()
            what(it)
            await it.pbx.drained()
            assert it.ended is end
            assert CUSTOMER not in it.pbx.there
            await it.is_sound()

    async def test_an_end_of_it_ends_the_call(self) -> None:
        """It was hers."""
        async with play() as it:
            await it.start()
            await it.take_over()
            await it.end()
            assert it.ended is SupervisionEnd.RELEASED
            assert it.pbx.there == {}

    @pytest.mark.parametrize("fails", [False, True])
    async def test_an_end_that_is_to_drop_nobody_waits_to_see_who_has_him(self, fails: bool) -> None:  # noqa: FBT001 - of a table
        """Asked for in the middle of it: refused if the customer is hers by then, else carried out."""
        async with play() as it:
            await it.start()
            it.pbx.hangs = await number_of([starting], taking_over, "packets" if fails else "blind_transfer")
            async with meanwhile(it.take_over(), lambda: len(it.pbx.steps) > it.pbx.hangs) as (codes, _):
                end = it.end(unless_taken_over=True)
                async with meanwhile(end, lambda: True) as (ends, _):
                    await it.pbx.drained()
                    assert ends == []
                    it.pbx.given_up.set()
            assert (codes, ends) == (
                (["pbx.link_down"], [""]) if fails else ([""], ["supervision.mode_not_possible"])
            )
            await it.is_sound()

    async def test_an_end_that_is_to_drop_nobody_is_refused_once_he_is_hers(self) -> None:
        """He stays, and nothing is touched."""
        async with play() as it:
            await it.start()
            await it.take_over()
            steps = len(it.pbx.steps)
            assert await refused(it.end(unless_taken_over=True)) == "supervision.mode_not_possible"
            assert len(it.pbx.steps) == steps
            await it.is_sound()
