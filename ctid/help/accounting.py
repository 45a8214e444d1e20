"""The raised hands as a class of what is kept about people: purged by time, exported and erased for one."""

from collections.abc import Sequence
from typing import Any

import msgspec

from ctid.audit.entries import mentions
from ctid.audit.subjects import Erasure, Subject, SubjectKind
from ctid.help.kept import Kept
from ctid.model.entities import Help
from ctid.model.ids import AgentId
from ctid.model.instant import Instant, enc_hook


class HandsAccount:
    """A `Purgeable`, and a `Reader` of subjects. Each method raises `HelpUnavailable`.

    A hand that is up is none of it: it is live state, and comes here when it is down.
    """

    name = "help"

    def __init__(self, kept: Kept, keep_days: int) -> None:
        self.keep_days = keep_days
        self._kept = kept

    async def purge(self, before: Instant, *, by: str, dry_run: bool) -> int:
        """Take out what was raised before a time, or count it."""
        del by  # the audit names who asked
        return await (self._kept.count_older(before) if dry_run else self._kept.purge_older(before))

    async def export(self, subject: Subject) -> list[dict[str, Any]]:
        """What an agent has raised; of a number, those whose text has it."""
        return [msgspec.to_builtins(hand, enc_hook=enc_hook) for hand in await self._of(subject)]

    async def erase(self, subject: Subject, *, by: str, dry_run: bool) -> Erasure:
        """Take out the same: nothing asks for them to be kept."""
        del by
        found = await self._of(subject)
        if not dry_run:
            await self._kept.erase([hand.id for hand in found])
        return Erasure(name=self.name, erased=len(found), kept=0, reason="")

    async def _of(self, subject: Subject) -> Sequence[Help]:
        if subject.kind is SubjectKind.AGENT:
            return await self._kept.ended(AgentId(subject.id))
        return [hand for hand in await self._kept.ended() if mentions(hand.text, subject.id)]
