"""Acts on calls, against a PBX that answers as Asterisk 22 does."""

import base64
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import pytest

from ctid.model.capabilities import Capability
from ctid.model.commands import (
    CallCommand,
    DialForAgent,
    FlagCall,
    HangUpLegs,
    PauseRecording,
    PrioritizeCaller,
    SendMessage,
    StartRecording,
    StopRecording,
    TransferCall,
)
from ctid.model.errors import CtidError, PbxRefused
from ctid.model.ids import AgentId, DeviceId, LegId, QueueId
from ctid.model.words import CallFlag
from ctid_asterisk.actions import Action, DialPlace
from ctid_asterisk.ari import Ari, AriError, AriLost
from ctid_asterisk.call_commands import MOST_RECORDINGS, CallCommands
from ctid_asterisk.outs import Reply
from ctid_asterisk.roster import Roster
from ctid_asterisk.wire import Message
from helpers.ami_words import Channel, Line, caller, dialled, member_item, message

CUSTOMER, AGENT = LegId("1795409488.1"), LegId("1795409488.2")
NEAR, FAR = "PJSIP/3001-00000001", "PJSIP/1001-00000002"
BOTH = (CUSTOMER, AGENT)
TRANSFER = TransferCall(leg=CUSTOMER, agent=AGENT, number="1002", context="from-internal")
RECORD = StartRecording(leg=AGENT, file="lab.1-20260101.wav")
DIAL = DialForAgent(
    leg=LegId("dial-1.1"),
    agent=AgentId("1001"),
    device=DeviceId("1001"),
    address=None,
    number="80003001",
    context="from-internal",
    ring_s=20.0,
)
NO_SUCH = "No such channel"


