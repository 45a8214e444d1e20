"""Acts on calls: what the PBX is asked, what comes back, and what is told of it."""

from typing import Any

import pytest
from structlog.testing import capture_logs

from ctid.calls.acts import tell_nobody
from ctid.calls.index import Selection
from ctid.calls.words import Act, ActDone, QueueTarget, RecordingAction
from ctid.model.capabilities import Capability
from ctid.model.commands import (
    FlagCall,
    HangUpLegs,
    PauseRecording,
    PrioritizeCaller,
    StartRecording,
    StopRecording,
    TransferCall,
)
from ctid.model.errors import CallRefused, CtidError, PbxRefused, PbxTimeout
from ctid.model.ids import AgentId
from ctid.model.users import User, UserRole
from ctid.model.words import CallFlag, CallState, Recording
from helpers.acts_desk import LAB, SOFIA, ActsDesk, call_id
from helpers.floor import BASE
from helpers.patience import until

C1 = call_id()
START, STOP = RecordingAction.START, RecordingAction.STOP
PAUSE, RESUME = RecordingAction.PAUSE, RecordingAction.RESUME


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not happen is not waited for in seconds."""
    monkeypatch.setattr("ctid.calls.service.SETTLE_S", 0.1)


async def refused(step: Any) -> str:
    """The code with which a step is refused."""
    with pytest.raises(CtidError) as told:
        await step
    return told.value.code


async def test_hang_up(desk: ActsDesk) -> None:
    """A party leaves; then the call is over, and unknown."""
    answer = await desk.calls.hang_up(SOFIA, C1, "a1")
    assert [party.leg for party in answer.call.parties] == ["c1"]
    answer = await desk.calls.hang_up(SOFIA, C1, None)
    assert (answer.call.state, answer.call.parties, answer.unconfirmed) == (CallState.ENDED, (), False)
    assert await refused(desk.calls.hang_up(SOFIA, C1, None)) == "call.unknown"
    assert desk.acts() == [("hang_up", ""), ("hang_up", ""), ("hang_up", "call.unknown")]
    first = desk.told[0]
    assert (first.by, first.call, first.agent, first.pbx) == ("sofia", C1, "1001", LAB)
    assert first.particulars == {"party": "a1"}


async def test_unconfirmed(desk: ActsDesk) -> None:
    """The PBX says yes, and the state does not show it: the answer says so."""
    desk.pbx.mute = {HangUpLegs}
    answer = await desk.calls.hang_up(SOFIA, C1, None)
    assert (answer.unconfirmed, answer.call.state) == (True, CallState.CONNECTED)


async def test_transfer(desk: ActsDesk) -> None:
    """To an agent, an allowed number, a queue; the PBX is told a number and the configuration's context."""
    answer = await desk.calls.transfer(SOFIA, C1, "1002")
    assert [party.leg for party in answer.call.parties] == ["c1"]
    await desk.calls.transfer(SOFIA, call_id("c2"), QueueTarget(queue="sales"))
    agents, waiting = [command for command in desk.pbx.commands if isinstance(command, TransferCall)]
    assert (agents.leg, agents.agent, agents.number, agents.context) == ("c1", "a1", "1002", "from-internal")
    assert (waiting.leg, waiting.agent, waiting.number) == ("c2", None, "7001")
    assert await refused(desk.calls.transfer(SOFIA, C1, "0033")) == "call.number_not_allowed"
    assert [done.particulars for done in desk.told] == [{"to": "1002"}, {"queue": "sales"}, {"to": "0033"}]


async def test_no_number_in_the_log(desk: ActsDesk) -> None:
    """A number that was dialled may be a customer's: the log does not have it."""
    with capture_logs() as logs:
        await desk.calls.transfer(SOFIA, C1, "0123456789")
    assert "0123456789" not in str(logs)
    assert logs[0]["event"] == "acted"


async def test_prioritize(desk: ActsDesk) -> None:
    """The queue's list then has it there."""
    answer = await desk.calls.prioritize(SOFIA, call_id("c3"), 1)
    assert not answer.unconfirmed
    assert [waiting.call for waiting in desk.hub.store.queues["sales"].waiting] == ["lab.c3", "lab.c2"]  # type: ignore[index]
    assert await refused(desk.calls.prioritize(SOFIA, C1, 1)) == "call.not_waiting"
    desk.pbx.capabilities = frozenset(Capability) - {Capability.PRIORITIZE}
    assert await refused(desk.calls.prioritize(SOFIA, call_id("c2"), 1)) == "pbx.link_down"
    assert desk.pbx.asked(PrioritizeCaller) == 1


