"""What one client of the event stream is told: its filter, its role's view, and the messages."""

from collections.abc import Iterable
from typing import Any

from msgspec import Raw, Struct

from ctid.api.views import Sight
from ctid.model.entities import ENTITIES, Agent, Call, Device, Entity, Help, Pbx, Queue, Supervision
from ctid.model.errors import InvalidRequest
from ctid.model.ids import AgentId, CallId, LegId, PbxId, QueueId, SupervisionId
from ctid.model.instant import Instant
from ctid.state.changes import Change, Occurrence, Update, alike
from ctid.state.store import Store

OCCURRENCE = "occurrence"
KINDS = (*(entity.kind for entity in ENTITIES), OCCURRENCE)


class SnapshotMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="snapshot"):
    """The first message: all entities that the filter lets through; what follows comes after `seq`."""

    seq: int
    boot_id: str
    at: Instant
    entities: dict[str, list[Entity]]
    """By kind in the plural; kinds that the filter or the role leaves out have no key."""


class ResumedMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="resumed"):
    """The first message of a stream that goes on after `after`: nothing was missed."""

    after: int
    boot_id: str
    at: Instant


class ChangeMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="change"):
    """An entity came or is other than it was; `entity` is none when it is gone from this stream's view."""

    seq: int
    at: Instant
    kind: str
    id: str
    entity: Entity | None


class OccurrenceMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="occurrence"):
    """Something happened that no entity's state tells: see `name`."""

    seq: int
    at: Instant
    name: str
    """Of a caller in a queue: `caller_queued`, `caller_answered`, `caller_abandoned`, `caller_left`,
    `offer_missed`, `call_served`. Of a call: `call_transferred`, `call_picked_up`, `call_parked`,
    `call_retrieved`. For those who supervise: `supervision_key`, a supervisor pressed a key of her phone;
    `monitoring_seen`, somebody listens, and not through ctid; `help_asked` by a code of the PBX;
    `sheet_written` about an agent. `state_drifted`: a snapshot differed from what had been told, and was
    believed. `agent_message`: a user has a text for an agent."""
    pbx: PbxId
    call: CallId | None
    leg: LegId | None
    """Whose leg it happened to: in a queue the caller's."""
    queue: QueueId | None
    agent: AgentId | None
    supervision: SupervisionId | None
    by: str
    """Who ended a served call (`caller`, `agent`, `transfer`), why a caller left, how a call was transferred,
    which key was pressed, the kind of a drift, who listens, who a text is from."""
    to: str
    """The number a call was transferred to, where it was parked, what drifted, the sheet's id; how somebody
    listens: `spy`, `snoop`."""
    text: str
    """What a message to an agent says; empty to viewers."""
    figures: dict[str, float]
    """The numbers of it, with their unit in the name."""


class HeartbeatMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="heartbeat"):
    """Nothing of this stream's view changed for a while; all up to `seq` has been told."""

    seq: int
    at: Instant


class ReplyMessage(Struct, frozen=True, kw_only=True, tag_field="type", tag="reply", omit_defaults=True):
    """The answer to an operation: `result`, or `problem`. `id` is the request's, none when it had none."""

    id: int | str | None
    status: int
    result: Raw | None = None
    problem: Raw | None = None
    replayed: bool = False
    """It is the answer that the request's `key` got before; nothing was done this time."""


Message = SnapshotMessage | ResumedMessage | ChangeMessage | OccurrenceMessage | HeartbeatMessage


class Filter(Struct, frozen=True, kw_only=True):
    """Which updates a client wants; an empty set wants all."""

    kinds: frozenset[str] = frozenset()
    teams: frozenset[str] = frozenset()
    ids: frozenset[str] = frozenset()


class StreamRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The query of a stream; lists are separated by commas."""

    kind: str = ""
    team: str = ""
    id: str = ""
    after: int | None = None
    boot_id: str = ""

    def filter(self) -> Filter:
        """The filter that was asked for.

        Raises:
            InvalidRequest: a kind is unknown, or `after` and `boot_id` are not both there.
        """
        kinds = _listed(self.kind)
        if unknown := kinds.difference(KINDS):
            known = ", ".join(KINDS)
            raise InvalidRequest(f"kind {min(unknown)!r} is not one of {known}", field="kind")
        if (self.after is None) != (not self.boot_id):
            lacks = "after" if self.after is None else "boot_id"
            raise InvalidRequest(f"to resume, give after and boot_id both; {lacks} is missing", field=lacks)
        return Filter(kinds=kinds, teams=_listed(self.team), ids=_listed(self.id))


def _listed(text: str) -> frozenset[str]:
    return frozenset(part for part in text.split(",") if part)


class Audience:
    """One client: what of the updates it is told, by what its user may see and by its filter."""

    def __init__(self, sight: Sight, wanted: Filter, store: Store) -> None:
        self._sight = sight
        self._wanted = wanted
        self._store = store

    def snapshot(self, entities: Iterable[Entity], *, seq: int, boot_id: str, at: Instant) -> SnapshotMessage:
        """The first message of a stream that begins."""
        tables: dict[str, list[Entity]] = {
            f"{kind}s": []
            for kind in KINDS
            if kind != OCCURRENCE and self._wants(kind) and self._sight.sees_kind(kind)
        }
        for entity in entities:
            seen = self._seen(entity)
            if seen is not None:
                tables[f"{seen.kind}s"].append(seen)
        return SnapshotMessage(seq=seq, boot_id=boot_id, at=at, entities=tables)

    def told(self, update: Update) -> ChangeMessage | OccurrenceMessage | None:
        """The message for an update, or none: it changes nothing that this client sees.

        An entity that leaves the client's view, because a team's agent left the call for instance, is
        told as gone.
        """
        if isinstance(update, Occurrence):
            seen = self._sight.occurrence(update) if self._wants_occurrence(update) else None
            return self._occurrence(seen) if seen is not None else None
        return self._change(update)

    def _change(self, change: Change) -> ChangeMessage | None:
        old = self._seen(change.old) if change.old is not None else None
        new = self._seen(change.new) if change.new is not None else None
        # Equal: what changed is what this role must not see, and silence is part of not seeing it.
        if alike(old, new):
            return None
        return ChangeMessage(seq=change.seq, at=change.at, kind=change.kind, id=change.entity.id, entity=new)

    def _occurrence(self, occurrence: Occurrence) -> OccurrenceMessage:
        told: dict[str, Any] = {name: getattr(occurrence, name) for name in Occurrence.__struct_fields__}
        return OccurrenceMessage(**told)

    def _seen(self, entity: Entity) -> Entity | None:
        wanted = self._wanted
        if not self._wants(entity.kind) or (wanted.ids and entity.id not in wanted.ids):
            return None
        if wanted.teams and not self._of_teams(entity):
            return None
        return self._sight.entity(entity)

    def _wants(self, kind: str) -> bool:
        return not self._wanted.kinds or kind in self._wanted.kinds

    def _wants_occurrence(self, occurrence: Occurrence) -> bool:
        wanted = self._wanted
        if not self._wants(OCCURRENCE):
            return False
        about = {occurrence.call, occurrence.queue, occurrence.agent, occurrence.supervision} - {None}
        if wanted.ids and wanted.ids.isdisjoint(about):
            return False
        if not wanted.teams:
            return True
        if occurrence.agent is not None:
            return self._agent_of_teams(occurrence.agent)
        return self._queue_of_teams(occurrence.queue)

    def _of_teams(self, entity: Entity) -> bool:
        """Links concern every team; a queue concerns the teams of its members, a call those of its agents."""
        match entity:
            case Pbx():
                return True
            case Agent():
                return entity.team in self._wanted.teams
            case Queue():
                return self._queue_of_teams(entity.id)
            case Call():
                in_queue = entity.queue is not None and not any(party.agent for party in entity.parties)
                return any(self._agent_of_teams(party.agent) for party in entity.parties) or (
                    in_queue and self._queue_of_teams(entity.queue)
                )
            case Device() | Supervision() | Help():
                return self._agent_of_teams(entity.agent)

    def _agent_of_teams(self, ident: AgentId | None) -> bool:
        agent = self._store.agents.get(ident) if ident is not None else None
        return agent is not None and agent.team in self._wanted.teams

    def _queue_of_teams(self, ident: QueueId | None) -> bool:
        return any(
            agent.team in self._wanted.teams
            for agent in self._store.agents.values()
            if any(membership.queue == ident for membership in agent.queues)
        )
