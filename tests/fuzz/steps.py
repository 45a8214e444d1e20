"""What a plan is made of: plain data, of which a part is a plan as well."""

from typing import NamedTuple

from ctid.model.words import SnapshotReason


class Answer(NamedTuple):
    """What a PBX says to a list action; `%ID%` stands for the request's own."""

    head: bytes = b"Response: Success\r\nActionID: %ID%\r\nEventList: start\r\n\r\n"
    items: tuple[bytes, ...] = ()
    tail: bytes = b"Event: ListComplete\r\nActionID: %ID%\r\nEventList: Complete\r\n\r\n"


class Look(NamedTuple):
    """A snapshot that is asked for: the answers of each of two looks, and what is heard between the lists."""

    reason: SnapshotReason
    answers: dict[str, Answer]
    again: dict[str, Answer]
    heard: tuple[bytes, ...] = ()
    fenced: bool = True


class Heard(NamedTuple):
    """Bytes that come in at once."""

    data: bytes


class Passed(NamedTuple):
    """Seconds in which nothing comes."""

    seconds: float


class Connected(NamedTuple):
    """The link is lost, and made again; `greeting` are the bytes until the login's answer."""

    look: Look
    greeting: bytes = b"Asterisk Call Manager/11.0.0\r\n"
    told: bytes = b""
    """Lines that the answers to what is no list have on top."""


class Supervised(NamedTuple):
    """A session of a supervisor begins in one of the calls there are, goes on, or is over."""

    ident: str
    call: int
    over: bool


Step = Heard | Passed | Connected | Look | Supervised
