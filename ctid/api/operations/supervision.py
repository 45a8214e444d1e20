"""Operations: supervision sessions."""

from ctid.api import law, listing, supervising
from ctid.api.operations.operation import LIST, PBX, STARTED, Idempotency, Operation, not_supervised, refused
from ctid.model.entities import Supervision
from ctid.model.users import SUPERVISING_ROLES
from ctid.supervision.requests import StartRequest

TABLE = (
    Operation(
        name="supervisions.list",
        summary="Live supervision sessions",
        description=LIST,
        method="GET",
        path="/supervisions",
        idempotency=Idempotency.SAFE,
        params=listing.ListSupervisions,
        result=listing.SupervisionPage,
        roles=SUPERVISING_ROLES,
        handler=listing.list_supervisions,
    ),
    Operation(
        name="supervisions.get",
        summary="One live supervision session",
        description="The session as it is now; one that has ended is unknown.",
        method="GET",
        path="/supervisions/{id}",
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=listing.get_supervision,
        refusals=refused(404, "supervision.unknown"),
    ),
    Operation(
        name="supervisions.create",
        summary="Step into a live call",
        description=(
            "Rings the supervisor's phone and answers once she is in the call, in the mode asked for; that "
            "takes as long as she takes to answer. Name an `agent` or a `call`. A phone in `via` is a name "
            "that the configuration allows her, never a number to dial. The scope `next` is answered at "
            "once, and rings as the agent's next call begins; with `agent` she waits, her phone up, while "
            "there is no call. When it is refused, nothing is left ringing."
        ),
        method="POST",
        path="/supervisions",
        idempotency=Idempotency.BY_KEY,
        params=StartRequest,
        example={"agent": "1001", "mode": "listen", "via": {"phone": "2001"}, "purpose": "quality"},
        result=law.WarnedSupervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.create_supervision,
        status=201,
        refusals=(
            *refused(404, "agent.unknown", "call.unknown"),
            *STARTED,
        ),
    ),
    Operation(
        name="supervisions.update",
        summary="Switch who hears the supervisor, and whom she hears",
        description=(
            "Only what is given changes. Answers once it is in force; there is no new ring and no gap in "
            "what she hears. `takeover` leaves the customer with her and releases the agent; if a step of "
            "it fails, the customer keeps the agent. `handback` rings the agent, returns the customer to her "
            "and ends the session; he stays with the supervisor if she does not answer. Of several sessions "
            "in a call only the leading one may be heard: `lead` takes the lead from one that listens."
        ),
        method="PATCH",
        path="/supervisions/{id}",
        idempotency=Idempotency.IDEMPOTENT,
        params=supervising.UpdateSupervision,
        example={"mode": "whisper"},
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.update_supervision,
        refusals=(
            *refused(404, "supervision.unknown"),
            *refused(412, "request.precondition_failed"),
            *not_supervised(
                "not_yours",
                "not_active",
                "ended",
                "call_ended",
                "mode_not_possible",
                "not_leading",
                "takeover_failed",
                "agent_not_free",
                "agent_unreachable",
                "agent_no_answer",
                "agent_protected",
                "outside_period",
                "quota_reached",
            ),
            *PBX,
        ),
    ),
    Operation(
        name="supervisions.delete",
        summary="Leave the call",
        description="The supervisor leaves, the call goes on. Answers the session as it ended.",
        method="DELETE",
        path="/supervisions/{id}",
        idempotency=Idempotency.IDEMPOTENT,
        params=listing.ById,
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=supervising.delete_supervision,
        refusals=(
            *refused(404, "supervision.unknown"),
            *not_supervised("not_yours", "ended"),
            *PBX,
        ),
    ),
)
