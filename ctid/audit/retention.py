"""What is kept is kept for a time, by class: taken out daily, and told in the audit."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from msgspec import Struct

from ctid.audit.entries import Entry
from ctid.audit.log import Audit
from ctid.audit.verifying import AUDIT, PURGED
from ctid.model.errors import CtidError
from ctid.model.instant import Instant
from ctid.ports import Clock

log = structlog.get_logger(__name__)

DAY_S = 86_400.0
AGAIN_S = 3600.0
"""After a class that could not be purged."""
ITSELF = "retention"
"""Who purges when nobody asks for it."""


class Purgeable(Protocol):
    """A class of what is kept. Each method raises `CtidError` when it cannot be read or written."""

    @property
    def name(self) -> str:
        """The class, as `[retention]` names it."""
        ...

    @property
    def keep_days(self) -> int:
        """For how many days it is kept."""
        ...

    async def purge(self, before: Instant, *, by: str, dry_run: bool) -> int:
        """Take out what is older, or in a dry run count it; returns how many items."""
        ...


class ClassReport(Struct, frozen=True, kw_only=True):
    """What the purge of one class came to."""

    name: str
    keep_days: int
    before: Instant
    """What is older goes."""
    purged: int | None
    """How many items were, or in a dry run would be, taken out; none when it failed."""
    problem: str
    """What went wrong; empty when nothing did."""


class PurgeReport(Struct, frozen=True, kw_only=True):
    """What a purge came to."""

    at: Instant
    dry_run: bool
    classes: tuple[ClassReport, ...]


class Retention:
    """Purges every class, daily by itself and when it is asked to."""

    def __init__(self, audit: Audit, clock: Clock, classes: Sequence[Purgeable]) -> None:
        self._audit = audit
        self._clock = clock
        self._classes = list(classes)

    def register(self, kept: Purgeable) -> None:
        """Add a class."""
        self._classes.append(kept)

    async def run(self) -> None:
        """Purge now and once a day, for ever."""
        while True:
            report = await self.purge(by=ITSELF)
            gone = {found.name: found.purged for found in report.classes if found.purged}
            failed = [found.name for found in report.classes if found.problem]
            if gone:
                log.info("purged", **gone)
            await asyncio.sleep(AGAIN_S if failed else DAY_S)

    async def purge(self, *, by: str, dry_run: bool = False) -> PurgeReport:
        """Take out what is older than its class is kept; a class that fails does not stop the others."""
        now = Instant(self._clock.now())
        classes = tuple([await self._purge(kept, now, by, dry_run=dry_run) for kept in self._classes])
        return PurgeReport(at=now, dry_run=dry_run, classes=classes)

    async def _purge(self, kept: Purgeable, now: Instant, by: str, *, dry_run: bool) -> ClassReport:
        before = Instant(now - kept.keep_days * DAY_S)
        purged: int | None = None
        problem = ""
        try:
            purged = await kept.purge(before, by=by, dry_run=dry_run)
            if purged and not dry_run and kept.name != AUDIT:  # which tells of itself, in the same step
                about = {"class": kept.name, "count": purged, "before": before}
                await self._audit.write(Entry(at=now, event=PURGED, by=by, about=about))
        except CtidError as error:
            log.error("not purged", kept=kept.name, reason=error.detail)  # noqa: TRY400 - a disk's failure, no defect to trace
            problem = error.detail
        return ClassReport(
            name=kept.name, keep_days=kept.keep_days, before=before, purged=purged, problem=problem
        )


class AuditDays:
    """The audit itself as such a class."""

    name = AUDIT

    def __init__(self, audit: Audit, keep_days: int) -> None:
        self.keep_days = keep_days
        self._audit = audit

    async def purge(self, before: Instant, *, by: str, dry_run: bool) -> int:
        """Take out the days that are older as a whole."""
        return await self._audit.purge(before, by=by, dry_run=dry_run)
