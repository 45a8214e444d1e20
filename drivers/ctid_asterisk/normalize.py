"""AMI messages into facts. The vendor's words end here. Pure, time is an argument.

A channel is created by `Newchannel` or by the lists alone, so an event of a channel that is no longer
there does nothing; everything else sets state, so that hearing an event again, or one that the lists
were ahead of, ends in the same state once the wire has caught up.
"""

from collections.abc import Callable, Iterable, Sequence

from ctid.model.entities import Supervision
from ctid.model.facts import (
    CallerAbandoned,
    CallServed,
    DeviceChanged,
    DeviceInfo,
    Fact,
    LegChanged,
    LegEnded,
    Member,
    MemberChanged,
    MemberRemoved,
    OfferMissed,
    QueueInfo,
    Snapshot,
)
from ctid.model.ids import LegId, PbxId, QueueId, safe_id
from ctid.model.instant import Instant
from ctid.model.words import LegState
from ctid_asterisk.channels import Channel, Channels
from ctid_asterisk.fields import (
    DEVICE_STATES,
    LEG_STATES,
    OURS,
    agent_of_interface,
    birth,
    caller,
    caller_name,
    device_of_interface,
    is_party,
)
from ctid_asterisk.members import Key, Members
from ctid_asterisk.wire import Message

Fields = dict[str, str]


class UnreadableError(Exception):
    """An event or a list's item is not of the form that Asterisk documents; nothing of it was told."""

    def __init__(self, name: str, error: Exception) -> None:
        super().__init__(f"{name}: {type(error).__name__} {error}")
        self.name = name


class Lists:
    """The answers to the list actions that a snapshot is made of."""

    __slots__ = ("channels", "devices", "holds", "queues")

    def __init__(
        self,
        channels: Sequence[Message],
        queues: Sequence[Message],
        devices: Sequence[Message],
        holds: Sequence[Message],
    ) -> None:
        self.channels = channels
        self.queues = queues
        self.devices = devices
        self.holds = holds


