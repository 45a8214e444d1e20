"""Retention, people's rights, and listening that ctid did not start."""

from pathlib import Path

import pytest
import structlog

from ctid.audit import Audit, Entry, retention, watch
from ctid.audit.entries import Item, Selection
from ctid.audit.retention import AuditDays, Retention
from ctid.audit.subjects import AuditReader, Erasure, Subject, SubjectKind, Subjects
from ctid.audit.watch import Watch
from ctid.history.ledger import LedgerUnavailable
from ctid.hub import Hub
from ctid.model.facts import Leg, LegChanged, MonitoringSeen
from ctid.model.ids import LegId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.state.store import Store
from ctid.tasks import TaskOwner
from helpers.fakes import FakeClock
from helpers.floor import BASE
from helpers.moments import PBX
from helpers.patience import until

DAY_S = 86_400.0
ROOT = User(name="root", role=UserRole.ADMIN)
AGENT = Subject(kind=SubjectKind.AGENT, id="1001")
NUMBER = Subject(kind=SubjectKind.NUMBER, id="0612345678")


async def _items(audit: Audit, event: str = "") -> list[Item]:
    return await audit.items(Selection(event=event), after=0, upto=10_000, limit=10_000)


async def _recorded(audit: Audit, count: int) -> None:
    async def there() -> bool:
        return len(await _items(audit)) >= count

    await until(there)


# Retention --------------------------------------------------------------------------------------------


class Sheets:
    """A class of three items, of which two are old; `broken` makes it one that cannot be purged."""

    name = "sheets"
    keep_days = 30

    def __init__(self) -> None:
        self.asked: list[tuple[float, str, bool]] = []
        self.old = 2
        self.broken = ""

    async def purge(self, before: Instant, *, by: str, dry_run: bool) -> int:
        """Purge the old ones."""
        self.asked.append((before, by, dry_run))
        if self.broken:
            raise LedgerUnavailable(self.broken)
        gone, self.old = self.old, self.old if dry_run else 0
        return gone


async def test_each_class_is_purged_by_its_own_days(tmp_path: Path) -> None:
    """A dry run takes nothing out; what goes is told in the audit, once."""
    clock = FakeClock(BASE)
    audit, sheets = Audit(tmp_path, clock), Sheets()
    await audit.write(Entry(at=BASE, event="old"))
    clock.at = BASE + 400 * DAY_S
    await audit.write(Entry(at=BASE, event="new"))
    room = Retention(audit, clock, [AuditDays(audit, 365)])
    room.register(sheets)
    report = await room.purge(by="root", dry_run=True)
    assert [(kept.name, kept.keep_days, kept.purged) for kept in report.classes] == [
        ("audit", 365, 1),
        ("sheets", 30, 2),
    ]
    assert [item.event for item in await _items(audit)] == ["old", "new"]
    assert (await room.purge(by="root")).classes == report.classes
    assert sheets.asked == [(clock.at - 30 * DAY_S, "root", True), (clock.at - 30 * DAY_S, "root", False)]
    assert [item.event for item in await _items(audit)] == ["new", "purged", "purged"]
    told = [(item.by, (item.payload or {})["about"].get("count")) for item in await _items(audit, "purged")]
    assert told == [("root", None), ("root", 2)]
    assert (await audit.verification()).ok
    assert [kept.purged for kept in (await room.purge(by="root")).classes] == [0, 0]


async def test_a_class_that_fails_stops_no_other(tmp_path: Path) -> None:
    """It is told with its reason, and the others are purged."""
    clock = FakeClock(BASE)
    audit, broken, good = Audit(tmp_path, clock), Sheets(), Sheets()
    broken.broken = "the disk is gone"
    report = await Retention(audit, clock, [broken, good]).purge(by="root")
    assert [(kept.purged, kept.problem) for kept in report.classes] == [(None, "the disk is gone"), (2, "")]


