"""What a client asks for."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from ctid.model.words import Hear, Mode, Purpose, Scope


class Via(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what the supervisor hears: a phone that the configuration names, or her browser."""

    phone: str | None = None
    browser: bool = False


class StartRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Step into the live call of an agent, or into a call: exactly one of the two is named.

    With the scope `next` her phone rings as the agent's next call begins; with `agent` she follows the agent
    through as many as `calls`, and no longer than `minutes`.
    """

    via: Via
    purpose: Purpose
    agent: str | None = None
    call: str | None = None
    mode: Mode = Mode.LISTEN
    hear: Hear = Hear.BOTH
    scope: Scope = Scope.CALL
    calls: Annotated[int, Meta(ge=1, le=100)] | None = None
    minutes: Annotated[float, Meta(gt=0, le=24 * 60)] | None = None
    note: Annotated[str, Meta(max_length=200)] = ""


class ModeAsked(StrEnum):
    """What a session can be switched to: the modes, and from a take-over back."""

    LISTEN = "listen"
    WHISPER = "whisper"
    BARGE = "barge"
    TAKEOVER = "takeover"
    HANDBACK = "handback"
    """The customer is returned to the agent, and the session ends."""


class ChangeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Change a session: only what is given changes.

    `muted`: what she says goes nowhere, or passes again (push-to-talk). `lead`: only true can be asked for.
    """

    mode: ModeAsked | None = None
    hear: Hear | None = None
    muted: bool | None = None
    lead: bool | None = None
