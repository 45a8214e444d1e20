"""The recorded wires as scenes: what happened, and what the lists of an Asterisk would tell at each moment.

Of a moment the lists are made from a state that has read the wire as it is: whoever reads a mutated one
differs from them, as a daemon does that has not understood everything.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ctid.model.instant import Instant
from ctid.model.words import LegState
from ctid_asterisk.lists import Lists, load
from ctid_asterisk.normalize import Normalizer
from ctid_asterisk.wire import Kind, Message
from fuzz.frames import Frame, frame, get, parse, render, without
from helpers.captures import messages, shipped
from replay.kinds import sections
from replay.wire import PBX, recorded

EVERY = 8
"""The lists are made anew after so many events."""

Listing = Mapping[str, Sequence[Frame]]
"""The items of each list action by its name, without their ActionID."""

_ITEMS = frozenset({b"QueueParams", b"QueueMember", b"QueueEntry", b"CoreShowChannel", b"Status", b"Agents"})


class Scene(NamedTuple):
    """One recorded wire. `listings` has the lists of the beginning, and of each `EVERY` events after it."""

    name: str
    began: float
    events: tuple[Frame, ...]
    listings: tuple[Listing, ...]

    def listing(self, at: int) -> Listing:
        """The lists after so many events."""
        return self.listings[min(at // EVERY, len(self.listings) - 1)]


def message(of: Frame) -> Message:
    """A frame as the reader delivers it."""
    return Message(Kind.EVENT, of[0][1].decode("utf-8", "surrogateescape"), render(of)[:-4], tagged=False)


@cache
def scenes(more: Path | None = None) -> tuple[Scene, ...]:
    """All recorded wires among the tests, and those (`*.txt`) of one more folder."""
    found = [*_shipped()]
    if more is not None:
        found += [_scene(path.stem, path.read_bytes()) for path in sorted(more.glob("*.txt"))]
    return tuple(scene for scene in found if scene.events)


def _shipped() -> Iterator[Scene]:
    for name, text in sorted(sections().items()):
        if not name.endswith(".queue_log"):
            yield _scene(name, text.encode("utf-8", "surrogateescape"))
    for name in ("five-queue-calls", "lab-calls"):
        yield _scene(name, recorded(name))
    yield _scene("queue-calls", b"\n\n".join(messages(shipped("queue-calls"))))


def _scene(name: str, wire: bytes) -> Scene:
    blocks = [parse(block) for block in re.split(rb"\n\n+", wire.replace(b"\r\n", b"\n"))]
    read = Normalizer(PBX).wanted | {"Reload"}
    events: list[Frame] = []
    members: dict[tuple[bytes, bytes, bytes], Frame] = {}
    agents: dict[bytes, Frame] = {}
    for block in blocks:
        if not block or block[0][0] != b"Event":
            continue
        kind = block[0][1]
        if get(block, b"ActionID") or kind in _ITEMS:
            item = without(block, b"ActionID")
            if kind in (b"QueueParams", b"QueueMember"):
                members.setdefault((kind, get(item, b"Queue"), get(item, b"Location")), item)
            elif kind == b"Agents":
                agents.setdefault(get(item, b"Agent"), item)
        elif kind.decode() in read:
            events.append(block)
    stamps = [float(get(event, b"Timestamp")) for event in events if get(event, b"Timestamp")]
    began = stamps[0] if stamps else 1795426000.0
    return Scene(name, began, tuple(events), tuple(_listings(events, list(members.values()), began, agents)))


def _listings(
    events: list[Frame], members: list[Frame], began: float, agents: Mapping[bytes, Frame]
) -> Iterator[Listing]:
    truth, at = Normalizer(PBX), Instant(began)
    load(truth, Lists((), [message(item) for item in members], None, None), at)
    raw = {(get(item, b"Queue"), get(item, b"Location")): item for item in members if get(item, b"Location")}
    queues = [item for item in members if not get(item, b"Location")]
    yield _told(truth, queues, raw, agents, at)
    for number, event in enumerate(events, 1):
        at = Instant(float(get(event, b"Timestamp") or at))
        truth.receive(message(event), at)
        interface = get(event, b"Interface")
        if event[0][1].startswith(b"QueueMember") and interface:
            item = without(event, b"Event", b"Interface", b"MemberName", b"Timestamp", b"Privilege")
            head = (
                (b"Event", b"QueueMember"),
                (b"Name", get(event, b"MemberName")),
                (b"Location", interface),
            )
            raw[get(event, b"Queue"), interface] = head + item
        if number % EVERY == 0:
            yield _told(truth, queues, raw, agents, at)


def _told(
    truth: Normalizer,
    queues: list[Frame],
    members: Mapping[tuple[bytes, bytes], Frame],
    agents: Mapping[bytes, Frame],
    at: Instant,
) -> Listing:
    channels = truth.channels.by_id.values()
    dialled = truth.members.offers.keys() | truth.members.serves.keys()
    items: list[Frame] = []
    for channel in channels:
        application, data = "Dial", ""
        if channel.unique in dialled:
            application, data = "AppQueue", "(Outgoing Line)"
        elif not channel.incoming:
            application, data = "AppDial", "(Outgoing Line)"
        elif channel.queue is not None:
            application, data = "Queue", f"{channel.queue},tT,,,30"
        age = max(int(at - channel.created_at), 0)
        items.append(
            frame(
                ("Event", "CoreShowChannel"),
                ("Channel", channel.name),
                ("ChannelState", {LegState.CONNECTED: "6", LegState.ALERTING: "5"}.get(channel.state, "4")),
                ("CallerIDNum", channel.number),
                ("CallerIDName", channel.person),
                ("Exten", channel.dialled),
                ("Uniqueid", channel.unique),
                ("Linkedid", channel.linked),
                ("Application", application),
                ("ApplicationData", data),
                ("Duration", f"{age // 3600:02}:{age // 60 % 60:02}:{age % 60:02}"),
                ("BridgeId", channel.bridge or ""),
            )
        )
    entries = [
        frame(
            ("Event", "QueueEntry"), ("Queue", channel.queue), ("Position", str(channel.position)),
            ("Channel", channel.name), ("Uniqueid", channel.unique), ("Wait", "3"),
        )
        for channel in channels
        if channel.queue is not None and channel.position is not None
    ]  # fmt: skip
    return {
        "CoreShowChannels": items,
        "QueueStatus": [*queues, *members.values(), *entries],
        "DeviceStateList": [
            frame(
                ("Event", "DeviceStateChange"), ("Device", f"PJSIP/{info.id}"),
                ("State", _STATES[info.state]),
            )
            for info in truth.devices.values()
        ],
        "Status": [
            frame(
                ("Event", "Status"), ("Channel", channel.name), ("Uniqueid", channel.unique),
                ("Variable", f"CHANNEL(onhold)={int(channel.held)}"),
            )
            for channel in channels
        ],
        "BridgeList": [
            frame(
                ("Event", "BridgeListItem"), ("BridgeUniqueid", bridge), ("BridgeType", "basic"),
                ("BridgeTechnology", "simple_bridge"), ("BridgeCreator", ""), ("BridgeName", ""),
            )
            for bridge in dict.fromkeys(channel.bridge for channel in channels if channel.bridge)
        ],
        "ParkedCalls": [
            frame(
                ("Event", "ParkedCall"), ("ParkeeUniqueid", channel.unique), ("ParkingSpace", channel.parked),
            )
            for channel in channels
            if channel.parked
        ],
        "PJSIPShowContacts": [
            frame(
                ("Event", "ContactList"), ("Endpoint", ident), ("Uri", f"sip:{ident}@127.0.0.1:5060"),
                ("Status", "Reachable"), ("RoundtripUsec", "1000"),
            )
            for ident in truth.devices
        ],
        "Agents": [*agents.values()],
    }  # fmt: skip


_STATES = {
    "idle": "NOT_INUSE", "in_use": "INUSE", "busy": "BUSY", "unavailable": "UNAVAILABLE",
    "ringing": "RINGING", "held": "ONHOLD", "unknown": "UNKNOWN",
}  # fmt: skip
