"""Reconciling: snapshots taken while all is well, for what the PBX did not tell or ctid did not grasp.

Events are hints, snapshots are the truth. How long a snapshot takes, and what it costs the PBX, is its
driver's; here is when.
"""

import asyncio
import random
from collections.abc import Mapping

import structlog

from ctid.hub import Hub
from ctid.model.errors import CtidError, LinkError, NotFound, PbxTimeout, PbxUnavailable
from ctid.model.ids import PbxId
from ctid.model.words import LinkState, SnapshotReason
from ctid.ports import Clock

log = structlog.get_logger(__name__)

JITTER = 0.2
"""Each wait is longer or shorter by up to this share, so that several daemons do not ask at once."""
LEAST_S = 5.0
"""Between the end of a reconcile and the next by the timer: a slow PBX is not to be kept busy by ours."""
IN_FORCE_S = 10.0
"""How long a snapshot that was told may take through the hub."""


class Reconciler:
    """Reconciles each of some PBXs every `every_s` seconds (0: never), and whenever it is asked to."""

    def __init__(
        self,
        hub: Hub,
        pbxs: tuple[PbxId, ...],
        every_s: float,
        clock: Clock,
        generator: random.Random | None = None,
    ) -> None:
        self._hub = hub
        self._clock = clock
        self._pbxs = pbxs
        self._every_s = every_s
        self._random = generator or random.Random()  # noqa: S311 - jitter, no secret
        self._ended: dict[PbxId, float] = {}
        self._told: dict[PbxId, str] = {}

    @property
    def failures(self) -> Mapping[PbxId, str]:
        """Why the last reconcile of a PBX failed; a PBX whose last one succeeded is not in it."""
        return self._told

    async def run(self, pbx: PbxId) -> None:
        """Reconcile a PBX by the timer, for ever."""
        now = asyncio.get_running_loop().time
        if self._every_s <= 0:
            await asyncio.Event().wait()
        wait = self._wait()
        while True:
            await asyncio.sleep(wait)
            wait = self._ended.get(pbx, -LEAST_S) + LEAST_S - now()
            if wait > 0:
                continue
            wait = self._wait()
            link = self._hub.store.pbxs.get(pbx)
            if link is None or link.state is not LinkState.CONNECTED:
                continue  # a new link begins with a snapshot of its own
            try:
                await self._take(pbx, SnapshotReason.TIMER)
            except CtidError as error:
                if self._told.get(pbx) != error.detail:
                    log.warning("no reconcile", pbx=pbx, reason=error.detail)
                self._told[pbx] = error.detail

    def _wait(self) -> float:
        return self._every_s * self._random.uniform(1 - JITTER, 1 + JITTER)

    async def reconcile(self, pbx: PbxId) -> None:
        """Reconcile a PBX now; returns once its snapshot is in force.

        Raises:
            NotFound: there is no such PBX.
            PbxUnavailable: its link is down, or was lost meanwhile.
            PbxRefused, PbxTimeout: the PBX does not give its lists.
        """
        if pbx not in self._pbxs:
            raise NotFound("pbx", pbx)
        asked = self._clock.now()
        await self._take(pbx, SnapshotReason.REQUEST)
        # Its snapshot is on its way to the hub, behind facts that came before it.
        if not await self._hub.until(lambda: self._synchronized_since(pbx, asked), IN_FORCE_S):
            raise PbxTimeout(
                f"the snapshot of {pbx!r} is not in force after {IN_FORCE_S:g} s: ctid is behind"
            )

    def _synchronized_since(self, pbx: PbxId, asked: float) -> bool:
        link = self._hub.store.pbxs.get(pbx)
        return link is not None and link.synchronized_at is not None and link.synchronized_at >= asked

    async def _take(self, pbx: PbxId, reason: SnapshotReason) -> None:
        try:
            await self._hub.connection(pbx).resync(reason)
        except LinkError as error:
            raise PbxUnavailable(f"the link to the PBX {pbx!r} was lost ({error})") from error
        finally:
            self._ended[pbx] = asyncio.get_running_loop().time()
        self._told.pop(pbx, None)
