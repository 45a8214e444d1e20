"""Captures made up of messages, and what replaying them tells."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from ctid.capture import FORMAT, Capture, CaptureFile, Header, Record, message_record
from ctid.model.entities import Agent, Call, Party
from ctid.model.ids import PbxId
from ctid.model.instant import enc_hook
from ctid.ports import Replayed
from ctid.replay import play
from ctid.state.changes import Change, Occurrence, Update
from ctid.state.invariants import violations
from ctid.state.store import Store
from ctid_asterisk.replaying import Player

BEGUN = 1795417439.0
REPLAYS = Path(__file__).parent.parent / "replay"


def header(**other: Any) -> Header:
    """A header of a scrubbed capture of Asterisk; `other` says what is different."""
    told: dict[str, Any] = {
        "ctid_capture": FORMAT,
        "driver": "asterisk",
        "pbx": "lab",
        "begun_at": BEGUN,
        "scrubbed": True,
        "ctid": "0.1.0",
    }
    return Header(**(told | other))


def heard(t: float, *lines: str) -> Record:
    """A message of the PBX, `t` seconds in."""
    return message_record(t, BEGUN + t, "\r\n".join(lines).encode("utf-8", "surrogateescape"))


def asked(t: float, name: str, ident: str = "", fence: str = "") -> Record:
    """A request of ours."""
    return Record(t=t, at=BEGUN + t, sent=name, id=ident, fence=fence)


def written(path: Path, records: Iterable[Record], end: str | None = "interrupted", **other: Any) -> Path:
    """Write a capture; `end` none: as if it was killed."""
    file = CaptureFile(path, header(**other))
    last = 0.0
    for record in records:
        file.add(record)
        last = record.t
    if end is not None:
        file.add(Record(t=last, at=BEGUN + last, end=end))
    file.flush()
    file.close()
    return path


def shipped(name: str) -> list[Record]:
    """The records of a capture among the tests."""
    return list(Capture(REPLAYS / f"{name}.capture.xz").records())


def replayed(records: Iterable[Record]) -> list[tuple[Replayed, list[Update]]]:
    """Play records into a store of its own, whose invariants hold after each."""
    store, player, steps = Store(), Player(PbxId("lab")), []
    for step, updates in play(map(player.take, records), store):
        assert violations(store) == []
        steps.append((step, updates))
    return steps


def updates_of(records: Iterable[Record]) -> list[Update]:
    """All updates that records tell."""
    return [update for _, updates in replayed(records) for update in updates]


def story(path: Path) -> list[str]:
    """What a capture tells of calls and agents, a line each, with its second."""
    capture = Capture(path)
    lines: list[str] = []
    last: dict[str, str] = {}
    for step, updates in replayed(capture.records()):
        if step.trouble:
            lines.append(f"{step.t:9.3f} not read: {step.trouble}")
        for update in updates:
            text = _told(update)
            key = update.entity.id if isinstance(update, Change) else ""
            if text and text != last.get(key):
                lines.append(f"{step.t:9.3f} {text}")
            if key:
                last[key] = text or last.get(key, "")
    if capture.cut:
        lines.append(f"cut: {capture.cut}")
    return lines


def _told(update: Update) -> str:
    """An update in words; nothing where it is neither a call's, nor a moment, nor an agent's new state."""
    if isinstance(update, Occurrence):
        said = {
            "call": update.call,
            "queue": update.queue,
            "agent": update.agent,
            "by": update.by,
            "to": update.to,
        }
        return " ".join([update.name, *(f"{name}={value}" for name, value in said.items() if value)])
    match update.entity:
        case Call() as call:
            queue = f" {call.queue}" if call.queue else ""
            merged = f" merged into {call.merged_into}" if call.merged_into else ""
            gone = " gone" if update.new is None else ""
            parties = ", ".join(map(_party, call.parties))
            return f"call {call.id} {call.state}{gone} {call.direction}{queue}{merged}: {parties}"
        case Agent() as agent if getattr(update.old, "state", None) != agent.state:
            reason = f" {agent.reason}" if agent.reason else ""
            pending = f" pending {agent.pending}" if agent.pending else ""
            return f"agent {agent.id} {agent.state}{reason}{pending}"
    return ""


def _party(party: Party) -> str:
    where = "".join(f" {place}" for place in (party.parked, party.conference) if place)
    return f"{party.device or party.number or party.leg} {party.role} {party.state}{where}"


def renamed(steps: Iterable[tuple[Replayed, list[Update]]]) -> list[Any]:
    """The updates of each step with a number for each text, in the order of their first appearance.

    Two sequences that differ by a one-to-one renaming of texts alone come out equal. What a snapshot mends is
    told in the order of its names, so the order within a step is by what is known already.
    """
    numbers: dict[str, int] = {}

    def walk(value: Any, *, learn: bool) -> Any:
        match value:
            case str():
                return ("text", numbers.setdefault(value, len(numbers)) if learn else numbers.get(value))
            case dict():
                return {key: walk(item, learn=learn) for key, item in value.items() if key != "seq"}
            case list() | tuple():
                return [walk(item, learn=learn) for item in value]
            case _:
                return value

    told = []
    for step, updates in steps:
        plain = [
            (type(update).__name__, msgspec.to_builtins(update, enc_hook=enc_hook)) for update in updates
        ]
        plain.sort(key=lambda update: repr(walk(update, learn=False)))
        told.append((step.t, step.trouble, [walk(update, learn=True) for update in plain]))
    return told


def messages(records: Iterable[Record]) -> Iterator[bytes]:
    """The messages of the PBX among records."""
    return (record.message for record in records if record.message is not None)
