"""Agents are commanded: in and out of queues, pauses, and the work after a call."""

from collections.abc import Callable, Collection, Sequence

import structlog
from msgspec import Struct
from msgspec.structs import replace

from ctid.agents import plan
from ctid.agents.commander import Commander, raise_failure
from ctid.agents.policy import Placement, Policy
from ctid.hub import Hub
from ctid.model.commands import AgentCommand
from ctid.model.entities import Agent, Membership
from ctid.model.errors import AgentPartlyDone, AgentRefused, CtidError, InvalidRequest, NotFound
from ctid.model.facts import AfterCallWorkSet
from ctid.model.ids import AgentId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.model.words import AgentState
from ctid.ports import Clock

log = structlog.get_logger(__name__)

SETTLE_S = 2.0
"""By then what the PBX has done has come back as a fact."""
LONGEST_WORK_S = 3600.0
"""After-call work never ends later than so long from now."""
SOURCE = "command"
"""The source of the facts that ctid itself tells."""

_NOWHERE = Placement()

Queues = Collection[str] | None
"""The ids of queues; none means all of hers."""


class CommandedAgent(Struct, frozen=True, kw_only=True):
    """The agent once a command is in force."""

    agent: Agent
    unconfirmed: bool = False
    """The PBX has carried it out, and the state does not show it after 2 s: look at her again."""


