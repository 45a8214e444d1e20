"""An Asterisk without ARI in memory: a call that goes on, a supervisor's phone, ChanSpy, and AMI's answers.

It knows of `config/asterisk` what its dialplan does. An action can be made to fail, and something can be made
to happen before it. What must never be is asked by `alone`, `heard_by` and `ours`.
"""

import asyncio
from collections.abc import Callable, Mapping

from msgspec import Struct

from ctid.model.errors import PbxRefused, PbxTimeout
from ctid_asterisk.actions import Action
from ctid_asterisk.outs import Reply
from ctid_asterisk.spying import VARIABLES
from ctid_asterisk.wire import EncodeError, Message
from helpers.ami_words import Channel, message

CUSTOMER, AGENT, OTHER = "1000.1", "1000.2", "1000.3"
TALKING = "call"
ALL = (
    "originate", "redirect", "muteaudio", "setvar", "getvar", "hangup", "blindtransfer", "playdtmf"
)  # fmt: skip
MODES = {"4": "listen", "5": "whisper", "6": "barge"}


class Phone(Struct):
    """A channel of ctid's making, and where it is in the dialplan."""

    exten: str = ""
    target: str = ""
    options: str = ""
    mode: str = "listen"
    barged: str = ""
    muted: bool = True
    variables: dict[str, str] = {}


class Fault(Struct, frozen=True):
    """An action that fails: refused, or unanswered before or after it was carried out."""

    refused: bool = True
    done: bool = False


