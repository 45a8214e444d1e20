"""The webhooks of one ctid: follows the hub, keeps letters on disk, has each webhook's courier bring them."""

import asyncio
import random
from collections import deque
from collections.abc import Collection, Sequence
from pathlib import Path

import structlog

from ctid.config_schema import WebhookConfig
from ctid.hub import Hub, SlowSubscriber, Subscription
from ctid.model.errors import NotFound
from ctid.model.instant import Instant
from ctid.ports import Clock
from ctid.state.changes import Update
from ctid.tasks import TaskOwner
from ctid.webhooks.courier import Courier
from ctid.webhooks.kept import FILE, Kept
from ctid.webhooks.letters import NewLetter
from ctid.webhooks.line import Letter
from ctid.webhooks.matching import Selection
from ctid.webhooks.sorting import Recipient, Sorter
from ctid.webhooks.verdict import Verdict
from ctid.webhooks.words import DeadLetter, Retried, Tested, WebhookStatus, WebhooksUnavailable

log = structlog.get_logger(__name__)

IN_MEMORY = 5000
"""Letters that may wait for the disk; beyond it the oldest are dropped, and counted."""
BATCH = 500
"""Letters written at a time."""
UPDATES_A_TURN = 64
"""Updates taken in before others get the loop."""
RETRY_S = 1.0
"""After the disk refused: a disk that is full stays so for a while."""
REST_S = 1.0


