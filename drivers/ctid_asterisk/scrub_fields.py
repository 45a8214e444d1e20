"""Which AMI fields may be shown, and how: the allow-list of the scrubber. Pure.

A field that is not here is replaced whole, with its name. Source: the event and action pages of
docs.asterisk.org (Asterisk 16 to 23), and recorded wires.
"""

import enum
import re
from functools import lru_cache


class Rule(enum.Enum):
    """What becomes of a field's value."""

    PLAIN = "states, causes, counters, times, flags: passes when it is a number or plain words"
    VERSION = "a version of Asterisk: passes when it looks like one"
    UNIQUE = "a unique id of a channel or a bridge: passes in the forms that Asterisk and ctid make"
    CHANNEL = "a channel's name: technology and serial number pass, what is between them is replaced"
    PARTS = "interfaces, extensions, contexts, URIs: replaced part by part"
    QUEUE = "a queue's name: as PARTS, unless queues' names may be shown"
    NUMBER = "a caller's number"
    NAME = "a person's name"
    REASON = "who ended a call passes; anything else is free text, as in LABEL"
    LABEL = "free text that says the same where it is the same"
    DATA = "what an application was called with"
    VARIABLE = "a variable's name or value, or both"
    MESSAGE = "what a response says: passes when it is Asterisk's own"


def _of(rule: Rule, names: str) -> dict[str, Rule]:
    return dict.fromkeys(names.lower().split(), rule)


_RULES = {
    **_of(
        Rule.PLAIN,
        "Event Response EventList Privilege Timestamp Uptime LastReload ListItems Items Ping Events Module "
        "Shutdown Restart Status State ChannelState ChannelStateDesc Priority Language Application Cause "
        "Cause-txt TechCause CID-CallingPres DialStatus Duration DurationMs Seconds Time TimeToHangup Type "
        "Callgroup Pickupgroup Nativeformats Readformat Readtrans Writeformat Writetrans Digit Direction "
        "Membership Strategy Penalty CallsTaken LastCall LastPause LoginTime InCall Paused Ringinuse "
        "Wrapuptime Max Calls Holdtime Talktime Completed Abandoned ServiceLevel ServicelevelPerf "
        "ServicelevelPerf2 Weight Position OriginalPosition Count Wait Ringtime LoggedIn Available Callers "
        "LongestHoldTime Result IsExternal DestType LocalOptimization Success BridgeType BridgeTechnology "
        "BridgeNumChannels BridgeVideoSourceMode ParkingTimeout ParkingDuration Timeout Parties Members "
        "Marked Locked Muted Talking Admin TalkingStatus WaitMarked EndMarked Waiting ContactStatus "
        "PeerStatus StatusText RoundtripUsec PT SentNTP SentRTP SentPackets SentOctets ReportCount MES "
        "CoreMaxCalls CoreMaxLoadAvg CoreMaxFilehandles CoreStartupDate CoreStartupTime CoreReloadDate "
        "CoreReloadTime CoreCurrentCalls ExpirationTime RegExpire QualifyFrequency QualifyTimeout "
        "DeviceState TransferType Registered CallStarted ChannelType SSRC UserEvent",
    ),
    **_of(Rule.VERSION, "AMIversion AsteriskVersion"),
    **_of(Rule.UNIQUE, "ActionID Uniqueid Linkedid BridgeUniqueid BridgeId"),
    **_of(Rule.CHANNEL, "Channel Newname Oldname TalkingToChan"),
    **_of(
        Rule.PARTS,
        "Exten Context AccountCode PeerAccount Interface StateInterface Location Device DialString DNID "
        "BridgeName BridgeCreator Extension Hint Parkinglot ParkingSpace Conference URI Endpoint "
        "EndpointName AOR Contact Peer ObjectName SystemName Username Domain Agent Destination From To "
        "MusicClass Presentity ViaAddr ViaAddress TalkingTo",
    ),
    **_of(Rule.QUEUE, "Queue"),
    **_of(Rule.NUMBER, "CallerIDNum ConnectedLineNum EffectiveConnectedLineNum CallerIDani CallerID"),
    **_of(Rule.NAME, "CallerIDName ConnectedLineName EffectiveConnectedLineName MemberName Name AgentName"),
    **_of(Rule.REASON, "Reason"),
    **_of(Rule.LABEL, "PausedReason"),
    **_of(Rule.DATA, "ApplicationData AppData Data"),
    **_of(Rule.VARIABLE, "Variable ChanVariable Value"),
    **_of(Rule.MESSAGE, "Message"),
}

_ROLE = re.compile(
    r"(dest|swap|localone|localtwo|orig|second|first|transferer|transferee|transfertarget|transfer|source|"
    r"target|spyee|spyer|parkee|parker|retriever|linked|to|from)(?=[a-z])"
)
"""Who of several a field is about stands before its name: `DestCallerIDNum` (main/manager_channels.c)."""
_RTCP = re.compile(
    r"report[0-9]{1,2}(sourcessrc|fractionlost|cumulativelost|highestsequence|sequencenumbercycles|iajitter|lsr|dlsr|rtt)"
    r"|rtt"
)


@lru_cache(maxsize=2048)
def rule_of(key: str) -> Rule | None:
    """The rule of a field by its name, in any case of letters; none when it is not known."""
    name = key.lower()
    while name not in _RULES:
        role = _ROLE.match(name)
        if role is None:
            return Rule.PLAIN if _RTCP.fullmatch(name) else None
        name = name[role.end() :]
    return _RULES[name]


_WORDS = (
    "pjsip sip iax2 local dahdi sccp motif mobile websocket agent custom queue hint snoop message surrogate "
    "asyncgoto transfered parked park cbann cbrec confbridge bridge console unicastrtp audiosocket announcer "
    "recorder sips transport udp tcp tls ws wss avail loggedin available from internal external ext default "
    "unknown anonymous meetme stasis appdial appqueue n s h i t o e macro dial did trunk users user phone "
    "masq zombie outgoing line"
)
WORDS = frozenset(_WORDS.split())
"""Parts of interfaces, contexts and URIs that are Asterisk's, FreePBX's or SIP's own words."""

RESPONSES = re.compile(
    r"Success|Authentication (accepted|failed|required)|Permission denied|No such channel|Variable Set|"
    r"Command output follows|Filter added[A-Za-z .]*|Asterisk is shutting down|No active conferences\.|"
    r"No (Contacts|endpoints|Aors|AORs|Inbound Registrations) found\.?|"
    r"(Queue status|Channel status|Device State Changes|Channels) (will follow|list will follow|follow)|"
    r"Invalid/unknown command: [A-Za-z]{1,40}\. Use Action: ListCommands to show available commands\."
)
"""What Asterisk says in responses, as far as the driver or its reader needs it and it bears no argument."""

VARIABLES = {
    "CTIDFENCE": re.compile(r"[A-Za-z0-9_.-]{0,80}"),
    "QUEUESTATUS": re.compile(r"[A-Z]{0,20}"),
    "CHANNEL(onhold)": re.compile(r"[01]?"),
    "CTID_PRIVATE": re.compile(r"[01]?"),
    "CTID_OBJECTED": re.compile(r"[01]?"),
    "CTID_RECORDING": re.compile(r"[a-z]{0,8}"),
    "BRIDGEMETHOD": re.compile(r"[a-z_]{0,40}"),
    "DIALSTATUS": re.compile(r"[A-Z]{0,20}"),
    "HANGUPCAUSE": re.compile(r"[0-9]{0,3}"),
}
"""The variables whose name may be shown, and their value when it is of this form."""