class FakeSpyPbx:
    """Customer and agent talk; `hear` is called with each event that the PBX sends."""

    def __init__(self) -> None:
        self.hear: Callable[[Message], None] = lambda _: None
        self.there: dict[str, Channel] = {}
        self.phones: dict[str, Phone] = {}
        self.variables: dict[str, dict[str, str]] = {}
        self.steps: list[str] = []
        self.faults: dict[int, Fault] = {}
        """By the number of the action, from 0."""
        self.before: dict[int, Callable[[], None]] = {}
        self.allowed = set(ALL)
        self.contexts = {"ctid-supervise", "ctid-takeover", "ctid-handback"}
        self.answers = True
        """A phone that is rung answers; otherwise it rings on."""
        self.failure: tuple[str, str] | None = None
        """Instead of ringing: the cause of a channel's end (none: there is none), and Originate's reason."""
        self.tells_keys = True
        self.spies = True
        """ChanSpy begins where it is sent."""
        self.plays = "SUCCESS"
        self.packets = 0
        self.flows = True
        self.rung_back: list[str] = []
        """Customers who went on in the take-over context, which rings the agent."""

    # What the PBX does -------------------------------------------------------------------------------------

    def tell(self, kind: str, channel: Channel, **fields: str) -> None:
        """Send an event of a channel."""
        self.hear(message(kind, channel.block(), **fields))

    def new(self, unique: str, name: str, *, state: str = "6") -> Channel:
        """A channel comes to be."""
        channel = self.there[unique] = Channel(name, unique, state=state)
        channel.number = name.partition("/")[2].partition("-")[0]
        self.variables[unique] = {}
        self.tell("Newchannel", channel)
        return channel

    def talk(self, *uniques: str, bridge: str = TALKING) -> None:
        """Channels enter a bridge."""
        for unique in uniques:
            channel = self.there[unique]
            channel.bridge = bridge
            self.tell("BridgeEnter", channel, BridgeUniqueid=bridge, BridgeType="basic")
        for phone in self.phones.values():
            self._attach(phone)

    def begin(self) -> None:
        """The call that goes on, and somebody else's phone."""
        self.new(CUSTOMER, "PJSIP/3001-00000001")
        self.new(AGENT, "PJSIP/1001-00000002")
        self.talk(CUSTOMER, AGENT)

    def destroy(self, unique: str, cause: str = "16") -> None:
        """A channel ends; who talked with it is alone, and hangs up; who spied on it waits."""
        channel = self.there.pop(unique, None)
        if channel is None:
            return
        gone = self.phones.pop(unique, None)
        if gone is not None and gone.exten == "spy":
            self.tell_spy("ChanSpyStop", channel, gone.target)
        for ident, phone in list(self.phones.items()):
            if phone.target == unique and phone.exten == "spy":
                self._wait(ident, phone)
        self.tell("Hangup", channel, Cause=cause)
        if channel.bridge:
            for other in [u for u, c in self.there.items() if c.bridge == channel.bridge]:
                self.destroy(other)

    def tell_spy(self, kind: str, channel: Channel, target: str) -> None:
        """ChanSpy begins or ends."""
        self.hear(message(kind, channel.block("Spyer"), SpyeeUniqueid=target))

    def _wait(self, ident: str, phone: Phone) -> None:
        phone.exten = "wait"
        self.tell_spy("ChanSpyStop", self.there[ident], phone.target)

    def _attach(self, phone: Phone) -> None:
        """Barge speaks to whom the agent talks with when it first can, and to nobody else afterwards."""
        agent = self.there.get(phone.target)
        if phone.exten != "spy" or phone.mode != "barge" or phone.barged or agent is None:
            return
        others = [
            u for u, c in self.there.items() if c.bridge and c.bridge == agent.bridge and c is not agent
        ]
        if len(others) == 1:
            phone.barged = others[0]

    def press(self, key: str, *, sudden: bool = False) -> None:
        """She presses a key of her phone; a sudden one is told of only as it ends."""
        ident = self.phone()
        assert ident is not None
        if not sudden and self.tells_keys:
            self.tell("DTMFBegin", self.there[ident], Digit=key, Direction="Received")
        self._receive(ident, key)

    def _receive(self, ident: str, key: str) -> None:
        phone = self.phones[ident]
        if phone.exten == "spy" and "d" in phone.options and key in MODES:
            phone.mode = MODES[key]
            self._attach(phone)
        if self.tells_keys:
            self.tell("DTMFEnd", self.there[ident], Digit=key, Direction="Received")
        if phone.exten == "spy" and key == "*":
            self._wait(ident, phone)

    def pick_up(self) -> None:
        """The phone that rings is answered."""
        ident = self.phone()
        assert ident is not None, "no phone rings"
        self.there[ident].state = "6"
        self.phones[ident].exten = "wait"
        self.tell("Newstate", self.there[ident])
        self.hear(message("OriginateResponse", Response="Success", Reason="4", Uniqueid=ident))

    # What must never be ------------------------------------------------------------------------------------

    def phone(self) -> str | None:
        """The supervisor's channel."""
        return next((unique for unique in self.phones if "-phone-" in unique), None)

    def ours(self) -> set[str]:
        """Everything of ctid's that the PBX still has."""
        return {unique for unique in self.there if unique.startswith("ctid-")}

    def heard_by(self) -> set[str]:
        """Who hears the supervisor."""
        ident = self.phone()
        if ident is None or self.phones[ident].muted:
            return set()
        phone, bridge = self.phones[ident], self.there[ident].bridge
        if bridge:
            return {u for u, c in self.there.items() if c.bridge == bridge and u != ident}
        if phone.exten != "spy" or phone.mode == "listen":
            return set()
        return {phone.target} | ({phone.barged} if phone.mode == "barge" and phone.barged else set())

    def alone(self) -> bool:
        """Whether the customer is there, and nobody talks with him."""
        customer = self.there.get(CUSTOMER)
        if customer is None or CUSTOMER in self.rung_back:
            return False
        return not any(
            c.bridge == customer.bridge for u, c in self.there.items() if u != CUSTOMER and c.bridge
        )

    # AMI ---------------------------------------------------------------------------------------------------

    async def act(self, build: Callable[[], Action]) -> Reply:
        """Answer an action as the connection does."""
        try:
            action = build()
        except EncodeError as error:
            raise PbxRefused(f"that cannot be said over AMI: {error}") from error
        number = len(self.steps)
        self.steps.append(action.name)
        happen = self.before.pop(number, None)
        if happen is not None:
            happen()
        fault = self.faults.get(number)
        await asyncio.sleep(0)
        if fault is not None and fault.refused:
            return self._error("made to fail")
        if fault is not None and not fault.done:
            raise PbxTimeout("no answer")
        fields = dict(action.fields)
        given = [value.partition("=") for key, value in action.fields if key == "Variable"]
        reply = getattr(self, f"_{action.name.lower()}")(fields, {name: value for name, _, value in given})
        await asyncio.sleep(0)
        if fault is not None:
            raise PbxTimeout("no answer")
        assert isinstance(reply, Reply)
        return reply

    @staticmethod
    def _ok(*items: Message, **fields: str) -> Reply:
        pairs = [(key.replace("_", "-"), value) for key, value in fields.items()]
        return Reply("1", Message.build(("Response", "Success"), *pairs), items)

    @staticmethod
    def _error(text: str) -> Reply:
        return Reply("1", Message.build(("Response", "Error"), ("Message", text)), ok=False)

    def _found(self, channel: str) -> str | None:
        return next((u for u, c in self.there.items() if channel in (u, c.name)), None)

    def _listcommands(self, *_: Mapping[str, str]) -> Reply:
        return self._ok(**dict.fromkeys(self.allowed, "does it"))

    def _showdialplan(self, fields: Mapping[str, str], _: Mapping[str, str]) -> Reply:
        return self._ok(*([message("ListDialplan")] if fields["Context"] in self.contexts else []))

    def _coreshowchannels(self, *_: Mapping[str, str]) -> Reply:
        return self._ok(*[channel.item() for channel in self.there.values()])

    def _originate(self, fields: Mapping[str, str], variables: Mapping[str, str]) -> Reply:
        ident = fields["ChannelId"]
        if fields["Exten"] == "whisper":
            self._notice(variables["CTID_TARGET"], fields["OtherChannelId"])
            return self._ok()
        if self.failure is not None:
            cause, reason = self.failure
            if cause:
                self.new(ident, f"{fields['Channel']}-0000000a", state="5")
                self.destroy(ident, cause)
            self.hear(message("OriginateResponse", Response="Failure", Reason=reason, Uniqueid=ident))
            return self._ok()
        self.new(ident, f"{fields['Channel']}-0000000a", state="5")
        self.variables[ident] = dict(variables)
        if fields["Context"] == "ctid-handback":
            if self.answers:
                self._join(ident, variables["CTID_JOIN"])
            return self._ok()
        self.phones[ident] = Phone()
        if self.answers:
            self.pick_up()
        return self._ok()

    def _notice(self, target: str, second: str) -> None:
        half = Channel("Local/tone@ctid-supervise-00000001;2", second)
        if target in self.there and self.plays:
            self.hear(message("VarSet", half.block(), Variable="CTID_NOTICE", Value=self.plays))
        self.hear(message("Hangup", half.block(), Cause="16"))

    def _redirect(self, fields: Mapping[str, str], _: Mapping[str, str]) -> Reply:
        ident = self._found(fields["Channel"])
        if ident is None:
            return self._error("Channel does not exist: " + fields["Channel"])
        phone = self.phones[ident]
        if phone.exten == "spy":
            self._wait(ident, phone)
        phone.exten = fields["Exten"]
        if phone.exten == "spy":
            phone.target, phone.options = (
                self.variables[ident][name] for name in ("CTID_TARGET", "CTID_SPY")
            )
            phone.barged = ""
            phone.mode = "whisper" if "w" in phone.options else "barge" if "B" in phone.options else "listen"
            if phone.target in self.there and self.spies:
                self.tell_spy("ChanSpyStart", self.there[ident], phone.target)
                self._attach(phone)
            else:
                phone.exten = "wait"
        return self._ok()

    def _playdtmf(self, fields: Mapping[str, str], _: Mapping[str, str]) -> Reply:
        ident = self._found(fields["Channel"])
        if ident is None:
            return self._error("Channel not found")
        self._receive(ident, fields["Digit"])
        return self._ok()

    def _muteaudio(self, fields: Mapping[str, str], _: Mapping[str, str]) -> Reply:
        ident = self._found(fields["Channel"])
        if ident is None:
            return self._error("Channel not found")
        self.phones[ident].muted = fields["State"] == "on"
        return self._ok()

    def _setvar(self, fields: Mapping[str, str], _: Mapping[str, str]) -> Reply:
        ident = self._found(fields["Channel"])
        if ident is None:
            return self._error("No such channel")
        self.variables[ident][fields["Variable"]] = fields.get("Value", "")
        return self._ok()

    def _getvar(self, fields: Mapping[str, str], _: Mapping[str, str]) -> Reply:
        ident = self._found(fields["Channel"])
        if ident is None:
            return self._error("No such channel")
        if fields["Variable"].startswith("CHANNEL("):
            self.packets += self.flows
            return self._ok(Value=str(self.packets))
        return self._ok(Value=self.variables[ident].get(fields["Variable"], ""))

    def _hangup(self, fields: Mapping[str, str], _: Mapping[str, str]) -> Reply:
        ident = self._found(fields["Channel"])
        if ident is None:
            return self._error("No such channel")
        self.destroy(ident)
        return self._ok()

    def _blindtransfer(self, fields: Mapping[str, str], _: Mapping[str, str]) -> Reply:
        ident, customer = self._found(fields["Channel"]), self.there.get(CUSTOMER)
        if ident is None or customer is None or self.there[ident].bridge != customer.bridge:
            return self._error("No call active")
        self._leave(CUSTOMER)
        self.there[ident].bridge = ""
        self.destroy(ident)
        self._join(CUSTOMER, self.variables[CUSTOMER].get("CTID_JOIN", ""))
        return self._ok()

    def _leave(self, unique: str) -> None:
        channel = self.there[unique]
        self.tell("BridgeLeave", channel, BridgeUniqueid=channel.bridge)
        channel.bridge = ""

    def _join(self, unique: str, name: str) -> None:
        """The dialplan's `Bridge`."""
        other = self._found(name)
        if other is None:
            self.rung_back.append(unique)
            return
        if self.there[other].bridge:
            self._leave(other)
        if other in self.phones:
            self.phones[other].exten = "bridge"
        self.there[unique].state = "6"
        self.talk(other, unique, bridge=f"joined-{unique}")

    def kept(self) -> list[str]:
        """The pieces of the record that her channel has."""
        held = self.variables[self.phone() or ""]
        return [held.get(name, "") for name in VARIABLES]
