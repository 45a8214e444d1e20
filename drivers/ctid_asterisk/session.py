"""The conversation with one AMI peer as a pure machine: bytes and times in, `Out`s out.

    BANNER --banner--> [CHALLENGE -->] LOGIN --accepted--> BOOTING --FullyBooted--> SETUP --> READY
    any of them --refused login, silence, broken wire, end of the stream--> DEAD

Nothing but Challenge and Login is sent before the login is accepted, and nothing but Ping before FullyBooted.
SETUP asks for the version and sets the event filters. Times are monotonic seconds that the caller gives;
after each call it asks `next_deadline` when to call `on_time`. Source: Asterisk 22, main/manager.c.
"""

import enum
import re

import msgspec

from ctid_asterisk import actions, filters
from ctid_asterisk.actions import FENCE_VARIABLE, Action
from ctid_asterisk.outs import (
    Credentials,
    Dead,
    DeadReason,
    Fact,
    Failed,
    FailReason,
    Out,
    Ready,
    Reply,
    Send,
    Timing,
)
from ctid_asterisk.wire import (
    DEFAULT_MAX_MESSAGE_BYTES,
    AmiReader,
    ArgumentError,
    Banner,
    Kind,
    Message,
    NotReadyError,
    WireError,
    clean,
)

__all__ = [
    "FENCE_VARIABLE",
    "AmiSession",
    "Credentials",
    "Dead",
    "DeadReason",
    "Fact",
    "FailReason",
    "Failed",
    "Out",
    "Ready",
    "Reply",
    "Send",
    "Timing",
    "fence_token",
]

# Sent to every client with the ActionID of whoever caused them: never an item of a list of ours.
_BROADCAST = frozenset({"OriginateResponse", "UserEvent"})
_WATCHED = frozenset({"FullyBooted", "Shutdown"})
# How some lists say that they are empty (app_confbridge.c, res_pjsip): by an error.
_EMPTY_LIST = re.compile(r"no .*(found|conferences)\.?\s*", re.IGNORECASE)
_ID_PREFIX = re.compile(r"[A-Za-z0-9._-]{1,40}")


class _State(enum.Enum):
    BANNER = "waiting for the banner"
    CHALLENGE = "waiting for the challenge"
    LOGIN = "logging in"
    BOOTING = "waiting for FullyBooted"
    SETUP = "setting filters"
    READY = "ready"
    DEAD = "dead"


_LOGGED_IN = frozenset({_State.BOOTING, _State.SETUP, _State.READY})
_OVERDUE: dict[_State, tuple[DeadReason, str]] = {
    _State.BANNER: ("no_banner", "the peer did not greet"),
    _State.CHALLENGE: ("login_timeout", "no answer to Challenge"),
    _State.LOGIN: ("login_timeout", "no answer to Login"),
    _State.BOOTING: ("not_booted", "no FullyBooted: still starting, or the AMI user lacks read = system"),
}


class _Purpose(enum.Enum):
    CALLER = enum.auto()
    VERSION = enum.auto()
    FILTER = enum.auto()


class _Pending(msgspec.Struct):
    purpose: _Purpose
    action: Action
    deadline: float
    response: Message | None = None
    items: list[Message] = []


