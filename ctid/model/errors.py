"""Errors that reach a client. Each has a stable `code`, which is part of the API.

CtidError
 +- InvalidRequest (request.invalid)      +- AuthRequired (auth.required)     +- Forbidden (auth.forbidden)
 |                                             +- AuthExpired (auth.expired)
 |                                             +- AuthFailed (auth.failed)
 +- AuthLocked (auth.locked)
 +- NotFound (agent.unknown, call.unknown, queue.unknown, device.unknown, pbx.unknown, supervision.unknown,
 |            help.unknown, sheet.unknown)
 +- SupervisionRefused (supervision.*)    +- PbxUnavailable (pbx.link_down)   +- PbxRefused (pbx.refused)
 +- PbxTimeout (pbx.timeout)              +- AuditUnavailable (audit.unavailable)
 +- AgentRefused (agent.*)                +- AgentPartlyDone (agent.partly_done)
 +- CallRefused (call.*)
 +- HelpRefused (help.*)                  +- SheetRefused (sheet.*)
"""

from collections.abc import Mapping
from typing import ClassVar

_COMMANDS = frozenset({"agents", "queues", "calls", "supervisions", "status"})
"""The lists that the command line has as well."""
_LISTED = {"pbx": "status", "help": "help"}
"""Where the API lists a kind, unless that is its plural."""


class CtidError(Exception):
    """The root: `code` is stable, `detail` is for a person and names the cure, `status` is HTTP's."""

    code: str = "internal"
    status: int = 500
    title: ClassVar[str] = "Internal error"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class InvalidRequest(CtidError):
    """The request is not of the operation's form; `field` names where, as a path."""

    code = "request.invalid"
    status = 422
    title = "The request is not valid"


class AuthRequired(CtidError):
    """No token, or one that is not known."""

    code = "auth.required"
    status = 401
    title = "A valid token is required"


class AuthExpired(AuthRequired):
    """The token was good until the configuration's `expires`."""

    code = "auth.expired"
    title = "The token has expired"


class AuthFailed(AuthRequired):
    """A name and a password, or a provider's word, that let nobody in."""

    code = "auth.failed"
    title = "The login failed"


class AuthLocked(CtidError):
    """Too many wrong passwords for this name, or from this address; nothing was tried."""

    code = "auth.locked"
    status = 429
    title = "Too many wrong passwords"

    def __init__(self, retry_after_s: float) -> None:
        super().__init__(f"too many wrong passwords; come back in {max(retry_after_s, 1.0):.0f} s")
        self.retry_after_s = retry_after_s


class Forbidden(CtidError):
    """The token's role may not do this, or its user has not the right over the team."""

    code = "auth.forbidden"
    status = 403
    title = "Not allowed"


class NotFound(CtidError):
    """No such entity; the code names its kind."""

    status = 404
    title = "Not found"

    def __init__(self, kind: str, ident: str) -> None:
        listed = _LISTED.get(kind, f"{kind}s")
        by_command = f"`ctid {listed}` or " if listed in _COMMANDS else ""
        super().__init__(
            f"no {kind} has the id {ident!r}; {by_command}GET /api/v1/{listed} lists those there are"
        )
        self.code = f"{kind}.unknown"


class SupervisionRefused(CtidError):
    """A supervision cannot start or change now.

    Codes: `supervision.no_live_call`, `supervision.call_ended`, `supervision.phone_not_allowed`,
    `supervision.phone_unreachable`, `supervision.phone_no_answer`, `supervision.phone_busy`,
    `supervision.already_active`, `supervision.ended`, `supervision.mode_not_possible`,
    `supervision.takeover_failed`, `supervision.not_yours`, `supervision.not_active`,
    `supervision.not_leading`, `supervision.agent_not_free`, `supervision.agent_unreachable`,
    `supervision.agent_no_answer`, `supervision.pin_wrong`, `supervision.agent_protected`,
    `supervision.outside_period`, `supervision.quota_reached`, `supervision.nobody_to_draw`.
    """

    status = 409
    title = "The supervision cannot be done now"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = f"supervision.{reason}"
        self.status = 403 if reason in ("phone_not_allowed", "not_yours", "agent_protected") else 409


class AgentRefused(CtidError):
    """An agent cannot be commanded so as she is now.

    Codes: `agent.logged_out`, `agent.not_a_member`, `agent.not_in_after_call_work`, `agent.not_free`,
    `agent.phone_unreachable`.
    """

    status = 409
    title = "The agent's state does not allow it"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = f"agent.{reason}"


class CallRefused(CtidError):
    """A call cannot be acted on so as it is now.

    Codes: `call.ended`, `call.private`, `call.objected`, `call.not_recorded`, `call.not_waiting`,
    `call.no_agent`, `call.not_possible`, and `call.number_not_allowed` (403).
    """

    status = 409
    title = "The call's state does not allow it"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = f"call.{reason}"
        self.status = 403 if reason == "number_not_allowed" else 409


class HelpRefused(CtidError):
    """A raised hand cannot be taken now. Code: `help.already_claimed`."""

    status = 409
    title = "The raised hand's state does not allow it"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = f"help.{reason}"


class SheetRefused(CtidError):
    """A coaching sheet cannot be written so now. Codes: `sheet.exists`, `sheet.closed`."""

    status = 409
    title = "The sheet's state does not allow it"

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.code = f"sheet.{reason}"


class AgentPartlyDone(CtidError):
    """A command to an agent is in force in some of her queues, and failed in others; the state says which.

    `queues` has `done`, `not_tried` or the code of what went wrong, by queue.
    """

    code = "agent.partly_done"
    status = 502
    title = "Done in some queues only"

    def __init__(self, detail: str, queues: Mapping[str, str]) -> None:
        super().__init__(detail)
        self.queues = queues


class PbxUnavailable(CtidError):
    """The link to the PBX is down, or was lost while it worked on this."""

    code = "pbx.link_down"
    status = 503
    title = "The PBX cannot be reached"


class PbxRefused(CtidError):
    """The PBX answered that it will not."""

    code = "pbx.refused"
    status = 502
    title = "The PBX refused"


class PbxTimeout(CtidError):
    """The PBX did not answer in time."""

    code = "pbx.timeout"
    status = 504
    title = "The PBX did not answer in time"


class AuditUnavailable(CtidError):
    """The audit log cannot be written, and nobody is listened to unaudited."""

    code = "audit.unavailable"
    status = 503
    title = "The audit log cannot be written"


class LinkError(Exception):
    """A link to a PBX could not be made or was lost; trying again may help."""


class LinkRefused(LinkError):
    """The PBX refused the login; trying again without a change would not help."""
