"""The letters as a class of what is kept about people: purged by time, exported and erased for one."""

from typing import Any

import msgspec

from ctid.audit.entries import mentions
from ctid.audit.subjects import Erasure, Subject, SubjectKind
from ctid.model.instant import Instant
from ctid.webhooks.service import Webhooks


class LettersAccount:
    """A `Purgeable`, and a `Reader` of subjects. Each method raises `WebhooksUnavailable`.

    What waits to be sent is not purged: it goes within a day of its receiver's return, or is dead.
    """

    name = "webhooks"

    def __init__(self, webhooks: Webhooks, keep_days: int) -> None:
        self.keep_days = keep_days
        self._webhooks = webhooks

    async def purge(self, before: Instant, *, by: str, dry_run: bool) -> int:
        """Take out the dead letters that died before a time, or count them."""
        del by  # the audit names who asked
        kept = self._webhooks.kept
        if dry_run:
            return await kept.count_older(before)
        purged = await kept.purge_older(before)
        await self._webhooks.recount()
        return purged

    async def export(self, subject: Subject) -> list[dict[str, Any]]:
        """The events of letters that name an agent, or have a number in them."""
        return [event for _, event in await self._of(subject)]

    async def erase(self, subject: Subject, *, by: str, dry_run: bool) -> Erasure:
        """Take out the same, also those that wait: nothing asks for them to be kept."""
        del by
        found = await self._of(subject)
        if found and not dry_run:
            await self._webhooks.kept.forget([position for position, _ in found])
            await self._webhooks.recount()
        return Erasure(name=self.name, erased=len(found), kept=0, reason="")

    async def _of(self, subject: Subject) -> list[tuple[int, dict[str, Any]]]:
        events = [
            (position, msgspec.json.decode(body)) for position, body in await self._webhooks.kept.bodies()
        ]
        return [(position, event) for position, event in events if _tells_of(event["data"], subject)]


def _tells_of(value: Any, subject: Subject, key: str = "") -> bool:
    """Whether a value, or one within it, is of an agent's field and names her, or has the number in it."""
    if isinstance(value, dict):
        is_agent = value.get("schema", "").startswith("ctid.agent") if key == "" else False
        return any(
            _tells_of(within, subject, "agent" if is_agent and name == "id" else name)
            for name, within in value.items()
        )
    if isinstance(value, list):
        return any(_tells_of(within, subject, key) for within in value)
    if not isinstance(value, str):
        return False
    if subject.kind is SubjectKind.AGENT:
        return key == "agent" and value == subject.id
    return key in _NUMBERS and mentions(value, subject.id)


_NUMBERS = frozenset({"number", "dialled", "to", "text", "pop_url"})
"""Fields that may hold a telephone number."""
