"""What is on the brokers of the rigs, all of it, held against what is published about the bus.

A rig that has `watcher` among its services, before the daemon, has a program that keeps every message. After
each test what came is validated by the generated AsyncAPI document, strictly: a field that it does not tell
of is a fault as well. What was seen is gathered over the session.
"""

import asyncio
import json
import re
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jsonschema
import msgspec

from ctid.api import asyncapi
from e2e.bus_process import SUBSCRIBED, Heard
from helpers.patience import until
from lab.rig import Rig, Service

_INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"
_LEVEL = {"{base}": "ctid", "{site}": "lab", "{id}": "[^/]+", "{client}": "[^/]+(/.+)?"}


SUITES = frozenset(
    {
        *(path.stem for path in Path(__file__).parent.glob("test_scenarios_*.py")),
        "test_agent_commands",
        "test_audit",
        "test_call_acts",
        "test_documented",
        "test_help",
        "test_home_assistant",
        "test_sessions",
        "test_state",
        "test_supervision",
    }
)
"""The modules that together show every message."""
LOOKS_BACK = "test_every_documented_message_was_seen"
"""The test that comes last."""


class Rules:
    """The document, made strict, for one message after the other."""

    def __init__(self) -> None:
        document = json.loads(json.dumps(asyncapi.document("")))
        schemas = {name: _strict(schema) for name, schema in document["components"]["schemas"].items()}
        self._messages = {
            name: jsonschema.Draft202012Validator(
                {"$ref": message["payload"]["$ref"], "components": {"schemas": schemas}}
            )
            for name, message in document["components"]["messages"].items()
        }
        self._content = {
            name: told["contentType"] for name, told in document["components"]["messages"].items()
        }
        self._channels = [
            (re.compile(_pattern(channel["address"])), name, list(channel["messages"]))
            for name, channel in document["channels"].items()
        ]
        self._sent = {
            told["channel"]["$ref"].rpartition("/")[2]: told["bindings"]["mqtt"]
            for told in document["operations"].values()
            if told["action"] == "send"
        }
        self.documented = frozenset(self._messages)
        """The names of every message that is documented."""

    def judge(self, heard: Heard) -> tuple[str, str]:
        """The name of the message that it is, and what is wrong with it; either may be empty.

        An empty payload removes what was retained, and is no message. What a client asks is its own affair.
        """
        found = [each for each in self._channels if each[0].fullmatch(heard.topic)]
        if not found:
            return "", "" if heard.topic.startswith("homeassistant/") else "no channel is documented there"
        _, channel, names = found[0]
        if f"reply.{heard.topic.rpartition('/')[2]}" in names:
            # Who asks several things at once has each answered on a topic of its own.
            names = [f"reply.{heard.topic.rpartition('/')[2]}"]
        binding = self._sent.get(channel)
        if binding is not None and (heard.qos, heard.retain) != (binding["qos"], binding["retain"]):
            return "", f"it came with qos {heard.qos}, retain {heard.retain}; {binding} is documented"
        if not heard.payload:
            return "", "" if binding is not None and binding["retain"] else "it is empty"
        try:
            payload = json.loads(heard.payload)
        except ValueError:
            return "", "" if channel.startswith("command.") else "it is no JSON"
        wrong = []
        for name in names:
            error = jsonschema.exceptions.best_match(self._messages[name].iter_errors(payload))
            if error is None:
                return name, self._beside(name, heard)
            wrong.append(f"{name} {error.json_path}: {error.message[:300]}")
        return "", "" if channel.startswith("command.") else "; ".join(wrong[:3])

    def _beside(self, name: str, heard: Heard) -> str:
        told, wanted = heard.content_type, self._content[name]
        # A client may leave it out of what it asks.
        is_good = told == wanted or (name.startswith("command.") and not told)
        return "" if is_good else f"its content type is {told!r}, not {wanted}"


class Watch:
    """What one rig's watcher has kept, read on from where it was left."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = 0

    def come(self) -> Iterator[Heard]:
        """The messages that came since the last time; none once the rig is gone."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    return  # it is being written
                self._at += len(line)
                if line.startswith(b"{"):
                    yield msgspec.json.decode(line, type=Heard)


class Session:
    """All rigs of the test session."""

    def __init__(self) -> None:
        self.watches: list[Watch] = []
        self.seen: dict[str, int] = {}
        """How often each documented message was seen."""
        self.ran: set[str] = set()
        """The modules of which tests ran."""
        self.partial: set[str] = set()
        """Those of which some did not."""
        self._rules: Rules | None = None

    @property
    def rules(self) -> Rules:
        """Made once, by the first who needs them."""
        if self._rules is None:
            self._rules = Rules()
        return self._rules

    def check(self) -> list[str]:
        """Judge what came since the last time, and return what is wrong with it."""
        faults = []
        for watch in self.watches:
            for heard in watch.come():
                name, fault = self.rules.judge(heard)
                if name:
                    self.seen[name] = self.seen.get(name, 0) + 1
                if fault:
                    faults.append(f"{heard.topic}: {fault}\n  {heard.payload[:500]}")
        return faults


SESSION = Session()
PROGRAM = Path(__file__).with_name("bus_process.py")


def watcher(rig: Rig) -> Service:
    """The program that keeps what is on the broker of a rig; ready when it has subscribed."""
    kept = rig.paths.log / "bus.out"
    SESSION.watches.append(Watch(kept))
    return Service(
        name="bus",
        argv=[sys.executable, str(PROGRAM), str(rig.ports.mqtt)],
        ready=lambda: kept.exists() and SUBSCRIBED in kept.read_text(),
    )


@asynccontextmanager
async def watching(port: int, folder: Path) -> AsyncIterator[None]:
    """Keep all that is on a broker that is in no rig, as long as the context lasts."""
    kept = folder / "bus.out"
    SESSION.watches.append(Watch(kept))
    with kept.open("wb") as file:
        program = await asyncio.create_subprocess_exec(sys.executable, str(PROGRAM), str(port), stdout=file)
        try:
            await until(
                lambda: SUBSCRIBED in kept.read_text(), within=10.0, what="the watcher has subscribed"
            )
            yield
        finally:
            program.kill()
            await program.wait()


def _pattern(address: str) -> str:
    found = re.escape(address)
    for parameter, level in _LEVEL.items():
        found = found.replace(re.escape(parameter), level)
    return found


def _strict(schema: Any) -> Any:
    """The same schema, that takes no field which it does not tell of, and no time of another form."""
    if isinstance(schema, list):
        return [_strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _strict(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict):
        found.setdefault("additionalProperties", False)
    if schema.get("format") == "date-time":
        found["pattern"] = _INSTANT
    return found
