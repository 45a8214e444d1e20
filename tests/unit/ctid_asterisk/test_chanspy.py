"""Sessions without ARI on a PBX in memory: each action is made to fail, and before each all happens."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest
from msgspec.structs import replace

from ctid.model.capabilities import Capability
from ctid.model.commands import (
    EndSupervision,
    FollowSupervision,
    GiveNotice,
    HandBack,
    KeepSupervision,
    StartSupervision,
    SwitchSupervision,
    TakeOver,
)
from ctid.model.entities import Supervision
from ctid.model.errors import CtidError, NotFound, PbxRefused, PbxUnavailable, SupervisionRefused
from ctid.model.facts import KeyPressed, SupervisionChanged
from ctid.model.ids import AgentId, CallId, LegId, PbxId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.lifecycle import may_follow
from ctid.model.words import Hear, Mode, Purpose, Scope, SupervisionEnd, SupervisionState
from ctid.tasks import TaskOwner
from ctid_asterisk import chanspy, spy_events, spy_handover, spy_parts
from ctid_asterisk.actions import Action
from ctid_asterisk.normalize import Normalizer
from ctid_asterisk.outs import Reply
from ctid_asterisk.settings import Settings
from ctid_asterisk.spying import unpack
from ctid_asterisk.supervising import Supervising
from ctid_asterisk.wire import Message
from helpers.ami_words import message
from helpers.fake_spy import AGENT, CUSTOMER, OTHER, FakeSpyPbx, Fault, Phone
from helpers.patience import until

IDENT = SupervisionId("s1")
NOW = Instant(1_795_000_000.0)
HEARD = {Mode.LISTEN: set[str](), Mode.WHISPER: {AGENT}, Mode.BARGE: {AGENT, CUSTOMER}}
MODES = [Mode.LISTEN, Mode.WHISPER, Mode.BARGE]


class Clock:
    """A clock that stands still."""

    def now(self) -> float:
        """The one time there is."""
        return NOW


class Play:
    """A PBX, the driver's rooms around it, and what they told."""

    def __init__(self, pbx: FakeSpyPbx, version: str = "22.10.1") -> None:
        self.pbx = pbx
        self.told: list[Supervision] = []
        self.keys: list[str] = []
        self.failures: list[BaseException] = []
        self.normalizer = Normalizer(PbxId("lab"))
        self.supervising = Supervising(
            PbxId("lab"),
            Settings(username="ctid", secret="s"),
            Clock(),
            TaskOwner(self.failures.append),
            act=self.act,
            channels=lambda: self.normalizer.channels,
            address_of=lambda _: "PJSIP/1001",
            tell=self.take,
            is_told=lambda: True,
            want_snapshot=lambda: None,
            on_failure=self.failures.append,
        )
        self.supervising.version = version
        self.dead = False
        """ctid has died: nothing that it still does reaches the PBX, nor does it hear anything."""
        pbx.hear = self.hear

    async def act(self, build: Callable[[], Action]) -> Reply:
        """Send an action, unless ctid is dead."""
        reply = await self.pbx.act(build) if not self.dead else None
        if self.dead or reply is None:
            raise asyncio.CancelledError
        return reply

    def hear(self, event: Message) -> None:
        """Take an event, as the connection does."""
        if self.dead:
            return
        self.normalizer.receive(event, NOW)
        self.supervising.heard(event)

    def take(self, fact: SupervisionChanged | KeyPressed) -> None:
        """Take a fact."""
        if isinstance(fact, KeyPressed):
            self.keys.append(fact.key)
            return
        told = fact.supervision
        if not told.end:
            before = next((old.state for old in reversed(self.told) if old.id == told.id), None)
            assert may_follow(before, told.state) or before is None, f"{before} to {told.state}"
        self.told.append(told)

    async def start(
        self, mode: Mode = Mode.LISTEN, *, target: str | None = AGENT, pin: str = "", **changed: object
    ) -> None:
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
        leg = LegId(target) if target is not None else None
        await self.supervising.execute(
            StartSupervision(
                supervision=replace(supervision, **changed),
                address="PJSIP/2001",
                target=leg,
                ring_s=0.05,
                pin=pin,
            )
        )

    async def switch(self, mode: Mode, hear: Hear = Hear.BOTH, *, muted: bool = False) -> None:
        """Switch it."""
        command = SwitchSupervision(supervision=IDENT, mode=mode, hear=hear, muted=muted)
        await self.supervising.execute(command)

    async def follow(self, target: str) -> None:
        """Put her at another agent's side."""
        going = replace(self.session, agent=AgentId("1002"), calls=2)
        await self.supervising.execute(FollowSupervision(supervision=going, target=LegId(target)))

    async def take_over(self) -> None:
        """Take the call over."""
        await self.supervising.execute(
            TakeOver(supervision=IDENT, customer=LegId(CUSTOMER), agent=LegId(AGENT))
        )

    async def hand_back(self) -> None:
        """Hand the customer back."""
        await self.supervising.execute(HandBack(supervision=IDENT, agent=AgentId("1001"), ring_s=0.05))

    async def end(self, *, unless_taken_over: bool = False) -> None:
        """End it."""
        command = EndSupervision(supervision=IDENT, unless_taken_over=unless_taken_over)
        await self.supervising.execute(command)

    async def settled(self) -> None:
        """Wait until what the events called for is done."""
        for _ in range(200):
            await asyncio.sleep(0)

    @property
    def session(self) -> Supervision:
        """The one session."""
        (session,) = self.supervising.sessions() or ()
        return session

    def vouch(self) -> None:
        """What must hold whatever has happened: her being heard is what the session says, or less."""
        assert not self.failures, self.failures
        assert not self.pbx.alone(), "the customer is alone"
        sessions = self.supervising.sessions() or ()
        if not sessions:
            assert self.pbx.heard_by() == set()
            return
        (session,) = sessions
        allowed = HEARD.get(session.mode, {CUSTOMER})
        assert self.pbx.heard_by() <= allowed, f"{session.mode}: {self.pbx.heard_by()}"


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for what does not come."""
    monkeypatch.setattr(chanspy, "JOIN_S", 0.02)
    monkeypatch.setattr(spy_handover, "JOIN_S", 0.02)
    monkeypatch.setattr(spy_handover, "CONFIRM_S", 0.3)
    monkeypatch.setattr(spy_handover, "PACKETS_S", 0.001)
    monkeypatch.setattr(spy_parts, "SPY_S", 0.02)
    monkeypatch.setattr(spy_parts, "KEY_S", 0.02)
    monkeypatch.setattr(chanspy, "NOTICE_S", 0.02)
    monkeypatch.setattr(spy_events, "STOPPED_S", 0.01)


async def played(version: str = "22.10.1", pbx: FakeSpyPbx | None = None) -> Play:
    """A call that goes on, and a connection."""
    fresh = pbx is None
    play = Play(pbx or FakeSpyPbx(), version)
    if fresh:
        play.pbx.begin()
    await play.supervising.open()
    return play


# Modes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["22.10.1", "16.6.0"], ids=["keys", "anew"])
@pytest.mark.parametrize("first", MODES)
async def test_modes(first: Mode, version: str) -> None:
    """Each mode is heard by whom it should, from the first and after each switch, by keys and without."""
    play = await played(version)
    await play.start(first)
    assert play.session.state is SupervisionState.ACTIVE
    assert play.pbx.heard_by() == HEARD[first]
    for mode in (Mode.WHISPER, Mode.BARGE, Mode.LISTEN, Mode.BARGE, Mode.WHISPER, Mode.LISTEN):
        await play.switch(mode)
        assert (play.session.mode, play.pbx.heard_by()) == (mode, HEARD[mode])
        assert unpack(play.pbx.kept()).supervision.mode is mode
    assert ("PlayDTMF" in play.pbx.steps) is (version == "22.10.1")
    await play.end()
    assert play.pbx.ours() == set()
    assert play.told[-1].end is SupervisionEnd.RELEASED
    play.vouch()


async def test_keys_that_are_not_told_of() -> None:
    """Without the read class dtmf, ChanSpy is started so that it obeys no key, and anew for each switch."""
    play = await played()
    play.pbx.tells_keys = False
    await play.start()
    await play.switch(Mode.BARGE)
    play.pbx.press("4")
    assert play.pbx.heard_by() == HEARD[Mode.BARGE]
    assert play.pbx.steps.count("PlayDTMF") == 1


async def test_push_to_talk_and_sides() -> None:
    """Muted, nobody hears her in any mode; she hears the agent alone if asked, the customer alone never."""
    play = await played()
    await play.start(Mode.BARGE)
    await play.switch(Mode.BARGE, muted=True)
    assert play.pbx.heard_by() == set()
    await play.switch(Mode.WHISPER, muted=True)
    assert play.pbx.heard_by() == set()
    await play.switch(Mode.WHISPER, Hear.AGENT)
    assert play.pbx.heard_by() == HEARD[Mode.WHISPER]
    phone = play.pbx.phones[play.pbx.phone() or ""]
    assert "o" in phone.options
    await play.switch(Mode.WHISPER, Hear.AGENT)
    for mode in (Mode.LISTEN, Mode.WHISPER):
        with pytest.raises(SupervisionRefused, match="hear_customer"):
            await play.switch(mode, Hear.CUSTOMER)
    await play.switch(Mode.LISTEN, Hear.BOTH)
    assert "o" not in phone.options


async def test_capabilities() -> None:
    """All but one side can be asked for, where the AMI user may; else nothing, and nothing is sent."""
    play = await played()
    assert play.supervising.capabilities == {
        Capability.SUPERVISE,
        Capability.TAKE_OVER,
        Capability.HAND_BACK,
        Capability.NOTICE_TONE,
        Capability.PIN,
    }
    assert Capability.PIN not in (await played("16.6.0")).supervising.capabilities
    poor = FakeSpyPbx()
    poor.allowed.discard("originate")
    play = await played(pbx=poor)
    assert play.supervising.capabilities == frozenset()
    assert play.supervising.sessions() == ()
    with pytest.raises(PbxUnavailable):
        await play.start()
    assert poor.steps == ["ListCommands"]


# Her keys ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sudden", [False, True], ids=["told as it begins", "told as it ends"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("key", "0456*#")
async def test_her_keys(mode: Mode, key: str, sudden: bool) -> None:  # noqa: FBT001 -- a parameter
    """Whatever she presses is told, and undone; in listen nobody hears her even for a moment."""
    play = await played()
    await play.start(mode)
    play.pbx.press(key, sudden=sudden)
    if mode is Mode.LISTEN:
        assert play.pbx.heard_by() == set()
    phone = play.pbx.phones[play.pbx.phone() or ""]
    await until(lambda: phone.exten == "spy" and play.pbx.heard_by() == HEARD[mode], what="as before")
    await play.settled()
    assert (phone.exten, phone.mode) == ("spy", mode)
    assert play.keys == [key]
    assert play.session.mode is mode
    play.vouch()


async def test_a_key_held_while_she_is_switched() -> None:
    """She is not let through by a switch while she holds a key down, but once that is undone."""
    play = await played()
    await play.start()
    ident = play.pbx.phone() or ""
    play.pbx.tell("DTMFBegin", play.pbx.there[ident], Digit="6", Direction="Received")
    await play.switch(Mode.WHISPER)
    assert play.pbx.heard_by() == set()
    play.pbx._receive(ident, "6")
    await until(lambda: play.pbx.heard_by() == {AGENT}, what="she whispers")
    play.vouch()


async def test_keys_while_she_waits_and_after_a_takeover() -> None:
    """They are told, and do nothing that is to be undone."""
    play = await played()
    await play.start(target=None)
    play.pbx.press("6")
    await play.follow(AGENT)
    await play.take_over()
    steps = len(play.pbx.steps)
    play.pbx.press("4")
    await play.settled()
    assert play.keys == ["6", "4"]
    assert len(play.pbx.steps) == steps
    assert play.pbx.heard_by() == {CUSTOMER}


# Beginnings ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cause", "reason", "code"),
    [
        ("21", "0", "phone_no_answer"),
        ("17", "5", "phone_busy"),
        ("", "0", "phone_unreachable"),
        ("", "5", "phone_busy"),
        ("", "3", "phone_no_answer"),
    ],
)
async def test_her_phone_is_not_answered(cause: str, reason: str, code: str) -> None:
    """Why is told by its code, and nothing of the session is left."""
    play = await played()
    play.pbx.failure = (cause, reason)
    with pytest.raises(SupervisionRefused) as refused:
        await play.start()
    assert refused.value.code == f"supervision.{code}"
    assert (play.told[-1].end, play.pbx.ours()) == (SupervisionEnd.FAILED, set())
    play.vouch()


async def test_her_phone_rings_on() -> None:
    """Nobody answers in time; or the call ends; or the session is withdrawn: it stops, and is told why."""
    happenings: list[tuple[Callable[[Play], Awaitable[None] | None], str]] = [
        (lambda _: None, "phone_no_answer"),
        (lambda play: play.pbx.destroy(AGENT), "call_ended"),
        (lambda play: play.end(), "ended"),
        (lambda play: play.supervising.lost(OSError("gone")), ""),
    ]
    for happen, code in happenings:
        play = await played()
        play.pbx.answers = False
        asking = asyncio.ensure_future(play.start())  # noqa: TID251 - the request, in a test
        await until(lambda play=play: play.pbx.phone() is not None, what="it rings")  # type: ignore[misc]
        done = happen(play)
        if done is not None:
            await done
        with pytest.raises(CtidError) as refused:
            await asking
        assert refused.value.code == (f"supervision.{code}" if code else "pbx.link_down")
        assert play.pbx.ours() == set()


async def test_it_begins_after_all() -> None:
    """A phone that answers when nobody waits for it any more is hung up."""
    play = await played()
    play.pbx.answers = False
    with suppress(SupervisionRefused):
        await play.start()
    play.pbx.new("ctid-ctid.s1-phone-1000.99", "PJSIP/2001-00000099")
    play.pbx.phones["ctid-ctid.s1-phone-1000.99"] = Phone()
    play.pbx.pick_up()
    await play.settled()
    assert play.pbx.ours() == set()


@pytest.mark.parametrize(("keys", "right"), [("1234", True), ("12#99991234", True), ("999988887777", False)])
async def test_pin(keys: str, right: bool) -> None:  # noqa: FBT001 -- a parameter
    """She hears nothing before the PIN is entered, its keys are not told; three times wrong: it ends."""
    play = await played()
    asking = asyncio.ensure_future(play.start(pin="1234"))  # noqa: TID251 - the request, in a test
    await play.settled()
    assert play.pbx.phones[play.pbx.phone() or ""].exten == "wait"
    for key in keys:
        if play.pbx.phone() is not None:
            play.pbx.press(key)
            await play.settled()
    if right:
        await asking
        assert play.session.state is SupervisionState.ACTIVE
    else:
        with pytest.raises(SupervisionRefused) as refused:
            await asking
        assert refused.value.code == "supervision.pin_wrong"
        assert play.pbx.ours() == set()
    assert play.keys == []


async def test_she_hangs_up_instead_of_a_pin() -> None:
    """The request is told so at once."""
    play = await played()
    asking = asyncio.ensure_future(play.start(pin="1234"))  # noqa: TID251 - the request, in a test
    await play.settled()
    play.pbx.destroy(play.pbx.phone() or "")
    with pytest.raises(SupervisionRefused) as refused:
        await asking
    assert refused.value.code == "supervision.ended"
    await play.settled()
    assert play.supervising.sessions() == []
    play.vouch()


async def test_pin_that_is_not_entered(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not waited for for ever; and where keys are not seen it is not asked for."""
    monkeypatch.setattr(chanspy, "PIN_S", 0.02)
    for version, why in (("22.10.1", "did not come"), ("16.6.0", "does not see")):
        play = await played(version)
        with pytest.raises(SupervisionRefused, match=why):
            await play.start(pin="1234")
        assert play.pbx.ours() == set()


