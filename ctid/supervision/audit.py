"""The audit of monitoring: one line of JSON for each step of a session, appended and flushed to disk."""

import asyncio
import errno
import os
from pathlib import Path

import msgspec
import structlog
from msgspec import Struct

from ctid.model.entities import Supervision
from ctid.model.errors import AuditUnavailable
from ctid.model.ids import SupervisionId
from ctid.model.instant import Instant, dec_hook, enc_hook
from ctid.supervision.requests import StartRequest

log = structlog.get_logger(__name__)

FILE = "audit.jsonl"


class Entry(Struct, frozen=True, kw_only=True):
    """Who did what to whom.

    `event` is `requested` or `refused`, and `by` who asked; or `ringing`, `active` or `ended`, which the
    PBX tells. `request` stands for the session while there is none. `detail` is a refusal's code, or `end`.
    """

    at: Instant
    event: str
    supervision: Supervision | None
    request: StartRequest | None = None
    by: str = ""
    detail: str = ""


class Audit:
    """Appends to `audit.jsonl` in the state directory; entries keep their order."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / FILE
        self._order = asyncio.Lock()
        self._encoder = msgspec.json.Encoder(enc_hook=enc_hook)

    async def write(self, entry: Entry) -> None:
        """Write an entry; returns once it is on the disk.

        Raises:
            AuditUnavailable: it cannot be written.
        """
        line = self._encoder.encode(entry) + b"\n"
        async with self._order:
            try:
                await asyncio.to_thread(self._append, line)
            except OSError as error:
                raise AuditUnavailable(
                    f"{self.path} cannot be written ({error.strerror}); make room or mend its permissions: "
                    "without an audit nobody is listened to"
                ) from error

    async def unfinished(self) -> dict[SupervisionId, Supervision]:
        """The sessions that began and are not told as ended: ctid was killed while they went on.

        Raises:
            AuditUnavailable: the file cannot be read.
        """
        try:
            return await asyncio.to_thread(self._unfinished)
        except OSError as error:
            raise AuditUnavailable(f"{self.path} cannot be read ({error.strerror})") from error

    def _unfinished(self) -> dict[SupervisionId, Supervision]:
        going: dict[SupervisionId, Supervision] = {}
        if not self.path.exists():
            return going
        with self.path.open("rb") as lines:
            for line in lines:
                try:
                    entry = msgspec.json.decode(line, type=Entry, dec_hook=dec_hook)
                except msgspec.DecodeError as error:
                    log.warning("a line of the audit cannot be read", path=str(self.path), reason=str(error))
                    continue
                session = entry.supervision
                if session is not None and entry.event in ("ringing", "active"):
                    going[session.id] = session
                elif session is not None and entry.event == "ended":
                    going.pop(session.id, None)
        return going

    def _append(self, line: bytes) -> None:
        file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        try:
            before = os.fstat(file).st_size
            if os.write(file, line) != len(line):
                os.ftruncate(file, before)  # a torn line would spoil the next one
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fdatasync(file)
        finally:
            os.close(file)
