"""What clients publish to command, and what they are answered. Pure."""

from typing import Any

from msgspec import UNSET, Raw, Struct, UnsetType


class CommandDocument(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A command: the operation is in its topic."""

    id: int | str | None = None
    """The client's own; the answer has it."""
    params: dict[str, Any] = {}
    """As the operation takes them."""
    key: str | None = None
    """As the header `Idempotency-Key` of HTTP, and the same ones: the command is carried out once, however
    often it comes with this key, and each time answered as at first."""


class ReplyDocument(
    Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="schema", tag="ctid.reply/1"
):
    """The answer to a command: a `result`, or, from the status 400 on, a `problem`."""

    status: int
    """HTTP's."""
    id: int | str | None = None
    """The command's; left out where it had none."""
    result: Raw | UnsetType = UNSET
    problem: Raw | UnsetType = UNSET
    """As over HTTP (RFC 9457)."""
    replayed: bool = False
    """It is the answer that the command's `key` got before; nothing was done this time."""
