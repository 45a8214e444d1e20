"""One agent's commands one after the other, whoever gives them, and what came of them."""

import asyncio
from collections.abc import Sequence
from weakref import WeakValueDictionary

from msgspec import Struct

from ctid.hub import Hub
from ctid.model.capabilities import Capability
from ctid.model.commands import AgentCommand
from ctid.model.errors import AgentPartlyDone, CtidError, PbxTimeout, PbxUnavailable
from ctid.model.ids import AgentId, PbxId, QueueId


class Outcome(Struct, frozen=True, kw_only=True):
    """In which queues a command is in force, and in which it failed; what was not tried is in neither."""

    done: tuple[QueueId, ...] = ()
    failed: dict[QueueId, CtidError] = {}
    untried: tuple[QueueId, ...] = ()


class Commander:
    """Carries out commands to agents.

    Whoever decides by what an agent is and then commands her does both within her `turn`: else a pause by
    hand could be ended by a resumption that was decided before it.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._turns: WeakValueDictionary[AgentId, asyncio.Lock] = WeakValueDictionary()

    def turn(self, agent: AgentId) -> asyncio.Lock:
        """The lock of an agent's commands."""
        return self._turns.setdefault(agent, asyncio.Lock())

    async def carry_out(self, pbx: PbxId, commands: Sequence[AgentCommand]) -> Outcome:
        """Carry out commands in their order; one that is refused does not keep back the others.

        Once the PBX does not answer the rest is not tried.

        Raises:
            PbxUnavailable: the link is down, or this PBX takes no commands to agents; nothing was sent.
        """
        if commands and Capability.AGENT_COMMANDS not in self._hub.connection(pbx).capabilities:
            raise PbxUnavailable(f"the PBX {pbx!r} takes no commands to agents now: ctid's log says why")
        done: list[QueueId] = []
        failed: dict[QueueId, CtidError] = {}
        for number, command in enumerate(commands, 1):
            try:
                await self._hub.execute(pbx, command)
            except (PbxUnavailable, PbxTimeout) as error:
                failed[command.queue] = error
                untried = tuple([untried.queue for untried in commands[number:]])
                return Outcome(done=tuple(done), failed=failed, untried=untried)
            except CtidError as error:
                failed[command.queue] = error
            else:
                done.append(command.queue)
        return Outcome(done=tuple(done), failed=failed)


def raise_failure(outcome: Outcome) -> None:
    """Tell a failure as an error.

    Raises:
        AgentPartlyDone: it is in force in some queues and not in others.
        CtidError: it failed everywhere: as the PBX said first.
    """
    if not outcome.failed:
        return
    if not outcome.done:
        raise next(iter(outcome.failed.values()))
    codes: dict[str, str] = {queue: error.code for queue, error in outcome.failed.items()}
    texts = [f"not in {queue} ({error.detail})" for queue, error in outcome.failed.items()]
    if outcome.untried:
        texts.append(f"not tried in {', '.join(outcome.untried)}")
    states: dict[str, str] = dict.fromkeys(outcome.done, "done")
    states.update(codes)
    states.update(dict.fromkeys(outcome.untried, "not_tried"))
    raise AgentPartlyDone(f"done in {', '.join(outcome.done)}; {'; '.join(texts)}", states)
