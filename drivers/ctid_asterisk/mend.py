"""What lists know better, into the live state. Pure, time is an argument.

Whatever was known of a thing that stays, and that no list tells, is kept: since when it is what it is, who
was dialled, who holds, who was offered whom.
"""

from collections.abc import Iterable, Iterator

from msgspec.structs import replace

from ctid.model.facts import DeviceChanged, Fact, LegChanged, Member, MemberChanged
from ctid.model.ids import DeviceId, safe_id
from ctid.model.instant import Instant
from ctid_asterisk.compare import Difference, Touched, both, is_touched
from ctid_asterisk.lists import Lists
from ctid_asterisk.members import Key
from ctid_asterisk.normalize import Normalizer

_SLACK_S = 1.0
"""Asterisk's times of members are in whole seconds: nearer ones are the same."""
_ORDER = {"gone": 0, "unknown": 1, "twin": 2}
"""Who is there is settled before where they are."""


def mend(live: Normalizer, second: Normalizer, differences: Iterable[Difference], at: Instant) -> None:
    """Make the live state what the lists say, in these differences. Tells nothing: the snapshot does."""
    for difference in sorted(differences, key=lambda it: _ORDER.get(it.what, len(_ORDER))):
        key, what = difference.key, difference.what
        if isinstance(key, tuple):
            _mend_member(live, second, key, what)
        elif difference.kind == "channel":
            _mend_channel(live, second, key, what, at)
        elif difference.kind == "device":
            _mend_device(live, second, DeviceId(key), what)
        else:
            live.queues = dict(second.queues)


def _mend_channel(live: Normalizer, second: Normalizer, unique: str, what: str, at: Instant) -> None:
    if what == "gone":
        live.channels.remove(unique)
        live.members.offer_over(unique)
        live.members.serve_over(unique, at)
        live.members.over_for(unique, at)
        live.members.forget(unique)
        return
    theirs = second.channels.by_id[unique]
    if what == "unknown":
        bridge, theirs.bridge = theirs.bridge, None
        live.channels.add(theirs)
        if bridge is not None:
            live.channels.enter(unique, bridge)
        _engage(live, second, unique)
        what = "twin"
    mine = live.channels.by_id.get(unique)
    if mine is None:  # it went together with another one
        return
    if what == "twin":
        twin = second.channels.twin(unique)
        if twin is not None and twin in live.channels.by_id:
            live.channels.pair(unique, twin)
    elif what == "state":
        mine.state, mine.connected_at = theirs.state, at
    elif what == "bridge":
        if theirs.bridge is None:
            live.channels.leave(unique)
        else:
            live.channels.enter(unique, theirs.bridge)
    elif what == "name":
        mine.rename(theirs.name)
    elif what == "queue":
        mine.position = theirs.position
        if theirs.position is not None:
            mine.queue, mine.queued_at = theirs.queue, theirs.queued_at
    else:
        setattr(mine, what, getattr(theirs, what))


def _engage(live: Normalizer, second: Normalizer, unique: str) -> None:
    """Take over whom a channel that was not known is dialled for."""
    if unique in second.members.offers:
        key, caller = second.members.offers[unique]
        live.members.offer(key, caller, unique)
    if unique in second.members.serves:
        key, caller = second.members.serves[unique]
        live.members.connect(key, caller, unique)


def _mend_member(live: Normalizer, second: Normalizer, key: Key, what: str) -> None:
    if what == "gone":
        live.told_members.pop(key, None)
        live.members.remove(key)
        return
    theirs = second.members.by_key[key]
    mine = live.members.by_key.get(key)
    if mine is None:
        live.members.by_key[key] = theirs
        return
    changed = {what: getattr(theirs, what)}
    if what == "paused":
        changed["paused_at"] = theirs.paused_at
    live.members.by_key[key] = replace(mine, **changed)


def _mend_device(live: Normalizer, second: Normalizer, ident: DeviceId, what: str) -> None:
    if what == "gone":
        live.devices.pop(ident, None)
        return
    if what != "state":
        live.contacts.copy(ident, second.contacts)
    theirs = second.devices[ident]
    mine = live.devices.get(ident)
    live.devices[ident] = theirs if mine is None else replace(mine, **{what: getattr(theirs, what)})


def take_untold(
    live: Normalizer, second: Normalizer, lists: Lists, touched: Touched, at: Instant
) -> list[Fact]:
    """Take over what Asterisk changes without an event; returns the facts that tell it.

    That is the place of those who wait behind somebody who left or was put forward, the call that a channel
    belongs to once two calls became one, a member's figures between her call's end and her next event, and
    the round trip of a probe.
    """
    facts: list[Fact] = [*_legs(live, second, lists, touched, at)]
    if lists.queues is not None:
        facts += _figures(live, second, touched, at)
    for ident, theirs in second.devices.items():
        mine = live.devices.get(ident)
        if mine is None or theirs.round_trip_ms in (None, mine.round_trip_ms) or is_touched(ident, touched):
            continue
        live.devices[ident] = mine = replace(mine, round_trip_ms=theirs.round_trip_ms)
        facts.append(DeviceChanged(pbx=live.pbx, at=at, device=mine))
    return facts


def _legs(
    live: Normalizer, second: Normalizer, lists: Lists, touched: Touched, at: Instant
) -> Iterator[Fact]:
    moving = {safe_id(name) for name in (live.queues if lists.queues is not None else ()) if name in touched}
    changed = False
    for mine, theirs in both(live, second, touched):
        linked = mine.linked
        live.channels.seen_in(mine, theirs.linked)
        changed = changed or linked != mine.linked
        if theirs.position is None or mine.position in (None, theirs.position):
            continue
        if mine.queue == theirs.queue and mine.queue not in moving:
            mine.position, changed = theirs.position, True
    if not changed:
        return
    for channel in live.channels.by_id.values():
        leg = live.channels.leg(channel)
        if leg is not None and channel.told not in (None, leg):
            channel.told = leg
            yield LegChanged(pbx=live.pbx, at=at, leg=leg)


def _figures(live: Normalizer, second: Normalizer, touched: Touched, at: Instant) -> Iterator[Fact]:
    for key, theirs in second.members.by_key.items():
        mine = live.members.by_key.get(key)
        if mine is None or key in touched:
            continue
        new = _with_figures(mine, theirs)
        if new != mine:
            live.members.by_key[key] = live.told_members[key] = new
            yield MemberChanged(pbx=live.pbx, at=at, member=new)


def _with_figures(mine: Member, theirs: Member) -> Member:
    last = theirs.last_call_at
    if last is not None and mine.last_call_at is not None and last <= mine.last_call_at + _SLACK_S:
        last = mine.last_call_at
    pause = mine.paused and theirs.paused
    return replace(
        mine,
        calls_taken=theirs.calls_taken,
        last_call_at=last or mine.last_call_at,
        paused_at=_settled(mine.paused_at, theirs.paused_at) if pause else mine.paused_at,
        logged_in_at=_settled(mine.logged_in_at, theirs.logged_in_at),
    )


def _settled(mine: Instant | None, theirs: Instant | None) -> Instant | None:
    """The one that is known, so that it does not jitter, unless the other is another time."""
    if mine is None or theirs is None:
        return mine or theirs
    return mine if abs(theirs - mine) <= _SLACK_S else theirs
