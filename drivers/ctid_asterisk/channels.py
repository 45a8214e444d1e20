"""Channels, bridges and Local pairs as the wire tells them, and the legs that they come to. Pure.

Two bridges that a Local pair joins are one conversation; the pair itself is no leg. The supervisor's
channel is told only while it shares a bridge with a party, which is after a take-over.
"""

from collections.abc import Iterable, Iterator

from ctid.model.facts import Leg
from ctid.model.ids import LegId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import LegState
from ctid_asterisk.fields import OURS, device_of_channel, is_party


class Channel:
    """One channel of the PBX, known by its unique id."""

    __slots__ = (
        "bridge",
        "bridged",
        "connected_at",
        "created_at",
        "device",
        "dialled",
        "for_caller",
        "held",
        "incoming",
        "linked",
        "name",
        "number",
        "ours",
        "party",
        "person",
        "position",
        "queue",
        "queued_at",
        "state",
        "told",
        "unique",
    )

    def __init__(self, unique: str, name: str, linked: str, created_at: Instant, *, incoming: bool) -> None:
        self.unique = unique
        self.linked = linked
        self.created_at = created_at
        self.incoming = incoming
        self.ours = unique.startswith(OURS)
        self.rename(name)
        self.state = LegState.INITIATED
        self.connected_at: Instant | None = None
        self.held = False
        self.bridge: str | None = None
        self.bridged = False
        """It has been in a conversation with another party."""
        self.for_caller = False
        """It was dialled on behalf of another channel, to be bridged with it."""
        self.number = ""
        self.person = ""
        self.dialled = ""
        self.queue: QueueId | None = None
        self.position: int | None = None
        self.queued_at: Instant | None = None
        self.told: Leg | None = None
        """The leg as it was last told; none while it is not."""

    def rename(self, name: str) -> None:
        """Give it another name: a masquerade."""
        self.name = name
        self.party = is_party(name)
        self.device = device_of_channel(name)


def session_of(unique: str) -> SupervisionId:
    """The session an id of ours is of: `s1a2` of `ctid-app.s1a2-phone-1795409466.1`."""
    return SupervisionId(unique.split("-", 2)[1].rpartition(".")[2])


class Channels:
    """All of them. The methods that change something return the unique ids whose leg may differ."""

    def __init__(self) -> None:
        self.by_id: dict[str, Channel] = {}
        self._bridges: dict[str, dict[str, None]] = {}
        self._twins: dict[str, str] = {}

    def add(self, channel: Channel) -> None:
        """Take in a new channel."""
        self.by_id[channel.unique] = channel

    def remove(self, unique: str) -> list[str]:
        """Forget a channel that hung up."""
        touched = self.leave(unique)
        self.by_id.pop(unique, None)
        twin = self._twins.pop(unique, None)
        if twin is not None:
            self._twins.pop(twin, None)
        return touched

    def pair(self, one: str, two: str) -> list[str]:
        """Join the two halves of a Local channel."""
        self._twins[one], self._twins[two] = two, one
        return [*self._met(one), *self._met(two)]

    def enter(self, unique: str, bridge: str) -> list[str]:
        """Put a channel into a bridge."""
        channel = self.by_id[unique]
        touched = self.leave(unique) if channel.bridge not in (None, bridge) else []
        channel.bridge = bridge
        self._bridges.setdefault(bridge, {})[unique] = None
        return [*touched, *self._met(unique)]

    def leave(self, unique: str) -> list[str]:
        """Take a channel out of its bridge, if it is in one."""
        channel = self.by_id.get(unique)
        if channel is None or channel.bridge is None:
            return [unique]
        touched = list(self._around(unique))
        members = self._bridges[channel.bridge]
        members.pop(unique, None)
        if not members:
            del self._bridges[channel.bridge]
        channel.bridge = None
        return touched

    def _met(self, unique: str) -> Iterable[str]:
        """All channels around this one; the parties among them have met, if there are two."""
        around = self._around(unique)
        parties = [channel for channel in map(self.by_id.__getitem__, around) if channel.party]
        if len(parties) > 1:
            for party in parties:
                party.bridged = True
        return around

    def _around(self, unique: str) -> Iterable[str]:
        channel = self.by_id.get(unique)
        if channel is None or channel.bridge is None:
            return (unique,)
        members = self._bridges[channel.bridge]
        if not self._twins:
            return members
        return self._reach(channel.bridge)[1]

    def _reach(self, bridge: str) -> tuple[str, list[str]]:
        """The least id of the bridges joined to this one by Local pairs, and all channels in them."""
        seen = {bridge: None}
        channels: list[str] = []
        for found in _growing(seen):
            for unique in self._bridges.get(found, ()):
                channels.append(unique)
                twin = self.by_id.get(self._twins.get(unique, ""))
                if twin is not None and twin.bridge is not None:
                    seen[twin.bridge] = None
        return min(seen), channels

    def conversation(self, channel: Channel) -> tuple[str | None, Iterable[str]]:
        """The conversation a channel is in, and the channels that are."""
        if channel.bridge is None:
            return None, ()
        if not self._twins:
            return channel.bridge, self._bridges[channel.bridge]
        return self._reach(channel.bridge)

    def leg(self, channel: Channel) -> Leg | None:
        """The leg a channel is, or none when it is none of a party's."""
        if not channel.party:
            return None
        conversation, others = self.conversation(channel)
        call, supervision = channel.linked, None
        if channel.ours:
            parties = [self.by_id[other] for other in others]
            with_her = next((other for other in parties if other.party and not other.ours), None)
            if with_her is None:
                return None
            call, supervision = with_her.linked, session_of(channel.unique)
        state = channel.state
        if channel.for_caller and not channel.bridged:
            conversation = None
            if state is LegState.CONNECTED:
                state = LegState.ALERTING  # answered, and nobody is there yet: the caller still hears it ring
        number = channel.number
        if not channel.incoming and channel.device is not None and channel.device.isdigit():
            number = channel.device
        return Leg(
            id=LegId(channel.unique),
            call=call,
            created_at=channel.created_at,
            incoming=channel.incoming,
            state=state,
            connected_at=channel.connected_at,
            held=channel.held,
            conversation=conversation,
            device=channel.device,
            number=number,
            name=channel.person,
            dialled=channel.dialled,
            queue=channel.queue,
            position=channel.position,
            queued_at=channel.queued_at,
            supervision=supervision,
        )

    def far_end(self, unique: str, near: str) -> str | None:
        """The channel through which `near` is reached by the party `unique`: in her own bridge.

        It is `near` itself, or the half of a Local pair that stands for it. None when they do not talk.
        """
        channel = self.by_id.get(unique)
        if channel is None or channel.bridge is None:
            return None
        members = self._bridges[channel.bridge]
        if near in members:
            return near
        if near not in self._around(unique):
            return None
        return next((member for member in members if member in self._twins), None)


def _growing(seen: dict[str, None]) -> Iterator[str]:
    """Iterate over a dict's keys while it grows."""
    done: set[str] = set()
    while len(done) < len(seen):
        for key in list(seen):
            if key not in done:
                done.add(key)
                yield key
