"""Channels, bridges and Local pairs as the wire tells them, and the legs that they come to. Pure.

Two bridges that a Local pair joins are one conversation; the pair itself is no leg. What happens to a half on
behalf of a party, such as waiting in a queue, is told of the party. The supervisor's channel is told only
while it shares a bridge with a party, which is after a take-over, and that of an agent of the pool only
while she talks.

Channels that share a bridge belong to one call from then on, the oldest of theirs, as in Asterisk
(bridge_channel.c, ast_bridge_channel_update_linkedids), which does not always tell. In rooms and in ARI's
bridges Asterisk leaves each its own: there they are one call while they are together. Neither ctid's own
channels nor those of the pool's agents, which outlast many calls, ever give a call its key.
"""

from collections.abc import Iterable, Iterator

from ctid.model.facts import Leg
from ctid.model.ids import LegId
from ctid.model.instant import Instant
from ctid.model.words import LegState
from ctid_asterisk.channel import Channel, session_of
from ctid_asterisk.fields import OURS, birth, call_key

__all__ = ["Channel", "Channels", "session_of"]

_NEVER = (2**63, 0)
_REMEMBERED = 1000
"""How many logins of the pool's agents are remembered, of whom a call may still bear the linked id."""


class Channels:
    """All of them. The methods that change something return the unique ids whose leg may differ."""

    def __init__(self) -> None:
        self.by_id: dict[str, Channel] = {}
        self._bridges: dict[str, dict[str, None]] = {}
        self._twins: dict[str, str] = {}
        self._moves: dict[str, tuple[str, str, str]] = {}
        """Local pairs that are being optimised away, by their first half."""
        self._calls: dict[str, str] = {}
        """The bridges whose channels keep calls of their own, such as rooms, to the oldest of all these."""
        self._standing: dict[str, str] = {}
        """The linked id of each of the pool's agents, to the call she was last in.

        It outlives her channel, since whom she talked with may bear it from then on.
        """

    def add(self, channel: Channel) -> None:
        """Take in a new channel, in the place of one that was known by its unique id."""
        if channel.unique in self.by_id:
            self.remove(channel.unique)
        self.by_id[channel.unique] = channel

    def remove(self, unique: str) -> list[str]:
        """Forget a channel that hung up."""
        touched = self.leave(unique)
        self.by_id.pop(unique, None)
        self._moves.pop(unique, None)
        twin = self._twins.pop(unique, None)
        if twin is not None:
            self._twins.pop(twin, None)
        return touched

    def stand(self, unique: str, *, standing: bool) -> list[str]:
        """An agent of the pool logs in by this channel, or off; the call she is in stays the caller's."""
        channel = self.by_id.get(unique)
        if channel is None:
            return []
        if standing:
            channel.incoming = False  # from here on it is the PBX that calls her
            self._standing.setdefault(channel.linked, "")
            if len(self._standing) > _REMEMBERED:
                there = {other.linked for other in self.by_id.values() if other.standing}
                gone = next((linked for linked in self._standing if linked not in there), channel.linked)
                self._standing.pop(gone)
        channel.standing = standing or channel.bridge is not None
        return [unique]

    def sweep(self) -> None:
        """Forget the pairs that are to stand aside and are gone: nothing ends that any more."""
        self._moves = {one: move for one, move in self._moves.items() if one in self.by_id}

    # Calls ----------------------------------------------------------------------------------------

    def relink(self, channel: Channel, linked: str) -> None:
        """Let a channel belong to the call of this linked id, unless that can be no call's."""
        if channel.ours or channel.standing or not self._is_alien(linked):
            channel.linked = linked

    def seen_in(self, channel: Channel, linked: str) -> None:
        """An event tells a channel's linked id: it may be one of before a merger, and only ages else."""
        if self._is_alien(channel.linked) or self._age(linked) < self._age(channel.linked):
            self.relink(channel, linked)

    def _age(self, linked: str) -> tuple[int, int]:
        """What tells the older of two calls; an id that somebody chose does not say when it was made."""
        born = birth(linked)
        if born != (0, 0):
            return born
        first = self.by_id.get(linked)
        return (int(first.created_at), 0) if first is not None else _NEVER

    def _is_alien(self, linked: str) -> bool:
        return linked in self._standing or linked.startswith(OURS)

    def _key(self, channel: Channel) -> str:
        """The call that a channel alone belongs to."""
        linked = channel.linked
        if not self._is_alien(linked):
            return linked
        if channel.incoming or channel.unique == linked:
            return channel.unique
        return self._standing.get(linked) or channel.unique

    def _oldest(self, others: Iterable[str], bridge: str) -> str | None:
        """The call of those who are in a conversation, in `bridge` and beyond: the oldest of theirs."""
        found = {
            self._key(other)
            for other in map(self.by_id.__getitem__, others)
            if not other.ours and not other.standing
        }
        if bridge in self._calls:
            found.add(self._calls[bridge])
        if not found:
            return None
        return found.pop() if len(found) == 1 else min(found, key=self._age)

    # Bridges --------------------------------------------------------------------------------------

    def pair(self, one: str, two: str) -> list[str]:
        """Join the two halves of a Local channel."""
        self._twins[one], self._twins[two] = two, one
        return [*self._met(one), *self._met(two)]

    def twin(self, unique: str) -> str | None:
        """The other half of a Local channel, once both are known."""
        return self._twins.get(unique)

    def enter(self, unique: str, bridge: str, *, merges: bool = True, linked: str = "") -> list[str]:
        """Put a channel into a bridge, and with `merges` into the call of those who are there for good.

        `linked` is the linked id that it then had, where an event tells: who is known with an older one came
        to that call later, as the lists, which are ahead of the events, have told.
        """
        channel = self.by_id[unique]
        touched = self.leave(unique) if channel.bridge not in (None, bridge) else []
        channel.bridge = bridge
        channel.moving = channel.leaving = False
        channel.kept_call = ""
        members = self._bridges.setdefault(bridge, {})
        members[unique] = None
        if merges:
            self._merge(members, linked)
        elif (oldest := self._oldest(members, bridge)) is not None:
            self._calls[bridge] = oldest
        return [*touched, *self._met(unique)]

    def unite(self, uniques: Iterable[str]) -> None:
        """Make one call of the calls of these channels, as if they shared a bridge."""
        self._merge([unique for unique in uniques if unique in self.by_id])

    def _merge(self, members: Iterable[str], oldest: str = "") -> None:
        linked: str | None = None
        differ = False
        among = [self.by_id[unique] for unique in members]
        if oldest and not self._is_alien(oldest):
            among = [channel for channel in among if self._age(channel.linked) >= self._age(oldest)]
        for channel in among:
            if channel.ours or channel.standing or self._is_alien(channel.linked):
                continue
            if linked is None:
                linked = channel.linked
            elif channel.linked != linked:
                differ = True
                linked = min(linked, channel.linked, key=self._age)
        if differ and linked is not None:
            for channel in among:
                self.relink(channel, linked)

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
        channel.kept_call = self._calls.get(channel.bridge, "")
        if not members:
            self._calls.pop(channel.bridge, None)
        channel.bridge = None
        channel.moving = channel.leaving = False
        return touched

    def begin_move(self, one: str, two: str, source: str) -> None:
        """A Local pair is to stand aside for `source`: what these leave, they leave for another bridge."""
        self._moves[one] = (one, two, source)
        for unique in self._moves[one]:
            channel = self.by_id.get(unique)
            if channel is not None:
                channel.moving, channel.leaving = True, False

    def end_move(self, one: str) -> list[str]:
        """It stands aside, or will not: who left and entered nothing is in no bridge."""
        touched: list[str] = []
        for unique in self._moves.pop(one, ()):
            channel = self.by_id.get(unique)
            if channel is not None:
                if channel.leaving:
                    touched += self.leave(unique)
                channel.moving = False
        return touched

    def merge(self, source: str, target: str) -> list[str]:
        """All in the one bridge are in the other from now on."""
        touched: list[str] = []
        for unique in list(self._bridges.get(source, ())):
            touched += self.enter(unique, target)
        return touched

    def _met(self, unique: str) -> Iterable[str]:
        """All channels around this one; the parties among them have met, if there are two."""
        around = self._around(unique)
        parties = [channel for channel in map(self.by_id.__getitem__, around) if channel.party]
        if len(parties) > 1:
            for party in parties:
                party.bridged = True
        return around

    def around(self, unique: str) -> Iterable[str]:
        """The channels whose leg may differ when this one does: a half's are those it stands for."""
        twin = self._twins.get(unique)
        return (unique,) if twin is None else (unique, *self._around(unique), *self._around(twin))

    def _around(self, unique: str) -> Iterable[str]:
        channel = self.by_id.get(unique)
        if channel is None or channel.bridge is None:
            return (unique,)
        members = self._bridges[channel.bridge]
        if not self._twins:
            return members
        return self._reach(channel.bridge)[1]

    def _reach(self, bridge: str) -> tuple[str, list[str]]:
        """The bridges joined to this one by Local pairs: the one that stands for all, and all channels there.

        It is that of the party who was there first, so that it stays when a pair stands aside.
        """
        seen = {bridge: None}
        channels: list[str] = []
        for found in _growing(seen):
            for unique in self._bridges.get(found, ()):
                channels.append(unique)
                twin = self.by_id.get(self._twins.get(unique, ""))
                if twin is not None and twin.bridge is not None:
                    seen[twin.bridge] = None
        if len(seen) == 1:
            return bridge, channels
        parties = [channel for channel in map(self.by_id.__getitem__, channels) if channel.party]
        first = min(
            parties, key=lambda party: (party.ours or party.standing, birth(party.unique)), default=None
        )
        return (min(seen) if first is None or first.bridge is None else first.bridge), channels

    def conversation(self, channel: Channel) -> tuple[str | None, Iterable[str]]:
        """The conversation a channel is in, and the channels that are."""
        if channel.bridge is None:
            return None, ()
        if not self._twins:
            return channel.bridge, self._bridges[channel.bridge]
        return self._reach(channel.bridge)

    # Local halves ---------------------------------------------------------------------------------

    def party_behind(self, unique: str) -> str:
        """The party on whose behalf a Local half acts; the channel itself if it is one, or none is known."""
        channel = self.by_id.get(unique)
        if channel is None or channel.party:
            return unique
        found = self._behind(unique)
        if found is not None:
            channel.stands_for = found
        return channel.stands_for or unique

    def _behind(self, unique: str) -> str | None:
        """Follow the pairs from a Local half to the party at their end, if there is one now."""
        found, seen = unique, {unique}
        while True:
            twin = self.by_id.get(self._twins.get(found, ""))
            if twin is None:
                return None
            near = self._bridges.get(twin.bridge or "", {twin.for_whom: None})
            ahead = [other for other in map(self.by_id.get, near) if other is not None and other is not twin]
            party = next((other for other in ahead if other.party and not other.ours), None)
            half = next((other for other in ahead if other.unique in self._twins), None)
            if party is not None:
                return party.unique
            if half is None or half.unique in seen:
                return None
            found = half.unique
            seen.add(found)

    def _stand_in(self, channel: Channel) -> Channel:
        """The Local half that waits, is parked or is in a room on behalf of a party; else she herself."""
        acting, found, seen = channel, channel, {channel.unique}
        while found.bridge is not None:
            members = self._bridges[found.bridge]
            others = [other for other in members if other != found.unique]
            twin = self.by_id.get(self._twins.get(others[0], "")) if len(others) == 1 else None
            if twin is None or twin.unique in seen:
                break
            found = twin
            seen.add(found.unique)
            if found.queue is not None or found.parked or found.conference:
                acting = found
        return acting

    # Legs -----------------------------------------------------------------------------------------

    def leg(self, channel: Channel) -> Leg | None:
        """The leg a channel is, or none when it is none of a party's."""
        if not channel.party:
            return None
        conversation, others = self.conversation(channel)
        supervision = None
        if channel.ours or channel.standing:
            parties = map(self.by_id.__getitem__, others)
            if not any(other.party and not other.ours and other is not channel for other in parties):
                return None
            supervision = session_of(channel.unique) if channel.ours else None
        if channel.bridge is not None and (self._twins or self._standing or self._calls or channel.ours):
            call = self._oldest(others, channel.bridge) or self._key(channel)
            if channel.standing:
                self._standing[channel.linked] = call
        else:
            call = channel.kept_call or self._key(channel)
        acting = self._stand_in(channel) if self._twins else channel
        state = channel.state
        if channel.for_caller and not channel.bridged and not self._calls_out(channel):
            conversation = None
            if state is LegState.CONNECTED:
                state = LegState.ALERTING  # answered, and nobody is there yet: the caller still hears it ring
        number = channel.number
        if not channel.incoming and channel.device is not None and channel.device.isdigit():
            number = channel.device
        return Leg(
            id=LegId(channel.unique),
            call=call_key(call),
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
            queue=acting.queue or channel.queue,
            position=acting.position if acting.queue is not None else channel.position,
            queued_at=acting.queued_at if acting.queue is not None else channel.queued_at,
            parked=acting.parked or channel.parked,
            conference=acting.conference or channel.conference,
            supervision=supervision,
            recording=channel.recording,
            private=channel.private,
            objected=channel.objected,
        )

    def _calls_out(self, channel: Channel) -> bool:
        """A party who was dialled has somebody dialled herself: through a pair that is dialled for nobody."""
        twins = (
            self.by_id.get(self._twins.get(other, ""))
            for other in self._bridges.get(channel.bridge or "", ())
        )
        return any(twin is not None and not twin.for_caller for twin in twins)

    def joins_call(self, channel: Channel, at: Instant) -> None:
        """The pool's agent is given a caller: her part of that call begins now."""
        if channel.standing and channel.bridge is None:
            channel.created_at = channel.connected_at = at

    def in_bridge(self, bridge: str) -> list[Channel]:
        """The channels in a bridge."""
        return [self.by_id[unique] for unique in self._bridges.get(bridge, ())]

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
