"""Whether an audit's lines are what was written: each edit, deletion, insertion and move is found. Pure."""

from collections.abc import Iterable
from typing import Any

from msgspec import Struct

from ctid.audit.chain import GENESIS, Link, Record, decode, faults, is_erased
from ctid.model.instant import Instant

ANCHOR, ERASED, PURGED = "anchor", "erased", "purged"
"""The events of the records that the chain itself leans on."""
AUDIT = "audit"
"""The class of the audit itself in a `purged` record."""
MOST_FINDINGS = 100
"""Findings that are told; a file that is not an audit at all has as many as lines."""


class Line(Struct, frozen=True, kw_only=True, gc=False):
    """A line as it is in its file, its end included; `place` is `<file>:<line>`."""

    place: str
    data: bytes


class Finding(Struct, frozen=True, kw_only=True, gc=False):
    """Something that is not as it was written."""

    record: int | None
    """The number of the record that it is about, where one can be named."""
    place: str
    """The file and the line."""
    problem: str


class Verification(Struct, frozen=True, kw_only=True):
    """What reading the whole log came to."""

    ok: bool
    records: int
    first: int | None
    """The number of the first record that is kept."""
    last: int | None
    last_hash: str
    last_at: Instant | None
    anchor: int | None
    """The number of the record that the newest anchor within the log names."""
    erased: int
    """Of how many records something was erased, as later records say."""
    purged_to: int
    """Up to which record the log was purged, as a later record says; 0: never."""
    findings: tuple[Finding, ...]
    """At most a hundred of them."""


class Verifier:
    """Reads lines in their order; `head` is where the log was last known to end, if that is known."""

    def __init__(self, *, head: Link | None = None, anchor: str = "") -> None:
        self._head = head
        self._anchor = anchor
        self._findings: list[Finding] = []
        self._count = 0
        self._first: Record | None = None
        self._last: Record | None = None
        self._place = ""
        self._expected: str | None = None
        """The hash that the next record names; none where what is before it could not be read."""
        self._next = 0
        self._erased: dict[int, str] = {}
        self._told = 0
        self._purged: dict[str, int] = {}
        self._anchored: int | None = None
        self._anchor_seen = False
        self._head_seen = head is None or head.seq == 0

    def read(self, line: Line) -> None:
        """Take the next line."""
        self._place = line.place
        if not line.data.endswith(b"\n"):
            self._find(self._next or None, "the line is torn: its end was never written, or is cut off")
            return
        try:
            record = decode(line.data)
        except ValueError as error:
            self._find(self._next or None, str(error))
            self._expected = None
            self._next += 1 if self._next else 0
            return
        self._take(record)

    def _take(self, record: Record) -> None:
        if self._first is None and not self._next:
            self._first = record
        elif record.seq != self._next and self._next:
            self._misplaced(record)
        elif self._expected is not None and record.previous != self._expected:
            self._find(record.seq, "it does not follow the record before it")
        for fault in faults(record):
            self._find(record.seq, fault)
        if is_erased(record):
            self._erased[record.seq] = self._place
        self._count += 1
        self._last = self._last if self._last is not None and self._last.seq > record.seq else record
        self._next, self._expected = record.seq + 1, record.hash
        self._anchor_seen = self._anchor_seen or record.hash == self._anchor
        if self._head is not None and record.seq == self._head.seq:
            self._head_seen = True
            if record.hash != self._head.hash:
                self._find(record.seq, "it is not the record that was last known to end the log")
        self._lean_on(record)

    def _misplaced(self, record: Record) -> None:
        if record.seq < self._next:
            self._find(record.seq, f"it is out of its place: record {self._next} was to come here")
        else:
            missing = range(self._next, record.seq)
            which = (
                f"record {missing[0]} is"
                if len(missing) == 1
                else f"records {missing[0]} to {missing[-1]} are"
            )
            self._find(missing[0], f"{which} missing before record {record.seq}")

    def _lean_on(self, record: Record) -> None:
        about = (record.payload or {}).get("about")
        about = about if isinstance(about, dict) else {}
        if record.event == ERASED and about.get("why"):
            for seq in _numbers(about.get("records")):
                if seq < record.seq and self._erased.pop(seq, None) is not None:
                    self._told += 1
        elif record.event == PURGED and about.get("class") == AUDIT:
            last = about.get("last")
            if isinstance(last, int):
                self._purged[str(about.get("hash"))] = last
        elif record.event == ANCHOR:
            self._anchored = about["record"] if isinstance(about.get("record"), int) else self._anchored

    def end(self) -> Verification:
        """Tell what was found, after the last line."""
        first, last = self._first, self._last
        begins = first is None or (first.seq, first.previous) == (1, GENESIS)
        if first is not None and not begins and self._purged.get(first.previous) != first.seq - 1:
            problem = "the records before it are missing, and no record says that they were purged"
            self._findings.insert(0, Finding(record=first.seq, place="", problem=problem))
        for seq, place in self._erased.items():
            problem = "something of it is gone, and no later record says that it was erased"
            self._findings.append(Finding(record=seq, place=place, problem=problem))
        if self._head is not None and not self._head_seen:
            problem = f"the log is cut short: it was last known to end with record {self._head.seq}"
            self._find(self._head.seq, problem)
        if self._anchor and not self._anchor_seen and self._anchor not in self._purged:
            problem = (
                "no record has the hash of the anchor that was kept elsewhere: the log was cut short before "
                "it, or written anew, or that record has been purged since"
            )
            self._find(None, problem)
        return Verification(
            ok=not self._findings,
            records=self._count,
            first=first.seq if first else None,
            last=last.seq if last else None,
            last_hash=last.hash if last else GENESIS,
            last_at=last.at if last else None,
            anchor=self._anchored,
            erased=self._told,
            purged_to=max(self._purged.values(), default=0),
            findings=tuple(self._findings[:MOST_FINDINGS]),
        )

    def _find(self, record: int | None, problem: str) -> None:
        self._findings.append(Finding(record=record, place=self._place, problem=problem))


def verify(lines: Iterable[Line], *, head: Link | None = None, anchor: str = "") -> Verification:
    """Read a whole log; see `Verifier`. `anchor`: a hash that was kept elsewhere."""
    verifier = Verifier(head=head, anchor=anchor)
    for line in lines:
        verifier.read(line)
    return verifier.end()


def _numbers(found: Any) -> list[int]:
    return [number for number in found if isinstance(number, int)] if isinstance(found, list) else []