class AgentService:
    """Commands agents. Every command may be given again: what is so already is not sent to the PBX.

    Each answers with the agent as the facts show her then; her own state is never edited. Commands to one
    agent are carried out one after the other.
    """

    def __init__(self, hub: Hub, commander: Commander, policy: Policy, clock: Clock) -> None:
        self._hub = hub
        self._commander = commander
        self._policy = policy
        self._clock = clock

    async def login(self, user: User, ident: AgentId, queues: Queues) -> CommandedAgent:
        """Make her a member of queues: of those named, or of those that the configuration gives her.

        A pause that holds in all her queues holds in the new ones too, with its reason.

        Raises:
            NotFound: there is no such agent or queue.
            InvalidRequest: no queue is named, and the configuration gives her none.
            AgentPartlyDone: done in some queues only.
            CtidError: the PBX refused, or cannot be reached.
        """
        async with self._commander.turn(ident):
            agent = self._agent(ident)
            plan.check_queues(queues, self._hub.store.queues)
            placement = self._policy.placements.get(ident, _NOWHERE)
            commands = plan.logins(agent, placement, queues)
            return await self._commanded(
                user, "login", agent, commands, lambda now: plan.is_logged_in(now, commands)
            )

    async def logout(self, user: User, ident: AgentId, queues: Queues) -> CommandedAgent:
        """End her memberships: of the queues named, or all. A call that she is in goes on.

        Raises as `login`; a queue that she is not in is left already.
        """
        async with self._commander.turn(ident):
            agent = self._agent(ident)
            plan.check_queues(queues, self._hub.store.queues)
            commands = plan.logouts(agent, queues)
            left = {command.queue for command in commands}
            return await self._commanded(
                user, "logout", agent, commands, lambda now: not left & {m.queue for m in now.queues}
            )

    async def pause(self, user: User, ident: AgentId, queues: Queues, reason: str) -> CommandedAgent:
        """Have queues offer her no more calls, for a reason; paused already, she is for this reason then.

        A call that she is in, or that rings at her, goes on: until it is over her state has `not_ready` as
        `pending`.

        Raises:
            NotFound: there is no such agent or queue.
            InvalidRequest: the reason is not one that the configuration allows.
            AgentRefused: she is in no queue (`agent.logged_out`), or not in this one (`agent.not_a_member`).
            AgentPartlyDone: done in some queues only.
            CtidError: the PBX refused, or cannot be reached.
        """
        plan.check_reason(reason, self._policy)
        async with self._commander.turn(ident):
            agent, meant = self._meant(ident, queues)
            commands = plan.pauses(agent, meant, reason)
            asked = {command.queue for command in commands}
            return await self._commanded(
                user,
                "pause",
                agent,
                commands,
                lambda now: all(plan.is_paused(m, reason) for m in now.queues if m.queue in asked),
            )

    async def resume(self, user: User, ident: AgentId, queues: Queues) -> CommandedAgent:
        """End her pauses. After-call work goes on, unless the pause that ends is the one that enforces it.

        Raises as `pause`.
        """
        async with self._commander.turn(ident):
            agent, meant = self._meant(ident, queues)
            enforced = self._policy.work_reason
            if agent.after_call_work and enforced and any(plan.is_paused(m, enforced) for m in meant):
                await self._set_work(agent, None)
            commands = plan.resumptions(agent, meant)
            asked = {command.queue for command in commands}
            return await self._commanded(
                user,
                "resume",
                agent,
                commands,
                lambda now: not any(m.paused for m in now.queues if m.queue in asked),
            )

    async def end_after_call_work(self, user: User, ident: AgentId) -> CommandedAgent:
        """End her after-call work; where it is enforced, her pause for it ends as well.

        Raises:
            NotFound: there is no such agent.
        """
        agent = self._agent(ident)
        if agent.after_call_work is not None:
            await self._set_work(agent, None)
            self._log(user, "end after-call work", agent)
        # Not within her turn: the enforcer ends the pause in its own.
        reason = self._policy.work_reason
        return await self._settled(
            agent,
            lambda now: (
                now.after_call_work is None
                and not (reason and any(plan.is_paused(m, reason) for m in now.queues))
            ),
        )

    async def extend_after_call_work(self, user: User, ident: AgentId, seconds: float) -> CommandedAgent:
        """Let her after-call work end so many seconds later.

        Raises:
            NotFound: there is no such agent.
            AgentRefused: she does none now (`agent.not_in_after_call_work`).
            InvalidRequest: `seconds` is not above 0, or its end would be more than an hour away.
        """
        agent = self._agent(ident)
        work = agent.after_call_work
        if work is None:
            raise AgentRefused(
                "not_in_after_call_work", f"{ident} does no after-call work now: she is {agent.state}"
            )
        ends_at = Instant(work.ends_at + seconds)
        if seconds <= 0 or ends_at - self._clock.now() > LONGEST_WORK_S:
            raise InvalidRequest(
                f"seconds must be above 0, and the end at most {LONGEST_WORK_S:g} s away", field="seconds"
            )
        await self._set_work(agent, ends_at)
        self._log(user, "extend after-call work", agent, seconds=seconds)
        return await self._settled(
            agent, lambda now: now.after_call_work is not None and now.after_call_work.ends_at == ends_at
        )

    # ----------------------------------------------------------------------------------------------

    def _agent(self, ident: AgentId) -> Agent:
        """The agent as she is; one whom only the configuration knows is logged out."""
        agent = self._hub.store.agents.get(ident)
        if agent is not None:
            return agent
        placement = self._policy.placements.get(ident)
        if placement is None:
            raise NotFound("agent", ident)
        return Agent(
            id=ident,
            pbx=self._policy.pbx,
            name=placement.name or ident,
            team=placement.team,
            state=AgentState.LOGGED_OUT,
            since=Instant(self._clock.now()),
        )

    def _meant(self, ident: AgentId, queues: Queues) -> tuple[Agent, tuple[Membership, ...]]:
        agent = self._agent(ident)
        plan.check_queues(queues, self._hub.store.queues)
        return agent, plan.memberships(agent, queues)

    async def _commanded(
        self,
        user: User,
        operation: str,
        agent: Agent,
        commands: Sequence[AgentCommand],
        holds: Callable[[Agent], bool],
    ) -> CommandedAgent:
        queues = [command.queue for command in commands]
        try:
            raise_failure(await self._commander.carry_out(agent.pbx, commands))
        except CtidError as error:
            log.warning(
                "agent command refused",
                operation=operation,
                agent=agent.id,
                by=user.name,
                queues=error.queues if isinstance(error, AgentPartlyDone) else queues,
                code=error.code,
                reason=error.detail,
            )
            raise
        if commands:
            self._log(user, operation, agent, queues=queues)
        return await self._settled(agent, holds)

    async def _settled(self, before: Agent, holds: Callable[[Agent], bool]) -> CommandedAgent:
        def now() -> Agent:
            gone = replace(before, state=AgentState.LOGGED_OUT, queues=())
            return self._hub.store.agents.get(before.id, gone)

        confirmed = await self._hub.until(lambda: holds(now()), SETTLE_S)
        return CommandedAgent(agent=now(), unconfirmed=not confirmed)

    async def _set_work(self, agent: Agent, ends_at: Instant | None) -> None:
        await self._hub.feed([work_set(agent, ends_at, self._clock)])

    def _log(self, user: User, operation: str, agent: Agent, **particulars: object) -> None:
        log.info("agent commanded", operation=operation, agent=agent.id, by=user.name, **particulars)


def work_set(agent: Agent, ends_at: Instant | None, clock: Clock) -> AfterCallWorkSet:
    """The fact that her after-call work has another end, or (none) is over."""
    return AfterCallWorkSet(
        pbx=agent.pbx, at=Instant(clock.now()), agent=agent.id, ends_at=ends_at, source=SOURCE
    )