async def test_no_dialplan() -> None:
    """Without the shipped context nothing rings, and the refusal names the file."""
    play = await played()
    play.pbx.contexts.clear()
    with pytest.raises(PbxRefused, match="extensions"):
        await play.start()
    assert "Originate" not in play.pbx.steps


# From call to call -----------------------------------------------------------------------------------------


async def test_she_waits_and_follows() -> None:
    """The agent's call ends: she waits, mute; the next one: she is in it, in the mode that is asked for."""
    play = await played()
    await play.start(Mode.WHISPER, scope=Scope.AGENT)
    play.pbx.destroy(AGENT)
    await until(lambda: play.session.state is SupervisionState.WAITING, what="she waits")
    assert play.pbx.heard_by() == set()
    await play.switch(Mode.LISTEN)
    assert play.session.mode is Mode.LISTEN
    play.pbx.new(OTHER, "PJSIP/1002-00000003")
    await play.follow(OTHER)
    assert (play.session.state, play.session.agent, play.session.calls) == ("active", "1002", 2)
    await play.switch(Mode.WHISPER)
    assert play.pbx.heard_by() == {OTHER}
    with pytest.raises(SupervisionRefused) as refused:
        await play.follow("9.9")
    assert refused.value.code == "supervision.call_ended"
    assert (play.session.state, play.pbx.heard_by()) == (SupervisionState.ACTIVE, {OTHER})


