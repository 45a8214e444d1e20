"""Typed builders of every action that ctid sends over AMI.

A builder checks each argument and raises `ArgumentError`, `InjectionError` or, for a line that grew too
long, `EncodeError` at once, so that an `Action` that exists can be sent. "Class" in a docstring is the write
permission that the AMI user needs. Source: the AMI action pages of docs.asterisk.org and Asterisk 22,
main/manager.c, apps/app_queue.c, main/manager_bridges.c.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Literal, Required, TypedDict, Unpack

import msgspec

from ctid_asterisk.wire import ArgumentError, InjectionError, encode

DEFAULT_DEADLINE_S = 5.0
LIST_DEADLINE_S = 20.0
FENCE_VARIABLE = "CTIDFENCE"
# Channel ids of our own choosing begin so: by it they are told from the beginning of a channel's name.
OWN_ID_PREFIX = "ctid-"
MAX_PAUSE_REASON = 80

_QUEUE = re.compile(r"[\w.@+/-]([\w.@+/ -]{0,78}[\w.@+/-])?")
_TECH_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9]*/[A-Za-z0-9_.@:+*#/-]{1,70}")
_STATE_INTERFACE = re.compile(r"([A-Za-z][A-Za-z0-9]*[/:])[A-Za-z0-9_.@:+*#/-]{1,70}")
# A name ends in a serial number of eight hex digits; without it, it may be the beginning of many names.
_CHANNEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*/[A-Za-z0-9_.@:+*#/-]{1,120}-[0-9a-f]{8}(;[12])?")
_UNIQUE_ID = re.compile(r"([A-Za-z0-9_.-]{1,100}-)?[0-9]{9,11}\.[0-9]{1,12}")
_OWN_ID = re.compile(re.escape(OWN_ID_PREFIX) + r"[A-Za-z0-9._-]{1,144}")
_EXTEN = re.compile(r"[A-Za-z0-9_*#+.-]{1,80}")
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_APPLICATION = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,39}")
_CRITERIA = re.compile(r"[A-Za-z0-9_(),]{0,200}")
_VARIABLE = re.compile(r"_{0,2}[A-Za-z][A-Za-z0-9_]{0,78}")
# Functions that only read; others run programs, or read and write files and databases.
_READING_FUNCTION = re.compile(
    r"(CALLERID|CHANNEL|CONNECTEDLINE|DEVICE_STATE|EXTENSION_STATE|HANGUPCAUSE|PJSIP_AOR|PJSIP_CONTACT"
    r"|PJSIP_ENDPOINT|PRESENCE_STATE|QUEUE_MEMBER|QUEUE_VARIABLES|QUEUE_WAITING_COUNT|VERSION)"
    r"\([A-Za-z0-9_.@:/;, -]{0,100}\)"
)
# What Asterisk's argument parser leaves as it is: it eats quotes and backslashes and splits at commas.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_./@:+-]{0,900}")
_APPLICATION_DATA = re.compile(r"[A-Za-z0-9_./@:;+,()*# -]{0,900}")
_NUMBER = re.compile(r"[0-9A-Za-z+*#._-]{0,80}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


class Action(msgspec.Struct, frozen=True):
    """One action, without its ActionID."""

    name: str
    fields: tuple[tuple[str, str], ...] = ()
    is_list: bool = False
    """The answer is a list of events that a Complete event ends."""
    deadline_s: float = DEFAULT_DEADLINE_S
    """How long the whole answer may take, in seconds."""

    def encode(self, action_id: str) -> bytes:
        """Return the client message. Raises EncodeError."""
        return encode((("Action", self.name), ("ActionID", action_id), *self.fields))


def _action(name: str, *fields: tuple[str, str], is_list: bool = False) -> Action:
    """Build the action without its empty fields, which Asterisk reads as absent, and prove it encodes."""
    kept = tuple((key, value) for key, value in fields if value)
    action = Action(name, kept, is_list, LIST_DEADLINE_S if is_list else DEFAULT_DEADLINE_S)
    action.encode("ctid-0")
    return action


def _match(pattern: re.Pattern[str], what: str, value: str, *, optional: bool = False) -> str:
    if optional and not value:
        return value
    if any(breaker in value for breaker in "\r\n\0"):
        raise InjectionError(f"a line break or NUL in {what}")
    if pattern.fullmatch(value) is None:
        raise ArgumentError(f"{value[:80]!r} is not a valid {what}")
    return value


def _text(what: str, value: str, limit: int, refused: str = "") -> str:
    """Free text: printable, at most `limit` characters, none of `refused`."""
    if any(breaker in value for breaker in "\r\n\0"):
        raise InjectionError(f"a line break or NUL in {what}")
    if len(value) > limit or _CONTROL.search(value) or any(character in value for character in refused):
        raise ArgumentError(f"{value[:80]!r} is not a valid {what}")
    return value


def _channel(value: str) -> str:
    """A whole channel name or a unique id. A mere beginning of a name could pick another call's channel."""
    if _UNIQUE_ID.fullmatch(value) or _OWN_ID.fullmatch(value):
        return value
    return _match(_CHANNEL_NAME, "channel: give its full name or unique id", value)


