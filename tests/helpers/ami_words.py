"""Asterisk's events in the words of a call, and what a `Normalizer` told of them."""

from collections.abc import Mapping

from ctid.model.facts import (
    Fact,
    Leg,
    LegChanged,
    LegEnded,
    Member,
    MemberChanged,
    MemberRemoved,
    Moment,
)
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid_asterisk.lists import Lists, load, snapshot
from ctid_asterisk.normalize import Normalizer
from ctid_asterisk.wire import Message

PBX = PbxId("lab")
Pairs = list[tuple[str, str]]


def message(kind: str, *blocks: Pairs, **fields: str) -> Message:
    """An event of the name `kind`: blocks, then single fields, whose underscores stand for hyphens."""
    pairs = [pair for block in blocks for pair in block]
    pairs += [(key.replace("_", "-"), value) for key, value in fields.items()]
    return Message.build(("Event", kind), *pairs)


class Channel:
    """One channel as Asterisk has it now."""

    def __init__(self, name: str, unique: str, linked: str = "", *, state: str = "0") -> None:
        self.name = name
        self.unique = unique
        self.linked = linked or unique
        self.state = state
        self.number = "<unknown>"
        self.person = "<unknown>"
        self.exten = ""
        self.bridge = ""
        self.application = ""
        self.data = ""

    def block(self, prefix: str = "") -> Pairs:
        """The channel's snapshot in an event."""
        fields = {
            "Channel": self.name,
            "ChannelState": self.state,
            "CallerIDNum": self.number,
            "CallerIDName": self.person,
            "Exten": self.exten,
            "Uniqueid": self.unique,
            "Linkedid": self.linked,
        }
        return [(f"{prefix}{key}", value) for key, value in fields.items()]

    def item(self, duration: str = "00:00:10") -> Message:
        """The channel in the answer to CoreShowChannels."""
        more = {"Application": self.application, "ApplicationData": self.data, "BridgeId": self.bridge}
        return message("CoreShowChannel", self.block(), Duration=duration, **more)

    def hold_item(self, *, held: bool) -> Message:
        """The channel in the answer to Status."""
        return message("Status", self.block(), Variable=f"CHANNEL(onhold)={int(held)}")


def dialled(
    name: str, unique: str, linked: str, *, state: str = "0", application: str = "AppDial"
) -> Channel:
    """A channel that the PBX dials on behalf of another."""
    channel = Channel(name, unique, linked, state=state)
    channel.number = name.partition("/")[2].partition("-")[0].partition("@")[0]
    channel.application, channel.data = application, "(Outgoing Line)"
    return channel


def caller(name: str, unique: str, exten: str, *, state: str = "4", queue: str = "") -> Channel:
    """A channel that called the PBX."""
    channel = Channel(name, unique, state=state)
    channel.number = name.partition("/")[2].partition("-")[0]
    channel.exten = exten
    channel.application, channel.data = ("Queue", f"{queue},t") if queue else ("Dial", "PJSIP/1001,60")
    return channel


MEMBER = {
    "Queue": "support",
    "MemberName": "Alice Martin",
    "Interface": "PJSIP/1001",
    "StateInterface": "PJSIP/1001",
    "Penalty": "0",
    "CallsTaken": "0",
    "LastCall": "0",
    "InCall": "0",
    "Status": "1",
    "Paused": "0",
    "PausedReason": "",
    "Wrapuptime": "0",
}


def member_event(kind: str = "QueueMemberStatus", **changed: str) -> Message:
    """A member's event."""
    return message(kind, list({**MEMBER, **changed}.items()))


def member_item(**changed: str) -> Message:
    """The member in the answer to QueueStatus, where two of its keys have other names."""
    fields = {**MEMBER, **changed}
    fields["Name"], fields["Location"] = fields.pop("MemberName"), fields.pop("Interface")
    return message("QueueMember", list(fields.items()))


def queue_entry(channel: Channel, queue: str, position: int, wait: int) -> Message:
    """A waiting caller in the answer to QueueStatus."""
    where = {"Queue": queue, "Position": str(position), "Wait": str(wait), "Uniqueid": channel.unique}
    return message("QueueEntry", Channel=channel.name, **where)


def lists(
    *channels: Message,
    queues: tuple[Message, ...] = (),
    devices: tuple[Message, ...] = (),
    holds: tuple[Message, ...] = (),
) -> Lists:
    """The answers that a snapshot is made of."""
    return Lists(channels, queues, devices, holds)


