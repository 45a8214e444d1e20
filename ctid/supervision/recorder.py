"""What supervision writes into the audit: requests, refusals, and what sessions do."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from ctid.audit import Audit, Entry
from ctid.model.entities import Supervision
from ctid.model.errors import AuditUnavailable, CtidError
from ctid.model.ids import SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.ports import Clock
from ctid.supervision.requests import StartRequest

log = structlog.get_logger(__name__)


class Recorder:
    """Audits what is asked before it is done, and what happens as it is seen."""

    def __init__(self, audit: Audit, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock

    async def asked(
        self,
        event: str,
        user: User,
        session: Supervision | None,
        detail: str = "",
        request: StartRequest | None = None,
    ) -> None:
        """Write what somebody asked for. Raises AuditUnavailable: it cannot be written."""
        now = Instant(self._clock.now())
        entry = Entry(at=now, event=event, supervision=session, request=request, by=user.name, detail=detail)
        await self._audit.write(entry)

    @asynccontextmanager
    async def refusable(
        self, user: User, session: Supervision | None = None, request: StartRequest | None = None
    ) -> AsyncIterator[None]:
        """Audit as well that what is done within fails, without hiding why."""
        try:
            yield
        except CtidError as error:
            try:
                await self.asked("refused", user, session, error.code, request)
            except AuditUnavailable as unaudited:
                log.critical("audit failed", code=error.code, reason=unaudited.detail)
            raise

    async def happened(self, event: str, session: Supervision, detail: str = "") -> bool:
        """Write what a session does by itself; false when it cannot be written."""
        now = Instant(self._clock.now())
        try:
            await self._audit.write(Entry(at=now, event=event, supervision=session, detail=detail))
        except AuditUnavailable as error:
            log.critical("audit failed", supervision=session.id, reason=error.detail)
            return False
        return True

    async def unfinished(self) -> dict[SupervisionId, Supervision]:
        """The sessions that began and are not told as ended. Raises AuditUnavailable."""
        return await self._audit.unfinished()
