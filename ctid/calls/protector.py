"""Keeps what was said of protected calls: the flag goes with the call's new legs, and nothing is recorded.

A flag may come from a phone's key, and a recording from the dialplan: the PBX asks nobody. Whatever is done
here is decided anew by what the state shows, so that it needs no memory over a restart.
"""

import structlog

from ctid.calls import plan
from ctid.hub import Hub, SlowSubscriber
from ctid.model.entities import Call
from ctid.model.errors import CtidError
from ctid.model.ids import CallId
from ctid.state.changes import Change
from ctid.tasks import TaskOwner

log = structlog.get_logger(__name__)

RETRY_S = 2.0
"""After a command that failed: a protected call is not recorded because of one answer that did not come."""


class Protector:
    """Follows the state; each call by itself, so that none waits for another."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._kept: dict[CallId, plan.Kept] = {}
        self._due: set[CallId] = set()
        self._at_work: set[CallId] = set()

    async def run(self) -> None:
        """Protect for ever."""
        tasks = TaskOwner()
        try:
            tasks.spawn("protection", self._follow(tasks))
            await tasks.wait_failed()
        finally:
            await tasks.close()

    async def _follow(self, tasks: TaskOwner) -> None:
        while True:
            subscription = self._hub.subscribe("protection", kinds=frozenset({Call.kind}))
            try:
                for entity in subscription.entities:
                    if isinstance(entity, Call):
                        self._look_at(entity, tasks)
                async for update in subscription:
                    if not isinstance(update, Change):
                        continue
                    if isinstance(update.new, Call):
                        self._look_at(update.new, tasks)
                    else:
                        self._kept.pop(CallId(update.entity.id), None)
            except SlowSubscriber:
                log.warning("protected calls are followed anew: it was too slow")
            finally:
                self._hub.unsubscribe(subscription)

    def _look_at(self, call: Call, tasks: TaskOwner) -> None:
        if not plan.protection(call, self._kept.get(call.id, plan.NOTHING_KEPT)):
            return
        self._due.add(call.id)
        if call.id not in self._at_work:
            self._at_work.add(call.id)
            tasks.spawn(f"protection of {call.id}", self._keep(call.id))

    async def _keep(self, ident: CallId) -> None:
        try:
            while ident in self._due:
                self._due.discard(ident)
                if not await self._protect(ident):
                    await self._hub.until(lambda: ident in self._due, RETRY_S)
                    self._due.add(ident)
        finally:
            self._at_work.discard(ident)

    async def _protect(self, ident: CallId) -> bool:
        """Do what is missing; false when it has to be tried again."""
        call = self._hub.store.calls.get(ident)
        if call is None or call.stale:
            return True  # once the link is back it is told anew
        try:
            for command in plan.protection(call, self._kept.get(ident, plan.NOTHING_KEPT)):
                await self._hub.execute(call.pbx, command)
        except CtidError as error:
            log.warning("a protected call is not safe yet", call=ident, code=error.code, reason=error.detail)
            return ident not in self._hub.store.calls
        self._kept[ident] = plan.kept(call)
        return True
