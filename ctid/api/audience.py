"""What one client of the event stream is told: by its filter, and by what its user may see. Pure."""

from collections.abc import Iterable
from typing import Any

from ctid.api.stream import (
    KINDS,
    OCCURRENCE,
    Begun,
    ChangeMessage,
    Filter,
    OccurrenceMessage,
    SnapshotMessage,
)
from ctid.api.views import Sight
from ctid.model.entities import Agent, Call, Device, Entity, Help, Pbx, Queue, Supervision
from ctid.model.ids import AgentId, QueueId
from ctid.model.instant import Instant
from ctid.state.changes import Change, Occurrence, Update, alike
from ctid.state.store import Store

OF_NO_QUEUE = frozenset({Device.kind, Supervision.kind, Help.kind})
"""Kinds that bear no queue: when their agent left hers, nothing would tell that they went with her."""


class Audience:
    """One client: what of the updates it is told, by what its user may see and by its filter."""

    def __init__(self, sight: Sight, wanted: Filter, store: Store) -> None:
        self._sight = sight
        self._wanted = wanted
        self._store = store

    def snapshot(
        self, entities: Iterable[Entity], *, seq: int, boot_id: str, at: Instant, reason: Begun = "first"
    ) -> SnapshotMessage:
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
        return SnapshotMessage(seq=seq, boot_id=boot_id, at=at, entities=tables, reason=reason)

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
        if (wanted.teams and not self._of_teams(entity)) or (wanted.queues and not self._of_queues(entity)):
            return None
        return self._sight.entity(entity)

    def _wants(self, kind: str) -> bool:
        if self._wanted.queues and kind in OF_NO_QUEUE:
            return False
        return not self._wanted.kinds or kind in self._wanted.kinds

    def _wants_occurrence(self, occurrence: Occurrence) -> bool:
        wanted = self._wanted
        if not self._wants(OCCURRENCE):
            return False
        about = {occurrence.call, occurrence.queue, occurrence.agent, occurrence.supervision} - {None}
        if wanted.ids and wanted.ids.isdisjoint(about):
            return False
        return self._occurred_in_queues(occurrence) and self._occurred_in_teams(occurrence)

    def _occurred_in_queues(self, occurrence: Occurrence) -> bool:
        """What has to do with no queue concerns those of its call, or else those of its agent."""
        wanted = self._wanted.queues
        if not wanted:
            return True
        call = self._store.calls.get(occurrence.call) if occurrence.call is not None else None
        queue = occurrence.queue or (call.queue if call is not None else None)
        return queue in wanted if queue is not None else self._agent_in_queues(occurrence.agent)

    def _occurred_in_teams(self, occurrence: Occurrence) -> bool:
        if not self._wanted.teams:
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
            case _:
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

    def _of_queues(self, entity: Entity) -> bool:
        """Links concern every queue; a call the one it waits in or came from, an agent those she is in."""
        wanted = self._wanted.queues
        if isinstance(entity, Agent):
            return any(membership.queue in wanted for membership in entity.queues)
        if isinstance(entity, Queue):
            return entity.id in wanted
        return not isinstance(entity, Call) or entity.queue in wanted

    def _agent_in_queues(self, ident: AgentId | None) -> bool:
        agent = self._store.agents.get(ident) if ident is not None else None
        return agent is not None and any(m.queue in self._wanted.queues for m in agent.queues)
