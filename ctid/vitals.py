"""What the service manager is told while the daemon runs: ready, what is missing, alive."""

import asyncio
from collections.abc import Callable, Sequence

from ctid.hub import Hub
from ctid.model.ids import PbxId
from ctid.model.words import LinkState
from ctid.sdnotify import Notifier
from ctid.state.store import Store

GRACE_S = 10.0
"""A PBX that is down when ctid starts must not keep those who wait for ctid waiting longer than this."""
LOOK_S = 0.1
"""How often the links are looked at until ctid is ready, and `LATER_LOOK_S` from then on."""
LATER_LOOK_S = 1.0


def missing(store: Store, pbxs: Sequence[PbxId]) -> dict[PbxId, str]:
    """The PBXs whose state is not known now, each with the reason."""
    reasons: dict[PbxId, str] = {}
    for ident in pbxs:
        link = store.pbxs.get(ident)
        if link is None:
            reasons[ident] = "not connected yet"
        elif link.state is LinkState.DOWN:
            reasons[ident] = link.reason or "down"
        elif link.synchronized_at is None:
            reasons[ident] = "taking the first snapshot"
    return reasons


def status_line(store: Store, pbxs: Sequence[PbxId]) -> str:
    """One line for `systemctl status`."""
    reasons = missing(store, pbxs)
    floor = f"{len(store.agents)} agents, {len(store.queues)} queues, {len(store.calls)} calls"
    if not reasons:
        return f"linked to {', '.join(pbxs)}; {floor}"
    return "; ".join(f"no link to {ident} ({reason})" for ident, reason in reasons.items()) + f"; {floor}"


async def keep_notified(
    hub: Hub, notifier: Notifier, pbxs: Sequence[PbxId], now: Callable[[], float], grace_s: float = GRACE_S
) -> None:
    """Send READY=1 once, STATUS= when it changed, WATCHDOG=1 while the hub turns; for ever.

    READY=1 is sent when every PBX has given its snapshot, or `grace_s` seconds after the start. The sign
    of life is sent twice in each watchdog period, and only if the hub came round since the last: a hub
    that hangs is then restarted. The hub turns once a second when idle, so a period below 4 s is too
    short. `now` is monotonic, in seconds.
    """
    started, ready, told = now(), False, ""
    turns, next_sign = -1, now()
    while True:
        if not ready and (not missing(hub.store, pbxs) or now() - started >= grace_s):
            ready = True
            notifier.send(READY="1")
        line = status_line(hub.store, pbxs)
        if line != told:
            notifier.send(STATUS=line)
            told = line
        if notifier.watchdog_s is not None and now() >= next_sign and hub.turns != turns:
            turns, next_sign = hub.turns, now() + notifier.watchdog_s / 2
            notifier.send(WATCHDOG="1")
        look = LATER_LOOK_S if ready else LOOK_S
        await asyncio.sleep(look if notifier.watchdog_s is None else min(look, notifier.watchdog_s / 4))