async def test_keeps_what_the_core_says() -> None:
    """Kept with the session, and what is the driver's to say stays."""
    play = await played()
    await play.start(Mode.WHISPER)
    wanted = replace(play.session, lead=False, mode=Mode.BARGE, state=SupervisionState.WAITING)
    await play.supervising.execute(KeepSupervision(supervision=wanted))
    assert (play.session.lead, play.session.mode, play.session.state) == (False, "whisper", "active")
    assert unpack(play.pbx.kept()).supervision == play.session


async def test_whom_the_agent_talks_with_changes() -> None:
    """Barging, she is heard by the new one; with nobody there, by the agent alone, and by who comes."""
    play = await played()
    await play.start(Mode.BARGE)
    play.pbx.new(OTHER, "PJSIP/3002-00000003")
    play.pbx._leave(CUSTOMER)
    play.pbx.talk(OTHER)
    await until(lambda: play.pbx.heard_by() == {AGENT, OTHER}, what="heard by the new one")
    # Meanwhile not barging, she comes back to it with somebody else there.
    await play.switch(Mode.WHISPER)
    play.pbx._leave(OTHER)
    play.pbx.talk(CUSTOMER)
    await play.switch(Mode.BARGE)
    assert play.pbx.heard_by() == {AGENT, CUSTOMER}