def _flag(value: bool) -> str:  # noqa: FBT001 -- the one argument of a conversion
    return "true" if value else "false"


# Login and upkeep ------------------------------------------------------------------------------------------


def challenge() -> Action:
    """Ask for the number that the MD5 login answers."""
    return _action("Challenge", ("AuthType", "MD5"))


def login_md5(username: str, secret: str, challenge: str) -> Action:
    """Log in by the MD5 of challenge and secret, with events on from the first moment."""
    # The peer's choice of hash, not ours. It proves the secret without sending it, no more.
    key = hashlib.md5((challenge + secret).encode("utf-8", "surrogateescape"), usedforsecurity=False)
    return _action(
        "Login",
        ("AuthType", "MD5"),
        ("Username", _text("user name", username, 80)),
        ("Key", key.hexdigest()),
        ("Events", "on"),
    )


def login_plain(username: str, secret: str) -> Action:
    """Log in by the secret itself: over TLS or loopback only."""
    return _action(
        "Login",
        ("Username", _text("user name", username, 80)),
        ("Secret", _text("secret", secret, 256)),
        ("Events", "on"),
    )


def logoff() -> Action:
    """End the session; the peer says Goodbye and closes."""
    return _action("Logoff")


def ping() -> Action:
    """Ask for a sign of life; needs no permission."""
    return _action("Ping")


def core_status() -> Action:
    """Start-up date and time: tells whether this is the Asterisk we knew. Class system or reporting."""
    return _action("CoreStatus")


def core_settings() -> Action:
    """Asterisk's version and system name. Class system or reporting."""
    return _action("CoreSettings")


def events(mask: str) -> Action:
    """Choose the classes of events: `on`, `off`, or a list such as `call,agent`."""
    return _action("Events", ("EventMask", _match(re.compile(r"[a-z]+(,[a-z]+)*"), "event mask", mask)))


def add_filter(criteria: str, expression: str) -> Action:
    """Filter this session's events at the source. Class system.

    With `criteria` (`action(exclude),name(Newexten)`) it is an advanced filter, Asterisk 18.26, 20.11, 21.6,
    22.1 and later; without it, `expression` is a POSIX regular expression on the whole event, `!` excludes.
    """
    return _action(
        "Filter",
        ("Operation", "Add"),
        ("MatchCriteria", _match(_CRITERIA, "filter criteria", criteria)),
        ("Filter", _text("filter expression", expression, 500)),
    )


def user_event(name: str, headers: Mapping[str, str] | None = None) -> Action:
    """Publish a UserEvent to every AMI client. It overtakes channel events: no fence. Class user."""
    pairs = [("UserEvent", _match(_WORD, "user event", name))]
    for key, value in (headers or {}).items():
        if key.lower() in ("action", "actionid", "userevent") or not value:
            raise ArgumentError(f"{key!r} is taken or empty: not a valid header of a user event")
        pairs.append((_match(_WORD, "header", key), _text(key, value, 900)))
    return _action("UserEvent", *pairs)


# Lists -----------------------------------------------------------------------------------------------------


def core_show_channels() -> Action:
    """List all channels with their bridge, application and linked id. Class system or reporting."""
    return _action("CoreShowChannels", is_list=True)


def show_dialplan(context: str) -> Action:
    """List a context's extensions; an error when there is no such context. Needs `config` or `reporting`."""
    return _action("ShowDialPlan", ("Context", _match(_CONTEXT, "context", context)), is_list=True)


