"""What one Asterisk has told, as channels, members and devices, and the facts that this comes to. Pure.

The rooms of events (`channel_events`, `queue_events`, `call_events`, `device_events`) write here, and it is
told what differs from what was told before.
"""

from collections.abc import Callable, Iterable

from ctid.model.facts import (
    DeviceChanged,
    DeviceInfo,
    Fact,
    LegChanged,
    LegEnded,
    Member,
    MemberChanged,
    QueueInfo,
)
from ctid.model.ids import DeviceId, LegId, PbxId
from ctid.model.instant import Instant
from ctid.model.words import LegState
from ctid_asterisk.channel import Channel
from ctid_asterisk.channels import Channels
from ctid_asterisk.contacts import Contacts
from ctid_asterisk.fields import LEG_STATES, caller, caller_name
from ctid_asterisk.members import Key, Members

Fields = dict[str, str]
Handler = Callable[[Fields, Instant], None]
"""Reads one event's fields at a time. Raises KeyError, ValueError: it is not of its form."""


class Told:
    """The state of one PBX in its own terms, and the facts that are yet to be handed on."""

    def __init__(self, pbx: PbxId) -> None:
        self.pbx = pbx
        self.channels = Channels()
        self.members = Members()
        self.devices: dict[DeviceId, DeviceInfo] = {}
        self.contacts = Contacts()
        self.queues: dict[str, QueueInfo] = {}
        self.told_members: dict[Key, Member] = {}
        self.facts: list[Fact] = []

    def refresh(self, fields: Fields, at: Instant) -> Channel | None:
        """Read a channel's block into the channel, if it is still there."""
        channel = self.channels.by_id.get(fields["uniqueid"])
        if channel is None:
            return None
        if channel.linked != fields["linkedid"]:
            self.channels.seen_in(channel, fields["linkedid"])
        state = LEG_STATES.get(fields["channelstate"])
        if state is not None and channel.state is not LegState.CONNECTED:
            channel.state = state
            if state is LegState.CONNECTED:
                channel.connected_at = at
        channel.number = caller(fields.get("calleridnum", "")) or channel.number
        channel.person = caller_name(fields.get("calleridname", "")) or channel.person
        return channel

    def leg_of(self, unique: str) -> LegId:
        """The leg that a channel is, or that it acts for: of a Local half, the party it stands for."""
        return LegId(self.channels.party_behind(unique))

    def tell_legs(self, touched: Iterable[str], at: Instant) -> None:
        """Tell of these channels' legs what is other than it was told."""
        for unique in dict.fromkeys(touched):
            channel = self.channels.by_id.get(unique)
            if channel is None:
                continue
            leg = self.channels.leg(channel)
            if leg == channel.told:
                continue
            channel.told = leg
            if leg is None:
                self.facts.append(LegEnded(pbx=self.pbx, at=at, leg=LegId(unique)))
            else:
                self.facts.append(LegChanged(pbx=self.pbx, at=at, leg=leg))

    def tell_around(self, channel: Channel, at: Instant) -> None:
        """The same of a channel, and where it is a Local half of all that it may stand for."""
        self.tell_legs(self.channels.around(channel.unique), at)

    def tell_members(self, touched: Iterable[Key], at: Instant) -> None:
        """Tell of these members what is other than it was told."""
        for key in touched:
            member = self.members.by_key.get(key)
            if member is not None and self.told_members.get(key) != member:
                self.told_members[key] = member
                self.facts.append(MemberChanged(pbx=self.pbx, at=at, member=member))

    def tell_device(self, info: DeviceInfo, at: Instant) -> None:
        """Tell a device, if it is other than it was told."""
        if self.devices.get(info.id) != info:
            self.devices[info.id] = info
            self.facts.append(DeviceChanged(pbx=self.pbx, at=at, device=info))
