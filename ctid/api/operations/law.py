"""Operations: what agents are owed, and what is kept: periods, draw, audit, retention, subjects."""

from ctid.api import auditing, law
from ctid.api.operations.operation import Idempotency, Operation, not_supervised, refused
from ctid.audit.retention import PurgeReport
from ctid.audit.subjects import ErasureReport, SubjectDocument
from ctid.audit.verifying import Verification
from ctid.model.users import EVERY_ROLE, SUPERVISING_ROLES

_AUDIT = refused(503, "audit.unavailable")
_KEPT = refused(
    503,
    "audit.unavailable",
    "history.unavailable",
    "help.unavailable",
    "coaching.unavailable",
    "webhooks.unavailable",
)

TABLE = (
    Operation(
        name="agents.sessions",
        summary="The sessions about an agent",
        description=(
            "Who listened to her, when, in which modes, why, and whether she was told, from the audit; the "
            "newest first. For the agent herself, and for who has the right `audit` over her team. While "
            "`next` is not null, ask again with it as `cursor`."
        ),
        method="GET",
        path="/agents/{id}/sessions",
        idempotency=Idempotency.SAFE,
        params=law.SessionsRequest,
        result=law.SessionsPage,
        roles=EVERY_ROLE,
        handler=law.list_sessions,
        refusals=(*refused(404, "agent.unknown"), *refused(503, "audit.unavailable")),
    ),
    Operation(
        name="periods.get",
        summary="When agents may be listened to",
        description=(
            "The listening periods of each team, how its agents are told that they are listened to, and the "
            "bounds in force: what the agents are to know. Outside of them listening is refused, but for an "
            "emergency that is explained, and for help that the agent asked for."
        ),
        method="GET",
        path="/periods",
        idempotency=Idempotency.SAFE,
        params=law.PeriodsRequest,
        result=law.PeriodsNow,
        roles=EVERY_ROLE,
        handler=law.get_periods,
    ),
    Operation(
        name="draw.get",
        summary="Draw an agent to listen to",
        description=(
            "At random among those of a team who are logged in, and whom law and rights let you listen to "
            "now, spread over those who have been listened to least this week. The seed is in ctid's log."
        ),
        method="GET",
        path="/draw",
        idempotency=Idempotency.SAFE,
        params=law.DrawRequest,
        result=law.Drawn,
        roles=SUPERVISING_ROLES,
        handler=law.draw_agent,
        refusals=not_supervised("outside_period", "nobody_to_draw"),
    ),
    Operation(
        name="audit.list",
        summary="Who listened to whom, and what else is accounted for",
        description=(
            "Records in the order in which they were written; that they were read is recorded as well. While "
            "`next` is not null, ask again with it as `cursor`; what is written meanwhile is on no page."
        ),
        method="GET",
        path="/audit",
        idempotency=Idempotency.SAFE,
        params=auditing.ListAudit,
        result=auditing.AuditPage,
        roles=auditing.ROLES,
        handler=auditing.list_audit,
        refusals=_AUDIT,
    ),
    Operation(
        name="audit.verify",
        summary="Whether the audit is as it was written",
        description=(
            "Reads all of it. A record that was edited, taken out, put in or moved is in `findings`, with "
            "its number, file and line. Give an `anchor` that was kept elsewhere: whoever could write all "
            "of the files anew could not make that hash anew."
        ),
        method="GET",
        path="/audit/verification",
        idempotency=Idempotency.SAFE,
        params=auditing.VerifyAudit,
        result=Verification,
        roles=auditing.ROLES,
        handler=auditing.verify_audit,
        refusals=_AUDIT,
    ),
    Operation(
        name="retention.purge",
        summary="Take out what has been kept long enough",
        description=(
            "As ctid does once a day by itself, by the configuration's `[retention]` and `[history]`. In a "
            "`dry_run` nothing is taken out. The audit says what was, and its chain still holds."
        ),
        method="POST",
        path="/retention/purge",
        idempotency=Idempotency.IDEMPOTENT,
        params=auditing.Purge,
        example={"dry_run": True},
        result=PurgeReport,
        roles=auditing.ROLES,
        handler=auditing.purge,
    ),
    Operation(
        name="subjects.export",
        summary="All that is kept about a person",
        description=(
            "`kind` is `agent`, or `number`: a telephone number's digits, which are looked for in what "
            "people wrote, however they are grouped there. Each class of what is kept has a list."
        ),
        method="GET",
        path="/subjects/{kind}/{id}",
        idempotency=Idempotency.SAFE,
        params=auditing.BySubject,
        example={"kind": "agent", "id": "1001"},
        result=SubjectDocument,
        roles=auditing.ROLES,
        handler=auditing.export_subject,
        refusals=_KEPT,
    ),
    Operation(
        name="subjects.erase",
        summary="Erase what may be erased of a person",
        description=(
            "What was written about her goes; who listened when, which the law has to be kept, stays, and "
            "the report says so by class. In a `dry_run` nothing is erased."
        ),
        method="DELETE",
        path="/subjects/{kind}/{id}",
        idempotency=Idempotency.IDEMPOTENT,
        params=auditing.EraseSubject,
        example={"kind": "agent", "id": "1001"},
        result=ErasureReport,
        roles=auditing.ROLES,
        handler=auditing.erase_subject,
        refusals=_KEPT,
    ),
)
