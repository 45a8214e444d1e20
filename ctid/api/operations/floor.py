"""Operations: the floor: status, queues, calls, phones, figures, and how sure all of it is."""

from ctid.api import figures, listing, truth
from ctid.api.operations.operation import LIST, Idempotency, Operation, refused
from ctid.api.status import Status, StatusRequest, get_status
from ctid.history.figures import Figures
from ctid.model.entities import Call, Device, Queue
from ctid.model.users import FIGURES_ROLES, FLOOR_ROLES, SUPERVISING_ROLES

_LISTING = (*refused(503, "pbx.link_down"), *refused(504, "pbx.timeout"))

TABLE = (
    Operation(
        name="status.get",
        summary="The state of ctid itself",
        description="Version, boot id, whether it is ready, each link to a PBX, and the MQTT broker.",
        method="GET",
        path="/status",
        idempotency=Idempotency.SAFE,
        params=StatusRequest,
        result=Status,
        roles=FLOOR_ROLES,
        handler=get_status,
    ),
    Operation(
        name="ghosts.list",
        summary="What the PBX does not bear out",
        description=(
            "Agents, phones and calls of which the PBX's lists contradict each other or what is known, in "
            "snapshots at least five seconds apart, and those whose link is down."
        ),
        method="GET",
        path="/ghosts",
        idempotency=Idempotency.SAFE,
        params=truth.GhostsRequest,
        result=truth.Ghosts,
        roles=SUPERVISING_ROLES,
        handler=truth.list_ghosts,
    ),
    Operation(
        name="pbxs.reconcile",
        summary="Compare what is known with the PBX's own lists",
        description=(
            "Takes a snapshot and answers once it is in force, with every difference between what had been "
            "told and what the PBX lists; the PBX is believed. Requests that come together share a snapshot."
        ),
        method="POST",
        path="/pbxs/{id}/reconcile",
        idempotency=Idempotency.IDEMPOTENT,
        params=truth.ReconcileRequest,
        example={},
        result=truth.Reconciled,
        roles=SUPERVISING_ROLES,
        handler=truth.reconcile,
        refusals=(*refused(404, "pbx.unknown"), *_LISTING),
    ),
    Operation(
        name="queues.list",
        summary="Queues",
        description=LIST + "Each with who waits, in order, and how its members stand.",
        method="GET",
        path="/queues",
        idempotency=Idempotency.SAFE,
        params=listing.ListQueues,
        result=listing.QueuePage,
        roles=FLOOR_ROLES,
        handler=listing.list_queues,
    ),
    Operation(
        name="queues.get",
        summary="One queue",
        description="The queue as it is now.",
        method="GET",
        path="/queues/{id}",
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=Queue,
        roles=FLOOR_ROLES,
        handler=listing.get_queue,
        refusals=refused(404, "queue.unknown"),
    ),
    Operation(
        name="calls.list",
        summary="Live calls",
        description=LIST
        + "The roles viewer and integrator see callers' numbers masked, and no `supervisions`.",
        method="GET",
        path="/calls",
        idempotency=Idempotency.SAFE,
        params=listing.ListCalls,
        result=listing.CallPage,
        roles=FLOOR_ROLES,
        handler=listing.list_calls,
    ),
    Operation(
        name="calls.get",
        summary="One live call",
        description="The call as it is now; one that has ended is unknown. Masked as in the list.",
        method="GET",
        path="/calls/{id}",
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=Call,
        roles=FLOOR_ROLES,
        handler=listing.get_call,
        refusals=refused(404, "call.unknown"),
    ),
    Operation(
        name="devices.list",
        summary="Phones",
        description=LIST,
        method="GET",
        path="/devices",
        idempotency=Idempotency.SAFE,
        params=listing.ListDevices,
        result=listing.DevicePage,
        roles=FLOOR_ROLES,
        handler=listing.list_devices,
    ),
    Operation(
        name="devices.get",
        summary="One phone",
        description="The device as it is now.",
        method="GET",
        path="/devices/{id}",
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=Device,
        roles=FLOOR_ROLES,
        handler=listing.get_device,
        refusals=refused(404, "device.unknown"),
    ),
    Operation(
        name="figures.get",
        summary="Figures of queues and agents",
        description=(
            "Of a period: since midnight where ctid runs, unless it is given. Each figure's formula is in "
            "`formulas`; a rate of nothing is null. `gaps` are times that ctid did not see; those that are "
            "`filled` are in the figures, from the PBX's own log. Each figure opens into its moments."
        ),
        method="GET",
        path="/figures",
        idempotency=Idempotency.SAFE,
        params=figures.GetFigures,
        result=Figures,
        roles=FIGURES_ROLES,
        handler=figures.get_figures,
        refusals=refused(503, "history.unavailable"),
    ),
    Operation(
        name="figures.calls",
        summary="The moments behind a figure",
        description=(
            "In the order of time, with the caller's leg, the PBX's own unique id; no number and no name is "
            "kept. `source` says whether ctid saw it (`event`) or the PBX's log told it (`log`). While "
            "`next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/figures/calls",
        idempotency=Idempotency.SAFE,
        params=figures.ListMoments,
        result=figures.MomentPage,
        roles=FLOOR_ROLES,
        handler=figures.list_moments,
        refusals=refused(503, "history.unavailable"),
    ),
)
