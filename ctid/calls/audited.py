"""Acts in the audit: who did what to which call or agent, the refused ones too."""

import structlog

from ctid.audit import Audit
from ctid.audit.entries import Entry
from ctid.calls.acts import Tell
from ctid.calls.words import ActDone
from ctid.masking import masked_number
from ctid.model.errors import AuditUnavailable

log = structlog.get_logger(__name__)

_NUMBERS = frozenset({"number", "to"})
_TEXTS = {"basis": "note"}
"""What people write stands under a key by which it can be erased by itself."""


def audited(audit: Audit) -> Tell:
    """Where acts are told: each is a record whose event is the act, or `refused`. Numbers are masked."""

    async def tell(done: ActDone) -> None:
        about = {"act": str(done.act)}
        for name, value in done.particulars.items():
            about[_TEXTS.get(name, name)] = masked_number(value) if name in _NUMBERS else value
        entry = Entry(
            at=done.at,
            event="refused" if done.refused else str(done.act),
            by=done.by,
            detail=done.refused,
            agent=done.agent or "",
            call=done.call or "",
            about=about,
        )
        try:
            await audit.write(entry)
        except AuditUnavailable as error:
            # It is done, and a call must be protected whatever the disk says.
            log.critical("audit failed", act=done.act, by=done.by, reason=error.detail)

    return tell