class Normalizer:
    """What one Asterisk has told since it was connected to, as channels and members."""

    def __init__(self, pbx: PbxId) -> None:
        self.pbx = pbx
        self.channels = Channels()
        self.members = Members()
        self._devices: dict[str, DeviceInfo] = {}
        self._queues: dict[str, QueueInfo] = {}
        self._told_members: dict[Key, Member] = {}
        self._facts: list[Fact] = []
        self._handlers: dict[str, Callable[[Fields, Instant], None]] = {
            "Newchannel": self._newchannel,
            "Newstate": self._seen,
            "NewCallerid": self._seen,
            "NewConnectedLine": self._seen,
            "Rename": self._rename,
            "Hold": self._hold,
            "Unhold": self._unhold,
            "Hangup": self._hangup,
            "BridgeEnter": self._bridge_enter,
            "BridgeLeave": self._bridge_leave,
            "LocalBridge": self._local_bridge,
            "DialBegin": self._dial_begin,
            "DialEnd": self._dial_end,
            "QueueCallerJoin": self._caller_join,
            "QueueCallerLeave": self._caller_leave,
            "QueueCallerAbandon": self._caller_abandon,
            "QueueMemberAdded": self._member,
            "QueueMemberStatus": self._member,
            "QueueMemberPause": self._member,
            "QueueMemberPenalty": self._member,
            "QueueMemberRemoved": self._member_removed,
            "AgentCalled": self._agent_called,
            "AgentConnect": self._agent_connect,
            "AgentComplete": self._agent_complete,
            "AgentRingNoAnswer": self._agent_ring_no_answer,
            "AgentDump": self._agent_dump,
            "DeviceStateChange": self._device,
        }
        self.wanted = frozenset(self._handlers)
        """The names of the events that are read here."""

    def receive(self, message: Message, now: Instant) -> list[Fact]:
        """Read one event; `now` is taken where the wire tells no time. Returns what it told.

        Raises:
            UnreadableError: a field is missing or is no number; a new snapshot is due.
        """
        handler = self._handlers.get(message.name)
        if handler is None:
            return []
        fields = message.fields
        stamp = fields.get("timestamp")
        try:
            handler(fields, Instant(stamp) if stamp else now)
        except (KeyError, ValueError) as error:
            self._facts = []
            raise UnreadableError(message.name, error) from error
        facts, self._facts = self._facts, []
        return facts

    # Channels -------------------------------------------------------------------------------------

    def _newchannel(self, fields: Fields, at: Instant) -> None:
        unique = fields["uniqueid"]
        if unique not in self.channels.by_id:
            incoming = fields["channelstate"] == "4"
            channel = Channel(unique, fields["channel"], fields["linkedid"], at, incoming=incoming)
            if incoming:
                channel.dialled = fields.get("exten", "")
            self.channels.add(channel)
        self._seen(fields, at)

    def _refresh(self, fields: Fields, at: Instant) -> Channel | None:
        """Read a channel's block into the channel, if it is still there."""
        channel = self.channels.by_id.get(fields["uniqueid"])
        if channel is None:
            return None
        channel.linked = fields["linkedid"]
        state = LEG_STATES.get(fields["channelstate"])
        if state is not None and channel.state is not LegState.CONNECTED:
            channel.state = state
            if state is LegState.CONNECTED:
                channel.connected_at = at
        channel.number = caller(fields.get("calleridnum", "")) or channel.number
        channel.person = caller_name(fields.get("calleridname", "")) or channel.person
        return channel

    def _seen(self, fields: Fields, at: Instant) -> None:
        if self._refresh(fields, at) is not None:
            self._tell_legs((fields["uniqueid"],), at)

    def _rename(self, fields: Fields, at: Instant) -> None:
        channel = self.channels.by_id.get(fields["uniqueid"])
        if channel is not None:
            channel.rename(fields["newname"])
            self._tell_legs((channel.unique,), at)

    def _hold(self, fields: Fields, at: Instant) -> None:
        self._set_held(fields, at, held=True)

    def _unhold(self, fields: Fields, at: Instant) -> None:
        self._set_held(fields, at, held=False)

    def _set_held(self, fields: Fields, at: Instant, *, held: bool) -> None:
        channel = self._refresh(fields, at)
        if channel is not None:
            channel.held = held
            self._tell_legs((channel.unique,), at)

    def _hangup(self, fields: Fields, at: Instant) -> None:
        unique = fields["uniqueid"]
        channel = self.channels.by_id.get(unique)
        if channel is None:
            return
        touched = self.channels.remove(unique)
        if channel.told is not None:
            cause = int(fields.get("cause") or 0)
            self._facts.append(LegEnded(pbx=self.pbx, at=at, leg=LegId(unique), cause=cause))
        self._tell_legs(touched, at)
        self._tell_members(
            [
                key
                for key in (
                    self.members.offer_over(unique),
                    self.members.serve_over(unique, at),
                    *self.members.over_for(unique, at),
                    *self._left_by_phone(channel, at),
                )
                if key is not None
            ],
            at,
        )

    def _left_by_phone(self, gone: Channel, at: Instant) -> list[Key]:
        """End what a member served through a Local channel, once the phone behind it has hung up.

        When she transfers the caller, the Local channel stays in the call, and the queue believes in her.
        """
        if gone.device is None or not gone.bridged:
            return []
        if any(other.device == gone.device and other.bridge for other in self.channels.by_id.values()):
            return []
        return self.members.left_by(gone.device, at)

    def _bridge_enter(self, fields: Fields, at: Instant) -> None:
        channel = self._refresh(fields, at)
        if channel is None:
            return
        swapped = fields.get("swapuniqueid")
        touched: list[str] = []
        if swapped:
            touched += self.channels.leave(swapped)
            self.members.swap(swapped, channel.unique)
        if fields.get("bridgetechnology") == "holding_bridge":
            touched += self.channels.leave(channel.unique)
        else:
            touched += self.channels.enter(channel.unique, fields["bridgeuniqueid"])
        self._tell_legs(touched, at)

    def _bridge_leave(self, fields: Fields, at: Instant) -> None:
        channel = self._refresh(fields, at)
        if channel is not None and channel.bridge == fields["bridgeuniqueid"]:
            self._tell_legs(self.channels.leave(channel.unique), at)

    def _local_bridge(self, fields: Fields, at: Instant) -> None:
        one, two = fields["localoneuniqueid"], fields["localtwouniqueid"]
        if one in self.channels.by_id and two in self.channels.by_id:
            self._tell_legs(self.channels.pair(one, two), at)

    def _tell_legs(self, touched: Iterable[str], at: Instant) -> None:
        for unique in dict.fromkeys(touched):
            channel = self.channels.by_id.get(unique)
            if channel is None:
                continue
            leg = self.channels.leg(channel)
            if leg == channel.told:
                continue
            channel.told = leg
            if leg is None:
                self._facts.append(LegEnded(pbx=self.pbx, at=at, leg=LegId(unique)))
            else:
                self._facts.append(LegChanged(pbx=self.pbx, at=at, leg=leg))

    # Queues ---------------------------------------------------------------------------------------

    def _caller_join(self, fields: Fields, at: Instant) -> None:
        channel = self._refresh(fields, at)
        if channel is not None:
            channel.queue = QueueId(safe_id(fields["queue"]))
            channel.position = int(fields["position"])
            channel.queued_at = at
            self._tell_legs((channel.unique,), at)

    def _caller_leave(self, fields: Fields, at: Instant) -> None:
        channel = self._refresh(fields, at)
        if channel is not None and channel.queue == safe_id(fields["queue"]):
            channel.position = None
            self._tell_legs((channel.unique,), at)

    def _caller_abandon(self, fields: Fields, at: Instant) -> None:
        self._facts.append(
            CallerAbandoned(
                pbx=self.pbx,
                at=at,
                queue=QueueId(safe_id(fields["queue"])),
                leg=LegId(fields["uniqueid"]),
                position=int(fields["position"]),
                wait_s=float(fields["holdtime"]),
            )
        )

    def _member(self, fields: Fields, at: Instant) -> None:
        key, member = self.members.read(fields)
        self.members.by_key[key] = member
        self._tell_members((key,), at)

    def _member_removed(self, fields: Fields, at: Instant) -> None:
        key = (fields["queue"], fields["interface"])
        self.members.by_key.pop(key, None)
        self._told_members.pop(key, None)
        queue, agent = QueueId(safe_id(key[0])), agent_of_interface(key[1])
        self._facts.append(MemberRemoved(pbx=self.pbx, at=at, queue=queue, agent=agent))

    def _tell_members(self, touched: Iterable[Key], at: Instant) -> None:
        for key in touched:
            member = self.members.by_key.get(key)
            if member is not None and self._told_members.get(key) != member:
                self._told_members[key] = member
                self._facts.append(MemberChanged(pbx=self.pbx, at=at, member=member))

    def _agent_called(self, fields: Fields, at: Instant) -> None:
        key = self.members.offer(_key(fields), fields["uniqueid"], fields["destuniqueid"])
        self._tell_members((key,), at)

    def _agent_connect(self, fields: Fields, at: Instant) -> None:
        key = self.members.connect(_key(fields), fields["uniqueid"], fields["destuniqueid"])
        self._tell_members((key,), at)

    def _agent_complete(self, fields: Fields, at: Instant) -> None:
        """Tell the queue's figures; she is done with the caller when the dialled channel hangs up."""
        key = _key(fields)
        member = self.members.by_key.get(key)
        leg = fields.get("uniqueid") or (member.serving if member else None) or ""
        self._facts.append(
            CallServed(
                pbx=self.pbx,
                at=at,
                queue=QueueId(safe_id(key[0])),
                agent=agent_of_interface(key[1]),
                leg=LegId(leg),
                hold_s=float(fields["holdtime"]),
                talk_s=float(fields["talktime"]),
                by=fields["reason"],
            )
        )

    def _agent_ring_no_answer(self, fields: Fields, at: Instant) -> None:
        key = _key(fields)
        self._facts.append(
            OfferMissed(
                pbx=self.pbx,
                at=at,
                queue=QueueId(safe_id(key[0])),
                agent=agent_of_interface(key[1]),
                leg=LegId(fields["uniqueid"]),
                ring_s=float(fields["ringtime"]) / 1000,
            )
        )
        self.members.offer_over(fields["destuniqueid"])
        self._tell_members((key,), at)

    def _agent_dump(self, fields: Fields, at: Instant) -> None:
        self.members.offer_over(fields["destuniqueid"])
        self._tell_members((_key(fields),), at)

    def _dial_begin(self, fields: Fields, _: Instant) -> None:
        channel = self.channels.by_id.get(fields["destuniqueid"])
        if channel is not None:
            channel.for_caller = "uniqueid" in fields

    def _dial_end(self, fields: Fields, at: Instant) -> None:
        if fields.get("dialstatus") != "ANSWER":
            key = self.members.offer_over(fields["destuniqueid"])
            if key is not None:
                self._tell_members((key,), at)

    def _device(self, fields: Fields, at: Instant) -> None:
        info = _device_info(fields)
        if info is not None and self._devices.get(info.id) != info:
            self._devices[info.id] = info
            self._facts.append(DeviceChanged(pbx=self.pbx, at=at, device=info))

    # Lists ----------------------------------------------------------------------------------------

    def load(self, lists: Lists, now: Instant) -> None:
        """Start afresh from the lists. The events received since they were asked for are to follow.

        Raises:
            UnreadableError: an item is not of its form.
        """
        try:
            self._load(lists, now)
        except (KeyError, ValueError) as error:
            raise UnreadableError("a list", error) from error

    def _load(self, lists: Lists, now: Instant) -> None:
        self.channels = Channels()
        self.members = Members()
        self._told_members = {}
        self._queues = {}
        self._devices = {}
        for item in lists.devices:
            info = _device_info(item.fields)
            if info is not None:
                self._devices[info.id] = info
        # Ages are in whole seconds, and the list is in no order: the ids tell who was first.
        for item in sorted(lists.channels, key=lambda item: birth(item.fields["uniqueid"])):
            self._load_channel(item.fields, now)
        self._load_pairs()
        for item in lists.holds:
            channel = self.channels.by_id.get(item.fields.get("uniqueid", ""))
            if channel is not None and item.get("Variable") == "CHANNEL(onhold)=1":
                self._load_hold(channel)
        for item in lists.queues:
            self._load_queue(item, now)
        self._load_offers(lists.channels)

    def _load_channel(self, fields: Fields, now: Instant) -> None:
        dialled_by_pbx = fields.get("applicationdata") == "(Outgoing Line)"
        hours, minutes, seconds = fields["duration"].split(":")
        age = int(hours) * 3600 + int(minutes) * 60 + int(seconds)
        channel = Channel(
            fields["uniqueid"],
            fields["channel"],
            fields["linkedid"],
            Instant(now - age),
            incoming=not dialled_by_pbx and not fields["uniqueid"].startswith(OURS),
        )
        if channel.incoming:
            if fields.get("application") != "Stasis":  # there it is where a take-over has sent him
                channel.dialled = fields.get("exten", "")
            if fields.get("application") == "Queue":
                channel.queue = QueueId(safe_id(fields.get("applicationdata", "").partition(",")[0]))
        channel.for_caller = dialled_by_pbx
        self.channels.add(channel)
        self._refresh(fields, channel.created_at)
        if fields.get("bridgeid"):
            self.channels.enter(channel.unique, fields["bridgeid"])

    def _load_pairs(self) -> None:
        halves = {channel.name: channel.unique for channel in self.channels.by_id.values()}
        for name, unique in halves.items():
            other = halves.get(f"{name[:-1]}2") if name.endswith(";1") else None
            if other is not None:
                self.channels.pair(unique, other)

    def _load_hold(self, channel: Channel) -> None:
        """Find who holds: `CHANNEL(onhold)` is of who was put on hold (Asterisk, ast_indicate_data)."""
        _, around = self.channels.conversation(channel)
        others = [other for other in map(self.channels.by_id.__getitem__, around) if other.party]
        if channel.party and len(others) == 2:
            (holder,) = [other for other in others if other is not channel]
            holder.held = True

    def _load_queue(self, item: Message, now: Instant) -> None:
        fields = item.fields
        if item.name == "QueueParams":
            ident = QueueId(safe_id(fields["queue"]))
            self._queues[fields["queue"]] = QueueInfo(id=ident, strategy=fields.get("strategy", ""))
        elif item.name == "QueueMember":
            key, member = self.members.read(fields)
            self.members.by_key[key] = member
        elif item.name == "QueueEntry":
            channel = self.channels.by_id.get(fields["uniqueid"])
            if channel is not None:
                channel.queue = QueueId(safe_id(fields["queue"]))
                channel.position = int(fields["position"])
                channel.queued_at = Instant(now - float(fields["wait"]))

    def _load_offers(self, items: Sequence[Message]) -> None:
        """Find whom each member is being offered or serves: the channel a queue dialled tells."""
        for item in items:
            fields = item.fields
            if fields.get("application") != "AppQueue":
                continue
            unique = fields["uniqueid"]
            bridge = fields.get("bridgeid", "")
            near = [
                other
                for other in self.channels.by_id.values()
                if other.incoming
                and other.queue is not None
                and other.linked == fields["linkedid"]
                and (other.bridge or "") == bridge
            ]
            for other in near:
                for key in list(self.members.by_key):
                    if safe_id(key[0]) == other.queue and _dialled_for(fields["channel"], key[1]):
                        if bridge:
                            self.members.connect(key, other.unique, unique)
                        else:
                            self.members.offer(key, other.unique, unique)

    def snapshot(self, at: Instant, supervisions: Sequence[Supervision] | None) -> Snapshot:
        """Tell everything that is known now."""
        legs = []
        for channel in self.channels.by_id.values():
            channel.told = self.channels.leg(channel)
            if channel.told is not None:
                legs.append(channel.told)
        self._told_members = dict(self.members.by_key)
        return Snapshot(
            pbx=self.pbx,
            at=at,
            legs=tuple(legs),
            members=tuple(self.members.by_key.values()),
            queues=tuple(self._queues.values()),
            devices=tuple(self._devices.values()),
            supervisions=None if supervisions is None else tuple(supervisions),
        )


def _key(fields: Fields) -> Key:
    return (fields["queue"], fields["interface"])


def _dialled_for(channel: str, interface: str) -> bool:
    """Whether a channel of this name was dialled for this member."""
    name = channel.rpartition("-")[0]
    return name == interface.removesuffix("/n")


def _device_info(fields: Fields) -> DeviceInfo | None:
    state = DEVICE_STATES.get(fields.get("state", ""))
    name = fields.get("device", "")
    device = device_of_interface(name) if is_party(name) else None
    return DeviceInfo(id=device, state=state) if device is not None and state is not None else None
