"""The answers to list actions into a state, and a state into a `Snapshot`. Pure, time is an argument.

A state that is made here has read no event yet: the events received since the lists were asked for are to
be read on top of it.
"""

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from ctid.model.entities import Supervision
from ctid.model.facts import DeviceInfo, QueueInfo, Snapshot
from ctid.model.ids import QueueId, safe_id
from ctid.model.instant import Instant
from ctid.model.words import DeviceState, SnapshotReason
from ctid_asterisk.act_events import load_kept
from ctid_asterisk.channel import Channel
from ctid_asterisk.channel_events import BASIC, HOLDING
from ctid_asterisk.channels import Channels
from ctid_asterisk.contacts import Contacts, registration_of
from ctid_asterisk.device_events import device_info
from ctid_asterisk.fields import OURS, ago, birth, device_of_endpoint, number, whole
from ctid_asterisk.members import Members
from ctid_asterisk.normalize import Fields, Normalizer, UnreadableError
from ctid_asterisk.wire import Message


class Lists(Struct, frozen=True):
    """The answers to the list actions that a snapshot is made of; none where the PBX gave no answer."""

    channels: Sequence[Message]
    """CoreShowChannels."""
    queues: Sequence[Message] | None
    """QueueStatus."""
    devices: Sequence[Message] | None
    """DeviceStateList."""
    holds: Sequence[Message] | None
    """Status with CHANNEL(onhold) and the variables of `act_events.KEPT`."""
    bridges: Sequence[Message] | None = None
    """BridgeList."""
    parked: Sequence[Message] | None = None
    """ParkedCalls."""
    contacts: Sequence[Message] | None = None
    """PJSIPShowContacts."""
    agents: Sequence[Message] | None = None
    """Agents, those of the pool."""


def load(state: Normalizer, lists: Lists, now: Instant) -> None:
    """Start afresh from the lists. The events received since they were asked for are to follow.

    Raises:
        UnreadableError: an item is not of its form.
    """
    try:
        _load(state, lists, now)
    except (KeyError, ValueError) as error:
        raise UnreadableError("a list", error) from error


def _load(state: Normalizer, lists: Lists, now: Instant) -> None:
    state.channels = Channels()
    state.members = Members()
    state.told_members = {}
    state.queues = {}
    state.devices = {}
    state.contacts = Contacts()
    for item in lists.devices or ():
        info = device_info(item.legible)
        if info is not None:
            state.devices[info.id] = info
    if lists.contacts is not None:
        _load_contacts(state, lists.contacts)
    bridges = [item.legible for item in lists.bridges or ()]
    # Who is alone in one, with music or in a parking lot, hears nobody: to the events it is no conversation.
    holding = frozenset(b["bridgeuniqueid"] for b in bridges if b.get("bridgetechnology") == HOLDING)
    rooms = {b["bridgeuniqueid"]: b["bridgename"] for b in bridges if b.get("bridgecreator") == "ConfBridge"}
    # Only a basic one makes one call of its channels' calls; of others each channel keeps its own.
    rigid = frozenset(b["bridgeuniqueid"] for b in bridges if b.get("bridgetype", BASIC) != BASIC)
    # Ages are in whole seconds, and the list is in no order: the ids tell who was first.
    for item in sorted(lists.channels, key=lambda item: birth(item.legible["uniqueid"])):
        loaded = _load_channel(state, item.legible, now)
        bridge = item.legible.get("bridgeid", "")
        if bridge and bridge not in holding:
            state.channels.enter(loaded.unique, bridge, merges=bridge not in rigid)
        loaded.conference = rooms.get(loaded.bridge or "", "")
    _load_pairs(state)
    _load_pool(state, lists.agents or ())
    for item in lists.holds or ():
        channel = state.channels.by_id.get(item.legible.get("uniqueid", ""))
        if channel is None:
            continue
        variables = item.all("Variable")
        load_kept(channel, variables)
        if "CHANNEL(onhold)=1" in variables:
            _load_hold(state, channel)
    for item in lists.queues or ():
        _load_queue(state, item, now)
    for item in lists.parked or ():
        channel = state.channels.by_id.get(item.legible["parkeeuniqueid"])
        if channel is not None:
            channel.parked = item.legible["parkingspace"]
    _load_offers(state, lists.channels)


def _load_channel(state: Normalizer, fields: Fields, now: Instant) -> Channel:
    dialled_by_pbx = fields.get("applicationdata") == "(Outgoing Line)"
    hours, minutes, seconds = fields["duration"].split(":")
    age = whole(hours) * 3600 + whole(minutes) * 60 + whole(seconds)
    channel = Channel(
        fields["uniqueid"],
        fields["channel"],
        fields["linkedid"],
        ago(age, now),
        incoming=not dialled_by_pbx and not fields["uniqueid"].startswith(OURS),
    )
    if channel.incoming:
        if fields.get("application") != "Stasis":  # there it is where a take-over has sent him
            channel.dialled = fields.get("exten", "")
        if fields.get("application") == "Queue":
            channel.queue = QueueId(safe_id(fields.get("applicationdata", "").partition(",")[0]))
    channel.for_caller = dialled_by_pbx
    state.channels.add(channel)
    state.refresh(fields, channel.created_at)
    return channel


