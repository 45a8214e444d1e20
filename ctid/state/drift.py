"""Drift: where a snapshot differs from what had been told, thing by thing, with both sides."""

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from ctid.model.facts import DeviceInfo, Leg, Member, QueueInfo, Snapshot
from ctid.model.ids import LegId
from ctid.model.words import SnapshotReason
from ctid.state.rows import Rows

DRIFTING = frozenset({SnapshotReason.TIMER, SnapshotReason.REQUEST, SnapshotReason.UNREADABLE})
"""Before a snapshot for one of these all that happened has been told: what differs is drift."""

LEG = ("call", "state", "held", "device", "queue", "position", "parked", "conference", "supervision")
MEMBER = (
    "device", "device_state", "paused", "reason", "in_call", "offered", "serving", "penalty",
    "calls_taken", "wrapup_s",
)  # fmt: skip
DEVICE = ("state", "registration")
QUEUE = ("strategy",)


class Drift(Struct, frozen=True, kw_only=True):
    """One difference. `believed` is what ctid had been told, `found` what the PBX lists; none is absence.

    `kind` is `leg`, `member`, `device` or `queue`; `field` is empty when the thing itself is missing.
    """

    kind: str
    id: str
    field: str = ""
    believed: Any = None
    found: Any = None

    @property
    def name(self) -> str:
        """Its kind in one word, for counting: `leg.state`, `leg.ghost` (believed alone) or `leg.unknown`."""
        if self.field:
            return f"{self.kind}.{self.field}"
        return f"{self.kind}.{'ghost' if self.found is None else 'unknown'}"


def compare(rows: Rows, snapshot: Snapshot) -> list[Drift]:
    """Find every difference between what was told and a snapshot taken while nothing was missed."""
    legs = {leg.id: leg for leg in snapshot.legs}
    found = [*_table("leg", LEG, rows.legs, legs)]
    believed, listed = _heard(rows.legs), _heard(legs)
    found += [
        Drift(kind="leg", id=ident, field="conversation", believed=believed[ident], found=listed[ident])
        for ident in believed.keys() & listed.keys()
        if believed[ident] != listed[ident]
    ]
    members = {(m.queue, agent): m for agent, by_queue in rows.members.items() for m in by_queue.values()}
    found += _table("member", MEMBER, members, {(m.queue, m.agent): m for m in snapshot.members})
    found += _table("device", DEVICE, rows.devices, {device.id: device for device in snapshot.devices})
    found += _table("queue", QUEUE, rows.queues, {queue.id: queue for queue in snapshot.queues})
    return sorted(found, key=lambda drift: (drift.kind, drift.id, drift.field))


def _heard(legs: Mapping[LegId, Leg]) -> dict[LegId, list[LegId]]:
    """Who shares a conversation with whom; its name may differ between two ways of knowing it."""
    together: dict[str, list[LegId]] = {}
    for leg in legs.values():
        if leg.conversation is not None:
            together.setdefault(leg.conversation, []).append(leg.id)
    return {
        leg.id: sorted(together[leg.conversation]) if leg.conversation is not None else []
        for leg in legs.values()
    }


def _table(
    kind: str,
    fields: tuple[str, ...],
    believed: Mapping[Hashable, Leg | Member | DeviceInfo | QueueInfo] | Any,
    listed: Mapping[Hashable, Leg | Member | DeviceInfo | QueueInfo] | Any,
) -> Iterator[Drift]:
    for ident in {**believed, **listed}:
        mine, theirs = believed.get(ident), listed.get(ident)
        name = "/".join(ident) if isinstance(ident, tuple) else str(ident)
        if mine is None or theirs is None:
            yield Drift(
                kind=kind, id=name, believed=None if mine is None else "there", found=theirs and "there"
            )
            continue
        for field in fields:
            left, right = getattr(mine, field), getattr(theirs, field)
            if left != right:
                yield Drift(kind=kind, id=name, field=field, believed=left, found=right)
