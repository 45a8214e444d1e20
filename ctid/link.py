"""The reconnect policy of any driver: one loop a PBX, from the first attempt to the last."""

import asyncio
import random

import structlog

from ctid.hub import Hub
from ctid.model.errors import LinkError, LinkRefused
from ctid.model.facts import LinkDown
from ctid.model.instant import Instant
from ctid.ports import Clock, Driver

log = structlog.get_logger(__name__)

FIRST_WAIT_S = 0.2
"""After the first failure: a PBX that restarts is back within a second or two, and is to be met soon."""
LONGEST_WAIT_S = 5.0
"""The cap: an admin who restarted the PBX is looking at the screen."""
GROWTH = 1.7
JITTER = 0.3
"""Up to this share is taken off each wait, so that several daemons do not knock together; the cap holds."""
REFUSED_WAIT_S = 60.0
"""After a refused login: a wrong secret does not mend itself, and each try is a line in the PBX's log."""


class Backoff:
    """Waits that grow from the first to the longest, each with jitter; `reset` starts afresh."""

    def __init__(self, generator: random.Random | None = None) -> None:
        self._random = generator or random.Random()  # noqa: S311 - jitter, no secret
        self._wait = FIRST_WAIT_S

    def reset(self) -> None:
        """Start afresh: the link stood."""
        self._wait = FIRST_WAIT_S

    def next(self) -> float:
        """Seconds to wait before the next attempt."""
        wait, self._wait = self._wait, min(self._wait * GROWTH, LONGEST_WAIT_S)
        return wait * self._random.uniform(1 - JITTER, 1)


async def keep_linked(driver: Driver, hub: Hub, clock: Clock, backoff: Backoff | None = None) -> None:
    """Keep the hub fed with the facts of one PBX, for ever.

    Losing the link, and failing to make it, come out as `LinkDown`; both edges are logged once.
    """
    waits = backoff or Backoff()
    told = ""
    while True:
        try:
            connection = await driver.connect()
            try:
                hub.attach(driver.pbx, connection)
                log.info("link up", pbx=driver.pbx)
                told = ""
                async for facts in connection.facts():
                    waits.reset()
                    await hub.feed(facts)
                reason, wait = "closed", waits.next()
            finally:
                hub.attach(driver.pbx, None)
                await connection.close()
        except LinkRefused as error:
            reason, wait = str(error), REFUSED_WAIT_S
        except LinkError as error:
            reason, wait = str(error), waits.next()
        if reason != told:
            log.warning("link down", pbx=driver.pbx, reason=reason)
            told = reason
        down = LinkDown(pbx=driver.pbx, at=Instant(clock.now()), driver=driver.kind, reason=reason)
        await hub.feed([down])
        await asyncio.sleep(wait)
