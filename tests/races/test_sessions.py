"""Races of a supervisor's session: ends that come before the answers, and before what they end."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from ctid.model.commands import StartSupervision, SwitchSupervision
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError
from ctid.model.facts import Fact, SupervisionChanged
from ctid.model.ids import AgentId, CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import Mode, Purpose, SupervisionEnd, SupervisionState
from ctid.tasks import TaskOwner
from ctid_asterisk.ari import AriLost
from ctid_asterisk.stage import Stage
from helpers.fake_ari import FakeAri
from helpers.fake_pbx import AGENT, CUSTOMER
from helpers.fakes import FakeClock

AT = Instant(1000.0)
SESSION = Supervision(
    id=SupervisionId("s1"),
    pbx=PbxId("lab"),
    state=SupervisionState.RINGING,
    mode=Mode.LISTEN,
    since=AT,
    started_at=AT,
    supervisor="zoe",
    phone="2001",
    agent=AgentId("1001"),
    call=CallId("lab.1.1"),
    purpose=Purpose.QUALITY,
)


class Hasty(FakeAri):
    """A PBX on which something happens, and is told, between carrying out a request and answering it."""

    def __init__(self) -> None:
        super().__init__()
        self.meanwhile: dict[str, Callable[[], None]] = {}

    async def _then(self, name: str, step: Awaitable[None]) -> None:
        await step
        happen = self.meanwhile.pop(name, None)
        if happen is not None:
            happen()
            await self.drained()

    async def ring(
        self, channel: str, endpoint: str, ring_s: float, caller_id: str, variables: Mapping[str, str]
    ) -> None:
        """Ring a phone, which does not answer where something else is to happen."""
        self.answers = "ring" not in self.meanwhile
        await self._then("ring", super().ring(channel, endpoint, ring_s, caller_id, variables))

    async def snoop(self, target: str, channel: str, *, spy: str, whisper: str) -> None:
        """Listen to a channel."""
        await self._then("snoop", super().snoop(target, channel, spy=spy, whisper=whisper))


async def played(
    meanwhile: str, happens: Callable[[Hasty], None], mode: Mode
) -> tuple[str, list[Fact], Hasty]:
    """Start a session, switch it to `mode`; returns the code it ended with, what was told, the PBX."""
    pbx, told, failures = Hasty(), list[Fact](), list[BaseException]()
    stage = Stage(pbx, pbx.ami, FakeClock(AT), told.append, failures.append)
    owner = TaskOwner()

    async def follow() -> None:
        try:
            await stage.run()
        except AriLost:
            return

    owner.spawn("events", follow())
    code = ""
    try:
        if mode is Mode.LISTEN:
            pbx.meanwhile[meanwhile] = lambda: happens(pbx)
        start = StartSupervision(supervision=SESSION, address="PJSIP/2001", target=LegId(AGENT), ring_s=1.0)
        async with asyncio.timeout(5):
            await stage.start(start)
            pbx.meanwhile[meanwhile] = lambda: happens(pbx)
            await stage.switch(SwitchSupervision(supervision=SESSION.id, mode=mode))
    except CtidError as error:
        code = error.code
    await pbx.drained()
    await stage.close()
    await owner.close()
    assert failures == []
    return code, told, pbx


def ends(told: list[Fact]) -> list[SupervisionEnd | None]:
    """The ends that were told; nothing may follow one."""
    sessions = [fact.supervision for fact in told if isinstance(fact, SupervisionChanged)]
    over = [session.end for session in sessions if session.state is SupervisionState.ENDED]
    assert not over or sessions[-1].state is SupervisionState.ENDED
    return over


async def test_a_hangup_of_her_phone_before_the_reply_to_originate() -> None:
    """She declines at once: the request is refused for that, once, and nothing of the session is left."""
    code, told, pbx = await played("ring", lambda pbx: pbx.destroy(pbx.phone() or "", cause=17), Mode.LISTEN)
    assert code == "supervision.phone_busy"
    assert ends(told) == [SupervisionEnd.FAILED]
    assert pbx.ours() == set()


async def test_the_end_of_the_call_before_the_reply_to_originate() -> None:
    """There is nobody to listen to any more: her phone is rung in vain, and not for longer."""
    code, told, pbx = await played("ring", lambda pbx: pbx.destroy(AGENT), Mode.LISTEN)
    assert code == "supervision.call_ended"
    assert len(ends(told)) == 1
    assert pbx.ours() == set()


async def test_a_hangup_of_her_phone_before_the_reply_to_a_switch() -> None:
    """No session and no snoop channel stays, and the call goes on."""
    code, told, pbx = await played("snoop", lambda pbx: pbx.destroy(pbx.phone() or ""), Mode.WHISPER)
    assert code == "supervision.ended"
    assert ends(told) == [SupervisionEnd.SUPERVISOR_HUNG_UP]
    assert pbx.ours() == set()
    assert CUSTOMER in pbx.there


async def test_the_end_of_the_call_before_the_reply_to_a_switch() -> None:
    """She waits, heard by nobody; whether there is another call to go to is not the PBX's to say."""
    code, told, pbx = await played("snoop", lambda pbx: pbx.destroy(AGENT), Mode.WHISPER)
    assert code == "supervision.call_ended"
    assert ends(told) == []
    last = told[-1]
    assert isinstance(last, SupervisionChanged)
    assert (last.supervision.state, pbx.heard_by()) == (SupervisionState.WAITING, set())