class TestRecording:
    """Recordings, and their index."""

    async def test_its_life(self, desk: ActsDesk) -> None:
        """Started, paused, resumed, stopped: the PBX is asked once for each, and the index has both ends."""
        for action, state in (
            (START, Recording.ON),
            (PAUSE, Recording.PAUSED),
            (RESUME, Recording.ON),
            (STOP, Recording.OFF),
        ):
            if action is STOP:
                desk.clock.at += 60
            for _ in range(1 if action is STOP else 2):
                answer = await desk.calls.record(SOFIA, C1, action, "training" if action is START else "")
                assert (answer.call.recording, answer.unconfirmed) == (state, False)
        assert desk.pbx.asked(StartRecording) == desk.pbx.asked(StopRecording) == 1
        assert desk.pbx.asked(PauseRecording) == 2

        async def is_over() -> bool:
            (entry,) = await desk.calls.recordings(Selection())
            return entry.stopped_at is not None

        await until(is_over)
        (entry,) = await desk.calls.recordings(Selection())
        assert (entry.agent, entry.queue, entry.by, entry.basis) == ("1001", "support", "sofia", "training")
        assert (entry.call, entry.leg, entry.file) == (C1, "a1", "lab.c1-20260101T000000000000Z.wav")
        assert desk.told[0].particulars == {"basis": "training"}

    async def test_a_start_that_fails(self, desk: ActsDesk) -> None:
        """One that is refused leaves nothing in the index; of a lost answer it is not known, and it stays."""
        for error in (PbxRefused("no"), CallRefused("ended", "gone")):
            desk.pbx.fails = {StartRecording: error}
            assert await refused(desk.calls.record(SOFIA, C1, START, "training")) == error.code
            assert await desk.calls.recordings(Selection()) == []
        desk.pbx.fails = {StartRecording: PbxTimeout("no answer")}
        assert await refused(desk.calls.record(SOFIA, C1, START, "training")) == "pbx.timeout"
        assert len(await desk.calls.recordings(Selection())) == 1

    async def test_refusals(self, desk: ActsDesk) -> None:
        """No basis, nothing to pause, no agent, a PBX that cannot; a stop is good whatever the state says."""
        assert await refused(desk.calls.record(SOFIA, C1, START, "")) == "request.invalid"
        for action in (PAUSE, RESUME):
            assert await refused(desk.calls.record(SOFIA, C1, action, "")) == "call.not_recorded"
        assert await refused(desk.calls.record(SOFIA, call_id("c2"), START, "x")) == "call.no_agent"
        desk.pbx.capabilities = frozenset({Capability.CALL_COMMANDS})
        assert await refused(desk.calls.record(SOFIA, C1, START, "x")) == "pbx.link_down"
        assert (await desk.calls.record(SOFIA, C1, STOP, "")).call.recording is Recording.OFF
        assert await desk.calls.recordings(Selection()) == []

    async def test_without_an_index_nothing_is_recorded(
        self, desk: ActsDesk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It cannot be written: the start is refused before the PBX is asked."""
        assert await desk.calls.recordings(Selection()) == []  # whatever came before it is done
        monkeypatch.setattr(desk.index, "path", desk.index.path / "none" / "x")
        desk.index.close()
        assert await refused(desk.calls.record(SOFIA, C1, START, "x")) == "recordings.unavailable"
        assert desk.pbx.asked(StartRecording) == 0


class TestFlags:
    """Protected calls."""

    @pytest.mark.parametrize("flag", CallFlag)
    async def test_for_good(self, desk: ActsDesk, flag: CallFlag) -> None:
        """What is recorded stops, the flag is with every leg, and no recording begins."""
        await desk.calls.record(SOFIA, C1, START, "training")
        answer = await desk.calls.flag(SOFIA, C1, flag)
        assert (answer.call.private, answer.call.objected) == (flag == "private", flag == "objected")
        assert (answer.call.recording, answer.unconfirmed) == (Recording.OFF, False)
        assert await refused(desk.calls.record(SOFIA, C1, START, "x")) == f"call.{flag}"
        assert desk.acts()[1:] == [(flag, ""), ("start_recording", f"call.{flag}")]

    @pytest.mark.parametrize("failing", [StopRecording, FlagCall])
    async def test_one_half_fails(self, desk: ActsDesk, failing: type[Any]) -> None:
        """The other half is done all the same, and the failure is told."""
        await desk.calls.record(SOFIA, C1, START, "training")
        desk.pbx.fails = {failing: PbxTimeout("no answer")}
        assert await refused(desk.calls.flag(SOFIA, C1, CallFlag.PRIVATE)) == "pbx.timeout"
        await desk.hub.until(lambda: desk.call().private or desk.call().recording is Recording.OFF, 1.0)
        told = (desk.call().private, desk.call().recording)
        assert told == ((True, Recording.ON) if failing is StopRecording else (False, Recording.OFF))

    async def test_by_an_agent(self, desk: ActsDesk) -> None:
        """Her own call, and no other's."""
        hers = User(name="anna", role=UserRole.AGENT, agent=AgentId("1001"))
        other = User(name="beth", role=UserRole.AGENT, agent=AgentId("1002"))
        assert await refused(desk.calls.flag(other, C1, CallFlag.PRIVATE)) == "auth.forbidden"
        assert desk.pbx.commands == []
        assert (await desk.calls.flag(hers, C1, CallFlag.PRIVATE)).call.private


async def test_nobody_need_be_told() -> None:
    """Where nobody wants to be told of acts, they are in the log."""
    await tell_nobody(ActDone(at=BASE, act=Act.DIAL, by="x", pbx=None))