async def test_it_is_done_daily(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the start, then once a day, and sooner after a failure."""
    monkeypatch.setattr(retention, "AGAIN_S", 0.01)
    monkeypatch.setattr(retention, "DAY_S", 0.05)
    clock, tasks, sheets = FakeClock(BASE), TaskOwner(), Sheets()
    sheets.broken = "the disk is gone"
    tasks.spawn("retention", Retention(Audit(tmp_path, clock), clock, [sheets]).run())
    await until(lambda: len(sheets.asked) > 2)
    sheets.broken = ""
    await until(lambda: sheets.old == 0)
    count = len(sheets.asked)
    await until(lambda: len(sheets.asked) > count)
    await tasks.close()
    assert sheets.asked[0][1:] == (retention.ITSELF, False)


# People's rights --------------------------------------------------------------------------------------


class Help:
    """Requests for help, which are erased with whom they are of."""

    name = "help"

    async def export(self, subject: Subject) -> list[dict[str, str]]:
        """The one request."""
        return [{"agent": subject.id}]

    async def erase(self, subject: Subject, *, by: str, dry_run: bool) -> Erasure:
        """Erase it."""
        del subject, by, dry_run
        return Erasure(name=self.name, erased=1, kept=0, reason="")


async def _noted(folder: Path) -> tuple[Audit, Subjects]:
    audit = Audit(folder, FakeClock())
    for agent, note in (("1001", "slow"), ("1001", "call 06 12 34 56 78"), ("1002", "fine"), ("1001", "")):
        await audit.write(Entry(at=BASE, event="refused", agent=agent, about={"note": note}))
    subjects = Subjects(audit, FakeClock(), [AuditReader(audit)])
    subjects.register(Help())
    return audit, subjects


async def test_all_that_is_kept_about_an_agent(tmp_path: Path) -> None:
    """By class, with the notes; that it was handed out is recorded."""
    audit, subjects = await _noted(tmp_path)
    document = await subjects.export(ROOT, AGENT)
    told = [item["payload"]["about"]["note"] for item in document.classes["audit"][:3]]
    assert told == ["slow", "call 06 12 34 56 78", ""]
    assert document.classes["help"] == [{"agent": "1001"}]
    (item,) = await _items(audit, "subject_exported")
    assert (item.by, item.agent) == ("root", "1001")


async def test_what_was_written_about_an_agent_is_erased(tmp_path: Path) -> None:
    """Who listened stays, what was noted goes; a dry run says how much; the report says what is kept."""
    audit, subjects = await _noted(tmp_path)
    for dry_run, notes in ((True, ["slow", "call 06 12 34 56 78"]), (False, ["", ""])):
        report = await subjects.erase(ROOT, AGENT, dry_run=dry_run)
        assert [(part.name, part.erased) for part in report.classes] == [("audit", 2), ("help", 1)]
        assert report.dry_run is dry_run
        assert report.classes[0].kept >= 3
        assert "audit_days" in report.classes[0].reason
        kept = await _items(audit, "refused")
        assert [(item.payload or {})["about"]["note"] for item in kept[:2]] == notes
    assert [item.agent for item in await _items(audit, "refused")] == ["1001", "1001", "1002", "1001"]
    assert len(await _items(audit, "subject_erased")) == 2
    assert (await audit.verification()).ok


async def test_a_number_is_erased_where_it_was_noted(tmp_path: Path) -> None:
    """However it was written; the record of the erasure does not keep the number itself."""
    audit, subjects = await _noted(tmp_path)
    assert len((await subjects.export(ROOT, NUMBER)).classes["audit"]) == 1
    report = await subjects.erase(ROOT, NUMBER, dry_run=False)
    assert (report.classes[0].erased, report.classes[0].kept, report.classes[0].reason) == (1, 0, "")
    files = b"".join(path.read_bytes() for path in audit.path.iterdir())
    assert b"06 12" not in files
    assert b"0612345678" not in files
    kept = [(item.payload or {})["about"]["note"] for item in await _items(audit, "refused")]
    assert kept == ["slow", "", "fine", ""]


async def test_a_number_in_what_is_kept_is_told(tmp_path: Path) -> None:
    """One that stands in what happened stays, and the report says that it does."""
    audit = Audit(tmp_path, FakeClock())
    await audit.write(Entry(at=BASE, event="transferred", about={"to": ["0612345678"]}))
    report = await Subjects(audit, FakeClock(), [AuditReader(audit)]).erase(ROOT, NUMBER, dry_run=False)
    assert (report.classes[0].erased, report.classes[0].kept) == (0, 1)


# Listening that ctid did not start --------------------------------------------------------------------


async def test_it_is_recorded_as_nobodys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With agent, call, phone and means; one that cannot be written is told loudly, and a loss as well."""
    monkeypatch.setattr(watch, "WAITING", 8)
    hub, tasks = Hub(Store(), FakeClock()), TaskOwner()
    audit = Audit(tmp_path, FakeClock())
    seen = MonitoringSeen(pbx=PBX, at=BASE, leg=LegId("a1"), by="2003", how="spy")
    leg = Leg(id=LegId("a1"), call="c1", created_at=BASE, incoming=False)
    tasks.spawn("watch", Watch(hub, audit).run())
    tasks.spawn("hub", hub.run())
    await hub.feed([LegChanged(pbx=PBX, at=BASE, leg=leg), seen])
    await _recorded(audit, 1)
    (item,) = await _items(audit)
    assert (item.event, item.call, item.by) == ("unattributed", "lab.c1", "")
    assert (item.payload or {})["about"] == {"pbx": "lab", "leg": "a1", "phone": "2003", "how": "spy"}
    with structlog.testing.capture_logs() as logs:
        good, audit.path = audit.path, tmp_path / "nowhere"
        await hub.feed([seen])
        await until(lambda: any(entry["event"] == "audit failed" for entry in logs))
        audit.path = good
        await hub.feed([seen] * 40)
        await until(lambda: sum(entry["event"] == "audit failed" for entry in logs) == 2)
        count = len(await _items(audit))
        await hub.feed([seen])
        await _recorded(audit, count + 1)
    await tasks.close()