def _load_contacts(state: Normalizer, contacts: Sequence[Message]) -> None:
    """Find which phones are registered."""
    for item in contacts:
        fields = item.legible
        endpoint = fields.get("endpoint", "")
        if endpoint:
            device = device_of_endpoint(endpoint)
            state.contacts.put(device, fields["uri"], fields["status"], fields.get("roundtripusec", ""))
            state.devices.setdefault(device, DeviceInfo(id=device, state=DeviceState.UNKNOWN))
    for ident, info in state.devices.items():
        known, took = state.contacts.of(ident)
        registration = registration_of(ident, info.state, known)
        state.devices[ident] = replace(info, registration=registration, round_trip_ms=took)


def _load_pool(state: Normalizer, agents: Sequence[Message]) -> None:
    """Find by which channels agents of the pool are logged in: they stay up, and are no calls themselves."""
    for item in agents:
        channel = state.channels.by_id.get(item.legible.get("uniqueid", ""))
        if channel is not None:
            state.channels.stand(channel.unique, standing=True)
            state.members.log_in(item.legible["agent"], channel.device)


def _load_pairs(state: Normalizer) -> None:
    halves = {channel.name: channel.unique for channel in state.channels.by_id.values()}
    for name, unique in halves.items():
        other = halves.get(f"{name[:-1]}2") if name.endswith(";1") else None
        if other is not None:
            state.channels.pair(unique, other)


def _load_hold(state: Normalizer, channel: Channel) -> None:
    """Find who holds: `CHANNEL(onhold)` is of who was put on hold (Asterisk, ast_indicate_data)."""
    _, around = state.channels.conversation(channel)
    others = [other for other in map(state.channels.by_id.__getitem__, around) if other.party]
    if channel.party and len(others) == 2:
        (holder,) = [other for other in others if other is not channel]
        holder.held = True


def _load_queue(state: Normalizer, item: Message, now: Instant) -> None:
    fields = item.legible
    if item.name == "QueueParams":
        ident = QueueId(safe_id(fields["queue"]))
        state.queues[fields["queue"]] = QueueInfo(id=ident, strategy=fields.get("strategy", ""))
    elif item.name == "QueueMember":
        key, member = state.members.read(fields)
        state.members.by_key[key] = member
    elif item.name == "QueueEntry":
        channel = state.channels.by_id.get(fields["uniqueid"])
        if channel is not None:
            channel.queue = QueueId(safe_id(fields["queue"]))
            channel.position = whole(fields["position"])
            channel.queued_at = ago(number(fields["wait"]), now)


def _load_offers(state: Normalizer, items: Sequence[Message]) -> None:
    """Find whom each member is being offered or serves: the channel a queue dialled tells."""
    for item in items:
        fields = item.legible
        if fields.get("application") != "AppQueue":
            continue
        unique = fields["uniqueid"]
        bridge = fields.get("bridgeid", "")
        near = [
            other
            for other in state.channels.by_id.values()
            if other.incoming
            and other.queue is not None
            and other.linked == fields["linkedid"]
            and (other.bridge or "") == bridge
        ]
        for other in near:
            caller = state.channels.party_behind(other.unique)
            for key in list(state.members.by_key):
                if safe_id(key[0]) == other.queue and _dialled_for(fields["channel"], key[1]):
                    if bridge:
                        state.members.connect(key, caller, unique)
                    else:
                        state.members.offer(key, caller, unique)


def snapshot(
    state: Normalizer,
    at: Instant,
    supervisions: Sequence[Supervision] | None,
    reason: SnapshotReason = SnapshotReason.CONNECTED,
) -> Snapshot:
    """Tell everything that is known now."""
    legs = []
    for channel in state.channels.by_id.values():
        channel.told = state.channels.leg(channel)
        if channel.told is not None:
            legs.append(channel.told)
    state.told_members = dict(state.members.by_key)
    return Snapshot(
        pbx=state.pbx,
        at=at,
        source="lists",
        reason=reason,
        legs=tuple(legs),
        members=tuple(state.members.by_key.values()),
        queues=tuple(state.queues.values()),
        devices=tuple(state.devices.values()),
        supervisions=None if supervisions is None else tuple(supervisions),
    )


def _dialled_for(channel: str, interface: str) -> bool:
    """Whether a channel of this name was dialled for this member."""
    name = channel.rpartition("-")[0]
    return name == interface.removesuffix("/n")
