"""Snapshots of one Asterisk: when they are taken, and what the PBX is asked for them."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from itertools import count

import structlog

from ctid.model.errors import LinkError, PbxRefused, PbxTimeout, PbxUnavailable
from ctid.model.facts import Fact
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.model.words import SnapshotReason
from ctid.tasks import TaskOwner
from ctid_asterisk import actions
from ctid_asterisk.act_events import KEPT
from ctid_asterisk.actions import Action
from ctid_asterisk.lists import Lists
from ctid_asterisk.normalize import UnreadableError
from ctid_asterisk.outs import Reply
from ctid_asterisk.resync import Resync
from ctid_asterisk.roster import Roster
from ctid_asterisk.wire import Message

log = structlog.get_logger(__name__)

FENCE_S = 2.0
"""How long the fence is waited for. Without it a snapshot is told all the same, maybe ahead of events."""

_UNKNOWN = "invalid/unknown command"
"""How Asterisk says that the module which has an action is not loaded."""

CLASSES = {
    "CoreShowChannels": "`system` or `reporting`",
    "DeviceStateList": "`call` or `reporting`",
    "Status": "`system`, `call` or `reporting`",
    "ParkedCalls": "`call`",
    "PJSIPShowContacts": "`system`",
    "Agents": "`agent`",
}
"""What the AMI user needs among its `write` for a list (Asterisk 22, ast_manager_register), or none."""

_WEIGHT = (
    SnapshotReason.TIMER,
    SnapshotReason.REQUEST,
    SnapshotReason.UNREADABLE,
    SnapshotReason.RELOADED,
    SnapshotReason.CONNECTED,
)
"""Of the reasons of several who share a snapshot the last of these is told."""


class Snapshots:
    """Takes the snapshots of one connection: one at a time, and their lists one after the other.

    Whoever asks while one is taken shares the one after it with all others who do; the timer is content
    with the one under way. `act` sends an action and waits for its whole answer, `set_fence` sends the
    fence and does not wait, `tell` hands facts on.
    """

    def __init__(
        self,
        pbx: PbxId,
        resync: Resync,
        roster: Roster,
        *,
        act: Callable[[Callable[[], Action]], Awaitable[Reply]],
        set_fence: Callable[[str], None],
        tell: Callable[[Sequence[Fact]], Awaitable[None]],
        now: Callable[[], Instant],
        unreadable: Callable[[UnreadableError], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._pbx = pbx
        self._resync = resync
        self._roster = roster
        self._act = act
        self._set_fence = set_fence
        self._tell = tell
        self._now = now
        self._on_unreadable = unreadable
        self._tasks = TaskOwner(on_failure)
        self._one = asyncio.Lock()
        self._running: asyncio.Future[None] | None = None
        self._next: asyncio.Future[None] | None = None
        self._reason = SnapshotReason.TIMER
        self._caught_up = asyncio.Event()
        self._fences = count(1)
        self._mark = secrets.token_hex(4)
        """Whose fences these are: another connection sees them too, as a capture beside the daemon does."""
        self._absent: set[str] = set()
        self._refused: set[str] = set()

    async def close(self) -> None:
        """End what is under way; idempotent."""
        waiting = self._next
        await self._tasks.close()
        if waiting is not None:  # its task may never have begun
            _end(waiting)

    def heard(self) -> None:
        """An event has been read; it may have been the fence."""
        if not self._resync.taking:
            self._caught_up.set()

    async def take(self, reason: SnapshotReason) -> None:
        """Have a snapshot taken and told, and wait for it.

        Raises:
            LinkError: the link is lost, or the lists without which nothing is known cannot be had.
            PbxRefused, PbxTimeout: the PBX does not give the lists now; what is known stays.
        """
        if reason is SnapshotReason.TIMER and self._running is not None:
            await asyncio.shield(self._running)
            return
        if self._next is None:
            self._reason = reason
            self._next = asyncio.get_running_loop().create_future()
            self._tasks.spawn(f"{self._pbx}/snapshot", self._run(self._next))
        self._reason = max(self._reason, reason, key=_WEIGHT.index)
        await asyncio.shield(self._next)

    async def _run(self, mine: asyncio.Future[None]) -> None:
        async with self._one:
            self._running, self._next = mine, None
            try:
                await self._take(self._reason)
            except (LinkError, PbxRefused, PbxTimeout) as error:
                mine.set_exception(error)
                mine.exception()  # the same as in `_end`
            else:
                mine.set_result(None)
            finally:
                _end(mine)
                self._running = None
                self._resync.give_up()

    async def _take(self, reason: SnapshotReason) -> None:
        self._resync.begin(reason)
        await self._look()
        if self._resync.again:
            self._resync.look_again()
            await self._look()

    async def _look(self) -> None:
        """Ask for the lists, then wait for the fence behind them."""
        first = self._resync.pending
        try:
            lists = await self._lists(first=first)
        except PbxUnavailable as error:
            raise LinkError(f"no snapshot: {error.detail}") from error
        except PbxTimeout as error:
            if first:
                raise LinkError(f"no snapshot: {error.detail}") from error
            raise
        try:
            unreadable = self._resync.load(lists, self._now())
        except UnreadableError as error:
            if first:
                raise LinkError(f"no snapshot: {error}") from error
            raise PbxRefused(f"the PBX's lists cannot be read: {error}") from error
        for event in unreadable:
            self._on_unreadable(event)
        fence = f"{self._mark}-{next(self._fences)}"
        self._resync.expect(fence)
        self._caught_up.clear()
        try:
            self._set_fence(fence)
            async with asyncio.timeout(FENCE_S):
                await self._caught_up.wait()
        except TimeoutError:
            try:
                await self._act(actions.ping)
            except PbxUnavailable as error:
                raise LinkError(f"no snapshot: {error.detail}") from error
            self._say_once("fence", "no fence came back: does the AMI user read `dialplan`?")
            await self._tell(self._resync.finish(self._now()))

    async def _lists(self, *, first: bool) -> Lists:
        """The lists in their order. Raises as `act`; LinkError, PbxRefused: one that must be there is not."""
        queues = await self._needed("queues", actions.queue_status, first=first)
        self._roster.replace_present(queues)
        channels = await self._needed("channels", actions.core_show_channels, first=first)
        return Lists(
            channels=channels,
            queues=queues,
            devices=await self._list(actions.device_state_list),
            # Who holds is only deduced, and who stands by in the pool: once known, the events know better.
            holds=await self._list(_holds) if first else None,
            bridges=await self._list(actions.bridge_list),
            parked=await self._list(actions.parked_calls),
            contacts=await self._list(actions.pjsip_show_contacts),
            agents=await self._list(actions.agents) if first else None,
        )

    async def _needed(self, what: str, build: Callable[[], Action], *, first: bool) -> Sequence[Message]:
        reply = await self._act(build)
        if reply.ok:
            return reply.items
        detail = f"the PBX refuses to list its {what}: {reply.text}{_cure(build().name)}"
        if first:
            raise LinkError(detail)
        raise PbxRefused(detail)

    async def _list(self, build: Callable[[], Action]) -> Sequence[Message] | None:
        """A list that can be done without: empty where its module is absent, none where it is refused."""
        name = build().name
        if name in self._absent:
            return ()
        reply = await self._act(build)
        if reply.ok:
            return reply.items
        if reply.text.lower().startswith(_UNKNOWN):
            self._absent.add(name)
            return ()
        self._say_once(name, f"the PBX refuses a list: {reply.text}{_cure(name)}", list=name)
        return None

    def _say_once(self, what: str, text: str, **fields: str) -> None:
        if what not in self._refused:
            self._refused.add(what)
            log.warning(text, pbx=self._pbx, **fields)


def _end(future: asyncio.Future[None]) -> None:
    """Let nobody wait for what will not come."""
    if not future.done():
        future.set_exception(LinkError("no snapshot: the connection is closed"))
        future.exception()  # whoever asked may have gone


def _holds() -> Action:
    return actions.status(variables=["CHANNEL(onhold)", *KEPT])


def _cure(name: str) -> str:
    needs = CLASSES.get(name)
    return f"; {name} needs {needs} among the AMI user's `write`" if needs else ""
