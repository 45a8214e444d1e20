"""The keeper of the audit: appends to the chain, anchors it daily, erases and purges what the law says."""

import asyncio
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct

from ctid import __version__
from ctid.audit.chain import Link, Record, encode, has_texts, make, without_texts
from ctid.audit.entries import Entry, Item, Selection, Step, item_of, wants
from ctid.audit.files import Files, chain_end, day_of, midnight_after
from ctid.audit.migrate import OLD, migrate
from ctid.audit.verifying import ANCHOR, AUDIT, ERASED, PURGED, Verification
from ctid.clock import SystemClock
from ctid.model.entities import Supervision
from ctid.model.errors import AuditUnavailable
from ctid.model.ids import SupervisionId
from ctid.model.instant import Instant, dec_hook, enc_hook
from ctid.model.words import SupervisionState
from ctid.ports import Clock

log = structlog.get_logger(__name__)

FOLDER = "audit"
STARTED = "started"
"""Says that ctid begins to watch: what happened before it on the PBX, since the record before, nobody saw."""
LONGEST_SLEEP_S = 60.0
"""The clock may be set meanwhile: the day's end is not slept towards in one go."""
AGAIN_S = 10.0
"""After an anchor that could not be written."""
NAMED_AT_ONCE = 1000
"""Records that one record of an erasure names."""

_STATES = frozenset(SupervisionState)

_Result = TypeVar("_Result")


class Anchor(Struct, frozen=True, kw_only=True):
    """Where the log ended at `at`: kept elsewhere, it proves later that nothing before it was changed."""

    record: int
    hash: str
    at: Instant


