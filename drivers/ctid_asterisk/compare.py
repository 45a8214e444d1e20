"""The live state against a second one that lists made: what differs. Pure.

Compared is what lists tell and events should have told: which channels, members and devices there are,
whether a channel is answered, where it is, where it waits, and what a member's state is. What an event has
touched since the lists were asked for is not compared: of that the lists may be older or newer.
"""

from collections.abc import Container, Hashable, Iterator
from typing import NamedTuple

from ctid.model.words import LegState, Registration
from ctid_asterisk.channel import Channel
from ctid_asterisk.lists import Lists
from ctid_asterisk.members import Key
from ctid_asterisk.normalize import Normalizer
from ctid_asterisk.wire import Message

_MEMBER = ("name", "device", "device_state", "paused", "reason", "penalty", "wrapup_s")
"""Of a member, what an event tells whenever it changes, or a reload may change."""

Touched = Container[Hashable]


class Difference(NamedTuple):
    """One thing of which lists and events tell another tale. `what` is a field, `gone` or `unknown`.

    The key is a channel's unique id, a member's `Key` or a device's id; all queues are one thing.
    """

    kind: str
    key: str | Key
    what: str


def touched_by(message: Message) -> Iterator[Hashable]:
    """What an event is about: unique ids of channels and bridges, queues, members and devices."""
    fields = message.legible
    for name, value in fields.items():
        if name.endswith("uniqueid"):
            yield value
    for name in ("device", "aor", "endpointname"):
        if name in fields:
            yield fields[name]
    queue, interface = fields.get("queue"), fields.get("interface")
    if queue is not None:
        yield queue if interface is None else (queue, interface)


def both(live: Normalizer, second: Normalizer, touched: Touched) -> Iterator[tuple[Channel, Channel]]:
    """Each channel that is in both states and that no event has touched, as both have it."""
    for unique, theirs in second.channels.by_id.items():
        mine = live.channels.by_id.get(unique)
        if mine is not None and unique not in touched:
            yield mine, theirs


def is_touched(device: str, touched: Touched) -> bool:
    """Whether an event was about a device, by its id or by Asterisk's name of it."""
    return any(name in touched for name in (device, f"PJSIP/{device}", f"SIP/{device}"))


def compare(
    live: Normalizer, second: Normalizer, lists: Lists, touched: Touched, ended: Container[str]
) -> frozenset[Difference]:
    """Find what differs; `ended` are channels of the past, which no list brings back.

    Only what a list was given for is compared.
    """
    found = [*_presence(live, second, touched, ended)]
    for mine, theirs in both(live, second, touched):
        found += [Difference("channel", mine.unique, what) for what in _channel(mine, theirs, lists, touched)]
        if second.channels.twin(mine.unique) is not None and live.channels.twin(mine.unique) is None:
            found.append(Difference("channel", mine.unique, "twin"))
    if lists.queues is not None:
        found += _members(live, second, touched)
        if live.queues != second.queues:
            found.append(Difference("queues", "", "configuration"))
    if lists.devices is not None:
        found += _devices(live, second, touched)
    return frozenset(found)


def _presence(
    live: Normalizer, second: Normalizer, touched: Touched, ended: Container[str]
) -> Iterator[Difference]:
    mine, theirs = live.channels.by_id, second.channels.by_id
    for unique in mine.keys() - theirs.keys():
        if unique not in touched:
            yield Difference("channel", unique, "gone")
    for unique in theirs.keys() - mine.keys():
        if unique not in touched and unique not in ended:
            yield Difference("channel", unique, "unknown")


def _channel(mine: Channel, theirs: Channel, lists: Lists, touched: Touched) -> Iterator[str]:
    if theirs.state is LegState.CONNECTED and mine.state is not LegState.CONNECTED:
        yield "state"
    # A pair that stands aside: who left one bridge for another is in the first until she has entered.
    if (
        not mine.moving
        and mine.bridge != theirs.bridge
        and mine.bridge not in touched
        and theirs.bridge not in touched
    ):
        yield "bridge"
    if mine.name != theirs.name:
        yield "name"
    waits = theirs.position is not None
    if lists.queues is not None and (mine.position is not None, mine.queue if waits else None) != (
        waits,
        theirs.queue if waits else None,
    ):
        yield "queue"
    if lists.parked is not None and mine.parked != theirs.parked:
        yield "parked"
    if lists.bridges is not None and mine.conference != theirs.conference:
        yield "conference"


def _members(live: Normalizer, second: Normalizer, touched: Touched) -> Iterator[Difference]:
    mine, theirs = live.members.by_key, second.members.by_key
    for key in mine.keys() | theirs.keys():
        one, other = mine.get(key), theirs.get(key)
        if key in touched or any(m and m.device and is_touched(m.device, touched) for m in (one, other)):
            continue
        if one is None or other is None:
            yield Difference("member", key, "gone" if other is None else "unknown")
            continue
        yield from (Difference("member", key, f) for f in _MEMBER if getattr(one, f) != getattr(other, f))
        # The queue believes in a call for longer than it lasts when a Local member has passed it on.
        if one.in_call and one.serving is None and not other.in_call:
            yield Difference("member", key, "in_call")


def _devices(live: Normalizer, second: Normalizer, touched: Touched) -> Iterator[Difference]:
    for ident, theirs in second.devices.items():
        if is_touched(ident, touched):
            continue
        mine = live.devices.get(ident)
        if mine is None:
            yield Difference("device", ident, "unknown")
            continue
        if mine.state is not theirs.state:
            yield Difference("device", ident, "state")
        if theirs.registration is not Registration.UNKNOWN and mine.registration is not theirs.registration:
            yield Difference("device", ident, "registration")
    for ident in live.devices.keys() - second.devices.keys():
        if not is_touched(ident, touched):
            yield Difference("device", ident, "gone")
