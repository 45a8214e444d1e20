"""A call through the queue `support` in Asterisk's words: the customer 3001, and Alice at 1001."""

from ctid.model.ids import QueueId
from helpers.ami_words import Channel, Line, caller, dialled, member_event

SUPPORT = QueueId("support")
ALICE = ("support", "1001")
LOCAL = "Local/1007@from-queue"
GRACE = ("support", "1007")


def customer(unique: str = "1.1", exten: str = "7000", *, state: str = "4", queue: str = "") -> Channel:
    """The customer 3001."""
    return caller("PJSIP/3001-00000001", unique, exten, state=state, queue=queue)


def agent(unique: str = "1.4", linked: str = "1.1", *, state: str = "0") -> Channel:
    """Alice's phone, dialled by the queue."""
    return dialled("PJSIP/1001-00000002", unique, linked, state=state, application="AppQueue")


def staffed() -> Line:
    """A line with Alice in `support`."""
    line = Line()
    line.hear(member_event("QueueMemberAdded"))
    return line


def served() -> tuple[Line, Channel, Channel]:
    """A customer who talks with Alice through `support`."""
    line, near, far = staffed(), customer(), agent()
    line.appears(near)
    line.gets(near, "6")
    line.joins(near)
    line.serves(near, far)
    return line, near, far