async def test_barging_before_anybody_answers() -> None:
    """The agent rings out: she is heard by her alone, and by the customer once he is there."""
    play = await played()
    play.pbx._leave(CUSTOMER)
    await play.start(Mode.BARGE)
    assert play.pbx.heard_by() == {AGENT}
    play.pbx.talk(CUSTOMER)
    await play.settled()
    assert play.pbx.heard_by() == {AGENT, CUSTOMER}
    play.vouch()


@pytest.mark.parametrize(
    ("who", "end"),
    [(CUSTOMER, None), ("phone", SupervisionEnd.SUPERVISOR_HUNG_UP)],
)
async def test_somebody_hangs_up(who: str, end: SupervisionEnd | None) -> None:
    """She does: the session ends. The call does: she waits, for it is the core that knows the scope."""
    play = await played()
    await play.start()
    play.pbx.destroy(play.pbx.phone() or "" if who == "phone" else who)
    await play.settled()
    if end is None:
        assert play.session.state is SupervisionState.WAITING
    else:
        assert (play.told[-1].end, play.supervising.sessions()) == (end, [])
        with pytest.raises(NotFound):
            await play.switch(Mode.WHISPER)
    play.vouch()


# Notice ----------------------------------------------------------------------------------------------------


async def test_notice() -> None:
    """Given once the PBX says that it was played; else it is told that it was not."""
    play = await played()
    await play.supervising.execute(GiveNotice(target=LegId(AGENT)))
    play.pbx.plays = "FAILED"
    with pytest.raises(PbxRefused, match="FAILED"):
        await play.supervising.execute(GiveNotice(target=LegId(AGENT)))
    with pytest.raises(PbxRefused, match="cut short"):
        await play.supervising.execute(GiveNotice(target=LegId("9.9")))