def status(channel: str = "", variables: Iterable[str] = ()) -> Action:
    """List channels, all or one, with the given variables or reading functions (`CHANNEL(onhold)`)."""
    names = ",".join(_readable(variable) for variable in variables)
    return _action(
        "Status", ("Channel", _channel(channel) if channel else ""), ("Variables", names), is_list=True
    )


def bridge_list(bridge_type: str = "") -> Action:
    """List the bridges, all or of one type (`basic`, `holding`). Needs no permission."""
    return _action(
        "BridgeList",
        ("BridgeType", _match(_WORD, "bridge type", bridge_type, optional=True)),
        is_list=True,
    )


def bridge_info(bridge_id: str) -> Action:
    """List one bridge's channels; the completion bears the bridge's own fields. Needs no permission."""
    return _action("BridgeInfo", ("BridgeUniqueid", _match(_WORD, "bridge id", bridge_id)), is_list=True)


def queue_status(queue: str = "", member: str = "") -> Action:
    """List queues with members and callers, narrowed to one queue or member. Needs no permission."""
    return _action(
        "QueueStatus",
        ("Queue", _match(_QUEUE, "queue", queue, optional=True)),
        ("Member", _match(_TECH_RESOURCE, "member", member, optional=True)),
        is_list=True,
    )


def device_state_list() -> Action:
    """List the known device states. Class call or reporting."""
    return _action("DeviceStateList", is_list=True)


def extension_state_list() -> Action:
    """List the hints' states. Class call or reporting."""
    return _action("ExtensionStateList", is_list=True)


def pjsip_show_contacts() -> Action:
    """List the registered PJSIP contacts. Class system; none registered is answered by an error text."""
    return _action("PJSIPShowContacts", is_list=True)


# Queues ----------------------------------------------------------------------------------------------------


def queue_pause(interface: str, paused: bool, *, queue: str = "", reason: str = "") -> Action:  # noqa: FBT001 -- the verb's object
    """Pause or resume a member, in one queue or in all. Class agent. A `|` in the reason breaks queue_log."""
    return _action(
        "QueuePause",
        ("Interface", _match(_TECH_RESOURCE, "interface", interface)),
        ("Paused", _flag(paused)),
        ("Queue", _match(_QUEUE, "queue", queue, optional=True)),
        ("Reason", _text("pause reason", reason, MAX_PAUSE_REASON, "|")),
    )


def queue_add(
    queue: str,
    interface: str,
    *,
    member_name: str = "",
    state_interface: str = "",
    penalty: int = 0,
    paused: bool = False,
) -> Action:
    """Log a member in to a queue. Class agent."""
    if penalty < 0:
        raise ArgumentError(f"{penalty} is not a valid penalty")
    return _action(
        "QueueAdd",
        ("Queue", _match(_QUEUE, "queue", queue)),
        ("Interface", _match(_TECH_RESOURCE, "interface", interface)),
        ("MemberName", _text("member name", member_name, 80, "|,")),
        ("StateInterface", _match(_STATE_INTERFACE, "state interface", state_interface, optional=True)),
        ("Penalty", str(penalty)),
        ("Paused", _flag(paused)),
    )


def queue_remove(queue: str, interface: str) -> Action:
    """Log a member out of a queue. Class agent."""
    return _action(
        "QueueRemove",
        ("Queue", _match(_QUEUE, "queue", queue)),
        ("Interface", _match(_TECH_RESOURCE, "interface", interface)),
    )


# Variables -------------------------------------------------------------------------------------------------


def _readable(variable: str) -> str:
    if _READING_FUNCTION.fullmatch(variable):
        return variable
    return _match(_VARIABLE, "variable or reading function", variable)


def setvar(variable: str, value: str, *, channel: str = "") -> Action:
    """Set a variable of a channel, or a global one. A plain variable only: functions may write files."""
    return _action(
        "Setvar",
        ("Channel", _channel(channel) if channel else ""),
        ("Variable", _match(_VARIABLE, "variable", variable)),
        ("Value", _text("value", value, 900)),
    )


def getvar(variable: str, *, channel: str = "") -> Action:
    """Read a variable or one of the functions that only read. Class call or reporting."""
    return _action(
        "Getvar",
        ("Channel", _channel(channel) if channel else ""),
        ("Variable", _readable(variable)),
    )


