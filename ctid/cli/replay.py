"""`ctid replay`: a capture through the driver and the state, as if it were live."""

import argparse
import time
from collections.abc import Callable, Iterator
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Group
from rich.text import Text

from ctid.api.audience import Audience
from ctid.api.stream import Filter
from ctid.api.views import Sight
from ctid.app import find_driver, profiles
from ctid.capture import Capture, CaptureError
from ctid.cli import words
from ctid.cli.exits import Exit
from ctid.cli.floor import Floor, picture
from ctid.cli.output import Output
from ctid.config import ConfigError, load
from ctid.model.entities import Agent, Call, Entity, Pbx
from ctid.model.instant import Instant, enc_hook
from ctid.model.users import User, UserRole
from ctid.ports import Replayed, ReplayingFactory, SettingsError
from ctid.replay import play
from ctid.state.changes import Change, Occurrence, Update
from ctid.state.profile import Profiles
from ctid.state.store import Store
from ctid.supervision.rights import Rights

BOOT_ID = "replay"
"""Stands where a daemon's own would be: two replays of a file are equal."""


def replay(output: Output, arguments: argparse.Namespace) -> Exit:
    """Print every change that a capture tells, and the floor at its end."""
    path = Path(arguments.file)
    known = Profiles()
    try:
        if arguments.config is not None:
            known = profiles(load(Path(arguments.config)))
        capture = Capture(path)
        return _replay(output, arguments, capture, _factory(capture.header.driver), Store(known))
    except ConfigError as error:
        output.fail({"code": "config.invalid", "detail": str(error)}, str(error))
        return Exit.CONFIG
    except (CaptureError, SettingsError) as error:
        output.fail({"code": "capture.file", "detail": str(error)}, str(error))
        return Exit.REFUSED


def _factory(name: str) -> ReplayingFactory:
    """The driver that wrote it. Raises CaptureError, SettingsError."""
    factory = find_driver(name)
    if not isinstance(factory, ReplayingFactory):
        raise CaptureError(f"the driver {name!r} cannot replay")
    return factory


def _replay(
    output: Output, arguments: argparse.Namespace, capture: Capture, factory: ReplayingFactory, store: Store
) -> Exit:
    reader = User(name="replay", role=UserRole.ADMIN)
    audience = Audience(Sight(reader, Rights(), store), Filter(), store)
    steps: Iterator[Replayed] = factory.replay(capture)
    if arguments.until is not None:
        until = float(arguments.until)
        steps = takewhile(lambda step: step.t <= until, steps)
    if arguments.speed:
        steps = _paced(steps, time.monotonic, time.sleep)
    told = Told()
    for step, updates in play(steps, store):
        told.take(step)
        for update in updates:
            if output.as_json:
                message = audience.told(update)
                if message is not None:
                    output.document(_builtins(message))
            else:
                output.show(_line(step.t, update))
    _print_floor(output, audience, store, told)
    return _print_end(output, capture, told, whole=arguments.until is None)


class Told:
    """What is counted on the way."""

    def __init__(self) -> None:
        self.messages = 0
        self.seconds = 0.0
        self.at = Instant(0)
        self.troubles: list[str] = []

    def take(self, step: Replayed) -> None:
        """Count a step."""
        self.messages += 1
        self.seconds, self.at = step.t, step.at
        if step.trouble:
            self.troubles.append(f"at {step.t:.3f} s: {step.trouble}")


def _paced(
    steps: Iterator[Replayed], now: Callable[[], float], sleep: Callable[[float], None]
) -> Iterator[Replayed]:
    """Let each step come when it came."""
    begun = now()
    for step in steps:
        wait = begun + step.t - now()
        if wait > 0:
            sleep(wait)
        yield step


def _print_floor(output: Output, audience: Audience, store: Store, told: Told) -> None:
    message = audience.snapshot(store.entities(), seq=store.seq, boot_id=BOOT_ID, at=told.at)
    document = _builtins(message) | {"type": "snapshot"}
    if output.as_json:
        output.document(document)
        return
    floor = Floor()
    floor.apply(document, told.at)
    output.show(Group(Text(""), picture(floor, told.at, source=f"replay, {told.seconds:.3f} s in")))


def _print_end(output: Output, capture: Capture, told: Told, *, whole: bool) -> Exit:
    """Tell how it ended; a cut file is told on standard error, and by the exit code."""
    document = {
        "type": "replayed",
        "file": capture.path.name,
        "scrubbed": capture.header.scrubbed,
        "messages": told.messages,
        "seconds": told.seconds,
        "end": capture.end,
        "cut": capture.cut,
        "troubles": told.troubles,
    }
    end = f"; it ended: {capture.end}" if capture.end else ""
    line = f"{told.messages} messages in {told.seconds:.3f} s{end}"
    output.answer(document, Text("\n").append_text(words.peer(line)))
    for trouble in told.troubles:
        output.fail({"code": "capture.unreadable", "detail": trouble}, f"not read {trouble}")
    if capture.cut and whole:
        text = f"{capture.path} is cut: {capture.cut}; what is whole was replayed"
        output.fail({"code": "capture.cut", "detail": text}, text)
        return Exit.REFUSED
    return Exit.OK


def _builtins(message: Any) -> dict[str, Any]:
    document: dict[str, Any] = msgspec.to_builtins(message, enc_hook=enc_hook)
    return document


def _line(t: float, update: Update) -> Text:
    """One update as a line: when, what, and from which state to which."""
    line = Text(f"{t:>10.3f}  ")
    if isinstance(update, Occurrence):
        return line.append_text(words.peer(f"{update.name} {_occurrence(update)}"))
    entity = update.entity
    line.append_text(words.peer(f"{update.kind:<12}{entity.id:<28} {_states(update)}"))
    return line.append_text(words.peer(f"  {_about(entity)}".rstrip()))


def _states(change: Change) -> str:
    old, new = _state(change.old), _state(change.new)
    if change.new is None:
        return f"{old} -> gone"
    return new if old in ("", new) else f"{old} -> {new}"


def _state(entity: Entity | None) -> str:
    return str(getattr(entity, "state", "")) if entity is not None else ""


def _about(entity: Entity) -> str:
    """What of an entity a reader wants beside its state."""
    match entity:
        case Call():
            parties = " ".join(
                f"{party.role}:{party.number or party.leg}={party.state}" for party in entity.parties
            )
            return f"{parties} queue={entity.queue}" if entity.queue else parties
        case Agent():
            return f"{entity.name} {entity.reason}".strip()
        case Pbx():
            return entity.reason
        case _:
            return ""


def _occurrence(occurrence: Occurrence) -> str:
    names = [name for name in Occurrence.__struct_fields__ if name not in ("seq", "at", "name", "pbx")]
    found = [(name, getattr(occurrence, name)) for name in names]
    return " ".join(f"{name}={value}" for name, value in found if value not in ("", None, {}))