class Audit:
    """The log in the folder `audit` of the state directory; records keep the order in which they are written.

    Construction does no I/O. The first use takes over the log of an earlier run: a torn last line, and an end
    that is not the one last known, are told by records of their own. Every method raises `AuditUnavailable`
    when the files cannot be used.
    """

    def __init__(self, directory: Path, clock: Clock | None = None) -> None:
        self.path = directory / FOLDER
        self.anchored: Callable[[Anchor], None] | None = None
        """Is told each anchor, once it is written."""
        self._old = directory / OLD
        self._clock = clock or SystemClock()
        self._order = asyncio.Lock()
        self._shape = asyncio.Lock()
        self._one = threading.Lock()
        self._last: Link | None = None
        self._day = ""
        self._untold: list[Entry] = []

    async def write(self, entry: Entry) -> None:
        """Write an entry; returns once it is on the disk."""
        await self._changing(lambda: self._append([entry]))

    async def unfinished(self) -> dict[SupervisionId, Supervision]:
        """The sessions that began and are not told as ended: ctid was killed while they went on."""
        return await self._reading(self._unfinished)

    async def steps(self) -> list[Step]:
        """What sessions did, oldest first; what was only asked for, or refused, is not in it."""
        return await self._reading(lambda: list(self._steps()))

    async def run(self) -> None:
        """Record the start, write an anchor now, and one after each UTC day's end, for ever."""
        due, is_told = 0.0, False
        while True:
            now = self._clock.now()
            if now >= due:
                try:
                    if not is_told:
                        await self.write(Entry(at=self._now(), event=STARTED, about={"version": __version__}))
                        is_told = True
                    await self.anchor()
                    due = midnight_after(now)
                except AuditUnavailable as error:
                    log.critical("audit failed", what="anchor", reason=error.detail)
                    due = now + AGAIN_S
            await asyncio.sleep(min(max(due - now, 0.0), LONGEST_SLEEP_S))

    async def anchor(self) -> Anchor | None:
        """Write a record that names the log's end, and have it published; none while the log is empty."""
        found = await self._changing(self._anchor)
        if found is not None and self.anchored is not None:
            self.anchored(found)
        return found

    # For its readers ------------------------------------------------------------------------------

    async def items(self, selection: Selection, *, after: int, upto: int, limit: int) -> list[Item]:
        """Records in their order: those with numbers past `after`, up to `upto`, at most `limit` of them."""

        def read() -> list[Item]:
            found: list[Item] = []
            for record in self._files.records(since=selection.since, after=after):
                if record.seq > upto or len(found) == limit:
                    break
                if wants(selection, record):
                    found.append(item_of(record))
            return found

        return await self._reading(read)

    async def end(self) -> int:
        """The number of the last record; 0: there is none."""
        return await self._changing(lambda: self._last.seq if self._last is not None else 0)

    async def verification(self, anchor: str = "") -> Verification:
        """Read all that is there now, and say what of it is not as it was written."""
        extent = await self._changing(self._files.extent)
        return await self._reading(lambda: self._files.verify(anchor, extent))

    # Erasing and purging --------------------------------------------------------------------------

    async def erase_texts(
        self, concerned: Callable[[Record], bool], *, why: str, by: str, dry_run: bool = False
    ) -> int:
        """Erase the free texts of records, and say so in the chain; returns of how many."""
        return await self._reshaping(lambda: self._erase(concerned, why, by, dry_run=dry_run))

    async def purge(self, before: Instant, *, by: str, dry_run: bool = False) -> int:
        """Take out the whole days before a time, and say so in the chain; returns how many records."""
        return await self._reshaping(lambda: self._purge(before, by, dry_run=dry_run))

    # Within ---------------------------------------------------------------------------------------

    @property
    def _files(self) -> Files:
        return Files(self.path)

    async def _changing(self, work: Callable[[], _Result]) -> _Result:
        """Do what appends."""
        async with self._order:
            return await self._in_thread(
                lambda: self._begun(work), "written", "without it nobody is listened to"
            )

    async def _reshaping(self, work: Callable[[], _Result]) -> _Result:
        """Do what changes files that somebody may be reading."""
        async with self._shape:
            return await self._changing(work)

    async def _reading(self, work: Callable[[], _Result]) -> _Result:
        """Do what reads; whoever appends does not wait for it."""
        if self._last is None:
            await self._changing(lambda: None)
        async with self._shape:
            return await self._in_thread(work, "read", "it says who listened to whom")

    async def _in_thread(self, work: Callable[[], _Result], what: str, so: str) -> _Result:
        try:
            return await asyncio.to_thread(work)
        except OSError as error:
            path = error.filename if isinstance(error.filename, str) else self.path
            raise AuditUnavailable(
                f"the audit at {path} cannot be {what} ({error.strerror}); "
                f"make room or mend its permissions: {so}"
            ) from error

    def _begun(self, work: Callable[[], _Result]) -> _Result:
        # Also of one whose task was cancelled, and whose thread goes on: no two records are made at once.
        with self._one:
            if self._last is None:
                self._begin()
            return work()

    # In a thread, one at a time -------------------------------------------------------------------

    def _begin(self) -> None:
        """Take over what an earlier run left."""
        files = self._files
        if self._old.exists():
            migrate(self._old, files, self._now(), _salt)
        files.folder.mkdir(mode=0o750, exist_ok=True)
        torn = files.put_torn_aside()
        if torn is not None:
            log.warning(
                "the last line of the audit was torn, and is put aside", file=torn.file, aside=torn.aside
            )
            self._untold.append(self._own("torn", msgspec.to_builtins(torn)))
        end, problem = chain_end(files.last(), files.head())
        if problem:
            log.critical("the audit is not as it was left", reason=problem)
            self._untold.append(self._own("damaged", {"problem": problem}))
        days = files.days()
        self._day = days[-1].stem if days else ""
        self._last = end
        if self._untold:
            self._append([])

    def _append(self, entries: Sequence[Entry]) -> None:
        last, lines = self._last or Link(), []
        now = self._now()
        for entry in (*self._untold, *entries):
            payload = msgspec.to_builtins(entry, enc_hook=enc_hook)
            record = make(last, now, payload.pop("event"), payload, _salt)
            lines.append(encode(record))
            last = record.link
        day = max(self._day, day_of(now))  # a clock that is set back moves no record before another
        self._files.append(day, b"".join(lines))
        self._last, self._day = last, day
        self._untold.clear()
        try:
            self._files.set_head(last)
        except OSError as error:
            log.warning("the end of the audit is not noted beside it", reason=error.strerror)

    def _anchor(self) -> Anchor | None:
        end = self._last
        if end is None or end.seq == 0:
            return None
        anchor = Anchor(record=end.seq, hash=end.hash, at=self._now())
        self._append([self._own(ANCHOR, {"record": anchor.record, "hash": anchor.hash})])
        return anchor

    def _unfinished(self) -> dict[SupervisionId, Supervision]:
        going: dict[SupervisionId, Supervision] = {}
        for step in self._steps():
            if step.event == SupervisionState.ENDED:
                going.pop(step.supervision.id, None)
            else:
                going[step.supervision.id] = step.supervision
        return going

    def _steps(self) -> Iterator[Step]:
        for record in self._files.records():
            if record.event not in _STATES:
                continue
            item = item_of(record)
            if item.by or not item.supervision:
                continue  # what somebody asked for, and not what the PBX told
            try:
                session = msgspec.convert(
                    (item.payload or {}).get("supervision"), Supervision, dec_hook=dec_hook
                )
            except msgspec.ValidationError as error:
                log.warning("a session of the audit cannot be read", record=record.seq, reason=str(error))
                continue
            yield Step(event=record.event, supervision=session)

    def _erase(self, concerned: Callable[[Record], bool], why: str, by: str, *, dry_run: bool) -> int:
        files = self._files
        found: dict[Path, set[int]] = {}
        for path in files.days():
            for record in files.records_of(path):
                if has_texts(record) and concerned(record):
                    found.setdefault(path, set()).add(record.seq)
        numbers = sorted(seq for seqs in found.values() for seq in seqs)
        if dry_run or not numbers:
            return len(numbers)
        # Said before it is done: a crash between the two leaves texts, and never a gap that nothing tells of.
        for start in range(0, len(numbers), NAMED_AT_ONCE):
            about = {"records": numbers[start : start + NAMED_AT_ONCE], "why": why, "parts": "texts"}
            self._append([self._own(ERASED, about, by)])
        gone = frozenset(numbers)
        for path in found:
            files.rewrite(path, lambda record: without_texts(record) if record.seq in gone else record)
        return len(numbers)

    def _purge(self, before: Instant, by: str, *, dry_run: bool) -> int:
        files = self._files
        days = files.days()
        old = [path for path in days[:-1] if path.stem < day_of(before)]
        if not old:
            return 0
        count = sum(1 for path in old for _ in files.lines(path))
        stays = files.first(days[len(old)])
        first = next((record.seq for path in old for record in files.records_of(path)), None)
        if stays is None:
            raise OSError(0, "the first record that is to stay cannot be read: see `ctid audit verify`")
        if not dry_run:
            about = {
                "class": AUDIT,
                "first": first,
                "last": stays.seq - 1,
                "hash": stays.previous,
                "days": [path.stem for path in old],
            }
            self._append([self._own(PURGED, about, by)])
            files.remove(old)
        return count

    def _own(self, event: str, about: dict[str, Any], by: str = "") -> Entry:
        return Entry(at=self._now(), event=event, by=by, about=about)

    def _now(self) -> Instant:
        return Instant(self._clock.now())


def _salt() -> str:
    return secrets.token_hex(16)