class AmiSession:
    """One connection to one Asterisk, used once.

    `excluded` are events to filter at the source (of `VarSet`, variables that begin with CTID still come);
    `wanted`, `variables` and `max_message_bytes` go to the reader, which always lets the fence, FullyBooted
    and Shutdown through. Only `send` and `send_fence` raise; after `Dead` every other method returns nothing.

    Raises:
        EncodeError: the credentials, `id_prefix` or `excluded` cannot be sent.
    """

    def __init__(
        self,
        credentials: Credentials,
        *,
        timing: Timing | None = None,
        id_prefix: str = "ctid",
        excluded: frozenset[str] = frozenset(),
        wanted: frozenset[str] | None = None,
        variables: frozenset[str] | None = None,
        max_message_bytes: int = DEFAULT_MAX_MESSAGE_BYTES,
        max_list_items: int = 200_000,
    ) -> None:
        actions.login_plain(credentials.username, credentials.secret)
        filters.exclude(excluded, advanced=False)
        if _ID_PREFIX.fullmatch(id_prefix) is None:
            raise ArgumentError(f"{id_prefix!r} is not a valid prefix of action ids")
        self.strays = 0
        """Answers to nothing that is pending: late ones, and what a peer makes up."""
        self._credentials = credentials
        self._timing = timing or Timing()
        self._prefix = id_prefix
        self._excluded = excluded
        self._max_items = max_list_items
        self._reader = _reader(wanted, variables, max_message_bytes)
        self._state = _State.BANNER
        self._deadline: float | None = None
        self._last_byte = 0.0
        self._pinged: float | None = None
        self._pending: dict[str, _Pending] = {}
        self._count = 0
        self._ami_version = ""
        self._asterisk_version = ""
        self._advanced = False
        self._refusals: list[str] = []
        self._shutdown = False

    @property
    def ready(self) -> bool:
        """Actions may be sent."""
        return self._state is _State.READY

    @property
    def dead(self) -> bool:
        """`Dead` has been told."""
        return self._state is _State.DEAD

    @property
    def pending(self) -> int:
        """Actions without an answer yet."""
        return len(self._pending)

    @property
    def skipped(self) -> int:
        """Events that were not wanted."""
        return self._reader.skipped

    @property
    def malformed(self) -> int:
        """Blocks that were neither event nor response."""
        return self._reader.malformed

    # What the caller tells us ------------------------------------------------------------------------------

    def start(self, now: float) -> list[Out]:
        """Take the connection as open since `now`. The peer speaks first."""
        self._last_byte = now
        self._deadline = now + self._timing.banner_s
        return []

    def receive(self, data: bytes, now: float) -> list[Out]:
        """Take the peer's next bytes, in any split."""
        out: list[Out] = []
        if self._state is _State.DEAD:
            return out
        self._last_byte = now
        self._pinged = None
        try:
            messages = self._reader.feed(data)
        except WireError as error:
            return self._die("not_ami" if self._state is _State.BANNER else "wire", str(error))
        logged_in, event = self._state in _LOGGED_IN, Kind.EVENT
        for message in messages:
            if isinstance(message, Banner):
                out += self._greeted(message, now)
            elif logged_in and message.kind is event and not message.tagged and message.name not in _WATCHED:
                out.append(Fact(message))
            else:
                out += self._dispatch(message, now)
                logged_in = self._state in _LOGGED_IN
        return out

    def on_time(self, now: float) -> list[Out]:
        """Act on the deadlines that have passed at `now`."""
        if self._state is _State.DEAD:
            return []
        if self._deadline is not None and now >= self._deadline:
            reason, detail = _OVERDUE[self._state]
            return self._die(reason, detail)
        out: list[Out] = []
        for action_id in [key for key, pending in self._pending.items() if now >= pending.deadline]:
            out += self._unanswered(action_id, "timeout", now)
        silence = self._silence_deadline()
        if silence is not None and now >= silence:
            if self._pinged is not None:
                return out + self._die("silence", f"no byte for {now - self._last_byte:.1f} s")
            self._pinged = now
            out.append(Send(actions.ping().encode(f"{self._prefix}-ping")))
        return out

    def next_deadline(self) -> float | None:
        """When to call `on_time`, unless something else comes first; None: there is nothing to wait for."""
        if self._state is _State.DEAD:
            return None
        times = [pending.deadline for pending in self._pending.values()]
        times += [time for time in (self._deadline, self._silence_deadline()) if time is not None]
        return min(times, default=None)

    def eof(self, now: float) -> list[Out]:
        """Take the end of the peer's stream. A last message that was cut is not delivered."""
        if self._state is _State.DEAD:
            return []
        detail = (
            f"closed by the peer while {self._state.value}, {now - self._last_byte:.1f} s after its last byte"
        )
        if self._reader.eof():
            detail += ", in the middle of a message: was this client too slow for its writetimeout?"
        return self._die("shutdown" if self._shutdown else "eof", detail)

    def send(self, action: Action, now: float) -> tuple[str, list[Out]]:
        """Send an action; its Reply or Failed bears the ActionID returned here.

        Raises:
            NotReadyError: before `Ready` or after `Dead`.
            EncodeError: the action cannot be sent; nothing is.
        """
        if self._state is not _State.READY:
            raise NotReadyError(f"{action.name}: the session is {self._state.value}")
        return self._ask(_Purpose.CALLER, action, now + action.deadline_s)

    def send_fence(self, token: str, now: float) -> tuple[str, list[Out]]:
        """Send the fence `token` (`[A-Za-z0-9_.-]`); `fence_token` finds its VarSet among the facts.

        What comes after that fact was published after the peer took the fence. Raises as `send`.
        """
        return self.send(actions.fence(token), now)

    # Login and set-up --------------------------------------------------------------------------------------

    def _greeted(self, banner: Banner, now: float) -> list[Out]:
        self._ami_version = banner.version
        self._deadline = now + self._timing.login_s
        if self._credentials.plain:
            return self._login(actions.login_plain(self._credentials.username, self._credentials.secret))
        self._state = _State.CHALLENGE
        return [Send(actions.challenge().encode(self._next_id()))]

    def _login(self, action: Action) -> list[Out]:
        self._state = _State.LOGIN
        return [Send(action.encode(self._next_id()))]

    def _login_answered(self, response: Message, now: float) -> list[Out]:
        """Take the one response that can come now, whatever ActionID it bears."""
        challenge = response.get("challenge")
        if response.name != "Success" or (self._state is _State.CHALLENGE and not challenge):
            text = clean(response.get("message")) or "the login was not accepted"
            if text.lower().startswith("authentication failed"):
                return self._die("login_refused", text, retryable=False)
            return self._die("login_failed", text)
        if self._state is _State.CHALLENGE:
            username, secret = self._credentials.username, self._credentials.secret
            return self._login(actions.login_md5(username, secret, challenge))
        self._state = _State.BOOTING
        self._deadline = now + self._timing.booted_s
        return []

    def _booted(self, now: float) -> list[Out]:
        self._state = _State.SETUP
        self._deadline = None
        return self._ask(_Purpose.VERSION, actions.core_settings(), now + self._timing.setup_s)[1]

    def _version_known(self, version: str, now: float) -> list[Out]:
        self._asterisk_version = version
        if not self._excluded:
            return self._is_ready(filtered=False, note="not asked for")
        return self._set_filters(now, advanced=filters.knows_advanced(version))

    def _set_filters(self, now: float, *, advanced: bool) -> list[Out]:
        self._advanced = advanced
        self._refusals = []
        out: list[Out] = []
        for action in filters.exclude(self._excluded, advanced=advanced):
            out += self._ask(_Purpose.FILTER, action, now + self._timing.setup_s)[1]
        return out

    def _filter_answered(self, refusal: str, now: float) -> list[Out]:
        if refusal:
            self._refusals.append(refusal)
        if self._pending:
            return []
        if not self._refusals:
            return self._is_ready(filtered=True, note="advanced" if self._advanced else "legacy")
        if self._advanced and "Permission denied" not in self._refusals:
            return self._set_filters(now, advanced=False)
        return self._is_ready(filtered=False, note=self._refusals[0])

    def _is_ready(self, *, filtered: bool, note: str) -> list[Out]:
        self._state = _State.READY
        return [Ready(self._ami_version, self._asterisk_version, filtered, note)]

    # Messages ----------------------------------------------------------------------------------------------

    def _dispatch(self, message: Message, now: float) -> list[Out]:
        if self._state not in _LOGGED_IN:
            if message.kind is Kind.RESPONSE and self._state in (_State.CHALLENGE, _State.LOGIN):
                return self._login_answered(message, now)
            self.strays += 1
            return []
        if message.kind is Kind.RESPONSE:
            return self._answered(message, now)
        if message.tagged and message.name not in _BROADCAST:
            return self._item(message, now)
        out: list[Out] = [Fact(message)]
        if message.name == "Shutdown":
            self._shutdown = True
        elif message.name == "FullyBooted" and self._state is _State.BOOTING:
            out += self._booted(now)
        return out

    def _answered(self, response: Message, now: float) -> list[Out]:
        action_id = response.action_id
        pending = self._pending.get(action_id)
        if pending is None:
            self.strays += action_id != f"{self._prefix}-ping"
            return []
        is_list = pending.action.is_list
        if response.name == "Error":
            empty = is_list and _EMPTY_LIST.fullmatch(response.get("message")) is not None
            return self._settle(Reply(action_id, response, ok=empty), now)
        if is_list and response.get("eventlist").lower() == "start":
            pending.response = response
            return []
        return self._settle(Reply(action_id, response), now)

    def _item(self, event: Message, now: float) -> list[Out]:
        """Take an event that bears an ActionID: it belongs to a list of ours, or to nobody any more."""
        action_id = event.action_id
        pending = self._pending.get(action_id)
        if pending is None or pending.response is None:
            if not action_id.startswith(f"{self._prefix}-"):
                return [Fact(event)]
            self.strays += 1
            return []
        if event.get("eventlist").lower() == "complete":
            return self._settle(Reply(action_id, pending.response, tuple(pending.items), event), now)
        if len(pending.items) >= self._max_items:
            return self._unanswered(action_id, "list_too_long", now)
        pending.items.append(event)
        return []

    def _settle(self, reply: Reply, now: float) -> list[Out]:
        purpose = self._pending.pop(reply.action_id).purpose
        if purpose is _Purpose.CALLER:
            return [reply]
        if purpose is _Purpose.VERSION:
            return self._version_known(clean(reply.response.get("asteriskversion")), now)
        return self._filter_answered("" if reply.ok else reply.text or "refused", now)

    def _unanswered(self, action_id: str, reason: FailReason, now: float) -> list[Out]:
        purpose = self._pending.pop(action_id).purpose
        if purpose is _Purpose.CALLER:
            return [Failed(action_id, reason)]
        if purpose is _Purpose.VERSION:
            return self._version_known("", now)
        return self._filter_answered(reason, now)

    # The rest ----------------------------------------------------------------------------------------------

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._prefix}-{self._count}"

    def _ask(self, purpose: _Purpose, action: Action, deadline: float) -> tuple[str, list[Out]]:
        action_id = self._next_id()
        data = action.encode(action_id)
        self._pending[action_id] = _Pending(purpose, action, deadline)
        return action_id, [Send(data)]

    def _silence_deadline(self) -> float | None:
        """When silence calls for a Ping or, once that is sent, for the end."""
        if self._state not in _LOGGED_IN:
            return None
        timing = self._timing
        if self._pinged is None:
            return self._last_byte + timing.ping_after_s
        # A caller that was itself asleep must give the peer its time to answer.
        patience = timing.dead_after_s - timing.ping_after_s
        return max(self._last_byte + timing.dead_after_s, self._pinged + patience)

    def _die(self, reason: DeadReason, detail: str, *, retryable: bool = True) -> list[Out]:
        out: list[Out] = [
            Failed(action_id, "closed")
            for action_id, pending in self._pending.items()
            if pending.purpose is _Purpose.CALLER
        ]
        self._pending.clear()
        self._state = _State.DEAD
        return [*out, Dead(reason, retryable, detail)]


def _reader(
    wanted: frozenset[str] | None, variables: frozenset[str] | None, max_message_bytes: int
) -> AmiReader:
    """Make a reader that lets through what the session itself lives on."""
    if wanted is not None:
        if "VarSet" not in wanted:
            variables = frozenset()
        wanted |= _WATCHED | {"VarSet"}
    if variables is not None:
        variables |= {FENCE_VARIABLE}
    return AmiReader(wanted=wanted, variables=variables, max_message_bytes=max_message_bytes)


def fence_token(message: Message) -> str | None:
    """Return the token when this event is a fence's VarSet: of the global variable, not of a channel's."""
    if message.name != "VarSet":
        return None
    fields = message.fields
    if fields.get("variable") != FENCE_VARIABLE or fields.get("channel") != "none":
        return None
    return fields.get("value", "")
