import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from structlog.testing import capture_logs

from ctid.audit.subjects import Subject, SubjectKind
from ctid.coaching.accounting import SheetsAccount
from ctid.coaching.kept import FILE, CoachingUnavailable, Kept
from ctid.coaching.service import CoachingService, Rules
from ctid.coaching.sheets import Criterion, Session
from ctid.model.entities import Supervision
from ctid.model.errors import InvalidRequest, NotFound, SheetRefused
from ctid.model.facts import SupervisionChanged
from ctid.model.ids import AgentId, SheetId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import Right, User, UserRole
from ctid.model.words import SupervisionState
from ctid.state.changes import Occurrence
from ctid.supervision.rights import Grant, Rights
from ctid.tasks import TaskOwner
from helpers.desk import LAB, PAUL, ROOT, SOFIA, Desk, listen
from helpers.floor import BASE
from helpers.patience import until

ANNA = User(name="anna", role=UserRole.AGENT, agent=AgentId("1001"))
EMMA = User(name="emma", role=UserRole.AGENT, agent=AgentId("1002"))
NOBODY = User(name="nobody", role=UserRole.AGENT)
RULES = Rules(grid=(Criterion(id="greeting", label="Greeting"), Criterion(id="closing")), edit_s=3600.0)


class CoachingDesk(Desk):
    """A desk with the room of the coaching sheets."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.kept = Kept(directory)
        self.coaching = CoachingService(self.hub, self.kept, RULES, Rights(), self.clock)
        self.room = TaskOwner()

    async def begin(self) -> None:
        """Begin the room."""
        self.room.spawn("coaching", self.coaching.run())
        await until(lambda: any(one.name == "coaching" for one in self.hub._subscriptions))

    async def ended(self) -> Supervision:
        """A session of Sofia's with 1001, which is over."""
        session = await self.service.start(SOFIA, listen())
        over = await self.service.end(SOFIA, session.id)
        await self.settle(lambda parts: bool(parts) and parts[0].ended_at is not None, session.id)
        return over

    async def settle(self, holds: object, ident: SupervisionId) -> None:
        """Wait until what is kept of a session is so."""
        assert callable(holds)

        async def kept() -> bool:
            return bool(holds(await self.kept.sessions(ident)))

        await until(kept)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[CoachingDesk]:
    """A desk at which agent 1001 talks with a customer."""
    async with CoachingDesk(tmp_path) as desk:
        await desk.begin()
        yield desk
        await desk.room.close()


async def test_a_sheet_of_a_session_that_is_over(desk: CoachingDesk) -> None:
    """It is kept, and its writing is told by ids alone; a second one of the same session is refused."""
    session = await desk.ended()
    following = desk.hub.subscribe("test")
    sheet = await desk.coaching.write(SOFIA, session.id, None, {"greeting": 4}, "let him finish")
    assert (sheet.agent, sheet.author, sheet.call, sheet.version) == ("1001", "sofia", "lab.c1", 1)
    told = await following.next()
    assert isinstance(told, Occurrence)
    assert (told.name, told.agent, told.call, told.to, told.by) == (
        "sheet_written",
        "1001",
        "lab.c1",
        sheet.id,
        "",
    )
    assert "finish" not in repr(told)
    with pytest.raises(SheetRefused, match=f"has the sheet {sheet.id}") as refused:
        await desk.coaching.write(SOFIA, session.id, None, {}, "again")
    assert refused.value.code == "sheet.exists"


async def test_a_sheet_of_a_session_that_goes_on(desk: CoachingDesk) -> None:
    """At once, before the room has seen it; not of one whose phone only rings, nor of another's."""
    desk.pbx.rings = asyncio.get_running_loop().create_future()
    start = asyncio.ensure_future(desk.service.start(SOFIA, listen()))  # noqa: TID251 - a client, in a test
    await until(lambda: bool(desk.sessions))
    (ident,) = desk.sessions
    with pytest.raises(NotFound, match="no supervision"):
        await desk.coaching.write(SOFIA, ident, None, {}, "too early")
    desk.pbx.rings.set_result(None)
    await start
    with pytest.raises(NotFound):
        await desk.coaching.write(PAUL, ident, None, {}, "not mine")
    with pytest.raises(InvalidRequest, match="greeting, closing"):
        await desk.coaching.write(SOFIA, ident, None, {"warmth": 1}, "")
    assert (await desk.coaching.write(SOFIA, ident, None, {}, "calm")).supervision == ident


