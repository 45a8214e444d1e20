"""The audit as a table for a spreadsheet. Pure."""

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any

COLUMNS = (
    "seq",
    "at",
    "event",
    "by",
    "agent",
    "call",
    "supervision",
    "supervisor",
    "mode",
    "purpose",
    "phone",
    "note",
    "detail",
    "hash",
)
"""Those of an item's own, then of its session."""
_OF_SESSION = ("supervisor", "mode", "purpose", "phone", "note")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""A spreadsheet takes a cell that begins so for a formula, or may (OWASP, CSV injection)."""


def csv_of(items: Iterable[Mapping[str, Any]]) -> str:
    """Write items, as the API tells them, as CSV (RFC 4180), with a head line.

    A cell that a spreadsheet might carry out is led by an apostrophe.
    """
    written = io.StringIO()
    writer = csv.writer(written, quoting=csv.QUOTE_ALL)
    writer.writerow(COLUMNS)
    for item in items:
        writer.writerow([safe_cell(cell) for cell in _row(item)])
    return written.getvalue()


def safe_cell(text: str) -> str:
    """A cell that no spreadsheet takes for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULA) else text


def _row(item: Mapping[str, Any]) -> list[str]:
    payload = item.get("payload") or {}
    session = payload.get("supervision") or payload.get("request") or {}
    session = session if isinstance(session, dict) else {}
    cells = {name: item.get(name) for name in COLUMNS} | {name: session.get(name) for name in _OF_SESSION}
    return ["" if cells[name] is None else str(cells[name]) for name in COLUMNS]
