"""The sheets as a class of what is kept about people: purged by the clock, exported and erased for one."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ctid.audit.entries import mentions
from ctid.audit.subjects import Erasure, Subject, SubjectKind
from ctid.coaching.kept import Kept
from ctid.coaching.sheets import Sheet
from ctid.model.ids import AgentId
from ctid.model.instant import Instant, enc_hook


class SheetsAccount:
    """A `Purgeable`, and a `Reader` of subjects. Each method raises `CoachingUnavailable`."""

    name = "sheets"

    def __init__(self, kept: Kept, keep_days: int) -> None:
        self.keep_days = keep_days
        self._kept = kept

    async def purge(self, before: Instant, *, by: str, dry_run: bool) -> int:
        """Take out the sheets written before a time, with every version, or count them."""
        del by  # the audit names who asked
        return await (self._kept.count_older(before) if dry_run else self._kept.purge_older(before))

    async def export(self, subject: Subject) -> list[dict[str, Any]]:
        """Every version of the sheets about an agent; of a number, those in which it stands."""
        return [msgspec.to_builtins(sheet, enc_hook=enc_hook) for sheet in await self._of(subject)]

    async def erase(self, subject: Subject, *, by: str, dry_run: bool) -> Erasure:
        """Take out the sheets of these versions, whole: half a sheet would say what nobody wrote."""
        del by
        found = {sheet.id for sheet in await self._of(subject)}
        if not dry_run:
            await self._kept.erase(found)
            if subject.kind is SubjectKind.AGENT:
                await self._kept.forget(AgentId(subject.id))
        return Erasure(name=self.name, erased=len(found), kept=0, reason="")

    async def _of(self, subject: Subject) -> Sequence[Sheet]:
        if subject.kind is SubjectKind.AGENT:
            return await self._kept.all_versions(AgentId(subject.id))
        return [sheet for sheet in await self._kept.all_versions(None) if _has(sheet, subject.id)]


def _has(sheet: Sheet, number: str) -> bool:
    texts = [sheet.text, sheet.comment.text if sheet.comment is not None else ""]
    return any(mentions(text, number) for text in texts)
