"""The state of ctid itself: its status document, and whether it is ready."""

from typing import Any

from msgspec import Struct

from ctid.api.context import ApiContext
from ctid.api.expiry import ExpiringToken, expiring
from ctid.api.tls import CertificateStatus
from ctid.history.words import LedgerStatus
from ctid.model.capabilities import Capability
from ctid.model.entities import Pbx
from ctid.model.errors import PbxUnavailable
from ctid.model.ids import PbxId
from ctid.model.instant import Instant
from ctid.model.users import User, UserRole
from ctid.model.words import LinkState
from ctid.webhooks.words import WebhookStatus


class StatusRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """It has no parameters."""


class Status(Struct, frozen=True, kw_only=True):
    """What runs here, since when, and how its links are."""

    version: str
    site: str
    boot_id: str
    """Another one after each start of ctid; `seq` starts anew with it."""
    started_at: Instant
    at: Instant
    seq: int
    """The number of the last update of the state."""
    ready: bool
    missing: tuple[str, ...]
    """What readiness waits for, in words; empty when `ready`."""
    pbxs: tuple[Pbx, ...]
    capabilities: dict[PbxId, tuple[Capability, ...]]
    """What can be asked of each PBX now; nothing while its link is down."""
    broker: dict[str, Any] | None
    """None when no MQTT broker is configured. `connected`, `since`, `reason` (why not), `protocol`; since the
    start `published` and `dropped`; `outbox` (events on disk), `waiting` (not arrived yet), `degraded`."""
    webhooks: tuple[WebhookStatus, ...]
    history: LedgerStatus
    tls: CertificateStatus | None
    """The certificate of this API; none when it speaks no TLS itself."""
    tokens: tuple[ExpiringToken, ...]
    """Those that expire within 14 days, or have: all for an admin, one's own for the others."""


async def get_status(context: ApiContext, user: User, _request: StatusRequest) -> Status:
    """Tell the status."""
    store = context.hub.store
    missing = missing_links(context)
    return Status(
        version=context.version,
        site=context.site,
        boot_id=context.boot_id,
        started_at=context.started_at,
        at=context.now(),
        seq=store.seq,
        ready=not missing,
        missing=missing,
        pbxs=tuple(sorted(store.pbxs.values(), key=lambda link: link.id)),
        capabilities={pbx: _capabilities(context, pbx) for pbx in sorted(store.pbxs)},
        broker=dict(context.broker_status()) if context.broker_status is not None else None,
        webhooks=context.webhooks.status(),
        history=context.history.status(),
        tls=context.web.certificate.status() if context.web.certificate is not None else None,
        tokens=tuple(
            token
            for token in expiring(context.identity.directory, context.clock.now())
            if user.role is UserRole.ADMIN or token.name == user.name
        ),
    )


def _capabilities(context: ApiContext, pbx: PbxId) -> tuple[Capability, ...]:
    try:
        return tuple(sorted(context.hub.connection(pbx).capabilities))
    except PbxUnavailable:
        return ()


def missing_links(context: ApiContext) -> tuple[str, ...]:
    """What is missing until every required link is up and its first snapshot is done."""
    missing = []
    for pbx in sorted(context.required):
        link = context.hub.store.pbxs.get(pbx)
        if link is None:
            missing.append(f"pbx {pbx}: not connected yet")
        elif link.state is not LinkState.CONNECTED:
            missing.append(f"pbx {pbx}: the link is down ({link.reason or 'no reason known'})")
        elif link.synchronized_at is None:
            missing.append(f"pbx {pbx}: the first snapshot is not done")
    return tuple(missing)
