"""Any interleaving of events, of lists that are ahead of them, and of fences: no snapshot tells a lie."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from ctid.model.facts import (
    DeviceChanged,
    Fact,
    Leg,
    LegChanged,
    LegEnded,
    Member,
    MemberChanged,
    MemberRemoved,
    Snapshot,
)
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, LegState
from ctid_asterisk.lists import Lists
from ctid_asterisk.normalize import Normalizer
from ctid_asterisk.resync import Resync
from ctid_asterisk.wire import Message
from helpers.ami_words import MEMBER, PBX, Channel, caller, member_event, member_item, message, queue_entry

NUMBERS = st.integers(0, 3)
DEEDS = st.sampled_from(["call", "answer", "move", "wait", "hang_up", "serve", "pause", "deliver"])
QUEUE = "support"
DEVICE_STATES = {"NOT_INUSE": DeviceState.IDLE, "INUSE": DeviceState.IN_USE, "RINGING": DeviceState.RINGING}


def known(leg: Leg) -> tuple[object, ...]:
    """What lists and events both tell of a leg."""
    up = leg.state is LegState.CONNECTED
    return (leg.id, leg.call, up, leg.conversation, leg.queue if leg.position else None)


def known_member(member: Member) -> tuple[object, ...]:
    """The same of a member."""
    return (member.agent, member.paused, member.reason, member.penalty, member.calls_taken)


class Truth:
    """The PBX as it is now."""

    def __init__(self) -> None:
        self.channels: dict[int, Channel] = {}
        self.waiting: list[Channel] = []
        self.members: dict[int, dict[str, str]] = {}
        self.devices: dict[int, str] = {}
        self.bridges = [0, 0]
        """The serial of each bridge: a bridge that everybody has left is gone."""
        self.made = 0
        self.lost = False

    def queue_list(self) -> list[Message]:
        """The answer to QueueStatus."""
        items = [message("QueueParams", Queue=QUEUE, Strategy="linear")]
        items += [member_item(**fields) for fields in self.members.values()]
        items += [queue_entry(channel, QUEUE, place, 5) for place, channel in enumerate(self.waiting, 1)]
        return items

    def channel_list(self) -> list[Message]:
        """The answer to CoreShowChannels."""
        return [channel.item() for channel in self.channels.values()]

    def device_list(self) -> list[Message]:
        """The answer to DeviceStateList."""
        return [
            message("DeviceStateChange", Device=f"PJSIP/{ident}", State=state)
            for ident, state in self.devices.items()
        ]

    def legs(self) -> set[tuple[object, ...]]:
        """Of each leg what `known` tells."""
        return {
            (
                channel.unique,
                channel.linked,
                channel.state == "6",
                channel.bridge or None,
                QUEUE if channel in self.waiting else None,
            )
            for channel in self.channels.values()
        }

    def people(self) -> set[tuple[object, ...]]:
        """Of each member what `known_member` tells."""
        return {
            (
                str(1000 + ident),
                m["Paused"] == "1",
                m["PausedReason"],
                int(m["Penalty"]),
                int(m["CallsTaken"]),
            )
            for ident, m in self.members.items()
        }


class Reconciling(RuleBasedStateMachine):
    """A PBX that lives, a wire that is behind it, and a driver that reconciles at any moment."""

    lossy = False

    def __init__(self) -> None:
        super().__init__()
        self.truth = Truth()
        self.wire: list[Message] = []
        self.now = Instant(1_800_000_000.0)
        self.resync = Resync(Normalizer(PBX), tuple)
        self.taken: list[list[Message]] | None = None
        self.fences = 0
        self.at_fence: dict[
            str, tuple[set[tuple[object, ...]], set[tuple[object, ...]], dict[str, DeviceState]]
        ]
        self.at_fence = {}
        self.told: dict[tuple[str, str], object] = {}
        self.snapshots = 0
        self.quiet = False

    # The PBX --------------------------------------------------------------------------------------

    def publish(self, event: Message) -> None:
        """An event leaves; a lossy wire loses the one that it is told to."""
        if self.truth.lost:
            self.truth.lost = False
            return
        self.wire.append(event)

    @precondition(lambda self: self.lossy and self.snapshots > 0)
    @rule()
    def lose_the_next(self) -> None:
        """The next event never arrives."""
        self.truth.lost = True

    @rule(number=NUMBERS)
    def call(self, number: int) -> None:
        """Somebody calls."""
        truth = self.truth
        if number not in truth.channels:
            truth.made += 1
            unique = f"1800000000.{truth.made}"
            channel = caller(f"PJSIP/300{number}-{truth.made:08x}", unique, "7000")
            truth.channels[number] = channel
            self.publish(message("Newchannel", channel.block()))

    @rule(number=NUMBERS)
    def answer(self, number: int) -> None:
        """A channel is answered."""
        channel = self.truth.channels.get(number)
        if channel is not None and channel.state != "6":
            channel.state = "6"
            self.publish(message("Newstate", channel.block()))

    @rule(number=NUMBERS, bridge=st.integers(0, 1))
    def move(self, number: int, bridge: int) -> None:
        """A channel leaves its bridge, and enters another if it was in none or in that one."""
        channel = self.truth.channels.get(number)
        if channel is None:
            return
        if channel.bridge:
            old, channel.bridge = channel.bridge, ""
            if all(other.bridge != old for other in self.truth.channels.values()):
                self.truth.bridges[int(old[1])] += 1
            self.publish(message("BridgeLeave", channel.block(), BridgeUniqueid=old))
        else:
            channel.bridge = f"b{bridge}-{self.truth.bridges[bridge]}"
            # All who meet there belong to the oldest of their calls from now on.
            near = [other for other in self.truth.channels.values() if other.bridge == channel.bridge]
            oldest = min((other.linked for other in near), key=lambda linked: int(linked.partition(".")[2]))
            for other in near:
                other.linked = oldest
            technology = {"BridgeUniqueid": channel.bridge, "BridgeTechnology": "simple_bridge"}
            self.publish(message("BridgeEnter", channel.block(), **technology))

    @rule(number=NUMBERS)
    def wait(self, number: int) -> None:
        """A channel joins the queue, or leaves it; those behind it move up, and no event says so."""
        channel = self.truth.channels.get(number)
        if channel is None:
            return
        if channel in self.truth.waiting:
            self.leave_queue(channel)
        else:
            self.truth.waiting.append(channel)
            place = str(len(self.truth.waiting))
            self.publish(message("QueueCallerJoin", channel.block(), Queue=QUEUE, Position=place))

    def leave_queue(self, channel: Channel) -> None:
        """Its place is free."""
        place = str(self.truth.waiting.index(channel) + 1)
        self.truth.waiting.remove(channel)
        self.publish(message("QueueCallerLeave", channel.block(), Queue=QUEUE, Position=place, Count="0"))

    @rule(number=NUMBERS)
    def hang_up(self, number: int) -> None:
        """A channel ends; before that it is out of its bridge and its queue."""
        channel = self.truth.channels.get(number)
        if channel is None:
            return
        if channel.bridge:
            self.move(number, 0)
        if channel in self.truth.waiting:
            self.leave_queue(channel)
        del self.truth.channels[number]
        self.publish(message("Hangup", channel.block(), Cause="16"))

    @rule(number=NUMBERS, change=st.sampled_from(["log", "pause", "penalty"]), reason=st.sampled_from("ab"))
    def change_member(self, number: int, change: str, reason: str) -> None:
        """A member comes, goes, pauses, resumes, changes the reason or the penalty."""
        members = self.truth.members
        interface = f"PJSIP/{1000 + number}"
        if number not in members:
            members[number] = {**MEMBER, "Interface": interface, "StateInterface": interface}
            self.publish(member_event("QueueMemberAdded", **members[number]))
        elif change == "log":
            self.publish(member_event("QueueMemberRemoved", **members.pop(number)))
        elif change == "penalty":
            members[number]["Penalty"] = str(int(members[number]["Penalty"]) + 1)
            self.publish(member_event("QueueMemberPenalty", **members[number]))
        else:
            resumes = members[number]["PausedReason"] == reason
            members[number]["Paused"] = "0" if resumes else "1"
            members[number]["PausedReason"] = "" if resumes else reason
            self.publish(member_event("QueueMemberPause", **members[number]))

    @rule(number=NUMBERS)
    def serve(self, number: int) -> None:
        """A member's figures grow, and no event says so before her next one."""
        if number in self.truth.members:
            fields = self.truth.members[number]
            fields["CallsTaken"] = str(int(fields["CallsTaken"]) + 1)
            fields["LastCall"] = str(int(self.now))

    @rule(number=NUMBERS, state=st.sampled_from(sorted(DEVICE_STATES)))
    def change_device(self, number: int, state: str) -> None:
        """A phone's state changes."""
        if self.truth.devices.get(number) != state:
            self.truth.devices[number] = state
            self.publish(message("DeviceStateChange", Device=f"PJSIP/{number}", State=state))

    # The driver -----------------------------------------------------------------------------------

    @rule(count=st.integers(1, 6))
    def deliver(self, count: int) -> None:
        """The wire brings its next events."""
        for _ in range(min(count, len(self.wire))):
            self.now = Instant(self.now + 0.25)
            event = self.wire.pop(0)
            token = event.get("Value") if event.name == "VarSet" else ""
            for fact in self.resync.receive(event, self.now):
                self.hear(fact, token)
            if token and self.resync.again:
                self.resync.look_again()
                self.taken = []

    @rule()
    def take_a_list(self) -> None:
        """The next list is answered at once, ahead of the wire; behind the last one the fence is set."""
        if self.taken is None:
            if self.fences and self.resync.taking:
                return  # the fence is on its way
            self.resync.begin()
            self.taken = []
            return
        takers = (self.truth.queue_list, self.truth.channel_list, self.truth.device_list)
        if len(self.taken) < len(takers):
            self.taken.append(takers[len(self.taken)]())
            return
        queues, channels, devices = self.taken
        self.taken = None
        assert self.resync.load(Lists(channels, queues, devices, (), (), (), None), self.now) == []
        self.fences += 1
        token = f"f{self.fences}"
        self.resync.expect(token)
        states = {str(ident): DEVICE_STATES[state] for ident, state in self.truth.devices.items()}
        self.at_fence[token] = (self.truth.legs(), self.truth.people(), states)
        self.wire.append(message("VarSet", Channel="none", Variable="CTIDFENCE", Value=token))

    @rule(gaps=st.lists(st.lists(st.tuples(DEEDS, NUMBERS), max_size=3), min_size=4, max_size=12))
    def live_on_while_lists_are_taken(self, gaps: list[list[tuple[str, int]]]) -> None:
        """Between each list and the next, and before the fence comes back, things happen and arrive."""
        for deeds in gaps:
            self.take_a_list()
            for deed, number in deeds:
                if deed == "deliver":
                    self.deliver(number * 2 + 1)
                elif deed == "move":
                    self.move(number, 0)
                elif deed == "pause":
                    self.change_member(number, deed, "a")
                else:
                    getattr(self, deed)(number)
        self.deliver(100)

    def hear(self, fact: Fact, token: str) -> None:
        """Keep what was told, and judge a snapshot by it and by the truth."""
        match fact:
            case LegChanged():
                self.told["leg", fact.leg.id] = fact.leg
            case LegEnded():
                del self.told["leg", fact.leg]
            case MemberChanged():
                old = self.told.get(("member", fact.member.agent))
                assert not isinstance(old, Member) or self.lossy or old.calls_taken <= fact.member.calls_taken
                self.told["member", fact.member.agent] = fact.member
            case MemberRemoved():
                self.told.pop(("member", fact.agent), None)
            case DeviceChanged():
                self.told["device", fact.device.id] = fact.device
            case Snapshot():
                self.judge(fact, token)

    def judge(self, snapshot: Snapshot, token: str) -> None:
        """It tells the truth of when its fence was set, and what had been told, field by field."""
        now: dict[tuple[str, str], object] = {("leg", leg.id): leg for leg in snapshot.legs}
        now |= {("member", member.agent): member for member in snapshot.members}
        now |= {("device", device.id): device for device in snapshot.devices}
        if not self.lossy or self.quiet:
            legs, people, devices = self.at_fence[token]
            assert {known(leg) for leg in snapshot.legs} == legs
            figures = slice(None) if self.quiet else slice(-1)
            listed = {known_member(member)[figures] for member in snapshot.members}
            assert listed == {person[figures] for person in people}
            assert {device.id: device.state for device in snapshot.devices} == devices
        if self.snapshots and not self.lossy:
            assert now == self.told
        if self.quiet:
            places = {leg.id: leg.position for leg in snapshot.legs if leg.position}
            assert places == {c.unique: place for place, c in enumerate(self.truth.waiting, 1)}
        self.told = now
        self.snapshots += 1

    def teardown(self) -> None:
        """At last nothing happens any more: one more reconcile tells the whole truth."""
        self.truth.lost = False
        while self.taken is not None or self.wire or not self.snapshots:
            self.take_a_list()
            self.deliver(100)
        self.quiet = True
        before = self.snapshots
        while self.snapshots == before:
            self.take_a_list()
            self.deliver(100)


class Losing(Reconciling):
    """The same, on a wire that loses events: what was lost is back after the last reconcile."""

    lossy = True


TestReconciling = Reconciling.TestCase
TestReconciling.settings = settings(max_examples=300, stateful_step_count=25, deadline=None)
TestLosing = Losing.TestCase
TestLosing.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