# Take-over and hand-back -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
async def test_takeover_and_hand_back(mode: Mode) -> None:
    """The customer is hers, then the agent's again, and never alone."""
    play = await played()
    await play.start(mode)
    await play.take_over()
    assert play.pbx.heard_by() == {CUSTOMER}
    assert (play.session.mode, AGENT in play.pbx.there) == (Mode.TAKEOVER, False)
    with pytest.raises(SupervisionRefused, match="handed back"):
        await play.switch(Mode.LISTEN)
    await play.hand_back()
    assert play.told[-1].end is SupervisionEnd.HANDED_BACK
    assert play.pbx.ours() == set()
    assert not play.pbx.alone()
    play.vouch()


async def test_hand_back_in_vain() -> None:
    """The agent does not answer, or cannot be rung: the customer stays with the supervisor."""
    for failure in (None, ("21", "0"), ("", "0")):
        play = await played()
        await play.start()
        with pytest.raises(SupervisionRefused, match="was not taken over"):
            await play.hand_back()
        await play.take_over()
        play.pbx.answers, play.pbx.failure = False, failure
        with pytest.raises(SupervisionRefused) as refused:
            await play.hand_back()
        assert refused.value.code == "supervision.agent_no_answer"
        assert play.session.state is SupervisionState.ACTIVE
        assert play.pbx.heard_by() == {CUSTOMER}
        play.pbx.destroy(CUSTOMER)
        await play.settled()
        assert play.told[-1].end is SupervisionEnd.CALL_ENDED


