"""Operations: acts on calls, and recordings."""

from ctid.api import calls
from ctid.api.operations.operation import REACH, Idempotency, Operation, refused
from ctid.calls.words import CommandedCall
from ctid.model.users import SUPERVISING_ROLES, UserRole

_ACT = (
    *refused(404, "call.unknown"),
    *refused(502, "pbx.refused"),
    *refused(503, "pbx.link_down"),
    *refused(504, "pbx.timeout"),
)

_ACTED = "Answers once the state shows it; `unconfirmed` says that it does not after 2 s."

_PROTECTED = (
    " For good: there is no way back for this call. Whatever records it is stopped, also what the PBX began "
    "by itself, and neither a recording nor a supervision of it can begin. The PBX keeps it with the call, "
    "so that it outlives ctid. The role agent may do so with her own calls."
)

TABLE = (
    Operation(
        name="calls.create",
        summary="Call a number with an agent's phone",
        description=(
            "Her phone rings; once she answers, the number is dialled as if she had, in the dialplan context "
            "of the configuration. Answers with the call once her phone rings. She must be free."
        ),
        method="POST",
        path="/calls",
        idempotency=Idempotency.BY_KEY,
        params=calls.Dial,
        example={"agent": "1001", "number": "80003001"},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.dial,
        status=201,
        refusals=(*REACH, *refused(403, "call.number_not_allowed"), *refused(409, "agent.not_free")),
    ),
    Operation(
        name="calls.hang_up",
        summary="Hang up a call, or one party of it",
        description="The agent's side first, so that a queue counts the call as ended by it. " + _ACTED,
        method="POST",
        path="/calls/{id}/hangup",
        idempotency=Idempotency.IDEMPOTENT,
        params=calls.HangUp,
        example={},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.hang_up,
        refusals=_ACT,
    ),
    Operation(
        name="calls.transfer",
        summary="Send a call on",
        description=(
            "The customer goes on at `to`, and the agent is released: her queue counts it as a transfer. A "
            "call that waits in a queue leaves it. " + _ACTED
        ),
        method="POST",
        path="/calls/{id}/transfer",
        idempotency=Idempotency.BY_KEY,
        params=calls.Transfer,
        example={"to": {"queue": "sales"}},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.transfer,
        refusals=(
            *_ACT,
            *refused(403, "call.number_not_allowed"),
            *refused(404, "queue.unknown"),
            *refused(409, "call.not_possible", "call.ended"),
        ),
    ),
    Operation(
        name="calls.prioritize",
        summary="Move a waiting call up",
        description=(
            "To `position` in its queue; the others keep their order. Only up: a call that is there, or "
            "before it, stays. " + _ACTED
        ),
        method="POST",
        path="/calls/{id}/priority",
        idempotency=Idempotency.IDEMPOTENT,
        params=calls.Prioritize,
        example={"position": 1},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.prioritize,
        refusals=(*_ACT, *refused(409, "call.not_waiting")),
    ),
    Operation(
        name="calls.record",
        summary="Record a call: start, stop, pause, resume",
        description=(
            "The PBX keeps the audio of the agent's conversation, until she leaves it; no supervisor is "
            "heard in it. While it is paused it keeps silence. A start needs a `basis`, which the index of "
            "recordings keeps. A stop ends every recording of the call, also those that the PBX began by "
            "itself. " + _ACTED
        ),
        method="POST",
        path="/calls/{id}/recording",
        idempotency=Idempotency.IDEMPOTENT,
        params=calls.Record,
        example={"action": "start", "basis": "training, with the customer's consent"},
        result=CommandedCall,
        roles=SUPERVISING_ROLES,
        handler=calls.record,
        refusals=(
            *_ACT,
            *refused(
                409,
                "call.private",
                "call.objected",
                "call.no_agent",
                "call.not_recorded",
                "call.not_possible",
                "call.ended",
            ),
            *refused(503, "recordings.unavailable"),
        ),
    ),
    Operation(
        name="calls.private",
        summary="Make a call private",
        description="It is not listened to or recorded from now on." + _PROTECTED,
        method="POST",
        path="/calls/{id}/private",
        idempotency=Idempotency.IDEMPOTENT,
        params=calls.Flag,
        example={},
        result=CommandedCall,
        roles=SUPERVISING_ROLES | {UserRole.AGENT},
        handler=calls.set_private,
        refusals=(*_ACT, *refused(409, "call.ended")),
    ),
    Operation(
        name="calls.objected",
        summary="Note that the customer objects",
        description="To being listened to or recorded." + _PROTECTED,
        method="POST",
        path="/calls/{id}/objected",
        idempotency=Idempotency.IDEMPOTENT,
        params=calls.Flag,
        example={},
        result=CommandedCall,
        roles=SUPERVISING_ROLES | {UserRole.AGENT},
        handler=calls.set_objected,
        refusals=(*_ACT, *refused(409, "call.ended")),
    ),
    Operation(
        name="recordings.list",
        summary="Recordings that ctid had made",
        description=(
            "The newest first: who was recorded, by whom, why and when, and the file's name on the PBX. ctid "
            "keeps no audio. While `next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/recordings",
        idempotency=Idempotency.SAFE,
        params=calls.ListRecordings,
        result=calls.RecordingPage,
        roles=SUPERVISING_ROLES,
        handler=calls.list_recordings,
        refusals=refused(503, "recordings.unavailable"),
    ),
)