async def test_a_session_that_never_began(desk: CoachingDesk) -> None:
    """One whose phone rang in vain has no sheet."""
    session = replace(await desk.service.start(SOFIA, listen()), id=SupervisionId("s0"))
    ringing = replace(session, state=SupervisionState.RINGING)
    await desk.feed(SupervisionChanged(pbx=LAB, at=BASE, supervision=ringing))
    over = replace(ringing, state=SupervisionState.ENDED, ended_at=BASE)
    await desk.feed(SupervisionChanged(pbx=LAB, at=BASE, supervision=over))
    with pytest.raises(NotFound):
        await desk.coaching.write(SOFIA, SupervisionId("s0"), None, {}, "nothing")


async def test_a_session_that_followed(desk: CoachingDesk) -> None:
    """A sheet for each agent it was with, however it ended."""
    session = await desk.service.start(SOFIA, listen())
    await desk.feed(
        SupervisionChanged(
            pbx=LAB, at=BASE, supervision=replace(session, agent=AgentId("1002"), since=Instant(BASE + 9))
        )
    )
    await desk.settle(lambda parts: len(parts) == 2, session.id)
    with pytest.raises(InvalidRequest, match="1001, 1002"):
        await desk.coaching.write(SOFIA, session.id, None, {}, "who?")
    for agent in ("1001", "1002"):
        assert (await desk.coaching.write(SOFIA, session.id, agent, {}, "calm")).agent == agent


async def test_it_is_mended(desk: CoachingDesk) -> None:
    """By its author, within its time; every version stays, the agent's answer among them."""
    sheet = await desk.coaching.write(SOFIA, (await desk.ended()).id, None, {"greeting": 4}, "calm")
    told = await desk.coaching.mend(SOFIA, sheet.id, {"closing": 2}, None)
    assert (told.version, [one.grade for one in told.grades]) == (2, [4, 2])
    answered = await desk.coaching.comment(ANNA, sheet.id, "he had called three times")
    assert answered.comment is not None
    for user in (PAUL, ROOT):
        with pytest.raises(NotFound, match="no sheet"):
            await desk.coaching.mend(user, sheet.id, {}, "mine now")
    for user in (EMMA, NOBODY):
        with pytest.raises(NotFound):
            await desk.coaching.comment(user, sheet.id, "me too")
    desk.clock.at += 3600.0
    with pytest.raises(SheetRefused, match="its time for changes is over"):
        await desk.coaching.mend(SOFIA, sheet.id, {}, "late")
    versions = await desk.coaching.versions(ANNA, sheet.id)
    assert [(one.version, one.comment is not None) for one in versions] == [(1, False), (2, False), (2, True)]
    assert await desk.coaching.sheet(SOFIA, sheet.id) == versions[-1]


async def test_two_changes_at_once(desk: CoachingDesk) -> None:
    """Neither takes the other's away."""
    sheet = await desk.coaching.write(SOFIA, (await desk.ended()).id, None, {}, "calm")
    await asyncio.gather(
        desk.coaching.mend(SOFIA, sheet.id, {"greeting": 1}, None),
        desk.coaching.mend(SOFIA, sheet.id, {"closing": 2}, None),
        desk.coaching.comment(ANNA, sheet.id, "thanks"),
    )
    told = await desk.coaching.sheet(SOFIA, sheet.id)
    assert [one.grade for one in told.grades] == [1, 2]
    assert told.comment is not None
    assert told.version == 3


async def test_who_reads(desk: CoachingDesk) -> None:
    """Author, agent and admin; for anybody else there is no such sheet, and lists are empty."""
    sheet = await desk.coaching.write(SOFIA, (await desk.ended()).id, None, {}, "calm")
    for user in (SOFIA, ANNA, ROOT):
        assert (await desk.coaching.sheet(user, sheet.id)).text == "calm"
        assert [one.id for one in await desk.coaching.sheets(user, None, None, 10)] == [sheet.id]
        assert [one.id for one in await desk.coaching.sheets(user, "1001", None, 10)] == [sheet.id]
        assert await desk.coaching.sheets(user, "1002", None, 10) == []
    for user in (PAUL, EMMA, NOBODY):
        with pytest.raises(NotFound):
            await desk.coaching.sheet(user, sheet.id)
        with pytest.raises(NotFound):
            await desk.coaching.versions(user, sheet.id)
        assert list(await desk.coaching.sheets(user, None, None, 10)) == []
        assert list(await desk.coaching.sheets(user, "1001", None, 10)) == []
    with pytest.raises(NotFound):
        await desk.coaching.sheet(ROOT, SheetId("none"))


async def test_who_reads_the_audit_of_a_team(desk: CoachingDesk) -> None:
    """With the right over the agent's team, and no other; her own sheets stay hers."""
    sheet = await desk.coaching.write(SOFIA, (await desk.ended()).id, None, {}, "calm")
    assert sheet.team == "north"
    for teams, reads in ((frozenset({"north"}), True), (frozenset({"south"}), False)):
        desk.coaching._rights = Rights([Grant(user="paul", teams=teams, rights=frozenset({Right.AUDIT}))])
        assert len(await desk.coaching.sheets(PAUL, None, None, 10)) == reads
        assert len(await desk.coaching.sheets(SOFIA, None, None, 10)) == 1
        assert list(await desk.coaching.sheets(ROOT, None, None, 10)) == []


