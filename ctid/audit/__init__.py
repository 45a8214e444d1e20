"""Who listened to whom, and what else is accounted for: a chained log, retention, people's rights."""

from ctid.audit.entries import Entry
from ctid.audit.log import Anchor, Audit

__all__ = ["Anchor", "Audit", "Entry"]