async def test_takeover_without_audio() -> None:
    """No packets come from her: the customer keeps the agent, and all is as it was."""
    play = await played()
    await play.start(Mode.WHISPER, hear=Hear.AGENT)
    play.pbx.flows = False
    with pytest.raises(SupervisionRefused, match="no audio"):
        await play.take_over()
    assert play.pbx.heard_by() == {AGENT}
    assert (play.session.state, play.session.hear) == (SupervisionState.ACTIVE, Hear.AGENT)
    assert "o" in play.pbx.phones[play.pbx.phone() or ""].options
    play.vouch()


async def test_the_end_of_a_taken_call() -> None:
    """The session is ended: the call is hers, and ends with her."""
    play = await played()
    await play.start()
    await play.take_over()
    await play.end()
    assert (play.pbx.ours(), CUSTOMER in play.pbx.there) == (set(), False)


async def test_no_rule_ends_a_taken_call() -> None:
    """Nor one that meets the take-over: the customer has nobody else."""
    play = await played()
    await play.start()
    taking, ending = await asyncio.gather(
        play.take_over(), play.end(unless_taken_over=True), return_exceptions=True
    )
    assert (taking, getattr(ending, "code", None)) == (None, "supervision.mode_not_possible")
    with pytest.raises(SupervisionRefused):
        await play.end(unless_taken_over=True)
    assert CUSTOMER in play.pbx.there
    assert play.session.mode is Mode.TAKEOVER