async def test_pages(desk: CoachingDesk) -> None:
    """The newest first, each once, also where several were written in the same moment."""
    ids = []
    for number in range(5):
        desk.clock.at += 1.0004 * (number % 2)
        sheet = await desk.coaching.write(SOFIA, (await desk.ended()).id, None, {}, f"{number}")
        ids.append(sheet.id)
    seen: list[str] = []
    after = None
    while page := await desk.coaching.sheets(SOFIA, None, after, 2):
        seen += [one.id for one in page]
        after = (page[-1].written_at, page[-1].id)
    assert sorted(seen) == sorted(ids)
    times = [(await desk.coaching.sheet(SOFIA, SheetId(ident))).written_at for ident in seen]
    assert times == sorted(times, reverse=True)


async def test_retention(desk: CoachingDesk) -> None:
    """What is old is counted and taken out with its versions and sessions; an agent's is erased."""
    old = await desk.ended()
    sheet = await desk.coaching.write(SOFIA, old.id, None, {}, "old")
    await desk.coaching.mend(SOFIA, sheet.id, {}, "older")
    account = SheetsAccount(desk.kept, 365)
    assert await account.purge(Instant(BASE), by="root", dry_run=False) == 0
    for dry_run in (True, False):
        assert await account.purge(Instant(BASE + 1), by="root", dry_run=dry_run) == 1
    assert list(await desk.kept.versions(sheet.id)) == []
    assert list(await desk.kept.sessions(old.id)) == []
    session = await desk.ended()
    again = await desk.coaching.write(SOFIA, session.id, None, {}, "he calls from 0612345678")
    await desk.coaching.mend(SOFIA, again.id, {}, "calm")
    anna, emma, number = (
        Subject(kind=SubjectKind.AGENT, id="1001"),
        Subject(kind=SubjectKind.AGENT, id="1002"),
        Subject(kind=SubjectKind.NUMBER, id="0612345678"),
    )
    for subject, versions in ((anna, 2), (emma, 0), (number, 1)):
        assert [one["id"] for one in await account.export(subject)] == [again.id] * versions
        assert (await account.erase(subject, by="root", dry_run=True)).erased == min(versions, 1)
    assert (await account.erase(number, by="root", dry_run=False)).erased == 1
    assert await desk.kept.sheet(again.id) is None
    assert len(await desk.kept.sessions(session.id)) == 1
    assert (await account.erase(anna, by="root", dry_run=False)).erased == 0
    assert list(await desk.kept.sessions(session.id)) == []


async def test_a_disk_that_refuses(desk: CoachingDesk) -> None:
    """A session goes on, and the log says that no sheet can be written about it."""

    async def refuses(session: Session) -> None:
        del session
        raise CoachingUnavailable("no room")

    desk.kept.put_session = refuses  # type: ignore[method-assign]  # the disk is full
    with capture_logs() as logs:
        session = await desk.service.start(SOFIA, listen())
        await until(lambda: any(line.get("reason") == "no room" for line in logs))
        with pytest.raises(CoachingUnavailable):
            await desk.coaching.write(SOFIA, session.id, None, {}, "calm")
    assert desk.sessions[session.id].state is SupervisionState.ACTIVE


async def test_a_file_that_cannot_be_used(tmp_path: Path) -> None:
    """The log says so at the start, and the API when somebody asks."""
    (tmp_path / FILE).write_bytes(b"no database at all, but long enough to be looked at" * 100)
    with capture_logs() as logs:
        async with CoachingDesk(tmp_path) as desk:
            await desk.begin()
            with pytest.raises(CoachingUnavailable, match="not a database"):
                await desk.coaching.sheets(ROOT, None, None, 10)
            await desk.room.close()
    assert any(line["event"] == "no sheets can be written" for line in logs)


async def test_a_restart(tmp_path: Path) -> None:
    """A session that goes on is taken in at the start; one that was seen before has kept its beginning."""
    async with CoachingDesk(tmp_path) as desk:
        session = await desk.service.start(SOFIA, listen())
        await desk.begin()
        await desk.settle(lambda parts: len(parts) == 1, session.id)
        await desk.room.close()
        desk.kept = Kept(tmp_path)
        desk.coaching = CoachingService(desk.hub, desk.kept, RULES, Rights(), desk.clock)
        desk.room = TaskOwner()
        await desk.begin()
        (part,) = await desk.kept.sessions(session.id)
        assert part.began_at == session.since
        await desk.room.close()
