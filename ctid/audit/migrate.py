"""The audit of before there was a chain, `audit.jsonl`, taken over into one."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import structlog

from ctid.audit.chain import GENESIS, Link, encode, make
from ctid.audit.files import MODE, Files, day_of
from ctid.model.instant import Instant, from_rfc3339

log = structlog.get_logger(__name__)

OLD = "audit.jsonl"


def migrate(old: Path, files: Files, now: Instant, salt: Callable[[], str]) -> None:
    """Chain the old file's entries, each under the day it was written on, and remove it.

    The first record tells of it, with the old file's SHA-256. Only a log that has not begun takes one over:
    an old file that is found later stays where it is.

    Raises:
        OSError: nothing is lost, and the next start tries again.
    """
    folder = files.folder
    data = old.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if folder.exists() and files.days():
        first = files.first(files.days()[0])
        if first is not None and first.event == "migrated" and _about(first.payload).get("sha256") == digest:
            old.unlink()  # a crash came between the two
        else:
            log.warning("an audit of before the chain is left where it is", path=str(old))
        return
    entries = [_entry(line, now) for line in data.splitlines() if line.strip()]
    unreadable = sum(event == "unreadable" for _, event, _ in entries)
    about = {"file": OLD, "sha256": digest, "entries": len(entries), "unreadable": unreadable}
    first_at = entries[0][0] if entries else now
    beside = folder.with_suffix(".new")
    beside.mkdir(mode=0o750, exist_ok=True)
    for left in beside.iterdir():
        left.unlink()
    days: dict[str, bytearray] = {}
    last, day = Link(seq=0, hash=GENESIS), ""
    for at, event, payload in [(first_at, "migrated", {"at": now, "about": about}), *entries]:
        record = make(last, at, event, payload, salt)
        last, day = record.link, max(day, day_of(at))
        days.setdefault(day, bytearray()).extend(encode(record))
    for name, lines in days.items():
        _write(beside / f"{name}.jsonl", bytes(lines))
    Files(beside).set_head(last)
    beside.rename(folder)  # over an empty folder as well
    old.unlink()
    log.info("the audit is chained now", entries=len(entries), unreadable=unreadable)


def _entry(line: bytes, now: Instant) -> tuple[Instant, str, dict[str, Any]]:
    """An old line as a record's time, event and payload; one that cannot be read is kept as a text."""
    try:
        payload = msgspec.json.decode(line, type=dict[str, Any])
        at, event = from_rfc3339(payload["at"]), payload.pop("event")
        if isinstance(event, str):
            return at, event, payload
    except (msgspec.DecodeError, ValueError, TypeError, KeyError, OverflowError) as error:
        log.warning("a line of the old audit cannot be read", reason=str(error))
    return now, "unreadable", {"at": now, "about": {"text": line.decode("utf-8", "replace")}}


def _about(payload: dict[str, Any] | None) -> dict[str, Any]:
    about = (payload or {}).get("about")
    return about if isinstance(about, dict) else {}


def _write(path: Path, data: bytes) -> None:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, MODE)
    with os.fdopen(file, "wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
