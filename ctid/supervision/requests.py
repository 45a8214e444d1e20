"""What a client asks for."""

from typing import Annotated

from msgspec import Meta, Struct

from ctid.model.words import Mode, Purpose, Scope


class Via(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """By what the supervisor hears: a phone that the configuration names, or her browser."""

    phone: str | None = None
    browser: bool = False


class StartRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Step into the live call of an agent, or into a call: exactly one of the two is named."""

    via: Via
    purpose: Purpose
    agent: str | None = None
    call: str | None = None
    mode: Mode = Mode.LISTEN
    scope: Scope = Scope.CALL
    note: Annotated[str, Meta(max_length=200)] = ""


class ChangeRequest(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Switch the mode."""

    mode: Mode
