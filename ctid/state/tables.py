"""The entities themselves, and the numbering of what happens to them."""

from collections.abc import Iterator
from typing import TypeVar

from msgspec.structs import force_setattr, replace

from ctid.model.entities import Agent, Call, Device, Entity, Help, Pbx, Queue, Supervision
from ctid.model.facts import LinkDown
from ctid.model.ids import AgentId, CallId, DeviceId, HelpId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.words import LinkState
from ctid.state.changes import UNCONFIRMED, Change, Update

_Key = TypeVar("_Key")
_Value = TypeVar("_Value", Pbx, Agent, Device, Queue, Call, Supervision, Help)
_Owned = TypeVar("_Owned", Agent, Device, Queue, Call, Supervision)


class Tables:
    """The entities of every PBX by their ids, the number of the last update, and the updates not told yet."""

    def __init__(self) -> None:
        self.seq = 0
        self.pbxs: dict[PbxId, Pbx] = {}
        self.agents: dict[AgentId, Agent] = {}
        self.devices: dict[DeviceId, Device] = {}
        self.queues: dict[QueueId, Queue] = {}
        self.calls: dict[CallId, Call] = {}
        self.supervisions: dict[SupervisionId, Supervision] = {}
        self.helps: dict[HelpId, Help] = {}
        self._updates: list[Update] = []
        self._confirming = True
        """What is set now is so because the PBX told it, and not because time passed or the link is lost."""

    def entities(self) -> Iterator[Entity]:
        """Every live entity, links first."""
        yield from self.pbxs.values()
        yield from self.queues.values()
        yield from self.agents.values()
        yield from self.devices.values()
        yield from self.calls.values()
        yield from self.supervisions.values()
        yield from self.helps.values()

    def _put(self, table: dict[_Key, _Value], key: _Key, new: _Value | None, at: Instant) -> bool:
        """Set an entity, and tell if it is other than it was. `new` is not known to anybody yet."""
        old = table.get(key)
        equal = old == new
        if new is None:
            if equal:
                return False
            del table[key]
        else:
            if self._confirming and not isinstance(new, UNCONFIRMED):
                force_setattr(new, "confirmed_at", at)
            table[key] = new
            if equal:
                return False
        self.seq += 1
        self._updates.append(Change(seq=self.seq, at=at, old=old, new=new))
        return True

    def _make_stale(self, table: dict[_Key, _Owned], fact: LinkDown) -> None:
        for key, entity in list(table.items()):
            if entity.pbx == fact.pbx:
                self._put(table, key, replace(entity, stale=True), fact.at)

    def _stale(self, pbx: PbxId) -> bool:
        link = self.pbxs.get(pbx)
        return link is not None and link.state is LinkState.DOWN
