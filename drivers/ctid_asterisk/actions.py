"""Typed builders of every action that ctid sends over AMI.

A builder checks each argument and raises `ArgumentError`, `InjectionError` or, for a line that grew too
long, `EncodeError` at once, so that an `Action` that exists can be sent. "Class" in a docstring is the write
permission that the AMI user needs. Source: the AMI action pages of docs.asterisk.org and Asterisk 22,
main/manager.c, apps/app_queue.c, main/manager_bridges.c.
"""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping

import msgspec

from ctid.model.addresses import fault_of_phone, outside_number
from ctid_asterisk.wire import ArgumentError, InjectionError, encode

DEFAULT_DEADLINE_S = 5.0
LIST_DEADLINE_S = 20.0
MAX_PENALTY = 1_000_000
MAX_REASON_BYTES = 79
MAX_TEXT = 500
FENCE_VARIABLE = "CTIDFENCE"
# Channel ids of our own choosing begin so: by it they are told from the beginning of a channel's name.
OWN_ID_PREFIX = "ctid-"

_QUEUE = re.compile(r"[\w.@+/-]([\w.@+/ -]{0,78}[\w.@+/-])?")
_TECH_RESOURCE = re.compile(r"[A-Za-z][A-Za-z0-9]*/[A-Za-z0-9_.@:+*#/-]{1,70}")
# A name ends in a serial number of eight hex digits; without it, it may be the beginning of many names.
_CHANNEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*/[A-Za-z0-9_.@:+*#/-]{1,120}-[0-9a-f]{8}(;[12])?")
_UNIQUE_ID = re.compile(r"([A-Za-z0-9_.-]{1,100}-)?[0-9]{9,11}\.[0-9]{1,12}")
_OWN_ID = re.compile(re.escape(OWN_ID_PREFIX) + r"[A-Za-z0-9._-]{1,144}")
_INTERFACE = re.compile(r"[A-Za-z][A-Za-z0-9]*/[A-Za-z0-9_.@:+*#/-]{1,74}")
_STATE_INTERFACE = re.compile(r"([A-Za-z][A-Za-z0-9]*[/:])[A-Za-z0-9_.@:+*#/-]{1,74}")
_EXTEN = re.compile(r"[A-Za-z0-9_*#+.-]{1,80}")
_CONTEXT = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_WORD = re.compile(r"[A-Za-z0-9_.-]{1,128}")
_ENDPOINT = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_SENDER = re.compile(r"[\w .-]{1,40}")
_FILE = re.compile(r"/?[A-Za-z0-9_./-]{1,240}\.[A-Za-z0-9]{1,8}")
_CRITERIA = re.compile(r"[A-Za-z0-9_(),]{0,200}")
_VARIABLE = re.compile(r"_{0,2}[A-Za-z][A-Za-z0-9_]{0,78}")
# Functions that only read; others run programs, or read and write files and databases.
_READING_FUNCTION = re.compile(
    r"(CALLERID|CHANNEL|CONNECTEDLINE|DEVICE_STATE|EXTENSION_STATE|HANGUPCAUSE|PJSIP_AOR|PJSIP_CONTACT"
    r"|PJSIP_ENDPOINT|PRESENCE_STATE|QUEUE_MEMBER|QUEUE_VARIABLES|QUEUE_WAITING_COUNT|VERSION)"
    r"\([A-Za-z0-9_.@:/;, -]{0,100}\)"
)
# What Asterisk's reader of arguments leaves as it is: it drops quotes and backslashes, and splits at commas.
_PLAIN_VALUE = re.compile(r"[A-Za-z0-9_.@:+*#/;=-]{0,900}")
_KEY = re.compile(r"[0-9*#A-D]")
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


def phone(address: str) -> str:
    """The address of one phone, as it is; for whatever rings one. Raises ArgumentError, InjectionError."""
    if any(breaker in address for breaker in "\r\n\0"):
        raise InjectionError("a line break or NUL in a phone's address")
    if outside_number(address) is None and (fault := fault_of_phone(address)):
        raise ArgumentError(f"the phone's address {address[:80]!r} {fault}")
    return address


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


def ping() -> Action:
    """Ask for a sign of life; needs no permission."""
    return _action("Ping")


def list_commands() -> Action:
    """Ask which actions there are and this user may take: each is a field of the answer, by its name."""
    return _action("ListCommands")


def core_settings() -> Action:
    """Asterisk's version and system name. Class system or reporting."""
    return _action("CoreSettings")


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


def bridge_list() -> Action:
    """List the bridges with their technology and name. Needs no permission."""
    return _action("BridgeList", is_list=True)


def agents() -> Action:
    """List the agents of the pool (app_agent_pool), and by which channels they are logged in. Class agent."""
    return _action("Agents", is_list=True)


def parked_calls() -> Action:
    """List who is parked, and where. Class call."""
    return _action("ParkedCalls", is_list=True)


def pjsip_show_contacts() -> Action:
    """List where phones have registered, and whether they answer there. Class system."""
    return _action("PJSIPShowContacts", is_list=True)


# Queues ----------------------------------------------------------------------------------------------------


def queue_add(
    queue: str,
    interface: str,
    *,
    name: str = "",
    state_interface: str = "",
    penalty: int = 0,
    paused: bool = False,
) -> Action:
    """Make an interface a dynamic member of a queue. Class agent.

    `state_interface` is a device whose state counts for hers (`hint:1007@ext-local` for a hint).
    """
    if not 0 <= penalty <= MAX_PENALTY:
        raise ArgumentError(f"{penalty} is not a valid penalty")
    return _action(
        "QueueAdd",
        ("Queue", _match(_QUEUE, "queue", queue)),
        ("Interface", _match(_INTERFACE, "interface", interface)),
        ("MemberName", _text("member name", name, 80, refused="|")),
        ("StateInterface", _match(_STATE_INTERFACE, "state interface", state_interface, optional=True)),
        ("Penalty", str(penalty)),
        ("Paused", "true" if paused else "false"),
    )


def queue_remove(queue: str, interface: str) -> Action:
    """End a dynamic membership. Class agent."""
    return _action(
        "QueueRemove",
        ("Queue", _match(_QUEUE, "queue", queue)),
        ("Interface", _match(_INTERFACE, "interface", interface)),
    )


def queue_pause(queue: str, interface: str, *, paused: bool, reason: str = "") -> Action:
    """Pause a member in a queue, or end it. Class agent.

    `reason` is printable, without `|`, and at most 79 bytes: Asterisk cuts what is longer.
    """
    if len(reason.encode("utf-8", "surrogateescape")) > MAX_REASON_BYTES:
        raise ArgumentError(f"{reason[:80]!r} is longer than {MAX_REASON_BYTES} bytes")
    return _action(
        "QueuePause",
        ("Queue", _match(_QUEUE, "queue", queue)),
        ("Interface", _match(_INTERFACE, "interface", interface)),
        ("Paused", "true" if paused else "false"),
        ("Reason", _text("reason", reason, 80, refused="|")),
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


def fence(token: str) -> Action:
    """Set the global CTIDFENCE: its VarSet comes back in the order of channel, bridge and queue events."""
    return setvar(FENCE_VARIABLE, _match(_WORD, "fence token", token))


# Calls -----------------------------------------------------------------------------------------------------


def hangup(channel: str, *, cause: int = 16) -> Action:
    """Hang one channel up with a Q.850 cause (1 to 127). Class system or call."""
    if not 1 <= cause <= 127:
        raise ArgumentError(f"{cause} is not a valid Q.850 cause")
    return _action("Hangup", ("Channel", _channel(channel)), ("Cause", str(cause)))


def redirect(channel: str, *, exten: str, context: str) -> Action:
    """Have a channel go on at an extension, whatever it does now. Class call."""
    return _action(
        "Redirect",
        ("Channel", _channel(channel)),
        ("Context", _match(_CONTEXT, "context", context)),
        ("Exten", _match(_EXTEN, "extension", exten)),
        ("Priority", "1"),
    )


def dialplan_exists(*, exten: str, context: str, channel: str) -> Action:
    """Ask whether a channel could go on at an extension: the Value is 1 or 0. Class call or reporting.

    Needs func_dialplan.so. Patterns and included contexts count, as when a call goes there.
    """
    place = f"{_match(_CONTEXT, 'context', context)},{_match(_EXTEN, 'extension', exten)},1"
    return _action("Getvar", ("Channel", _channel(channel)), ("Variable", f"DIALPLAN_EXISTS({place})"))


def blind_transfer(channel: str, *, exten: str, context: str) -> Action:
    """Send the peer of `channel` to an extension and release `channel`; queues count it as a transfer."""
    return _action(
        "BlindTransfer",
        ("Channel", _channel(channel)),
        ("Context", _match(_CONTEXT, "context", context)),
        ("Exten", _match(_EXTEN, "extension", exten)),
    )


def queue_change_priority(queue: str, caller: str, priority: int) -> Action:
    """Give who waits in a queue another priority, and the place that goes with it. Needs no permission.

    Asterisk before 20.5, or an older branch of that time, does not know `Immediate`: there the place stays.
    """
    if not 0 <= priority <= MAX_PENALTY:
        raise ArgumentError(f"{priority} is not a valid priority")
    return _action(
        "QueueChangePriorityCaller",
        ("Queue", _match(_QUEUE, "queue", queue)),
        ("Caller", _match(_CHANNEL_NAME, "channel: give its full name", caller)),
        ("Priority", str(priority)),
        ("Immediate", "yes"),
    )


# Recording -------------------------------------------------------------------------------------------------


def mix_monitor(channel: str, file: str) -> Action:
    """Record a channel into a file, whose extension is the format; no program is run with it. Class system.

    A name without a path is in the monitor folder of asterisk.conf.
    """
    name = _match(_FILE, "file of a recording", file)
    if any(part in ("", ".", "..") for part in name.removeprefix("/").split("/")):
        raise ArgumentError(f"{file[:80]!r} is not a valid file of a recording")
    return _action("MixMonitor", ("Channel", _channel(channel)), ("File", name))


def stop_mix_monitor(channel: str) -> Action:
    """End one recording of a channel; an error when there is none. Class system or call."""
    return _action("StopMixMonitor", ("Channel", _channel(channel)))


def mix_monitor_mute(channel: str, *, muted: bool) -> Action:
    """Have the recordings of a channel keep silence, or audio again. Class system or call.

    Only for a channel that is recorded: of one without any, Asterisk before 20.5 leaves the lock held.
    """
    return _action(
        "MixMonitorMute",
        ("Channel", _channel(channel)),
        ("Direction", "both"),
        ("State", "1" if muted else "0"),
    )


# Messages --------------------------------------------------------------------------------------------------


def message_send(endpoint: str, text: str, sender: str) -> Action:
    """Send a text to the contacts of a PJSIP endpoint; Asterisk answers first, then sends it. Class message.

    `sender` is a name for people. Needs res_pjsip_messaging.so. Base64 keeps every character as it is.
    """
    if not text or len(text) > MAX_TEXT or _CONTROL.search(text):
        raise ArgumentError("that is not a valid text: 1 to 500 characters, without control characters")
    name = _match(_SENDER, "sender's name", sender)
    return _action(
        "MessageSend",
        ("To", f"pjsip:{_match(_ENDPOINT, 'endpoint', endpoint)}"),
        ("From", f'"{name}" <sip:ctid@localhost>'),
        ("Base64Body", base64.b64encode(text.encode()).decode()),
    )


# Calls that ARI makes --------------------------------------------------------------------------------------


class DialPlace(msgspec.Struct, frozen=True):
    """Whom to ring, and where she goes on in the dialplan; made by `dial_place`."""

    endpoint: str
    extension: str
    context: str


def dial_place(endpoint: str, number: str, context: str) -> DialPlace:
    """Check what ARI is to be told: one phone, and an extension. Raises as the builders of actions."""
    return DialPlace(
        phone(endpoint),
        _match(_EXTEN, "extension", number),
        _match(_CONTEXT, "context", context),
    )


def originate(
    address: str,
    *,
    context: str,
    exten: str,
    channel_id: str,
    other_channel_id: str = "",
    ring_s: float,
    caller: str = "",
    variables: Mapping[str, str] | None = None,
) -> Action:
    """Ring an address for `ring_s` seconds, and let who answers enter the dialplan. Class originate.

    Its channel gets the id `channel_id`; the second half of a Local channel gets `other_channel_id`. The
    answer says that it is begun; the event `OriginateResponse` of that id says how it went. Values of
    variables are without commas, quotes and backslashes.
    """
    given = [
        ("Variable", f"{_match(_VARIABLE, 'variable', name)}={_match(_PLAIN_VALUE, 'value', value)}")
        for name, value in (variables or {}).items()
    ]
    return _action(
        "Originate",
        ("Channel", _match(_INTERFACE, "address", address)),
        ("Context", _match(_CONTEXT, "context", context)),
        ("Exten", _match(_EXTEN, "extension", exten)),
        ("Priority", "1"),
        ("Timeout", str(max(1, round(ring_s)) * 1000)),
        ("CallerID", _text("caller", caller, 80)),
        ("ChannelId", _channel(channel_id)),
        ("OtherChannelId", _channel(other_channel_id) if other_channel_id else ""),
        # Otherwise Asterisk would tell this connection nothing else until it is answered.
        ("Async", "true"),
        *given,
    )


def receive_key(channel: str, key: str) -> Action:
    """Let a channel have pressed a key, as if it came from its phone. Class call.

    Asterisk 13.30, 16.7, 17.1, 18 and later; an older one sends the key to the phone instead.
    """
    return _action(
        "PlayDTMF", ("Channel", _channel(channel)), ("Digit", _match(_KEY, "key", key)), ("Receive", "true")
    )


def mute(channel: str, *, on: bool) -> Action:
    """Drop, or let pass, all audio that comes from a channel. Class system."""
    return _action(
        "MuteAudio", ("Channel", _channel(channel)), ("Direction", "in"), ("State", "on" if on else "off")
    )


def getvar(channel: str, variable: str) -> Action:
    """Read a variable or a reading function of a channel. Class call or reporting."""
    return _action("Getvar", ("Channel", _channel(channel)), ("Variable", _readable(variable)))
