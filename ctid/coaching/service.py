"""The room of the coaching sheets: remembers the sessions, takes sheets and answers for them."""

import secrets
from collections.abc import Callable, Sequence

import structlog
from msgspec import Struct

from ctid.coaching import sheets
from ctid.coaching.kept import CoachingUnavailable, Kept, Place, Readable
from ctid.coaching.sheets import Criterion, Grades, Session, Sheet
from ctid.hub import Hub, SlowSubscriber
from ctid.model.entities import Supervision
from ctid.model.errors import NotFound, SheetRefused
from ctid.model.facts import SheetWritten
from ctid.model.ids import AgentId, SheetId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import Right, User, UserRole
from ctid.model.words import SupervisionState
from ctid.ports import Clock
from ctid.state.changes import Change
from ctid.supervision.rights import Rights

log = structlog.get_logger(__name__)

SOURCE = "coaching"
"""The source of the facts that this room tells."""
_IN_A_CALL = frozenset({SupervisionState.ACTIVE, SupervisionState.SWITCHING})


class Rules(Struct, frozen=True, kw_only=True):
    """The grid, and for how long an author may change a sheet, in seconds."""

    grid: tuple[Criterion, ...]
    edit_s: float


class CoachingService:
    """Sheets; what one says is told to nobody but those who may read it."""

    def __init__(self, hub: Hub, kept: Kept, rules: Rules, rights: Rights, clock: Clock) -> None:
        self._hub = hub
        self._kept = kept
        self._rules = rules
        self._rights = rights
        self._clock = clock
        self._sessions: dict[SupervisionId, dict[AgentId, Session]] = {}
        """Those that go on, by agent."""

    # What others ask ------------------------------------------------------------------------------

    async def write(
        self, user: User, ident: SupervisionId, agent: str | None, grades: Grades, text: str
    ) -> Sheet:
        """Write the sheet of a session of this user's.

        Raises:
            NotFound: there is, and was, no such session of hers.
            SheetRefused: it has one (`sheet.exists`).
            InvalidRequest: a grade is none of the grid's, nothing is said, or several agents may be meant.
            CoachingUnavailable: the disk does not take it.
        """
        live = self._hub.store.supervisions.get(ident)
        if live is not None:
            await self._saw(live)
        session = sheets.chosen(user, ident, await self._kept.sessions(ident), agent)
        sheet = sheets.written(
            SheetId(f"c{secrets.token_hex(6)}"),
            session,
            self._rules.grid,
            grades,
            text,
            now=self._now(),
            edit_s=self._rules.edit_s,
        )
        other = await self._kept.add(sheet)
        if other is not None:
            raise SheetRefused(
                "exists", f"this session has the sheet {other.id} about {other.agent}: change that one"
            )
        await self._told(user, sheet)
        return sheet

    async def mend(self, user: User, ident: SheetId, grades: Grades, text: str | None) -> Sheet:
        """Change a sheet of this user's. Raises NotFound, SheetRefused (`sheet.closed`), InvalidRequest."""

        def hers(sheet: Sheet) -> bool:
            return sheet.author == user.name

        return await self._changed(
            user, ident, hers, lambda sheet: sheets.mended(sheet, grades, text, self._now())
        )

    async def comment(self, user: User, ident: SheetId, text: str) -> Sheet:
        """Let the agent answer a sheet about her. Raises NotFound."""

        def about_her(sheet: Sheet) -> bool:
            return sheet.agent == user.agent

        return await self._changed(
            user, ident, about_her, lambda sheet: sheets.commented(sheet, text, self._now())
        )

    async def sheet(self, user: User, ident: SheetId) -> Sheet:
        """A sheet that this user may read. Raises NotFound."""
        return await self._readable(ident, lambda sheet: sheets.may_read(user, sheet, self._audited(user)))

    async def versions(self, user: User, ident: SheetId) -> Sequence[Sheet]:
        """Every version of it, the oldest first. Raises NotFound."""
        await self.sheet(user, ident)
        return await self._kept.versions(ident)

    async def sheets(self, user: User, agent: str | None, after: Place | None, limit: int) -> Sequence[Sheet]:
        """The sheets that this user may read, the newest first."""
        if user.role is UserRole.AGENT:
            if user.agent is None or agent not in (None, user.agent):
                return []
            agent = user.agent
            return await self._kept.sheets(agent=agent, after=after, limit=limit)
        readable = Readable(author=user.name, teams=self._audited(user))
        return await self._kept.sheets(readable, agent=agent, after=after, limit=limit)

    # Life -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Remember the sessions, for ever."""
        kinds = frozenset({Supervision.kind})
        try:
            try:
                await self._kept.open()
            except CoachingUnavailable as error:
                log.error("no sheets can be written", reason=error.detail)  # noqa: TRY400 - a disk's failure, no defect to trace
            while True:
                subscription = self._hub.subscribe("coaching", kinds=kinds)
                try:
                    for entity in subscription.entities:
                        if isinstance(entity, Supervision):
                            await self._remembered(entity)
                    async for update in subscription:
                        if isinstance(update, Change) and isinstance(update.new, Supervision):
                            await self._remembered(update.new)
                except SlowSubscriber:
                    continue
                finally:
                    self._hub.unsubscribe(subscription)
        finally:
            await self._kept.close()

    async def _remembered(self, told: Supervision) -> None:
        try:
            await self._saw(told)
        except CoachingUnavailable as error:
            log.error("no sheet can be written about a session", session=told.id, reason=error.detail)  # noqa: TRY400 - a disk's failure, no defect to trace

    async def _saw(self, told: Supervision) -> None:
        """Keep what a session tells that a sheet needs; of one that ended, that it did."""
        ended = told.state is SupervisionState.ENDED
        if told.state not in _IN_A_CALL and not ended:
            return
        parts = self._sessions.setdefault(told.id, {})
        if not parts:
            parts.update({part.agent: part for part in await self._kept.sessions(told.id)})
        known = parts.get(told.agent) if told.agent is not None else None
        if ended:
            self._sessions.pop(told.id, None)
            if known is None:
                return  # it never was in a call
        agent = self._hub.store.agents.get(told.agent) if told.agent is not None else None
        part = sheets.session_of(told, known, agent.team if agent is not None else "")
        if part is not None and part != known:
            await self._kept.put_session(part)
            parts[part.agent] = part

    # ----------------------------------------------------------------------------------------------

    async def _readable(self, ident: SheetId, may: Callable[[Sheet], bool]) -> Sheet:
        sheet = await self._kept.sheet(ident)
        if sheet is None or not may(sheet):
            raise NotFound("sheet", ident)
        return sheet

    async def _changed(
        self, user: User, ident: SheetId, may: Callable[[Sheet], bool], next_of: Callable[[Sheet], Sheet]
    ) -> Sheet:
        while True:
            before = await self._readable(ident, may)
            after = next_of(before)
            if await self._kept.change(before, after):  # else somebody was faster: what she wrote stays
                await self._told(user, after)
                return after

    async def _told(self, user: User, sheet: Sheet) -> None:
        log.info(
            "coaching sheet written", sheet=sheet.id, agent=sheet.agent, by=user.name, version=sheet.version
        )
        fact = SheetWritten(
            pbx=sheet.pbx, at=self._now(), sheet=sheet.id, agent=sheet.agent, call=sheet.call, source=SOURCE
        )
        await self._hub.feed([fact])

    def _audited(self, user: User) -> frozenset[str]:
        """The teams whose audit she may read."""
        return self._rights.over(user, Right.AUDIT)

    def _now(self) -> Instant:
        return Instant(self._clock.now())
