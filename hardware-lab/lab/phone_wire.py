"""What a test and a process of phones say: JSON lines, requests by stdin, replies and events by stdout."""

import msgspec


class Request(msgspec.Struct, tag_field="do", frozen=True, kw_only=True):
    """A command for one phone; the reply bears the same `id`."""

    id: int
    phone: str


class Open(Request, tag="open", frozen=True, kw_only=True):
    """Make a phone and register it with the registrar at 127.0.0.1:`sip_port`.

    `rtp` is the first UDP port to try; `codec` is a name as pjsip has it ("PCMU/8000/1"), all others are off
    in the whole process. `lines` is how many calls it holds at once: the next one gets 486.
    """

    sip_port: int
    password: str
    rtp: int
    codec: str
    register: bool = True
    lines: int = 1


class OnLine(Request, frozen=True, kw_only=True):
    """A command for the call on one line of a phone, counted from 1."""

    line: int = 1


class Register(Request, tag="register", frozen=True, kw_only=True):
    """Register (again), or unregister where `on` is false."""

    on: bool


class Speak(Request, tag="speak", frozen=True, kw_only=True):
    """Say this from now on, in a loop: base64 of 16-bit little-endian samples at 8 kHz, whole frames of 160.

    Empty is silence. `once`: silence after the end.
    """

    samples: bytes
    once: bool = False


class AutoAnswer(Request, tag="auto_answer", frozen=True, kw_only=True):
    """Answer each incoming call `after` seconds of ringing; None: never."""

    after: float | None


class Dial(OnLine, tag="dial", frozen=True, kw_only=True):
    """Call a number at the registrar."""

    number: str


class Answer(OnLine, tag="answer", frozen=True, kw_only=True):
    """Answer the ringing call with a SIP status: 200 takes it, 486 is busy, 603 declines.

    302 diverts it to the number `contact` (RFC 3261 21.3.3).
    """

    code: int
    contact: str = ""


class Hangup(OnLine, tag="hangup", frozen=True, kw_only=True):
    """End the call, in whatever state; nothing where there is none."""


class Hold(OnLine, tag="hold", frozen=True, kw_only=True):
    """Hold the call (re-INVITE with sendonly), or take it back where `on` is false."""

    on: bool


class Transfer(OnLine, tag="transfer", frozen=True, kw_only=True):
    """Blind transfer by REFER (RFC 3515)."""

    number: str


class Join(OnLine, tag="join", frozen=True, kw_only=True):
    """Attended transfer: connect the other sides of `line` and `onto` (REFER with Replaces, RFC 3891)."""

    onto: int


class Dtmf(OnLine, tag="dtmf", frozen=True, kw_only=True):
    """Send digits as RFC 4733 events."""

    digits: str


class Listen(Request, tag="listen", frozen=True, kw_only=True):
    """Give what was heard after monotonic second `since`, at most the last two minutes."""

    since: float


class Close(Request, tag="close", frozen=True, kw_only=True):
    """End the phone: hang up, unregister, forget."""


AnyRequest = (
    Open
    | Register
    | Speak
    | AutoAnswer
    | Dial
    | Answer
    | Hangup
    | Hold
    | Transfer
    | Join
    | Dtmf
    | Listen
    | Close
)


class Done(msgspec.Struct, tag_field="is", tag="done", frozen=True):
    """The request `id` was carried out, or refused with `error`."""

    id: int
    error: str = ""


class HeardSamples(msgspec.Struct, tag_field="is", tag="heard", frozen=True):
    """The reply to `Listen`: a moment for each frame, and base64 of 16-bit samples, 160 for each."""

    id: int
    times: list[float]
    samples: bytes


class Registration(msgspec.Struct, tag_field="is", tag="registration", frozen=True):
    """The registrar's answer; `active` tells whether calls can come in now."""

    phone: str
    code: int
    reason: str
    active: bool
    at: float


class CallState(msgspec.Struct, tag_field="is", tag="call", frozen=True):
    """The call on a line is now `dialing`, `early`, `ringing`, `connected`, `held` or `idle` (over).

    `code` is the SIP status that brought it there; `remote` the other's URI; `at` monotonic seconds.
    """

    phone: str
    state: str
    code: int
    reason: str
    remote: str
    at: float
    line: int = 1


class Digit(msgspec.Struct, tag_field="is", tag="digit", frozen=True):
    """A key that the other side pressed."""

    phone: str
    digit: str
    at: float


class TransferState(msgspec.Struct, tag_field="is", tag="transfer", frozen=True):
    """The progress of a REFER (RFC 3515 2.4.5): the SIP status of the transferred call."""

    phone: str
    code: int
    final: bool
    at: float


class Text(msgspec.Struct, tag_field="is", tag="text", frozen=True):
    """A SIP MESSAGE (RFC 3428) came: its text, and the From header as it is."""

    phone: str
    text: str
    sender: str
    at: float


class Ready(msgspec.Struct, tag_field="is", tag="ready", frozen=True):
    """The process takes requests now."""

    pid: int


PhoneEvent = Registration | CallState | Digit | TransferState | Text
AnyMessage = Ready | Done | HeardSamples | PhoneEvent
REQUESTS = msgspec.json.Decoder(AnyRequest)
MESSAGES = msgspec.json.Decoder(AnyMessage)
