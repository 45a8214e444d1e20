"""The names of topics: `<base>/<site>/…`, and nothing that MQTT would read as a wildcard."""

from ctid.model.entities import Entity
from ctid.model.ids import safe_id

EVENT_EXPIRY_S = 3600
"""A broker keeps an event for absent readers for so long (MQTT 5.0, 3.3.2.3.3)."""

FOLDERS = {
    "pbx": "pbx",
    "agent": "agents",
    "device": "devices",
    "queue": "queues",
    "call": "calls",
    "supervision": "supervisions",
    "help": "help",
}
"""Where the entities of each kind are; a PBX has its link there, so the word stays singular."""


def level(text: str) -> str:
    """Return `text` if it can be one level of a topic.

    Raises:
        ValueError: it is empty, or has a character that is not safe there (MQTT 5.0, 4.7.1).
    """
    if safe_id(text) != text:
        raise ValueError(f"{text!r} is not fit for a level of a topic: make it safe with safe_id")
    return text


def path_of(entity: Entity) -> str:
    """`<folder>/<id>`: where an entity is below the site, and the subject of its events."""
    return f"{FOLDERS[entity.kind]}/{level(entity.id)}"


class Topics:
    """The topics of one site. `base` may have several levels.

    `discarded` are further topics on which an earlier run may have left what is not told any more.
    """

    def __init__(self, base: str, site: str, discarded: tuple[str, ...] = ()) -> None:
        self.root = "/".join([level(part) for part in (*base.split("/"), site)])
        self.status = f"{self.root}/status"
        self.audit = f"{self.root}/audit"
        self.entities = (*[f"{self.root}/{folder}/+" for folder in FOLDERS.values()], *discarded)
        """Filters that match each topic where something may be that is to go, and no event's."""
        self.client = self.root.replace("/", "-")
        """The client identifier. It is always the same, so that a connection that hangs half open is
        taken over (MQTT 5.0, 3.1.4) before its last will could overwrite what the next one says."""

    def entity(self, entity: Entity) -> str:
        """Where the retained document of an entity is."""
        return f"{self.root}/{path_of(entity)}"

    def standing(self, name: str) -> str:
        """Where a document is that stands while ctid runs, such as `periods`."""
        return f"{self.root}/{level(name)}"

    def event(self, name: str) -> str:
        """Where events of a type are told; `name` is the type without `ctid.`."""
        return f"{self.root}/events/{level(name)}"
