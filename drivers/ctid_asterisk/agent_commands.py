"""Agents in and out of queues, paused and resumed, by the queues' own AMI actions.

Each command is idempotent: what is so already is a success. It returns once Asterisk has accepted it; that it
is so, the events tell. Source: Asterisk 22, apps/app_queue.c, manager_add_queue_member and its neighbours.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import assert_never

from ctid.model.commands import AgentCommand, LogInAgent, LogOutAgent, PauseAgent, ResumeAgent
from ctid.model.errors import PbxRefused
from ctid.model.ids import AgentId, QueueId
from ctid_asterisk import actions
from ctid_asterisk.actions import Action
from ctid_asterisk.outs import Reply
from ctid_asterisk.roster import Known, Roster

Act = Callable[[Callable[[], Action]], Awaitable[Reply]]


class AgentCommands:
    """Carries them out on one connection: `act` sends an action, `roster` knows the members."""

    def __init__(self, act: Act, roster: Roster) -> None:
        self._act = act
        self._roster = roster

    async def execute(self, command: AgentCommand) -> None:
        """Carry out a command.

        Raises:
            PbxRefused: there is no such queue or member, a static member is to leave, the AMI user may not,
                or something in the command cannot be said over AMI.
            PbxUnavailable, PbxTimeout: as for every action.
        """
        match command:
            case LogInAgent():
                await self._log_in(command)
            case LogOutAgent():
                await self._log_out(command)
            case PauseAgent():
                await self._pause(command.agent, command.queue, paused=True, reason=command.reason)
            case ResumeAgent():
                await self._pause(command.agent, command.queue, paused=False)
            case _:
                assert_never(command)

    async def _log_in(self, command: LogInAgent) -> None:
        queue = self._queue(command.queue)
        known = self._roster.last_known(command.agent, command.queue)
        if not self._roster.members(command.agent, command.queue):
            if known is not None:
                interface, state = known.interface, known.state_interface
            else:
                interface, state = command.address or f"PJSIP/{command.agent}", ""
            # The penalty that was asked for wins; without one she gets hers of before.
            penalty = command.penalty or (known.penalty if known is not None else 0)
            name = command.name or (known.name if known is not None else "")
            reply = await self._act(
                lambda: actions.queue_add(
                    queue,
                    interface,
                    name=name,
                    # Asterisk tells the interface itself where none was given.
                    state_interface=state if state != interface else "",
                    penalty=penalty,
                    paused=command.paused,
                )
            )
            if not _accepted(reply, "Already there"):
                raise _refused(f"log {command.agent} into {queue}", reply)
            if command.paused and command.reason:
                # Of a member that is added paused, QueueAdd takes no reason.
                await self._set_pause(queue, interface, paused=True, reason=command.reason)
        elif command.paused:
            await self._pause(command.agent, command.queue, paused=True, reason=command.reason)

    async def _log_out(self, command: LogOutAgent) -> None:
        queue = self._queue(command.queue)
        for member in self._roster.members(command.agent, command.queue):
            interface = member.interface
            reply = await self._act(partial(actions.queue_remove, queue, interface))
            if reply.text == "Member not dynamic":
                raise PbxRefused(
                    f"{command.agent} is a static member of the queue {queue!r} (queues.conf: member => "
                    f"{interface}), and static members cannot be logged out: pause her instead, or take the "
                    f"line out of queues.conf, reload app_queue, and log her in"
                )
            if not _accepted(reply, "Not there"):
                raise _refused(f"log {command.agent} out of {queue}", reply)

    async def _pause(self, agent: AgentId, ident: QueueId, *, paused: bool, reason: str = "") -> None:
        queue = self._queue(ident)
        members = self._roster.members(agent, ident)
        if not members:
            raise PbxRefused(f"{agent} is no member of the queue {queue!r}: log her in first")
        for member in members:
            if not _is_so(member, paused=paused, reason=reason):
                await self._set_pause(queue, member.interface, paused=paused, reason=reason)

    async def _set_pause(self, queue: str, interface: str, *, paused: bool, reason: str) -> None:
        reply = await self._act(lambda: actions.queue_pause(queue, interface, paused=paused, reason=reason))
        if not reply.ok:
            raise _refused(f"{'pause' if paused else 'resume'} {interface} in {queue}", reply)

    def _queue(self, ident: QueueId) -> str:
        name = self._roster.queue_name(ident)
        if name is None:
            raise PbxRefused(f"the PBX has no queue {ident!r}; it may have to read queues.conf again")
        return name


def _is_so(member: Known, *, paused: bool, reason: str) -> bool:
    return member.paused == paused and (not paused or member.reason == reason)


def _accepted(reply: Reply, already: str) -> bool:
    return reply.ok or reply.text.endswith(already)


def _refused(what: str, reply: Reply) -> PbxRefused:
    cure = ""
    if reply.text == "Permission denied":
        cure = "; the AMI user needs `agent` among its `write` (see manager.ctid.conf), then log in again"
    return PbxRefused(f"the PBX refused to {what}: {reply.text}{cure}")
