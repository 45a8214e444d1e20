"""Brings letters to one receiver: takes them from the line, posts them, and says what became of each."""

import asyncio
import random

import structlog
from yarl import URL

from ctid.config_schema import WebhookConfig
from ctid.model.instant import Instant
from ctid.ports import Clock
from ctid.tasks import TaskOwner
from ctid.webhooks.kept import Kept
from ctid.webhooks.letters import Sent
from ctid.webhooks.line import IN_FLIGHT, Letter, Line
from ctid.webhooks.post import Answer, Poster
from ctid.webhooks.verdict import Verdict, gives_up
from ctid.webhooks.words import WebhookState, WebhookStatus, WebhooksUnavailable

log = structlog.get_logger(__name__)


class Courier:
    """One webhook's. `begin` comes first; `run` sends, for ever; `close` comes last.

    Raises:
        OSError: `tls_ca` cannot be used.
    """

    def __init__(self, config: WebhookConfig, kept: Kept, clock: Clock, chance: random.Random) -> None:
        self.name = config.name
        self.dropped = 0
        self.dead = 0
        self._config = config
        self._kept = kept
        self._clock = clock
        self._chance = chance
        self._line = Line()
        self._poster = Poster(config)
        self._wake = asyncio.Event()
        self._turn = asyncio.Lock()
        self._state = WebhookState.OK
        self._since = Instant(clock.now())
        self._delivered = 0
        self._last_error = ""
        self._last_error_at: Instant | None = None
        self._arrived: list[int] = []
        """Positions that the disk is still to forget."""

    async def begin(self) -> None:
        """Take over what an earlier run left. Raises WebhooksUnavailable."""
        since = await self._kept.disabled_since(self.name, self._config.url)
        self.dead = await self._kept.dead_count(self.name)
        for letter in await self._kept.waiting(self.name):
            self._line.add(letter)
        if since is not None:
            self._state, self._since = WebhookState.DISABLED, since

    @property
    def takes_letters(self) -> bool:
        """Whether letters are to be kept for it."""
        return self._state is not WebhookState.DISABLED

    def add(self, letter: Letter) -> list[int]:
        """Take a letter that is on disk; returns the positions of those that it pushed out."""
        pushed_out = self._line.add(letter)
        if pushed_out and not self.dropped:
            log.warning("webhook has too many letters waiting, the oldest are dropped", webhook=self.name)
        self.dropped += len(pushed_out)
        self._wake.set()
        return pushed_out

    def revived(self, letters: list[Letter]) -> list[int]:
        """Take letters that were dead, and send again if the receiver was gone; returns as `add`."""
        self._became(WebhookState.FAILING if self._line.failures else WebhookState.OK)
        return [position for letter in letters for position in self.add(letter)]

    def status(self, degraded: str) -> WebhookStatus:
        """How it stands."""
        url = URL(self._config.url)
        return WebhookStatus(
            name=self.name,
            host=f"{url.scheme}://{url.authority}",
            state=self._state,
            since=self._since,
            delivered=self._delivered,
            waiting=len(self._line),
            dead=self.dead,
            dropped=self.dropped,
            last_error=self._last_error,
            last_error_at=self._last_error_at,
            degraded=degraded,
        )

    async def test(self, letter: Sent) -> Answer:
        """Post something once, whatever the state."""
        return await self._poster.post(letter, self._clock.now())

    async def run(self) -> None:
        """Send, for ever."""
        workers = TaskOwner()
        try:
            for number in range(IN_FLIGHT):
                workers.spawn(f"webhook {self.name} {number}", self._send())
            await workers.wait_failed()
        finally:
            await workers.close()

    async def close(self) -> None:
        """Hang up, and have the disk forget what arrived last; idempotent."""
        await self._poster.close()
        if self._arrived:
            await self._forget()

    async def _send(self) -> None:
        while True:
            letter = await self._next()
            try:
                sent = await self._kept.read(letter.position)
                if sent is None:  # erased for somebody's sake
                    self._line.remove(letter.position)
                    self._wake.set()
                    continue
                answer = await self._poster.post(sent, self._clock.now())
                await self._settle(letter, answer)
            except WebhooksUnavailable as error:
                self._failed(letter, error.detail, 0.0)

    async def _next(self) -> Letter:
        async with self._turn:
            while (letter := self._line.take(_monotonic())) is None:
                self._wake.clear()
                try:
                    async with asyncio.timeout(self._line.wait(_monotonic())):
                        await self._wake.wait()
                except TimeoutError:
                    continue  # one is due
            return letter

    async def _settle(self, letter: Letter, answer: Answer) -> None:
        if answer.verdict is Verdict.DELIVERED:
            self._delivered += 1
            self._line.delivered(letter)
            self._wake.set()
            if self.takes_letters:
                self._became(WebhookState.OK)
            self._arrived.append(letter.position)
            await self._forget()
            return
        now = self._clock.now()
        if answer.verdict is Verdict.GONE:
            await self._gone(answer.problem, now)
        elif answer.verdict is Verdict.REFUSED or gives_up(letter.kept_at, now):
            late = "" if answer.verdict is Verdict.REFUSED else ", and too old to be tried again"
            reason = answer.problem + late
            self.dead = await self._kept.bury(self.name, letter.position, now, letter.tries + 1, reason)
            self._line.remove(letter.position)
            self._note(reason)
            self._wake.set()
            log.warning("webhook letter is dead", webhook=self.name, reason=reason)
        else:
            self._failed(letter, answer.problem, answer.asked_s)

    async def _forget(self) -> None:
        """What has arrived; while the disk refuses, or at a stop meanwhile, it is tried again."""
        done = set(self._arrived)
        try:
            await self._kept.forget(sorted(done))
        except WebhooksUnavailable as error:
            log.warning(
                "webhook letters that have arrived stay on disk", webhook=self.name, reason=error.detail
            )
        else:
            self._arrived = [position for position in self._arrived if position not in done]

    async def _gone(self, reason: str, now: float) -> None:
        self.dead = await self._kept.disable(self.name, self._config.url, now, reason)
        self._line.clear()
        self._note(reason)
        self._became(WebhookState.DISABLED)

    def _failed(self, letter: Letter, reason: str, asked_s: float) -> None:
        self._line.failed(letter, _monotonic(), self._chance.random(), asked_s)
        self._note(reason)
        self._wake.set()
        if self.takes_letters and self._line.failures:
            self._became(WebhookState.FAILING)

    def _note(self, reason: str) -> None:
        self._last_error, self._last_error_at = reason, Instant(self._clock.now())

    def _became(self, state: WebhookState) -> None:
        if state is self._state:
            return
        self._state, self._since = state, Instant(self._clock.now())
        if state is WebhookState.OK:
            log.info("webhook is taken again", webhook=self.name, waiting=len(self._line))
        else:
            log.warning("webhook does not send", webhook=self.name, state=state, reason=self._last_error)


def _monotonic() -> float:
    return asyncio.get_running_loop().time()