class Webhooks:
    """Built from the configuration; does no I/O before `run`. Raises OSError: a `tls_ca` cannot be used."""

    def __init__(
        self,
        hub: Hub,
        hooks: Sequence[WebhookConfig],
        site: str,
        boot_id: str,
        directory: Path,
        clock: Clock,
        chance: random.Random | None = None,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._file = directory / FILE
        self.kept = Kept(directory)
        self._sorter = Sorter(site, boot_id, [_recipient(hook) for hook in hooks])
        generator = chance or random.Random()  # noqa: S311 - jitter, no secret
        self._couriers = {hook.name: Courier(hook, self.kept, clock, generator) for hook in hooks}
        self._seq = hub.store.seq
        self._incoming: deque[NewLetter] = deque()
        self._writing: list[NewLetter] = []
        self._due = asyncio.Event()
        self._degraded = ""
        self._trials = 0
        self._tasks = TaskOwner()

    async def run(self) -> None:
        """Send, for ever; what has not arrived at the end is on disk."""
        if not self._couriers and not self._file.exists():
            await asyncio.get_running_loop().create_future()
        following = self._tasks.spawn("webhooks intake", self._follow())
        try:
            await self._begin()
            self._tasks.spawn("webhooks disk", self._write())
            for courier in self._couriers.values():
                self._tasks.spawn(f"webhook {courier.name}", courier.run())
            await self._tasks.wait_failed()
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)  # it takes what has been told already
            await self._tasks.close()
            for courier in self._couriers.values():
                await courier.close()
            await self._close()

    # What the API asks for ----------------------------------------------------------------------------

    def status(self) -> tuple[WebhookStatus, ...]:
        """How each stands, in the order of the configuration."""
        return tuple(courier.status(self._degraded) for courier in self._couriers.values())

    async def dead(
        self, name: str, after: tuple[float, int] | None, limit: int
    ) -> list[tuple[int, DeadLetter]]:
        """Dead letters of a webhook and their positions, those that died first, first.

        Raises:
            NotFound: there is no such webhook.
            WebhooksUnavailable: the file cannot be read.
        """
        return await self.kept.dead(self._courier(name).name, after, limit)

    async def retry(self, name: str, events: Collection[str] | None) -> Retried:
        """Have dead letters wait again, all or those of these events; and a disabled webhook enabled.

        Raises:
            NotFound: there is no such webhook.
            WebhooksUnavailable: the file cannot be written.
        """
        courier = self._courier(name)
        letters = await self.kept.revive(name, events, self._clock.now())
        pushed_out = courier.revived(letters)
        if pushed_out:
            await self.kept.forget(pushed_out)
        courier.dead = await self.kept.dead_count(name)
        return Retried(retried=len(letters))

    async def test(self, name: str) -> Tested:
        """Send a test event once, past all letters that wait. Raises NotFound."""
        courier = self._courier(name)
        self._trials += 1
        now = Instant(self._clock.now())
        sent = self._sorter.trial(name, self._hub.store.seq, now, self._trials)
        answer = await courier.test(sent)
        return Tested(
            id=sent.event,
            delivered=answer.verdict is Verdict.DELIVERED,
            status=answer.status,
            answer=answer.text,
            problem=answer.problem,
        )

    async def recount(self) -> None:
        """Count the dead anew: some were taken out. Raises WebhooksUnavailable."""
        for courier in self._couriers.values():
            courier.dead = await self.kept.dead_count(courier.name)

    def _courier(self, name: str) -> Courier:
        courier = self._couriers.get(name)
        if courier is None:
            raise NotFound("webhook", name)
        return courier

    # Taking in ----------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        missed = False
        while True:
            subscription = self._hub.subscribe("webhooks")
            if missed:
                log.error("webhooks were too slow, updates were not told", count=subscription.seq - self._seq)
            self._seq = subscription.seq
            try:
                async for update in subscription:
                    self._put(update)
                    if not update.seq % UPDATES_A_TURN:
                        await asyncio.sleep(0)
            except SlowSubscriber:
                missed = True
            except asyncio.CancelledError:
                await self._take_rest(subscription)
                raise
            finally:
                self._hub.unsubscribe(subscription)

    async def _take_rest(self, subscription: Subscription) -> None:
        """At the stop: what the hub has told already is still kept."""
        try:
            async with asyncio.timeout(REST_S):
                while self._seq < self._hub.store.seq:
                    self._put(await subscription.next())
        except (SlowSubscriber, TimeoutError):
            log.error("webhooks were not told all", count=self._hub.store.seq - self._seq)  # noqa: TRY400 - what matters is the count

    def _put(self, update: Update) -> None:
        self._seq = update.seq
        for letter in self._sorter.letters(update, self._hub.store, self._clock.now()):
            if not self._couriers[letter.hook].takes_letters:
                self._couriers[letter.hook].dropped += 1
                continue
            self._incoming.append(letter)
            if len(self._incoming) + len(self._writing) > IN_MEMORY:
                self._couriers[self._incoming.popleft().hook].dropped += 1
        if self._incoming:
            self._due.set()

    # The disk -----------------------------------------------------------------------------------------

    async def _begin(self) -> None:
        unopened, coming = True, [*self._couriers.values()]
        while unopened or coming:
            try:
                if unopened and (gone := await self.kept.begin(self._couriers)):
                    log.info("letters of webhooks that are no more are forgotten", count=gone)
                unopened = False
                while coming:
                    await coming[0].begin()
                    coming.pop(0)
            except WebhooksUnavailable as error:
                self._refused(error)
                await asyncio.sleep(RETRY_S)
        self._degraded = ""

    async def _write(self) -> None:
        while True:
            await self._due.wait()
            self._due.clear()
            try:
                await self._store()
            except WebhooksUnavailable as error:
                self._refused(error)
                await asyncio.sleep(RETRY_S)
                self._due.set()
            else:
                self._degraded = ""

    async def _store(self) -> None:
        """Put on disk what waits for it, and hand it to the couriers."""
        while self._writing or self._incoming:
            while self._incoming and len(self._writing) < BATCH:
                self._writing.append(self._incoming.popleft())
            letters = list(self._writing)
            positions = await self.kept.add(letters)
            self._writing.clear()
            pushed_out: list[int] = []
            for letter, position in zip(letters, positions, strict=True):
                if position is not None:
                    kept = Letter(position, letter.subject, letter.kept_at)
                    pushed_out += self._couriers[letter.hook].add(kept)
            if pushed_out:
                await self.kept.forget(pushed_out)

    async def _close(self) -> None:
        try:
            await self._store()
        except WebhooksUnavailable as error:
            lost = len(self._writing) + len(self._incoming)
            log.error("letters of webhooks are lost at the stop", count=lost, reason=error.detail)  # noqa: TRY400 - a disk's failure, no defect to trace
        finally:
            await self.kept.close()

    def _refused(self, error: WebhooksUnavailable) -> None:
        if not self._degraded:
            log.error("the letters of webhooks cannot be kept, and wait in memory", reason=error.detail)
        self._degraded = error.detail


def _recipient(hook: WebhookConfig) -> Recipient:
    selection = Selection(events=hook.events, queues=frozenset(hook.queues), teams=frozenset(hook.teams))
    return Recipient(
        name=hook.name,
        selection=selection,
        numbers_in_full=hook.numbers == "full",
        pop_url=hook.pop_url,
    )
