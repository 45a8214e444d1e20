"""The PBX's own truth, and where ctid's API tells something else.

The truth is read from Asterisk's console (`core show channels concise`, `bridge show`, `queue show`,
`pjsip show endpoints`), which ctid does not use, and has no part in.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from e2e import records
from e2e.records import Bridge, Channel, QueueMember, QueueShown
from helpers.api_client import Api
from helpers.patience import until
from lab.rig import Rig

OURS = "ctid-"
"""How the unique ids of ctid's own channels begin: supervisors' legs, which are no parties of a call."""
_TRIES = 10
_DEVICE = {
    "Not in use": {"idle"},
    "In use": {"in_use"},
    "Ringing": {"ringing"},
    "Ring+Inuse": {"ringing", "in_use"},
    "On Hold": {"held"},
    "Busy": {"busy"},
    "Unavailable": {"unavailable"},
    "Invalid": {"unavailable", "unknown"},
    "Unknown": {"unknown"},
}
_TALKING = {"connected", "held"}
_OCCUPIED = {"busy", "busy_other"}


class Truth(NamedTuple):
    """What the PBX says at one moment: channels by name, bridges by id, queues by name, phones' states."""

    channels: Mapping[str, Channel]
    bridges: Mapping[str, Bridge]
    queues: Mapping[str, QueueShown]
    devices: Mapping[str, str]

    @property
    def legs(self) -> dict[str, Channel]:
        """The phones' channels by unique id, without ctid's own."""
        every = self.channels.values()
        return {c.uniqueid: c for c in every if c.phone and not c.uniqueid.startswith(OURS)}

    def groups(self) -> list[frozenset[str]]:
        """The unique ids of the phones' channels that are connected with each other.

        They are by a bridge, or by several that Local channels join. A phone that is in no bridge, or alone
        in one, is a group of its own. Channels that only wait in the same parking lot or hold room are not
        together.
        """
        left = {c.name: f"alone:{c.name}" for c in self.channels.values()}
        for bridge in self.bridges.values():
            if bridge.technology != "holding_bridge":
                left.update({name: bridge.id for name in bridge.channels if name in left})
        # The two halves of a Local channel join the bridges that they are in.
        for channel in self.channels.values():
            if channel.other_half in left:
                old, new = left[channel.other_half], left[channel.name]
                left = {name: new if place == old else place for name, place in left.items()}
        together: dict[str, set[str]] = {}
        for leg in self.legs.values():
            together.setdefault(left[leg.name], set()).add(leg.uniqueid)
        return [frozenset(group) for group in together.values()]

    def caller(self, name: str) -> Channel | None:
        """The phone's channel that is, or is at the far end of, this one: a Local half may wait for it."""
        channel = self.channels.get(name)
        for _ in range(len(self.channels)):
            if channel is None or channel.phone:
                return channel
            half = self.channels.get(channel.other_half)
            bridge = self.bridge_of(half) if half is not None else None
            others = [o for o in bridge.channels if o != channel.other_half] if bridge is not None else []
            channel = self.channels.get(others[0]) if len(others) == 1 else None
        return None

    def bridge_of(self, leg: Channel) -> Bridge | None:
        """The bridge that a channel is in."""
        return self.bridges.get(leg.bridge)


class Seen(NamedTuple):
    """What ctid's API says: the items of its lists, by id."""

    calls: dict[str, Any]
    agents: dict[str, Any]
    queues: dict[str, Any]
    devices: dict[str, Any]


def read(rig: Rig) -> Truth:
    """Read the truth: several console commands, again until nothing has moved between them.

    Raises `AssertionError` where the PBX did not stand still for a moment.
    """
    told = ""
    for _ in range(_TRIES):
        channels = _channels(rig)
        ids = records.parse_bridge_ids(rig.asterisk_cli("bridge show all"))
        texts = [rig.asterisk_cli(f"bridge show {ident}") for ident in ids]
        queues = records.parse_queues(rig.asterisk_cli("queue show"))
        devices = records.parse_endpoints(rig.asterisk_cli("pjsip show endpoints"))
        bridges = {b.id: b for b in (records.parse_bridge(text) for text in texts if "Id:" in text)}
        inside = {name: bridge.id for bridge in bridges.values() for name in bridge.channels}
        said = {name: channel.bridge for name, channel in channels.items() if channel.bridge}
        if channels == _channels(rig) and said == inside:
            return Truth(channels, bridges, queues, devices)
        told = f"channels are in bridges {said}, bridges have {inside}"
    raise AssertionError(f"the PBX does not stand still; {told}")


def _channels(rig: Rig) -> dict[str, Channel]:
    return {c.name: c for c in records.parse_channels(rig.asterisk_cli("core show channels concise"))}


