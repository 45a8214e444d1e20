"""Whatever happens to the floor and to the connection: a client's mirror is the floor."""

import json
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from ctid.api.dispatch import encoded
from ctid.api.feed import Ring
from ctid.client.following import Following
from ctid.client.mirror import Mirror
from ctid.client.structs import KINDS
from ctid.model.entities import Entity
from ctid.state.changes import Change, Update, alike
from property.test_store import Facts

RING = 12
"""So few that a cut often lasts too long to resume."""


class Mirrored(Facts):
    """The rules of the state, and a client whose connection is cut and whose ctid is started anew."""

    def __init__(self) -> None:
        super().__init__()
        self.boot = 0
        self.ring = Ring(0, RING)
        self.kept = 0
        self.on_the_way: list[bytes] | None = None
        """What the socket holds that the client has not read; none: there is no socket."""
        self.following, self.copy = Following(), Mirror()

    def _serve(self) -> None:
        """What was told since goes into the ring, and to the socket."""
        for update in self.told[self.kept :]:
            self.ring.add(update)
            if self.on_the_way is not None:
                self.on_the_way += _messages(update)
        self.kept = len(self.told)

    @rule(count=st.integers(1, 30))
    def the_client_reads(self, count: int) -> None:
        """It takes some of what came, and connects where it has no socket."""
        self._serve()
        if self.on_the_way is None:
            self.on_the_way = self._begun(self.following.query())
        read, self.on_the_way = self.on_the_way[:count], self.on_the_way[count:]
        for text in read:
            before = self.copy.seq
            item = self.following.take(text)
            if item is not None:
                self.copy.apply(item)
                assert item.seq > before or hasattr(item, "reason")

    def _begun(self, query: dict[str, Any]) -> list[bytes]:
        """The first messages of a socket, as the server's contract says."""
        if query.get("boot_id") == str(self.boot):
            missed = self.ring.between(query["after"], self.store.seq)
            if missed is not None:
                told = [text for update in missed for text in _messages(update)]
                return [
                    encoded({"type": "resumed", "after": query["after"], "boot_id": str(self.boot)}),
                    *told,
                ]
        entities: dict[str, list[Entity]] = {f"{kind}s": [] for kind in KINDS}
        for entity in self.store.entities():
            entities[f"{entity.kind}s"].append(entity)
        snapshot = {"type": "snapshot", "seq": self.store.seq, "boot_id": str(self.boot)}
        return [encoded({**snapshot, "entities": entities})]

    @precondition(lambda self: self.on_the_way is not None)
    @rule()
    def the_connection_is_cut(self) -> None:
        """What was on the way is lost."""
        self._serve()
        self.on_the_way = None

    @rule()
    def ctid_is_started_anew(self) -> None:
        """It has another boot id, and keeps nothing of what it told before."""
        self._serve()
        self.boot += 1
        self.ring = Ring(self.store.seq, RING)
        self.on_the_way = None

    @rule()
    def the_mirror_is_the_floor(self) -> None:
        """Once the client has read all, it has what the store has."""
        self.the_client_reads(count=1)
        self.the_client_reads(count=len(self.on_the_way or ()))
        for kind in KINDS:
            mine = {ident: _told(entity) for ident, entity in self.copy.table(kind).items()}
            assert mine == {
                entity.id: _told(entity) for entity in self.store.entities() if entity.kind == kind
            }

    def teardown(self) -> None:
        """However it ends."""
        self.the_mirror_is_the_floor()


def _messages(update: Update) -> list[bytes]:
    """What a client without a filter is told."""
    if not isinstance(update, Change):
        told = {name: getattr(update, name) for name in update.__struct_fields__}
        return [encoded({"type": "occurrence", **told})]
    if alike(update.old, update.new):
        return []
    told = {"seq": update.seq, "kind": update.kind, "id": update.entity.id, "entity": update.new}
    return [encoded({"type": "change", **told})]


def _told(entity: Any) -> dict[str, Any]:
    """The document of an entity, without the time of its last confirmation, which moves untold."""
    document: dict[str, Any] = json.loads(encoded(entity))
    document.pop("confirmed_at", None)
    return document


TestMirrored = Mirrored.TestCase
"""Any order of these rules."""
TestMirrored.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
