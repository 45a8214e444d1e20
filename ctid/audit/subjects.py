"""What is kept about one person, for her to have, and what of it can be erased for her."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Any, Protocol

import msgspec
from msgspec import Struct

from ctid.audit.chain import Record
from ctid.audit.entries import Entry, Selection, agents_of, mentions
from ctid.audit.log import Audit
from ctid.model.instant import Instant, enc_hook
from ctid.model.users import User
from ctid.ports import Clock

_EVERYTHING = 2**62


class SubjectKind(StrEnum):
    """By what a person is known here."""

    AGENT = "agent"
    NUMBER = "number"
    """A telephone number: a customer's, who is kept nowhere but in what people wrote."""


class Subject(Struct, frozen=True, kw_only=True):
    """A person."""

    kind: SubjectKind
    id: str


class Erasure(Struct, frozen=True, kw_only=True):
    """What became of one class of what is kept about somebody."""

    name: str
    erased: int
    """Items of which something was, or in a dry run would be, erased."""
    kept: int
    """Items that stay."""
    reason: str
    """Why they stay; empty when none does."""


class SubjectDocument(Struct, frozen=True, kw_only=True):
    """All that is kept about somebody, by class."""

    subject: Subject
    at: Instant
    classes: dict[str, list[dict[str, Any]]]


class ErasureReport(Struct, frozen=True, kw_only=True):
    """What was erased of somebody, and what the law has to be kept."""

    subject: Subject
    at: Instant
    dry_run: bool
    classes: tuple[Erasure, ...]


class Reader(Protocol):
    """A class of what is kept about people. Its methods raise `CtidError`: it cannot be read or written."""

    @property
    def name(self) -> str:
        """The class, as the documents name it."""
        ...

    async def export(self, subject: Subject) -> list[dict[str, Any]]:
        """All of it that is about somebody, as JSON has it; empty when nothing is."""
        ...

    async def erase(self, subject: Subject, *, by: str, dry_run: bool) -> Erasure:
        """Erase what may be erased, or tell what would be."""
        ...


class Subjects:
    """Asks every class. Each request is audited before it is answered."""

    def __init__(self, audit: Audit, clock: Clock, readers: Sequence[Reader]) -> None:
        self._audit = audit
        self._clock = clock
        self._readers = list(readers)

    def register(self, reader: Reader) -> None:
        """Add a class."""
        self._readers.append(reader)

    async def export(self, user: User, subject: Subject) -> SubjectDocument:
        """All that is kept about somebody. Raises CtidError."""
        await self._told("subject_exported", user, subject)
        classes = {reader.name: await reader.export(subject) for reader in self._readers}
        return SubjectDocument(subject=subject, at=self._now(), classes=classes)

    async def erase(self, user: User, subject: Subject, *, dry_run: bool) -> ErasureReport:
        """Erase what may be erased of somebody, or tell what would be. Raises CtidError."""
        await self._told("subject_erased", user, subject, dry_run=dry_run)
        found = [await reader.erase(subject, by=user.name, dry_run=dry_run) for reader in self._readers]
        return ErasureReport(subject=subject, at=self._now(), dry_run=dry_run, classes=tuple(found))

    async def _told(self, event: str, user: User, subject: Subject, *, dry_run: bool = False) -> None:
        # A number that is to be erased would stay here for as long as the audit does.
        about = {"subject": subject.kind, "dry_run": dry_run}
        agent = subject.id if subject.kind is SubjectKind.AGENT else ""
        await self._audit.write(Entry(at=self._now(), event=event, by=user.name, agent=agent, about=about))

    def _now(self) -> Instant:
        return Instant(self._clock.now())


class AuditReader:
    """The audit itself: who listened when stays, what was noted about it goes."""

    name = "audit"

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    async def export(self, subject: Subject) -> list[dict[str, Any]]:
        """The records about an agent; of a number, those whose notes have it."""
        end = await self._audit.end()
        agent = subject.id if subject.kind is SubjectKind.AGENT else ""
        found = await self._audit.items(Selection(agent=agent), after=0, upto=end, limit=_EVERYTHING)
        if subject.kind is SubjectKind.NUMBER:
            found = [item for item in found if _has(item.payload, subject.id)]
        return [msgspec.to_builtins(item, enc_hook=enc_hook) for item in found]

    async def erase(self, subject: Subject, *, by: str, dry_run: bool) -> Erasure:
        """Erase the free texts of those records."""
        why = f"erasure for the data subject ({subject.kind})"
        kept = len(await self.export(subject))
        erased = await self._audit.erase_texts(
            lambda record: _concerns(record, subject), why=why, by=by, dry_run=dry_run
        )
        if subject.kind is SubjectKind.NUMBER and not dry_run:
            kept = len(await self.export(subject))
        reason = (
            "who listened to whom, when and why is kept for as long as [retention] audit_days says"
            if kept
            else ""
        )
        return Erasure(name=self.name, erased=erased, kept=kept, reason=reason)


def _concerns(record: Record, subject: Subject) -> bool:
    if subject.kind is SubjectKind.AGENT:
        return subject.id in agents_of(record.payload or {})
    return any(text.text is not None and mentions(text.text, subject.id) for text in record.texts.values())


def _has(payload: Any, number: str) -> bool:
    """Whether a number stands anywhere in a payload."""
    if isinstance(payload, str):
        return mentions(payload, number)
    if isinstance(payload, dict):
        return any(_has(part, number) for part in payload.values())
    return isinstance(payload, list) and any(_has(part, number) for part in payload)
