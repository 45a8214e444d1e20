"""Who comes first where several want something of one session, or of one call, at the same time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from weakref import WeakValueDictionary

from ctid.model.ids import CallId, SupervisionId
from ctid.state.store import Store
from ctid.supervision.lead import leads


class Turns:
    """What is decided here holds at once; the state tells it only after the PBX has."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._locks: WeakValueDictionary[SupervisionId, asyncio.Lock] = WeakValueDictionary()
        self._leaders: dict[CallId, SupervisionId] = {}
        self._settled: set[SupervisionId] = set()
        self._armed_in: dict[SupervisionId, CallId] = {}

    @asynccontextmanager
    async def alone(self, *sessions: SupervisionId) -> AsyncIterator[None]:
        """Let nobody else change these sessions meanwhile."""
        async with AsyncExitStack() as held:
            for ident in sorted(set(sessions)):  # all in the same order: two never wait for each other
                lock = self._locks.setdefault(ident, asyncio.Lock())
                await held.enter_async_context(lock)
            yield

    def can_lead(self, call: CallId, session: SupervisionId) -> bool:
        """Whether a session can lead in a call: nobody else does, or is about to."""
        return leads(self._store, call, session) and self._leaders.get(call, session) == session

    def lead(self, call: CallId, session: SupervisionId) -> None:
        """Let nobody else lead in a call before `led`."""
        self._leaders[call] = session

    def led(self, call: CallId | None, session: SupervisionId) -> None:
        """The state tells by now whether a session leads in a call."""
        if call is not None and self._leaders.get(call) == session:
            del self._leaders[call]

    # An armed session: it begins, or it is withdrawn -------------------------------------------------

    def arm(self, session: SupervisionId, call: CallId | None) -> None:
        """A session waits for the next call of an agent who is in this one."""
        if call is not None:
            self._armed_in[session] = call

    def armed_in(self, session: SupervisionId) -> CallId | None:
        """The call in which the agent was when a session was armed."""
        return self._armed_in.get(session)

    def settle(self, session: SupervisionId) -> bool:
        """Decide what becomes of an armed session; false: somebody else has."""
        if session in self._settled:
            return False
        self._settled.add(session)
        return True

    def unsettle(self, session: SupervisionId) -> None:
        """It came to nothing: the session is armed still, if it is there."""
        self._settled.discard(session)

    def forget(self, session: SupervisionId) -> None:
        """It has ended."""
        self._settled.discard(session)
        self._armed_in.pop(session, None)
