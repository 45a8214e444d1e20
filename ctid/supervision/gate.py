"""The gate that whoever wants to hear others has to pass: what it is asked, and what it answers."""

from typing import Protocol

from msgspec import Struct

from ctid.model.entities import Supervision
from ctid.model.ids import AgentId, CallId, SupervisionId
from ctid.model.instant import Instant
from ctid.model.users import User
from ctid.model.words import Mode, NoticeKind, Origin, Purpose, Scope


class Plan(Struct, frozen=True, kw_only=True):
    """What somebody wants: in this mode, beside this agent, for this purpose; no `call` is a later one.

    `session` is the one that asks, a new one with the id that it is to have.
    """

    session: SupervisionId
    user: User
    agent: AgentId | None
    team: str = ""
    call: CallId | None = None
    mode: Mode
    scope: Scope = Scope.CALL
    purpose: Purpose
    origin: Origin = Origin.SUPERVISOR
    note: str = ""


class Admission(Struct, frozen=True, kw_only=True):
    """How far it is allowed. `warnings` are for her to read; `until` and `calls_limit` bound the session."""

    warnings: tuple[str, ...] = ()
    until: Instant | None = None
    calls_limit: int | None = None
    notice: NoticeKind = NoticeKind.NONE


class Gate(Protocol):
    """What decides by rights and by the law; asked anew at each change of mode, call or agent."""

    def admit(self, plan: Plan, now: Instant) -> Admission:
        """Let it pass, within bounds.

        Raises:
            Forbidden: she has no right to it.
            SupervisionRefused: a rule stands against it now.
        """
        ...

    def saw(self, old: Supervision | None, new: Supervision) -> None:
        """Take note of what a session does, for quotas."""
        ...