class Line:
    """A normalizer at the end of a wire. Each verb is an event a second after the last, and returns facts."""

    def __init__(self) -> None:
        self.normalizer = Normalizer(PBX)
        self.now = Instant(1000.0)
        self.legs: dict[str, Leg] = {}
        self.members: dict[tuple[str, str], Member] = {}
        self.moments: list[Moment] = []
        self.causes: dict[str, int] = {}

    def hear(self, event: Message) -> list[Fact]:
        """Take any event."""
        self.now = Instant(self.now + 1)
        facts = self.normalizer.receive(event, self.now)
        for fact in facts:
            match fact:
                case LegChanged():
                    self.legs[fact.leg.id] = fact.leg
                case LegEnded():
                    del self.legs[fact.leg]
                    self.causes[fact.leg] = fact.cause
                case MemberChanged():
                    self.members[fact.member.queue, fact.member.agent] = fact.member
                case MemberRemoved():
                    del self.members[fact.queue, fact.agent]
                case _ if isinstance(fact, Moment):
                    self.moments.append(fact)
        return facts

    def appears(self, *channels: Channel) -> None:
        """Each channel is created."""
        for channel in channels:
            self.hear(message("Newchannel", channel.block()))

    def gets(self, channel: Channel, state: str) -> list[Fact]:
        """The channel's state changes: 5 is ringing, 6 is up."""
        channel.state = state
        return self.hear(message("Newstate", channel.block()))

    def enters(
        self, bridge: str, *channels: Channel, swap: str = "", technology: str = "simple_bridge"
    ) -> None:
        """Each channel enters the bridge."""
        swapped: Mapping[str, str] = {"SwapUniqueid": swap} if swap else {}
        for channel in channels:
            channel.bridge = bridge
            into = {"BridgeUniqueid": bridge, "BridgeTechnology": technology, **swapped}
            self.hear(message("BridgeEnter", channel.block(), **into))

    def leaves(self, bridge: str, *channels: Channel) -> None:
        """Each channel leaves the bridge."""
        for channel in channels:
            channel.bridge = ""
            self.hear(message("BridgeLeave", channel.block(), BridgeUniqueid=bridge))

    def hangs_up(self, *channels: Channel, cause: str = "16") -> None:
        """Each channel ends."""
        for channel in channels:
            self.hear(message("Hangup", channel.block(), Cause=cause))

    def dials(self, near: Channel, far: Channel) -> None:
        """`far` is dialled on behalf of `near`."""
        self.hear(message("DialBegin", near.block(), far.block("Dest")))

    def dial_ends(self, near: Channel, far: Channel, status: str = "ANSWER") -> None:
        """The dialling of `far` is over."""
        self.hear(message("DialEnd", near.block(), far.block("Dest"), DialStatus=status))

    def joins(self, channel: Channel, queue: str = "support", position: int = 1) -> None:
        """The caller joins a queue."""
        self.hear(message("QueueCallerJoin", channel.block(), Queue=queue, Position=str(position)))

    def leaves_queue(self, channel: Channel, queue: str = "support") -> list[Fact]:
        """The caller is no longer waiting."""
        return self.hear(message("QueueCallerLeave", channel.block(), Queue=queue, Position="1"))

    def queue_tells(
        self,
        kind: str,
        near: Channel,
        far: Channel,
        *,
        queue: str = "support",
        interface: str = "PJSIP/1001",
        **fields: str,
    ) -> list[Fact]:
        """AgentCalled, AgentConnect, AgentComplete, AgentRingNoAnswer or AgentDump."""
        times = {"HoldTime": "0", "RingTime": "0"} if kind == "AgentConnect" else {}
        whom = {"Queue": queue, "Interface": interface, **times, **fields}
        return self.hear(message(kind, near.block(), far.block("Dest"), **whom))

    def serves(self, near: Channel, far: Channel, bridge: str = "b1", interface: str = "PJSIP/1001") -> None:
        """From the dialling of an agent by the queue to her talking with the caller."""
        self.appears(far)
        self.queue_tells("AgentCalled", near, far, interface=interface)
        self.dials(near, far)
        self.gets(far, "5")
        self.gets(far, "6")
        self.dial_ends(near, far)
        self.leaves_queue(near)
        self.queue_tells("AgentConnect", near, far, interface=interface, HoldTime="2", RingTime="1")
        self.enters(bridge, far, near)

    def loads(self, taken: Lists) -> None:
        """Start afresh from the lists, and see the snapshot."""
        load(self.normalizer, taken, self.now)
        told = snapshot(self.normalizer, self.now, ())
        self.legs = {leg.id: leg for leg in told.legs}
        self.members = {(member.queue, member.agent): member for member in told.members}
