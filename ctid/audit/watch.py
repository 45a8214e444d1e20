"""Listening that ctid did not start: seen on the PBX, and recorded as nobody's."""

import structlog

from ctid.audit.entries import Entry
from ctid.audit.log import Audit
from ctid.hub import Hub, SlowSubscriber
from ctid.model.errors import AuditUnavailable
from ctid.model.facts import MonitoringSeen
from ctid.state.changes import Occurrence

log = structlog.get_logger(__name__)

UNATTRIBUTED = "unattributed"
WAITING = 65_536
"""Updates that may wait here: nearly all are only passed over."""


class Watch:
    """Records each `monitoring_seen` that the hub tells."""

    def __init__(self, hub: Hub, audit: Audit) -> None:
        self._hub = hub
        self._audit = audit

    async def run(self) -> None:
        """Follow the hub, for ever."""
        while True:
            subscription = self._hub.subscribe("audit", WAITING)
            try:
                async for update in subscription:
                    if isinstance(update, Occurrence) and update.name == MonitoringSeen.NAME:
                        await self._record(update)
            except SlowSubscriber:
                log.critical("audit failed", what="what was seen on the PBX meanwhile is not recorded")
            finally:
                self._hub.unsubscribe(subscription)

    async def _record(self, seen: Occurrence) -> None:
        what = "somebody is listened to, and not through ctid"
        log.warning(what, pbx=seen.pbx, agent=seen.agent, call=seen.call, by=seen.by)
        about = {"pbx": seen.pbx, "leg": seen.leg, "phone": seen.by, "how": seen.to}
        entry = Entry(
            at=seen.at, event=UNATTRIBUTED, agent=seen.agent or "", call=seen.call or "", about=about
        )
        try:
            await self._audit.write(entry)
        except AuditUnavailable as error:
            log.critical("audit failed", what=UNATTRIBUTED, call=seen.call, reason=error.detail)
