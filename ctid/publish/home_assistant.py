"""Home Assistant's MQTT discovery: one device for the site, with few entities, which it then shows by itself.

By the device's discovery message (home-assistant.io, integration MQTT, "Device discovery payload"), which is
retained on `<prefix>/device/<id>/config`. Links, waiting callers and whether ctid is there are read from its
own topics; what no entity's document says, how many calls there are and how agents stand, is at `…/totals`.
"""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import msgspec

from ctid import __version__
from ctid.config import MqttConfig
from ctid.events.documents import Documents
from ctid.events.structs import Totals
from ctid.events.topics import Topics
from ctid.model.entities import Agent, Call, Entity, Pbx, Queue
from ctid.model.instant import Instant
from ctid.state.changes import Change

TOTALS = "totals"


def _topics_of(topics: Topics, prefix: str) -> tuple[str, str]:
    """The topic of the discovery message, and that of the totals."""
    return f"{prefix}/device/{_id(topics.client)}/config", topics.standing(TOTALS)


class HomeAssistant:
    """Follows the entities; `next` gives what is to be retained anew."""

    def __init__(self, topics: Topics, documents: Documents, prefix: str) -> None:
        self._topics = topics
        self._documents = documents
        self._id = _id(topics.client)
        self._config_topic, self._totals_topic = _topics_of(topics, prefix)
        self._known: dict[tuple[str, str], Entity] = {}
        self._gone: dict[str, dict[str, str]] = {}
        self._said: dict[str, Any] = {}
        self._counted: Totals | None = None
        self._moved = True

    def replace(self, entities: Iterable[Entity]) -> None:
        """Take a snapshot."""
        self._known = {(entity.kind, entity.id): entity for entity in entities if _concerns(entity)}
        self._moved = True

    def apply(self, change: Change) -> None:
        """Take in a change."""
        if not _concerns(change.entity):
            return
        self._moved = True
        key = (change.kind, change.entity.id)
        if change.new is None:
            self._known.pop(key, None)
        else:
            self._known[key] = change.new

    def again(self) -> None:
        """Say all of it again: the broker may have lost it."""
        self._said, self._counted, self._moved = {}, None, True

    def next(self, seq: int, at: Instant) -> tuple[str, bytes] | None:
        """The next topic and document to be retained, or none while they are as they were said."""
        if not self._moved:
            return None
        components = self._components()
        if components != self._said:
            for name in self._said.keys() - components.keys():
                self._gone[name] = {"platform": str(self._said[name]["platform"])}
            self._said = components
            return self._config_topic, msgspec.json.encode(self._config(components))
        totals = self._totals()
        if totals != self._counted:
            self._counted = totals
            return self._totals_topic, self._documents.standing(TOTALS, totals, seq, at)
        self._moved = False
        return None

    def _totals(self) -> Totals:
        known = self._known.values()
        return Totals(
            calls=sum(isinstance(entity, Call) for entity in known),
            waiting=sum(len(entity.waiting) for entity in known if isinstance(entity, Queue)),
            agents=dict(sorted(Counter(e.state for e in known if isinstance(e, Agent)).items())),
        )

    def _config(self, components: dict[str, Any]) -> dict[str, Any]:
        # One that is gone is named once more, with its platform alone: so it is removed there.
        gone = {name: told for name, told in self._gone.items() if name not in components}
        return {
            "device": {
                "identifiers": [self._id],
                "name": f"ctid {self._documents.site}",
                "manufacturer": "ctid",
                "sw_version": __version__,
            },
            "origin": {"name": "ctid", "sw_version": __version__},
            "availability_topic": self._topics.status,
            "availability_template": "{{ value_json.state }}",
            "qos": 1,
            "components": {**components, **gone},
        }

    def _components(self) -> dict[str, Any]:
        found = {
            "calls": self._sensor("calls", "Live calls", self._totals_topic, "value_json.calls"),
            "agents_ready": self._sensor(
                "agents_ready", "Agents ready", self._totals_topic, "value_json.agents.ready | default(0)"
            ),
        }
        for entity in self._known.values():
            name = f"{entity.kind}_{_id(entity.id)}"
            topic = self._topics.entity(entity)
            if isinstance(entity, Pbx):
                found[name] = {
                    "platform": "binary_sensor",
                    "unique_id": f"{self._id}_{name}",
                    "name": f"Link {entity.id}",
                    "device_class": "connectivity",
                    "entity_category": "diagnostic",
                    "state_topic": topic,
                    "value_template": "{{ 'ON' if value_json.state == 'connected' else 'OFF' }}",
                }
            elif isinstance(entity, Queue):
                text = f"{entity.name or entity.id} waiting"
                found[name] = self._sensor(name, text, topic, "value_json.waiting | count")
        return found

    def _sensor(self, name: str, text: str, topic: str, value: str) -> dict[str, Any]:
        return {
            "platform": "sensor",
            "unique_id": f"{self._id}_{name}",
            "name": text,
            "state_class": "measurement",
            "state_topic": topic,
            "value_template": f"{{{{ {value} }}}}",
        }


def topics_and_home(
    config: MqttConfig, site: str, documents: Documents
) -> tuple[Topics, HomeAssistant | None]:
    """The topics of a site, and what Home Assistant is told; while it is off, what it was told once goes."""
    topics = Topics(config.base, site)
    if config.home_assistant:
        return topics, HomeAssistant(topics, documents, config.home_assistant_prefix)
    discarded = _topics_of(topics, config.home_assistant_prefix)
    return Topics(config.base, site, discarded), None


def _concerns(entity: Entity) -> bool:
    return isinstance(entity, Pbx | Queue | Agent | Call)


def _id(text: str) -> str:
    """Fit for a discovery topic, which takes letters, digits, `_` and `-`."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", text)