async def seen(api: Api) -> Seen:
    """Read what ctid says."""
    lists = {name: (await api.get(f"/{name}?limit=500"))["items"] for name in Seen._fields}
    return Seen(**{name: {item["id"]: item for item in items} for name, items in lists.items()})


async def agree(rig: Rig, api: Api, within: float = 5.0) -> None:
    """Wait until ctid says what the PBX says. Raises `AssertionError` with each field that differs."""
    told: list[str] = []

    async def same() -> bool:
        told[:] = differences(read(rig), await seen(api))
        return not told

    try:
        await until(same, within)
    except AssertionError as error:
        raise AssertionError("ctid and the PBX differ:\n" + "\n".join(told)) from error


def differences(truth: Truth, api: Seen) -> list[str]:
    """Each field in which ctid's API tells something else than the PBX; empty where they agree."""
    return [*_legs(truth, api), *_together(truth, api), *_members(truth, api), *_waiting(truth, api),
            *_devices(truth, api)]  # fmt: skip


def _parties(api: Seen) -> dict[str, tuple[str, Any]]:
    """Leg -> the call and the party that it is; without the supervisors' legs."""
    return {
        party["leg"]: (ident, party)
        for ident, call in api.calls.items()
        for party in call["parties"]
        if not party["leg"].startswith(OURS)
    }


def _legs(truth: Truth, api: Seen) -> Iterator[str]:
    """The same channels, of the same phones, in the same states."""
    parties, legs = _parties(api), truth.legs
    # The standing call of the pool's agent is one only while she is given a caller.
    idle = {
        leg for leg in legs if legs[leg].application == "AgentLogin" and frozenset({leg}) in truth.groups()
    }
    legs = {ident: leg for ident, leg in legs.items() if ident not in idle}
    callers = [caller.channel for queue in truth.queues.values() for caller in queue.callers]
    waiting = {leg.name: name for name in callers if (leg := truth.caller(name)) is not None}
    for ident in legs.keys() - parties.keys():
        yield f"{legs[ident].name} ({ident}, {legs[ident].state}) is in no call of ctid's"
    for ident in parties.keys() - legs.keys():
        call, party = parties[ident]
        yield f"leg {ident} of {party['device']} ({party['state']}, call {call}) is not on the PBX"
    for ident in parties.keys() & legs.keys():
        call, party = parties[ident]
        leg, state = legs[ident], party["state"]
        where = f"{leg.name} in call {call}"
        if party["device"] != leg.phone:
            yield f"{where}: device {party['device']}"
        bridge = truth.bridge_of(leg)
        # Who is answered stays in the list for a moment; who waits by a Local half is bridged with it.
        waits = leg.name in waiting and (bridge is None or waiting[leg.name] != leg.name)
        if (state == "queued") != waits:
            yield f"{where}: {state}, and the PBX has it {'' if waits else 'not '}waiting"
        elif state != "queued" and state not in _states(leg):
            yield f"{where}: {state}, and the PBX says {leg.state}"
        is_parked = bridge is not None and bridge.kind == "parking"
        if bool(party.get("parked")) != is_parked:
            yield f"{where}: parked {party.get('parked')!r}, and its bridge is {bridge}"
        room = bridge.name if bridge is not None and bridge.creator == "ConfBridge" else ""
        if party.get("conference", "") != room:
            yield f"{where}: conference {party.get('conference')!r}, and its bridge is {bridge}"


def _states(leg: Channel) -> set[str]:
    """What a party may be whose channel the PBX has in this state."""
    if leg.state == "Up":
        return _TALKING
    return {"alerting"} if leg.state == "Ringing" else {"initiated"}


def _together(truth: Truth, api: Seen) -> Iterator[str]:
    """Who is connected with whom is in one call, which says so; and who is held."""
    parties = _parties(api)
    groups = truth.groups()
    group_of = {leg: group for group in groups for leg in group}
    for group in groups:
        calls = {parties[leg][0] for leg in group if leg in parties}
        if len(calls) > 1:
            yield f"{_names(truth, group)} are connected, and in the calls {sorted(calls)}"
        yield from _held(truth, parties, group)
    for ident, call in api.calls.items():
        talking = [p["leg"] for p in call["parties"] if p["leg"] in group_of and p["state"] in _TALKING]
        connected = {group_of[leg] for leg in talking if len(group_of[leg]) > 1}
        if len(connected) > 1 or (connected and not set(talking) <= next(iter(connected))):
            apart = [_names(truth, group_of[leg]) for leg in talking]
            yield f"call {ident} has as connected with each other who are not: {apart}"
        supervised = bool(call.get("supervisions")) or any(p["leg"].startswith(OURS) for p in call["parties"])
        is_held_apart = call["state"] == "held" and any(p.get("parked") for p in call["parties"])
        if (call["state"] in _TALKING) != bool(connected) and not supervised and not is_held_apart:
            joined = [_names(truth, group) for group in connected]
            yield f"call {ident} is {call['state']}, and the PBX connects {joined}"


