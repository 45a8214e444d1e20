"""A letter: one event for one webhook, as it is kept and as it is sent. Pure."""

from typing import NamedTuple


class NewLetter(NamedTuple):
    """An event for one webhook. `event` is its id; of one that is kept already no second one is."""

    hook: str
    event: str
    type: str
    subject: str
    kept_at: float
    body: bytes


class Sent(NamedTuple):
    """What of a letter goes over the wire."""

    event: str
    body: bytes
