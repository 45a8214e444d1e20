"""Operations: raised hands and coaching sheets."""

from ctid.api import coaching, hands, listing
from ctid.api.operations.operation import LIST, STARTED, Idempotency, Operation, refused
from ctid.coaching.sheets import Sheet
from ctid.model.entities import Help, Supervision
from ctid.model.users import SUPERVISING_ROLES, UserRole

_COACHING = refused(503, "coaching.unavailable")

TABLE = (
    Operation(
        name="agents.help",
        summary="Raise an agent's hand",
        description=(
            "She asks a supervisor for help, in the call that she is in. An agent raises her own; one that "
            "is up already is answered as it is. It ends when a supervisor has been there, when it is "
            "withdrawn, with the call, or by itself at `expires_at`."
        ),
        method="POST",
        path="/agents/{id}/help",
        idempotency=Idempotency.IDEMPOTENT,
        params=hands.RaiseHand,
        example={"text": "He wants to speak to my boss"},
        result=Help,
        roles=hands.ROLES,
        handler=hands.raise_hand,
        status=201,
        refusals=refused(404, "agent.unknown"),
    ),
    Operation(
        name="help.list",
        summary="Raised hands",
        description=LIST + "An agent sees her own.",
        method="GET",
        path="/help",
        idempotency=Idempotency.SAFE,
        params=hands.ListHands,
        result=hands.HelpPage,
        roles=hands.ROLES,
        handler=hands.list_hands,
    ),
    Operation(
        name="help.get",
        summary="One raised hand",
        description="As it is now; one that is down is unknown. An agent sees her own.",
        method="GET",
        path="/help/{id}",
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=Help,
        roles=hands.ROLES,
        handler=hands.get_hand,
        refusals=refused(404, "help.unknown"),
    ),
    Operation(
        name="help.withdraw",
        summary="Take a raised hand down",
        description="An agent her own. A session that it led to goes on. Answers it as it ended.",
        method="DELETE",
        path="/help/{id}",
        idempotency=Idempotency.IDEMPOTENT,
        params=listing.ById,
        result=Help,
        roles=hands.ROLES,
        handler=hands.withdraw_hand,
        refusals=refused(404, "help.unknown"),
    ),
    Operation(
        name="help.claim",
        summary="Answer a raised hand: step into the agent's call",
        description=(
            "Begins a session with her as `supervisions.create` does, for the purpose `assistance`, and "
            "answers with it. While your phone rings the raised hand is yours: whoever comes second is told "
            "who has it. If the session cannot begin, it is up again."
        ),
        method="POST",
        path="/help/{id}/claim",
        idempotency=Idempotency.BY_KEY,
        params=hands.ClaimHelp,
        example={"via": {"phone": "2001"}, "mode": "listen"},
        result=Supervision,
        roles=SUPERVISING_ROLES,
        handler=hands.claim_hand,
        status=201,
        refusals=(*refused(404, "help.unknown"), *refused(409, "help.already_claimed"), *STARTED),
    ),
    Operation(
        name="supervisions.sheet",
        summary="Write the coaching sheet of a session",
        description=(
            "By the supervisor whose session it is, or was: live, or ended. `grades` are of the grid that "
            "the configuration gives, 1 to 5; what is left out is not graded. A session that followed "
            "several agents has a sheet for each: name the `agent`. The agent reads it."
        ),
        method="POST",
        path="/supervisions/{id}/sheet",
        idempotency=Idempotency.IDEMPOTENT,
        params=coaching.WriteSheet,
        example={"grades": {"greeting": 4, "listening": 5}, "text": "Let him finish his sentence."},
        result=Sheet,
        roles=SUPERVISING_ROLES,
        handler=coaching.write_sheet,
        status=201,
        refusals=(
            *refused(404, "supervision.unknown"),
            *refused(409, "sheet.exists"),
            *_COACHING,
        ),
    ),
    Operation(
        name="sheets.list",
        summary="Coaching sheets",
        description=(
            "The newest first: those that you have written, that are about you, or about agents of teams "
            "over which you have the right `audit`. While `next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/sheets",
        idempotency=Idempotency.SAFE,
        params=coaching.ListSheets,
        result=coaching.SheetPage,
        roles=hands.ROLES,
        handler=coaching.list_sheets,
        refusals=_COACHING,
    ),
    Operation(
        name="sheets.get",
        summary="One coaching sheet",
        description=(
            "For its author, the agent it is about, and who has the right `audit` over her team; to anybody "
            "else it is unknown."
        ),
        method="GET",
        path="/sheets/{id}",
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=Sheet,
        roles=hands.ROLES,
        handler=coaching.get_sheet,
        refusals=(*refused(404, "sheet.unknown"), *_COACHING),
    ),
    Operation(
        name="sheets.versions",
        summary="Every version of a coaching sheet",
        description="The oldest first, the present one last; for those who may read the sheet.",
        method="GET",
        path="/sheets/{id}/versions",
        idempotency=Idempotency.SAFE,
        params=listing.ById,
        result=coaching.SheetVersions,
        roles=hands.ROLES,
        handler=coaching.get_versions,
        refusals=(*refused(404, "sheet.unknown"), *_COACHING),
    ),
    Operation(
        name="sheets.update",
        summary="Mend a coaching sheet",
        description=(
            "By its author, until `editable_until`. What is left out stays; a grade of null takes it away. "
            "Every version is kept."
        ),
        method="PATCH",
        path="/sheets/{id}",
        idempotency=Idempotency.BY_KEY,
        params=coaching.UpdateSheet,
        example={"grades": {"closing": 3}},
        result=Sheet,
        roles=SUPERVISING_ROLES,
        handler=coaching.update_sheet,
        refusals=(*refused(404, "sheet.unknown"), *refused(409, "sheet.closed"), *_COACHING),
    ),
    Operation(
        name="sheets.comment",
        summary="Answer a coaching sheet",
        description="By the agent it is about; a second answer takes the first one's place, which is kept.",
        method="POST",
        path="/sheets/{id}/comment",
        idempotency=Idempotency.BY_KEY,
        params=coaching.CommentSheet,
        example={"text": "He had called three times before."},
        result=Sheet,
        roles=frozenset({UserRole.AGENT}),
        handler=coaching.comment_sheet,
        refusals=(*refused(404, "sheet.unknown"), *_COACHING),
    ),
)