def _held(truth: Truth, parties: Mapping[str, tuple[str, Any]], group: frozenset[str]) -> Iterator[str]:
    """Of two in one bridge, one holds where the PBX has the other's phone on hold.

    A Local channel between them keeps hold to itself, and plays music instead: then nothing tells.
    """
    if len(group) != 2 or not group <= parties.keys() or len({truth.legs[leg].bridge for leg in group}) != 1:
        return
    for leg in group:
        (other,) = group - {leg}
        phone = truth.legs[other].phone
        # With two calls on a phone, its device's state does not tell which of them is on hold.
        if sum(c.phone == phone for c in truth.legs.values()) != 1 or phone not in truth.devices:
            continue
        holds = truth.devices[phone] == "On Hold"
        if (parties[leg][1]["state"] == "held") != holds:
            told = f"{truth.legs[leg].name}: {parties[leg][1]['state']}"
            yield f"{told}, and the PBX has {phone} {truth.devices[phone]}"


def _names(truth: Truth, group: frozenset[str]) -> list[str]:
    return sorted(truth.legs[leg].name for leg in group)


def _members(truth: Truth, api: Seen) -> Iterator[str]:
    """The same members, paused or not, for the same reasons, and doing the same."""
    real = {(m.number, q.name): m for q in truth.queues.values() for m in q.members}
    told = {(i, m["queue"]): m for i, agent in api.agents.items() for m in agent["queues"]}
    for agent, queue in sorted(real.keys() ^ told.keys()):
        has, lacks = ("the PBX", "ctid") if (agent, queue) in real else ("ctid", "the PBX")
        yield f"{agent} is a member of {queue} for {has}, not for {lacks}"
    for key in sorted(real.keys() & told.keys()):
        member, membership = real[key], told[key]
        where = f"{key[0]} in {key[1]}"
        if membership["paused"] != member.paused:
            yield f"{where}: paused {membership['paused']}, and the PBX says {member.paused}"
        elif member.paused and membership.get("paused_reason", membership["reason"]) != member.reason:
            yield f"{where}: paused for {membership.get('paused_reason')!r}, not {member.reason!r}"
        if membership["penalty"] != member.penalty:
            yield f"{where}: penalty {membership['penalty']}, and the PBX says {member.penalty}"
        allowed = _member_states(truth, key[0], member)
        if membership["state"] not in allowed:
            yield f"{where}: {membership['state']}, and the PBX's {member.state} is one of {sorted(allowed)}"


def _member_states(truth: Truth, number: str, member: QueueMember) -> set[str]:
    """What a member may be: by her phone's channels, else by her pause and her device's state."""
    mine = [leg for leg in truth.legs.values() if leg.phone == number]
    connected = {leg for group in truth.groups() if len(group) > 1 for leg in group}
    if any(leg.uniqueid in connected for leg in mine) or any(leg.state == "Ring" for leg in mine):
        return _OCCUPIED
    if any(leg.state == "Up" for leg in mine):
        # Alone with the PBX: in a menu, in a queue, logged in to a pool, or just about to be connected.
        return _OCCUPIED | {"ready", "not_ready", "working_after_call"}
    if any(leg.state == "Ringing" for leg in mine):
        return {"offered"}
    if member.paused:
        return {"not_ready", "working_after_call"}
    if member.state in ("Unavailable", "Invalid"):
        return {"not_ready", "working_after_call", "unknown"}
    return {"ready", "working_after_call"} if member.state != "Unknown" else {"unknown", "ready"}


def _waiting(truth: Truth, api: Seen) -> Iterator[str]:
    """The same callers wait, in the same order; who is connected to an agent does not wait any more."""
    for name, queue in sorted(truth.queues.items()):
        if name not in api.queues:
            yield f"ctid has no queue {name}"
            continue
        legs = [truth.caller(caller.channel) for caller in queue.callers]
        real = [leg.uniqueid for leg in legs if leg is not None]
        told = []
        for place, waiting in enumerate(api.queues[name]["waiting"], 1):
            if waiting["position"] != place:
                yield f"queue {name}: position {waiting['position']} is in place {place}"
            call = api.calls.get(waiting["call"])
            queued = [p["leg"] for p in call["parties"] if p["state"] == "queued"] if call else []
            told.append(queued[0] if queued else f"call {waiting['call']}")
        if told != real:
            yield f"queue {name}: {told} wait, and for the PBX {real}"


def _devices(truth: Truth, api: Seen) -> Iterator[str]:
    """Each phone that both know is in the same state."""
    for number in sorted(truth.devices.keys() & api.devices.keys()):
        state, device = truth.devices[number], api.devices[number]
        if device["state"] not in _DEVICE.get(state, {"unknown"}):
            yield f"device {number}: {device['state']}, and the PBX says {state}"
