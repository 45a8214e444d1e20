"""The floor as a stream of changes tells it; pure."""

from typing import Any

from ctid.client.following import Change, Item, Reset
from ctid.client.structs import KINDS, Agent, Call, Device, Entity, Help, Pbx, Queue, Supervision


class Mirror:
    """Entities by their ids, a dict for each kind, kept by `apply`. `seq` is the last number it has taken."""

    def __init__(self) -> None:
        self.seq = 0
        self.boot_id = ""
        self.pbxs: dict[str, Pbx] = {}
        self.agents: dict[str, Agent] = {}
        self.devices: dict[str, Device] = {}
        self.queues: dict[str, Queue] = {}
        self.calls: dict[str, Call] = {}
        self.supervisions: dict[str, Supervision] = {}
        self.helps: dict[str, Help] = {}

    def table(self, kind: str) -> dict[str, Any]:
        """The entities of a kind, by the word that a change has for it; raises KeyError."""
        found: dict[str, Any] = getattr(self, f"{KINDS[kind].__name__.lower()}s")
        return found

    def apply(self, item: Item) -> None:
        """Take the next item of a stream."""
        match item:
            case Reset():
                for kind in KINDS:
                    self.table(kind).clear()
                for entity in item.entities:
                    self.table(_KIND_OF[type(entity)])[entity.id] = entity
                self.boot_id = item.boot_id
            case Change(entity=None):
                self.table(item.kind).pop(item.id, None)
            case Change():
                self.table(item.kind)[item.id] = item.entity
        self.seq = item.seq


_KIND_OF: dict[type[Entity], str] = {entity: kind for kind, entity in KINDS.items()}