def fence(token: str) -> Action:
    """Set the global CTIDFENCE: its VarSet comes back in the order of channel, bridge and queue events."""
    return setvar(FENCE_VARIABLE, _match(_WORD, "fence token", token))


# Calls -----------------------------------------------------------------------------------------------------


def hangup(channel: str, *, cause: int = 16) -> Action:
    """Hang one channel up with a Q.850 cause (1 to 127). Class system or call."""
    if not 1 <= cause <= 127:
        raise ArgumentError(f"{cause} is not a valid Q.850 cause")
    return _action("Hangup", ("Channel", _channel(channel)), ("Cause", str(cause)))


def blind_transfer(channel: str, *, exten: str, context: str) -> Action:
    """Send the peer of `channel` to an extension and release `channel`; queues count it as a transfer."""
    return _action(
        "BlindTransfer",
        ("Channel", _channel(channel)),
        ("Context", _match(_CONTEXT, "context", context)),
        ("Exten", _match(_EXTEN, "extension", exten)),
    )


def mute_audio(channel: str, *, direction: Literal["in", "out", "all"], on: bool) -> Action:
    """Silence what comes from the channel (`in`), what goes to it (`out`), or both. Class system."""
    if direction not in ("in", "out", "all"):
        raise ArgumentError(f"{direction!r} is not a valid direction")
    return _action(
        "MuteAudio",
        ("Channel", _channel(channel)),
        ("Direction", direction),
        ("State", "on" if on else "off"),
    )


class Leg(TypedDict, total=False):
    """What an originated leg bears: `channel_id` becomes its unique id and begins with `ctid-`.

    `other_channel_id` is for the second half of a Local channel. `timeout_s` is how long it may ring, 30 s
    unless told. `variables` are plain names with values of letters, digits and `_./@:+-`.
    """

    channel_id: Required[str]
    other_channel_id: str
    timeout_s: float
    caller_name: str
    caller_number: str
    variables: Mapping[str, str]
    early_media: bool


def originate_exten(dial: str, *, exten: str, context: str, priority: int = 1, **leg: Unpack[Leg]) -> Action:
    """Ring `dial`, then send it to an extension. The reply says queued, OriginateResponse the outcome."""
    if priority < 1:
        raise ArgumentError(f"{priority} is not a valid priority")
    return _originate(
        dial,
        leg,
        ("Context", _match(_CONTEXT, "context", context)),
        ("Exten", _match(_EXTEN, "extension", exten)),
        ("Priority", str(priority)),
    )


def originate_application(dial: str, *, application: str, data: str = "", **leg: Unpack[Leg]) -> Action:
    """Ring `dial` and run one application on it. Neither may come from a client of ctid."""
    return _originate(
        dial,
        leg,
        ("Application", _match(_APPLICATION, "application", application)),
        ("Data", _match(_APPLICATION_DATA, "application data", data)),
    )


def _originate(dial: str, leg: Leg, *target: tuple[str, str]) -> Action:
    timeout_s = leg.get("timeout_s", 30.0)
    if not 0 < timeout_s <= 600:
        raise ArgumentError(f"{timeout_s} is not a valid ringing time")
    name = _text("caller name", leg.get("caller_name", ""), 80, '"<>\\')
    number = _match(_NUMBER, "caller number", leg.get("caller_number", ""))
    other_id = leg.get("other_channel_id", "")
    variables = [
        f"{_match(_VARIABLE, 'variable', key)}={_match(_PLAIN_VALUE, f'value of {key}', value)}"
        for key, value in leg.get("variables", {}).items()
    ]
    return _action(
        "Originate",
        ("Channel", _match(_TECH_RESOURCE, "device to ring", dial)),
        *target,
        ("Timeout", str(round(timeout_s * 1000))),
        ("CallerID", f'"{name}" <{number}>' if name or number else ""),
        ("ChannelId", _match(_OWN_ID, "channel id of our own", leg["channel_id"])),
        ("OtherChannelId", _match(_OWN_ID, "channel id of our own", other_id, optional=True)),
        ("EarlyMedia", "true" if leg.get("early_media") else ""),
        # Without it the peer does nothing else, not even send events, until the phone answers.
        ("Async", "true"),
        *(("Variable", variable) for variable in variables),
    )