# Every step, failing or cut off -----------------------------------------------------------------------------

STORIES: dict[str, tuple[Mode, Callable[[Play], Awaitable[None]]]] = {
    "start": (Mode.WHISPER, lambda play: play.start(Mode.WHISPER)),
    "to whisper": (Mode.LISTEN, lambda play: play.switch(Mode.WHISPER)),
    "to listen": (Mode.BARGE, lambda play: play.switch(Mode.LISTEN)),
    "to one side": (Mode.WHISPER, lambda play: play.switch(Mode.BARGE, Hear.AGENT)),
    "takeover": (Mode.LISTEN, lambda play: play.take_over()),
    "end": (Mode.BARGE, lambda play: play.end()),
}


async def _until_story(name: str) -> tuple[Play, Callable[[Play], Awaitable[None]]]:
    mode, story = STORIES[name]
    play = await played()
    if name != "start":
        await play.start(mode)
    return play, story


async def _length(name: str) -> int:
    play, story = await _until_story(name)
    before = len(play.pbx.steps)
    await story(play)
    return len(play.pbx.steps) - before


FAULTS = {
    "refused": Fault(),
    "unanswered": Fault(refused=False),
    "answer lost": Fault(refused=False, done=True),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", STORIES)
async def test_every_step_fails(name: str, fault: str) -> None:
    """Whichever action fails, nobody hears her whom the mode does not allow, and nobody is alone."""
    for number in range(await _length(name)):
        play, story = await _until_story(name)
        play.pbx.faults[len(play.pbx.steps) + number] = FAULTS[fault]
        with suppress(CtidError):
            await story(play)
        await play.settled()
        play.vouch()
        if not play.supervising.sessions():
            assert play.pbx.ours() == set(), f"step {number}"


@pytest.mark.parametrize("happening", ["customer", "agent", "phone"])
@pytest.mark.parametrize("name", STORIES)
async def test_somebody_hangs_up_before_every_step(name: str, happening: str) -> None:
    """Whoever hangs up before whichever action, it is told, nobody hears her wrongly, and nothing is left."""
    for number in range(await _length(name)):
        play, story = await _until_story(name)
        gone = {"customer": CUSTOMER, "agent": AGENT}

        def hang_up(play: Play = play, gone: dict[str, str] = gone) -> None:
            play.pbx.destroy(gone.get(happening) or play.pbx.phone() or "")

        play.pbx.before[len(play.pbx.steps) + number] = hang_up
        with suppress(CtidError):
            await story(play)
        await play.settled()
        play.vouch()
        if play.supervising.sessions() and play.pbx.phone() is None:
            raise AssertionError(f"a session without a phone after step {number}")


@pytest.mark.parametrize("name", STORIES)
async def test_ctid_dies_before_every_step(name: str) -> None:
    """A new run finds the session as its record says or less heard, or hangs her up; nobody is alone."""
    for number in range(await _length(name)):
        play, story = await _until_story(name)

        def die(play: Play = play) -> None:
            play.dead = True

        play.pbx.before[len(play.pbx.steps) + number] = die
        with suppress(asyncio.CancelledError, CtidError):
            await story(play)
        if not play.dead:
            return  # it took a step less: the packets that it waits for came sooner
        assert not play.pbx.alone(), f"alone after step {number}"
        after = Play(play.pbx)
        await after.supervising.open()
        for channel in play.pbx.there.values():  # as the first snapshot does
            after.hear(message("Newchannel", channel.block()))
            if channel.bridge:
                play.pbx.tell("BridgeEnter", channel, BridgeUniqueid=channel.bridge, BridgeType="basic")
        await after.settled()
        after.vouch()
        if not after.supervising.sessions():
            assert play.pbx.ours() == set(), f"left after step {number}"
        else:
            assert play.pbx.heard_by() == HEARD.get(after.session.mode, {CUSTOMER}), f"step {number}"
