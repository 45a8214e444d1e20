"""Enforces after-call work: pauses whoever begins it, resumes her when it ends, mends what is left of it."""

import structlog
from msgspec.structs import replace

from ctid.agents.commander import Commander
from ctid.agents.enforcement import Memory, missing, observed
from ctid.agents.service import work_set
from ctid.hub import Hub
from ctid.model.entities import Agent
from ctid.model.errors import PbxUnavailable
from ctid.model.ids import AgentId
from ctid.ports import Clock
from ctid.state.changes import Change
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

RETRY_S = 5.0
"""After a command that failed: nobody stays paused because of one answer that did not come."""


class Enforcer:
    """Follows the state and keeps each agent's pauses in step with her after-call work.

    `reason` is that of its pauses. Whatever it does is decided anew by what the state shows, so that it
    needs no memory of its own over a restart.
    """

    def __init__(self, hub: Hub, commander: Commander, reason: str, clock: Clock) -> None:
        self._hub = hub
        self._commander = commander
        self._reason = reason
        self._clock = clock
        self._memories: dict[AgentId, Memory] = {}
        self._due: set[AgentId] = set()
        self._at_work: set[AgentId] = set()

    async def run(self) -> None:
        """Enforce for ever; each agent by herself, so that none waits for another's PBX."""
        tasks = TaskOwner()
        try:
            tasks.spawn("after-call work", self._follow(tasks))
            await tasks.wait_failed()
        finally:
            await tasks.close()

    async def _follow(self, tasks: TaskOwner) -> None:
        subscription = self._hub.subscribe("after-call work", kinds=frozenset({Agent.kind}))
        try:
            for entity in subscription.entities:
                if isinstance(entity, Agent):
                    self._look_at(entity, tasks)
            async for update in subscription:
                if isinstance(update, Change) and isinstance(update.new, Agent):
                    self._look_at(update.new, tasks)
        finally:
            self._hub.unsubscribe(subscription)

    def _look_at(self, agent: Agent, tasks: TaskOwner) -> None:
        memory = observed(agent, self._reason, self._memories.pop(agent.id, None))
        if memory is not None:
            self._memories[agent.id] = memory
        self._due.add(agent.id)
        if agent.id not in self._at_work:
            self._at_work.add(agent.id)
            tasks.spawn(f"after-call work of {agent.id}", self._keep(agent.id))

    async def _keep(self, ident: AgentId) -> None:
        try:
            while ident in self._due:
                self._due.discard(ident)
                if not await self._in_step(ident):
                    await self._hub.until(lambda: ident in self._due, RETRY_S)
                    self._due.add(ident)
        finally:
            self._at_work.discard(ident)

    async def _in_step(self, ident: AgentId) -> bool:
        """Do for her what is missing; false when it has to be tried again."""
        async with self._commander.turn(ident):
            agent = self._hub.store.agents.get(ident)
            if agent is None or agent.stale:
                return True  # once the link is back she is told anew
            memory, work = self._memories.get(ident), agent.after_call_work
            if memory is not None and memory.over and work is not None and work.since == memory.since:
                log.info("after-call work ended by a resumption", agent=ident)
                await self._hub.feed([work_set(agent, None, self._clock)])
            commands = missing(agent, self._reason, memory)
            if memory is not None and commands:
                asked = memory.asked | {command.queue for command in commands}
                self._memories[ident] = replace(memory, asked=asked)
            try:
                outcome = await self._commander.carry_out(agent.pbx, commands)
            except PbxUnavailable as error:
                log.warning("after-call work not enforced", agent=ident, code=error.code, reason=error.detail)
                return True
            for queue, failure in outcome.failed.items():
                log.warning(
                    "after-call work not enforced",
                    agent=ident,
                    queue=queue,
                    code=failure.code,
                    reason=failure.detail,
                )
            # A pause that failed came too late already; one that has not ended keeps her from her work.
            return not outcome.failed or agent.after_call_work is not None
