"""What an AMI session is given and what it tells: credentials and timing in, the union `Out` out."""

from typing import Literal

import msgspec

from ctid_asterisk.wire import Message, clean

FailReason = Literal["timeout", "list_too_long", "closed"]
DeadReason = Literal[
    "no_banner",
    "not_ami",
    "login_refused",
    "login_failed",
    "login_timeout",
    "not_booted",
    "silence",
    "eof",
    "shutdown",
    "wire",
]


class Credentials(msgspec.Struct, frozen=True):
    """The AMI user. `plain` sends the secret as it is: over TLS or loopback only."""

    username: str
    secret: str
    plain: bool = False

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, plain={self.plain})"


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """Deadlines and intervals, all in seconds."""

    banner_s: float = 5.0
    login_s: float = 10.0
    booted_s: float = 180.0
    """A PBX that is starting accepts the login and sends FullyBooted minutes later."""
    setup_s: float = 5.0
    ping_after_s: float = 5.0
    """Silence after which a Ping is sent; it also wakes a peer that lost a wake-up of its own."""
    dead_after_s: float = 10.0
    """Silence after which the link is dead, never less than the difference of the two after a Ping."""


class Send(msgspec.Struct, frozen=True, gc=False):
    """Write these bytes to the peer."""

    data: bytes


class Ready(msgspec.Struct, frozen=True, gc=False):
    """Logged in, booted, filters settled: actions may be sent."""

    ami_version: str
    asterisk_version: str
    """"" when the user may not ask (class system or reporting)."""
    filtered: bool
    """Every excluded event is filtered at the source; otherwise some of them do come."""
    filter_note: str
    """The kind of filter in force, or why there is none."""


class Fact(msgspec.Struct, frozen=True, gc=False):
    """An event to normalise, in wire order. They come from the login on, before `Ready` too."""

    message: Message


class Reply(msgspec.Struct, frozen=True):
    """The whole answer to an action; for a list, with its items in order."""

    action_id: str
    response: Message
    items: tuple[Message, ...] = ()
    completion: Message | None = None
    """The event that ended the list; that of BridgeInfo bears the bridge's own fields."""
    ok: bool = True
    """Not refused. A list that says it is empty by an error counts as ok."""

    @property
    def text(self) -> str:
        """What the peer says about it, in English."""
        return clean(self.response.get("message"))


class Failed(msgspec.Struct, frozen=True, gc=False):
    """No whole answer came; whether the action was carried out is not known."""

    action_id: str
    reason: FailReason


class Dead(msgspec.Struct, frozen=True, gc=False):
    """The connection is over: close it. Not `retryable` means that a person has to change something."""

    reason: DeadReason
    retryable: bool
    detail: str


Out = Send | Ready | Fact | Reply | Failed | Dead