class FakeAri(Ari):
    """ARI that notes whom it rings."""

    def __init__(self) -> None:
        self.rang: list[tuple[str, DialPlace, str]] = []
        self.fails: Exception | None = None
        self.closed = 0

    async def dial(
        self,
        channel: str,
        place: DialPlace,
        *,
        ring_s: float,
        caller_id: str = "",
        variables: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """Ring."""
        assert ring_s == 20.0
        assert not variables
        if self.fails is not None:
            raise self.fails
        self.rang.append((channel, place, caller_id))

    async def close(self) -> None:
        """Count it."""
        self.closed += 1


class Pbx:
    """Customer and agent talk, `support` has waiting callers; what was asked, and what it answers.

    `says` are errors by the action; `recordings` how many each channel has; `waiting` is the queue's list.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.says: dict[str, str] = {}
        self.recordings: dict[str, int] = {}
        self.extensions = {"1002"}
        self.waiting: list[tuple[str, str, int]] = []
        self.moves_at_once = True
        self.looks = 0
        self.line = Line()
        near = caller(NEAR, CUSTOMER, "7000", state="6")
        self.line.appears(near)
        self.line.serves(near, dialled(FAR, AGENT, CUSTOMER))
        self.near = near
        self.roster = Roster()
        self.roster.replace_present([message("QueueParams", Queue="support"), member_item()])
        self.ari = FakeAri()
        self.commands = CallCommands(
            self.act,
            self.roster,
            channels=lambda: self.line.normalizer.channels,
            ari=self.ari,
            look_again=self.look_again,
        )

    async def look_again(self) -> None:
        """Count it."""
        self.looks += 1

    async def act(self, build: Callable[[], Action]) -> Reply:
        """Answer an action."""
        action = build()
        fields = dict(action.fields)
        self.asked.append((action.name, fields))
        error = self.says.get(action.name)
        more: dict[str, str] = {}
        items: tuple[Message, ...] = ()
        if error is None:
            error, more, items = self.answer(action.name, fields)
        kind = "Error" if error else "Success"
        response = Message.build(("Response", kind), ("Message", error or "done"), *more.items())
        return Reply("1", response, items, ok=not error)

    def answer(self, name: str, fields: Mapping[str, str]) -> tuple[str, dict[str, str], tuple[Message, ...]]:
        """Error, further fields, and items of an answer."""
        match name:
            case "Getvar":
                place = fields["Variable"].partition("(")[2].split(",")
                return "", {"Value": str(int(place[1] in self.extensions))}, ()
            case "StopMixMonitor":
                left = self.recordings.get(fields["Channel"], 0)
                self.recordings[fields["Channel"]] = left - 1
                return ("" if left > 0 else "Could not stop monitoring channel"), {}, ()
            case "QueueStatus":
                entries = [
                    message(
                        "QueueEntry",
                        Queue="support",
                        Position=str(place),
                        Channel=channel,
                        Uniqueid=unique,
                        Priority=str(priority),
                    )
                    for place, (unique, channel, priority) in enumerate(self.waiting, 1)
                ]
                return "", {}, (message("QueueParams", Queue="support"), *reversed(entries))
            case "QueueChangePriorityCaller" if self.moves_at_once:
                mine = next(entry for entry in self.waiting if entry[1] == fields["Caller"])
                self.waiting.remove(mine)
                new = int(fields["Priority"])
                behind = [at for at, entry in enumerate(self.waiting) if entry[2] < new]
                self.waiting.insert(behind[0] if behind else len(self.waiting), (mine[0], mine[1], new))
        return "", {}, ()

    async def run(self, command: CallCommand) -> list[tuple[str, dict[str, str]]]:
        """Carry out a command; returns what was asked for it."""
        self.asked.clear()
        await self.commands.execute(command)
        return self.asked

    async def refused(self, command: CallCommand) -> CtidError:
        """The refusal of a command."""
        with pytest.raises(CtidError) as told:
            await self.run(command)
        return told.value


@pytest.fixture
def pbx() -> Pbx:
    """A PBX with one call."""
    return Pbx()


class TestAbilities:
    """What is asked at the login."""

    async def test_what_there_is(self, pbx: Pbx, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of an ability each action must be there; a user who may not ask can do nothing."""

        def commands(*names: str) -> None:
            told = dict.fromkeys(names, "what it does  (Priv: call)")
            monkeypatch.setattr(pbx, "answer", lambda *_: ("", told, ()))

        base = ("Hangup", "BlindTransfer", "Redirect", "Getvar", "Setvar")
        commands(*base, "QueueChangePriorityCaller", "MixMonitor", "StopMixMonitor")
        await pbx.commands.learn()
        assert pbx.commands.abilities == {Capability.CALL_COMMANDS, Capability.PRIORITIZE}
        commands(*base, "MixMonitor", "StopMixMonitor", "MixMonitorMute", "MessageSend")
        await pbx.commands.learn()
        assert pbx.commands.abilities == {Capability.CALL_COMMANDS, Capability.RECORD, Capability.MESSAGE}
        pbx.says["ListCommands"] = "Permission denied"
        await pbx.commands.learn()
        assert pbx.commands.abilities == frozenset()

    async def test_close(self, pbx: Pbx) -> None:
        """ARI's session ends with it, if there is one."""
        await pbx.commands.close()
        assert pbx.ari.closed == 1
        pbx.commands._ari = None
        await pbx.commands.close()


async def test_hang_up(pbx: Pbx) -> None:
    """By full names, in the order given; what is gone is hung up."""
    asked = await pbx.run(HangUpLegs(legs=(AGENT, LegId("9.9"), CUSTOMER)))
    assert [(name, fields["Channel"]) for name, fields in asked] == [("Hangup", FAR), ("Hangup", NEAR)]
    pbx.says["Hangup"] = NO_SUCH
    await pbx.run(HangUpLegs(legs=BOTH))
    pbx.says["Hangup"] = "Permission denied"
    refusal = await pbx.refused(HangUpLegs(legs=BOTH))
    assert isinstance(refusal, PbxRefused)
    assert "needs `call` among its `write` (see manager.ctid.conf)" in refusal.detail


class TestTransfer:
    """The customer goes on."""

    async def test_of_two_who_talk(self, pbx: Pbx) -> None:
        """The agent's channel is transferred, once the PBX has said that there is such an extension."""
        asked = await pbx.run(TRANSFER)
        assert asked == [
            ("Getvar", {"Channel": NEAR, "Variable": "DIALPLAN_EXISTS(from-internal,1002,1)"}),
            ("BlindTransfer", {"Channel": FAR, "Context": "from-internal", "Exten": "1002"}),
        ]

    async def test_of_who_waits(self, pbx: Pbx) -> None:
        """Nobody is released: the channel is redirected."""
        waiting = TransferCall(leg=CUSTOMER, agent=None, number="1002", context="from-internal")
        _, (name, fields) = await pbx.run(waiting)
        assert (name, fields["Channel"], fields["Exten"], fields["Priority"]) == (
            "Redirect",
            NEAR,
            "1002",
            "1",
        )

    @pytest.mark.parametrize(
        ("command", "says", "code", "told"),
        [
            (
                TransferCall(leg=CUSTOMER, agent=LegId("9.9"), number="1", context="x"),
                {},
                "call.ended",
                "talk",
            ),
            (TransferCall(leg=LegId("9.9"), agent=None, number="1", context="x"), {}, "call.ended", "talk"),
            (
                TransferCall(leg=CUSTOMER, agent=AGENT, number="1", context="x"),
                {},
                "pbx.refused",
                "has no 1 in",
            ),
            (TRANSFER, {"Getvar": "No such function"}, "pbx.refused", "func_dialplan"),
            (TRANSFER, {"BlindTransfer": "Permission denied"}, "pbx.refused", "needs `call`"),
        ],
    )
    async def test_refusals(
        self, pbx: Pbx, command: CallCommand, says: dict[str, str], code: str, told: str
    ) -> None:
        """Who does not talk, where nothing is, what the PBX refuses: nobody is moved."""
        pbx.says = says
        refusal = await pbx.refused(command)
        assert (refusal.code, told in refusal.detail) == (code, True), refusal.detail
        assert [name for name, _ in pbx.asked if name == "BlindTransfer"] == [*says][:1] * (
            "Blind" in str(says)
        )


class TestPriority:
    """A better place."""

    COMMAND = PrioritizeCaller(leg=LegId("3.3"), queue=QueueId("support"), position=1)
    WAITING = (
        ("1.1", "PJSIP/3001-00000011", 0),
        ("2.2", "PJSIP/3002-00000012", 0),
        ("3.3", "PJSIP/3003-00000013", 0),
    )

    async def test_first(self, pbx: Pbx) -> None:
        """One priority; a snapshot tells the places, which no event does."""
        pbx.waiting = list(self.WAITING)
        asked = await pbx.run(self.COMMAND)
        (given,) = [fields for name, fields in asked if name == "QueueChangePriorityCaller"]
        assert given == {
            "Queue": "support",
            "Caller": "PJSIP/3003-00000013",
            "Priority": "1",
            "Immediate": "yes",
        }
        assert ([unique for unique, *_ in pbx.waiting], pbx.looks) == (["3.3", "1.1", "2.2"], 1)
        asked = await pbx.run(self.COMMAND)
        assert ([name for name, _ in asked], pbx.looks) == (["QueueStatus"], 1), "there already"

    async def test_an_asterisk_that_does_not_move_him(self, pbx: Pbx) -> None:
        """It takes the priority and leaves him where he is: that is told."""
        pbx.waiting, pbx.moves_at_once = list(self.WAITING), False
        refusal = await pbx.refused(self.COMMAND)
        assert "left the caller at position 3" in refusal.detail

    async def test_refusals(self, pbx: Pbx) -> None:
        """No such queue, nobody who waits, a PBX that will not."""
        nowhere = PrioritizeCaller(leg=LegId("3.3"), queue=QueueId("none"), position=1)
        assert "no queue 'none'" in (await pbx.refused(nowhere)).detail
        assert (await pbx.refused(self.COMMAND)).code == "call.not_waiting"
        pbx.waiting = list(self.WAITING)
        pbx.says["QueueChangePriorityCaller"] = "Could not change priority"
        assert (await pbx.refused(self.COMMAND)).code == "pbx.refused"

    async def test_a_half_that_waits_for_him(self, pbx: Pbx) -> None:
        """The queue has the Local half, and the command the party's leg."""
        one, two = Channel("Local/7000@x-00000001;1", "4.1"), Channel("Local/7000@x-00000001;2", "4.2")
        pbx.line.appears(one, two)
        pbx.line.hear(message("LocalBridge", one.block("LocalOne"), two.block("LocalTwo")))
        pbx.line.enters("b9", one, self.other(pbx))
        pbx.waiting = [self.WAITING[0], ("4.2", two.name, 0)]
        asked = await pbx.run(PrioritizeCaller(leg=LegId("5.5"), queue=QueueId("support"), position=1))
        assert two.name in [fields.get("Caller") for _, fields in asked]

    @staticmethod
    def other(pbx: Pbx) -> Channel:
        """Another caller."""
        caller_of_it = caller("PJSIP/3005-00000021", "5.5", "7000", state="6")
        pbx.line.appears(caller_of_it)
        return caller_of_it


class TestRecording:
    """MixMonitor."""

    async def test_start(self, pbx: Pbx) -> None:
        """At the agent's channel, and kept with it for a ctid that starts anew."""
        asked = await pbx.run(RECORD)
        assert asked == [
            ("MixMonitor", {"Channel": FAR, "File": "lab.1-20260101.wav"}),
            ("Setvar", {"Channel": FAR, "Variable": "CTID_RECORDING", "Value": "on"}),
        ]

    @pytest.mark.parametrize(
        ("state", "code"),
        [
            ({"private": True}, "call.private"),
            ({"objected": True}, "call.objected"),
            ({"standing": True}, "call.not_possible"),
        ],
    )
    async def test_no_start(self, pbx: Pbx, state: dict[str, Any], code: str) -> None:
        """Not of a protected call, nor of a channel that outlives it; nor of one that is gone."""
        for name, value in state.items():
            setattr(pbx.line.normalizer.channels.by_id[AGENT], name, value)
        assert (await pbx.refused(RECORD)).code == code
        assert (await pbx.refused(StartRecording(leg=LegId("9.9"), file="x.wav"))).code == "call.ended"
        assert pbx.asked == []

    async def test_stop_ends_all(self, pbx: Pbx) -> None:
        """Several on one channel, whoever began them; what has none is left, and nothing goes on for ever."""
        pbx.recordings = {NEAR: 2, FAR: MOST_RECORDINGS + 5}
        asked = await pbx.run(StopRecording(legs=BOTH))
        counts = {
            name: sum(f.get("Channel") == name and a == "StopMixMonitor" for a, f in asked)
            for name in (NEAR, FAR)
        }
        assert counts == {NEAR: 3, FAR: MOST_RECORDINGS}
        assert [fields["Value"] for name, fields in asked if name == "Setvar"] == ["off", "off"]
        pbx.recordings = {}
        assert "Setvar" not in [name for name, _ in await pbx.run(StopRecording(legs=BOTH))]
        pbx.says["StopMixMonitor"] = "Permission denied"
        assert "needs `call`" in (await pbx.refused(StopRecording(legs=BOTH))).detail

    async def test_what_was_taken_for_recorded(self, pbx: Pbx) -> None:
        """It is not: that is kept, so that the state can tell."""
        pbx.line.normalizer.channels.by_id[AGENT].recordings = 1
        asked = await pbx.run(StopRecording(legs=BOTH))
        assert [fields["Channel"] for name, fields in asked if name == "Setvar"] == [FAR]

    async def test_pause(self, pbx: Pbx) -> None:
        """Only what is recorded: an older Asterisk never lets go of another channel."""
        pause = PauseRecording(legs=BOTH, paused=True)
        assert (await pbx.refused(pause)).code == "call.not_recorded"
        assert pbx.asked == []
        pbx.line.normalizer.channels.by_id[AGENT].recordings = 1
        assert await pbx.run(pause) == [
            ("MixMonitorMute", {"Channel": FAR, "Direction": "both", "State": "1"}),
            ("Setvar", {"Channel": FAR, "Variable": "CTID_RECORDING", "Value": "paused"}),
        ]
        (_, fields), (_, kept) = await pbx.run(PauseRecording(legs=BOTH, paused=False))
        assert (fields["State"], kept["Value"]) == ("0", "on")

    async def test_halves_are_stopped_as_well(self, pbx: Pbx) -> None:
        """A dialplan may record a Local half; a supervisor's channel is left alone."""
        half = Channel("Local/1001@x-00000001;2", "2.2")
        ours = Channel("PJSIP/2001-00000031", "ctid-ctid.s1-phone-1000.1")
        pbx.line.appears(half, ours)
        pbx.line.enters("b1", half, ours)
        asked = await pbx.run(StopRecording(legs=(CUSTOMER, LegId("9.9"))))
        assert {fields["Channel"] for _, fields in asked} == {NEAR, half.name}


class TestFlags:
    """Variables of channels."""

    async def test_on_every_leg(self, pbx: Pbx) -> None:
        """Where it is not yet; a standing channel has none."""
        flag = FlagCall(legs=BOTH, flag=CallFlag.OBJECTED)
        asked = await pbx.run(flag)
        assert asked == [
            ("Setvar", {"Channel": name, "Variable": "CTID_OBJECTED", "Value": "1"}) for name in (NEAR, FAR)
        ]
        known = pbx.line.normalizer.channels.by_id
        known[AGENT].standing = True
        assert len(await pbx.run(flag)) == 1
        known[CUSTOMER].objected = True
        assert await pbx.run(flag) == []

    async def test_nobody_left(self, pbx: Pbx) -> None:
        """A flag that no channel keeps is told as failed; so is a refusal."""
        flag = FlagCall(legs=BOTH, flag=CallFlag.PRIVATE)
        pbx.says["Setvar"] = NO_SUCH
        assert (await pbx.refused(flag)).code == "call.ended"
        pbx.says["Setvar"] = "Permission denied"
        assert (await pbx.refused(flag)).code == "pbx.refused"
        assert (await pbx.refused(FlagCall(legs=(), flag=CallFlag.PRIVATE))).code == "call.ended"


class TestReaching:
    """Calls and texts."""

    async def test_dial(self, pbx: Pbx) -> None:
        """By the configuration's address, else the queue's, else her device."""
        await pbx.run(DIAL)
        address = DialForAgent(**{**_fields(DIAL), "address": "PJSIP/desk-1"})
        await pbx.run(address)
        pbx.roster.replace_present([message("QueueParams", Queue="support")])
        stranger = DialForAgent(**{**_fields(DIAL), "agent": AgentId("1007"), "device": DeviceId("1007")})
        await pbx.run(stranger)
        assert [(place.endpoint, caller_id) for _, place, caller_id in pbx.ari.rang] == [
            ("PJSIP/1001", "1001"),
            ("PJSIP/desk-1", "1001"),
            ("PJSIP/1007", "1007"),
        ]
        channel, place, _ = pbx.ari.rang[0]
        assert (channel, place.extension, place.context) == ("dial-1.1", "80003001", "from-internal")

    @pytest.mark.parametrize(
        "address",
        [
            "PJSIP/1&PJSIP/2",
            "Local/1@x",
            "Local/1@x/n",
            "PJSIP/1@trunk",
            "PJSIP/1,30",
            "PJSIP/1/2",
            "PJSIP/${X}",
        ],
    )
    async def test_one_phone_only(self, pbx: Pbx, address: str) -> None:
        """No list of phones, no way through the dialplan, no trunk: not even from the configuration."""
        refusal = await pbx.refused(DialForAgent(**{**_fields(DIAL), "address": address}))
        assert (refusal.code, pbx.ari.rang) == ("pbx.refused", [])

    async def test_who_cannot_be_rung(self, pbx: Pbx) -> None:
        """Not known by which phone; ARI refuses; ARI is away, or not there at all."""
        nobody = DialForAgent(**{**_fields(DIAL), "agent": AgentId("1009"), "device": None})
        assert (await pbx.refused(nobody)).code == "agent.phone_unreachable"
        pbx.ari.fails = AriError(500, "Allocation failed")
        assert (await pbx.refused(DIAL)).code == "agent.phone_unreachable"
        pbx.ari.fails = AriLost("gone")
        assert (await pbx.refused(DIAL)).code == "pbx.link_down"
        pbx.commands._ari = None
        assert (await pbx.refused(DIAL)).code == "pbx.link_down"

    async def test_text(self, pbx: Pbx) -> None:
        """To the endpoint, whole, from the configuration's name."""
        text = "Ligne 2, s'il vous plaît"
        ((name, fields),) = await pbx.run(
            SendMessage(device=DeviceId("1001"), text=text, sender="Supervision")
        )
        assert (name, fields["To"]) == ("MessageSend", "pjsip:1001")
        assert fields["From"] == '"Supervision" <sip:ctid@localhost>'
        assert base64.b64decode(fields["Base64Body"]).decode() == text
        pbx.says["MessageSend"] = "Permission denied"
        refusal = await pbx.refused(SendMessage(device=DeviceId("1001"), text=text, sender="x"))
        assert "needs `message`" in refusal.detail


def _fields(command: DialForAgent) -> dict[str, Any]:
    return {name: getattr(command, name) for name in DialForAgent.__struct_fields__}
